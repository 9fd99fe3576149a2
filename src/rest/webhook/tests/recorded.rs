//! What OnCall's serializers of both collections make of each field, and what is made of it here: from a request's body over the
//! manifest to the answer's body.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::*, manifest::write_down};
use crate::{core::json, resources::Webhook};

#[derive(Deserialize)]
struct Recorded {
    /// Where the cases come from, for who reads the file.
    #[serde(rename = "source")]
    _source: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    collection: String,
    method: String,
    sent: Value,
    status: u16,
    body: Map<String, Value>,
}

/// The webhook that the recorded changes were made to.
fn mk_seed() -> Webhook {
    let secret = |key: &str| json!({"secretKeyRef": {"name": "w-credentials", "key": key}});
    let spec = json!({
        "name": "seed", "url": "https://example.com", "triggerType": "escalation", "username": "ann", "password": secret("password"),
        "authorizationHeader": secret("authorization-header"), "data": "d", "forwardAll": true, "triggerTemplate": "t",
        "headers": "{}",
    });
    Webhook::new("w", serde_json::from_value(spec).unwrap())
}

/// The status and the body of the answer to a call.
fn answer(case: &Case, collection: Collection) -> (u16, Map<String, Value>) {
    let (webhook, existing) = match case.method.as_str() {
        "POST" => (unwritten("team", "w").unwrap(), None),
        _ => (mk_seed(), Some(ExistingWebhook::from(&mk_seed()))),
    };
    let body = json::parse(case.sent.to_string().as_bytes()).unwrap();
    match WebhookInput::read(&body, collection, existing) {
        Ok(input) => {
            let status = if existing.is_none() { 201 } else { 200 };
            let written = write_down(&webhook, &mut desired(&webhook, input));
            (status, serde_json::from_slice(&super::super::body(&written, collection)).unwrap())
        }
        Err(error) => (error.status.as_u16(), serde_json::from_str(&error.body.to_string()).unwrap()),
    }
}

#[test]
fn each_field_is_taken_and_refused_in_both_collections_as_oncalls_serializers_do() {
    let recorded: Recorded =
        serde_json::from_str(include_str!("../../../../tests/conformance/rest_fields.json")).unwrap();
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &recorded.cases {
        let collection = if case.collection == "actions" { Collection::Actions } else { Collection::Webhooks };
        let (status, mut body) = answer(case, collection);
        if status < 400 {
            // Of the fields that were not tried, none was recorded; the id is ours.
            body.retain(|field, _| case.body.contains_key(field));
        }
        let text = |body: &Map<String, Value>| Value::from(body.clone()).to_string();
        let (found, expected) = (text(&body), text(&case.body));
        if (status, &found) != (case.status, &expected) {
            let (collection, method, sent) = (&case.collection, &case.method, &case.sent);
            let expected = format!("{} {expected}", case.status);
            wrong.push(format!("{method} {collection} {sent}\n  expected {expected}\n  found    {status} {found}"));
        }
        *counts.entry((case.collection.as_str(), case.status)).or_insert(0) += 1;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), recorded.cases.len(), wrong.join("\n"));
    assert!(counts.len() == 6 && counts.values().all(|count| *count > 20), "{counts:?}");
}
