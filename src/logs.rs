//! The logs of a process: which lines are written, and how.
//!
//! ```text
//! event ─► filter (the file, RUST_LOG, or info) ─► limit (few lines of one kind in a storm) ─► standard error
//!            ▲                                        │
//!            └────────────── thread `logs` ───────────┘  reads the file; says how many lines were left out
//! ```
//! - `filter`: the file that changes which lines are written while the process runs
//! - `limit`: what keeps a storm of failures from being a storm of lines

mod filter;
mod limit;

use std::{io, thread, time::Duration};

use anyhow::{Context, Result};
use tracing_subscriber::{Layer, Registry, filter::FilterExt, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::{filter::FilterFile, limit::Limit};
use crate::config::{Log, LogFormat};

/// How often the file with the filter is read.
const LOOK: Duration = Duration::from_secs(2);

/// Writes this process's logs to standard error from now on. To be called once.
///
/// # Errors
/// There is no thread to be had.
pub fn begin(options: &Log) -> Result<()> {
    let (filter, mut file) = FilterFile::new(options.log_filter_file.clone());
    let limit = Limit::default();
    let lines = fmt::layer().with_writer(io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match options.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(limit.clone()))).init();
    let tend = move || {
        loop {
            file.look();
            thread::sleep(LOOK);
            limit.tell_left_out();
        }
    };
    thread::Builder::new().name("logs".to_owned()).spawn(tend).context("start the thread of the logs")?;
    Ok(())
}

#[cfg(test)]
mod tests;
