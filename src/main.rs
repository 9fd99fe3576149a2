//! The `oncall-webhooks` program: arguments, logs, the crypto provider, and the subcommand that was asked for.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use clap_complete::CompleteEnv;
use futures::future;
use oncall_webhooks::{
    cli::{
        self,
        cluster::ClusterOptions,
        complete,
        program_name::{self, PLUGIN, PLUGIN_COMPLETION},
    },
    config::{ApiConfig, ControllerConfig, Log},
    controller, logs, rest,
    traces::traced,
};
use tokio::signal::unix::{SignalKind, signal};

/// Grafana OnCall's outgoing webhooks as Kubernetes resources.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    cluster: ClusterOptions,
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
    /// Show how webhooks, alert groups and integrations are, and what needs a person first
    Status(cli::status::Options),
    /// Show what came of the deliveries of a webhook, newest last
    Responses(cli::responses::Options),
    /// Send deliveries again
    Redeliver(cli::redeliver::Options),
    #[command(flatten)]
    Offline(cli::offline::Command),
    /// Print the script that lets a shell complete commands, and names from the cluster
    Completion(cli::generated::CompletionOptions),
    /// Write man pages
    Man(cli::generated::ManOptions),
}

impl Command {
    /// The flags that say which cluster; None for what needs none, or what is told otherwise.
    fn cluster_mut(&mut self) -> Option<&mut ClusterOptions> {
        match self {
            Self::Token(command) => Some(command.cluster_mut()),
            Self::AlertGroups(command) => Some(command.cluster_mut()),
            Self::Emit(options) => Some(options.cluster_mut()),
            Self::Status(options) => Some(options.cluster_mut()),
            Self::Responses(options) => Some(options.cluster_mut()),
            Self::Redeliver(options) => Some(options.cluster_mut()),
            Self::Controller { .. }
            | Self::Api { .. }
            | Self::Openapi
            | Self::Crds(_)
            | Self::Offline(_)
            | Self::Completion(_)
            | Self::Man(_) => None,
        }
    }
}

/// The program's arguments, under the name that it was called by.
fn command() -> clap::Command {
    if program_name::file_name().as_deref() == Some(PLUGIN) { plugin() } else { Cli::command() }
}

/// The program's arguments as a plugin of kubectl. What kubectl's users have no use for is not shown to them.
fn plugin() -> clap::Command {
    let hide = |command: clap::Command| command.hide(true);
    let plugin = Cli::command().name(PLUGIN).bin_name("kubectl oncall");
    plugin.mut_subcommand("controller", hide).mut_subcommand("api", hide)
}

/// Parses the arguments, of which those that say which cluster may stand before the subcommand too.
fn parse() -> Cli {
    let mut described = command();
    let parsed = described.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|mut matches| {
        let Cli { cluster, mut command } = Cli::from_arg_matches_mut(&mut matches)?;
        match command.cluster_mut() {
            Some(own) => own.or(cluster.clone()),
            None if cluster.is_given() => {
                let why = "--namespace, --context and --kubeconfig do not go before this command";
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, why));
            }
            None => {}
        }
        Ok(Cli { cluster, command })
    });
    parsed.unwrap_or_else(|error| error.format(&mut described).exit())
}

fn main() -> ExitCode {
    if program_name::file_name().as_deref() == Some(PLUGIN_COMPLETION) {
        return ended(complete::for_kubectl(plugin()).map(|()| ExitCode::SUCCESS));
    }
    CompleteEnv::with_factory(command).var(complete::VARIABLE).complete();
    ended(run(parse()))
}

/// The exit status. This is the one place where a chain of causes is printed.
fn ended(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        cli::report(&error);
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Offline(command) => return Ok(cli::offline::run(&command)),
        Command::Crds(options) => cli::generated::crds(&options)?,
        Command::Token(command) => block_on(cli::token::run(&command))?,
        Command::AlertGroups(command) => return block_on(cli::alert_groups::run(&command)),
        Command::Emit(options) => return block_on(cli::emit::run(&options)),
        Command::Status(options) => return block_on(cli::status::run(&options)),
        Command::Responses(options) => return block_on(cli::responses::run(&options)),
        Command::Redeliver(options) => return block_on(cli::redeliver::run(&options)),
        Command::Completion(options) => cli::generated::completion(&options)?,
        Command::Man(options) => cli::generated::man(command(), &options)?,
        Command::Openapi => cli::generated::openapi()?,
        Command::Controller { config, log } => {
            logs::begin(&log)?;
            block_on(traced("controller", async { controller::run(*config, stop()?).await }))?;
        }
        Command::Api { config, log } => {
            logs::begin(&log)?;
            block_on(traced("api", async { rest::run(*config, stop()?).await }))?;
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
