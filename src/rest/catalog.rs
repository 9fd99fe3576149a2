//! The webhooks of each namespace, as answers show them: reads need no call of the Kubernetes API.
//!
//! ```text
//! watch ──────────────┐
//!                     ├─► catalog ─► list, get: texts that are ready to be sent
//! answers to writes ──┘
//! ```
//! The texts have a share of memory for each namespace. A webhook beyond it is kept without its long fields and texts, and read
//! again when somebody asks for it.
//!
//! A write's answer goes in at once, so that the next read sees it; an older state that the watch shows later is left out. What
//! other replicas have written is asked for where a call is for one webhook ([`current`]).

mod current;
mod unshown;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use axum::body::Bytes;
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::{Mutex, RwLock};

use self::unshown::Unshown;
use super::{
    error::ApiError,
    freshness::{Freshness, Rounds},
    permits::{Permit, Permits},
    tombstones::Tombstones,
    webhook::{Collection, body, display_name, id_of},
};
use crate::{
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::{NamespacedName, name_of},
        objects::Objects,
        resource_version::{ResourceVersion, created_in, version_of},
        watch::log_unreadable,
    },
    memory::Shares,
    resources::{CREATED_AT_ANNOTATION, Webhook},
};

/// How many bytes an annotation may have that is kept.
const LONG: usize = 1024;
/// About how many bytes a webhook takes beside its fields and texts.
const ENTRY: u64 = 1024;
/// How many pages with webhooks that have to be read are in memory at a time; and how many of one namespace.
const PAGES: (u32, u32) = (2, 1);

/// One webhook, with the texts that answers show.
#[derive(Debug)]
pub(crate) struct CachedWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) id: String,
    bodies: [Bytes; 2],
    /// Its long fields and its texts are missing: there is no room for them.
    is_short: bool,
    /// About how many bytes it takes.
    bytes: u64,
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
        // Nothing looks at long ones, such as what kubectl applied last.
        webhook.metadata.annotations.iter_mut().for_each(|all| all.retain(|_, value| value.len() <= LONG));
        let meta = &webhook.metadata;
        let precisely = webhook.annotations().get(CREATED_AT_ANNOTATION).and_then(|time| time.parse().ok());
        let created = (created_in(meta), precisely, webhook.name_any());
        let bodies = [Collection::Webhooks, Collection::Actions].map(|collection| body(&webhook, collection));
        let texts: usize = bodies.iter().map(Bytes::len).sum();
        let annotations: usize = webhook.annotations().iter().map(|(key, value)| key.len() + value.len()).sum();
        // The fields take about as much as one of the texts that show them.
        let bytes = ENTRY + (texts + texts / 2 + annotations) as u64;
        Self { id: id_of(&webhook), bodies, is_short: false, bytes, created, known_since: Instant::now(), webhook }
    }
}

impl CachedWebhook {
    /// It without its long fields and its texts: what is left tells it from others, and which Secrets are its own.
    fn shortened(&self) -> Self {
        let mut webhook = self.webhook.clone();
        webhook.metadata.annotations = None;
        let spec = &mut webhook.spec;
        (spec.url, spec.headers, spec.data, spec.trigger_template) = (None, None, None, None);
        (spec.headers_from, spec.integration_filter, spec.labels) = (None, None, None);
        Self {
            webhook,
            id: self.id.clone(),
            bodies: [Bytes::new(), Bytes::new()],
            is_short: true,
            bytes: 0,
            created: self.created.clone(),
            known_since: self.known_since,
        }
    }

    /// The webhook as JSON text, if it is whole ([`Catalog::whole`]).
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
    /// Puts in an entry whose name is free.
    fn insert(&mut self, entry: Arc<CachedWebhook>) {
        self.by_id.insert((entry.id.clone(), entry.created.clone()), Arc::clone(&entry));
        self.by_display_name.insert((entry.name().to_owned(), entry.created.clone()), Arc::clone(&entry));
        self.in_order.insert(entry.created.clone(), Arc::clone(&entry));
        self.by_name.insert(entry.webhook.name_any(), entry);
    }

