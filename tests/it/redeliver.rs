//! The annotation that has something sent again.

use std::collections::BTreeMap;

use kube::api::DeleteParams;
use oncall_webhooks::{
    core::id,
    resources::{AlertGroupEvent, ResponsePhase, Webhook, WebhookResponse},
};
use serde_json::json;

use crate::harness::{LIMIT, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_sent_again_once_for_each_new_value() {
    let mut world = World::new("redeliver").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.seen_webhook("two", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;

    let selector = "oncall.dev/webhook=one";
    world.kubectl(&["annotate", "whr", "-l", selector, "oncall.dev/redeliver=first"]).await;
    let status = world.response_that("one", |status| status.redelivered.as_deref() == Some("first")).await;
    assert_eq!((status.phase, status.attempt_count), (ResponsePhase::Succeeded, 2));
    let asked: Vec<_> = status.attempts.iter().map(|attempt| attempt.redeliver.as_deref()).collect();
    assert_eq!(asked, [None, Some("first")]);

    // Not for the same value, by this process or another.
    world.kubectl(&["annotate", "whr", "-l", selector, "unrelated=1"]).await;
    world.kill_operator();
    world.start_operator().await;
    world.kubectl(&["annotate", "whr", "-l", selector, "--overwrite", "oncall.dev/redeliver=second"]).await;
    let status = world.response_that("one", |status| status.redelivered.as_deref() == Some("second")).await;
    assert_eq!(status.attempt_count, 3);

    let mut ids: Vec<(String, String)> = world.ids();
    ids.retain(|(path, _)| path == "/one");
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(world.receiver.count(), 4);
    let event = world.completed("resolved", 2).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_again_to_the_webhooks_that_are_there_now() {
    let mut world = World::new("replay").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    // Too late for the event, as it was created.
    tokio::time::sleep(oncall_webhooks::core::matching::SAME_APPLY * 2).await;
    world.seen_webhook("late", "resolve", json!({})).await;
    assert_eq!(world.receiver.count(), 1);

    world.kubectl(&["annotate", "agev", "resolved", "oncall.dev/redeliver=now"]).await;
    let event = world.completed("resolved", 2).await.status.expect("a status");
    assert_eq!((event.succeeded, event.redelivered.as_deref()), (2, Some("now")));
    assert_eq!(world.response("one").await.attempt_count, 2);
    assert_eq!(world.response("late").await.attempt_count, 1);

    world.kill_operator();
    world.start_operator().await;
    world.event("another", "resolve", "I2", json!({})).await;
    world.completed("another", 2).await;
    assert_eq!(world.receiver.count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_sent_again_to_nobody_says_so() {
    let mut world = World::new("replay-none").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    world.api::<Webhook>().delete("one", &DeleteParams::default()).await.expect("delete Webhook");
    let none = |left: &BTreeMap<String, WebhookResponse>| left.is_empty().then_some(());
    world.objects_that("the operator has seen it", none).await;
    world.kubectl(&["annotate", "agev", "resolved", "oncall.dev/redeliver=now"]).await;
    let status = world.completed("resolved", 0).await.status.expect("a status");
    assert_eq!((status.redelivered.as_deref(), status.webhooks), (Some("now"), vec![]));
    // Nothing is left to be recorded.
    let operator = world.operator.take().expect("an operator");
    let log = operator.path();
    let stopped = tokio::task::spawn_blocking(move || operator.stop());
    assert!(stopped.await.expect("join").expect("stop").success());
    let log = std::fs::read_to_string(log).expect("read the log");
    assert!(!log.contains("stopped before"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_whose_event_is_gone_says_so() {
    let world = World::new("no-event").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    world.api::<AlertGroupEvent>().delete("resolved", &DeleteParams::default()).await.expect("delete the event");
    world.kubectl(&["annotate", "whr", "--all", "oncall.dev/redeliver=now"]).await;
    let status = world.response_that("one", |status| status.redelivered.as_deref() == Some("now")).await;
    let messages: Vec<_> = status.attempts.iter().map(|attempt| attempt.message.as_deref()).collect();
    let gone = Some("Not sent again: AlertGroupEvent resolved is gone");
    assert_eq!(messages, [None, gone]);
    // That changes nothing of what came of it, however often.
    world.kubectl(&["annotate", "whr", "--all", "--overwrite", "oncall.dev/redeliver=later"]).await;
    let status = world.response_that("one", |status| status.redelivered.as_deref() == Some("later")).await;
    let messages: Vec<_> = status.attempts.iter().map(|attempt| attempt.message.as_deref()).collect();
    assert_eq!(messages, [None, gone, gone]);
    assert_eq!((status.phase, status.status_code, status.attempt_count), (ResponsePhase::Succeeded, Some(200), 1));
    assert_eq!(world.receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_a_person_made_has_nothing_sent_again() {
    let world = World::new("by-hand").await;
    let webhook = world.seen_webhook("one", "resolve", json!({})).await;
    // It fires nothing itself.
    world.seen_webhook("two", "acknowledge", json!({})).await;
    let other = world.api::<Webhook>().get("two").await.expect("read Webhook");
    let event = world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    let uid = event.metadata.uid.as_deref().expect("a uid");
    let made = |name: String, of: &Webhook| {
        let webhook = of.metadata.name.as_deref();
        let owner = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "name": webhook, "uid": of.metadata.uid,
        });
        json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "WebhookResponse",
            "metadata": {"name": name, "ownerReferences": [owner], "annotations": {"oncall.dev/redeliver": "now"}},
            "spec": {
                "webhookRef": {"name": webhook, "id": "WHAAAAAAAAAAAA"}, "eventRef": {"name": "resolved", "uid": uid},
                "alertGroupId": "I1", "triggerType": "resolve",
            },
        })
    };
    let derived = id::response_name(uid, "two");
    world.apply(&format!("{}\n---\n{}", made("mine".to_owned(), &webhook), made(derived.clone(), &other))).await;
    let operator = world.operator.as_ref().expect("it runs");
    eventually("both are declined", async || {
        let declined = operator.events("a WebhookResponse can't be sent again");
        (declined.len() == 2).then_some(())
    })
    .await;
    let mut why: Vec<_> =
        operator.events("a WebhookResponse can't be sent again").iter().map(|event| event["why"].to_string()).collect();
    why.sort();
    let expected = [
        "\"Not sent again: the operator has recorded nothing here\"".to_owned(),
        format!("\"Not sent again: this is not the response of event {uid} and webhook one\""),
    ];
    assert_eq!((why, world.receiver.count()), (expected.to_vec(), 1));
    // A status would say that the operator has made them.
    for name in ["mine", &derived] {
        let response = world.api::<WebhookResponse>().get(name).await.expect("read WebhookResponse");
        assert_eq!(response.status, None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_while_it_waits_is_sent_at_once() {
    let world = World::with_receiver("hurry", |request| {
        support::Answer::new(if request.header("x-fixed").is_some() { 200 } else { 503 }, "")
    })
    .await;
    let retry = json!({"initialDelay": "1h", "maxDelay": "1h", "deadline": "24h"});
    let webhook = world.seen_webhook("one", "resolve", json!({"retry": retry})).await;
    assert_eq!(webhook.metadata.generation, Some(1));
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.response_that("one", |status| status.phase == ResponsePhase::Retrying).await;
    world.kubectl(&["annotate", "whr", "--all", "oncall.dev/redeliver=now"]).await;
    world.receiver.wait_for(2, LIMIT).await.expect("another request");
    // A webhook that is corrected is tried at once as well, as it is now.
    let fixed = kube::api::Patch::Merge(json!({"spec": {"headers": r#"{"X-Fixed": "1"}"#}}));
    world.response_that("one", |status| status.attempt_count == 2).await;
    world.api::<Webhook>().patch("one", &Default::default(), &fixed).await.expect("patch Webhook");
    world.completed("resolved", 1).await;
    let status = world.response("one").await;
    assert_eq!((status.attempt_count, status.redelivered.as_deref()), (3, Some("now")));
}
