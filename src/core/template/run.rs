//! One rendering: its data, and what it has used up of its bounds.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use super::{
    raise::{Exception, Raise, Res},
    value::Value,
};
use crate::core::json::Json;

/// Bound on the steps of one rendering: loops over thousands of alerts fit, loops without end do not.
const STEPS: u64 = 1_000_000;

/// Bound on the bytes that one rendering makes, also of what it has dropped again.
const BYTES: usize = 48 << 20;

/// Bound on how deep expressions, blocks and macros may stand in one another while they run.
const NESTING: usize = 250;

/// One rendering.
pub(super) struct Run {
    context: Vec<(Arc<str>, Json)>,
    known: RefCell<Vec<(Arc<str>, Option<Value>)>>,
    steps: Cell<u64>,
    bytes: Cell<usize>,
    nesting: Cell<usize>,
    pub(super) autoescape: Cell<bool>,
}

impl Run {
    pub(super) fn new(context: &[(Arc<str>, Json)]) -> Self {
        Self {
            context: context.to_vec(),
            known: RefCell::default(),
            steps: Cell::new(0),
            bytes: Cell::new(0),
            nesting: Cell::new(0),
            autoescape: Cell::new(false),
        }
    }

    /// A variable of the data: the same value, with the changes made to it, each time.
    pub(super) fn data(&self, name: &Arc<str>) -> Option<Value> {
        let mut known = self.known.borrow_mut();
        if let Some((_, value)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, name) || known == name) {
            return value.clone();
        }
        let value = self.context.iter().find(|(key, _)| key == name).map(|(_, json)| Value::from(json));
        known.push((Arc::clone(name), value.clone()));
        value
    }

    /// Counts `steps` of work.
    ///
    /// # Errors
    /// The bound is met.
    pub(super) fn work(&self, steps: usize) -> Res<()> {
        let steps = self.steps.get().saturating_add(steps as u64);
        self.steps.set(steps);
        if steps > STEPS {
            return Err(bound(&format!("it takes more than {STEPS} steps: loop over less, or over shorter text")));
        }
        Ok(())
    }

    /// Counts `bytes` that are about to be made.
    ///
    /// # Errors
    /// The bound is met.
    pub(super) fn allocate(&self, bytes: usize) -> Res<()> {
        let bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(bytes);
        if bytes > BYTES {
            return Err(bound(&format!("it makes more than {} MiB of text and lists: make less", BYTES >> 20)));
        }
        Ok(())
    }

    /// Goes one level deeper, for as long as the guard lives.
    ///
    /// # Errors
    /// The bound is met.
    pub(super) fn deeper(&self) -> Res<Deeper<'_>> {
        if self.nesting.get() >= NESTING {
            return Err(bound(&format!("its expressions, blocks and macros nest deeper than {NESTING} levels")));
        }
        self.nesting.set(self.nesting.get() + 1);
        Ok(Deeper(&self.nesting))
    }
}

/// One level of nesting, until it is dropped.
pub(super) struct Deeper<'a>(&'a Cell<usize>);

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn bound(message: &str) -> Raise {
    Raise::new(Exception::Bound, format!("Template was stopped: {message}"))
}
