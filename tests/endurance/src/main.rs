//! `cargo run --release -p endurance`: ten minutes at 80 % of what the API server takes, with one endpoint that hangs and one
//! that answers 503, which are well at first and in the end.
//!
//! ```text
//!  this program ──events, at a fixed rate──▶ kube-apiserver, etcd (fsync) ◀──watch, writes── operator
//!       │  ▲                                                                                │
//!       │  └── receiver: healthy endpoints, two that turn sick                ◀──────────┘
//!       └── every window: what the operator holds, and how long requests took to arrive at healthy endpoints
//! ```
//! Progress goes to stderr, results to stdout. The exit status is 0 only if memory, open files, threads and latency are flat and
//! the healthy endpoints don't feel the sick ones; docs/guarantees.md says what that means. Linux only: what a process
//! holds is read from /proc.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

mod load;
mod windows;

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cluster::Cluster;
use support::{Footprint, Installation, Operator};
use tokio::sync::mpsc;

use self::{
    load::{Load, Namespaced},
    windows::{Stretch, Window, print, verdicts},
};

/// Runs the operator for minutes beside sick endpoints, and looks whether anything grows.
#[derive(Parser)]
#[command(name = "endurance", bin_name = "cargo run --release -p endurance --")]
struct Args {
    /// How long it takes in all; in the first and the last fifth no endpoint is sick
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seconds of a window, in which all is measured
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    window: u64,
    /// Events a second [default: so many percent of what the API server takes: --share]
    #[arg(long)]
    rate: Option<f64>,
    /// Percent of what the API server takes
    #[arg(long, default_value_t = 80.0)]
    share: f64,
    /// Healthy endpoints; every event goes to one of them, and that of two of them to one that turns sick too
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=1000))]
    healthy: u64,
    /// Alert groups, whose turn comes again and again
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    groups: u64,
    /// Leave what is finished to the operator's own retention, in place of removing it when it is 45 seconds old
    #[arg(long)]
    keep: bool,
    /// More arguments for the operator
    #[arg(last = true)]
    operator_args: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("endurance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    ensure!(Path::new("/proc/self/status").exists(), "this program reads /proc/<pid>/status: it runs on Linux only");
    let stretch = args.minutes * 60.0 / 5.0;
    ensure!(stretch >= args.window as f64, "a fifth of {} minutes is less than a window", args.minutes);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let binary = support::operator()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let cluster = Cluster::builder().fsync(true).start()?;
    runtime.block_on(endure(&cluster, &binary, args))
}

async fn endure(cluster: &Cluster, binary: &Path, args: &Args) -> Result<ExitCode> {
    // The receiver is on loopback.
    let values = ["controller.allowAddresses={127.0.0.1/32}", "api.enabled=false"];
    let Installation { kubeconfig, args: mut operator_args, .. } =
        Installation::new(cluster, &support::chart(), "oncall-webhooks", &values)?;
    operator_args.extend(args.operator_args.clone());
    let client = Namespaced::new(cluster.kubeconfig(), "endurance").await?;
    let operator = Operator::start(binary, cluster.processes(), "operator", &kubeconfig, &operator_args).await?;
    let (created, all_created) = mpsc::unbounded_channel();
    let load = Load::start(client, args.healthy, args.groups, created).await?;

    let removal = (!args.keep).then(|| load.remove_old_events(all_created));
    let rate = match args.rate {
        Some(rate) => rate,
        None => {
            let capacity = load.capacity().await?;
            println!("the API server takes {capacity:.0} events a second, with all that they mean");
            capacity * args.share / 100.0
        }
    };
    println!("{rate:.0} events a second");

    let fifth = Duration::from_secs_f64(args.minutes * 12.0);
    let mut windows = Vec::new();
    for (stretch, length) in [(Stretch::Before, fifth), (Stretch::Sick, 3 * fifth), (Stretch::After, fifth)] {
        load.make_sick(stretch == Stretch::Sick);
        let end = Instant::now() + length;
        while Instant::now() < end {
            let window = load.window(rate, Duration::from_secs(args.window)).await?;
            let footprint = Footprint::of(operator.pid()).context("read what the operator holds")?;
            eprintln!("{stretch}: {} events, {:.0} MiB", window.len(), footprint.resident);
            windows.push((stretch, window, footprint));
        }
    }
    load.all_arrived().await?;
    if let Some(removal) = removal {
        removal.abort();
    }
    let windows = windows.into_iter().map(|(stretch, events, footprint)| Window {
        stretch,
        latency: load.latencies(&events),
        footprint,
    });
    let mut windows: Vec<Window> = windows.collect();
    print(&mut windows);
    println!("{} requests at the sick endpoints", load.sick_requests());

    let verdicts = verdicts(&mut windows);
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let status = tokio::task::block_in_place(|| operator.stop())?;
    ensure!(status.success(), "the operator ended with {status}");
    let flat = verdicts.iter().all(|verdict| verdict.good);
    Ok(if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
