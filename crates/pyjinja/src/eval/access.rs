//! Attributes, items, methods and calls, as Jinja2's sandbox lets templates reach them.

use std::rc::Rc;

use crate::{
    eval::{
        registry::{SandboxPolicy, UndefinedPolicy},
        rendering::Rendering,
    },
    python::{
        arguments::Args,
        exception::{ExceptionClass, PyResult, type_error},
        methods, numbers,
        object::Object,
        quote::quote,
        repr, sequence,
        value::{Undefined, Value},
    },
};

/// `x(args)`
pub(crate) fn call(rendering: &Rendering, callee: &Value, args: Args) -> PyResult {
    rendering.work(args.weight())?;
    match callee {
        Value::Undefined(undefined) => Err(undefined.raise()),
        Value::Object(object) => {
            let _deeper = rendering.deeper()?;
            object.call(rendering, args)
        }
        other => type_error(format!("'{}' object is not callable", other.operand_name())),
    }
}

/// The result of looking a name up at a value.
pub(crate) enum Attribute {
    /// A method of Python.
    Method,
    /// Anything else; [`Value::Undefined`] if there is nothing.
    Value(Value),
}

impl Attribute {
    /// The value itself, or the method of `receiver` as a value of its own.
    fn of(self, receiver: &Value, name: &str) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Method => Value::object(Method { receiver: receiver.clone(), name: name.to_owned() }),
        }
    }
}

/// A method of a value, not called yet.
struct Method {
    receiver: Value,
    name: String,
}

impl Object for Method {
    fn type_name(&self) -> &'static str {
        "builtin_function_or_method"
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("<built-in method {} of {} object>", self.name, self.receiver.type_name()))
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, args: Args) -> PyResult {
        call_method(rendering, &self.receiver, &self.name, args)
    }

    fn take_values(&mut self) -> Vec<Value> {
        vec![std::mem::replace(&mut self.receiver, Value::None)]
    }
}

/// `x.name` in a template: an attribute or method, or else an item.
pub(crate) fn attribute(rendering: &Rendering, value: &Value, name: &str) -> PyResult {
    Ok(attribute_or_method(rendering, value, name)?.of(value, name))
}

/// `x.name`, told apart so that a method which is called at once needs no value of its own.
pub(crate) fn attribute_or_method(rendering: &Rendering, value: &Value, name: &str) -> PyResult<Attribute> {
    if let Some(found) = python_attribute(rendering, value, name)? {
        return Ok(found);
    }
    let found = match value {
        Value::Dict(dict) if dict.is_defaulting() => dict.subscript(rendering, &Value::from(name))?,
        Value::Dict(dict) => dict.get(name),
        Value::Object(object) => object.item(&Value::from(name)),
        _ => None,
    };
    Ok(Attribute::Value(
        found.unwrap_or_else(|| Value::Undefined(Rc::new(Undefined::Attribute(value.described(), name.to_owned())))),
    ))
}

