//! `list`, `tuple` and `dict`: how they hold values, and how those are dropped.

use std::{
    cell::{Ref, RefCell, RefMut},
    rc::Rc,
    sync::Arc,
};

use indexmap::IndexMap;

use crate::{
    eval::{budget, rendering::Rendering},
    json::{self, Json},
    python::{
        exception::PyResult,
        value::{Key, Value},
    },
};

/// A `list`.
pub struct List(RefCell<Vec<Value>>);

impl List {
    pub(super) fn new(items: Vec<Value>) -> Self {
        Self(RefCell::new(items))
    }

    /// Empties it, and gives its items.
    pub(super) fn clear(&self) -> Vec<Value> {
        self.0.take()
    }

    /// The items, which nothing may change meanwhile.
    pub(crate) fn items(&self) -> Ref<'_, Vec<Value>> {
        self.0.borrow()
    }

    /// The items, to be changed.
    pub(crate) fn items_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.0.borrow_mut()
    }
}

/// A `tuple`, or one of the named pairs that `groupby` gives.
pub struct Tuple {
    pub(crate) items: Vec<Value>,
    pub(crate) group: bool,
}

/// The class of a dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DictClass {
    /// `dict`
    Plain,
    /// `defaultdict(str)`
    Defaulting,
    /// A mapping of the data, at any depth: a `dict` whose `str` is the environment's
    /// ([`crate::Environment::set_text_of_mappings`]).
    OfData,
}

/// A `dict`, or one of a class derived from it.
///
/// It stays a view of the data that it came from until a template changes it or looks at a container in it.
pub struct Dict {
    entries: RefCell<Entries>,
    pub(crate) class: DictClass,
}

enum Entries {
    /// Data that other renderings read too.
    Shared(Arc<json::Object>),
    /// Values of this dict alone.
    Owned(IndexMap<Key, Value>),
}

impl Dict {
    pub(super) fn new(entries: IndexMap<Key, Value>, class: DictClass) -> Self {
        Self { entries: RefCell::new(Entries::Owned(entries)), class }
    }

    /// A dict of the data that many renderings share.
    pub(super) fn shared(entries: Arc<json::Object>, class: DictClass) -> Self {
        Self { entries: RefCell::new(Entries::Shared(entries)), class }
    }

    /// Whether a key that it does not have is added with the empty text.
    pub(crate) fn is_defaulting(&self) -> bool {
        self.class == DictClass::Defaulting
    }

    /// Empties it, and gives the keys and values that it alone had.
    pub(super) fn clear(&self) -> Vec<Value> {
        match self.entries.replace(Entries::Owned(IndexMap::new())) {
            Entries::Owned(entries) => parts(entries),
            Entries::Shared(_) => Vec::new(),
        }
    }

    /// `d[key]`; a key that a `defaultdict` does not have is added with the empty text.
    pub(crate) fn subscript(&self, rendering: &Rendering, key: &Value) -> PyResult<Option<Value>> {
        let found = match key {
            Value::Str(key) => self.get(key),
            key => self.entries().get(&key.key()?).cloned(),
        };
        if found.is_some() || !self.is_defaulting() {
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
            Entries::Owned(entries) => return entries.get(key).cloned(),
            // Containers are made this dict's own first, so that a change of one is seen wherever the dict is.
            Entries::Shared(entries) => match entries.get(key) {
                None => return None,
                Some(Json::Array(_) | Json::Object(_)) => {}
                Some(plain) => return Some(Value::from(plain)),
            },
        }
        self.entries().get(key).cloned()
    }

    /// `len(d)`
    pub(crate) fn len(&self) -> usize {
        match &*self.entries.borrow() {
            Entries::Owned(entries) => entries.len(),
            Entries::Shared(entries) => entries.len(),
        }
    }

    /// The entries in their order, which nothing may change meanwhile.
    pub(crate) fn entries(&self) -> Ref<'_, IndexMap<Key, Value>> {
        self.make_owned();
        Ref::map(self.entries.borrow(), |entries| match entries {
            Entries::Owned(entries) => entries,
            Entries::Shared(_) => unreachable!("made its own above"),
        })
    }

    /// The entries, to be changed.
    pub(crate) fn entries_mut(&self) -> RefMut<'_, IndexMap<Key, Value>> {
        self.make_owned();
        RefMut::map(self.entries.borrow_mut(), |entries| match entries {
            Entries::Owned(entries) => entries,
            Entries::Shared(_) => unreachable!("made its own above"),
        })
    }

    /// Turns shared data into values of its own, one level deep.
    fn make_owned(&self) {
        let owned = match &*self.entries.borrow() {
            Entries::Owned(_) => return,
            Entries::Shared(entries) => {
                // With its hash, and its place in the table.
                budget::made_of_data(entries.len() * (size_of::<Key>() + size_of::<Value>() + 4 * size_of::<usize>()));
                let own =
                    |(key, value): (&Arc<str>, &Json)| (Key::text(Arc::clone(key)), Value::of_json(value, self.class));
                entries.iter().map(own).collect()
            }
        };
        *self.entries.borrow_mut() = Entries::Owned(owned);
    }
}

// Containers in one another, however deep, are dropped without recursion.
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
        if let Entries::Owned(entries) = self.entries.get_mut() {
            dismantle(parts(std::mem::take(entries)));
        }
    }
}

/// The keys and values, in a row.
fn parts(entries: IndexMap<Key, Value>) -> Vec<Value> {
    entries.into_iter().flat_map(|(key, value)| [key.into_value(), value]).collect()
}

/// Drops `values` and whatever only they hold, however deep, without recursion.
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
                if let Some(Entries::Owned(entries)) = Rc::get_mut(&mut dict).map(|dict| dict.entries.get_mut()) {
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
