//! Numbers as digits, as format specifications and `%` write them.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::{
    eval::rendering::Rendering,
    python::{
        exception::{PyResult, other_error},
        floats::float_repr,
        numbers::digits::int_text,
    },
};

/// No float has more decimals than this: those beyond are zeros.
const DECIMALS: usize = 1100;

/// The text of a finite or infinite `number` without its sign, by one of `e`, `f` and `g`.
pub(super) fn float_digits(
    rendering: &Rendering,
    number: f64,
    kind: char,
    precision: usize,
    alternate: bool,
) -> PyResult<String> {
    if !number.is_finite() {
        return Ok(float_repr(number.abs()));
    }
    rendering.allocate(precision.saturating_add(320))?;
    let shown = precision.min(DECIMALS);
    let zeros = "0".repeat(precision - shown);
    let point = if alternate && precision == 0 { "." } else { "" };
    let number = number.abs();
    Ok(match kind {
        'f' => format!("{number:.shown$}{zeros}{point}"),
        'e' => scientific(&format!("{number:.shown$e}"), &format!("{zeros}{point}")),
        _ => general(number, precision.max(1), alternate, false),
    })
}

/// `1.5e+07`, which Rust writes as `1.5e7`, with `more` behind the digits.
fn scientific(text: &str, more: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}{more}e{sign}{exponent:0>2}")
}

/// `%g`; if `pointed`, the format without a type, which keeps a decimal, so that an exponent comes one digit earlier.
pub(super) fn general(number: f64, precision: usize, alternate: bool, pointed: bool) -> String {
    let digits = precision.min(DECIMALS) - 1;
    let shown = format!("{number:.digits$e}");
    let exponent: i64 = shown.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let limit = i64::try_from(precision).unwrap_or(i64::MAX) - i64::from(pointed);
    let (mut text, exponent) = if exponent < -4 || exponent >= limit {
        let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        (digits.to_owned(), Some(exponent.to_owned()))
    } else {
        let decimals = usize::try_from(digits as i64 - exponent).unwrap_or(0);
        (format!("{number:.decimals$}"), None)
    };
    if alternate {
        if !text.contains('.') {
            text.push('.');
        }
        text.push_str(&"0".repeat(precision - 1 - digits));
    } else if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    match exponent {
        Some(exponent) => scientific(&format!("{text}e{exponent}"), ""),
        None if pointed && !text.contains('.') => format!("{text}.0"),
        None => text,
    }
}

/// The digits of an int in base 2, 8, 10 or 16.
pub(super) fn int_digits(rendering: &Rendering, number: &BigInt, radix: u32) -> PyResult<String> {
    rendering.allocate(usize::try_from(number.bits() / u64::from(radix.ilog2())).unwrap_or(usize::MAX))?;
    match radix {
        10 => Ok(int_text(number)?.trim_start_matches('-').to_owned()),
        _ => Ok(number.magnitude().to_str_radix(radix)),
    }
}

/// The base of a type of format, and the prefix of its alternate form.
pub(super) fn radix_of(kind: char) -> (u32, &'static str) {
    match kind {
        'b' => (2, "0b"),
        'o' => (8, "0o"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    }
}

/// `%c` of an int.
pub(super) fn character(number: &BigInt) -> PyResult<char> {
    match number.to_u32() {
        // A text of Rust can't hold half of a surrogate pair.
        Some(code @ ..0x11_0000) => Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        _ if number.to_i64().is_none() => other_error("Python int too large to convert to C long"),
        _ => other_error("%c arg not in range(0x110000)"),
    }
}
