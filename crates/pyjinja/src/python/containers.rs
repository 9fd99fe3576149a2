//! The methods of `list`, `tuple` and `dict`, and the views of a `dict`.

use std::rc::Rc;

use indexmap::IndexMap;

use crate::{
    eval,
    eval::rendering::Rendering,
    python::{
        arguments::{Args, size},
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        operators::equal,
        print, sorting,
        value::{Dict, Key, List, Object, Value},
    },
};

/// The names of the methods of a `list`, `tuple` or `dict`.
pub(crate) fn methods(value: &Value) -> &'static [&'static str] {
    match value {
        Value::List(_) => {
            &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"]
        }
        Value::Tuple(_) => &["count", "index"],
        Value::Dict(_) => {
            &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"]
        }
        _ => &[],
    }
}

/// `value.method(args)`
pub(crate) fn call(rendering: &Rendering, value: &Value, method: &str, args: Args) -> PyResult {
    if matches!(method, "append" | "extend" | "insert" | "setdefault" | "update") {
        rendering.hold(value)?;
    }
    match value {
        Value::List(list) => list_method(rendering, list, method, args),
        Value::Tuple(tuple) => match method {
            "count" => count(rendering, &tuple.items, args, "tuple.count"),
            _ => index(rendering, &tuple.items, args, "tuple.index(x): x not in tuple"),
        },
        Value::Dict(dict) => dict_method(rendering, dict, method, args),
        other => type_error(format!("'{}' object has no methods", other.type_name())),
    }
}

fn list_method(rendering: &Rendering, list: &Rc<List>, method: &str, args: Args) -> PyResult {
    let name = format!("list.{method}");
    match method {
        "append" => {
            let item = one(args, &name)?;
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
                Some(item) if args.positional.len() <= 3 => format!("{} is not in list", print::repr(rendering, item)?),
                _ => String::new(),
            };
            return index(rendering, &items, args, &missing);
        }
        "extend" => {
            let items = one(args, &name)?.iterate(rendering)?;
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
            let item = one(args, &name)?;
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
        _ => return sort_method(rendering, list, args),
    }
    Ok(Value::None)
}

fn one(args: Args, name: &str) -> PyResult {
    Ok(args.builtin(name, 1, 1)?.into_iter().next().unwrap_or(Value::None))
}

