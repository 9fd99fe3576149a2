//! The webhooks of each namespace, as answers show them: reads need no call of the Kubernetes API.
//!
//! ```text
//! watch ──────────────┐
//!                     ├─► catalog ─► list, get: texts that are ready to be sent
//! answers to writes ──┘
//! ```
//! A write's answer goes in at once, so that the next read sees it; an older state that the watch shows later is left out.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::{Mutex, RwLock};

use super::webhook::{Collection, body, display_name, id_of};
use crate::{
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::{NamespacedName, name_of},
        resource_version::{ResourceVersion, version_of},
        watch::log_unreadable,
    },
    resources::{CREATED_AT_ANNOTATION, Webhook},
};

/// How long after a webhook was deleted an older state of it may still come.
const LATE: Duration = Duration::from_secs(600);

/// One webhook, with the texts that answers show.
#[derive(Debug)]
pub(crate) struct CachedWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) id: String,
    bodies: [Bytes; 2],
    created: CreationOrder,
    /// When this state became known here: the watch may show it later.
    known_since: Instant,
}

/// Orders lists: the time of creation in Kubernetes' whole seconds, then in our microseconds, then the name.
type CreationOrder = (Timestamp, Option<Timestamp>, String);

impl From<Webhook> for CachedWebhook {
    fn from(mut webhook: Webhook) -> Self {
        webhook.metadata.managed_fields = None;
        webhook.status = None;
        let meta = &webhook.metadata;
        let precisely = webhook.annotations().get(CREATED_AT_ANNOTATION).and_then(|time| time.parse().ok());
        let created = (
            meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            precisely,
            webhook.name_any(),
        );
        let bodies = [Collection::Webhooks, Collection::Actions].map(|collection| body(&webhook, collection));
        Self { id: id_of(&webhook), bodies, created, known_since: Instant::now(), webhook }
    }
}

impl CachedWebhook {
    /// The webhook as JSON text.
    pub(crate) fn body(&self, collection: Collection) -> &Bytes {
        match collection {
            Collection::Webhooks => &self.bodies[0],
            Collection::Actions => &self.bodies[1],
        }
    }

    /// The display name.
    pub(crate) fn name(&self) -> &str {
        display_name(&self.webhook)
    }

    fn version(&self) -> ResourceVersion {
        version_of(&self.webhook)
    }
}

/// The webhooks of one namespace.
#[derive(Default)]
struct NamespaceIndex {
    by_name: HashMap<String, Arc<CachedWebhook>>,
    /// An id that two webhooks state stands for the older of them.
    by_id: BTreeMap<(String, CreationOrder), Arc<CachedWebhook>>,
    /// By the display name, which is unique only among webhooks that were made here.
    by_display_name: BTreeMap<(String, CreationOrder), Arc<CachedWebhook>>,
    in_order: BTreeMap<CreationOrder, Arc<CachedWebhook>>,
}

impl NamespaceIndex {
    fn insert(&mut self, entry: Arc<CachedWebhook>) {
        self.remove(&entry.webhook.name_any());
        self.by_id.insert((entry.id.clone(), entry.created.clone()), Arc::clone(&entry));
        self.by_display_name.insert((entry.name().to_owned(), entry.created.clone()), Arc::clone(&entry));
        self.in_order.insert(entry.created.clone(), Arc::clone(&entry));
        self.by_name.insert(entry.webhook.name_any(), entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_id.remove(&(entry.id.clone(), entry.created.clone()));
            self.by_display_name.remove(&(entry.name().to_owned(), entry.created.clone()));
            self.in_order.remove(&entry.created);
        }
    }

    /// The webhooks with this display name, in the order of creation.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<CachedWebhook>> {
        with_first(&self.by_display_name, name)
    }
}

/// The values of a map under keys whose first part is `first`, in the order of creation.
fn with_first<'a>(
    map: &'a BTreeMap<(String, CreationOrder), Arc<CachedWebhook>>,
    first: &str,
) -> impl Iterator<Item = &'a Arc<CachedWebhook>> {
    let from = (first.to_owned(), (Timestamp::MIN, None, String::new()));
    let range = map.range(from.clone()..);
    range.take_while(move |((found, _), _)| *found == from.0).map(|(_, entry)| entry)
}

#[derive(Default)]
struct CatalogState {
    namespaces: HashMap<Arc<str>, NamespaceIndex>,
    deleted: Tombstones,
}

impl CatalogState {
    /// Removes a webhook, but not one that was made anew with the same name.
    fn forget(&mut self, namespace: &str, name: &str, uid: &str) {
        let Some(webhooks) = self.namespaces.get_mut(namespace) else { return };
        if webhooks.by_name.get(name).is_some_and(|entry| entry.webhook.uid().as_deref() == Some(uid)) {
            webhooks.remove(name);
        }
    }
}

