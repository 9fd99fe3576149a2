//! The text of a body that a client sends, in the charset that its `Content-Type` names: named as Django reads it, decoded as
//! Python's codecs do.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};

/// Bound on the name of an unknown charset in a message, in characters.
const SHOWN: usize = 60;

/// How a body is decoded.
enum Codec {
    Utf8,
    /// UTF-8 that may begin with a byte order mark.
    Utf8Sig,
    /// UTF-16 or UTF-32, in units of so many bytes; without an order, a byte order mark must say it.
    Wide {
        unit: usize,
        order: Option<Order>,
    },
    Ascii,
    Latin1,
    /// One byte a character; the names of the web for these mean others for the bytes from 0x80 to 0x9f, which are control
    /// characters here.
    Iso8859(&'static Encoding),
    Other(&'static Encoding),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The charset that a `Content-Type` names, as it stands there: the last one, where it names several. None if it names none.
///
/// ```
/// use oncall_core::charset::named;
/// assert_eq!(named("application/json; charset=\"utf-16\"").as_deref(), Some("utf-16"));
/// assert_eq!(named("application/json"), None);
/// ```
pub fn named(content_type: &str) -> Option<String> {
    let charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        let (name, value) = (name.trim().to_lowercase(), unquoted(value.trim()));
        // As RFC 2231 has it: the charset of the value, a language, and the value.
        let is_extended = name.ends_with('*') && parameter.matches('\'').count() == 2;
        let value = if is_extended { value.rsplit('\'').next().unwrap_or_default().to_owned() } else { value };
        (name.strip_suffix('*').unwrap_or(&name) == "charset").then_some(value)
    };
    parameters(content_type).into_iter().filter_map(charset).next_back().filter(|charset| !charset.trim().is_empty())
}

/// The parameters of a media type: what stands between semicolons that are not in quotes.
fn parameters(content_type: &str) -> Vec<&str> {
    let mut quoted = false;
    let mut before = '\0';
    let parts = content_type.split(move |char| {
        if char == '"' && before != '\\' {
            quoted = !quoted;
        }
        before = char;
        char == ';' && !quoted
    });
    parts.skip(1).collect()
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(value) => value.replace(r"\\", r"\").replace(r#"\""#, r#"""#),
        None => value.to_owned(),
    }
}

/// `body` in UTF-8, decoded from `charset`. What is UTF-8 is not looked at.
///
/// # Errors
/// The charset is unknown, or the body is not of it: a message in the manner of Python's.
///
/// ```
/// use oncall_core::charset::to_utf8;
/// assert_eq!(to_utf8(b"caf\xe9", "latin-1").as_deref(), Ok("café".as_bytes()));
/// assert_eq!(to_utf8(b"x", "nonsense"), Err("unknown encoding: nonsense".to_owned()));
/// ```
pub fn to_utf8<'a>(body: &'a [u8], charset: &str) -> Result<Cow<'a, [u8]>, String> {
    let Some(codec) = codec(charset) else {
        return Err(format!("unknown encoding: {}", charset.chars().take(SHOWN).collect::<String>()));
    };
    let text = match codec {
        Codec::Utf8 => return Ok(Cow::Borrowed(body)),
        Codec::Utf8Sig => return Ok(Cow::Borrowed(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))),
        Codec::Wide { unit, order: Some(order) } => wide(body, unit, order, 0)?,
        Codec::Wide { unit, order: None } => match body {
            [0xff, 0xfe, 0, 0, rest @ ..] if unit == 4 => wide(rest, unit, Order::Little, 4)?,
            [0, 0, 0xfe, 0xff, rest @ ..] if unit == 4 => wide(rest, unit, Order::Big, 4)?,
            [0xff, 0xfe, rest @ ..] if unit == 2 => wide(rest, unit, Order::Little, 2)?,
            [0xfe, 0xff, rest @ ..] if unit == 2 => wide(rest, unit, Order::Big, 2)?,
            _ => {
                // What is wrong besides is told first.
                wide(body, unit, Order::Little, 0)?;
                return Err(format!("UTF-{} stream does not start with BOM", 8 * unit));
            }
        },
        Codec::Ascii => match body.iter().position(|byte| !byte.is_ascii()) {
            None => return Ok(Cow::Borrowed(body)),
            Some(at) => return Err(undecodable("ascii", body, at, "ordinal not in range(128)")),
        },
        Codec::Latin1 => body.iter().copied().map(char::from).collect(),
        Codec::Iso8859(encoding) => single_bytes(body, encoding, |byte| matches!(byte, 0x80..=0x9f))?,
        Codec::Other(encoding) if encoding.is_single_byte() => single_bytes(body, encoding, |_| false)?,
        Codec::Other(encoding) => multiple_bytes(body, encoding)?,
    };
    Ok(Cow::Owned(text.into_bytes()))
}

