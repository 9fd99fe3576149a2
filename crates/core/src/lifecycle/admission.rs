//! Events from the time that they are seen until they are forgotten, and the webhooks that they are for.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    Effect, Lifecycle, ListedEvent, Now, REMEMBERED,
    event::{EventState, Origin, Request, SeenEvent, Stage, StatusState, Step, WebhookRun},
    webhooks::KnownWebhook,
};
use crate::{
    delivery::{DeliverySummary, EventKey},
    dispatch::EndpointChange,
    name::NamespacedName,
};

impl Lifecycle {
    /// Whether an event is to be admitted: it is not completed, or is to be sent again, and is not being deleted and not here
    /// yet. Its data will be needed.
    pub fn wants(&self, seen: &SeenEvent) -> bool {
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
        if is_wanted {
            self.admit(EventState::new(seen, self.origin_of(seen), now.instant), now);
        }
        self.forget_old(now);
    }

    pub(super) fn event_list_ended(&mut self, listed: &[ListedEvent], now: Now) {
        let mut uids = HashSet::new();
        let mut admitted = Vec::new();
        for listed in listed {
            let seen = match listed {
                ListedEvent::Readable(seen) => seen,
                ListedEvent::Unreadable(uid) => {
                    uids.insert(uid.as_str());
                    continue;
                }
            };
            uids.insert(&seen.key.uid);
            if self.wants(seen) {
                admitted.push(EventState::new(seen, self.origin_of(seen), now.instant));
            } else if self.is_to_be_remembered(seen, now) {
                admitted.push(self.completed(seen, now));
            }
            self.event_shown(seen, now);
        }
        self.is_listed = true;
        let gone: Vec<String> = self.numbers.keys().filter(|uid| !uids.contains(uid.as_str())).cloned().collect();
        gone.iter().for_each(|uid| self.event_gone(uid, now));
        // A list is in the order of names.
        admitted.sort_by(|one, two| (one.created, &one.version).cmp(&(two.created, &two.version)));
        for event in admitted {
            self.admit(event, now);
        }
        for (response, value) in std::mem::take(&mut self.early_redeliveries) {
            self.effects.push(Effect::ReadResponse(response, value));
        }
        self.forget_old(now);
    }

    /// Takes in that an event is deleted: nothing more is written of it, and what is on the way ends.
    pub(super) fn event_gone(&mut self, uid: &str, now: Now) {
        if let Some((number, event)) = self.event_of(uid) {
            event.status = StatusState::EventDeleted;
            event.awaits_unreadable = false;
            self.remember(number, now);
        }
        self.forget_old(now);
    }

    /// Takes in what the status of an event says. If that is all that is known now, its end is written out: a webhook that
    /// came late may have added to it since.
    fn event_shown(&mut self, seen: &SeenEvent, now: Now) {
        let Some(record) = seen.record.as_ref().filter(|record| record.is_completed) else { return };
        let Some((number, event)) = self.event_of(&seen.key.uid) else { return };
        if event.has_ended()
            && event.redelivery_value() == record.redelivered.as_ref()
            && event.summaries() == record.deliveries
        {
            event.confirm_status();
            self.remember(number, now);
        }
    }

