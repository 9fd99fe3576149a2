//! A format that is read from its start.

use crate::python::{
    exception::{PyResult, value_error},
    unicode::decimal,
};

/// The characters of a format, and how far they are read.
pub(super) struct Characters<'a> {
    pub(super) text: &'a str,
    /// The byte to read next.
    pub(super) at: usize,
}

impl<'a> Characters<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The text that is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The character `ahead` of the next one, 0 for that itself.
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.rest().chars().nth(ahead)
    }

    /// Takes the next character.
    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Takes the next character if it is `wanted`.
    pub(super) fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        self.peek(0).filter(|c| wanted(*c))?;
        self.next()
    }

    /// Takes decimal digits of any script; None if there are none.
    pub(super) fn integer(&mut self) -> PyResult<Option<usize>> {
        let mut value = None;
        while let Some(digit) = self.peek(0).and_then(decimal) {
            self.next();
            let grown = value.unwrap_or(0_i64).checked_mul(10).and_then(|value| value.checked_add(i64::from(digit)));
            if grown.is_none() {
                return value_error("Too many decimal digits in format string");
            }
            value = grown;
        }
        Ok(value.and_then(|value| usize::try_from(value).ok()))
    }
}
