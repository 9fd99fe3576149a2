//! Jinja2's builtin tests, which stand after `is` and which `select` and its kin call by name.

use std::rc::Rc;

use crate::{
    eval::{function::Filter, registry::Registry, rendering::Rendering},
    python::{
        arguments::{Args, Signature},
        comparison::{self, Comparison},
        exception::PyResult,
        object::Operator,
        operators, repr, string,
        value::{Text, Value, equal},
    },
};

type TestFunction = fn(&Rendering, Args) -> PyResult;

/// Jinja2's tests by name.
const TESTS: &[(&str, TestFunction)] = &[
    ("odd", |rendering, args| divisible(rendering, args, "test_odd", 1)),
    ("even", |rendering, args| divisible(rendering, args, "test_even", 0)),
    ("divisibleby", divisibleby),
    ("lower", |rendering, args| cased(rendering, args, "test_lower", "islower")),
    ("upper", |rendering, args| cased(rendering, args, "test_upper", "isupper")),
    ("iterable", |_, args| one(args, "test_iterable", is_iterable)),
    ("in", |rendering, args| {
        let [value, container] = args.take_all(&Signature::new("test_in", 0, &["value", "seq"], &[]))?;
        compared(rendering, Comparison::In, value, container)
    }),
    ("==", |rendering, args| comparison(rendering, args, "eq", Comparison::Eq)),
    ("eq", |rendering, args| comparison(rendering, args, "eq", Comparison::Eq)),
    ("equalto", |rendering, args| comparison(rendering, args, "eq", Comparison::Eq)),
    ("!=", |rendering, args| comparison(rendering, args, "ne", Comparison::Ne)),
    ("ne", |rendering, args| comparison(rendering, args, "ne", Comparison::Ne)),
    (">", |rendering, args| comparison(rendering, args, "gt", Comparison::Gt)),
    ("gt", |rendering, args| comparison(rendering, args, "gt", Comparison::Gt)),
    ("greaterthan", |rendering, args| comparison(rendering, args, "gt", Comparison::Gt)),
    (">=", |rendering, args| comparison(rendering, args, "ge", Comparison::Ge)),
    ("ge", |rendering, args| comparison(rendering, args, "ge", Comparison::Ge)),
    ("<", |rendering, args| comparison(rendering, args, "lt", Comparison::Lt)),
    ("lt", |rendering, args| comparison(rendering, args, "lt", Comparison::Lt)),
    ("lessthan", |rendering, args| comparison(rendering, args, "lt", Comparison::Lt)),
    ("<=", |rendering, args| comparison(rendering, args, "le", Comparison::Le)),
    ("le", |rendering, args| comparison(rendering, args, "le", Comparison::Le)),
];

/// The tests that can answer for an undefined value.
const TESTS_OF_UNDEFINED: &[(&str, TestFunction)] = &[
    ("defined", |_, args| one(args, "test_defined", |value| !matches!(value, Value::Undefined(_)))),
    ("undefined", |_, args| one(args, "test_undefined", |value| matches!(value, Value::Undefined(_)))),
    ("filter", |rendering, args| named(args, "test_filter", |name| rendering.registry.filter(name).is_some())),
    ("test", |rendering, args| named(args, "test_test", |name| rendering.registry.test(name).is_some())),
    ("none", |_, args| one(args, "test_none", |value| matches!(value, Value::None))),
    ("boolean", |_, args| one(args, "test_boolean", |value| matches!(value, Value::Bool(_)))),
    ("false", |_, args| one(args, "test_false", |value| matches!(value, Value::Bool(false)))),
    ("true", |_, args| one(args, "test_true", |value| matches!(value, Value::Bool(true)))),
    ("integer", |_, args| one(args, "test_integer", |value| matches!(value, Value::Int(_) | Value::Big(_)))),
    ("float", |_, args| one(args, "test_float", |value| matches!(value, Value::Float(_)))),
    ("string", |_, args| one(args, "test_string", |value| matches!(value, Value::Str(_)))),
    ("mapping", |_, args| one(args, "test_mapping", |value| matches!(value, Value::Dict(_)))),
    ("number", |_, args| {
        one(args, "test_number", |value| {
            matches!(value, Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_))
        })
    }),
    ("sequence", |_, args| one(args, "test_sequence", is_sequence)),
    ("callable", |_, args| Ok(Value::Bool(args.only("callable")?.callable()))),
    ("sameas", sameas),
    ("escaped", |_, args| one(args, "test_escaped", |value| matches!(value, Value::Str(Text { safe: true, .. })))),
];

