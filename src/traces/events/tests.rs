use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_sdk::trace::Sampler;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::{
    core::{
        delivery::{AttemptHistory, ResponsePhase},
        event::EventFacts,
        request::HttpRequest,
        request_url::RequestUrl,
        webhook::HttpMethod,
    },
    traces::testing::mk_tracer,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const INTAKE: &str = "b7ad6b7169203331";

fn mk_key() -> EventKey {
    EventKey { namespace: Arc::from("team"), name: "created".to_owned(), uid: "u".to_owned() }
}

/// An event with this as its annotation.
fn mk_event(traceparent: Option<&str>, spec: Value) -> AlertGroupEvent {
    let mut event = AlertGroupEvent::new("created", serde_json::from_value(spec).unwrap());
    event.metadata.annotations =
        traceparent.map(|text| BTreeMap::from([(TRACEPARENT_ANNOTATION.to_owned(), text.to_owned())]));
    event
}

fn mk_group() -> Value {
    json!({"type": "alert group created", "alertGroup": {"id": "g"}})
}

fn mk_delivery(attempts: u32) -> Delivery {
    let facts =
        EventFacts { event_type: None, alert_group_id: Arc::from("g"), integration_id: None, webhook_refs: Vec::new() };
    Delivery {
        event: Arc::new(mk_key()),
        facts: Arc::new(facts),
        number: 1,
        webhook: Arc::from("tickets"),
        uid: Arc::from("w"),
        history: AttemptHistory::new(attempts, None, Vec::new(), (ResponsePhase::Retrying, None)),
        version: None,
        redeliver: None,
        weight: 0,
    }
}

fn mk_request(url: &str, headers: &[(&str, &str)], secrets: &[&str]) -> PreparedRequest {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).to_owned(),
        value: value.as_bytes().to_vec(),
        secret: false,
    };
    let first = HttpRequest {
        method: HttpMethod::Post,
        url: RequestUrl::parse(url).unwrap(),
        headers: headers.iter().map(header).collect(),
        body: None,
        signing: Vec::new(),
        tls: None,
    };
    PreparedRequest { first, secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect() }
}

fn traceparents(request: &PreparedRequest) -> Vec<String> {
    let of = request.first.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(TRACEPARENT));
    of.map(|header| String::from_utf8_lossy(&header.value).into_owned()).collect()
}

