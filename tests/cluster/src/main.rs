//! Starts a control plane and keeps it until this process ends (Ctrl-C), or while a command runs:
//!
//! ```text
//! cargo run -p cluster                            says how to reach it
//! cargo run -p cluster -- kubectl get namespaces  with kubectl and helm on the PATH, and KUBECONFIG set
//! ```

use std::{
    env,
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Context, Result};
use cluster::Cluster;

fn main() -> Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let cluster = Cluster::start()?;
    match args.next() {
        Some(program) => run(&cluster, Command::new(program).args(args)),
        None => keep(&cluster),
    }
}

fn run(cluster: &Cluster, command: &mut Command) -> Result<ExitCode> {
    let status = command
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("PATH", path(cluster)?)
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    // A command that was killed has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

fn path(cluster: &Cluster) -> Result<OsString> {
    let programs = [cluster.kubectl(), cluster.helm()];
    let own = programs.iter().filter_map(|program| Path::new(program.get_program()).parent());
    let inherited = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.map(Path::to_owned).chain(env::split_paths(&inherited))).context("put kubectl on the PATH")
}

#[expect(clippy::print_stdout, reason = "the line is this program's result")]
fn keep(cluster: &Cluster) -> ! {
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    loop {
        thread::park();
    }
}
