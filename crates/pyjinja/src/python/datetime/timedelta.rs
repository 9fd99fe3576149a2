//! `timedelta`: a duration in microseconds.

use std::{borrow::Cow, cmp::Ordering};

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        datetime::calendar::{DAY, MINUTE, SECOND, hashed},
        exception::{PyResult, other_error},
        numbers::{
            digits::{MAX_STR_DIGITS, too_long},
            float::integer_ratio,
        },
        object::{Object, Operator},
        unicode::decimal,
        value::Value,
    },
};

/// The most days that a timedelta can have, forth or back.
const MOST_DAYS: i128 = 999_999_999;

/// A `timedelta`, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeDelta(pub(super) i128);

impl TimeDelta {
    /// The timedelta of so many microseconds.
    ///
    /// # Errors
    /// It has too many days.
    fn new(micros: &BigInt) -> PyResult<Self> {
        let days = micros.div_floor(&BigInt::from(DAY));
        match (days.to_i32(), micros.to_i128()) {
            (Some(days), Some(micros)) if i128::from(days).abs() <= MOST_DAYS => Ok(Self(micros)),
            (Some(days), _) => other_error(format!("days={days}; must have magnitude <= {MOST_DAYS}")),
            (None, _) => other_error("Python int too large to convert to C int"),
        }
    }

    /// The timedelta that OnCall reads from `([+-]?)(\d+)([smhdw])`; None for other text.
    pub(crate) fn parse(text: &str) -> PyResult<Option<Self>> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let Some(unit) = rest.chars().next_back() else { return Ok(None) };
        let size = match unit {
            's' => SECOND,
            'm' => MINUTE,
            'h' => 60 * MINUTE,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return Ok(None),
        };
        let digits: Option<String> =
            rest.chars().rev().skip(1).map(|c| decimal(c).map(|digit| char::from(b'0' + digit))).collect();
        let Some(digits) = digits.filter(|digits| !digits.is_empty()) else { return Ok(None) };
        if digits.len() > MAX_STR_DIGITS {
            return Err(too_long(Some(digits.len())));
        }
        let digits: String = digits.chars().rev().collect();
        let amount = digits.parse::<BigInt>().unwrap_or_default();
        Self::new(&(amount * sign * size)).map(Some)
    }

    /// As `new`, as a value.
    fn checked(micros: i128) -> PyResult {
        Self::new(&BigInt::from(micros)).map(Self::value)
    }

    pub(crate) fn value(self) -> Value {
        Value::object(self)
    }

    /// Days, seconds, microseconds.
    fn parts(self) -> (i128, i128, i128) {
        let rest = self.0.rem_euclid(DAY);
        (self.0.div_euclid(DAY), rest / SECOND, rest % SECOND)
    }

    /// `repr(x)`
    pub(super) fn shown(self) -> String {
        let (days, seconds, micros) = self.parts();
        let parts: Vec<String> = [("days", days), ("seconds", seconds), ("microseconds", micros)]
            .iter()
            .filter(|(_, value)| *value != 0)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("datetime.timedelta({})", if parts.is_empty() { "0".to_owned() } else { parts.join(", ") })
    }

    /// `str(x)`
    fn text(self) -> String {
        let (days, seconds, micros) = self.parts();
        let mut text = match days {
            0 => String::new(),
            1 | -1 => format!("{days} day, "),
            _ => format!("{days} days, "),
        };
        text += &format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        if micros > 0 {
            text += &format!(".{micros:06}");
        }
        text
    }

    /// `self * numerator / denominator`
    fn scaled(self, numerator: &BigInt, denominator: &BigInt) -> PyResult {
        Self::new(&nearest(&(BigInt::from(self.0) * numerator), denominator)).map(Self::value)
    }
}

/// `a / b`, rounded to the nearest, and to the even one of two.
fn nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, rest) = a.div_mod_floor(b);
    let twice = (rest * 2_i8).abs();
    match twice.cmp(&b.abs()) {
        Ordering::Greater => quotient + 1,
        Ordering::Equal if quotient.is_odd() => quotient + 1,
        _ => quotient,
    }
}

