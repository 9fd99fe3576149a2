//! `dict_keys`, `dict_values` and `dict_items`.

use std::rc::Rc;

use indexmap::IndexMap;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::PyResult,
        object::Object,
        repr,
        value::{Dict, Value, equal},
    },
};

/// What a view shows of each entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewKind {
    Keys,
    Values,
    Items,
}

/// The result of `keys`, `values` or `items` of a dict, which shows every later change of it.
pub(super) struct DictView {
    pub(super) dict: Rc<Dict>,
    pub(super) kind: ViewKind,
}

impl DictView {
    fn items(&self) -> Vec<Value> {
        let entries = self.dict.entries();
        match self.kind {
            ViewKind::Keys => entries.keys().map(|key| key.value().clone()).collect(),
            ViewKind::Values => entries.values().cloned().collect(),
            ViewKind::Items => {
                entries.iter().map(|(key, value)| Value::tuple(vec![key.value().clone(), value.clone()])).collect()
            }
        }
    }
}

impl Object for DictView {
    fn type_name(&self) -> &'static str {
        match self.kind {
            ViewKind::Keys => "dict_keys",
            ViewKind::Values => "dict_values",
            ViewKind::Items => "dict_items",
        }
    }

    fn repr(&self, rendering: &Rendering) -> PyResult<String> {
        let _deeper = rendering.deeper()?;
        rendering.allocate(self.dict.len() * 2 * size_of::<Value>())?;
        Ok(format!("{}({})", self.type_name(), repr::repr(rendering, &Value::list(self.items()))?))
    }

    fn hashable(&self) -> bool {
        self.kind == ViewKind::Values
    }

    fn methods(&self) -> &'static [&'static str] {
        if self.kind == ViewKind::Values { &[] } else { &["isdisjoint"] }
    }

    fn call_method(&self, rendering: &Rendering, name: &str, args: Args) -> PyResult {
        let others = args.only(&format!("{}.{name}", self.type_name()))?.iterate(rendering)?;
        let own = self.items();
        rendering.work(own.len().saturating_mul(others.len()) / 16)?;
        Ok(Value::Bool(!others.iter().any(|other| own.iter().any(|item| equal(item, other)))))
    }

    fn length(&self) -> Option<usize> {
        Some(self.dict.len())
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(Ok(self.items()))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        let other = other.downcast::<Self>()?;
        if self.kind == ViewKind::Values || other.kind == ViewKind::Values {
            return None;
        }
        if self.dict.len() != other.dict.len() {
            return Some(false);
        }
        let entries = other.dict.entries();
        if self.kind == ViewKind::Keys && other.kind == ViewKind::Keys {
            return Some(self.dict.entries().keys().all(|key| entries.contains_key(key)));
        }
        let others = other.items();
        Some(self.items().iter().all(|item| others.iter().any(|other| equal(item, other))))
    }

    fn take_values(&mut self) -> Vec<Value> {
        match Value::dict(IndexMap::new()) {
            Value::Dict(empty) => vec![Value::Dict(std::mem::replace(&mut self.dict, empty))],
            _ => Vec::new(),
        }
    }
}
