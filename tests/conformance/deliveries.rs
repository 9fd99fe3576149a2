//! Deliveries: webhook and data in; the requests that arrived and the stored response, compared with the recorded.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use oncall_webhooks::{
    core::{
        event::{EventData, Own},
        json::Json,
        request::{Prepared, prepare},
        response::{Outcome, Record, finish},
        template::Mode,
        webhook::{Field, SecretKey, TriggerType, Url, Webhook},
    },
    delivery::Sender,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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

/// What is stored, in the words of the recordings.
fn stored(record: &Record) -> Map<String, Value> {
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
    let field = |name: &str, mode| text(name).map(|source| Field::new(source, mode));
    // The secret's name stands for its value.
    let secret = |name: &str| text(name).map(|value| SecretKey { name: value.to_owned(), key: String::new() });
    Webhook {
        name: "recorded".to_owned(),
        id: "WHRECORDED".to_owned(),
        display_name: String::new(),
        labels: Map::new(),
        trigger_type: TriggerType::Acknowledge,
        enabled: true,
        method: serde_json::from_value(fields["http_method"].clone()).unwrap(),
        url: Url::Template(Field::new(text("url").unwrap_or_default(), Mode::Raw)),
        headers: field("headers", Mode::Json),
        headers_from: Vec::new(),
        data: field("data", Mode::Json),
        forward_all: fields["forward_all"] == true,
        trigger_template: field("trigger_template", Mode::Raw),
        integration_filter: Vec::new(),
        username: text("username").map(str::to_owned),
        password: secret("password"),
        authorization_header: secret("authorization_header"),
        timeout: Duration::from_secs(4),
    }
}

/// Delivers, and gives what was stored and, where one was sent, what came of it.
async fn deliver(sender: &Sender, webhook: &Webhook, context: &Map<String, Value>) -> (bool, Record, Option<Outcome>) {
    let data = context.iter().map(|(key, value)| (Arc::from(key.as_str()), Json::from(value.clone()))).collect();
    let secret = |key: &SecretKey| Ok(SecretString::from(key.name.as_str()));
    match prepare(webhook, &EventData::new(data), &Own::default(), false, &secret) {
        Prepared::Skip(result) => (false, Record { request_trigger: Some(result), ..Record::default() }, None),
        Prepared::Refused(record) => (true, record, None),
        Prepared::Send(request, record) => {
            let outcome = sender.send(&request, "conformance", webhook.timeout).await;
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
    let recorded: Recorded = serde_json::from_str(include_str!("deliveries.json")).unwrap();
    let wanted: BTreeMap<String, String> = serde_json::from_str(include_str!("deliveries.differences.json")).unwrap();
    let sender = Sender::new().unwrap();
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
