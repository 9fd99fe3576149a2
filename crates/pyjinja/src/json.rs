//! JSON as Python's `json` reads and writes it: integers of any size, `NaN` and the infinities, the last of two equal
//! keys; on the way out `", "` and `": "` between, floats as `repr` shows them, and everything outside ASCII escaped.

mod decode_error;

use std::{fmt::Write, sync::Arc};

use indexmap::IndexMap;
use jiter::{JsonValue, PartialMode};
use num_bigint::BigInt;
use serde_json::Value;

pub use crate::python::floats::float_repr;

/// A JSON value that many templates can share: parts of it are cloned in constant time.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` and `false`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer beyond 64 bits.
    Big(Arc<BigInt>),
    /// A number with a fraction or an exponent, `NaN`, or an infinity.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// An array.
    Array(Arc<[Json]>),
    /// An object, in its order.
    Object(Arc<Object>),
}

/// The entries of a JSON object, in their order.
pub type Object = IndexMap<Arc<str>, Json>;

impl Json {
    /// An object of these entries.
    pub fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(Arc::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// The value at `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(key),
            _ => None,
        }
    }

    /// Whether a `NaN` or an infinity stands anywhere in it, which JSON itself does not know.
    pub fn beyond_json(&self) -> Option<f64> {
        match self {
            Self::Float(number) if !number.is_finite() => Some(*number),
            Self::Array(items) => items.iter().find_map(Self::beyond_json),
            Self::Object(object) => object.values().find_map(Self::beyond_json),
            _ => None,
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Str(Arc::from(text))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Big(Arc::new(BigInt::from(value))),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Str(Arc::from(text)),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(entries) => Self::object(entries.into_iter().map(|(key, value)| (key, Self::from(value)))),
        }
    }
}

impl From<JsonValue<'_>> for Json {
    fn from(value: JsonValue) -> Self {
        match value {
            JsonValue::Null => Self::Null,
            JsonValue::Bool(value) => Self::Bool(value),
            JsonValue::Int(value) => Self::Int(value),
            JsonValue::BigInt(value) => Self::Big(Arc::new(value)),
            JsonValue::Float(value) => Self::Float(value),
            JsonValue::Str(text) => Self::Str(Arc::from(text)),
            JsonValue::Array(items) => Self::Array(items.iter().cloned().map(Self::from).collect()),
            JsonValue::Object(entries) => {
                Self::object(entries.iter().map(|(key, value)| (key.as_ref(), Self::from(value.clone()))))
            }
        }
    }
}

/// `json.loads(text)`.
///
/// # Errors
/// The text is not JSON, is nested deeper than 200 levels, or escapes half of a surrogate pair. Says where.
pub fn loads(text: &str) -> Result<Json, String> {
    JsonValue::parse_with_config(text.as_bytes(), true, PartialMode::Off)
        .map(Json::from)
        .map_err(|error| error.description(text.as_bytes()))
}

/// A request's body as Django REST framework reads it: [`loads`], but without `NaN` and the infinities.
///
/// # Errors
/// The body is no UTF-8 or no such JSON, in the words of CPython 3.12; or [`loads`] does not take it, in ours.
///
/// ```
/// use pyjinja::json;
/// let refused = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)";
/// assert_eq!(json::parse(b"{nope"), Err(refused.to_owned()));
/// ```
pub fn parse(body: &[u8]) -> Result<Json, String> {
    let text = decode(body)?;
    JsonValue::parse_with_config(text.as_bytes(), false, PartialMode::Off)
        .map(Json::from)
        .map_err(|error| decode_error::explain(text).unwrap_or_else(|| error.description(text.as_bytes())))
}

/// Decodes UTF-8 as Python's `StreamReader` does: without a character at the end that is cut off.
fn decode(body: &[u8]) -> Result<&str, String> {
    let error = match std::str::from_utf8(body) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let start = error.valid_up_to();
    let Some(length) = error.error_len() else {
        return Ok(std::str::from_utf8(&body[..start]).unwrap_or_default());
    };
    let place = match length {
        1 => format!("byte 0x{:02x} in position {start}", body[start]),
        _ => format!("bytes in position {start}-{}", start + length - 1),
    };
    let reason = match body[start] {
        0x80..=0xc1 | 0xf5.. => "invalid start byte",
        _ => "invalid continuation byte",
    };
    Err(format!("'utf-8' codec can't decode {place}: {reason}"))
}

