//! Decisions: what a tenant gets when something else is used than what was judged. Those that need a name server of one's own
//! (Services that become names, CNAMEs, texts about internal names) are tests of src/delivery alone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Answer, Received};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{Attack, NOTHING, doors::api};
use crate::{
    ground::{Side, event, object, text, token_secret},
    sockets::{self, ATTACKER},
};

/// Bound on everything that is waited for, and how often to look.
const LIMIT: (Duration, Duration) = (Duration::from_secs(12), Duration::from_millis(50));

const SECRET: &str = "s3cret<>&value=of+the/neighbour";

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("forged-response", "a response made by hand sends another namespace's delivery again", |side| {
            forged_response(side).boxed_local()
        })
        .without_webhooks(),
        Attack::new(
            "copied-token-hash",
            "a token's hash in one's own namespace, when its owner makes it anew",
            |side| copied_token_hash(side).boxed_local(),
        )
        .on_api()
        .without_webhooks(),
        Attack::new("denied-host-as-header", "a closed host as the header Host of another address", |side| {
            denied_host(side).boxed_local()
        })
        .with(&["--deny-host=closed.example"]),
        Attack::new("hop-by-hop", "headers that mean something to proxies and servers between", |side| {
            hop_by_hop(side).boxed_local()
        }),
        Attack::new("shared-connections", "requests of two namespaces on one connection", |side| {
            shared_connections(side).boxed_local()
        }),
        Attack::new("echoed-secrets", "a receiver that repeats a secret in other spellings", |side| {
            echoed_secrets(side).boxed_local()
        }),
        Attack::new(
            "swapped-url",
            "a write token that changes the URL alone gets the masked secret sent there",
            |side| swapped_url(side).boxed_local(),
        )
        .on_api()
        .without_webhooks(),
    ]
}

/// Looks until there is something, or the time is over.
async fn until<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = tokio::time::Instant::now() + LIMIT.0;
    loop {
        let found = look().await?;
        if found.is_some() || tokio::time::Instant::now() > end {
            return Ok(found);
        }
        tokio::time::sleep(LIMIT.1).await;
    }
}

/// The responses of a namespace that are over.
async fn ended(side: &Side, namespace: &str, count: usize) -> Result<Vec<Value>> {
    let is_over = |response: &Value| matches!(text(&response["status"]["phase"]), "Succeeded" | "Failed");
    let all = until(async || {
        let all: Vec<Value> =
            side.hands.list(namespace, "WebhookResponse").await?.into_iter().filter(is_over).collect();
        Ok((all.len() >= count).then_some(all))
    });
    Ok(all.await?.unwrap_or_default())
}

