//! Alert groups: what alerts and people's changes make of them.
//!
//! ```text
//! AlertGroupEvent (spec.alert, spec.alertGroupRef) ─► FoldRequest ─► AlertGroups::fold ─► Verdict, AlertGroup
//!                                                                        │
//!                                    Timer (end of a silence, escalation) ◄──┘
//! ```
//! Events are folded in the order of their creation, by the leader alone. Each change of an alert group notes the event that made it,
//! so that folding an event again, after a crash, gives the same [`Verdict`].
//!
//! The states and what leads from one to the other are those of Grafana OnCall (`engine/apps/alerts/models/alert_group.py`), and the
//! refusals those of its API (`engine/apps/public_api/views/alert_groups.py`).

mod changes;
mod done;
mod fold;
mod group;
mod heartbeats;
mod namespace;
mod request;
mod timers;
mod verdict;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

pub(crate) use self::group::SKEW;
pub use self::{
    done::{Act, AlertGroupState, Done},
    fold::Folded,
    group::{AlertGroup, Escalation, EventReference, Labels, Position, Silence, Transition, inherited_labels},
    heartbeats::{Heard, HeartbeatEvent},
    request::{AlertReport, ChangeRequest, FoldRequest, Until},
    timers::{Timer, TimerKind},
    verdict::Verdict,
};
use self::{
    heartbeats::Heartbeats,
    namespace::{KnownGroup, NamespaceGroups, Origin},
};
use crate::{
    intake::{HEARTBEAT_GROUPING_ID, Heartbeat},
    name::NamespacedName,
};

/// What alerts are grouped by: the name of an Integration, and the id that its template gave.
type GroupingKey = (Arc<str>, Arc<str>);

/// A step of the escalation of an Integration's alert groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationStep {
    /// How long after the escalation began.
    pub after: Duration,
    /// Names or ids of the webhooks that run.
    pub webhook_refs: Vec<String>,
}

/// An alert group that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertGroupWrite {
    /// The alert group.
    pub group: AlertGroup,
    /// Grows with each change.
    revision: u64,
    /// Whether the object is to be created.
    pub is_new: bool,
    /// Whether its last alert is not written yet.
    pub is_new_alert: bool,
}

/// The alert groups of all namespaces.
#[derive(Debug, Default)]
pub struct AlertGroups {
    namespaces: HashMap<Arc<str>, NamespaceGroups>,
    /// When what is to happen to which alert group.
    due: BTreeSet<(Timestamp, NamespacedName)>,
    heartbeats: Heartbeats,
}

/// What the operator needs to know of an Integration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegrationFacts {
    /// Its id.
    pub id: Arc<str>,
    /// The labels of the alert groups that it opens ([`inherited_labels`]).
    pub labels: Labels,
    /// The steps of the escalation of its alert groups.
    pub escalation: Vec<EscalationStep>,
    /// How long it may receive nothing.
    pub heartbeat: Option<Duration>,
    /// When it last received something, as its status says.
    pub last_received: Option<Timestamp>,
}

impl AlertGroups {
    /// Takes in an alert group as it is written. One that is known stays as it is: nobody else writes it.
    pub fn insert(&mut self, namespace: &Arc<str>, group: AlertGroup) {
        let of_namespace = self.namespaces.entry(Arc::clone(namespace)).or_default();
        if of_namespace.groups.contains_key(&group.name) {
            return;
        }
        let name = Arc::clone(&group.name);
        of_namespace.insert(KnownGroup::stored(group));
        self.set_timer(&NamespacedName::new(Arc::clone(namespace), name));
    }

    /// Takes in that an alert group is deleted. Returns how many bytes it counted for.
    pub fn remove(&mut self, name: &NamespacedName) -> usize {
        let Some(of_namespace) = self.namespaces.get_mut(&name.namespace) else { return 0 };
        let Some(known) = of_namespace.remove(&name.name) else { return 0 };
        if of_namespace.is_empty() {
            self.namespaces.remove(&name.namespace);
        }
        if let Some(due) = known.due {
            self.due.remove(&(due, name.clone()));
        }
        known.cost
    }

