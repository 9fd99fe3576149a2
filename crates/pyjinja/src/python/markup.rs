//! markupsafe: `Markup`, the `str` that needs no escaping, and `escape`; with `html.unescape`.

use std::{borrow::Cow, sync::Arc};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        exception::{PyResult, type_error},
        repr,
        unicode::is_space,
        value::{Text, Value},
    },
};

/// The names of the methods that only `Markup` has.
pub(crate) const METHODS: &[&str] = &["escape", "striptags", "unescape"];

/// The methods that `Markup` overrides, with their required and optional parameters, and how many of these can be given
/// by position only.
const SIGNATURES: &[(&str, &[&str], &[&str], usize)] = &[
    ("Markup.capitalize", &[], &[], 0),
    ("Markup.casefold", &[], &[], 0),
    ("Markup.center", &["width"], &["fillchar"], 2),
    ("Markup.escape", &["s"], &[], 1),
    ("Markup.expandtabs", &[], &["tabsize"], 0),
    ("Markup.join", &["iterable"], &[], 1),
    ("Markup.ljust", &["width"], &["fillchar"], 2),
    ("Markup.lower", &[], &[], 0),
    ("Markup.lstrip", &[], &["chars"], 1),
    ("Markup.partition", &["sep"], &[], 1),
    ("Markup.removeprefix", &["prefix"], &[], 1),
    ("Markup.removesuffix", &["suffix"], &[], 0),
    ("Markup.replace", &["old", "new"], &["count"], 3),
    ("Markup.rjust", &["width"], &["fillchar"], 2),
    ("Markup.rpartition", &["sep"], &[], 1),
    ("Markup.rsplit", &[], &["sep", "maxsplit"], 0),
    ("Markup.rstrip", &[], &["chars"], 1),
    ("Markup.split", &[], &["sep", "maxsplit"], 0),
    ("Markup.splitlines", &[], &["keepends"], 0),
    ("Markup.strip", &[], &["chars"], 1),
    ("Markup.striptags", &[], &[], 0),
    ("Markup.swapcase", &[], &[], 0),
    ("Markup.title", &[], &[], 0),
    ("Markup.translate", &["table"], &[], 1),
    ("Markup.unescape", &[], &[], 0),
    ("Markup.upper", &[], &[], 0),
    ("Markup.zfill", &["width"], &[], 1),
];

/// The arguments of a method that `Markup` overrides, escaped where it escapes them; those of any other as they are.
pub(super) fn bind(rendering: &Rendering, method: &str, args: Args) -> PyResult<Args> {
    let overridden = SIGNATURES.iter().find(|(name, ..)| name.strip_prefix("Markup.") == Some(method));
    let Some((name, required, optional, positional_only)) = overridden else {
        return Ok(args);
    };
    let by_name: Vec<&str> = required
        .iter()
        .chain(*optional)
        .take(*positional_only)
        .filter(|parameter| args.named.iter().any(|(name, _)| name == *parameter))
        .copied()
        .collect();
    if !by_name.is_empty() {
        return type_error(format!(
            "{name}() got some positional-only arguments passed as keyword arguments: '{}'",
            by_name.join(", ")
        ));
    }
    let bound = args.bind(&Signature::new(name, usize::from(method != "escape"), required, optional))?;
    let given = bound.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let mut values = Vec::with_capacity(bound.len());
    for (at, value) in bound.into_iter().enumerate() {
        // `sep` has None where only `maxsplit` is given.
        let Some(value) = value else {
            values.push(Value::None);
            continue;
        };
        let escapes = matches!((method, at), ("center" | "ljust" | "rjust" | "replace", 1));
        values.push(if escapes { Value::Str(Text::safe(escape_value(rendering, &value)?)) } else { value });
    }
    while matches!(values.last(), Some(Value::None)) && values.len() > given.max(required.len()) {
        values.pop();
    }
    Ok(Args::of(values))
}

/// `escape(x)` of any value.
pub(crate) fn escape_value(rendering: &Rendering, value: &Value) -> PyResult<Arc<str>> {
    match value {
        Value::Str(Text { text, safe: true }) => Ok(Arc::clone(text)),
        other => {
            let text = repr::string(rendering, other)?;
            rendering.allocate(text.len() * 2)?;
            Ok(Arc::from(escape(&text)))
        }
    }
}

/// `escape(text)` of a `str`; a `Markup` stays as it is.
pub(crate) fn escape_text(text: &Text) -> Cow<'_, str> {
    if text.safe { Cow::Borrowed(&text.text) } else { Cow::Owned(escape(text)) }
}

/// `escape(text)` of text that is not markup.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
    out
}

/// `html.unescape(text)`
pub(crate) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(&htmlize::unescape(before));
        rest = match numeric_reference(after) {
            Some((c, after)) => {
                out.extend(c);
                after
            }
            None => {
                out.push_str("&#");
                after
            }
        };
    }
    out.push_str(&htmlize::unescape(rest));
    out
}

/// Reads `123;` or `x7b;`: the character, which is None for code points that HTML leaves out, and the rest of the text.
fn numeric_reference(text: &str) -> Option<(Option<char>, &str)> {
    let (radix, digits) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, text),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, after) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let after = after.strip_prefix(';').unwrap_or(after);
    let code = u32::from_str_radix(digits.trim_start_matches('0'), radix)
        .unwrap_or(if digits.bytes().all(|digit| digit == b'0') { 0 } else { u32::MAX });
    let replaced = char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
    let c = match code {
        0x0d => Some('\r'),
        0x80..=0x9f => htmlize::unescape(format!("&#{code};")).chars().next(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        // The last two of every plane are no characters.
        ..0x11_0000 if code & 0xfffe == 0xfffe => None,
        _ => Some(replaced),
    };
    Some((c, after))
}

/// `Markup.striptags`
pub(crate) fn striptags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        let end = if tag.starts_with("<!--") {
            tag.get(4..).and_then(|comment| comment.find("-->")).map(|at| at + 7)
        } else {
            tag.find('>').map(|at| at + 1)
        };
        let Some(after) = end.and_then(|end| tag.get(end..)) else {
            break;
        };
        kept.push_str(before);
        rest = after;
    }
    kept.push_str(rest);
    let words: Vec<&str> = kept.split(is_space).filter(|word| !word.is_empty()).collect();
    unescape(&words.join(" "))
}
