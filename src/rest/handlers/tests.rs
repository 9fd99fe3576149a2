//! Bounds on bodies and pages, against an API server that is away.

use std::time::Duration;

use axum::{Router, http::Request, routing::post};
use kube::{Client, client};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tower::{BoxError, ServiceExt, service_fn};

use super::*;
use crate::{
    kubernetes::{objects::Objects, probes::Ready, scope::Scope},
    metrics::IntakeMetrics,
    rendering::RenderingPool,
    rest::{
        alert_groups::{AlertGroupChanges, AlertGroups},
        auth::{Auth, AuthSettings},
        catalog::Catalog,
        credentials::CredentialStore,
        intake::{Intake, IntakeLimits},
        integrations::Integrations,
        permits::Permits,
        responses::Responses,
        writer::{WebhookWriter, WriteRules},
    },
    secrets::Secrets,
};

/// The state of an API whose API server is away.
fn api() -> ApiState {
    let away = service_fn(|_: Request<client::Body>| async {
        Err::<Response<client::Body>, BoxError>("connection refused".into())
    });
    let client = Client::new(away, "default");
    let objects = Objects::new(client.clone(), "test");
    let catalog = Arc::new(Catalog::new(objects.clone(), 1 << 20));
    let credentials = CredentialStore::new(objects.clone(), TaskTracker::default());
    let alert_groups = Arc::new(AlertGroups::new(objects.clone(), 1 << 20));
    let rules = WriteRules { allow_managed: false, keep_credentials: false };
    let limits = IntakeLimits { per_minute: 300, open_alert_groups: 10, memory: 1 << 20 };
    let short = Duration::from_millis(20);
    ApiState {
        auth: Auth::new(client, AuthSettings { calls_per_minute: 300, ..AuthSettings::default() }).0,
        ready: Ready::default(),
        ready_for_alerts: Ready::default(),
        writer: Arc::new(WebhookWriter::new(objects.clone(), Arc::clone(&catalog), credentials, rules)),
        catalog,
        intake: Intake::new(objects.clone(), Secrets::new(1 << 20), Scope::default(), limits, IntakeMetrics::default()),
        responses: Arc::new(Responses::new(objects.clone(), 1 << 20)),
        integrations: Arc::new(Integrations::new(objects.clone(), 1 << 20)),
        alert_group_changes: Arc::new(AlertGroupChanges::new(objects, Arc::clone(&alert_groups))),
        alert_groups,
        trusted_proxies: Vec::new(),
        bodies: Permits::new(1024, 1024, "bodies").waiting(short),
        validations: Permits::new(1, 1, "validations").waiting(short),
        rendering: RenderingPool::new(2).unwrap(),
        writes: TaskTracker::default(),
    }
}

async fn sent(api: &Arc<ApiState>, media_type: &str, body: Body) -> (u16, Value) {
    let caller = Caller { namespace: "team".into(), name: "Secret team/ci".to_owned(), username: "ci".to_owned() };
    let routes = Router::new().route("/", post(create_webhook)).layer(Extension(caller));
    let request = Request::post("/").header(header::CONTENT_TYPE, media_type).body(body).unwrap();
    let response = routes.with_state(Arc::clone(api)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn unannounced(length: usize) -> Body {
    Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from(" ".repeat(length)))]))
}

#[tokio::test]
async fn a_body_waits_for_memory_and_a_permit_and_gives_both_back() {
    let (api, json) = (Arc::new(api()), "application/json");
    let namespace: Arc<str> = "team".into();
    let missing = |fields: &[&str]| {
        let fields = fields.iter().map(|field| ((*field).to_owned(), json!(["This field is required."])));
        (400, Value::Object(fields.collect()))
    };
    let nameless = missing(&["name", "url", "http_method", "trigger_type"]);
    let busy = |what: &str| (503, json!({ "detail": what }));
    let detail = |status, detail: &str| (status, json!({ "detail": detail }));
    let (long, no_json) = ("The request's body is over 1 MiB.", "JSON parse error - Expecting value: line 1 column 1");
    let is_no_json = |(status, body): (u16, Value)| {
        assert_eq!(status, 400);
        assert!(body["detail"].as_str().is_some_and(|detail| detail.starts_with(no_json)), "{body}");
    };

    let most = api.bodies.take(&namespace, 1023).await.unwrap();
    assert_eq!(sent(&api, json, Body::from("{}")).await, nameless, "one KiB is left");
    assert_eq!(sent(&api, json, Body::from("{}".to_owned() + &" ".repeat(1024))).await, busy("bodies"));
    assert_eq!(sent(&api, json, unannounced(2)).await, busy("bodies"), "it may be as long as any");
    assert_eq!(sent(&api, json, Body::from(" ".repeat(1024 * 1024 + 1))).await, detail(413, long));
    drop(most);
    assert_eq!(sent(&api, json, Body::from("{}".to_owned() + &" ".repeat(1024))).await, nameless);
    is_no_json(sent(&api, json, unannounced(1024 * 1024)).await);
    assert_eq!(sent(&api, json, unannounced(1024 * 1024 + 1)).await, detail(413, long));

    let permit = api.validations.take(&namespace, 1).await.unwrap();
    let other = detail(415, "Unsupported media type \"text/plain\" in request.");
    assert_eq!(sent(&api, "text/plain", Body::from("{")).await, other, "nobody waits to be told");
    assert_eq!(sent(&api, json, Body::from("{")).await, busy("validations"));
    drop(permit);
    assert_eq!(sent(&api, "text/plain", Body::empty()).await, nameless, "none at all is an empty object");

    assert!(api.bodies.take(&namespace, 1024).await.is_ok());
    assert!(api.validations.take(&namespace, 1).await.is_ok());
}

#[tokio::test]
async fn a_large_page_keeps_its_permit_until_it_is_sent_or_the_client_has_gone() {
    let permits = Permits::new(1, 1, "busy").waiting(Duration::from_millis(20));
    let (namespace, query) = ("team".into(), QueryParams::new(""));
    let (page, url) = (Page::new(&query, 1), RequestUrl("http://h/".to_owned()));
    let free = async || permits.take(&namespace, 1).await.is_ok();
    let answer = async |length| {
        let permit = permits.take(&namespace, 1).await.unwrap();
        let text = Bytes::from(format!("\"{}\"", "x".repeat(length)));
        paginated(&page, &query, &url, [text], Some(permit)).unwrap()
    };
    let small = answer(10).await;
    assert!(free().await, "a small one is a copy");
    drop(small);

    let large = answer(1024 * 1024).await;
    assert!(!free().await);
    let length = large.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse();
    let body = axum::body::to_bytes(large.into_body(), usize::MAX).await.unwrap();
    assert_eq!(length, Ok(body.len()));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["count"], &body["results"]), (&json!(1), &json!(["x".repeat(1024 * 1024)])));
    assert!(free().await);

    let mut large = answer(1024 * 1024).await.into_body().into_data_stream();
    assert!(large.next().await.is_some());
    assert!(!free().await);
    drop(large);
    assert!(free().await);
}

#[test]
fn a_location_fits_into_a_header() {
    let (most, more) = ("x".repeat(2000), "x".repeat(2001));
    let cases = [("https://e/{{ x }}", true), ("https://e/\n", false), (&*most, true), (&*more, false)];
    for (url, expected) in cases {
        let location = location(url);
        assert_eq!(location.as_ref().map(HeaderValue::as_bytes), expected.then_some(url.as_bytes()), "{url}");
    }
}