/// An index as slices take it: from the end if it is negative, and not before the start.
fn from_end(index: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { index.saturating_add(length).max(0) } else { index };
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn count(rendering: &Rendering, items: &[Value], args: Args, name: &str) -> PyResult {
    let item = one(args, name)?;
    rendering.work(items.len() / 16)?;
    Ok(Value::size(items.iter().filter(|other| equal(other, &item)).count()))
}

fn index(rendering: &Rendering, items: &[Value], args: Args, missing: &str) -> PyResult {
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

fn sort_method(rendering: &Rendering, list: &List, args: Args) -> PyResult {
    let mut args = args.keywords("sort", &[], &["key", "reverse"], 0)?.into_iter();
    let key = args.next().flatten().filter(|key| !matches!(key, Value::None));
    let reverse = args.next().flatten().is_some_and(|reverse| reverse.truth());
    // As in Python the list is empty while it is sorted.
    let items = std::mem::take(&mut *list.items_mut());
    rendering.allocate(items.len() * 2 * size_of::<Value>())?;
    let keyed: PyResult<Vec<(Value, Value)>> = items
        .iter()
        .map(|item| match &key {
            Some(key) => Ok((eval::call(rendering, key, Args::of(vec![item.clone()]))?, item.clone())),
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

fn dict_method(rendering: &Rendering, dict: &Rc<Dict>, method: &str, args: Args) -> PyResult {
    let name = format!("dict.{method}");
    match method {
        "keys" | "values" | "items" => {
            args.builtin(&name, 0, 0)?;
            let kind = match method {
                "keys" => Kind::Keys,
                "values" => Kind::Values,
                _ => Kind::Items,
            };
            Ok(Value::object(View { dict: Rc::clone(dict), kind }))
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
        "pop" => {
            let (key, default) = key_and_default(args.builtin(&name, 1, 2)?);
            rendering.work(dict.len() / 64)?;
            let found = match dict.len() {
                // Python looks at no key where there is none.
                0 => None,
                _ => dict.entries_mut().shift_remove(&key.key()?),
            };
            match found.or(default) {
                Some(value) => Ok(value),
                None => Err(Exception::new(ExceptionClass::KeyError, print::repr(rendering, &key)?)),
            }
        }
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
            Ok(if dict.defaulting { Value::defaulting(entries) } else { Value::dict(entries) })
        }
        "fromkeys" => {
            let (keys, value) = key_and_default(args.builtin(&name, 1, 2)?);
            let mut entries = IndexMap::new();
            for key in keys.iterate(rendering)? {
                rendering.allocate(2 * size_of::<Value>())?;
                entries.insert(key.key()?, value.clone().unwrap_or(Value::None));
            }
            Ok(Value::dict(entries))
        }
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

/// The entries that `dict(x)` has.
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Keys,
    Values,
    Items,
}

/// What `keys`, `values` and `items` of a dict give: it changes as the dict does.
struct View {
    dict: Rc<Dict>,
    kind: Kind,
}

impl View {
    fn items(&self) -> Vec<Value> {
        let entries = self.dict.entries();
        match self.kind {
            Kind::Keys => entries.keys().map(|key| key.value().clone()).collect(),
            Kind::Values => entries.values().cloned().collect(),
            Kind::Items => {
                entries.iter().map(|(key, value)| Value::tuple(vec![key.value().clone(), value.clone()])).collect()
            }
        }
    }
}

impl Object for View {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Keys => "dict_keys",
            Kind::Values => "dict_values",
            Kind::Items => "dict_items",
        }
    }

    fn repr(&self, rendering: &Rendering) -> PyResult<String> {
        let _deeper = rendering.deeper()?;
        rendering.allocate(self.dict.len() * 2 * size_of::<Value>())?;
        Ok(format!("{}({})", self.type_name(), print::repr(rendering, &Value::list(self.items()))?))
    }

    fn hashable(&self) -> bool {
        self.kind == Kind::Values
    }

    fn methods(&self) -> &'static [&'static str] {
        if self.kind == Kind::Values { &[] } else { &["isdisjoint"] }
    }

    fn call_method(&self, rendering: &Rendering, name: &str, args: Args) -> PyResult {
        let others = one(args, &format!("{}.{name}", self.type_name()))?.iterate(rendering)?;
        let own = self.items();
        rendering.work(own.len().saturating_mul(others.len()) / 16)?;
        Ok(Value::Bool(!others.iter().any(|other| own.iter().any(|item| equal(item, other)))))
    }

    fn length(&self) -> Option<usize> {
        Some(self.dict.len())
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(Ok(self.items()))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        let other = other.downcast::<Self>()?;
        if self.kind == Kind::Values || other.kind == Kind::Values {
            return None;
        }
        if self.dict.len() != other.dict.len() {
            return Some(false);
        }
        let entries = other.dict.entries();
        if self.kind == Kind::Keys && other.kind == Kind::Keys {
            return Some(self.dict.entries().keys().all(|key| entries.contains_key(key)));
        }
        let others = other.items();
        Some(self.items().iter().all(|item| others.iter().any(|other| equal(item, other))))
    }

    fn take_values(&mut self) -> Vec<Value> {
        match Value::dict(IndexMap::new()) {
            Value::Dict(empty) => vec![Value::Dict(std::mem::replace(&mut self.dict, empty))],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::python::tests::{Row, check};

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (r#"["a", "a", "c", "a", "c"]"#, "index", r#"["a"]"#, "0 => ['a', 'a', 'c', 'a', 'c']"),
        (r#"["a", "a", "c", "B", "B"]"#, "remove", r#"["a"]"#, "None => ['a', 'c', 'B', 'B']"),
        (r#"["a", "a", "a", "a", "a"]"#, "copy", "[]", "['a', 'a', 'a', 'a', 'a'] => ['a', 'a', 'a', 'a', 'a']"),
        (r#"["b", "a"]"#, "reverse", "[]", "None => ['a', 'b']"),
        (r#"[1, "a"]"#, "index", r#"["ab", -1]"#, "ValueError: 'ab' is not in list => [1, 'a']"),
        (r#"[1, "a"]"#, "pop", "[-5]", "Other: pop index out of range => [1, 'a']"),
        (r#"[1, "a"]"#, "index", "[-1]", "ValueError: -1 is not in list => [1, 'a']"),
        (r#"["b", "a"]"#, "index", "[[]]", "ValueError: [] is not in list => ['b', 'a']"),
        (r#"[1, "a"]"#, "remove", "[1]", "None => ['a']"),
        (r#"[1, "a"]"#, "insert", r#"[3, {"$t": [1, 2]}]"#, "None => [1, 'a', (1, 2)]"),
        ("[1]", "append", "[]", "TypeError: list.append() takes exactly one argument (0 given) => [1]"),
        ("[1]", "clear", "[1]", "TypeError: list.clear() takes no arguments (1 given) => [1]"),
        (r#"{"$d": []}"#, "clear", "[-1]", "TypeError: dict.clear() takes no arguments (1 given) => {}"),
        (r#"{"$d": []}"#, "copy", "[]", "{} => {}"),
        ("[1]", "copy", "[3]", "TypeError: list.copy() takes no arguments (1 given) => [1]"),
        (r#"{"$d": []}"#, "copy", "[100]", "TypeError: dict.copy() takes no arguments (1 given) => {}"),
        ("[]", "count", "[]", "TypeError: list.count() takes exactly one argument (0 given) => []"),
        (r#"{"$t": []}"#, "count", "[2]", "0"),
        (r#"{"$t": [1]}"#, "count", "[]", "TypeError: tuple.count() takes exactly one argument (0 given)"),
        ("[]", "extend", "[1, 5]", "TypeError: list.extend() takes exactly one argument (2 given) => []"),
        (r#"{"$d": []}"#, "fromkeys", r#"[{"$u": "nope"}]"#, "{} => {}"),
        (r#"{"$d": []}"#, "fromkeys", "[]", "TypeError: fromkeys expected at least 1 argument, got 0 => {}"),
        (r#"{"$d": []}"#, "fromkeys", r#"[[], {"$d": [["z", 9]]}]"#, "{} => {}"),
        (r#"{"$d": []}"#, "get", "[[[1]]]", "TypeError: unhashable type: 'list' => {}"),
        ("[]", "index", "[]", "TypeError: index expected at least 1 argument, got 0 => []"),
        ("[]", "index", "[0]", "ValueError: 0 is not in list => []"),
        ("[]", "index", r#"[[{"$t": ["x", 1]}]]"#, "ValueError: [('x', 1)] is not in list => []"),
        ("[1]", "insert", "[[[1]], []]", "TypeError: 'list' object cannot be interpreted as an integer => [1]"),
        (r#"{"$d": []}"#, "items", r#"[-5, "b"]"#, "TypeError: dict.items() takes no arguments (2 given) => {}"),
        (r#"{"$d": []}"#, "items", "[]", "dict_items([]) => {}"),
        (r#"{"$d": []}"#, "keys", "[]", "dict_keys([]) => {}"),
        (r#"{"$d": []}"#, "keys", r#"["ab"]"#, "TypeError: dict.keys() takes no arguments (1 given) => {}"),
        (r#"{"$d": []}"#, "pop", r#"[{"$t": ["ab"]}]"#, "KeyError: ('ab',) => {}"),
        ("[1]", "pop", r#"["b"]"#, "TypeError: 'str' object cannot be interpreted as an integer => [1]"),
        (r#"{"$d": []}"#, "pop", r#"[["ab", "c"], {"$u": "nope"}]"#, "Undefined => {}"),
        (r#"{"$d": []}"#, "pop", "[]", "TypeError: pop expected at least 1 argument, got 0 => {}"),
        ("[]", "pop", r#"[{"$d": [["a", 1]]}, -5]"#, "TypeError: pop expected at most 1 argument, got 2 => []"),
        (r#"{"$d": []}"#, "pop", "[[[[], 1]]]", "KeyError: [[[], 1]] => {}"),
        (r#"{"$d": []}"#, "pop", "[5]", "KeyError: 5 => {}"),
        (r#"{"$d": []}"#, "pop", "[[]]", "KeyError: [] => {}"),
        ("[1]", "pop", "[5]", "Other: pop index out of range => [1]"),
        (r#"{"$d": []}"#, "pop", "[[1]]", "KeyError: [1] => {}"),
        (r#"{"$d": []}"#, "pop", "[true]", "KeyError: True => {}"),
        (r#"{"$d": []}"#, "popitem", "[]", "KeyError: 'popitem(): dictionary is empty' => {}"),
        (r#"{"$d": []}"#, "popitem", "[[1]]", "TypeError: dict.popitem() takes no arguments (1 given) => {}"),
        ("[1]", "remove", "[1]", "None => []"),
        ("[1]", "remove", r#"["a", 1]"#, "TypeError: list.remove() takes exactly one argument (2 given) => [1]"),
        ("[]", "reverse", "[]", "None => []"),
        ("[]", "reverse", r#"[0, "x"]"#, "TypeError: list.reverse() takes no arguments (2 given) => []"),
        (r#"{"$d": []}"#, "setdefault", "[]", "TypeError: setdefault expected at least 1 argument, got 0 => {}"),
        (r#"{"$d": []}"#, "setdefault", "[[1]]", "TypeError: unhashable type: 'list' => {}"),
        ("[]", "sort", "[]", "None => []"),
        ("[1]", "sort", "[[], null, null]", "TypeError: sort() takes at most 2 arguments (3 given) => [1]"),
        ("[1]", "sort", "[]", "None => [1]"),
        ("[]", "sort", "[null, -5]", "TypeError: sort() takes no positional arguments => []"),
        (r#"{"$d": []}"#, "values", "[2]", "TypeError: dict.values() takes no arguments (1 given) => {}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "get", r#"[{"$u": "nope"}]"#, "None => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "copy", "[]", "{1: 'x', None: 2} => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "keys", "[]", "dict_keys([1, None]) => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "update", "[]", "None => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "pop", r#"["b"]"#, "KeyError: 'b' => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "popitem", "[]", "(None, 2) => {1: 'x'}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "values", "[]", "dict_values(['x', 2]) => {1: 'x', None: 2}"),
        (r#"{"$d": [[1, "x"], [null, 2]]}"#, "setdefault", "[1, [1]]", "'x' => {1: 'x', None: 2}"),
        ("[3, 1, 2]", "index", r#"[["ab", "cd"]]"#, "ValueError: ['ab', 'cd'] is not in list => [3, 1, 2]"),
        (r#"["a", 1, "b", 2]"#, "index", "[1]", "1 => ['a', 1, 'b', 2]"),
        ("[3, 1, 2]", "insert", "[]", "TypeError: insert expected 2 arguments, got 0 => [3, 1, 2]"),
        (r#"["a", 1, "b", 2]"#, "extend", "[[1]]", "None => ['a', 1, 'b', 2, 1]"),
        ("[3, 1, 2]", "index", r#"["a"]"#, "ValueError: 'a' is not in list => [3, 1, 2]"),
        (r#"["a", 1, "b", 2]"#, "index", "[-5]", "ValueError: -5 is not in list => ['a', 1, 'b', 2]"),
        ("[3, 1, 2]", "clear", "[]", "None => []"),
        (r#"{"$t": [3, 1, 2]}"#, "index", "[1]", "1"),
        ("[3, 1, 2]", "index", r#"[{"$u": "nope"}]"#, "ValueError: Undefined is not in list => [3, 1, 2]"),
        ("[3, 1, 2]", "index", r#"[{"$d": [["z", 9]]}]"#, "ValueError: {'z': 9} is not in list => [3, 1, 2]"),
        ("[3, 1, 2]", "extend", "[-1]", "TypeError: 'int' object is not iterable => [3, 1, 2]"),
        (r#"{"$d": [[true, 1], [{"$f": "2.0"}, 3]]}"#, "update", "[]", "None => {True: 1, 2.0: 3}"),
        (r#"{"$d": [["a", 1], ["b", [2]]]}"#, "fromkeys", r#"[{"$u": "nope"}]"#, "{} => {'a': 1, 'b': [2]}"),
        (r#"{"$d": [["a", 1], ["b", [2]]]}"#, "values", "[]", "dict_values([1, [2]]) => {'a': 1, 'b': [2]}"),
        (r#"{"$d": [["a", 1], ["b", [2]]]}"#, "pop", "[3]", "KeyError: 3 => {'a': 1, 'b': [2]}"),
        (r#"{"$d": [[true, 1], [{"$f": "2.0"}, 3]]}"#, "pop", r#"[{"$f": "1.0"}, 1]"#, "1 => {2.0: 3}"),
        (r#"{"$d": [["a", 1], ["b", [2]]]}"#, "pop", "[null]", "KeyError: None => {'a': 1, 'b': [2]}"),
        ("[null, 1]", "extend", r#"[{"$t": ["ab"]}]"#, "None => [None, 1, 'ab']"),
        ("[null, 1]", "pop", "[100]", "Other: pop index out of range => [None, 1]"),
        ("[null, 1]", "clear", "[]", "None => []"),
        ("[null, 1]", "index", "[100]", "ValueError: 100 is not in list => [None, 1]"),
        (r#"{"$d": [["a", 1]]}"#, "update", "[[[[], 1]]]", "TypeError: unhashable type: 'list' => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "get", r#"["a", {"$t": [1, 2]}]"#, "1 => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "get", r#"[["ab", "cd"]]"#, "TypeError: unhashable type: 'list' => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "update", "[-1]", "TypeError: 'int' object is not iterable => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "clear", "[]", "None => {}"),
        (r#"{"$d": [["a", 1]]}"#, "fromkeys", "[100]", "TypeError: 'int' object is not iterable => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "pop", r#"[{"$f": "1.0"}]"#, "KeyError: 1.0 => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "items", "[]", "dict_items([('a', 1)]) => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "update", r#"[["ab", "cd"]]"#, "None => {'a': 'b', 'c': 'd'}"),
        (r#"{"$d": [["a", 1]]}"#, "get", "[]", "TypeError: get expected at least 1 argument, got 0 => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "keys", "[]", "dict_keys(['a']) => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "popitem", "[]", "('a', 1) => {}"),
        (r#"{"$d": [["a", 1]]}"#, "pop", r#"["x"]"#, "KeyError: 'x' => {'a': 1}"),
        (r#"{"$d": [["a", 1]]}"#, "pop", "[null]", "KeyError: None => {'a': 1}"),
        (r#"{"$t": [null, 1]}"#, "count", "[-5]", "0"),
        (r#"{"$t": [3, 2, 1, "x"]}"#, "index", "[[1], 5]", "ValueError: tuple.index(x): x not in tuple"),
        (r#"[3, 2, 1, "x"]"#, "append", r#"["ab"]"#, "None => [3, 2, 1, 'x', 'ab']"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "pop", r#"["ab"]"#, "KeyError: 'ab' => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "pop", r#"[{"$f": "1.0"}]"#, "KeyError: 1.0 => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "setdefault", r#"["x", "x"]"#, "'x' => {(1, 2): 3, 'x': 'x'}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "pop", "[-1]", "KeyError: -1 => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "get", "[[]]", "TypeError: unhashable type: 'list' => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "popitem", "[]", "((1, 2), 3) => {}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "pop", r#"[{"$t": ["ab"]}]"#, "KeyError: ('ab',) => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "get", "[-5]", "None => {(1, 2): 3}"),
        (r#"{"$d": [[{"$t": [1, 2]}, 3]]}"#, "pop", "[null]", "KeyError: None => {(1, 2): 3}"),
        ("[[2], [1]]", "pop", "[]", "[1] => [[2]]"),
        ("[[2], [1]]", "reverse", "[]", "None => [[1], [2]]"),
        ("[[2], [1]]", "pop", "[3]", "Other: pop index out of range => [[2], [1]]"),
        ("[[2], [1]]", "insert", r#"[1, "x"]"#, "None => [[2], 'x', [1]]"),
        ("[[2], [1]]", "index", "[[[1]]]", "ValueError: [[1]] is not in list => [[2], [1]]"),
        ("[[2], [1]]", "extend", "[[1]]", "None => [[2], [1], 1]"),
        ("[[2], [1]]", "sort", "[]", "None => [[1], [2]]"),
        ("[[2], [1]]", "remove", "[[[[], 1]]]", "ValueError: list.remove(x): x not in list => [[2], [1]]"),
        (r#"[1, {"$f": "1.0"}, true, 2]"#, "append", "[[[[], 1]]]", "None => [1, 1.0, True, 2, [[[], 1]]]"),
    ];

    #[test]
    fn methods_of_containers_do_as_in_python() {
        check(ROWS);
    }
}
