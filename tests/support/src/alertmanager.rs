//! A real Alertmanager on loopback, alone or as a cluster.
//!
//! In go its configuration and alerts, as Prometheus sends them; out come its notifications, at whatever address the
//! configuration names.
//!
//! ```text
//!  test ──POST /api/v2/alerts──▶ Alertmanager ──webhook_configs──▶ Receiver, or an intake of ours
//!                                  ▲ gossip: what was notified
//!                                  ▼
//!                                Alertmanager ──webhook_configs──▶ …
//! ```
//!
//! Alerts are held in memory alone, and peers tell each other nothing of them: Prometheus sends each to all peers, again and
//! again. What was notified is gossiped, and written to disk by a peer that is stopped; one that is killed forgets what its
//! peers don't know. So each notification arrives at least once.

mod alert;
mod config;

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use axum::http::Method;
use cluster::{PORT_ATTEMPTS, PORT_PATIENCE, ProcessGroup, Programs, Running, Signal, free_port};
use serde_json::Value;

pub use self::{alert::Alert, config::config_to};
use crate::http::Endpoint;

/// Flags of a peer. By default, it takes peers 8 s to know that they are all, 10 s to see one again that was away, and each
/// notifies 15 s after the one before it, should that have failed.
const OF_PEERS: [&str; 3] =
    ["--cluster.gossip-interval=50ms", "--cluster.reconnect-interval=1s", "--cluster.peer-timeout=2s"];

/// A running Alertmanager, or one that was ended and can be started again. Dropped, it is killed, and its data is removed when
/// the last of its peers is.
#[derive(Debug)]
pub struct Alertmanager {
    // Ended before its folder is removed.
    running: Running,
    group: Arc<ProcessGroup>,
    api: Endpoint,
}

impl Alertmanager {
    /// Starts one by itself, with the text of its configuration (YAML; [`config_to`] makes one), and waits until it is ready.
    ///
    /// The first start on a machine builds it, see [`Programs::alertmanager`].
    ///
    /// # Errors
    /// It can't be found or built, or it ends or isn't ready in time; the error then shows the end of its log.
    pub async fn start(config: &str) -> Result<Self> {
        let mut one = Self::start_cluster(&[config]).await?;
        one.pop().context("start one Alertmanager")
    }

