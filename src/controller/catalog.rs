//! The webhooks, ready to run: a request waits for no call of the API.
//!
//! ```text
//! watch ─► WebhookIndex ─► Catalog ─► the webhook of a delivery that is to be sent
//!               └─► WebhookChange, for the lifecycle
//! ```

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::{Mutex, RwLock};

use super::check::{Check, ManifestFaults};
use crate::{
    core::{lifecycle::KnownWebhook, webhook},
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::{NamespacedName, name_of},
        resource_version::created_in,
    },
    metrics::{DeliveryMetrics, WebhookSeries},
    rendering::MeasuredEffort,
    resources::{self, LastRun, ResponsePhase, Webhook, conditions},
};

/// A busy webhook's last run is written no more often than this.
const LAST_RUN_EVERY: Duration = Duration::from_secs(1);

/// The last run of a webhook, and when one last succeeded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastRuns {
    pub(crate) last: LastRun,
    pub(crate) succeeded: Option<Timestamp>,
}

/// The last run of a webhook that is not in its status yet.
#[derive(Debug, Default)]
pub(crate) struct PendingLastRun(Mutex<(Option<LastRuns>, Option<Instant>)>);

impl PendingLastRun {
    /// Notes a run. Returns whether no other was waiting to be written.
    pub(crate) fn note(&self, run: LastRun) -> bool {
        let pending = &mut self.0.lock().0;
        let succeeded = (run.outcome == ResponsePhase::Succeeded).then_some(run.time);
        let before = pending.as_ref().and_then(|before| before.succeeded);
        pending.replace(LastRuns { last: run, succeeded: succeeded.or(before) }).is_none()
    }

    /// Takes the run that is to be written, if any.
    ///
    /// # Errors
    /// Another one was written a moment ago: how long to wait.
    pub(crate) fn take(&self) -> Result<Option<LastRuns>, Duration> {
        let (run, written) = &mut *self.0.lock();
        match written.map(|at| LAST_RUN_EVERY.saturating_sub(at.elapsed())) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(run.take()),
        }
    }

    /// Notes that the run that was taken is written.
    pub(crate) fn written(&self) {
        self.0.lock().1 = Some(Instant::now());
    }

    /// Puts back a run that could not be written, unless there is a later one.
    pub(crate) fn put_back(&self, taken: &LastRuns) {
        let pending = &mut self.0.lock().0;
        let later = pending.get_or_insert_with(|| taken.clone());
        later.succeeded = later.succeeded.or(taken.succeeded);
    }
}

/// A number of waiting deliveries is written no more often than this, but with a run.
pub(crate) const WAITING_EVERY: Duration = Duration::from_secs(15);

/// How many waiting deliveries the status of a webhook shows, and since when.
#[derive(Debug)]
pub(crate) struct ShownWaiting(Mutex<(u32, Option<Instant>)>);

impl ShownWaiting {
    fn of(waiting: u32) -> Self {
        Self(Mutex::new((waiting, None)))
    }

    fn shown(&self) -> u32 {
        self.0.lock().0
    }

    /// Whether another number may be written for its own sake.
    pub(crate) fn may_change(&self) -> bool {
        // The clock that has it looked at is not exact.
        self.0.lock().1.is_none_or(|written| written.elapsed() >= WAITING_EVERY / 2)
    }

    /// Notes what the status shows.
    pub(crate) fn note(&self, waiting: u32) {
        let mut shown = self.0.lock();
        if shown.0 != waiting {
            *shown = (waiting, Some(Instant::now()));
        }
    }
}

/// One webhook: its manifest compiled, and what is known of it beyond that.
#[derive(Debug)]
pub(crate) struct WatchedWebhook {
    pub(crate) name: NamespacedName,
    pub(crate) uid: Arc<str>,
    pub(crate) webhook: Arc<webhook::Webhook>,
    /// When the watch first showed it.
    pub(crate) appeared: Instant,
    pub(crate) last_run: Arc<PendingLastRun>,
    pub(crate) generation: Option<i64>,
    created: Timestamp,
    /// The receiver of this generation answered 410: it wants nothing more.
    gone: AtomicBool,
    /// The manifest has changed since, and this version of the operator can't read it as it is now.
    unreadable: AtomicBool,
    /// What is known of how long rendering its templates takes.
    pub(crate) effort: MeasuredEffort,
    /// What is known of the faults of its manifest.
    pub(crate) manifest_faults: ManifestFaults,
    /// How far finding all that is wrong with it is.
    pub(crate) check: Check,
    /// Its metrics, which vanish with it.
    pub(crate) series: WebhookSeries,
    /// How many waiting deliveries its status shows.
    pub(crate) waiting: Arc<ShownWaiting>,
    /// Whether its endpoint was found to fail here, as it is now. That it does not any more is not told otherwise.
    pub(crate) has_failed: AtomicBool,
}

