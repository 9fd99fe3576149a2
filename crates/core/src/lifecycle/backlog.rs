//! What waits in the API server because a share of memory is used up, and how it is read again.
//!
//! ```text
//!                  ┌──────── window: events that are admitted, in memory ────────┐
//!  older ◄─────────┤  e1   e2 (run of "slow" parked)   e3   e4                   ├──────► newer
//!                  └──────────────────────────────────────────────────────────────┘ e5 e6 … wait in the API server
//! ```
//! - A namespace whose share is used up is **behind**: events that are new stay in the API server, all from the first on.
//! - A webhook whose share is used up, since it is held, or its endpoint is down or slow, is **parked**: its runs are not held
//!   in memory, all from the first on, and the other webhooks of its events go on. An event of which only such runs are left is
//!   forgotten once its status says so.
//!
//! When there is room again, the events of the namespace that have not ended are read again, oldest first, from the earliest
//! that may lack something. Each takes its place by the time of its creation. What comes meanwhile does not overtake.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Effect, Lifecycle, Now,
    admission::hash,
    event::{EventState, SeenEvent, Step, WebhookRun},
    webhooks::KnownWebhook,
};
pub use crate::alert_groups::Position;
use crate::{
    delivery::{COST, DeliverySummary, ResponsePhase},
    name::NamespacedName,
    shares::Shares,
    version::ResourceVersion,
};

/// How many events are read at a time.
pub const BACKLOG_READS: usize = 500;

/// What a namespace has waiting in the API server.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// New events stay in the API server.
    is_behind: bool,
    /// The events that were created from then on are to be read; None if none need be.
    due: Option<Timestamp>,
    /// Some of them may have been completed, and are to be sent again.
    has_completed: bool,
    /// Whether they are being read.
    is_reading: bool,
    /// Whether they are only read for webhooks for which there is room again.
    is_for_room: bool,
    /// Hashes of the uids of the events that were forgotten or deleted since: what is read may tell how they were before.
    forgotten: HashSet<u64>,
    /// By name.
    parked: BTreeMap<Arc<str>, ParkedWebhook>,
    /// There may be room for one of these.
    may_have_room: bool,
}

/// A webhook of which not all runs are held in memory.
#[derive(Debug)]
struct ParkedWebhook {
    /// The creation of the first event of which a run is not.
    since: Timestamp,
    /// Its runs are being read again.
    is_released: bool,
    /// Something has ended since there was no room for it: what finds no room is not read over and over.
    may_have_room: bool,
}

impl Backlog {
    /// The earliest event that a webhook lacks.
    fn since(&self) -> Option<Timestamp> {
        self.parked.values().map(|parked| parked.since).min()
    }

    fn is_empty(&self) -> bool {
        !self.is_behind && self.due.is_none() && self.parked.is_empty()
    }

    /// Whether the runs of a webhook are parked, and not being read again.
    fn waits(&self, webhook: &str) -> bool {
        self.parked.get(webhook).is_some_and(|parked| !parked.is_released)
    }

    /// Whether the parked runs of a webhook are being read again.
    fn is_released(&self, webhook: &str) -> bool {
        self.parked.get(webhook).is_some_and(|parked| parked.is_released)
    }

    /// Notes that there may be room for any of its webhooks.
    fn note_room(&mut self) {
        self.may_have_room = true;
        self.parked.values_mut().for_each(|parked| parked.may_have_room = true);
    }

    fn read_from(&mut self, time: Timestamp) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }
}

/// How much waits in the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacklogLoad {
    /// Namespaces whose new events wait there.
    pub namespaces: usize,
    /// Webhooks of which runs wait there.
    pub webhooks: usize,
}

impl Lifecycle {
    /// Whether new events of a namespace wait in the API server since its share of memory is used up.
    pub fn is_behind(&self, namespace: &str) -> bool {
        self.backlogs.get(namespace).is_some_and(|backlog| backlog.is_behind)
    }

