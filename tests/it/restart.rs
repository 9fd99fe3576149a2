//! An operator that is killed or stopped and started again sends nothing twice that is recorded, and forgets nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use kube::{ResourceExt, api::Patch, runtime::wait::await_condition};
use oncall_webhooks::{
    core::id::response_name,
    resources::{AlertGroupEvent, EventPhase, ResponsePhase, Webhook},
};
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

/// The rights of an operator that works in one namespace, but for those to read which responses there are.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: operator}
rules:
- {apiGroups: [oncall.dev], resources: [webhookresponses], verbs: [get, create, patch, delete, record]}
- apiGroups: [oncall.dev]
  resources: [webhooks, webhooks/status, integrations, alertgroups, alertgroupevents, alertgroupevents/status, deliveryjournals]
  verbs: ['*']
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: ['*']}
- {apiGroups: [''], resources: [secrets], verbs: [list, watch]}
";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_created_after_the_start_does_not_wait_until_it_is_known_which_responses_there_are() {
    let mut world = World::new("early").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("first", "resolve", "I1", json!({})).await;
    world.completed("first", 1).await;
    world.kill_operator();
    world.event("old", "resolve", "I1", json!({})).await;
    world.kubectl(&["create", "serviceaccount", "operator"]).await;
    world.apply(RIGHTS).await;
    let account = format!("--serviceaccount={}:operator", world.namespace);
    world.kubectl(&["create", "rolebinding", "operator", "--role=operator", &account]).await;
    world.start_operator_as("operator").await;
    world.event("later", "resolve", "I1", json!({})).await;
    world.event("new", "resolve", "I2", json!({})).await;
    world.completed("new", 1).await;
    assert_eq!(world.receiver.count(), 2);

    let responses =
        ["get", "list", "watch", "create", "patch", "delete", "record"].map(|verb| format!("--verb={verb}"));
    let mut args = vec!["create", "role", "responses", "--resource=webhookresponses.oncall.dev"];
    args.extend(responses.iter().map(String::as_str));
    world.kubectl(&args).await;
    world.kubectl(&["create", "rolebinding", "responses", "--role=responses", &account]).await;
    // A list that was refused is asked for again within a minute.
    let events = world.api::<AlertGroupEvent>();
    let is_completed = |event: Option<&AlertGroupEvent>| {
        event.and_then(|event| event.status.as_ref()).is_some_and(|status| status.phase == EventPhase::Completed)
    };
    for name in ["old", "later"] {
        let completed = tokio::time::timeout(3 * LIMIT, await_condition(events.clone(), name, is_completed)).await;
        completed.expect("completed in time").expect("watch AlertGroupEvent");
    }
    let order: Vec<_> =
        world.receiver.received().iter().map(|request| request.header("webhook-id").map(str::to_owned)).collect();
    let mut expected = Vec::new();
    for name in ["first", "new", "old", "later"] {
        let uid = world.api::<AlertGroupEvent>().get(name).await.expect("get AlertGroupEvent").uid().expect("a uid");
        expected.push(Some(response_name(&uid, "one")));
    }
    assert_eq!(order, expected);
}
