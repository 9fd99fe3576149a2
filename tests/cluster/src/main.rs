//! Starts a control plane, says how to reach it, and keeps it until this process ends (Ctrl-C).

use std::thread;

#[expect(clippy::print_stdout, reason = "the line is this program's result")]
fn main() -> anyhow::Result<()> {
    let cluster = cluster::Cluster::start()?;
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    loop {
        thread::park();
    }
}
