//! Events that are folded into alert groups: what they fire follows from their verdict, and their end waits for the alert group to be
//! written.
//!
//! ```text
//! admitted ─► fold ─► verdict ─► the webhooks of its type run, at once
//!                        └─► WriteAlertGroup ─► AlertGroupWritten ─► the status of the event may be written
//! ```

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use jiff::Timestamp;

use super::{
    Effect, Lifecycle, Now,
    event::{EventRecord, EventState, Origin, SeenEvent},
};
use crate::{
    alert_groups::{
        AlertGroup, AlertGroupWrite, EventReference, FoldRequest, Heard, HeartbeatEvent, IntegrationFacts, Timer,
        Verdict,
    },
    event::EventFacts,
    intake::HEARTBEAT_GROUPING_ID,
    name::NamespacedName,
    webhook::EventType,
};

/// What came of an event that was folded, as its status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldRecord {
    /// What came of it.
    pub verdict: Verdict,
    /// Name and id of the alert group; None if there is none.
    pub group: Option<(Arc<str>, Arc<str>)>,
}

/// The facts of an event that fires nothing.
static NO_FACTS: LazyLock<Arc<EventFacts>> = LazyLock::new(|| {
    Arc::new(EventFacts {
        event_type: None,
        alert_group_id: Arc::from(""),
        integration_id: None,
        webhook_refs: Vec::new(),
    })
});

/// An event that was folded.
#[derive(Clone, Debug)]
pub(super) struct EventFold {
    pub(super) record: FoldRecord,
    /// The revision of the alert group that tells of it.
    revision: u64,
}

/// An event whose data is made from an alert group.
#[derive(Clone, Debug)]
pub struct FoldedEvent {
    /// What came of it.
    pub verdict: Verdict,
    /// The name of the alert group; None if there is none.
    pub name: Option<Arc<str>>,
    /// The alert group as it is; None if it is gone, or was forgotten to make room for others.
    pub group: Option<AlertGroup>,
}

impl Lifecycle {
    /// Begins with the state of an event that was seen: folds it, if it is to be folded and was not yet.
    pub(super) fn new_event(&mut self, seen: &SeenEvent, origin: Origin, now: Instant) -> EventState {
        let mut event = EventState::new(seen, origin, now);
        let Some(request) = &seen.request else { return event };
        let fold = match seen.record.as_ref().and_then(|record| record.fold.clone()) {
            Some(record) => EventFold { record, revision: 0 },
            None => self.fold(seen, request),
        };
        event.facts = self.facts_of(&seen.key.namespace, &fold.record, request);
        event.unknown = event.facts.webhook_refs.clone();
        event.fold = Some(fold);
        event
    }

    /// The facts that decide which webhooks run for an event, as its status says.
    pub(super) fn facts_as_recorded(&self, seen: &SeenEvent) -> Arc<EventFacts> {
        let recorded = |record: &EventRecord| record.fold.clone();
        match (&seen.request, seen.record.as_ref().and_then(recorded)) {
            (None, _) => Arc::clone(&seen.facts),
            (Some(request), Some(record)) => self.facts_of(&seen.key.namespace, &record, request),
            (Some(_), None) => Arc::clone(&NO_FACTS),
        }
    }

    fn fold(&mut self, seen: &SeenEvent, request: &FoldRequest) -> EventFold {
        let namespace = &seen.key.namespace;
        self.note_received(namespace, seen.created, request);
        let event = EventReference { name: Arc::from(&*seen.key.name), uid: Arc::from(&*seen.key.uid) };
        let folded = self.alert_groups.fold(namespace, &event, &(seen.created, seen.version.clone()), request);
        let name = folded.group.map(|group| NamespacedName::new(Arc::clone(namespace), group));
        let revision = name.as_ref().and_then(|name| self.alert_groups.unwritten(name)).unwrap_or_default();
        if let Some(name) = &name {
            self.recount(name);
        }
        if let Some(name) = name.clone().filter(|_| folded.is_changed) {
            // A count may wait for the next one.
            let is_urgent = folded.verdict != Verdict::Joined;
            self.effects.push(Effect::WriteAlertGroup { name, is_urgent });
        }
        let group = name.and_then(|name| self.alert_groups.get(&name));
        let group = group.map(|group| (Arc::clone(&group.name), Arc::clone(&group.id)));
        EventFold { record: FoldRecord { verdict: folded.verdict, group }, revision }
    }

