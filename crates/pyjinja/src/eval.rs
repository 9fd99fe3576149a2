//! Runs a compiled template: scopes, loops, macros and output as Jinja2 has them.
//!
//! ```text
//! statements ─► expressions ─► access ─► rendering, registry, function, scope, budget
//!      └───────────┴─► objects ────────────────┘
//! ```

pub(crate) mod access;
pub(crate) mod budget;
pub(crate) mod expressions;
pub(crate) mod function;
pub(crate) mod objects;
pub(crate) mod registry;
pub(crate) mod rendering;
pub(crate) mod scope;
mod statements;

use std::sync::Arc;

use self::{expressions::Evaluator, rendering::Rendering, scope::Scope};
use crate::{python::exception::PyResult, syntax::program::Program};

/// Renders `program` with the data of `rendering`.
pub(crate) fn render(program: &Arc<Program>, rendering: &Rendering) -> PyResult<String> {
    let text = Evaluator { rendering, program, scope: Scope::outermost() }.text_of(&program.body)?;
    // A comparison that reached a limit said no.
    rendering.work(0)?;
    Ok(text)
}
