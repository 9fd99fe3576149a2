//! Filters over lists and other things that can be iterated.

use std::rc::Rc;

use super::{argument_error, flag, given, missing_attribute, soft};
use crate::{
    builtins::globals::below,
    eval::{access, objects::lazy, rendering::Rendering},
    python::{
        arguments::{Args, Signature},
        comparison::{self, less},
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error},
        markup,
        object::Operator,
        operators,
        quote::quote,
        repr, sequence,
        sorting::sorted,
        value::{Key, Text, Tuple, Undefined, Value, equal},
    },
};

/// The parts of an attribute's path: `labels.0` is the first of the labels.
fn path(attribute: Option<&Value>) -> Vec<Value> {
    match attribute {
        None | Some(Value::None) => Vec::new(),
        Some(Value::Str(path)) => path
            .split('.')
            .map(|part| {
                let digits = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
                part.parse().ok().filter(|_| digits).map_or_else(|| Value::text(part), Value::Int)
            })
            .collect(),
        Some(index) => vec![index.clone()],
    }
}

/// Gets the part of each item that a filter looks at.
struct Getter {
    path: Vec<Value>,
    default: Option<Value>,
    fold_case: bool,
}

impl Getter {
    fn new(attribute: Option<&Value>, case_sensitive: bool) -> Self {
        Self { path: path(attribute), default: None, fold_case: !case_sensitive }
    }

    fn plain(attribute: Option<&Value>, default: Option<Value>) -> Self {
        let default = default.filter(|default| !matches!(default, Value::None));
        Self { path: path(attribute), default, fold_case: false }
    }

    fn get(&self, rendering: &Rendering, item: &Value) -> PyResult {
        let mut value = item.clone();
        for part in &self.path {
            value = access::item(rendering, &value, part)?;
            if let (Value::Undefined(_), Some(default)) = (&value, &self.default) {
                value = default.clone();
            }
        }
        Ok(match value {
            Value::Str(text) if self.fold_case => {
                rendering.work(text.len() / 64)?;
                rendering.allocate(text.len())?;
                text.like(text.to_lowercase())
            }
            other => other,
        })
    }
}

/// `sorted`'s own argument.
fn descending(reverse: Option<Value>) -> bool {
    reverse.is_some_and(|reverse| reverse.truth())
}

fn keyed(rendering: &Rendering, items: Vec<Value>, key: impl Fn(&Value) -> PyResult) -> PyResult<Vec<(Value, Value)>> {
    rendering.allocate(items.len() * 2 * size_of::<Value>())?;
    items.into_iter().map(|item| Ok((key(&item)?, item))).collect()
}

pub(super) fn sort(rendering: &Rendering, args: Args) -> PyResult {
    let [value, reverse, case_sensitive, attribute] =
        args.take_all(&Signature::new("do_sort", 1, &["value"], &["reverse", "case_sensitive", "attribute"]))?;
    let case_sensitive = flag(case_sensitive);
    let getters: Vec<Getter> = match &attribute {
        Some(Value::Str(attributes)) => {
            attributes.split(',').map(|part| Getter::new(Some(&Value::text(part)), case_sensitive)).collect()
        }
        other => vec![Getter::new(other.as_ref(), case_sensitive)],
    };
    let items = keyed(rendering, given(value).iterate(rendering)?, |item| {
        Ok(Value::list(getters.iter().map(|getter| getter.get(rendering, item)).collect::<PyResult<_>>()?))
    })?;
    let items = sorted(rendering, items, descending(reverse))?;
    Ok(Value::list(items.into_iter().map(|(_, item)| item).collect()))
}

pub(super) fn dictsort(rendering: &Rendering, args: Args) -> PyResult {
    let [value, case_sensitive, by, reverse] =
        args.take_all(&Signature::new("do_dictsort", 0, &["value"], &["case_sensitive", "by", "reverse"]))?;
    let by = by.unwrap_or_else(|| Value::text("key"));
    let position = match by.as_str().map_or("", |by| &**by) {
        "key" => 0,
        "value" => 1,
        _ => return argument_error("You can only sort by either \"key\" or \"value\""),
    };
    let getter = Getter::new(Some(&Value::Int(position)), flag(case_sensitive));
    let items = sorted(
        rendering,
        keyed(rendering, pairs(&given(value))?, |item| getter.get(rendering, item))?,
        descending(reverse),
    )?;
    Ok(Value::list(items.into_iter().map(|(_, item)| item).collect()))
}

