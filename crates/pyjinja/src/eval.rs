//! Runs a compiled template: scopes, loops, macros and output as Jinja2 has them.
//!
//! ```text
//! statements ─► expressions ─► access ─► rendering, registry, function, scope, budget
//!      └───────────┴─► objects ────────────────┘
//!      └─► blocks, output
//!
//! certainty: what a rendering must come to
//! ```

pub(crate) mod access;
mod blocks;
pub(crate) mod budget;
mod certainty;
pub(crate) mod expressions;
pub(crate) mod function;
pub(crate) mod objects;
mod output;
pub(crate) mod registry;
pub(crate) mod rendering;
pub(crate) mod scope;
mod statements;

use std::sync::Arc;

use self::{expressions::Evaluator, rendering::Rendering, scope::Scope};
use crate::{python::exception::PyResult, syntax::program::Program};

/// Renders `program` with the data of `rendering`.
pub(crate) fn render(program: &Arc<Program>, rendering: &Rendering) -> PyResult<String> {
    let evaluator = Evaluator { rendering, program, scope: Scope::outermost() };
    if let Some(symbol) = program.self_symbol {
        evaluator.scope.set(symbol, evaluator.template_reference()?);
    }
    let text = evaluator.text_of(&program.body)?;
    // A comparison that reached a limit said no.
    rendering.work(0)?;
    Ok(text)
}
