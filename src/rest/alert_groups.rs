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
use parking_lot::{Mutex, RwLock};

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
use super::{freshness::Freshness, shown::ShownObjects, tombstones::Tombstones};
use crate::kubernetes::{
    index::{Index, unlisted},
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

type Namespaces = HashMap<Arc<str>, NamespaceGroups>;

/// All alert groups that are watched.
pub(crate) struct AlertGroups {
    namespaces: RwLock<Namespaces>,
    /// Taken only under the lock of those that are known.
    deleted: Mutex<Tombstones>,
    /// As answers show them.
    pub(crate) shown: ShownObjects<StoredAlertGroup>,
    sightings: Sightings,
    freshness: Freshness,
}

impl AlertGroups {
    /// Keeps what answers show at hand up to `budget` bytes.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        Self {
            namespaces: RwLock::default(),
            deleted: Mutex::default(),
            freshness: Freshness::new(&objects),
            shown: ShownObjects::new(objects, budget),
            sightings: Sightings::default(),
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

    /// Takes in a state of an alert group, unless a later one is known. Returns the state that is known then; None if the alert
    /// group was deleted, or the operator has not written it yet: then it is not there for callers.
    fn insert(&self, group: &WatchedAlertGroup) -> Option<Arc<ListedAlertGroup>> {
        self.insert_over(group, |known| known.version <= version_of(group))
    }

    /// As [`AlertGroups::insert`], over a state that is `outdated`.
    fn insert_over(
        &self,
        group: &WatchedAlertGroup,
        outdated: impl FnOnce(&ListedAlertGroup) -> bool,
    ) -> Option<Arc<ListedAlertGroup>> {
        let (name, read) = (name_of(group), ListedAlertGroup::read(group));
        let mut namespaces = self.namespaces.write();
        if self.deleted.lock().contains(&group.uid().unwrap_or_default()) {
            return None;
        }
        let known = namespaces.get(&name.namespace).and_then(|groups| groups.by_name.get(&name.name));
        if let Some(later) = known.filter(|known| !outdated(known)) {
            return Some(Arc::clone(later));
        }
        let Some((listed, events)) = read else {
            self.remove(&mut namespaces, &name);
            return None;
        };
        let listed = namespaces.entry(Arc::clone(&name.namespace)).or_default().insert(listed);
        // Before another state can be known.
        self.sightings.tell(&name, || Sighting::State(Arc::clone(&listed), events));
        Some(listed)
    }

    /// Takes in that an alert group is gone for good: no older state of it is taken in any more.
    fn delete(&self, group: &ListedAlertGroup) {
        self.delete_uid(&group.name, group.uid.as_deref().unwrap_or_default());
    }

    fn delete_uid(&self, name: &NamespacedName, uid: &str) {
        let mut namespaces = self.namespaces.write();
        self.deleted.lock().insert(uid);
        let known = namespaces.get(&name.namespace).and_then(|groups| groups.by_name.get(&name.name));
        // Not one that was made anew with the same name.
        if known.is_none_or(|known| known.uid.as_deref().unwrap_or_default() == uid) {
            self.remove(&mut namespaces, name);
        }
    }

    /// Takes in that there is no alert group of this name.
    fn remove(&self, namespaces: &mut Namespaces, name: &NamespacedName) {
        if let Some(groups) = namespaces.get_mut(&name.namespace) {
            groups.remove(&name.name);
            if groups.by_name.is_empty() {
                namespaces.remove(&name.namespace);
            }
        }
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
        // Versions begin anew where a cluster is restored: what is listed counts.
        self.0.insert_over(group, |_| true);
        name_of(group)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let mut namespaces = self.0.namespaces.write();
        let known = namespaces.values().flat_map(|groups| groups.by_name.values()).map(|group| &group.name);
        let gone = unlisted(known, &listed);
        gone.iter().for_each(|name| self.0.remove(&mut namespaces, name));
    }

    fn apply(&mut self, group: &WatchedAlertGroup) {
        self.0.insert(group);
    }

    fn delete(&mut self, group: &WatchedAlertGroup) {
        self.0.delete_uid(&name_of(group), &group.uid().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
