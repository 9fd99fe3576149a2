//! Real clients of the health port.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpStream,
    sync::{Barrier, mpsc},
};

use axum::body::Body;
use parking_lot::Mutex;
use serde_json::json;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    stream
}

/// The status line and the body of an answer, as the kubelet asks for it. No runtime is needed for that.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    get_with(address, path, "")
}

/// The same, with further headers, each with its line's end.
fn get_with(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: kubelet\r\n{headers}connection: close\r\n\r\n").expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn ok(body: &str) -> (String, String) {
    ("HTTP/1.1 200 OK".to_owned(), body.to_owned())
}

/// A health port at a free address.
async fn serve(others: Router) -> (Health, SocketAddr) {
    serve_to(others, None).await
}

/// The same, for those whom the API server lets read the others.
async fn serve_to(others: Router, readers: Option<Client>) -> (Health, SocketAddr) {
    // The port is free again when this ends, and nobody else asks for that one.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    (Health::serve(address, Ready::default(), others, readers).await.expect("serve"), address)
}

#[test]
fn livez_is_answered_while_every_thread_of_the_process_is_busy() {
    const WORKERS: usize = 2;
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().expect("a runtime");
    let (_health, address) = runtime.block_on(serve(Router::new()));
    let all_busy = Arc::new(Barrier::new(WORKERS + 1));
    let (done, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    for _ in 0..WORKERS {
        let (all_busy, wait) = (Arc::clone(&all_busy), Arc::clone(&wait));
        runtime.spawn(async move {
            all_busy.wait();
            // The thread is busy until the answers are there.
            let _ = wait.lock().recv();
        });
    }
    all_busy.wait();
    assert_eq!(get(address, "/livez"), ok("ok\n"));
    let not_ready = "caches are not filled yet\n".to_owned();
    assert_eq!(get(address, "/readyz"), ("HTTP/1.1 503 Service Unavailable".to_owned(), not_ready));
    drop(done);
}

#[test]
fn only_a_runtime_that_ran_nothing_for_a_minute_is_stuck() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let pulse = Pulse::new(start);
    for (beats, looked_at, expected) in [
        (None, 0, None),
        (None, 59, None),
        (None, 60, Some(60)),
        (Some(60), 60, None),
        (None, 119, None),
        (None, 121, Some(61)),
        // Another thread looked at the clock earlier.
        (Some(122), 121, None),
    ] {
        if let Some(second) = beats {
            pulse.beat(at(second));
        }
        assert_eq!(pulse.stuck_for(at(looked_at)), expected.map(Duration::from_secs), "{looked_at}");
    }
}

#[tokio::test]
async fn livez_says_that_the_process_is_stuck() {
    let stuck = Pulse::new(Instant::now().checked_sub(STUCK).expect("a minute of uptime"));
    let answer = livez(State(stuck.clone())).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let beating = tokio::spawn(stuck.clone().keep());
    while stuck.stuck_for(Instant::now()).is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(livez(State(stuck)).await.status(), StatusCode::OK);
    beating.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waits_for_the_process_holds_up_no_probe() {
    let lock = Arc::new(Mutex::new(()));
    let (asked, is_asked) = mpsc::channel();
    let others = {
        let lock = Arc::clone(&lock);
        Router::new().route(
            "/metrics",
            axum::routing::get(async move || {
                let _ = asked.send(());
                let _held = lock.lock();
                "metrics\n"
            }),
        )
    };
    let (_health, address) = serve(others).await;
    let held = lock.lock();
    let scrape = thread::spawn(move || get(address, "/metrics"));
    is_asked.recv_timeout(PATIENCE).expect("the scrape has come");
    assert_eq!(get(address, "/livez"), ok("ok\n"));
    drop(held);
    assert_eq!(scrape.join().expect("an answer"), ok("metrics\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_is_asked_about_on_the_runtime_of_the_process_and_not_on_the_thread_of_the_probes() {
    let (asked, threads) = mpsc::channel();
    let api_server = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let asked = asked.clone();
        async move {
            let _ = asked.send(thread::current().name().map(str::to_owned));
            let answer = if request.uri().path().ends_with("/tokenreviews") {
                let status = json!({"authenticated": true, "user": {"username": "prometheus"}});
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}, "status": status})
            } else {
                let (api_version, kind) = ("authorization.k8s.io/v1", "SubjectAccessReview");
                json!({"apiVersion": api_version, "kind": kind, "spec": {}, "status": {"allowed": true}})
            };
            Ok::<_, Infallible>(http::Response::new(Body::from(answer.to_string())))
        }
    });
    let others = Router::new().route("/metrics", axum::routing::get(|| async { "metrics\n" }));
    let (_health, address) = serve_to(others, Some(Client::new(api_server, "default"))).await;
    assert_eq!(get_with(address, "/metrics", "authorization: Bearer token\r\n"), ok("metrics\n"));
    let threads: Vec<Option<String>> = threads.try_iter().collect();
    assert!(threads.len() == 2 && threads.iter().all(|thread| thread.as_deref() != Some("health")), "{threads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unfinished_heads_keeps_no_probe_out() {
    let (_health, address) = serve(Router::new()).await;
    let head = format!("GET /livez HTTP/1.1\r\nhost: {}", "a".repeat(4096));
    let mut flood = Vec::new();
    for _ in 0..3 * CONNECTIONS {
        let mut stream = connect(address);
        // It may be closed already, to make room for the next.
        let _ = stream.write_all(head.as_bytes());
        flood.push(stream);
        if flood.len() % CONNECTIONS == 0 {
            assert_eq!(get(address, "/livez"), ok("ok\n"), "{} connections", flood.len());
        }
    }
    // The first of them had to make room.
    let mut rest = Vec::new();
    let closed = flood[0].read_to_end(&mut rest);
    assert!(closed.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true));
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let (_health, address) = serve(Router::new()).await;
    let mut stream = connect(address);
    let head = format!("GET /livez HTTP/1.1\r\nhost: {}", "a".repeat(64 * 1024));
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    // What was sent and not read resets the connection, and perhaps the answer with it.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_and_a_dropped_port_is_free_again() {
    let (health, address) = serve(Router::new()).await;
    let error = Health::serve(address, Ready::default(), Router::new(), None).await.expect_err("it is taken");
    let expected = format!("listen on health address {address}: Address already in use (os error 98)");
    assert_eq!(format!("{error:#}"), expected);
    drop(health);
    let free = async {
        while std::net::TcpListener::bind(address).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the port is free");
}
