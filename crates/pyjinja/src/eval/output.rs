//! The text that a template, a macro or the body of a block makes.

use crate::python::{
    exception::{PyResult, type_error},
    value::Value,
};

/// Text in pieces, which Jinja2 joins in the end: one for what is printed by a tag, and one for all constants in a row.
#[derive(Default)]
pub(crate) struct Output {
    text: String,
    pieces: usize,
    /// The number of the first piece that is no text, and its type.
    misfit: Option<(usize, String)>,
}

impl Output {
    /// Begins a piece. What is pushed belongs to it.
    pub(crate) fn begin_piece(&mut self) {
        self.pieces += 1;
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a value as a piece that is not made text first.
    pub(crate) fn add(&mut self, value: &Value) {
        match value {
            Value::Str(text) => self.push(text),
            other => {
                self.misfit.get_or_insert_with(|| (self.pieces, other.operand_name().into_owned()));
            }
        }
        self.begin_piece();
    }

    /// `''.join(pieces)`
    ///
    /// # Errors
    /// A piece is no text.
    pub(crate) fn joined(self) -> PyResult<String> {
        match self.misfit {
            None => Ok(self.text),
            Some((number, found)) => {
                type_error(format!("sequence item {number}: expected str instance, {found} found"))
            }
        }
    }
}
