//! UTF-32, in both byte orders.

use crate::{
    eval::rendering::Rendering,
    python::{codecs::UnicodeDecodeError, exception::PyResult},
};

/// Encodes, with a byte order mark first if `marked`.
pub(super) fn encode(rendering: &Rendering, text: &str, big_endian: bool, marked: bool) -> PyResult<Vec<u8>> {
    rendering.allocate(text.len() * 4)?;
    let mark = marked.then_some(0xfeff);
    let bytes = mark
        .into_iter()
        .chain(text.chars().map(u32::from))
        .flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect();
    Ok(bytes)
}

/// Decodes; a byte order mark decides the byte order if `marked`.
pub(super) fn decode(bytes: &[u8], big_endian: bool, marked: bool, errors: &str) -> PyResult<String> {
    let (big_endian, bytes) = match bytes {
        [0xff, 0xfe, 0, 0, rest @ ..] if marked => (false, rest),
        [0, 0, 0xfe, 0xff, rest @ ..] if marked => (true, rest),
        _ => (big_endian, bytes),
    };
    let name = if big_endian { "utf-32-be" } else { "utf-32-le" };
    let mut out = String::new();
    for (index, chunk) in bytes.chunks(4).enumerate() {
        let code = <[u8; 4]>::try_from(chunk)
            .ok()
            .map(|code| if big_endian { u32::from_be_bytes(code) } else { u32::from_le_bytes(code) });
        match code.and_then(char::from_u32) {
            Some(c) => out.push(c),
            None => {
                let reason = if chunk.len() < 4 { "truncated data" } else { "code point not in range(0x110000)" };
                let error = UnicodeDecodeError { codec: name, start: index * 4, bytes: chunk, reason };
                out.push_str(&error.handle(errors)?);
            }
        }
    }
    Ok(out)
}