/// Uids of webhooks that were deleted: older states of them may still come, from the watch and as answers to writes. Kept
/// for [`LATE`].
#[derive(Default)]
struct Tombstones {
    uids: HashSet<String>,
    since: VecDeque<(Instant, String)>,
}

impl Tombstones {
    fn insert(&mut self, uid: &str) {
        while self.since.front().is_some_and(|(since, _)| since.elapsed() >= LATE)
            && let Some((_, old)) = self.since.pop_front()
        {
            self.uids.remove(&old);
        }
        if self.uids.insert(uid.to_owned()) {
            self.since.push_back((Instant::now(), uid.to_owned()));
        }
    }
}

/// All webhooks that are watched.
#[derive(Default)]
pub(crate) struct Catalog {
    state: RwLock<CatalogState>,
    /// Names that a write under way is about to take.
    reserved: Mutex<HashSet<ReservedName>>,
}

/// A namespace, which kind of name, and the name.
type ReservedName = (String, NameKind, String);

/// Which of a webhook's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NameKind {
    /// `spec.name`, for people.
    Display,
    /// `metadata.name`.
    Object,
}

/// Keeps others from taking a name until it is dropped.
pub(crate) struct Reservation<'a> {
    catalog: &'a Catalog,
    name: ReservedName,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.catalog.reserved.lock().remove(&self.name);
    }
}

/// Selects webhooks of a namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    /// Webhooks of any of these teams pass, where None stands for no team; if there are none, all pass.
    pub(crate) teams: Vec<Option<String>>,
}

impl Filter {
    fn passes(&self, entry: &CachedWebhook) -> bool {
        let team = entry.webhook.spec.team.as_deref().filter(|team| !team.is_empty());
        self.name.as_ref().is_none_or(|name| entry.name() == name)
            && (self.teams.is_empty() || self.teams.iter().any(|wanted| wanted.as_deref() == team))
    }
}

impl Catalog {
    /// Takes in a webhook that the watch shows, also over a later state that is `outdated`.
    fn apply(&self, webhook: &Lenient<Webhook>, outdated: impl FnOnce(&CachedWebhook) -> bool) {
        match &webhook.0 {
            Ok(webhook) => {
                self.insert_over(webhook.clone(), outdated);
            }
            Err(unreadable) => {
                log_unreadable::<Webhook>(unreadable);
                let uid = webhook.uid().unwrap_or_default();
                let name = name_of(webhook);
                self.state.write().forget(&name.namespace, &name.name, &uid);
            }
        }
    }

    /// Removes all webhooks but those with these names, unless they came to be known after the list of them `began`: what was
    /// written while the list was made may not be on it.
    fn retain(&self, listed: &HashSet<NamespacedName>, began: Instant) {
        for (namespace, webhooks) in &mut self.state.write().namespaces {
            let is_listed = |name: String| listed.contains(&NamespacedName::new(Arc::clone(namespace), name));
            let unlisted = webhooks.by_name.values().filter(|entry| entry.known_since < began);
            let names = unlisted.map(|entry| entry.webhook.name_any()).filter(|name| !is_listed(name.clone()));
            for name in names.collect::<Vec<_>>() {
                webhooks.remove(&name);
            }
        }
    }

    /// Takes in a state of a webhook, unless a later one is known. Returns the state that is known then; None if the webhook
    /// was deleted.
    pub(crate) fn insert(&self, webhook: Webhook) -> Option<Arc<CachedWebhook>> {
        self.insert_over(webhook, |_| false)
    }

    /// As [`Catalog::insert`], and also over a later state that is `outdated`.
    fn insert_over(
        &self,
        webhook: Webhook,
        outdated: impl FnOnce(&CachedWebhook) -> bool,
    ) -> Option<Arc<CachedWebhook>> {
        let namespace = webhook.namespace().unwrap_or_default();
        let (name, uid) = (webhook.name_any(), webhook.uid().unwrap_or_default());
        // One that waits for its finalizers does not exist any more for callers.
        if webhook.metadata.deletion_timestamp.is_some() {
            self.remove(&namespace, &name, &uid);
            return None;
        }
        let entry = Arc::new(CachedWebhook::from(webhook));
        let mut state = self.state.write();
        if state.deleted.uids.contains(&uid) {
            return None;
        }
        let webhooks = state.namespaces.entry(namespace.into()).or_default();
        match webhooks.by_name.get(&name) {
            Some(known) if known.version() > entry.version() && !outdated(known) => Some(Arc::clone(known)),
            _ => {
                webhooks.insert(Arc::clone(&entry));
                Some(entry)
            }
        }
    }

