//! From a template's text to its program.

pub(crate) mod dialect;
pub(crate) mod errors;
pub(crate) mod program;
