//! `str` and `repr`.

use std::{fmt::Write, sync::Arc};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::json::float_repr;
use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        exception::{PyResult, other_error, value_error},
        value::{Text, Value},
    },
};

/// Python's bound on the digits of an int as text.
const DIGITS: usize = 4300;

/// `str(x)`
pub(crate) fn string(rendering: &Rendering, value: &Value) -> PyResult<Arc<str>> {
    match value {
        Value::Str(text) => Ok(Arc::clone(&text.text)),
        Value::Undefined(_) => Ok(Arc::from("")),
        Value::Object(object) => Ok(Arc::from(object.str(rendering)?)),
        other => Ok(Arc::from(repr(rendering, other)?)),
    }
}

/// `repr(x)`
pub(crate) fn repr(rendering: &Rendering, value: &Value) -> PyResult<String> {
    let mut printer = Printer { rendering, out: String::new(), counted: 0, open: Vec::new() };
    printer.value(value)?;
    Ok(printer.out)
}

/// `repr` of a `str`.
pub(crate) fn quote(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if printable(c) => out.push(c),
            // Writing to a String can't fail.
            c if c <= '\u{ff}' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c <= '\u{ffff}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
    out
}

/// `str.isprintable` of one character.
pub(crate) fn printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Surrogate
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::SpaceSeparator
    )
}

struct Printer<'a> {
    rendering: &'a Rendering,
    out: String,
    /// How much of `out` is counted already.
    counted: usize,
    /// The containers that stand around, by address: one in itself prints as dots.
    open: Vec<*const ()>,
}

impl Printer<'_> {
    fn value(&mut self, value: &Value) -> PyResult<()> {
        match value {
            Value::Undefined(_) => self.out.push_str("Undefined"),
            Value::None => self.out.push_str("None"),
            Value::Bool(true) => self.out.push_str("True"),
            Value::Bool(false) => self.out.push_str("False"),
            Value::Int(number) => drop(write!(self.out, "{number}")),
            Value::Big(number) => {
                let digits = number.to_string();
                if digits.trim_start_matches('-').len() > DIGITS {
                    return value_error(format!("Exceeds the limit ({DIGITS} digits) for integer string conversion"));
                }
                self.out.push_str(&digits);
            }
            Value::Float(number) => self.out.push_str(&float_repr(*number)),
            Value::Str(Text { text, safe: false }) => self.out.push_str(&quote(text)),
            Value::Str(Text { text, safe: true }) => drop(write!(self.out, "Markup({})", quote(text))),
            Value::List(list) => {
                let items = list.items();
                self.container(std::rc::Rc::as_ptr(list).cast(), ["[", "]"], |printer| printer.items(&items))?;
            }
            Value::Tuple(tuple) => {
                self.container(std::rc::Rc::as_ptr(tuple).cast(), ["(", ")"], |printer| {
                    printer.items(&tuple.items)?;
                    if tuple.items.len() == 1 {
                        printer.out.push(',');
                    }
                    Ok(())
                })?;
            }
            Value::Dict(dict) => {
                let entries = dict.entries();
                let brackets = if dict.defaulting { ["defaultdict(<class 'str'>, {", "})"] } else { ["{", "}"] };
                self.container(std::rc::Rc::as_ptr(dict).cast(), brackets, |printer| {
                    for (index, (key, value)) in entries.iter().enumerate() {
                        if index > 0 {
                            printer.out.push_str(", ");
                        }
                        printer.value(key.value())?;
                        printer.out.push_str(": ");
                        printer.value(value)?;
                    }
                    Ok(())
                })?;
            }
            Value::Object(object) => {
                let text = object.repr(self.rendering)?;
                self.out.push_str(&text);
            }
        }
        self.count()
    }

    fn items(&mut self, items: &[Value]) -> PyResult<()> {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.value(item)?;
        }
        Ok(())
    }

    fn container(
        &mut self,
        address: *const (),
        brackets: [&str; 2],
        inside: impl FnOnce(&mut Self) -> PyResult<()>,
    ) -> PyResult<()> {
        let Some(_level) = budget::deeper() else {
            return other_error("maximum recursion depth exceeded while getting the repr of an object");
        };
        self.out.push_str(brackets[0]);
        if self.open.contains(&address) {
            self.out.push_str("...");
        } else {
            self.open.push(address);
            inside(self)?;
            self.open.pop();
        }
        self.out.push_str(brackets[1]);
        Ok(())
    }

    fn count(&mut self) -> PyResult<()> {
        let more = self.out.len() - self.counted;
        self.counted = self.out.len();
        self.rendering.allocate(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_repr_does() {
        let cases = [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("say \"hi\"", "'say \"hi\"'"),
            ("both ' and \"", "'both \\' and \"'"),
            ("tab\there\nnl\r\\", "'tab\\there\\nnl\\r\\\\'"),
            (
                "\0\x7f\u{a0}\u{ad}é\u{200b}\u{e000}\u{10ffff}😊e\u{301}",
                "'\\x00\\x7f\\xa0\\xadé\\u200b\\ue000\\U0010ffff😊e\u{301}'",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(quote(text), expected);
        }
    }
}
