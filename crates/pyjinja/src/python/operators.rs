//! Python's operators `+`, `%`, `-` and the others, for values of any type, and Jinja2's `~`.

mod arithmetic;

use num_bigint::BigInt;
use num_traits::Signed;

use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        exception::{PyResult, other_error, type_error},
        format,
        markup::{escape, escape_text},
        object::Operator,
        operators::arithmetic::arithmetic,
        repr,
        value::{Text, Value, number::Number},
    },
};

/// `left operator right`
pub(crate) fn binary(rendering: &Rendering, operator: Operator, left: &Value, right: &Value) -> PyResult {
    if let (Some(a), Some(b)) = (Number::of(left), Number::of(right)) {
        return arithmetic(rendering, operator, a, b);
    }
    if let (Operator::Mod, Value::Str(format)) = (operator, left) {
        return format::percent(rendering, format, right);
    }
    for value in [left, right] {
        if let Value::Undefined(undefined) = value {
            return Err(undefined.raise());
        }
    }
    if let Value::Object(object) = left
        && let Some(result) = object.operate(operator, right, false)
    {
        return result;
    }
    if let Value::Object(object) = right
        && let Some(result) = object.operate(operator, left, true)
    {
        return result;
    }
    match operator {
        Operator::Add => add(rendering, left, right),
        Operator::Mul => multiply(rendering, left, right),
        _ => unsupported(operator, left, right),
    }
}

/// The TypeError that the operator does not know these operands.
fn unsupported(operator: Operator, left: &Value, right: &Value) -> PyResult {
    type_error(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        operator.symbol(),
        left.operand_name(),
        right.operand_name()
    ))
}

/// `left + right` of sequences.
fn add(rendering: &Rendering, left: &Value, right: &Value) -> PyResult {
    match (left, right) {
        (Value::Str(a), Value::Str(b)) => {
            rendering.allocate(a.len() + b.len())?;
            Ok(if a.safe || b.safe {
                Value::Str(Text::safe([escape_text(a), escape_text(b)].concat()))
            } else {
                Value::text([&*a.text, &*b.text].concat())
            })
        }
        (Value::List(a), Value::List(b)) => {
            let items = [a.items().as_slice(), b.items().as_slice()].concat();
            rendering.allocate(size_of_val(items.as_slice()))?;
            Ok(Value::list(items))
        }
        (Value::Tuple(a), Value::Tuple(b)) => {
            let items = [a.items.as_slice(), b.items.as_slice()].concat();
            rendering.allocate(size_of_val(items.as_slice()))?;
            Ok(Value::tuple(items))
        }
        (Value::Str(Text { safe: true, .. }), _) => unsupported(Operator::Add, left, right),
        (Value::Str(_) | Value::List(_) | Value::Tuple(_), other) => {
            let kind = match left {
                Value::Str(_) => "str",
                Value::List(_) => "list",
                _ => "tuple",
            };
            type_error(format!("can only concatenate {kind} (not \"{}\") to {kind}", other.operand_name()))
        }
        _ => unsupported(Operator::Add, left, right),
    }
}

/// `left * right` of a sequence and an int.
fn multiply(rendering: &Rendering, left: &Value, right: &Value) -> PyResult {
    let sequence = |value: &Value| matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_));
    let (items, count) = match (sequence(left), sequence(right)) {
        (true, _) => (left, right),
        (false, true) => (right, left),
        (false, false) => return unsupported(Operator::Mul, left, right),
    };
    let times = match count {
        Value::Bool(_) | Value::Int(_) => usize::try_from(count.index()?).unwrap_or(0),
        Value::Big(value) if value.is_negative() => 0,
        Value::Big(_) => return other_error("cannot fit 'int' into an index-sized integer"),
        other if matches!(items, Value::Str(Text { safe: true, .. })) => return other.index().map(Value::Int),
        other => {
            return type_error(format!("can't multiply sequence by non-int of type '{}'", other.operand_name()));
        }
    };
    Ok(match items {
        Value::Str(text) => {
            rendering.allocate(text.len().saturating_mul(times))?;
            text.like(text.repeat(if text.is_empty() { 0 } else { times }))
        }
        Value::List(list) => Value::list(repeated(rendering, &list.items(), times)?),
        Value::Tuple(tuple) => Value::tuple(repeated(rendering, &tuple.items, times)?),
        _ => return unsupported(Operator::Mul, left, right),
    })
}

fn repeated(rendering: &Rendering, items: &[Value], times: usize) -> PyResult<Vec<Value>> {
    rendering.allocate(size_of_val(items).saturating_mul(times))?;
    let length = items.len().saturating_mul(times);
    Ok(items.iter().cycle().take(length).cloned().collect())
}

/// `a ~ b ~ …`
pub(crate) fn concatenate(rendering: &Rendering, values: &[Value]) -> PyResult {
    let markup =
        rendering.autoescape.get() && values.iter().any(|value| matches!(value, Value::Str(Text { safe: true, .. })));
    let mut out = String::new();
    for value in values {
        let text = repr::string(rendering, value)?;
        rendering.allocate(text.len())?;
        match value {
            Value::Str(Text { safe: true, .. }) => out.push_str(&text),
            _ if markup => out.push_str(&escape(&text)),
            _ => out.push_str(&text),
        }
    }
    Ok(if markup { Value::Str(Text::safe(out)) } else { Value::text(out) })
}

/// `-x` and `+x`
pub(crate) fn unary(operator: Operator, value: &Value) -> PyResult {
    match (Number::of(value), value) {
        (Some(Number::Int(number)), _) => Ok(match operator {
            Operator::Neg => number.checked_neg().map_or_else(|| Value::int(-BigInt::from(number)), Value::Int),
            _ => Value::Int(number),
        }),
        (Some(Number::Big(number)), _) => {
            budget::spend(usize::try_from(number.bits() / 1024).unwrap_or(usize::MAX));
            Ok(Value::int(if operator == Operator::Neg { -number.into_owned() } else { number.into_owned() }))
        }
        (Some(Number::Float(number)), _) => Ok(Value::Float(if operator == Operator::Neg { -number } else { number })),
        (None, Value::Undefined(undefined)) => Err(undefined.raise()),
        (None, Value::Object(object)) if let Some(result) = object.operate(operator, &Value::None, false) => result,
        (None, other) => type_error(format!("bad operand type for {}: '{}'", operator.symbol(), other.operand_name())),
    }
}
