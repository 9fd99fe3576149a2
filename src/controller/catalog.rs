//! The webhooks, ready to run, by namespace and trigger: what an event is matched against without a call of the API.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use parking_lot::{Mutex, RwLock};

use crate::{
    core::{dispatch::Lane, event::EventFacts, matching, webhook},
    kubernetes::lenient::Lenient,
    resources::{self, ConditionStatus, LastRun, Webhook},
};

/// Type and reason of the condition that holds a webhook whose receiver wants nothing more of it.
pub(crate) const SUSPENDED: &str = "Suspended";
pub(crate) const GONE: &str = "Gone";

/// A busy webhook's last run is written no more often than this.
const LAST_RUN_EVERY: Duration = Duration::from_secs(1);

/// A webhook's last run, on its way into the status.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<(Option<LastRun>, Option<Instant>)>);

impl Latest {
    /// Notes a run. Whether none was on its way yet.
    pub(crate) fn note(&self, run: LastRun) -> bool {
        self.0.lock().0.replace(run).is_none()
    }

    /// What is to be written, once; or how long that has to wait.
    pub(crate) fn take(&self) -> Result<Option<LastRun>, Duration> {
        let (run, written) = &mut *self.0.lock();
        match written.map(|at| LAST_RUN_EVERY.saturating_sub(at.elapsed())) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(run.take()),
        }
    }

    /// What was taken is written.
    pub(crate) fn written(&self) {
        self.0.lock().1 = Some(Instant::now());
    }

    /// Puts back what could not be written, unless there is a later one.
    pub(crate) fn put_back(&self, taken: LastRun) {
        self.0.lock().0.get_or_insert(taken);
    }
}

/// One webhook.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) webhook: webhook::Webhook,
    /// When the watch first showed it.
    pub(crate) appeared: Instant,
    pub(crate) last_run: Arc<Latest>,
    generation: Option<i64>,
    created: Timestamp,
    /// Its receiver wants nothing more of it as it is now.
    gone: AtomicBool,
    /// It was changed to what can't be read, by this version at least, and this is how it was before.
    unreadable: AtomicBool,
    /// Its templates took long the last time.
    slow: AtomicBool,
}

impl Entry {
    pub(crate) fn lane(&self) -> Lane {
        (Arc::clone(&self.namespace), Arc::clone(&self.name))
    }

    /// Whether it runs for an event that was created at `created`.
    pub(crate) fn runs(&self, event: &EventFacts, created: Timestamp) -> bool {
        matching::runs(&self.webhook, event) && self.existed(created)
    }

    /// Whether it was there for an event that was created at `created`.
    pub(crate) fn existed(&self, created: Timestamp) -> bool {
        matching::existed(self.created, created)
    }

    /// Whether it may have come with an event that was created at `created`.
    pub(crate) fn came_with(&self, created: Timestamp) -> bool {
        matching::came_with(self.created, created)
    }

