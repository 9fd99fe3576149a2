//! The cache of webhooks and an API server that knows more.

use std::{sync::Arc, time::Duration};

use axum::http::{Request, Response, Uri};
use futures::future::join_all;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};
use url::form_urlencoded;

use super::*;
use crate::{
    kubernetes::objects::Objects,
    rest::{catalog::Catalog, freshness::Freshness},
};

/// What an API server has of namespace `n`: the metadata that it lists, and the code and the body of the answer to a read by name.
#[derive(Default)]
struct Cluster {
    listed: Vec<Value>,
    found: HashMap<&'static str, (u16, Value)>,
    is_silent: bool,
    /// Whether its definitions let nobody select webhooks by their display names.
    is_older: bool,
    /// The paths that were asked for.
    asked: Vec<String>,
}

impl Cluster {
    fn answer(&mut self, uri: &Uri) -> Option<(u16, Value)> {
        let name = uri.path().rsplit('/').next().unwrap_or_default();
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let selected = query.into_iter().find(|(key, _)| key == "fieldSelector").map(|(_, selected)| selected);
        self.asked.push(selected.as_deref().unwrap_or(name).to_owned());
        if self.is_silent {
            return None;
        }
        Some(match self.found.get(name) {
            Some(found) => found.clone(),
            None if selected.is_some() && self.is_older => {
                (400, json!({"kind": "Status", "status": "Failure", "code": 400, "reason": "BadRequest"}))
            }
            None if name == "webhooks" => (
                200,
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "1"},
                    "items": self.selected(selected.as_deref()),
                }),
            ),
            None => missing(name),
        })
    }

    /// What is listed, of the webhooks with a display name if one is selected.
    fn selected(&self, selector: Option<&str>) -> Vec<&Value> {
        let is_selected = |listed: &&Value| {
            let name = listed["metadata"]["name"].as_str().unwrap_or_default();
            let stated =
                |(_, body): &(u16, Value)| format!("spec.name={}", body["spec"]["name"].as_str().unwrap_or_default());
            selector.is_none_or(|selector| self.found.get(name).map(stated).as_deref() == Some(selector))
        };
        self.listed.iter().filter(is_selected).collect()
    }

    /// What was asked for since this was last called, in the order of the alphabet.
    fn asked(&mut self) -> Vec<String> {
        self.asked.sort();
        std::mem::take(&mut self.asked)
    }
}

/// The answer to a read of what does not exist; without a name, of a kind that is not known.
fn missing(name: &str) -> (u16, Value) {
    let details = json!({"name": name, "group": "oncall.dev", "kind": "webhooks"});
    (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details}))
}

/// An empty catalog of this cluster, whose patience is short.
fn catalog(cluster: &Arc<Mutex<Cluster>>) -> Catalog {
    let cluster = Arc::clone(cluster);
    let server = service_fn(move |request: Request<Body>| {
        let answer = cluster.lock().answer(request.uri());
        async move {
            let Some((code, body)) = answer else { return std::future::pending().await };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, BoxError>(Response::builder().status(code).body(body)?)
        }
    });
    let objects = Objects::new(Client::new(server, "n"), "test");
    let mut catalog = Catalog::new(objects.clone(), 1 << 30);
    catalog.freshness = Freshness::new(&objects).with_patience(Duration::from_millis(100));
    catalog
}

/// A webhook with a display name, as it is read.
fn webhook(name: &str, version: u64, display_name: &str) -> Value {
    let spec = json!({"triggerType": "resolve", "url": "https://e/", "name": display_name, "id": id(name)});
    json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": metadata(name, version), "spec": spec})
}

fn metadata(name: &str, version: u64) -> Value {
    json!({
        "name": name, "namespace": "n", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    })
}

fn id(name: &str) -> String {
    format!("WH{name:X>12}").to_uppercase()
}

fn listed(name: &str, version: u64) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata(name, version)})
}

/// Has the catalog know a webhook.
fn know(catalog: &Catalog, webhook: &Value) {
    catalog.insert(serde_json::from_value(webhook.clone()).unwrap()).unwrap();
}

#[tokio::test]
async fn a_silent_api_server_is_waited_for_once_by_all_who_ask_for_what_is_not_known() {
    let cluster = Arc::new(Mutex::new(Cluster { is_silent: true, ..Cluster::default() }));
    let catalog = catalog(&cluster);
    know(&catalog, &webhook("known", 1, "known"));
    let ids: Vec<_> = (0..60).map(|number| id(&number.to_string())).collect();
    let answers = join_all(ids.iter().map(|id| catalog.current("n", id))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().err() == Some(&away())), "{answers:?}");
    assert_eq!(cluster.lock().asked(), ["webhooks"]);
    // What is known has to do.
    assert_eq!(catalog.current("n", &id("known")).await.unwrap().name(), "known");
    assert_eq!(catalog.catch_up_on_name("n", "known").await, Ok(()));
    assert_eq!(catalog.catch_up_on_name("n", "other").await, Err(away()));
    assert_eq!(cluster.lock().asked(), [""; 0]);
}

#[tokio::test]
async fn a_read_that_follows_the_check_is_waited_for_no_longer_than_the_check() {
    let cluster = Arc::new(Mutex::new(Cluster { is_silent: true, ..Cluster::default() }));
    let catalog = catalog(&cluster);
    know(&catalog, &webhook("a", 1, "a"));
    // The check, and then a read that hangs.
    let asked = catalog.freshness.in_time(async {
        catalog.freshness.answer(async { Ok::<_, ()>(()) }).await.unwrap();
        catalog.read(&NamespacedName::new("n", "a")).await
    });
    assert!(asked.await.is_none());
    assert!(!catalog.freshness.is_silent(), "it has answered");
    assert_eq!(catalog.current("n", &id("a")).await.unwrap().name(), "a");
}

