//! Objects stay under what etcd takes, whatever comes in.

use futures::{StreamExt, stream};
use oncall_webhooks::resources::ResponsePhase;
use serde_json::json;
use support::Answer;

use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_payload_and_a_large_answer_a_part_is_recorded() {
    let answer = "a".repeat(10_000_000);
    let world = World::with_receiver("large", move |_| Answer::new(200, answer.clone())).await;
    world.seen_webhook("one", "resolve", json!({"timeout": "30s"})).await;
    let payload = "p".repeat(1_000_000);
    world.event("resolved", "resolve", "I1", json!({"alertPayload": {"text": payload}})).await;
    world.completed("resolved", 1).await;
    let status = world.response("one").await;
    assert_eq!((status.phase, status.status_code), (ResponsePhase::Succeeded, Some(200)));
    assert_eq!(status.content.as_deref(), Some("Response content 10000000 exceeds 50000 character limit"));
    // Sent whole, recorded in part.
    let sent = &world.receiver.received()[0].body;
    assert!(sent.contains(&payload));
    for text in [status.event_data, status.request_data] {
        let text = text.expect("a text");
        assert!(text.len() < 201_000 && text.ends_with("bytes in all)"), "{} bytes", text.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_fires_five_hundred_webhooks() {
    let world = World::new("many").await;
    stream::iter(0..500)
        .for_each_concurrent(32, |number| {
            let world = &world;
            async move { drop(world.webhook(&format!("webhook-{number}"), "resolve", json!({})).await) }
        })
        .await;
    world.event("resolved", "resolve", "I1", json!({"alertPayload": {"text": "p".repeat(20_000)}})).await;
    let status = world.completed("resolved", 500).await.status.expect("a status");
    assert_eq!((status.succeeded, status.webhooks.len(), world.receiver.count()), (500, 500, 500));
}
