//! Texts of a record, and values, that are too long for the API server. A text in, one that fits out; what is JSON stays JSON.
//!
//! Of JSON, the largest values are cut: texts (and keys) first, all to the same length; only if that is not enough, lists and
//! objects too, all to the same number of items, and what is nested deepest.

use std::borrow::Cow;

use serde_json::{Number, Value, json};

use crate::json::{self, Json};

/// The shortest length to which texts within JSON are cut, in bytes as they are stored, before items are left out.
const SHORTEST: usize = 64;
/// Texts within JSON that are longer than the bound by no more than this are left as they are, since the marker takes as much.
const SLACK: usize = 48;
/// The most items to which lists and objects are cut.
const MOST_ITEMS: usize = 4096;
/// The outermost object keeps so many keys whatever others are cut to: those of an event's data.
const OUTERMOST: usize = 16;
/// Where items are left out, what is nested deeper than this is left out too.
const DEEPEST: usize = 32;

/// Cuts a text that takes more than `limit` bytes where the API server stores it. What is JSON is still JSON afterwards: the
/// longest texts in it end in `… (cut: N bytes in all)`; a list that was cut ends in a text `… (cut: N items in all)`; an object that was
/// cut has a last key `…`, with `(cut: N keys in all)`, or, where it is the outermost one and anything was cut, `(cut: N bytes in
/// all)`. Other texts end in `… (cut: N bytes in all)`, which is not counted.
///
/// ```
/// use oncall_core::response::cut;
/// let text = format!(r#"{{"id": 7, "log": "{}"}}"#, "x".repeat(1000));
/// let left = cut(text, 200);
/// assert!(left.starts_with(r#"{"id": 7, "log": "xxxxx"#));
/// assert!(left.ends_with(r#"xxxxx\u2026 (cut: 1000 bytes in all)", "\u2026": "(cut: 1020 bytes in all)"}"#));
/// ```
pub fn cut(text: String, limit: usize) -> String {
    // Short texts, most of them, need no counting.
    if text.len() * 6 <= limit || text.chars().try_fold(limit, |room, char| room.checked_sub(stored(char))).is_some() {
        return text;
    }
    cut_json(&text, limit).unwrap_or_else(|| cut_text(text, limit))
}

/// Cuts a value that takes more than `limit` bytes where the API server stores it as JSON, as [`cut`] cuts JSON text. Where a
/// limit is so small that not even that fits, nothing but the marker of the outermost object stays, whose 50 bytes are not
/// counted.
pub fn cut_value(value: Value, limit: usize) -> Value {
    let whole = stored_size(&value);
    if whole <= limit {
        return value;
    }
    let written = cut_to_fit(&Json::from(value), whole, limit, Place::Value);
    let read = written.and_then(|text| serde_json::from_str(&text).ok());
    read.unwrap_or_else(|| json!({ "…": format!("(cut: {whole} bytes in all)") }))
}

/// The bytes that a value takes in the JSON in which the API server stores it.
pub fn stored_size(value: &Value) -> usize {
    let text = |text: &str| 2 + text.chars().map(stored).sum::<usize>();
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number_size(number),
        Value::String(value) => text(value),
        Value::Array(items) => 2 + items.len().saturating_sub(1) + items.iter().map(stored_size).sum::<usize>(),
        Value::Object(entries) => {
            let sizes = entries.iter().map(|(key, value)| text(key) + 1 + stored_size(value));
            2 + entries.len().saturating_sub(1) + sizes.sum::<usize>()
        }
    }
}

/// The bytes of a number as it is sent or as Go writes it, whichever are more: Go writes those from a millionth up to 10²¹
/// without an exponent.
fn number_size(number: &Number) -> usize {
    let sent = number.to_string().len();
    match number.as_f64() {
        Some(value) if number.is_f64() && (1e-6..1e21).contains(&value.abs()) => sent.max(value.to_string().len()),
        _ => sent,
    }
}

/// The bytes that a character takes in the JSON in which the API server stores a text.
fn stored(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        // Go writes these as \u and four digits.
        '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => 6,
        other => other.len_utf8(),
    }
}

/// The bytes that a character of a text within JSON takes there.
fn stored_within_json(char: char) -> usize {
    match char {
        '"' | '\\' => 4,
        '\n' | '\r' | '\t' | '\x08' | '\x0c' => 3,
        '<' | '>' | '&' => 6,
        ' '..='~' => 1,
        other => 7 * other.len_utf16(),
    }
}

fn cut_text(mut text: String, limit: usize) -> String {
    let mut room = limit;
    let end = text.char_indices().find_map(|(at, char)| match room.checked_sub(stored(char)) {
        Some(rest) => {
            room = rest;
            None
        }
        None => Some(at),
    });
    let Some(end) = end else { return text };
    let was_cut =
        text.get(end..).and_then(|rest| rest.strip_prefix("… (cut: ")?.strip_suffix(" bytes in all)")?.parse().ok());
    if was_cut.is_none_or(|length: usize| text[end..] != marker(length, "bytes")) {
        let length = text.len();
        text.truncate(end);
        text.shrink_to_fit();
        text.push_str(&marker(length, "bytes"));
    }
    text
}

fn marker(count: usize, of: &str) -> String {
    format!("… (cut: {count} {of} in all)")
}

/// JSON text of what is left of a value; None if `text` is not JSON.
fn cut_json(text: &str, limit: usize) -> Option<String> {
    cut_to_fit(&json::loads(text).ok()?, text.len(), limit, Place::Text)
}

