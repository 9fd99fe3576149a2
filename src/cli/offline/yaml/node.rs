//! Documents as trees of nodes that know the lines they stand on.

use std::{rc::Rc, sync::Arc};

use indexmap::IndexMap;
use num_bigint::BigInt;
use serde_json::{Map, Number, Value};

use crate::core::json::Json;

/// A value of a document, with its place.
#[derive(Debug)]
pub(in crate::cli::offline) struct Node {
    pub(in crate::cli::offline) line: usize,
    pub(in crate::cli::offline) data: Data,
    /// How many values are in it, itself included.
    pub(super) size: usize,
    /// Bytes of the texts in it, keys included.
    pub(super) bytes: usize,
    /// Levels of nesting, itself included.
    pub(super) depth: usize,
}

/// The kinds of values.
#[derive(Debug)]
pub(in crate::cli::offline) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits.
    Big(BigInt),
    Float(f64),
    Text {
        text: Arc<str>,
        /// The line of the file that the first line of the text stands on; None unless its other lines follow one by
        /// one, as in a literal block (`|`).
        starts: Option<usize>,
    },
    List(Vec<Rc<Node>>),
    Map(IndexMap<Arc<str>, MappingEntry>),
}

/// A value under a key of a mapping.
#[derive(Clone, Debug)]
pub(in crate::cli::offline) struct MappingEntry {
    /// The key's line.
    pub(in crate::cli::offline) line: usize,
    pub(in crate::cli::offline) node: Rc<Node>,
}

/// Text that is no YAML or JSON, and the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::offline) struct SyntaxError {
    pub(in crate::cli::offline) line: usize,
    pub(in crate::cli::offline) message: String,
}

/// A document that is not empty.
pub(in crate::cli::offline) struct Document {
    pub(in crate::cli::offline) root: Rc<Node>,
    /// Keys that stand twice in one mapping; the first one counts.
    pub(in crate::cli::offline) repeated: Vec<SyntaxError>,
}

impl Node {
    /// A value with nothing in it.
    pub(super) fn leaf(line: usize, data: Data) -> Self {
        let bytes = match &data {
            Data::Text { text, .. } => text.len(),
            _ => 0,
        };
        Self { line, data, size: 1, bytes, depth: 1 }
    }

    /// The entry of a mapping under `key`.
    pub(in crate::cli::offline) fn get(&self, key: &str) -> Option<&MappingEntry> {
        match &self.data {
            Data::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The value at a path of keys, if it is there and not null.
    pub(in crate::cli::offline) fn at(&self, path: &[&str]) -> Option<&Node> {
        let found = path.iter().try_fold(self, |node, key| node.get(key).map(|entry| &*entry.node))?;
        (!matches!(found.data, Data::Null)).then_some(found)
    }

    /// The value as text, if it is text.
    pub(in crate::cli::offline) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text at a path of keys.
    pub(in crate::cli::offline) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text()
    }

    /// The kind of value, for messages.
    pub(in crate::cli::offline) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "true or false",
            Data::Int(_) | Data::Big(_) | Data::Float(_) => "a number",
            Data::Text { .. } => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "an object",
        }
    }

    /// The value as the API server keeps it. Values that JSON can't express become null.
    pub(in crate::cli::offline) fn value(&self) -> Value {
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
    pub(in crate::cli::offline) fn json(&self) -> Json {
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
