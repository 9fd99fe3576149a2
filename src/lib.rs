//! Grafana OnCall's outgoing webhooks as Kubernetes resources.

pub mod cli;
pub mod controller;
pub use oncall_core as core;
pub mod delivery;
mod errors;
mod health;
mod kubernetes;
pub mod resources;
pub mod rest;

pub use kubernetes::client::connect;

/// A number that bounds something.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=100_000).contains(&number) => Ok(number),
        _ => Err("give a number from 1 to 100000".to_owned()),
    }
}
