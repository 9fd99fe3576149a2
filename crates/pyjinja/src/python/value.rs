//! Python's values as far as templates meet them.
//!
//! Containers are shared and mutable, as in Python. The event's data comes in as [`Json`] that many renderings share;
//! each object and array of it is turned into values one level at a time, when a template first looks into it.

use std::{
    any::Any,
    borrow::Cow,
    cell::{Ref, RefCell, RefMut},
    hash::{Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use indexmap::IndexMap;
use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive, Zero};

use crate::json::{self, Json};
use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, type_error},
    },
};

/// Deeper nesting than this is refused wherever a value is walked, as Python's recursion limit does.
pub(crate) const DEPTH: usize = 200;

/// How many parts a key may have, those of tuples in tuples counted.
const KEY_PARTS: usize = 10_000;

/// A value of Python.
#[derive(Clone)]
pub(crate) enum Value {
    /// Jinja2's Undefined: prints as nothing, and raises when more is asked of it.
    Undefined(Rc<Undefined>),
    None,
    Bool(bool),
    Int(i64),
    /// An int beyond 64 bits, and only such.
    Big(Rc<BigInt>),
    Float(f64),
    Str(Text),
    List(Rc<List>),
    Tuple(Rc<Tuple>),
    Dict(Rc<Dict>),
    Object(Rc<dyn Object>),
}

/// A `str`, or a `Markup` if `safe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: Arc<str>,
    pub(crate) safe: bool,
}

impl Text {
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

/// Why there is no value, in the words of Jinja2 once somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undefined {
    /// No variable of this name.
    Name(Arc<str>),
    /// An object, described, without this attribute or key.
    Attribute(String, String),
    /// An object, described, without this element, shown as `repr` does.
    Element(String, String),
    /// Anything else, with the exception it raises.
    Hint(ExceptionClass, String),
}

impl Undefined {
    pub(crate) fn raise(&self) -> Exception {
        let (exception, message) = match self {
            Self::Name(name) => {
                (ExceptionClass::UndefinedError, format!("{} is undefined", crate::python::print::quote(name)))
            }
            Self::Attribute(owner, name) => (
                ExceptionClass::UndefinedError,
                format!("'{owner}' has no attribute {}", crate::python::print::quote(name)),
            ),
            Self::Element(owner, key) => (ExceptionClass::UndefinedError, format!("{owner} has no element {key}")),
            Self::Hint(exception, hint) => (*exception, hint.clone()),
        };
        Exception::new(exception, message)
    }

    pub(crate) fn hint(message: impl Into<String>) -> Value {
        Value::Undefined(Rc::new(Self::Hint(ExceptionClass::UndefinedError, message.into())))
    }
}

/// A `list`.
pub(crate) struct List(RefCell<Vec<Value>>);

impl List {
    pub(crate) fn items(&self) -> Ref<'_, Vec<Value>> {
        self.0.borrow()
    }

    pub(crate) fn items_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.0.borrow_mut()
    }
}

/// A `tuple`, or one of the named pairs that `groupby` gives.
pub(crate) struct Tuple {
    pub(crate) items: Vec<Value>,
    pub(crate) group: bool,
}

/// A `dict`, or a `defaultdict(str)` if `defaulting`.
pub(crate) struct Dict {
    entries: RefCell<Entries>,
    pub(crate) defaulting: bool,
}

enum Entries {
    Shared(Arc<json::Object>),
    Own(IndexMap<Key, Value>),
}

impl Dict {
    /// `d[key]`; a key that a `defaultdict` does not have is added with the empty text.
    pub(crate) fn subscript(&self, rendering: &Rendering, key: &Value) -> PyResult<Option<Value>> {
        let found = match key {
            Value::Str(key) => self.get(key),
            key => self.entries().get(&key.key()?).cloned(),
        };
        if found.is_some() || !self.defaulting {
            return Ok(found);
        }
        rendering.allocate(2 * size_of::<Value>() + key.as_str().map_or(0, |text| text.len()))?;
        let empty = Value::from("");
        self.entries_mut().insert(key.key()?, empty.clone());
        Ok(Some(empty))
    }

