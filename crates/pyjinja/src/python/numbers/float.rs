//! `float`: from text and ints, `round`, and its methods.

use std::fmt::Write;

use num_bigint::BigInt;
use num_traits::{One, ToPrimitive, Zero};

use crate::python::{
    arguments::Args,
    exception::{Exception, ExceptionClass, PyResult, other_error, value_error},
    floats::float_repr,
    numbers::digits::{plain_digits, without_underscores},
    quote::quote,
    unicode::is_space,
    value::Value,
};

/// The names of its methods.
pub(super) const METHODS: &[&str] = &["as_integer_ratio", "conjugate", "hex", "is_integer"];

/// `float(text)`
pub(crate) fn from_text(text: &str) -> PyResult<f64> {
    let plain = plain_digits(text);
    without_underscores(plain.trim_matches(is_space), |c| c.is_ascii_digit())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            Exception::new(ExceptionClass::ValueError, format!("could not convert string to float: {}", quote(text)))
        })
}

/// `float(number)`
pub(crate) fn from_int(number: &BigInt) -> PyResult<f64> {
    number
        .to_f64()
        .filter(|number| number.is_finite())
        .map_or_else(|| other_error("int too large to convert to float"), Ok)
}

/// `round(number, digits)`; infinite where Python says that the result is too large.
pub(crate) fn round(number: f64, digits: i64) -> f64 {
    if !number.is_finite() || number == 0.0 || digits > 330 {
        return number;
    }
    if digits < -309 {
        return 0.0_f64.copysign(number);
    }
    if let Ok(digits) = usize::try_from(digits) {
        return format!("{number:.digits$}").parse().unwrap_or(number);
    }
    let shown = format!("{:e}", number.abs());
    let exponent: i64 = shown.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let rounded = match exponent + digits {
        // The digit to round to stands just before the first digit of the number.
        -1 => {
            let unit = |digit: char| format!("{digit}e{}", -digits - i64::from(digit == '5')).parse::<f64>();
            match (unit('5'), unit('1')) {
                (Ok(half), Ok(one)) if number.abs() > half => one,
                _ => 0.0,
            }
        }
        below if below < 0 => 0.0,
        kept => {
            let kept = usize::try_from(kept).unwrap_or(0);
            format!("{:.kept$e}", number.abs()).parse().unwrap_or(number)
        }
    };
    rounded.copysign(number)
}

/// `float.method(args)`
pub(super) fn call(float: f64, method: &str, args: Args) -> PyResult {
    args.builtin(&format!("float.{method}"), 0, 0)?;
    match method {
        "as_integer_ratio" => {
            let (numerator, denominator) = integer_ratio(float)?;
            Ok(Value::tuple(vec![Value::int(numerator), Value::int(denominator)]))
        }
        "hex" => Ok(Value::from(hex(float))),
        "is_integer" => Ok(Value::Bool(float.is_finite() && float.fract().is_zero())),
        _ => Ok(Value::Float(float)),
    }
}

/// `float.as_integer_ratio`: numerator and denominator, which have no common factor.
pub(crate) fn integer_ratio(float: f64) -> PyResult<(BigInt, BigInt)> {
    if float.is_nan() {
        return value_error("cannot convert NaN to integer ratio");
    }
    if float.is_infinite() {
        return other_error("cannot convert Infinity to integer ratio");
    }
    let (mantissa, exponent, sign) = num_traits::float::FloatCore::integer_decode(float);
    let (mut numerator, mut denominator) = (BigInt::from(mantissa) * i64::from(sign), BigInt::one());
    let twos = mantissa.trailing_zeros().min(63);
    if exponent >= 0 {
        numerator <<= exponent.unsigned_abs();
    } else {
        let common = twos.min(u32::from(exponent.unsigned_abs()));
        numerator >>= common;
        denominator <<= u32::from(exponent.unsigned_abs()) - common;
    }
    if numerator.is_zero() {
        denominator = BigInt::one();
    }
    Ok((numerator, denominator))
}

/// `float.hex`
fn hex(float: f64) -> String {
    if !float.is_finite() {
        return float_repr(float);
    }
    let bits = float.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match (biased, fraction) {
        (0, 0) => write!(out, "{sign}0x0.0p+0"),
        (0, _) => write!(out, "{sign}0x0.{fraction:013x}p-1022"),
        _ => write!(out, "{sign}0x1.{fraction:013x}p{:+}", biased - 1023),
    };
    out
}