/// `x.items()`
fn pairs(value: &Value) -> PyResult<Vec<Value>> {
    match value {
        Value::Dict(dict) => Ok(dict
            .entries()
            .iter()
            .map(|(key, value)| Value::tuple(vec![key.value().clone(), value.clone()]))
            .collect()),
        other => missing_attribute(other, "items"),
    }
}

const ITEMS: Signature = Signature::new("do_items", 0, &["value"], &[]);

pub(super) fn items(_rendering: &Rendering, args: Args) -> PyResult {
    args.clone().bind(&ITEMS)?;
    Ok(lazy("do_items", mapping_items, args))
}

fn mapping_items(_rendering: &Rendering, args: Args) -> PyResult<Vec<Value>> {
    let [value] = args.take_all(&ITEMS)?;
    match given(value) {
        Value::Undefined(_) => Ok(Vec::new()),
        value @ Value::Dict(_) => pairs(&value),
        _ => type_error("Can only get item pairs from a mapping."),
    }
}

const UNIQUE: Signature = Signature::new("sync_do_unique", 1, &["value"], &["case_sensitive", "attribute"]);

pub(super) fn unique(_rendering: &Rendering, args: Args) -> PyResult {
    args.clone().bind(&UNIQUE)?;
    Ok(lazy("sync_do_unique", first_of_each, args))
}

fn first_of_each(rendering: &Rendering, args: Args) -> PyResult<Vec<Value>> {
    let [value, case_sensitive, attribute] = args.take_all(&UNIQUE)?;
    let getter = Getter::new(attribute.as_ref(), flag(case_sensitive));
    let mut seen = indexmap::IndexSet::<Key>::new();
    let mut kept = Vec::new();
    for item in given(value).iterate(rendering)? {
        if seen.insert(getter.get(rendering, &item)?.key()?) {
            kept.push(item);
        }
    }
    Ok(kept)
}

pub(super) fn min(rendering: &Rendering, args: Args) -> PyResult {
    extreme(rendering, args, "do_min", false)
}

pub(super) fn max(rendering: &Rendering, args: Args) -> PyResult {
    extreme(rendering, args, "do_max", true)
}

fn extreme(rendering: &Rendering, args: Args, name: &'static str, largest: bool) -> PyResult {
    let [value, case_sensitive, attribute] =
        args.take_all(&Signature::new(name, 1, &["value"], &["case_sensitive", "attribute"]))?;
    let getter = Getter::new(attribute.as_ref(), flag(case_sensitive));
    let mut items = given(value).iterate(rendering)?.into_iter();
    let Some(mut best) = items.next() else {
        return Ok(Undefined::hint("No aggregated item, sequence was empty."));
    };
    let mut best_key = getter.get(rendering, &best)?;
    for item in items {
        let key = getter.get(rendering, &item)?;
        let better = if largest {
            comparison::compare(rendering, comparison::Comparison::Gt, &key, &best_key)?
        } else {
            less(&key, &best_key)?
        };
        if better {
            (best, best_key) = (item, key);
        }
    }
    Ok(best)
}

pub(super) fn join(rendering: &Rendering, args: Args) -> PyResult {
    let [value, separator, attribute] =
        args.take_all(&Signature::new("sync_do_join", 1, &["value"], &["d", "attribute"]))?;
    let getter = Getter::plain(attribute.as_ref(), None);
    let items = given(value).iterate(rendering)?;
    // An item may become a text of its own.
    rendering.allocate(items.len() * (size_of::<Value>() + 3 * size_of::<Text>()))?;
    let items: Vec<Value> = items.iter().map(|item| getter.get(rendering, item)).collect::<PyResult<_>>()?;
    let separator = soft(rendering, &separator.unwrap_or_else(|| Value::text("")))?;
    let texts: Vec<Text> = items.iter().map(|item| soft(rendering, item)).collect::<PyResult<_>>()?;
    rendering.allocate(texts.iter().map(|text| text.len() + separator.len()).sum())?;
    if !rendering.autoescape.get() {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        return Ok(Value::text(texts.join(&*separator.text)));
    }
    if !separator.safe && !texts.iter().any(|text| text.safe) {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        return Ok(Value::text(texts.join(&*separator.text)));
    }
    let texts: Vec<_> = texts.iter().map(markup::escape_text).collect();
    Ok(Value::Str(Text::safe(texts.join(&*markup::escape_text(&separator)))))
}

