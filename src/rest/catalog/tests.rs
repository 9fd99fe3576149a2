//! The cache of webhooks, fed by hand: states that come from the watch and as answers to writes, in any order.

use axum::http::{Request, Response};
use kube::{Client, client::Body, runtime::watcher::Event};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::kubernetes::{index::Fold, lenient::Unreadable};

/// An empty catalog with room for all; it reads nothing.
fn empty() -> Catalog {
    let server = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, BoxError>>());
    Catalog::new(Objects::new(Client::new(server, "n"), "test"), 1 << 30)
}

/// An empty catalog, and what keeps it.
fn watched() -> (Arc<Catalog>, Fold<WebhookIndex>) {
    let catalog = Arc::new(empty());
    (Arc::clone(&catalog), Fold::new(WebhookIndex::new(catalog)))
}

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

/// Lists all webhooks of namespace `n`, in order: object names and versions.
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

#[tokio::test]
async fn the_latest_state_stays_whatever_comes_first() {
    let states = || [state("a", "1", 9, 0), state("a", "1", 10, 0), state("a", "1", 11, 0)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (catalog, mut index) = watched();
        for (step, position) in order.into_iter().enumerate() {
            let webhook = states()[position].clone();
            if step % 2 == 0 {
                index.observe(&Event::Apply(read(webhook)));
            } else {
                catalog.insert(webhook);
            }
        }
        assert_eq!(listed(&catalog), names(&[("a", 11)]), "{order:?}");
    }
    let catalog = empty();
    catalog.insert(state("a", "1", 11, 0));
    // Whoever wrote an older state is told the later one.
    let known = catalog.insert(state("a", "1", 9, 0)).unwrap();
    assert_eq!(known.webhook, state("a", "1", 11, 0));
}

#[tokio::test]
async fn a_new_state_replaces_the_id_and_the_texts_of_the_old_one() {
    let catalog = empty();
    let old = catalog.insert(state("a", "1", 1, 0)).unwrap();
    let new = catalog.insert(with("a", "1", 2, 0, &json!({"id": "WHABCDEFGHIJKL", "name": "A"}))).unwrap();
    assert!(catalog.get("n", &old.id).is_none());
    let found = catalog.get("n", "WHABCDEFGHIJKL").unwrap();
    assert_eq!((found.name(), found.body(Collection::Webhooks)), ("A", new.body(Collection::Webhooks)));
    assert!(found.body(Collection::Actions).windows(7).any(|text| text == b"team_id"));
    assert!(catalog.get("other", "WHABCDEFGHIJKL").is_none());
    assert!(catalog.get("n", "WHABCDEFGHIJK").is_none());
    assert_eq!(catalog.list("other", &Filter::default(), |count| 0..count).0, 0);
}

#[tokio::test]
async fn a_deleted_webhook_does_not_come_back() {
    let (a, b) = (state("a", "1", 1, 0), state("b", "2", 2, 0));
    let deletions: [fn(&Catalog, &mut Fold<WebhookIndex>, Webhook); 3] = [
        |catalog, _, webhook| catalog.delete(&CachedWebhook::from(webhook)),
        |_, index, webhook| index.observe(&Event::Delete(read(webhook))),
        |catalog, _, webhook| {
            assert!(catalog.insert(deleting(webhook)).is_none());
        },
    ];
    for delete in deletions {
        let (catalog, mut index) = watched();
        catalog.insert(a.clone());
        catalog.insert(b.clone());
        delete(&catalog, &mut index, a.clone());
        assert_eq!(listed(&catalog), names(&[("b", 2)]));
        // A state from before: as an answer to a write, from the watch, from a list.
        assert!(catalog.insert(state("a", "1", 9, 0)).is_none());
        index.observe(&Event::Apply(read(state("a", "1", 9, 0))));
        index.observe(&Event::Init);
        index.observe(&Event::InitApply(read(a.clone())));
        index.observe(&Event::InitApply(read(b.clone())));
        index.observe(&Event::InitDone);
        assert_eq!(listed(&catalog), names(&[("b", 2)]));
        // Another one with the same name is another one, and is not deleted by news of the first.
        catalog.insert(state("a", "3", 10, 1));
        index.observe(&Event::Delete(read(a.clone())));
        catalog.delete(&CachedWebhook::from(a.clone()));
        assert_eq!(listed(&catalog), names(&[("b", 2), ("a", 10)]));
    }
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_any_more_is_not_shown_until_it_can() {
    let (catalog, mut index) = watched();
    catalog.insert(state("a", "1", 1, 0));
    let metadata = state("a", "1", 2, 0).metadata;
    let unreadable = Unreadable { metadata, has_status: false, error: "no such trigger".to_owned() };
    index.observe(&Event::Apply(Lenient(Err(unreadable))));
    assert_eq!(listed(&catalog), []);
    index.observe(&Event::Apply(read(state("a", "1", 3, 0))));
    assert_eq!(listed(&catalog), names(&[("a", 3)]));
}

#[tokio::test]
async fn a_list_removes_webhooks_that_are_gone_and_keeps_those_written_meanwhile() {
    let (catalog, mut index) = watched();
    for webhook in [state("gone", "1", 1, 0), state("stays", "2", 2, 1), state("changes", "3", 3, 2)] {
        index.observe(&Event::Apply(read(webhook)));
    }
    index.observe(&Event::Init);
    catalog.insert(state("new", "4", 9, 3));
    catalog.insert(state("changes", "3", 10, 2));
    index.observe(&Event::InitApply(read(state("stays", "2", 2, 1))));
    // From before the change.
    index.observe(&Event::InitApply(read(state("changes", "3", 3, 2))));
    // Nothing is taken away before the list is complete.
    assert_eq!(listed(&catalog), names(&[("gone", 1), ("stays", 2), ("changes", 10), ("new", 9)]));
    index.observe(&Event::InitDone);
    assert_eq!(listed(&catalog), names(&[("stays", 2), ("changes", 10), ("new", 9)]));
    // A list that begins anew forgets what the one before has named.
    index.observe(&Event::Init);
    index.observe(&Event::InitApply(read(state("stays", "2", 2, 1))));
    index.observe(&Event::Init);
    index.observe(&Event::InitApply(read(state("new", "4", 9, 3))));
    index.observe(&Event::InitDone);
    assert_eq!(listed(&catalog), names(&[("new", 9)]));
}

#[tokio::test]
async fn lists_are_in_the_order_of_creation() {
    let precisely = |name: &str, time: &str| {
        let mut webhook = state(name, name, 1, 5);
        webhook.annotations_mut().insert(CREATED_AT_ANNOTATION.to_owned(), time.to_owned());
        webhook
    };
    let catalog = empty();
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

#[tokio::test]
async fn an_id_that_two_webhooks_state_stands_for_the_older_one() {
    let (catalog, mut index) = watched();
    let stated = json!({"id": "WHABCDEFGHIJKL"});
    let (young, old) = (with("a", "1", 1, 7, &stated), with("b", "2", 2, 3, &stated));
    let found = |catalog: &Catalog| catalog.get("n", "WHABCDEFGHIJKL").map(|entry| entry.webhook.name_any());
    catalog.insert(young.clone());
    assert_eq!(found(&catalog).as_deref(), Some("a"));
    catalog.insert(old.clone());
    assert_eq!(found(&catalog).as_deref(), Some("b"));
    index.observe(&Event::Delete(read(old)));
    assert_eq!(found(&catalog).as_deref(), Some("a"));
    index.observe(&Event::Delete(read(young)));
    assert_eq!(found(&catalog), None);
}

#[tokio::test]
async fn filters_pick_by_the_name_for_people_and_by_team() {
    type Case<'a> = (Option<&'a str>, &'a [Option<&'a str>], &'a [&'a str]);
    let catalog = empty();
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
        assert_eq!(found(|count| 0..count), (expected.len(), expected.iter().map(|name| (*name).to_owned()).collect()));
        let second: Vec<String> = expected.iter().skip(1).take(1).map(|name| (*name).to_owned()).collect();
        assert_eq!(found(|_| 1..2), (expected.len(), second), "{filter:?}");
    }
}

