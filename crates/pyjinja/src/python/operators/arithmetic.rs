//! Arithmetic of `int` and `float`.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Pow, Signed, ToPrimitive, Zero};

use crate::{
    eval::rendering::Rendering,
    python::{
        exception::{PyResult, other_error, value_error},
        numbers::float,
        object::Operator,
        value::{Value, number::Number},
    },
};

impl Number<'_> {
    /// The number as a float.
    ///
    /// # Errors
    /// The int is too large.
    fn float(&self) -> PyResult<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
            Self::Int(value) => Ok(*value as f64),
            Self::Big(value) => float::from_int(value),
            Self::Float(value) => Ok(*value),
        }
    }
}

/// `left operator right` of two numbers.
pub(super) fn arithmetic(rendering: &Rendering, operator: Operator, left: Number, right: Number) -> PyResult {
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

/// The result if it fits 64 bits, as nearly always; None if it does not, or raises.
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
    // Multiplication and division take a time that grows with the square of the digits.
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
        Operator::Pow if b.is_negative() => floats(Operator::Pow, float::from_int(a)?, float::from_int(b)?),
        Operator::Pow => {
            let exponent = b.to_usize().unwrap_or(usize::MAX);
            if exponent > 1 && a.magnitude() > BigInt::from(1).magnitude() {
                let size = bytes(a).saturating_mul(exponent);
                rendering.allocate(size)?;
                rendering.work(size.saturating_mul(size) / 4096)?;
            }
            // Only -1, 0 and 1 have a power as large as that.
            let exponent = if exponent == usize::MAX { usize::from(b.is_odd()) + 2 } else { exponent };
            Ok(Value::int(Pow::pow(a, exponent)))
        }
        Operator::Neg | Operator::Pos => other_error("not a binary operator"),
    }
}

/// `a / b`: the float that is nearest to the exact quotient.
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

/// `a % b`, with the sign of `b`.
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

/// `a ** b`
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
