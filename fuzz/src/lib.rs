//! The operator's pure core, and what fuzzing holds it to.

/// The modules of the core that input and answers reach.
#[path = "../../src/core"]
#[allow(dead_code, reason = "other parts of the operator use the rest")]
pub mod core {
    pub mod address;
    pub mod event;
    pub mod id;
    pub mod json;
    pub mod request;
    pub mod response;
    pub mod retry;
    pub mod signing;
    pub mod template;
    pub mod tls;
    pub mod uri;
    pub mod webhook;
}
mod properties;

pub use properties::{answer, template, url};
