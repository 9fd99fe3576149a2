//! The filters, tests and globals of one environment by name, its policies and its limits.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use crate::{
    eval::function::{Filter, Function},
    json::Json,
    python::value::Value,
};

/// Bounds on one template and on one rendering of it, which the rendering itself keeps: no thread is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The length of a template's text, in characters.
    pub source_chars: usize,
    /// The length of the text that a template renders to, in characters.
    pub output_chars: usize,
    /// Steps of one rendering: one for each statement and expression, more for work on long text and long lists.
    pub steps: u64,
    /// Bytes that one rendering makes in text and containers, those included that it has dropped again, and of the compiled
    /// patterns that it has at a time.
    pub bytes: usize,
    /// How long one rendering takes. It ends what costs more than the steps it is counted for.
    pub time: Duration,
    /// How deep expressions, blocks and macros stand in one another while they run. Each level takes a few KiB of the
    /// thread's stack at most: with a thread of 2 MiB, leave it as it is.
    pub nesting: usize,
}

impl Default for Limits {
    /// A million characters of source, a million steps, 24 MiB, 1.5 seconds, 250 levels; the output is bounded by the
    /// bytes alone.
    fn default() -> Self {
        Self {
            source_chars: 1_000_000,
            output_chars: usize::MAX,
            steps: 1_000_000,
            bytes: 24 << 20,
            time: Duration::from_millis(1500),
            nesting: 250,
        }
    }
}

/// How templates meet variables, attributes and items that do not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndefinedPolicy {
    /// `jinja2.Undefined`: prints as nothing, is false and empty, and raises when an attribute of it is asked for.
    #[default]
    Lenient,
    /// `jinja2.ChainableUndefined`: its attributes and items are undefined too.
    Chainable,
    /// `jinja2.StrictUndefined`: raises whatever is done with it, except for a look at whether it is defined.
    Strict,
}

/// The operations that templates may not perform on the values they meet. Attributes of Python's internals, such as `__class__`, are refused by
/// both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SandboxPolicy {
    /// `jinja2.sandbox.SandboxedEnvironment`
    #[default]
    Sandboxed,
    /// `jinja2.sandbox.ImmutableSandboxedEnvironment`: methods that change a list or a dict are refused too.
    Immutable,
}

/// A value that each template of an environment finds under a name: data, or a function.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Global {
    /// Data. Each rendering has its own copy.
    Data(Json),
    /// A function.
    Function(Function),
}

impl<T: Into<Json>> From<T> for Global {
    fn from(data: T) -> Self {
        Self::Data(data.into())
    }
}

impl From<Function> for Global {
    fn from(function: Function) -> Self {
        Self::Function(function)
    }
}

/// Makes the text of a mapping of the data from its `repr`.
pub(crate) type MappingText = fn(String) -> String;

/// The filters, tests and globals of an environment by name, its policies and its limits.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    filters: HashMap<Cow<'static, str>, Filter>,
    tests: HashMap<Cow<'static, str>, Filter>,
    globals: HashMap<Cow<'static, str>, Global>,
    pub(crate) limits: Limits,
    pub(crate) undefined: UndefinedPolicy,
    pub(crate) autoescape: bool,
    pub(crate) sandbox: SandboxPolicy,
    pub(crate) text_of_mappings: Option<MappingText>,
}

impl Registry {
    pub(crate) fn add_filter(&mut self, name: impl Into<Cow<'static, str>>, filter: Filter) {
        self.filters.insert(name.into(), filter);
    }

    pub(crate) fn add_test(&mut self, name: impl Into<Cow<'static, str>>, test: Filter) {
        self.tests.insert(name.into(), test);
    }

    pub(crate) fn add_global(&mut self, name: impl Into<Cow<'static, str>>, global: Global) {
        self.globals.insert(name.into(), global);
    }

    pub(crate) fn filter(&self, name: &str) -> Option<&Filter> {
        self.filters.get(name)
    }

    pub(crate) fn test(&self, name: &str) -> Option<&Filter> {
        self.tests.get(name)
    }

    pub(crate) fn global(&self, name: &str) -> Option<Value> {
        Some(match self.globals.get(name)? {
            Global::Data(json) => Value::from(json),
            Global::Function(function) => Value::object(function.clone()),
        })
    }
}

/// An environment's registry as its templates share it.
pub(crate) type SharedRegistry = Arc<Registry>;
