//! The errors of templates that can't be parsed, in Jinja2's words.
//!
//! People search for Jinja2's messages. This goes through the tokens along Jinja2's grammar and stops where its parser
//! would. It builds nothing, but notes what only the grammar shows: where minijinja's parser needs parentheses.

mod expressions;
mod statements;
mod tokens;

use self::tokens::SyntaxChecker;
use crate::python::exception::PyResult;

pub(crate) use self::tokens::{BlockKind, Insertion};

/// What is known of a template that Jinja2 can parse.
pub(crate) struct Checked<'s> {
    /// What minijinja's parser needs besides to read it as Jinja2 does.
    pub(crate) insertions: Vec<Insertion>,
    /// The kinds of its blocks, by their names.
    pub(crate) blocks: Vec<(&'s str, BlockKind)>,
}

/// Checks `source`.
///
/// # Errors
/// Jinja2 refuses it, for this reason.
pub(crate) fn check(source: &str) -> PyResult<Checked<'_>> {
    let mut checker = SyntaxChecker::new(source)?;
    checker.body(None)?;
    Ok(Checked { insertions: checker.insertions, blocks: checker.blocks })
}