    /// Starts a cluster of as many peers as there are configurations, which as a rule are the same, and waits until all are
    /// ready and know each other. While none fails, it is the first that notifies.
    ///
    /// # Errors
    /// As [`Alertmanager::start`].
    pub async fn start_cluster(configs: &[&str]) -> Result<Vec<Self>> {
        let program = tokio::task::spawn_blocking(Programs::alertmanager).await.context("find Alertmanager")??;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut peers = launch(&program, configs).context("start Alertmanager")?;
            match all_ready(&mut peers).await {
                Ok(()) => return Ok(peers),
                // Somebody else was faster with one of their ports.
                Err(_) if attempts < PORT_ATTEMPTS && taken(&peers)? => {}
                Err(error) => return Err(error.context("start Alertmanager")),
            }
        }
    }

    /// Such as `http://127.0.0.1:40123`; the `externalURL` of its notifications too.
    pub fn url(&self) -> &str {
        self.api.url()
    }

    /// Its process id, to measure what it uses or to disturb it.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What it has logged since it was last started, at level debug: each alert taken, and each notification that succeeded or
    /// failed.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn log(&self) -> Result<String> {
        self.running.log()
    }

    /// Says that `alerts` fire. Those that say nothing of their end count as resolved five minutes later
    /// (`global.resolve_timeout`), unless it is said again.
    ///
    /// # Errors
    /// It does not answer, or refuses them.
    pub async fn fire(&self, alerts: &[Alert]) -> Result<()> {
        let alerts = alerts.iter().map(Alert::to_json).collect();
        self.api.call(Method::POST, "/api/v2/alerts", Some(alerts)).await.map(drop)
    }

    /// Says that `alerts`, which are known by their labels, are over now.
    ///
    /// # Errors
    /// As [`Alertmanager::fire`].
    pub async fn resolve(&self, alerts: &[Alert]) -> Result<()> {
        let over: Vec<_> = alerts.iter().cloned().map(Alert::over).collect();
        self.fire(&over).await
    }

    /// The alerts that fire, as its API shows them.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let alerts = self.api.get("/api/v2/alerts").await?;
        alerts.as_array().cloned().ok_or_else(|| anyhow!("read the alerts of Alertmanager: {alerts} is no list"))
    }

    /// How many peers of its cluster it sees alive, itself included; 0 if it is alone by its configuration.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn peers(&self) -> Result<usize> {
        Ok(count(&self.cluster().await?["peers"]))
    }

    /// Asks it to stop (SIGTERM), and waits until it has, with its data written; after five seconds it is killed.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn stop(&mut self) -> Result<()> {
        self.running.end(Signal::Term)
    }

    /// Kills it (SIGKILL): it has no time to do anything about it. Returns when it is gone.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn kill(&mut self) -> Result<()> {
        self.running.end(Signal::Kill)
    }

    /// Starts one that has ended again, with the same address, configuration and data, and waits until it is ready. Its peers,
    /// of which some may be away, see it soon after.
    ///
    /// # Errors
    /// It ends or isn't ready in time; the error then shows the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            self.running.start_again(&self.group).context("start Alertmanager again")?;
            match self.ready(0).await {
                // A connection of somebody else's may have been given the port meanwhile.
                Err(_) if Instant::now() < deadline && self.running.port_is_taken()? => {}
                result => return result.context("start Alertmanager again"),
            }
        }
    }

    /// Waits until it is ready, would notify, and sees that many peers.
    async fn ready(&mut self, peers: usize) -> Result<()> {
        let started = Instant::now();
        while !self.is_ready(peers).await {
            self.running.check(started.elapsed())?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn is_ready(&self, peers: usize) -> bool {
        let answers = self.api.call(Method::GET, "/-/ready", None).await.is_ok();
        // Until it knows its peers, or has waited for them long enough, it holds back all that it should notify.
        let settled = |cluster: Value| cluster["status"] != "settling" && count(&cluster["peers"]) >= peers;
        answers && self.cluster().await.is_ok_and(settled)
    }

    /// What it says of its cluster.
    async fn cluster(&self) -> Result<Value> {
        Ok(self.api.get("/api/v2/status").await?["cluster"].take())
    }
}

/// Starts a peer for each configuration, at ports that were free a moment ago.
fn launch(program: &Path, configs: &[&str]) -> Result<Vec<Alertmanager>> {
    let group = Arc::new(ProcessGroup::new("oncall-alertmanager-")?);
    let mut addresses = Vec::new();
    for _ in configs {
        addresses.push(format!("{}:{}", Ipv4Addr::LOCALHOST, free_port()?));
    }
    let peers = configs.iter().enumerate();
    peers.map(|(number, config)| launch_peer(program, &group, config, number, &addresses)).collect()
}

/// `addresses` are those of all peers' gossip, in order.
fn launch_peer(
    program: &Path,
    group: &Arc<ProcessGroup>,
    config: &str,
    number: usize,
    addresses: &[String],
) -> Result<Alertmanager> {
    let name = format!("alertmanager-{number}");
    let file = group.dir().join(format!("{name}.yml"));
    fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
    let address = format!("{}:{}", Ipv4Addr::LOCALHOST, free_port()?);
    let url = format!("http://{address}");
    let mut command = Command::new(program);
    command
        .args([format!("--config.file={name}.yml"), format!("--storage.path={name}")])
        .args([format!("--web.listen-address={address}"), format!("--web.external-url={url}")])
        .arg("--log.level=debug");
    match addresses {
        [] | [_] => command.arg("--cluster.listen-address="),
        peers => command
            .arg(format!("--cluster.listen-address={}", peers[number]))
            // They notify in the order of their names.
            .arg(format!("--cluster.peer-name={name}"))
            .args(peers.iter().map(|peer| format!("--cluster.peer={peer}")))
            .args(OF_PEERS),
    };
    let api = Endpoint::new("Alertmanager", url);
    Ok(Alertmanager { running: Running::start(name, group, command)?, group: Arc::clone(group), api })
}

/// The length of a list; 0 if there is none.
fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

async fn all_ready(peers: &mut [Alertmanager]) -> Result<()> {
    // One that is alone has no peers, not even itself.
    let size = if peers.len() > 1 { peers.len() } else { 0 };
    for peer in peers {
        peer.ready(size).await?;
    }
    Ok(())
}

/// Whether one of them found its port taken.
fn taken(peers: &[Alertmanager]) -> Result<bool> {
    for peer in peers {
        if peer.running.port_is_taken()? {
            return Ok(true);
        }
    }
    Ok(false)
}
