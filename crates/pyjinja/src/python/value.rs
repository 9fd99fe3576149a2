//! Python's values.
//!
//! Containers are shared and mutable, as in Python. The event's data comes in as [`Json`] that many renderings share;
//! each object and array of it is turned into values one level at a time, when a template first looks into it.

mod containers;
mod equality;
mod key;
pub(crate) mod number;
mod undefined;

use std::{borrow::Cow, rc::Rc, sync::Arc};

use indexmap::IndexMap;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

pub(crate) use self::{
    containers::{Dict, DictClass, List, Tuple, dismantle},
    equality::equal,
    key::Key,
    undefined::Undefined,
};
use crate::{
    eval::{budget, rendering::Rendering},
    json::Json,
    python::{
        exception::{Exception, type_error},
        object::Object,
    },
};

/// A value of Python. Its variants are the engine's own business; its methods are for filters.
#[derive(Clone)]
#[non_exhaustive]
pub enum Value {
    /// Prints as nothing, and raises when more is asked of it.
    Undefined(Rc<Undefined>),
    /// `None`
    None,
    /// A `bool`.
    Bool(bool),
    /// An int of 64 bits.
    Int(i64),
    /// An int beyond 64 bits; a smaller one is always an `Int`.
    Big(Rc<BigInt>),
    /// A `float`.
    Float(f64),
    /// A `str` or a `Markup`.
    Str(Text),
    /// A `list`.
    List(Rc<List>),
    /// A `tuple`.
    Tuple(Rc<Tuple>),
    /// A `dict`.
    Dict(Rc<Dict>),
    /// A value of any other type.
    Object(Rc<dyn Object>),
}

/// A `str`, or a `Markup` if `safe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text itself.
    pub text: Arc<str>,
    /// Whether it is a `Markup`, which is not escaped again.
    pub safe: bool,
}

