//! Jinja2's builtin filters, tests and globals.

mod filters;
mod globals;
mod range;
mod tests;

use crate::eval::registry::Registry;

/// A registry of all that Jinja2 has.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    filters::register(&mut registry);
    tests::register(&mut registry);
    globals::register(&mut registry);
    registry
}
