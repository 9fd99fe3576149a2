//! What is not taken, and what the source is told.

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{NOT_JSON, OK, Source, answer, events, made, path};
use crate::harness::TestNamespace;

/// The first line of the answer to a request that announces a body of so many bytes, and waits before it sends any.
async fn announced(source: &Source, path: &str, length: usize) -> String {
    let address = source.url.trim_start_matches("http://");
    let mut stream = BufReader::new(TcpStream::connect(address).await.expect("connect"));
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("send");
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("an answer");
    line.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_alert_is_refused_as_oncall_does() {
    let place = TestNamespace::new("intake-refusals").await;
    let token = made(&place, "prometheus", "alertmanager", json!({})).await;
    let any = made(&place, "script", "webhook", json!({})).await;
    let source = Source::new().await;
    let (groups, script) = (path("alertmanager", &token), path("webhook", &any));
    source.is_known(&groups).await;
    source.is_known(&script).await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let unknown = "Integration key was not found. Permission denied.";
    let cases = [
        (&groups, "-".to_owned(), (400, NOT_JSON)),
        (&groups, "[]".to_owned(), (400, r#"{"detail":"A payload of type alertmanager is a JSON object"}"#)),
        (&groups, "null".to_owned(), (400, "Payload is required")),
        (&script, "null".to_owned(), (400, "Payload is required")),
        (&script, deep(101), (400, r#"{"detail":"JSON parse error - nested deeper than 100 levels"}"#)),
        (&script, deep(40_000), (400, r#"{"detail":"JSON parse error - nested too deeply"}"#)),
        (
            &path("webhook", &token),
            "{}".to_owned(),
            (400, "This url is for integration with Alertmanager.Key is for Alertmanager"),
        ),
        (
            &path("alertmanager", &any),
            "{}".to_owned(),
            (400, "This url is for integration with Webhook. Key is for Webhook"),
        ),
        (
            &path("nonsense", &any),
            "{}".to_owned(),
            (400, "This url is for integration with Webhook.Key is for Webhook"),
        ),
        (&path("webhook", "nobodys-token-of-these-tests"), "{}".to_owned(), (403, unknown)),
        (&path("webhook", "%ff"), "{}".to_owned(), (403, unknown)),
    ];
    for (path, body, expected) in cases {
        let answer = source.judged(path, &body).await;
        let begin = body.chars().take(40).collect::<String>();
        assert_eq!(answer.both(), expected, "{path} {begin}");
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"), "{path}");
    }
    let form = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n";
    let uploaded =
        source.request(Method::POST, &script).header("Content-Type", "multipart/form-data; boundary=b").body(form);
    assert_eq!(answer(uploaded).await.both(), (400, "File uploads are not allowed"));
    assert_eq!(announced(&source, &script, 1024 * 1024 + 1).await, "HTTP/1.1 413 Payload Too Large");
    let got = answer(source.request(Method::GET, &script)).await;
    assert_eq!(got.both(), (405, r#"{"detail":"Method \"GET\" not allowed."}"#));
    assert_eq!(events(&place).await, Vec::new());

    // A list, a text and nothing at all are alerts, whatever their type is said to be.
    for (content_type, body) in
        [("application/json", "[1]"), ("text/plain", "\"x\""), ("application/json; charset=utf-16", "")]
    {
        let request = source.request(Method::POST, &script).header("Content-Type", content_type).body(body);
        assert_eq!(answer(request).await.both(), OK, "{content_type}");
    }
    assert_eq!(source.post(&script, &deep(100)).await.both(), OK);
    assert_eq!(events(&place).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_brings_tokens_that_nobody_has_is_slowed_down_and_nobody_else() {
    let place = TestNamespace::new("intake-strangers").await;
    let token = made(&place, "script", "webhook", json!({})).await;
    let (stranger, source) = (Source::new().await, Source::new().await);
    let known = path("webhook", &token);
    source.is_known(&known).await;
    // Tokens of other tests may just be read, which is answered with 503 and does not count.
    let (mut refused, mut throttled) = (0, None);
    while throttled.is_none() {
        let answer = stranger.post(&path("webhook", "nobodys-token-of-these-tests"), "{}").await;
        match answer.status {
            403 => refused += 1,
            429 => throttled = Some(answer),
            503 => {}
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!(refused, 30);
    let seconds = throttled.as_ref().and_then(|answer| answer.header("retry-after")).expect("a Retry-After");
    assert!((1..=60).contains(&seconds.parse::<u32>().expect("seconds")), "{seconds}");
    assert_eq!(stranger.post(&known, "{}").await.both(), OK, "who has one is known by that");
    let unknown = source.post(&path("webhook", "nobodys-token-of-these-tests"), "{}").await;
    assert!([403, 503].contains(&unknown.status), "{unknown:?}");
}
