//! The operator, or a leader and a standby: started, killed, paused, and started again where they end by themselves.
//!
//! Who leads stands in the Lease, under a name that only the holder knows to be its own. It can be told all the same: of two
//! processes the one that held the Lease when the other was not there yet is known, and so is, when the name changes, who
//! is the other.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use cluster::{ProcessGroup, Signal};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use serde_json::Value;
use support::Operator;

use crate::{
    clock::Clock,
    faults::{Disturbance, Fault},
};

/// The Lease of a leader and a standby.
const LEASE: &str = "accounting";
/// Bound on a hand-over: the lease's duration and some time to notice.
const HAND_OVER: Duration = Duration::from_secs(120);
/// How often to look at the Lease.
const LOOK: Duration = Duration::from_millis(50);
/// How much later than it was sent a request is booked at most, where all run on one busy machine. A Lease is good for
/// longer than that when its holder is killed or stopped, so that nobody else has begun by then.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The operators of a run.
pub(crate) struct Operators {
    binary: PathBuf,
    kubeconfig: PathBuf,
    args: Vec<String>,
    lease: Option<Api<Lease>>,
    running: Vec<Running>,
    /// Who led when that was looked at last.
    leading: usize,
    clock: Clock,
}

struct Running {
    name: &'static str,
    operator: Operator,
    /// What it calls itself in the Lease, where that has been seen.
    identity: Option<String>,
}

impl Operators {
    /// Starts one, or a leader and a `standby`, whose Lease is in `namespace`.
    pub(crate) async fn start(
        group: &ProcessGroup,
        binary: PathBuf,
        kubeconfig: PathBuf,
        mut args: Vec<String>,
        (client, namespace, standby): (Client, &str, bool),
        clock: Clock,
    ) -> Result<Self> {
        // The chart's own, where it has one, is in the chart's namespace, and nobody else's here.
        args.retain(|arg| !arg.starts_with("--lease"));
        if standby {
            args.push(format!("--lease={namespace}/{LEASE}"));
        }
        let lease = standby.then(|| Api::namespaced(client, namespace));
        let mut operators = Self { binary, kubeconfig, args, lease, running: Vec::new(), leading: 0, clock };
        let first = operators.launch(group, "operator").await?;
        operators.running.push(first);
        if standby {
            let holder = operators.holder_other_than(None).await.context("wait for a leader")?;
            operators.running[0].identity = Some(holder);
            let second = operators.launch(group, "standby").await?;
            operators.running.push(second);
        }
        Ok(operators)
    }

    async fn launch(&self, group: &ProcessGroup, name: &'static str) -> Result<Running> {
        // Whoever stands by may say that it is ready when it leads, and not before.
        let message = if self.lease.is_some() { "health" } else { "ready" };
        let Self { binary, kubeconfig, args, .. } = self;
        let operator = Operator::start_until(binary, group, name, kubeconfig, args, message).await?;
        Ok(Running { name, operator, identity: None })
    }

    /// Starts again, in the place of one that is gone. Returns the last moment before that.
    async fn launch_again(&mut self, group: &ProcessGroup, number: usize) -> Result<Duration> {
        let before = self.clock.now();
        let launched = self.launch(group, self.running[number].name).await?;
        self.running[number] = launched;
        Ok(before)
    }

    /// The one that leads.
    async fn leader(&mut self) -> Result<usize> {
        let Some(lease) = &self.lease else { return Ok(0) };
        let holder = holder(lease).await?.context("the Lease has no holder")?;
        let called = |name: Option<&str>| self.running.iter().position(|running| running.identity.as_deref() == name);
        // If it is not known, it is the one of two that is not known by another name.
        let number = called(Some(&holder)).or_else(|| called(None));
        self.leading = number.with_context(|| format!("the Lease's holder {holder} is neither operator"))?;
        self.running[self.leading].identity = Some(holder);
        Ok(self.leading)
    }

