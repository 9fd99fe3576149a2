//! Python's numbers: from text, from one another, and their methods.

use std::{borrow::Cow, fmt::Write};

use num_bigint::{BigInt, Sign};
use num_traits::{FromPrimitive, One, Signed, ToPrimitive, Zero};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type, size},
        bytes::Bytes,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        print,
        unicode::{decimal, is_space},
        value::Value,
    },
};

/// Python refuses to read or print an int with more decimal digits.
pub(crate) const DIGITS: usize = 4300;

/// `int(text, base)`
pub(crate) fn int_from_text(text: &str, base: i64) -> PyResult<BigInt> {
    if base != 0 && !(2..=36).contains(&base) {
        return value_error("int() base must be >= 2 and <= 36, or 0");
    }
    let plain = plain_digits(text);
    let (negative, unsigned) = split_sign(plain.trim_matches(is_space));
    let (radix, digits) = split_prefix(unsigned, base);
    let invalid = || {
        let quoted: String = print::quote(text).chars().take(200).collect();
        Exception::new(ExceptionClass::ValueError, format!("invalid literal for int() with base {base}: {quoted}"))
    };
    let digits = without_underscores(digits, |c| c.is_digit(radix)).ok_or_else(invalid)?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(invalid());
    }
    // Base 0 reads what Python's source could say, where a decimal number starts with no zero.
    if base == 0 && radix == 10 && digits.len() > 1 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        return Err(invalid());
    }
    if !radix.is_power_of_two() && digits.len() > DIGITS {
        return value_error(format!(
            "Exceeds the limit ({DIGITS} digits) for integer string conversion: value has {} digits; use \
             sys.set_int_max_str_digits() to increase the limit",
            digits.len()
        ));
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), radix).ok_or_else(invalid)?;
    Ok(if negative { -value } else { value })
}

/// `float(text)`
pub(crate) fn float_from_text(text: &str) -> PyResult<f64> {
    let plain = plain_digits(text);
    without_underscores(plain.trim_matches(is_space), |c| c.is_ascii_digit())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            Exception::new(
                ExceptionClass::ValueError,
                format!("could not convert string to float: {}", print::quote(text)),
            )
        })
}

/// `int(number)`
pub(crate) fn int_from_float(number: f64) -> PyResult<BigInt> {
    if number.is_nan() {
        return value_error("cannot convert float NaN to integer");
    }
    BigInt::from_f64(number).map_or_else(|| other_error("cannot convert float infinity to integer"), Ok)
}

/// `float(number)`
pub(crate) fn float_from_int(number: &BigInt) -> PyResult<f64> {
    number
        .to_f64()
        .filter(|number| number.is_finite())
        .map_or_else(|| other_error("int too large to convert to float"), Ok)
}

/// `round(number, digits)`, infinite where Python says that the result is too large.
pub(crate) fn round_half_even(number: f64, digits: i64) -> f64 {
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
        // The one digit to keep stands just before the first that there is.
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

fn plain_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| decimal(c).map_or(c, |digit| char::from(b'0' + digit))).collect())
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn split_prefix(text: &str, base: i64) -> (u32, &str) {
    for (radix, prefixes) in [(16, ["0x", "0X"]), (8, ["0o", "0O"]), (2, ["0b", "0B"])] {
        if let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
            && (base == 0 || base == i64::from(radix))
        {
            return (radix, rest.strip_prefix('_').unwrap_or(rest));
        }
    }
    (u32::try_from(base).ok().filter(|base| *base != 0).unwrap_or(10), text)
}

/// None if an underscore stands elsewhere than between two digits.
fn without_underscores(text: &str, is_digit: impl Fn(char) -> bool) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let parts: Vec<&str> = text.split('_').collect();
    let between = parts.windows(2).all(|pair| pair[0].ends_with(&is_digit) && pair[1].starts_with(&is_digit));
    between.then(|| Cow::Owned(parts.concat()))
}

/// An attribute of an `int`, `bool` or `float` that is no method.
pub(crate) fn attribute(value: &Value, name: &str) -> Option<Value> {
    let float = matches!(value, Value::Float(_));
    match name {
        "real" => Some(number(value)),
        "imag" if float => Some(Value::Float(0.0)),
        "imag" => Some(Value::Int(0)),
        "numerator" if !float => Some(number(value)),
        "denominator" if !float => Some(Value::Int(1)),
        _ => None,
    }
}

