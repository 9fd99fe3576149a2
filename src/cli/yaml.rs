//! Bytes in, documents whose nodes know their lines out. Plain values mean what they mean to `kubectl`, which reads
//! YAML 1.1: `yes` is true and `0x10` is 16.

use std::{borrow::Cow, collections::HashMap, rc::Rc, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use indexmap::{IndexMap, map::Entry as Slot};
use jiter::{Jiter, JiterError, NumberAny, NumberInt, Peek};
use num_bigint::BigInt;
use num_traits::Num;
use serde_json::{Map, Number, Value};

use crate::core::json::{self, Json};

/// Bound on nesting; as deep as JSON may be.
const DEPTH: usize = 200;
/// Bound on values, those that aliases repeat counted each time.
const NODES: usize = 1_000_000;
/// Bound on the text that the aliases of a file repeat: each time that one is named, all that it stands for.
const REPEATED: usize = 64 << 20;

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) data: Data,
    /// Values in it, itself included.
    size: usize,
    /// Bytes of the texts in it, keys included.
    bytes: usize,
    depth: usize,
}

#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits.
    Big(BigInt),
    Float(f64),
    Text {
        text: Arc<str>,
        /// The line of the file that its first line stands on, where the others follow one by one.
        starts: Option<usize>,
    },
    List(Vec<Rc<Node>>),
    Map(IndexMap<Arc<str>, Entry>),
}

/// A value under a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key's line.
    pub(super) line: usize,
    pub(super) node: Rc<Node>,
}

/// A place and what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) message: String,
}

/// One document: its value, unless it is empty, and keys that stand in it twice.
pub(super) struct Document {
    pub(super) root: Rc<Node>,
    pub(super) repeated: Vec<Problem>,
}

impl Node {
    fn leaf(line: usize, data: Data) -> Self {
        let bytes = match &data {
            Data::Text { text, .. } => text.len(),
            _ => 0,
        };
        Self { line, data, size: 1, bytes, depth: 1 }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The value at a path of keys, if it is there and not null.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Node> {
        let found = path.iter().try_fold(self, |node, key| node.get(key).map(|entry| &*entry.node))?;
        (!matches!(found.data, Data::Null)).then_some(found)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(super) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text()
    }

    /// What people call it.
    pub(super) fn what(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "true or false",
            Data::Int(_) | Data::Big(_) | Data::Float(_) => "a number",
            Data::Text { .. } => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "an object",
        }
    }

    /// The value as the API server keeps it. What JSON can't say becomes null.
    pub(super) fn value(&self) -> Value {
        match &self.data {
            Data::Null | Data::Big(_) => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Int(value) => Value::from(*value),
            // To Go, 1.0 is 1.
            #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
            Data::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => Value::from(*value as i64),
            Data::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Data::Text { text, .. } => Value::from(&**text),
            Data::List(items) => Value::Array(items.iter().map(|item| item.value()).collect()),
            Data::Map(entries) => Value::Object(
                entries.iter().map(|(key, entry)| (key.to_string(), entry.node.value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value as templates see it.
    pub(super) fn json(&self) -> Json {
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(value) => Json::Bool(*value),
            Data::Int(value) => Json::Int(*value),
            Data::Big(value) => Json::Big(Arc::new(value.clone())),
            Data::Float(value) => Json::Float(*value),
            Data::Text { text, .. } => Json::Str(Arc::clone(text)),
            Data::List(items) => Json::Array(items.iter().map(|item| item.json()).collect()),
            Data::Map(entries) => Json::object(entries.iter().map(|(key, entry)| (Arc::clone(key), entry.node.json()))),
        }
    }
}

/// Reads every document that can be read. `strict` asks for JSON.
pub(super) fn documents(bytes: &[u8], strict: bool) -> Vec<Result<Document, Problem>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let chunks = if strict { vec![(1, bytes)] } else { chunks(bytes) };
    let mut repeats = Repeats::default();
    chunks.into_iter().flat_map(|(line, chunk)| read(chunk, line, strict, &mut repeats)).collect()
}

/// The pieces between lines of `---`, each with the number of its first line.
fn chunks(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at, mut has_content) = (0, 1, 0, false);
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let marker = line.strip_prefix(b"---").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace));
        if marker && has_content {
            chunks.push((start_line, &bytes[start..at]));
            (start, start_line) = (at, index + 1);
        }
        // Before the first marker, comments and directives belong to what follows.
        has_content |= marker || !matches!(line.trim_ascii().first(), None | Some(b'#' | b'%'));
        at += line.len();
    }
    chunks.push((start_line, &bytes[start..]));
    chunks
}

