//! Tests of the shell with an API server whose calls are answered as each test says. The decisions are tested with the
//! lifecycle.

use std::collections::HashMap;

use http::{Request, Response};
use kube::{Client, client::Body, runtime::watcher::Event};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    controller::{
        alert_groups::AlertPayloads,
        catalog::WebhookIndex,
        deliver::{Deliverer, Parts},
        history::History,
        integrations::Integrations,
        journal::Journal,
        payloads::Payloads,
    },
    core::id,
    delivery::{ProxySettings, Sender},
    kubernetes::{index::Fold, lease::Leadership, objects::Objects},
    rendering::RenderingPool,
    resources::Webhook,
    secrets::Secrets,
};

/// Bound on everything that is waited for.
const LIMIT: Duration = Duration::from_secs(5);

struct Setting {
    catalog: Arc<Catalog>,
    deliveries: Arc<Deliveries>,
    /// The paths of the calls that have been made, and a notice of each.
    calls: Arc<(Mutex<Vec<String>>, Notify)>,
    _ended: mpsc::UnboundedReceiver<Event<AlertGroupEvent>>,
}

impl Setting {
    /// One whose API server has this to read, under these names, and answers nothing else.
    fn new(objects: &[(&str, Value)]) -> Self {
        // The first of the tests does this; nothing else installs a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let objects: HashMap<String, String> =
            objects.iter().map(|(name, object)| ((*name).to_owned(), object.to_string())).collect();
        let calls: Arc<(Mutex<Vec<String>>, Notify)> = Arc::default();
        let made = Arc::clone(&calls);
        let server = service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let found = objects.get(path.rsplit('/').next().unwrap_or_default()).cloned();
            made.0.lock().push(path);
            made.1.notify_waiters();
            async move {
                match found.filter(|_| request.method() == http::Method::GET) {
                    Some(found) => Ok::<_, BoxError>(Response::new(Body::from(found.into_bytes()))),
                    None => std::future::pending().await,
                }
            }
        });
        let objects = Objects::new(Client::new(server, "team"), "test");
        let sender = Sender::unbound(&ProxySettings::default()).unwrap();
        let secrets = Secrets::new(1 << 20);
        let lease = Leadership::unopposed();
        let (payloads, rendering) = (Payloads::new(1 << 20), RenderingPool::new(2).unwrap());
        let (journal, _) = Journal::for_tests(&objects);
        let (history, default_timeout) =
            (Arc::new(History::new(objects.clone(), Arc::clone(&journal), 1 << 20)), Duration::from_secs(4));
        let (integrations, _) = Integrations::new();
        let alerts = Arc::new(AlertPayloads::new(objects.clone(), Arc::clone(&integrations), 1 << 20));
        let (groups, _) = AlertGroupWriter::new(objects.clone(), Arc::clone(&alerts));
        let parts = Parts {
            objects,
            sender,
            secrets,
            history: Arc::clone(&history),
            journal,
            payloads,
            alerts,
            lease,
            rendering,
            default_timeout,
        };
        let (deliverer, _) = Deliverer::new(parts);
        let catalog = Arc::new(Catalog::default());
        let limits = Limits { in_flight: 10, per_webhook: 10, bytes: 1 << 20 };
        let (deliveries, ended) = Deliveries::new(
            Arc::clone(&catalog),
            history,
            deliverer,
            (groups, integrations, Announcer::new().0),
            limits,
            1 << 20,
        );
        deliveries.handle(Input::ResponsesListed);
        Self { catalog, deliveries, calls, _ended: ended }
    }

    fn watch_webhook(&self, event: &Event<Lenient<Webhook>>) {
        let deliveries = Arc::clone(&self.deliveries);
        let on_change = move |change| deliveries.webhook_changed(change);
        Fold::new(WebhookIndex::new(Arc::clone(&self.catalog), on_change)).observe(event);
    }

    fn list(&self, events: &[&Lenient<AlertGroupEvent>]) {
        let mut index = Fold::new(EventIndex(Arc::clone(&self.deliveries)));
        index.observe(&Event::Init);
        events.iter().for_each(|event| index.observe(&Event::InitApply((*event).clone())));
        index.observe(&Event::InitDone);
    }

    /// Waits until a call of a path that ends so was made.
    async fn called(&self, end: &str) {
        let called = async {
            loop {
                let made = self.calls.1.notified();
                if self.calls.0.lock().iter().any(|path| path.ends_with(end)) {
                    return;
                }
                made.await;
            }
        };
        tokio::time::timeout(LIMIT, called).await.unwrap();
    }
}