pub(super) fn first(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("sync_do_first", 1, &["seq"], &[]))?;
    let first = match given(value) {
        // Not the whole of what can be long.
        Value::Str(text) => text.chars().next().map(|c| text.like(c.to_string())),
        Value::List(list) => list.items().first().cloned(),
        other => other.iterate(rendering)?.into_iter().next(),
    };
    Ok(first.unwrap_or_else(|| Undefined::hint("No first item, sequence was empty.")))
}

pub(super) fn last(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_last", 1, &["seq"], &[]))?;
    let value = given(value);
    let last = match &value {
        Value::Str(text) => text.chars().next_back().map(|c| text.like(c.to_string())),
        Value::List(list) => list.items().last().cloned(),
        Value::Object(object) if object.length().is_none() => return not_reversible(&value),
        Value::Tuple(_) | Value::Dict(_) | Value::Undefined(_) | Value::Object(_) => {
            value.iterate(rendering)?.into_iter().next_back()
        }
        _ => return not_reversible(&value),
    };
    Ok(last.unwrap_or_else(|| Undefined::hint("No last item, sequence was empty.")))
}

fn not_reversible(value: &Value) -> PyResult {
    type_error(format!("'{}' object is not reversible", value.operand_name()))
}

pub(super) fn reverse(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_reverse", 0, &["value"], &[]))?;
    match given(value) {
        Value::Str(text) => Ok(text.like(text.chars().rev().collect::<String>())),
        other => {
            let Ok(mut items) = other.iterate(rendering) else { return argument_error("argument must be iterable") };
            items.reverse();
            Ok(match &other {
                // An iterator that can't be read backwards becomes a list first.
                Value::Object(object) if object.length().is_none() => Value::list(items),
                other => lazy(reverse_iterator(other), |_, args| Ok(args.positional), Args::of(items)),
            })
        }
    }
}

/// The type of `reversed(x)`
fn reverse_iterator(value: &Value) -> &'static str {
    match value.type_name() {
        "list" => "list_reverseiterator",
        "dict" | "defaultdict" | "dict_keys" => "dict_reversekeyiterator",
        "dict_values" => "dict_reversevalueiterator",
        "dict_items" => "dict_reverseitemiterator",
        "range" => "range_iterator",
        _ => "reversed",
    }
}

pub(super) fn random(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_random", 1, &["seq"], &[]))?;
    let value = given(value);
    let length = value.length()?;
    if length == 0 {
        return Ok(Undefined::hint("No random item, sequence was empty."));
    }
    rendering.note_chance();
    let at = Value::size(below(length)?);
    let picked = match &value {
        Value::Dict(dict) => dict.subscript(rendering, &at)?,
        Value::Object(object) => object.item(&at),
        sequence => sequence::element(sequence, at.index()?),
    };
    match (picked, &value) {
        (Some(picked), _) => Ok(picked),
        (None, Value::Dict(_)) => Err(Exception::new(ExceptionClass::KeyError, repr::repr(rendering, &at)?)),
        (None, other) => type_error(format!("'{}' object is not subscriptable", other.operand_name())),
    }
}

pub(super) fn list(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("sync_do_list", 0, &["value"], &[]))?;
    given(value).iterate(rendering).map(Value::list)
}

const SLICE: Signature = Signature::new("sync_do_slice", 0, &["value", "slices"], &["fill_with"]);

pub(super) fn slice(_rendering: &Rendering, args: Args) -> PyResult {
    args.clone().bind(&SLICE)?;
    Ok(lazy("sync_do_slice", slices, args))
}

