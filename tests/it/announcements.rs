//! What `kubectl describe` shows under Events, and the conditions of an Integration that come of what it receives.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams};
use oncall_webhooks::resources::{Condition, ConditionStatus, Integration, Webhook};
use serde_json::{Value, json};
use support::Answer;

use crate::{
    harness::{TestNamespace, World, eventually},
    intake::{Source, made, path},
};

/// The Events of our objects, as `Kind/name Type Reason`, and their notes.
async fn told(place: &TestNamespace) -> Vec<(String, String)> {
    let events = place.api::<Event>().list(&Default::default()).await.expect("list Events");
    let text = |part: Option<String>| part.unwrap_or_default();
    let line = |event: Event| {
        let of = event.regarding.unwrap_or_default();
        // Without it `kubectl describe` shows none.
        assert!(of.uid.is_some(), "{of:?}");
        let subject = format!("{}/{}", text(of.kind), text(of.name));
        (format!("{subject} {} {}", text(event.type_), text(event.reason)), text(event.note))
    };
    events.into_iter().map(line).collect()
}

/// Waits until these Events are told, and returns the notes of those that are told, in the same order.
async fn wait_for(place: &TestNamespace, expected: &[&str]) -> Vec<String> {
    eventually(&format!("{expected:?} are told"), || async {
        let told = told(place).await;
        let note = |line: &&str| told.iter().find(|(told, _)| told == line).map(|(_, note)| note.clone());
        expected.iter().map(note).collect()
    })
    .await
}

