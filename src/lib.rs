//! Grafana OnCall's outgoing webhooks as Kubernetes resources.

pub mod cli;
pub mod config;
pub mod controller;
pub use oncall_core as core;
pub mod delivery;
mod errors;
pub mod kubernetes;
pub mod resources;
pub mod rest;
