//! Clients that open or send as much as they can before anybody knows who they are, and what others have of the server meanwhile.

use futures::{StreamExt, stream::FuturesUnordered};

use super::*;

/// A peer of Linux' loopback other than 127.0.0.1.
const OTHER: [u8; 4] = [127, 0, 0, 2];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_that_opens_connections_without_end_pushes_out_its_own_and_nobody_elses() {
    let bounds = Bounds { connections_each: 4, ..bounds(16) };
    let server = Serving::bounded(who(), listen(), bounds, |limits| limits.head = PATIENCE).await;
    let mut other = server.connect_from(OTHER).await;
    let mut flood = Vec::new();
    for _ in 0..20 {
        flood.push(server.say("GET / HTTP/1.1\r\nhost:").await);
    }
    // Others of it have been closed without an answer.
    let closed: FuturesUnordered<_> = flood.iter_mut().map(rest).collect();
    assert_eq!(closed.take(16).collect::<Vec<_>>().await, [""; 16]);
    // One that asks at once is answered, and one of another peer is still there.
    let mut asking = server.say(GET_AND_CLOSE).await;
    assert!(rest(&mut asking).await.starts_with("HTTP/1.1 200 OK\r\n"));
    other.write_all(GET_AND_CLOSE.as_bytes()).await.expect("write");
    assert!(rest(&mut other).await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_that_wait_for_others_of_their_peer_hold_up_nobody_else() {
    let bounds = Bounds { connections_each: 1, ..bounds(2) };
    let server = Serving::bounded(who(), listen(), bounds, |limits| {
        (limits.settle, limits.head) = (PATIENCE * 2, PATIENCE * 2);
    })
    .await;
    let mut silent = [server.connect().await];
    let mut waiting = [server.say(GET_AND_CLOSE).await, server.say(GET_AND_CLOSE).await];
    let mut refused = server.connect().await;
    assert_eq!(rest(&mut refused).await, "", "as many wait as may be open in all");
    let mut other = server.connect_from(OTHER).await;
    other.write_all(GET_AND_CLOSE.as_bytes()).await.expect("write");
    assert!(rest(&mut other).await.starts_with("HTTP/1.1 200 OK\r\n"));
    // They get the places of the others when these have asked.
    for stream in &mut silent {
        stream.write_all(GET_AND_CLOSE.as_bytes()).await.expect("write");
        assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    for stream in &mut waiting {
        assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    server.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_whose_requests_run_has_its_share_of_connections_and_others_have_theirs() {
    let gate = Gate::new();
    let bounds = Bounds { connections_each: 2, ..bounds(4) };
    let server = Serving::bounded(gate.router(), listen(), bounds, |_| {}).await;
    let mut running = [server.say(GET_AND_CLOSE).await, server.say(GET_AND_CLOSE).await];
    gate.until_waiting(2).await;
    let mut refused = server.connect().await;
    assert_eq!(rest(&mut refused).await, "");
    let mut other = server.connect_from(OTHER).await;
    other.write_all(GET_AND_CLOSE.as_bytes()).await.expect("write");
    gate.until_waiting(3).await;
    gate.open.add_permits(3);
    for stream in running.iter_mut().chain([&mut other]) {
        assert!(rest(stream).await.ends_with("\r\n\r\ndone"));
    }
    server.end().await;
}

#[tokio::test]
async fn a_connection_that_was_of_use_is_told_when_it_has_to_make_room() {
    let server = Serving::bounded(who(), listen(), bounds(1), |_| {}).await;
    let mut kept = server.say(GET).await;
    answer(&mut kept, "tls: false }").await;
    let mut next = server.say(GET_AND_CLOSE).await;
    assert!(rest(&mut next).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(rest(&mut kept).await, "", "it was closed between two requests");
    server.end().await;
}

/// Lets requests in when a gate opens, as authorization does; and answers when it opens once more.
fn admitting(admit: &Gate, done: &Gate) -> Router {
    let (admit, done) = (admit.clone(), done.clone());
    Router::new().route(
        "/",
        get(move |mut request: axum::extract::Request| async move {
            admit.pass().await;
            drop(request.extensions_mut().remove::<Waiting>());
            done.pass().await;
            "done"
        }),
    )
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn requests_that_wait_to_be_let_in_are_bounded_in_bytes_for_each_peer_until_they_are_in() {
    let (admit, done) = (Gate::new(), Gate::new());
    let head = 4096;
    // Room for two requests of a peer, and for three in all.
    let one = bounds::REQUEST + head;
    let bounds = Bounds { bytes: 3 * one + 2048, bytes_each: 2 * one + 2048, ..bounds(16) };
    let server = Serving::bounded(admitting(&admit, &done), listen(), bounds, |_| {}).await;
    let request = |at: &str| {
        format!("GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\nx-{at}: {}\r\n\r\n", "a".repeat(head - 160))
    };
    let mut waiting = [server.say(request("1")).await, server.say(request("2")).await];
    admit.until_waiting(2).await;
    // The peer has its share.
    let text = rest(&mut server.say(request("3")).await).await;
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
    assert!(text.contains("\r\nretry-after: 1\r\n"), "{text}");
    assert!(text.ends_with(r#"{"detail":"Too many requests wait to be let in: try again."}"#), "{text}");
    assert_eq!(server.refused.load(Ordering::SeqCst), 1);
    // Another peer is let in meanwhile.
    let mut other = server.connect_from(OTHER).await;
    other.write_all(request("4").as_bytes()).await.expect("write");
    admit.until_waiting(3).await;
    // Those that are in count no more, though they are not answered yet.
    admit.open.add_permits(3);
    done.until_waiting(3).await;
    let mut next = server.say(request("5")).await;
    admit.until_waiting(1).await;
    admit.open.add_permits(1);
    done.until_waiting(4).await;
    done.open.add_permits(4);
    for stream in waiting.iter_mut().chain([&mut other, &mut next]) {
        assert!(rest(stream).await.ends_with("\r\n\r\ndone"));
    }
    server.end().await;
}

#[tokio::test]
async fn http_2_requests_that_wait_to_be_let_in_are_bounded_too() {
    let (gate, done) = (Gate::new(), Gate::new());
    done.open.add_permits(100);
    let room = 10 * (bounds::REQUEST + 8 * 1024);
    let bounds = Bounds { bytes: room, bytes_each: room, ..bounds(16) };
    let server = Serving::bounded(admitting(&gate, &done), listen(), bounds, |_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    // With a connection at hand, the others take the same one.
    gate.open.add_permits(1);
    within(client.get(format!("http://{}/", server.address)).send()).await.expect("an answer");
    let mut calls = JoinSet::new();
    for _ in 0..60 {
        let call =
            client.get(format!("http://{}/", server.address)).header("authorization", "a".repeat(8 * 1024 - 512));
        calls.spawn(async move { call.send().await.expect("an answer").status().as_u16() });
    }
    for _ in 0..50 {
        assert_eq!(within(calls.join_next()).await.expect("a call").expect("no panic"), 503);
    }
    gate.until_waiting(10).await;
    gate.open.add_permits(10);
    while let Some(status) = within(calls.join_next()).await {
        assert_eq!(status.expect("no panic"), 200);
    }
    assert_eq!((gate.peak.load(Ordering::SeqCst), server.refused.load(Ordering::SeqCst)), (10, 50));
    server.end().await;
}

#[tokio::test]
async fn heads_of_http_2_are_bounded_as_well() {
    let server = Serving::new(who(), listen(), |_| {}).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let call = async |size: usize| {
        let call = client.get(format!("http://{}/", server.address)).header("authorization", "a".repeat(size));
        within(call.send()).await.map_or(0, |answer| answer.status().as_u16())
    };
    assert_eq!(call(MAX_HEADERS as usize / 2).await, 200);
    assert_ne!(call(MAX_HEADERS as usize).await, 200);
    server.end().await;
}
