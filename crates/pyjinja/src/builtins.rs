//! Jinja2's builtin filters, tests and globals.

pub(crate) mod filters;
pub(crate) mod globals;
pub(crate) mod random;
pub(crate) mod tests;
