//! Builds the trees of documents, within bounds on their depth, their size and what their aliases repeat.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use granit_parser::{Event, ScalarStyle};
use indexmap::{IndexMap, map::Entry as Slot};

use super::{
    node::{Data, Document, MappingEntry, Node, SyntaxError},
    scalar,
};
use crate::core::json;

/// Bound on nesting; as deep as JSON may be.
const MAX_DEPTH: usize = 200;
/// Bound on values, those that aliases repeat counted each time.
const MAX_VALUES: usize = 1_000_000;
/// Bound on the text that the aliases of a file repeat: each time that one is named, all that it stands for.
const MAX_ALIASED_BYTES: usize = 64 << 20;

/// How much the aliases of a file repeat, counted each time that one is named.
#[derive(Default)]
pub(super) struct AliasUse {
    values: usize,
    bytes: usize,
}

/// Builds the trees of documents from the events of a parser.
#[derive(Default)]
pub(super) struct TreeBuilder {
    pub(super) aliases: AliasUse,
    /// The collections around the next value, the innermost last.
    open: Vec<OpenCollection>,
    /// Values that aliases may name, by the number that the parser gave the anchor.
    anchors: HashMap<usize, Rc<Node>>,
    /// Keys of the current document that stand twice in one mapping.
    repeated: Vec<SyntaxError>,
    /// The documents that have ended.
    pub(super) done: Vec<Result<Document, SyntaxError>>,
}

/// A list or a mapping that has not ended.
struct OpenCollection {
    line: usize,
    anchor: usize,
    size: usize,
    bytes: usize,
    depth: usize,
    content: Content,
}

/// The values of a collection so far.
pub(super) enum Content {
    List(Vec<Rc<Node>>),
    Map { entries: IndexMap<Arc<str>, MappingEntry>, key: Option<(MappingKey, usize)>, merged: Vec<Rc<Node>> },
}

impl Content {
    pub(super) fn map() -> Self {
        Self::Map { entries: IndexMap::new(), key: None, merged: Vec::new() }
    }
}

/// The key of a mapping whose value comes next.
pub(super) enum MappingKey {
    Text(Arc<str>),
    /// `<<`
    Merge,
}

impl TreeBuilder {
    /// Begins where the aliases of the file's earlier pieces have been used this much.
    pub(super) fn new(aliases: AliasUse) -> Self {
        Self { aliases, ..Self::default() }
    }

    /// Takes in the parser's next event, which stands on `line`.
    pub(super) fn take(&mut self, event: Event, line: usize) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                // The line is that of the first text; blank lines before it are text too.
                let blank = text.len() - text.trim_start_matches('\n').len();
                let starts = (style == ScalarStyle::Literal).then(|| line.saturating_sub(blank));
                let data = scalar::data(&text, style, tag.as_deref(), starts, line)?;
                self.close(Node::leaf(line, data), anchor, is_merge)
            }
            Event::SequenceStart(_, anchor, _) => self.open(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(line, anchor, Content::map()),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    return Err(SyntaxError { line, message: "the alias stands inside what it repeats".to_owned() });
                };
                self.aliases.values += node.size;
                self.aliases.bytes += node.bytes;
                if self.aliases.values > MAX_VALUES {
                    return Err(too_many(line));
                }
                if self.aliases.bytes > MAX_ALIASED_BYTES {
                    let message = format!("the aliases repeat more than {} MiB of text", MAX_ALIASED_BYTES >> 20);
                    return Err(SyntaxError { line, message });
                }
                self.put(node, false)
            }
            _ => Ok(()),
        }
    }

    /// Begins a list or a mapping. `anchor` is 0 where it has none.
    pub(super) fn open(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(line));
        }
        self.open.push(OpenCollection { line, anchor, size: 1, bytes: 0, depth: 1, content });
        Ok(())
    }

    /// Ends the collection that was begun last.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        let Some(OpenCollection { line, anchor, size, bytes, depth, content }) = self.open.pop() else { return Ok(()) };
        let data = match content {
            Content::List(items) => Data::List(items),
            Content::Map { entries, merged, .. } => Data::Map(merge(entries, &merged, line)?),
        };
        self.close(Node { line, data, size, bytes, depth }, anchor, false)
    }

    /// Adds a complete value. `is_merge` says that it is the key `<<`.
    pub(super) fn close(&mut self, node: Node, anchor: usize, is_merge: bool) -> Result<(), SyntaxError> {
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node, is_merge)
    }

    fn put(&mut self, node: Rc<Node>, is_merge: bool) -> Result<(), SyntaxError> {
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
        if open.size > MAX_VALUES {
            return Err(too_many(node.line));
        }
        if open_now + node.depth > MAX_DEPTH {
            return Err(too_deep(node.line));
        }
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, merged } => match key.take() {
                None => {
                    *key = Some((
                        if is_merge { MappingKey::Merge } else { MappingKey::Text(key_text(&node)?) },
                        node.line,
                    ));
                }
                Some((MappingKey::Merge, _)) => merged.push(node),
                Some((MappingKey::Text(text), line)) => match entries.entry(text) {
                    Slot::Vacant(slot) => {
                        slot.insert(MappingEntry { line, node });
                    }
                    Slot::Occupied(slot) => {
                        let message = format!("the key {:?} is there already, in line {}", slot.key(), slot.get().line);
                        self.repeated.push(SyntaxError { line, message });
                    }
                },
            },
        }
        Ok(())
    }
}

fn too_many(line: usize) -> SyntaxError {
    SyntaxError { line, message: format!("more than {MAX_VALUES} values, aliases counted") }
}

fn too_deep(line: usize) -> SyntaxError {
    SyntaxError { line, message: format!("nested deeper than {MAX_DEPTH} levels") }
}

fn key_text(node: &Node) -> Result<Arc<str>, SyntaxError> {
    match &node.data {
        Data::Text { text, .. } => Ok(Arc::clone(text)),
        Data::Bool(value) => Ok(Arc::from(value.to_string())),
        Data::Int(value) => Ok(Arc::from(value.to_string())),
        Data::Big(value) => Ok(Arc::from(value.to_string())),
        Data::Float(value) => Ok(Arc::from(json::float(*value))),
        Data::Null | Data::List(_) | Data::Map(_) => {
            Err(SyntaxError { line: node.line, message: format!("a key must be text, not {}", node.kind()) })
        }
    }
}

/// Adds the keys of `merged`, the values of `<<`, which the mapping does not have itself. The first source that has a key
/// wins.
fn merge(
    mut entries: IndexMap<Arc<str>, MappingEntry>,
    merged: &[Rc<Node>],
    line: usize,
) -> Result<IndexMap<Arc<str>, MappingEntry>, SyntaxError> {
    for source in merged {
        let sources = match &source.data {
            Data::List(sources) => sources.as_slice(),
            _ => std::slice::from_ref(source),
        };
        for source in sources {
            let Data::Map(source) = &source.data else {
                return Err(SyntaxError { line, message: format!("<< takes a mapping, not {}", source.kind()) });
            };
            for (key, entry) in source {
                entries.entry(Arc::clone(key)).or_insert_with(|| entry.clone());
            }
        }
    }
    Ok(entries)
}