/// Finds the codec by one of the names that Python knows for it; None for a charset that is unknown.
fn codec(charset: &str) -> Option<Codec> {
    // To Python, all that is no letter, digit or dot is as good as one dash.
    let words =
        charset.split(|char: char| !char.is_ascii_alphanumeric() && char != '.').filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    let name = words.join("-");
    let wide = |unit, order| Some(Codec::Wide { unit, order });
    match name.as_str() {
        "utf-8-sig" => return Some(Codec::Utf8Sig),
        "u8" | "utf" | "cp65001" => return Some(Codec::Utf8),
        "utf-16" | "utf16" | "u16" => return wide(2, None),
        "utf-16-le" | "utf-16le" | "unicodelittleunmarked" => return wide(2, Some(Order::Little)),
        "utf-16-be" | "utf-16be" | "unicodebigunmarked" => return wide(2, Some(Order::Big)),
        "utf-32" | "utf32" | "u32" => return wide(4, None),
        "utf-32-le" | "utf-32le" => return wide(4, Some(Order::Little)),
        "utf-32-be" | "utf-32be" => return wide(4, Some(Order::Big)),
        "ascii" | "us-ascii" | "us" | "646" | "ansi-x3.4-1968" | "iso646-us" => return Some(Codec::Ascii),
        "latin-1" | "latin1" | "latin" | "l1" | "8859" | "cp819" | "iso-8859-1" | "iso8859-1" | "iso8859" => {
            return Some(Codec::Latin1);
        }
        _ => {}
    }
    let on_the_web = match name.as_str() {
        "cp932" => "shift_jis".to_owned(),
        "cp936" => "gbk".to_owned(),
        "cp949" => "euc-kr".to_owned(),
        "cp950" => "big5".to_owned(),
        "macroman" => "macintosh".to_owned(),
        "mac-roman" | "mac-cyrillic" => format!("x-{name}"),
        _ => name.replacen("cp", "windows-", 1),
    };
    let spellings = [name.clone(), words.join("_"), words.concat(), on_the_web];
    let encoding = spellings.into_iter().find_map(|name| Encoding::for_label(name.as_bytes()))?;
    let is_iso_8859 = name.starts_with("iso") || name.starts_with("latin") || name.starts_with("tis");
    match encoding {
        _ if encoding == UTF_8 => Some(Codec::Utf8),
        _ if [UTF_16LE, UTF_16BE, REPLACEMENT, X_USER_DEFINED].contains(&encoding) => None,
        _ if is_iso_8859 && encoding.is_single_byte() => Some(Codec::Iso8859(encoding)),
        _ => Some(Codec::Other(encoding)),
    }
}

/// Decodes UTF-16 or UTF-32, in units of so many bytes, behind a byte order mark of `skipped` bytes. A character at the end that
/// is cut off is left out, as Python's `StreamReader` does.
fn wide(body: &[u8], unit: usize, order: Order, skipped: usize) -> Result<String, String> {
    let number = |bytes: &[u8]| {
        let shift = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        match order {
            Order::Big => bytes.iter().fold(0, shift),
            Order::Little => bytes.iter().rev().fold(0, shift),
        }
    };
    let codec = format!("utf-{}-{}", 8 * unit, if order == Order::Little { "le" } else { "be" });
    let refused = |index: usize, reason: &str| {
        let start = skipped + index * unit;
        format!("'{codec}' codec can't decode bytes in position {start}-{}: {reason}", start + unit - 1)
    };
    let mut text = String::with_capacity(body.len());
    let mut units = body.chunks_exact(unit).map(number).enumerate().peekable();
    while let Some((index, value)) = units.next() {
        let value = match value {
            0xd800..=0xdbff if unit == 2 => match units.next_if(|(_, low)| matches!(low, 0xdc00..=0xdfff)) {
                Some((_, low)) => 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00),
                None if units.peek().is_none() => break,
                None => return Err(refused(index, "illegal UTF-16 surrogate")),
            },
            other => other,
        };
        match char::from_u32(value) {
            Some(char) => text.push(char),
            None if unit == 2 => return Err(refused(index, "illegal encoding")),
            None if value > 0x10_ffff => return Err(refused(index, "code point not in range(0x110000)")),
            None => return Err(refused(index, "code point in surrogate code point range(0xd800, 0xe000)")),
        }
    }
    Ok(text)
}

