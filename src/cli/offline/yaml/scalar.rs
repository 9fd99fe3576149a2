//! The values of scalars. `kubectl` reads YAML 1.1: `yes` is true and `0x10` is 16.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use granit_parser::{ScalarStyle, Tag};
use num_bigint::BigInt;
use num_traits::Num;

use super::node::{Data, SyntaxError};

/// The value of a scalar.
///
/// # Errors
/// It has a tag that it does not fit.
pub(super) fn data(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    starts: Option<usize>,
    line: usize,
) -> Result<Data, SyntaxError> {
    let is_plain = style == ScalarStyle::Plain;
    match tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:")).as_deref() {
        Some("str") => return Ok(Data::Text { text: Arc::from(text), starts }),
        // Kubectl takes it for the text that is encoded.
        Some("binary") => {
            let encoded: String = text.split_whitespace().collect();
            let bytes = BASE64_STANDARD
                .decode(encoded)
                .map_err(|_| SyntaxError { line, message: "the value is no !!binary".to_owned() })?;
            return Ok(Data::Text { text: Arc::from(String::from_utf8_lossy(&bytes)), starts: None });
        }
        Some(tag @ ("int" | "float" | "bool" | "null")) => {
            let data = plain(text);
            return match (tag, data) {
                ("float", Data::Int(value)) =>
                {
                    #[expect(clippy::cast_precision_loss, reason = "as asked for")]
                    Ok(Data::Float(value as f64))
                }
                ("int", data @ (Data::Int(_) | Data::Big(_)))
                | ("float", data @ Data::Float(_))
                | ("bool", data @ Data::Bool(_))
                | ("null", data @ Data::Null) => Ok(data),
                _ => Err(SyntaxError { line, message: format!("the value is no !!{tag}") }),
            };
        }
        _ => {}
    }
    Ok(if is_plain { plain(text) } else { Data::Text { text: Arc::from(text), starts } })
}

/// The value of a scalar without quotes and tag, as YAML 1.1 has it.
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Data::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Data::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Data::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Data::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Data::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or_else(|| Data::Text { text: Arc::from(text), starts: None }),
    }
}

/// The number that a text is in YAML 1.1; None if it is none.
fn number(text: &str) -> Option<Data> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix(['+', '-']) {
        Some(rest) => (if plain.starts_with('-') { "-" } else { "" }, rest),
        None => ("", plain.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] if lower.bytes().all(|b| b.is_ascii_digit()) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
        // Longer numbers take long to read, and no field takes them: the rest of the digits is dropped.
        let value = BigInt::from_str_radix(&format!("{sign}{}", digits.get(..4300).unwrap_or(digits)), radix).ok()?;
        return Some(i64::try_from(&value).map_or(Data::Big(value), Data::Int));
    }
    // Rust reads words such as inf too.
    let is_float =
        lower.bytes().any(|b| b.is_ascii_digit()) && lower.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b));
    // To YAML, 1e400 is text.
    let value = plain.parse().ok().filter(|value: &f64| value.is_finite())?;
    is_float.then_some(Data::Float(value))
}
