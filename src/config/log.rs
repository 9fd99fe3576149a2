//! The flags that say how logs are written.

use std::path::PathBuf;

use clap::ValueEnum;

/// Says how log lines are written, and which of them.
#[derive(Clone, Debug, clap::Args)]
pub struct Log {
    /// How log lines are written
    #[arg(long, env = "ONCALL_WEBHOOKS_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// File that says which log lines are written, as RUST_LOG does: `info`, or `info,oncall_webhooks=debug`. Read again when it
    /// changes; while it is missing or empty, RUST_LOG counts, and without that `info`
    #[arg(long, env = "ONCALL_WEBHOOKS_LOG_FILTER_FILE", value_name = "FILE")]
    pub log_filter_file: Option<PathBuf>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// An object in JSON.
    Json,
    /// A line for people.
    Text,
}
