//! Whether two values are equal, as `==` and the keys of dicts have it: 1, 1.0 and True are. What a template calls is in
//! `comparison`, which adds the objects that decide themselves.

use std::{cmp::Ordering, rc::Rc};

use crate::{
    eval::budget,
    python::value::{Value, number},
};

/// `left == right`
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    let simple = |value: &Value| matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Undefined(_));
    // Values beyond a bound count as not equal; the next step of the template stops at the bound.
    if !simple(left) && budget::spend(1 + left.weight().min(right.weight()) / 16).is_some() {
        return false;
    }
    let Some(_level) = budget::deeper() else { return false };
    match (left, right) {
        (Value::None, Value::None) | (Value::Undefined(_), Value::Undefined(_)) => true,
        (Value::Str(a), Value::Str(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b) || all_equal(&a.items(), &b.items()),
        (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b) || all_equal(&a.items, &b.items),
        (Value::Dict(a), Value::Dict(b)) => {
            Rc::ptr_eq(a, b) || {
                let (a, b) = (a.entries(), b.entries());
                a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
            }
        }
        (Value::Object(a), Value::Object(b)) if Rc::ptr_eq(a, b) => true,
        (Value::Object(a), b) if let Some(equal) = a.equals(b) => equal,
        (a, Value::Object(b)) => b.equals(a).unwrap_or(false),
        _ => number::compare(left, right) == Some(Some(Ordering::Equal)),
    }
}

fn all_equal(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
}
