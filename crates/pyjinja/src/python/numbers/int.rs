//! `int`: from text and floats, and its methods.

use num_bigint::{BigInt, Sign};
use num_traits::{FromPrimitive, Signed, Zero};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type, size},
        bytes::Bytes,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        numbers::digits::{MAX_STR_DIGITS, plain_digits, split_prefix, split_sign, too_long, without_underscores},
        quote::quote,
        unicode::is_space,
        value::Value,
    },
};

/// The names of its methods, which `bool` has too.
pub(super) const METHODS: &[&str] =
    &["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "is_integer", "to_bytes"];

/// `int(text, base)`
pub(crate) fn from_text(text: &str, base: i64) -> PyResult<BigInt> {
    if base != 0 && !(2..=36).contains(&base) {
        return value_error("int() base must be >= 2 and <= 36, or 0");
    }
    let plain = plain_digits(text);
    let (negative, unsigned) = split_sign(plain.trim_matches(is_space));
    let (radix, digits) = split_prefix(unsigned, base);
    let invalid = || {
        let quoted: String = quote(text).chars().take(200).collect();
        Exception::new(ExceptionClass::ValueError, format!("invalid literal for int() with base {base}: {quoted}"))
    };
    let digits = without_underscores(digits, |c| c.is_digit(radix)).ok_or_else(invalid)?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(invalid());
    }
    // Base 0 reads literals of Python's source, where a decimal number does not start with a zero.
    if base == 0 && radix == 10 && digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        return Err(invalid());
    }
    if !radix.is_power_of_two() && digits.len() > MAX_STR_DIGITS {
        return Err(too_long(Some(digits.len())));
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), radix).ok_or_else(invalid)?;
    Ok(if negative { -value } else { value })
}

/// `int(number)`
pub(crate) fn from_float(number: f64) -> PyResult<BigInt> {
    if number.is_nan() {
        return value_error("cannot convert float NaN to integer");
    }
    BigInt::from_f64(number).map_or_else(|| other_error("cannot convert float infinity to integer"), Ok)
}

/// `int.method(args)`; `int` is the number that `value` is.
pub(super) fn call(rendering: &Rendering, value: &Value, int: &BigInt, method: &str, args: Args) -> PyResult {
    match method {
        "to_bytes" => return to_bytes(rendering, int, args),
        "from_bytes" => return from_bytes(rendering, args),
        _ => {}
    }
    args.builtin(&format!("{}.{method}", value.type_name()), 0, 0)?;
    Ok(match method {
        "as_integer_ratio" => Value::tuple(vec![as_number(value), Value::Int(1)]),
        "bit_count" => Value::size(int.iter_u64_digits().map(|digit| digit.count_ones() as usize).sum()),
        "bit_length" => Value::int(BigInt::from(int.bits())),
        "is_integer" => Value::Bool(true),
        _ => as_number(value),
    })
}

/// `int.to_bytes`
fn to_bytes(rendering: &Rendering, int: &BigInt, args: Args) -> PyResult {
    let mut args = args.keywords("to_bytes", &[], &["length", "byteorder", "signed"], 2)?.into_iter();
    let length = args.next().flatten().map_or(Ok(1), |length| size(&length))?;
    let little = is_little("to_bytes", args.next().flatten())?;
    let signed = args.next().flatten().is_some_and(|signed| signed.truth());
    let Ok(length) = usize::try_from(length) else {
        return value_error("length argument must be non-negative");
    };
    if int.is_negative() && !signed {
        return other_error("can't convert negative int to unsigned");
    }
    let mut bytes = if int.is_zero() {
        Vec::new()
    } else if signed {
        int.to_signed_bytes_le()
    } else {
        int.magnitude().to_bytes_le()
    };
    if bytes.len() > length {
        return other_error("int too big to convert");
    }
    rendering.allocate(length)?;
    bytes.resize(length, if int.is_negative() { 0xff } else { 0 });
    if !little {
        bytes.reverse();
    }
    Ok(Value::object(Bytes::from(bytes)))
}

/// `int.from_bytes`
fn from_bytes(rendering: &Rendering, args: Args) -> PyResult {
    let mut args = args.keywords("from_bytes", &["bytes"], &["byteorder", "signed"], 2)?.into_iter();
    let source = args.next().flatten().unwrap_or(Value::None);
    let little = is_little("from_bytes", args.next().flatten())?;
    let signed = args.next().flatten().is_some_and(|signed| signed.truth());
    let mut bytes = match source.downcast::<Bytes>() {
        Some(bytes) => bytes.to_vec(),
        None if source.as_str().is_some() || source.as_int().is_some() || matches!(source, Value::Float(_)) => {
            return type_error(format!("cannot convert '{}' object to bytes", source.type_name()));
        }
        None => source.iterate(rendering)?.iter().map(byte).collect::<PyResult<_>>()?,
    };
    if !little {
        bytes.reverse();
    }
    Ok(Value::int(if signed {
        BigInt::from_signed_bytes_le(&bytes)
    } else {
        BigInt::from_bytes_le(Sign::Plus, &bytes)
    }))
}

fn byte(value: &Value) -> PyResult<u8> {
    u8::try_from(value.index()?).or_else(|_| value_error("bytes must be in range(0, 256)"))
}

/// Whether the argument `byteorder` is `little`; the default is `big`.
fn is_little(method: &str, order: Option<Value>) -> PyResult<bool> {
    match order {
        None => Ok(false),
        Some(Value::Str(order)) => match &*order {
            "little" => Ok(true),
            "big" => Ok(false),
            _ => value_error("byteorder must be either 'little' or 'big'"),
        },
        Some(other) => {
            type_error(format!("{method}() argument 'byteorder' must be str, not {}", argument_type(&other)))
        }
    }
}

/// A `bool` as the `int` that it is; any other number as it is.
pub(super) fn as_number(value: &Value) -> Value {
    match value {
        Value::Bool(value) => Value::Int(i64::from(*value)),
        other => other.clone(),
    }
}
