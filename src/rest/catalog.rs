//! The webhooks of each namespace, as they are to be answered with: reads need no call of the Kubernetes API.
//!
//! ```text
//! watch ──────────────┐
//!                     ├─► catalog ─► list, get: texts that are ready to be sent
//! answers to writes ──┘
//! ```
//! A write's answer goes in at once, so that the next read sees it; what the watch shows later and is older goes by.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
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
    kubernetes::{lenient::Lenient, resource_version::ResourceVersion, watch::log_unreadable},
    resources::{CREATED_AT_ANNOTATION, Webhook},
};

/// How long a state of a webhook may take to come after the webhook was deleted.
const LATE: Duration = Duration::from_secs(600);

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

    fn version(&self) -> ResourceVersion {
        ResourceVersion::of(&self.webhook)
    }
}

#[derive(Default)]
struct Namespace {
    by_name: HashMap<String, Arc<Entry>>,
    /// An id that two webhooks state stands for the older one.
    by_id: BTreeMap<(String, Created), Arc<Entry>>,
    /// By the name for people, which only those that were made here have for themselves.
    for_people: BTreeMap<(String, Created), Arc<Entry>>,
    in_order: BTreeMap<Created, Arc<Entry>>,
}

impl Namespace {
    fn insert(&mut self, entry: Arc<Entry>) {
        self.remove(&entry.webhook.name_any());
        self.by_id.insert((entry.id.clone(), entry.created.clone()), Arc::clone(&entry));
        self.for_people.insert((entry.name().to_owned(), entry.created.clone()), Arc::clone(&entry));
        self.in_order.insert(entry.created.clone(), Arc::clone(&entry));
        self.by_name.insert(entry.webhook.name_any(), entry);
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_id.remove(&(entry.id.clone(), entry.created.clone()));
            self.for_people.remove(&(entry.name().to_owned(), entry.created.clone()));
            self.in_order.remove(&entry.created);
        }
    }

    /// Those with this name for people, in the order of creation.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<Entry>> {
        with_first(&self.for_people, name)
    }
}

/// What a map has under keys that begin so, in the order of creation.
fn with_first<'a>(
    map: &'a BTreeMap<(String, Created), Arc<Entry>>,
    first: &str,
) -> impl Iterator<Item = &'a Arc<Entry>> {
    let from = (first.to_owned(), (Timestamp::MIN, None, String::new()));
    let range = map.range(from.clone()..);
    range.take_while(move |((found, _), _)| *found == from.0).map(|(_, entry)| entry)
}

#[derive(Default)]
struct State {
    namespaces: HashMap<String, Namespace>,
    deleted: Deleted,
    /// When the list that is under way began, and what it has named so far.
    list: Option<(Instant, HashSet<(String, String)>)>,
}

impl State {
    /// Takes out a webhook, but not one that was made anew with the same name.
    fn forget(&mut self, namespace: &str, name: &str, uid: &str) {
        let Some(webhooks) = self.namespaces.get_mut(namespace) else { return };
        if webhooks.by_name.get(name).is_some_and(|entry| entry.webhook.uid().as_deref() == Some(uid)) {
            webhooks.remove(name);
        }
    }
}

/// Uids of webhooks that are deleted: states from before may still come, from the watch and as answers to writes. Kept for
/// [`LATE`].
#[derive(Default)]
struct Deleted {
    uids: HashSet<String>,
    since: VecDeque<(Instant, String)>,
}

