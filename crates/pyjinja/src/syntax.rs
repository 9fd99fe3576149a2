//! From a template's text to its program.
//!
//! ```text
//! source ─► errors: Jinja2's grammar, in its words
//!    └────► dialect ─► minijinja's parser ─► compiler ─► program
//! ```

pub(crate) mod compiler;
mod dialect;
mod errors;
mod literals;
pub(crate) mod lookups;
pub(crate) mod outline;
pub(crate) mod program;
mod texts;
