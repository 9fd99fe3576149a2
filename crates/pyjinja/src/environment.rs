//! Environments and their templates: the way into the engine.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    builtins,
    eval::{
        self,
        function::Filter,
        registry::{Global, Limits, Registry, SandboxPolicy, SharedRegistry, UndefinedPolicy},
        rendering::{Rendering, stopped},
    },
    json::Json,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass},
        value::Value,
    },
    syntax::{compiler, outline::Outline, program::Program},
};

/// A template that can't be compiled or rendered: the exception that nothing caught.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
#[non_exhaustive]
pub struct Error {
    /// The class that the exception has in Python.
    pub class: ExceptionClass,
    /// The exception's text, in the words of Python or Jinja2.
    pub message: String,
    /// The template's line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in that line, in characters from 1, where it is known: that of what can't be parsed, or of a name that nothing has.
    pub column: Option<usize>,
}

impl From<Exception> for Error {
    fn from(Exception { class, message, line, column }: Exception) -> Self {
        let whole = |number: Option<u32>| number.and_then(|number| usize::try_from(number).ok());
        Self { class, message, line: whole(line), column: whole(column) }
    }
}

/// The filters, tests and globals that templates find by name, the policies for them and their limits.
///
/// Cloning is cheap. A template keeps what the environment was when it was compiled.
///
/// ```
/// use pyjinja::{Environment, Json};
///
/// let environment = Environment::new();
/// let template = environment.compile("{{ user.name|title }}: {{ user.tags|join(', ') }}")?;
/// let user = Json::from(serde_json::json!({"name": "ada", "tags": ["a", 1, 2.0]}));
/// assert_eq!(template.render(&[("user".into(), user)])?, "Ada: a, 1, 2.0");
/// # Ok::<(), pyjinja::Error>(())
/// ```
#[derive(Clone)]
pub struct Environment {
    registry: SharedRegistry,
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Registry { limits, undefined, autoescape, sandbox, .. } = &*self.registry;
        f.debug_struct("Environment")
            .field("limits", limits)
            .field("undefined", undefined)
            .field("autoescape", autoescape)
            .field("sandbox", sandbox)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// An environment with Jinja2's filters, tests and globals, and its defaults: undefined values print as nothing,
    /// nothing is escaped. Unlike Jinja2's it is a sandbox, and has [`Limits`].
    pub fn new() -> Self {
        Self { registry: Arc::new(builtins::registry()) }
    }