impl WatchedWebhook {
    /// It as the lifecycle knows it.
    pub(crate) fn known(&self) -> Arc<KnownWebhook> {
        Arc::new(KnownWebhook {
            name: self.name.clone(),
            uid: Arc::clone(&self.uid),
            webhook: Arc::clone(&self.webhook),
            created: self.created,
            appeared: self.appeared,
            is_held: self.is_held(),
        })
    }

    /// Whether its deliveries wait until it is changed.
    pub(crate) fn is_held(&self) -> bool {
        self.webhook.suspend || self.is_gone() || self.is_unreadable()
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Notes that its receiver answered 410. It is held until it is changed.
    pub(crate) fn suspend(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// A change of a webhook that the watch has shown.
pub(crate) enum WebhookChange {
    /// It was not known before.
    Added(Arc<WatchedWebhook>),
    /// Its spec has changed, or can't be read any more.
    Changed(Arc<WatchedWebhook>),
    /// It was deleted.
    Removed(NamespacedName),
    /// It can't be read, and nothing is known of it.
    Unreadable(NamespacedName),
}

/// The webhooks of one namespace.
#[derive(Default)]
struct NamespaceIndex {
    by_name: HashMap<Arc<str>, Arc<WatchedWebhook>>,
    /// The names of webhooks that can't be read and of which nothing is known.
    unreadable: HashSet<Arc<str>>,
}

/// All webhooks that are watched.
#[derive(Default)]
pub(crate) struct Catalog {
    namespaces: RwLock<HashMap<Arc<str>, NamespaceIndex>>,
    metrics: DeliveryMetrics,
}

impl Catalog {
    /// Nothing is known yet. Webhooks have their series of these metrics.
    pub(crate) fn new(metrics: DeliveryMetrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Takes in a webhook that is listed, new or changed.
    fn apply(&self, object: &Lenient<Webhook>) -> Vec<WebhookChange> {
        let NamespacedName { namespace, name } = name_of(object);
        let Ok(object) = &object.0 else { return self.apply_unreadable(object, namespace, name) };
        let known = self.get(&namespace, &name);
        let old = known.as_ref().filter(|old| Some(&*old.uid) == object.metadata.uid.as_deref());
        // Most changes are to the status.
        if old.is_some_and(|old| old.generation == object.metadata.generation && !old.is_unreadable()) {
            return Vec::new();
        }
        let status_conditions = object.status.as_ref().map(|status| &*status.conditions).unwrap_or_default();
        let full_name = NamespacedName::new(Arc::clone(&namespace), Arc::clone(&name));
        let entry = Arc::new(WatchedWebhook {
            series: self.metrics.webhook(&full_name),
            name: full_name,
            uid: Arc::from(object.uid().unwrap_or_default()),
            webhook: Arc::new(resources::compile(object)),
            appeared: old.map_or_else(Instant::now, |old| old.appeared),
            last_run: old.map(|old| Arc::clone(&old.last_run)).unwrap_or_default(),
            generation: object.metadata.generation,
            created: created_in(&object.metadata),
            gone: AtomicBool::new(conditions::is_gone(status_conditions, object.metadata.generation)),
            unreadable: AtomicBool::new(false),
            effort: MeasuredEffort::default(),
            manifest_faults: ManifestFaults::default(),
            check: Check::default(),
            waiting: old.map_or_else(
                || Arc::new(ShownWaiting::of(object.status.as_ref().map_or(0, |status| status.waiting))),
                |old| Arc::clone(&old.waiting),
            ),
            has_failed: AtomicBool::new(false),
        });
        let is_new = old.is_none();
        // One of the same name was deleted, and the watch did not show that.
        let replaced = known.filter(|_| is_new).map(|known| WebhookChange::Removed(known.name.clone()));
        {
            let mut namespaces = self.namespaces.write();
            let webhooks = namespaces.entry(namespace).or_default();
            webhooks.unreadable.remove(&name);
            webhooks.by_name.insert(name, Arc::clone(&entry));
        }
        let change = if is_new { WebhookChange::Added(entry) } else { WebhookChange::Changed(entry) };
        replaced.into_iter().chain([change]).collect()
    }

    /// Takes in a webhook that can't be read. If it could be before, its deliveries go on waiting; if it is another one than
    /// the one of the same name that is known, it takes that one's place.
    fn apply_unreadable(&self, object: &Lenient<Webhook>, namespace: Arc<str>, name: Arc<str>) -> Vec<WebhookChange> {
        if let Some(known) = self.get(&namespace, &name).filter(|known| object.uid().as_deref() == Some(&*known.uid)) {
            let is_new = !known.unreadable.swap(true, Ordering::Relaxed);
            return is_new.then_some(WebhookChange::Changed(known)).into_iter().collect();
        }
        let mut namespaces = self.namespaces.write();
        let webhooks = namespaces.entry(Arc::clone(&namespace)).or_default();
        let gone = webhooks.by_name.remove(&name).map(|known| WebhookChange::Removed(known.name.clone()));
        let is_new = webhooks.unreadable.insert(Arc::clone(&name));
        let new = is_new.then_some(WebhookChange::Unreadable(NamespacedName::new(namespace, name)));
        gone.into_iter().chain(new).collect()
    }

    /// Takes in that a webhook was deleted.
    fn delete(&self, NamespacedName { namespace, name }: NamespacedName) -> Option<WebhookChange> {
        let mut namespaces = self.namespaces.write();
        let webhooks = namespaces.get_mut(&namespace)?;
        let (known, unreadable) = (webhooks.by_name.remove(&name).is_some(), webhooks.unreadable.remove(&name));
        (known || unreadable).then_some(WebhookChange::Removed(NamespacedName::new(namespace, name)))
    }

    /// Removes all webhooks but those with these names.
    fn retain(&self, listed: &HashSet<NamespacedName>) -> Vec<WebhookChange> {
        let mut names = Vec::new();
        for (namespace, webhooks) in &*self.namespaces.read() {
            let known = webhooks.by_name.keys().chain(&webhooks.unreadable);
            names.extend(known.map(|name| NamespacedName::new(Arc::clone(namespace), Arc::clone(name))));
        }
        names.retain(|name| !listed.contains(name));
        names.into_iter().filter_map(|name| self.delete(name)).collect()
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<WatchedWebhook>> {
        self.namespaces.read().get(namespace)?.by_name.get(name).cloned()
    }

    /// The webhooks whose statuses show another number of waiting deliveries than `waiting` says, in the form in which it is shown.
    pub(crate) fn showing_other_waiting(&self, waiting: &HashMap<NamespacedName, u32>) -> Vec<NamespacedName> {
        let namespaces = self.namespaces.read();
        let all = namespaces.values().flat_map(|webhooks| webhooks.by_name.values());
        let shows_other = |webhook: &&Arc<WatchedWebhook>| {
            let now = waiting.get(&webhook.name).copied().unwrap_or_default();
            webhook.waiting.shown() != now
        };
        all.filter(shows_other).map(|webhook| webhook.name.clone()).collect()
    }

    /// Whether there is no webhook of this name and uid any more. One that can't be read may be it.
    pub(crate) fn is_gone(&self, namespace: &str, name: &str, uid: &str) -> bool {
        let namespaces = self.namespaces.read();
        let Some(webhooks) = namespaces.get(namespace) else { return true };
        match webhooks.by_name.get(name) {
            Some(known) => *known.uid != *uid,
            None => !webhooks.unreadable.contains(name),
        }
    }

    /// Whether this is a webhook as it is now.
    pub(crate) fn is_current(&self, webhook: &Arc<WatchedWebhook>) -> bool {
        let NamespacedName { namespace, name } = &webhook.name;
        self.get(namespace, name).is_some_and(|now| Arc::ptr_eq(&now, webhook))
    }

    /// The names of the webhooks of a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<str>> {
        let namespaces = self.namespaces.read();
        namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.by_name.keys().cloned()).collect()
    }

    /// The names of the webhooks that refer to a Secret.
    pub(crate) fn referencing(&self, namespace: &str, secret: &str) -> Vec<Arc<str>> {
        let namespaces = self.namespaces.read();
        let webhooks = namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.by_name.iter());
        let refers = |entry: &WatchedWebhook| entry.webhook.secrets().any(|(_, key)| key.name == secret);
        webhooks.filter(|(_, entry)| refers(entry)).map(|(name, _)| Arc::clone(name)).collect()
    }
}

/// Keeps a catalog as the watch shows the webhooks, and tells of each change.
pub(crate) struct WebhookIndex<F> {
    catalog: Arc<Catalog>,
    on_change: F,
}

impl<F: FnMut(WebhookChange)> WebhookIndex<F> {
    pub(crate) fn new(catalog: Arc<Catalog>, on_change: F) -> Self {
        Self { catalog, on_change }
    }
}

impl<F: FnMut(WebhookChange)> Index for WebhookIndex<F> {
    type Object = Lenient<Webhook>;
    type Listed = NamespacedName;

    fn list(&mut self, object: &Lenient<Webhook>) -> NamespacedName {
        self.apply(object);
        name_of(object)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let changes = self.catalog.retain(&listed.into_iter().collect());
        changes.into_iter().for_each(&mut self.on_change);
    }

    fn apply(&mut self, object: &Lenient<Webhook>) {
        self.catalog.apply(object).into_iter().for_each(&mut self.on_change);
    }

    fn delete(&mut self, object: &Lenient<Webhook>) {
        self.catalog.delete(name_of(object)).into_iter().for_each(&mut self.on_change);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::index::Fold;

    fn webhook(uid: &str, generation: i64, url: &Value) -> Lenient<Webhook> {
        let metadata = json!({"name": "one", "namespace": "team", "uid": uid, "generation": generation});
        let object = json!({"metadata": metadata, "spec": {"triggerType": "resolve", "url": url}});
        serde_json::from_value(object).unwrap()
    }

    /// A change, and whether the webhook is held then.
    fn described(change: &WebhookChange) -> (&'static str, bool) {
        match change {
            WebhookChange::Added(entry) => ("added", entry.is_held()),
            WebhookChange::Changed(entry) => ("changed", entry.is_held()),
            WebhookChange::Removed(_) => ("removed", false),
            WebhookChange::Unreadable(_) => ("unreadable", false),
        }
    }

    #[test]
    fn a_webhook_that_can_be_read_no_more_is_held_until_it_can() {
        let (fine, wrong) = (json!("https://receiver.example"), json!(7));
        let (catalog, changes) = (Arc::new(Catalog::default()), Mutex::new(Vec::new()));
        let mut index =
            Fold::new(WebhookIndex::new(Arc::clone(&catalog), |change| changes.lock().push(described(&change))));
        let steps = [
            // Nothing is known of it.
            (Event::Apply(webhook("a", 1, &wrong)), vec![("unreadable", false)], true),
            (Event::Apply(webhook("a", 1, &wrong)), vec![], true),
            (Event::Apply(webhook("a", 1, &fine)), vec![("added", false)], false),
            (Event::Apply(webhook("a", 2, &wrong)), vec![("changed", true)], false),
            (Event::Apply(webhook("a", 2, &wrong)), vec![], false),
            // As after an upgrade of the operator.
            (Event::Apply(webhook("a", 2, &fine)), vec![("changed", false)], false),
            // Another one.
            (Event::Apply(webhook("b", 1, &wrong)), vec![("removed", false), ("unreadable", false)], true),
            (Event::Delete(webhook("b", 1, &wrong)), vec![("removed", false)], false),
            (Event::Apply(webhook("c", 1, &wrong)), vec![("unreadable", false)], true),
            (Event::Init, vec![], true),
            (Event::InitDone, vec![("removed", false)], false),
            (Event::Apply(webhook("d", 1, &fine)), vec![("added", false)], false),
        ];
        for (step, (event, expected, unreadable)) in steps.into_iter().enumerate() {
            index.observe(&event);
            assert_eq!(std::mem::take(&mut *changes.lock()), expected, "step {step}");
            let namespaces = catalog.namespaces.read();
            let is_unreadable = namespaces.get("team").is_some_and(|webhooks| webhooks.unreadable.contains("one"));
            assert_eq!(is_unreadable, unreadable, "step {step}");
        }
    }
}
