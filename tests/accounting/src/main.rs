//! `cargo run --release -p accounting`: counts what is lost, repeated or out of order while the operator is killed and
//! paused, and the API server, etcd and the receiver are restarted.
//!
//! This program reads the arguments; the library beside it does the work. A small run is a test (tests/it/accounting.rs).
//! Progress goes to stderr, the report to stdout. The exit status is 0 only if nothing is lost or out of order, every
//! duplicate is explained, and all faults came. With `--alerts`, alerts of a real Alertmanager take the place of events. docs/guarantees.md says what the numbers mean.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use accounting::{AlertSettings, JournalFaults, OperatorUnderTest, Settings, run, run_alerts};
use anyhow::{Context, Result};
use clap::Parser;
use tokio::runtime::Runtime;

/// Counts what is lost, repeated or out of order under faults, on a control plane of its own.
#[derive(Parser)]
#[command(name = "accounting", bin_name = "cargo run --release -p accounting --")]
struct Args {
    /// Events to create, five for each alert group
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Webhooks
    #[arg(long, default_value_t = 50)]
    webhooks: usize,
    /// How many webhooks each event fires
    #[arg(long, default_value_t = 2)]
    fan_out: usize,
    /// Seeds all chance: the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Alert groups that are written at a time
    #[arg(long, default_value_t = 32)]
    writers: usize,
    /// Deliveries that may be due and not have arrived before writing waits
    #[arg(long, default_value_t = 1000)]
    backlog: usize,
    /// Of 1000 attempts, those that are answered with 500, 503, silence or the end of the connection
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1000))]
    refused: u32,
    /// Alert groups that are written at once when something is done to the operator's journal
    #[arg(long, default_value_t = 150)]
    burst: usize,
    /// How often the operator is killed (-9)
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// How often it is paused (STOP, CONT)
    #[arg(long, default_value_t = 3)]
    pauses: usize,
    /// How often the API server is restarted
    #[arg(long, default_value_t = 3)]
    api_server_restarts: usize,
    /// How often etcd is restarted
    #[arg(long, default_value_t = 3)]
    etcd_restarts: usize,
    /// How often the receiver is restarted
    #[arg(long, default_value_t = 10)]
    receiver_restarts: usize,
    /// How often the operator is killed when a segment of its journal appears
    #[arg(long, default_value_t = 3)]
    kills_at_segments: usize,
    /// How often it is killed when a segment is removed, since it is written out
    #[arg(long, default_value_t = 3)]
    kills_at_write_out: usize,
    /// How often segments are deleted as they appear, for some seconds
    #[arg(long, default_value_t = 2)]
    segment_deletions: usize,
    /// How often a segment that can't be read is put there, and the operator killed
    #[arg(long, default_value_t = 2)]
    broken_segments: usize,
    /// Run a second operator that stands by: the leader is killed, and paused until the other has taken over
    #[arg(long)]
    standby: bool,
    /// Binary of another version, which takes turns with this one whenever an operator is started: an upgrade, and back. It has to know
    /// this chart's arguments and definitions
    #[arg(long, value_name = "PATH")]
    other_operator: Option<PathBuf>,
    /// For how many seconds the Lease is good
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..))]
    lease_seconds: u16,
    /// Seconds without another delivery after which a run is given up
    #[arg(long, default_value_t = 180)]
    patience: u64,
    /// Have a real Alertmanager send alerts in place of creating events: two replicas of the API take them, and there is a
    /// standby. Events, webhooks, writers and the journal are left alone
    #[arg(long)]
    alerts: bool,
    /// With --alerts: Alertmanagers, one or a cluster of two
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2), requires = "alerts")]
    alertmanagers: u8,
    /// With --alerts: label sets, each of which is a group of Alertmanager's
    #[arg(long, default_value_t = 300, requires = "alerts")]
    label_sets: usize,
    /// With --alerts: how often each label set fires and is resolved
    #[arg(long, default_value_t = 3, requires = "alerts")]
    occurrences: usize,
    /// With --alerts: label sets that are under way at a time
    #[arg(long, default_value_t = 24, requires = "alerts")]
    at_a_time: usize,
    /// With --alerts: how often a replica of the API is killed (-9)
    #[arg(long, default_value_t = 10, requires = "alerts")]
    api_kills: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match if args.alerts { account_for_alerts(&args) } else { account(&args) } {
        Ok(code) => code,
        Err(error) => {
            eprintln!("accounting: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn account(args: &Args) -> Result<ExitCode> {
    let settings = Settings {
        events: args.events,
        webhooks: args.webhooks,
        fan_out: args.fan_out,
        seed: args.seed,
        writers: args.writers,
        backlog: args.backlog,
        refused_per_mille: args.refused,
        burst: args.burst,
        kills: args.kills,
        pauses: args.pauses,
        api_server_restarts: args.api_server_restarts,
        etcd_restarts: args.etcd_restarts,
        receiver_restarts: args.receiver_restarts,
        journal: JournalFaults {
            kills_at_segments: args.kills_at_segments,
            kills_at_write_out: args.kills_at_write_out,
            deletions: args.segment_deletions,
            broken: args.broken_segments,
        },
        standby: args.standby,
        lease_seconds: args.lease_seconds,
        patience: Duration::from_secs(args.patience),
    };
    let (operator, runtime) = prepare(args)?;
    let report = runtime.block_on(run(&operator, &settings, &|line| eprintln!("{line}")))?;
    println!("{report}");
    let kept = "nothing lost, nothing out of order, every duplicate was in flight when a process ended";
    Ok(verdict(&report.broken(&settings), kept))
}

fn account_for_alerts(args: &Args) -> Result<ExitCode> {
    let settings = AlertSettings {
        alertmanagers: args.alertmanagers.into(),
        label_sets: args.label_sets,
        occurrences: args.occurrences,
        at_a_time: args.at_a_time,
        seed: args.seed,
        refused_per_mille: args.refused,
        kills: args.kills,
        pauses: args.pauses,
        api_kills: args.api_kills,
        api_server_restarts: args.api_server_restarts,
        etcd_restarts: args.etcd_restarts,
        receiver_restarts: args.receiver_restarts,
        lease_seconds: args.lease_seconds,
        patience: Duration::from_secs(args.patience),
    };
    let (operator, runtime) = prepare(args)?;
    let report = runtime.block_on(run_alerts(&operator, &settings, &|line| eprintln!("{line}")))?;
    println!("{report}");
    let kept = "one event that opened each alert group and one that resolved it, nothing lost, every \
                duplicate was in flight when a process ended";
    Ok(verdict(&report.broken(&settings), kept))
}

/// Builds the operator, and starts threads.
fn prepare(args: &Args) -> Result<(OperatorUnderTest, Runtime)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let operator =
        OperatorUnderTest { binary: support::operator()?, other: args.other_operator.clone(), chart: support::chart() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    Ok((operator, runtime))
}

/// Says what is `broken`, or that all was `kept`.
fn verdict(broken: &[String], kept: &str) -> ExitCode {
    broken.iter().for_each(|what| println!("not as promised: {what}"));
    if broken.is_empty() {
        println!("as promised: {kept}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
