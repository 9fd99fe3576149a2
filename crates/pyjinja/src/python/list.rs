//! The methods of `list`.

use std::rc::Rc;

use crate::{
    eval::{access, rendering::Rendering},
    python::{
        arguments::{Args, size},
        exception::{PyResult, other_error, value_error},
        repr,
        sequence::{count, from_end, index},
        sorting,
        value::{List, Value, equal},
    },
};

/// The names of its methods.
pub(crate) const METHODS: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

/// `list.method(args)`
pub(crate) fn call(rendering: &Rendering, list: &Rc<List>, method: &str, args: Args) -> PyResult {
    let name = format!("list.{method}");
    match method {
        "append" => {
            let item = args.only(&name)?;
            rendering.allocate(size_of::<Value>())?;
            list.items_mut().push(item);
        }
        "clear" => {
            args.builtin(&name, 0, 0)?;
            let dropped = std::mem::take(&mut *list.items_mut());
            drop(dropped);
        }
        "copy" => {
            args.builtin(&name, 0, 0)?;
            return Ok(Value::list(Value::List(Rc::clone(list)).iterate(rendering)?));
        }
        "count" => return count(rendering, &list.items(), args, &name),
        "index" => {
            let items = list.items();
            let missing = match args.positional.first() {
                Some(item) if args.positional.len() <= 3 => format!("{} is not in list", repr::repr(rendering, item)?),
                _ => String::new(),
            };
            return index(rendering, &items, args, &missing);
        }
        "extend" => {
            let items = args.only(&name)?.iterate(rendering)?;
            list.items_mut().extend(items);
        }
        "insert" => {
            let mut args = args.builtin(&name, 2, 2)?.into_iter();
            let at = size(&args.next().unwrap_or(Value::None))?;
            let mut items = list.items_mut();
            rendering.allocate(size_of::<Value>())?;
            rendering.work(items.len() / 64)?;
            let at = from_end(at, items.len()).min(items.len());
            items.insert(at, args.next().unwrap_or(Value::None));
        }
        "pop" => return pop(rendering, list, args),
        "remove" => {
            let item = args.only(&name)?;
            rendering.work(list.items().len() / 16)?;
            let found = list.items().iter().position(|other| equal(other, &item));
            match found {
                Some(at) => drop(list.items_mut().remove(at)),
                None => return value_error("list.remove(x): x not in list"),
            }
        }
        "reverse" => {
            args.builtin(&name, 0, 0)?;
            rendering.work(list.items().len() / 16)?;
            list.items_mut().reverse();
        }
        _ => return sort(rendering, list, args),
    }
    Ok(Value::None)
}

fn pop(rendering: &Rendering, list: &List, args: Args) -> PyResult {
    let args = args.builtin("list.pop", 0, 1)?;
    let at = args.first().map_or(Ok(-1), size)?;
    let mut items = list.items_mut();
    if items.is_empty() {
        return other_error("pop from empty list");
    }
    rendering.work(items.len() / 64)?;
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let at = if at < 0 { at.saturating_add(length) } else { at };
    match usize::try_from(at) {
        Ok(at) if at < items.len() => Ok(items.remove(at)),
        _ => other_error("pop index out of range"),
    }
}

fn sort(rendering: &Rendering, list: &List, args: Args) -> PyResult {
    let mut args = args.keywords("sort", &[], &["key", "reverse"], 0)?.into_iter();
    let key = args.next().flatten().filter(|key| !matches!(key, Value::None));
    let reverse = args.next().flatten().is_some_and(|reverse| reverse.truth());
    // As in Python the list is empty while it is sorted.
    let items = std::mem::take(&mut *list.items_mut());
    rendering.allocate(items.len() * 2 * size_of::<Value>())?;
    let keyed: PyResult<Vec<(Value, Value)>> = items
        .iter()
        .map(|item| match &key {
            Some(key) => Ok((access::call(rendering, key, Args::of(vec![item.clone()]))?, item.clone())),
            None => Ok((item.clone(), item.clone())),
        })
        .collect();
    let sorted = keyed.and_then(|keyed| sorting::sorted(rendering, keyed, reverse));
    let modified = !list.items().is_empty();
    *list.items_mut() = match &sorted {
        Ok(sorted) => sorted.iter().map(|(_, item)| item.clone()).collect(),
        Err(_) => items,
    };
    sorted?;
    if modified { value_error("list modified during sort") } else { Ok(Value::None) }
}
