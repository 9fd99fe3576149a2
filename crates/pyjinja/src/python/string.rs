//! The methods of `str`, which `Markup` has too.

mod case;
mod pad;
mod predicates;
mod search;
mod split;
mod strip;
#[cfg(test)]
mod tests;
mod translate;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type},
        bytes::Bytes,
        codecs,
        exception::{Exception, ExceptionClass, PyResult, type_error},
        format, markup,
        value::{Text, Value},
    },
};

/// The names of the methods that `str` and `Markup` have.
pub(crate) const METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// `receiver.method(args)`
pub(crate) fn call(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    rendering.work(1 + receiver.len() / 64)?;
    match method {
        "format" => return format::str_format(rendering, receiver, args),
        "format_map" => return format::format_map(rendering, receiver, args),
        _ => {}
    }
    let args = if receiver.safe { markup::bind(rendering, method, args)? } else { args };
    match method {
        "capitalize" | "casefold" | "lower" | "swapcase" | "title" | "upper" => {
            args.builtin(&format!("str.{method}"), 0, 0)?;
            rendering.allocate(receiver.len())?;
            Ok(receiver.like(case::cased(receiver, method)))
        }
        "striptags" => Ok(Value::from(markup::striptags(receiver))),
        "unescape" => Ok(Value::from(markup::unescape(receiver))),
        "escape" => match args.positional.first() {
            Some(value) => Ok(Value::Str(Text::safe(markup::escape_value(rendering, value)?))),
            None => Ok(Value::None),
        },
        "isalnum" | "isalpha" | "isascii" | "isdecimal" | "isdigit" | "isidentifier" | "islower" | "isnumeric"
        | "isprintable" | "isspace" | "istitle" | "isupper" => {
            let owner = if receiver.safe { "Markup" } else { "str" };
            args.builtin(&format!("{owner}.{method}"), 0, 0)?;
            Ok(Value::Bool(predicates::is(receiver, method)))
        }
        "center" | "ljust" | "rjust" => pad::justify(rendering, receiver, method, args),
        "zfill" => pad::fill_zeros(rendering, receiver, args),
        "strip" | "lstrip" | "rstrip" => strip::strip(receiver, method, args),
        "removeprefix" | "removesuffix" => strip::remove(receiver, method, args),
        "find" | "index" | "rfind" | "rindex" | "count" => search::find(receiver, method, args),
        "startswith" | "endswith" => search::starts_or_ends(receiver, method, args),
        "partition" | "rpartition" => split::partition(receiver, method, args),
        "split" | "rsplit" => split::split(rendering, receiver, method, args),
        "splitlines" => split::split_lines(rendering, receiver, args),
        "join" => split::join(rendering, receiver, args),
        "replace" => search::replace(rendering, receiver, args),
        "expandtabs" => pad::expand_tabs(rendering, receiver, args),
        "encode" => encode(rendering, receiver, args),
        "translate" => translate::translate(rendering, receiver, args),
        "maketrans" => translate::make_table(rendering, args),
        _ => Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{method}'", if receiver.safe { "Markup" } else { "str" }),
        )),
    }
}

/// `str.encode`
fn encode(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let mut args = args.keywords("encode", &[], &["encoding", "errors"], 2)?.into_iter();
    let encoding = codecs::argument("encode", "encoding", args.next().flatten(), "utf-8")?;
    let errors = codecs::argument("encode", "errors", args.next().flatten(), "strict")?;
    rendering.allocate(receiver.len())?;
    Ok(Value::object(Bytes::from(codecs::encode(rendering, receiver, &encoding, &errors)?)))
}

/// The one argument, which must be a `str`; `refused` begins the message if it is not.
pub(super) fn text_argument(args: Args, method: &str, refused: &str) -> PyResult<Text> {
    match args.builtin(&format!("str.{method}"), 1, 1)?.into_iter().next() {
        Some(Value::Str(text)) => Ok(text),
        other => {
            let other = other.unwrap_or(Value::None);
            let name = if refused.is_empty() { other.type_name() } else { argument_type(&other) };
            type_error(format!("{refused}must be str, not {name}"))
        }
    }
}