/// Decodes a charset of one byte a character, but for the bytes that stand for themselves.
fn single_bytes(body: &[u8], encoding: &'static Encoding, itself: fn(u8) -> bool) -> Result<String, String> {
    let mut text = String::with_capacity(2 * body.len());
    for (at, byte) in body.iter().enumerate() {
        let decoded = encoding.decode_without_bom_handling_and_without_replacement(std::slice::from_ref(byte));
        match decoded.as_deref().and_then(|text| text.chars().next()) {
            _ if itself(*byte) => text.push(char::from(*byte)),
            // The web's charsets have a character for each byte; where Python's have none, that is the control character.
            Some(char) if byte.is_ascii() || !char.is_control() => text.push(char),
            _ => return Err(undecodable("charmap", body, at, "character maps to <undefined>")),
        }
    }
    Ok(text)
}

/// Decodes a charset of several bytes a character.
fn multiple_bytes(body: &[u8], encoding: &'static Encoding) -> Result<String, String> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text =
        String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(body.len()).unwrap_or_default());
    match decoder.decode_to_string_without_replacement(body, &mut text, true) {
        (DecoderResult::Malformed(length, after), read) => {
            let at = read.saturating_sub(usize::from(length) + usize::from(after));
            let name = encoding.name().to_lowercase().replace('-', "_");
            Err(undecodable(&name, body, at, "illegal multibyte sequence"))
        }
        _ => Ok(text),
    }
}

fn undecodable(codec: &str, body: &[u8], at: usize, reason: &str) -> String {
    let byte = body.get(at).copied().unwrap_or_default();
    format!("'{codec}' codec can't decode byte 0x{byte:02x} in position {at}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_the_last_that_the_content_type_names() {
        let cases = [
            ("", None),
            ("application/json", None),
            ("application/json; charset=", None),
            ("application/json; charset=\"\"", None),
            ("application/json; x-charset=utf-16", None),
            ("charset=utf-16", None),
            ("application/json; charset=utf-16", Some("utf-16")),
            ("application/json;x=y;CharSet = utf-16 ;z", Some("utf-16")),
            ("application/json; charset=\"utf-16\"", Some("utf-16")),
            ("application/json; charset='utf-16'", Some("'utf-16'")),
            ("application/json; charset=a; charset=b", Some("b")),
            (r#"application/json; x="a\";charset=utf-8"; charset="b\"c""#, Some("b\"c")),
            ("application/json; charset*=utf-8'en'utf-16", Some("utf-16")),
            ("application/json; charset*=utf-16", Some("utf-16")),
        ];
        for (content_type, charset) in cases {
            assert_eq!(named(content_type).as_deref(), charset, "{content_type}");
        }
    }

    #[test]
    fn every_charset_of_the_web_that_python_knows_is_decoded() {
        // The names of the Encoding Standard, without those that Python has no codec for.
        let names = [
            "utf-8",
            "ibm866",
            "iso-8859-2",
            "iso-8859-3",
            "iso-8859-4",
            "iso-8859-5",
            "iso-8859-6",
            "iso-8859-7",
            "iso-8859-8",
            "iso-8859-10",
            "iso-8859-13",
            "iso-8859-14",
            "iso-8859-15",
            "iso-8859-16",
            "koi8-r",
            "koi8-u",
            "macintosh",
            "windows-1250",
            "windows-1251",
            "windows-1252",
            "windows-1253",
            "windows-1254",
            "windows-1255",
            "windows-1256",
            "windows-1257",
            "windows-1258",
            "gbk",
            "gb18030",
            "big5",
            "euc-jp",
            "iso-2022-jp",
            "shift_jis",
            "euc-kr",
            "utf-16be",
            "utf-16le",
        ];
        for name in names {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let body: Vec<u8> = match name {
                "utf-16le" => b"x\0".to_vec(),
                "utf-16be" => b"\0x".to_vec(),
                _ => encoding.encode("x").0.into_owned(),
            };
            for name in [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), format!(" {name}\"")] {
                assert_eq!(to_utf8(&body, &name).as_deref(), Ok(&b"x"[..]), "{name}");
            }
        }
    }
}
