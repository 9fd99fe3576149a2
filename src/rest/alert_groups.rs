//! The alert groups of each namespace: what lists and filters need of all of them, and what answers show of those that were asked
//! for.
//!
//! ```text
//! watch ─► AlertGroupIndex ─► AlertGroups ─┬─► list, current ─► shown objects ─► AlertGroupBody
//!                                          └─► Sightings ─► a call that has asked for a change waits for it
//! action ─► refusal, or AlertGroupEvent ─► the operator's leader, which alone writes AlertGroups
//! ```

mod action;
mod alert;
mod body;
mod current;
mod filter;
mod listed;
mod sightings;
mod stored;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use kube::ResourceExt;
use parking_lot::RwLock;

pub(crate) use self::{
    action::{Action, AlertGroupChanges, silenced_until},
    alert::{AlertBody, AlertFilter},
    body::AlertGroupBody,
    filter::AlertGroupFilter,
    listed::{ListedAlertGroup, WatchedAlertGroup},
    stored::StoredAlertGroup,
};
use self::{
    listed::{Labels, Opening},
    sightings::{Sighting, Sightings},
};
use super::{freshness::Freshness, shown::ShownObjects};
use crate::kubernetes::{
    index::Index,
    name::{NamespacedName, name_of},
    objects::Objects,
    resource_version::version_of,
};

/// The alert groups of one namespace.
#[derive(Default)]
struct NamespaceGroups {
    by_name: HashMap<Arc<str>, Arc<ListedAlertGroup>>,
    /// Oldest first.
    in_order: BTreeMap<Opening, Arc<ListedAlertGroup>>,
    /// By id; where several have the same, the oldest is first.
    by_id: BTreeMap<(Arc<str>, Opening), Arc<ListedAlertGroup>>,
    /// Their labels: alert groups of one integration have the same ones.
    labels: HashSet<Arc<Labels>>,
}

impl NamespaceGroups {
    fn insert(&mut self, mut group: ListedAlertGroup) -> Arc<ListedAlertGroup> {
        self.remove(&group.name.name);
        group.labels = group.labels.map(|labels| self.shared(labels));
        let group = Arc::new(group);
        self.in_order.insert(group.opening.clone(), Arc::clone(&group));
        self.by_id.insert((Arc::clone(&group.id), group.opening.clone()), Arc::clone(&group));
        self.by_name.insert(Arc::clone(&group.name.name), Arc::clone(&group));
        group
    }

    fn remove(&mut self, name: &str) {
        if let Some(group) = self.by_name.remove(name) {
            self.in_order.remove(&group.opening);
            self.by_id.remove(&(Arc::clone(&group.id), group.opening.clone()));
            // One is the set's, one this group's.
            if let Some(labels) = group.labels.as_ref().filter(|labels| Arc::strong_count(labels) <= 2) {
                self.labels.remove(&**labels);
            }
        }
    }

    /// Those with an id, oldest first.
    fn of_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<ListedAlertGroup>> {
        let from_it = self.by_id.range((Arc::from(id), Opening::FIRST)..);
        from_it.take_while(move |((found, _), _)| **found == *id).map(|(_, group)| group)
    }

    /// Those with an id, if one is given; otherwise all.
    fn with<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Arc<ListedAlertGroup>> {
        let all = id.is_none().then(|| self.in_order.values());
        all.into_iter().flatten().chain(id.into_iter().flat_map(|id| self.of_id(id)))
    }

    /// The same labels, of which there is one copy.
    fn shared(&mut self, labels: Arc<Labels>) -> Arc<Labels> {
        if let Some(known) = self.labels.get(&*labels) {
            return Arc::clone(known);
        }
        self.labels.insert(Arc::clone(&labels));
        labels
    }
}

/// All alert groups that are watched.
pub(crate) struct AlertGroups {
    namespaces: RwLock<HashMap<Arc<str>, NamespaceGroups>>,
    /// As answers show them.
    pub(crate) shown: ShownObjects<StoredAlertGroup>,
    sightings: Sightings,
    objects: Objects,
    freshness: Freshness,
}

