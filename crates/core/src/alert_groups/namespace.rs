//! The alert groups of one namespace, and what finds them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    EscalationStep, GroupingKey, Labels,
    group::{AlertGroup, Transition},
    request::Until,
};

/// What an alert group has of its Integration when it is opened.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) id: Arc<str>,
    pub(super) labels: Labels,
}

/// The alert groups of one namespace.
#[derive(Debug, Default)]
pub(super) struct NamespaceGroups {
    /// By name.
    pub(super) groups: HashMap<Arc<str>, KnownGroup>,
    /// Names, in the order in which they were opened.
    pub(super) by_key: HashMap<GroupingKey, Vec<Arc<str>>>,
    /// Names of the groups that an event has changed, by its uid.
    pub(super) by_event: HashMap<Arc<str>, Arc<str>>,
    /// The Integrations, by name.
    pub(super) origins: HashMap<Arc<str>, Origin>,
    /// The steps of escalation, by name of the Integration.
    pub(super) escalations: HashMap<Arc<str>, Vec<EscalationStep>>,
    /// How many groups are not resolved, by name of the Integration.
    pub(super) open: HashMap<Arc<str>, usize>,
    /// Names of those that were resolved, in that order; some may be gone, or not resolved any more.
    pub(super) resolved: VecDeque<Arc<str>>,
}

/// An alert group, and how far it is written.
#[derive(Debug)]
pub(super) struct KnownGroup {
    pub(super) group: AlertGroup,
    /// Grows with each change in this process.
    pub(super) revision: u64,
    /// The revision that is written.
    pub(super) written: u64,
    /// Uid of the last alert that is written; empty if the object is not there yet.
    pub(super) written_alert: Arc<str>,
    /// The number of the timer whose event was asked for.
    pub(super) asked_timer: u64,
    /// When something happens to it by itself.
    pub(super) due: Option<Timestamp>,
    /// How many bytes it counts for.
    pub(super) cost: usize,
}

impl KnownGroup {
    /// A group that was just opened.
    pub(super) fn opened(group: AlertGroup) -> Self {
        Self { group, revision: 0, written: 0, written_alert: Arc::from(""), asked_timer: 0, due: None, cost: 0 }
    }

    /// A group as it is written.
    pub(super) fn stored(group: AlertGroup) -> Self {
        Self { written_alert: Arc::clone(&group.last_alert.uid), ..Self::opened(group) }
    }

    /// Whether its last change is written.
    pub(super) fn is_written(&self) -> bool {
        self.written >= self.revision
    }
}

impl NamespaceGroups {
    pub(super) fn insert(&mut self, known: KnownGroup) {
        let group = &known.group;
        let name = Arc::clone(&group.name);
        self.note_state((&name, &group.integration), None, group.is_resolved());
        for transition in &group.transitions {
            self.by_event.insert(Arc::clone(&transition.event.uid), Arc::clone(&name));
        }
        self.groups.insert(Arc::clone(&name), known);
        self.enter(&name);
    }

    /// Has a group found by its key.
    fn enter(&mut self, name: &Arc<str>) {
        let Some(KnownGroup { group, .. }) = self.groups.get(name) else { return };
        let of_key = self.by_key.entry(group.key()).or_default();
        let is_earlier =
            |other: &Arc<str>| self.groups.get(other).is_none_or(|other| other.group.compare_opening(group).is_le());
        let place = of_key.partition_point(is_earlier);
        of_key.insert(place, Arc::clone(name));
    }

    /// Has a group not found by this key any more.
    fn leave(&mut self, name: &str, key: &GroupingKey) {
        if let Some(of_key) = self.by_key.get_mut(key) {
            of_key.retain(|other| **other != *name);
            if of_key.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<KnownGroup> {
        let known = self.groups.remove(name)?;
        let group = &known.group;
        if !group.is_resolved() {
            self.count_open(&group.integration, false);
        }
        for transition in &group.transitions {
            self.by_event.remove(&transition.event.uid);
        }
        self.leave(name, &group.key());
        Some(known)
    }

    /// Changes a group as a verdict says, and what finds it. Returns its name; None if there is no such group.
    pub(super) fn change(&mut self, name: &str, transition: Transition, until: Until) -> Option<Arc<str>> {
        let KnownGroup { group, .. } = self.groups.get_mut(name)?;
        let (name, integration) = (Arc::clone(&group.name), Arc::clone(&group.integration));
        let uid = Arc::clone(&transition.event.uid);
        let (was_resolved, key) = (group.is_resolved(), group.key());
        let forgotten = group.change(transition, until);
        let (is_resolved, is_renamed) = (group.is_resolved(), group.key() != key);
        if is_renamed {
            self.leave(&name, &key);
            self.enter(&name);
        }
        if let Some(forgotten) = forgotten {
            self.by_event.remove(&forgotten.event.uid);
        }
        self.by_event.insert(uid, Arc::clone(&name));
        self.note_state((&name, &integration), Some(was_resolved), is_resolved);
        Some(name)
    }

    /// Counts a group, of this name and Integration, as open or resolved; `was_resolved` is None if it was not there.
    fn note_state(
        &mut self,
        (name, integration): (&Arc<str>, &Arc<str>),
        was_resolved: Option<bool>,
        is_resolved: bool,
    ) {
        match (was_resolved, is_resolved) {
            (Some(true) | None, false) => self.count_open(integration, true),
            (Some(false), true) => self.count_open(integration, false),
            _ => {}
        }
        if is_resolved && was_resolved != Some(true) {
            self.resolved.push_back(Arc::clone(name));
        }
    }

    fn count_open(&mut self, integration: &Arc<str>, is_more: bool) {
        let open = self.open.entry(Arc::clone(integration)).or_default();
        *open = if is_more { *open + 1 } else { open.saturating_sub(1) };
        if *open == 0 {
            self.open.remove(integration);
        }
    }

    /// The groups of an Integration.
    pub(super) fn of<'a>(&'a self, integration: &'a str) -> impl Iterator<Item = &'a AlertGroup> {
        self.groups.values().map(|known| &known.group).filter(move |group| *group.integration == *integration)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.origins.is_empty()
    }
}