    /// Returns how many bytes that gives back.
    fn remove(&mut self, name: &str) -> u64 {
        let Some(entry) = self.by_name.remove(name) else { return 0 };
        self.by_id.remove(&(entry.id.clone(), entry.created.clone()));
        self.by_display_name.remove(&(entry.name().to_owned(), entry.created.clone()));
        self.in_order.remove(&entry.created);
        entry.bytes
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

struct CatalogState {
    namespaces: HashMap<Arc<str>, NamespaceIndex>,
    shares: Shares,
    /// The namespaces of which the log says that they have used up their share.
    told: HashSet<Arc<str>>,
    deleted: Tombstones,
}

impl CatalogState {
    /// Removes a webhook, but not one that was made anew with the same name.
    fn forget(&mut self, namespace: &str, name: &str, uid: &str) {
        let Some(webhooks) = self.namespaces.get_mut(namespace) else { return };
        if webhooks.by_name.get(name).is_some_and(|entry| entry.webhook.uid().as_deref() == Some(uid)) {
            self.shares.give_back(&namespace.into(), webhooks.remove(name));
        }
    }

    /// Puts in a state of a webhook in place of the one that is known, whole or shortened.
    fn replace(&mut self, namespace: &Arc<str>, name: &str, entry: &Arc<CachedWebhook>) {
        let webhooks = self.namespaces.entry(Arc::clone(namespace)).or_default();
        self.shares.give_back(namespace, webhooks.remove(name));
        if self.shares.take(namespace, entry.bytes) {
            webhooks.insert(Arc::clone(entry));
            return;
        }
        webhooks.insert(Arc::new(entry.shortened()));
        if self.told.insert(Arc::clone(namespace)) {
            let namespace = &**namespace;
            tracing::warn!(
                namespace,
                "the webhooks of this namespace have used up its share of memory: some are read from the API server for each call"
            );
        }
    }
}

/// All webhooks that are watched.
pub(crate) struct Catalog {
    state: RwLock<CatalogState>,
    objects: Objects,
    /// Pages with webhooks that have to be read.
    pages: Permits,
    /// Names that a write under way is about to take.
    reserved: Mutex<HashSet<ReservedName>>,
    freshness: Freshness,
    /// Rounds in which all webhooks of a namespace are compared with those of the API server.
    rounds: Rounds<ApiError>,
    unshown: Unshown,
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
    /// Keeps up to `budget` bytes, and reads what is beyond.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        let state = CatalogState {
            namespaces: HashMap::new(),
            shares: Shares::new(budget),
            told: HashSet::new(),
            deleted: Tombstones::default(),
        };
        let pages = Permits::new(PAGES.0, PAGES.1, "Too many pages of webhooks are being read: try again.");
        let (reserved, rounds, unshown) = Default::default();
        Self {
            state: RwLock::new(state),
            freshness: Freshness::new(&objects),
            objects,
            pages,
            reserved,
            rounds,
            unshown,
        }
    }

    /// A webhook with all that it has: read, if there was no room for it.
    ///
    /// # Errors
    /// It is gone: 404. Or it can't be read.
    pub(crate) async fn whole(&self, entry: Arc<CachedWebhook>) -> Result<Arc<CachedWebhook>, ApiError> {
        if !entry.is_short {
            return Ok(entry);
        }
        let NamespacedName { namespace, name } = name_of(&entry.webhook);
        let found = self.objects.get::<Webhook>(&namespace, &name).await.map_err(|error| ApiError::from(&error))?;
        let found = found.filter(|found| found.metadata.uid == entry.webhook.metadata.uid);
        let whole = Arc::new(CachedWebhook::from(found.ok_or_else(ApiError::not_found)?));
        // There may be room now.
        self.insert(whole.webhook.clone());
        Ok(whole)
    }

    /// A page of webhooks with all that they have; those that are gone meanwhile are left out. Keep the permit as long as them.
    ///
    /// # Errors
    /// One can't be read, or can't be now.
    pub(crate) async fn whole_page(
        &self,
        namespace: &str,
        entries: Vec<Arc<CachedWebhook>>,
    ) -> Result<(Vec<Arc<CachedWebhook>>, Option<Permit>), ApiError> {
        if entries.iter().all(|entry| !entry.is_short) {
            return Ok((entries, None));
        }
        let permit = self.pages.take(&namespace.into(), 1).await?;
        let mut page = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.whole(entry).await {
                Ok(entry) => page.push(entry),
                Err(error) if error == ApiError::not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok((page, Some(permit)))
    }

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
        let CatalogState { namespaces, shares, .. } = &mut *self.state.write();
        for (namespace, webhooks) in namespaces {
            let is_listed = |name: String| listed.contains(&NamespacedName::new(Arc::clone(namespace), name));
            let unlisted = webhooks.by_name.values().filter(|entry| entry.known_since < began);
            let names = unlisted.map(|entry| entry.webhook.name_any()).filter(|name| !is_listed(name.clone()));
            for name in names.collect::<Vec<_>>() {
                shares.give_back(namespace, webhooks.remove(&name));
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
        if state.deleted.contains(&uid) {
            return None;
        }
        let known = state.namespaces.get(&*namespace).and_then(|webhooks| webhooks.by_name.get(&name));
        match known.filter(|known| known.version() > entry.version() && !outdated(known)) {
            Some(known) => Some(Arc::clone(known)),
            None => {
                state.replace(&namespace.into(), &name, &entry);
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