/// The names of the methods of an `int`, `bool` or `float`.
pub(crate) fn methods(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Float(_) => &["as_integer_ratio", "conjugate", "hex", "is_integer"],
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => {
            &["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "is_integer", "to_bytes"]
        }
        _ => &[],
    }
}

/// `value.method(args)`
pub(crate) fn call(rendering: &Rendering, value: &Value, method: &str, args: Args) -> PyResult {
    match (value, value.as_int()) {
        (Value::Float(float), _) => float_method(*float, method, args),
        (_, Some(int)) => int_method(rendering, value, &int, method, args),
        _ => type_error(format!("'{}' object is not a number", value.type_name())),
    }
}

/// A `bool` as the `int` that it is.
fn number(value: &Value) -> Value {
    match value {
        Value::Bool(value) => Value::Int(i64::from(*value)),
        other => other.clone(),
    }
}

fn int_method(rendering: &Rendering, value: &Value, int: &BigInt, method: &str, args: Args) -> PyResult {
    match method {
        "to_bytes" => return to_bytes(rendering, int, args),
        "from_bytes" => return from_bytes(rendering, args),
        _ => {}
    }
    args.builtin(&format!("{}.{method}", value.type_name()), 0, 0)?;
    Ok(match method {
        "as_integer_ratio" => Value::tuple(vec![number(value), Value::Int(1)]),
        "bit_count" => Value::size(int.iter_u64_digits().map(|digit| digit.count_ones() as usize).sum()),
        "bit_length" => Value::int(BigInt::from(int.bits())),
        "is_integer" => Value::Bool(true),
        _ => number(value),
    })
}

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

fn float_method(float: f64, method: &str, args: Args) -> PyResult {
    args.builtin(&format!("float.{method}"), 0, 0)?;
    match method {
        "as_integer_ratio" => ratio(float),
        "hex" => Ok(Value::from(hex(float))),
        "is_integer" => Ok(Value::Bool(float.is_finite() && float.fract().is_zero())),
        _ => Ok(Value::Float(float)),
    }
}

fn ratio(float: f64) -> PyResult {
    if float.is_nan() {
        return value_error("cannot convert NaN to integer ratio");
    }
    if float.is_infinite() {
        return other_error("cannot convert Infinity to integer ratio");
    }
    let (mantissa, exponent, sign) = num_traits::float::FloatCore::integer_decode(float);
    let (mut above, mut below) = (BigInt::from(mantissa) * i64::from(sign), BigInt::one());
    let twos = mantissa.trailing_zeros().min(63);
    if exponent >= 0 {
        above <<= exponent.unsigned_abs();
    } else {
        let common = twos.min(u32::from(exponent.unsigned_abs()));
        above >>= common;
        below <<= u32::from(exponent.unsigned_abs()) - common;
    }
    if above.is_zero() {
        below = BigInt::one();
    }
    Ok(Value::tuple(vec![Value::int(above), Value::int(below)]))
}

