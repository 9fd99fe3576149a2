//! `wordwrap`: Python's `textwrap.wrap`.

use std::sync::LazyLock;

use fancy_regex::{Regex, RegexBuilder};

use super::{flag, given, missing_attribute, textual::lines};
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        exception::{PyResult, other_error, type_error, value_error},
        repr, unicode,
        value::Value,
    },
};

/// Runs of whitespace, words, and the parts of words that a line may end between: `textwrap.TextWrapper.wordsep_re`.
static CHUNKS: LazyLock<Result<Regex, Box<fancy_regex::Error>>> = LazyLock::new(|| {
    RegexBuilder::new(concat!(
        r"[\t\n\x0b\x0c\r ]+",
        r#"|(?<=[\w!"'&.,?])-{2,}(?=\w)"#,
        r"|[^\t\n\x0b\x0c\r ]+?(?:",
        r"-(?:(?<=[^\d\W]{2}-)|(?<=[^\d\W]-[^\d\W]-))(?=[^\d\W]-?[^\d\W])",
        r"|(?=[\t\n\x0b\x0c\r ]|\z)",
        r#"|(?<=[\w!"'&.,?])(?=-{2,}\w))"#,
    ))
    // It goes back once for each character.
    .backtrack_limit(100_000_000)
    .build()
    .map_err(Box::new)
});

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ')
}

pub(super) fn wordwrap(rendering: &Rendering, args: Args) -> PyResult {
    let [value, width, break_long, separator, on_hyphens] = args.take_all(&Signature::new(
        "do_wordwrap",
        1,
        &["s"],
        &["width", "break_long_words", "wrapstring", "break_on_hyphens"],
    ))?;
    let value = given(value);
    let Value::Str(whole) = &value else { return missing_attribute(&value, "splitlines") };
    let width = width.map_or(Ok(79), |width| width.index())?;
    let separator = match separator {
        None | Some(Value::None) => "\n".into(),
        Some(separator @ Value::Str(_)) => repr::string(rendering, &separator)?,
        Some(other) => return type_error(format!("'{}' object has no attribute 'join'", other.operand_name())),
    };
    let (break_long, on_hyphens) = (break_long.is_none_or(|b| b.truth()), on_hyphens.is_none() || flag(on_hyphens));
    let mut wrapped = Vec::new();
    for line in lines(rendering, whole)? {
        rendering.work(line.len())?;
        let Ok(width) = usize::try_from(width) else { return invalid(width) };
        if width == 0 {
            return invalid(0);
        }
        let filled = fill(rendering, chunks(&line, on_hyphens)?, width, break_long, on_hyphens)?;
        rendering.allocate(line.len() + filled.len().saturating_mul(separator.len()))?;
        wrapped.push(filled.join(&*separator));
    }
    Ok(Value::text(wrapped.join(&*separator)))
}

fn invalid(width: i64) -> PyResult {
    value_error(format!("invalid width {width} (must be > 0)"))
}

fn chunks(line: &str, on_hyphens: bool) -> PyResult<Vec<String>> {
    if !on_hyphens {
        let mut chunks: Vec<String> = Vec::new();
        for c in line.chars() {
            match chunks.last_mut() {
                Some(last) if last.starts_with(is_blank) == is_blank(c) => last.push(c),
                _ => chunks.push(c.to_string()),
            }
        }
        return Ok(chunks);
    }
    match &*CHUNKS {
        Ok(pattern) => pattern
            .find_iter(line)
            .map(|found| found.map(|found| found.as_str().to_owned()).or_else(|error| other_error(error.to_string())))
            .collect(),
        Err(error) => other_error(error.to_string()),
    }
}

/// `TextWrapper._wrap_chunks` with its defaults.
fn fill(
    rendering: &Rendering,
    chunks: Vec<String>,
    width: usize,
    break_long: bool,
    on_hyphens: bool,
) -> PyResult<Vec<String>> {
    let blank = |chunk: &str| chunk.chars().all(unicode::is_space);
    let length = |chunk: &str| chunk.chars().count();
    let mut lines = Vec::new();
    let mut rest: Vec<String> = chunks.into_iter().rev().collect();
    while !rest.is_empty() {
        if !lines.is_empty() && rest.last().is_some_and(|chunk| blank(chunk)) {
            rest.pop();
        }
        let mut line: Vec<String> = Vec::new();
        let mut used = 0;
        while let Some(chunk) = rest.pop() {
            let more = length(&chunk);
            if used + more <= width {
                used += more;
                line.push(chunk);
                continue;
            }
            rendering.work(chunk.len() / 32)?;
            if more > width && break_long {
                let end = split_at(&chunk, width - used, on_hyphens);
                line.push(chunk[..end].to_owned());
                rest.push(chunk[end..].to_owned());
            } else if more > width && line.is_empty() {
                line.push(chunk);
            } else {
                rest.push(chunk);
            }
            break;
        }
        if line.last().is_some_and(|chunk| blank(chunk)) {
            line.pop();
        }
        if !line.is_empty() {
            lines.push(line.concat());
        }
    }
    Ok(lines)
}

/// Where a word that is too long for any line is cut, in bytes.
fn split_at(chunk: &str, space: usize, on_hyphens: bool) -> usize {
    let byte = |chars: usize| chunk.char_indices().nth(chars).map_or(chunk.len(), |(at, _)| at);
    let end = byte(space);
    if on_hyphens
        && chunk.chars().count() > space
        && let Some(hyphen) = chunk[..end].rfind('-')
        && hyphen > 0
        && chunk[..hyphen].contains(|c| c != '-')
    {
        return hyphen + 1;
    }
    end
}