    /// Waits until somebody holds the Lease who is not `before`.
    async fn holder_other_than(&self, before: Option<&str>) -> Result<String> {
        let lease = self.lease.as_ref().context("there is no Lease")?;
        let deadline = Instant::now() + HAND_OVER;
        loop {
            if let Ok(Some(holder)) = holder(lease).await
                && Some(holder.as_str()) != before
            {
                return Ok(holder);
            }
            ensure!(Instant::now() < deadline, "nobody new holds the Lease after {HAND_OVER:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the other one leads, and notes its name.
    async fn taken_over(&mut self, from: usize) -> Result<()> {
        let before = self.running[from].identity.clone();
        let holder = self.holder_other_than(before.as_deref()).await?;
        self.leading = 1 - from;
        self.running[self.leading].identity = Some(holder);
        Ok(())
    }

    /// Kills the leader, and starts it again when the standby has taken over, or at once.
    pub(crate) async fn kill(&mut self, group: &ProcessGroup) -> Result<Disturbance> {
        let number = self.leader().await?;
        let from = self.clock.now();
        Signal::Kill.send(self.running[number].operator.pid())?;
        let to = self.clock.now() + ON_THE_WAY;
        if self.lease.is_some() {
            self.taken_over(number).await.context("wait for the standby to take over from a leader that is killed")?;
        } else {
            // Whose request it was could not be told if the next one sent before all is booked that this one sent.
            tokio::time::sleep(ON_THE_WAY).await;
        }
        self.launch_again(group, number).await?;
        Ok(Disturbance { fault: Fault::Kill, from, to, resumed: None })
    }

    /// Stops the leader, and continues it `after` the standby has taken over, or just `after` that time.
    pub(crate) async fn pause(&mut self, after: Duration) -> Result<Disturbance> {
        let number = self.leader().await?;
        let pid = self.running[number].operator.pid();
        let from = self.clock.now();
        Signal::Stop.send(pid)?;
        let to = self.clock.now() + ON_THE_WAY;
        let taken_over = match self.lease {
            Some(_) => self.taken_over(number).await,
            None => Ok(()),
        };
        tokio::time::sleep(after).await;
        let resumed = Some(self.clock.now());
        Signal::Continue.send(pid)?;
        taken_over.context("wait for the standby to take over from a leader that is paused")?;
        Ok(Disturbance { fault: Fault::Pause, from, to, resumed })
    }

    /// After an outage: waits until the Lease is held again, and tells if it went over.
    pub(crate) async fn held_again(&mut self, from: Duration) -> Result<Option<Disturbance>> {
        let Some(lease) = self.lease.clone() else { return Ok(None) };
        let (back, deadline) = (Timestamp::now(), Instant::now() + HAND_OVER);
        loop {
            let renewed = lease.get(LEASE).await.ok().and_then(|lease| lease.spec?.renew_time);
            if renewed.is_some_and(|renewed| renewed.0 >= back) {
                break;
            }
            ensure!(Instant::now() < deadline, "nobody holds the Lease {HAND_OVER:?} after an outage");
            tokio::time::sleep(LOOK).await;
        }
        let before = self.leading;
        let went_over = self.leader().await? != before;
        let to = self.clock.now();
        Ok(went_over.then_some(Disturbance { fault: Fault::HandOver, from, to, resumed: None }))
    }

    /// Starts what has ended by itself again, as a kubelet does, and tells of it.
    pub(crate) async fn revive(&mut self, group: &ProcessGroup, looked: Duration) -> Result<Option<Disturbance>> {
        for number in 0..self.running.len() {
            if self.running[number].operator.ended()?.is_some() {
                let to = self.launch_again(group, number).await?;
                return Ok(Some(Disturbance { fault: Fault::Ended, from: looked, to, resumed: None }));
            }
        }
        Ok(None)
    }

    /// What they complained of, with how often; complaints that differ only in names and numbers together.
    pub(crate) fn complaints(&self) -> BTreeMap<String, usize> {
        let mut complaints = BTreeMap::new();
        for log in self.running.iter().map(|running| running.operator.log()) {
            for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                if ["WARN", "ERROR"].contains(&&*text("level")) {
                    let words = [text("level"), text("message"), text("error")].join(" ");
                    let plain = |word: &&str| !word.contains(|c: char| c == '/' || c.is_numeric());
                    let plain: Vec<&str> = words.split_whitespace().filter(plain).take(24).collect();
                    *complaints.entry(plain.join(" ")).or_insert(0) += 1;
                }
            }
        }
        complaints
    }

    /// Asks all to stop, and waits until they have. What they sent has arrived then.
    pub(crate) fn stop(self) -> Result<()> {
        for Running { name, operator, .. } in self.running {
            let status = operator.stop()?;
            if !status.success() {
                bail!("{name} ended with {status}");
            }
        }
        Ok(())
    }
}

async fn holder(lease: &Api<Lease>) -> Result<Option<String>> {
    let found = lease.get_opt(LEASE).await.with_context(|| format!("get Lease {LEASE}"))?;
    Ok(found.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty()))
}