fn answer(status: u16) -> Outcome {
    Outcome::Answer { status, body: Vec::new(), announced: None, content_type: None, retry_after: None }
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

#[test]
fn an_attempt_is_of_its_event_and_that_of_the_intake() {
    let (tracer, ended) = mk_tracer(parent_based(Sampler::AlwaysOff));
    let spans = EventSpans::of(Some(tracer));
    let event = mk_event(Some(&format!("00-{TRACE}-{INTAKE}-01")), mk_group());
    spans.begin(&mk_key(), &event);
    // It is seen again.
    spans.begin(&mk_key(), &event);
    assert_eq!(spans.trace_id(&mk_key()).as_deref(), Some(TRACE));
    let mut request = mk_request("https://receiver.example:8443/T0KEN?key=s3cret", &[("X-Own", "1")], &[]);
    let attempt = spans.begin_attempt(&mk_delivery(2), &mut request).unwrap();
    let sent = traceparents(&request).remove(0);
    assert_eq!(attempt.end(&answer(503), AttemptCode::Status(5)).as_deref(), Some(TRACE));
    let expected = [
        ("error.type", "503"),
        ("http.request.method", "POST"),
        ("http.request.resend_count", "2"),
        ("http.response.status_code", "503"),
        ("oncall.alert_group.id", "g"),
        ("oncall.attempt", "3"),
        ("oncall.event", "created"),
        ("oncall.namespace", "team"),
        ("oncall.webhook", "tickets"),
        ("server.address", "receiver.example"),
        ("server.port", "8443"),
        ("url.scheme", "https"),
    ];
    assert_eq!(ended.attributes(), BTreeMap::from(expected.map(|(key, value)| (key.to_owned(), value.to_owned()))));
    assert!(ended.status().contains("Error"));
    spans.end(&mk_key());
    assert_eq!(spans.trace_id(&mk_key()), None);
    let tree = ended.tree();
    let event_id = tree[0].2.clone();
    let row = |name: &str, parent: Option<String>| (name.to_owned(), TRACE.to_owned(), parent);
    assert_eq!(tree, [row("attempt", event_id), row("event", Some(INTAKE.to_owned()))]);
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01") && !sent.contains(INTAKE), "{sent}");
}

#[test]
fn what_comes_of_an_attempt_says_whether_it_is_an_error_and_of_which_kind() {
    let failed = |retryable| Outcome::Failure { message: "No answer from s3cret".to_owned(), retryable };
    let cases = [
        (answer(200), AttemptCode::Status(2), None),
        (answer(308), AttemptCode::Status(3), None),
        (answer(404), AttemptCode::Status(4), Some("404")),
        (failed(true), AttemptCode::Tls, Some("tls")),
        (Outcome::TimedOut { message: "s3cret".to_owned() }, AttemptCode::Timeout, Some("timeout")),
    ];
    for (outcome, code, expected) in cases {
        let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
        let spans = EventSpans::of(Some(tracer));
        spans.begin(&mk_key(), &mk_event(None, mk_group()));
        let attempt = spans.begin_attempt(&mk_delivery(0), &mut mk_request("http://receiver.example/", &[], &[]));
        attempt.unwrap().end(&outcome, code);
        assert_eq!(ended.attributes().get("error.type").map(String::as_str), expected, "{outcome:?}");
        assert_eq!(ended.status().contains("Error"), expected.is_some(), "{outcome:?}");
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    }
}

#[test]
fn a_header_that_the_webhook_states_stays_alone() {
    let (tracer, _) = mk_tracer(Sampler::AlwaysOn);
    let spans = EventSpans::of(Some(tracer));
    spans.begin(&mk_key(), &mk_event(None, mk_group()));
    for name in ["traceparent", "TraceParent"] {
        let mut request = mk_request("http://receiver.example/", &[(name, "own")], &[]);
        assert!(spans.begin_attempt(&mk_delivery(0), &mut request).is_some());
        assert_eq!(traceparents(&request), ["own"]);
    }
}

#[test]
fn a_trace_that_is_not_sampled_is_passed_on_so_and_named_nowhere() {
    let (tracer, ended) = mk_tracer(parent_based(Sampler::AlwaysOn));
    let spans = EventSpans::of(Some(tracer));
    spans.begin(&mk_key(), &mk_event(Some(&format!("00-{TRACE}-{INTAKE}-00")), mk_group()));
    assert_eq!(spans.trace_id(&mk_key()), None);
    let mut request = mk_request("http://receiver.example/", &[], &[]);
    let attempt = spans.begin_attempt(&mk_delivery(0), &mut request).unwrap();
    assert_eq!(attempt.end(&answer(200), AttemptCode::Status(2)), None);
    let sent = traceparents(&request).remove(0);
    assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"), "{sent}");
    spans.end(&mk_key());
    assert_eq!(ended.tree(), []);
}

#[test]
fn an_attempt_that_was_not_made_is_an_error() {
    let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
    let spans = EventSpans::of(Some(tracer));
    spans.begin(&mk_key(), &mk_event(None, mk_group()));
    let attempt = spans.begin_attempt(&mk_delivery(0), &mut mk_request("http://receiver.example/", &[], &[]));
    attempt.unwrap().not_sent();
    assert!(ended.status().contains("not sent"), "{ended:?}");
}

#[test]
fn a_host_that_shows_a_secret_is_in_no_span() {
    let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
    let spans = EventSpans::of(Some(tracer));
    spans.begin(&mk_key(), &mk_event(None, mk_group()));
    let mut request = mk_request("https://s3cret-token.receiver.example/", &[], &["s3cret-token"]);
    spans.begin_attempt(&mk_delivery(0), &mut request).unwrap().end(&answer(200), AttemptCode::Status(2));
    assert!(!format!("{ended:?}").contains("s3cret-token"), "{ended:?}");
    assert_eq!(ended.attributes().get("url.scheme").map(String::as_str), Some("https"));
}

#[test]
fn where_nothing_is_traced_requests_are_as_they_were() {
    let spans = EventSpans::of(None);
    spans.begin(&mk_key(), &mk_event(Some(&format!("00-{TRACE}-{INTAKE}-01")), mk_group()));
    let mut request = mk_request("http://receiver.example/", &[("X-Own", "1")], &[]);
    assert!(spans.begin_attempt(&mk_delivery(0), &mut request).is_none());
    assert_eq!(request.first, mk_request("http://receiver.example/", &[("X-Own", "1")], &[]).first);
    assert_eq!(spans.trace_id(&mk_key()), None);
    spans.end(&mk_key());
    spans.end_all();
}

#[test]
fn a_heartbeat_has_no_span_and_a_process_that_stops_ends_them_all() {
    let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
    let spans = EventSpans::of(Some(tracer));
    let mk_alert = |action: &str| json!({"alert": {"integrationRef": {"name": "prometheus"}, "action": action}});
    spans.begin(&mk_key(), &mk_event(None, mk_alert("heartbeat")));
    assert_eq!(spans.trace_id(&mk_key()), None);
    spans.begin(&mk_key(), &mk_event(None, mk_alert("firing")));
    spans.end_all();
    assert_eq!(ended.tree().len(), 1);
    let expected = [("oncall.event", "created"), ("oncall.integration", "prometheus"), ("oncall.namespace", "team")];
    assert_eq!(ended.attributes(), BTreeMap::from(expected.map(|(key, value)| (key.to_owned(), value.to_owned()))));
    // What is still on the way belongs to it.
    let mut request = mk_request("http://receiver.example/", &[], &[]);
    let attempt = spans.begin_attempt(&mk_delivery(0), &mut request).unwrap();
    attempt.end(&answer(200), AttemptCode::Status(2));
    let tree = ended.tree();
    assert_eq!((tree[1].0.as_str(), &tree[1].1, tree[1].2.is_some()), ("attempt", &tree[0].1, true));
    spans.end(&mk_key());
    assert_eq!(ended.tree().len(), 2, "it has ended once");
}
