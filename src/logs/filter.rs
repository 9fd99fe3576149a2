//! The file that says which lines are written. A ConfigMap that is mounted is such a file: whoever may edit it changes the levels of
//! all replicas while they run, without a shell in a container and without a port that others could reach.

use std::{fs, io, path::PathBuf};

use tracing_subscriber::{EnvFilter, Registry, reload};

/// A filter that can be exchanged.
pub(super) type Filter = reload::Layer<EnvFilter, Registry>;

/// Keeps a filter as its file has it.
pub(super) struct FilterFile {
    path: Option<PathBuf>,
    handle: reload::Handle<EnvFilter, Registry>,
    /// What was last found, good or bad.
    last: String,
}

impl FilterFile {
    /// The filter is that of the environment until the file is read.
    pub(super) fn new(path: Option<PathBuf>) -> (Filter, Self) {
        let (filter, handle) = reload::Layer::new(of_environment());
        (filter, Self { path, handle, last: String::new() })
    }

    /// Reads the file, and takes its filter over if it has changed. One that can't be used is logged once, and changes nothing.
    pub(super) fn look(&mut self) {
        let Some(path) = &self.path else { return };
        let found = match fs::read_to_string(path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "failed to read the file with the log filter; it stays as it was");
                return;
            }
        };
        if found == self.last {
            return;
        }
        self.last.clone_from(&found);
        match parse(&found) {
            Ok(filter) => {
                // Before, since the new one may not show it.
                tracing::info!(filter = %filter, "the log filter changes to this");
                // It fails only when the process ends.
                let _ = self.handle.reload(filter);
            }
            Err(error) => {
                tracing::warn!(error, file = %path.display(), "the file has no log filter that can be used; it stays as it was");
            }
        }
    }
}

/// The filter that a text asks for: the environment's, if it is empty.
fn parse(text: &str) -> Result<EnvFilter, String> {
    if text.is_empty() { Ok(of_environment()) } else { EnvFilter::try_new(text).map_err(|error| error.to_string()) }
}

/// What `RUST_LOG` says; `info` where it says nothing that can be used.
fn of_environment() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_what_rust_log_would_take_and_nothing_else() {
        for (text, expected) in [
            ("debug", Some("debug")),
            ("warn,oncall_webhooks::delivery=trace", Some("oncall_webhooks::delivery=trace,warn")),
            ("info,oncall_webhooks=loud", None),
        ] {
            assert_eq!(parse(text).ok().map(|filter| filter.to_string()).as_deref(), expected, "{text}");
        }
    }
}
