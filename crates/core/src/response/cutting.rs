//! Texts of a record that are too long for the API server. A text in, one that fits out; what is JSON stays JSON.
//!
//! Of JSON, the largest values are cut: texts (and keys) first, all to the same length; only if that is not enough, lists and
//! objects too, all to the same number of items, and what is nested deepest.

use std::borrow::Cow;

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
    let value = json::loads(text).ok()?;
    let whole = text.len();
    let cut_to = |length, items| Cut { length, items, whole, limit, stored: 0, out: String::new() }.written(&value);
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

/// Writes a value that is cut, until there is no more room.
struct Cut {
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

    /// Takes the room of what was written from `start` on.
    fn count(&mut self, start: usize) -> Option<()> {
        self.stored += self.out[start..].chars().map(stored).sum::<usize>();
        (self.stored <= self.limit).then_some(())
    }

    fn push(&mut self, text: &str) -> Option<()> {
        let start = self.out.len();
        self.out.push_str(text);
        self.count(start)
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
            scalar => self.push(&json::dumps(scalar)),
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
        json::write_escaped(&mut self.out, &shown, true);
        self.out.push('"');
        self.count(start)
    }

    /// As much of a text as may stand there.
    fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut size = 0;
        let mut end = None;
        for (at, char) in text.char_indices() {
            size += stored_within_json(char);
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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LIMIT: usize = 2000;

    fn stored_size(text: &str) -> usize {
        text.chars().map(stored).sum()
    }

    /// The value that is left of a JSON value; and what holds for each, whatever it is.
    fn left_of(value: &Value) -> Value {
        let text = json::dumps(&Json::from(value.clone()));
        let once = cut(text.clone(), LIMIT);
        assert!(stored_size(&once) <= LIMIT, "{} bytes: {once}", stored_size(&once));
        assert_eq!(cut(once.clone(), LIMIT), once, "cut again");
        assert_eq!(once == text, stored_size(&text) <= LIMIT, "cut where that is needed, and nowhere else");
        serde_json::from_str(&once).unwrap()
    }

    #[test]
    fn the_longest_texts_of_json_are_cut_and_all_else_is_as_it_was() {
        let long = "x".repeat(5000);
        let value = json!({
            "event": {"type": "resolve"}, "n": [1, 2.5, null, true], "log": long, "other": {"deep": [{"log": long}]},
            "text": "short",
        });
        let left = left_of(&value);
        let kept = left["log"].as_str().unwrap().strip_suffix("… (cut: 5000 bytes in all)").unwrap();
        assert!(kept.len() > 800 && long.starts_with(kept), "{}", kept.len());
        let mut expected = value.clone();
        expected["log"] = left["log"].clone();
        expected["other"]["deep"][0]["log"] = left["log"].clone();
        expected["…"] = format!("(cut: {} bytes in all)", json::dumps(&Json::from(value)).len()).into();
        assert_eq!(left.to_string(), expected.to_string());
    }

    #[test]
    fn characters_are_counted_as_they_are_stored_and_stay_whole() {
        for char in ["<", "\"", "\\", "é", "😀", "\u{2028}", "\n", "\u{1}", "\u{7f}"] {
            let left = left_of(&json!({"id": 7, "log": char.repeat(1000)}));
            let log = left["log"].as_str().unwrap();
            let kept = log.strip_suffix(&format!("… (cut: {} bytes in all)", 1000 * char.len())).unwrap();
            assert!(kept.len() > 50 && kept.replace(char, "").is_empty(), "{char}: {log}");
            assert_eq!(left["id"], 7);
        }
    }

    #[test]
    fn items_are_left_out_where_shorter_texts_are_not_enough() {
        let numbers: Vec<u32> = (0..5000).collect();
        let labels: serde_json::Map<_, _> = (0..500).map(|n| (format!("label-{n}"), json!("x".repeat(200)))).collect();
        let value =
            json!({"event": {"type": "resolve"}, "numbers": numbers, "labels": labels, "webhook": {"id": "WH1"}});
        let left = left_of(&value);
        let (items, keys) = (left["numbers"].as_array().unwrap(), left["labels"].as_object().unwrap());
        assert!(items.len() > 5 && items.len() == keys.len(), "{} items, {} keys", items.len(), keys.len());
        assert_eq!(items[..items.len() - 1], value["numbers"].as_array().unwrap()[..items.len() - 1]);
        assert_eq!(items.last(), Some(&json!("… (cut: 5000 items in all)")));
        assert_eq!(keys.iter().next_back(), Some((&"…".to_owned(), &json!("(cut: 500 keys in all)"))));
        assert!(keys["label-0"].as_str().unwrap().ends_with("xxx… (cut: 200 bytes in all)"), "{}", keys["label-0"]);
        // What is outermost stays.
        assert_eq!((&left["event"], &left["webhook"]), (&value["event"], &value["webhook"]));
        assert_eq!(left.as_object().unwrap().keys().next_back().unwrap(), "…");
    }

    #[test]
    fn json_of_any_form_is_json_afterwards() {
        let nested = |depth: usize, value: Value| (0..depth).fold(value, |value, _| json!([value]));
        let bushy = (0..90).fold(json!(1), |value, _| json!({"a": value, "b": "x".repeat(40)}));
        let wide = |depth: usize| (0..depth).fold(json!("y"), |value, _| json!([value, value, value]));
        let values = [
            json!("x".repeat(5000)),
            json!(vec!["x".repeat(50); 400]),
            json!(vec![vec![1; 300]; 300]),
            json!({"x".repeat(5000): {"y".repeat(5000): 1}}),
            json!((0..3000).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>()),
            nested(100, json!("x".repeat(5000))),
            nested(100, json!(vec![1; 5000])),
            bushy,
            wide(9),
            json!({"a": wide(8), "b": vec![0.5; 1000], "c": "é".repeat(3000)}),
        ];
        for value in values {
            let _ = left_of(&value);
        }
    }

    #[test]
    fn at_the_limit_of_a_status_nothing_is_too_deep_or_too_wide() {
        let key = |n: usize| format!("{n}{}", "<".repeat(300));
        let branch = (0..60)
            .fold(json!("x".repeat(500)), |value, _| json!({key(1): value, key(2): [1], key(3): "y".repeat(500)}));
        let value = json!((0..20).map(|n| (key(n), branch.clone())).collect::<serde_json::Map<_, _>>());
        let left = cut(value.to_string(), 200_000);
        assert!(stored_size(&left) <= 200_000, "{} bytes", stored_size(&left));
        assert!(serde_json::from_str::<Value>(&left).is_ok_and(|left| left.as_object().unwrap().len() > OUTERMOST));
    }

    #[test]
    fn a_text_that_is_no_json_is_cut_at_its_end() {
        assert_eq!(cut("short".to_owned(), LIMIT), "short");
        let long = "é".repeat(LIMIT);
        assert_eq!(cut(long.clone(), LIMIT), format!("{}… (cut: 4000 bytes in all)", &long[..LIMIT]));
        // As the API server stores them, they take six bytes each.
        let escaped = "<".repeat(LIMIT);
        assert_eq!(cut(escaped.clone(), LIMIT), format!("{}… (cut: 2000 bytes in all)", &escaped[..LIMIT / 6]));
        assert_eq!(cut(escaped[..LIMIT / 6].to_owned(), LIMIT), escaped[..LIMIT / 6]);
        for long in [long, escaped, format!("{{\"half\": \"{}", "x".repeat(LIMIT))] {
            let once = cut(long, LIMIT);
            assert_eq!(cut(once.clone(), LIMIT), once);
        }
    }
}
