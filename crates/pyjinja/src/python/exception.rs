//! Python's exceptions, and OnCall's two kinds of failure that they become.

use crate::Fault;

/// The result of anything that a template does.
pub(crate) type PyResult<T = crate::python::value::Value> = Result<T, Exception>;

/// The classes of exceptions between which OnCall, or one of its filters, makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExceptionClass {
    TypeError,
    ValueError,
    KeyError,
    UndefinedError,
    AttributeError,
    /// Any other, such as a division by zero, forbidden access or an index out of range.
    Other,
    /// A bound of ours was met, which no template can catch.
    Bound,
}

/// An exception on its way up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) class: ExceptionClass,
    pub(crate) message: String,
    /// The template's line, from 1, once it is known.
    pub(crate) line: Option<usize>,
}

impl Exception {
    /// An exception of no line yet.
    pub(crate) fn new(class: ExceptionClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), line: None }
    }

    /// Sets the line, unless the exception has one.
    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// Warnings are what may go well with other data.
    pub(crate) fn fault(&self) -> Fault {
        match self.class {
            ExceptionClass::TypeError
            | ExceptionClass::ValueError
            | ExceptionClass::KeyError
            | ExceptionClass::UndefinedError => Fault::Warning,
            ExceptionClass::AttributeError | ExceptionClass::Other | ExceptionClass::Bound => Fault::Error,
        }
    }
}

/// Raises a TypeError.
pub(crate) fn type_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::TypeError, message))
}

/// Raises a ValueError.
pub(crate) fn value_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::ValueError, message))
}

/// Raises an exception of another class.
pub(crate) fn other_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::Other, message))
}
