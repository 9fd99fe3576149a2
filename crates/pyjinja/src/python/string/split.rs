//! `str.split`, `splitlines`, `partition` and `join`.

use std::sync::Arc;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, size},
        exception::{PyResult, type_error, value_error},
        markup,
        string::text_argument,
        unicode::{is_line_break, is_space},
        value::{Text, Value},
    },
};

/// `str.partition` and `rpartition`
pub(super) fn partition(receiver: &Text, method: &str, args: Args) -> PyResult {
    let separator = text_argument(args, method, "")?;
    if separator.is_empty() {
        return value_error("empty separator");
    }
    let parts = if method == "partition" {
        receiver.split_once(&*separator).map_or((&**receiver, "", ""), |(head, tail)| (head, &*separator, tail))
    } else {
        receiver.rsplit_once(&*separator).map_or(("", "", &**receiver), |(head, tail)| (head, &*separator, tail))
    };
    let found = !parts.1.is_empty();
    let middle = if found && !receiver.safe { Value::Str(separator.clone()) } else { receiver.like(parts.1) };
    Ok(Value::tuple(vec![receiver.like(parts.0), middle, receiver.like(parts.2)]))
}

/// `str.split` and `rsplit`
pub(super) fn split(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    let mut args = args.keywords(method, &[], &["sep", "maxsplit"], 2)?.into_iter();
    let separator = args.next().flatten().unwrap_or(Value::None);
    let most = args.next().flatten().map_or(Ok(-1), |most| size(&most))?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let backwards = method == "rsplit";
    let mut parts = Vec::new();
    match &separator {
        Value::None => {
            let mut rest = trimmed(receiver, backwards);
            while !rest.is_empty() {
                // The last part keeps the space at its far end.
                let (part, after) = if parts.len() < most { next_word(rest, backwards) } else { (rest, "") };
                push_part(rendering, receiver, &mut parts, part)?;
                rest = trimmed(after, backwards);
            }
        }
        Value::Str(separator) if separator.is_empty() => return value_error("empty separator"),
        Value::Str(separator) if backwards => {
            for part in receiver.rsplitn(most.saturating_add(1), &**separator) {
                push_part(rendering, receiver, &mut parts, part)?;
            }
        }
        Value::Str(separator) => {
            for part in receiver.splitn(most.saturating_add(1), &**separator) {
                push_part(rendering, receiver, &mut parts, part)?;
            }
        }
        other => return type_error(format!("must be str or None, not {}", other.type_name())),
    }
    if backwards {
        parts.reverse();
    }
    Ok(Value::list(parts))
}

fn trimmed(text: &str, backwards: bool) -> &str {
    if backwards { text.trim_end_matches(is_space) } else { text.trim_start_matches(is_space) }
}

/// The first word, or the last if `backwards`, and the rest.
fn next_word(text: &str, backwards: bool) -> (&str, &str) {
    if backwards {
        let (before, word) = text.split_at(text.trim_end_matches(|c| !is_space(c)).len());
        (word, before)
    } else {
        text.split_at(text.find(is_space).unwrap_or(text.len()))
    }
}

fn push_part(rendering: &Rendering, receiver: &Text, parts: &mut Vec<Value>, part: &str) -> PyResult<()> {
    // With the counts of a shared text, and the room that a growing list leaves.
    rendering.allocate(part.len() + 2 * size_of::<usize>() + 2 * size_of::<Value>())?;
    parts.push(receiver.like(part));
    Ok(())
}

/// `str.splitlines`
pub(super) fn split_lines(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let keep = args.keywords("splitlines", &[], &["keepends"], 1)?.into_iter().next().flatten();
    let keep = keep.is_some_and(|keep| keep.truth());
    let mut lines = Vec::new();
    let mut rest: &str = receiver;
    while !rest.is_empty() {
        let end = rest.find(is_line_break).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let broken = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        let kept = if keep { rest.get(..end + broken).unwrap_or(line) } else { line };
        push_part(rendering, receiver, &mut lines, kept)?;
        rest = after.get(broken..).unwrap_or("");
    }
    Ok(Value::list(lines))
}

/// `str.join`
pub(super) fn join(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let items = args.builtin("str.join", 1, 1)?.into_iter().next().unwrap_or(Value::None);
    let is_generator = matches!(&items, Value::Object(object) if object.iterable());
    let items =
        items.iterate(rendering).or_else(|exception| match exception.message.ends_with("object is not iterable") {
            // What a generator meets on its way is another matter.
            true if !(receiver.safe || is_generator) => type_error("can only join an iterable"),
            _ => Err(exception),
        })?;
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let text = match item {
            _ if receiver.safe => markup::escape_value(rendering, item)?,
            Value::Str(text) => Arc::clone(&text.text),
            other => {
                return type_error(format!(
                    "sequence item {index}: expected str instance, {} found",
                    other.type_name()
                ));
            }
        };
        rendering.allocate(text.len() + receiver.len())?;
        if index > 0 {
            out.push_str(receiver);
        }
        out.push_str(&text);
    }
    Ok(receiver.like(out))
}