    /// Removes a webhook that was deleted here.
    pub(crate) fn delete(&self, entry: &CachedWebhook) {
        let uid = entry.webhook.uid().unwrap_or_default();
        self.remove(&entry.webhook.namespace().unwrap_or_default(), &entry.webhook.name_any(), &uid);
    }

    /// Removes a webhook for good: no older state of it is taken in any more.
    fn remove(&self, namespace: &str, name: &str, uid: &str) {
        let mut state = self.state.write();
        state.deleted.insert(uid);
        state.forget(namespace, name, uid);
    }

    /// The webhook with an id.
    pub(crate) fn get(&self, namespace: &str, id: &str) -> Option<Arc<CachedWebhook>> {
        let state = self.state.read();
        with_first(&state.namespaces.get(namespace)?.by_id, id).next().cloned()
    }

    /// A webhook of a namespace for which `is_it` is true.
    pub(crate) fn find(&self, namespace: &str, is_it: impl Fn(&Webhook) -> bool) -> Option<Arc<CachedWebhook>> {
        let state = self.state.read();
        state.namespaces.get(namespace)?.by_name.values().find(|entry| is_it(&entry.webhook)).cloned()
    }

    /// How many webhooks pass the filter, and those of one page, in the order of creation: `page` tells for that number which
    /// range the page is.
    pub(crate) fn list(
        &self,
        namespace: &str,
        filter: &Filter,
        page: impl FnOnce(usize) -> std::ops::Range<usize>,
    ) -> (usize, Vec<Arc<CachedWebhook>>) {
        let state = self.state.read();
        let Some(webhooks) = state.namespaces.get(namespace) else { return (0, Vec::new()) };
        if filter.name.is_none() && filter.teams.is_empty() {
            let range = page(webhooks.in_order.len());
            let entries = webhooks.in_order.values().skip(range.start).take(range.len()).cloned().collect();
            return (webhooks.in_order.len(), entries);
        }
        let passing: Vec<_> = match &filter.name {
            Some(name) => webhooks.named(name).filter(|entry| filter.passes(entry)).collect(),
            None => webhooks.in_order.values().filter(|entry| filter.passes(entry)).collect(),
        };
        let range = page(passing.len());
        (passing.len(), passing.iter().skip(range.start).take(range.len()).map(|entry| Arc::clone(entry)).collect())
    }

    /// Reserves a name for a write that is about to begin; None if it is taken by a webhook other than `except`, or by
    /// another write.
    pub(crate) fn reserve(
        &self,
        namespace: &str,
        kind: NameKind,
        name: &str,
        except: Option<&CachedWebhook>,
    ) -> Option<Reservation<'_>> {
        let name: ReservedName = (namespace.to_owned(), kind, name.to_owned());
        if !self.reserved.lock().insert(name.clone()) {
            return None;
        }
        let reservation = Reservation { catalog: self, name };
        let wanted = &reservation.name.2;
        let state = self.state.read();
        let taken = state.namespaces.get(namespace).is_some_and(|webhooks| match kind {
            NameKind::Object => webhooks.by_name.contains_key(wanted),
            NameKind::Display => webhooks
                .named(wanted)
                .any(|entry| except.is_none_or(|except| except.webhook.metadata.uid != entry.webhook.metadata.uid)),
        });
        (!taken).then_some(reservation)
    }
}

/// Keeps a catalog as the watch shows the webhooks.
pub(crate) struct WebhookIndex {
    catalog: Arc<Catalog>,
    list_began: Instant,
}

impl WebhookIndex {
    pub(crate) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, list_began: Instant::now() }
    }
}

impl Index for WebhookIndex {
    type Object = Lenient<Webhook>;
    type Listed = NamespacedName;

    fn begin_list(&mut self) {
        self.list_began = Instant::now();
    }

    fn list(&mut self, webhook: &Lenient<Webhook>) -> NamespacedName {
        // Versions begin anew where a cluster is restored: what is listed counts, but for what was written since.
        self.catalog.apply(webhook, |known| known.known_since < self.list_began);
        name_of(webhook)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        self.catalog.retain(&listed.into_iter().collect(), self.list_began);
    }

    fn apply(&mut self, webhook: &Lenient<Webhook>) {
        self.catalog.apply(webhook, |_| false);
    }

    fn delete(&mut self, webhook: &Lenient<Webhook>) {
        let (NamespacedName { namespace, name }, uid) = (name_of(webhook), webhook.uid().unwrap_or_default());
        self.catalog.remove(&namespace, &name, &uid);
    }
}

#[cfg(test)]
mod tests;
