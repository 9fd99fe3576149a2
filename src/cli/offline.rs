//! The subcommands that need no cluster: files in; text, requests or responses out. Each is a thin layer over
//! [`crate::core`].
//!
//! ```text
//! files ─► yaml (nodes with lines) ─► manifests (schema, types) ─┬─► lint: errors and hints
//!                                                                └─► events ─► decision: who fires ─► render, or send
//! ```

mod data;
mod decision;
mod events;
mod files;
mod findings;
mod inputs;
mod lint;
mod manifest;
mod manifests;
mod metadata;
mod oncall_json;
mod options;
mod render;
mod responses;
mod schema;
mod secrets;
mod send;
mod template;
mod wording;
mod yaml;

use std::process::ExitCode;

use clap::Subcommand;

use self::options::{STATUS, Verdict};
use super::output::report;

/// A subcommand that needs no cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Render one template
    #[command(after_help = STATUS)]
    Template(template::Options),
    /// Show the requests that Webhooks would send for AlertGroupEvents
    #[command(after_help = STATUS)]
    Render(render::Options),
    /// Send the requests of Webhooks for AlertGroupEvents, once, and print the WebhookResponses
    ///
    /// It runs as you do: whatever this machine can reach can be sent to.
    #[command(after_help = STATUS)]
    Send(send::Options),
    /// Check manifests: what the API server would refuse, what can't work, Secrets that are missing
    #[command(after_help = STATUS)]
    Lint(lint::Options),
}

/// Runs a subcommand and returns its exit status.
pub fn run(command: &Command) -> ExitCode {
    let verdict = match command {
        Command::Template(options) => template::run(options),
        Command::Render(options) => render::run(options),
        Command::Send(options) => send::run(options),
        Command::Lint(options) => lint::run(options),
    };
    match verdict {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Faulty) => ExitCode::FAILURE,
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}
