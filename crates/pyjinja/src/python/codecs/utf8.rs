//! UTF-8.

use crate::python::{codecs::UnicodeDecodeError, exception::PyResult};

/// Decodes UTF-8.
pub(super) fn decode(bytes: &[u8], errors: &str) -> PyResult<String> {
    let mut out = String::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        at += chunk.valid().len();
        if let [first, ..] = chunk.invalid() {
            let end = at + chunk.invalid().len();
            let reason = match first {
                0x80..=0xc1 | 0xf5..=0xff => "invalid start byte",
                _ if end == bytes.len() => "unexpected end of data",
                _ => "invalid continuation byte",
            };
            let error = UnicodeDecodeError { codec: "utf-8", start: at, bytes: chunk.invalid(), reason };
            out.push_str(&error.handle(errors)?);
            at = end;
        }
    }
    Ok(out)
}