fn read(bytes: &[u8], first_line: usize, strict: bool, repeats: &mut Repeats) -> Vec<Result<Document, Problem>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = first_line + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            return vec![Err(Problem { line, message: "not UTF-8 text: save the file as UTF-8".to_owned() })];
        }
    };
    let mut not_json = None;
    let marked = text.strip_prefix("---").filter(|rest| !strict && rest.starts_with(char::is_whitespace));
    let unmarked = marked.unwrap_or(text);
    if strict || unmarked.trim_start().starts_with(['{', '[']) {
        let text = without_halves(unmarked);
        match json::loads(&text) {
            // The parser of YAML refuses some of it, such as long keys.
            Ok(_) => return of_json(&text, first_line),
            Err(message) => {
                // The place is in the message too.
                let (what, place) = message.rsplit_once(" at line ").unwrap_or((&message, "1 "));
                let at = place.split(' ').next().and_then(|at| at.parse::<usize>().ok());
                let line = first_line - 1 + at.unwrap_or(1);
                if strict {
                    return vec![Err(Problem { line, message: format!("not JSON: {message}") })];
                }
                not_json = Some(format!(", nor JSON: {what} in line {line}"));
            }
        }
    }
    let mut builder = Builder { repeats: std::mem::take(repeats), ..Builder::default() };
    let mut parser = Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false });
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if let Err(problem) = builder.take(event, span.start.line() + first_line - 1) {
                    builder.done.push(Err(problem));
                    break;
                }
            }
            Some(Err(error)) => {
                let line = error.marker().line() + first_line - 1;
                let message = format!("not YAML: {}{}", error.info(), not_json.unwrap_or_default());
                builder.done.push(Err(Problem { line, message }));
                break;
            }
        }
    }
    *repeats = builder.repeats;
    builder.done
}

/// The tree of a text that is JSON.
fn of_json(text: &str, first_line: usize) -> Vec<Result<Document, Problem>> {
    let bytes = text.as_bytes();
    let jiter = Jiter::new(bytes).with_allow_inf_nan();
    let mut reader = JsonReader { bytes, jiter, counted: 0, line: first_line, builder: Builder::default() };
    if let Err(problem) = reader.root() {
        reader.builder.done.push(Err(problem));
    }
    reader.builder.done
}

struct JsonReader<'a> {
    bytes: &'a [u8],
    jiter: Jiter<'a>,
    /// Bytes whose line breaks are in `line`.
    counted: usize,
    line: usize,
    builder: Builder,
}

