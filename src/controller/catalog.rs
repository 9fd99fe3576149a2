//! The webhooks, ready to run, by namespace and trigger: what an event is matched against without a call of the API.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::{
    core::{event::EventFacts, matching, webhook},
    kubernetes::guard::Guarded,
    resources::{self, Webhook},
};

/// One webhook.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) webhook: webhook::Webhook,
    /// One permit for each of its requests that may be on the way at a time.
    pub(crate) slots: Arc<Semaphore>,
    /// When the watch first showed it.
    pub(crate) appeared: Instant,
    generation: Option<i64>,
    created: Timestamp,
}

#[derive(Default)]
struct Namespace {
    by_name: HashMap<String, Arc<Entry>>,
    by_trigger: HashMap<webhook::TriggerType, BTreeMap<String, Arc<Entry>>>,
}

impl Namespace {
    fn insert(&mut self, entry: Arc<Entry>) {
        let name = entry.webhook.name.clone();
        self.remove(&name);
        self.by_trigger.entry(entry.webhook.trigger_type).or_default().insert(name.clone(), Arc::clone(&entry));
        self.by_name.insert(name, entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.by_name.remove(name)
            && let Some(webhooks) = self.by_trigger.get_mut(&entry.webhook.trigger_type)
        {
            webhooks.remove(name);
        }
    }
}

/// All webhooks that are watched.
pub(crate) struct Catalog {
    namespaces: RwLock<HashMap<String, Namespace>>,
    /// What a list that is under way has named so far.
    listed: RwLock<HashSet<(String, String)>>,
    slots_per_webhook: usize,
}

impl Catalog {
    pub(crate) fn new(slots_per_webhook: usize) -> Self {
        Self { namespaces: RwLock::default(), listed: RwLock::default(), slots_per_webhook }
    }

    /// Takes in what the watch says. Returns the webhook that was not there before, if it is one.
    pub(crate) fn observe(&self, event: &Event<Guarded<Webhook>>) -> Option<Arc<Entry>> {
        match event {
            Event::Init => self.listed.write().clear(),
            Event::InitApply(object) => {
                self.listed.write().insert((object.namespace().unwrap_or_default(), object.name_any()));
                return self.apply(object);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.write());
                for (namespace, webhooks) in self.namespaces.write().iter_mut() {
                    let gone: Vec<String> = webhooks
                        .by_name
                        .keys()
                        .filter(|name| !listed.contains(&(namespace.clone(), (*name).clone())))
                        .cloned()
                        .collect();
                    for name in gone {
                        webhooks.remove(&name);
                    }
                }
            }
            Event::Apply(object) => return self.apply(object),
            Event::Delete(object) => self.remove(&object.namespace().unwrap_or_default(), &object.name_any()),
        }
        None
    }

    fn apply(&self, object: &Guarded<Webhook>) -> Option<Arc<Entry>> {
        let Ok(object) = &object.0 else {
            self.remove(&object.namespace().unwrap_or_default(), &object.name_any());
            return None;
        };
        let namespace = object.namespace().unwrap_or_default();
        let old = self.get(&namespace, &object.name_any()).filter(|old| Some(&old.uid) == object.metadata.uid.as_ref());
        // Most changes are to the status.
        if old.as_ref().is_some_and(|old| old.generation == object.metadata.generation) {
            return None;
        }
        let entry = Arc::new(Entry {
            uid: object.uid().unwrap_or_default(),
            webhook: resources::compile(object),
            slots: old
                .as_ref()
                .map_or_else(|| Arc::new(Semaphore::new(self.slots_per_webhook)), |old| Arc::clone(&old.slots)),
            appeared: old.as_ref().map_or_else(Instant::now, |old| old.appeared),
            generation: object.metadata.generation,
            created: object.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            namespace: namespace.clone(),
        });
        self.namespaces.write().entry(namespace).or_default().insert(Arc::clone(&entry));
        old.is_none().then_some(entry)
    }

    fn remove(&self, namespace: &str, name: &str) {
        if let Some(webhooks) = self.namespaces.write().get_mut(namespace) {
            webhooks.remove(name);
        }
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.namespaces.read().get(namespace)?.by_name.get(name).cloned()
    }

    /// The webhooks that run for an event that was created at `created`.
    pub(crate) fn matching(&self, namespace: &str, event: &EventFacts, created: Timestamp) -> Vec<Arc<Entry>> {
        let namespaces = self.namespaces.read();
        let Some(webhooks) = namespaces.get(namespace) else { return Vec::new() };
        let own = event.event_type.trigger();
        let triggers = event.event_type.is_status_change().then_some(webhook::TriggerType::StatusChange);
        [own]
            .into_iter()
            .chain(triggers)
            .filter_map(|trigger| webhooks.by_trigger.get(&trigger))
            .flat_map(BTreeMap::values)
            .filter(|entry| entry.runs(event, created))
            .cloned()
            .collect()
    }

    /// The names of the webhooks that need something of a Secret.
    pub(crate) fn referencing(&self, namespace: &str, secret: &str) -> Vec<String> {
        let namespaces = self.namespaces.read();
        let webhooks = namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.by_name.iter());
        webhooks
            .filter(|(_, entry)| entry.webhook.secrets().any(|(_, key)| key.name == secret))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Entry {
    /// Whether it runs for an event that was created at `created`.
    pub(crate) fn runs(&self, event: &EventFacts, created: Timestamp) -> bool {
        matching::runs(&self.webhook, event) && matching::existed(self.created, created)
    }
}
