//! Arguments as the functions of the module take them, with their messages.

use std::{borrow::Cow, sync::Arc};

use crate::python::{
    arguments::Args,
    exception::{PyResult, other_error, type_error, value_error},
    value::Value,
};

/// The arguments of a function that is written in C and takes them by name too: one value for each parameter. The first
/// `required` parameters must be given.
pub(super) fn parsed(args: Args, name: &str, parameters: &[&str], required: usize) -> PyResult<Vec<Option<Value>>> {
    let (positional, given) = (args.positional.len(), args.positional.len() + args.named.len());
    if given > parameters.len() {
        let (most, s) = (parameters.len(), if parameters.len() == 1 { "" } else { "s" });
        let keyword = if positional == 0 { "keyword " } else { "" };
        return type_error(format!("{name}() takes at most {most} {keyword}argument{s} ({given} given)"));
    }
    for (at, parameter) in parameters.iter().enumerate().take(required).skip(positional) {
        if !args.named.iter().any(|(key, _)| key == parameter) {
            return type_error(format!("{name}() missing required argument '{parameter}' (pos {})", at + 1));
        }
    }
    let mut bound: Vec<Option<Value>> = args.positional.into_iter().map(Some).collect();
    bound.resize(parameters.len(), None);
    for (key, value) in args.named {
        let at = parameters.iter().position(|parameter| *parameter == key);
        match at.and_then(|at| Some((at, bound.get_mut(at)?))) {
            None => return type_error(format!("'{key}' is an invalid keyword argument for {name}()")),
            Some((at, Some(_))) => {
                return type_error(format!("argument for {name}() given by name ('{key}') and position ({})", at + 1));
            }
            Some((_, slot)) => *slot = Some(value),
        }
    }
    Ok(bound)
}

/// An argument that is an int of 32 bits.
pub(super) fn integer(value: &Value) -> PyResult<i64> {
    match value {
        Value::Float(_) => type_error("'float' object cannot be interpreted as an integer"),
        other => match other.index()? {
            number if i32::try_from(number).is_ok() => Ok(number),
            number if number < 0 => other_error("signed integer is less than minimum"),
            _ => other_error("signed integer is greater than maximum"),
        },
    }
}

/// An optional argument that is an int of 32 bits.
pub(super) fn integer_or(value: Option<&Option<Value>>, default: i64) -> PyResult<i64> {
    match value {
        Some(Some(value)) => integer(value),
        _ => Ok(default),
    }
}

/// The argument at `position`, counted from 1, which must be text.
pub(super) fn text_argument(value: &Value, name: &str, position: usize) -> PyResult<Arc<str>> {
    match value {
        Value::Str(text) => Ok(Arc::clone(&text.text)),
        other => {
            let other = if matches!(other, Value::None) { Cow::Borrowed("None") } else { other.operand_name() };
            type_error(format!("{name}() argument {position} must be str, not {other}"))
        }
    }
}

/// The argument of `strftime`.
pub(super) fn format_argument(args: Args) -> PyResult<Arc<str>> {
    let format = parsed(args, "strftime", &["format"], 1)?.into_iter().next().flatten();
    text_argument(&format.unwrap_or(Value::None), "strftime", 1)
}

/// The argument of `__format__`.
pub(super) fn spec_argument(args: Args) -> PyResult<Arc<str>> {
    text_argument(&args.only("__format__")?, "__format__", 1)
}

/// The argument `fold`.
pub(super) fn fold_argument(value: Option<&Option<Value>>, default: bool) -> PyResult<bool> {
    match integer_or(value, default.into())? {
        0 => Ok(false),
        1 => Ok(true),
        _ => value_error("fold must be either 0 or 1"),
    }
}

/// The argument `timespec` of `isoformat`, at `position` counted from 1.
pub(super) fn timespec_argument(value: Option<&Option<Value>>, position: usize) -> PyResult<Arc<str>> {
    match value {
        Some(Some(value)) => text_argument(value, "isoformat", position),
        _ => Ok(Arc::from("auto")),
    }
}

/// The argument of `fromisoformat`.
pub(super) fn iso_argument(args: Args, class: &str) -> PyResult<Arc<str>> {
    match args.only(&format!("{class}.fromisoformat"))? {
        Value::Str(text) => Ok(text.text),
        _ => type_error("fromisoformat: argument must be str"),
    }
}