/// `json.loads(text)`, and what `json.dumps` makes of it. Halves of surrogate pairs, which no Rust text can hold, are
/// written again as they were read.
///
/// # Errors
/// As [`loads`], but for the halves.
pub fn rewrite(text: &str) -> Result<(Json, String), String> {
    let read = |text: &str| loads(text).map(|value| (dumps(&value), value));
    match read(text) {
        Ok((text, value)) => Ok((value, text)),
        Err(error) => {
            let marked = mark_halves(text).ok_or(error)?;
            read(&marked).map(|(text, value)| (value, unmark_halves(&text)))
        }
    }
}

/// Where the 2048 halves stand while a text with some is read and written: at the end of the last private plane.
const HALVES: u32 = 0x10_f800;

/// None if there are none, or if the text has what would stand for them.
fn mark_halves(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut found = false;
    for (piece, escape) in Pieces(text) {
        match escape {
            Escape::Unit(half @ 0xd800..=0xdfff) => {
                out.push(char::from_u32(HALVES + u32::from(half - 0xd800))?);
                found = true;
            }
            Escape::Pair(0xdbfe.., _) => return None,
            _ if piece.chars().any(|c| u32::from(c) >= HALVES) => return None,
            _ => out.push_str(piece),
        }
    }
    found.then_some(out)
}

fn unmark_halves(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (piece, escape) in Pieces(text) {
        match escape {
            Escape::Pair(high @ 0xdbfe.., low) => {
                let half = 0xd800 + ((high - 0xdbfe) << 10) + (low - 0xdc00);
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{half:04x}");
            }
            _ => out.push_str(piece),
        }
    }
    out
}

/// Cuts JSON text before and after each of its escapes.
struct Pieces<'a>(&'a str);

enum Escape {
    None,
    /// One UTF-16 unit.
    Unit(u16),
    /// Two that belong together.
    Pair(u16, u16),
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (&'a str, Escape);

    fn next(&mut self) -> Option<Self::Item> {
        let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let (length, escape) = match (unit(self.0), self.0.get(6..).and_then(unit)) {
            _ if self.0.is_empty() => return None,
            (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => (12, Escape::Pair(high, low)),
            (Some(unit), _) => (6, Escape::Unit(unit)),
            (None, _) if self.0.starts_with('\\') => {
                (1 + self.0[1..].chars().next().map_or(0, char::len_utf8), Escape::None)
            }
            (None, _) => (self.0.find('\\').unwrap_or(self.0.len()), Escape::None),
        };
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        Some((piece, escape))
    }
}

/// `json.dumps(value)`.
///
/// ```
/// use pyjinja::json;
/// let value = json::loads(r#"{"city":"東京","share":1e-7}"#)?;
/// assert_eq!(json::dumps(&value), r#"{"city": "\u6771\u4eac", "share": 1e-07}"#);
/// # Ok::<(), String>(())
/// ```
pub fn dumps(value: &Json) -> String {
    let mut out = String::with_capacity(128);
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Int(number) => out.push_str(&number.to_string()),
        Json::Big(number) => out.push_str(&number.to_string()),
        Json::Float(number) => out.push_str(&float(*number)),
        Json::Str(text) => write_str(out, text, true),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write(out, item);
            }
            out.push(']');
        }
        Json::Object(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_str(out, key, true);
                out.push_str(": ");
                write(out, item);
            }
            out.push('}');
        }
    }
}

/// A float as `json.dumps` writes it.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        float_repr(number)
    }
}

/// Appends `text` as a JSON string literal, `ascii` with everything outside ASCII escaped.
pub fn write_str(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    write_escaped(out, text, ascii);
    out.push('"');
}

