//! From an event to requests and records.

use std::{collections::BTreeMap, time::Duration};

use oncall_webhooks::resources::{ResponsePhase, Webhook, WebhookResponse};
use serde_json::json;
use support::{Answer, Received};

use crate::harness::{LIMIT, World, eventually, names};

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_applied_right_after_an_event_get_it() {
    let world = World::new("same-apply").await;
    let event = |number: u32| {
        format!(
            "apiVersion: oncall.dev/v1alpha1\nkind: AlertGroupEvent\nmetadata: {{name: event-{number}}}\n\
             spec: {{type: resolve, alertGroup: {{id: I{number}}}}}\n"
        )
    };
    let webhook = |number: u32| {
        format!(
            "apiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata: {{name: webhook-{number}}}\n\
             spec: {{triggerType: resolve, url: 'http://receiver.example/{number}'}}\n"
        )
    };
    let manifests: Vec<String> = (0..5).map(event).chain((0..3).map(webhook)).collect();
    world.apply(&manifests.join("---\n")).await;
    for number in 0..5 {
        let status = world.completed(&format!("event-{number}"), 3).await.status.expect("a status");
        assert_eq!((status.succeeded, status.webhooks.len()), (3, 3));
    }
    assert_eq!(world.receiver.count(), 15);
    assert_eq!(world.responses().await.len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_requests_are_verified_by_the_standards_library_while_secrets_rotate() {
    let world = World::new("signing").await;
    let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl2LxqgvDX");
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: signing, labels: {{oncall.dev/secret: 'true'}}}}\n\
             stringData: {{key: '{value}'}}\n"
        )
    };
    let ready = async |expected: &str| {
        world
            .object_that("the webhook knows the Secret", "signed", |webhook: Option<&Webhook>| {
                let mut conditions = webhook?.status.as_ref()?.conditions.iter();
                conditions.find(|condition| condition.type_ == "Ready" && condition.message == expected).map(|_| ())
            })
            .await;
    };
    let malformed =
        "spec.signing: Key 'key' of Secret 'signing': a signing secret is whsec_ and the base64 of 24 to 64 bytes";
    world.webhook("signed", "resolve", json!({"signing": {"secretKeyRef": {"name": "signing", "key": "key"}}})).await;

    let receivers = [old, new].map(|secret| standardwebhooks::Webhook::new(secret).expect("a secret"));
    let cases =
        [(old.to_owned(), [true, false]), (format!("{old} {new}"), [true, true]), (new.to_owned(), [false, true])];
    for (number, (value, expected)) in cases.into_iter().enumerate() {
        // What the webhook says tells that the Secret has been seen.
        world.apply(&secret("hunter2")).await;
        ready(malformed).await;
        world.apply(&secret(&value)).await;
        ready("Runs when its trigger fires").await;
        let event = format!("resolved-{number}");
        world.event(&event, "resolve", &format!("I{number}"), json!({})).await;
        let received = world.receiver.wait_for(number + 1, LIMIT).await.expect("a request");
        let request = &received[number];
        let mut headers = http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let value = request.header(name).expect("a header");
            headers.insert(http::HeaderName::from_static(name), value.parse().expect("a value"));
        }
        let verified = receivers.each_ref().map(|receiver| receiver.verify(request.body.as_bytes(), &headers).is_ok());
        assert_eq!(verified, expected, "{number}");
    }
    let everything = world.everything().await;
    assert!(![old, new, "hunter2"].iter().any(|secret| everything.contains(secret)), "no secret shows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_states_no_timeout_has_that_of_the_operator() {
    let slow = |_: &Received| Answer { delay: Duration::from_secs(1), ..Answer::new(200, "late") };
    let world = World::configured("timeouts", slow, &["--default-timeout=300ms"]).await;
    let once = json!({"maxAttempts": 1});
    world.seen_webhook("default", "resolve", json!({"retry": once})).await;
    world.seen_webhook("own", "resolve", json!({"timeout": "30s", "retry": once})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    let mut recorded = Vec::new();
    for name in ["default", "own"] {
        let status = world.response(name).await;
        recorded.push((status.phase, status.content.unwrap_or_default()));
    }
    let timed_out = "No answer from 127.0.0.1 within 0.3 s".to_owned();
    assert_eq!(recorded, [(ResponsePhase::Failed, timed_out), (ResponsePhase::Succeeded, "late".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_that_fails_does_not_keep_the_others_from_delivering() {
    let world = World::with_receiver("isolation", |request| match request.target.as_str() {
        "/slow" => Answer { delay: LIMIT, ..Answer::new(200, "") },
        "/error" => Answer::new(503, "busy"),
        _ => Answer::new(200, "ok"),
    })
    .await;
    let once = json!({"maxAttempts": 1});
    world.seen_webhook("slow", "resolve", json!({"timeout": "500ms", "retry": once})).await;
    world.seen_webhook("error", "resolve", json!({"retry": once})).await;
    world.seen_webhook("refused", "resolve", json!({"url": "http://127.0.0.1:9/", "retry": once})).await;
    world.seen_webhook("malformed", "resolve", json!({"url": "{{ nope }}"})).await;
    world.seen_webhook("sound", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    let status = world.completed("resolved", 5).await.status.expect("a status");
    assert_eq!((status.succeeded, status.failed, status.skipped), (1, 4, 0));
    let recorded = async |name: &str| {
        let status = world.response(name).await;
        (status.phase, status.status_code, status.url.unwrap_or_default(), status.content)
    };
    let url = |path: &str| format!("{}/{path}", world.receiver.url());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        recorded("slow").await,
        (ResponsePhase::Failed, None, url("slow"), text("No answer from 127.0.0.1 within 0.5 s"))
    );
    assert_eq!(recorded("error").await, (ResponsePhase::Failed, Some(503), url("error"), text("busy")));
    let refused = text("Connection to 127.0.0.1 refused");
    assert_eq!(recorded("refused").await, (ResponsePhase::Failed, None, "http://127.0.0.1:9/".to_owned(), refused));
    assert_eq!(recorded("malformed").await, (ResponsePhase::Failed, None, "URL - Malformed url".to_owned(), None));
    assert_eq!(recorded("sound").await, (ResponsePhase::Succeeded, Some(200), url("sound"), text("ok")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_runs_for_its_trigger_its_integrations_and_its_trigger_template() {
    let world = World::new("matching").await;
    world.seen_webhook("any-change", "status change", json!({})).await;
    world.seen_webhook("resolved", "resolve", json!({})).await;
    world.seen_webhook("other-integration", "resolve", json!({"integrationFilter": ["C2"]})).await;
    world.seen_webhook("disabled", "resolve", json!({"enabled": false})).await;
    world.seen_webhook("picky", "resolve", json!({"triggerTemplate": "{{ alert_group.state == 'firing' }}"})).await;
    world.seen_webhook("named", "escalation", json!({})).await;
    world
        .event("one", "resolve", "I1", json!({"integration": {"id": "C1"}, "alertGroup": {"state": "resolved"}}))
        .await;
    world.event("two", "silence", "I2", json!({})).await;
    world.event("three", "escalation", "I3", json!({"webhookRefs": ["named"]})).await;
    world.event("four", "alert group created", "I4", json!({})).await;

    let one = world.completed("one", 3).await.status.expect("a status");
    assert_eq!((one.succeeded, one.skipped, one.failed), (2, 1, 0));
    let skipped: Vec<_> = one.webhooks.iter().filter(|line| line.outcome == ResponsePhase::Skipped).collect();
    assert_eq!(skipped.iter().map(|line| (line.name.as_str(), &line.response)).collect::<Vec<_>>(), [("picky", &None)]);
    for (event, matched) in [("two", 1), ("three", 1), ("four", 0)] {
        world.completed(event, matched).await;
    }
    let ran: Vec<_> = world.responses().await.into_keys().collect();
    let pair = |webhook: &str, event: &str| (webhook.to_owned(), event.to_owned());
    assert_eq!(
        ran,
        [pair("any-change", "one"), pair("any-change", "two"), pair("named", "three"), pair("resolved", "one")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_names_no_webhook_says_so() {
    let world = World::new("unknown").await;
    world.seen_webhook("named", "escalation", json!({"id": "WHP936BM1GPVHQ"})).await;
    world.seen_webhook("resolved", "resolve", json!({})).await;
    world.event("one", "escalation", "I1", json!({"webhookRefs": ["WHP936BM1GPVHQ", "resolved", "nope"]})).await;
    let status = world.completed("one", 1).await.status.expect("a status");
    let condition = &status.conditions[0];
    assert_eq!((condition.type_.as_str(), condition.reason.as_str()), ("Completed", "WebhookNotFound"));
    assert_eq!(
        condition.message,
        "1 webhooks: 1 succeeded, 0 failed, 0 skipped; spec.webhookRefs names resolved, nope, which is no enabled Webhook of \
         this trigger type and integration"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_alert_group_are_delivered_in_the_order_of_their_creation() {
    let world = World::with_receiver("order", |request| Answer {
        // The first is slow, so that the others could overtake it.
        delay: Duration::from_millis(if request.body.contains("event-0") { 500 } else { 0 }),
        ..Answer::new(200, "ok")
    })
    .await;
    world.seen_webhook("hook", "status change", json!({"data": "{{ event.time }}"})).await;
    let types = ["acknowledge", "unacknowledge", "silence", "unsilence", "resolve", "unresolve"];
    for (number, type_) in types.into_iter().enumerate() {
        // Names that sort the other way round.
        world.event(&format!("e{}", 9 - number), type_, "I1", json!({"time": format!("event-{number}")})).await;
    }
    let bodies: Vec<_> = world.arrived(6).await.into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, (0..6).map(|number| format!("event-{number}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_go_with_their_webhook() {
    let world = World::new("owner").await;
    world.seen_webhook("gone", "resolve", json!({})).await;
    world.seen_webhook("kept", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    world.api::<Webhook>().delete("gone", &Default::default()).await.expect("delete Webhook");
    let one = |left: &BTreeMap<String, WebhookResponse>| (left.len() == 1).then(|| names(left.values().cloned()));
    let kept = world.objects_that("the responses are collected", one).await;
    assert!(kept[0].starts_with("kept-"), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_nested_too_deep_to_be_read_says_so_and_does_not_stop_the_others() {
    let mut world = World::new("deep").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let manifest = format!(
        r#"{{"apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {{"name": "too-deep"}},
            "spec": {{"type": "resolve", "alertGroup": {{"id": "I0"}}, "alertPayload": {deep}}}}}"#
    );
    world.apply(&manifest).await;
    world.event("first", "resolve", "I1", json!({})).await;
    world.completed("first", 1).await;
    // The list that a new process begins with has it too.
    world.kill_operator();
    world.start_operator().await;
    world.event("second", "resolve", "I2", json!({})).await;
    world.completed("second", 1).await;
    assert_eq!(world.receiver.count(), 2);
    assert!(world.operator.as_ref().is_some_and(|operator| operator.log().contains("too-deep")));
    let fields = "-o=jsonpath={.status.phase} {.status.conditions[*].reason} {.status.conditions[*].message}";
    let said = eventually("the event says why nothing is sent", || async {
        Some(world.kubectl(&["get", "agev", "too-deep", fields]).await).filter(|said| !said.trim().is_empty())
    })
    .await;
    let expected =
        "Pending Unreadable Nothing is sent, since the operator can't read the event: recursion limit exceeded";
    assert!(said.starts_with(expected), "{said}");
}
