//! UTF-16, in both byte orders.

use crate::{
    eval::rendering::Rendering,
    python::{codecs::UnicodeDecodeError, exception::PyResult},
};

/// Encodes, with a byte order mark first if `marked`.
pub(super) fn encode(rendering: &Rendering, text: &str, big_endian: bool, marked: bool) -> PyResult<Vec<u8>> {
    rendering.allocate(text.len() * 2)?;
    let mark = marked.then_some(0xfeff);
    let bytes = mark
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(|unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect();
    Ok(bytes)
}

/// Decodes; a byte order mark decides the byte order if `marked`.
pub(super) fn decode(bytes: &[u8], big_endian: bool, marked: bool, errors: &str) -> PyResult<String> {
    let (big_endian, bytes) = match bytes {
        [0xff, 0xfe, rest @ ..] if marked => (false, rest),
        [0xfe, 0xff, rest @ ..] if marked => (true, rest),
        _ => (big_endian, bytes),
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let name = if big_endian { "utf-16-be" } else { "utf-16-le" };
    let mut out = String::new();
    let mut at = 0;
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(c) => {
                out.push(c);
                at += c.len_utf16() * 2;
            }
            Err(_) => {
                let half = bytes.get(at..at + 2).unwrap_or_default();
                let error = UnicodeDecodeError { codec: name, start: at, bytes: half, reason: "illegal encoding" };
                out.push_str(&error.handle(errors)?);
                at += 2;
            }
        }
    }
    if !rest.is_empty() {
        let error = UnicodeDecodeError { codec: name, start: at, bytes: rest, reason: "truncated data" };
        out.push_str(&error.handle(errors)?);
    }
    Ok(out)
}
