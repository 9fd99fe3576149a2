//! The text of an answer's body, as `requests` reads it to look for JSON.

/// The text in which `requests` looks for JSON: decoded from the charset that `Content-Type` names or implies; without one,
/// from the charset that the first bytes suggest.
pub(super) fn json_text(body: &[u8], content_type: &str) -> String {
    let each = |decode: fn(u8) -> char| body.iter().copied().map(decode).collect();
    let Some(charset) = charset(content_type) else {
        let encoding = match body {
            [0xfe, 0xff, ..] | [0, _, 0, _, ..] => encoding_rs::UTF_16BE,
            [0xff, 0xfe, ..] | [_, 0, _, 0, ..] => encoding_rs::UTF_16LE,
            _ => encoding_rs::UTF_8,
        };
        return encoding.decode(body).0.into_owned();
    };
    match charset.as_str() {
        // Python's Latin-1 and ASCII: on the web both names stand for windows-1252.
        "iso-8859-1" | "latin-1" | "latin1" => each(char::from),
        "us-ascii" | "ascii" => {
            each(|byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
        }
        other => match encoding_rs::Encoding::for_label(other.as_bytes()) {
            Some(encoding) if encoding != encoding_rs::UTF_8 => encoding.decode(body).0.into_owned(),
            _ => String::from_utf8_lossy(body).into_owned(),
        },
    }
}

/// The charset that a `Content-Type` names or implies, in lower case.
fn charset(content_type: &str) -> Option<String> {
    let content_type = content_type.to_ascii_lowercase();
    match content_type.split_once("charset=") {
        Some((_, rest)) => {
            let charset = rest.split(';').next().unwrap_or_default();
            Some(charset.trim_matches([' ', '"', '\'']).to_owned())
        }
        None if content_type.contains("text") => Some("iso-8859-1".to_owned()),
        None if content_type.contains("application/json") => Some("utf-8".to_owned()),
        None => None,
    }
}
