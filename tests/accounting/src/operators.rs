//! The operator, or a leader and a standby: started, killed, paused, and started again where they end by themselves.
//!
//! Each calls itself by its own name in the chart's Lease, as a pod does, also when it is started again. With a second binary, the
//! two take turns at each start, as in an upgrade and a roll back.

use std::{
    collections::BTreeMap,
    mem,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use cluster::{ProcessGroup, Signal};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use serde_json::Value;
use support::Operator;
use tokio::time::timeout;

use crate::{
    OperatorUnderTest,
    clock::Clock,
    faults::{Disturbance, Fault},
    run::CALL,
};

/// Bound on a hand-over: the lease's duration and some time to notice.
const HAND_OVER: Duration = Duration::from_secs(120);
/// How often to look at the Lease while somebody waits for it.
const LOOK: Duration = Duration::from_millis(50);
/// How often to look at it while nobody does: a Lease goes over when nobody disturbs anything, too, on a machine that is busy.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How much later than it was sent a request is logged at most, where all run on one busy machine. A Lease is good for
/// longer than that when its holder is killed or stopped, so that nobody else has begun by then.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The names of the operators, in the Lease and of their logs.
const NAMES: [&str; 2] = ["operator", "standby"];

/// The operators of a run.
pub(crate) struct Operators {
    /// They take turns.
    binaries: Vec<PathBuf>,
    /// How many were started.
    launches: AtomicUsize,
    kubeconfig: PathBuf,
    args: Vec<String>,
    lease: Option<(Api<Lease>, String)>,
    /// In the order of their names.
    running: Vec<Operator>,
    /// The number of the operator that led when the Lease was read last.
    leading: usize,
    /// When that was.
    led: Duration,
    /// When it was last seen which of them run.
    alive: Duration,
    /// What happened to them by itself, and was not told yet.
    happened: Vec<Disturbance>,
    clock: Clock,
}

impl Operators {
    /// Starts one, or a leader and a `standby`.
    pub(crate) async fn start(
        group: &ProcessGroup,
        operator: &OperatorUnderTest,
        kubeconfig: PathBuf,
        args: Vec<String>,
        (client, standby): (Client, bool),
        clock: Clock,
    ) -> Result<Self> {
        let lease = match args.iter().find_map(|arg| arg.strip_prefix("--lease=")?.split_once('/')) {
            Some((namespace, name)) if standby => Some((Api::namespaced(client, namespace), name.to_owned())),
            None if standby => bail!("the chart's operator has no --lease=NAMESPACE/NAME"),
            _ => None,
        };
        let now = clock.now();
        let mut operators = Self {
            binaries: operator.binaries(),
            launches: AtomicUsize::new(0),
            kubeconfig,
            args,
            lease,
            running: Vec::new(),
            leading: 0,
            led: now,
            alive: now,
            happened: Vec::new(),
            clock,
        };
        let first = operators.launch(group, 0).await?;
        operators.running.push(first);
        if standby {
            operators.leader_is(group, 0).await?;
            let second = operators.launch(group, 1).await?;
            operators.running.push(second);
        }
        Ok(operators)
    }

    async fn launch(&self, group: &ProcessGroup, number: usize) -> Result<Operator> {
        // A standby says that it is ready when it leads, and not before.
        let message = if self.lease.is_some() { "the health port listens" } else { "ready" };
        let Self { binaries, launches, kubeconfig, args, .. } = self;
        let binary = &binaries[launches.fetch_add(1, Ordering::Relaxed) % binaries.len()];
        let named = args.iter().cloned().chain([format!("--identity={}", NAMES[number])]);
        Operator::start_until(binary, group, NAMES[number], kubeconfig, &named.collect::<Vec<_>>(), message).await
    }

    /// Looks who leads. That the Lease went over by itself is something that happened.
    async fn leader(&mut self) -> Result<usize> {
        if let Some((api, name)) = &self.lease {
            let holder = holder(api, name).await?.context("the Lease has no holder")?;
            let number = NAMES.iter().position(|name| *name == holder);
            let number = number.with_context(|| format!("the Lease's holder {holder} is neither operator"))?;
            let now = self.clock.now();
            if number != self.leading {
                self.happened.push(Disturbance { fault: Fault::HandOver, from: self.led, to: now, resumed: None });
            }
            (self.leading, self.led) = (number, now);
        }
        Ok(self.leading)
    }

    /// Starts what has ended by itself again, as a kubelet does, and looks who leads. Returns what happened since the last time.
    pub(crate) async fn look_after(&mut self, group: &ProcessGroup) -> Result<Vec<Disturbance>> {
        self.revive(group).await?;
        if self.clock.now() >= self.led + LOOK_AGAIN {
            // The API server may be away.
            let _ = timeout(CALL, self.leader()).await;
        }
        Ok(mem::take(&mut self.happened))
    }

    /// Waits until that one leads, and starts it again if it has ended: one that lost the Lease before does.
    async fn leader_is(&mut self, group: &ProcessGroup, number: usize) -> Result<()> {
        let (api, name) = self.lease.clone().context("there is no Lease")?;
        let deadline = Instant::now() + HAND_OVER;
        while !matches!(holder(&api, &name).await, Ok(Some(holder)) if holder == NAMES[number]) {
            ensure!(Instant::now() < deadline, "{} does not lead after {HAND_OVER:?}", NAMES[number]);
            if self.running[number].ended()?.is_some() {
                self.running[number] = self.launch(group, number).await?;
            }
            tokio::time::sleep(LOOK).await;
        }
        (self.leading, self.led) = (number, self.clock.now());
        Ok(())
    }

    /// Kills the leader, and starts it again when the standby has taken over, or at once.
    pub(crate) async fn kill(&mut self, group: &ProcessGroup) -> Result<Disturbance> {
        let number = self.leader().await?;
        let from = self.clock.now();
        Signal::Kill.send(self.running[number].pid())?;
        let to = self.clock.now() + ON_THE_WAY;
        if self.lease.is_some() {
            self.leader_is(group, 1 - number)
                .await
                .context("wait for the other to take over from a leader that is killed")?;
        } else {
            // Whose request it was could not be told if the next one sent before all is logged that this one sent.
            tokio::time::sleep(ON_THE_WAY).await;
        }
        self.running[number] = self.launch(group, number).await?;
        Ok(Disturbance { fault: Fault::Kill, from, to, resumed: None })
    }

    /// Stops the leader, and continues it `after` the standby has taken over, or just `after` that time.
    pub(crate) async fn pause(&mut self, group: &ProcessGroup, after: Duration) -> Result<Disturbance> {
        let number = self.leader().await?;
        let pid = self.running[number].pid();
        let from = self.clock.now();
        Signal::Stop.send(pid)?;
        let to = self.clock.now() + ON_THE_WAY;
        let taken_over = match self.lease {
            Some(_) => self.leader_is(group, 1 - number).await,
            None => Ok(()),
        };
        tokio::time::sleep(after).await;
        let resumed = Some(self.clock.now());
        Signal::Continue.send(pid)?;
        taken_over.context("wait for the other to take over from a leader that is paused")?;
        Ok(Disturbance { fault: Fault::Pause, from, to, resumed })
    }

    /// After an outage: waits until the Lease is held again.
    pub(crate) async fn held_again(&mut self) -> Result<()> {
        let Some((api, name)) = self.lease.clone() else { return Ok(()) };
        let (back, deadline) = (Timestamp::now(), Instant::now() + HAND_OVER);
        loop {
            let renewed = api.get(&name).await.ok().and_then(|lease| lease.spec?.renew_time);
            if renewed.is_some_and(|renewed| renewed.0 >= back) {
                break;
            }
            ensure!(Instant::now() < deadline, "nobody holds the Lease {HAND_OVER:?} after an outage");
            tokio::time::sleep(LOOK).await;
        }
        self.leader().await.map(drop)
    }

    /// Starts again what has ended by itself. That a leader did is something that happened: one that was paused and has lost the
    /// Lease is right to end.
    async fn revive(&mut self, group: &ProcessGroup) -> Result<()> {
        for number in 0..self.running.len() {
            if self.running[number].ended()?.is_some() {
                let to = self.clock.now();
                self.running[number] = self.launch(group, number).await?;
                if number == self.leading {
                    self.happened.push(Disturbance { fault: Fault::Ended, from: self.alive, to, resumed: None });
                }
            }
        }
        self.alive = self.clock.now();
        Ok(())
    }

    /// Whether one of them has logged a warning or an error that has this word.
    pub(crate) fn warned_of(&self, word: &str) -> bool {
        let warns = |line: &&str| line.contains(r#""WARN""#) || line.contains(r#""ERROR""#);
        self.running.iter().any(|operator| operator.log().lines().filter(warns).any(|line| line.contains(word)))
    }

    /// The warnings and errors that the operators logged, each with how often. Those that differ only in names and numbers count
    /// as one.
    pub(crate) fn complaints(&self) -> BTreeMap<String, usize> {
        let mut complaints = BTreeMap::new();
        for log in self.running.iter().map(Operator::log) {
            // Not JSON, as all else is: where, and on the line after it why.
            let lines: Vec<&str> = log.lines().collect();
            for panic in lines.windows(2).filter(|lines| lines[0].contains("panicked at")) {
                let place = panic[0].split_once("panicked at").map_or("", |(_, place)| place);
                *complaints.entry(format!("PANIC at{place} {}", panic[1])).or_insert(0) += 1;
            }
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
        for (operator, name) in self.running.into_iter().zip(NAMES) {
            let status = operator.stop()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }
}

async fn holder(api: &Api<Lease>, name: &str) -> Result<Option<String>> {
    let found = api.get_opt(name).await.with_context(|| format!("get Lease {name}"))?;
    Ok(found.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty()))
}