impl Deleted {
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
    pub(crate) fn observe(&self, event: Event<Lenient<Webhook>>) {
        match event {
            Event::Init => self.state.write().list = Some((Instant::now(), HashSet::new())),
            Event::InitApply(webhook) => {
                let began = self.state.write().list.as_mut().map(|(began, named)| {
                    named.insert((webhook.namespace().unwrap_or_default(), webhook.name_any()));
                    *began
                });
                // Versions begin anew where a cluster is restored: what is listed counts, but for what was written since.
                self.apply(webhook, |known| began.is_some_and(|began| known.known < began));
            }
            Event::InitDone => {
                let state = &mut *self.state.write();
                let Some((began, named)) = state.list.take() else { return };
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
            Event::Apply(webhook) => self.apply(webhook, |_| false),
            Event::Delete(webhook) => {
                let uid = webhook.uid().unwrap_or_default();
                self.bury(&webhook.namespace().unwrap_or_default(), &webhook.name_any(), &uid);
            }
        }
    }

    fn apply(&self, webhook: Lenient<Webhook>, outdated: impl FnOnce(&Entry) -> bool) {
        let (namespace, name) = (webhook.namespace().unwrap_or_default(), webhook.name_any());
        let uid = webhook.uid().unwrap_or_default();
        match webhook.0 {
            Ok(webhook) => {
                self.insert_over(webhook, outdated);
            }
            Err(unreadable) => {
                log_unreadable::<Webhook>(&unreadable);
                self.state.write().forget(&namespace, &name, &uid);
            }
        }
    }

    /// Takes in a state of a webhook, unless a later one is known. Gives what is known then; None if it is deleted.
    pub(crate) fn insert(&self, webhook: Webhook) -> Option<Arc<Entry>> {
        self.insert_over(webhook, |_| false)
    }

    /// The same, also over a later state that is `outdated`.
    fn insert_over(&self, webhook: Webhook, outdated: impl FnOnce(&Entry) -> bool) -> Option<Arc<Entry>> {
        let namespace = webhook.namespace().unwrap_or_default();
        let (name, uid) = (webhook.name_any(), webhook.uid().unwrap_or_default());
        // One that waits for its finalizers is gone for everybody here.
        if webhook.metadata.deletion_timestamp.is_some() {
            self.bury(&namespace, &name, &uid);
            return None;
        }
        let entry = Arc::new(Entry::from(webhook));
        let mut state = self.state.write();
        if state.deleted.uids.contains(&uid) {
            return None;
        }
        let webhooks = state.namespaces.entry(namespace).or_default();
        match webhooks.by_name.get(&name) {
            Some(known) if known.version() > entry.version() && !outdated(known) => Some(Arc::clone(known)),
            _ => {
                webhooks.insert(Arc::clone(&entry));
                Some(entry)
            }
        }
    }

    /// Takes out a webhook that was deleted here.
    pub(crate) fn delete(&self, entry: &Entry) {
        let uid = entry.webhook.uid().unwrap_or_default();
        self.bury(&entry.webhook.namespace().unwrap_or_default(), &entry.webhook.name_any(), &uid);
    }

    /// Takes out a webhook that never comes back.
    fn bury(&self, namespace: &str, name: &str, uid: &str) {
        let mut state = self.state.write();
        state.deleted.insert(uid);
        state.forget(namespace, name, uid);
    }

    /// The webhook with an id.
    pub(crate) fn get(&self, namespace: &str, id: &str) -> Option<Arc<Entry>> {
        let state = self.state.read();
        with_first(&state.namespaces.get(namespace)?.by_id, id).next().cloned()
    }

    /// A webhook that is as asked for.
    pub(crate) fn find(&self, namespace: &str, is_it: impl Fn(&Webhook) -> bool) -> Option<Arc<Entry>> {
        let state = self.state.read();
        state.namespaces.get(namespace)?.by_name.values().find(|entry| is_it(&entry.webhook)).cloned()
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
        let passing: Vec<_> = match &filter.name {
            Some(name) => webhooks.named(name).filter(|entry| filter.passes(entry)).collect(),
            None => webhooks.in_order.values().filter(|entry| filter.passes(entry)).collect(),
        };
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
            Namely::ForPeople => webhooks
                .named(wanted)
                .any(|entry| except.is_none_or(|except| except.webhook.metadata.uid != entry.webhook.metadata.uid)),
        });
        (!taken).then_some(reservation)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::lenient::Unreadable;

    /// A state of a webhook in namespace `n`: its name, uid, version, and second of creation.
    fn state(name: &str, uid: &str, version: u64, created: u32) -> Webhook {
        with(name, uid, version, created, &json!({}))
    }

