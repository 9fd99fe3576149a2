//! Retries: a request that a receiver does not take is sent again, when and as often as the webhook says, and holds up nothing
//! else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kube::api::{DeleteParams, Patch, PatchParams};
use oncall_webhooks::resources::{ResponsePhase, Webhook, WebhookResponse};
use parking_lot::Mutex;
use serde_json::json;
use support::{Answer, Received, Receiver};
use tokio::net::TcpSocket;

use crate::harness::{LIMIT, World};

/// Answers what comes for each path in turn; the last answer again and again.
fn in_turn(answers: &'static [(&'static str, &'static [u16])]) -> impl Fn(&Received) -> Answer + Send + Sync {
    let counts: Mutex<HashMap<String, usize>> = Mutex::default();
    move |request| {
        let statuses = answers.iter().find(|(path, _)| *path == request.target).map_or(&[200][..], |(_, all)| *all);
        let mut counts = counts.lock();
        let count = counts.entry(request.target.clone()).or_default();
        let status = statuses[(*count).min(statuses.len() - 1)];
        *count += 1;
        Answer::new(status, "said")
    }
}

/// Fails while the switch is off.
fn switched(up: &Arc<AtomicBool>, path: &'static str) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let up = Arc::clone(up);
    move |request| {
        let fails = request.target.starts_with(path) && !up.load(Ordering::Relaxed);
        Answer::new(if fails { 503 } else { 200 }, "said")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_with_the_same_id_until_it_is() {
    let world = World::with_receiver("again", in_turn(&[("/one", &[503, 429, 200])])).await;
    world.seen_webhook("one", "resolve", json!({"retry": {"initialDelay": "100ms"}})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    let event = world.completed("resolved", 1).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed), (1, 0));
    let status = world.response("one").await;
    let attempts: Vec<_> = status.attempts.iter().map(|attempt| attempt.status_code).collect();
    assert_eq!(attempts, [Some(503), Some(429), Some(200)]);
    assert_eq!(
        (status.phase, status.status_code, status.attempt_count, status.next_attempt_time),
        (ResponsePhase::Succeeded, Some(200), 3, None)
    );
    let ids = world.ids();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_or_over_is_not_sent_again() {
    let answers: &[(&str, &[u16])] =
        &[("/refused", &[400]), ("/limited", &[500]), ("/once", &[500]), ("/over", &[500])];
    let world = World::with_receiver("final", in_turn(answers)).await;
    let cases = [
        ("refused", json!({}), 1),
        ("limited", json!({"maxAttempts": 3, "initialDelay": "100ms"}), 3),
        ("once", json!({"deadline": "0s"}), 1),
        // After 0.1, 0.2, 0.4 and 0.8 s as a rule, and at the deadline.
        ("over", json!({"deadline": "1s", "initialDelay": "400ms", "maxDelay": "400ms"}), 4),
    ];
    for (name, retry, _) in &cases {
        world.seen_webhook(name, "resolve", json!({"retry": retry})).await;
    }
    world.event("resolved", "resolve", "I1", json!({})).await;
    let event = world.completed("resolved", cases.len() as u32).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed), (0, cases.len() as u32));
    for (name, _, attempts) in cases {
        let status = world.response(name).await;
        assert_eq!((name, status.phase, status.next_attempt_time), (name, ResponsePhase::Failed, None));
        // Delays vary by chance.
        let most = if name == "over" { attempts + 1 } else { attempts };
        assert!((attempts..=most).contains(&status.attempt_count), "{name}: {}", status.attempt_count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_slow_gets_a_request_a_few_times_far_apart_and_one_that_is_away_goes_on_getting_it() {
    let world = World::with_receiver("slow", |request| match request.target.as_str() {
        "/default" | "/few" => Answer { delay: LIMIT, ..Answer::new(200, "") },
        _ => Answer::new(200, ""),
    })
    .await;
    world.seen_webhook("default", "resolve", json!({"timeout": "500ms"})).await;
    world.seen_webhook("away", "resolve", json!({"timeout": "500ms", "url": "http://127.0.0.1:9/"})).await;
    let few = json!({"timeoutDelays": ["100ms", "200ms"], "initialDelay": "24h", "maxDelay": "24h"});
    world.seen_webhook("few", "resolve", json!({"timeout": "500ms", "retry": few})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    let few = world.response_that("few", |status| status.phase == ResponsePhase::Failed).await;
    let messages: Vec<_> = few.attempts.iter().map(|attempt| attempt.message.as_deref()).collect();
    assert_eq!(messages, [Some("No answer from 127.0.0.1 within 0.5 s"); 3]);
    assert_eq!(few.round.map(|round| (round.attempts, round.timeouts)), Some((3, 3)));

    // How long after the end of the first attempt there is to be another, in seconds.
    let waits = async |name: &str| {
        let status = world.response_that(name, |status| status.phase == ResponsePhase::Retrying).await;
        let (ended, next) = (status.timestamp.expect("a time"), status.next_attempt_time.expect("a time"));
        let waits = next.duration_since(ended).as_secs_f64();
        (status.attempt_count, status.round.map_or(0, |round| round.timeouts), waits)
    };
    let (attempts, timeouts, wait) = waits("default").await;
    assert!((attempts, timeouts) == (1, 1) && (45.0..=60.0).contains(&wait), "{attempts} {timeouts} {wait}");
    let (attempts, timeouts, wait) = waits("away").await;
    assert!(attempts > 0 && timeouts == 0 && wait < 45.0, "{attempts} {timeouts} {wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_knows_how_often_a_receiver_did_not_answer_in_time() {
    let slow = |_: &Received| Answer { delay: LIMIT, ..Answer::new(200, "") };
    let mut world = World::with_receiver("slow-on", slow).await;
    let retry = json!({"timeoutDelays": ["3s"]});
    world.seen_webhook("one", "resolve", json!({"timeout": "500ms", "retry": retry})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.response_that("one", |status| status.phase == ResponsePhase::Retrying).await;
    world.kill_operator();
    world.start_operator().await;
    let event = world.completed("resolved", 1).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed), (0, 1));
    let status = world.response("one").await;
    assert_eq!((status.attempt_count, status.round.map(|round| round.timeouts)), (2, Some(2)));
    assert_eq!(world.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_to_wait_is_left_alone_until_then() {
    let world = World::with_receiver("wait", |request| match request.header("x-none") {
        _ if request.target != "/busy" => Answer::new(200, ""),
        _ => Answer { headers: vec![("Retry-After", "2".to_owned())], ..Answer::new(429, "") },
    })
    .await;
    world.seen_webhook("busy", "resolve", json!({"retry": {"initialDelay": "100ms"}})).await;
    world.event("one", "resolve", "I1", json!({})).await;
    world.condition("busy", "Failing", Some("EndpointFailing")).await;
    // Another delivery is not for it either.
    world.event("two", "resolve", "I2", json!({})).await;
    let received = world.receiver.wait_for(2, LIMIT).await.expect("another request");
    let waited = received[1].at - received[0].at;
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_goes_on_where_the_other_one_ended() {
    let up = Arc::new(AtomicBool::new(false));
    let mut world = World::with_receiver("goes-on", switched(&up, "/one")).await;
    world.seen_webhook("one", "resolve", json!({"retry": {"initialDelay": "3s"}})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    let status = world.response_that("one", |status| status.phase == ResponsePhase::Retrying).await;
    let next = status.next_attempt_time.expect("a time");
    assert_eq!((status.status_code, status.attempt_count), (Some(503), 1));
    world.kill_operator();
    up.store(true, Ordering::Relaxed);
    world.start_operator().await;
    world.completed("resolved", 1).await;
    let status = world.response("one").await;
    assert_eq!((status.phase, status.attempt_count), (ResponsePhase::Succeeded, 2));
    assert!(status.attempts[1].time >= next, "not before its time");
    let ids = world.ids();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_suspends_the_webhook_until_it_is_changed() {
    let mut world = World::with_receiver("gone", in_turn(&[("/one", &[410, 200])])).await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("first", "resolve", "I1", json!({})).await;
    let first = world.completed("first", 1).await.status.expect("a status");
    assert_eq!((first.failed, first.webhooks[0].status_code), (1, Some(410)));
    world.condition("one", "Suspended", Some("Gone")).await;
    // Also for the next process.
    world.kill_operator();
    world.start_operator().await;
    world.event("second", "resolve", "I2", json!({})).await;
    world.seen_webhook("other", "acknowledge", json!({})).await;
    world.event("third", "acknowledge", "I3", json!({})).await;
    world.completed("third", 1).await;
    assert_eq!(world.receiver.count(), 2);
    let patch = Patch::Merge(json!({"spec": {"labels": {"looked": "at"}}}));
    world.api::<Webhook>().patch("one", &PatchParams::default(), &patch).await.expect("patch Webhook");
    world.completed("second", 1).await;
    world.condition("one", "Suspended", None).await;
    assert_eq!(world.receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_webhook_holds_what_it_is_to_send() {
    let mut world = World::new("suspend").await;
    world.seen_webhook("one", "resolve", json!({"suspend": true})).await;
    world.seen_webhook("other", "resolve", json!({})).await;
    world.condition("one", "Suspended", Some("Suspended")).await;
    for number in 0..3 {
        world.event(&format!("event-{number}"), "resolve", "I1", json!({})).await;
    }
    // Others go on, and in their order.
    world
        .objects_that("what is not held is recorded", |responses: &BTreeMap<String, WebhookResponse>| {
            let statuses = responses.values().filter_map(|response| response.status.as_ref());
            let taken = statuses.filter(|status| status.phase == ResponsePhase::Succeeded);
            (taken.count() == 3).then_some(())
        })
        .await;
    world.kill_operator();
    world.start_operator().await;
    let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
    world.api::<Webhook>().patch("one", &PatchParams::default(), &patch).await.expect("patch Webhook");
    for number in 0..3 {
        let status = world.completed(&format!("event-{number}"), 2).await.status.expect("a status");
        assert_eq!(status.succeeded, 2);
    }
    let paths: Vec<String> = world.ids().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/other", "/other", "/other", "/one", "/one", "/one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_webhook_ends_its_retries() {
    let world = World::with_receiver("delete", in_turn(&[("/one", &[503])])).await;
    world
        .seen_webhook("one", "resolve", json!({"retry": {"initialDelay": "1h", "maxDelay": "1h", "deadline": "24h"}}))
        .await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.response_that("one", |status| status.phase == ResponsePhase::Retrying).await;
    world.api::<Webhook>().delete("one", &DeleteParams::default()).await.expect("delete Webhook");
    let status = world.completed("resolved", 1).await.status.expect("a status");
    assert_eq!((status.failed, world.receiver.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_endpoint_that_was_down_goes_out_in_order_when_it_answers() {
    let up = Arc::new(AtomicBool::new(false));
    let world = World::with_receiver("outage", switched(&up, "/dead")).await;
    let dead = json!({"url": format!("{}/dead/{{{{ alert_group_id }}}}/{{{{ event.time }}}}", world.receiver.url())});
    world.seen_webhook("dead", "resolve", dead).await;
    let (groups, events) = (20, 3);
    for event in 0..events {
        for group in 0..groups {
            let time = json!({"time": format!("{event}")});
            world.event(&format!("event-{group}-{event}"), "resolve", &format!("I{group}"), time).await;
        }
    }
    world.condition("dead", "Failing", Some("EndpointFailing")).await;
    // One at a time, once in a while.
    let before = world.receiver.count();
    assert!(before < 50, "{before} requests to an endpoint that is down");
    up.store(true, Ordering::Relaxed);
    for group in 0..groups {
        for event in 0..events {
            world.completed(&format!("event-{group}-{event}"), 1).await;
        }
    }
    world.condition("dead", "Failing", None).await;
    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in world.receiver.received().iter().skip(before) {
        let parts: Vec<&str> = request.target.split('/').collect();
        taken.entry(parts[2].to_owned()).or_default().push(parts[3].to_owned());
    }
    assert_eq!(taken.len(), groups);
    for (group, events) in taken {
        assert_eq!(events, ["0", "1", "2"], "{group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_all_that_waits_as_soon_as_it_is_back_however_far_off_the_next_attempt_is() {
    // Once it is taken to be down after so many failures, and once it is not.
    for (name, count) in [("few-away", 3), ("many-away", 20)] {
        let world = World::new(name).await;
        let port = TcpSocket::new_v4().expect("a socket");
        port.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let url = format!("http://{}/", port.local_addr().expect("an address"));
        // Held until all of them wait: they go together, and fail together.
        let away =
            json!({"url": url, "suspend": true, "retry": {"initialDelay": "1h", "maxDelay": "1h", "deadline": "24h"}});
        world.seen_webhook("away", "resolve", away).await;
        for number in 0..count {
            world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
        }
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        world.api::<Webhook>().patch("away", &PatchParams::default(), &patch).await.expect("patch Webhook");
        world
            .objects_that("all have failed", |responses: &BTreeMap<String, WebhookResponse>| {
                let statuses = responses.values().filter_map(|response| response.status.as_ref());
                let failed = statuses.filter(|status| status.phase == ResponsePhase::Retrying);
                (failed.count() == count).then_some(())
            })
            .await;
        if count > 5 {
            world.condition("away", "Failing", Some("EndpointFailing")).await;
        }
        let back = Instant::now();
        let receiver = Receiver::on(port.listen(1024).expect("listen"), |_| Answer::new(200, "")).expect("a receiver");
        let received = receiver.wait_for(count, LIMIT).await.expect("all that waits");
        let [first, last] = [0, count - 1].map(|index| received[index].at - back);
        println!("{count} waited: the first came after {first:?}, the last after {last:?}");
        // It takes two seconds until it is seen, and by their own delays it would take three quarters of an hour.
        assert!(last < Duration::from_secs(10), "{count} waited: {first:?} {last:?}");
        for number in 0..count {
            let event = world.completed(&format!("event-{number}"), 1).await.status.expect("a status");
            assert_eq!((event.succeeded, event.failed), (1, 0));
        }
        // Nobody has used up attempts to see whether it is there.
        let attempts = world.responses().await.into_values().map(|response| response.status.map(|it| it.attempt_count));
        assert_eq!(attempts.collect::<Vec<_>>(), vec![Some(2); count]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrected_meanwhile_is_used_by_the_next_attempt_of_the_same_delivery() {
    let world = World::with_receiver("corrected", |request| match request.target.as_str() {
        "/token" if request.header("authorization") == Some("Bearer new") => Answer::new(200, ""),
        "/right" => Answer::new(200, ""),
        _ => Answer::new(503, ""),
    })
    .await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: token, labels: {{oncall.dev/secret: 'true'}}}}\n\
             stringData: {{key: Bearer {value}}}\n"
        )
    };
    world.apply(&secret("old")).await;
    let retry = json!({"initialDelay": "1s", "maxDelay": "1s"});
    let token = json!({"secretKeyRef": {"name": "token", "key": "key"}});
    world.seen_webhook("token", "resolve", json!({"retry": retry, "authorizationHeader": token})).await;
    world.seen_webhook("wrong", "resolve", json!({"retry": retry})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    for webhook in ["token", "wrong"] {
        world.response_that(webhook, |status| status.phase == ResponsePhase::Retrying).await;
    }
    world.apply(&secret("new")).await;
    let patch = Patch::Merge(json!({"spec": {"url": format!("{}/right", world.receiver.url())}}));
    world.api::<Webhook>().patch("wrong", &PatchParams::default(), &patch).await.expect("patch Webhook");
    let event = world.completed("resolved", 2).await.status.expect("a status");
    assert_eq!((event.succeeded, event.failed), (2, 0));

    let received = world.receiver.received();
    for (first, last, values) in [("/token", "/token", ["Bearer old", "Bearer new"]), ("/wrong", "/right", ["", ""])] {
        let first = received.iter().find(|request| request.target == first).expect("a first attempt");
        let last = received.iter().rfind(|request| request.target == last).expect("a last attempt");
        let values_sent = [first, last].map(|request| request.header("authorization").unwrap_or_default());
        assert_eq!(values_sent, values);
        assert_eq!(first.header("webhook-id"), last.header("webhook-id"), "it is the same delivery");
        assert!(first.header("webhook-id").is_some() && first.at < last.at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_with_a_thousand_events_that_wait_holds_up_nobody_else() {
    let world = World::with_receiver("dead", |request| match request.target.as_str() {
        "/dead" => Answer { delay: LIMIT, ..Answer::new(200, "") },
        _ => Answer::new(200, ""),
    })
    .await;
    // Held until all of them wait: what is said here must happen before the first times out.
    world.seen_webhook("dead", "resolve", json!({"timeout": "30s", "suspend": true})).await;
    world.seen_webhook("sound", "acknowledge", json!({})).await;
    let events = (0..1000).map(|number| (format!("dead-{number}"), format!("I{number}")));
    futures::StreamExt::for_each_concurrent(futures::stream::iter(events), 16, |(name, group)| {
        let world = &world;
        async move { drop(world.event(&name, "resolve", &group, json!({})).await) }
    })
    .await;
    let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
    world.api::<Webhook>().patch("dead", &PatchParams::default(), &patch).await.expect("patch Webhook");
    // As many as may be on the way.
    world.arrived(32).await;
    for number in 0..50 {
        // Of the same alert groups.
        let (name, group) = (format!("sound-{number}"), format!("I{number}"));
        world.event(&name, "acknowledge", &group, json!({})).await;
    }
    for number in 0..50 {
        world.completed(&format!("sound-{number}"), 1).await;
    }
    let mut attempts: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for ((webhook, _), response) in world.responses().await {
        let attempted = response.status.map_or(0, |status| status.attempt_count);
        *attempts.entry((webhook, attempted)).or_default() += 1;
    }
    // Not one of the dead ones has ended its first attempt by then.
    assert_eq!(attempts, BTreeMap::from([(("sound".to_owned(), 1), 50)]));
    let targets: Vec<String> = world.receiver.received().into_iter().map(|request| request.target).collect();
    let count = |target: &str| targets.iter().filter(|other| *other == target).count();
    assert_eq!((count("/dead"), count("/sound")), (32, 50));
}