    /// Whether runs of a webhook wait in the API server since its share of memory is used up.
    pub fn is_parked(&self, webhook: &NamespacedName) -> bool {
        self.backlogs.get(&webhook.namespace).is_some_and(|backlog| backlog.parked.contains_key(&webhook.name))
    }

    pub(super) fn backlog_load(&self) -> BacklogLoad {
        BacklogLoad {
            namespaces: self.backlogs.values().filter(|backlog| backlog.is_behind).count(),
            webhooks: self.backlogs.values().map(|backlog| backlog.parked.len()).sum(),
        }
    }

    /// Leaves an event in the API server if its namespace is behind, or is now, or if that is where all that is left of it
    /// waits. Returns whether it does.
    pub(super) fn defer(&mut self, seen: &SeenEvent) -> bool {
        let namespace = &seen.key.namespace;
        if !self.is_only_parked(seen) {
            if !self.is_behind(namespace) && self.make_room(namespace, seen.cost()) {
                return false;
            }
            self.leave(namespace, seen.created, seen.is_completed());
        } else if let Some(backlog) = self.backlogs.get_mut(namespace) {
            backlog.parked.values_mut().for_each(|parked| parked.since = parked.since.min(seen.created));
        }
        self.effects.push(Effect::ForgetData(Arc::clone(&seen.key)));
        true
    }

    /// Whether the data of an event will be needed, as things are: it is to be admitted, and does not stay in the API server.
    /// `is_read` says that it is read again.
    pub fn needs_data(&self, seen: &SeenEvent, is_read: bool) -> bool {
        self.wants(seen) && (is_read || !self.is_behind(&seen.key.namespace)) && !self.is_only_parked(seen)
    }

    /// Leaves the events of a namespace from `created` on in the API server. `has_completed` says that some may have been
    /// completed, and are to be sent again.
    pub(super) fn leave(&mut self, namespace: &Arc<str>, created: Timestamp, has_completed: bool) {
        let backlog = self.backlogs.entry(Arc::clone(namespace)).or_default();
        backlog.read_from(created);
        backlog.has_completed |= has_completed;
        if !std::mem::replace(&mut backlog.is_behind, true) {
            self.effects.push(Effect::NamespaceBehind(Arc::clone(namespace)));
        }
    }

    /// Whether a run for an event that was created at `created` may be held in memory. If not, its webhook is parked.
    /// `is_read` says that the event is read again, in its order.
    pub(super) fn may_hold(&mut self, known: &KnownWebhook, created: Timestamp, is_read: bool) -> bool {
        let name = &known.name;
        let waits = |parked: &ParkedWebhook| !(is_read && parked.is_released);
        if let Some(backlog) = self.backlogs.get_mut(&name.namespace) {
            if let Some(parked) = backlog.parked.get_mut(&name.name)
                && waits(parked)
            {
                parked.since = parked.since.min(created);
                return false;
            }
            // It waits for the answers that others get; but for nobody who is stuck.
            let is_awaited = |(other, parked): (&Arc<str>, &ParkedWebhook)| {
                let other = NamespacedName::new(Arc::clone(&name.namespace), Arc::clone(other));
                waits(parked) && !self.dispatcher.is_stuck(&other)
            };
            if known.webhook.reads_responses && backlog.parked.iter().any(is_awaited) {
                self.park(name, created);
                return false;
            }
        }
        if self.shares.has_room_for(name, COST) {
            return true;
        }
        self.park(name, created);
        false
    }

    fn park(&mut self, name: &NamespacedName, since: Timestamp) {
        let backlog = self.backlogs.entry(Arc::clone(&name.namespace)).or_default();
        let parked = ParkedWebhook { since, is_released: false, may_have_room: false };
        if backlog.parked.insert(Arc::clone(&name.name), parked).is_none() {
            self.effects.push(Effect::WebhookParked(name.clone()));
        }
    }