#[tokio::test]
async fn a_name_is_taken_by_one_webhook_and_one_write_at_a_time() {
    let catalog = empty();
    let entry = catalog.insert(with("a", "1", 1, 1, &json!({"name": "A"}))).unwrap();
    let reserve = |kind, name, except| catalog.reserve("n", kind, name, except);
    // By a webhook, but not by the one that is to have it.
    assert!(reserve(NameKind::Display, "A", None).is_none());
    assert!(reserve(NameKind::Display, "A", Some(&entry)).is_some());
    assert!(reserve(NameKind::Object, "a", None).is_none());
    // The two kinds of names, and namespaces, are apart; what was refused is not held.
    for _ in 0..2 {
        assert!(reserve(NameKind::Display, "a", None).is_some());
        assert!(reserve(NameKind::Object, "A", None).is_some());
        assert!(catalog.reserve("other", NameKind::Display, "A", None).is_some());
    }
    // By a write, until it is done.
    let held = reserve(NameKind::Display, "B", None);
    assert!(held.is_some());
    assert!(reserve(NameKind::Display, "B", Some(&entry)).is_none());
    drop(held);
    assert!(reserve(NameKind::Display, "B", None).is_some());
    catalog.delete(&entry);
    assert!(reserve(NameKind::Display, "A", None).is_some());
    assert!(reserve(NameKind::Object, "a", None).is_some());
}

#[tokio::test]
async fn a_webhook_beyond_the_share_of_its_namespace_is_read_when_somebody_asks_for_it() {
    let large = |name: &str| with(name, name, 1, 0, &json!({"data": "x".repeat(2_000), "name": name}));
    let found = serde_json::to_string(&large("b")).unwrap();
    let server = service_fn(move |request: Request<Body>| {
        assert!(request.uri().path().ends_with("/namespaces/n/webhooks/b"), "{}", request.uri());
        let body = Body::from(found.clone().into_bytes());
        async { Ok::<_, BoxError>(Response::new(body)) }
    });
    // Room for one of 2000 bytes in three forms, and for half of another.
    let catalog = Catalog::new(Objects::new(Client::new(server, "n"), "test"), 20_000);
    for name in ["a", "b"] {
        let written = catalog.insert(large(name)).unwrap();
        assert!(written.webhook.spec.data.is_some(), "whoever writes it is shown all of it");
    }
    let entries = || catalog.list("n", &Filter::default(), |count| 0..count).1;
    let short = |entries: &[Arc<CachedWebhook>]| entries.iter().map(|entry| entry.is_short).collect::<Vec<_>>();
    assert_eq!(short(&entries()), [false, true]);
    assert_eq!((entries()[1].name(), entries()[1].webhook.spec.data.as_deref()), ("b", None));

    let (page, permit) = catalog.whole_page("n", entries()).await.unwrap();
    assert_eq!((short(&page), permit.is_some()), (vec![false, false], true));
    assert_eq!(page[1].webhook, large("b"));
    assert!(!page[1].body(Collection::Webhooks).is_empty());
    assert_eq!(short(&entries()), [false, true], "there still is no room");
    catalog.delete(&page[0]);
    assert!(!catalog.whole(Arc::clone(&entries()[0])).await.unwrap().is_short);
    assert_eq!(short(&entries()), [false], "now there is");
}
