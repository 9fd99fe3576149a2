//! What Python would raise, and OnCall's two kinds of failure made of it.

use crate::Fault;

/// The result of anything that a template does.
pub(crate) type Res<T = crate::python::value::Value> = Result<T, Raise>;

/// The classes of exceptions between which OnCall, or one of its filters, makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exception {
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
pub(crate) struct Raise {
    pub(crate) exception: Exception,
    pub(crate) message: String,
    /// The template's line, from 1, once it is known.
    pub(crate) line: Option<usize>,
}

impl Raise {
    pub(crate) fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into(), line: None }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// Warnings are what may go well with other data.
    pub(crate) fn fault(&self) -> Fault {
        match self.exception {
            Exception::TypeError | Exception::ValueError | Exception::KeyError | Exception::UndefinedError => {
                Fault::Warning
            }
            Exception::AttributeError | Exception::Other | Exception::Bound => Fault::Error,
        }
    }
}

pub(crate) fn type_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::TypeError, message))
}

pub(crate) fn value_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::ValueError, message))
}

pub(crate) fn other_error<T>(message: impl Into<String>) -> Res<T> {
    Err(Raise::new(Exception::Other, message))
}