/// Adds all of Jinja2's tests.
pub(crate) fn register(registry: &mut Registry) {
    for (name, test) in TESTS {
        registry.add_test(*name, Filter::new(test));
    }
    for (name, test) in TESTS_OF_UNDEFINED {
        registry.add_test(*name, Filter::taking_undefined(test));
    }
}

fn one(args: Args, name: &'static str, test: impl Fn(&Value) -> bool) -> PyResult {
    let [value] = args.take_all(&Signature::new(name, 0, &["value"], &[]))?;
    Ok(Value::Bool(value.is_some_and(|value| test(&value))))
}

fn named(args: Args, name: &'static str, test: impl Fn(&str) -> bool) -> PyResult {
    let [value] = args.take_all(&Signature::new(name, 1, &["value"], &[]))?;
    let value = value.unwrap_or(Value::None);
    value.key()?;
    Ok(Value::Bool(value.as_str().is_some_and(|name| test(name))))
}

fn divisible(rendering: &Rendering, args: Args, name: &'static str, rest: i64) -> PyResult {
    let [value] = args.take_all(&Signature::new(name, 0, &["value"], &[]))?;
    let found = operators::binary(rendering, Operator::Mod, &value.unwrap_or(Value::None), &Value::Int(2))?;
    Ok(Value::Bool(equal(&found, &Value::Int(rest))))
}

fn divisibleby(rendering: &Rendering, args: Args) -> PyResult {
    let [value, number] = args.take_all(&Signature::new("test_divisibleby", 0, &["value", "num"], &[]))?;
    let rest =
        operators::binary(rendering, Operator::Mod, &value.unwrap_or(Value::None), &number.unwrap_or(Value::None))?;
    Ok(Value::Bool(equal(&rest, &Value::Int(0))))
}

fn cased(rendering: &Rendering, args: Args, name: &'static str, method: &str) -> PyResult {
    let [value] = args.take_all(&Signature::new(name, 0, &["value"], &[]))?;
    let value = repr::string(rendering, &value.unwrap_or(Value::None))?;
    string::call(rendering, &Text { text: value, safe: false }, method, Args::default())
}

fn is_sequence(value: &Value) -> bool {
    match value {
        Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::Undefined(_) => true,
        Value::Object(object) => matches!(object.type_name(), "bytes" | "range"),
        _ => false,
    }
}

fn is_iterable(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.iterable(),
        other => is_sequence(other),
    }
}

/// `is`: the same object, not only an equal one.
fn sameas(_rendering: &Rendering, args: Args) -> PyResult {
    let [value, other] = args.take_all(&Signature::new("test_sameas", 0, &["value", "other"], &[]))?;
    let (value, other) = (value.unwrap_or(Value::None), other.unwrap_or(Value::None));
    Ok(Value::Bool(match (&value, &other) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        // Python keeps one object for each small number.
        (Value::Int(a), Value::Int(b)) => a == b && (-5..=256).contains(a),
        (Value::Str(a), Value::Str(b)) => a.text == b.text && a.safe == b.safe,
        (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
        (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Rc::ptr_eq(a, b),
        _ => false,
    }))
}

fn comparison(rendering: &Rendering, args: Args, name: &'static str, comparison: Comparison) -> PyResult {
    let mut values = args.builtin(&format!("_operator.{name}"), 2, 2)?.into_iter();
    compared(rendering, comparison, values.next(), values.next())
}

fn compared(rendering: &Rendering, comparison: Comparison, left: Option<Value>, right: Option<Value>) -> PyResult {
    let (left, right) = (left.unwrap_or(Value::None), right.unwrap_or(Value::None));
    comparison::compare(rendering, comparison, &left, &right).map(Value::Bool)
}
