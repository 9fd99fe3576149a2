//! The webhooks that are known, by namespace, name and trigger type.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;

use crate::{
    event::EventFacts,
    matching::{self, SAME_APPLY},
    name::NamespacedName,
    webhook::{TriggerType, Webhook},
};

/// A webhook as the watch showed it last.
#[derive(Debug)]
pub struct KnownWebhook {
    /// Namespace and name.
    pub name: NamespacedName,
    /// Uid: another one of the same name has another.
    pub uid: Arc<str>,
    /// The webhook, ready to run.
    pub webhook: Arc<Webhook>,
    /// When it was created.
    pub created: Timestamp,
    /// When the watch first showed it.
    pub appeared: Instant,
    /// Whether its deliveries wait until it is changed: it is suspended, its receiver is gone, or it can't be read any more.
    pub is_held: bool,
}

impl KnownWebhook {
    /// Whether it runs for an event that was created at `created`.
    pub(super) fn runs(&self, event: &EventFacts, created: Timestamp) -> bool {
        matching::runs(&self.webhook, event) && self.existed(created)
    }

    /// Whether it was there for an event that was created at `created`.
    pub(super) fn existed(&self, created: Timestamp) -> bool {
        matching::existed(self.created, created)
    }

    /// Whether one apply may have made it and an event that was created at `created`.
    pub(super) fn came_with(&self, created: Timestamp) -> bool {
        matching::came_with(self.created, created)
    }

    /// Whether it is so new that its Secrets may be made by the same apply, and seen later than it.
    pub(super) fn may_await_secrets(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.appeared) < SAME_APPLY && self.webhook.secrets().next().is_some()
    }
}

#[derive(Debug, Default)]
struct OfNamespace {
    by_name: HashMap<Arc<str>, Arc<KnownWebhook>>,
    by_trigger: HashMap<TriggerType, BTreeMap<Arc<str>, Arc<KnownWebhook>>>,
    /// Names of webhooks that can't be read, and of which nothing is known.
    unreadable: HashSet<Arc<str>>,
}

/// All known webhooks.
#[derive(Debug, Default)]
pub(super) struct KnownWebhooks(HashMap<Arc<str>, OfNamespace>);

impl KnownWebhooks {
    /// Puts a webhook in the place of the one of its name.
    pub(super) fn insert(&mut self, known: Arc<KnownWebhook>) {
        self.remove(&known.name);
        let of = self.0.entry(Arc::clone(&known.name.namespace)).or_default();
        let name = Arc::clone(&known.name.name);
        of.by_trigger.entry(known.webhook.trigger_type).or_default().insert(Arc::clone(&name), Arc::clone(&known));
        of.by_name.insert(name, known);
    }

    /// Notes that there is a webhook of this name, and that nothing is known of it.
    pub(super) fn insert_unreadable(&mut self, name: &NamespacedName) {
        self.remove(name);
        self.0.entry(Arc::clone(&name.namespace)).or_default().unreadable.insert(Arc::clone(&name.name));
    }

    /// Removes the webhook of this name, known or not.
    pub(super) fn remove(&mut self, name: &NamespacedName) {
        let Some(of) = self.0.get_mut(&name.namespace) else { return };
        of.unreadable.remove(&name.name);
        if let Some(known) = of.by_name.remove(&name.name)
            && let Some(webhooks) = of.by_trigger.get_mut(&known.webhook.trigger_type)
        {
            webhooks.remove(&name.name);
        }
        if of.by_name.is_empty() && of.unreadable.is_empty() {
            self.0.remove(&name.namespace);
        }
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<KnownWebhook>> {
        self.0.get(namespace)?.by_name.get(name)
    }

    /// Whether a namespace has webhooks of which nothing is known.
    pub(super) fn has_unreadable(&self, namespace: &str) -> bool {
        self.0.get(namespace).is_some_and(|of| !of.unreadable.is_empty())
    }

    /// Whether there is a webhook of this name of which nothing is known.
    pub(super) fn is_unreadable(&self, namespace: &str, name: &str) -> bool {
        self.0.get(namespace).is_some_and(|of| of.unreadable.contains(name))
    }

    /// The webhooks that run for an event that was created at `created`.
    pub(super) fn matching(&self, namespace: &str, event: &EventFacts, created: Timestamp) -> Vec<Arc<KnownWebhook>> {
        let Some(of) = self.0.get(namespace) else { return Vec::new() };
        let Some(event_type) = event.event_type else { return Vec::new() };
        let status_change = event_type.is_status_change().then_some(TriggerType::StatusChange);
        let triggers =
            event_type.trigger().into_iter().chain(status_change).filter_map(|trigger| of.by_trigger.get(&trigger));
        triggers.flat_map(BTreeMap::values).filter(|known| known.runs(event, created)).cloned().collect()
    }

    /// All known webhooks of a namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<KnownWebhook>> {
        self.0.get(namespace).into_iter().flat_map(|of| of.by_name.values())
    }
}