    /// Counts the bytes that an alert group takes. Returns how many it counted for before, and does now.
    pub fn recount(&mut self, name: &NamespacedName) -> (usize, usize) {
        let Some(known) = self.known_mut(name) else { return (0, 0) };
        let cost = known.group.cost();
        (std::mem::replace(&mut known.cost, cost), cost)
    }

    /// Forgets the alert group of a namespace that was resolved first, of those that are written. Returns how many bytes it counted for;
    /// None if there is none.
    pub fn forget_resolved(&mut self, namespace: &Arc<str>) -> Option<usize> {
        let of_namespace = self.namespaces.get_mut(namespace)?;
        let mut kept = Vec::new();
        let found = loop {
            let Some(name) = of_namespace.resolved.pop_front() else { break None };
            match of_namespace.groups.get(&name).filter(|known| known.group.is_resolved()) {
                Some(known) if known.is_written() => break Some(name),
                Some(_) => kept.push(name),
                None => {}
            }
        };
        kept.into_iter().rev().for_each(|name| of_namespace.resolved.push_front(name));
        Some(self.remove(&NamespacedName::new(Arc::clone(namespace), found?)))
    }

    /// Takes in an Integration that is new or has changed.
    pub fn set_integration(&mut self, integration: &NamespacedName, facts: IntegrationFacts, now: Timestamp) {
        self.heartbeats.set(integration, facts.heartbeat, facts.last_received, now);
        let of_namespace = self.namespaces.entry(Arc::clone(&integration.namespace)).or_default();
        let origin = Origin { id: facts.id, labels: facts.labels };
        of_namespace.origins.insert(Arc::clone(&integration.name), origin);
        self.set_escalation(integration, facts.escalation);
    }

    /// Takes in that an Integration is gone.
    pub fn remove_integration(&mut self, integration: &NamespacedName) {
        self.heartbeats.remove(integration);
        self.set_escalation(integration, Vec::new());
        let Some(of_namespace) = self.namespaces.get_mut(&integration.namespace) else { return };
        of_namespace.origins.remove(&integration.name);
        if of_namespace.is_empty() {
            self.namespaces.remove(&integration.namespace);
        }
    }

    /// Takes in that an Integration has received something. Returns the event that tells so, if it had not for too long.
    pub fn received(&mut self, integration: &NamespacedName, at: Timestamp) -> Option<HeartbeatEvent> {
        // The same for all that is received until the event is folded.
        let opened = self.missed_heartbeat(integration);
        self.heartbeats.received(integration, at);
        let at = opened.filter(|opened| *opened <= at)?;
        Some(HeartbeatEvent { integration: integration.clone(), heartbeat: Heartbeat::Restored, at })
    }

    /// When the alert group was opened that tells of a heartbeat that is missing; None if there is none.
    fn missed_heartbeat(&self, integration: &NamespacedName) -> Option<Timestamp> {
        let key = (Arc::clone(&integration.name), Arc::from(HEARTBEAT_GROUPING_ID));
        let of_namespace = self.namespaces.get(&integration.namespace)?;
        let groups = of_namespace.by_key.get(&key)?.iter().filter_map(|name| of_namespace.groups.get(name));
        groups.map(|known| &known.group).find(|group| group.is_open_for_grouping).map(AlertGroup::created_at)
    }

    /// Takes in that the event that tells of a heartbeat could not be created: a missing one is told again.
    pub fn heartbeat_failed(&mut self, event: &HeartbeatEvent) {
        if event.heartbeat == Heartbeat::Missing {
            self.heartbeats.tell_again(event);
        }
    }

    /// The heartbeats that are missing. Each is told once, until something is received again.
    pub fn take_missing_heartbeats(&mut self, now: Timestamp) -> Vec<HeartbeatEvent> {
        self.heartbeats.take_missing(now)
    }

