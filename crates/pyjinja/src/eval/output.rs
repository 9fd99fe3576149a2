//! The text that a template, a macro or the body of a block makes.

use crate::python::{
    exception::{Exception, ExceptionClass, PyResult},
    value::Value,
};

/// Text in pieces, which Jinja2 joins in the end: one for what is printed by a tag, and one for all constants in a row.
#[derive(Default)]
pub(crate) struct Output {
    text: String,
    pieces: usize,
    /// The exception that joining raises for the first piece that is no text.
    misfit: Option<Exception>,
}

impl Output {
    /// Begins a piece. What is pushed belongs to it.
    pub(crate) fn begin_piece(&mut self) {
        self.pieces += 1;
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds the value of a tag on this line as a piece that is not made text first.
    pub(crate) fn add(&mut self, value: &Value, line: usize) {
        match value {
            Value::Str(text) => self.push(text),
            other => {
                let (number, found) = (self.pieces, other.operand_name());
                let message = format!("sequence item {number}: expected str instance, {found} found");
                self.misfit.get_or_insert_with(|| Exception::new(ExceptionClass::TypeError, message).at(line));
            }
        }
        self.begin_piece();
    }

    /// `''.join(pieces)`
    ///
    /// # Errors
    /// A piece is no text.
    pub(crate) fn joined(self) -> PyResult<String> {
        self.misfit.map_or(Ok(self.text), Err)
    }
}