impl JsonReader<'_> {
    fn root(&mut self) -> Result<(), Problem> {
        let peek = self.jiter.peek();
        let peek = self.known(peek)?;
        self.value(peek)
    }

    fn value(&mut self, peek: Peek) -> Result<(), Problem> {
        let line = self.line_at(self.jiter.current_index());
        let data = match peek {
            Peek::Array => return self.list(line),
            Peek::Object => return self.map(line),
            Peek::Null => {
                let read = self.jiter.known_null();
                self.known(read)?;
                Data::Null
            }
            Peek::True | Peek::False => {
                let read = self.jiter.known_bool(peek);
                Data::Bool(self.known(read)?)
            }
            Peek::String => {
                let read = self.jiter.known_str().map(Arc::from);
                Data::Text { text: self.known(read)?, starts: None }
            }
            _ => {
                let read = self.jiter.known_number(peek);
                match self.known(read)? {
                    NumberAny::Int(NumberInt::Int(value)) => Data::Int(value),
                    NumberAny::Int(NumberInt::BigInt(value)) => Data::Big(value),
                    NumberAny::Float(value) => Data::Float(value),
                }
            }
        };
        self.builder.close(Node::leaf(line, data), 0, false)
    }

    fn list(&mut self, line: usize) -> Result<(), Problem> {
        self.builder.open(line, 0, Content::List(Vec::new()))?;
        let mut next = self.jiter.known_array();
        while let Some(peek) = self.known(next)? {
            self.value(peek)?;
            next = self.jiter.array_step();
        }
        self.builder.end()
    }

    fn map(&mut self, line: usize) -> Result<(), Problem> {
        self.builder.open(line, 0, Content::map())?;
        let mut line = self.line_of_key(self.jiter.current_index() + 1);
        let mut next = self.jiter.known_object().map(|key| key.map(Arc::from));
        while let Some(text) = self.known(next)? {
            self.builder.close(Node::leaf(line, Data::Text { text, starts: None }), 0, false)?;
            let peek = self.jiter.peek();
            let peek = self.known(peek)?;
            self.value(peek)?;
            line = self.line_of_key(self.jiter.current_index());
            next = self.jiter.next_key().map(|key| key.map(Arc::from));
        }
        self.builder.end()
    }

    /// The line of the key that comes after `index`.
    fn line_of_key(&mut self, index: usize) -> usize {
        let before = self.bytes[index..].iter().take_while(|b| b.is_ascii_whitespace() || **b == b',').count();
        self.line_at(index + before)
    }

    fn line_at(&mut self, index: usize) -> usize {
        self.line += self.bytes[self.counted..index].iter().filter(|b| **b == b'\n').count();
        self.counted = index;
        self.line
    }

    fn known<T>(&self, read: Result<T, JiterError>) -> Result<T, Problem> {
        read.map_err(|error| Problem { line: self.line, message: format!("not JSON: {}", error.error_type) })
    }
}

/// `text` with U+FFFD for halves of surrogate pairs, which is what the API server makes of them. No line or column
/// changes.
fn without_halves(text: &str) -> Cow<'_, str> {
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let (length, is_half) = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(unit), _) => (6, matches!(unit, 0xd800..=0xdfff)),
            (None, _) => (1 + escape[1..].chars().next().map_or(0, char::len_utf8), false),
        };
        let end = if is_half { at } else { at + length };
        out.push_str(&rest[..end]);
        if is_half {
            out.push_str("\\ufffd");
        }
        rest = &rest[at + length..];
    }
    if out.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(out + rest) }
}

/// What aliases of a file repeat, counted each time.
#[derive(Default)]
struct Repeats {
    values: usize,
    bytes: usize,
}

#[derive(Default)]
struct Builder {
    repeats: Repeats,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    repeated: Vec<Problem>,
    done: Vec<Result<Document, Problem>>,
}

/// A list or a mapping that has not ended.
struct Open {
    line: usize,
    anchor: usize,
    size: usize,
    bytes: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map { entries: IndexMap<Arc<str>, Entry>, key: Option<(Key, usize)>, merged: Vec<Rc<Node>> },
}

impl Content {
    fn map() -> Self {
        Self::Map { entries: IndexMap::new(), key: None, merged: Vec::new() }
    }
}

enum Key {
    Text(Arc<str>),
    /// `<<`
    Merge,
}

