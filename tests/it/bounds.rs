//! Objects stay smaller than what etcd takes, however large events, answers and numbers of webhooks are.

use futures::{StreamExt, stream};
use oncall_webhooks::resources::ResponsePhase;
use serde_json::{Value, json};
use support::Answer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};

use crate::harness::{LIMIT, World};

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
    let whole: Value = serde_json::from_str(sent).expect("JSON");
    let text = status.request_data.expect("a text");
    assert_eq!(status.event_data, None, "it is what was sent");
    assert!(text.len() < 200_000, "{} bytes", text.len());
    // Still JSON, and the same but for the largest value.
    let recorded: Value = serde_json::from_str(&text).expect("JSON");
    let mut expected = whole;
    let kept = recorded["alert_payload"]["text"].as_str().expect("a text");
    let kept = kept.strip_suffix("… (cut: 1000000 bytes in all)").expect("a marker");
    assert!(kept.len() > 180_000 && payload.starts_with(kept), "{} bytes", kept.len());
    expected["alert_payload"]["text"] = recorded["alert_payload"]["text"].clone();
    expected["…"] = format!("(cut: {} bytes in all)", sent.len()).into();
    assert_eq!(recorded, expected);
}

/// A receiver that takes one request, and answers it with `head` and then with `part`, again and again until nobody reads it
/// any more. Gives its URL, and in the end how much it wrote.
async fn endless(head: &'static str, part: String) -> (String, oneshot::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen on loopback");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (ended, end) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.expect("a request"));
        }
        let mut wrote = 0;
        let mut next = head.as_bytes();
        while stream.write_all(next).await.is_ok() {
            wrote += next.len();
            next = part.as_bytes();
        }
        let _ = ended.send(wrote);
    });
    (url, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_that_never_ends_no_more_is_read_than_the_limit() {
    let world = World::new("endless").await;
    let once = json!({"maxAttempts": 1});
    let chunk = format!("{:x}\r\n{}\r\n", 10_000, "a".repeat(10_000));
    let headers = format!("X-Much: {}\r\n", "a".repeat(10_000));
    let (body, body_ended) = endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk).await;
    let (head, head_ended) = endless("HTTP/1.1 200 OK\r\n", headers).await;
    for (name, url) in [("body", body), ("head", head)] {
        world.seen_webhook(name, "resolve", json!({"url": url, "timeout": "30s", "retry": once})).await;
    }
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 2).await;
    let (body, head) = (world.response("body").await, world.response("head").await);
    let exceeds = "Response content over 1000000 exceeds 50000 character limit";
    assert_eq!(
        (body.phase, body.status_code, body.content.as_deref()),
        (ResponsePhase::Succeeded, Some(200), Some(exceeds))
    );
    let too_large = "The answer of 127.0.0.1 is not HTTP: message head is too large";
    assert_eq!((head.phase, head.status_code, head.content.as_deref()), (ResponsePhase::Failed, None, Some(too_large)));
    for ended in [body_ended, head_ended] {
        let wrote = tokio::time::timeout(LIMIT, ended).await.expect("reading ends").expect("what was written");
        // The system keeps some.
        assert!(wrote < 12_000_000, "{wrote} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_leaves_no_room_for_its_lines_is_completed_without() {
    let world = World::new("no-room").await;
    let count = 20;
    for number in 0..count {
        // On a busy machine the large requests take long.
        world.seen_webhook(&format!("{}-{number}", "w".repeat(40)), "resolve", json!({"timeout": "60s"})).await;
    }
    // How much a status without lines needs, and the lines.
    world.event("sounding", "resolve", "I1", json!({"alertPayload": {"text": ""}})).await;
    world.completed("sounding", count).await;
    let stored = async |part: &str| {
        let text = world.kubectl(&["get", "agev", "sounding", "--show-managed-fields", "-o=json"]).await;
        let all: Value = serde_json::from_str(&text).expect("parse an event");
        all.pointer(part).expect("a part").to_string().len()
    };
    let (all, lines) = (stored("").await, stored("/status/webhooks").await);
    // etcd takes 1.5 MiB, and the request around the object needs some of that. There is room for half of the lines.
    let payload = "p".repeat(1_572_864 - 300 - all + lines / 2);
    world.event("resolved", "resolve", "I2", json!({"alertPayload": {"text": payload}})).await;
    let status = world.completed("resolved", count).await.status.expect("a status");
    assert_eq!((status.succeeded, status.webhooks), (count, vec![]));
    assert_eq!(world.receiver.count(), 2 * count as usize);
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
