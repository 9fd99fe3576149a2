//! `bool`, `int` and `float`: their attributes and methods.

pub(crate) mod digits;
pub(crate) mod float;
pub(crate) mod int;
#[cfg(test)]
mod tests;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{PyResult, type_error},
        value::Value,
    },
};

/// An attribute of an `int`, `bool` or `float` that is no method.
pub(crate) fn attribute(value: &Value, name: &str) -> Option<Value> {
    let float = matches!(value, Value::Float(_));
    match name {
        "real" => Some(int::as_number(value)),
        "imag" if float => Some(Value::Float(0.0)),
        "imag" => Some(Value::Int(0)),
        "numerator" if !float => Some(int::as_number(value)),
        "denominator" if !float => Some(Value::Int(1)),
        _ => None,
    }
}

/// The names of the methods of an `int`, `bool` or `float`.
pub(crate) fn methods(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Float(_) => float::METHODS,
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => int::METHODS,
        _ => &[],
    }
}

/// `value.method(args)`
pub(crate) fn call(rendering: &Rendering, value: &Value, method: &str, args: Args) -> PyResult {
    match (value, value.as_int()) {
        (Value::Float(number), _) => float::call(*number, method, args),
        (_, Some(int)) => int::call(rendering, value, &int, method, args),
        _ => type_error(format!("'{}' object is not a number", value.type_name())),
    }
}
