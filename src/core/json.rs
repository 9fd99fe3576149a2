//! JSON as Python's `json.dumps` writes it: `", "` and `": "` between, floats as `repr` shows them, and, unless asked
//! otherwise, everything outside ASCII escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, ser::Formatter};

/// `json.dumps(value)`.
///
/// ```
/// let value = serde_json::json!({"city": "東京", "share": 1e-7});
/// let text = oncall_webhooks::core::json::dumps(&value)?;
/// assert_eq!(text, r#"{"city": "\u6771\u4eac", "share": 1e-07}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// The value is not one that JSON can express, such as a map whose keys are not strings.
pub fn dumps(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(128);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Python))?;
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

/// `value` with the keys of every object sorted, as `json.dumps(value, sort_keys=True)` writes them.
pub fn sorted(value: Value) -> Value {
    reordered(value, &str::cmp)
}

/// `value` with the keys of every object as PostgreSQL's `jsonb` keeps them: shorter ones first, then by bytes. OnCall
/// keeps an alert's payload so, and its receivers see that order.
pub fn jsonb(value: Value) -> Value {
    reordered(value, &|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
}

fn reordered(value: Value, order: &dyn Fn(&str, &str) -> std::cmp::Ordering) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(|item| reordered(item, order)).collect()),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, reordered(value, order))).collect();
            entries.sort_by(|(a, _), (b, _)| order(a, b));
            Value::Object(Map::from_iter(entries))
        }
        other => other,
    }
}

struct Python;

impl Formatter for Python {
    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(float_repr(value).as_bytes())
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !c.is_ascii()) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A float as Python's `repr` writes it: the shortest digits that read back, with an exponent of at least two digits
/// below 1e-4 and from 1e16.
pub fn float_repr(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e16) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text, // inf and nan, which JSON values never are
        }
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dumps_writes_what_python_writes() {
        let cases = [
            (
                json!({"a": [1, 2.0, 1e3, true, null, "x"], "b": {}}),
                r#"{"a": [1, 2.0, 1000.0, true, null, "x"], "b": {}}"#,
            ),
            (
                json!("東京 😊 \"q\" \u{7f} \n\t\u{1}"),
                "\"\\u6771\\u4eac \\ud83d\\ude0a \\\"q\\\" \u{7f} \\n\\t\\u0001\"",
            ),
            (json!({"é": "café"}), r#"{"\u00e9": "caf\u00e9"}"#),
            (
                json!([1e-7, 1e22, 0.0001, 1e16, -1.5e-10, 123456789.125, 0.0]),
                "[1e-07, 1e+22, 0.0001, 1e+16, -1.5e-10, 123456789.125, 0.0]",
            ),
            (json!([]), "[]"),
        ];
        for (value, expected) in cases {
            assert_eq!(dumps(&value).unwrap(), expected);
        }
    }

    #[test]
    fn keys_are_ordered_at_every_depth() {
        let value = json!({"b": 1, "annotations": {"title": 1, "a": [{"zz": 1, "y": 2}]}, "a": 2});
        assert_eq!(
            dumps(&sorted(value.clone())).unwrap(),
            r#"{"a": 2, "annotations": {"a": [{"y": 2, "zz": 1}], "title": 1}, "b": 1}"#
        );
        assert_eq!(
            dumps(&jsonb(value)).unwrap(),
            r#"{"a": 2, "b": 1, "annotations": {"a": [{"y": 2, "zz": 1}], "title": 1}}"#
        );
    }
}
