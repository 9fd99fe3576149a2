//! Python's `codecs`: text to bytes and back, with its error handlers.

mod ascii;
mod utf16;
mod utf32;
mod utf8;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::argument_type,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error},
        value::Value,
    },
};

/// An encoding of text as bytes.
#[derive(Clone, Copy)]
enum Codec {
    Utf8,
    /// UTF-8 with a byte order mark before it.
    Utf8Marked,
    Ascii,
    Latin1,
    Utf16 {
        big_endian: bool,
        marked: bool,
    },
    Utf32 {
        big_endian: bool,
        marked: bool,
    },
}

/// The codec that Python knows by this name.
fn lookup(name: &str) -> PyResult<Codec> {
    let plain = name.to_lowercase().replace(['-', ' '], "_");
    Ok(match plain.as_str() {
        "utf_8" | "utf8" | "u8" | "utf" | "cp65001" | "utf8_ucs2" | "utf8_ucs4" => Codec::Utf8,
        "utf_8_sig" | "utf8_sig" => Codec::Utf8Marked,
        "ascii" | "us_ascii" | "646" | "us" | "cp367" | "iso646_us" | "ansi_x3.4_1968" | "ansi_x3_4_1968" => {
            Codec::Ascii
        }
        "latin_1" | "latin1" | "latin" | "l1" | "iso_8859_1" | "iso8859_1" | "iso88591" | "8859" | "cp819"
        | "iso8859" => Codec::Latin1,
        "utf_16" | "utf16" | "u16" => Codec::Utf16 { big_endian: false, marked: true },
        "utf_16_le" | "utf_16le" | "utf16_le" | "unicodelittleunmarked" => {
            Codec::Utf16 { big_endian: false, marked: false }
        }
        "utf_16_be" | "utf_16be" | "utf16_be" | "unicodebigunmarked" => {
            Codec::Utf16 { big_endian: true, marked: false }
        }
        "utf_32" | "utf32" | "u32" => Codec::Utf32 { big_endian: false, marked: true },
        "utf_32_le" | "utf_32le" | "utf32_le" => Codec::Utf32 { big_endian: false, marked: false },
        "utf_32_be" | "utf_32be" | "utf32_be" => Codec::Utf32 { big_endian: true, marked: false },
        _ => return other_error(format!("unknown encoding: {name}")),
    })
}

/// The argument of `str.encode` or `bytes.decode` that names an encoding or an error handler.
pub(crate) fn argument(method: &str, parameter: &str, value: Option<Value>, default: &str) -> PyResult<String> {
    match value {
        None => Ok(default.to_owned()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(other) => {
            type_error(format!("{method}() argument '{parameter}' must be str, not {}", argument_type(&other)))
        }
    }
}

/// `text.encode(encoding, errors)`
pub(crate) fn encode(rendering: &Rendering, text: &str, encoding: &str, errors: &str) -> PyResult<Vec<u8>> {
    Ok(match lookup(encoding)? {
        Codec::Utf8 => text.as_bytes().to_vec(),
        Codec::Utf8Marked => [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
        Codec::Ascii => ascii::encode(rendering, text, errors, "ascii", 0x80)?,
        Codec::Latin1 => ascii::encode(rendering, text, errors, "latin-1", 0x100)?,
        Codec::Utf16 { big_endian, marked } => utf16::encode(rendering, text, big_endian, marked)?,
        Codec::Utf32 { big_endian, marked } => utf32::encode(rendering, text, big_endian, marked)?,
    })
}

/// `bytes.decode(encoding, errors)`
pub(crate) fn decode(rendering: &Rendering, bytes: &[u8], encoding: &str, errors: &str) -> PyResult<String> {
    rendering.allocate(bytes.len().saturating_mul(2))?;
    match lookup(encoding)? {
        Codec::Utf8 => utf8::decode(bytes, errors),
        Codec::Utf8Marked => utf8::decode(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), errors),
        Codec::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Codec::Ascii => ascii::decode(bytes, errors),
        Codec::Utf16 { big_endian, marked } => utf16::decode(bytes, big_endian, marked, errors),
        Codec::Utf32 { big_endian, marked } => utf32::decode(bytes, big_endian, marked, errors),
    }
}

/// Bytes that a codec can't decode.
struct UnicodeDecodeError<'a> {
    codec: &'a str,
    /// Where they start in the input.
    start: usize,
    bytes: &'a [u8],
    reason: &'a str,
}

impl UnicodeDecodeError<'_> {
    /// The text that an error handler puts in their place.
    fn handle(&self, errors: &str) -> PyResult<String> {
        match errors {
            "ignore" => Ok(String::new()),
            "replace" => Ok(char::REPLACEMENT_CHARACTER.to_string()),
            // A text of Rust can't hold the halves of surrogate pairs.
            "surrogateescape" => Ok(char::REPLACEMENT_CHARACTER.to_string().repeat(self.bytes.len())),
            "backslashreplace" => Ok(self.bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()),
            "strict" | "surrogatepass" => Err(self.exception()),
            other => other_error(format!("unknown error handler name '{other}'")),
        }
    }

    fn exception(&self) -> Exception {
        let place = match self.bytes {
            [byte] => format!("byte 0x{byte:02x} in position {}", self.start),
            bytes => format!("bytes in position {}-{}", self.start, self.start + bytes.len() - 1),
        };
        Exception::new(
            ExceptionClass::ValueError,
            format!("'{}' codec can't decode {place}: {}", self.codec, self.reason),
        )
    }
}