    /// The value at a key that is text.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        match &*self.entries.borrow() {
            Entries::Own(entries) => return entries.get(key).cloned(),
            // Containers become this dict's own first, so that a change of one is seen by everybody.
            Entries::Shared(entries) => match entries.get(key) {
                None => return None,
                Some(Json::Array(_) | Json::Object(_)) => {}
                Some(plain) => return Some(Value::from(plain)),
            },
        }
        self.entries().get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.entries.borrow() {
            Entries::Own(entries) => entries.len(),
            Entries::Shared(entries) => entries.len(),
        }
    }

    pub(crate) fn entries(&self) -> Ref<'_, IndexMap<Key, Value>> {
        self.thaw();
        Ref::map(self.entries.borrow(), |entries| match entries {
            Entries::Own(entries) => entries,
            Entries::Shared(_) => unreachable!("made its own above"),
        })
    }

    pub(crate) fn entries_mut(&self) -> RefMut<'_, IndexMap<Key, Value>> {
        self.thaw();
        RefMut::map(self.entries.borrow_mut(), |entries| match entries {
            Entries::Own(entries) => entries,
            Entries::Shared(_) => unreachable!("made its own above"),
        })
    }

    fn thaw(&self) {
        let own = match &*self.entries.borrow() {
            Entries::Own(_) => return,
            Entries::Shared(entries) => {
                entries.iter().map(|(key, value)| (Key(Value::text(Arc::clone(key))), Value::from(value))).collect()
            }
        };
        *self.entries.borrow_mut() = Entries::Own(own);
    }
}

// A chain of containers of any length is taken apart without recursion.
impl Drop for List {
    fn drop(&mut self) {
        dismantle(std::mem::take(self.0.get_mut()));
    }
}

impl Drop for Tuple {
    fn drop(&mut self) {
        dismantle(std::mem::take(&mut self.items));
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        if let Entries::Own(entries) = self.entries.get_mut() {
            dismantle(parts(std::mem::take(entries)));
        }
    }
}

fn parts(entries: IndexMap<Key, Value>) -> Vec<Value> {
    entries.into_iter().flat_map(|(key, value)| [key.0, value]).collect()
}

/// Drops `values` and what only they hold, however deep.
pub(crate) fn dismantle(mut values: Vec<Value>) {
    while let Some(value) = values.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(list) = Rc::get_mut(&mut list) {
                    values.append(list.0.get_mut());
                }
            }
            Value::Tuple(mut tuple) => {
                if let Some(tuple) = Rc::get_mut(&mut tuple) {
                    values.append(&mut tuple.items);
                }
            }
            Value::Dict(mut dict) => {
                if let Some(Entries::Own(entries)) = Rc::get_mut(&mut dict).map(|dict| dict.entries.get_mut()) {
                    values.extend(parts(std::mem::take(entries)));
                }
            }
            Value::Object(mut object) => {
                if let Some(object) = Rc::get_mut(&mut object) {
                    values.append(&mut object.take_values());
                }
            }
            _ => {}
        }
    }
}

/// A type that few templates meet. What is not given behaves as a plain object of Python.
pub(crate) trait Object: Any {
    /// `type(x).__name__`
    fn type_name(&self) -> &'static str;

