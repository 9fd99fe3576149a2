//! `pprint`: Python's `pprint.pformat`, keys sorted, one line of up to 80 characters or one item a line.

use super::given;
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        exception::PyResult,
        repr, sorting,
        value::Value,
    },
};

const WIDTH: usize = 80;

pub(super) fn pprint(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_pprint", 0, &["value"], &[]))?;
    let mut out = String::new();
    write(rendering, &sorted(rendering, &given(value))?, 0, 0, &mut out)?;
    Ok(Value::text(out))
}

/// The value with the keys of its dicts in order.
fn sorted(rendering: &Rendering, value: &Value) -> PyResult {
    let _deeper = rendering.deeper()?;
    match value {
        Value::Dict(dict) => {
            rendering.allocate(dict.len() * 4 * size_of::<Value>())?;
            let entries = || dict.entries().iter().map(|(key, value)| (key.value().clone(), value.clone())).collect();
            // Keys that can't be compared stay in their order.
            let entries: Vec<_> = sorting::sorted(rendering, entries(), false).unwrap_or_else(|_| entries());
            let entries = entries.into_iter().map(|(key, value)| Ok((key.key()?, sorted(rendering, &value)?)));
            Ok(Value::dict(entries.collect::<PyResult<_>>()?))
        }
        Value::List(list) => {
            rendering.work(list.items().len())?;
            rendering.allocate((1 + list.items().len()) * size_of::<Value>())?;
            Ok(Value::list(list.items().iter().map(|item| sorted(rendering, item)).collect::<PyResult<_>>()?))
        }
        other => Ok(other.clone()),
    }
}

fn write(rendering: &Rendering, value: &Value, indent: usize, after: usize, out: &mut String) -> PyResult<()> {
    let _deeper = rendering.deeper()?;
    let line = repr::repr(rendering, value)?;
    let fits = line.chars().count() + indent + after <= WIDTH;
    match value {
        Value::Dict(dict) if !fits && dict.len() > 0 => {
            out.push('{');
            let entries = dict.entries();
            let last = entries.len() - 1;
            for (index, (key, value)) in entries.iter().enumerate() {
                let key = repr::repr(rendering, key.value())?;
                let inside = indent + key.chars().count() + 3;
                out.push_str(&key);
                out.push_str(": ");
                write(rendering, value, inside, if index == last { after + 1 } else { 1 }, out)?;
                separate(rendering, index == last, indent + 1, out)?;
            }
            out.push('}');
        }
        Value::List(_) | Value::Tuple(_) if !fits => {
            let (open, close) = if matches!(value, Value::List(_)) { ("[", "]") } else { ("(", ")") };
            out.push_str(open);
            let items = value.iterate(rendering)?;
            for (index, item) in items.iter().enumerate() {
                let last = index + 1 == items.len();
                write(rendering, item, indent + 1, if last { after + 1 } else { 1 }, out)?;
                separate(rendering, last, indent + 1, out)?;
            }
            out.push_str(close);
        }
        _ => out.push_str(&line),
    }
    Ok(())
}

fn separate(rendering: &Rendering, last: bool, indent: usize, out: &mut String) -> PyResult<()> {
    if !last {
        rendering.allocate(indent)?;
        out.push_str(",\n");
        out.extend(std::iter::repeat_n(' ', indent));
    }
    Ok(())
}
