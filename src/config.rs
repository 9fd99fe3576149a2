//! The flags of the long-running subcommands, `controller` and `api`, and how their values are parsed.
//!
//! Each flag can also be set by the environment variable that stands beside it. The types hold values only: what they
//! configure reads them, and nothing here opens a file or a connection.
//!
//! ```text
//! ControllerConfig ─┬─ Reach      what requests may reach        ApiConfig ─┬─ Listen   where the REST API listens
//!                   ├─ Proxy      what they go through                      └─ Memory   how much it may have
//!                   ├─ Election   which replica works
//!                   ├─ Retention  what is kept of finished work  Log   how both write their logs
//!                   └─ Memory     how much it may have
//! ```

mod api;
mod controller;
mod election;
mod log;
mod memory;
mod proxy;
mod reach;
mod retention;

pub use self::{
    api::{ApiConfig, Listen},
    controller::ControllerConfig,
    election::Election,
    log::Log,
    memory::Memory,
    proxy::Proxy,
    reach::Reach,
    retention::Retention,
};

/// Parses a number that bounds something: from 1 to 100 000.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=100_000).contains(&number) => Ok(number),
        _ => Err("give a number from 1 to 100000".to_owned()),
    }
}
