//! What becomes of events, as far as it can be seen without an API server: calls of it are answered as a test says.

use http::{Request, Response};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Client, Resource, client::Body, core::PartialObjectMeta, runtime::reflector};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    controller::{catalog::WebhookIndex, deliver::Parts, history::History, secrets::Secrets},
    core::id,
    delivery::{Proxies, Sender},
    kubernetes::{index::Fold, lease::Leadership, objects::Objects},
    resources::{Webhook, WebhookResponse},
};

/// Bound on everything that is waited for.
const LIMIT: Duration = Duration::from_secs(5);

struct World {
    history: Arc<History>,
    catalog: Arc<Catalog>,
    runs: Arc<Runs>,
    /// The paths of the calls that have been made.
    calls: Arc<Mutex<Vec<String>>>,
    _changes: mpsc::UnboundedReceiver<ObjectRef<AlertGroupEvent>>,
}

impl World {
    /// One whose API server has this to read, under these names, and answers nothing else.
    fn new(objects: &[(&str, Value)]) -> Self {
        // The first of the tests does this; nothing else installs a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let objects: HashMap<String, String> =
            objects.iter().map(|(name, object)| ((*name).to_owned(), object.to_string())).collect();
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let made = Arc::clone(&calls);
        let server = service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let found = objects.get(path.rsplit('/').next().unwrap_or_default()).cloned();
            made.lock().push(path);
            async move {
                match found.filter(|_| request.method() == http::Method::GET) {
                    Some(found) => Ok::<_, BoxError>(Response::new(Body::from(found.into_bytes()))),
                    None => std::future::pending().await,
                }
            }
        });
        let objects = Objects::new(Client::new(server, "team"), "test");
        let history = Arc::new(History::new(objects.clone()));
        let sender = Sender::unbound(&Proxies::default()).unwrap();
        let secrets = Secrets::new(reflector::store::<Secret>().0);
        let parts = Parts { objects, sender, secrets, history: Arc::clone(&history), lease: Leadership::unopposed() };
        let (deliverer, _) = Deliverer::new(parts);
        let catalog = Arc::new(Catalog::default());
        let (runs, changes) = Runs::new(Arc::clone(&catalog), deliverer, Limits { in_flight: 10, per_webhook: 10 });
        Self { history, catalog, runs, calls, _changes: changes }
    }

    fn webhook(&self, event: &Event<Lenient<Webhook>>) {
        let index = WebhookIndex::new(Arc::clone(&self.catalog), |change| self.runs.seen(change));
        Fold::new(index).observe(event);
    }

    /// Shows what there is at the start.
    fn list(&self, events: &[&Lenient<AlertGroupEvent>]) {
        self.runs.observe(&Event::Init);
        events.iter().for_each(|event| self.runs.observe(&Event::InitApply((*event).clone())));
        self.runs.observe(&Event::InitDone);
    }

    /// How far an event is, and its lines.
    fn progress(&self, event: &str) -> (&'static str, Vec<String>) {
        let (word, status) = match self.runs.progress(event) {
            Progress::Settled => return ("settled", Vec::new()),
            Progress::Running(_, status, false) => ("running", status),
            Progress::Running(_, status, true) => ("held", status),
            Progress::Ended(status, _) => ("ended", status),
        };
        (word, status.webhooks.into_iter().map(|line| line.name).collect())
    }

    /// The delivery that waits for a webhook, taken out of what waits.
    fn waiting(&self, webhook: &str) -> Box<Delivery> {
        let lane = (Arc::from("team"), Arc::from(webhook));
        self.runs.state.lock().dispatcher.remove(&lane, Instant::now()).remove(0)
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A response that a list has.
fn response(event: &str, webhook: &str) -> PartialObjectMeta<WebhookResponse> {
    let name = id::response_name(event, webhook);
    let labels = json!({"oncall.dev/event": event, "oncall.dev/webhook": webhook});
    let metadata = json!({"name": name, "namespace": "team", "resourceVersion": "1", "labels": labels});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

/// The status of an event that has one line.
fn status(phase: &str, webhook: &str, outcome: &str) -> Value {
    let lines = json!([{"name": webhook, "outcome": outcome}]);
    json!({"phase": phase, "matched": 1, "succeeded": 0, "failed": 0, "skipped": 0, "webhooks": lines})
}

/// A webhook that holds what it is to send.
fn webhook(name: &str, spec: &Value) -> Lenient<Webhook> {
    let metadata = json!({"name": name, "namespace": "team", "uid": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"});
    let mut all = json!({"triggerType": "resolve", "url": "https://receiver.example", "suspend": true});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": metadata, "spec": all})).unwrap()
}

fn event(name: &str, status: &Value) -> Lenient<AlertGroupEvent> {
    let metadata = json!({
        "name": name, "namespace": "team", "uid": name, "resourceVersion": "1", "creationTimestamp": "2026-01-02T00:00:00Z",
    });
    let spec = json!({"type": "resolve", "alertGroup": {"id": "I1"}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
}

#[tokio::test]
async fn a_process_that_stops_waits_for_no_time() {
    let world = World::new(&[]);
    world.webhook(&Event::Apply(webhook("one", &json!({}))));
    world.list(&[&event("resolved", &Value::Null)]);
    let delivery = world.waiting("one");
    {
        let mut state = world.runs.state.lock();
        world.runs.push(&mut state, delivery, Instant::now() + LIMIT);
        world.runs.pump(&mut state);
        assert!(state.alarm.is_some());
    }
    world.runs.stop().await;
    assert_eq!(world.runs.state.lock().alarm, None);
}

#[tokio::test]
async fn what_a_webhook_was_answered_that_is_gone_makes_no_endpoint_fail() {
    let world = World::new(&[]);
    world.webhook(&Event::Apply(webhook("one", &json!({}))));
    world.list(&[&event("resolved", &Value::Null)]);
    let delivery = world.waiting("one");
    let entry = world.catalog.get("team", "one").unwrap();
    let turn = {
        let mut state = world.runs.state.lock();
        world.runs.push(&mut state, delivery, Instant::now());
        state.dispatcher.next(Instant::now())
    };
    let Some(Next::Send(delivery, turn)) = turn else { panic!("not sent") };
    world.webhook(&Event::Delete(webhook("one", &json!({}))));
    let line =
        WebhookLine { name: "one".to_owned(), outcome: ResponsePhase::Retrying, status_code: None, response: None };
    let report = Report::Failed(Some(LIMIT));
    world.runs.done(delivery, Some(&entry), turn, Done::Again(Timestamp::MAX, line), report);
    let state = world.runs.state.lock();
    assert_eq!((state.dispatcher.failing(), state.dispatcher.in_flight(), state.alarm), (0, 0, None));
    assert!(state.runs.values().all(Run::has_ended));
}

#[tokio::test]
async fn what_requests_wait_for_is_read_while_any_number_of_responses_is_to_be_sent_again() {
    let world = World::new(&[]);
    world.list(&[]);
    for number in 0..100 {
        world.runs.redeliver("team".to_owned(), format!("asked-{number}"), "again".to_owned());
    }
    let read = tokio::spawn({
        let runs = Arc::clone(&world.runs);
        async move { runs.deliverer.response("team", "needed").await }
    });
    let called = async {
        while !world.calls.lock().iter().any(|path| path.ends_with("/needed")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, called).await.unwrap();
    read.abort();
    assert_eq!(world.calls.lock().len(), 3);
    // None of them holds up the end.
    tokio::time::timeout(LIMIT, world.runs.stop()).await.unwrap();
}

#[tokio::test]
async fn what_another_process_began_goes_on_though_the_webhook_is_not_for_the_event_any_more() {
    let delivering = |outcome| status("Delivering", "one", outcome);
    let again = || {
        let mut status = delivering("Succeeded");
        status["redelivering"] = json!("again");
        status
    };
    let other = json!({"triggerType": "acknowledge"});
    let disabled = json!({"enabled": false});
    let integration = json!({"integrationFilter": ["C1"]});
    // What the webhook is now, the event's status, whether there is a response; and whether it goes on.
    let cases = [
        (&other, Value::Null, false, false),
        (&other, Value::Null, true, true),
        (&disabled, Value::Null, true, true),
        (&integration, Value::Null, true, true),
        (&other, delivering("Pending"), false, true),
        (&other, delivering("Retrying"), true, true),
        (&disabled, delivering("Retrying"), true, true),
        (&other, delivering("Skipped"), false, false),
        // What it was sent the first time is not sent again.
        (&other, again(), true, false),
    ];
    for (number, (spec, status, responded, goes_on)) in cases.into_iter().enumerate() {
        let world = World::new(&[]);
        let began = world.history.now();
        let listed = responded.then(|| world.history.found(&response("resolved", "one")));
        world.history.retain(listed.into_iter().collect(), &began);
        world.webhook(&Event::Apply(webhook("one", spec)));
        world.webhook(&Event::Apply(webhook("two", &json!({}))));
        world.list(&[&event("resolved", &status)]);
        let expected = if goes_on { names(&["one", "two"]) } else { names(&["two"]) };
        assert_eq!(world.progress("resolved"), ("running", expected), "case {number}");
    }
}

#[tokio::test]
async fn what_was_begun_with_another_webhook_of_that_name_does_not_go_on() {
    let world = World::new(&[]);
    let mut late = webhook("one", &json!({"triggerType": "acknowledge"}));
    late.meta_mut().creation_timestamp = serde_json::from_value(json!("2026-01-03T00:00:00Z")).unwrap();
    world.webhook(&Event::Apply(late));
    world.list(&[&event("resolved", &status("Delivering", "one", "Retrying"))]);
    assert_eq!(world.progress("resolved"), ("ended", vec![]));
}

#[tokio::test]
async fn a_webhook_gets_the_event_that_it_came_with_though_another_process_has_completed_it() {
    let now = Timestamp::now();
    let ago = |seconds| now.saturating_sub(Duration::from_secs(seconds)).unwrap();
    let made = |name: &str, created: Timestamp| {
        let mut webhook = webhook(name, &json!({}));
        webhook.meta_mut().creation_timestamp = Some(Time(created));
        Event::Apply(webhook)
    };
    let completed = |created, status| {
        let mut event = event("resolved", &status);
        event.meta_mut().creation_timestamp = Some(Time(created));
        event
    };
    let whole = || status("Completed", "one", "Succeeded");
    let in_part = || {
        let mut status = whole();
        status["matched"] = json!(2);
        status
    };
    let cases = [
        (ago(10), whole(), ("running", names(&["late", "one"]))),
        // Clocks differ.
        (now.saturating_add(Duration::from_secs(4)).unwrap(), whole(), ("running", names(&["late", "one"]))),
        (ago(20), whole(), ("settled", vec![])),
        (ago(10), in_part(), ("settled", vec![])),
    ];
    for (number, (created, status, expected)) in cases.into_iter().enumerate() {
        let world = World::new(&[]);
        world.webhook(&made("one", ago(1000)));
        // It did not run for another reason.
        world.webhook(&made("old", ago(1000)));
        world.webhook(&made("late", if number == 1 { now } else { ago(11) }));
        world.list(&[&completed(created, status)]);
        assert_eq!(world.progress("resolved"), expected, "case {number}");
    }

    let world = World::new(&[]);
    world.webhook(&made("one", ago(1000)));
    world.list(&[&completed(ago(10), whole())]);
    assert_eq!(world.progress("resolved"), ("settled", vec![]));
    world.webhook(&made("late", ago(9)));
    assert_eq!(world.progress("resolved"), ("running", names(&["late", "one"])));
}

#[tokio::test]
async fn no_event_is_completed_while_a_webhook_is_there_that_cannot_be_read() {
    let unreadable = || Event::Apply(webhook("one", &json!({"url": 7})));
    let fine = || Event::Apply(webhook("one", &json!({})));
    let changed = || Event::Apply(webhook("one", &json!({"triggerType": "acknowledge"})));
    let gone = || Event::Delete(webhook("one", &json!({"url": 7})));
    let pending = || status("Delivering", "one", "Pending");
    // What becomes of the webhook, the event's status before; and what becomes of the event.
    let cases = [
        (fine(), Value::Null, ("running", names(&["one"]))),
        (changed(), Value::Null, ("ended", vec![])),
        (changed(), pending(), ("running", names(&["one"]))),
        (gone(), pending(), ("ended", vec![])),
    ];
    for (number, (then, status, expected)) in cases.into_iter().enumerate() {
        let world = World::new(&[]);
        world.webhook(&unreadable());
        world.list(&[&event("resolved", &status), &event("over", &self::status("Completed", "one", "Succeeded"))]);
        world.runs.observe(&Event::Apply(event("new", &Value::Null)));
        let progress = ["resolved", "new", "over"].map(|event| world.progress(event).0);
        assert_eq!(progress, ["held", "held", "settled"], "case {number}");
        world.webhook(&then);
        assert_eq!(world.progress("resolved"), expected, "case {number}");
        assert!(world.runs.state.lock().held.is_empty());
    }
    // One that comes later holds what has not ended.
    let world = World::new(&[]);
    world.webhook(&Event::Apply(webhook("two", &json!({}))));
    world.list(&[&event("resolved", &Value::Null)]);
    world.webhook(&unreadable());
    world.webhook(&Event::Delete(webhook("two", &json!({}))));
    assert_eq!(world.progress("resolved"), ("held", names(&["two"])));
    // Nobody waits for an event that is deleted.
    world.runs.observe(&Event::Delete(event("resolved", &Value::Null)));
    assert!(world.runs.state.lock().runs.values().all(Run::is_over));
}

#[tokio::test]
async fn what_is_to_be_sent_again_waits_for_a_webhook_that_cannot_be_read() {
    let name = id::response_name("resolved", "one");
    let response = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "WebhookResponse",
        "metadata": {"namespace": "team", "name": name, "resourceVersion": "2"},
        "spec": {
            "webhookRef": {"name": "one", "id": "WH1"},
            "eventRef": {"name": "resolved", "uid": "resolved"},
            "alertGroupId": "I1",
            "triggerType": "resolve",
        },
        "status": {"phase": "Succeeded", "attemptCount": 1},
    });
    let completed = event("resolved", &status("Completed", "one", "Succeeded"));
    let mut object = serde_json::to_value(completed.0.as_ref().unwrap()).unwrap();
    object["metadata"]["resourceVersion"] = json!("1");
    let world = World::new(&[(&name, response), ("resolved", object)]);
    world.webhook(&Event::Apply(webhook("one", &json!({"url": 7}))));
    world.list(&[&completed]);
    world.runs.redeliver("team".to_owned(), name.clone(), "again".to_owned());
    let until = async |is: fn(&State) -> bool| {
        let reached = async {
            while !is(&world.runs.state.lock()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, reached).await.unwrap();
    };
    until(|state| !state.asked.is_empty()).await;
    world.webhook(&Event::Apply(webhook("one", &json!({}))));
    until(|state| state.dispatcher.waiting() == 1).await;
    assert_eq!(world.waiting("one").redeliver.as_deref(), Some("again"));
}
