//! Python's operators, comparisons and subscripts.

// Moved to `object`, `markup`, `sequence` and `value`.
pub(crate) use crate::python::{
    markup::escape_text as escaped,
    object::Operator,
    sequence::{element, slice},
    value::equal,
};

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Pow, Signed, ToPrimitive, Zero};

use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        exception::{PyResult, other_error, type_error, value_error},
        format,
        markup::{escape, escape_text},
        print,
        value::{
            Text, Value,
            number::{self, Number},
        },
    },
};

/// A comparison.
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

fn unsupported(operator: Operator, left: &Value, right: &Value) -> PyResult {
    type_error(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        operator.symbol(),
        left.operand_name(),
        right.operand_name()
    ))
}

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
        let text = print::string(rendering, value)?;
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

impl Number<'_> {
    fn float(&self) -> PyResult<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
            Self::Int(value) => Ok(*value as f64),
            Self::Big(value) => crate::python::numbers::float_from_int(value),
            Self::Float(value) => Ok(*value),
        }
    }
}

fn arithmetic(rendering: &Rendering, operator: Operator, left: Number, right: Number) -> PyResult {
    if let (Number::Int(a), Number::Int(b)) = (&left, &right)
        && let Some(result) = small(operator, *a, *b)
    {
        return Ok(result);
    }
    if matches!(left, Number::Float(_)) || matches!(right, Number::Float(_)) {
        return floats(operator, left.float()?, right.float()?);
    }
    match (left.big(), right.big()) {
        (Some(a), Some(b)) => integers(rendering, operator, &a, &b),
        _ => other_error("not a number"),
    }
}

/// What fits 64 bits, which nearly everything does.
fn small(operator: Operator, a: i64, b: i64) -> Option<Value> {
    const EXACT: u64 = 1 << 53;
    match operator {
        Operator::Add => a.checked_add(b).map(Value::Int),
        Operator::Sub => a.checked_sub(b).map(Value::Int),
        Operator::Mul => a.checked_mul(b).map(Value::Int),
        #[expect(clippy::cast_precision_loss, reason = "both are exact")]
        Operator::Div if b != 0 && a.unsigned_abs() <= EXACT && b.unsigned_abs() <= EXACT => {
            Some(Value::Float(a as f64 / b as f64))
        }
        Operator::FloorDiv if b != 0 && a != i64::MIN => Some(Value::Int(Integer::div_floor(&a, &b))),
        Operator::Mod if b != 0 && a != i64::MIN => Some(Value::Int(Integer::mod_floor(&a, &b))),
        Operator::Pow => a.checked_pow(u32::try_from(b).ok()?).map(Value::Int),
        _ => None,
    }
}

fn integers(rendering: &Rendering, operator: Operator, a: &BigInt, b: &BigInt) -> PyResult {
    let bytes = |number: &BigInt| usize::try_from(number.bits() / 8 + 1).unwrap_or(usize::MAX);
    rendering.allocate(bytes(a).saturating_add(bytes(b)))?;
    // What takes long takes it in the square of the digits.
    rendering.work(bytes(a).saturating_mul(bytes(b)) / 4096)?;
    match operator {
        Operator::Add => Ok(Value::int(a + b)),
        Operator::Sub => Ok(Value::int(a - b)),
        Operator::Mul => Ok(Value::int(a * b)),
        Operator::Div if b.is_zero() => other_error("division by zero"),
        Operator::Div => divide(a, b),
        Operator::FloorDiv if b.is_zero() => other_error("integer division or modulo by zero"),
        Operator::FloorDiv => Ok(Value::int(a.div_floor(b))),
        Operator::Mod if b.is_zero() => other_error("integer modulo by zero"),
        Operator::Mod => Ok(Value::int(a.mod_floor(b))),
        Operator::Pow if b.is_negative() => floats(
            Operator::Pow,
            crate::python::numbers::float_from_int(a)?,
            crate::python::numbers::float_from_int(b)?,
        ),
        Operator::Pow => {
            let exponent = b.to_usize().unwrap_or(usize::MAX);
            if exponent > 1 && a.magnitude() > BigInt::from(1).magnitude() {
                let size = bytes(a).saturating_mul(exponent);
                rendering.allocate(size)?;
                rendering.work(size.saturating_mul(size) / 4096)?;
            }
            // -1, 0 and 1 to a power as large as one likes.
            let exponent = if exponent == usize::MAX { usize::from(b.is_odd()) + 2 } else { exponent };
            Ok(Value::int(Pow::pow(a, exponent)))
        }
        Operator::Neg | Operator::Pos => other_error("not a binary operator"),
    }
}

/// The float that is nearest to a/b.
fn divide(a: &BigInt, b: &BigInt) -> PyResult {
    let signs = [a.is_negative(), b.is_negative()];
    // A quotient of more than 64 bits, its last one set if there is a rest, rounds as the exact one does.
    let shift = 66 + i64::try_from(b.bits()).unwrap_or(i64::MAX) - i64::try_from(a.bits()).unwrap_or(0);
    let (a, b) = match usize::try_from(shift) {
        Ok(shift) => (a.abs() << shift, b.clone()),
        Err(_) => (a.abs(), b << usize::try_from(-shift).unwrap_or(0)),
    };
    let negative = signs[0] != signs[1];
    let (mut quotient, rest) = a.div_rem(&b.abs());
    if !rest.is_zero() && quotient.is_even() {
        quotient += 1;
    }
    let exponent = i32::try_from(-shift).unwrap_or(if shift < 0 { i32::MAX } else { i32::MIN });
    let float = quotient.to_f64().unwrap_or(f64::INFINITY) * 2_f64.powi(exponent);
    if float.is_infinite() {
        return other_error("integer division result too large for a float");
    }
    Ok(Value::Float(if negative { -float } else { float }))
}

fn floats(operator: Operator, a: f64, b: f64) -> PyResult {
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mul => a * b,
        Operator::Div if b == 0.0 => return other_error("float division by zero"),
        Operator::Div => a / b,
        Operator::FloorDiv if b == 0.0 => return other_error("float floor division by zero"),
        Operator::FloorDiv => {
            let quotient = (a - modulo(a, b)) / b;
            if quotient == 0.0 {
                0_f64.copysign(a / b)
            } else {
                // Division may leave it a bit below or above a whole number.
                let floor = quotient.floor();
                if quotient - floor > 0.5 { floor + 1.0 } else { floor }
            }
        }
        Operator::Mod if b == 0.0 => return other_error("float modulo by zero"),
        Operator::Mod => modulo(a, b),
        Operator::Pow => return power(a, b),
        Operator::Neg | Operator::Pos => return other_error("not a binary operator"),
    }))
}

fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0_f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

fn power(a: f64, b: f64) -> PyResult {
    if a == 0.0 && b < 0.0 {
        return other_error("0.0 cannot be raised to a negative power");
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return value_error("a negative number to a fractional power is complex, which is not supported");
    }
    let result = a.powf(b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return other_error("(34, 'Numerical result out of range')");
    }
    Ok(Value::Float(result))
}

/// Which of the two comes first where `left < right` has to hold, and whether that is so at all for NaN.
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

/// `left comparison right`
pub(crate) fn comparison(rendering: &Rendering, comparison: Comparison, left: &Value, right: &Value) -> PyResult<bool> {
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
            Err(_) => type_error(format!("argument of type '{}' is not iterable", container.operand_name())),
        },
        _ => type_error(format!("argument of type '{}' is not iterable", container.operand_name())),
    }
}
