//! Doors: connections of strangers, who have no token, or none that opens anything.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{FutureExt, future::ready};
use http::Request;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{Attack, NOTHING};
use crate::{
    ground::Side,
    sockets::{self, ATTACKER},
};

/// How long a connection is held open.
const HOLD: Duration = Duration::from_secs(60);

pub(super) fn attacks() -> Vec<Attack> {
    let unfinished = "1 250 connections to the health port with 380 KB of headers that do not end";
    vec![
        Attack::new("health-headers", unfinished, |side| ready(health_headers(side)).boxed_local()).without_webhooks(),
        Attack::new("health-headers-api", unfinished, |side| ready(health_headers(side)).boxed_local())
            .on_api()
            .without_webhooks(),
        Attack::new(
            "http2-headers",
            "80 HTTP/2 connections with 95 requests of 60 KB each, with a made-up token",
            |side| ready(http2_headers(side)).boxed_local(),
        )
        .on_api()
        .without_webhooks(),
        Attack::new("half-requests", "700 connections that send half a request", |side| {
            ready(half_requests(side)).boxed_local()
        })
        .on_api()
        .without_webhooks(),
        Attack::new("random-tokens", "64 callers with random Kubernetes tokens", |side| {
            ready(random_tokens(side)).boxed_local()
        })
        .on_api()
        .without_webhooks(),
        Attack::new("idle-connections", "2 000 connections that say nothing", |side| {
            ready(idle_connections(side)).boxed_local()
        })
        .on_api()
        .without_webhooks(),
    ]
}

/// Holds connections that send `head`, piece after piece, and then nothing.
fn hold(side: &Side, door: SocketAddr, connections: usize, head: &str, piece: &str, pieces: usize) {
    for _ in 0..connections {
        let (head, piece) = (head.to_owned(), piece.to_owned());
        side.go_on(async move {
            let Ok(mut stream) = sockets::connect(ATTACKER, door).await else { return };
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            for _ in 0..pieces {
                if !matches!(timeout(HOLD, stream.write_all(piece.as_bytes())).await, Ok(Ok(()))) {
                    return;
                }
            }
            tokio::time::sleep(HOLD).await;
        });
    }
}

fn health_headers(side: &Side) -> Result<Vec<String>> {
    let door = side.doors.context("nothing runs")?.health;
    let piece = format!("X-Fill: {}\r\n", "a".repeat(3800));
    hold(side, door, 1250, "GET /livez HTTP/1.1\r\nHost: probe\r\n", &piece, 100);
    Ok(NOTHING)
}

fn half_requests(side: &Side) -> Result<Vec<String>> {
    let door = api(side)?;
    let head = "POST /api/v1/webhooks/ HTTP/1.1\r\nHost: api\r\nContent-Length: 1000\r\n";
    // Again and again, as those are closed that take too long.
    for _ in 0..700 {
        side.go_on(async move {
            loop {
                if let Ok(mut stream) = sockets::connect(ATTACKER, door).await {
                    let _ = stream.write_all(head.as_bytes()).await;
                    let mut nothing = [0];
                    let _ = timeout(HOLD, tokio::io::AsyncReadExt::read(&mut stream, &mut nothing)).await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    Ok(NOTHING)
}

fn idle_connections(side: &Side) -> Result<Vec<String>> {
    hold(side, api(side)?, 2000, "", "", 0);
    Ok(NOTHING)
}

/// Something that looks like a token of this cluster, and is none.
fn made_up_token() -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"], "exp": 4_000_000_000_u64,
        "sub": format!("system:serviceaccount:team:{}", fastrand::u64(..)),
    });
    let signature: String = (0..256).map(|_| fastrand::alphanumeric()).collect();
    format!(
        "{}.{}.{}",
        part(json!({"alg": "RS256", "kid": "a"}).to_string()),
        part(claims.to_string()),
        part(signature)
    )
}

fn random_tokens(side: &Side) -> Result<Vec<String>> {
    let door = api(side)?;
    for _ in 0..64 {
        side.go_on(async move {
            loop {
                let request = sockets::request("GET", "/api/v1/webhooks/", &made_up_token(), None);
                if sockets::call(ATTACKER, door, &request).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    Ok(NOTHING)
}

fn http2_headers(side: &Side) -> Result<Vec<String>> {
    let door = api(side)?;
    for _ in 0..80 {
        side.go_on(async move {
            let _ = flood(door).await;
            tokio::time::sleep(HOLD).await;
        });
    }
    Ok(NOTHING)
}

async fn flood(door: SocketAddr) -> Result<()> {
    let stream = sockets::connect(ATTACKER, door).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let served = tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..95 {
        let request = Request::get(format!("http://{door}/api/v1/webhooks/"))
            .header("authorization", made_up_token())
            .header("x-fill", "a".repeat(58_000))
            .body(Empty::<Bytes>::new())?;
        sender.ready().await?;
        answers.push(sender.send_request(request));
    }
    let _ = timeout(HOLD, futures::future::join_all(answers)).await;
    served.abort();
    Ok(())
}

pub(super) fn api(side: &Side) -> Result<SocketAddr> {
    side.doors.and_then(|doors| doors.api).context("no REST API runs")
}
