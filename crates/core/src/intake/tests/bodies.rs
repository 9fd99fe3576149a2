//! Bodies and the answers to them. What OnCall answers was computed by its views, in Django REST framework 3.15.2.

use super::*;

use IntegrationType::{Alertmanager, FormattedWebhook, GrafanaAlerting, Webhook};

fn read(integration_type: IntegrationType, body: &[u8]) -> Result<Value, (u16, String)> {
    let payload = parse(body).and_then(|body| alert_of(integration_type, body));
    payload.map_err(|refusal| (refusal.status, refusal.body))
}

fn refused(status: u16, body: &str) -> Result<Value, (u16, String)> {
    Err((status, body.to_owned()))
}

#[test]
fn any_json_but_null_is_an_alert_where_the_type_does_not_say_what_it_is() {
    let cases = [
        (r#"{"a": 1}"#, Ok(json!({"a": 1}))),
        (r#"{"a": 1, "a": 2}"#, Ok(json!({"a": 2}))),
        (r#"[{"a": 1}, {"b": 2}]"#, Ok(json!([{"a": 1}, {"b": 2}]))),
        ("[]", Ok(json!([]))),
        ("5", Ok(json!(5))),
        (r#""down""#, Ok(json!("down"))),
        ("", Ok(json!({}))),
        (r#"{"alerts": null}"#, Ok(json!({"alerts": null}))),
        ("null", refused(400, "Payload is required")),
    ];
    for (body, expected) in cases {
        assert_eq!(read(Webhook, body.as_bytes()), expected, "{body}");
        assert_eq!(read(FormattedWebhook, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_group_is_an_object_and_says_how_many_of_its_alerts_are_firing() {
    let cases = [
        (r#"{"a": 1}"#, Ok(json!({"a": 1, "numFiring": 0, "numResolved": 0}))),
        ("", Ok(json!({"numFiring": 0, "numResolved": 0}))),
        (
            r#"{"alerts": [{"status": "firing"}, {"status": null}, {}, {"status": "resolved"}], "numResolved": 7, "x": 1}"#,
            Ok(json!({
                "alerts": [{"status": "firing"}, {"status": null}, {}, {"status": "resolved"}],
                "numResolved": 1, "x": 1, "numFiring": 1,
            })),
        ),
        // Counted by the source: taken as it is.
        (r#"{"alerts": [1], "numFiring": 3}"#, Ok(json!({"alerts": [1], "numFiring": 3}))),
        (r#"{"numFiring": null}"#, Ok(json!({"numFiring": null}))),
        // OnCall ends in a 500 for these.
        (r#"{"alerts": null}"#, Ok(json!({"alerts": null, "numFiring": 0, "numResolved": 0}))),
        (r#"{"alerts": [1]}"#, Ok(json!({"alerts": [1], "numFiring": 0, "numResolved": 0}))),
        (r#"{"alerts": {"a": 1}}"#, Ok(json!({"alerts": {"a": 1}, "numFiring": 0, "numResolved": 0}))),
        (r#"{"alerts": 0}"#, Ok(json!({"alerts": 0, "numFiring": 0, "numResolved": 0}))),
        (
            r#"{"alerts": [1, {"status": "firing"}]}"#,
            Ok(json!({"alerts": [1, {"status": "firing"}], "numFiring": 1, "numResolved": 0})),
        ),
        ("[1]", refused(400, r#"{"detail":"A payload of type alertmanager is a JSON object"}"#)),
        ("5", refused(400, r#"{"detail":"A payload of type alertmanager is a JSON object"}"#)),
        ("null", refused(400, "Payload is required")),
    ];
    for (body, expected) in cases {
        assert_eq!(read(Alertmanager, body.as_bytes()), expected, "{body}");
    }
    let counted = alert_of(GrafanaAlerting, mk_payload("grafana_firing")).unwrap();
    assert_eq!(counted, mk_changed("grafana_firing", json!({"numFiring": 2, "numResolved": 0})));
    let counted = alert_of(Alertmanager, mk_payload("kube_prometheus_mixed")).unwrap();
    assert_eq!((&counted["numFiring"], &counted["numResolved"]), (&json!(1), &json!(1)));
}

#[test]
fn what_is_no_json_is_refused_in_oncalls_words() {
    let parse_error =
        |message: &str| refused(400, &json!({"detail": format!("JSON parse error - {message}")}).to_string());
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    let too_deep = parse_error("nested deeper than 100 levels");
    let cases = [
        (b"{nope".to_vec(), parse_error("Expecting property name enclosed in double quotes: line 1 column 2 (char 1)")),
        (b"\xff".to_vec(), parse_error("'utf-8' codec can't decode byte 0xff in position 0: invalid start byte")),
        (b"{\"a\": 1} x".to_vec(), parse_error("Extra data: line 1 column 10 (char 9)")),
        (nested(101), too_deep.clone()),
        (nested(127), too_deep),
    ];
    for (body, expected) in cases {
        assert_eq!(read(Webhook, &body), expected, "{}", String::from_utf8_lossy(&body));
    }
    for body in
        [nested(128), nested(300), nested(100_000), b"[1e999]".to_vec(), b"{\"a\": NaN}".to_vec(), b" ".to_vec()]
    {
        let status = read(Webhook, &body).map_err(|(status, _)| status);
        assert_eq!(status, Err(400), "{}", String::from_utf8_lossy(&body[..body.len().min(20)]));
    }
    assert!(read(Webhook, &nested(100)).is_ok());
    let objects = |levels: usize| [br#"{"a":"#.repeat(levels), b"1".to_vec(), vec![b'}'; levels]].concat();
    assert!(read(Webhook, &objects(100)).is_ok() && read(Webhook, &objects(101)).is_err());
}

#[test]
fn other_refusals_have_oncalls_codes_and_words() {
    let cases = [
        (Refusal::unknown_token(), 403, "Integration key was not found. Permission denied."),
        (
            Refusal::wrong_type("alertmanager", Webhook),
            400,
            "This url is for integration with Webhook. Key is for Webhook",
        ),
        (
            Refusal::wrong_type("grafana_alerting", Alertmanager),
            400,
            "This url is for integration with Alertmanager. Key is for Alertmanager",
        ),
        (
            Refusal::wrong_type("webhook", FormattedWebhook),
            400,
            "This url is for integration with Formatted webhook.Key is for Formatted webhook",
        ),
        (
            Refusal::wrong_type("zabbix", GrafanaAlerting),
            400,
            "This url is for integration with Grafana Alerting.Key is for Grafana Alerting",
        ),
        (Refusal::file_upload(), 400, "File uploads are not allowed"),
        (
            Refusal::unsupported_media_type("text/plain"),
            415,
            r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#,
        ),
    ];
    for (refusal, status, body) in cases {
        assert_eq!((refusal.status, refusal.body.as_str()), (status, body));
        assert_eq!(refusal.content_type == "application/json", body.starts_with('{'), "{body}");
    }
}