    /// Whether what it is to send waits until it is changed.
    pub(crate) fn is_held(&self) -> bool {
        self.webhook.suspend || self.is_gone() || self.is_unreadable()
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
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
    /// It can't be read, and nothing is known of it.
    Unreadable(Lane),
}

#[derive(Default)]
struct Namespace {
    by_name: HashMap<String, Arc<Entry>>,
    by_trigger: HashMap<webhook::TriggerType, BTreeMap<String, Arc<Entry>>>,
    /// The names of those that can't be read and of which nothing is known.
    unreadable: HashSet<String>,
}

impl Namespace {
    fn insert(&mut self, entry: Arc<Entry>) {
        let name = entry.webhook.name.clone();
        self.remove(&name);
        self.unreadable.remove(&name);
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
    pub(crate) fn observe(&self, event: &Event<Lenient<Webhook>>) -> Vec<Seen> {
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
                    let names = webhooks.by_name.keys().chain(&webhooks.unreadable);
                    let names = names.filter(|name| !listed.contains(&(namespace.clone(), (*name).clone())));
                    for name in names.cloned().collect::<Vec<_>>() {
                        webhooks.remove(&name);
                        webhooks.unreadable.remove(&name);
                        gone.push(Seen::Gone((Arc::from(namespace.as_str()), Arc::from(name))));
                    }
                }
                return gone;
            }
            Event::Apply(object) => return self.apply(object),
            Event::Delete(object) => {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                let mut namespaces = self.namespaces.write();
                let Some(webhooks) = namespaces.get_mut(&namespace) else { return Vec::new() };
                let (known, unreadable) = (webhooks.remove(&name).is_some(), webhooks.unreadable.remove(&name));
                let gone = (known || unreadable).then(|| Seen::Gone((Arc::from(namespace), Arc::from(name))));
                return gone.into_iter().collect();
            }
        }
        Vec::new()
    }

    fn apply(&self, object: &Lenient<Webhook>) -> Vec<Seen> {
        let Ok(object) = &object.0 else { return self.unreadable(object) };
        let namespace = object.namespace().unwrap_or_default();
        let known = self.get(&namespace, &object.name_any());
        let old = known.as_ref().filter(|old| Some(&*old.uid) == object.metadata.uid.as_deref());
        // Most changes are to the status.
        if old.is_some_and(|old| old.generation == object.metadata.generation && !old.is_unreadable()) {
            return Vec::new();
        }
        let entry = Arc::new(Entry {
            uid: Arc::from(object.uid().unwrap_or_default()),
            name: Arc::from(object.name_any()),
            webhook: resources::compile(object),
            appeared: old.map_or_else(Instant::now, |old| old.appeared),
            last_run: old.map(|old| Arc::clone(&old.last_run)).unwrap_or_default(),
            generation: object.metadata.generation,
            created: object.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            gone: AtomicBool::new(is_gone(object)),
            unreadable: AtomicBool::new(false),
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

    /// What waits for a webhook that was fine before goes on waiting; one of the same name that is new takes its place.
    fn unreadable(&self, object: &Lenient<Webhook>) -> Vec<Seen> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        if let Some(known) = self.get(&namespace, &name).filter(|known| object.uid().as_deref() == Some(&*known.uid)) {
            let is_new = !known.unreadable.swap(true, Ordering::Relaxed);
            return is_new.then_some(Seen::Changed(known)).into_iter().collect();
        }
        let mut namespaces = self.namespaces.write();
        let webhooks = namespaces.entry(namespace.clone()).or_default();
        let gone = webhooks.remove(&name).map(|known| Seen::Gone(known.lane()));
        let is_new = webhooks.unreadable.insert(name.clone());
        let new = is_new.then(|| Seen::Unreadable((Arc::from(namespace), Arc::from(name))));
        gone.into_iter().chain(new).collect()
    }

    /// Whether a namespace has webhooks that can't be read and of which nothing is known.
    pub(crate) fn has_unreadable(&self, namespace: &str) -> bool {
        self.namespaces.read().get(namespace).is_some_and(|webhooks| !webhooks.unreadable.is_empty())
    }

    /// Whether a webhook can't be read and nothing is known of it.
    pub(crate) fn is_unreadable(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.read().get(namespace).is_some_and(|webhooks| webhooks.unreadable.contains(name))
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

    /// The webhooks of a namespace of which that is so.
    pub(crate) fn filter(&self, namespace: &str, is: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let namespaces = self.namespaces.read();
        let webhooks = namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.by_name.values());
        webhooks.filter(|entry| is(entry)).cloned().collect()
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn webhook(uid: &str, generation: i64, url: &Value) -> Lenient<Webhook> {
        let metadata = json!({"name": "one", "namespace": "team", "uid": uid, "generation": generation});
        let object = json!({"metadata": metadata, "spec": {"triggerType": "resolve", "url": url}});
        serde_json::from_value(object).unwrap()
    }

    fn seen(all: &[Seen]) -> Vec<(&'static str, bool)> {
        let word = |seen: &Seen| match seen {
            Seen::New(entry) => ("new", entry.is_held()),
            Seen::Changed(entry) => ("changed", entry.is_held()),
            Seen::Gone(_) => ("gone", false),
            Seen::Unreadable(_) => ("unreadable", false),
        };
        all.iter().map(word).collect()
    }

    #[test]
    fn a_webhook_that_can_be_read_no_more_is_held_until_it_can() {
        let (fine, wrong) = (json!("https://receiver.example"), json!(7));
        let catalog = Catalog::default();
        let steps = [
            // Of which nothing is known.
            (Event::Apply(webhook("a", 1, &wrong)), vec![("unreadable", false)], true),
            (Event::Apply(webhook("a", 1, &wrong)), vec![], true),
            (Event::Apply(webhook("a", 1, &fine)), vec![("new", false)], false),
            (Event::Apply(webhook("a", 2, &wrong)), vec![("changed", true)], false),
            (Event::Apply(webhook("a", 2, &wrong)), vec![], false),
            // As after an upgrade of what reads it.
            (Event::Apply(webhook("a", 2, &fine)), vec![("changed", false)], false),
            // Another one.
            (Event::Apply(webhook("b", 1, &wrong)), vec![("gone", false), ("unreadable", false)], true),
            (Event::Delete(webhook("b", 1, &wrong)), vec![("gone", false)], false),
            (Event::Apply(webhook("c", 1, &wrong)), vec![("unreadable", false)], true),
            (Event::Init, vec![], true),
            (Event::InitDone, vec![("gone", false)], false),
            (Event::Apply(webhook("d", 1, &fine)), vec![("new", false)], false),
        ];
        for (step, (event, expected, unreadable)) in steps.into_iter().enumerate() {
            assert_eq!(seen(&catalog.observe(&event)), expected, "step {step}");
            let there = (catalog.has_unreadable("team"), catalog.is_unreadable("team", "one"));
            assert_eq!(there, (unreadable, unreadable), "step {step}");
        }
    }
}