/// `a / b`: the float that is nearest to the exact quotient.
pub(super) fn quotient(a: i128, b: i128) -> f64 {
    // A quotient with many bits, its last one set if there is a rest, rounds as the exact one does.
    const BITS: i32 = 130;
    let (quotient, rest) = (BigInt::from(a.unsigned_abs()) << BITS).div_rem(&BigInt::from(b.unsigned_abs().max(1)));
    let sticky = quotient | BigInt::from(u8::from(!rest.is_zero()));
    let float = sticky.to_f64().unwrap_or(f64::INFINITY) * 2_f64.powi(-BITS);
    if (a < 0) == (b < 0) { float } else { -float }
}

impl Object for TimeDelta {
    fn type_name(&self) -> &'static str {
        "timedelta"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.timedelta")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.shown())
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.text())
    }

    fn truth(&self) -> bool {
        self.0 != 0
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let (days, seconds, micros) = self.parts();
        let number = match name {
            "days" => days,
            "seconds" => seconds,
            "microseconds" => micros,
            "min" => return Some(Self(-MOST_DAYS * DAY).value()),
            "max" => return Some(Self((MOST_DAYS + 1) * DAY - 1).value()),
            "resolution" => return Some(Self(1).value()),
            _ => return None,
        };
        Some(Value::int(BigInt::from(number)))
    }

    fn methods(&self) -> &'static [&'static str] {
        &["total_seconds"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        args.builtin(&format!("timedelta.{name}"), 0, 0)?;
        Ok(Value::Float(quotient(self.0, SECOND)))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other.downcast::<Self>().map(|other| other == self)
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        other.downcast::<Self>().map(|other| Ok(self.0.cmp(&other.0)))
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.0))
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match operator {
            Operator::Neg => return Some(Self::checked(-self.0)),
            Operator::Pos => return Some(Ok(self.value())),
            _ => {}
        }
        if let Some(Self(other)) = other.downcast::<Self>() {
            let (a, b) = if reflected { (*other, self.0) } else { (self.0, *other) };
            return binary(operator, a, b);
        }
        if !(operator == Operator::Mul || !reflected && matches!(operator, Operator::Div | Operator::FloorDiv)) {
            return None;
        }
        let one = BigInt::from(1);
        let (numerator, denominator) = match other {
            Value::Float(_) if operator == Operator::FloorDiv => return None,
            Value::Float(float) => match integer_ratio(*float) {
                Ok(ratio) => ratio,
                Err(exception) => return Some(Err(exception)),
            },
            other => (other.as_int()?.into_owned(), one),
        };
        if operator == Operator::Mul {
            return Some(self.scaled(&numerator, &denominator));
        }
        if numerator.is_zero() {
            return Some(other_error("integer division or modulo by zero"));
        }
        Some(if operator == Operator::Div {
            self.scaled(&denominator, &numerator)
        } else {
            Self::new(&BigInt::from(self.0).div_floor(&numerator)).map(Self::value)
        })
    }
}

/// `a operator b`, both in microseconds; None if timedeltas have no such operator.
fn binary(operator: Operator, a: i128, b: i128) -> Option<PyResult> {
    Some(match operator {
        Operator::Add => TimeDelta::checked(a + b),
        Operator::Sub => TimeDelta::checked(a - b),
        Operator::Div if b == 0 => other_error("division by zero"),
        Operator::FloorDiv if b == 0 => other_error("integer division or modulo by zero"),
        Operator::Mod if b == 0 => other_error("integer modulo by zero"),
        Operator::Div => Ok(Value::Float(quotient(a, b))),
        Operator::FloorDiv => Ok(Value::int(BigInt::from(Integer::div_floor(&a, &b)))),
        Operator::Mod => Ok(TimeDelta(a.mod_floor(&b)).value()),
        _ => return None,
    })
}
