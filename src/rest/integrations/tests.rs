use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::rest::{error::ApiError, shown::Wanted};

fn mk_integration(name: &str, created: &str, version: u64, spec: Value) -> Integration {
    let mut integration = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "Integration",
        "metadata": {
            "namespace": "team", "name": name, "resourceVersion": version.to_string(),
            "creationTimestamp": format!("2026-01-01T00:00:{created}Z"),
        },
        "spec": {"type": "webhook"},
    });
    let Value::Object(spec) = spec else { unreachable!("an object") };
    integration["spec"].as_object_mut().unwrap().extend(spec);
    serde_json::from_value(integration).unwrap()
}

/// Objects of an API server that counts its calls, and answers each with the integration `a` of this version; with 404 for none.
fn objects(calls: &'static AtomicU32, version: Option<u64>) -> Objects {
    let found = version.map(|version| json!(mk_integration("a", "00", version, json!({}))).to_string());
    let server = service_fn(move |_: Request<Body>| {
        calls.fetch_add(1, Ordering::Relaxed);
        let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let none = || {
            let details = json!({"name": "a", "group": "oncall.dev", "kind": "integrations"});
            json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details})
                .to_string()
        };
        let body = Body::from(found.clone().unwrap_or_else(none).into_bytes());
        async move { Ok::<_, BoxError>(Response::builder().status(status).body(body).unwrap()) }
    });
    Objects::new(Client::new(server, "default"), "test")
}

/// Asks for an integration of this version.
fn wanted(name: &NamespacedName, version: u64) -> Wanted<()> {
    Wanted { name: name.clone(), version: ResourceVersion::from(version.to_string().as_str()), what: () }
}

#[tokio::test]
async fn lists_are_in_the_order_of_creation_and_the_oldest_of_an_id_counts() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let integrations = Arc::new(Integrations::new(objects(&CALLS, None), 1 << 20));
    let mut index = IntegrationIndex(Arc::clone(&integrations));
    let id = json!({"id": "CSAME", "team": "SRE"});
    for (name, created, spec) in [("b", "02", id.clone()), ("c", "00", json!({"team": ""})), ("a", "02", id)] {
        index.apply(&mk_integration(name, created, 1, spec));
    }
    let names = || {
        let (count, listed) = integrations.list("team", |_| true, |count| 0..count);
        (count, listed.iter().map(|integration| integration.name.name.to_string()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(), (3, "c a b".to_owned()));
    assert_eq!(integrations.get("team", "CSAME").map(|found| found.name.to_string()), Some("team/a".to_owned()));
    let teams = ["a", "b"].map(|name| (Arc::from(name), "SRE".to_owned()));
    assert_eq!((integrations.teams("team"), integrations.teams("other").len()), (HashMap::from(teams), 0));
    index.delete(&mk_integration("c", "00", 1, json!({})));
    let listed = index.list(&mk_integration("b", "02", 1, json!({})));
    index.retain(vec![listed]);
    assert_eq!(names(), (1, "b".to_owned()));
    assert_eq!((integrations.get("team", "CSAME"), integrations.teams("team").len()), (None, 0));
    assert_eq!(CALLS.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_shown_is_read_once_until_it_changes() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let shown = ShownObjects::<Integration>::new(objects(&CALLS, Some(7)), 1 << 20);
    let (namespace, name) = (Arc::from("team"), NamespacedName::new("team", "a"));
    let version = |version: u64| ResourceVersion::from(version.to_string().as_str());
    let page = async |of: u64| {
        let wanted = vec![wanted(&name, of)];
        let page = shown.page(&namespace, wanted, |_, ()| Ok(Some("{}".into()))).await.unwrap();
        (page.texts.len(), page.permit.is_some(), CALLS.load(Ordering::Relaxed))
    };
    assert_eq!(page(6).await, (1, true, 1), "read, of a later version");
    assert_eq!(page(7).await, (1, false, 1), "at hand");
    assert_eq!(page(8).await, (1, true, 2), "changed since");
    assert_eq!(shown.one(name.clone(), version(7)).await.unwrap().name_any(), "a");
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);
    shown.forget(&name);
    assert_eq!(page(7).await, (1, true, 3));
    shown.forget_all();
    assert_eq!(page(7).await, (1, true, 4));
}

#[tokio::test]
async fn an_object_of_which_a_page_shows_two_parts_is_read_once() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let shown = ShownObjects::<Integration>::new(objects(&CALLS, Some(7)), 1 << 20);
    let name = NamespacedName::new("team", "a");
    let wanted = ["last", "gone", "first"].map(|what| {
        let Wanted { name, version, .. } = wanted(&name, 7);
        Wanted { name, version, what }
    });
    let text = |_: &Integration, what: &&'static str| Ok((*what != "gone").then(|| what.as_bytes().into()));
    let page = shown.page(&name.namespace, wanted.into(), text).await.unwrap();
    assert_eq!((page.texts, CALLS.load(Ordering::Relaxed)), (vec!["last".into(), "first".into()], 1));
}

#[tokio::test]
async fn a_large_page_needs_a_permit_also_where_all_of_it_is_at_hand() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let shown = ShownObjects::<Integration>::new(objects(&CALLS, Some(7)), 1 << 20);
    let name = NamespacedName::new("team", "a");
    let page = async |count: usize| {
        let wanted = (0..count).map(|_| wanted(&name, 7)).collect();
        let page = shown.page(&name.namespace, wanted, |_, ()| Ok(Some("{}".into()))).await.unwrap();
        (page.texts.len(), page.permit.is_some(), CALLS.load(Ordering::Relaxed))
    };
    assert_eq!(page(1).await, (1, true, 1));
    assert_eq!(page(2).await, (2, false, 1));
    // Each counts for 4 kB and more.
    assert_eq!(page(300).await, (300, true, 1));
}

#[tokio::test]
async fn what_is_gone_is_left_out_of_a_page_and_not_found_alone() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let shown = ShownObjects::<Integration>::new(objects(&CALLS, None), 1 << 20);
    let (name, version) = (NamespacedName::new("team", "a"), ResourceVersion::from("7"));
    let page = shown.page(&name.namespace, vec![wanted(&name, 7)], |_, ()| Ok(Some("{}".into()))).await.unwrap();
    assert_eq!(page.texts.len(), 0);
    assert_eq!(shown.one(name, version).await.unwrap_err(), ApiError::not_found());
}
