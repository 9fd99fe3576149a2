//! ASCII, and Latin-1, whose characters are the first 256 of Unicode.

use crate::{
    eval::rendering::Rendering,
    python::{
        codecs::UnicodeDecodeError,
        exception::{PyResult, other_error, value_error},
        quote::push_escape,
    },
};

/// Encodes into the codec of this name, whose characters are the first `limit` of Unicode.
pub(super) fn encode(rendering: &Rendering, text: &str, errors: &str, codec: &str, limit: u32) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    for (index, c) in text.chars().enumerate() {
        let code = u32::from(c);
        if let Some(byte) = u8::try_from(code).ok().filter(|_| code < limit) {
            out.push(byte);
            continue;
        }
        rendering.allocate(10)?;
        match errors {
            "ignore" => {}
            "replace" => out.push(b'?'),
            "xmlcharrefreplace" => out.extend(format!("&#{code};").bytes()),
            "backslashreplace" => out.extend(escape(c).bytes()),
            "strict" | "surrogateescape" | "surrogatepass" => {
                let count = text.chars().skip(index).take_while(|c| u32::from(*c) >= limit).count();
                return value_error(format!(
                    "'{codec}' codec can't encode {}: ordinal not in range({limit})",
                    if count == 1 {
                        format!("character '{}' in position {index}", escape(c))
                    } else {
                        format!("characters in position {index}-{}", index + count - 1)
                    }
                ));
            }
            other => return other_error(format!("unknown error handler name '{other}'")),
        }
    }
    Ok(out)
}

/// `c` as an escape of Python's source.
fn escape(c: char) -> String {
    let mut escape = String::new();
    push_escape(&mut escape, c);
    escape
}

/// Decodes ASCII.
pub(super) fn decode(bytes: &[u8], errors: &str) -> PyResult<String> {
    let mut out = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if byte.is_ascii() {
            out.push(char::from(*byte));
        } else {
            let error = UnicodeDecodeError {
                codec: "ascii",
                start: index,
                bytes: &[*byte],
                reason: "ordinal not in range(128)",
            };
            out.push_str(&error.handle(errors)?);
        }
    }
    Ok(out)
}
