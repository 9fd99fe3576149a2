//! Sequences: subscripts and slices of `str`, `list` and `tuple`, and the methods that `list` and `tuple` share.

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, type_error, value_error},
        repr,
        value::{Value, equal},
    },
};

/// `x[index]` of a list, tuple or text, negative indexes counted from the end.
pub(crate) fn element(value: &Value, index: i64) -> Option<Value> {
    let at = |length: usize| {
        let length = i64::try_from(length).ok()?;
        usize::try_from(if index < 0 { index.checked_add(length)? } else { index }).ok()
    };
    match value {
        Value::List(list) => {
            let items = list.items();
            items.get(at(items.len())?).cloned()
        }
        Value::Tuple(tuple) => tuple.items.get(at(tuple.items.len())?).cloned(),
        Value::Str(text) if text.is_ascii() => {
            let at = at(text.len())?;
            text.get(at..=at).map(|one| text.like(one))
        }
        Value::Str(text) => text.chars().nth(at(text.chars().count())?).map(|c| text.like(c.to_string())),
        _ => None,
    }
}

/// `x[start:stop:step]`
pub(crate) fn slice(rendering: &Rendering, value: &Value, bounds: [&Value; 3]) -> PyResult {
    match value {
        Value::Str(text) => {
            rendering.work(text.len() / 64)?;
            let picked: String = if text.is_ascii() {
                let bytes = text.as_bytes();
                picks(bytes.len(), bounds)?.filter_map(|at| bytes.get(at).copied().map(char::from)).collect()
            } else {
                rendering.allocate(text.len())?;
                let chars: Vec<char> = text.chars().collect();
                picks(chars.len(), bounds)?.filter_map(|at| chars.get(at)).collect()
            };
            rendering.allocate(picked.len())?;
            Ok(text.like(picked))
        }
        Value::List(list) => Ok(Value::list(sliced(rendering, &list.items(), bounds)?)),
        Value::Tuple(tuple) => Ok(Value::tuple(sliced(rendering, &tuple.items, bounds)?)),
        Value::Undefined(undefined) => Err(undefined.raise()),
        Value::Dict(_) => {
            let shown: Vec<String> =
                bounds.iter().map(|bound| repr::repr(rendering, bound)).collect::<PyResult<_>>()?;
            Err(Exception::new(ExceptionClass::KeyError, format!("slice({})", shown.join(", "))))
        }
        other => type_error(format!("'{}' object is not subscriptable", other.operand_name())),
    }
}

fn sliced(rendering: &Rendering, items: &[Value], bounds: [&Value; 3]) -> PyResult<Vec<Value>> {
    rendering.allocate(picks(items.len(), bounds)?.count() * size_of::<Value>())?;
    let picked: Vec<Value> = picks(items.len(), bounds)?.filter_map(|at| items.get(at).cloned()).collect();
    Ok(picked)
}

/// The indexes that a slice picks from a sequence of this length, in the order of the slice.
fn picks(length: usize, [start, stop, step]: [&Value; 3]) -> PyResult<impl Iterator<Item = usize>> {
    let bound = |value: &Value| match value {
        Value::None => Ok(None),
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => value.index().map(Some),
        _ => type_error("slice indices must be integers or None or have an __index__ method"),
    };
    let step = bound(step)?.unwrap_or(1).max(-i64::MAX);
    if step == 0 {
        return value_error("slice step cannot be zero");
    }
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // The bounds of a walk in this direction.
    let (low, high) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let clamp = |at: i64| if at < 0 { (at.saturating_add(length)).max(low) } else { at.min(high) };
    let start = bound(start)?.map_or(if step < 0 { high } else { low }, clamp);
    let stop = bound(stop)?.map_or(if step < 0 { low } else { high }, clamp);
    let walk = std::iter::successors(Some(start), move |at| at.checked_add(step));
    Ok(walk
        .take_while(move |at| if step < 0 { *at > stop } else { *at < stop })
        .filter_map(|at| usize::try_from(at).ok()))
}

/// `list.count` and `tuple.count`; `name` is as messages give it.
pub(super) fn count(rendering: &Rendering, items: &[Value], args: Args, name: &str) -> PyResult {
    let item = args.only(name)?;
    rendering.work(items.len() / 16)?;
    Ok(Value::size(items.iter().filter(|other| equal(other, &item)).count()))
}

/// `list.index` and `tuple.index`; `missing` is the message if the item is not there.
pub(super) fn index(rendering: &Rendering, items: &[Value], args: Args, missing: &str) -> PyResult {
    let owner = if missing.starts_with("tuple") { "tuple.index" } else { "list.index" };
    let args = args.builtin(owner, 1, 3)?;
    let bound = |at: usize, default: usize| match args.get(at) {
        None => Ok(default),
        Some(value) if value.as_int().is_none() => {
            type_error("slice indices must be integers or have an __index__ method")
        }
        Some(value) => Ok(from_end(value.index()?, items.len())),
    };
    let (start, end) = (bound(1, 0)?, bound(2, items.len())?);
    rendering.work(items.len() / 16)?;
    let wanted = args.first().unwrap_or(&Value::None);
    let found = items.iter().enumerate().take(end).skip(start).find(|(_, item)| equal(item, wanted));
    found.map_or_else(|| value_error(missing), |(at, _)| Ok(Value::size(at)))
}

/// An index as slices take it: counted from the end if it is negative, and not before the start.
pub(super) fn from_end(index: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index.saturating_add(length).max(0) } else { index };
    usize::try_from(index).unwrap_or(usize::MAX)
}
