//! Retention: which finished events and responses are removed, and which stay.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::StreamExt;
use kube::api::{Patch, PatchParams, PostParams};
use oncall_webhooks::resources::{AlertGroupEvent, REDELIVER_ANNOTATION, WebhookResponse, label_value};
use serde_json::{Value, json};
use support::{Answer, Received};

use crate::harness::{LIMIT, World, eventually, names};

/// The objects that are left: the names of events, and webhook and event of each response.
type Left = (BTreeSet<String>, BTreeSet<(String, String)>);

async fn left(world: &World) -> Left {
    let events = world.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list AlertGroupEvents");
    (names(events).into_iter().collect(), world.responses().await.into_keys().collect())
}

/// Waits until just this is left.
async fn wait_for(world: &World, events: &[&str], responses: &[(&str, &str)]) {
    let expected: Left = (
        events.iter().map(|name| (*name).to_owned()).collect(),
        responses.iter().map(|(webhook, event)| ((*webhook).to_owned(), (*event).to_owned())).collect(),
    );
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = left(world).await;
        if left == expected {
            return;
        }
        if Instant::now() > deadline {
            assert_eq!(left, expected, "not within {LIMIT:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes a response as the operator does; with no phase, one that is not finished.
async fn response(world: &World, webhook: &str, event: &str, group: &str, phase: Option<&str>) {
    let responses = world.api::<WebhookResponse>();
    let object: Value = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "WebhookResponse",
        "metadata": {"name": format!("{webhook}-{event}"), "labels": {"oncall.dev/alert-group": group}},
        "spec": {
            "webhookRef": {"name": webhook, "id": "WHP936BM1GPVHQ"},
            "eventRef": {"name": event, "uid": "none"},
            "alertGroupId": group,
            "triggerType": "acknowledge",
        },
    });
    let object = serde_json::from_value(object).expect("a response");
    responses.create(&PostParams::default(), &object).await.expect("create WebhookResponse");
    if let Some(phase) = phase {
        let status = Patch::Merge(json!({"status": {"phase": phase}}));
        let name = format!("{webhook}-{event}");
        responses.patch(&name, &PatchParams::default(), &status).await.expect("patch WebhookResponse");
    }
}

/// Waits until the passes since the operator's start have logged that they removed so many events and responses in all.
async fn logged(world: &World, events: u64, responses: u64) {
    let operator = world.operator.as_ref().expect("an operator");
    eventually("the passes are logged", || async {
        let passes = operator.events("removed objects that are not kept any more");
        let sum = |field: &str| passes.iter().filter_map(|pass| pass[field].as_u64()).sum::<u64>();
        ((sum("events"), sum("responses")) == (events, responses)).then_some(())
    })
    .await;
    let log = operator.log();
    assert!(!log.contains("failed to delete") && !log.contains("trying again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_stay_and_what_is_needed_and_the_rest_goes() {
    let respond = |request: &Received| match request.target.as_str() {
        "/hanging" => Answer { delay: LIMIT * 2, ..Answer::new(200, "") },
        _ => Answer::new(200, json!({"id": request.body}).to_string()),
    };
    let limits = ["--retention-every=1s", "--keep-events=3", "--keep-responses=2"];
    let mut world = World::configured("retention", respond, &limits).await;
    let ticket = "{{ responses.WHP936BM1GPVHQ.id }}";
    let close = json!({"url": format!("{}/tickets/{ticket}", world.receiver.url()), "httpMethod": "PUT"});
    let open = json!({"id": "WHP936BM1GPVHQ", "data": "{{ event.time }}", "historyLimit": 0});
    world.seen_webhook("open", "alert group created", open).await;
    world.seen_webhook("note", "acknowledge", json!({})).await;
    world.seen_webhook("close", "resolve", close).await;
    world.seen_webhook("hanging", "silence", json!({"timeout": "1m"})).await;

    // Oldest of all, and to stay: they would be made again, and fire again.
    world
        .apply(&managed(&[
            ("flux", "labels: {kustomize.toolkit.fluxcd.io/name: apps}"),
            ("argo", "annotations: {argocd.argoproj.io/tracking-id: 'apps:oncall.dev/AlertGroupEvent:team/argo'}"),
            ("helm", "annotations: {meta.helm.sh/release-name: hooks}"),
        ]))
        .await;
    for name in ["flux", "argo", "helm"] {
        world.completed(name, 0).await;
    }
    // Not finished, and a response of it that is.
    world.event("hanging", "silence", "I1", json!({})).await;
    world.arrived(1).await;
    response(&world, "open", "hanging", "I2", Some("Succeeded")).await;
    response(&world, "open", "gone-1", "I2", Some("Failed")).await;
    response(&world, "open", "gone-2", "I2", Some("Succeeded")).await;
    // Of events that are gone, so that nobody goes on with them.
    response(&world, "open", "gone-3", "I3", None).await;
    response(&world, "open", "gone-4", "I3", None).await;
    for number in 0..5 {
        let name = format!("created-{number}");
        world.event(&name, "alert group created", "I4", json!({"time": format!("ticket-{number}")})).await;
        world.completed(&name, 1).await;
    }
    for number in 0..3 {
        let name = format!("acknowledged-{number}");
        world.event(&name, "acknowledge", "I4", json!({})).await;
        world.completed(&name, 1).await;
    }

    let kept = ["flux", "argo", "helm", "hanging"];
    let newest = ["acknowledged-0", "acknowledged-1", "acknowledged-2"];
    let responses = [
        ("hanging", "hanging"),
        ("open", "hanging"),
        ("open", "gone-2"),
        ("open", "gone-4"),
        ("note", "acknowledged-1"),
        ("note", "acknowledged-2"),
        ("open", "created-4"),
    ];
    wait_for(&world, &[&kept[..], &newest].concat(), &responses).await;
    logged(&world, 5, 7).await;

    // By one that knows only what is there.
    world.kill_operator();
    world.start_operator().await;
    world.event("resolved", "resolve", "I4", json!({})).await;
    world.completed("resolved", 1).await;
    let put: Vec<_> = world.receiver.received().into_iter().filter(|request| request.method == "PUT").collect();
    assert_eq!(put.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), ["/tickets/ticket-4"]);

    // A later pass takes what is beyond the limits since, and nothing else.
    let newest = ["acknowledged-1", "acknowledged-2", "resolved"];
    wait_for(&world, &[&kept[..], &newest].concat(), &[&responses[..], &[("close", "resolved")]].concat()).await;
    logged(&world, 1, 0).await;
}

fn managed(events: &[(&str, &str)]) -> String {
    let manifests = events.iter().map(|(name, by)| {
        format!(
            "apiVersion: oncall.dev/v1alpha1\nkind: AlertGroupEvent\nmetadata: {{name: {name}, {by}}}\n\
             spec: {{type: unsilence, alertGroup: {{id: {name}}}}}\n"
        )
    });
    manifests.collect::<Vec<_>>().join("---\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_pages_goes_but_for_what_waits_and_what_is_to_be_sent_again() {
    let limits = ["--retention-every=1s", "--keep-events-for=0s", "--keep-responses-for=0s", "--keep-latest-for=0s"];
    let respond = |request: &Received| match request.target.as_str() {
        "/hanging" => Answer { delay: LIMIT * 2, ..Answer::new(200, "") },
        _ => Answer::new(200, "ok"),
    };
    let world = World::configured("backlog-goes", respond, &limits).await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.seen_webhook("hanging", "acknowledge", json!({"timeout": "1m"})).await;
    // An alert group that is in no label as it is, and waits.
    let group = format!("team/{}", "g".repeat(195));
    response(&world, "one", "gone", &label_value(&group), Some("Succeeded")).await;
    world.event("hanging", "acknowledge", &group, json!({})).await;
    for name in ["plain", "asked"] {
        world.event(name, "resolve", name, json!({})).await;
        world.completed(name, 1).await;
    }
    let name = world.responses().await[&("one".to_owned(), "asked".to_owned())].metadata.name.clone();
    let ask = Patch::Merge(json!({"metadata": {"annotations": {REDELIVER_ANNOTATION: "again"}}}));
    let responses = world.api::<WebhookResponse>();
    responses.patch(&name.expect("a name"), &PatchParams::default(), &ask).await.expect("annotate WebhookResponse");
    let count = 600;
    futures::stream::iter(0..count)
        .for_each_concurrent(16, |number| {
            let world = &world;
            async move { drop(world.event(&format!("event-{number}"), "silence", "I1", json!({})).await) }
        })
        .await;

    wait_for(&world, &["asked", "hanging"], &[("hanging", "hanging"), ("one", "asked"), ("one", "gone")]).await;
    logged(&world, count + 1, 1).await;
}
