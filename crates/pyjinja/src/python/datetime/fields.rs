//! Numbers in the text of a date or time, in decimal digits of any script.

use crate::python::unicode::decimal;

/// The number that the digits in `text` are; other characters do not count.
pub(super) fn number(text: &str) -> i64 {
    text.chars().filter_map(decimal).fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(digit.into()))
}

/// The microseconds that the digits behind a point are.
pub(super) fn fraction(text: &str) -> i64 {
    let digits = u32::try_from(text.chars().count()).unwrap_or(6);
    number(text) * 10_i64.pow(6_u32.saturating_sub(digits))
}
