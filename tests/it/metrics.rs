//! What `/metrics` tells of the operator and of the API while they work.

mod logs;

use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::DeleteParams;
use oncall_webhooks::resources::{ResponsePhase, Webhook};
use reqwest::{Client, Method};
use serde_json::json;
use support::{Answer, Operator, Received};

use crate::{
    harness::{TestNamespace, World, eventually},
    intake,
};

/// A text that senders send, in all places where they may.
const SENT: &str = "sent-by-somebody";

/// What a process shows now.
pub(crate) async fn scrape(process: &Operator) -> String {
    let listening = process.events("the health port listens");
    let address = listening[0]["address"].as_str().expect("an address");
    let answer = reqwest::get(format!("http://{address}/metrics")).await.expect("metrics");
    let content_type = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!((answer.status().as_u16(), &*content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
    answer.text().await.expect("text")
}

/// Waits until a process shows all these lines, in which `NAMESPACE` stands for the namespace and names have no prefix.
async fn shows(process: &Operator, namespace: &str, lines: &[&str]) -> String {
    let lines: Vec<String> =
        lines.iter().map(|line| format!("oncall_webhooks_{}", line.replace("NAMESPACE", namespace))).collect();
    let missing = |text: &str| -> Vec<&String> {
        lines.iter().filter(|line| !text.lines().any(|other| other == **line)).collect()
    };
    let what = format!("all of {lines:?} is shown");
    eventually(&what, || async {
        let text = scrape(process).await;
        if missing(&text).is_empty() { Some(text) } else { None }
    })
    .await
}

/// Answers as the path says: 503 once for `/again`.
fn answers() -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let asked = AtomicU32::new(0);
    move |request| {
        let status = match request.target.as_str() {
            "/again" if asked.fetch_add(1, Ordering::Relaxed) == 0 => 503,
            "/refused" => 400,
            "/over" => 500,
            _ => 200,
        };
        Answer::new(status, SENT)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_deliveries_is_counted_and_vanishes_with_their_webhook() {
    let world = World::with_receiver("counted", answers()).await;
    for (name, spec) in [
        ("good", json!({})),
        ("again", json!({"retry": {"initialDelay": "100ms"}})),
        ("refused", json!({})),
        ("over", json!({"retry": {"maxAttempts": 2, "initialDelay": "100ms"}})),
        ("skipped", json!({"triggerTemplate": "{{ false }}"})),
    ] {
        world.seen_webhook(name, "resolve", spec).await;
    }
    let operator = world.operator.as_ref().expect("an operator");
    let zero = r#"deliveries_total{namespace="NAMESPACE",webhook="good",outcome="succeeded"} 0"#;
    shows(operator, &world.namespace, &[zero, "leader 1"]).await;
    let group =
        json!({"alertPayload": {"title": SENT}, "alertGroup": {"id": SENT, "title": SENT, "labels": {"l": SENT}}});
    world.event("resolved", "resolve", SENT, group).await;
    world.completed("resolved", 5).await;
    let succeeded = |status: &oncall_webhooks::resources::WebhookResponseStatus| {
        status.phase == ResponsePhase::Succeeded && status.attempt_count == 2
    };
    world.response_that("again", succeeded).await;
    let selector = "oncall.dev/webhook=good";
    world.kubectl(&["annotate", "whr", "-l", selector, &format!("oncall.dev/redeliver={SENT}")]).await;
    world.response_that("good", succeeded).await;

    let text = shows(
        operator,
        &world.namespace,
        &[
            r#"deliveries_total{namespace="NAMESPACE",webhook="good",outcome="succeeded"} 2"#,
            r#"deliveries_total{namespace="NAMESPACE",webhook="again",outcome="succeeded"} 1"#,
            r#"deliveries_total{namespace="NAMESPACE",webhook="again",outcome="failed"} 0"#,
            r#"deliveries_total{namespace="NAMESPACE",webhook="refused",outcome="failed"} 1"#,
            r#"deliveries_total{namespace="NAMESPACE",webhook="over",outcome="failed"} 1"#,
            r#"deliveries_total{namespace="NAMESPACE",webhook="skipped",outcome="skipped"} 1"#,
            r#"retries_total{namespace="NAMESPACE",webhook="good"} 0"#,
            r#"retries_total{namespace="NAMESPACE",webhook="again"} 1"#,
            r#"retries_total{namespace="NAMESPACE",webhook="over"} 1"#,
            r#"deliveries_given_up_total{namespace="NAMESPACE",webhook="over"} 1"#,
            r#"deliveries_given_up_total{namespace="NAMESPACE",webhook="refused"} 0"#,
            r#"redeliveries_total{namespace="NAMESPACE",webhook="good"} 1"#,
            r#"redeliveries_total{namespace="NAMESPACE",webhook="again"} 0"#,
            r#"attempts_total{namespace="NAMESPACE",code="2xx"} 3"#,
            r#"attempts_total{namespace="NAMESPACE",code="4xx"} 1"#,
            r#"attempts_total{namespace="NAMESPACE",code="5xx"} 3"#,
            r#"attempts_total{namespace="NAMESPACE",code="timeout"} 0"#,
            r#"attempt_duration_seconds_count{namespace="NAMESPACE"} 7"#,
            r#"event_to_first_attempt_seconds_count{namespace="NAMESPACE"} 4"#,
            r#"deliveries_waiting{namespace="NAMESPACE",webhook="good"} 0"#,
            r#"webhook_condition{namespace="NAMESPACE",webhook="good",type="Ready",status="true"} 1"#,
            "deliveries_in_flight 0",
            concat!(r#"build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ],
    )
    .await;
    for text_of_others in [SENT, &world.receiver.url(), "\"resolved\""] {
        assert!(!text.contains(text_of_others), "{text_of_others}: {text}");
    }
    for begins in [
        r#"oncall_webhooks_api_server_requests_total{verb="list",code="200"} "#,
        r#"oncall_webhooks_api_server_requests_total{verb="watch",code="200"} "#,
        r#"oncall_webhooks_api_server_request_duration_seconds_count{verb="create"} "#,
        r#"oncall_webhooks_watch_last_activity_timestamp_seconds{kind="WebhookResponse"} 1"#,
        r#"oncall_webhooks_watch_restarts_total{kind="Webhook"} "#,
        r#"oncall_webhooks_reconciles_total{kind="AlertGroupEvent",result="ok"} "#,
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(begins)), "{begins}: {text}");
    }

    world.api::<Webhook>().delete("good", &DeleteParams::default()).await.expect("delete the webhook");
    eventually("nothing is shown of a webhook that is gone", || async {
        let text = scrape(operator).await;
        (!text.contains(r#"webhook="good""#) && text.contains(r#"webhook="again""#)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_no_answer_came_is_counted() {
    let world = World::new("codes").await;
    let once = json!({"maxAttempts": 1});
    for (name, url, timeout) in [
        ("away", "http://127.0.0.1:9/".to_owned(), "4s"),
        ("inside", "http://127.0.0.2:9/".to_owned(), "4s"),
        ("plain", world.receiver.url().replace("http:", "https:"), "4s"),
    ] {
        world.seen_webhook(name, "resolve", json!({"url": url, "timeout": timeout, "retry": once})).await;
    }
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 3).await;
    let lines = [
        r#"attempts_total{namespace="NAMESPACE",code="connect"} 1"#,
        r#"attempts_total{namespace="NAMESPACE",code="refused"} 1"#,
        r#"attempts_total{namespace="NAMESPACE",code="tls"} 1"#,
    ];
    shows(world.operator.as_ref().expect("an operator"), &world.namespace, &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_fewer_labels_all_webhooks_share_their_series() {
    let world = World::configured("labels", |_| Answer::new(200, ""), &["--metrics-labels=none"]).await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.seen_webhook("two", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    let lines = [
        r#"deliveries_total{outcome="succeeded"} 2"#,
        r#"attempts_total{code="2xx"} 2"#,
        "deliveries_waiting 0",
        r#"webhook_condition{type="Ready",status="true"} 2"#,
    ];
    let text = shows(world.operator.as_ref().expect("an operator"), &world.namespace, &lines).await;
    assert!(!text.contains("namespace=") && !text.contains("webhook="), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_counts_calls_by_route_and_what_became_of_alerts_and_says_nothing_of_what_it_was_sent() {
    let place = TestNamespace::new("api-metrics").await;
    let api = intake::start("api-metrics", &["--health-address=127.0.0.1:0"]).await;
    let token = intake::made(&place, "script", "webhook", json!({})).await;
    let source = intake::Source::of(&api);
    let by_token = intake::path("webhook", &token);
    source.is_known(&by_token).await;
    source
        .taken(
            "/integrations/v1/webhook/namespaces/NAMESPACE/script/".replace("NAMESPACE", &place.namespace).as_str(),
            &token,
            "{}",
        )
        .await;
    let http = Client::builder().no_proxy().build().expect("make a client");
    for (method, path) in [
        (Method::GET, format!("/api/v1/webhooks/{SENT}/?name={SENT}")),
        (Method::GET, format!("/{SENT}")),
        (Method::from_bytes(SENT.to_uppercase().as_bytes()).expect("a method"), "/api/v1/webhooks".to_owned()),
        (Method::POST, intake::path("webhook", SENT)),
    ] {
        let status = eventually("no token is being read", || async {
            let call = http.request(method.clone(), format!("{}{path}", api.url()));
            let status = call.send().await.expect("an answer").status();
            (status != 503).then_some(status)
        })
        .await;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    let lines = [
        r#"rest_requests_total{method="GET",route="/api/v1/webhooks/{id}",code="403"} 1"#,
        r#"rest_requests_total{method="GET",route="none",code="404"} 1"#,
        r#"rest_request_duration_seconds_count{method="GET",route="/api/v1/webhooks/{id}"} 1"#,
        r#"rest_requests_total{method="POST",route="/integrations/v1/{type}/namespaces/{namespace}/{name}",code="200"} 1"#,
        r#"intake_requests_total{type="webhook",outcome="taken"} 1"#,
    ];
    let text = shows(api.process(), &place.namespace, &lines).await;
    for begins in [
        r#"oncall_webhooks_rest_requests_total{method="other",route="/api/v1/webhooks",code="40"#,
        r#"oncall_webhooks_intake_requests_total{type="webhook",outcome="invalid"} "#,
        r#"oncall_webhooks_intake_requests_total{type="unknown",outcome="unknown_token"} "#,
    ] {
        assert!(text.lines().any(|line| line.starts_with(begins)), "{begins}: {text}");
    }
    for sent in [SENT, &SENT.to_uppercase(), &token, &place.namespace, "192.0.2."] {
        assert!(!text.contains(sent), "{sent}: {text}");
    }
    place.apply(&intake::integration("script", "webhook", json!({"suspend": true}))).await;
    eventually("a suspended Integration is told of", || async {
        let _ = http.post(format!("{}{by_token}", api.url())).body("{}").send().await.expect("an answer");
        scrape(api.process()).await.contains(r#"{type="webhook",outcome="suspended"}"#).then_some(())
    })
    .await;
    // What is delivered is the operator's to tell.
    assert!(!text.contains("deliveries") && !text.contains("oncall_webhooks_leader"), "{text}");
}