/// `float.hex`
fn hex(float: f64) -> String {
    if !float.is_finite() {
        return crate::json::float_repr(float);
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

#[cfg(test)]
mod tests {
    use crate::python::tests::{Row, check};

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        ("true", "as_integer_ratio", "[1]", "TypeError: bool.as_integer_ratio() takes no arguments (1 given)"),
        (r#"{"$f": "nan"}"#, "as_integer_ratio", "[]", "ValueError: cannot convert NaN to integer ratio"),
        (r#"{"$f": "0.1"}"#, "as_integer_ratio", "[]", "(3602879701896397, 36028797018963968)"),
        ("-129", "as_integer_ratio", "[]", "(-129, 1)"),
        ("255", "as_integer_ratio", "[]", "(255, 1)"),
        ("0", "as_integer_ratio", "[]", "(0, 1)"),
        ("5", "as_integer_ratio", "[]", "(5, 1)"),
        (r#"{"$f": "1.5"}"#, "as_integer_ratio", "[]", "(3, 2)"),
        (r#"{"$f": "inf"}"#, "as_integer_ratio", "[]", "Other: cannot convert Infinity to integer ratio"),
        ("256", "as_integer_ratio", "[]", "(256, 1)"),
        (r#"{"$f": "-0.0"}"#, "as_integer_ratio", "[]", "(0, 1)"),
        (r#"{"$i": "10000000000000000000000000"}"#, "as_integer_ratio", "[]", "(10000000000000000000000000, 1)"),
        ("-5", "as_integer_ratio", "[]", "(-5, 1)"),
        ("256", "bit_count", "[]", "1"),
        ("-129", "bit_count", "[]", "2"),
        (r#"{"$i": "10000000000000000000000000"}"#, "bit_count", "[]", "19"),
        (r#"{"$i": "18446744073709551616"}"#, "bit_count", "[]", "1"),
        ("0", "bit_count", "[1]", "TypeError: int.bit_count() takes no arguments (1 given)"),
        ("5", "bit_count", "[]", "2"),
        ("true", "bit_count", "[]", "1"),
        (r#"{"$i": "9223372036854775808"}"#, "bit_count", "[]", "1"),
        (r#"{"$i": "-10000000000000000000000000"}"#, "bit_count", "[]", "19"),
        ("255", "bit_count", "[]", "8"),
        ("0", "bit_count", "[]", "0"),
        ("5", "bit_length", "[]", "3"),
        ("-5", "bit_length", "[]", "3"),
        ("0", "bit_length", "[]", "0"),
        ("-129", "bit_length", "[]", "8"),
        ("true", "bit_length", "[]", "1"),
        ("-129", "bit_length", "[1]", "TypeError: int.bit_length() takes no arguments (1 given)"),
        (r#"{"$i": "10000000000000000000000000"}"#, "bit_length", "[]", "84"),
        (r#"{"$i": "18446744073709551616"}"#, "bit_length", "[]", "65"),
        (r#"{"$i": "-10000000000000000000000000"}"#, "bit_length", "[]", "84"),
        (r#"{"$f": "0.1"}"#, "conjugate", "[]", "0.1"),
        (r#"{"$f": "0.0"}"#, "conjugate", "[]", "0.0"),
        (r#"{"$f": "-1.1805916207174113e+21"}"#, "conjugate", "[]", "-1.1805916207174113e+21"),
        ("0", "conjugate", "[]", "0"),
        (r#"{"$f": "8.470329472543003e-22"}"#, "conjugate", "[]", "8.470329472543003e-22"),
        (r#"{"$f": "-0.0"}"#, "conjugate", "[]", "-0.0"),
        (r#"{"$f": "1.5"}"#, "conjugate", "[]", "1.5"),
        ("255", "conjugate", "[1]", "TypeError: int.conjugate() takes no arguments (1 given)"),
        ("true", "conjugate", "[1]", "TypeError: bool.conjugate() takes no arguments (1 given)"),
        (r#"{"$f": "1e+300"}"#, "conjugate", "[1]", "TypeError: float.conjugate() takes no arguments (1 given)"),
        (r#"{"$f": "1e-310"}"#, "conjugate", "[]", "1e-310"),
        ("-129", "conjugate", "[]", "-129"),
        (r#"{"$f": "3.0"}"#, "conjugate", "[]", "3.0"),
        ("255", "conjugate", "[]", "255"),
        (r#""nan""#, "float", "[]", "nan"),
        (r#""1e1_0""#, "float", "[]", "10000000000.0"),
        (r#""_1""#, "float", "[]", "ValueError: could not convert string to float: '_1'"),
        (r#""1e5""#, "float", "[]", "100000.0"),
        (r#""inf""#, "float", "[]", "inf"),
        (r#""1.""#, "float", "[]", "1.0"),
        (r#""1e400""#, "float", "[]", "inf"),
        (r#""1e+5""#, "float", "[]", "100000.0"),
        (r#""-Infinity""#, "float", "[]", "-inf"),
        (r#""1_0.5""#, "float", "[]", "10.5"),
        (r#""+nan""#, "float", "[]", "nan"),
        ("5", "from_bytes", r#"[{"$b": [97, 98]}]"#, "24930"),
        ("5", "from_bytes", r#"[[1, 2], "little"]"#, "513"),
        ("5", "from_bytes", r#"[{"$b": [97]}, "x"]"#, "ValueError: byteorder must be either 'little' or 'big'"),
        ("5", "from_bytes", r#"["ab"]"#, "TypeError: cannot convert 'str' object to bytes"),
        ("5", "from_bytes", "[[300]]", "ValueError: bytes must be in range(0, 256)"),
        (r#"{"$f": "-0.0"}"#, "hex", "[1]", "TypeError: float.hex() takes no arguments (1 given)"),
        (r#"{"$f": "nan"}"#, "hex", "[]", "'nan'"),
        (r#"{"$f": "1e-310"}"#, "hex", "[]", "'0x0.012688b70e62bp-1022'"),
        (r#"{"$f": "-1.5"}"#, "hex", "[]", "'-0x1.8000000000000p+0'"),
        (r#"{"$f": "3.0"}"#, "hex", "[]", "'0x1.8000000000000p+1'"),
        (r#"{"$f": "1.5"}"#, "hex", "[]", "'0x1.8000000000000p+0'"),
        (r#"{"$f": "0.1"}"#, "hex", "[]", "'0x1.999999999999ap-4'"),
        (r#"{"$f": "5e-324"}"#, "hex", "[]", "'0x0.0000000000001p-1022'"),
        (r#"{"$f": "1e+300"}"#, "hex", "[]", "'0x1.7e43c8800759cp+996'"),
        (r#""+1""#, "int", "[0]", "1"),
        (r#""\u0663""#, "int", "[10]", "3"),
        (r#""0b1""#, "int", "[2]", "1"),
        (r#""_1""#, "int", "[1]", "ValueError: int() base must be >= 2 and <= 36, or 0"),
        (r#""0_0""#, "int", "[8]", "0"),
        (r#""12a""#, "int", "[36]", "1378"),
        (r#""\u20031""#, "int", "[8]", "1"),
        (r#""0x_1f""#, "int", "[8]", "ValueError: invalid literal for int() with base 8: '0x_1f'"),
        (r#"" 12 ""#, "int", "[8]", "10"),
        ("true", "is_integer", "[1]", "TypeError: bool.is_integer() takes no arguments (1 given)"),
        ("255", "is_integer", "[]", "True"),
        (r#"{"$f": "5e-324"}"#, "is_integer", "[]", "False"),
        (r#"{"$f": "0.1"}"#, "is_integer", "[]", "False"),
        (r#"{"$f": "-0.0"}"#, "is_integer", "[]", "True"),
        (r#"{"$i": "9223372036854775808"}"#, "is_integer", "[]", "True"),
        (r#"{"$f": "0.0"}"#, "is_integer", "[1]", "TypeError: float.is_integer() takes no arguments (1 given)"),
        (r#"{"$i": "10000000000000000000000000"}"#, "is_integer", "[]", "True"),
        (r#"{"$f": "3.0"}"#, "is_integer", "[]", "True"),
        (r#"{"$f": "inf"}"#, "is_integer", "[]", "False"),
        ("256", "is_integer", "[]", "True"),
        (r#"{"$f": "946645.97255368"}"#, "round", "[6]", "946645.972554"),
        (r#"{"$f": "2000000.0"}"#, "round", "[4]", "2000000.0"),
        (r#"{"$f": "5.75"}"#, "round", "[-2]", "0.0"),
        (r#"{"$f": "3.572320629862602e+153"}"#, "round", "[1]", "3.572320629862602e+153"),
        (r#"{"$f": "-156.0"}"#, "round", "[9]", "-156.0"),
        (r#"{"$f": "-10.75"}"#, "round", "[5]", "-10.75"),
        (r#"{"$f": "5.737988300005981"}"#, "round", "[11]", "5.73798830001"),
        (r#"{"$f": "74.25"}"#, "round", "[11]", "74.25"),
        ("256", "to_bytes", r#"[2, "little"]"#, r"b'\x00\x01'"),
        ("255", "to_bytes", r#"[2, "little"]"#, r"b'\xff\x00'"),
        ("true", "to_bytes", "[]", r"b'\x01'"),
        ("0", "to_bytes", "[]", r"b'\x00'"),
        ("true", "to_bytes", r#"[2, "little"]"#, r"b'\x01\x00'"),
        ("0", "to_bytes", r#"[2, "little"]"#, r"b'\x00\x00'"),
        ("5", "to_bytes", "[]", r"b'\x05'"),
        ("-5", "to_bytes", "[1]", "Other: can't convert negative int to unsigned"),
        ("true", "to_bytes", r#"["x"]"#, "TypeError: 'str' object cannot be interpreted as an integer"),
        ("256", "to_bytes", "[]", "Other: int too big to convert"),
    ];

    #[test]
    fn numbers_do_as_in_python() {
        check(ROWS);
    }
}
