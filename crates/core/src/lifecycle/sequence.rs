//! The order of events: that of their creation in etcd.
//!
//! The time of a creation is told by the clock of one of several API servers, in whole seconds; the version of an object that nobody
//! has changed is that of its creation, and etcd numbers all changes one after the other ([`crate::version`]). So an event counts as
//! created no earlier than those of lower versions:
//!
//! ```text
//! version            10        11        12
//! created        00:05     00:03     00:06        the second API server's clock is behind
//! placed         00:05     00:05     00:06        and the version tells which of one second came first
//! ```
//! Where somebody has changed an event before an operator saw it, so that its version is a later one, its time counts alone. So it does where the
//! version would move it by a minute or more: versions may be those of another cluster. Where versions are no numbers, all times do. So do they where more
//! events wait in the API server than are taken at a time ([`super::backlog`]): what is taken first is found by its time.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;

use super::event::SeenEvent;
use crate::{alert_groups::SKEW, version::ResourceVersion};

/// How many namespaces may have a clock before those that tell nothing any more are forgotten.
const CLOCKS: usize = 1000;

/// A number that is greater the later an event was created: the seconds since 1970, then what is left of the version.
pub(super) fn order_number(placed: Timestamp, version: &ResourceVersion) -> u64 {
    const BITS: u32 = 31;
    let seconds = u64::try_from(placed.as_second()).unwrap_or_default();
    (seconds << BITS) | (version.number().unwrap_or_default() & ((1 << BITS) - 1))
}

/// Whether the version of an event is that of its creation, as far as is known. That of one that has ended is the one of its last change,
/// since its status does not tell the first any more; and whoever asks to send it again has changed it.
fn is_of_creation(seen: &SeenEvent) -> bool {
    match &seen.record {
        Some(record) => !record.is_completed,
        None => seen.asked.is_none() && !seen.is_changed,
    }
}

/// When the latest event of each namespace counts as created.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    clocks: HashMap<Arc<str>, Clock>,
    /// With how many clocks those are looked for that tell nothing any more.
    look_at: usize,
}

#[derive(Debug)]
struct Clock {
    time: Timestamp,
    version: u64,
}

impl Clock {
    /// When an event counts as created that comes after all others; None if it came before.
    fn next(&mut self, created: Timestamp, version: u64) -> Option<Timestamp> {
        if version <= self.version {
            return None;
        }
        self.version = version;
        if self.is_within_skew(created) {
            return Some(self.time);
        }
        // A clock that is far ahead says nothing of what comes after.
        self.time = created;
        Some(created)
    }

    /// Whether a time is before that of the clock, and not far.
    fn is_within_skew(&self, time: Timestamp) -> bool {
        time < self.time && self.time.duration_since(time).unsigned_abs() < SKEW
    }
}

impl Sequence {
    /// When an event counts as created. Those that are new come in the order of their versions.
    pub(super) fn place(&mut self, seen: &SeenEvent) -> Timestamp {
        self.next(seen).unwrap_or(seen.created)
    }

    /// When an event counts as created that comes after all others of its namespace; None if it came before, or nobody can tell.
    fn next(&mut self, seen: &SeenEvent) -> Option<Timestamp> {
        let (namespace, created) = (&seen.key.namespace, seen.created);
        let version = seen.version.number().filter(|_| is_of_creation(seen))?;
        if let Some(clock) = self.clocks.get_mut(namespace) {
            return clock.next(created, version);
        }
        if self.clocks.len() >= self.look_at.max(CLOCKS) {
            self.clocks.retain(|_, clock| clock.time.duration_since(created).unsigned_abs() < SKEW);
            self.look_at = 2 * self.clocks.len();
        }
        self.clocks.insert(Arc::clone(namespace), Clock { time: created, version });
        Some(created)
    }

    /// Events that are known at once, in their order, with the times at which they count as created.
    pub(super) fn in_order(&mut self, mut events: Vec<SeenEvent>) -> Vec<(Timestamp, SeenEvent)> {
        events.sort_by(|one, other| one.version.cmp(&other.version));
        // What is read again has an order too.
        let mut earlier = Self::default();
        let place = |seen: SeenEvent| {
            let placed = self.next(&seen).or_else(|| earlier.next(&seen));
            (placed.unwrap_or(seen.created), seen)
        };
        let mut placed: Vec<(Timestamp, SeenEvent)> = events.into_iter().map(place).collect();
        placed.sort_by(|(time, one), (other_time, other)| {
            let by_version = || (&one.version, &one.key.uid).cmp(&(&other.version, &other.key.uid));
            time.cmp(other_time).then_with(by_version)
        });
        placed
    }
}

#[cfg(test)]
mod tests;
