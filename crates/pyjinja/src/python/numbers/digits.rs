//! The digits of numbers as text.

use std::borrow::Cow;

use num_bigint::BigInt;

use crate::python::{
    exception::{Exception, ExceptionClass, PyResult},
    unicode::decimal,
};

/// The most decimal digits of an int that Python reads or prints: its default of `sys.get_int_max_str_digits()`.
pub(crate) const MAX_STR_DIGITS: usize = 4300;

/// `str(x)` of an int.
///
/// # Errors
/// As [`too_long`].
pub(crate) fn int_text(number: &BigInt) -> PyResult<String> {
    // An int of 4300 digits has fewer bits than this: a larger one need not be printed to know.
    let text = (number.bits() < 14_300).then(|| number.to_string());
    text.filter(|text| text.trim_start_matches('-').len() <= MAX_STR_DIGITS).ok_or_else(|| too_long(None))
}

/// The exception for an int of more than [`MAX_STR_DIGITS`] digits, which are counted where it is read.
pub(crate) fn too_long(read: Option<usize>) -> Exception {
    let read = read.map(|digits| format!(": value has {digits} digits")).unwrap_or_default();
    let message = format!(
        "Exceeds the limit ({MAX_STR_DIGITS} digits) for integer string conversion{read}; use \
         sys.set_int_max_str_digits() to increase the limit"
    );
    Exception::new(ExceptionClass::ValueError, message)
}

/// The text with the decimal digits of every script as ASCII.
pub(super) fn plain_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| decimal(c).map_or(c, |digit| char::from(b'0' + digit))).collect())
}

/// Whether a minus sign comes first, and the text behind the sign.
pub(super) fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The radix and the digits. A prefix such as `0x` gives the radix where `base` allows one.
pub(super) fn split_prefix(text: &str, base: i64) -> (u32, &str) {
    for (radix, prefixes) in [(16, ["0x", "0X"]), (8, ["0o", "0O"]), (2, ["0b", "0B"])] {
        if let Some(rest) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
            && (base == 0 || base == i64::from(radix))
        {
            return (radix, rest.strip_prefix('_').unwrap_or(rest));
        }
    }
    (u32::try_from(base).ok().filter(|base| *base != 0).unwrap_or(10), text)
}

/// The text without its underscores; None if one stands elsewhere than between two digits.
pub(super) fn without_underscores(text: &str, is_digit: impl Fn(char) -> bool) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let parts: Vec<&str> = text.split('_').collect();
    let between = parts.windows(2).all(|pair| pair[0].ends_with(&is_digit) && pair[1].starts_with(&is_digit));
    between.then(|| Cow::Owned(parts.concat()))
}
