//! The methods of values and arguments that filters call.

use std::sync::Arc;

use indexmap::IndexMap;
use num_bigint::BigInt;

use crate::{
    eval::{access, rendering::Rendering},
    python::{
        arguments::{Args, Signature},
        exception::{Exception, ExceptionClass},
        repr,
        value::{DictClass, Text, Value},
    },
};

impl Value {
    /// A `Markup`: text that is not escaped again.
    pub fn markup(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Text::safe(text))
    }

    /// A `dict` of these entries, in their order.
    ///
    /// # Errors
    /// A key is of a type that can't be one, such as a list.
    pub fn dict_of(entries: impl IntoIterator<Item = (Self, Self)>) -> Result<Self, Exception> {
        let entries = entries.into_iter().map(|(key, value)| Ok((key.key()?, value)));
        entries.collect::<Result<IndexMap<_, _>, Exception>>().map(Self::dict)
    }

    /// An empty `defaultdict(str)`.
    pub fn defaultdict() -> Self {
        Self::dict_of_class(IndexMap::new(), DictClass::Defaulting)
    }

    /// Whether it is one of Jinja2's undefined values.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// `str(x)`
    ///
    /// # Errors
    /// A limit is reached, or the value can't be shown.
    pub fn to_text(&self, rendering: &Rendering) -> Result<Arc<str>, Exception> {
        repr::string(rendering, self)
    }

    /// `repr(x)`
    ///
    /// # Errors
    /// A limit is reached, or the value can't be shown.
    pub fn to_repr(&self, rendering: &Rendering) -> Result<String, Exception> {
        repr::repr(rendering, self)
    }

    /// `x.name` of a template: an attribute or a method, or else an item, or else an undefined value.
    ///
    /// # Errors
    /// `x` is undefined, and the policy does not let it have attributes.
    pub fn attribute(&self, rendering: &Rendering, name: &str) -> Result<Self, Exception> {
        access::attribute(rendering, self, name)
    }

    /// `x[key]` of a template: an item, or else an attribute, or else an undefined value.
    ///
    /// # Errors
    /// `x` is undefined, and the policy does not let it have items.
    pub fn item(&self, rendering: &Rendering, key: &Self) -> Result<Self, Exception> {
        access::item(rendering, self, key)
    }

    /// `x(arguments)`
    ///
    /// # Errors
    /// It can't be called, or raises.
    pub fn call(&self, rendering: &Rendering, arguments: Args) -> Result<Self, Exception> {
        access::call(rendering, self, arguments)
    }

    /// `x.name(arguments)`, where Python's `x` has such a method: no look at its items.
    ///
    /// # Errors
    /// There is no such method, or it raises.
    pub fn call_method(&self, rendering: &Rendering, name: &str, arguments: Args) -> Result<Self, Exception> {
        match self {
            Self::Undefined(undefined) => Err(undefined.raise()),
            value if crate::python::methods::has(value, name) => access::call_method(rendering, self, name, arguments),
            other => Err(Exception::new(
                ExceptionClass::AttributeError,
                format!("'{}' object has no attribute '{name}'", other.operand_name()),
            )),
        }
    }
}

impl Default for Value {
    /// `None`
    fn default() -> Self {
        Self::None
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Containers may hold themselves, and the data may be secret.
        write!(f, "<{} object>", self.type_name())
    }
}

macro_rules! from_int {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(number: $int) -> Self {
                i64::try_from(number).map_or_else(|_| Self::int(BigInt::from(number)), Self::Int)
            }
        }
    )*};
}

from_int!(i32, i64, u32, u64, usize);

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl Args {
    /// Arguments that are all given by position.
    pub fn positional(values: impl IntoIterator<Item = Value>) -> Self {
        Self { positional: values.into_iter().collect(), named: Vec::new() }
    }

    /// Binds them to the parameters of the function `name`, as Python does: one value for each, the required ones first
    /// and never None; None where an optional one is not given.
    ///
    /// ```
    /// use pyjinja::{Arguments, Value};
    ///
    /// let mut arguments = Arguments::positional([Value::from("x")]);
    /// arguments.named.push(("colour".to_owned(), Value::from("red")));
    /// let refused = arguments.bind_to::<2>("paint", &["what"], &["color"]).unwrap_err();
    /// assert_eq!(refused.message, "paint() got an unexpected keyword argument 'colour'");
    /// ```
    ///
    /// # Errors
    /// A `TypeError` in Python's words: a required one is missing, one too many is given, or one is unknown.
    pub fn bind_to<const N: usize>(
        self,
        name: &'static str,
        required: &'static [&'static str],
        optional: &'static [&'static str],
    ) -> Result<[Option<Value>; N], Exception> {
        self.take_all(&Signature::new(name, 0, required, optional))
    }
}