async fn forged_response(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(503, "")).await?;
    // A delivery of the neighbour's that waits for its next attempt. Everybody who sees a record of it knows its event's uid.
    let spec = json!({
        "triggerType": "resolve", "integrationFilter": ["COPEN"], "url": format!("{url}/theirs"),
        "retry": {"initialDelay": "10m", "maxDelay": "10m"},
    });
    let theirs = object("Webhook", "waiting", json!({ "spec": spec }));
    side.hands.create(&side.neighbour, &theirs).await?;
    let mut open = event("open", "IOPEN", json!({"number": 900_001}));
    open["spec"]["alertGroup"]["integrationId"] = json!("COPEN");
    let open = side.hands.create(&side.neighbour, &open).await?;
    let is_retried = |response: &Value| {
        response["spec"]["webhookRef"]["name"] == "waiting" && response["status"]["phase"] == "Retrying"
    };
    let recorded = until(async || {
        let all = side.hands.list(&side.neighbour, "WebhookResponse").await?;
        Ok(all.iter().any(is_retried).then_some(()))
    });
    recorded.await?.context("the neighbour's delivery does not wait")?;

    side.create(&side.webhook("waiting", json!({"url": format!("{url}/own")}))).await?;
    let spec = json!({
        "webhookRef": {"name": "waiting", "id": "WHFRRGEDFRRGED"}, "alertGroupId": "IOPEN", "triggerType": "resolve",
        "eventRef": {"name": "open", "uid": text(&open["metadata"]["uid"])},
    });
    side.create(&object("WebhookResponse", "forged", json!({ "spec": spec }))).await?;
    for time in 0..5 {
        let asks = json!({"metadata": {"annotations": {"oncall.dev/redeliver": time.to_string()}}});
        side.patch(&object("WebhookResponse", "forged", asks)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let sent = side.received().iter().filter(|request| request.target == "/theirs").count();
    side.hands.delete(&side.neighbour, &theirs).await?;
    let again = sent.saturating_sub(1);
    Ok((again > 0).then(|| format!("the neighbour's delivery was sent again {again} times")).into_iter().collect())
}

async fn copied_token_hash(side: &Side) -> Result<Vec<String>> {
    let token = "oncall_captured_token_of_a_neighbour";
    // Its SHA-256, as somebody has seen it in a manifest.
    let hash = "sha256:2242de3b5938df19ee38ef75554296d4da7191ee953486ad465204f9a57cd5e2";
    let plain = |name: &str| token_secret(name, "token", token);
    let api = api(side)?;
    let request = sockets::request("GET", "/api/v1/webhooks/", token, None);
    let opens = async || Ok((sockets::call(ATTACKER, api, &request).await?.0 == 200).then_some(()));
    side.hands.create(&side.neighbour, &plain("theirs")).await?;
    until(opens).await?.context("the token opens nothing")?;
    side.create(&token_secret("copied", "tokenHash", hash)).await?;
    side.create(&object(
        "Webhook",
        "of-the-attacker",
        json!({"spec": {"triggerType": "resolve", "url": "http://a.example"}}),
    ))
    .await?;
    side.hands.delete(&side.neighbour, &plain("theirs")).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    side.hands.create(&side.neighbour, &plain("theirs")).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (status, body) = sockets::call(ATTACKER, api, &request).await?;
    let captured = status == 200 && body.contains("of-the-attacker");
    Ok(captured.then(|| "the owner's token opens the attacker's namespace".to_owned()).into_iter().collect())
}

async fn denied_host(side: &Side) -> Result<Vec<String>> {
    let url = side.listen(|_| Answer::new(200, "ok")).await?;
    for (number, name) in ["Host", "host", "HOST"].into_iter().enumerate() {
        let headers = json!({ name: "closed.example" }).to_string();
        side.create(&side.webhook(&format!("host-{number}"), json!({"url": url, "headers": headers}))).await?;
    }
    side.event("host", "I1", json!({})).await?;
    ended(side, &side.namespace, if side.matching { 3 } else { 0 }).await?;
    let closed = |request: &Received| request.header("host").is_some_and(|host| host.contains("closed.example"));
    let reached = side.received().iter().any(closed);
    Ok(reached.then(|| "a closed host was asked for".to_owned()).into_iter().collect())
}

/// A receiver that keeps the heads of requests as they were sent, and the connection that each came on.
async fn heads() -> Result<(String, Arc<Mutex<Vec<(usize, String)>>>, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listen on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let server = tokio::spawn(async move {
        for connection in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let heads = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|more| more > 0) {
                    let all = String::from_utf8_lossy(&read).into_owned();
                    let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        let (name, value) = line.split_once(':')?;
                        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                    });
                    if body.len() < length.unwrap_or(0) {
                        continue;
                    }
                    heads.lock().push((connection, head.to_owned()));
                    read.clear();
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((url, heads, server))
}

async fn hop_by_hop(side: &Side) -> Result<Vec<String>> {
    let (url, heads, server) = heads().await?;
    let names =
        ["Expect", "Upgrade", "TE", "Trailer", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Authorization"];
    for (number, name) in names.into_iter().enumerate() {
        let value = if name == "Transfer-Encoding" { "chunked" } else { "trailers" };
        let spec = json!({"url": url, "headers": json!({ name: value }).to_string(), "timeout": "2s"});
        side.create(&side.webhook(&format!("hop-{number}"), spec)).await?;
    }
    side.event("hop", "I1", json!({})).await?;
    ended(side, &side.namespace, if side.matching { names.len() } else { 0 }).await?;
    server.abort();
    let heads = heads.lock();
    let sent = names.into_iter().filter(|name| {
        let with = |line: &str| line.split_once(':').is_some_and(|(sent, _)| sent.eq_ignore_ascii_case(name));
        heads.iter().any(|(_, head)| head.lines().any(with))
    });
    let sent: Vec<&str> = sent.collect();
    Ok((!sent.is_empty()).then(|| format!("{} were sent", sent.join(", "))).into_iter().collect())
}

async fn shared_connections(side: &Side) -> Result<Vec<String>> {
    let (url, heads, server) = heads().await?;
    let webhook =
        |whose: &str| side.webhook("shared", json!({"url": url, "headers": json!({"X-Whose": whose}).to_string()}));
    for (namespace, whose) in [(&side.namespace, "attacker"), (&side.neighbour, "neighbour")] {
        // The neighbour has one of its own that matches `resolve` too.
        side.hands.create(namespace, &webhook(whose)).await?;
    }
    for number in 0..6 {
        for namespace in [&side.namespace, &side.neighbour] {
            let name = format!("shared-{}-{number}", side.namespace);
            side.hands.create(namespace, &event(&name, &format!("S{number}"), json!({"number": 900_000}))).await?;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.abort();
    side.hands.delete(&side.neighbour, &webhook("neighbour")).await?;
    let heads = heads.lock();
    let of = |whose: &str| -> BTreeSet<usize> {
        heads.iter().filter(|(_, head)| head.contains(whose)).map(|(connection, _)| *connection).collect()
    };
    let shared = of("attacker").intersection(&of("neighbour")).count();
    Ok((shared > 0).then(|| format!("{shared} connections carried requests of both")).into_iter().collect())
}

/// The spellings of a secret that a receiver may answer with.
fn spellings() -> Vec<(&'static str, String)> {
    let percent: String = SECRET.bytes().map(|b| format!("%{b:02X}")).collect();
    let entities = SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    vec![
        ("itself", SECRET.to_owned()),
        ("HTML entities", entities),
        ("percent", percent),
        ("base64", STANDARD.encode(SECRET)),
        ("hex", hex),
        ("upper case", SECRET.to_uppercase()),
    ]
}

async fn echoed_secrets(side: &Side) -> Result<Vec<String>> {
    let body: String = spellings().into_iter().map(|(_, text)| format!("[{text}]\n")).collect();
    let url = side.listen(move |_| Answer::new(200, body.clone())).await?;
    side.secret("echoed", SECRET).await?;
    let headers = json!([{"name": "X-Key", "secretKeyRef": {"name": "echoed", "key": "v"}}]);
    side.create(&side.webhook("echo", json!({"url": url, "headersFrom": headers}))).await?;
    side.event("echo", "I1", json!({})).await?;
    if !side.matching {
        return Ok(NOTHING);
    }
    let responses = ended(side, &side.namespace, 1).await?;
    let content =
        responses.first().map(|response| text(&response["status"]["content"])).context("no answer is recorded")?;
    anyhow::ensure!(content.contains('['), "the answer is not recorded: {content:?}");
    let shown = spellings().into_iter().filter(|(_, spelling)| content.contains(spelling.as_str()));
    let shown: Vec<&str> = shown.map(|(name, _)| name).collect();
    Ok((!shown.is_empty()).then(|| format!("the record shows a secret: {}", shown.join(", "))).into_iter().collect())
}

async fn swapped_url(side: &Side) -> Result<Vec<String>> {
    let api = api(side)?;
    let send = async |method: &str, path: &str, body: Value| {
        let request = sockets::request(method, path, &side.token, Some(&body.to_string()));
        until(async || {
            // The token is known a moment after its Secret.
            let (status, body) = sockets::call(ATTACKER, api, &request).await?;
            Ok((status != 403 || !body.contains("Invalid token")).then_some((status, body)))
        })
        .await?
        .context("the token opens nothing")
    };
    let new = json!({
        "name": "secretive", "url": "https://receiver.example/", "http_method": "POST", "trigger_type": "resolve",
        "authorization_header": "Bearer of the owner",
    });
    let (status, body) = send("POST", "/api/v1/webhooks/", new).await?;
    anyhow::ensure!(status == 201, "create a webhook: {status} {body}");
    let webhook: Value = serde_json::from_str(&body).context("parse a webhook")?;
    let path = format!("/api/v1/webhooks/{}/", text(&webhook["id"]));
    let mut breaches = Vec::new();
    for url in ["https://elsewhere.example/", "http://receiver.example/", "https://receiver.example:8443/"] {
        let (status, _) = send("PUT", &path, json!({ "url": url })).await?;
        let (_, now) = send("GET", &path, json!({})).await?;
        let now: Value = serde_json::from_str(&now).context("parse a webhook")?;
        if status == 200 && now["url"] == url && !now["authorization_header"].is_null() {
            breaches.push(format!("its secret goes to {url}"));
        }
    }
    Ok(breaches)
}
