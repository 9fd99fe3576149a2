//! An operator that is killed or stopped and started again sends nothing twice that is recorded, and forgets nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::api::Patch;
use oncall_webhooks::resources::{ResponsePhase, Webhook};
use serde_json::json;
use support::Answer;

use crate::harness::{LIMIT, World};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_nothing_that_is_recorded_is_sent_again() {
    let mut world = World::new("kill").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    for number in 0..20 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    for number in 0..20 {
        world.completed(&format!("event-{number}"), 1).await;
    }
    world.kill_operator();
    world.event("while-down", "resolve", "I20", json!({})).await;
    world.start_operator().await;
    world.completed("while-down", 1).await;
    assert_eq!(world.receiver.count(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_piled_up_while_no_operator_ran_is_sent_once() {
    let mut world = World::new("backlog").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.kill_operator();
    let numbers = 0..300;
    let events = numbers.clone().map(|number| (format!("event-{number}"), format!("I{number}")));
    futures::stream::iter(events)
        .for_each_concurrent(16, |(name, group)| {
            let world = &world;
            async move { drop(world.event(&name, "resolve", &group, json!({})).await) }
        })
        .await;
    world.start_operator().await;
    for number in numbers {
        let status = world.completed(&format!("event-{number}"), 1).await.status.expect("a status");
        assert_eq!(status.succeeded, 1);
    }
    assert_eq!(world.receiver.count(), 300);
    let log = world.everything().await;
    assert!(!log.contains("trying again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_on_its_way_at_a_kill_is_repeated_with_the_same_id() {
    let mut world =
        World::with_receiver("inflight", |_| Answer { delay: Duration::from_secs(2), ..Answer::new(200, "ok") }).await;
    world.seen_webhook("one", "resolve", json!({"timeout": "10s"})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.arrived(1).await;
    world.kill_operator();
    world.start_operator().await;
    world.completed("resolved", 1).await;

    let ids: Vec<_> =
        world.receiver.received().iter().map(|request| request.header("webhook-id").map(str::to_owned)).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
    assert_eq!(world.response("one").await.phase, ResponsePhase::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_event_that_was_half_done_at_a_kill_only_the_rest_is_sent() {
    let mut world = World::with_receiver("half", |request| Answer {
        delay: Duration::from_secs(if request.target == "/slow" { 2 } else { 0 }),
        ..Answer::new(200, "ok")
    })
    .await;
    world.seen_webhook("quick", "resolve", json!({})).await;
    world.seen_webhook("slow", "resolve", json!({"timeout": "10s"})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.response_that("quick", |status| status.phase == ResponsePhase::Succeeded).await;
    world.arrived(2).await;
    world.kill_operator();
    world.start_operator().await;
    world.completed("resolved", 2).await;
    let mut targets: Vec<_> = world.receiver.received().into_iter().map(|request| request.target).collect();
    targets.sort();
    assert_eq!(targets, ["/quick", "/slow", "/slow"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_sent_again_goes_on_or_is_closed_though_its_webhook_was_changed_meanwhile() {
    let up = Arc::new(AtomicBool::new(false));
    let mut world = World::with_receiver("changed", {
        let up = Arc::clone(&up);
        move |_| Answer::new(if up.load(Ordering::Relaxed) { 200 } else { 503 }, "said")
    })
    .await;
    for name in ["elsewhere", "disabled"] {
        world.seen_webhook(name, "resolve", json!({"retry": {"initialDelay": "2s"}})).await;
    }
    world.event("resolved", "resolve", "I1", json!({})).await;
    for name in ["elsewhere", "disabled"] {
        world.response_that(name, |status| status.phase == ResponsePhase::Retrying).await;
    }
    world.kill_operator();
    let sent = world.receiver.count();
    up.store(true, Ordering::Relaxed);
    for (name, spec) in [("elsewhere", json!({"triggerType": "acknowledge"})), ("disabled", json!({"enabled": false}))]
    {
        let patch = Patch::Merge(json!({"spec": spec}));
        world.api::<Webhook>().patch(name, &Default::default(), &patch).await.expect("patch Webhook");
    }
    world.start_operator().await;
    let event = world.completed("resolved", 2).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed, world.receiver.count()), (1, 1, sent + 1));
    for (name, phase) in [("elsewhere", ResponsePhase::Succeeded), ("disabled", ResponsePhase::Failed)] {
        let status = world.response(name).await;
        assert_eq!((status.phase, status.next_attempt_time), (phase, None), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_the_same_apply_gets_its_event_though_the_operator_ended_between() {
    let mut world = World::new("between").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    world.kill_operator();
    world.webhook("two", "resolve", json!({})).await;
    world.start_operator().await;
    world.completed("resolved", 2).await;
    let paths: Vec<String> = world.ids().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/one", "/two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_operator_finishes_what_is_on_its_way() {
    let mut world =
        World::with_receiver("stop", |_| Answer { delay: Duration::from_secs(1), ..Answer::new(200, "ok") }).await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.arrived(1).await;
    let operator = world.operator.take().expect("an operator");
    let stopped = tokio::task::spawn_blocking(move || operator.stop());
    let status = tokio::time::timeout(LIMIT, stopped).await.expect("stops in time").expect("join").expect("stop");
    assert!(status.success(), "{status}");
    // No operator runs that could write it now.
    let completed = world.completed("resolved", 1).await.status.expect("a status");
    assert_eq!(completed.succeeded, 1);
    assert_eq!(world.response("one").await.phase, ResponsePhase::Succeeded);
    assert_eq!(world.receiver.count(), 1);
}
