//! The subcommands that need no cluster: files in; text, requests or responses out. Each is thin over [`crate::core`].
//! And [`token`], which makes its Secrets in one.
//!
//! ```text
//! files ─► yaml (nodes with lines) ─► manifests (schema, types) ─┬─► lint: faults and hints
//!                                                                └─► plan: who fires ─► render, or send
//! ```

mod files;
mod findings;
pub mod generated;
mod lint;
mod manifests;
mod plan;
mod render;
mod rest;
mod schema;
mod secrets;
mod send;
mod template;
pub mod token;
mod yaml;

use std::{
    io::{self, ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

const STATUS: &str = "Exit status: 0 if all is well; 1 if there are faults, a template fails or a delivery fails; \
                      2 if it was called wrongly, a file can't be read or the files hold no object.";

/// What can be done without a cluster.
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

/// Which manifests.
#[derive(Debug, Args)]
struct Sources {
    /// Manifests, YAML or JSON: files, folders (their *.yaml, *.yml and *.json), or - for standard input; a webhook may
    /// also be JSON as OnCall's API gives it
    #[arg(short, long = "filename", value_name = "FILE", required = true, num_args = 1.., value_delimiter = ',')]
    file: Vec<PathBuf>,
    /// Read the folders inside folders too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Namespace of what states none
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// How findings and requests are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What a subcommand found, as its exit status says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Faulty,
}

impl Verdict {
    fn faulty_if(faulty: bool) -> Self {
        if faulty { Self::Faulty } else { Self::Fine }
    }
}

/// Runs a subcommand and says how it came out.
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
            complain(&format!("oncall-webhooks: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Writes to standard output. Whoever reads it may stop at any time.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
fn complain(line: &str) {
    // There is nowhere else to say that this failed.
    let _ = writeln!(io::stderr(), "{line}");
}
