//! The integrations of each namespace: what lists need of all of them, and what answers show of those that were asked for.
//!
//! ```text
//! watch ─► IntegrationIndex ─► Integrations ─┬─► list, get ─► shown objects ─► IntegrationBody
//!                                            └─► the teams of alert groups
//! ```

mod body;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::RwLock;

pub(crate) use self::body::IntegrationBody;
use super::shown::{Shown, ShownObjects};
use crate::{
    kubernetes::{
        index::{Index, unlisted},
        name::{NamespacedName, name_of},
        objects::Objects,
        resource_version::{ResourceVersion, created_in, version_of},
    },
    resources::Integration,
};

/// Orders lists: when it was created, its name.
type CreationOrder = (Timestamp, Arc<str>);

/// An integration in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedIntegration {
    pub(crate) name: NamespacedName,
    pub(crate) version: ResourceVersion,
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) team: Option<String>,
    created: CreationOrder,
}

impl From<&Integration> for ListedIntegration {
    fn from(integration: &Integration) -> Self {
        let name = name_of(integration);
        Self {
            version: version_of(integration),
            id: integration.id(),
            display_name: integration.display_name(),
            team: integration.spec.team.clone().filter(|team| !team.is_empty()),
            created: (created_in(&integration.metadata), Arc::clone(&name.name)),
            name,
        }
    }
}

impl Shown for Integration {
    type Object = Self;

    fn version(&self) -> ResourceVersion {
        version_of(self)
    }

    fn size(&self) -> usize {
        let sources = self.template_sources();
        let templates = [sources.grouping_id, sources.title, sources.resolve_condition, sources.acknowledge_condition];
        let labels = self.labels().iter().chain(self.annotations());
        4000 + templates.iter().flatten().map(String::len).sum::<usize>()
            + labels.map(|(key, value)| key.len() + value.len()).sum::<usize>()
    }
}

/// The integrations of one namespace.
#[derive(Default)]
struct NamespaceIntegrations {
    by_name: HashMap<Arc<str>, Arc<ListedIntegration>>,
    in_order: BTreeMap<CreationOrder, Arc<ListedIntegration>>,
}

impl NamespaceIntegrations {
    fn insert(&mut self, integration: &Arc<ListedIntegration>) {
        self.remove(&integration.name.name);
        self.in_order.insert(integration.created.clone(), Arc::clone(integration));
        self.by_name.insert(Arc::clone(&integration.name.name), Arc::clone(integration));
    }

    fn remove(&mut self, name: &str) {
        if let Some(integration) = self.by_name.remove(name) {
            self.in_order.remove(&integration.created);
        }
    }
}

/// All integrations that are watched.
pub(crate) struct Integrations {
    namespaces: RwLock<HashMap<Arc<str>, NamespaceIntegrations>>,
    /// As answers show them.
    pub(crate) shown: ShownObjects<Integration>,
}

impl Integrations {
    /// Keeps what answers show at hand up to `budget` bytes.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        Self { namespaces: RwLock::default(), shown: ShownObjects::new(objects, budget) }
    }

    /// The integration with an id; the oldest of several.
    pub(crate) fn get(&self, namespace: &str, id: &str) -> Option<Arc<ListedIntegration>> {
        let namespaces = self.namespaces.read();
        namespaces.get(namespace)?.in_order.values().find(|integration| integration.id == id).cloned()
    }

    /// The teams of the integrations of a namespace that belong to one, by the names of the integrations.
    pub(crate) fn teams(&self, namespace: &str) -> HashMap<Arc<str>, String> {
        let namespaces = self.namespaces.read();
        let integrations = namespaces.get(namespace).into_iter().flat_map(|of_namespace| of_namespace.by_name.values());
        let team = |integration: &Arc<ListedIntegration>| {
            Some((Arc::clone(&integration.name.name), integration.team.clone()?))
        };
        integrations.filter_map(team).collect()
    }

    /// How many integrations pass the filter, and those of one page, in the order of creation: `page` tells for that number which
    /// range the page is.
    pub(crate) fn list(
        &self,
        namespace: &str,
        passes: impl Fn(&ListedIntegration) -> bool,
        page: impl FnOnce(usize) -> Range<usize>,
    ) -> (usize, Vec<Arc<ListedIntegration>>) {
        let namespaces = self.namespaces.read();
        let Some(integrations) = namespaces.get(namespace) else { return (0, Vec::new()) };
        let passing: Vec<_> = integrations.in_order.values().filter(|integration| passes(integration)).collect();
        let range = page(passing.len());
        (passing.len(), passing.iter().skip(range.start).take(range.len()).map(|found| Arc::clone(found)).collect())
    }

    fn insert(&self, integration: &Integration) {
        let listed = Arc::new(ListedIntegration::from(integration));
        let namespace = Arc::clone(&listed.name.namespace);
        self.namespaces.write().entry(namespace).or_default().insert(&listed);
    }

    fn remove(&self, name: &NamespacedName) {
        let mut namespaces = self.namespaces.write();
        if let Some(integrations) = namespaces.get_mut(&name.namespace) {
            integrations.remove(&name.name);
            if integrations.by_name.is_empty() {
                namespaces.remove(&name.namespace);
            }
        }
        drop(namespaces);
        self.shown.forget(name);
    }
}

/// Keeps the integrations as the watch shows them.
pub(crate) struct IntegrationIndex(pub(crate) Arc<Integrations>);

impl Index for IntegrationIndex {
    type Object = Integration;
    type Listed = NamespacedName;

    fn begin_list(&mut self) {
        self.0.shown.forget_all();
    }

    fn list(&mut self, integration: &Integration) -> NamespacedName {
        self.0.insert(integration);
        name_of(integration)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let namespaces = self.0.namespaces.read();
        let known = namespaces.values().flat_map(|integrations| integrations.by_name.values());
        let gone = unlisted(known.map(|known| &known.name), &listed);
        drop(namespaces);
        gone.iter().for_each(|name| self.0.remove(name));
    }

    fn apply(&mut self, integration: &Integration) {
        self.0.insert(integration);
    }

    fn delete(&mut self, integration: &Integration) {
        self.0.remove(&name_of(integration));
    }
}

#[cfg(test)]
mod tests;
