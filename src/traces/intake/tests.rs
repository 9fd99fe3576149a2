use std::collections::BTreeMap;

use opentelemetry_sdk::trace::Sampler;

use super::*;
use crate::traces::testing::mk_tracer;

const ROUTE: &str = "/integrations/v1/{type}/{token}/";
const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn mk_request(traceparent: Option<&str>) -> Parts {
    let request = http::Request::post("/integrations/v1/webhook/s3cret/");
    let request = traceparent.into_iter().fold(request, |request, text| request.header("Traceparent", text));
    request.body(()).unwrap().into_parts().0
}

#[test]
fn an_alert_is_in_the_trace_of_its_sender_and_shows_no_token() {
    let integration = NamespacedName::new("team", "prometheus");
    let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
    let span = IntakeSpan(Some(begin(&tracer, &mk_request(Some(SENDER)), Some(ROUTE), &integration)));
    let own = span.traceparent().unwrap();
    assert!(own.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && own != SENDER, "{own}");
    span.end(200, "taken");
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c".to_owned(), "b7ad6b7169203331".to_owned());
    assert_eq!(ended.tree(), [("intake".to_owned(), trace, Some(parent))]);
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", ROUTE),
        ("oncall.integration", "prometheus"),
        ("oncall.namespace", "team"),
        ("oncall.outcome", "taken"),
    ];
    assert_eq!(ended.attributes(), BTreeMap::from(expected.map(|(key, value)| (key.to_owned(), value.to_owned()))));
    assert_eq!(ended.status(), "Some(Unset)");
}

#[test]
fn only_what_this_side_fails_at_is_an_error() {
    let integration = NamespacedName::new("team", "prometheus");
    for (status, is_error) in [(200, false), (400, false), (429, false), (503, true)] {
        let (tracer, ended) = mk_tracer(Sampler::AlwaysOn);
        let context = begin(&tracer, &mk_request(Some("nonsense")), None, &integration);
        IntakeSpan(Some(context)).end(status, "unavailable");
        assert_eq!(ended.attributes().contains_key("error.type"), is_error, "{status}");
        assert_eq!(ended.status().contains("Error"), is_error, "{status}");
        assert_eq!(ended.tree()[0].2, None, "a parent that is none is ignored");
    }
}

#[test]
fn where_nothing_is_traced_nothing_is_annotated() {
    let span = IntakeSpan::begin(&mk_request(Some(SENDER)), Some(ROUTE), &NamespacedName::new("team", "prometheus"));
    assert_eq!(span.traceparent(), None);
    span.end(200, "taken");
}
