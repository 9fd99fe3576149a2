//! What fuzzing holds the engine and the core to.

use oncall_core as core;

mod properties;

pub use properties::{answer, template, url};
