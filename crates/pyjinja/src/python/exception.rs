//! Python's exceptions: whatever fails returns one as `Err` ([`PyResult`]), and the evaluator adds the line. Few filters catch
//! one, and no template can.

use std::fmt;

/// The result of anything that a template does.
pub(crate) type PyResult<T = crate::python::value::Value> = Result<T, Exception>;

/// The class of an exception, as Python and Jinja2 name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExceptionClass {
    /// Python's `TypeError`
    TypeError,
    /// Python's `ValueError`
    ValueError,
    /// Python's `KeyError`
    KeyError,
    /// Python's `AttributeError`
    AttributeError,
    /// Jinja2's `UndefinedError`
    UndefinedError,
    /// Jinja2's `TemplateSyntaxError`: the template can't be parsed.
    TemplateSyntaxError,
    /// Jinja2's `TemplateAssertionError`: the template can be parsed, but names a filter or test that does not exist.
    TemplateAssertionError,
    /// Jinja2's `TemplateRuntimeError`
    TemplateRuntimeError,
    /// Jinja2's `TemplateNotFound` and `TemplatesNotFound`: there is no loader.
    TemplateNotFound,
    /// Jinja2's `FilterArgumentError`
    FilterArgumentError,
    /// Jinja2's `SecurityError`: the sandbox refuses access to an attribute.
    SecurityError,
    /// Python's `OverflowError` of a `range` that the sandbox refuses.
    OverflowError,
    /// A limit of the environment was met, for which Python has no exception. No template can catch it.
    LimitReached,
    /// Any other, such as `ZeroDivisionError`, `IndexError`, `RecursionError` or an error in a regular expression.
    Other,
}

impl fmt::Display for ExceptionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("Exception"),
            named => write!(f, "{named:?}"),
        }
    }
}

/// An exception of Python on its way up, such as a filter raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its class.
    pub class: ExceptionClass,
    /// Its text, as `str(exception)` gives it.
    pub message: String,
    /// The template's line, from 1, once it is known.
    pub line: Option<u32>,
    /// The column in that line, in characters from 1, where it is known: that of what can't be parsed, or of a name that nothing has.
    pub column: Option<u32>,
}

// Each call of the engine has room for one on the stack, and calls are nested as deep as templates are.
const _: () = assert!(size_of::<Exception>() <= 48);

impl Exception {
    /// An exception without a line: the engine adds that of the statement.
    pub fn new(class: ExceptionClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), line: None, column: None }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(u32::try_from(line).unwrap_or(u32::MAX));
        self
    }

    /// The same, in the column where this byte of the template stands.
    pub(crate) fn at_byte(mut self, source: &str, byte: usize) -> Self {
        let before = source.get(..byte).map(|before| before.chars().rev().take_while(|char| *char != '\n').count());
        self.column = before.and_then(|before| u32::try_from(before + 1).ok());
        self
    }
}

pub(crate) fn type_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::TypeError, message))
}

pub(crate) fn value_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::ValueError, message))
}

pub(crate) fn other_error<T>(message: impl Into<String>) -> PyResult<T> {
    Err(Exception::new(ExceptionClass::Other, message))
}
