//! Events from the time that they are seen until they are forgotten, and the webhooks that they are for.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Effect, Lifecycle, Now, REMEMBERED,
    backlog::Listing,
    event::{EventState, Origin, Request, SeenEvent, Stage, StatusState, Step, WebhookRun},
    sequence::order_number,
    webhooks::KnownWebhook,
};
use crate::{
    delivery::{COST, DeliverySummary, EventKey},
    dispatch::EndpointChange,
    name::NamespacedName,
};

/// A short form of a uid.
pub(super) fn hash(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

impl Lifecycle {
    /// Whether an event is to be admitted: it is not completed, or is to be sent again, and is not being deleted and not here
    /// yet.
    pub(super) fn wants(&self, seen: &SeenEvent) -> bool {
        if seen.is_deleting || (seen.is_completed() && !seen.asks_for_redelivery()) {
            return false;
        }
        let known = self.numbers.get(&seen.key.uid).and_then(|number| self.events.get(number));
        // One that has ended is admitted again only for another value of the annotation.
        known.is_none_or(|event| {
            event.has_ended() && seen.is_completed() && event.redelivery_value() != seen.asked.as_ref()
        })
    }

    fn origin_of(&self, seen: &SeenEvent) -> Origin {
        match (self.is_listed, &seen.record) {
            (false, _) => Origin::FirstList,
            // It is not completed, and has a status.
            (true, Some(_)) => Origin::OtherProcess,
            (true, None) => Origin::New,
        }
    }

    pub(super) fn event_seen(&mut self, seen: &SeenEvent, now: Now) {
        let is_wanted = self.wants(seen);
        self.event_shown(seen, now);
        if is_wanted && !self.is_stopped && !self.defer(seen) {
            let mut event = self.new_event(seen, self.origin_of(seen), now.instant);
            event.placed = self.sequence.place(seen);
            if self.is_parked_in_part(&seen.key.namespace) {
                // It may have been forgotten when only parked runs were left.
                self.note_recorded(&mut event, seen);
            }
            self.admit(event, now);
        }
        self.forget_old(now);
    }

    /// Begins to work for an event that was read again; `placed` is when it counts as created, if all before it were.
    pub(super) fn admit_read(&mut self, seen: &SeenEvent, placed: Option<Timestamp>, now: Now) {
        // One without a status may have been seen by another process, and by this one only now.
        let origin = if seen.record.is_some() { Origin::OtherProcess } else { Origin::FirstList };
        let mut event = self.new_event(seen, origin, now.instant);
        event.is_read = placed.is_some();
        event.placed = placed.unwrap_or(seen.created);
        self.note_recorded(&mut event, seen);
        self.admit(event, now);
        self.effects.push(Effect::ReviewEvent(Arc::clone(&seen.key)));
    }

    /// Notes those runs of an event that has not ended which have, as its status says.
    fn note_recorded(&self, event: &mut EventState, seen: &SeenEvent) {
        let ended = seen.record.iter().filter(|record| !record.is_completed).flat_map(|record| &record.deliveries);
        self.note_ended(event, ended.filter(|summary| !summary.is_open()).cloned());
    }

    /// Takes in that a list of events begins. One that was under way has no end.
    pub(super) fn event_list_began(&mut self) {
        self.listing = Some(self.begin_listing());
    }

    /// A list beside what is in memory already.
    fn begin_listing(&self) -> Listing {
        Listing::new(self.shares.limit().saturating_sub(self.shares.used()))
    }

    /// Takes in an event that a list names, which can't be read.
    pub(super) fn unreadable_listed(&mut self, uid: &str) {
        let listing = self.listing.take().unwrap_or_else(|| self.begin_listing());
        self.listing.insert(listing).uids.insert(hash(uid));
    }

    pub(super) fn event_listed(&mut self, seen: SeenEvent, now: Now) {
        self.unreadable_listed(&seen.key.uid);
        let is_wanted = self.wants(&seen) || self.is_to_be_remembered(&seen, now);
        self.event_shown(&seen, now);
        if is_wanted && let Some(listing) = &mut self.listing {
            listing.add(seen);
        }
    }

    pub(super) fn event_list_ended(&mut self, now: Now) {
        let listing = self.listing.take().unwrap_or_else(|| self.begin_listing());
        let is_gone = |uid: &&String| !listing.uids.contains(&hash(uid));
        let gone: Vec<String> = self.numbers.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|uid| self.event_gone(uid, now));
        let (events, left) = listing.into_events();
        for (placed, seen) in self.sequence.in_order(events) {
            if self.is_to_be_remembered(&seen, now) {
                if self.make_room(&seen.key.namespace, seen.cost()) {
                    let completed = self.completed(&seen, now);
                    self.admit(completed, now);
                }
            } else if self.wants(&seen) && !self.is_stopped && !self.defer(&seen) {
                let mut event = self.new_event(&seen, self.origin_of(&seen), now.instant);
                event.placed = placed;
                self.admit(event, now);
                self.effects.push(Effect::ReviewEvent(seen.key));
            }
        }
        for (namespace, created) in left {
            self.leave(&namespace, created, true);
        }
        self.is_listed = true;
        self.is_room_changed = true;
        self.start_early_redeliveries();
        self.forget_old(now);
    }

    /// Takes in that an event is deleted: nothing more is written of it, and what is on the way ends.
    pub(super) fn event_gone(&mut self, uid: &str, now: Now) {
        self.note_deleted(uid);
        if let Some((number, event)) = self.event_of(uid) {
            event.status = StatusState::EventDeleted;
            (event.awaits_unreadable, event.awaits_responses) = (false, false);
            // They can't be read again.
            let parked = event.runs.iter().filter(|(_, run)| run.step() == Some(Step::Parked));
            for webhook in parked.map(|(webhook, _)| Arc::clone(webhook)).collect::<Vec<_>>() {
                self.end_parked_run(number, &webhook, now);
            }
            self.remember(number, now);
        }
        self.forget_old(now);
    }

    /// Takes in what the status of an event says. If that is all that is known now, its end is written out: a webhook that
    /// came late may have added to it since.
    fn event_shown(&mut self, seen: &SeenEvent, now: Now) {
        let Some(record) = &seen.record else { return };
        let Some((number, event)) = self.event_of(&seen.key.uid) else { return };
        if !record.is_completed {
            if event.is_parked() && event.summaries() == record.deliveries {
                self.forget_parked(number);
            }
            return;
        }
        if event.has_ended()
            && event.redelivery_value() == record.redelivered.as_ref()
            && event.summaries() == record.deliveries
        {
            event.confirm_status();
            self.remember(number, now);
        }
    }

    pub(super) fn event_status_confirmed(&mut self, seen: &SeenEvent, now: Now) {
        self.event_shown(seen, now);
        let Some((number, event)) = self.event_of(&seen.key.uid) else { return };
        if !event.has_ended() {
            return;
        }
        event.confirm_status();
        let asked_since =
            seen.is_completed() && seen.asks_for_redelivery() && event.redelivery_value() != seen.asked.as_ref();
        self.remember(number, now);
        if asked_since {
            let event = self.new_event(seen, Origin::FirstList, now.instant);
            self.admit(event, now);
        }
    }

    /// Whether an event was completed not long before this process began. Where summaries were left out, it is not known who
    /// had one.
    fn is_to_be_remembered(&self, seen: &SeenEvent, now: Now) -> bool {
        let is_over = seen.is_completed() && !seen.asks_for_redelivery() && !seen.is_deleting;
        let is_whole = seen.record.as_ref().is_some_and(|record| record.deliveries.len() == record.matched as usize);
        let age = Duration::try_from(now.time.duration_since(seen.created)).unwrap_or_default();
        is_over && is_whole && age < REMEMBERED && !self.is_listed
    }

    /// Begins to work for an event.
    fn admit(&mut self, mut event: EventState, now: Now) {
        let known = self.numbers.get(&event.key.uid).copied();
        if self.is_stopped || known.and_then(|number| self.events.get(&number)).is_some_and(|event| !event.has_ended())
        {
            return;
        }
        if let Some(number) = known {
            self.remove_event(number);
        }
        let is_read = event.is_read;
        let mut webhooks = self.webhooks_for(&event);
        webhooks.retain(|known| !event.runs.contains_key(&known.name.name));
        event.awaits_responses =
            !self.are_responses_listed && event.is_of_other_process() && event.status != StatusState::UpToDate;
        let number = self.insert(event);
        for webhook in &webhooks {
            self.add_run(number, webhook, is_read, now);
        }
        self.hold_while_unreadable(number);
        self.await_group(number);
        self.settle(number, now);
    }

    /// Draws the consequences if an event has ended, or all that is left of it is parked.
    pub(super) fn settle(&mut self, number: u64, now: Now) {
        let Some(event) = self.events.get(&number) else { return };
        if event.has_ended() {
            self.end_event(number, now);
        } else if event.is_parked() {
            self.effects.push(Effect::ReviewEvent(Arc::clone(&event.key)));
        }
    }

    fn insert(&mut self, event: EventState) -> u64 {
        let mut number = order_number(event.placed, &event.version);
        while self.events.contains_key(&number) {
            number += 1;
        }
        self.shares.take(&event.key.namespace, event.cost);
        if let Some(listing) = &mut self.listing {
            // It may be newer than the list, which would not name it then.
            listing.uids.insert(hash(&event.key.uid));
        }
        self.numbers.insert(event.key.uid.clone(), number);
        self.events.insert(number, event);
        number
    }

    /// Removes all that is known of an event.
    pub(super) fn remove_event(&mut self, number: u64) -> Option<EventState> {
        let event = self.events.remove(&number)?;
        self.numbers.remove(&event.key.uid);
        let held = event.cost + event.runs.values().map(|run| run.cost).sum::<usize>();
        debug_assert_eq!(held, event.cost, "a run is not over");
        self.shares.give_back(&event.key.namespace, event.cost);
        self.is_room_changed = true;
        self.event_forgotten(&event);
        self.effects.push(Effect::EventForgotten(Arc::clone(&event.key)));
        Some(event)
    }

    /// The state of an event that has ended, as its status says.
    fn completed(&mut self, seen: &SeenEvent, now: Now) -> EventState {
        let mut event = self.new_event(seen, Origin::FirstList, now.instant);
        let record = seen.record.clone().unwrap_or_default();
        event.request = Request::Initial { answers: record.redelivered };
        event.status = StatusState::UpToDate;
        self.note_ended(&mut event, record.deliveries);
        event
    }

    /// Notes the runs of an event that have ended, as its status says.
    fn note_ended(&self, event: &mut EventState, ended: impl IntoIterator<Item = DeliverySummary>) {
        let namespace = &event.key.namespace;
        let run = |summary: DeliverySummary| {
            let known = self.webhooks.get(namespace, &summary.name);
            let uid = known.map_or_else(|| Arc::from(""), |known| Arc::clone(&known.uid));
            (Arc::from(summary.name.as_str()), WebhookRun { uid, stage: Stage::Ended, summary: Some(summary), cost: 0 })
        };
        event.runs = ended.into_iter().map(run).collect();
        let ids: HashSet<&str> = event
            .runs
            .keys()
            .filter_map(|name| Some(self.webhooks.get(namespace, name)?.webhook.id.as_str()))
            .collect();
        event.unknown.retain(|named| !event.runs.contains_key(named.as_str()) && !ids.contains(named.as_str()));
    }

    /// The number of an event of which some is to be sent again; what its status says of the others stays. None if nothing is
    /// begun any more.
    pub(super) fn reopen(&mut self, seen: &SeenEvent, now: Now) -> Option<u64> {
        if !self.numbers.contains_key(&seen.key.uid) {
            if seen.is_completed() {
                let event = self.completed(seen, now);
                self.insert(event);
            } else {
                self.admit_read(seen, None, now);
            }
        }
        self.numbers.get(&seen.key.uid).copied()
    }

    /// The webhooks that an event is for, but for those that are known to have had it.
    fn webhooks_for(&self, event: &EventState) -> Vec<Arc<KnownWebhook>> {
        let (namespace, before) = (&event.key.namespace, event.webhooks_created_until());
        let mut webhooks = self.webhooks.matching(namespace, &event.facts, before);
        if event.status == StatusState::UpToDate {
            // What came with it may have come after its end.
            webhooks.retain(|known| known.came_with(event.created) && !event.runs.contains_key(&known.name.name));
            return webhooks;
        }
        if !event.begun_elsewhere.is_empty() || (event.is_of_other_process() && self.responses.has_any(&event.key)) {
            let also = |known: &&Arc<KnownWebhook>| {
                !known.runs(&event.facts, before) && self.was_begun_elsewhere(event, known)
            };
            webhooks.extend(self.webhooks.in_namespace(namespace).filter(also).cloned());
        }
        webhooks
    }

    /// Whether another process has begun with a webhook's run, so that it goes on though the webhook, as it is now, is not for
    /// the event.
    pub(super) fn was_begun_elsewhere(&self, event: &EventState, known: &KnownWebhook) -> bool {
        // Of what is sent again, there are responses of the time before.
        let was_there = || !event.is_redelivery() && self.responses.has(&event.key, &known.name.name);
        event.is_of_other_process()
            && known.existed(event.webhooks_created_until())
            && (event.begun_elsewhere.contains(&*known.name.name) || was_there())
    }

    /// Adds a webhook's run to an event. `is_read` says that the event is read again, in its order.
    pub(super) fn add_run(&mut self, number: u64, known: &KnownWebhook, is_read: bool, now: Now) {
        let Some(created) = self.events.get(&number).map(|event| event.created) else { return };
        let may_hold = self.may_hold(known, created, is_read);
        self.open_run(number, &known.name.name, WebhookRun::new(&known.uid, Step::Parked, None));
        let Some(event) = self.events.get_mut(&number) else { return };
        event.unknown.retain(|named| **named != *known.name.name && *named != known.webhook.id);
        if may_hold {
            self.begin_run(number, known, now);
        }
    }

    /// Adds a run to an event, or puts it in the place of one that has ended.
    pub(super) fn open_run(&mut self, number: u64, webhook: &Arc<str>, run: WebhookRun) {
        let Some(event) = self.events.get_mut(&number) else { return };
        let before = event.cost;
        event.open_run(webhook, run);
        self.shares.take(&event.key.namespace, event.cost - before);
    }

    /// Lets a run wait for its turn in the alert group.
    pub(super) fn begin_run(&mut self, number: u64, known: &KnownWebhook, now: Now) {
        let webhook = &known.name.name;
        self.hold_cost(number, webhook, COST);
        let Some(event) = self.events.get_mut(&number) else { return };
        event.set_step(webhook, Step::Ordered);
        let is_awaited = !self.dispatcher.is_stuck(&known.name);
        let order = self.orders.entry(event.alert_group()).or_default();
        let next = order.add(number, webhook, known.webhook.reads_responses, is_awaited);
        self.begin(next, now);
    }

    /// Notes how many bytes the delivery of a run counts for.
    pub(super) fn hold_cost(&mut self, number: u64, webhook: &Arc<str>, cost: usize) {
        let Some(event) = self.events.get_mut(&number) else { return };
        let Some(run) = event.runs.get_mut(webhook) else { return };
        let name = NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(webhook));
        self.shares.give_back_for(&name, std::mem::replace(&mut run.cost, cost));
        self.shares.take_for(&name, cost);
    }

    /// Ends a run of an event, and draws the consequences.
    pub(super) fn end_run(&mut self, number: u64, webhook: &Arc<str>, now: Now) {
        self.hold_cost(number, webhook, 0);
        if let Some(namespace) = self.events.get(&number).map(|event| Arc::clone(&event.key.namespace)) {
            self.room_changed(&namespace);
        }
        if self.events.get_mut(&number).is_some_and(|event| event.end_run(webhook)) {
            self.settle(number, now);
        }
    }

    /// Keeps an event from its end while it may be for a webhook of which nothing is known because it can't be read.
    fn hold_while_unreadable(&mut self, number: u64) {
        if let Some(event) = self.events.get_mut(&number)
            && !event.awaits_unreadable
            && event.facts.event_type.is_some()
            && !event.is_settled()
            && self.webhooks.has_unreadable(&event.key.namespace)
        {
            event.awaits_unreadable = true;
            self.namespaces_awaiting_unreadable.insert(Arc::clone(&event.key.namespace));
        }
    }

    /// Lets the events of a namespace end, if there is no webhook any more that can't be read.
    fn release_held(&mut self, namespace: &Arc<str>, now: Now) {
        if !self.namespaces_awaiting_unreadable.contains(namespace) || self.webhooks.has_unreadable(namespace) {
            return;
        }
        self.namespaces_awaiting_unreadable.remove(namespace);
        let mut ended = Vec::new();
        let held =
            self.events.iter_mut().filter(|(_, event)| event.awaits_unreadable && event.key.namespace == *namespace);
        for (number, event) in held {
            event.awaits_unreadable = false;
            ended.push(*number);
        }
        ended.into_iter().for_each(|number| self.settle(number, now));
    }

    /// Ends an event.
    pub(super) fn end_event(&mut self, number: u64, now: Now) {
        let Some(event) = self.events.get(&number) else { return };
        let key = || -> Arc<EventKey> { Arc::clone(&event.key) };
        self.effects.extend([Effect::ForgetData(key()), Effect::ReviewEvent(key())]);
        self.remember(number, now);
    }

    /// Keeps an event that needs nothing more for a while.
    fn remember(&mut self, number: u64, now: Now) {
        let Some(event) = self.events.get_mut(&number).filter(|event| event.is_over()) else { return };
        let until = now.instant + REMEMBERED;
        event.remembered_until = Some(until);
        self.is_room_changed = true;
        self.remembered_of.entry(Arc::clone(&event.key.namespace)).or_default().push_back(number);
        self.remembered.push_back((until, number));
    }

    fn forget_old(&mut self, now: Now) {
        if self.none_forgotten_until.is_some_and(|until| now.instant < until) {
            return;
        }
        while let Some((until, number)) = self.remembered.front().copied().filter(|(until, _)| *until <= now.instant) {
            self.remembered.pop_front();
            let is_due = |event: &&EventState| event.is_over() && event.remembered_until == Some(until);
            let Some(event) = self.events.get(&number).filter(is_due) else { continue };
            let namespace = Arc::clone(&event.key.namespace);
            self.remove_event(number);
            if let Some(remembered) = self.remembered_of.get_mut(&namespace) {
                // One that was opened again is added anew at its end.
                let is_over = |front: &u64| self.events.get(front).is_some_and(EventState::is_over);
                while remembered.front().is_some_and(|front| !is_over(front) || *front == number) {
                    remembered.pop_front();
                }
                if remembered.is_empty() {
                    self.remembered_of.remove(&namespace);
                }
            }
        }
    }

    pub(super) fn webhook_appeared(&mut self, known: &Arc<KnownWebhook>, now: Now) {
        self.webhooks.insert(Arc::clone(known));
        // What was there under this name is another one.
        self.dispatcher.renew(&known.name, now.instant);
        self.hold(&known.name, known.is_held, now);
        self.add_to_earlier_events(known, now);
        self.read_for_new_webhook(&known.name.namespace);
        self.release_held(&known.name.namespace, now);
        for (response, value) in self.redeliveries_of_unreadable.remove(&known.name).into_iter().flatten() {
            let response = NamespacedName::new(Arc::clone(&known.name.namespace), response);
            self.redelivery_asked(response, value);
        }
    }

    /// Runs a webhook that the watch has shown just now for the events that it was there for.
    fn add_to_earlier_events(&mut self, known: &KnownWebhook, now: Now) {
        let is_late = |event: &EventState| {
            event.key.namespace == known.name.namespace
                && event.status != StatusState::EventDeleted
                && !event.runs.contains_key(&known.name.name)
                && (known.runs(&event.facts, event.created) || self.was_begun_elsewhere(event, known))
        };
        let late = self.events.iter().filter(|(_, event)| is_late(event)).map(|(number, _)| *number);
        let mut late: Vec<u64> = late.collect();
        late.sort_unstable();
        for number in late {
            self.add_run(number, known, false, now);
            self.settle(number, now);
        }
    }

    pub(super) fn webhook_changed(&mut self, known: &Arc<KnownWebhook>, now: Now) {
        self.webhooks.insert(Arc::clone(known));
        let change = self.dispatcher.renew(&known.name, now.instant);
        self.hold(&known.name, known.is_held, now);
        self.endpoint_changed(&known.name, change, now);
    }

    pub(super) fn webhook_gone(&mut self, name: &NamespacedName, now: Now) {
        self.webhooks.remove(name);
        self.end_queued(name, now);
        self.end_parked(name, now);
        self.redeliveries_of_unreadable.remove(name);
        self.release_held(&name.namespace, now);
    }

    pub(super) fn webhook_unreadable(&mut self, name: &NamespacedName) {
        self.webhooks.insert_unreadable(name);
        let is_open = |event: &EventState| event.key.namespace == name.namespace && !event.has_ended();
        let open = self.events.iter().filter(|(_, event)| is_open(event)).map(|(number, _)| *number);
        for number in open.collect::<Vec<_>>() {
            self.hold_while_unreadable(number);
        }
    }

    /// Draws the consequences of a change of an endpoint.
    pub(super) fn endpoint_changed(&mut self, webhook: &NamespacedName, change: Option<EndpointChange>, now: Now) {
        let Some(change) = change else { return };
        self.room_changed(&webhook.namespace);
        match change {
            EndpointChange::Failing => {
                self.effects.push(Effect::EndpointFailing(webhook.clone()));
                self.stop_waiting_for(webhook, now);
            }
            EndpointChange::Recovered => self.effects.push(Effect::EndpointRecovered(webhook.clone())),
        }
        self.effects.push(Effect::ReviewWebhook(webhook.clone()));
    }
}
