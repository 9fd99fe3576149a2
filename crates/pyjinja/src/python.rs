//! Python's values, and what they do.

pub(crate) mod arguments;
pub(crate) mod bytes;
pub(crate) mod codecs;
pub(crate) mod comparison;
pub(crate) mod datetime;
pub(crate) mod dict;
pub(crate) mod exception;
pub(crate) mod floats;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod markup;
pub(crate) mod methods;
pub(crate) mod numbers;
pub(crate) mod object;
pub(crate) mod operators;
pub(crate) mod quote;
pub(crate) mod re;
pub(crate) mod repr;
pub(crate) mod sequence;
pub(crate) mod sorting;
pub(crate) mod string;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tuple;
pub(crate) mod unicode;
pub(crate) mod value;

pub(crate) use self::json as dumps;

// Moved to `repr` and `quote`.
pub(crate) mod print {
    pub(crate) use super::{
        quote::quote,
        repr::{repr, string},
    };
}

// Moved to `dict` and `methods`.
pub(crate) mod containers {
    use crate::{
        eval::rendering::Rendering,
        python::{arguments::Args, exception::PyResult, value::Value},
    };

    pub(crate) use super::dict::pairs;

    pub(crate) fn methods(value: &Value) -> &'static [&'static str] {
        match value {
            Value::List(_) => super::list::METHODS,
            Value::Tuple(_) => super::tuple::METHODS,
            Value::Dict(_) => super::dict::METHODS,
            _ => &[],
        }
    }

    pub(crate) fn call(rendering: &Rendering, value: &Value, method: &str, args: Args) -> PyResult {
        super::methods::call(rendering, value, method, args)
    }
}

// Moved to `string`, `markup` and `unicode`.
pub(crate) mod text {
    pub(crate) use super::{
        markup::{METHODS as MARKUP_METHODS, escape, escape_value as escaped, striptags},
        string::{METHODS, call},
        unicode::is_space,
    };
}
