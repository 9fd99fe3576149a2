//! The two replicas of the API, which keep their addresses when they are killed and started again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cluster::{PORT_PATIENCE, ProcessGroup, free_port};
use support::Api;

/// The replicas of the API.
pub(crate) struct Replicas {
    binary: PathBuf,
    kubeconfig: PathBuf,
    args: Vec<String>,
    addresses: [SocketAddr; 2],
    running: Vec<Api>,
}

impl Replicas {
    /// Starts both with the arguments of the chart, and waits until they are ready.
    pub(crate) async fn start(
        group: &ProcessGroup,
        binary: PathBuf,
        kubeconfig: PathBuf,
        mut args: Vec<String>,
    ) -> Result<Self> {
        args.retain(|arg| !arg.starts_with("--address="));
        let address = || anyhow::Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        let mut replicas = Self { binary, kubeconfig, args, addresses: [address()?, address()?], running: Vec::new() };
        for number in 0..replicas.addresses.len() {
            let api = replicas.launch(group, number).await?;
            replicas.running.push(api);
        }
        Ok(replicas)
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        self.addresses
    }

    async fn launch(&self, group: &ProcessGroup, number: usize) -> Result<Api> {
        let Self { binary, kubeconfig, args, addresses, .. } = self;
        let args: Vec<String> = args.iter().cloned().chain([format!("--address={}", addresses[number])]).collect();
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            match Api::start(binary, group, &format!("api-{number}"), kubeconfig, &args).await {
                // A connection of somebody else's may have been given the port meanwhile.
                Err(error) if Instant::now() < deadline && format!("{error:#}").contains("in use") => {}
                result => return result.with_context(|| format!("start replica {number} of the API")),
            }
        }
    }

    /// Kills one with -9, and starts it again some time later.
    pub(crate) async fn kill(&mut self, group: &ProcessGroup, number: usize, away: Duration) -> Result<()> {
        drop(self.running.remove(number));
        tokio::time::sleep(away).await;
        let again = self.launch(group, number).await?;
        self.running.insert(number, again);
        Ok(())
    }
}
