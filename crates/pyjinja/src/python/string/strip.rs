//! `str.strip`, `lstrip`, `rstrip`, `removeprefix` and `removesuffix`.

use crate::python::{
    arguments::Args,
    exception::{PyResult, type_error},
    string::text_argument,
    unicode::is_space,
    value::{Text, Value},
};

/// `str.strip`, `lstrip` and `rstrip`
pub(super) fn strip(receiver: &Text, method: &str, args: Args) -> PyResult {
    let chars = match args.builtin(&format!("str.{method}"), 0, 1)?.into_iter().next() {
        None | Some(Value::None) => None,
        Some(Value::Str(chars)) => Some(chars),
        Some(_) => return type_error(format!("{method} arg must be None or str")),
    };
    let unwanted = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.contains(c));
    Ok(receiver.like(match method {
        "lstrip" => receiver.trim_start_matches(unwanted),
        "rstrip" => receiver.trim_end_matches(unwanted),
        _ => receiver.trim_matches(unwanted),
    }))
}

/// `str.removeprefix` and `removesuffix`
pub(super) fn remove(receiver: &Text, method: &str, args: Args) -> PyResult {
    let affix = text_argument(args, method, &format!("{method}() argument "))?;
    let rest = match method {
        "removeprefix" => receiver.strip_prefix(&*affix),
        _ => receiver.strip_suffix(&*affix),
    };
    Ok(receiver.like(rest.unwrap_or(receiver)))
}
