//! The `oncall-webhooks` program: arguments, logs, the crypto provider, and the subcommand that was asked for.

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use futures::future;
use oncall_webhooks::{
    cli,
    config::{ApiConfig, ControllerConfig, Log},
    controller, logs, rest,
};
use tokio::signal::unix::{SignalKind, signal};

/// Grafana OnCall's outgoing webhooks as Kubernetes resources.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator
    Controller {
        #[command(flatten)]
        config: Box<ControllerConfig>,
        #[command(flatten)]
        log: Log,
    },
    /// Run OnCall's REST API
    Api {
        #[command(flatten)]
        config: Box<ApiConfig>,
        #[command(flatten)]
        log: Log,
    },
    /// Print the OpenAPI document of the REST API
    Openapi,
    /// Print the custom resource definitions
    Crds(cli::generated::CrdOptions),
    /// Make tokens for the REST API
    #[command(subcommand)]
    Token(cli::token::Command),
    #[command(flatten)]
    AlertGroups(cli::alert_groups::Command),
    /// Create an AlertGroupEvent
    Emit(Box<cli::emit::Options>),
    #[command(flatten)]
    Offline(cli::offline::Command),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // The one place where a chain of causes is printed.
            let _ = writeln!(std::io::stderr(), "oncall-webhooks: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Offline(command) => return Ok(cli::offline::run(&command)),
        Command::Crds(options) => cli::generated::crds(&options)?,
        Command::Token(command) => block_on(cli::token::run(&command))?,
        Command::AlertGroups(command) => return block_on(cli::alert_groups::run(&command)),
        Command::Emit(options) => return block_on(cli::emit::run(&options)),
        Command::Openapi => cli::generated::openapi()?,
        Command::Controller { config, log } => {
            logs::begin(&log)?;
            block_on(async { controller::run(*config, stop()?).await })?;
        }
        Command::Api { config, log } => {
            logs::begin(&log)?;
            block_on(async { rest::run(*config, stop()?).await })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a task that talks to the cluster, until it ends.
fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    // The first provider that is installed stays; nothing here installs another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let result = runtime.block_on(task);
    // Work that is still under way where something failed ends with the process: it is not waited for.
    runtime.shutdown_background();
    result
}

/// Returns a future that resolves when the process is asked to stop.
fn stop() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    Ok(async move {
        future::select(std::pin::pin!(interrupt.recv()), std::pin::pin!(terminate.recv())).await;
        // A second signal ends the process at once.
        tokio::spawn(async move {
            future::select(std::pin::pin!(interrupt.recv()), std::pin::pin!(terminate.recv())).await;
            std::process::exit(130);
        });
    })
}