    /// The type as messages about attributes name it: with its module, unless that is `builtins`.
    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.type_name())
    }

    /// The type as Python's own messages name it: those of C code show the module too.
    fn operand_name(&self) -> Cow<'static, str> {
        let described = self.described();
        if described.starts_with("datetime.") { described } else { Cow::Borrowed(self.type_name()) }
    }

    /// `repr(x)`
    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("<{} object>", self.described()))
    }

    /// `str(x)`
    fn str(&self, rendering: &Rendering) -> PyResult<String> {
        self.repr(rendering)
    }

    /// `bool(x)`
    fn truth(&self) -> bool {
        self.length().is_none_or(|length| length > 0)
    }

    /// The value of an attribute that is no method.
    fn attribute(&self, _name: &str) -> Option<Value> {
        None
    }

    /// `x[key]`
    fn item(&self, _key: &Value) -> Option<Value> {
        None
    }

    /// The names of the methods that [`Object::call_method`] knows.
    fn methods(&self) -> &'static [&'static str] {
        &[]
    }

    /// `x.name(args)`
    fn call_method(&self, _rendering: &Rendering, name: &str, _args: Args) -> PyResult {
        Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{name}'", self.type_name()),
        ))
    }

    /// Whether it is callable.
    fn callable(&self) -> bool {
        false
    }

    /// `x(args)`
    fn call(&self, _rendering: &Rendering, _args: Args) -> PyResult {
        type_error(format!("'{}' object is not callable", self.type_name()))
    }

    /// `len(x)`
    fn length(&self) -> Option<usize> {
        None
    }

    /// Whether it can be iterated, asked without doing so.
    fn iterable(&self) -> bool {
        false
    }

    /// The items of `iter(x)`, all of them. Who has it says so in [`Object::iterable`].
    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        None
    }

    /// `x == other`, if it is not identity.
    fn equals(&self, _other: &Value) -> Option<bool> {
        None
    }

    /// How it compares to another, which may raise; None if it can't be compared to such.
    fn order(&self, _other: &Value) -> Option<PyResult<std::cmp::Ordering>> {
        None
    }

    /// Equal objects give the same. None for those that are equal to themselves only.
    fn hash(&self) -> Option<u64> {
        None
    }

    /// `x op other`, or `other op x` if `reflected`.
    fn operate(
        &self,
        _operator: crate::python::operators::Operator,
        _other: &Value,
        _reflected: bool,
    ) -> Option<PyResult> {
        None
    }

    /// Whether it can be a key.
    fn hashable(&self) -> bool {
        true
    }

    /// Gives up the values it holds, though others may still hold it.
    fn empty(&self) -> Vec<Value> {
        Vec::new()
    }

    /// Gives up the values it holds, when it is dropped.
    fn take_values(&mut self) -> Vec<Value> {
        Vec::new()
    }
}

impl dyn Object {
    pub(crate) fn downcast<T: Object>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

/// A value that is used as a key of a dict; [`Value::key`] makes them.
#[derive(Clone)]
pub(crate) struct Key(Value);

impl Key {
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        crate::python::operators::equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(text) => {
                budget::spend(text.len() / 256);
                (**text).hash(state);
            }
            Value::Bool(value) => i64::from(*value).hash(state),
            Value::Int(value) => value.hash(state),
            Value::Big(value) => {
                budget::spend(usize::try_from(value.bits() / 4096).unwrap_or(usize::MAX));
                value.hash(state);
            }
            // A float that is whole is the same key as the int.
            Value::Float(value) => match BigInt::from_f64(*value).filter(|_| value.fract().is_zero()) {
                Some(int) => match int.to_i64() {
                    Some(int) => int.hash(state),
                    None => int.hash(state),
                },
                None => value.to_bits().hash(state),
            },
            Value::Tuple(tuple) => {
                for item in &tuple.items {
                    Self(item.clone()).hash(state);
                }
            }
            Value::Object(object) => match object.hash() {
                Some(hash) => hash.hash(state),
                None => Rc::as_ptr(object).cast::<()>().hash(state),
            },
            Value::None | Value::Undefined(_) | Value::List(_) | Value::Dict(_) => 0_u8.hash(state),
        }
    }
}

