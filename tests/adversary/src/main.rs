//! `cargo run --release -p adversary`: what somebody who may write in one namespace, or only reaches a port, can do to the others.
//!
//! ```text
//!  attack ──objects, connections──▶ kube-apiserver, operator or REST API (the chart's arguments and rights, under a memory limit)
//!                                          │
//!  neighbour ◀── deliveries, or answers ───┤   first with the same events and no webhook of the attacker's that matches,
//!  probe     ◀── /livez, memory, CPU ──────┘   then with the attack
//! ```
//! Each attack has a control plane of its own. Progress goes to stderr, the table to stdout. The exit status is 0 only if every
//! attack was withstood; docs/security.md says what the numbers mean. Linux only: what a process holds is read from /proc.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

mod attacks;
mod ground;
mod neighbour;
mod probe;
mod run;
mod sockets;
mod verdict;
mod wall;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use self::{attacks::Attack, run::Setting, verdict::Row, wall::Wall};

/// Attacks the operator and its REST API under a memory limit, and looks what the neighbours notice.
#[derive(Parser)]
#[command(name = "adversary", bin_name = "cargo run --release -p adversary --")]
struct Args {
    /// List the attacks, and end
    #[arg(long)]
    list: bool,
    /// Only the attacks whose names contain this; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Memory of the operator, in MiB; the chart's limit
    #[arg(long, default_value_t = 512)]
    operator_memory: u64,
    /// Memory of the REST API, in MiB; the chart's limit
    #[arg(long, default_value_t = 256)]
    api_memory: u64,
    /// More arguments for the operator
    #[arg(last = true)]
    operator_args: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("adversary: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes a thread give way to all that is attacked: the attacker's receivers are on machines of his own, and here they are not.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        eprintln!("adversary: lower the priority of a thread: {error}");
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let attacks = attacks::all();
    let is_asked =
        |attack: &&Attack| args.only.is_empty() || args.only.iter().any(|name| attack.name.contains(&**name));
    let chosen: Vec<&Attack> = attacks.iter().filter(is_asked).collect();
    if chosen.is_empty() {
        bail!("no attack has such a name: --list shows all");
    }
    if args.list {
        for attack in chosen {
            println!("{:<24} {:<9} {}", attack.name, attack.on.to_string(), attack.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(Path::new("/proc/self/status").exists(), "this program reads /proc/<pid>/status: it runs on Linux only");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let setting = Setting {
        binary: support::operator()?,
        wall: Wall::find(),
        operator_memory: args.operator_memory,
        api_memory: args.api_memory,
        operator_args: args.operator_args.clone(),
    };
    println!("operator {} MiB, API {} MiB, by {}", args.operator_memory, args.api_memory, setting.wall);
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.enable_all().on_thread_start(give_way).build().context("start threads")?;
    let mut rows: Vec<Row> = Vec::new();
    for attack in chosen {
        eprintln!("{}: {}", attack.name, attack.what);
        // What can't be tried is not withstood.
        let row = runtime.block_on(run::attack(attack, &setting)).unwrap_or_else(|error| Row::untried(attack, &error));
        eprintln!("  {}", row.verdict());
        rows.push(row);
    }
    println!("{}", verdict::table(&rows));
    let failed = rows.iter().filter(|row| !row.is_withstood()).count();
    println!("{} of {} attacks withstood", rows.len() - failed, rows.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
