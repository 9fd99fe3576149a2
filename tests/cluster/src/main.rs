//! Starts a control plane and keeps it until this process ends (Ctrl-C), or while a command runs:
//!
//! ```text
//! cargo run -p cluster                            says how to reach it
//! cargo run -p cluster -- kubectl get namespaces  with kubectl and helm on the PATH, and KUBECONFIG set
//! cargo run -p cluster -- --tools .ci/chart       no control plane; with kubectl, helm and helm-docs on the PATH
//! ```

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Context, Result};
use cluster::{Cluster, Programs};

fn main() -> Result<ExitCode> {
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == "--tools").is_some() {
        let programs = Programs::find_or_build()?;
        let tools = [programs.kubectl, programs.helm, Programs::helm_docs()?];
        let program = args.next().context("name a command to run with the tools")?;
        return run(Command::new(program).args(args).env("PATH", path(tools)?));
    }
    let cluster = Cluster::start()?;
    let Some(program) = args.next() else { keep(&cluster) };
    let tools = [cluster.kubectl(), cluster.helm()].map(|tool| PathBuf::from(tool.get_program()));
    run(Command::new(program).args(args).env("KUBECONFIG", cluster.kubeconfig()).env("PATH", path(tools)?))
}

fn run(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    // A command that was killed has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// The folders of the `tools`, and then the PATH of this process.
fn path(tools: impl IntoIterator<Item = PathBuf>) -> Result<OsString> {
    let own = tools.into_iter().filter_map(|tool| tool.parent().map(PathBuf::from));
    let inherited = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.chain(env::split_paths(&inherited))).context("put kubectl on the PATH")
}

#[expect(clippy::print_stdout, reason = "the line is this program's result")]
fn keep(cluster: &Cluster) -> ! {
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    loop {
        thread::park();
    }
}
