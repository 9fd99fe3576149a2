//! Values as keys of a dict: `hash(x)`, and equality.

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
    sync::Arc,
};

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive, Zero};

use crate::{
    eval::budget::{self, DEPTH},
    python::{
        exception::{PyResult, type_error},
        value::{Value, equality::equal},
    },
};

/// How many parts a key may have, those of tuples in tuples counted.
const KEY_PARTS: usize = 10_000;

/// A value that is a key of a dict, made by [`Value::key`]. Equal numbers of any type are the same key.
#[derive(Clone)]
pub(crate) struct Key(Value);

impl Key {
    /// A key that is text.
    pub(super) fn text(text: Arc<str>) -> Self {
        Self(Value::text(text))
    }

    pub(super) fn into_value(self) -> Value {
        self.0
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
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
    /// Makes a key of it.
    ///
    /// # Errors
    /// It is a list, a dict or another value that can't be hashed, or a tuple of very many parts.
    pub(crate) fn key(&self) -> PyResult<Key> {
        match self {
            Self::Str(_) | Self::Int(_) => Ok(Key(self.clone())),
            _ => {
                self.hashable(&mut { KEY_PARTS }, DEPTH)?;
                Ok(Key(self.clone()))
            }
        }
    }

    /// Whether `hash(x)` works, for at most `parts` values in tuples that are nested no more than `depth` deep.
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
}
