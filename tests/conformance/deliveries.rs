//! Deliveries: webhook and data in; the requests that arrived and the stored response, compared with the recorded. Those in
//! `*.computed.json` were not recorded, but computed from what OnCall does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use oncall_webhooks::{
    core::{
        address::AddressPolicy,
        event::{EventData, WebhookContext},
        hints::{self, Hint},
        json::Json,
        judgement,
        request::{Preparation, prepare},
        response::{Outcome, ResponseRecord, finish},
        template::Mode,
        webhook::{CompiledTemplate, SecretKey, TIMEOUT, TriggerType, UrlSource, Webhook},
    },
    delivery::{Ports, ProxySettings, Requester, Sender},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::receiver::{Answer, Received, Receiver};

#[derive(Deserialize)]
struct Recorded {
    contexts: BTreeMap<String, Map<String, Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    webhook: Value,
    context: String,
    receiver: Answer,
    requests: Vec<RecordedRequest>,
    triggered: bool,
    response: Map<String, Value>,
    error: Option<String>,
    exception: Option<String>,
}

#[derive(Deserialize)]
struct RecordedRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// The stored record, in the words of the recordings.
fn stored(record: &ResponseRecord) -> Map<String, Value> {
    let Value::Object(stored) = json!({
        "url": record.url,
        "request_trigger": record.request_trigger,
        "request_headers": record.request_headers,
        "request_data": record.request_data,
        "status_code": record.status_code,
        "content": record.content,
    }) else {
        unreachable!()
    };
    stored
}

fn webhook(fields: &Value) -> Webhook {
    let text = |name: &str| fields[name].as_str().filter(|text| !text.is_empty());
    let field = |name: &str, mode| text(name).map(|source| CompiledTemplate::new(source, mode));
    // The secret's name stands for its value.
    let secret = |name: &str| text(name).map(|value| SecretKey { name: value.to_owned(), key: String::new() });
    let url = UrlSource::Template(CompiledTemplate::new(text("url").unwrap_or_default(), Mode::Raw));
    Webhook {
        name: "recorded".to_owned(),
        id: "WHRECORDED".to_owned(),
        method: serde_json::from_value(fields["http_method"].clone()).unwrap(),
        headers: field("headers", Mode::Json),
        data: field("data", Mode::Json),
        forward_all: fields["forward_all"] == true,
        trigger_template: field("trigger_template", Mode::Raw),
        username: text("username").map(str::to_owned),
        password: secret("password"),
        authorization_header: secret("authorization_header"),
        ..Webhook::bare(TriggerType::Acknowledge, url)
    }
}

const REQUESTER: Requester = Requester { namespace: "team", webhook: "recorded" };

/// Reaches loopback, where the receivers are, and what is public.
fn sender() -> Sender {
    let loopback = "127.0.0.0/8".parse().unwrap();
    Sender::new(
        Ports::without_cluster(AddressPolicy::new("cluster.local").allow(vec![loopback], Vec::new())),
        &ProxySettings::default(),
    )
    .unwrap()
}

/// Delivers, and gives what was stored and, where one was sent, what came of it.
async fn deliver(
    sender: &Sender,
    webhook: &Webhook,
    context: &Map<String, Value>,
) -> (bool, ResponseRecord, Option<Outcome>) {
    let data = context.iter().map(|(key, value)| (Arc::from(key.as_str()), Json::from(value.clone()))).collect();
    let secret = |key: &SecretKey| Ok(SecretString::from(key.name.as_str()));
    match prepare(webhook, &EventData::new(data), &WebhookContext::default(), false, &secret) {
        Preparation::Skip(result) => {
            (false, ResponseRecord { request_trigger: Some(result), ..ResponseRecord::default() }, None)
        }
        Preparation::Failed(record) => (true, record, None),
        Preparation::Send(request, record) => {
            let outcome = sender.send(REQUESTER, &request, "conformance", webhook.timeout.unwrap_or(TIMEOUT)).await;
            (true, finish(record, &outcome, &request.secrets), Some(outcome))
        }
    }
}

/// A request, without what is free.
fn essence(method: &str, target: &str, headers: &[(String, String)], body: &str) -> Value {
    let is_free = |(name, value): &(String, String)| {
        let name = name.to_lowercase();
        let agent = ["python-requests/", "oncall-webhooks/"].iter().any(|ours| value.starts_with(ours));
        name.starts_with("accept")
            || name.starts_with("webhook-")
            || name == "connection"
            || name == "user-agent" && agent
    };
    let mut headers: Vec<_> =
        headers.iter().filter(|header| !is_free(header)).map(|(name, value)| (name.to_lowercase(), value)).collect();
    headers.sort();
    json!([method, target, headers, body])
}