    pub(super) fn event_status_confirmed(&mut self, seen: &SeenEvent, now: Now) {
        let Some((number, event)) = self.event_of(&seen.key.uid) else { return };
        if !event.has_ended() {
            return;
        }
        event.confirm_status();
        let asked_since =
            seen.is_completed() && seen.asks_for_redelivery() && event.redelivery_value() != seen.asked.as_ref();
        self.remember(number, now);
        if asked_since {
            self.admit(EventState::new(seen, Origin::FirstList, now.instant), now);
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
    fn admit(&mut self, event: EventState, now: Now) {
        let known = self.numbers.get(&event.key.uid).copied();
        if self.is_stopped || known.and_then(|number| self.events.get(&number)).is_some_and(|event| !event.has_ended())
        {
            return;
        }
        if let Some(number) = known {
            self.events.remove(&number);
        }
        let webhooks = self.webhooks_for(&event);
        let number = self.insert(event);
        for webhook in &webhooks {
            self.add_run(number, webhook, now);
        }
        self.hold_while_unreadable(number);
        if self.events.get(&number).is_some_and(EventState::has_ended) {
            self.end_event(number, now);
        }
    }

    fn insert(&mut self, event: EventState) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(event.key.uid.clone(), number);
        self.events.insert(number, event);
        number
    }

    /// The state of an event that has ended, as its status says.
    fn completed(&self, seen: &SeenEvent, now: Now) -> EventState {
        let mut event = EventState::new(seen, Origin::FirstList, now.instant);
        let record = seen.record.clone().unwrap_or_default();
        event.request = Request::Initial { answers: record.redelivered };
        event.status = StatusState::UpToDate;
        let namespace = &seen.key.namespace;
        let run = |summary: DeliverySummary| {
            let known = self.webhooks.get(namespace, &summary.name);
            let uid = known.map_or_else(|| Arc::from(""), |known| Arc::clone(&known.uid));
            (Arc::from(summary.name.as_str()), WebhookRun { uid, stage: Stage::Ended, summary: Some(summary) })
        };
        event.runs = record.deliveries.into_iter().map(run).collect();
        let ids: HashSet<&str> = event
            .runs
            .keys()
            .filter_map(|name| Some(self.webhooks.get(namespace, name)?.webhook.id.as_str()))
            .collect();
        event.unknown.retain(|named| !event.runs.contains_key(named.as_str()) && !ids.contains(named.as_str()));
        event
    }

    /// The number of an event of which some is to be sent again; what its status says of the others stays.
    pub(super) fn reopen(&mut self, seen: &SeenEvent, now: Now) -> u64 {
        match self.numbers.get(&seen.key.uid) {
            Some(number) => *number,
            None => {
                let event = self.completed(seen, now);
                self.insert(event)
            }
        }
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
    fn was_begun_elsewhere(&self, event: &EventState, known: &KnownWebhook) -> bool {
        // Of what is sent again, there are responses of the time before.
        let was_there = || !event.is_redelivery() && self.responses.has(&event.key, &known.name.name);
        event.is_of_other_process()
            && known.existed(event.webhooks_created_until())
            && (event.begun_elsewhere.contains(&*known.name.name) || was_there())
    }

    /// Adds a webhook's run to an event.
    fn add_run(&mut self, number: u64, known: &KnownWebhook, now: Now) {
        let Some(event) = self.events.get_mut(&number) else { return };
        let webhook = &known.name.name;
        event.open_run(webhook, WebhookRun::new(&known.uid, Step::Ordered, None));
        event.unknown.retain(|named| **named != **webhook && *named != known.webhook.id);
        let is_awaited = !self.dispatcher.is_stuck(&known.name);
        let order = self.orders.entry(event.alert_group()).or_default();
        let next = order.add(number, webhook, known.webhook.reads_responses, is_awaited);
        self.begin(next, now);
    }

    /// Keeps an event from its end while it may be for a webhook of which nothing is known because it can't be read.
    fn hold_while_unreadable(&mut self, number: u64) {
        if let Some(event) = self.events.get_mut(&number)
            && !event.awaits_unreadable
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
            ended.extend(event.has_ended().then_some(*number));
        }
        ended.into_iter().for_each(|number| self.end_event(number, now));
    }

    /// Ends an event.
    pub(super) fn end_event(&mut self, number: u64, now: Now) {
        let Some(event) = self.events.get(&number) else { return };
        let key = || -> Arc<EventKey> { Arc::clone(&event.key) };
        self.effects.extend([Effect::ForgetData(key()), Effect::WriteEvent(key())]);
        self.remember(number, now);
    }

    /// Keeps an event that needs nothing more for a while.
    fn remember(&mut self, number: u64, now: Now) {
        if self.events.get(&number).is_some_and(EventState::is_over) {
            self.remembered.push_back((now.instant + REMEMBERED, number));
        }
    }

    fn forget_old(&mut self, now: Now) {
        if self.none_forgotten_until.is_some_and(|until| now.instant < until) {
            return;
        }
        while self.remembered.front().is_some_and(|(until, _)| *until <= now.instant) {
            let Some((_, number)) = self.remembered.pop_front() else { return };
            if self.events.get(&number).is_some_and(EventState::is_over)
                && let Some(event) = self.events.remove(&number)
            {
                self.numbers.remove(&event.key.uid);
            }
        }
    }

    pub(super) fn webhook_appeared(&mut self, known: &Arc<KnownWebhook>, now: Now) {
        self.webhooks.insert(Arc::clone(known));
        // What was there under this name is another one.
        self.dispatcher.renew(&known.name, now.instant);
        self.hold(&known.name, known.is_held, now);
        self.add_to_earlier_events(known, now);
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
            self.add_run(number, known, now);
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