#[tokio::test]
async fn an_api_server_that_does_not_know_the_kind_yet_says_of_no_webhook_that_it_is_gone() {
    let cluster = Arc::new(Mutex::new(Cluster::default()));
    let catalog = catalog(&cluster);
    know(&catalog, &webhook("a", 1, "a"));
    cluster.lock().found = [("a", missing(""))].into();
    assert!(catalog.read(&NamespacedName::new("n", "a")).await.is_err_and(|error| !error.is_final()));
    assert_eq!(catalog.current("n", &id("a")).await.unwrap().name(), "a");
    cluster.lock().found = [("a", (200, webhook("a", 2, "new")))].into();
    assert_eq!(catalog.current("n", &id("a")).await.unwrap().name(), "new");
    // It is deleted, and what comes late does not bring it back.
    cluster.lock().found.clear();
    assert_eq!(catalog.current("n", &id("a")).await.err(), Some(ApiError::not_found()));
    assert!(catalog.insert(serde_json::from_value(webhook("a", 2, "new")).unwrap()).is_none());
}

#[tokio::test]
async fn what_was_read_in_vain_is_read_again_when_it_has_changed() {
    let mut ending = listed("ending", 3);
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let unreadable = (200, json!({"metadata": metadata("bad", 2), "spec": {"triggerType": 7}}));
    let cluster = Arc::new(Mutex::new(Cluster {
        listed: vec![listed("bad", 2), ending, listed("good", 1), listed("gone", 1)],
        found: [("bad", unreadable), ("good", (200, webhook("good", 1, "good")))].into(),
        ..Cluster::default()
    }));
    let catalog = catalog(&cluster);
    know(&catalog, &webhook("ending", 1, "ending"));
    let not_found = async || catalog.current("n", "WHNONE").await.err() == Some(ApiError::not_found());
    assert!(not_found().await);
    assert_eq!(cluster.lock().asked(), ["bad", "gone", "good", "webhooks"]);
    assert!(catalog.get("n", &id("good")).is_some());
    assert!(catalog.get("n", &id("ending")).is_none());
    for _ in 0..2 {
        assert!(not_found().await);
        assert_eq!(cluster.lock().asked(), ["webhooks"]);
    }
    cluster.lock().listed[0] = listed("bad", 3);
    cluster.lock().found.insert("bad", (200, webhook("bad", 3, "mended")));
    assert_eq!(catalog.current("n", &id("bad")).await.unwrap().name(), "mended");
    assert_eq!(cluster.lock().asked(), ["bad", "webhooks"]);
}

#[tokio::test]
async fn a_name_is_reserved_by_what_the_api_server_knows() {
    let cluster = Arc::new(Mutex::new(Cluster {
        listed: vec![listed("one", 2)],
        found: [("one", (200, webhook("one", 2, "taken")))].into(),
        ..Cluster::default()
    }));
    let catalog = catalog(&cluster);
    let is_free = async |name: &str| catalog.reserve_name("n", name, None).await.map(|reserved| reserved.is_some());
    // Another replica has given it to a webhook that this one has never seen.
    assert_eq!(is_free("taken").await, Ok(false));
    assert_eq!(is_free("free").await, Ok(true));
    // It has another one by now, or is gone.
    cluster.lock().listed = vec![listed("one", 3)];
    cluster.lock().found = [("one", (200, webhook("one", 3, "renamed")))].into();
    assert_eq!((is_free("taken").await, is_free("renamed").await), (Ok(true), Ok(false)));
    *cluster.lock() = Cluster::default();
    assert_eq!(is_free("renamed").await, Ok(true));
    cluster.lock().is_silent = true;
    assert_eq!(is_free("other").await, Err(away()));
}

#[tokio::test]
async fn of_a_name_that_none_is_known_to_have_the_api_server_is_asked_for_those_that_have_it() {
    let mut unnamed = webhook("plain", 1, "");
    unnamed["spec"].as_object_mut().unwrap().remove("name");
    let cluster = Arc::new(Mutex::new(Cluster {
        listed: ["one", "two", "plain"].map(|name| listed(name, 1)).into(),
        found: [
            ("one", (200, webhook("one", 1, "A name"))),
            ("two", (200, webhook("two", 1, "Another"))),
            ("plain", (200, unnamed)),
        ]
        .into(),
        ..Cluster::default()
    }));
    let with_name = async |name: &str| {
        // Of a catalog that knows nothing.
        let catalog = catalog(&cluster);
        catalog.catch_up_on_name("n", name).await.unwrap();
        let found: Vec<_> = catalog.with_name("n", name).iter().map(|webhook| webhook.webhook.name_any()).collect();
        (found.join(" "), cluster.lock().asked())
    };
    let asked = |asked: &[&str]| asked.iter().map(|&asked| asked.to_owned()).collect::<Vec<_>>();
    assert_eq!(with_name("A name").await, ("one".to_owned(), asked(&["one", "spec.name=A name"])));
    assert_eq!(with_name("plain").await, ("plain".to_owned(), asked(&["plain", "spec.name=plain"])));
    assert_eq!(with_name("A=b,c\\").await, (String::new(), asked(&["spec.name=A\\=b\\,c\\\\"])));
    // Definitions of an earlier version do not select by it.
    cluster.lock().is_older = true;
    let all = asked(&["one", "plain", "spec.name=A name", "two", "webhooks"]);
    assert_eq!(with_name("A name").await, ("one".to_owned(), all));
}
