use serde_json::{Value, json};

use super::*;
use crate::resources::Integration;

fn mk_source(type_: &str, templates: &Value) -> Source {
    let integration = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "Integration",
        "metadata": {"name": "prometheus", "namespace": "team", "uid": "u", "generation": 1},
        "spec": {"type": type_, "id": "CTESTINTAKE12", "name": "Prometheus", "templates": templates},
    });
    Source::from(&serde_json::from_value::<Integration>(integration).unwrap())
}

/// The manifests for a body, or the status and body of the refusal.
fn made(source: &Source, content_type: &str, body: &[u8]) -> Result<Vec<Value>, (u16, String)> {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
    let made = Encoding::of(&headers).and_then(|encoding| new_events(source, &encoding, body, None));
    let manifests = made.map(|made| made.manifests).map_err(|refusal| (refusal.status, refusal.body))?;
    Ok(manifests.iter().map(|manifest| serde_json::from_str(manifest.get()).unwrap()).collect())
}

fn event(alert: &Value) -> Value {
    json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent",
        "metadata": {"generateName": "prometheus-", "labels": {"oncall.dev/integration": "prometheus"}},
        "spec": {"alert": alert},
    })
}

#[test]
fn a_body_becomes_one_event_and_one_that_acknowledges_two() {
    let reference = json!({"name": "prometheus", "id": "CTESTINTAKE12"});
    let templates = json!({"groupingId": "{{ payload.id }}", "acknowledgeCondition": "{{ payload.ack }}", "title": "{{ payload.t }}"});
    let source = mk_source("webhook", &templates);
    let mk_alert = |action: &str, payload: &Value| json!({"integrationRef": reference, "groupingId": "1", "action": action, "title": "T", "payload": payload});
    let firing = json!({"id": 1, "t": "T"});
    let resolved = json!({"id": 1, "t": "T", "state": "ok"});
    let known = json!({"id": 1, "t": "T", "ack": "1"});
    let acknowledging = json!({"integrationRef": reference, "groupingId": "1", "action": "acknowledge", "title": "T"});
    let cases = [
        (firing.clone(), vec![mk_alert("firing", &firing)]),
        (resolved.clone(), vec![mk_alert("resolve", &resolved)]),
        (known.clone(), vec![mk_alert("firing", &known), acknowledging]),
        // What belongs to no other, and has no title.
        (json!({}), vec![json!({"integrationRef": reference, "action": "firing", "payload": {}})]),
    ];
    for (body, expected) in cases {
        let expected = expected.iter().map(event).collect();
        assert_eq!(made(&source, "application/json", body.to_string().as_bytes()), Ok(expected), "{body}");
    }
}

#[test]
fn an_alert_that_acknowledges_and_is_of_no_others_acknowledges_what_it_opens() {
    let source =
        mk_source("webhook", &json!({"groupingId": "{{ payload.id }}", "acknowledgeCondition": "{{ payload.ack }}"}));
    let grouping_ids = || -> Vec<String> {
        let made = made(&source, "application/json", br#"{"ack": "1"}"#).unwrap();
        made.iter().map(|event| event["spec"]["alert"]["groupingId"].as_str().unwrap().to_owned()).collect()
    };
    let (one, another) = (grouping_ids(), grouping_ids());
    assert_eq!((one.len(), &one[0]), (2, &one[1]));
    assert!(one[0].len() == 32 && one[0] != another[0], "{one:?} {another:?}");
}

#[test]
fn a_body_is_json_whatever_its_type_in_the_charset_that_it_names() {
    let source = mk_source("formatted_webhook", &json!({}));
    let json = br#"{"alert_uid": "1", "title": "caf\u00e9"}"#;
    let latin = b"{\"alert_uid\": \"1\", \"title\": \"caf\xe9\"}";
    let expected = made(&source, "application/json", json);
    assert!(expected.is_ok(), "{expected:?}");
    for (content_type, body) in [
        ("", &json[..]),
        ("application/x-www-form-urlencoded", json),
        ("text/plain", json),
        ("application/json; charset=utf-8", json),
        ("application/json; charset=latin-1", latin),
    ] {
        assert_eq!(made(&source, content_type, body), expected, "{content_type}");
    }
    let not_json = |message: &str| Err((400, json!({"detail": format!("JSON parse error - {message}")}).to_string()));
    let unknown = made(&source, "application/json; charset=nonsense", json);
    assert_eq!(unknown, not_json("unknown encoding: nonsense"));
    let uploaded = made(&source, "multipart/form-data; boundary=b", b"--b--");
    assert_eq!(uploaded, Err((400, "File uploads are not allowed".to_owned())));
}

#[test]
fn a_body_of_more_values_than_memory_is_for_is_refused_before_it_is_parsed() {
    let source = mk_source("webhook", &json!({}));
    let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
    assert!(made(&source, "", list(MOST_VALUES).as_bytes()).is_ok());
    let refused = (413, r#"{"detail":"The request's body has more than 50000 values."}"#.to_owned());
    assert_eq!(made(&source, "", list(MOST_VALUES + 1).as_bytes()), Err(refused));
    for (text, expected) in [
        (r#""a""#, 1),
        ("[]", 2),
        ("[[0],[0]]", 5),
        (r#"{"a": {"b": 1}, "c": ",[{\",[{\\"}"#, 4),
        (r#"{"a\\": [1,2]}"#, 4),
        ("", 1),
    ] {
        assert_eq!(values_in(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn names_begin_with_as_much_of_the_integrations_as_the_api_server_keeps() {
    let long = "a".repeat(60);
    let cases = [
        ("prometheus".to_owned(), "prometheus-".to_owned()),
        ("a.b".to_owned(), "a.b-".to_owned()),
        (long.clone(), format!("{}-", &long[..57])),
        (format!("{}.b", &long[..56]), format!("{}-", &long[..56])),
        (format!("{}--b", &long[..55]), format!("{}-", &long[..55])),
    ];
    for (integration, expected) in cases {
        assert_eq!(beginning(&integration), expected, "{integration}");
    }
}

#[test]
fn each_event_of_an_alert_names_the_span_that_it_came_in_by_beside_what_else_it_is_annotated_with() {
    let templates = json!({"groupingId": "{{ payload.id }}", "acknowledgeCondition": "{{ payload.ack }}", "title": "{{ payload.t + 1 }}"});
    let source = mk_source("webhook", &templates);
    let span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let encoding = Encoding::of(&HeaderMap::new()).unwrap();
    let body = br#"{"id": 1, "t": "T", "ack": "1"}"#;
    let annotations = |traceparent: Option<&str>| {
        let made = new_events(&source, &encoding, body, traceparent.map(str::to_owned)).unwrap();
        let manifests = made.manifests.iter().map(|made| serde_json::from_str::<Value>(made.get()).unwrap());
        manifests.map(|manifest| manifest["metadata"]["annotations"].clone()).collect::<Vec<_>>()
    };
    let without = annotations(None);
    assert_eq!(without.len(), 2);
    let with: Vec<Value> = without
        .into_iter()
        .map(|mut annotations| {
            assert!(annotations[TEMPLATE_FAULT_ANNOTATION].is_string(), "{annotations}");
            annotations[TRACEPARENT_ANNOTATION] = json!(span);
            annotations
        })
        .collect();
    assert_eq!(annotations(Some(span)), with);
}
