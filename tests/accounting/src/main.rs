//! `cargo run --release -p accounting`: counts what is lost, repeated or out of order while the operator is killed and
//! paused, and the API server, etcd and the receiver are restarted.
//!
//! This program reads the arguments; the library beside it does the work. A small run is a test (tests/it/accounting.rs).
//! Progress goes to stderr, the report to stdout. The exit status is 0 only if nothing is lost or out of order, every
//! duplicate is explained, and all faults came. docs/guarantees.md says what the numbers mean.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

use std::{process::ExitCode, time::Duration};

use accounting::{JournalFaults, OperatorUnderTest, Settings, run};
use anyhow::{Context, Result};
use clap::Parser;

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
    /// For how many seconds the Lease is good
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..))]
    lease_seconds: u16,
    /// Seconds without another delivery after which a run is given up
    #[arg(long, default_value_t = 180)]
    patience: u64,
}

fn main() -> ExitCode {
    match account(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("accounting: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn account(args: &Args) -> Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let operator = OperatorUnderTest { binary: support::operator()?, chart: support::chart() };
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let report = runtime.block_on(run(&operator, &settings, &|line| eprintln!("{line}")))?;
    println!("{report}");
    let broken = report.broken(&settings);
    broken.iter().for_each(|what| println!("not as promised: {what}"));
    if broken.is_empty() {
        println!("as promised: nothing lost, nothing out of order, every duplicate was in flight when a process ended");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
