//! Grafana OnCall's outgoing webhooks as Kubernetes resources.
//!
//! ```text
//! main.rs ─┬─► controller ─► delivery ─┐
//!          ├─► rest ───────────────────┼─► kubernetes, resources, config ─► core (the crate oncall-core)
//!          └─► cli ────────────────────┘
//! ```
//! ARCHITECTURE.md follows one event through it.

pub mod cli;
pub mod config;
pub mod controller;
pub mod delivery;
mod errors;
pub mod kubernetes;
pub mod logs;
pub mod memory;
mod metrics;
mod rendering;
pub mod resources;
pub mod rest;
mod secrets;
mod server;
mod source_tokens;
pub mod traces;
mod turns;
mod wording;

pub use oncall_core as core;
