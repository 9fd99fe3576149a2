//! The methods of `dict`.

mod views;

use std::rc::Rc;

use indexmap::IndexMap;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        dict::views::{DictView, ViewKind},
        exception::{Exception, ExceptionClass, PyResult, type_error, value_error},
        repr,
        value::{Dict, DictClass, Key, Value},
    },
};

/// The names of its methods.
pub(crate) const METHODS: &[&str] =
    &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

/// `dict.method(args)`
pub(crate) fn call(rendering: &Rendering, dict: &Rc<Dict>, method: &str, args: Args) -> PyResult {
    let name = format!("dict.{method}");
    match method {
        "keys" | "values" | "items" => {
            args.builtin(&name, 0, 0)?;
            let kind = match method {
                "keys" => ViewKind::Keys,
                "values" => ViewKind::Values,
                _ => ViewKind::Items,
            };
            Ok(Value::object(DictView { dict: Rc::clone(dict), kind }))
        }
        "get" => {
            let (key, default) = key_and_default(args.builtin(&name, 1, 2)?);
            Ok(look_up(dict, &key)?.or(default).unwrap_or(Value::None))
        }
        "setdefault" => {
            let (key, default) = key_and_default(args.builtin(&name, 1, 2)?);
            let key = key.key()?;
            rendering.allocate(2 * size_of::<Value>())?;
            Ok(dict.entries_mut().entry(key).or_insert(default.unwrap_or(Value::None)).clone())
        }
        "pop" => pop(rendering, dict, args),
        "popitem" => {
            args.builtin(&name, 0, 0)?;
            let last = dict.entries_mut().pop();
            last.map_or_else(
                || Err(Exception::new(ExceptionClass::KeyError, "'popitem(): dictionary is empty'")),
                |(key, value)| Ok(Value::tuple(vec![key.value().clone(), value])),
            )
        }
        "clear" => {
            args.builtin(&name, 0, 0)?;
            let dropped = std::mem::take(&mut *dict.entries_mut());
            drop(dropped);
            Ok(Value::None)
        }
        "copy" => {
            args.builtin(&name, 0, 0)?;
            rendering.allocate(dict.len() * 2 * size_of::<Value>())?;
            let entries = dict.entries().clone();
            // Only `defaultdict` has a `copy` of its own.
            let class = if dict.is_defaulting() { dict.class } else { DictClass::Plain };
            Ok(Value::dict_of_class(entries, class))
        }
        "fromkeys" => from_keys(rendering, dict.class, args),
        _ => update(rendering, dict, args),
    }
}

fn key_and_default(args: Vec<Value>) -> (Value, Option<Value>) {
    let mut args = args.into_iter();
    (args.next().unwrap_or(Value::None), args.next())
}

fn look_up(dict: &Dict, key: &Value) -> PyResult<Option<Value>> {
    match key {
        Value::Str(key) => Ok(dict.get(key)),
        other => Ok(dict.entries().get(&other.key()?).cloned()),
    }
}

/// `dict.pop`
fn pop(rendering: &Rendering, dict: &Dict, args: Args) -> PyResult {
    let (key, default) = key_and_default(args.builtin("dict.pop", 1, 2)?);
    rendering.work(dict.len() / 64)?;
    let found = match dict.len() {
        // Python looks at no key where there is none.
        0 => None,
        _ => dict.entries_mut().shift_remove(&key.key()?),
    };
    match found.or(default) {
        Some(value) => Ok(value),
        None => Err(Exception::new(ExceptionClass::KeyError, repr::repr(rendering, &key)?)),
    }
}

/// `dict.fromkeys` of a class
fn from_keys(rendering: &Rendering, class: DictClass, args: Args) -> PyResult {
    let (keys, value) = key_and_default(args.builtin("dict.fromkeys", 1, 2)?);
    let mut entries = IndexMap::new();
    for key in keys.iterate(rendering)? {
        rendering.allocate(2 * size_of::<Value>())?;
        entries.insert(key.key()?, value.clone().unwrap_or(Value::None));
    }
    Ok(Value::dict_of_class(entries, if class == DictClass::OfData { class } else { DictClass::Plain }))
}

/// `dict.update`
fn update(rendering: &Rendering, dict: &Dict, args: Args) -> PyResult {
    let Args { positional, named } = args;
    let given = Args::of(positional).builtin("dict.update", 0, 1)?;
    if let Some(more) = given.first() {
        for (key, value) in pairs(rendering, more)? {
            rendering.allocate(2 * size_of::<Value>())?;
            dict.entries_mut().insert(key, value);
        }
    }
    for (name, value) in named {
        rendering.allocate(2 * size_of::<Value>())?;
        dict.entries_mut().insert(Value::from(name).key()?, value);
    }
    Ok(Value::None)
}

/// The entries of `dict(source)`: those of a dict, or pairs of key and value.
pub(crate) fn pairs(rendering: &Rendering, source: &Value) -> PyResult<Vec<(Key, Value)>> {
    match source {
        Value::Dict(dict) => {
            rendering.allocate(dict.len() * 2 * size_of::<Value>())?;
            return Ok(dict.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        }
        Value::Undefined(undefined) => return Err(undefined.raise()),
        _ => {}
    }
    let mut pairs = Vec::new();
    for (index, item) in source.iterate(rendering)?.into_iter().enumerate() {
        rendering.work(1)?;
        let Ok(pair) = item.iterate(rendering) else {
            return type_error(format!("cannot convert dictionary update sequence element #{index} to a sequence"));
        };
        match pair.as_slice() {
            [key, value] => pairs.push((key.key()?, value.clone())),
            other => {
                return value_error(format!(
                    "dictionary update sequence element #{index} has length {}; 2 is required",
                    other.len()
                ));
            }
        }
    }
    Ok(pairs)
}