impl AlertGroups {
    /// Keeps what answers show at hand up to `budget` bytes.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        Self {
            namespaces: RwLock::default(),
            shown: ShownObjects::new(objects.clone(), budget),
            sightings: Sightings::default(),
            freshness: Freshness::new(objects.clone()),
            objects,
        }
    }

    /// The alert group with an id, as far as the watch has shown it.
    fn get(&self, namespace: &str, id: &str) -> Option<Arc<ListedAlertGroup>> {
        self.namespaces.read().get(namespace)?.of_id(id).next().cloned()
    }

    /// How many alert groups pass the filter, and those of one page, newest first: `page` tells for that number which range the
    /// page is.
    pub(crate) fn list(
        &self,
        namespace: &str,
        passes: impl Fn(&ListedAlertGroup) -> bool,
        page: impl FnOnce(usize) -> Range<usize>,
    ) -> (usize, Vec<Arc<ListedAlertGroup>>) {
        let namespaces = self.namespaces.read();
        let Some(groups) = namespaces.get(namespace) else { return (0, Vec::new()) };
        let passing: Vec<_> = groups.in_order.values().rev().filter(|group| passes(group)).collect();
        let range = page(passing.len());
        (passing.len(), passing.iter().skip(range.start).take(range.len()).map(|group| Arc::clone(group)).collect())
    }

    /// Takes in a state of an alert group, and returns it. One that the operator has not written yet is not there for callers.
    fn insert(&self, group: &WatchedAlertGroup) -> Option<Arc<ListedAlertGroup>> {
        let name = name_of(group);
        let Some((listed, events)) = ListedAlertGroup::read(group) else {
            self.remove(&name);
            return None;
        };
        let listed = self.namespaces.write().entry(Arc::clone(&name.namespace)).or_default().insert(listed);
        self.sightings.tell(&name, || Sighting::State(Arc::clone(&listed), events));
        Some(listed)
    }

    /// Whether a later state of an alert group is known: it was read before the watch has shown this one.
    fn is_known_later(&self, group: &WatchedAlertGroup) -> bool {
        let (name, namespaces) = (name_of(group), self.namespaces.read());
        let known = namespaces.get(&name.namespace).and_then(|groups| groups.by_name.get(&name.name));
        known.is_some_and(|known| known.uid == group.uid() && known.version > version_of(group))
    }

    /// Takes in that an alert group is gone.
    fn remove(&self, name: &NamespacedName) {
        let mut namespaces = self.namespaces.write();
        if let Some(groups) = namespaces.get_mut(&name.namespace) {
            groups.remove(&name.name);
            if groups.by_name.is_empty() {
                namespaces.remove(&name.namespace);
            }
        }
        drop(namespaces);
        self.shown.forget(name);
        self.sightings.tell(name, || Sighting::Gone);
    }
}

/// Keeps the alert groups as the watch shows them.
pub(crate) struct AlertGroupIndex(pub(crate) Arc<AlertGroups>);

impl Index for AlertGroupIndex {
    type Object = WatchedAlertGroup;
    type Listed = NamespacedName;

    fn begin_list(&mut self) {
        self.0.shown.forget_all();
    }

    fn list(&mut self, group: &WatchedAlertGroup) -> NamespacedName {
        self.0.insert(group);
        name_of(group)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let listed: HashSet<NamespacedName> = listed.into_iter().collect();
        let namespaces = self.0.namespaces.read();
        let known = namespaces.values().flat_map(|groups| groups.by_name.values()).map(|group| &group.name);
        let gone: Vec<NamespacedName> = known.filter(|name| !listed.contains(*name)).cloned().collect();
        drop(namespaces);
        gone.iter().for_each(|name| self.0.remove(name));
    }

    fn apply(&mut self, group: &WatchedAlertGroup) {
        if !self.0.is_known_later(group) {
            self.0.insert(group);
        }
    }

    fn delete(&mut self, group: &WatchedAlertGroup) {
        self.0.remove(&name_of(group));
    }
}

#[cfg(test)]
mod tests;