/// A webhook that holds its deliveries.
fn webhook(name: &str, spec: &Value) -> Lenient<Webhook> {
    let metadata = json!({"name": name, "namespace": "team", "uid": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"});
    let mut all = json!({"triggerType": "resolve", "url": "https://receiver.example", "suspend": true});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": metadata, "spec": all})).unwrap()
}

fn event(name: &str, status: &Value) -> Value {
    let metadata = json!({
        "name": name, "namespace": "team", "uid": name, "resourceVersion": "7", "creationTimestamp": "2026-01-02T00:00:00Z",
        "annotations": {"oncall.dev/redeliver": "all"},
    });
    let spec = json!({"type": "resolve", "alertGroup": {"id": "I1"}});
    json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": metadata, "spec": spec, "status": status,
    })
}

#[tokio::test]
async fn requests_find_what_they_need_while_any_number_of_responses_is_to_be_sent_again() {
    let setting = Setting::new(&[]);
    setting.list(&[]);
    for number in 0..100 {
        setting.deliveries.redeliver(NamespacedName::new("team", format!("asked-{number}")), "again");
    }
    let read = tokio::spawn({
        let deliveries = Arc::clone(&setting.deliveries);
        async move { deliveries.deliverer.recorder().response(&NamespacedName::new("team", "needed")).await }
    });
    setting.called("/needed").await;
    read.abort();
    assert_eq!(setting.calls.0.lock().len(), 1 + REDELIVERY_READS);
    // None of them holds up the end.
    tokio::time::timeout(LIMIT, setting.deliveries.stop()).await.unwrap();
}

#[tokio::test]
async fn a_response_that_is_to_be_sent_again_is_read_and_then_its_event() {
    let name = id::response_name("resolved", "one");
    let response = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "WebhookResponse",
        "metadata": {
            "namespace": "team", "name": name, "resourceVersion": "2",
            "ownerReferences": [{"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "name": "one", "uid": "one"}],
        },
        "spec": {
            "webhookRef": {"name": "one", "id": "WH1"},
            "eventRef": {"name": "resolved", "uid": "resolved"},
            "alertGroupId": "I1",
            "triggerType": "resolve",
        },
        "status": {"phase": "Succeeded", "attemptCount": 1},
    });
    let setting = Setting::new(&[(&name, response), ("resolved", event("resolved", &Value::Null))]);
    setting.watch_webhook(&Event::Apply(webhook("one", &json!({"url": 7}))));
    setting.list(&[]);
    setting.deliveries.redeliver(NamespacedName::new("team", name.as_str()), "again");
    // It waits for a webhook that can't be read, and then is read anew.
    setting.called(&name).await;
    setting.watch_webhook(&Event::Apply(webhook("one", &json!({}))));
    setting.called("/resolved").await;
    let queued = async {
        while setting.deliveries.load().waiting != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, queued).await.unwrap();
}

#[test]
fn an_event_is_seen_as_its_object_says() {
    let summaries = json!([{"name": "one", "outcome": "Retrying", "statusCode": 503, "response": "r"}]);
    let status = json!({
        "phase": "Delivering", "matched": 2, "succeeded": 0, "failed": 0, "skipped": 0, "redelivering": "all",
        "seenVersion": "5", "webhooks": summaries,
    });
    let mut object: AlertGroupEvent = serde_json::from_value(event("resolved", &status)).unwrap();
    let expected = EventRecord {
        is_completed: false,
        matched: 2,
        redelivered: None,
        redelivering: Some(Arc::from("all")),
        fold: None,
        deliveries: serde_json::from_value(summaries).unwrap(),
    };
    let shown = seen(&object);
    let version = |text: &str| ResourceVersion::from(text);
    let asked = Some(Arc::from("all"));
    assert_eq!(
        (shown.record, shown.version, shown.asked, shown.is_deleting),
        (Some(expected), version("5"), asked, false)
    );
    object.status = None;
    let shown = seen(&object);
    assert_eq!((shown.record, shown.version), (None, version("7")));
}
