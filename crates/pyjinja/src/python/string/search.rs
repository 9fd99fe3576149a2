//! `str.find`, `count`, `startswith`, `replace` and their like.

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type, search_arguments, size},
        exception::{PyResult, type_error, value_error},
        value::{Text, Value},
    },
};

/// The part of the receiver that is searched, and the position of its first character.
struct Window<'a> {
    text: &'a str,
    start: usize,
}

/// The wanted value and the part of the receiver to search; None if that starts beyond its end.
fn window<'a>(receiver: &'a str, method: &str, args: Args) -> PyResult<(Value, Option<Window<'a>>)> {
    let length = receiver.chars().count();
    let (wanted, start, end) = search_arguments(method, args, length)?;
    if matches!(method, "find" | "index" | "rfind" | "rindex" | "count") && wanted.as_str().is_none() {
        return type_error(format!("must be str, not {}", wanted.type_name()));
    }
    if start > end {
        return Ok((wanted, None));
    }
    let from = offset(receiver, start);
    let to = from + offset(receiver.get(from..).unwrap_or(""), end - start);
    Ok((wanted, Some(Window { text: receiver.get(from..to).unwrap_or(""), start })))
}

/// The byte at which the character at `position` starts.
fn offset(text: &str, position: usize) -> usize {
    text.char_indices().nth(position).map_or(text.len(), |(at, _)| at)
}

/// `str.find`, `index`, `rfind`, `rindex` and `count`
pub(super) fn find(receiver: &Text, method: &str, args: Args) -> PyResult {
    let (wanted, window) = window(receiver, method, args)?;
    let wanted = wanted.as_str().map_or("", |text| text);
    if method == "count" {
        return Ok(Value::size(window.map_or(0, |window| window.text.matches(wanted).count())));
    }
    let found = window.and_then(|window| {
        let at = if method.starts_with('r') { window.text.rfind(wanted) } else { window.text.find(wanted) }?;
        Some(window.start + window.text.get(..at)?.chars().count())
    });
    match found {
        Some(at) => Ok(Value::size(at)),
        None if method.ends_with("find") => Ok(Value::Int(-1)),
        None => value_error("substring not found"),
    }
}

/// `str.startswith` and `endswith`
pub(super) fn starts_or_ends(receiver: &Text, method: &str, args: Args) -> PyResult {
    let (wanted, window) = window(receiver, method, args)?;
    let matches = |affix: &Text| {
        window.as_ref().is_some_and(|window| match method {
            "startswith" => window.text.starts_with(&**affix),
            _ => window.text.ends_with(&**affix),
        })
    };
    match &wanted {
        Value::Str(affix) => Ok(Value::Bool(matches(affix))),
        Value::Tuple(affixes) => {
            for affix in &affixes.items {
                match affix {
                    Value::Str(affix) if matches(affix) => return Ok(Value::Bool(true)),
                    Value::Str(_) => {}
                    other => {
                        return type_error(format!(
                            "tuple for {method} must only contain str, not {}",
                            other.type_name()
                        ));
                    }
                }
            }
            Ok(Value::Bool(false))
        }
        other => type_error(format!("{method} first arg must be str or a tuple of str, not {}", other.type_name())),
    }
}

/// `str.replace`
pub(super) fn replace(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let mut args = args.builtin("str.replace", 2, 3)?.into_iter();
    let mut text = |position: usize| match args.next() {
        Some(Value::Str(text)) => Ok(text),
        other => type_error(format!(
            "replace() argument {position} must be str, not {}",
            argument_type(&other.unwrap_or(Value::None))
        )),
    };
    let (old, new) = (text(1)?, text(2)?);
    let most = args.next().map_or(Ok(-1), |most| size(&most))?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let found = receiver.matches(&*old).take(most).count();
    rendering.allocate(receiver.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(receiver.like(receiver.replacen(&*old, &new, found)))
}
