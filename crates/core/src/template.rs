//! OnCall's templates: text in, text or a failure of OnCall's two kinds out.
//!
//! The engine is [`pyjinja`]; OnCall's filters, its global `time`, its refusal of `range` and its bounds on length are added
//! here. In [`Mode::Json`] the data must have been escaped first ([`crate::event::EventData::context`] does), so that
//! `{"text": "{{ alert_payload.text }}"}` stays valid JSON, and the text of its mappings is escaped where it is made, so that
//! mostly `{"text": "{{ alert_payload }}"}` does too.

mod filters;
mod verdict;

use std::sync::{Arc, LazyLock};

use pyjinja::{Environment, Error, ExceptionClass, Function, Json, Limits, Lookup, Value, stdlib::datetime};

pub use self::verdict::Verdict;

/// Bound on template text and on the text that it renders to, in characters.
pub const LIMIT: usize = 50_000;

/// How a field's text is made part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `url` and `triggerTemplate`: the data as it is.
    Raw,
    /// `headers` and `data`: strings escaped as inside a JSON string literal, and the double quotes in the text (`str()`) of
    /// each mapping of the data that have no backslash before them. A mapping's `repr`, its copies and the dicts that the
    /// template makes are not escaped.
    Json,
}

impl Mode {
    fn environment(self) -> &'static Environment {
        match self {
            Self::Raw => &ENVIRONMENT,
            Self::Json => &JSON_ENVIRONMENT,
        }
    }
}

/// Bound on the bytes of compiled patterns that the process keeps between renderings.
pub const KEPT_PATTERNS_BYTES: usize = pyjinja::stdlib::re::CACHE_BYTES;

/// Whether a template can't work at all, or does not fit the data it met. OnCall refuses to store the first kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateErrorKind {
    /// Syntax, an unknown filter or test, forbidden access, a division by zero.
    Error,
    /// Undefined, of the wrong type, not serializable.
    Warning,
}

impl From<ExceptionClass> for TemplateErrorKind {
    fn from(class: ExceptionClass) -> Self {
        match class {
            ExceptionClass::TypeError
            | ExceptionClass::ValueError
            | ExceptionClass::KeyError
            | ExceptionClass::UndefinedError => Self::Warning,
            _ => Self::Error,
        }
    }
}

/// A template's failure; shown as OnCall records it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Template {kind:?}: {message}")]
pub struct TemplateError {
    /// Which of the two kinds.
    pub kind: TemplateErrorKind,
    /// The fault, without the kind.
    pub message: String,
    /// The template's line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in that line, in characters from 1, where it is known: that of what can't be parsed, or of a name that nothing has.
    pub column: Option<usize>,
}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        Self { kind: error.class.into(), message: error.message, line: error.line, column: error.column }
    }
}

/// OnCall's `SandboxedEnvironment`.
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let mut limits = Limits::default();
    limits.source_chars = LIMIT;
    environment.set_limits(limits);
    filters::register(&mut environment);
    // django's `timezone.now`
    environment.add_global(
        "time",
        Function::new("now", |_, arguments| {
            let [] = arguments.bind_to("now", &[], &[])?;
            Ok(datetime::now_utc())
        }),
    );
    environment.add_global(
        "range",
        Function::new("range", |_, _| {
            Err(pyjinja::Exception::new(ExceptionClass::SecurityError, "use of 'range' is restricted"))
        }),
    );
    environment
});

/// The same for [`Mode::Json`].
static JSON_ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let mut environment = ENVIRONMENT.clone();
    environment.set_text_of_mappings(with_escaped_quotes);
    environment
});

/// `text` with a backslash before each double quote that has none before it.
fn with_escaped_quotes(text: String) -> String {
    if !text.contains('"') {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut before = '\0';
    for char in text.chars() {
        if char == '"' && before != '\\' {
            escaped.push('\\');
        }
        escaped.push(char);
        before = char;
    }
    escaped
}

/// Filters and tests that look at what they are given once, and make little more of it.
const PLAIN_FILTERS: [&str; 46] = [
    "abs",
    "b64decode",
    "boolean",
    "capitalize",
    "count",
    "d",
    "datetimeformat",
    "datetimeformat_as_timezone",
    "datetimeparse",
    "default",
    "defined",
    "e",
    "eq",
    "equalto",
    "escape",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "int",
    "integer",
    "iso8601_to_time",
    "iterable",
    "json_dumps",
    "le",
    "length",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "round",
    "sequence",
    "string",
    "timedeltaparse",
    "timestamp_to_datetime",
    "title",
    "tojson",
    "tojson_pretty",
    "trim",
    "true",
    "undefined",
    "upper",
    "urlencode",
];

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {
    compiled: pyjinja::Template,
    mode: Mode,
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// The text is longer than [`LIMIT`] or is not a template.
    pub fn compile(source: &str, mode: Mode) -> Result<Self, TemplateError> {
        Ok(Self { compiled: mode.environment().compile(source)?, mode })
    }

    /// Checks that OnCall's API stores `source` as a template of any field: it does unless rendering fails with a
    /// [`TemplateErrorKind::Error`]. It is rendered with an alert payload that has the empty text for whatever is asked
    /// of it.
    ///
    /// # Errors
    /// A [`TemplateErrorKind::Error`]: the text can't work, or meets a bound of ours.
    pub fn storable(source: &str) -> Result<(), TemplateError> {
        match Self::tried(source).map_err(TemplateError::from) {
            Err(error) if error.kind == TemplateErrorKind::Error => Err(error),
            _ => Ok(()),
        }
    }

    /// Renders it with the data with which OnCall's API tries templates out.
    fn tried(source: &str) -> Result<String, Error> {
        ENVIRONMENT.compile(source)?.render_with(&[], |rendering| {
            rendering.define("alert_payload", Value::defaultdict());
            rendering.define("alert_group_id", Value::from("alert_group_1"));
            // As everywhere in OnCall.
            rendering.define("payload", Value::None);
        })
    }

    /// The mode that the data must have been prepared for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many expressions it has, if each looks at the data once: its cost is at most so many times that of the data. None if
    /// it has loops, patterns or anything else whose cost may be out of all proportion.
    pub fn plain_expressions(&self) -> Option<usize> {
        let outline = self.compiled.outline();
        let is_plain = !outline.is_open_ended
            && outline.filters_in_a_row <= 2
            && outline.filters.iter().all(|name| PLAIN_FILTERS.contains(&name.as_str()));
        is_plain.then_some(outline.expressions)
    }

    /// What it looks up in the data, in the order of the text. See [`pyjinja::Template::lookups`].
    pub fn lookups(&self) -> Vec<Lookup> {
        self.compiled.lookups()
    }

    /// The text that it begins with, whatever the data is.
    pub fn leading_text(&self) -> String {
        self.compiled.leading_text()
    }

    /// Whether it may render to exactly `text`. See [`pyjinja::Template::can_render`].
    pub fn can_render(&self, text: &str, ignoring_space: bool) -> bool {
        self.compiled.can_render(text, ignoring_space)
    }

    /// Renders with the variables of `context`. A result over [`LIMIT`] is cut and ends in `..`.
    ///
    /// # Errors
    /// The template can't work with this data, or at all, or meets a bound.
    pub fn render(&self, context: &[(Arc<str>, Json)]) -> Result<String, TemplateError> {
        let mut text = self.compiled.render(context)?;
        if let Some((end, _)) = text.char_indices().nth(LIMIT) {
            text.truncate(end);
            text.push_str("..");
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