    /// Takes in that a webhook is gone: nothing waits for it any more.
    pub(super) fn end_parked(&mut self, name: &NamespacedName, now: Now) {
        let Some(backlog) = self.backlogs.get_mut(&name.namespace) else { return };
        let Some(parked) = backlog.parked.remove(&name.name) else { return };
        // The events that are not in memory end.
        backlog.read_from(parked.since);
        self.is_room_changed = true;
        for number in self.numbers_with_parked(name) {
            self.end_parked_run(number, &name.name, now);
        }
    }

    pub(super) fn end_parked_run(&mut self, number: u64, webhook: &Arc<str>, now: Now) {
        let Some(event) = self.events.get_mut(&number) else { return };
        let Some(run) = event.runs.get_mut(webhook) else { return };
        run.summary = Some(DeliverySummary::without_response(webhook, ResponsePhase::Skipped));
        self.end_run(number, webhook, now);
    }

    /// Takes in that there may be room for the webhooks of a namespace that are parked.
    pub(super) fn room_changed(&mut self, namespace: &str) {
        self.is_room_changed = true;
        if let Some(backlog) = self.backlogs.get_mut(namespace) {
            backlog.note_room();
        }
    }

    /// Has the events read again that a webhook may run for that was not known when they were.
    pub(super) fn read_for_new_webhook(&mut self, namespace: &str) {
        if let Some(backlog) = self.backlogs.get_mut(namespace)
            && let Some(since) = backlog.since()
        {
            backlog.read_from(since);
            self.is_room_changed = true;
        }
    }

    /// Whether not all runs of a namespace are held in memory.
    pub(super) fn is_parked_in_part(&self, namespace: &str) -> bool {
        self.backlogs.get(namespace).is_some_and(|backlog| !backlog.parked.is_empty())
    }