/// JSON text of what is left of a value that has `whole` bytes; None if nothing of it fits.
fn cut_to_fit(value: &Json, whole: usize, limit: usize, place: Place) -> Option<String> {
    let cut_to =
        |length, items| Cut { place, length, items, whole, limit, stored: 0, out: String::new() }.written(value);
    let by_length = most(SHORTEST, limit, |length| cut_to(length, usize::MAX));
    by_length.or_else(|| most(1, MOST_ITEMS, |items| cut_to(SHORTEST, items)))
}

/// What `made` gives for the greatest number of the range for which it gives something, or for one that is hardly less.
fn most<T>(least: usize, greatest: usize, made: impl Fn(usize) -> Option<T>) -> Option<T> {
    let (mut low, mut high) = (least, greatest);
    let mut best = made(low)?;
    while high - low > low / 32 {
        let middle = low + (high - low).div_ceil(2);
        match made(middle) {
            Some(better) => (low, best) = (middle, better),
            None => high = middle - 1,
        }
    }
    Some(best)
}

/// What the JSON text stands in, which says how many bytes it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a text of the object that is stored.
    Text,
    /// In the object itself, as a value.
    Value,
}

impl Place {
    /// The bytes that a character of a text within the JSON takes.
    fn size_within(self, char: char) -> usize {
        match self {
            Self::Text => stored_within_json(char),
            Self::Value => stored(char),
        }
    }
}

/// Writes a value that is cut, until there is no more room.
struct Cut {
    place: Place,
    /// Bound on texts, in bytes as they are stored.
    length: usize,
    /// Bound on the items of lists and objects.
    items: usize,
    /// The length of the whole text, in bytes.
    whole: usize,
    /// Bound on what is written, in bytes as they are stored.
    limit: usize,
    stored: usize,
    out: String,
}

impl Cut {
    /// None if it does not fit.
    fn written(mut self, value: &Json) -> Option<String> {
        self.value(value, 0)?;
        Some(self.out)
    }

    /// Takes the room of so many bytes.
    fn count(&mut self, bytes: usize) -> Option<()> {
        self.stored += bytes;
        (self.stored <= self.limit).then_some(())
    }

    fn push(&mut self, text: &str) -> Option<()> {
        self.out.push_str(text);
        self.count(text.chars().map(stored).sum())
    }

    fn scalar(&mut self, value: &Json) -> Option<()> {
        let text = json::dumps(value);
        self.push(&text)?;
        match (self.place, text.parse()) {
            (Place::Value, Ok(number)) => self.count(number_size(&number).saturating_sub(text.len())),
            _ => Some(()),
        }
    }

    fn value(&mut self, value: &Json, depth: usize) -> Option<()> {
        match value {
            Json::Str(text) => self.text(text),
            Json::Array(items) if self.is_too_deep(depth) => self.text(&marker(items.len(), "items")),
            Json::Object(object) if self.is_too_deep(depth) => self.text(&marker(object.len(), "keys")),
            Json::Array(items) => {
                self.push("[")?;
                let kept = self.kept(items.len(), depth);
                for (index, item) in items[..kept].iter().enumerate() {
                    self.separated(index)?;
                    self.value(item, depth + 1)?;
                }
                if kept < items.len() {
                    self.separated(kept)?;
                    self.text(&marker(items.len(), "items"))?;
                }
                self.push("]")
            }
            Json::Object(object) => {
                self.push("{")?;
                let kept = self.kept(object.len(), depth);
                for (index, (key, value)) in object.iter().take(kept).enumerate() {
                    self.separated(index)?;
                    self.text(key)?;
                    self.push(": ")?;
                    self.value(value, depth + 1)?;
                }
                let said = if depth == 0 { (self.whole, "bytes") } else { (object.len(), "keys") };
                if depth == 0 || kept < object.len() {
                    self.separated(kept)?;
                    self.text("…")?;
                    self.push(": ")?;
                    self.text(&format!("(cut: {} {} in all)", said.0, said.1))?;
                }
                self.push("}")
            }
            scalar => self.scalar(scalar),
        }
    }

    fn separated(&mut self, index: usize) -> Option<()> {
        if index == 0 { Some(()) } else { self.push(", ") }
    }

    fn is_too_deep(&self, depth: usize) -> bool {
        self.items != usize::MAX && depth > DEEPEST
    }

    /// How many of so many items are kept.
    fn kept(&self, count: usize, depth: usize) -> usize {
        count.min(if depth == 0 { self.items.max(OUTERMOST) } else { self.items })
    }

    fn text(&mut self, text: &str) -> Option<()> {
        let start = self.out.len();
        let shown = self.shown(text);
        self.out.push('"');
        json::write_escaped(&mut self.out, &shown, self.place == Place::Text);
        self.out.push('"');
        match self.place {
            Place::Text => self.count(self.out[start..].chars().map(stored).sum()),
            Place::Value => self.count(2 + shown.chars().map(stored).sum::<usize>()),
        }
    }

    /// As much of a text as may stand there.
    fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut size = 0;
        let mut end = None;
        for (at, char) in text.char_indices() {
            size += self.place.size_within(char);
            if size > self.length && end.is_none() {
                end = Some(at);
            }
            if size > self.length + SLACK {
                return format!("{}{}", &text[..end.unwrap_or(at)], marker(text.len(), "bytes")).into();
            }
        }
        text.into()
    }
}

#[cfg(test)]
mod tests;