    fn with(name: &str, uid: &str, version: u64, created: u32, spec: &Value) -> Webhook {
        let mut fields = json!({"triggerType": "resolve", "url": format!("https://e/{version}")});
        fields.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let metadata = json!({
            "name": name, "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z"),
        });
        serde_json::from_value(json!({"metadata": metadata, "spec": fields})).unwrap()
    }

    fn read(webhook: Webhook) -> Lenient<Webhook> {
        Lenient(Ok(webhook))
    }

    fn deleting(mut webhook: Webhook) -> Webhook {
        webhook.metadata.deletion_timestamp = webhook.metadata.creation_timestamp.clone();
        webhook
    }

    /// What is listed: names in Kubernetes and versions, in order.
    fn listed(catalog: &Catalog) -> Vec<(String, ResourceVersion)> {
        let (count, entries) = catalog.list("n", &Filter::default(), |count| 0..count);
        let listed: Vec<_> = entries.iter().map(|entry| (entry.webhook.name_any(), entry.version())).collect();
        assert_eq!(count, listed.len());
        for entry in &entries {
            assert_eq!(catalog.get("n", &entry.id).unwrap().webhook, entry.webhook);
        }
        listed
    }

    fn names(listed: &[(&str, u64)]) -> Vec<(String, ResourceVersion)> {
        let version = |version: &u64| ResourceVersion::from(version.to_string().as_str());
        listed.iter().map(|(name, number)| ((*name).to_owned(), version(number))).collect()
    }

    #[test]
    fn the_latest_state_stays_whatever_comes_first() {
        let states = || [state("a", "1", 9, 0), state("a", "1", 10, 0), state("a", "1", 11, 0)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let catalog = Catalog::default();
            for (step, index) in order.into_iter().enumerate() {
                let webhook = states()[index].clone();
                if step % 2 == 0 {
                    catalog.observe(Event::Apply(read(webhook)));
                } else {
                    catalog.insert(webhook);
                }
            }
            assert_eq!(listed(&catalog), names(&[("a", 11)]), "{order:?}");
        }
        let catalog = Catalog::default();
        catalog.insert(state("a", "1", 11, 0));
        // Whoever wrote an older state is told the later one.
        let known = catalog.insert(state("a", "1", 9, 0)).unwrap();
        assert_eq!(known.webhook, state("a", "1", 11, 0));
    }

    #[test]
    fn a_new_state_replaces_the_id_and_the_texts_of_the_old_one() {
        let catalog = Catalog::default();
        let old = catalog.insert(state("a", "1", 1, 0)).unwrap();
        let new = catalog.insert(with("a", "1", 2, 0, &json!({"id": "WHABCDEFGHIJKL", "name": "A"}))).unwrap();
        assert!(catalog.get("n", &old.id).is_none());
        let found = catalog.get("n", "WHABCDEFGHIJKL").unwrap();
        assert_eq!((found.name(), found.body(Form::Webhooks)), ("A", new.body(Form::Webhooks)));
        assert!(found.body(Form::Actions).windows(7).any(|text| text == b"team_id"));
        assert!(catalog.get("other", "WHABCDEFGHIJKL").is_none());
        assert!(catalog.get("n", "WHABCDEFGHIJK").is_none());
        assert_eq!(catalog.list("other", &Filter::default(), |count| 0..count).0, 0);
    }

    #[test]
    fn what_is_deleted_does_not_come_back() {
        let (a, b) = (state("a", "1", 1, 0), state("b", "2", 2, 0));
        let deletions: [fn(&Catalog, Webhook); 3] = [
            |catalog, webhook| catalog.delete(&Entry::from(webhook)),
            |catalog, webhook| catalog.observe(Event::Delete(read(webhook))),
            |catalog, webhook| {
                assert!(catalog.insert(deleting(webhook)).is_none());
            },
        ];
        for delete in deletions {
            let catalog = Catalog::default();
            catalog.insert(a.clone());
            catalog.insert(b.clone());
            delete(&catalog, a.clone());
            assert_eq!(listed(&catalog), names(&[("b", 2)]));
            // A state from before: as an answer to a write, from the watch, from a list.
            assert!(catalog.insert(state("a", "1", 9, 0)).is_none());
            catalog.observe(Event::Apply(read(state("a", "1", 9, 0))));
            catalog.observe(Event::Init);
            catalog.observe(Event::InitApply(read(a.clone())));
            catalog.observe(Event::InitApply(read(b.clone())));
            catalog.observe(Event::InitDone);
            assert_eq!(listed(&catalog), names(&[("b", 2)]));
            // Another one with the same name is another one, and is not deleted by news of the first.
            catalog.insert(state("a", "3", 10, 1));
            catalog.observe(Event::Delete(read(a.clone())));
            catalog.delete(&Entry::from(a.clone()));
            assert_eq!(listed(&catalog), names(&[("b", 2), ("a", 10)]));
        }
    }

    #[test]
    fn what_cannot_be_read_any_more_is_not_shown_until_it_can() {
        let catalog = Catalog::default();
        catalog.insert(state("a", "1", 1, 0));
        let metadata = state("a", "1", 2, 0).metadata;
        let unreadable = Unreadable { metadata, has_status: false, error: "no such trigger".to_owned() };
        catalog.observe(Event::Apply(Lenient(Err(unreadable))));
        assert_eq!(listed(&catalog), []);
        catalog.observe(Event::Apply(read(state("a", "1", 3, 0))));
        assert_eq!(listed(&catalog), names(&[("a", 3)]));
    }

    #[test]
    fn a_list_drops_what_is_gone_and_keeps_what_was_written_meanwhile() {
        let catalog = Catalog::default();
        for webhook in [state("gone", "1", 1, 0), state("stays", "2", 2, 1), state("changes", "3", 3, 2)] {
            catalog.observe(Event::Apply(read(webhook)));
        }
        catalog.observe(Event::Init);
        catalog.insert(state("new", "4", 9, 3));
        catalog.insert(state("changes", "3", 10, 2));
        catalog.observe(Event::InitApply(read(state("stays", "2", 2, 1))));
        // From before the change.
        catalog.observe(Event::InitApply(read(state("changes", "3", 3, 2))));
        // Nothing is taken away before the list is complete.
        assert_eq!(listed(&catalog), names(&[("gone", 1), ("stays", 2), ("changes", 10), ("new", 9)]));
        catalog.observe(Event::InitDone);
        assert_eq!(listed(&catalog), names(&[("stays", 2), ("changes", 10), ("new", 9)]));
        // A list that begins anew forgets what the one before has named.
        catalog.observe(Event::Init);
        catalog.observe(Event::InitApply(read(state("stays", "2", 2, 1))));
        catalog.observe(Event::Init);
        catalog.observe(Event::InitApply(read(state("new", "4", 9, 3))));
        catalog.observe(Event::InitDone);
        assert_eq!(listed(&catalog), names(&[("new", 9)]));
    }

    #[test]
    fn lists_are_in_the_order_of_creation() {
        let precisely = |name: &str, time: &str| {
            let mut webhook = state(name, name, 1, 5);
            webhook.annotations_mut().insert(CREATED_AT_ANNOTATION.to_owned(), time.to_owned());
            webhook
        };
        let catalog = Catalog::default();
        let webhooks = [
            state("late", "x", 1, 6),
            precisely("b", "2026-01-01T00:00:05.000002Z"),
            precisely("c", "2026-01-01T00:00:05.000001Z"),
            precisely("z", "no time"),
            state("y", "y", 1, 5),
            state("early", "w", 1, 4),
        ];
        for webhook in webhooks {
            catalog.insert(webhook);
        }
        let order = ["early", "y", "z", "c", "b", "late"];
        assert_eq!(listed(&catalog), names(&order.map(|name| (name, 1))));
        let (count, entries) = catalog.list("n", &Filter::default(), |count| count - 2..count);
        let page: Vec<_> = entries.iter().map(|entry| entry.webhook.name_any()).collect();
        assert_eq!((count, page), (6, vec!["b".to_owned(), "late".to_owned()]));
    }

    #[test]
    fn an_id_that_two_webhooks_state_stands_for_the_older_one() {
        let catalog = Catalog::default();
        let stated = json!({"id": "WHABCDEFGHIJKL"});
        let (young, old) = (with("a", "1", 1, 7, &stated), with("b", "2", 2, 3, &stated));
        let found = |catalog: &Catalog| catalog.get("n", "WHABCDEFGHIJKL").map(|entry| entry.webhook.name_any());
        catalog.insert(young.clone());
        assert_eq!(found(&catalog).as_deref(), Some("a"));
        catalog.insert(old.clone());
        assert_eq!(found(&catalog).as_deref(), Some("b"));
        catalog.observe(Event::Delete(read(old)));
        assert_eq!(found(&catalog).as_deref(), Some("a"));
        catalog.observe(Event::Delete(read(young)));
        assert_eq!(found(&catalog), None);
    }

    #[test]
    fn filters_pick_by_the_name_for_people_and_by_team() {
        type Case<'a> = (Option<&'a str>, &'a [Option<&'a str>], &'a [&'a str]);
        let catalog = Catalog::default();
        catalog.insert(with("a", "1", 1, 1, &json!({"name": "Same", "team": "T1"})));
        catalog.insert(with("b", "2", 2, 2, &json!({"name": "Same", "team": "T2"})));
        catalog.insert(with("c", "3", 3, 3, &json!({"team": ""})));
        catalog.insert(with("Same", "4", 4, 4, &json!({})));
        let (t1, t2) = (Some("T1"), Some("T2"));
        let cases: [Case<'_>; 9] = [
            (None, &[], &["a", "b", "c", "Same"]),
            (Some("Same"), &[], &["a", "b", "Same"]),
            (Some("same"), &[], &[]),
            (Some("a"), &[], &[]),
            (None, &[t1], &["a"]),
            (None, &[t2, t1], &["a", "b"]),
            (None, &[None], &["c", "Same"]),
            (None, &[None, t1], &["a", "c", "Same"]),
            (Some("Same"), &[t2, None], &["b", "Same"]),
        ];
        for (name, teams, expected) in cases {
            let teams: Vec<Option<String>> = teams.iter().map(|team| team.map(str::to_owned)).collect();
            let filter = Filter { name: name.map(str::to_owned), teams };
            let found = |range: fn(usize) -> std::ops::Range<usize>| {
                let (count, entries) = catalog.list("n", &filter, range);
                (count, entries.iter().map(|entry| entry.webhook.name_any()).collect::<Vec<_>>())
            };
            assert_eq!(
                found(|count| 0..count),
                (expected.len(), expected.iter().map(|name| (*name).to_owned()).collect())
            );
            let second: Vec<String> = expected.iter().skip(1).take(1).map(|name| (*name).to_owned()).collect();
            assert_eq!(found(|_| 1..2), (expected.len(), second), "{filter:?}");
        }
    }

    #[test]
    fn a_name_is_taken_by_one_webhook_and_one_write_at_a_time() {
        let catalog = Catalog::default();
        let entry = catalog.insert(with("a", "1", 1, 1, &json!({"name": "A"}))).unwrap();
        let reserve = |namely, name, except| catalog.reserve("n", namely, name, except);
        // By a webhook, but not by the one that is to have it.
        assert!(reserve(Namely::ForPeople, "A", None).is_none());
        assert!(reserve(Namely::ForPeople, "A", Some(&entry)).is_some());
        assert!(reserve(Namely::InKubernetes, "a", None).is_none());
        // The two kinds of names, and namespaces, are apart; what was refused is not held.
        for _ in 0..2 {
            assert!(reserve(Namely::ForPeople, "a", None).is_some());
            assert!(reserve(Namely::InKubernetes, "A", None).is_some());
            assert!(catalog.reserve("other", Namely::ForPeople, "A", None).is_some());
        }
        // By a write, until it is done.
        let held = reserve(Namely::ForPeople, "B", None);
        assert!(held.is_some());
        assert!(reserve(Namely::ForPeople, "B", Some(&entry)).is_none());
        drop(held);
        assert!(reserve(Namely::ForPeople, "B", None).is_some());
        catalog.delete(&entry);
        assert!(reserve(Namely::ForPeople, "A", None).is_some());
        assert!(reserve(Namely::InKubernetes, "a", None).is_some());
    }
}