    /// Adds a filter, or takes the place of another. The value that it is applied to is its first argument.
    ///
    /// ```
    /// use pyjinja::{Environment, Exception, ExceptionClass, Value};
    ///
    /// let mut environment = Environment::new();
    /// environment.add_filter("repeat", |rendering, arguments| {
    ///     let [text, count] = arguments.bind_to("repeat", &["text"], &["count"])?;
    ///     let text = text.unwrap_or_default().to_text(rendering)?;
    ///     let count = count.map_or(Ok(2), |count| count.index())?;
    ///     let Ok(count) = usize::try_from(count) else {
    ///         return Err(Exception::new(ExceptionClass::ValueError, "count is negative"));
    ///     };
    ///     rendering.allocate(text.len().saturating_mul(count))?;
    ///     Ok(Value::from(text.repeat(count)))
    /// });
    /// let template = environment.compile("{{ 'ab'|repeat }} {{ 'c'|repeat(count=3) }}")?;
    /// assert_eq!(template.render(&[])?, "abab ccc");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn add_filter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        filter: impl Fn(&Rendering, Args) -> Result<Value, Exception> + Send + Sync + 'static,
    ) {
        Arc::make_mut(&mut self.registry).add_filter(name, Filter::new(filter));
    }

    /// Adds a test, or takes the place of another. The value that stands before `is` is its first argument.
    ///
    /// ```
    /// let mut environment = pyjinja::Environment::new();
    /// environment.add_test("shouting", |_, arguments| {
    ///     let [value] = arguments.bind_to("shouting", &["value"], &[])?;
    ///     Ok(value.unwrap_or_default().as_str().is_some_and(|text| text.ends_with('!')))
    /// });
    /// let template = environment.compile("{{ 'hey!' is shouting }} {{ 1 is shouting }}")?;
    /// assert_eq!(template.render(&[])?, "True False");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn add_test(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        test: impl Fn(&Rendering, Args) -> Result<bool, Exception> + Send + Sync + 'static,
    ) {
        let test = Filter::new(move |rendering, args| test(rendering, args).map(Value::from));
        Arc::make_mut(&mut self.registry).add_test(name, test);
    }

    /// Adds a [`crate::Function`] or data that each template finds under a name, or takes the place of another. A
    /// template's own data goes before it.
    pub fn add_global(&mut self, name: impl Into<Cow<'static, str>>, global: impl Into<Global>) {
        Arc::make_mut(&mut self.registry).add_global(name, global.into());
    }

    /// The limits of each template and of each rendering.
    pub fn limits(&self) -> Limits {
        self.registry.limits
    }

    /// Sets the limits of each template and of each rendering.
    ///
    /// ```
    /// use pyjinja::{Environment, ExceptionClass, Limits};
    ///
    /// let mut limits = Limits::default();
    /// limits.steps = 100;
    /// let mut environment = Environment::new();
    /// environment.set_limits(limits);
    /// let template = environment.compile("{% for i in range(1000) %}{{ i }}{% endfor %}")?;
    /// let class = template.render(&[]).map_err(|error| error.class);
    /// assert_eq!(class, Err(ExceptionClass::LimitReached));
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn set_limits(&mut self, limits: Limits) {
        Arc::make_mut(&mut self.registry).limits = limits;
    }

    /// Sets what becomes of variables, attributes and items that do not exist.
    ///
    /// ```
    /// use pyjinja::{Environment, UndefinedPolicy};
    ///
    /// let mut environment = Environment::new();
    /// let source = "{{ user.address.street }}";
    /// assert_eq!(environment.compile(source)?.render(&[]).unwrap_err().message, "'user' is undefined");
    /// environment.set_undefined(UndefinedPolicy::Chainable);
    /// assert_eq!(environment.compile(source)?.render(&[])?, "");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn set_undefined(&mut self, policy: UndefinedPolicy) {
        Arc::make_mut(&mut self.registry).undefined = policy;
    }

    /// Sets whether the values that templates print are escaped for HTML. `{% autoescape %}` goes before it.
    ///
    /// ```
    /// let mut environment = pyjinja::Environment::new();
    /// environment.set_autoescape(true);
    /// let template = environment.compile("<b>{{ '<&>' }}{{ '<br>'|safe }}</b>")?;
    /// assert_eq!(template.render(&[])?, "<b>&lt;&amp;&gt;<br></b>");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn set_autoescape(&mut self, enabled: bool) {
        Arc::make_mut(&mut self.registry).autoescape = enabled;
    }

    /// Sets what templates may do to the values they meet.
    pub fn set_sandbox(&mut self, policy: SandboxPolicy) {
        Arc::make_mut(&mut self.registry).sandbox = policy;
    }

    /// Makes each mapping of the data, at any depth, one of a class derived from `dict` whose `__str__` is `text`, which
    /// gets the mapping's `repr`. Everything else is as with a `dict`: its `repr`, so that a list which has it is printed as
    /// always, and its copies, which are of class `dict`.
    ///
    /// ```
    /// use pyjinja::{Environment, Json};
    ///
    /// let mut environment = Environment::new();
    /// environment.set_text_of_mappings(|repr| repr.replace('\'', "`"));
    /// let template = environment.compile("{{ labels }} {{ [labels] }} {{ labels.copy() }} {{ {'a': 1} }}")?;
    /// let labels = Json::from(serde_json::json!({"job": 1}));
    /// let text = template.render(&[("labels".into(), labels)])?;
    /// assert_eq!(text, "{`job`: 1} [{'job': 1}] {'job': 1} {'a': 1}");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn set_text_of_mappings(&mut self, text: fn(String) -> String) {
        Arc::make_mut(&mut self.registry).text_of_mappings = Some(text);
    }

    /// Compiles a template.
    ///
    /// # Errors
    /// Jinja2 would refuse the text, or it is longer than [`Limits::source_chars`].
    pub fn compile(&self, source: &str) -> Result<Template, Error> {
        let limit = self.registry.limits.source_chars;
        if source.len() > limit {
            let length = source.chars().count();
            if length > limit {
                let message = format!("Template exceeds length limit ({length} > {limit})");
                return Err(Exception::new(ExceptionClass::LimitReached, message).into());
            }
        }
        let program = Arc::new(compiler::compile(source, &self.registry)?);
        Ok(Template { program, registry: Arc::clone(&self.registry) })
    }
}

/// A compiled template. Cloning is cheap, and many threads can render it at once.
#[derive(Clone)]
pub struct Template {
    pub(crate) program: Arc<Program>,
    pub(crate) registry: SharedRegistry,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

impl Template {
    /// What it does, as far as its cost depends on that.
    pub fn outline(&self) -> &Outline {
        &self.program.outline
    }

    /// Renders with the variables of `context`.
    ///
    /// # Errors
    /// The template raises an exception, or reaches one of the environment's [`Limits`].
    pub fn render(&self, context: &[(Arc<str>, Json)]) -> Result<String, Error> {
        self.render_with(context, |_| ())
    }

    /// Renders with the variables of `context`, and with those that `define` adds by [`Rendering::define`]: values that
    /// no JSON can hold.
    ///
    /// ```
    /// use pyjinja::{Environment, Value};
    ///
    /// let template = Environment::new().compile("{{ pair[0] }}{{ pair }}")?;
    /// let text = template.render_with(&[], |rendering| {
    ///     rendering.define("pair", Value::tuple(vec![Value::from("a"), Value::from(1)]));
    /// })?;
    /// assert_eq!(text, "a('a', 1)");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_with(&self, context: &[(Arc<str>, Json)], define: impl FnOnce(&Rendering)) -> Result<String, Error> {
        let rendering = Rendering::begin(&self.registry, context);
        define(&rendering);
        self.run(&rendering)
    }

    /// Runs it in a rendering that has begun.
    pub(crate) fn run(&self, rendering: &Rendering) -> Result<String, Error> {
        let text = eval::render(&self.program, rendering)?;
        let limit = self.registry.limits.output_chars;
        if text.len() > limit && text.chars().count() > limit {
            return Err(stopped(&format!("it renders to more than {limit} characters")).into());
        }
        Ok(text)
    }
}
