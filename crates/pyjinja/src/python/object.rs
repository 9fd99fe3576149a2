//! The protocol of objects: everything that a value of a type of its own can be asked for.
//!
//! Python looks these up as `__repr__`, `__len__`, `__iter__`, `__call__`, `__add__`… of the type. Values call them without
//! knowing the types, which stand on higher layers.

use std::{any::Any, borrow::Cow, cmp::Ordering};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, type_error},
        value::Value,
    },
};

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
    /// Unary minus; the other operand is None.
    Neg,
    /// Unary plus; the other operand is None.
    Pos,
}

impl Operator {
    /// The operator as messages about operands show it.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::FloorDiv => "//",
            Self::Mod => "%",
            Self::Pow => "** or pow()",
            Self::Neg => "unary -",
            Self::Pos => "unary +",
        }
    }
}

/// A type of Python beside those that [`Value`] has variants for. A method that is not overridden behaves as that of a
/// plain `object` does.
pub trait Object: Any {
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

    /// All items of `iter(x)`. A type that overrides this overrides [`Object::iterable`] too.
    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        None
    }

    /// `x == other`; None if only the same object is equal.
    fn equals(&self, _other: &Value) -> Option<bool> {
        None
    }

    /// How it compares to `other`, which may raise; None if the two types can't be ordered.
    fn order(&self, _other: &Value) -> Option<PyResult<Ordering>> {
        None
    }

    /// `hash(x)`: equal objects give the same. None for objects that are equal to themselves only.
    fn hash(&self) -> Option<u64> {
        None
    }

    /// `x op other`, or `other op x` if `reflected`.
    fn operate(&self, _operator: Operator, _other: &Value, _reflected: bool) -> Option<PyResult> {
        None
    }

    /// Whether it can be a key of a dict.
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
    /// The object, if it is of this type.
    pub(crate) fn downcast<T: Object>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}
