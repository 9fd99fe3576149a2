//! The webhooks of each namespace, as they are to be answered with: reads need no call of the Kubernetes API.
//!
//! ```text
//! watch ──────────────┐
//!                     ├─► catalog ─► list, get: texts that are ready to be sent
//! answers to writes ──┘
//! ```
//! A write's answer goes in at once, so that the next read sees it; what the watch shows later and is older goes by.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use axum::body::Bytes;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::watcher::Event};
use parking_lot::{Mutex, RwLock};

use super::{
    fields::Form,
    manifest::{body, id_of, name_of},
};
use crate::{
    kubernetes::{guard::Guarded, watch::log_invalid},
    resources::{CREATED_AT_ANNOTATION, Webhook},
};

/// One webhook.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) webhook: Webhook,
    pub(crate) id: String,
    bodies: [Bytes; 2],
    created: Created,
    /// When this state came to be known, for states that no watch has shown yet.
    known: Instant,
}

/// The order of lists: the time of creation, in Kubernetes' whole seconds and in our microseconds, then the name.
type Created = (Timestamp, Option<Timestamp>, String);

impl From<Webhook> for Entry {
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
        let bodies = [Form::Webhooks, Form::Actions].map(|form| body(&webhook, form));
        Self { id: id_of(&webhook), bodies, created, known: Instant::now(), webhook }
    }
}

impl Entry {
    /// The webhook as JSON text.
    pub(crate) fn body(&self, form: Form) -> &Bytes {
        match form {
            Form::Webhooks => &self.bodies[0],
            Form::Actions => &self.bodies[1],
        }
    }

    /// The name for people.
    pub(crate) fn name(&self) -> &str {
        name_of(&self.webhook)
    }

    /// What orders states of one object in time; API servers' versions are numbers of one sequence.
    fn version(&self) -> Option<u64> {
        self.webhook.metadata.resource_version.as_deref()?.parse().ok()
    }
}

#[derive(Default)]
struct Namespace {
    by_name: HashMap<String, Arc<Entry>>,
    /// An id that two webhooks state stands for the older one.
    by_id: BTreeMap<(String, Created), Arc<Entry>>,
    in_order: BTreeMap<Created, Arc<Entry>>,
}

impl Namespace {
    fn insert(&mut self, entry: Arc<Entry>) {
        self.remove(&entry.webhook.name_any());
        self.by_id.insert((entry.id.clone(), entry.created.clone()), Arc::clone(&entry));
        self.in_order.insert(entry.created.clone(), Arc::clone(&entry));
        self.by_name.insert(entry.webhook.name_any(), entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_id.remove(&(entry.id.clone(), entry.created.clone()));
            self.in_order.remove(&entry.created);
        }
    }
}

#[derive(Default)]
struct State {
    namespaces: HashMap<String, Namespace>,
    /// Uids of webhooks that were deleted here and that the watch may still show, with the time of it.
    deleted: HashMap<String, Instant>,
    /// When the list that is under way began, and what it has named so far.
    list: Option<(Instant, HashSet<(String, String)>)>,
}

/// All webhooks that are watched.
#[derive(Default)]
pub(crate) struct Catalog {
    state: RwLock<State>,
    /// Names that a write under way is about to take: (namespace, for people or for Kubernetes, name).
    reserved: Mutex<HashSet<Reserved>>,
}

type Reserved = (String, Namely, String);

/// Which of a webhook's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Namely {
    ForPeople,
    InKubernetes,
}

/// A name that nobody else takes until this is dropped.
pub(crate) struct Reservation<'a> {
    catalog: &'a Catalog,
    name: Reserved,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.catalog.reserved.lock().remove(&self.name);
    }
}

/// Which webhooks of a namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    /// Any of these teams; None for no team.
    pub(crate) teams: Vec<Option<String>>,
}

impl Filter {
    fn passes(&self, entry: &Entry) -> bool {
        let team = entry.webhook.spec.team.as_deref().filter(|team| !team.is_empty());
        self.name.as_ref().is_none_or(|name| entry.name() == name)
            && (self.teams.is_empty() || self.teams.iter().any(|wanted| wanted.as_deref() == team))
    }
}

impl Catalog {
    /// Takes in what the watch says.
    pub(crate) fn observe(&self, event: Event<Guarded<Webhook>>) {
        match event {
            Event::Init => self.state.write().list = Some((Instant::now(), HashSet::new())),
            Event::InitApply(webhook) => {
                if let Some((_, named)) = &mut self.state.write().list {
                    named.insert((webhook.namespace().unwrap_or_default(), webhook.name_any()));
                }
                self.apply(webhook);
            }
            Event::InitDone => {
                let state = &mut *self.state.write();
                let Some((began, named)) = state.list.take() else { return };
                state.deleted.retain(|_, deleted| *deleted >= began);
                for (namespace, webhooks) in &mut state.namespaces {
                    let gone: Vec<String> = webhooks
                        .by_name
                        .values()
                        // What was written while the list was made may not be on it.
                        .filter(|entry| entry.known < began)
                        .map(|entry| entry.webhook.name_any())
                        .filter(|name| !named.contains(&(namespace.clone(), name.clone())))
                        .collect();
                    for name in gone {
                        webhooks.remove(&name);
                    }
                }
            }
            Event::Apply(webhook) => self.apply(webhook),
            Event::Delete(webhook) => {
                let uid = webhook.uid().unwrap_or_default();
                let mut state = self.state.write();
                state.deleted.remove(&uid);
                drop(state);
                self.forget(&webhook.namespace().unwrap_or_default(), &webhook.name_any(), &uid);
            }
        }
    }

