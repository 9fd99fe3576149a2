//! The webhooks, ready to run, by namespace and trigger: what an event is matched against without a call of the API.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use parking_lot::RwLock;

use crate::{
    core::{dispatch::Lane, event::EventFacts, matching, webhook},
    kubernetes::guard::Guarded,
    resources::{self, ConditionStatus, Webhook},
};

/// Type and reason of the condition that holds a webhook whose receiver wants nothing more of it.
pub(crate) const SUSPENDED: &str = "Suspended";
pub(crate) const GONE: &str = "Gone";

/// One webhook.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) webhook: webhook::Webhook,
    /// When the watch first showed it.
    pub(crate) appeared: Instant,
    generation: Option<i64>,
    created: Timestamp,
    /// Its receiver wants nothing more of it as it is now.
    gone: AtomicBool,
    /// Its templates took long the last time.
    slow: AtomicBool,
}

impl Entry {
    pub(crate) fn lane(&self) -> Lane {
        (Arc::clone(&self.namespace), Arc::clone(&self.name))
    }

    /// Whether it runs for an event that was created at `created`.
    pub(crate) fn runs(&self, event: &EventFacts, created: Timestamp) -> bool {
        matching::runs(&self.webhook, event) && matching::existed(self.created, created)
    }

    /// Whether what it is to send waits until it is changed.
    pub(crate) fn is_held(&self) -> bool {
        self.webhook.suspend || self.is_gone()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Notes that its receiver wants nothing more of it. It is held until it is changed.
    pub(crate) fn suspend(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    pub(crate) fn took(&self, long: bool) {
        if self.is_slow() != long {
            self.slow.store(long, Ordering::Relaxed);
        }
    }
}

/// What the watch has said of a webhook.
pub(crate) enum Seen {
    /// It was not there before.
    New(Arc<Entry>),
    /// It is another one now.
    Changed(Arc<Entry>),
    /// It is there no more.
    Gone(Lane),
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

    fn remove(&mut self, name: &str) -> Option<Arc<Entry>> {
        let entry = self.by_name.remove(name)?;
        if let Some(webhooks) = self.by_trigger.get_mut(&entry.webhook.trigger_type) {
            webhooks.remove(name);
        }
        Some(entry)
    }
}

/// All webhooks that are watched.
#[derive(Default)]
pub(crate) struct Catalog {
    namespaces: RwLock<HashMap<String, Namespace>>,
    /// What a list that is under way has named so far.
    listed: RwLock<HashSet<(String, String)>>,
}

impl Catalog {
    /// Takes in what the watch says. Returns what is new.
    pub(crate) fn observe(&self, event: &Event<Guarded<Webhook>>) -> Vec<Seen> {
        match event {
            Event::Init => self.listed.write().clear(),
            Event::InitApply(object) => {
                self.listed.write().insert((object.namespace().unwrap_or_default(), object.name_any()));
                return self.apply(object);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.write());
                let mut gone = Vec::new();
                for (namespace, webhooks) in self.namespaces.write().iter_mut() {
                    let names: Vec<String> = webhooks.by_name.keys().cloned().collect();
                    let names = names.into_iter().filter(|name| !listed.contains(&(namespace.clone(), name.clone())));
                    gone.extend(names.filter_map(|name| webhooks.remove(&name)));
                }
                return gone.into_iter().map(|entry| Seen::Gone(entry.lane())).collect();
            }
            Event::Apply(object) => return self.apply(object),
            Event::Delete(object) => return self.remove(object).into_iter().collect(),
        }
        Vec::new()
    }

    fn apply(&self, object: &Guarded<Webhook>) -> Vec<Seen> {
        let Ok(object) = &object.0 else { return self.remove(object).into_iter().collect() };
        let namespace = object.namespace().unwrap_or_default();
        let known = self.get(&namespace, &object.name_any());
        let old = known.as_ref().filter(|old| Some(&*old.uid) == object.metadata.uid.as_deref());
        // Most changes are to the status.
        if old.is_some_and(|old| old.generation == object.metadata.generation) {
            return Vec::new();
        }
        let entry = Arc::new(Entry {
            uid: Arc::from(object.uid().unwrap_or_default()),
            name: Arc::from(object.name_any()),
            webhook: resources::compile(object),
            appeared: old.map_or_else(Instant::now, |old| old.appeared),
            generation: object.metadata.generation,
            created: object.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            gone: AtomicBool::new(is_gone(object)),
            slow: AtomicBool::new(false),
            namespace: Arc::from(namespace.as_str()),
        });
        let is_new = old.is_none();
        // One of the same name was deleted, and that not seen.
        let replaced = known.filter(|_| is_new).map(|known| Seen::Gone(known.lane()));
        self.namespaces.write().entry(namespace).or_default().insert(Arc::clone(&entry));
        let seen = if is_new { Seen::New(entry) } else { Seen::Changed(entry) };
        replaced.into_iter().chain([seen]).collect()
    }

    fn remove(&self, object: &Guarded<Webhook>) -> Option<Seen> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let entry = self.namespaces.write().get_mut(&namespace)?.remove(&name)?;
        Some(Seen::Gone(entry.lane()))
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

/// Whether the webhook, as it is now, was suspended by its receiver.
fn is_gone(webhook: &Webhook) -> bool {
    let conditions = webhook.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| {
        condition.type_ == SUSPENDED
            && condition.status == ConditionStatus::True
            && condition.reason == GONE
            && condition.observed_generation == webhook.metadata.generation
    })
}
