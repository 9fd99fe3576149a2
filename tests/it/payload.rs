//! What of an event comes to templates and records: what the API server makes of JSON, and what users carry.

use serde_json::{Value, json};
use support::pipe;

use crate::harness::{World, cluster};

/// Creates an object of this JSON text as it stands, past all that kubectl makes of manifests.
async fn create(world: &World, resource: &str, text: String) {
    let mut kubectl = cluster().0.kubectl();
    let path = format!("/apis/oncall.dev/v1alpha1/namespaces/{}/{resource}", world.namespace);
    kubectl.args(["create", "--raw", &path, "-f", "-"]);
    let created = tokio::task::spawn_blocking(move || pipe(&mut kubectl, &text));
    created.await.expect("run kubectl").expect("create the object");
}

fn event(spec: &str) -> String {
    format!(
        r#"{{"apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {{"name": "e"}}, "spec": {spec}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_payload_templates_see_what_the_api_server_keeps_of_its_numbers_and_texts() {
    let world = World::new("numbers").await;
    world.seen_webhook("one", "resolve", json!({"data": "{{ alert_payload | tojson }}", "forwardAll": false})).await;
    // What is sent, and what comes of it, as the README says.
    let numbers = [
        ("1", "1"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("-0.0", "0"),
        ("0.5", "0.5"),
        ("0.12345678901234567890", "0.12345678901234568"),
        ("1e-7", "1e-07"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854776000"),
        ("12345678901234567890123", "1.2345678901234568e+22"),
        (r#""\ud800 \ud83d\ude00""#, r#""\ufffd \ud83d\ude00""#),
        (r#"{"b": 1, "a": 1, "b": 2}"#, r#"{"a": 1, "b": 2}"#),
        ("null", "null"),
    ];
    let payload: Vec<String> =
        numbers.iter().enumerate().map(|(index, (sent, _))| format!(r#""k{index:02}": {sent}"#)).collect();
    let spec =
        format!(r#"{{"type": "resolve", "alertGroup": {{"id": "I1"}}, "alertPayload": {{{}}}}}"#, payload.join(", "));
    create(&world, "alertgroupevents", event(&spec)).await;
    let kept: Vec<String> =
        numbers.iter().enumerate().map(|(index, (_, kept))| format!(r#""k{index:02}": {kept}"#)).collect();
    assert_eq!(world.arrived(1).await[0].2, format!("{{{}}}", kept.join(", ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_carry_is_seen_by_templates_and_recorded() {
    let world = World::new("users").await;
    let data = r#"{"chat_id": {{ event.user.chat_id }}, "to": "{{ user.phones | join(', ') }}",
        "by": "{{ alert_group_acknowledged_by.slack.id }}",
        "others": [{% for one in notified_users + users_to_be_notified %}"{{ one.Pager }}"{{ "" if loop.last else "," }}{% endfor %}]}"#;
    world.seen_webhook("one", "personal notification", json!({"data": data, "forwardAll": false})).await;
    let spec = json!({
        "type": "personal notification", "alertGroup": {"id": "I1"}, "webhookRefs": ["one"],
        "user": {"id": "U1", "chat_id": -1001234567890_i64, "phones": ["+49 30 \"1\"", "+49 30 2"]},
        "alertGroupAcknowledgedBy": {"slack": {"id": "S1", "team": null}},
        "notifiedUsers": [{"Pager": "p1"}], "usersToBeNotified": [{"username": "ann", "Pager": "p2"}],
        "until": null,
    });
    create(&world, "alertgroupevents", event(&spec.to_string())).await;
    let expected = r#"{"chat_id": -1001234567890, "to": "+49 30 \"1\", +49 30 2", "by": "S1", "others": ["p1", "p2"]}"#;
    assert_eq!(world.arrived(1).await[0].2, expected);
    let record = world.response_that("one", |status| status.event_data.is_some()).await;
    let recorded: Value = serde_json::from_str(&record.event_data.expect("data")).expect("JSON");
    let user = json!({
        "id": "U1", "username": null, "email": null, "chat_id": -1001234567890_i64, "phones": ["+49 30 \"1\"", "+49 30 2"],
    });
    assert_eq!(recorded["event"], json!({"type": "personal notification", "until": null, "user": user}));
    assert_eq!(recorded["user"], user);
    let by = json!({"id": null, "username": null, "email": null, "slack": {"id": "S1", "team": null}});
    assert_eq!(recorded["alert_group_acknowledged_by"], by);
}
