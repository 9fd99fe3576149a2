//! Functions that templates call: filters, tests and global functions.

use std::{borrow::Cow, sync::Arc};

use crate::{
    eval::rendering::Rendering,
    python::{arguments::Args, exception::PyResult, object::Object, value::Value},
};

type Callback = dyn Fn(&Rendering, Args) -> PyResult + Send + Sync;

/// A filter or a test: the value that it is applied to comes first among the arguments.
#[derive(Clone)]
pub(crate) struct Filter(Arc<Applied<Callback>>);

/// A callback, and what is to be known before it is called.
struct Applied<F: ?Sized> {
    /// Whether an undefined value is passed on to it under [`crate::UndefinedPolicy::Strict`] too, as to `default`.
    takes_undefined: bool,
    callback: F,
}

impl Filter {
    pub(crate) fn new(callback: impl Fn(&Rendering, Args) -> PyResult + Send + Sync + 'static) -> Self {
        Self(Arc::new(Applied { takes_undefined: false, callback }))
    }

    /// A filter or test that can answer for an undefined value.
    pub(crate) fn taking_undefined(callback: impl Fn(&Rendering, Args) -> PyResult + Send + Sync + 'static) -> Self {
        Self(Arc::new(Applied { takes_undefined: true, callback }))
    }

    /// Whether both are the same one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Applies it, which counts as more work the more there is to look at.
    pub(crate) fn apply(&self, rendering: &Rendering, args: Args) -> PyResult {
        rendering.work(args.weight())?;
        let Applied { takes_undefined, callback } = &*self.0;
        if !takes_undefined && let Some(value) = args.positional.first() {
            rendering.check_defined(value)?;
        }
        callback(rendering, args)
    }
}

/// A function that templates reach by a global name, such as `range`.
///
/// ```
/// use pyjinja::{Environment, Exception, Function, Value};
///
/// let mut environment = Environment::new();
/// environment.add_global("answer", Function::new("answer", |_, arguments| {
///     let [] = arguments.bind_to("answer", &[], &[])?;
///     Ok(Value::from(42))
/// }));
/// let template = environment.compile("{{ answer() + 1 }}")?;
/// assert_eq!(template.render(&[])?, "43");
/// # Ok::<(), pyjinja::Error>(())
/// ```
#[derive(Clone)]
pub struct Function {
    name: Cow<'static, str>,
    /// The module, if it is a class of Python and no function.
    class_of: Option<&'static str>,
    callback: Arc<Callback>,
}

impl Function {
    /// A function with the name that templates see when they print it.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        callback: impl Fn(&Rendering, Args) -> PyResult + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), class_of: None, callback: Arc::new(callback) }
    }

    /// The name that templates see when they print it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The constructor of a class of this module.
    pub(crate) fn class(
        module: &'static str,
        name: &'static str,
        callback: impl Fn(&Rendering, Args) -> PyResult + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), class_of: Some(module), callback: Arc::new(callback) }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Object for Function {
    fn type_name(&self) -> &'static str {
        if self.class_of.is_some() { "type" } else { "function" }
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(match self.class_of {
            None => format!("<function {}>", self.name),
            Some("builtins") => format!("<class '{}'>", self.name),
            Some(module) => format!("<class '{module}.{}'>", self.name),
        })
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        Some(other.downcast::<Self>().is_some_and(|other| Arc::ptr_eq(&other.callback, &self.callback)))
    }

    fn callable(&self) -> bool {
        true
    }

    fn call(&self, rendering: &Rendering, args: Args) -> PyResult {
        (self.callback)(rendering, args)
    }
}
