//! The named tuples that dates give: `IsoCalendarDate` and `struct_time`.

use std::borrow::Cow;

use crate::{
    eval::rendering::Rendering,
    python::{
        datetime::calendar::hashed,
        exception::PyResult,
        object::Object,
        value::{Value, equal},
    },
};

/// A named tuple of ints.
pub(super) struct NamedTuple {
    pub(super) class: &'static str,
    pub(super) module: &'static str,
    pub(super) fields: &'static [&'static str],
    pub(super) values: Vec<i64>,
}

impl Object for NamedTuple {
    fn type_name(&self) -> &'static str {
        self.class
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Owned(format!("{}.{}", self.module, self.class))
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        let parts: Vec<String> =
            self.fields.iter().zip(&self.values).map(|(field, value)| format!("{field}={value}")).collect();
        Ok(format!("{}({})", self.described(), parts.join(", ")))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|field| *field == name)?;
        self.values.get(at).map(|value| Value::Int(*value))
    }

    fn length(&self) -> Option<usize> {
        Some(self.values.len())
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(Ok(self.values.iter().map(|value| Value::Int(*value)).collect()))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        match other {
            Value::Tuple(tuple) => Some(
                tuple.items.len() == self.values.len()
                    && self.values.iter().zip(&tuple.items).all(|(a, b)| equal(&Value::Int(*a), b)),
            ),
            other => other.downcast::<Self>().map(|other| other.values == self.values),
        }
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(&self.values))
    }
}
