//! What Python would raise, and OnCall's two kinds of failure made of it.

use super::Fault;

/// The result of anything that a template does.
pub(super) type Res<T = super::value::Value> = Result<T, Raise>;

/// The classes of exceptions between which OnCall, or one of its filters, makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
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
pub(super) struct Raise {
    pub(super) exception: Exception,
    pub(super) message: String,
    /// The template's line, from 1, once it is known.
    pub(super) line: Option<usize>,
}

impl Raise {
    pub(super) fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into(), line: None }
    }

    pub(super) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// Warnings are what may go well with other data.
    pub(super) fn fault(&self) -> Fault {
        match self.exception {
            Exception::TypeError | Exception::ValueError | Exception::KeyError | Exception::UndefinedError => {
                Fault::Warning
            }
            Exception::AttributeError | Exception::Other | Exception::Bound => Fault::Error,
        }
    }
}

pub(super) fn type_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::TypeError, message))
}

pub(super) fn value_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::ValueError, message))
}

pub(super) fn other_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::Other, message))
}
