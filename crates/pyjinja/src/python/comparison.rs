//! Comparisons: `==`, `<`, `in` and the others.

use std::cmp::Ordering;

use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        exception::{PyResult, other_error, type_error},
        value::{Value, equal, number},
    },
};

/// An operator that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// `left comparison right`
pub(crate) fn compare(rendering: &Rendering, comparison: Comparison, left: &Value, right: &Value) -> PyResult<bool> {
    rendering.work(left.weight().min(right.weight()))?;
    let ordered =
        |wanted: &[Ordering]| Ok(order(comparison, left, right)?.is_some_and(|ordering| wanted.contains(&ordering)));
    match comparison {
        Comparison::Eq => Ok(equal(left, right)),
        Comparison::Ne => Ok(!equal(left, right)),
        Comparison::Lt => ordered(&[Ordering::Less]),
        Comparison::Le => ordered(&[Ordering::Less, Ordering::Equal]),
        Comparison::Gt => ordered(&[Ordering::Greater]),
        Comparison::Ge => ordered(&[Ordering::Greater, Ordering::Equal]),
        Comparison::In => contains(rendering, right, left),
        Comparison::NotIn => Ok(!contains(rendering, right, left)?),
    }
}

/// How the two are ordered, which raises in the words of `comparison`; None if one of them is NaN.
fn order(comparison: Comparison, left: &Value, right: &Value) -> PyResult<Option<Ordering>> {
    let Some(_level) = budget::deeper() else {
        return other_error("maximum recursion depth exceeded in comparison");
    };
    budget::spend(left.weight().min(right.weight()) / 16);
    if let Some(ordering) = number::compare(left, right) {
        return Ok(ordering);
    }
    for value in [left, right] {
        if let Value::Undefined(undefined) = value {
            return Err(undefined.raise());
        }
    }
    let sequences = |a: &[Value], b: &[Value]| match a.iter().zip(b).find(|(a, b)| !equal(a, b)) {
        Some((a, b)) => order(comparison, a, b),
        None => Ok(Some(a.len().cmp(&b.len()))),
    };
    match (left, right) {
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.text.cmp(&b.text))),
        (Value::List(a), Value::List(b)) => sequences(&a.items(), &b.items()),
        (Value::Tuple(a), Value::Tuple(b)) => sequences(&a.items, &b.items),
        (Value::Object(a), b) if let Some(result) = a.order(b) => result.map(Some),
        (a, Value::Object(b)) if let Some(result) = b.order(a) => Ok(Some(result?.reverse())),
        _ => {
            let symbol = match comparison {
                Comparison::Le => "<=",
                Comparison::Gt => ">",
                Comparison::Ge => ">=",
                _ => "<",
            };
            type_error(format!(
                "'{symbol}' not supported between instances of '{}' and '{}'",
                left.operand_name(),
                right.operand_name()
            ))
        }
    }
}

/// `left < right`
pub(crate) fn less(left: &Value, right: &Value) -> PyResult<bool> {
    Ok(order(Comparison::Lt, left, right)? == Some(Ordering::Less))
}

/// `item in container`
pub(crate) fn contains(rendering: &Rendering, container: &Value, item: &Value) -> PyResult<bool> {
    match (container, item) {
        (Value::Str(text), Value::Str(part)) => {
            rendering.work(text.len() / 64)?;
            Ok(text.contains(&**part))
        }
        (Value::Str(_), other) => {
            type_error(format!("'in <string>' requires string as left operand, not {}", other.operand_name()))
        }
        (Value::Dict(dict), Value::Str(key)) => Ok(dict.entries().contains_key(&**key)),
        (Value::Dict(dict), key) => Ok(dict.entries().contains_key(&key.key()?)),
        (Value::List(list), _) => {
            rendering.work(list.items().len())?;
            Ok(list.items().iter().any(|other| equal(other, item)))
        }
        (Value::Undefined(_) | Value::Tuple(_) | Value::Object(_), _) => match container.iterate(rendering) {
            Ok(items) => {
                rendering.work(items.len())?;
                Ok(items.iter().any(|other| equal(other, item)))
            }
            // What a generator meets on its way is another matter.
            Err(exception) if matches!(container, Value::Object(object) if object.iterable()) => Err(exception),
            Err(_) => type_error(format!("argument of type '{}' is not iterable", container.operand_name())),
        },
        _ => type_error(format!("argument of type '{}' is not iterable", container.operand_name())),
    }
}