    /// The events of which the run of a webhook is parked, oldest first.
    fn numbers_with_parked(&self, name: &NamespacedName) -> Vec<u64> {
        let is_parked = |event: &EventState| {
            let step = event.runs.get(&name.name).and_then(WebhookRun::step);
            event.key.namespace == name.namespace && step == Some(Step::Parked)
        };
        let mut numbers: Vec<u64> =
            self.events.iter().filter(|(_, event)| is_parked(event)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Notes that an event is forgotten.
    pub(super) fn event_forgotten(&mut self, event: &EventState) {
        if let Some(backlog) = self.backlogs.get_mut(&event.key.namespace).filter(|backlog| backlog.is_reading) {
            backlog.forgotten.insert(hash(&event.key.uid));
        }
    }

    /// Notes that an event is deleted: what is read may tell that it is there.
    pub(super) fn note_deleted(&mut self, uid: &str) {
        for backlog in self.backlogs.values_mut().filter(|backlog| backlog.is_reading) {
            backlog.forgotten.insert(hash(uid));
        }
    }

    /// Forgets an event of which only parked runs are left, as its status says. It is read again.
    pub(super) fn forget_parked(&mut self, number: u64) {
        let Some(event) = self.events.get(&number) else { return };
        let Some(backlog) = self.backlogs.get(&event.key.namespace) else { return };
        let mut parked = event.runs.iter().filter(|(_, run)| run.step() == Some(Step::Parked));
        // What is read again now comes to it in a moment.
        if !parked.any(|(webhook, _)| backlog.is_released(webhook))
            && let Some(event) = self.remove_event(number)
        {
            self.effects.push(Effect::ForgetData(event.key));
        }
    }

    /// Has the statuses of those events looked at that may be forgotten.
    fn review_parked(&mut self, namespace: &Arc<str>) {
        let of_namespace = self.events.values().filter(|event| event.key.namespace == *namespace && event.is_parked());
        let parked = of_namespace.map(|event| Effect::ReviewEvent(Arc::clone(&event.key)));
        self.effects.extend(parked.collect::<Vec<_>>());
    }

    /// Has the events of those namespaces read again that have room for them.
    pub(super) fn read_backlogs(&mut self) {
        if !std::mem::take(&mut self.is_room_changed) || !self.is_listed || self.is_stopped {
            return;
        }
        let idle = self.backlogs.iter().filter(|(_, backlog)| !backlog.is_reading);
        for namespace in idle.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
            let quarter = self.shares.allowance(&namespace) / 4;
            if !self.backlogs[&namespace].is_empty() && !self.make_room(&namespace, quarter) {
                continue;
            }
            let may_have_room =
                self.backlogs.get_mut(&namespace).map(|backlog| std::mem::take(&mut backlog.may_have_room));
            let ready = if may_have_room == Some(true) { self.ready(&namespace) } else { Vec::new() };
            let Some(backlog) = self.backlogs.get_mut(&namespace) else { continue };
            backlog.is_for_room = backlog.due.is_none();
            for webhook in ready {
                if let Some(parked) = backlog.parked.get_mut(&webhook) {
                    parked.is_released = true;
                    let since = parked.since;
                    backlog.read_from(since);
                }
            }
            if let Some(from) = backlog.due.take() {
                backlog.is_reading = true;
                backlog.forgotten.clear();
                self.read_after(&namespace, (from, ResourceVersion::from("")));
            } else if backlog.is_empty() {
                self.backlogs.remove(&namespace);
            }
        }
    }

    /// The parked webhooks of a namespace for which there is room again.
    fn ready(&self, namespace: &Arc<str>) -> Vec<Arc<str>> {
        let Some(backlog) = self.backlogs.get(namespace) else { return Vec::new() };
        let name = |webhook: &Arc<str>| NamespacedName::new(Arc::clone(namespace), Arc::clone(webhook));
        // One that is down is tried with what is in memory.
        let has_room = |webhook: &Arc<str>| {
            let name = name(webhook);
            backlog.parked[webhook].may_have_room && !self.dispatcher.is_held(&name) && self.shares.is_low_for(&name)
        };
        let parked = backlog.parked.iter().filter(|(_, parked)| !parked.is_released).map(|(webhook, _)| webhook);
        let (mut ready, waiting): (Vec<Arc<str>>, Vec<Arc<str>>) = parked.cloned().partition(has_room);
        if waiting.iter().any(|webhook| !self.dispatcher.is_stuck(&name(webhook))) {
            let reads = |webhook: &Arc<str>| {
                self.webhooks.get(namespace, webhook).is_some_and(|known| known.webhook.reads_responses)
            };
            ready.retain(|webhook| !reads(webhook));
        }
        ready
    }

    /// Takes in the oldest events of a namespace that have not ended, in any order. `next` is where the next ones begin; None if these
    /// were the last ones.
    pub(super) fn backlog_read(
        &mut self,
        namespace: &Arc<str>,
        events: Vec<SeenEvent>,
        next: Option<Position>,
        now: Now,
    ) {
        let mut events = self.sequence.in_order(events).into_iter();
        while let Some((placed, seen)) = events.next() {
            if !self.take_in(namespace, &seen, placed, now) {
                // One of those after it may have an earlier time.
                let since = events.map(|(_, later)| later.created).fold(seen.created, Timestamp::min);
                return self.stop_reading(namespace, since);
            }
        }
        // All that it was read for may be parked again: the rest is read when there is room.
        let is_needed = |backlog: &Backlog| {
            backlog.is_behind || !backlog.is_for_room || backlog.parked.values().any(|parked| parked.is_released)
        };
        let is_end = next.is_none();
        let next = next.filter(|_| !self.is_stopped && self.backlogs.get(namespace).is_some_and(is_needed));
        if let Some(backlog) = self.backlogs.get_mut(namespace).filter(|backlog| is_end && backlog.due.is_none()) {
            backlog.has_completed = false;
        }
        match next {
            Some(next) => self.read_after(namespace, next),
            None => self.backlog_ended(namespace, now),
        }
    }

    fn read_after(&mut self, namespace: &Arc<str>, after: Position) {
        let with_completed = self.backlogs.get(namespace).is_some_and(|backlog| backlog.has_completed);
        self.effects.push(Effect::ReadBacklog { namespace: Arc::clone(namespace), after, with_completed });
    }

    /// Stops reading the events of a namespace at one for which there is no room.
    fn stop_reading(&mut self, namespace: &Arc<str>, created: Timestamp) {
        self.leave(namespace, created, false);
        if let Some(backlog) = self.backlogs.get_mut(namespace) {
            (backlog.is_reading, backlog.may_have_room) = (false, true);
            for parked in backlog.parked.values_mut().filter(|parked| parked.is_released) {
                *parked = ParkedWebhook { since: created, is_released: false, may_have_room: true };
            }
        }
        self.review_parked(namespace);
    }

    /// Takes in an event that was read again. False if there is no room for it.
    fn take_in(&mut self, namespace: &Arc<str>, seen: &SeenEvent, placed: Timestamp, now: Now) -> bool {
        if let Some(number) = self.numbers.get(&seen.key.uid).copied() {
            self.unpark(number, now);
        }
        let was_forgotten =
            self.backlogs.get(namespace).is_some_and(|backlog| backlog.forgotten.contains(&hash(&seen.key.uid)));
        if was_forgotten || !self.wants(seen) {
            return true;
        }
        let is_only_parked = self.is_only_parked(seen);
        if !is_only_parked && self.make_room(namespace, seen.cost()) {
            self.admit_read(seen, Some(placed), now);
            return true;
        }
        self.effects.push(Effect::ForgetData(Arc::clone(&seen.key)));
        is_only_parked
    }

    /// Has those runs of an event wait in memory whose webhooks are read again.
    fn unpark(&mut self, number: u64, now: Now) {
        let Some(event) = self.events.get(&number) else { return };
        let Some(backlog) = self.backlogs.get(&event.key.namespace) else { return };
        let created = event.created;
        let parked =
            event.runs.iter().filter(|(webhook, run)| run.step() == Some(Step::Parked) && backlog.is_released(webhook));
        let names: Vec<NamespacedName> = parked
            .map(|(webhook, _)| NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(webhook)))
            .collect();
        for name in names {
            match self.webhooks.get(&name.namespace, &name.name).cloned() {
                Some(known) if self.may_hold(&known, created, true) => self.begin_run(number, &known, now),
                Some(_) => {}
                None => self.end_parked_run(number, &name.name, now),
            }
        }
    }

