//! Python's values, and what they do.

pub(crate) mod arguments;
pub(crate) mod bytes;
pub(crate) mod codecs;
pub(crate) mod containers;
pub(crate) mod datetime;
pub(crate) mod dumps;
pub(crate) mod exception;
pub(crate) mod format;
pub(crate) mod markup;
pub(crate) mod numbers;
pub(crate) mod object;
pub(crate) mod operators;
pub(crate) mod print;
pub(crate) mod quote;
pub(crate) mod re;
pub(crate) mod sorting;
pub(crate) mod string;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod unicode;
pub(crate) mod value;

// Moved to `string`, `markup` and `unicode`.
pub(crate) mod text {
    pub(crate) use super::{
        markup::{METHODS as MARKUP_METHODS, escape, escape_value as escaped, striptags},
        string::{METHODS, call},
        unicode::is_space,
    };
}
