//! Python: its values, what they do, and the parts of its library that templates meet.
//!
//! Each row uses rows below it, and no other module of its own row:
//!
//! ```text
//! methods   json                      methods of any value, by name; `json.dumps`
//! operators   string                  `+`, `%` and the others; the methods of `str`
//! format   list   tuple   dict        `format`, `str.format`, `%`; the methods of containers
//! markup   sequence                   `Markup` and escaping; subscripts and slices
//! repr   datetime                     `repr` and `str`; the module `datetime`
//! numbers                             `int` and `float`
//! bytes   sorting                     `bytes`; `sorted`
//! codecs   comparison   re            encodings; `<`, `in` and the others; the module `regex`
//! ───────────────────────────────
//! value   object   arguments   exception      the ground floor: values, the protocol of objects, and calls
//! quote
//! unicode                             characters as `unicodedata` has them
//! ```
//!
//! The types that [`value::Value`] has no variant for, such as `bytes` and `datetime`, are reached through the trait
//! [`object::Object`], so that nothing on the ground floor knows them. Its four modules of values are one unit: a call takes
//! values and gives a value or an exception.
//!
//! Everything counts against the bounds of the rendering (`eval::rendering`, `eval::budget`). Two modules go back to
//! `eval`: `format` looks up attributes, and `list.sort` calls functions, as the sandbox lets templates do.

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
