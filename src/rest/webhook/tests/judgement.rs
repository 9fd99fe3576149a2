//! What is refused here is what `lint` and the operator call a fault.

use serde_json::json;

use super::super::*;
use crate::core::{
    json,
    judgement::{self, FaultKind},
};

/// The message with which a template is refused, if it is.
fn refused(field: &str, template: &str) -> Option<String> {
    let mut body = json!({"name": "n", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve"});
    body[field] = json!(template);
    let body = json::parse(body.to_string().as_bytes()).unwrap();
    let error = WebhookInput::read(&body, Collection::Webhooks, None).err()?;
    Some(error.body[field][0].as_str().unwrap().to_owned())
}

#[test]
fn a_template_is_refused_with_the_words_of_its_fault() {
    let cases = [
        ("{{ alert_payload.x.y.z }}", None),
        ("{{ alert_payload.x | regex_search('a') }}", None),
        ("{{ x. }}", Some(FaultKind::Template)),
        ("{% for i in range(3) %}{% endfor %}", Some(FaultKind::Template)),
        ("{% include 'x' %}", Some(FaultKind::Template)),
        ("{{ 1 / 0 }}", Some(FaultKind::Template)),
        ("{{ alert_payload.x.__class__.y }}", Some(FaultKind::Template)),
        ("{{ alert_payload.x | truncate(-1) }}", Some(FaultKind::Template)),
        ("{{ 100 / alert_payload.total|int }}", Some(FaultKind::EmptyData)),
        ("{{ alert_payload.labels | dictsort }}", Some(FaultKind::EmptyData)),
    ];
    for (template, kind) in cases {
        // The same in each field, but for what makes no URL and no headers.
        for (field, name) in
            [("data", "data"), ("triggerTemplate", "trigger_template"), ("url", "url"), ("headers", "headers")]
        {
            let fault = judgement::judge_field(field, template);
            assert_eq!(fault.as_ref().map(|fault| fault.kind), kind, "{field} {template}");
            assert_eq!(refused(name, template), fault.map(|fault| fault.message), "{field} {template}");
        }
    }
    // OnCall stores these.
    for (field, text, kind) in [("url", "ftp://nope", FaultKind::Url), ("headers", "no json", FaultKind::Headers)] {
        assert_eq!(judgement::judge_field(field, text).map(|fault| fault.kind), Some(kind));
        assert_eq!(refused(field, text), None);
    }
}
