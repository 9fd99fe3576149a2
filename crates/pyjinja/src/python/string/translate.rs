//! `str.translate` and `str.maketrans`.

use indexmap::IndexMap;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type},
        exception::{PyResult, type_error, value_error},
        value::{Text, Value},
    },
};

/// `str.translate`
pub(super) fn translate(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let table = args.builtin("str.translate", 1, 1)?.into_iter().next().unwrap_or(Value::None);
    let mut out = String::with_capacity(receiver.len());
    rendering.allocate(receiver.len())?;
    for c in receiver.chars() {
        match look_up(rendering, &table, c)? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Str(text)) => {
                rendering.allocate(text.len())?;
                out.push_str(&text);
            }
            Some(other) => match other.as_int() {
                None => return type_error("character mapping must return integer, None or str"),
                Some(_) => match u32::try_from(other.index()?) {
                    // Half of a surrogate pair can't be held.
                    Ok(code @ ..0x11_0000) => out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
                    _ => return value_error("character mapping must be in range(0x110000)"),
                },
            },
        }
    }
    Ok(receiver.like(out))
}

/// The entry of a table for a character; None if there is none.
fn look_up(rendering: &Rendering, table: &Value, c: char) -> PyResult<Option<Value>> {
    let at = c as usize;
    match table {
        Value::Dict(dict) => dict.subscript(rendering, &Value::size(at)),
        Value::List(list) => Ok(list.items().get(at).cloned()),
        Value::Tuple(tuple) => Ok(tuple.items.get(at).cloned()),
        Value::Str(text) => Ok(text.chars().nth(at).map(|c| text.like(c.to_string()))),
        Value::Undefined(undefined) => Err(undefined.raise()),
        other => type_error(format!("'{}' object is not subscriptable", other.type_name())),
    }
}

/// `str.maketrans`
pub(super) fn make_table(rendering: &Rendering, args: Args) -> PyResult {
    let given = args.builtin("str.maketrans", 1, 3)?;
    if let Some(at) = given.iter().skip(1).position(|value| value.as_str().is_none()) {
        let name = given.get(at + 1).map_or("None", argument_type);
        return type_error(format!("maketrans() argument {} must be str, not {name}", at + 2));
    }
    let mut table = IndexMap::new();
    match given.as_slice() {
        [Value::Dict(dict)] => {
            rendering.allocate(dict.len() * 2 * size_of::<Value>())?;
            for (key, value) in &*dict.entries() {
                table.insert(table_key(key.value())?.key()?, value.clone());
            }
        }
        [_] | [] => return type_error("if you give only one argument to maketrans it must be a dict"),
        [Value::Str(from), Value::Str(to), more @ ..] => {
            if from.chars().count() != to.chars().count() {
                return value_error("the first two maketrans arguments must have equal length");
            }
            rendering.allocate(from.len() * 2 * size_of::<Value>())?;
            for (from, to) in from.chars().zip(to.chars()) {
                table.insert(Value::size(from as usize).key()?, Value::size(to as usize));
            }
            if let [Value::Str(removed), ..] = more {
                for c in removed.chars() {
                    rendering.allocate(2 * size_of::<Value>())?;
                    table.insert(Value::size(c as usize).key()?, Value::None);
                }
            }
        }
        _ => return type_error("first maketrans argument must be a string if there is a second argument"),
    }
    Ok(Value::dict(table))
}

fn table_key(key: &Value) -> PyResult {
    match key {
        Value::Str(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(Value::size(c as usize)),
                _ => value_error("string keys in translate table must be of length 1"),
            }
        }
        key if key.as_int().is_some() => Ok(key.clone()),
        _ => type_error("keys in translate table must be strings or integers"),
    }
}
