//! The flags that say how logs are written.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// Says how log lines are written. `RUST_LOG` says which of them.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Log {
    /// How log lines are written
    #[arg(long, env = "ONCALL_WEBHOOKS_LOG_FORMAT", default_value = "json")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

impl Log {
    /// Writes this process's logs to standard error from now on. To be called once.
    pub fn begin(self) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        match self.log_format {
            LogFormat::Json => builder.json().flatten_event(true).init(),
            LogFormat::Text => builder.init(),
        }
    }
}