    /// Notes that an Integration has received something.
    fn note_received(&mut self, namespace: &Arc<str>, at: Timestamp, request: &FoldRequest) {
        let FoldRequest::Alert(report) = request else { return };
        // That nothing is received is our own event.
        if *report.grouping_id == *HEARTBEAT_GROUPING_ID {
            return;
        }
        let integration = NamespacedName::new(Arc::clone(namespace), Arc::clone(&report.integration));
        if let Some(restored) = self.alert_groups.received(&integration, at) {
            self.effects.push(Effect::CreateHeartbeatEvent(restored));
        }
        self.effects.push(Effect::AlertReceived(integration, at));
    }

    fn facts_of(&self, namespace: &Arc<str>, record: &FoldRecord, request: &FoldRequest) -> Arc<EventFacts> {
        let (named, webhook_refs) = match request {
            FoldRequest::Alert(_) => (EventType::default(), Vec::new()),
            FoldRequest::Change(change) => (change.event_type, change.webhook_refs.clone()),
        };
        let (Some(event_type), Some((name, id))) = (record.verdict.event_type(named), &record.group) else {
            return Arc::clone(&NO_FACTS);
        };
        let known = self.alert_groups.get(&NamespacedName::new(Arc::clone(namespace), Arc::clone(name)));
        let reported = match request {
            FoldRequest::Alert(report) => Some(&report.integration_id),
            FoldRequest::Change(_) => None,
        };
        let integration_id = known.map(|group| &group.integration_id).or(reported).map(ToString::to_string);
        let webhook_refs = if event_type.names_webhooks() { webhook_refs } else { Vec::new() };
        Arc::new(EventFacts {
            event_type: Some(event_type),
            alert_group_id: Arc::clone(id),
            integration_id,
            webhook_refs,
        })
    }