    fn backlog_ended(&mut self, namespace: &Arc<str>, now: Now) {
        self.is_room_changed = true;
        let Some(backlog) = self.backlogs.get_mut(namespace) else { return };
        backlog.is_reading = false;
        let released: Vec<NamespacedName> = backlog
            .parked
            .iter()
            .filter(|(_, parked)| parked.is_released)
            .map(|(webhook, _)| NamespacedName::new(Arc::clone(namespace), Arc::clone(webhook)))
            .collect();
        // What has come since is in memory.
        let mut numbers: Vec<u64> = released.iter().flat_map(|name| self.numbers_with_parked(name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            self.unpark(number, now);
        }
        let Some(backlog) = self.backlogs.get_mut(namespace).filter(|backlog| backlog.due.is_none()) else {
            // Something came meanwhile, which is read next.
            return self.review_parked(namespace);
        };
        for name in released {
            if backlog.is_released(&name.name) {
                backlog.parked.remove(&name.name);
                backlog.note_room();
                self.effects.push(Effect::WebhookUnparked(name));
            }
        }
        if std::mem::take(&mut backlog.is_behind) {
            self.effects.push(Effect::NamespaceCaughtUp(Arc::clone(namespace)));
        }
        self.review_parked(namespace);
    }

    /// Whether all that is to be done for an event, or is left of it, is for webhooks that are parked.
    fn is_only_parked(&self, seen: &SeenEvent) -> bool {
        let namespace = &seen.key.namespace;
        let Some(backlog) = self.backlogs.get(namespace).filter(|backlog| !backlog.parked.is_empty()) else {
            return false;
        };
        let matching = self.webhooks.matching(namespace, &self.facts_as_recorded(seen), seen.created);
        let Some(record) = &seen.record else {
            // Another process may have begun with others.
            let are_parked = matching.iter().all(|known| backlog.waits(&known.name.name));
            let is_untouched = self.are_responses_listed && !self.responses.has_any(&seen.key);
            return !matching.is_empty() && are_parked && is_untouched;
        };
        if record.is_completed || record.deliveries.len() != record.matched as usize {
            return false;
        }
        let mut open = record.deliveries.iter().filter(|summary| summary.is_open()).peekable();
        let is_noted = |known: &Arc<KnownWebhook>| record.deliveries.iter().any(|of| *of.name == *known.name.name);
        open.peek().is_some() && open.all(|summary| backlog.waits(&summary.name)) && matching.iter().all(is_noted)
    }

    /// Forgets completed events of a namespace, and then resolved alert groups, until it may take so many bytes more. Returns whether it
    /// may.
    pub(super) fn make_room(&mut self, namespace: &Arc<str>, bytes: usize) -> bool {
        while !self.shares.has_room(namespace, bytes) {
            let Some(number) = self.remembered_of.get_mut(namespace).and_then(VecDeque::pop_front) else {
                if self.forget_resolved(namespace) {
                    continue;
                }
                return false;
            };
            if self.events.get(&number).is_some_and(EventState::is_over) {
                self.remove_event(number);
            }
        }
        true
    }

    /// All backlogs, for tests.
    #[cfg(test)]
    pub(super) fn backlogs_are_empty(&self) -> bool {
        self.backlogs.values().all(|backlog| !backlog.is_behind && !backlog.is_reading && backlog.parked.is_empty())
    }
}

/// The events that a list names and that are to be admitted at its end: of each namespace the oldest, within its share.
#[derive(Debug)]
pub(super) struct Listing {
    /// Hashes of the uids of all events that it names.
    pub(super) uids: HashSet<u64>,
    events: HashMap<Arc<str>, BTreeMap<(Position, String), SeenEvent>>,
    shares: Shares,
    /// The first of those for which there was no room.
    left: HashMap<Arc<str>, Position>,
}

impl Listing {
    pub(super) fn new(limit: usize) -> Self {
        Self { uids: HashSet::new(), events: HashMap::new(), shares: Shares::new(limit), left: HashMap::new() }
    }