async fn change(world: &World, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    world.api::<Webhook>().patch(name, &PatchParams::default(), &patch).await.expect("patch Webhook");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_with_a_webhook_is_told_and_that_it_is_well_again_and_no_success() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let world = World::with_receiver("told", move |request| match request.target.as_str() {
        "/down" if !up.load(Ordering::Relaxed) => Answer::new(503, "down"),
        "/gone" => Answer::new(410, "gone"),
        "/refuses" => Answer::new(400, "no"),
        _ => Answer::new(200, "ok"),
    })
    .await;
    world.webhook("good", "resolve", json!({})).await;
    world.webhook("down", "resolve", json!({"retry": {"initialDelay": "1s", "maxDelay": "1s"}})).await;
    world.webhook("gone", "resolve", json!({})).await;
    world.webhook("refuses", "resolve", json!({})).await;
    world.webhook("broken", "resolve", json!({"data": "{{ x. }}", "suspend": true})).await;
    wait_for(&world, &["Webhook/broken Warning NotReady", "Webhook/broken Normal Suspended"]).await;
    for number in 0..6 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    let notes = wait_for(
        &world,
        &["Webhook/down Warning EndpointFailing", "Webhook/gone Warning Gone", "Webhook/refuses Warning GaveUp"],
    )
    .await;
    assert!(notes[2].contains("failed for good") && notes[2].contains("answered with 400"), "{}", notes[2]);
    is_up.store(true, Ordering::Relaxed);
    change(&world, "broken", json!({"data": "{}", "suspend": null})).await;
    let expected = [
        "Webhook/broken Normal Ready",
        "Webhook/broken Normal Resumed",
        "Webhook/broken Normal Suspended",
        "Webhook/broken Warning NotReady",
        "Webhook/down Normal Recovered",
        "Webhook/down Warning EndpointFailing",
        "Webhook/gone Warning Gone",
        "Webhook/gone Warning GaveUp",
        "Webhook/refuses Warning GaveUp",
    ];
    wait_for(&world, &expected).await;
    let all: BTreeSet<String> = told(&world).await.into_iter().map(|(line, _)| line).collect();
    assert_eq!(all, expected.map(str::to_owned).into());
    let described = world.kubectl(&["describe", "webhook", "refuses"]).await;
    assert!(described.contains("GaveUp"), "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endpoint_that_failed_before_a_restart_it_is_not_told_that_it_answers_again() {
    let mut world = World::with_receiver("told-restart", |_| Answer::new(503, "down")).await;
    world.webhook("down", "resolve", json!({"retry": {"initialDelay": "5m", "maxDelay": "10m"}})).await;
    for number in 0..5 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    wait_for(&world, &["Webhook/down Warning EndpointFailing"]).await;
    world.kill_operator();
    world.start_operator().await;
    let is_not_known =
        |webhook: Option<&Webhook>| (webhook?.status.as_ref()?.state.as_deref()? == "Ready").then_some(());
    world.object_that("nothing is known of the endpoint", "down", is_not_known).await;
    // Events come in the order of what they tell.
    change(&world, "down", json!({"suspend": true})).await;
    wait_for(&world, &["Webhook/down Normal Suspended"]).await;
    let told: Vec<String> = told(&world).await.into_iter().map(|(line, _)| line).collect();
    assert!(!told.iter().any(|line| line.ends_with("Recovered")), "{told:?}");
}

/// Waits until a condition of an Integration is as `is` says.
async fn condition(
    place: &TestNamespace,
    name: &str,
    type_: &str,
    is: impl Fn(Option<&Condition>) -> bool,
) -> Option<Condition> {
    place
        .object_that(type_, name, |integration: Option<&Integration>| {
            let found = integration?.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_);
            is(found).then(|| found.cloned())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_on_an_alert_is_told_until_the_manifest_is_changed() {
    let world = World::with_receiver("told-template", |_| Answer::new(400, "no")).await;
    world.seen_webhook("refused", "alert group created", json!({})).await;
    let source = Source::new().await;
    let templates = json!({"title": "{{ payload.count / 0 }}"});
    let token = made(&world, "script", "webhook", json!({ "templates": templates })).await;
    let path = path("webhook", &token);
    source.is_known(&path).await;
    source.answered(&path, r#"{"count": 1}"#, (200, r#""Ok.""#)).await;
    let found = condition(&world, "script", "TemplateWarning", |found| found.is_some()).await.expect("a condition");
    assert_eq!((found.status, &*found.reason), (ConditionStatus::True, "FailedOnPayload"));
    assert!(found.message.contains("spec.templates.title, line 1: "), "{}", found.message);
    let notes = wait_for(&world, &["Integration/script Warning TemplateFailed"]).await;
    assert_eq!(notes[0], found.message);
    // What was not taken of the alert group that it opened is told there too.
    let group = world.kubectl(&["get", "ag", "-o", "jsonpath={.items[0].metadata.name}"]).await;
    let of_group = format!("AlertGroup/{group} Warning GaveUp");
    wait_for(&world, &[of_group.as_str(), "Webhook/refused Warning GaveUp"]).await;

    let patch = r#"{"spec": {"templates": {"title": "{{ payload.count }}"}}}"#;
    world.kubectl(&["patch", "intg", "script", "--type=merge", "-p", patch]).await;
    condition(&world, "script", "TemplateWarning", |found| found.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_open_alert_groups_are_told_on_every_integration_of_the_namespace_until_some_are_resolved() {
    let world = World::configured("told-open", |_| Answer::new(200, "ok"), &["--intake-max-open=1"]).await;
    for name in ["one", "other"] {
        let manifest = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "Integration", "metadata": {"name": name},
            "spec": {"type": "webhook"},
        });
        world.apply(&manifest.to_string()).await;
        condition(&world, name, "Ready", |found| found.is_some()).await;
    }
    let alert = async |name: &str, action: &str, group: &str| {
        let alert = json!({"integrationRef": {"name": "one"}, "action": action, "groupingId": group, "payload": {}});
        let manifest = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": name},
            "spec": {"alert": alert},
        });
        world.apply(&manifest.to_string()).await;
    };
    alert("first", "firing", "a").await;
    alert("second", "firing", "b").await;
    for name in ["one", "other"] {
        condition(&world, name, "TooManyOpenAlertGroups", |found| found.is_some()).await;
    }
    alert("third", "resolve", "b").await;
    for name in ["one", "other"] {
        condition(&world, name, "TooManyOpenAlertGroups", |found| found.is_none()).await;
    }
    let expected = ["one", "other"].map(|name| {
        [format!("Integration/{name} Warning TooManyOpenAlertGroups"), format!("Integration/{name} Normal TakesAlerts")]
    });
    wait_for(&world, &expected.as_flattened().iter().map(String::as_str).collect::<Vec<_>>()).await;
}
