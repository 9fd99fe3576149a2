//! One rendering: its data, and what it has used up of its limits.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use crate::json::Json;
use crate::{
    eval::{
        budget::{self, Budget, Reached},
        registry::{Limits, SharedRegistry, UndefinedPolicy},
        scope::Scope,
    },
    python::{
        exception::{Exception, ExceptionClass, PyResult},
        re::Patterns,
        value::{DictClass, Value, dismantle},
    },
};

/// How often the clock is read: after so many bytes.
const BYTES_BETWEEN: usize = 256 << 10;

/// A text of so many bytes, which is there twice for a moment, must have room twice.
const LONG_TEXT: usize = 1 << 20;

/// One rendering of a template, with its data and its budget. Filters get it for what they do with values.
pub struct Rendering {
    pub(crate) registry: SharedRegistry,
    context: Vec<(Arc<str>, Json)>,
    known: RefCell<Vec<(Arc<str>, Option<Value>)>>,
    /// Values that may hold themselves by way of others. They are emptied in the end.
    held: RefCell<Vec<Value>>,
    scopes: RefCell<Vec<Rc<Scope>>>,
    bytes: Cell<usize>,
    nesting: Cell<usize>,
    pub(crate) autoescape: Cell<bool>,
    pub(crate) patterns: Patterns,
    /// Whether chance has played a part.
    random: Cell<bool>,
    _budget: Budget,
}

