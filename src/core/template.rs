//! Template text in, text or a failure in OnCall's two kinds out.
//!
//! A template is compiled once and rendered often. In [`Mode::Json`] the data must have been escaped first
//! (`EventData::context` does), so that `{"text": "{{ alert_payload.text }}"}` stays valid JSON.

use std::sync::{Arc, LazyLock};

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, value::ValueKind};

use super::json::{self, Json};

/// Bound on template text and on what it renders to, in characters.
pub const LIMIT: usize = 50_000;

/// Bound on the steps of one rendering: loops over thousands of alerts fit, loops without end do not.
const FUEL: u64 = 1_000_000;

const NAME: &str = "template";

/// How a field's text is made part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `url` and `triggerTemplate`: the data as it is.
    Raw,
    /// `headers` and `data`: strings escaped as inside a JSON string literal.
    Json,
}

/// Whether a template can't work at all, or does not fit the data it met. OnCall refuses to store the first kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Syntax, an unknown filter or test, forbidden access.
    Error,
    /// Undefined, of the wrong type, not serializable.
    Warning,
}

/// A template's failure; shown as OnCall records it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Template {}: {message}", match fault { Fault::Error => "Error", Fault::Warning => "Warning" })]
pub struct TemplateError {
    /// Which of the two kinds.
    pub fault: Fault,
    /// What is wrong, without the kind.
    pub message: String,
    /// The template's line, from 1, where it is known.
    pub line: Option<usize>,
}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        let fault = match error.kind() {
            ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::TemplateNotFound
            | ErrorKind::OutOfFuel => Fault::Error,
            _ => Fault::Warning,
        };
        let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        Self { fault, message, line: error.line() }
    }
}

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    mode: Mode,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// The text is longer than [`LIMIT`] or is not a template.
    pub fn compile(source: &str, mode: Mode) -> Result<Self, TemplateError> {
        if source.chars().nth(LIMIT).is_some() {
            return Err(TemplateError {
                fault: Fault::Error,
                message: format!("Maximum template length exceeded: over {LIMIT} characters"),
                line: None,
            });
        }
        let mut environment = ONCALL.clone();
        environment.add_template_owned(NAME, source.to_owned())?;
        Ok(Self { environment: Arc::new(environment), mode })
    }

    /// What the data must have been prepared for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Renders with the values of `context` by their names. A result over [`LIMIT`] is cut and ends in `..`.
    ///
    /// # Errors
    /// The template can't work with this data, or at all.
    pub fn render(&self, context: &[(Arc<str>, Json)]) -> Result<String, TemplateError> {
        let context = Value::from_pairs(context.iter().map(|(key, value)| (key.to_string(), engine_value(value))));
        let mut text = self.environment.get_template(NAME)?.render(context)?;
        if let Some((end, _)) = text.char_indices().nth(LIMIT) {
            text.truncate(end);
            text.push_str("..");
        }
        Ok(text)
    }
}

fn engine_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Int(value) => Value::from(*value),
        Json::Big(value) => value.to_string().parse::<i128>().map(Value::from).unwrap_or_default(),
        Json::Float(value) => Value::from(*value),
        Json::Str(text) => Value::from(&**text),
        Json::Array(items) => items.iter().map(engine_value).collect(),
        Json::Object(object) => {
            Value::from_pairs(object.iter().map(|(key, value)| (key.to_string(), engine_value(value))))
        }
    }
}

static ONCALL: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(python_format);
    environment.add_filter("tojson", tojson);
    environment.remove_global("range");
    environment.set_fuel(Some(FUEL));
    environment
});

/// Prints constants by their Python names.
fn python_format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.write_str("None").map_err(Error::from),
        ValueKind::Bool => out.write_str(if value.is_true() { "True" } else { "False" }).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Jinja2's `tojson` as OnCall has it: keys sorted, non-ASCII escaped, nothing made safe for HTML.
fn tojson(value: &Value) -> Result<Value, Error> {
    let refuse = |message: String| Error::new(ErrorKind::BadSerialization, message);
    if value.is_undefined() {
        return Err(refuse("Object of type Undefined is not JSON serializable".to_owned()));
    }
    let value = serde_json::to_value(value).map_err(|error| refuse(error.to_string()))?;
    Ok(Value::from_safe_string(json::dumps(&sorted(Json::from(value)))))
}

fn sorted(value: Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().cloned().map(sorted).collect()),
        Json::Object(object) => {
            let mut object: json::Object = object.iter().map(|(k, v)| (Arc::clone(k), sorted(v.clone()))).collect();
            object.sort_keys();
            Json::Object(Arc::new(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str) -> Result<String, TemplateError> {
        let labels = Json::from(json!({"job": "node", "alertname": "InstanceDown", "city": "東京"}));
        Template::compile(source, Mode::Raw)?.render(&[
            (Arc::from("payload"), Json::Null),
            (Arc::from("labels"), labels),
            (Arc::from("yes"), Json::Bool(true)),
        ])
    }

    fn failure(fault: Fault, message: &str, line: usize) -> Result<String, TemplateError> {
        Err(TemplateError { fault, message: message.to_owned(), line: Some(line) })
    }

    #[test]
    fn templates_render_as_oncalls() {
        let cases = [
            ("{{ labels | tojson() }}", r#"{"alertname": "InstanceDown", "city": "\u6771\u4eac", "job": "node"}"#),
            ("{{ labels.job }} {{ nope }}|{{ yes }} {{ payload }}", "node |True None"),
            ("{% for name in ['a', 'b'] %}{{ loop.index }}{{ name }}{% endfor %}", "1a2b"),
            ("a\n", "a"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn failures_name_their_kind_message_and_line() {
        assert_eq!(
            render("{{ nope | tojson }}"),
            failure(Fault::Warning, "Object of type Undefined is not JSON serializable", 1)
        );
        assert_eq!(render("{{ nope.deeper }}").map_err(|e| e.fault), Err(Fault::Warning));
        assert_eq!(render("one\n{{ 1 | nope }}").map_err(|e| (e.fault, e.line)), Err((Fault::Error, Some(2))));
        assert_eq!(render("one\ntwo {{").map_err(|e| (e.fault, e.line)), Err((Fault::Error, Some(2))));
        assert_eq!(
            render("{{ nope | tojson }}").map_err(|e| e.to_string()),
            Err("Template Warning: Object of type Undefined is not JSON serializable".to_owned())
        );
    }

    #[test]
    fn a_template_that_loops_for_ever_is_stopped() {
        let digits = "{% for i in '0123456789' %}";
        let source = format!("{}{}", digits.repeat(9), "{% endfor %}".repeat(9));
        assert_eq!(render(&source).map_err(|e| e.fault), Err(Fault::Error));
    }

    #[test]
    fn text_beyond_the_limit_is_refused_and_results_beyond_it_are_cut() {
        let long = "é".repeat(LIMIT);
        assert_eq!(render(&long).as_deref(), Ok(long.as_str()));
        assert_eq!(render(&format!("{long}é")).map_err(|e| e.fault), Err(Fault::Error));
        assert_eq!(
            render(&format!("{{{{ 'x' }}}}{}", &long[..LIMIT])).map(|text| text.chars().count()),
            Ok(LIMIT / 2 + 1)
        );
        let cut = render(&format!("{{% for i in '12' %}}{}{{% endfor %}}", &long[..LIMIT + 2])).unwrap();
        assert_eq!(cut, format!("{}..", "é".repeat(LIMIT)));
    }
}
