//! From what a source sends to what a receiver gets.

use std::collections::BTreeMap;

use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent, Integration};
use reqwest::Method;
use serde_json::{Value, json};
use support::Received;

use super::{OK, Source, events, group, integration, made, path, secret};
use crate::harness::{LIMIT, World};

/// The group, as it is stored: counted.
fn counted(status: &str) -> Value {
    let mut group = group(status);
    group["numFiring"] = u8::from(status == "firing").into();
    group["numResolved"] = u8::from(status == "resolved").into();
    group
}

/// The data of a request, which has all of it.
fn data(request: &Received) -> Value {
    serde_json::from_str(&request.body).expect("a body of JSON")
}

/// Waits until the only alert group is as it should be.
async fn alert_group(world: &World, what: &str, is: impl Fn(&AlertGroup) -> bool) -> AlertGroup {
    let only = |groups: &BTreeMap<String, AlertGroup>| {
        assert!(groups.len() <= 1, "{groups:?}");
        groups.values().next().filter(|group| is(group)).cloned()
    };
    world.objects_that(what, only).await
}

fn shown(group: &AlertGroup) -> Value {
    serde_json::to_value(group.status.as_ref().expect("a status")).expect("JSON")
}

/// Waits until no event is left but those of so many changes.
async fn only_changes_are_left(world: &World, changes: usize) {
    world
        .objects_that("events that changed nothing are gone", |events: &BTreeMap<String, AlertGroupEvent>| {
            let folded =
                events.values().all(|event| event.status.as_ref().is_some_and(|status| status.verdict.is_some()));
            (events.len() == changes && folded).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_alerts_fires_is_repeated_and_resolved() {
    let world = World::new("intake-way").await;
    world.seen_webhook("created", "alert group created", json!({})).await;
    world.seen_webhook("resolved", "resolve", json!({})).await;
    let source = Source::new().await;
    let more = json!({"name": "Prometheus", "team": "sre", "labels": {"tier": "1"}});
    let token = made(&world, "prometheus", "alertmanager", more).await;
    world
        .object_that("the operator has seen it", "prometheus", |integration: Option<&Integration>| {
            integration?.status.as_ref()?.id.as_ref().map(|_| ())
        })
        .await;
    let path = path("alertmanager", &token);
    source.is_known(&path).await;

    assert_eq!(source.post(&path, &group("firing").to_string()).await.both(), OK);
    let request = world.receiver.wait_for(1, LIMIT).await.expect("a request").remove(0);
    let opened = alert_group(&world, "an alert group is open", |group| shown(group)["alertsCount"] == 1).await;
    let id = shown(&opened)["id"].as_str().expect("an id").to_owned();
    let integration_id = oncall_webhooks::core::id::integration_id(&world.namespace, "prometheus");
    let found = data(&request);
    assert_eq!(request.target, "/created");
    assert_eq!(found["alert_payload"], counted("firing"));
    let of_integration = json!({
        "id": integration_id, "type": "alertmanager", "name": "Prometheus", "team": "sre", "labels": {"tier": "1"},
    });
    assert_eq!(found["integration"], of_integration);
    let expected = |state: &str, alerts: u32, now: &Value, last: &Value| {
        json!({
            "id": id, "integration_id": integration_id, "team_id": "sre", "route_id": null, "alerts_count": alerts,
            "state": state, "created_at": now["created_at"], "resolved_at": now["resolved_at"], "resolved_by": null,
            "acknowledged_at": null, "acknowledged_by": null, "labels": {"tier": "1"}, "title": "InstanceDown (critical)",
            "permalinks": {"slack": null, "telegram": null, "web": null}, "silenced_at": null,
            "last_alert": {
                "id": now["last_alert"]["id"], "alert_group_id": id, "created_at": now["last_alert"]["created_at"],
                "payload": last,
            },
        })
    };
    let fired = &found["alert_group"];
    assert_eq!(*fired, expected("firing", 1, fired, &counted("firing")));
    assert_eq!((&fired["resolved_at"], &fired["created_at"]), (&json!(null), &fired["last_alert"]["created_at"]));
    assert_eq!(found["event"], json!({"type": "alert group created", "time": found["event"]["time"]}));

    assert_eq!(source.post(&path, &group("firing").to_string()).await.both(), OK);
    alert_group(&world, "the repeat is counted", |group| shown(group)["alertsCount"] == 2).await;
    only_changes_are_left(&world, 1).await;

    assert_eq!(source.post(&path, &group("resolved").to_string()).await.both(), OK);
    let request = world.receiver.wait_for(2, LIMIT).await.expect("a request").remove(1);
    let found = data(&request);
    assert_eq!(request.target, "/resolved");
    assert_eq!((&found["alert_payload"], &found["integration"]), (&counted("firing"), &of_integration));
    let resolved = &found["alert_group"];
    assert_eq!(*resolved, expected("resolved", 3, resolved, &counted("resolved")));
    assert!(resolved["resolved_at"].is_string(), "{resolved}");
    alert_group(&world, "the alert group is resolved", |group| shown(group)["state"] == "resolved").await;
    only_changes_are_left(&world, 2).await;

    // What is over and not open leaves nothing.
    assert_eq!(source.post(&path, &group("resolved").to_string()).await.both(), OK);
    only_changes_are_left(&world, 2).await;
    assert_eq!(world.receiver.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_what_the_source_said_and_no_more() {
    let place = crate::harness::TestNamespace::new("intake-event").await;
    let name = format!("{}.b", "a".repeat(56));
    place.apply(&secret("token", "source-token-of-a-long-name")).await;
    let more = json!({
        "id": "CTESTINTAKE12", "tokenSecretRef": {"name": "token", "key": "token"}, "labels": {"tier": "1"},
        "templates": {"groupingId": "{{ payload.id }}", "title": "{{ integration_name }} {{ labels.tier }}"},
    });
    place.apply(&integration(&name, "webhook", more)).await;
    let source = Source::new().await;
    let path = path("webhook", "source-token-of-a-long-name");
    source.is_known(&path).await;
    let body = json!({"id": 7, "text": "é\u{1}<>&", "n": [1.5, 18_446_744_073_709_551_615_u64, null]});
    assert_eq!(source.post(path.trim_end_matches('/'), &body.to_string()).await.both(), OK);
    let mut all = events(&place).await;
    let event = all.remove(0);
    assert_eq!(all, Vec::new());
    let generated = event.metadata.name.as_deref().expect("a name");
    assert!(generated.starts_with(&format!("{}-", "a".repeat(56))), "{generated}");
    assert_eq!(event.metadata.labels.as_ref().and_then(|labels| labels.get("oncall.dev/integration")), Some(&name));
    let expected = json!({
        "alert": {
            "integrationRef": {"name": name, "id": "CTESTINTAKE12"}, "groupingId": "7", "action": "firing",
            "title": format!("{name} 1"),
            // As the API server keeps numbers.
            "payload": {"id": 7, "text": "é\u{1}<>&", "n": [1.5, 18_446_744_073_709_552_000.0_f64, null]},
        },
    });
    assert_eq!(serde_json::to_value(&event.spec).expect("JSON"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_somebody_works_on_opens_an_alert_group_and_acknowledges_it() {
    let world = World::new("intake-ack").await;
    world.seen_webhook("created", "alert group created", json!({})).await;
    world.seen_webhook("acknowledged", "acknowledge", json!({})).await;
    let templates =
        json!({"groupingId": "{{ payload.id }}", "acknowledgeCondition": "{{ payload.status == 'known' }}"});
    let token = made(&world, "script", "webhook", json!({"templates": templates})).await;
    let source = Source::new().await;
    let path = path("webhook", &token);
    source.is_known(&path).await;
    // The second has no grouping id: nothing joins it.
    for (number, body) in [(1, json!({"id": "1", "status": "known"})), (2, json!({"status": "known"}))] {
        assert_eq!(source.post(&path, &body.to_string()).await.both(), OK);
        let requests = world.receiver.wait_for(2 * number, LIMIT).await.expect("requests").split_off(2 * number - 2);
        let mut found: Vec<_> = requests.iter().map(|request| (request.target.as_str(), data(request))).collect();
        found.sort_by_key(|(target, _)| std::cmp::Reverse(*target));
        let payloads = found.iter().map(|(target, data)| (*target, data["alert_payload"].clone()));
        assert_eq!(payloads.collect::<Vec<_>>(), [("/created", body.clone()), ("/acknowledged", body)]);
        world
            .objects_that("each is acknowledged", |groups: &BTreeMap<String, AlertGroup>| {
                let states = groups.values().map(shown);
                let are_acknowledged =
                    states.map(|of| (of["state"].clone(), of["alertsCount"].clone())).collect::<Vec<_>>();
                (are_acknowledged == vec![(json!("acknowledged"), json!(1)); number]).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_is_replaced_and_told_of_once() {
    let place = crate::harness::TestNamespace::new("intake-fault").await;
    let templates = json!({"title": "{{ payload.count / 0 }}"});
    let token = made(&place, "script", "formatted_webhook", json!({"templates": templates})).await;
    let api = super::start("api-intake-fault", &[]).await;
    let source = Source::of(&api);
    let path = path("formatted_webhook", &token);
    source.is_known(&path).await;
    for number in 0..3 {
        let body = json!({"alert_uid": number.to_string(), "title": "the payload's", "count": 1});
        assert_eq!(source.post(&path, &body.to_string()).await.both(), OK);
    }
    let titles: Vec<_> =
        events(&place).await.into_iter().map(|event| event.spec.alert.expect("an alert").title).collect();
    assert_eq!(titles, vec![Some("the payload's".to_owned()); 3]);
    let told = api.process().events("a template of an Integration fails: the default of its type takes its place");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["integration"], &told[0]["field"]), (&json!("script"), &json!("templates.title")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_noted_and_opens_nothing() {
    let world = World::new("intake-heartbeat").await;
    let every = json!({"heartbeat": {"every": "10m"}});
    let token = made(&world, "prometheus", "alertmanager", every).await;
    let source = Source::new().await;
    let path = path("alertmanager", &token);
    source.is_known(&path).await;
    let of_token = format!("{path}heartbeat/");
    let of_name = format!("/integrations/v1/alertmanager/namespaces/{}/prometheus/heartbeat", world.namespace);
    let answers = [
        super::answer(source.request(Method::GET, &of_token)).await,
        super::answer(source.request(Method::POST, &of_token).body("anything")).await,
        super::answer(source.request(Method::POST, &of_name).bearer_auth(&token)).await,
    ];
    let found = answers.iter().map(|answer| (answer.status, answer.body.as_str(), answer.header("allow")));
    let allowed = Some("GET, POST, HEAD, OPTIONS");
    assert_eq!(found.collect::<Vec<_>>(), [(200, r#"":)""#, allowed), (200, "", allowed), (200, "", allowed)]);
    let has_received = |integration: Option<&Integration>| integration?.status.as_ref()?.last_alert_time.map(drop);
    world.object_that("something was received", "prometheus", has_received).await;
    only_changes_are_left(&world, 0).await;
    assert_eq!(world.api::<AlertGroup>().list(&Default::default()).await.expect("list AlertGroups").items, []);
}
