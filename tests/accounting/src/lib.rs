//! Accounting under faults: what is lost, repeated or out of order while everything that can be killed is killed.
//!
//! ```text
//!  writers ──events──▶ kube-apiserver, etcd ◀──watch, writes── operator (one, or a leader and a standby)
//!                        ▲ restart  ▲ restart                      │  ▲ kill -9, STOP and CONT
//!                        │          │                              ▼  │
//!               records ─┘          └────────── faults ─────────► receiver (500, 503, silence, hang-ups; restart)
//!                  └────────────────► ledger ◄──────────────────────┘
//! ```
//! The log of the receiver and the API server's records are what the [`Report`] is made from; nothing of the operator is. A seed
//! decides what the receiver answers to which attempt of which delivery, and after how many deliveries which fault
//! comes. The words of the report are defined in [`Report`], and judged in `ledger`.

mod alerts;
mod answers;
mod chronicle;
mod clock;
mod faults;
mod journal;
mod ledger;
mod load;
mod operators;
mod receiver;
mod records;
mod report;
mod run;

use std::time::Duration;

pub use self::{
    alerts::{AlertReport, AlertSettings, run_alerts},
    report::{Duplicates, Injected, Report},
    run::{OperatorUnderTest, run},
};

/// The size of a run, and the faults in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many events are created, those of bursts aside. They belong to alert groups of five.
    pub events: usize,
    /// How many webhooks there are.
    pub webhooks: usize,
    /// How many of the webhooks each event fires.
    pub fan_out: usize,
    /// Seeds all chance: the same seed gives the same answers, and the same faults after as many deliveries.
    pub seed: u64,
    /// How many alert groups are written at a time. The events of one are written one after the other.
    pub writers: usize,
    /// How many deliveries may be due and not have arrived before writing waits.
    pub backlog: usize,
    /// How many of 1000 attempts the receiver does not answer well; from the fourth attempt on it does.
    pub refused_per_mille: u32,
    /// How many alert groups are written at once, all their events one after the other, when a fault of the journal comes.
    pub burst: usize,
    /// How often the operator, or the leader, is killed with -9.
    pub kills: usize,
    /// How often it is stopped and continued; with a standby, for longer than its lease.
    pub pauses: usize,
    /// How often the API server is restarted.
    pub api_server_restarts: usize,
    /// How often etcd is restarted.
    pub etcd_restarts: usize,
    /// How often the receiver is restarted.
    pub receiver_restarts: usize,
    /// How often what is done to the operator's journal, each in a burst of its own.
    pub journal: JournalFaults,
    /// Whether there is a second operator, which stands by for the Lease.
    pub standby: bool,
    /// How long the Lease is good for after it was written, in seconds.
    pub lease_seconds: u16,
    /// How long it may take until another delivery arrives, or the last events are completed, before that is taken for the end.
    pub patience: Duration,
}

/// How often what is done to the operator's journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFaults {
    /// The operator, or the leader, is killed with -9 when a segment appears.
    pub kills_at_segments: usize,
    /// It is killed when a segment is removed, since it is written out.
    pub kills_at_write_out: usize,
    /// For some seconds, segments are deleted as they appear.
    pub deletions: usize,
    /// A segment that can't be read is put there, and the operator killed.
    pub broken: usize,
}

impl JournalFaults {
    fn all(self) -> usize {
        self.kills_at_segments + self.kills_at_write_out + self.deletions + self.broken
    }
}

impl Settings {
    /// How many events are due, those of bursts included.
    #[must_use]
    pub fn all_events(&self) -> usize {
        self.events + self.journal.all() * self.events_of_burst()
    }

    /// How many deliveries are due, those of bursts included.
    #[must_use]
    pub fn deliveries(&self) -> usize {
        self.all_events() * self.fan_out
    }

    fn events_of_burst(&self) -> usize {
        self.burst * load::STEPS.len()
    }

    /// Those of bursts aside.
    fn deliveries_aside(&self) -> usize {
        self.events * self.fan_out
    }
}
