//! The status of a Webhook: its id, whether it is ready and why not, and what may not work.

use kube::api::{Patch, PatchParams};
use oncall_webhooks::resources::{Condition, ConditionStatus, Webhook, WebhookStatus};
use serde_json::{Value, json};
use support::Answer;

use crate::harness::World;

/// Waits until the Ready condition of the webhook's last generation has this status, and returns its reason and message.
async fn ready(world: &World, name: &str, expected: ConditionStatus) -> (String, String) {
    ready_that(world, name, |ready| ready.status == expected).await
}

/// Waits until the Ready condition of the webhook's last generation is as `is` says, and returns its reason and message.
async fn ready_that(world: &World, name: &str, is: impl Fn(&Condition) -> bool) -> (String, String) {
    world
        .object_that("the Ready condition", name, |webhook: Option<&Webhook>| {
            let webhook = webhook?;
            let ready = webhook.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == "Ready")?;
            let is_current = ready.observed_generation == webhook.metadata.generation;
            (is_current && is(ready)).then(|| (ready.reason.clone(), ready.message.clone()))
        })
        .await
}

async fn change(world: &World, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    world.api::<Webhook>().patch(name, &PatchParams::default(), &patch).await.expect("patch Webhook");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_cannot_compile_is_named_with_field_and_line() {
    let world = World::new("templates").await;
    world.webhook("broken", "resolve", json!({"data": "{\n  \"a\": {{ alert_payload. }}\n}"})).await;
    let (reason, message) = ready(&world, "broken", ConditionStatus::False).await;
    assert_eq!(reason, "TemplateError");
    assert!(message.starts_with("spec.data, line 2: Template Error: "), "{message}");

    // It runs all the same, as in OnCall, and its record says why nothing was sent.
    world.webhook("sound", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    let recorded = world.response("broken").await.request_data.unwrap_or_default();
    assert!(recorded.starts_with("Data - Template Error: "), "{recorded}");
    let targets: Vec<_> = world.arrived(1).await.into_iter().map(|(_, target, _)| target).collect();
    assert_eq!(targets, ["/sound"]);

    change(&world, "broken", json!({"data": "{}"})).await;
    assert_eq!(ready(&world, "broken", ConditionStatus::True).await.0, "Valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_work_is_not_ready_as_the_rest_api_would_refuse_it() {
    let world = World::new("never").await;
    let cases = [
        (
            "loops",
            json!({"data": "{\n{% for i in range(3) %}{% endfor %}}"}),
            "TemplateError",
            "spec.data, line 2: Template Error: use of 'range' is restricted",
        ),
        (
            "includes",
            json!({"headers": "{% include 'x' %}"}),
            "TemplateError",
            "spec.headers, line 1: Template Error: x",
        ),
        (
            "divides",
            json!({"triggerTemplate": "{{ 1 / 0 }}"}),
            "TemplateError",
            "spec.triggerTemplate, line 1: Template Error: division by zero",
        ),
        ("ftp", json!({"url": "ftp://nope"}), "URLInvalid", "spec.url: Malformed url"),
        ("hostless", json!({"url": "receiver.example/{{ alert_group_id }}"}), "URLInvalid", "spec.url: Malformed url"),
        (
            "header",
            json!({"headers": "no json"}),
            "HeadersInvalid",
            "spec.headers: Template did not result in json/dict",
        ),
    ];
    for (name, spec, ..) in &cases {
        world.webhook(name, "resolve", spec.clone()).await;
    }
    for (name, _, reason, message) in cases {
        assert_eq!(
            ready(&world, name, ConditionStatus::False).await,
            (reason.to_owned(), message.to_owned()),
            "{name}"
        );
        world.condition(name, "Stalled", Some(reason)).await;
    }
    // One that is corrected gets ready.
    change(&world, "header", json!({"headers": "{}"})).await;
    assert_eq!(ready(&world, "header", ConditionStatus::True).await.0, "Valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_on_empty_data_alone_is_ready_with_a_warning_and_works() {
    let world = World::new("warned").await;
    let data = "{\n  \"share\": {{ 100 / alert_payload.total|int }}\n}";
    world.webhook("shares", "resolve", json!({"data": data})).await;
    assert_eq!(ready(&world, "shares", ConditionStatus::True).await.0, "Valid");
    world.condition("shares", "TemplateWarning", Some("FailsOnEmptyData")).await;
    let api = world.api::<Webhook>();
    let status = api.get("shares").await.expect("get Webhook").status.expect("a status");
    let warning =
        status.conditions.into_iter().find(|condition| condition.type_ == "TemplateWarning").expect("a warning");
    assert_eq!(warning.status, ConditionStatus::True);
    assert_eq!(
        warning.message,
        "spec.data, line 2: fails on empty data, and OnCall's API would refuse it: Template Error: division by zero"
    );

    // It is looked at again, and nothing is written.
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"team": "sre"}}}));
    let patched = api.patch("shares", &PatchParams::default(), &patch).await.expect("patch Webhook");
    world.webhook("other", "resolve", json!({"suspend": true})).await;
    world.condition("other", "Suspended", Some("Suspended")).await;
    let now = api.get("shares").await.expect("get Webhook");
    assert_eq!(now.metadata.resource_version, patched.metadata.resource_version);

    world.event("resolved", "resolve", "I1", json!({"alertPayload": {"total": 8}})).await;
    world.response_that("shares", |status| status.request_data.as_deref() == Some("{\"share\": 12.5}")).await;
    change(&world, "shares", json!({"data": "{}"})).await;
    world.condition("shares", "TemplateWarning", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_and_a_missing_key_are_named_until_they_are_there() {
    let world = World::new("missing").await;
    let source = json!({"secretKeyRef": {"name": "ticketing", "key": "token"}});
    world.webhook("jira", "resolve", json!({"authorizationHeader": source})).await;
    let (reason, message) = ready(&world, "jira", ConditionStatus::False).await;
    assert_eq!(reason, "SecretNotFound");
    world.condition("jira", "Reconciling", Some("SecretNotFound")).await;
    assert_eq!(
        message,
        "spec.authorizationHeader: Secret 'ticketing' does not exist or lacks the label oncall.dev/secret=true"
    );

    let secret = |labels: &str, data: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: ticketing, labels: {labels}}}\nstringData: {data}\n")
    };
    // Without the label it is not there for the operator.
    world.apply(&secret("{}", "{token: t}")).await;
    world.event("first", "resolve", "I1", json!({})).await;
    world.completed("first", 1).await;
    assert_eq!(
        world.response("jira").await.request_headers.as_deref(),
        Some("Headers - Secret 'ticketing' does not exist or lacks the label oncall.dev/secret=true")
    );

    world.kubectl(&["delete", "secret", "ticketing"]).await;
    world.apply(&secret("{oncall.dev/secret: 'true'}", "{other: t}")).await;
    let (_, message) = ready_that(&world, "jira", |ready| ready.reason == "SecretKeyNotFound").await;
    assert_eq!(message, "spec.authorizationHeader: Secret 'ticketing' has no key 'token'");

    world.apply(&secret("{oncall.dev/secret: 'true'}", "{token: \"Bearer t0ken\\n\"}")).await;
    ready(&world, "jira", ConditionStatus::True).await;
    world.condition("jira", "Reconciling", None).await;
    world.event("second", "resolve", "I1", json!({})).await;
    world.completed("second", 1).await;
    assert_eq!(world.receiver.received()[0].header("authorization"), Some("Bearer t0ken"));
    assert!(!world.everything().await.contains("t0ken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_id_is_its_own_or_derived_from_its_name() {
    let world = World::new("ids").await;
    let stated = world.seen_webhook("stated", "resolve", json!({"id": "WHP936BM1GPVHQ"})).await;
    assert_eq!(stated.status.and_then(|status| status.id).as_deref(), Some("WHP936BM1GPVHQ"));
    let derived = world.seen_webhook("derived", "resolve", json!({})).await;
    let expected = oncall_webhooks::core::id::webhook_id(&world.namespace, "derived");
    assert_eq!(derived.status.and_then(|status| status.id), Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_tells_how_many_deliveries_wait_and_when_one_last_succeeded() {
    let world = World::new("waiting").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("first", "resolve", "I0", json!({})).await;
    let status_that = async |what: &str, is: &dyn Fn(&WebhookStatus) -> bool| {
        world
            .object_that(what, "one", |webhook: Option<&Webhook>| {
                webhook?.status.as_ref().filter(|status| is(status)).cloned()
            })
            .await
    };
    let after = status_that("the run is told", &|status| status.last_run.is_some()).await;
    assert_eq!(after.last_success_time, after.last_run.map(|run| run.time));
    change(&world, "one", json!({"suspend": true})).await;
    status_that("it is suspended", &|status| status.state.as_deref() == Some("Suspended")).await;
    // Three are told as they are, twelve by their first digit.
    for number in 1..=3 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    status_that("three wait", &|status| status.waiting == 3).await;
    for number in 4..=12 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    status_that("about ten wait", &|status| status.waiting == 10).await;
    change(&world, "one", json!({"suspend": null})).await;
    world.arrived(13).await;
    status_that("none waits", &|status| status.waiting == 0 && status.state.as_deref() == Some("Ready")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ci_waits_for_an_event_to_succeed_or_fail_as_for_a_job() {
    let world = World::with_receiver("waits", |request| match request.target.as_str() {
        "/bad" => Answer::new(400, "no"),
        _ => Answer::new(200, "ok"),
    })
    .await;
    world.seen_webhook("good", "resolve", json!({})).await;
    world.seen_webhook("bad", "acknowledge", json!({})).await;
    world.event("succeeds", "resolve", "I1", json!({})).await;
    world.event("fails", "acknowledge", "I1", json!({})).await;
    // It fails where the time is over.
    world.kubectl(&["wait", "--for=condition=Succeeded", "--timeout=60s", "agev/succeeds"]).await;
    world.kubectl(&["wait", "--for=condition=Failed", "--timeout=60s", "agev/fails"]).await;
    let conditions = [
        "get",
        "agev",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name}:{range .status.conditions[*]} {.type}{end}\n{end}",
    ];
    assert_eq!(world.kubectl(&conditions).await, "fails: Completed Failed\nsucceeds: Completed Succeeded\n");
}
