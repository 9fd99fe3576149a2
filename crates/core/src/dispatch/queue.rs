//! The deliveries that wait for one webhook, and how its endpoint does.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use super::{
    FAILURES, Queued,
    doors::Door,
    health::{Away, Health},
};

/// How far a delivery is that is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// Its request is not answered: it has a slot.
    Asked {
        /// Whether it shows how an endpoint does that is down.
        is_probe: bool,
    },
    /// It is answered, and not recorded.
    Answered {
        /// Whether the endpoint has recovered with that, or since.
        has_recovered: bool,
    },
}

/// Holds the deliveries that wait for one webhook.
#[derive(Debug)]
pub(super) struct WebhookQueue<T> {
    /// By number of the event.
    pub(super) ready: BTreeMap<u64, Queued<T>>,
    pub(super) later: BTreeMap<(Instant, u64), Queued<T>>,
    /// The times at which deliveries are due, by the time to give them up and the number of the event.
    pub(super) ends: BTreeMap<(Instant, u64), Instant>,
    /// The deliveries that are in flight, by alert group.
    pub(super) flights: HashMap<Arc<str>, Flight>,
    /// How many of these have no answer.
    pub(super) asked: usize,
    /// How many may be without an answer: less than the bound while an endpoint recovers.
    pub(super) window: usize,
    pub(super) health: Health,
    /// It could not be connected to.
    pub(super) away: Option<Away>,
    /// How often its door was found open since it was last known to be there, or not to be.
    pub(super) opened: u32,
    /// The door before which it waits.
    pub(super) door: Option<Door>,
    pub(super) held: bool,
    /// Whether it is in the round of its namespace.
    pub(super) in_round: bool,
    pub(super) wake: Option<Instant>,
}

impl<T> WebhookQueue<T> {
    pub(super) fn new(window: usize) -> Self {
        Self {
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            ends: BTreeMap::new(),
            flights: HashMap::new(),
            asked: 0,
            window,
            health: Health::Healthy { failures: 0 },
            away: None,
            opened: 0,
            door: None,
            held: false,
            in_round: false,
            wake: None,
        }
    }

    /// How many deliveries wait.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// The least number of the events that wait.
    pub(super) fn oldest(&self) -> Option<u64> {
        let later = self.later.keys().map(|(_, number)| *number).min();
        self.ready.keys().next().copied().into_iter().chain(later).min()
    }

    pub(super) fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    pub(super) fn is_idle(&self, window: usize) -> bool {
        self.ready.is_empty()
            && self.later.is_empty()
            && self.flights.is_empty()
            && self.window == window
            && self.health == Health::Healthy { failures: 0 }
            && !self.held
    }

    /// Whether a delivery may go, as far as its webhook alone can say.
    pub(super) fn is_willing(&self, now: Instant) -> bool {
        let healthy = match self.health {
            Health::Healthy { .. } => self.asked < self.window,
            Health::Failing { next, probing, .. } => !probing && next <= now,
        };
        healthy && !self.held && !self.ready.is_empty()
    }

    /// When to look again after `now`, if nothing happens before. Nothing is due or to be given up now.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        if self.held {
            return None;
        }
        let due = self.later.first_key_value().map(|((due, _), _)| *due);
        let probe = match self.health {
            Health::Healthy { .. } => return due,
            Health::Failing { probing: true, .. } => None,
            Health::Failing { next, .. } if next > now && !self.ready.is_empty() => Some(next),
            Health::Failing { next, .. } => due.map(|due| due.max(next)),
        };
        let end = self.ends.first_key_value().map(|((end, _), _)| *end);
        [probe, end].into_iter().flatten().min()
    }

    pub(super) fn insert(&mut self, waiting: Queued<T>, now: Instant) {
        self.ends.insert((waiting.give_up, waiting.number), waiting.due);
        if waiting.due <= now {
            self.ready.insert(waiting.number, waiting);
        } else {
            self.later.insert((waiting.due, waiting.number), waiting);
        }
    }

    /// Makes the deliveries ready that are due.
    pub(super) fn make_due_ready(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let waiting = entry.remove();
            self.ready.insert(waiting.number, waiting);
        }
    }

    /// Makes all waiting deliveries ready.
    pub(super) fn release(&mut self) {
        let later = std::mem::take(&mut self.later);
        self.ready.extend(later.into_values().map(|waiting| (waiting.number, waiting)));
    }

    /// Frees the slot of a delivery. Returns whether it was a probe; None if it has no slot.
    pub(super) fn answered(&mut self, group: &str) -> Option<bool> {
        let flight = self.flights.get_mut(group)?;
        let Flight::Asked { is_probe } = *flight else { return None };
        *flight = Flight::Answered { has_recovered: false };
        self.asked -= 1;
        Some(is_probe)
    }

    /// Makes the deliveries ready whose receiver was away: those that wait, and those that will when they are recorded. One that was
    /// slow may have taken its request, and gets it again no sooner since others were answered.
    pub(super) fn release_those_away(&mut self) {
        let (slow, away): (_, BTreeMap<_, _>) =
            std::mem::take(&mut self.later).into_iter().partition(|(_, waiting)| waiting.timed_out);
        self.later = slow;
        self.ready.extend(away.into_values().map(|waiting| (waiting.number, waiting)));
        for flight in self.flights.values_mut() {
            if let Flight::Answered { has_recovered } = flight {
                *has_recovered = true;
            }
        }
    }

    /// Takes out a delivery that waits.
    pub(super) fn withdraw(&mut self, number: u64) -> Option<Queued<T>> {
        let due = self.later.keys().find(|(_, of)| *of == number).copied();
        let waiting = due.and_then(|key| self.later.remove(&key)).or_else(|| self.ready.remove(&number))?;
        self.ends.remove(&(waiting.give_up, number));
        Some(waiting)
    }

    /// The delivery to send next, by number: the earliest. For an endpoint that is down it is the one that was tried least, since
    /// the earliest may be the one that it fails at; but of an alert group the earliest, unless that was tried often.
    pub(super) fn next(&self) -> Option<u64> {
        match self.health {
            Health::Healthy { .. } => {
                let mut ready = self.ready.values();
                Some(ready.find(|waiting| !self.flights.contains_key(&waiting.group))?.number)
            }
            Health::Failing { .. } => {
                let mut all: Vec<&Queued<T>> = self.ready.values().chain(self.later.values()).collect();
                all.sort_unstable_by_key(|waiting| waiting.number);
                let mut taken = HashSet::new();
                all.retain(|waiting| {
                    let is_first = !taken.contains(&waiting.group);
                    if waiting.attempts < FAILURES {
                        taken.insert(&waiting.group);
                    }
                    is_first && !self.flights.contains_key(&waiting.group) && self.ready.contains_key(&waiting.number)
                });
                Some(all.into_iter().min_by_key(|waiting| (waiting.attempts, waiting.number))?.number)
            }
        }
    }

    /// Takes out a delivery that is ready.
    pub(super) fn take(&mut self, number: u64) -> Option<Queued<T>> {
        let waiting = self.ready.remove(&number)?;
        self.ends.remove(&(waiting.give_up, number));
        Some(waiting)
    }

    /// Takes out the deliveries that have waited too long for an endpoint that is down.
    pub(super) fn given_up(&mut self, now: Instant) -> Vec<T> {
        let mut over = Vec::new();
        if self.held || !self.is_failing() {
            return over;
        }
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), due) = first.remove_entry();
            let waiting = self.ready.remove(&number).or_else(|| self.later.remove(&(due, number)));
            over.extend(waiting.map(|waiting| waiting.item));
        }
        over
    }
}