impl indexmap::Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(&key.0, Value::Str(text) if &**text == self)
    }
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Text { text: text.into(), safe: false })
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(List(RefCell::new(items))))
    }

    pub(crate) fn tuple(items: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Tuple { items, group: false }))
    }

    pub(crate) fn dict(entries: IndexMap<Key, Self>) -> Self {
        Self::Dict(Rc::new(Dict { entries: RefCell::new(Entries::Own(entries)), defaulting: false }))
    }

    /// A `defaultdict(str)`.
    pub(crate) fn defaulting(entries: IndexMap<Key, Self>) -> Self {
        Self::Dict(Rc::new(Dict { entries: RefCell::new(Entries::Own(entries)), defaulting: true }))
    }

    pub(crate) fn object(object: impl Object) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(crate) fn int(value: BigInt) -> Self {
        value.to_i64().map_or_else(|| Self::Big(Rc::new(value)), Self::Int)
    }

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
    pub(crate) fn type_name(&self) -> &'static str {
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
            Self::Dict(dict) if dict.defaulting => "defaultdict",
            Self::Dict(_) => "dict",
            Self::Object(object) => object.type_name(),
        }
    }

    /// The type as Python's messages about operands name it.
    pub(crate) fn operand_name(&self) -> Cow<'static, str> {
        match self {
            Self::Object(object) => object.operand_name(),
            Self::Dict(dict) if dict.defaulting => Cow::Borrowed("collections.defaultdict"),
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
            Self::Dict(dict) if dict.defaulting => "collections.defaultdict object".to_owned(),
            Self::Object(object) => format!("{} object", object.described()),
            other => format!("{} object", other.type_name()),
        }
    }

    /// `bool(x)`
    pub(crate) fn truth(&self) -> bool {
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
    pub(crate) fn as_str(&self) -> Option<&Text> {
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

    /// An int that is used to index, count or size, cut to 64 bits; raises as `operator.index` does.
    pub(crate) fn index(&self) -> PyResult<i64> {
        match self {
            Self::Bool(value) => Ok(i64::from(*value)),
            Self::Int(value) => Ok(*value),
            Self::Big(value) => Ok(if value.sign() == num_bigint::Sign::Minus { i64::MIN } else { i64::MAX }),
            other => type_error(format!("'{}' object cannot be interpreted as an integer", other.type_name())),
        }
    }

    /// Makes a key of it.
    ///
    /// # Errors
    /// It is of a type that can't be one.
    pub(crate) fn key(&self) -> PyResult<Key> {
        match self {
            Self::Str(_) | Self::Int(_) => Ok(Key(self.clone())),
            _ => {
                self.hashable(&mut { KEY_PARTS }, DEPTH)?;
                Ok(Key(self.clone()))
            }
        }
    }

    fn hashable(&self, parts: &mut usize, depth: usize) -> PyResult<()> {
        *parts = parts.saturating_sub(1);
        match self {
            Self::List(_) | Self::Dict(_) => type_error(format!("unhashable type: '{}'", self.type_name())),
            Self::Object(object) if !object.hashable() => {
                type_error(format!("unhashable type: '{}'", self.type_name()))
            }
            Self::Tuple(_) if *parts == 0 || depth == 0 => type_error("a tuple of so many parts can't be a key"),
            Self::Tuple(tuple) => tuple.items.iter().try_for_each(|item| item.hashable(parts, depth - 1)),
            _ => Ok(()),
        }
    }

    /// `list(x)`: its items, all of them. What is iterated is a copy, so that a loop may change it.
    pub(crate) fn iterate(&self, rendering: &Rendering) -> PyResult<Vec<Self>> {
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
    pub(crate) fn length(&self) -> PyResult<usize> {
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

    /// How much work it is to go through it once, in steps.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Str(text) => text.len() / 16,
            Self::List(list) => list.items().len() / 2,
            Self::Tuple(tuple) => tuple.items.len() / 2,
            Self::Dict(dict) => dict.len() / 2,
            _ => 0,
        }
    }

    /// Gives up the values it holds, though others may still hold it.
    pub(crate) fn empty(&self) -> Vec<Self> {
        match self {
            Self::List(list) => list.0.take(),
            Self::Dict(dict) => match dict.entries.replace(Entries::Own(IndexMap::new())) {
                Entries::Own(entries) => parts(entries),
                Entries::Shared(_) => Vec::new(),
            },
            Self::Object(object) => object.empty(),
            _ => Vec::new(),
        }
    }

    /// Whether it can be called.
    pub(crate) fn callable(&self) -> bool {
        // Undefined has a `__call__`, which raises.
        matches!(self, Self::Undefined(_)) || matches!(self, Self::Object(object) if object.callable())
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Int(value) => Self::Int(*value),
            Json::Big(value) => Self::Big(Rc::new(BigInt::clone(value))),
            Json::Float(value) => Self::Float(*value),
            Json::Str(text) => Self::text(Arc::clone(text)),
            Json::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entries = RefCell::new(Entries::Shared(Arc::clone(entries)));
                Self::Dict(Rc::new(Dict { entries, defaulting: false }))
            }
        }
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