fn slices(rendering: &Rendering, args: Args) -> PyResult<Vec<Value>> {
    let [value, slices, fill] = args.take_all(&SLICE)?;
    let items = given(value).iterate(rendering)?;
    let slices = given(slices).index()?;
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    if slices == 0 {
        return other_error("integer division or modulo by zero");
    }
    let slices = usize::try_from(slices).unwrap_or(0);
    rendering.allocate(slices.saturating_mul(64))?;
    let (each, longer) = (items.len() / slices.max(1), items.len() % slices.max(1));
    let mut rest = items.into_iter();
    let parts = (0..slices).map(|number| {
        let mut part: Vec<Value> = rest.by_ref().take(each + usize::from(number < longer)).collect();
        part.extend(fill.clone().filter(|_| number >= longer));
        Value::list(part)
    });
    Ok(parts.collect())
}

const BATCH: Signature = Signature::new("do_batch", 0, &["value", "linecount"], &["fill_with"]);

pub(super) fn batch(_rendering: &Rendering, args: Args) -> PyResult {
    args.clone().bind(&BATCH)?;
    Ok(lazy("do_batch", batches, args))
}

fn batches(rendering: &Rendering, args: Args) -> PyResult<Vec<Value>> {
    let [value, size, fill] = args.take_all(&BATCH)?;
    let (items, size) = (given(value).iterate(rendering)?, given(size));
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    // Without items there is nothing to compare with.
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let size = match size.index() {
        Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
        // Never equal to a length.
        Err(_) if fill.is_none() => usize::MAX,
        Err(_) => {
            return type_error(format!("'<' not supported between instances of 'int' and '{}'", size.operand_name()));
        }
    };
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    for item in items {
        if batch.len() == size {
            rendering.allocate(4 * size_of::<Value>())?;
            batches.push(Value::list(std::mem::take(&mut batch)));
        }
        batch.push(item);
    }
    if let Some(fill) = fill
        && batch.len() < size
        && size < usize::MAX
    {
        rendering.allocate(size.saturating_mul(size_of::<Value>()))?;
        batch.resize(size, fill);
    }
    batches.push(Value::list(batch));
    Ok(batches)
}

