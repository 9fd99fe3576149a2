//! One rendering: its data, and what it has used up of its bounds.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use crate::json::Json;
use crate::{
    eval::{
        Frame,
        budget::{self, Bound, STEPS, TIME},
    },
    python::{
        exception::{Exception, ExceptionClass, PyResult},
        value::{Value, dismantle},
    },
};

/// Bound on the bytes that one rendering makes, also of what it has dropped again.
const BYTES: usize = 24 << 20;

/// How often the clock is read: after so many bytes.
const BYTES_BETWEEN: usize = 256 << 10;

/// Bound on how deep expressions, blocks and macros may stand in one another while they run.
const NESTING: usize = 250;

/// One rendering.
pub(crate) struct Rendering {
    context: Vec<(Arc<str>, Json)>,
    known: RefCell<Vec<(Arc<str>, Option<Value>)>>,
    /// What may hold itself by way of others, and has to be emptied in the end.
    held: RefCell<Vec<Value>>,
    scopes: RefCell<Vec<Rc<Frame>>>,
    bytes: Cell<usize>,
    nesting: Cell<usize>,
    pub(crate) autoescape: Cell<bool>,
}

impl Rendering {
    pub(crate) fn new(context: &[(Arc<str>, Json)]) -> Self {
        budget::begin();
        Self {
            context: context.to_vec(),
            known: RefCell::default(),
            held: RefCell::default(),
            scopes: RefCell::default(),
            bytes: Cell::new(0),
            nesting: Cell::new(0),
            autoescape: Cell::new(false),
        }
    }

    /// Adds a variable that goes before the data's.
    pub(crate) fn define(&self, name: &str, value: Value) {
        self.known.borrow_mut().push((Arc::from(name), Some(value)));
    }

    /// A variable of the data: the same value, with the changes made to it, each time.
    pub(crate) fn data(&self, name: &Arc<str>) -> Option<Value> {
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
    pub(crate) fn work(&self, steps: usize) -> PyResult<()> {
        budget::spend(steps).map_or(Ok(()), |met| Err(stopped(met)))
    }

    /// Reads the clock, before or after what may have taken long.
    ///
    /// # Errors
    /// The bound is met.
    pub(crate) fn clock(&self) -> PyResult<()> {
        budget::clock().map_or(Ok(()), |met| Err(stopped(met)))
    }

    /// Notes a container or a namespace that a template changes.
    pub(crate) fn hold(&self, value: &Value) -> PyResult<()> {
        self.allocate(size_of::<Value>())?;
        self.held.borrow_mut().push(value.clone());
        Ok(())
    }

    /// Notes a scope that a macro keeps, which keeps the macro.
    pub(crate) fn hold_scope(&self, scope: &Rc<Frame>) -> PyResult<()> {
        self.allocate(size_of::<Value>())?;
        self.scopes.borrow_mut().push(Rc::clone(scope));
        Ok(())
    }

    /// Counts `bytes` that are about to be made.
    ///
    /// # Errors
    /// The bound is met, or that on time.
    pub(crate) fn allocate(&self, bytes: usize) -> PyResult<()> {
        let before = self.bytes.get();
        let after = before.saturating_add(bytes);
        self.bytes.set(after);
        if after > BYTES {
            return Err(bound(&format!("it makes more than {} MiB of text and lists: make less", BYTES >> 20)));
        }
        // Long text is written out in few steps.
        if before / BYTES_BETWEEN == after / BYTES_BETWEEN { Ok(()) } else { self.clock() }
    }

    /// Goes one level deeper, for as long as the guard lives.
    ///
    /// # Errors
    /// The bound is met.
    pub(crate) fn deeper(&self) -> PyResult<Deeper<'_>> {
        if self.nesting.get() >= NESTING {
            return Err(bound(&format!("its expressions, blocks and macros nest deeper than {NESTING} levels")));
        }
        self.nesting.set(self.nesting.get() + 1);
        Ok(Deeper(&self.nesting))
    }
}

/// One level of nesting, until it is dropped.
pub(crate) struct Deeper<'a>(&'a Cell<usize>);

impl Drop for Deeper<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for Rendering {
    fn drop(&mut self) {
        for scope in self.scopes.take() {
            dismantle(scope.take_values());
        }
        for value in self.held.take() {
            dismantle(value.empty());
        }
    }
}

fn stopped(met: Bound) -> Exception {
    bound(&match met {
        Bound::Steps => format!("it takes more than {STEPS} steps: loop over less, or over shorter text"),
        Bound::Time => format!("it takes longer than {} s: loop over less, or over shorter text", TIME.as_secs_f64()),
    })
}

fn bound(message: &str) -> Exception {
    Exception::new(ExceptionClass::Bound, format!("Template was stopped: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_until_the_time_is_over_and_no_longer() {
        let rendering = Rendering::new(&[]);
        assert!(rendering.allocate(BYTES_BETWEEN).is_ok());
        while rendering.clock().is_ok() {
            std::thread::yield_now();
        }
        assert!(rendering.allocate(BYTES_BETWEEN / 2).is_ok());
        let stopped = rendering.allocate(BYTES_BETWEEN).map_err(|exception| exception.message);
        let message = "Template was stopped: it takes longer than 1.5 s: loop over less, or over shorter text";
        assert_eq!(stopped, Err(message.to_owned()));
    }
}
