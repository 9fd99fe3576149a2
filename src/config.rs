//! The flags of the long-running subcommands, `controller` and `api`, and how their values are parsed.
//!
//! Each flag can also be set by the environment variable that stands beside it. The types hold values only: what they
//! configure reads them, and nothing here opens a file or a connection.
//!
//! ```text
//! ControllerConfig ─┬─ Reach      what requests may reach        ApiConfig ─┬─ Listen   where the REST API listens
//!                   ├─ Proxy      what they go through                      ├─ AdmissionListen   and the admission webhook
//!                   ├─ Election   which replica works                       └─ Memory   how much it may have
//!                   ├─ Retention  what is kept of finished work
//!                   ├─ Memory     how much it may have           Log   how both write their logs
//!                   └─ MetricOptions  whose series metrics have
//! ```

mod api;
mod controller;
mod election;
mod log;
mod memory;
mod metrics;
mod proxy;
mod reach;
mod retention;
mod working_namespaces;

use std::time::Duration;

pub use self::{
    api::{AdmissionListen, ApiConfig, Listen},
    controller::ControllerConfig,
    election::Election,
    log::{Log, LogFormat},
    memory::Memory,
    metrics::{MetricLabels, MetricOptions, MetricReaders},
    proxy::Proxy,
    reach::Reach,
    retention::Retention,
    working_namespaces::WorkingNamespaces,
};
use crate::resources::is_name;

/// Parses the name of a namespace.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    name(text, 63, false)
}

/// Parses a name of at most `most` bytes, which may have dots in it if `dots` says so.
pub(crate) fn name(text: &str, most: usize, dots: bool) -> Result<String, String> {
    if is_name(text, most, dots) {
        Ok(text.to_owned())
    } else {
        let dots = if dots { "., " } else { "" };
        Err(format!("give lower-case letters, digits, {dots}and -, at most {most}, a letter or digit first and last"))
    }
}

/// Parses a bound on a request: over 0 and up to a minute.
pub(crate) fn request_timeout(text: &str) -> Result<Duration, String> {
    let timeout =
        text.parse::<kube::core::Duration>().ok().filter(|timeout| !timeout.is_negative()).map(Duration::from);
    timeout
        .filter(|timeout| !timeout.is_zero() && *timeout <= Duration::from_secs(60))
        .ok_or_else(|| "give a duration over 0s and up to 1m, such as 4s".to_owned())
}

/// Parses a number that bounds something: from 1 to 100 000.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=100_000).contains(&number) => Ok(number),
        _ => Err("give a number from 1 to 100000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_on_a_request_is_a_duration_up_to_a_minute() {
        let cases = [("4s", Some(4000)), ("1.5s", Some(1500)), ("250ms", Some(250)), ("1m", Some(60_000))];
        let wrong = ["", "0s", "-1s", "61s", "2m", "4", "soon"].map(|text| (text, None));
        for (text, expected) in cases.into_iter().chain(wrong) {
            assert_eq!(request_timeout(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }
}
