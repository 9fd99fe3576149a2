//! Methods by name: the top of all types, where a call `receiver.name(args)` finds the type that answers it.

#[cfg(test)]
mod tests;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        dict,
        exception::{Exception, ExceptionClass, PyResult},
        list, markup, numbers, string, tuple,
        value::{Text, Value},
    },
};

/// Whether the type of `value` has a method of this name.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    let names = match value {
        Value::Str(Text { safe: true, .. }) if markup::METHODS.contains(&name) => return true,
        Value::Str(_) => string::METHODS,
        Value::List(_) => list::METHODS,
        Value::Tuple(_) => tuple::METHODS,
        Value::Dict(_) => dict::METHODS,
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => numbers::methods(value),
        Value::Object(object) => object.methods(),
        Value::None | Value::Undefined(_) => &[],
    };
    names.contains(&name)
}

/// `receiver.name(args)` of a method that [`has`] knows.
pub(crate) fn call(rendering: &Rendering, receiver: &Value, name: &str, args: Args) -> PyResult {
    rendering.work(receiver.weight() + args.weight())?;
    // A value that is put into a container may hold that container in turn.
    if matches!(receiver, Value::List(_) | Value::Dict(_))
        && matches!(name, "append" | "extend" | "insert" | "setdefault" | "update")
    {
        rendering.hold(receiver)?;
    }
    match receiver {
        Value::Str(text) => string::call(rendering, text, name, args),
        Value::List(list) => list::call(rendering, list, name, args),
        Value::Tuple(tuple) => tuple::call(rendering, tuple, name, args),
        Value::Dict(dict) => dict::call(rendering, dict, name, args),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => {
            numbers::call(rendering, receiver, name, args)
        }
        Value::Object(object) => object.call_method(rendering, name, args),
        Value::None | Value::Undefined(_) => Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{name}'", receiver.operand_name()),
        )),
    }
}
