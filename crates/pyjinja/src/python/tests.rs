//! Tables of calls of methods, with what Python gives for them.

use std::rc::Rc;

use serde_json::Value as Json;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        bytes::Bytes,
        exception::{ExceptionClass, PyResult},
        format, methods,
        numbers::{float, int},
        repr,
        value::{Text, Undefined, Value},
    },
};

/// A receiver, a method, its arguments, and the `repr` of the result or the exception.
///
/// Values are JSON. Those that JSON lacks are objects of one key: `$m` a Markup, `$u` an undefined name, `$i` a big int,
/// `$f` a float, `$t` a tuple, `$b` bytes, `$d` the entries of a dict.
pub(crate) type Row = (&'static str, &'static str, &'static str, &'static str);

/// Checks every row. Lists and dicts show what became of them behind `=>`.
pub(crate) fn check(rows: &[Row]) {
    for (receiver, method, arguments, expected) in rows {
        let rendering = Rendering::new(&[]);
        let (receiver, arguments) = (parse(receiver), parse(arguments));
        let args = Args::of(arguments.iterate(&rendering).expect("a list"));
        let result = call(&rendering, &receiver, method, args).and_then(|value| repr::repr(&rendering, &value));
        let shown = result.unwrap_or_else(|exception| {
            let name = match exception.class {
                ExceptionClass::Other => "Other".to_owned(),
                exception => format!("{exception:?}"),
            };
            format!("{name}: {}", exception.message)
        });
        let after = match receiver {
            Value::List(_) | Value::Dict(_) => {
                format!(" => {}", repr::repr(&rendering, &receiver).expect("printable"))
            }
            _ => String::new(),
        };
        assert_eq!(format!("{shown}{after}"), *expected, "{method}");
    }
}

fn call(rendering: &Rendering, receiver: &Value, method: &str, args: Args) -> PyResult {
    let first = args.positional.first().cloned().unwrap_or(Value::None);
    match (method, receiver) {
        ("%", Value::Str(text)) => format::percent(rendering, text, &first),
        ("fmt", value) => format::spec::format_value(rendering, value, first.as_str().expect("text")).map(Value::from),
        ("int", Value::Str(text)) => int::from_text(text, first.index()?).map(Value::int),
        ("float", Value::Str(text)) => float::from_text(text).map(Value::Float),
        ("round", Value::Float(number)) => Ok(Value::Float(float::round(*number, first.index()?))),
        _ => methods::call(rendering, receiver, method, args),
    }
}

fn parse(json: &str) -> Value {
    value(&serde_json::from_str(json).expect("JSON"))
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Int(number.as_i64().expect("an int")),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(value).collect()),
        Json::Object(object) => {
            let (key, inner) = object.iter().next().expect("one key");
            let text = || inner.as_str().expect("text");
            let items = || inner.as_array().expect("items").iter();
            match key.as_str() {
                "$m" => Value::Str(Text::safe(text())),
                "$u" => Value::Undefined(Rc::new(Undefined::Name(text().into()))),
                "$i" => Value::int(text().parse().expect("an int")),
                "$f" => Value::Float(text().parse().expect("a float")),
                "$t" => Value::tuple(items().map(value).collect()),
                "$b" => Value::object(Bytes::from(
                    items().map(|byte| byte.as_u64().expect("a byte") as u8).collect::<Vec<u8>>(),
                )),
                _ => Value::dict(
                    items()
                        .map(|pair| (value(&pair[0]).key().unwrap_or_else(|_| panic!("a key")), value(&pair[1])))
                        .collect(),
                ),
            }
        }
    }
}
