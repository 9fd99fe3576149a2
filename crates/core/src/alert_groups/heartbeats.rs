//! Integrations that are to receive something every so often.
//!
//! ```text
//! alerts ─► received ─► last ─► (nothing for `every`) ─► HeartbeatEvent: missing ─► an alert group opens
//!               └─► (that is open) ─────────────────────► HeartbeatEvent: restored ─► it is resolved
//! ```
//! As in OnCall, an Integration that never received anything misses nothing.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use crate::{intake::Heartbeat, name::NamespacedName};

/// An event that is to be created, since nothing was received in time, or since something was again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatEvent {
    /// The Integration.
    pub integration: NamespacedName,
    /// What it tells.
    pub heartbeat: Heartbeat,
    /// When something was last received, or was again.
    pub at: Timestamp,
}

impl HeartbeatEvent {
    /// The name of the event: the same whoever creates it, so that it is created once.
    pub fn event_name(&self) -> String {
        let what = match self.heartbeat {
            Heartbeat::Missing => "missing",
            Heartbeat::Restored => "restored",
        };
        // An object's name has up to 253 characters.
        let integration =
            self.integration.name.get(..200).unwrap_or(&self.integration.name).trim_end_matches(['-', '.']);
        format!("{integration}-heartbeat-{what}-{}", self.at.as_second())
    }
}

/// Whether an Integration receives something as often as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It does.
    Received,
    /// It does not.
    Missed,
    /// It never received anything.
    Nothing,
}

/// What is known of the heartbeat of one Integration.
#[derive(Debug)]
struct Pulse {
    every: Duration,
    /// When something was last received; None if nothing ever was.
    last: Option<Timestamp>,
    /// When it is missing; None if that was told.
    due: Option<Timestamp>,
}

/// The heartbeats of all Integrations that are to have one.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    pulses: HashMap<NamespacedName, Pulse>,
    due: BTreeSet<(Timestamp, NamespacedName)>,
}

impl Heartbeats {
    /// Takes in how often an Integration is to receive something; None if that does not matter. `last` is when it last did, as far as
    /// its status says; what it received after that may not be known, so that its time begins anew with this process.
    pub(super) fn set(
        &mut self,
        name: &NamespacedName,
        every: Option<Duration>,
        last: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(every) = every else { return self.remove(name) };
        let Some(pulse) = self.pulses.get_mut(name) else {
            self.pulses.insert(name.clone(), Pulse { every, last: last.map(|last| last.max(now)), due: None });
            return self.expect(name);
        };
        if pulse.every != every {
            pulse.every = every;
            self.expect(name);
        }
    }

    /// Takes in that an Integration is gone.
    pub(super) fn remove(&mut self, name: &NamespacedName) {
        self.set_due(name, None);
        self.pulses.remove(name);
    }

    /// Takes in that something was received.
    pub(super) fn received(&mut self, name: &NamespacedName, at: Timestamp) {
        let Some(pulse) = self.pulses.get_mut(name) else { return };
        pulse.last = pulse.last.max(Some(at));
        self.expect(name);
    }

    /// Has a heartbeat told once more that is missing, unless something was received meanwhile.
    pub(super) fn tell_again(&mut self, event: &HeartbeatEvent) {
        if self.pulses.get(&event.integration).is_some_and(|pulse| pulse.last == Some(event.at)) {
            self.expect(&event.integration);
        }
    }

    fn expect(&mut self, name: &NamespacedName) {
        let due = self.pulses.get(name).and_then(|pulse| {
            let due = pulse.last?.saturating_add(pulse.every);
            Some(due.unwrap_or(Timestamp::MAX))
        });
        self.set_due(name, due);
    }

    fn set_due(&mut self, name: &NamespacedName, due: Option<Timestamp>) {
        let Some(pulse) = self.pulses.get_mut(name) else { return };
        if let Some(old) = std::mem::replace(&mut pulse.due, due) {
            self.due.remove(&(old, name.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, name.clone()));
        }
    }

    /// Whether an Integration receives something in time, as far as this process knows; None if that does not matter.
    pub(super) fn heard(&self, name: &NamespacedName) -> Option<Heard> {
        let pulse = self.pulses.get(name)?;
        Some(match (pulse.last, pulse.due) {
            (None, _) => Heard::Nothing,
            (Some(_), Some(_)) => Heard::Received,
            (Some(_), None) => Heard::Missed,
        })
    }

    /// When to look again what is missing.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The heartbeats that are missing. Each is told once, until something is received again.
    pub(super) fn take_missing(&mut self, now: Timestamp) -> Vec<HeartbeatEvent> {
        let mut missing = Vec::new();
        while let Some((_, integration)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            self.set_due(&integration, None);
            if let Some(at) = self.pulses.get(&integration).and_then(|pulse| pulse.last) {
                missing.push(HeartbeatEvent { integration, heartbeat: Heartbeat::Missing, at });
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn every(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn missing(heartbeats: &mut Heartbeats, now: i64) -> Vec<String> {
        heartbeats.take_missing(at(now)).iter().map(HeartbeatEvent::event_name).collect()
    }

    #[test]
    fn a_heartbeat_that_is_missing_is_told_once_and_again_after_something_came() {
        let name = NamespacedName::new("team", "prometheus");
        let mut heartbeats = Heartbeats::default();
        heartbeats.set(&name, Some(every(60)), None, at(0));
        assert_eq!((heartbeats.next_due(), missing(&mut heartbeats, 1000)), (None, vec![]), "nothing ever came");
        assert_eq!(heartbeats.heard(&name), Some(Heard::Nothing));
        heartbeats.received(&name, at(10));
        assert_eq!((heartbeats.next_due(), missing(&mut heartbeats, 69)), (Some(at(70)), vec![]));
        assert_eq!(heartbeats.heard(&name), Some(Heard::Received));
        let told = heartbeats.take_missing(at(70)).remove(0);
        assert_eq!(heartbeats.heard(&name), Some(Heard::Missed));
        assert_eq!(told.event_name(), "prometheus-heartbeat-missing-1700000010");
        heartbeats.set(&name, Some(every(60)), Some(at(5)), at(71));
        assert_eq!(missing(&mut heartbeats, 1000), Vec::<String>::new());
        // Its event could not be created.
        heartbeats.tell_again(&told);
        assert_eq!(missing(&mut heartbeats, 1000), ["prometheus-heartbeat-missing-1700000010"]);
        heartbeats.received(&name, at(1000));
        heartbeats.tell_again(&told);
        assert_eq!(missing(&mut heartbeats, 1059), Vec::<String>::new());
        assert_eq!(missing(&mut heartbeats, 1060), ["prometheus-heartbeat-missing-1700001000"]);
        heartbeats.received(&NamespacedName::new("team", "other"), at(0));
    }

    #[test]
    fn how_often_it_is_expected_may_change_and_a_new_process_gives_it_its_time_anew() {
        let name = NamespacedName::new("team", "prometheus");
        let mut heartbeats = Heartbeats::default();
        heartbeats.set(&name, Some(every(60)), Some(at(10)), at(100));
        assert_eq!(heartbeats.next_due(), Some(at(160)));
        heartbeats.set(&name, Some(every(30)), Some(at(10)), at(101));
        assert_eq!(heartbeats.next_due(), Some(at(130)));
        heartbeats.set(&name, None, None, at(102));
        assert_eq!((heartbeats.next_due(), heartbeats.heard(&name)), (None, None));
    }
}
