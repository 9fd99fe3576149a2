//! Jinja2's `Undefined`: the value of a name, attribute or element that is not there.

use std::{rc::Rc, sync::Arc};

use crate::python::{
    exception::{Exception, ExceptionClass},
    quote::quote,
    value::Value,
};

/// The reason why there is no value. Jinja2 names it once a template asks for more than printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// There is no variable of this name.
    Name(Arc<str>),
    /// An object, named by [`Value::described`], has no such attribute or key.
    Attribute(String, String),
    /// An object, named by [`Value::described`], has no such element; the key as `repr` shows it.
    Element(String, String),
    /// Anything else: the class and the message of the exception to raise.
    Hint(ExceptionClass, String),
}

impl Undefined {
    /// The exception that any use of the value raises.
    pub(crate) fn raise(&self) -> Exception {
        let (exception, message) = match self {
            Self::Name(name) => (ExceptionClass::UndefinedError, format!("{} is undefined", quote(name))),
            Self::Attribute(owner, name) => {
                (ExceptionClass::UndefinedError, format!("'{owner}' has no attribute {}", quote(name)))
            }
            Self::Element(owner, key) => (ExceptionClass::UndefinedError, format!("{owner} has no element {key}")),
            Self::Hint(exception, hint) => (*exception, hint.clone()),
        };
        Exception::new(exception, message)
    }

    /// A value that is undefined and raises an `UndefinedError` with this message.
    pub(crate) fn hint(message: impl Into<String>) -> Value {
        Value::Undefined(Rc::new(Self::Hint(ExceptionClass::UndefinedError, message.into())))
    }
}