impl Builder {
    fn take(&mut self, event: Event, line: usize) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                // The line is that of the first text; blank lines before it are text too.
                let blank = text.len() - text.trim_start_matches('\n').len();
                let starts = (style == ScalarStyle::Literal).then(|| line.saturating_sub(blank));
                let data = scalar(&text, style, tag.as_deref(), starts, line)?;
                self.close(Node::leaf(line, data), anchor, is_merge)
            }
            Event::SequenceStart(_, anchor, _) => self.open(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(line, anchor, Content::map()),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    return Err(Problem { line, message: "the alias stands inside what it repeats".to_owned() });
                };
                self.repeats.values += node.size;
                self.repeats.bytes += node.bytes;
                if self.repeats.values > NODES {
                    return Err(too_many(line));
                }
                if self.repeats.bytes > REPEATED {
                    let message = format!("the aliases repeat more than {} MiB of text", REPEATED >> 20);
                    return Err(Problem { line, message });
                }
                self.put(node, false)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), Problem> {
        if self.open.len() >= DEPTH {
            return Err(too_deep(line));
        }
        self.open.push(Open { line, anchor, size: 1, bytes: 0, depth: 1, content });
        Ok(())
    }

    /// Ends what was opened last.
    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { line, anchor, size, bytes, depth, content }) = self.open.pop() else { return Ok(()) };
        let data = match content {
            Content::List(items) => Data::List(items),
            Content::Map { entries, merged, .. } => Data::Map(merge(entries, &merged, line)?),
        };
        self.close(Node { line, data, size, bytes, depth }, anchor, false)
    }

    fn close(&mut self, node: Node, anchor: usize, is_merge: bool) -> Result<(), Problem> {
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node, is_merge)
    }

    fn put(&mut self, node: Rc<Node>, is_merge: bool) -> Result<(), Problem> {
        let open_now = self.open.len();
        let Some(open) = self.open.last_mut() else {
            // The whole document.
            let repeated = std::mem::take(&mut self.repeated);
            if !matches!(node.data, Data::Null) {
                self.done.push(Ok(Document { root: node, repeated }));
            }
            return Ok(());
        };
        open.size += node.size;
        open.bytes += node.bytes;
        open.depth = open.depth.max(node.depth + 1);
        if open.size > NODES {
            return Err(too_many(node.line));
        }
        if open_now + node.depth > DEPTH {
            return Err(too_deep(node.line));
        }
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, merged } => match key.take() {
                None => *key = Some((if is_merge { Key::Merge } else { Key::Text(key_text(&node)?) }, node.line)),
                Some((Key::Merge, _)) => merged.push(node),
                Some((Key::Text(text), line)) => match entries.entry(text) {
                    Slot::Vacant(slot) => {
                        slot.insert(Entry { line, node });
                    }
                    Slot::Occupied(slot) => {
                        let message = format!("the key {:?} is there already, in line {}", slot.key(), slot.get().line);
                        self.repeated.push(Problem { line, message });
                    }
                },
            },
        }
        Ok(())
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    starts: Option<usize>,
    line: usize,
) -> Result<Data, Problem> {
    let is_plain = style == ScalarStyle::Plain;
    match tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:")).as_deref() {
        Some("str") => return Ok(Data::Text { text: Arc::from(text), starts }),
        // As kubectl reads it: the text that is encoded.
        Some("binary") => {
            let encoded: String = text.split_whitespace().collect();
            let bytes = BASE64_STANDARD
                .decode(encoded)
                .map_err(|_| Problem { line, message: "the value is no !!binary".to_owned() })?;
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
                _ => Err(Problem { line, message: format!("the value is no !!{tag}") }),
            };
        }
        _ => {}
    }
    Ok(if is_plain { plain(text) } else { Data::Text { text: Arc::from(text), starts } })
}

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

fn too_many(line: usize) -> Problem {
    Problem { line, message: format!("more than {NODES} values, aliases counted") }
}

fn too_deep(line: usize) -> Problem {
    Problem { line, message: format!("nested deeper than {DEPTH} levels") }
}

fn key_text(node: &Node) -> Result<Arc<str>, Problem> {
    match &node.data {
        Data::Text { text, .. } => Ok(Arc::clone(text)),
        Data::Bool(value) => Ok(Arc::from(value.to_string())),
        Data::Int(value) => Ok(Arc::from(value.to_string())),
        Data::Big(value) => Ok(Arc::from(value.to_string())),
        Data::Float(value) => Ok(Arc::from(json::float(*value))),
        Data::Null | Data::List(_) | Data::Map(_) => {
            Err(Problem { line: node.line, message: format!("a key must be text, not {}", node.what()) })
        }
    }
}

