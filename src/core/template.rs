//! Template text in, text or a failure in OnCall's two kinds out.
//!
//! A template is compiled once and rendered often. In [`Mode::Json`] the data must have been escaped first
//! (`EventData::context` does), so that `{"text": "{{ alert_payload.text }}"}` stays valid JSON.
//!
//! ```text
//! source ─► dialect ─► minijinja's parser ─► program ─► eval ─► text
//!    └────► syntax: Jinja2's words for             (values, operators, methods, filters, tests: Python's)
//!           what can't be parsed
//! ```
//!
//! minijinja reads the template: its lexer, parser and syntax tree, through its `machinery` (pinned to the version:
//! that interface is not stable). The tree is evaluated here, over values of Python, because people's templates depend
//! on what those do: they change lists in place, tell a tuple from a list and 1 from True and 1.0, count beyond 64 bits,
//! call methods of `str`, `dict` and `datetime`, and fail with Python's words. Exchanging the instructions of
//! minijinja's VM one for one was the other way: its values then have to be wrapped at each step, an undefined value has
//! no name to fail with, macros have no `varargs`, and what one block of text adds to memory is not counted.
//!
//! Every rendering is bounded in steps, bytes and depth (`run`); there is no thread to abandon.

mod arguments;
mod bytes;
mod containers;
mod dialect;
mod dumps;
mod eval;
mod filters;
mod format;
mod globals;
mod jinja_tests;
mod numbers;
mod objects;
mod oncall;
mod operators;
mod pattern;
mod print;
mod program;
mod raise;
mod random;
mod run;
mod sorting;
mod syntax;

mod text;
mod time;
mod value;

use std::sync::Arc;

use self::{program::Program, raise::Raise, run::Run};
use super::json::Json;

/// Bound on template text and on what it renders to, in characters.
pub const LIMIT: usize = 50_000;

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
    /// Syntax, an unknown filter or test, forbidden access, a division by zero.
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

impl From<Raise> for TemplateError {
    fn from(raise: Raise) -> Self {
        Self { fault: raise.fault(), message: raise.message, line: raise.line }
    }
}

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    program: Arc<Program>,
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
        if source.len() > LIMIT {
            let length = source.chars().count();
            if length > LIMIT {
                let message = format!("Template exceeds length limit ({length} > {LIMIT})");
                return Err(TemplateError { fault: Fault::Error, message, line: None });
            }
        }
        Ok(Self { program: Arc::new(program::compile(source)?), mode })
    }

    /// What the data must have been prepared for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Renders with the variables of `context`. A result over [`LIMIT`] is cut and ends in `..`.
    ///
    /// # Errors
    /// The template can't work with this data, or at all, or meets a bound.
    pub fn render(&self, context: &[(Arc<str>, Json)]) -> Result<String, TemplateError> {
        let mut text = eval::render(&self.program, &Run::new(context))?;
        if let Some((end, _)) = text.char_indices().nth(LIMIT) {
            text.truncate(end);
            text.push_str("..");
        }
        Ok(text)
    }
}
