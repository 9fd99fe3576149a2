//! The errors of templates that can't be parsed, in Jinja2's words.
//!
//! People search for Jinja2's messages. This goes through the tokens along Jinja2's grammar and stops where its parser
//! would; it builds nothing.

mod expressions;
mod statements;
mod tokens;

use self::tokens::SyntaxChecker;
use crate::python::exception::PyResult;

/// Checks `source`.
///
/// # Errors
/// Jinja2 refuses it, for this reason.
pub(crate) fn check(source: &str) -> PyResult<()> {
    SyntaxChecker::new(source)?.body(None)
}