/// What `<<` gives: keys that the mapping does not have itself, of the first source that has them.
fn merge(
    mut entries: IndexMap<Arc<str>, Entry>,
    merged: &[Rc<Node>],
    line: usize,
) -> Result<IndexMap<Arc<str>, Entry>, Problem> {
    for source in merged {
        let sources = match &source.data {
            Data::List(sources) => sources.as_slice(),
            _ => std::slice::from_ref(source),
        };
        for source in sources {
            let Data::Map(source) = &source.data else {
                return Err(Problem { line, message: format!("<< takes a mapping, not {}", source.what()) });
            };
            for (key, entry) in source {
                entries.entry(Arc::clone(key)).or_insert_with(|| entry.clone());
            }
        }
    }
    Ok(entries)
}

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
        // Long ones take long to read, and no field takes them.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(text: &str) -> Vec<Result<String, String>> {
        let shown = |document: Result<Document, Problem>| match document {
            Ok(document) => Ok(json::dumps(&document.root.json())),
            Err(problem) => Err(format!("{}: {}", problem.line, problem.message)),
        };
        documents(text.as_bytes(), false).into_iter().map(shown).collect()
    }

    #[test]
    fn plain_values_are_what_kubectl_makes_of_them() {
        let cases = [
            (
                "[yes, Off, n, ~, Null, 'yes', !!str no, nUll]",
                r#"[true, false, false, null, null, "yes", "no", "nUll"]"#,
            ),
            ("[1, -2, +3, 0x1F, 0o17, 017, 0b11, 1_000, 08]", "[1, -2, 3, 31, 15, 15, 3, 1000, 8.0]"),
            ("[1.5, .5, 1., 1e3, 1e999, -1.5e-3]", r#"[1.5, 0.5, 1.0, 1000.0, "1e999", -0.0015]"#),
            ("[.nan, -.inf, NaN, inf]", r#"[NaN, -Infinity, "NaN", "inf"]"#),
            ("[2026-01-31, 1.2.3, 1-2, '', +, 0x]", r#"["2026-01-31", "1.2.3", "1-2", "", "+", "0x"]"#),
            ("{\"a\": [NaN, 1e999, -Infinity]}", r#"{"a": [NaN, Infinity, -Infinity]}"#),
            ("123456789012345678901", "123456789012345678901"),
            ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", r#"{"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}"#),
            ("{1: a, on: b, 1.5: c}", r#"{"1": "a", "true": "b", "1.5": "c"}"#),
            ("\"\\ud83d\\ude0a\"", r#""\ud83d\ude0a""#),
        ];
        for (text, expected) in cases {
            assert_eq!(json_of(text), [Ok(expected.to_owned())], "{text}");
        }
    }

    #[test]
    fn each_document_stands_for_itself() {
        let text = "%YAML 1.2\n# comment\n---\na: |\n  x\n  --- y\n--- # next\nb: [\n---\n\n---\n{c: 1}\n...\n---\n? [d]\n: 1\n---\n*e\n";
        let found = json_of(text);
        let shown: Vec<&str> =
            found.iter().map(|document| document.as_ref().unwrap_or_else(|problem| problem).as_str()).collect();
        assert_eq!(
            shown,
            [
                r#"{"a": "x\n--- y\n"}"#,
                "8: not YAML: unclosed bracket '['",
                r#"{"c": 1}"#,
                "15: a key must be text, not a list",
                "18: not YAML: while parsing node, found unknown anchor",
            ]
        );
    }

    #[test]
    fn lines_of_block_text_are_those_of_the_file() {
        let line = |text: &str| {
            let document = documents(text.as_bytes(), false).pop().unwrap().unwrap();
            match &document.root.get("a").unwrap().node.data {
                Data::Text { starts, .. } => *starts,
                other => panic!("not text: {other:?}"),
            }
        };
        let cases = [
            ("a: |\n  x\n", Some(2)),
            ("a: |2-\n\n\n  x\n", Some(2)),
            ("# c\n---\na:\n  |\n   x\n", Some(5)),
            ("a: x\n", None),
            ("a: \"x\n  y\"\n", None),
            ("a: >\n  x\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text), expected, "{text}");
        }
    }
}