async fn differences(sender: &Sender, case: &Case, contexts: &BTreeMap<String, Map<String, Value>>) -> Vec<String> {
    let receiver = Receiver::start(case.receiver.clone()).await;
    let at = |text: &str| {
        text.replace("{{BASE}}", &format!("http://{}", receiver.address)).replace("{{HOSTPORT}}", &receiver.address)
    };
    let fields: Value = serde_json::from_str(&at(&case.webhook.to_string())).unwrap();
    let (triggered, record, _) = deliver(sender, &webhook(&fields), &contexts[&case.context]).await;

    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: Value, found: Value| {
        if expected != found {
            differences.push(format!("{what}\n   expected {expected:.300}\n   found    {found:.300}"));
        }
    };
    compare("triggered", json!(case.triggered), json!(triggered));
    let expected: Vec<Value> = case
        .requests
        .iter()
        .map(|request| {
            let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), at(value))).collect();
            essence(&request.method, &request.target, &headers, &request.body)
        })
        .collect();
    let found: Vec<Value> = receiver
        .received()
        .iter()
        .map(|Received { method, target, headers, body }| essence(method, target, headers, body))
        .collect();
    compare("requests", json!(expected), json!(found));
    for (field, found) in stored(&record) {
        let expected = match &case.response[&field] {
            Value::String(text) => Value::from(at(text)),
            other => other.clone(),
        };
        let by_meaning = case.exception.is_some() && expected.as_str() == case.error.as_deref();
        let is_clear = found.as_str().is_some_and(|text| !text.is_empty() && !text.contains(['\n', '\r']));
        if !(by_meaning && is_clear) {
            compare(&field, expected, found);
        }
    }
    differences
}

#[tokio::test]
async fn recorded_deliveries_come_out_the_same() {
    let wanted = serde_json::from_str(include_str!("deliveries.differences.json")).unwrap();
    check(serde_json::from_str(include_str!("deliveries.json")).unwrap(), &wanted).await;
}

#[tokio::test]
async fn deliveries_come_out_as_oncalls_code_makes_them() {
    check(serde_json::from_str(include_str!("deliveries.computed.json")).unwrap(), &BTreeMap::new()).await;
}

async fn check(recorded: Recorded, wanted: &BTreeMap<String, String>) {
    let sender = sender();
    let found = join_all(recorded.cases.iter().map(|case| differences(&sender, case, &recorded.contexts))).await;

    let mut faults = Vec::new();
    for (case, differences) in recorded.cases.iter().zip(found) {
        match (wanted.contains_key(&case.name), differences.is_empty()) {
            (false, false) => faults.push(format!("{}: {}", case.name, differences.join("\n  "))),
            (true, true) => faults.push(format!("{}: listed as different, and is not", case.name)),
            _ => {}
        }
    }
    let names: Vec<&str> = recorded.cases.iter().map(|case| case.name.as_str()).collect();
    faults.extend(wanted.keys().filter(|name| !names.contains(&name.as_str())).map(|name| format!("{name}: no case")));
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), recorded.cases.len(), faults.join("\n"));
}

/// A POST of a small body to `path` of a receiver that answers so; what was stored and what arrived.
async fn post(answer: Answer, fields: Value) -> (ResponseRecord, Vec<Received>, String) {
    let receiver = Receiver::start(answer).await;
    let mut webhook_fields = json!({
        "url": format!("http://{}/hook", receiver.address), "http_method": "POST", "forward_all": false, "data": "{}",
    });
    webhook_fields.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let webhook = Webhook { timeout: Some(Duration::from_millis(500)), ..webhook(&webhook_fields) };
    let (_, record, _) = deliver(&sender(), &webhook, &Map::new()).await;
    (record, receiver.received(), receiver.address.clone())
}

