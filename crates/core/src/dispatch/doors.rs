//! Who waits before which closed doors. A door is an endpoint that could not be connected to. It is knocked at every two seconds, however
//! long it stays closed, and once for all webhooks of a namespace that send there: a connection is made and closed again. When that
//! works, what waits is tried at once.
//!
//! A knock costs nobody anything. A request would take one of the attempts of its delivery, and a record of it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// The least time from one knock, at whatever door, to the next.
const INTERVAL: Duration = Duration::from_millis(10);

/// How many knocks may be under way: where nobody answers, one takes a while.
const MAX_KNOCKS: usize = 64;

/// An endpoint that could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Door {
    /// The namespace of the webhooks that send there: what a name leads to, and whether one may go there, depends on it.
    pub namespace: Arc<str>,
    /// Scheme, host and port, such as `https://receiver.example:8443`.
    pub origin: Arc<str>,
}

/// Those who wait before a door.
#[derive(Debug, Default)]
struct Waiting {
    webhooks: BTreeSet<Arc<str>>,
    /// When to knock; None while somebody does.
    knock_at: Option<Instant>,
}

/// The doors that are closed.
#[derive(Debug, Default)]
pub(super) struct Doors {
    waiting: HashMap<Door, Waiting>,
    times: BTreeSet<(Instant, Door)>,
    /// How many are being knocked at.
    knocks: usize,
    /// Not before then is there another knock.
    free_at: Option<Instant>,
}

impl Doors {
    /// Lets a webhook wait before a door, which is knocked at no later than at that time.
    pub(super) fn join(&mut self, door: &Door, webhook: &Arc<str>, at: Instant) {
        let is_new = !self.waiting.contains_key(door);
        let waiting = self.waiting.entry(door.clone()).or_default();
        waiting.webhooks.insert(Arc::clone(webhook));
        if is_new || waiting.knock_at.is_some_and(|known| at < known) {
            let known = waiting.knock_at.replace(at);
            self.times.extend([(at, door.clone())]);
            if let Some(known) = known {
                self.times.remove(&(known, door.clone()));
            }
        }
    }

    /// Lets a webhook wait no more.
    pub(super) fn leave(&mut self, door: &Door, webhook: &str) {
        let Some(waiting) = self.waiting.get_mut(door) else { return };
        waiting.webhooks.remove(webhook);
        // A knock that is under way is answered yet.
        if let Some(at) = waiting.knock_at.filter(|_| waiting.webhooks.is_empty()) {
            self.times.remove(&(at, door.clone()));
            self.waiting.remove(door);
        }
    }

    /// The next door to knock at; None if there is none now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Door> {
        self.wake_at().filter(|at| *at <= now)?;
        let (_, door) = self.times.pop_first()?;
        if let Some(waiting) = self.waiting.get_mut(&door) {
            waiting.knock_at = None;
        }
        self.knocks += 1;
        self.free_at = Some(now + INTERVAL);
        Some(door)
    }

    /// When there is another one, if nothing happens before.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let (at, _) = self.times.first().filter(|_| self.knocks < MAX_KNOCKS)?;
        Some(self.free_at.map_or(*at, |free_at| free_at.max(*at)))
    }

    /// Takes note that somebody has knocked. If the door is open nobody waits before it any more, and those who did are returned;
    /// else it is knocked at `again`.
    pub(super) fn knocked(&mut self, door: &Door, is_open: bool, again: Instant) -> BTreeSet<Arc<str>> {
        self.knocks = self.knocks.saturating_sub(1);
        let Some(waiting) = self.waiting.get_mut(door) else { return BTreeSet::new() };
        if is_open || waiting.webhooks.is_empty() {
            return self.waiting.remove(door).unwrap_or_default().webhooks;
        }
        waiting.knock_at = Some(again);
        self.times.insert((again, door.clone()));
        BTreeSet::new()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.times.is_empty() && self.knocks == 0
    }
}