/// Appends `text` as it stands inside a JSON string literal.
pub fn write_escaped(out: &mut String, text: &str, ascii: bool) {
    let plain = |c: char| match c {
        '"' | '\\' | '\0'..='\x1f' => false,
        // Python counts DEL among what is outside ASCII.
        c => !ascii || c < '\x7f',
    };
    let mut rest = text;
    while let Some(at) = rest.find(|c| !plain(c)) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\x08') => out.push_str("\\b"),
            Some('\x0c') => out.push_str("\\f"),
            Some(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let cases = [
            (r#"{"a":[1,2.0,1e3,true,null,"x"],"b":{}}"#, r#"{"a": [1, 2.0, 1000.0, true, null, "x"], "b": {}}"#),
            (
                "\"東京 😊 \\\"q\\\" \u{7f} \\n\\t\\u0001\"",
                "\"\\u6771\\u4eac \\ud83d\\ude0a \\\"q\\\" \\u007f \\n\\t\\u0001\"",
            ),
            (r#"{"é": "café"}"#, r#"{"\u00e9": "caf\u00e9"}"#),
            (
                "[1e-7, 1e22, 0.0001, 1e16, -1.5e-10, 123456789.125, 0.0, -0.0]",
                "[1e-07, 1e+22, 0.0001, 1e+16, -1.5e-10, 123456789.125, 0.0, -0.0]",
            ),
            ("[]", "[]"),
            (" [NaN, Infinity, -Infinity] ", "[NaN, Infinity, -Infinity]"),
            (r#"{"n": 123456789012345678901234567890}"#, r#"{"n": 123456789012345678901234567890}"#),
            (r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"a": 3, "b": 2}"#),
            ("1e400", "Infinity"),
        ];
        for (text, expected) in cases {
            assert_eq!(loads(text).map(|value| dumps(&value)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_written_as_they_were_read() {
        let cases = [
            (r#""\ud83d""#, Some(r#""\ud83d""#)),
            (r#"{"\uDC00":"\\ud83d é \ude0a\ud83d"}"#, Some(r#"{"\udc00": "\\ud83d \u00e9 \ude0a\ud83d"}"#)),
            (r#"["\ud83d\ude0a", "\udfff\ud800"]"#, Some(r#"["\ud83d\ude0a", "\udfff\ud800"]"#)),
            (r#"["\udbfe\udc00"]"#, Some(r#"["\udbfe\udc00"]"#)),
            (r#"["\udbfe\udc00", "\ud800"]"#, None),
            ("[\"\u{10f800}\", \"\\ud800\"]", None),
            (r#""\ud83""#, None),
            (r#""\ud83d"#, None),
            ("\\", None),
            (r"\ué", None),
        ];
        for (text, expected) in cases {
            assert_eq!(rewrite(text).ok().map(|(_, text)| text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_refused_with_the_place() {
        let deep = "[".repeat(10_000);
        let cases = [
            ("{nope", "key must be a string at line 1 column 2"),
            ("", "EOF while parsing a value at line 1 column 0"),
            ("1 2", "trailing characters at line 1 column 3"),
            ("{'a': 1}", "key must be a string at line 1 column 2"),
            (r#""\ud83d""#, "unexpected end of hex escape at line 1 column 8"),
            (&deep, "recursion limit exceeded at line 1 column 202"),
        ];
        for (text, expected) in cases {
            assert_eq!(loads(text), Err(expected.to_owned()), "{text:.40}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_refused_in_the_words_of_python() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let (deepest, deeper) = (nested(201), nested(202));
        let (digits, more_digits) = ("1".repeat(4300), "[-".to_owned() + &"1".repeat(4301));
        let no_name = "Expecting property name enclosed in double quotes";
        let beyond = "Out of range float values are not JSON compliant";
        let cases: &[(&[u8], &str, &str)] = &[
            (b"", "Expecting value", "line 1 column 1 (char 0)"),
            (b" \n ", "Expecting value", "line 2 column 2 (char 3)"),
            (b"nope", "Expecting value", "line 1 column 1 (char 0)"),
            (b"-", "Expecting value", "line 1 column 1 (char 0)"),
            (b"+1", "Expecting value", "line 1 column 1 (char 0)"),
            (b".5", "Expecting value", "line 1 column 1 (char 0)"),
            (b"[1,]", "Expecting value", "line 1 column 4 (char 3)"),
            (b"[", "Expecting value", "line 1 column 2 (char 1)"),
            (b"{\"a\": }", "Expecting value", "line 1 column 7 (char 6)"),
            (b"{nope", no_name, "line 1 column 2 (char 1)"),
            (b"{", no_name, "line 1 column 2 (char 1)"),
            (b"{'a': 1}", no_name, "line 1 column 2 (char 1)"),
            (b"{\"a\": 1,\n}", no_name, "line 2 column 1 (char 9)"),
            (b"{\"a\" 1}", "Expecting ':' delimiter", "line 1 column 6 (char 5)"),
            (b"[1 2]", "Expecting ',' delimiter", "line 1 column 4 (char 3)"),
            (b"[01]", "Expecting ',' delimiter", "line 1 column 3 (char 2)"),
            (b"{\"a\": 1", "Expecting ',' delimiter", "line 1 column 8 (char 7)"),
            ("{\"é😊\"\r\n:\"x\" \"y\"}".as_bytes(), "Expecting ',' delimiter", "line 2 column 6 (char 12)"),
            (b"1 2", "Extra data", "line 1 column 3 (char 2)"),
            (b"01", "Extra data", "line 1 column 2 (char 1)"),
            (b"1.e5", "Extra data", "line 1 column 2 (char 1)"),
            (b"1e+", "Extra data", "line 1 column 2 (char 1)"),
            (b"{}}", "Extra data", "line 1 column 3 (char 2)"),
            (b"[\"a]", "Unterminated string starting at", "line 1 column 2 (char 1)"),
            (b"\"a\\", "Unterminated string starting at", "line 1 column 1 (char 0)"),
            (b"\"a\nb\"", "Invalid control character at", "line 1 column 3 (char 2)"),
            (b"\"\\x\"", "Invalid \\escape", "line 1 column 2 (char 1)"),
            (b"\"\\u12g4\"", "Invalid \\uXXXX escape", "line 1 column 3 (char 2)"),
            (b"\"\\u12", "Invalid \\uXXXX escape", "line 1 column 3 (char 2)"),
            (b"\"\\ud83d\\ude\"  ", "Invalid \\uXXXX escape", "line 1 column 9 (char 8)"),
            // Python takes a half, so its next fault comes first.
            (b"[\"\\ud800\", 1", "Expecting ',' delimiter", "line 1 column 13 (char 12)"),
            (b"[\"\\ud800\"]", "Half of a surrogate pair at", "line 1 column 3 (char 2)"),
            (b"\"\\udc00\\ud800\"", "Half of a surrogate pair at", "line 1 column 2 (char 1)"),
            ("\u{feff}{}".as_bytes(), "Unexpected UTF-8 BOM (decode using utf-8-sig)", "line 1 column 1 (char 0)"),
            (b"[NaN, nope]", beyond, "'NaN'"),
            (b"{\"a\": -Infinity}", beyond, "'-Infinity'"),
            (b"Infinity", beyond, "'Infinity'"),
            (b"{\"a\xff\": 1}", "'utf-8' codec can't decode byte 0xff in position 3", "invalid start byte"),
            (b"\xc3(", "'utf-8' codec can't decode byte 0xc3 in position 0", "invalid continuation byte"),
            (b"\"\xf0\x9f\x98(", "'utf-8' codec can't decode bytes in position 1-3", "invalid continuation byte"),
            // A character that is cut off is not seen.
            (b"\"\xe2\x82", "Unterminated string starting at", "line 1 column 1 (char 0)"),
            (
                more_digits.as_bytes(),
                "Exceeds the limit (4300 digits) for integer string conversion",
                "value has 4301 digits; use sys.set_int_max_str_digits() to increase the limit",
            ),
        ];
        for (body, what, place) in cases {
            assert_eq!(parse(body), Err(format!("{what}: {place}")), "{:.40}", String::from_utf8_lossy(body));
        }
        assert_eq!(parse(deeper.as_bytes()), Err("nested too deeply".to_owned()));
        for body in [deepest.as_bytes(), digits.as_bytes(), b"[1e400, -0]", b"{}\xe2\x82"] {
            assert!(parse(body).is_ok(), "{:.40}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn values_of_the_api_server_become_the_same_json() {
        let value = json!({"n": [1, -2, 2.5, u64::MAX, null, true], "t": "é"});
        assert_eq!(
            dumps(&Json::from(value)),
            r#"{"n": [1, -2, 2.5, 18446744073709551615, null, true], "t": "\u00e9"}"#
        );
    }
}