    /// Whether the status of an event may be written: its alert group tells of it.
    pub(super) fn is_folded_in(&self, event: &EventState) -> bool {
        let Some(EventFold { record: FoldRecord { group: Some((name, _)), .. }, revision }) = &event.fold else {
            return true;
        };
        let name = NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(name));
        self.alert_groups.is_written(&name, *revision)
    }

    /// Takes in an alert group as it is written.
    pub(super) fn alert_group_listed(&mut self, namespace: &Arc<str>, group: AlertGroup) {
        let name = NamespacedName::new(Arc::clone(namespace), Arc::clone(&group.name));
        self.alert_groups.insert(namespace, group);
        self.recount(&name);
    }

    /// Counts what an alert group takes of its namespace's share of memory.
    fn recount(&mut self, name: &NamespacedName) {
        let (before, now) = self.alert_groups.recount(name);
        self.shares.give_back(&name.namespace, before);
        self.shares.take(&name.namespace, now);
    }

    /// Forgets an alert group of a namespace that is resolved, to make room for others. False if there is none.
    pub(super) fn forget_resolved(&mut self, namespace: &Arc<str>) -> bool {
        let Some(bytes) = self.alert_groups.forget_resolved(namespace) else { return false };
        self.shares.give_back(namespace, bytes);
        true
    }

    /// Takes in that an alert group is deleted: what tells of it has nothing to wait for any more.
    pub(super) fn alert_group_gone(&mut self, name: &NamespacedName) {
        let bytes = self.alert_groups.remove(name);
        self.shares.give_back(&name.namespace, bytes);
        self.is_room_changed = true;
        self.review_folded_into(name);
    }

    pub(super) fn alert_group_written(&mut self, name: &NamespacedName, write: &AlertGroupWrite) {
        self.alert_groups.written(name, write);
        self.review_folded_into(name);
    }

    fn review_folded_into(&mut self, name: &NamespacedName) {
        let uids = self.awaiting_group.remove(name).unwrap_or_default();
        let mut waiting = Vec::new();
        for uid in uids {
            let Some(event) = self.numbers.get(&uid).and_then(|number| self.events.get(number)) else { continue };
            if self.is_folded_in(event) {
                self.effects.push(Effect::ReviewEvent(Arc::clone(&event.key)));
            } else {
                waiting.push(uid);
            }
        }
        if !waiting.is_empty() {
            self.awaiting_group.insert(name.clone(), waiting);
        }
    }

    /// Notes that an event waits for its alert group to be written.
    pub(super) fn await_group(&mut self, number: u64) {
        let Some(event) = self.events.get(&number).filter(|event| !self.is_folded_in(event)) else { return };
        let group = event.fold.as_ref().and_then(|fold| fold.record.group.as_ref());
        let Some((name, _)) = group else { return };
        let name = NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(name));
        self.awaiting_group.entry(name).or_default().push(event.key.uid.clone());
    }

    pub(super) fn integration_seen(&mut self, integration: &NamespacedName, facts: IntegrationFacts, now: Now) {
        self.alert_groups.set_integration(integration, facts, now.time);
    }

    pub(super) fn integration_gone(&mut self, integration: &NamespacedName) {
        self.alert_groups.remove_integration(integration);
    }

    pub(super) fn timer_failed(&mut self, timer: &Timer) {
        self.alert_groups.timer_failed(timer);
    }

    pub(super) fn heartbeat_failed(&mut self, event: &HeartbeatEvent) {
        self.alert_groups.heartbeat_failed(event);
    }

    /// Has the events created of the timers whose time has come.
    pub(super) fn start_timers(&mut self, now: Now) {
        // Before the first list has ended, an event may be there already that changes what is due.
        if self.is_stopped || !self.is_listed {
            return;
        }
        let timers = self.alert_groups.take_due(now.time);
        self.effects.extend(timers.into_iter().map(Effect::CreateTimerEvent));
        let missing = self.alert_groups.take_missing_heartbeats(now.time);
        self.effects.extend(missing.into_iter().map(Effect::CreateHeartbeatEvent));
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self, now: Now) -> Option<Instant> {
        let due: Timestamp = self.alert_groups.next_due().filter(|_| self.is_listed)?;
        Some(now.instant_of(due))
    }

    /// What is to be written of an alert group; None if nothing is, or it is gone.
    pub fn alert_group_to_write(&self, name: &NamespacedName) -> Option<AlertGroupWrite> {
        self.alert_groups.to_write(name)
    }

    /// The alert group of a name, as it is.
    pub fn alert_group(&self, name: &NamespacedName) -> Option<&AlertGroup> {
        self.alert_groups.get(name)
    }

    /// The names of the alert groups that are in the API server, as far as is known.
    pub fn stored_alert_groups(&self) -> impl Iterator<Item = NamespacedName> {
        self.alert_groups.stored()
    }

    /// How many alert groups of an Integration are not resolved.
    pub fn open_alert_groups(&self, integration: &NamespacedName) -> usize {
        self.alert_groups.open_of(integration)
    }

    /// How many alert groups of a namespace are not resolved.
    pub fn open_in(&self, namespace: &str) -> usize {
        self.alert_groups.open_in(namespace)
    }

    /// Whether an Integration receives something as often as it should; None if that does not matter.
    pub fn heard(&self, integration: &NamespacedName) -> Option<Heard> {
        self.alert_groups.heard(integration)
    }

    /// What came of an event, and the alert group as it is; None for an event that is not folded, or not known.
    pub fn folded(&self, uid: &str) -> Option<FoldedEvent> {
        let event = self.events.get(self.numbers.get(uid)?)?;
        let record = &event.fold.as_ref()?.record;
        let name = record.group.as_ref().map(|(name, _)| Arc::clone(name));
        let group = name.as_ref().and_then(|name| {
            self.alert_groups.get(&NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(name)))
        });
        Some(FoldedEvent { verdict: record.verdict, group: group.cloned(), name })
    }
}
