use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{judging::WARNINGS, *};

fn mk_admission() -> Admission {
    Admission::new(RenderingPool::new(2).unwrap())
}

fn mk_webhook(spec: &Value) -> Value {
    let mut webhook = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": "ticket", "namespace": "team", "managedFields": [{"fieldsV1": {"f:spec": {}}, "manager": "m"}]},
        "spec": {"triggerType": "resolve", "url": "https://receiver.example/"},
    });
    for (field, value) in spec.as_object().unwrap() {
        webhook["spec"][field] = value.clone();
    }
    webhook
}

fn mk_integration(templates: &Value) -> Value {
    json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Integration",
        "metadata": {"name": "prod", "namespace": "team"},
        "spec": {"type": "alertmanager", "templates": templates},
    })
}

/// What the API server sends about an object.
fn mk_review(operation: &str, object: &Value, old: &Value) -> Value {
    let some = if object.is_null() { old } else { object };
    let (kind, name) = (&some["kind"], &some["metadata"]["name"]);
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "0c9a8d74",
            "kind": {"group": "oncall.dev", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "oncall.dev", "version": "v1alpha1", "resource": "webhooks"},
            "name": name,
            "namespace": "team",
            "operation": operation,
            "userInfo": {"username": "ann", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": true,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

async fn send(admission: &Arc<Admission>, body: Body) -> (StatusCode, Value) {
    let request = Request::post("/validate?timeout=5s").body(body).unwrap();
    let response = answer(State(Arc::clone(admission)), request).await;
    let (parts, body) = response.into_parts();
    (parts.status, serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap())
}

/// What is answered to a review: None if it is allowed, else why not; and the warnings.
async fn asked(review: &Value) -> (Option<String>, Vec<String>) {
    let (status, answer) = send(&Arc::new(mk_admission()), Body::from(review.to_string())).await;
    assert_eq!(
        (status, &answer["kind"], &answer["apiVersion"]),
        (StatusCode::OK, &json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
    );
    let response = &answer["response"];
    assert_eq!(response["uid"], "0c9a8d74");
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.map(|warning| warning.as_str().unwrap().to_owned()).collect();
    let allowed = response["allowed"].as_bool().unwrap();
    ((!allowed).then(|| response["status"]["message"].as_str().unwrap().to_owned()), warnings)
}

#[tokio::test]
async fn what_can_never_work_is_refused_with_its_field_line_and_column_and_what_may_work_is_warned_of() {
    let broken = "{\n  \"a\": {{ x. }}\n}";
    let syntax = "spec.data, line 2, column 14: Template Error: expected name or number";
    let cases: [(Value, Option<&str>, &[&str]); 11] = [
        (mk_webhook(&json!({})), None, &[]),
        (mk_webhook(&json!({"data": broken})), Some(syntax), &[]),
        (
            mk_webhook(&json!({"url": "ftp://nope", "headers": "no json"})),
            Some("spec.url: Malformed url; spec.headers: Template did not result in json/dict"),
            &[],
        ),
        (
            mk_webhook(&json!({"triggerTemplate": "{{ 1 }}\n{{ x | nope }}"})),
            Some("spec.triggerTemplate, line 2, column 8: Template Error: No filter named 'nope'."),
            &[],
        ),
        (
            mk_webhook(&json!({"headers": "{\"a\": \"{{ 1 / alert_payload.n|int }}\"}"})),
            None,
            &[
                "spec.headers, line 1: fails only on empty data, with which OnCall's API tries it out and refuses it: Template Error: \
               division by zero",
            ],
        ),
        (
            mk_webhook(&json!({"triggerTemplate": "state: {{ alert_group.status }}"})),
            None,
            &[
                "spec.triggerTemplate: never renders to exactly true or 1, and only then the webhook runs: it has other text",
                "spec.triggerTemplate, line 1: alert_group has no status: did you mean alert_group.state?",
            ],
        ),
        (
            mk_webhook(&json!({"httpMethod": "GET", "data": broken})),
            None,
            &["spec.data: is not sent with GET: remove it", syntax],
        ),
        (
            mk_webhook(&json!({"forwardAll": true, "data": "{{ alert_group.id }}"})),
            None,
            &["spec.data: is not sent where forwardAll is true: remove it, or set forwardAll to false"],
        ),
        // What a Secret holds is not asked for.
        (mk_webhook(&json!({"url": null, "urlFrom": {"secretKeyRef": {"name": "s", "key": "k"}}})), None, &[]),
        (mk_integration(&json!({"title": "{{ payload.x / 0 }}"})), None, &[]),
        (
            mk_integration(&json!({"groupingId": "{{ payload.x }}", "title": "{% if payload %}"})),
            Some(
                "spec.templates.title, line 1: Template Error: Unexpected end of template. Jinja was looking for the following tags: \
                 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'.",
            ),
            &[],
        ),
    ];
    for (object, refused, warnings) in cases {
        let (found, warned) = asked(&mk_review("CREATE", &object, &Value::Null)).await;
        assert_eq!(found.as_deref(), refused, "{object}");
        assert_eq!(warned, warnings, "{object}");
    }
}

#[tokio::test]
async fn what_was_there_before_keeps_nobody_from_changing_something_else() {
    let broken = mk_webhook(&json!({"data": "{{ x. }}"}));
    let syntax = "spec.data, line 1, column 7: Template Error: expected name or number";
    let mut labelled = broken.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let mut ending = mk_webhook(&json!({"data": "{{ y. }}"}));
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-31T12:00:00Z");
    let mut status = mk_review("UPDATE", &mk_webhook(&json!({"data": "{{ y. }}"})), &mk_webhook(&json!({})));
    status["request"]["subResource"] = json!("status");
    let fine = mk_webhook(&json!({}));
    let known = format!("{syntax} (as before)");
    let is_broken = |spec: Value| mk_webhook(&spec);
    let cases: [(Value, Option<&str>, &[&str]); 12] = [
        (mk_review("UPDATE", &broken, &fine), Some(syntax), &[]),
        (mk_review("UPDATE", &labelled, &broken), None, &[]),
        (mk_review("UPDATE", &is_broken(json!({"data": "{{ x. }}", "suspend": true})), &broken), None, &[&known]),
        // The same fault in a text that was touched.
        (mk_review("UPDATE", &is_broken(json!({"data": "{{ x. }} "})), &broken), Some(syntax), &[]),
        // The text was there, and counted for nothing.
        (mk_review("UPDATE", &broken, &is_broken(json!({"data": "{{ x. }}", "httpMethod": "GET"}))), Some(syntax), &[]),
        (mk_review("UPDATE", &fine, &broken), None, &[]),
        (
            mk_review("UPDATE", &is_broken(json!({"data": "{{ x. }}", "url": "nope"})), &broken),
            Some("spec.url: Malformed url"),
            &[&known],
        ),
        (mk_review("UPDATE", &ending, &fine), None, &[]),
        (status, None, &[]),
        (mk_review("DELETE", &Value::Null, &broken), None, &[]),
        (
            mk_review(
                "UPDATE",
                &mk_integration(&json!({"title": "{{ x. }}", "groupingId": "a"})),
                &mk_integration(&json!({"title": "{{ x. }}"})),
            ),
            None,
            &["spec.templates.title, line 1, column 7: Template Error: expected name or number (as before)"],
        ),
        // What it replaces can't be read: as if it was new.
        (mk_review("UPDATE", &broken, &is_broken(json!({"triggerType": "unheard of"}))), Some(syntax), &[]),
    ];
    for (review, refused, warnings) in cases {
        let (found, warned) = asked(&review).await;
        assert_eq!(found.as_deref(), refused, "{review}");
        assert_eq!(warned, warnings, "{review}");
    }
}

#[tokio::test]
async fn what_is_none_of_its_business_or_can_not_be_read_here_is_allowed() {
    let mut other = mk_webhook(&json!({"data": "{{ x. }}"}));
    other["kind"] = json!("AlertGroup");
    let unheard = mk_webhook(&json!({"triggerType": "unheard of", "data": "{{ x. }}"}));
    let mut foreign = mk_review("CREATE", &mk_webhook(&json!({"data": "{{ x. }}"})), &Value::Null);
    foreign["request"]["kind"]["group"] = json!("example.com");
    for review in [mk_review("CREATE", &other, &Value::Null), mk_review("CREATE", &unheard, &Value::Null), foreign] {
        assert_eq!(asked(&review).await, (None, Vec::new()), "{review}");
    }
}

#[tokio::test]
async fn a_refusal_has_a_cause_for_each_field_as_those_of_schemas_have() {
    let mut webhook = mk_webhook(&json!({"url": "nope", "data": "{{ x. }}"}));
    webhook["metadata"] = json!({"generateName": "ticket-", "namespace": "team"});
    let review = mk_review("CREATE", &webhook, &Value::Null);
    let mut review = review;
    review["request"]["name"] = json!("");
    let (_, answer) = send(&Arc::new(mk_admission()), Body::from(review.to_string())).await;
    let expected = json!({
        "status": "Failure",
        "code": 422,
        "message": "spec.url: Malformed url; spec.data, line 1, column 7: Template Error: expected name or number",
        "reason": "Invalid",
        "details": {
            "name": "ticket-",
            "group": "oncall.dev",
            "kind": "Webhook",
            "causes": [
                {"reason": "FieldValueInvalid", "message": "Malformed url", "field": "spec.url"},
                {
                    "reason": "FieldValueInvalid",
                    "message": "line 1, column 7: Template Error: expected name or number",
                    "field": "spec.data",
                },
            ],
        },
    });
    assert_eq!(answer["response"]["status"], expected);
}

#[tokio::test]
async fn warnings_are_bounded() {
    let names: String = (0..100).map(|number| format!("{{{{ unheard_of_{number} }}}}")).collect();
    let long = format!("{{{{ alert_group.{} }}}}", "x".repeat(500));
    let webhook = mk_webhook(&json!({"data": names, "headers": format!("{{\"a\": \"{long}\"}}")}));
    let (refused, warnings) = asked(&mk_review("CREATE", &webhook, &Value::Null)).await;
    assert_eq!((refused, warnings.len()), (None, WARNINGS));
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 250), "{warnings:?}");
    assert!(warnings[0].ends_with("xxx…"), "{warnings:?}");
}

#[tokio::test]
async fn what_is_too_large_or_no_review_is_told_so() {
    let admission = Arc::new(mk_admission());
    let values = format!("{{\"a\": [{}0]}}", "0,".repeat(MOST_VALUES));
    for (body, status) in [
        (Body::from("x".repeat(1024 * 1024 + 1)), StatusCode::PAYLOAD_TOO_LARGE),
        (Body::from(values), StatusCode::PAYLOAD_TOO_LARGE),
        (Body::from("{}"), StatusCode::BAD_REQUEST),
        (Body::from("nope"), StatusCode::BAD_REQUEST),
        (Body::from(r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(send(&admission, body).await.0, status);
    }
}

#[tokio::test]
async fn what_takes_too_long_is_allowed_and_says_that_it_was_not_judged() {
    let admission = Arc::new(Admission { answer: Duration::from_millis(100), ..mk_admission() });
    let never = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>().boxed());
    assert_eq!(send(&admission, never).await.0, StatusCode::REQUEST_TIMEOUT);
    // Something else is on both threads until this test has its answer.
    let (begin, begun) = std::sync::mpsc::channel();
    let mut ends = Vec::new();
    let busy: Vec<_> = ["a", "b"]
        .map(|namespace| {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            ends.push(end);
            let (pool, begin) = (admission.rendering.clone(), begin.clone());
            let work = move || {
                begin.send(()).unwrap();
                ended.recv().unwrap_err();
            };
            tokio::spawn(async move { pool.run(namespace, work).await })
        })
        .into();
    tokio::task::spawn_blocking(move || [begun.recv().unwrap(), begun.recv().unwrap()]).await.unwrap();
    let review = mk_review("CREATE", &mk_webhook(&json!({"data": "{{ x. }}"})), &Value::Null);
    let (status, answer) = send(&admission, Body::from(review.to_string())).await;
    let warning = "oncall-webhooks has not looked at its templates: that takes too long, or too much else is asked";
    assert_eq!(
        (status, &answer["response"]["allowed"], &answer["response"]["warnings"]),
        (StatusCode::OK, &json!(true), &json!([warning]))
    );
    drop(ends);
    for work in busy {
        work.await.unwrap();
    }
}