impl std::fmt::Debug for Rendering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The data may be secret.
        f.debug_struct("Rendering").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Rendering {
    /// Begins a rendering with the variables of `context`.
    pub(crate) fn begin(registry: &SharedRegistry, context: &[(Arc<str>, Json)]) -> Self {
        let Limits { steps, time, .. } = registry.limits;
        Self {
            registry: Arc::clone(registry),
            context: context.to_vec(),
            known: RefCell::default(),
            held: RefCell::default(),
            scopes: RefCell::default(),
            bytes: Cell::new(0),
            nesting: Cell::new(0),
            autoescape: Cell::new(registry.autoescape),
            patterns: Patterns::default(),
            random: Cell::new(false),
            _budget: Budget::begin(steps, time),
        }
    }

    /// A rendering in an environment that knows nothing by name.
    #[cfg(test)]
    pub(crate) fn new(context: &[(Arc<str>, Json)]) -> Self {
        Self::begin(&SharedRegistry::default(), context)
    }

    /// Adds a variable that goes before the data's and the environment's.
    pub fn define(&self, name: &str, value: Value) {
        self.known.borrow_mut().insert(0, (Arc::from(name), Some(value)));
    }

    /// Notes that what comes now is a matter of chance, or of the time.
    pub(crate) fn note_chance(&self) {
        self.random.set(true);
    }

    /// Whether another rendering, with any data, would have done the same so far: chance has played no part, the time is not over,
    /// and no variables were asked for but those of the template and these globals.
    pub(crate) fn is_foregone(&self, steady: &[&str]) -> bool {
        let asks_for_steady = || self.known.borrow().iter().all(|(name, _)| steady.contains(&&**name));
        !self.random.get() && self.clock().is_ok() && asks_for_steady()
    }

    /// A variable of the data, or else of the environment: the same value, with the changes made to it, each time.
    pub(crate) fn variable(&self, name: &Arc<str>) -> Option<Value> {
        let mut known = self.known.borrow_mut();
        if let Some((_, value)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, name) || known == name) {
            return value.clone();
        }
        let value =
            self.context.iter().find(|(key, _)| key == name).map(|(_, json)| Value::of_json(json, DictClass::OfData));
        let value = value.or_else(|| self.registry.global(name));
        known.push((Arc::clone(name), value.clone()));
        value
    }

    /// Raises for an undefined value where the environment is strict.
    pub(crate) fn check_defined(&self, value: &Value) -> PyResult<()> {
        match value {
            Value::Undefined(undefined) if self.registry.undefined == UndefinedPolicy::Strict => Err(undefined.raise()),
            _ => Ok(()),
        }
    }

    /// `bool(value)`
    pub(crate) fn truth(&self, value: &Value) -> PyResult<bool> {
        self.check_defined(value)?;
        Ok(value.truth())
    }

    /// Counts `steps` of work, which should be about as many as operations of a template would take as long.
    ///
    /// # Errors
    /// The limit on steps or on time is reached.
    pub fn work(&self, steps: usize) -> Result<(), Exception> {
        budget::spend(steps).map_or(Ok(()), |reached| Err(self.stopped(reached)))
    }

    /// Reads the clock, before or after what may have taken long.
    ///
    /// # Errors
    /// The limit on time is reached.
    pub(crate) fn clock(&self) -> PyResult<()> {
        budget::clock().map_or(Ok(()), |reached| Err(self.stopped(reached)))
    }

    /// Notes a container or a namespace that a template changes.
    pub(crate) fn hold(&self, value: &Value) -> PyResult<()> {
        self.allocate(size_of::<Value>())?;
        self.held.borrow_mut().push(value.clone());
        Ok(())
    }

    /// Notes a scope that a macro keeps, which keeps the macro.
    pub(crate) fn hold_scope(&self, scope: &Rc<Scope>) -> PyResult<()> {
        self.allocate(size_of::<Value>())?;
        self.scopes.borrow_mut().push(Rc::clone(scope));
        Ok(())
    }

    /// Counts `bytes` of text or of containers that are about to be made.
    ///
    /// # Errors
    /// The limit on bytes or on time is reached.
    pub fn allocate(&self, bytes: usize) -> Result<(), Exception> {
        let limit = self.registry.limits.bytes;
        let before = self.bytes.get();
        let after = before.saturating_add(bytes).saturating_add(budget::take_made_of_data());
        self.bytes.set(after);
        // A long text is copied into its place.
        let passing = if bytes > LONG_TEXT { bytes } else { 0 };
        if after.saturating_add(passing) > limit && !self.has_room(passing) {
            return Err(too_many_bytes(limit));
        }
        // Long text is written out in few steps.
        if before / BYTES_BETWEEN == after / BYTES_BETWEEN { Ok(()) } else { self.clock() }
    }

    /// Counts `bytes` of a compiled pattern that the rendering is about to have; making it takes `passing` more for a while.
    /// They count until the pattern is given up.
    ///
    /// # Errors
    /// The limit on bytes is reached.
    pub(crate) fn keep_pattern(&self, bytes: usize, passing: usize) -> PyResult<()> {
        if !self.has_room(bytes.saturating_add(passing)) {
            return Err(self.too_many_patterns());
        }
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        Ok(())
    }

    /// Whether so many bytes more are within the limit. Patterns that are not in use are given up for them.
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.set(self.bytes.get().saturating_add(budget::take_made_of_data()));
        let fits = || self.bytes.get().saturating_add(bytes) <= self.registry.limits.bytes;
        if fits() {
            return true;
        }
        self.bytes.set(self.bytes.get().saturating_sub(self.patterns.give_up()));
        fits()
    }

    /// The exception of a rendering whose patterns take more than its bytes.
    #[cold]
    pub(crate) fn too_many_patterns(&self) -> Exception {
        let limit = size(self.registry.limits.bytes);
        stopped(&format!("its patterns take more than {limit}: use fewer of them, on less text, with fewer repeats"))
    }

    /// Goes one level deeper, for as long as what it returns lives.
    ///
    /// # Errors
    /// The limit on nesting is reached.
    pub(crate) fn deeper(&self) -> PyResult<NestingLevel<'_>> {
        let limit = self.registry.limits.nesting;
        if self.nesting.get() >= limit {
            return Err(too_deep(limit));
        }
        self.nesting.set(self.nesting.get() + 1);
        Ok(NestingLevel(&self.nesting))
    }

    #[cold]
    fn stopped(&self, reached: Reached) -> Exception {
        let Limits { steps, time, .. } = self.registry.limits;
        let limit = match reached {
            Reached::Steps => format!("more than {steps} steps"),
            Reached::Time => format!("longer than {} s", time.as_secs_f64()),
        };
        stopped(&format!("it takes {limit}: loop over less, or over shorter text"))
    }
}

/// One level of nesting, until it is dropped.
pub(crate) struct NestingLevel<'a>(&'a Cell<usize>);

impl Drop for NestingLevel<'_> {
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

/// The exception of a rendering that reaches a limit.
pub(crate) fn stopped(message: &str) -> Exception {
    Exception::new(ExceptionClass::LimitReached, format!("Template was stopped: {message}"))
}

#[cold]
fn too_many_bytes(limit: usize) -> Exception {
    stopped(&format!("it makes more than {} of text and lists: make less", size(limit)))
}

#[cold]
fn too_deep(limit: usize) -> Exception {
    stopped(&format!("its expressions, blocks and macros nest deeper than {limit} levels"))
}

fn size(bytes: usize) -> String {
    const MIB: usize = 1 << 20;
    if bytes >= MIB && bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{bytes} bytes") }
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
