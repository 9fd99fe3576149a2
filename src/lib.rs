//! Grafana OnCall's outgoing webhooks as Kubernetes resources.

pub mod cli;
pub mod controller;
pub mod core;
pub mod delivery;
mod kubernetes;
pub mod resources;
mod rest;
