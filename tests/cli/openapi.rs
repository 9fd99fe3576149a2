//! `openapi`: the document of the REST API.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Folder, Ran};

fn document() -> Value {
    let ran = Folder::new(&[]).run("openapi");
    assert_eq!(ran, Ran::new(0, &ran.stdout, ""));
    serde_json::from_str(&ran.stdout).expect("it is JSON")
}

/// The names that `$ref`s anywhere in `value` point to.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_says_what_it_may_be_answered() {
    let document = document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("it has paths") {
        for (method, operation) in item.as_object().expect("it has methods") {
            let answers = operation["responses"].as_object().expect("it has answers");
            let statuses: Vec<&str> = answers.keys().map(String::as_str).collect();
            let id = operation["operationId"].as_str().expect("it has an id");
            found.push(format!("{method} {path} {id}: {}", statuses.join(" ")));
        }
    }
    let mut expected = Vec::new();
    for (form, one) in [("actions", "action"), ("webhooks", "webhook")] {
        let path = format!("/api/v1/{form}/");
        expected.push(format!("get {path} list_{form}: 200 403 429 503"));
        expected.push(format!("post {path} create_{one}: 201 400 403 408 413 415 429 503"));
        expected.push(format!("get {path}{{id}}/ get_{one}: 200 403 404 429 503"));
        for method in ["put", "patch"] {
            expected.push(format!("{method} {path}{{id}}/ {method}_{one}: 200 400 403 404 408 413 415 429 503"));
        }
        expected.push(format!("delete {path}{{id}}/ delete_{one}: 204 403 404 429 503"));
    }
    expected.push("get /api/v1/webhooks/{id}/responses list_responses: 200 403 404 429 503".to_owned());
    for (collection, one) in [("alert_groups", "alert_group"), ("integrations", "integration")] {
        let (path, refused) = (format!("/api/v1/{collection}/"), if one == "integration" { "" } else { " 400" });
        expected.push(format!("get {path} list_{collection}: 200{refused} 403 429 503"));
        expected.push(format!("get {path}{{id}}/ get_{one}: 200 403 404 429 503"));
    }
    expected.push("get /api/v1/alerts/ list_alerts: 200 400 403 429 503".to_owned());
    let group = "/api/v1/alert_groups/{id}/";
    expected.push(format!("delete {group} delete_alert_group: 204 400 403 404 408 413 415 429 503"));
    for action in ["acknowledge", "unacknowledge", "resolve", "unresolve", "unsilence"] {
        expected.push(format!("post {group}{action}/ {action}_alert_group: 200 400 403 404 429 503"));
    }
    expected.push(format!("post {group}silence/ silence_alert_group: 200 400 403 404 408 413 415 429 503"));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_new_webhook_needs_more_than_an_update() {
    let document = document();
    let body = |path: &str, method: &str| {
        let body = &document["paths"][path][method]["requestBody"];
        assert_eq!(body["required"], true, "{method} {path}");
        let schema = body["content"]["application/json"]["schema"]["$ref"].as_str().expect("it has a schema");
        schema.trim_start_matches("#/components/schemas/").to_owned()
    };
    for (form, new, input) in [("actions", "NewAction", "ActionInput"), ("webhooks", "NewWebhook", "WebhookInput")] {
        assert_eq!(body(&format!("/api/v1/{form}/"), "post"), new);
        for method in ["put", "patch"] {
            assert_eq!(body(&format!("/api/v1/{form}/{{id}}/"), method), input);
        }
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas[input].get("required"), None);
        assert_eq!(schemas[new]["allOf"][0]["$ref"], format!("#/components/schemas/{input}"));
        assert_eq!(schemas[new]["allOf"][1]["required"], serde_json::json!(["name", "url"]));
    }
}

#[test]
fn all_that_is_referred_to_is_there_and_the_other_way_round() {
    let document = document();
    let mut referred = BTreeSet::new();
    references(&document, &mut referred);
    let kinds = ["headers", "responses", "schemas"];
    let there: Vec<String> = kinds
        .iter()
        .flat_map(|kind| {
            let named = document["components"][kind].as_object().expect("it has some");
            named.keys().map(move |name| format!("#/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(referred, there.iter().map(String::as_str).collect());
}

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let text = std::fs::read_to_string(path).expect("read docs/openapi.json");
    let found: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(document(), found, "write it again with `oncall-webhooks openapi`");
}
