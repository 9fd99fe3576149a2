//! Reads text that is JSON into the same tree as YAML. The parser of YAML refuses some of it, such as long keys.

use std::{borrow::Cow, sync::Arc};

use jiter::{Jiter, JiterError, NumberAny, NumberInt, Peek};

use super::{
    node::{Data, Document, Node, SyntaxError},
    tree::{Content, TreeBuilder},
};

/// Reads a text that is known to be JSON.
pub(super) fn document(text: &str, first_line: usize) -> Vec<Result<Document, SyntaxError>> {
    let bytes = text.as_bytes();
    let jiter = Jiter::new(bytes).with_allow_inf_nan();
    let mut reader = JsonReader { bytes, jiter, counted: 0, line: first_line, builder: TreeBuilder::default() };
    if let Err(error) = reader.root() {
        reader.builder.done.push(Err(error));
    }
    reader.builder.done
}

struct JsonReader<'a> {
    bytes: &'a [u8],
    jiter: Jiter<'a>,
    /// How many bytes were searched for line breaks: `line` is the line of the byte after them.
    counted: usize,
    line: usize,
    builder: TreeBuilder,
}

impl JsonReader<'_> {
    fn root(&mut self) -> Result<(), SyntaxError> {
        let peek = self.jiter.peek();
        let peek = self.known(peek)?;
        self.value(peek)
    }

    fn value(&mut self, peek: Peek) -> Result<(), SyntaxError> {
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

    fn list(&mut self, line: usize) -> Result<(), SyntaxError> {
        self.builder.open(line, 0, Content::List(Vec::new()))?;
        let mut next = self.jiter.known_array();
        while let Some(peek) = self.known(next)? {
            self.value(peek)?;
            next = self.jiter.array_step();
        }
        self.builder.end()
    }

    fn map(&mut self, line: usize) -> Result<(), SyntaxError> {
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

    fn known<T>(&self, read: Result<T, JiterError>) -> Result<T, SyntaxError> {
        read.map_err(|error| SyntaxError { line: self.line, message: format!("not JSON: {}", error.error_type) })
    }
}

/// Replaces escaped halves of surrogate pairs by U+FFFD, as the API server does. No line or column changes.
pub(super) fn without_halves(text: &str) -> Cow<'_, str> {
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