    /// Adds an event, if there is room for it; older ones take the place of newer ones.
    pub(super) fn add(&mut self, seen: SeenEvent) {
        let namespace = Arc::clone(&seen.key.namespace);
        let key = ((seen.created, seen.version.clone()), seen.key.uid.clone());
        if self.left.get(&namespace).is_some_and(|left| *left <= key.0) {
            return;
        }
        let events = self.events.entry(Arc::clone(&namespace)).or_default();
        while !self.shares.has_room(&namespace, seen.cost()) {
            match events.last_entry().filter(|last| *last.key() > key) {
                Some(last) => {
                    let ((position, _), last) = last.remove_entry();
                    self.shares.give_back(&namespace, last.cost());
                    self.left.insert(Arc::clone(&namespace), position);
                }
                None => {
                    self.left.insert(namespace, key.0);
                    return;
                }
            }
        }
        self.shares.take(&namespace, seen.cost());
        events.insert(key, seen);
    }

    /// The events, in any order; and for each namespace that has more of them, when the first of these was created.
    pub(super) fn into_events(self) -> (Vec<SeenEvent>, Vec<(Arc<str>, Timestamp)>) {
        let events = self.events.into_values().flat_map(BTreeMap::into_values).collect();
        let left = self.left.into_iter().map(|(namespace, (created, _))| (namespace, created)).collect();
        (events, left)
    }
}
