//! One of several replicas works, and no other one sends what it has recorded.

use std::time::Duration;

use cluster::Signal;
use oncall_webhooks::resources::{AlertGroupEvent, ResponsePhase};
use serde_json::json;
use support::{Answer, Operator};

use crate::harness::{World, eventually};

async fn deliver(world: &World, events: std::ops::Range<u32>) {
    for number in events.clone() {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    for number in events {
        world.completed(&format!("event-{number}"), 1).await;
    }
}

async fn two(world: &World, lease_seconds: u16) -> (Operator, Operator) {
    let first = world.start_replica("first", lease_seconds, "ready").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    (first, world.start_replica("second", lease_seconds, "another replica leads; standing by").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_finishes_what_is_on_the_way_and_hands_over_at_once() {
    let world =
        World::without_operator("handover", |_| Answer { delay: Duration::from_secs(2), ..Answer::new(200, "") }).await;
    // Long enough that nobody waits until it is over.
    let (first, mut second) = two(&world, 3600).await;
    world.event("on-its-way", "resolve", "I1", json!({})).await;
    world.arrived(1).await;
    let stopped = tokio::task::spawn_blocking(move || first.stop());
    let status = stopped.await.expect("wait for it").expect("stop the first");
    assert!(status.success(), "{status}");
    second.said("ready").await.expect("the second takes over");
    let recorded = world.response("one").await;
    assert_eq!((recorded.phase, recorded.attempt_count), (ResponsePhase::Succeeded, 1));
    deliver(&world, 0..3).await;
    assert_eq!(world.receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_is_followed_by_another() {
    let world = World::without_operator("dies", |_| Answer::new(200, "")).await;
    let (first, mut second) = two(&world, 3).await;
    deliver(&world, 0..3).await;
    first.kill();
    second.said("ready").await.expect("the second takes over");
    deliver(&world, 3..6).await;
    assert_eq!(world.receiver.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_paused_sends_nothing_that_another_one_has_recorded() {
    let world = World::without_operator("paused", |_| Answer::new(200, "")).await;
    let (mut first, mut second) = two(&world, 3).await;
    deliver(&world, 0..3).await;
    Signal::Stop.send(first.pid()).expect("pause the first");
    second.said("ready").await.expect("the second takes over");
    deliver(&world, 3..20).await;
    Signal::Continue.send(first.pid()).expect("wake the first");
    let status =
        eventually("the first sees that it has lost", || std::future::ready(first.ended().expect("look after it")))
            .await;
    assert!(!status.success());
    assert!(first.log().contains("another replica works now"));
    deliver(&world, 20..23).await;
    assert_eq!(world.receiver.count(), 23);
    let responses = world.responses().await;
    assert!(
        responses.values().all(|response| response.status.as_ref().is_some_and(|status| status.attempt_count == 1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_its_way_when_a_replica_was_paused_is_recorded_by_one_of_them() {
    let world =
        World::without_operator("overlap", |_| Answer { delay: Duration::from_secs(1), ..Answer::new(200, "") }).await;
    let (mut first, mut second) = two(&world, 3).await;
    for number in 0..5 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    world.arrived(5).await;
    Signal::Stop.send(first.pid()).expect("pause the first");
    second.said("ready").await.expect("the second takes over");
    for number in 0..5 {
        world.completed(&format!("event-{number}"), 1).await;
    }
    let before = world.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list").items.len();
    let recorded = world.responses().await;
    Signal::Continue.send(first.pid()).expect("wake the first");
    eventually("the first sees that it has lost", || std::future::ready(first.ended().expect("look after it"))).await;
    // Once more at most, with the same ids; and what stands in the records stays.
    let mut ids = world.ids();
    assert!(ids.len() <= 10);
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), before), (5, 5));
    assert_eq!(world.responses().await, recorded);
}
