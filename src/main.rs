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
use oncall_webhooks::{cli, controller, resources};
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
        config: controller::Config,
        /// How log lines are written
        #[arg(long, env = "ONCALL_WEBHOOKS_LOG_FORMAT", default_value = "json")]
        log_format: LogFormat,
    },
    /// Print the custom resource definitions
    Crds {
        /// Write one file for each into this folder instead
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    #[command(flatten)]
    WithoutCluster(cli::Command),
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
        Command::Controller { config, log_format } => {
            log(log_format);
            // The first provider that is installed stays; nothing here installs another.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
            runtime.block_on(operate(config))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn operate(config: controller::Config) -> Result<()> {
    let mut cluster = kube::Config::infer().await.context("find the cluster: set KUBECONFIG, or run in a pod")?;
    // Calls are tried again where the operator knows what a failure means.
    cluster.default_retry = false;
    // A proxy in the environment does not lead to the cluster's own API server.
    cluster.proxy_url = None;
    let client = kube::Client::try_from(cluster).context("set up the Kubernetes client")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let stop = async move {
        future::select(std::pin::pin!(interrupt.recv()), std::pin::pin!(terminate.recv())).await;
        // A second signal ends the process at once.
        tokio::spawn(async move {
            future::select(std::pin::pin!(interrupt.recv()), std::pin::pin!(terminate.recv())).await;
            std::process::exit(130);
        });
    };
    controller::run(client, config, stop).await
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
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