    fn set_escalation(&mut self, integration: &NamespacedName, steps: Vec<EscalationStep>) {
        let of_namespace = self.namespaces.entry(Arc::clone(&integration.namespace)).or_default();
        if of_namespace.escalations.get(&integration.name).map_or(&[] as &[_], Vec::as_slice) == steps {
            return;
        }
        match steps.is_empty() {
            true => of_namespace.escalations.remove(&integration.name),
            false => of_namespace.escalations.insert(Arc::clone(&integration.name), steps),
        };
        let names: Vec<Arc<str>> = of_namespace.of(&integration.name).map(|group| Arc::clone(&group.name)).collect();
        for name in names {
            self.set_timer(&NamespacedName::new(Arc::clone(&integration.namespace), name));
        }
    }

    /// The alert group of a name.
    pub fn get(&self, name: &NamespacedName) -> Option<&AlertGroup> {
        Some(&self.known(name)?.group)
    }

    /// The revision of an alert group, which grows with each change; None if that is written.
    pub fn unwritten(&self, name: &NamespacedName) -> Option<u64> {
        self.known(name).filter(|known| !known.is_written()).map(|known| known.revision)
    }

    /// Whether an alert group is written as it was at a revision, or is gone.
    pub fn is_written(&self, name: &NamespacedName, revision: u64) -> bool {
        self.known(name).is_none_or(|known| known.written >= revision)
    }

    fn known(&self, name: &NamespacedName) -> Option<&KnownGroup> {
        self.namespaces.get(&name.namespace)?.groups.get(&name.name)
    }

    fn known_mut(&mut self, name: &NamespacedName) -> Option<&mut KnownGroup> {
        self.namespaces.get_mut(&name.namespace)?.groups.get_mut(&name.name)
    }

    /// The names of all alert groups that were written.
    pub fn stored(&self) -> impl Iterator<Item = NamespacedName> {
        self.namespaces.iter().flat_map(|(namespace, of_namespace)| {
            let stored = of_namespace.groups.values().filter(|known| !known.written_alert.is_empty());
            stored.map(|known| NamespacedName::new(Arc::clone(namespace), Arc::clone(&known.group.name)))
        })
    }

    /// Whether an Integration receives something as often as it should; None if that does not matter.
    pub fn heard(&self, integration: &NamespacedName) -> Option<Heard> {
        let heard = self.heartbeats.heard(integration)?;
        // What an earlier process missed.
        let is_missed = heard == Heard::Received && self.missed_heartbeat(integration).is_some();
        Some(if is_missed { Heard::Missed } else { heard })
    }

    /// How many alert groups of a namespace are not resolved.
    pub fn open_in(&self, namespace: &str) -> usize {
        self.namespaces.get(namespace).map_or(0, |of_namespace| of_namespace.open.values().sum())
    }

    /// How many alert groups of an Integration are not resolved.
    pub fn open_of(&self, integration: &NamespacedName) -> usize {
        let of_namespace = self.namespaces.get(&integration.namespace);
        of_namespace.and_then(|of_namespace| of_namespace.open.get(&integration.name)).map_or(0, |open| *open)
    }

    /// What is to be written of an alert group; None if nothing is, or it is gone.
    pub fn to_write(&self, name: &NamespacedName) -> Option<AlertGroupWrite> {
        let known = self.known(name).filter(|known| !known.is_written())?;
        let group = known.group.clone();
        let is_new_alert = known.written_alert != group.last_alert.uid;
        Some(AlertGroupWrite { revision: known.revision, is_new: known.written_alert.is_empty(), is_new_alert, group })
    }

    /// Takes in that an alert group is written so.
    pub fn written(&mut self, name: &NamespacedName, write: &AlertGroupWrite) {
        if let Some(known) = self.known_mut(name) {
            known.written = known.written.max(write.revision);
            known.written_alert = Arc::clone(&write.group.last_alert.uid);
        }
    }
}

#[cfg(test)]
impl AlertGroups {
    /// The names of all alert groups.
    pub(crate) fn names(&self) -> Vec<NamespacedName> {
        let of_namespace = |(namespace, of): (&Arc<str>, &NamespaceGroups)| {
            of.groups
                .keys()
                .map(|name| NamespacedName::new(Arc::clone(namespace), Arc::clone(name)))
                .collect::<Vec<_>>()
        };
        self.namespaces.iter().flat_map(of_namespace).collect()
    }
}

#[cfg(test)]
mod tests;