impl Text {
    /// A `Markup`.
    pub(crate) fn safe(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), safe: true }
    }

    /// Other text of the same type.
    pub(crate) fn like(&self, text: impl Into<Arc<str>>) -> Value {
        Value::Str(Self { text: text.into(), safe: self.safe })
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Value {
    /// A `str`.
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Text { text: text.into(), safe: false })
    }

    /// A `list`.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(List::new(items)))
    }

    /// A `tuple`.
    pub fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Tuple { items, group: false }))
    }

    /// A `dict`.
    pub(crate) fn dict(entries: IndexMap<Key, Self>) -> Self {
        Self::dict_of_class(entries, DictClass::Plain)
    }

    /// A dict of this class.
    pub(crate) fn dict_of_class(entries: IndexMap<Key, Self>, class: DictClass) -> Self {
        Self::Dict(Rc::new(Dict::new(entries, class)))
    }

    /// A value of a type of its own.
    pub(crate) fn object(object: impl Object) -> Self {
        Self::Object(Rc::new(object))
    }

    /// An `int` of any size.
    pub(crate) fn int(value: BigInt) -> Self {
        value.to_i64().map_or_else(|| Self::Big(Rc::new(value)), Self::Int)
    }

    /// An `int` that is a length or a position.
    pub(crate) fn size(value: usize) -> Self {
        i64::try_from(value).map_or_else(|_| Self::int(BigInt::from(value)), Self::Int)
    }

    /// The object of this type, if it is one.
    pub(crate) fn downcast<T: Object>(&self) -> Option<&T> {
        match self {
            Self::Object(object) => object.downcast(),
            _ => None,
        }
    }

    /// `type(x).__name__`
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Str(Text { safe: false, .. }) => "str",
            Self::Str(Text { safe: true, .. }) => "Markup",
            Self::List(_) => "list",
            Self::Tuple(tuple) if tuple.group => "_GroupTuple",
            Self::Tuple(_) => "tuple",
            Self::Dict(dict) if dict.is_defaulting() => "defaultdict",
            Self::Dict(_) => "dict",
            Self::Object(object) => object.type_name(),
        }
    }

    /// The type as Python's messages about operands name it.
    pub(crate) fn operand_name(&self) -> Cow<'static, str> {
        match self {
            Self::Object(object) => object.operand_name(),
            Self::Dict(dict) if dict.is_defaulting() => Cow::Borrowed("collections.defaultdict"),
            other => Cow::Borrowed(other.type_name()),
        }
    }

    /// The value as Jinja2's messages about attributes and elements name it.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Undefined(_) => "jinja2.runtime.Undefined object".to_owned(),
            Self::Str(Text { safe: true, .. }) => "markupsafe.Markup object".to_owned(),
            Self::Tuple(tuple) if tuple.group => "jinja2.filters._GroupTuple object".to_owned(),
            Self::Dict(dict) if dict.is_defaulting() => "collections.defaultdict object".to_owned(),
            Self::Object(object) => format!("{} object", object.described()),
            other => format!("{} object", other.type_name()),
        }
    }

    /// `bool(x)`
    pub fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Big(_) => true,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::Tuple(tuple) => !tuple.items.is_empty(),
            Self::Dict(dict) => dict.len() > 0,
            Self::Object(object) => object.truth(),
        }
    }

    /// The text of a `str`.
    pub fn as_str(&self) -> Option<&Text> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an `int` or a `bool`.
    pub(crate) fn as_int(&self) -> Option<Cow<'_, BigInt>> {
        match self {
            Self::Bool(value) => Some(Cow::Owned(BigInt::from(*value))),
            Self::Int(value) => Some(Cow::Owned(BigInt::from(*value))),
            Self::Big(value) => Some(Cow::Borrowed(value)),
            _ => None,
        }
    }

    /// `operator.index(x)`: an int that indexes, counts or sizes something, cut to 64 bits.
    ///
    /// # Errors
    /// A `TypeError`, as `operator.index` raises it.
    pub fn index(&self) -> Result<i64, Exception> {
        match self {
            Self::Bool(value) => Ok(i64::from(*value)),
            Self::Int(value) => Ok(*value),
            Self::Big(value) => Ok(if value.sign() == num_bigint::Sign::Minus { i64::MIN } else { i64::MAX }),
            other => type_error(format!("'{}' object cannot be interpreted as an integer", other.type_name())),
        }
    }

    /// `list(x)`: a copy of all items, so that a loop may change the original.
    ///
    /// # Errors
    /// It can't be iterated, or a limit is reached.
    pub fn iterate(&self, rendering: &Rendering) -> Result<Vec<Self>, Exception> {
        let items = match self {
            Self::Undefined(_) => Vec::new(),
            Self::Str(text) => {
                // Each character is a text of its own.
                rendering.allocate(text.len() * 2 * size_of::<Self>())?;
                text.chars().map(|c| Self::text(c.encode_utf8(&mut [0; 4]) as &str)).collect()
            }
            Self::List(list) => list.items().clone(),
            Self::Tuple(tuple) => tuple.items.clone(),
            Self::Dict(dict) => dict.entries().keys().map(|key| key.value().clone()).collect(),
            Self::Object(object) => match object.iterate(rendering) {
                Some(items) => items?,
                None => return type_error(format!("'{}' object is not iterable", self.operand_name())),
            },
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Float(_) => {
                return type_error(format!("'{}' object is not iterable", self.type_name()));
            }
        };
        rendering.allocate(items.len() * size_of::<Self>())?;
        Ok(items)
    }

    /// `len(x)`
    ///
    /// # Errors
    /// A `TypeError`: it has none.
    pub fn length(&self) -> Result<usize, Exception> {
        match self {
            Self::Undefined(_) => Some(0),
            Self::Str(text) => Some(if text.is_ascii() { text.len() } else { text.chars().count() }),
            Self::List(list) => Some(list.items().len()),
            Self::Tuple(tuple) => Some(tuple.items.len()),
            Self::Dict(dict) => Some(dict.len()),
            Self::Object(object) => object.length(),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Float(_) => None,
        }
        .map_or_else(|| type_error(format!("object of type '{}' has no len()", self.operand_name())), Ok)
    }

    /// How much work it is to go through it once, in steps of the rendering's bound.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Str(text) => text.len() / 16,
            Self::List(list) => list.items().len() / 2,
            Self::Tuple(tuple) => tuple.items.len() / 2,
            Self::Dict(dict) => dict.len() / 2,
            _ => 0,
        }
    }

    /// Empties it, though others may still hold it, and gives the values that it held.
    pub(crate) fn empty(&self) -> Vec<Self> {
        match self {
            Self::List(list) => list.clear(),
            Self::Dict(dict) => dict.clear(),
            Self::Object(object) => object.empty(),
            _ => Vec::new(),
        }
    }

    /// Whether it can be called.
    pub fn callable(&self) -> bool {
        // Undefined has a `__call__`, which raises.
        matches!(self, Self::Undefined(_)) || matches!(self, Self::Object(object) if object.callable())
    }
}

impl Value {
    /// The value that `json` tells. Each mapping in it, at any depth, is of `class`.
    pub(crate) fn of_json(json: &Json, class: DictClass) -> Self {
        match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Int(value) => Self::Int(*value),
            Json::Big(value) => Self::Big(Rc::new(BigInt::clone(value))),
            Json::Float(value) => Self::Float(*value),
            Json::Str(text) => Self::text(Arc::clone(text)),
            Json::Array(items) => {
                budget::made_of_data(size_of::<List>() + 2 * size_of::<usize>() + items.len() * size_of::<Self>());
                Self::list(items.iter().map(|item| Self::of_json(item, class)).collect())
            }
            Json::Object(entries) => Self::Dict(Rc::new(Dict::shared(Arc::clone(entries), class))),
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        Self::of_json(json, DictClass::Plain)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
