//! The methods of `tuple`.

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::PyResult,
        sequence::{count, index},
        value::Tuple,
    },
};

/// The names of its methods.
pub(crate) const METHODS: &[&str] = &["count", "index"];

/// `tuple.method(args)`
pub(crate) fn call(rendering: &Rendering, tuple: &Tuple, method: &str, args: Args) -> PyResult {
    match method {
        "count" => count(rendering, &tuple.items, args, "tuple.count"),
        _ => index(rendering, &tuple.items, args, "tuple.index(x): x not in tuple"),
    }
}
