//! The `oncall-webhooks` program: arguments, logs, the crypto provider, and the subcommand that was asked for.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use futures::future;
use kube::ResourceExt;
use oncall_webhooks::{cli, connect, controller, resources, rest};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
        config: Box<controller::Config>,
        #[command(flatten)]
        log: Log,
    },
    /// Run OnCall's REST API
    Api {
        #[command(flatten)]
        config: rest::Config,
        #[command(flatten)]
        log: Log,
    },
    /// Print the OpenAPI document of the REST API
    Openapi,
    /// Print the custom resource definitions
    Crds {
        /// Write one file for each into this folder instead
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Make tokens for the REST API
    #[command(subcommand)]
    Token(cli::token::Command),
    #[command(flatten)]
    WithoutCluster(cli::Command),
}

#[derive(clap::Args)]
struct Log {
    /// How log lines are written
    #[arg(long, env = "ONCALL_WEBHOOKS_LOG_FORMAT", default_value = "json")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
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
        Command::WithoutCluster(command) => return Ok(cli::run(&command)),
        Command::Crds { dir } => print_crds(dir.as_deref())?,
        Command::Token(command) => block_on(cli::token::run(&command))?,
        Command::Openapi => print_openapi()?,
        Command::Controller { config, log } => {
            log.begin();
            block_on(async { controller::run(connect().await?, *config, stop()?).await })?;
        }
        Command::Api { config, log } => {
            log.begin();
            block_on(async { rest::run(connect().await?, config, stop()?).await })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs what talks to the cluster.
fn block_on(task: impl Future<Output = Result<()>>) -> Result<()> {
    // The first provider that is installed stays; nothing here installs another.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let result = runtime.block_on(task);
    // What is on the way where something failed ends with the process, and not one after the other before.
    runtime.shutdown_background();
    result
}

/// Resolves when the process is asked to stop.
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

impl Log {
    fn begin(&self) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => builder.json().flatten_event(true).init(),
            LogFormat::Text => builder.init(),
        }
    }
}

fn print_openapi() -> Result<()> {
    let document = rest::document().to_pretty_json().context("print the OpenAPI document")?;
    writeln!(std::io::stdout(), "{document}").context("write to stdout")
}

fn print_crds(dir: Option<&Path>) -> Result<()> {
    for crd in resources::definitions() {
        let yaml = serde_saphyr::to_string(&crd).with_context(|| format!("print {}", crd.name_any()))?;
        match dir {
            Some(dir) => {
                let path = dir.join(format!("{}.yaml", crd.name_any()));
                fs::write(&path, yaml).with_context(|| format!("write {}", path.display()))?;
            }
            None => write!(std::io::stdout(), "---\n{yaml}").context("write to stdout")?,
        }
    }
    Ok(())
}