pub(super) fn groupby(rendering: &Rendering, args: Args) -> PyResult {
    let [value, attribute, default, case_sensitive] =
        args.take_all(&Signature::new("sync_do_groupby", 1, &["value", "attribute"], &["default", "case_sensitive"]))?;
    let case_sensitive = flag(case_sensitive);
    let getter = Getter { fold_case: !case_sensitive, ..Getter::plain(attribute.as_ref(), default.clone()) };
    let shown = Getter::plain(attribute.as_ref(), default);
    let items = sorted(
        rendering,
        keyed(rendering, given(value).iterate(rendering)?, |item| getter.get(rendering, item))?,
        false,
    )?;
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in items {
        match groups.last_mut() {
            Some((last, group)) if equal(last, &key) => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let groups = groups.into_iter().map(|(key, group)| {
        let key = match group.first() {
            Some(first) if !case_sensitive => shown.get(rendering, first)?,
            _ => key,
        };
        Ok(Value::Tuple(Rc::new(Tuple { items: vec![key, Value::list(group)], group: true })))
    });
    Ok(Value::list(groups.collect::<PyResult<_>>()?))
}

pub(super) fn sum(rendering: &Rendering, args: Args) -> PyResult {
    let [value, attribute, start] =
        args.take_all(&Signature::new("sync_do_sum", 1, &["iterable"], &["attribute", "start"]))?;
    let getter = Getter::plain(attribute.as_ref(), None);
    let mut total = start.unwrap_or(Value::Int(0));
    let items = given(value).iterate(rendering)?;
    if matches!(total, Value::Str(_)) {
        return type_error("sum() can't sum strings [use ''.join(seq) instead]");
    }
    for item in items {
        total = operators::binary(rendering, Operator::Add, &total, &getter.get(rendering, &item)?)?;
    }
    Ok(total)
}

/// Refuses names that the parameters before `*args` and `**kwargs` have.
fn spread(args: Args, name: &str) -> PyResult<Args> {
    match args.named.iter().find(|(given, _)| matches!(given.as_str(), "context" | "value")) {
        Some((given, _)) => type_error(format!("{name}() got multiple values for argument '{given}'")),
        None => Ok(args),
    }
}

pub(super) fn map(_rendering: &Rendering, args: Args) -> PyResult {
    let args = spread(args, "sync_do_map")?;
    Ok(lazy("sync_do_map", mapped, args))
}

fn mapped(rendering: &Rendering, mut args: Args) -> PyResult<Vec<Value>> {
    let value = first_argument(&mut args, "sync_do_map")?;
    if !value.truth() {
        return Ok(Vec::new());
    }
    let items = value.iterate(rendering)?;
    if args.positional.is_empty()
        && let Some(attribute) = args.take("attribute")
    {
        let getter = Getter::plain(Some(&attribute), args.take("default"));
        if let Some((name, _)) = args.named.first() {
            return argument_error(format!("Unexpected keyword argument {}", quote(name)));
        }
        return items.iter().map(|item| getter.get(rendering, item)).collect();
    }
    if args.positional.is_empty() {
        return argument_error("map requires a filter argument");
    }
    let name = args.positional.remove(0);
    let Some(function) = name.as_str().and_then(|name| rendering.registry.filter(name)) else {
        return unknown(rendering, "filter", &name);
    };
    items.into_iter().map(|item| function.apply(rendering, with_value(&args, item))).collect()
}

fn first_argument(args: &mut Args, name: &str) -> PyResult {
    if args.positional.is_empty() {
        return type_error(format!("{name}() missing 1 required positional argument: 'value'"));
    }
    Ok(args.positional.remove(0))
}

fn with_value(args: &Args, value: Value) -> Args {
    let positional = std::iter::once(value).chain(args.positional.iter().cloned()).collect();
    Args { positional, named: args.named.clone() }
}

fn unknown<T>(rendering: &Rendering, what: &str, name: &Value) -> PyResult<T> {
    let hint = match name {
        Value::Undefined(undefined) => {
            format!(" ({}; did you forget to quote the callable name?)", undefined.raise().message)
        }
        _ => String::new(),
    };
    Err(Exception::new(
        ExceptionClass::TemplateRuntimeError,
        format!("No {what} named {}.{hint}", repr::repr(rendering, name)?),
    ))
}

pub(super) fn select(_rendering: &Rendering, args: Args) -> PyResult {
    let args = spread(args, "sync_do_select")?;
    Ok(lazy("select_or_reject", |rendering, args| filtered(rendering, args, true, false), args))
}

pub(super) fn reject(_rendering: &Rendering, args: Args) -> PyResult {
    let args = spread(args, "sync_do_reject")?;
    Ok(lazy("select_or_reject", |rendering, args| filtered(rendering, args, false, false), args))
}

pub(super) fn selectattr(_rendering: &Rendering, args: Args) -> PyResult {
    let args = spread(args, "sync_do_selectattr")?;
    Ok(lazy("select_or_reject", |rendering, args| filtered(rendering, args, true, true), args))
}

pub(super) fn rejectattr(_rendering: &Rendering, args: Args) -> PyResult {
    let args = spread(args, "sync_do_rejectattr")?;
    Ok(lazy("select_or_reject", |rendering, args| filtered(rendering, args, false, true), args))
}

fn filtered(rendering: &Rendering, mut args: Args, wanted: bool, by_attribute: bool) -> PyResult<Vec<Value>> {
    let value = first_argument(&mut args, "select_or_reject")?;
    if !value.truth() {
        return Ok(Vec::new());
    }
    let items = value.iterate(rendering)?;
    let attribute = if by_attribute {
        if args.positional.is_empty() {
            return argument_error("Missing parameter for attribute name");
        }
        Some(args.positional.remove(0))
    } else {
        None
    };
    let getter = Getter::plain(attribute.as_ref(), None);
    let test = if args.positional.is_empty() {
        None
    } else {
        let name = args.positional.remove(0);
        match name.as_str().and_then(|name| rendering.registry.test(name)) {
            Some(test) => Some(test),
            None => return unknown(rendering, "test", &name),
        }
    };
    let mut kept = Vec::new();
    for item in items {
        let looked_at = getter.get(rendering, &item)?;
        let result = match test {
            Some(test) => test.apply(rendering, with_value(&args, looked_at))?.truth(),
            None => rendering.truth(&looked_at)?,
        };
        if result == wanted {
            kept.push(item);
        }
    }
    Ok(kept)
}
