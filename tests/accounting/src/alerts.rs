//! The same accounting for alerts: from a real Alertmanager to the requests of webhooks.
//!
//! ```text
//!  driver ──alerts──▶ Alertmanager ──▶ balancer ──▶ api ─┐                     ┌─▶ leader, standby ──▶ receiver
//!    ▲                  ▲ gossip                         ├─▶ AlertGroupEvents ─┘      ▲ kill -9, STOP    ▲ restart
//!    │                  ▼                                │         ▲ restart          │                  │
//!    │                Alertmanager (with two) ───▶ api ──┘         │                  │                  │
//!    │                                              ▲ kill -9      └────────────── faults ───────────────┘
//!    └── AlertGroups: which are open, which are resolved
//! ```
//! Each label set fires several times: an occurrence fires, is said again as Prometheus does, is repeated by Alertmanager and
//! resolved. An annotation has the number of the occurrence, which the request of a webhook repeats, so that each is known
//! wherever it comes by. The next occurrence of a label set begins when the API server says that all alert groups of the one
//! before are resolved; `driver` says why that hides nothing.

mod balancer;
mod driver;
mod groups;
mod ledger;
mod records;
mod replicas;
mod report;
mod stage;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

pub use self::report::AlertReport;
use self::{ledger::judge, stage::Stage};
use crate::{OperatorUnderTest, faults::Fault, load::EventId};

/// What fires webhooks here, in order, as requests and `triggerType` call it. Each has a webhook of its own.
const TYPES: [&str; 2] = ["alert group created", "resolve"];

/// The size of a run with alerts, and the faults in it. There is always a standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// How many Alertmanagers there are: one, which sends to both replicas through a balancer, or a cluster of two, of which
    /// each sends to a replica of its own.
    pub alertmanagers: usize,
    /// How many label sets there are, each a group of Alertmanager's.
    pub label_sets: usize,
    /// How often each fires and is resolved.
    pub occurrences: usize,
    /// How many label sets there are under way at a time.
    pub at_a_time: usize,
    /// Seeds all chance, as in [`crate::Settings`].
    pub seed: u64,
    /// How many of 1000 attempts the receiver does not answer well; from the fourth attempt on it does.
    pub refused_per_mille: u32,
    /// How often the leader is killed with -9.
    pub kills: usize,
    /// How often it is paused until the standby has taken over.
    pub pauses: usize,
    /// How often a replica of the API is killed with -9.
    pub api_kills: usize,
    /// How often the API server is restarted.
    pub api_server_restarts: usize,
    /// How often etcd is restarted.
    pub etcd_restarts: usize,
    /// How often the receiver is restarted.
    pub receiver_restarts: usize,
    /// How long the Lease is good for after it was written, in seconds.
    pub lease_seconds: u16,
    /// How long may pass until an occurrence has opened or resolved its alert group, or the last events are completed.
    pub patience: Duration,
}

impl AlertSettings {
    fn all_occurrences(&self) -> usize {
        self.label_sets * self.occurrences
    }

    /// All faults, each with how often it comes.
    fn faults(&self) -> [(Fault, usize); 6] {
        [
            (Fault::Kill, self.kills),
            (Fault::Pause, self.pauses),
            (Fault::ApiReplica, self.api_kills),
            (Fault::ApiServer, self.api_server_restarts),
            (Fault::Etcd, self.etcd_restarts),
            (Fault::Receiver, self.receiver_restarts),
        ]
    }
}

/// Starts all that is needed, fires alerts, disturbs, and draws up the report. `tell` hears what is done when. Blocks a thread
/// at times: it takes tokio's multi-threaded runtime.
///
/// # Errors
/// Something can't be started or restarted, or Alertmanager or the API server doesn't answer when it should. What the operator
/// does wrong is no error, but in the report.
pub async fn run_alerts(
    operator: &OperatorUnderTest,
    settings: &AlertSettings,
    tell: &dyn Fn(&str),
) -> Result<AlertReport> {
    ensure!((1..=2).contains(&settings.alertmanagers), "there are one or two Alertmanagers");
    ensure!(settings.at_a_time >= 1, "no alert ever fires");
    let evidence = Stage::start(operator, settings, tell).await?.play(settings).await?;
    Ok(judge(settings, &evidence))
}

/// The event of a request's body: the number of the occurrence, and what happened.
fn event_of_body(body: &[u8]) -> Option<EventId> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let step = TYPES.iter().position(|type_| body["type"] == *type_)?;
    Some(EventId { group: body["occurrence"].as_str()?.parse().ok()?, step })
}

/// The number of the occurrence that Alertmanager's notification is about.
fn occurrence_of(payload: &Value) -> Option<usize> {
    payload["commonAnnotations"]["occurrence"].as_str()?.parse().ok()
}