#[tokio::test]
async fn answers_that_break_are_told_in_one_clause() {
    let raw = |raw: &str| Answer { raw: Some(raw.to_owned()), ..Answer::default() };
    let text = |text: &str| Answer { status: 200, text: Some(text.to_owned()), ..Answer::default() };
    let repeat = |times, gzip| Answer { status: 200, repeat: Some(("x".to_owned(), times)), gzip, ..Answer::default() };
    let encoded = |encoding: &str| Answer {
        headers: [("Content-Encoding".to_owned(), json!(encoding))].into_iter().collect(),
        ..text("not encoded")
    };
    let cases = [
        (Answer { close: true, ..text("") }, None, "Connection closed by 127.0.0.1 before it answered"),
        (Answer { delay: 2.0, ..text("late") }, None, "No answer from 127.0.0.1 within 0.5 s"),
        (Answer { trickle: Some(0.1), ..text("slow") }, None, "No answer from 127.0.0.1 within 0.5 s"),
        (raw("SSH-2.0-OpenSSH_9.2\r\n"), None, "The answer of 127.0.0.1 is not HTTP: invalid HTTP version parsed"),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
            None,
            "Connection closed by 127.0.0.1 before its answer ended",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
            None,
            "Connection closed by 127.0.0.1 before its answer ended",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            None,
            "The answer of 127.0.0.1 is not HTTP: Invalid chunk size line: missing size digit",
        ),
        (encoded("gzip"), None, "The answer says that it is encoded with gzip, and is not"),
        (encoded("br"), Some(200), "not encoded"),
        (raw("HTTP/1.1 200 OK\r\n\r\nuntil the end"), Some(200), "until the end"),
        (raw("HTTP/1.0 418\r\nX Bad: a\r\nContent-Length: 2\r\n\r\nok"), Some(418), "ok"),
        (raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"), Some(202), ""),
        (repeat(50_000, true), Some(200), &"x".repeat(50_000)),
        (repeat(60_000, true), Some(200), "Response content 60000 exceeds 50000 character limit"),
        (repeat(3_000_000, true), Some(200), "Response content over 1000000 exceeds 50000 character limit"),
        (repeat(2_000_000, false), Some(200), "Response content 2000000 exceeds 50000 character limit"),
        (
            text(r#"{"a": 1, "a": [NaN, 123456789012345678901234567890]}"#),
            Some(200),
            r#"{"a": [NaN, 123456789012345678901234567890]}"#,
        ),
    ];
    for (answer, status_code, content) in cases {
        let (record, ..) = post(answer, json!({})).await;
        assert_eq!((record.status_code, record.content.as_deref()), (status_code, Some(content)));
    }
}

#[tokio::test]
async fn what_no_request_may_go_to_is_told_in_the_url() {
    let refused = "URL - Cannot resolve name in url";
    for url in ["http://no_such host/", "http://a|b.example/", "http://bad.invalid./x"] {
        let (record, ..) = post(Answer::default(), json!({"url": url, "timeout": 4})).await;
        if url.contains("invalid") && record.status_code.is_none() && record.content.is_some() {
            // A name server that does not answer in time.
            continue;
        }
        let found = (record.url.as_deref(), record.request_headers, record.request_data, record.content);
        assert_eq!(found, (Some(refused), None, None, None), "{url}");
    }
    let answer = Answer { status: 307, location: Some("http://no such host/".to_owned()), ..Answer::default() };
    let (record, received, _) = post(answer, json!({})).await;
    assert_eq!((record.url.as_deref(), record.request_data.as_deref()), (Some(refused), Some("{}")));
    assert_eq!((received.len(), record.status_code, record.content), (1, None, None));

    let (record, ..) = post(Answer::default(), json!({"url": "http://127.0.0.1:1/"})).await;
    assert_eq!(record.content.as_deref(), Some("Connection to 127.0.0.1 refused"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let not_tls = async { listener.accept().await.unwrap().0.write_all(b"220 mail.example ESMTP\r\n").await.unwrap() };
    let ((record, ..), ()) = tokio::join!(post(Answer::default(), json!({"url": url})), not_tls);
    let content = record.content.unwrap();
    assert!(content.starts_with("TLS with 127.0.0.1 failed: "), "{content}");
}

#[tokio::test]
async fn redirects_repeat_the_body_and_leave_secrets_behind() {
    let answer = Answer { status: 308, redirect: Some("/landed".to_owned()), ..Answer::default() };
    let (record, received, _) = post(answer, json!({"authorization_header": "Bearer s3cret"})).await;
    assert_eq!(record.content.as_deref(), Some(r#"{"landed": true}"#));
    let [first, second] = &received[..] else { panic!("{received:?}") };
    assert_eq!((&second.method, &second.body, &*second.target), (&first.method, &first.body, "/landed"));
    let authorization = |request: &Received| {
        request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone())
    };
    assert_eq!((authorization(first), authorization(second)), (Some("Bearer s3cret".to_owned()), authorization(first)));

    let other =
        Receiver::start(Answer { status: 200, text: Some("Bearer s3cret".to_owned()), ..Answer::default() }).await;
    let location = Some(format!("http://{}/x", other.address));
    let answer = Answer { status: 302, location, ..Answer::default() };
    let (record, ..) = post(answer, json!({"authorization_header": "Bearer s3cret"})).await;
    assert_eq!(record.content.as_deref(), Some("****************"));
    let received = other.received();
    assert_eq!(
        (received[0].method.as_str(), received[0].body.as_str(), authorization(&received[0])),
        ("GET", "", None)
    );
}

#[test]
fn no_recorded_webhook_that_sent_a_request_has_a_fault_or_a_hint_that_it_never_does() {
    let recorded: Recorded = serde_json::from_str(include_str!("deliveries.json")).unwrap();
    let differences: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("deliveries.differences.json")).unwrap();
    let mut sent = 0;
    let alike = recorded.cases.iter().filter(|case| !differences.contains_key(&case.name));
    for case in alike.filter(|case| !case.requests.is_empty()) {
        sent += 1;
        let webhook = webhook(&case.webhook);
        let faults: Vec<_> = judgement::judge(&webhook).into_iter().filter(|fault| !fault.kind.is_warning()).collect();
        assert_eq!(faults, [], "{}", case.name);
        let trigger = case.webhook["trigger_template"].as_str().unwrap_or_default();
        let hints = hints::of_template("triggerTemplate", trigger);
        assert!(!hints.iter().any(|hint| matches!(hint, Hint::NeverTriggers { .. })), "{}: {trigger}", case.name);
    }
    assert!(sent > 20, "{sent}");
}
