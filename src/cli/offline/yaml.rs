//! Bytes in, documents whose nodes know their lines out. Plain values mean what they mean to `kubectl`, which reads YAML 1.1.
//!
//! ```text
//! bytes ─► pieces between lines of `---` ─┬─► json ─────────────────────┬─► tree ─► nodes
//!                                         └─► parser's events ─► scalar ┘
//! ```
//! A piece that can't be read does not keep the others from being read.

mod json;
mod node;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;

use granit_parser::Parser;

pub(super) use self::node::{Data, Document, MappingEntry, Node, SyntaxError};
use self::tree::{AliasUse, TreeBuilder};
use crate::core::json::loads;

/// Reads every document that can be read, and why the others can't be. `strict` asks for JSON.
pub(super) fn documents(bytes: &[u8], strict: bool) -> Vec<Result<Document, SyntaxError>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let chunks = if strict { vec![(1, bytes)] } else { chunks(bytes) };
    let mut aliases = AliasUse::default();
    chunks.into_iter().flat_map(|(line, chunk)| read(chunk, line, strict, &mut aliases)).collect()
}

/// Splits a file at its lines of `---` into pieces, each with the number of its first line.
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

/// Reads the documents of one piece.
fn read(bytes: &[u8], first_line: usize, strict: bool, aliases: &mut AliasUse) -> Vec<Result<Document, SyntaxError>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = first_line + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            return vec![Err(SyntaxError { line, message: "not UTF-8 text: save the file as UTF-8".to_owned() })];
        }
    };
    let mut not_json = None;
    let marked = text.strip_prefix("---").filter(|rest| !strict && rest.starts_with(char::is_whitespace));
    let unmarked = marked.unwrap_or(text);
    if strict || unmarked.trim_start().starts_with(['{', '[']) {
        let text = json::without_halves(unmarked);
        match loads(&text) {
            // The parser of YAML refuses some of it, such as long keys.
            Ok(_) => return json::document(&text, first_line),
            Err(message) => {
                // The message has the line and column too, counted from the beginning of the piece.
                let (what, place) = message.rsplit_once(" at line ").unwrap_or((&message, "1 "));
                let at = place.split(' ').next().and_then(|at| at.parse::<usize>().ok());
                let line = first_line - 1 + at.unwrap_or(1);
                if strict {
                    return vec![Err(SyntaxError { line, message: format!("not JSON: {message}") })];
                }
                not_json = Some(format!(", nor JSON: {what} in line {line}"));
            }
        }
    }
    let mut builder = TreeBuilder::new(std::mem::take(aliases));
    let mut parser = Parser::new_from_str_with_options(text, granit_parser::options! { emit_comments: false });
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if let Err(error) = builder.take(event, span.start.line() + first_line - 1) {
                    builder.done.push(Err(error));
                    break;
                }
            }
            Some(Err(error)) => {
                let line = error.marker().line() + first_line - 1;
                let message = format!("not YAML: {}{}", error.info(), not_json.unwrap_or_default());
                builder.done.push(Err(SyntaxError { line, message }));
                break;
            }
        }
    }
    *aliases = builder.aliases;
    builder.done
}
