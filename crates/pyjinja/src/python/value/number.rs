//! `bool`, `int` and `float` as the numbers that they are, and how they compare.

use std::{borrow::Cow, cmp::Ordering};

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::python::value::Value;

/// A value that is a number.
pub(crate) enum Number<'a> {
    Int(i64),
    /// An int beyond 64 bits.
    Big(Cow<'a, BigInt>),
    Float(f64),
}

impl<'a> Number<'a> {
    /// The number that `value` is; None if it is of another type.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Int(i64::from(*value))),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Big(value) => Some(Self::Big(Cow::Borrowed(value))),
            Value::Float(value) => Some(Self::Float(*value)),
            _ => None,
        }
    }

    /// The int, of any size; None for a float.
    pub(crate) fn big(self) -> Option<Cow<'a, BigInt>> {
        match self {
            Self::Int(value) => Some(Cow::Owned(BigInt::from(value))),
            Self::Big(value) => Some(value),
            Self::Float(_) => None,
        }
    }
}

/// How two numbers compare: `Some(None)` if one of them is NaN, None if they are not both numbers.
pub(crate) fn compare(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    Some(match (Number::of(left)?, Number::of(right)?) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        (Number::Float(a), b) => int_and_float(b.big()?.as_ref(), a).map(Ordering::reverse),
        (a, Number::Float(b)) => int_and_float(a.big()?.as_ref(), b),
        (a, b) => Some(a.big()?.cmp(&b.big()?)),
    })
}

/// Compares exactly, as Python does: the int is not made a float. None if the float is NaN.
fn int_and_float(int: &BigInt, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    Some(match BigInt::from_f64(float.trunc()) {
        None => 0_f64.total_cmp(&float),
        Some(whole) => int.cmp(&whole).then_with(|| 0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)),
    })
}