/// `x[key]` in a template: an item, or else an attribute.
pub(crate) fn item(rendering: &Rendering, value: &Value, key: &Value) -> PyResult {
    if let Value::Undefined(undefined) = value {
        return part_of_undefined(rendering, undefined);
    }
    let found = match (value, key) {
        (Value::Dict(_), key) if !matches!(key, Value::Str(_)) && key.key().is_err() => None,
        (Value::Dict(dict), key) => dict.subscript(rendering, key)?,
        (Value::Object(object), key) => object.item(key),
        (_, Value::Int(_) | Value::Bool(_) | Value::Big(_)) => {
            if let Value::Str(text) = value
                && !text.is_ascii()
            {
                rendering.work(value.weight())?;
            }
            sequence::element(value, key.index()?)
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    let Value::Str(name) = key else {
        let shown = repr::repr(rendering, key)?;
        return Ok(Value::Undefined(Rc::new(Undefined::Element(value.described(), shown))));
    };
    Ok(match python_attribute(rendering, value, name)? {
        Some(found) => found.of(value, name),
        None => Value::Undefined(Rc::new(Undefined::Attribute(value.described(), name.to_string()))),
    })
}

/// An attribute or an item of what is undefined itself.
fn part_of_undefined(rendering: &Rendering, undefined: &Rc<Undefined>) -> PyResult {
    match rendering.registry.undefined {
        UndefinedPolicy::Chainable => Ok(Value::Undefined(Rc::clone(undefined))),
        UndefinedPolicy::Lenient | UndefinedPolicy::Strict => Err(undefined.raise()),
    }
}

/// The attributes that every object of Python has, and no template may reach.
const INTERNAL: &[&str] = &[
    "__class__",
    "__delattr__",
    "__dict__",
    "__dir__",
    "__doc__",
    "__eq__",
    "__format__",
    "__ge__",
    "__getattribute__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__init_subclass__",
    "__le__",
    "__lt__",
    "__ne__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__setattr__",
    "__sizeof__",
    "__str__",
    "__subclasshook__",
];

/// The attributes that containers and text have besides.
const INTERNAL_OF_CONTAINERS: &[&str] =
    &["__contains__", "__getitem__", "__iter__", "__len__", "__add__", "__mul__", "__rmul__", "__mod__", "__setitem__"];

/// The methods that change a list, and those that change a dict.
const CHANGING_LISTS: &[&str] = &["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const CHANGING_DICTS: &[&str] = &["clear", "pop", "popitem", "setdefault", "update"];

/// Whether the sandbox lets nobody reach an attribute of this name, whatever the value is.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Whether the sandbox lets nobody reach this attribute.
fn is_unsafe(rendering: &Rendering, value: &Value, name: &str) -> bool {
    if name.starts_with("__") {
        let container = matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_));
        return is_internal(name) || (container && INTERNAL_OF_CONTAINERS.contains(&name));
    }
    match rendering.registry.sandbox {
        SandboxPolicy::Sandboxed => false,
        SandboxPolicy::Immutable => match value {
            Value::List(_) => CHANGING_LISTS.contains(&name),
            Value::Dict(_) => CHANGING_DICTS.contains(&name),
            _ => false,
        },
    }
}

/// The attribute that `getattr` finds. It is undefined if the sandbox does not let it through.
fn python_attribute(rendering: &Rendering, value: &Value, name: &str) -> PyResult<Option<Attribute>> {
    if is_unsafe(rendering, value, name) {
        let message = format!("access to attribute {} of '{}' object is unsafe.", quote(name), value.type_name());
        let undefined = Undefined::Hint(ExceptionClass::SecurityError, message);
        return Ok(Some(Attribute::Value(Value::Undefined(Rc::new(undefined)))));
    }
    let data = match value {
        Value::Undefined(undefined) => return part_of_undefined(rendering, undefined).map(Attribute::Value).map(Some),
        Value::Int(_) | Value::Big(_) | Value::Bool(_) | Value::Float(_) => numbers::attribute(value, name),
        Value::Tuple(tuple) if tuple.group => match name {
            "grouper" => tuple.items.first().cloned(),
            "list" => tuple.items.get(1).cloned(),
            _ => None,
        },
        Value::Object(object) => object.attribute(name),
        _ => None,
    };
    if let Some(data) = data {
        return Ok(Some(Attribute::Value(data)));
    }
    Ok(methods::has(value, name).then_some(Attribute::Method))
}

/// `getattr(x, name)` without a look at items, as the filter `attr` has it.
pub(crate) fn attribute_only(rendering: &Rendering, value: &Value, name: &str) -> PyResult<Option<Value>> {
    Ok(python_attribute(rendering, value, name)?.map(|found| found.of(value, name)))
}

/// `x.name(args)` of a method that is there.
pub(crate) fn call_method(rendering: &Rendering, receiver: &Value, name: &str, args: Args) -> PyResult {
    methods::call(rendering, receiver, name, args)
}