    fn apply(&self, webhook: Guarded<Webhook>) {
        let (namespace, name) = (webhook.namespace().unwrap_or_default(), webhook.name_any());
        let uid = webhook.uid().unwrap_or_default();
        match webhook.0 {
            Ok(webhook) => {
                self.insert(webhook);
            }
            Err(invalid) => {
                log_invalid::<Webhook>(&invalid);
                self.forget(&namespace, &name, &uid);
            }
        }
    }

    /// Takes in a state of a webhook, unless a later one is known. Gives what is known then; None if it is deleted.
    pub(crate) fn insert(&self, webhook: Webhook) -> Option<Arc<Entry>> {
        let namespace = webhook.namespace().unwrap_or_default();
        let (name, uid) = (webhook.name_any(), webhook.uid().unwrap_or_default());
        // One that waits for its finalizers is gone for everybody here.
        if webhook.metadata.deletion_timestamp.is_some() {
            self.forget(&namespace, &name, &uid);
            return None;
        }
        let entry = Arc::new(Entry::from(webhook));
        let mut state = self.state.write();
        if state.deleted.contains_key(&uid) {
            return None;
        }
        let webhooks = state.namespaces.entry(namespace).or_default();
        match webhooks.by_name.get(&name) {
            Some(known) if known.version() > entry.version() => Some(Arc::clone(known)),
            _ => {
                webhooks.insert(Arc::clone(&entry));
                Some(entry)
            }
        }
    }

    /// Takes out a webhook that was deleted here.
    pub(crate) fn delete(&self, entry: &Entry) {
        let uid = entry.webhook.uid().unwrap_or_default();
        self.state.write().deleted.insert(uid.clone(), Instant::now());
        self.forget(&entry.webhook.namespace().unwrap_or_default(), &entry.webhook.name_any(), &uid);
    }

    fn forget(&self, namespace: &str, name: &str, uid: &str) {
        let mut state = self.state.write();
        let Some(webhooks) = state.namespaces.get_mut(namespace) else { return };
        // Not one that was made anew with the same name.
        if webhooks.by_name.get(name).is_some_and(|entry| entry.webhook.uid().as_deref() == Some(uid)) {
            webhooks.remove(name);
        }
    }

    /// The webhook with an id.
    pub(crate) fn get(&self, namespace: &str, id: &str) -> Option<Arc<Entry>> {
        let state = self.state.read();
        let by_id = &state.namespaces.get(namespace)?.by_id;
        let from = (id.to_owned(), (Timestamp::MIN, None, String::new()));
        let ((found, _), entry) = by_id.range(from..).next()?;
        (found == id).then(|| Arc::clone(entry))
    }

    /// How many webhooks pass, and, of these in the order of creation, those of the range that `page` gives for this number.
    pub(crate) fn list(
        &self,
        namespace: &str,
        filter: &Filter,
        page: impl FnOnce(usize) -> std::ops::Range<usize>,
    ) -> (usize, Vec<Arc<Entry>>) {
        let state = self.state.read();
        let Some(webhooks) = state.namespaces.get(namespace) else { return (0, Vec::new()) };
        if filter.name.is_none() && filter.teams.is_empty() {
            let range = page(webhooks.in_order.len());
            let entries = webhooks.in_order.values().skip(range.start).take(range.len()).cloned().collect();
            return (webhooks.in_order.len(), entries);
        }
        let passing: Vec<_> = webhooks.in_order.values().filter(|entry| filter.passes(entry)).collect();
        let range = page(passing.len());
        (passing.len(), passing.iter().skip(range.start).take(range.len()).map(|entry| Arc::clone(entry)).collect())
    }

    /// Takes a name for a write that is about to begin; None if it is taken, by another webhook than `except` or by
    /// another write.
    pub(crate) fn reserve(
        &self,
        namespace: &str,
        namely: Namely,
        name: &str,
        except: Option<&Entry>,
    ) -> Option<Reservation<'_>> {
        let name: Reserved = (namespace.to_owned(), namely, name.to_owned());
        if !self.reserved.lock().insert(name.clone()) {
            return None;
        }
        let reservation = Reservation { catalog: self, name };
        let wanted = &reservation.name.2;
        let state = self.state.read();
        let taken = state.namespaces.get(namespace).is_some_and(|webhooks| match namely {
            Namely::InKubernetes => webhooks.by_name.contains_key(wanted),
            Namely::ForPeople => webhooks.by_name.values().any(|entry| {
                entry.name() == wanted && except.is_none_or(|except| except.webhook.uid() != entry.webhook.uid())
            }),
        });
        (!taken).then_some(reservation)
    }
}
