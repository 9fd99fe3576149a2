//! The manifests of examples/, applied as a person does.

use std::{collections::BTreeMap, fs, path::Path};

use jiff::Timestamp;
use kube::ResourceExt;
use oncall_webhooks::resources::{
    AlertGroup, Attempt, DeliverySummary, EventPhase, LastRun, ResponsePhase, Webhook, WebhookResponseStatus,
};
use serde_json::{Value, json};
use support::{Alert, Alertmanager, Answer};

use crate::{
    commands::{myself, run},
    harness::{Temporary, World, is_seen},
    intake::{Source, group, path, shared},
};

fn manifests(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path);
    fs::read_to_string(&path).expect("read an example")
}

async fn apply(world: &World, files: &[&str]) {
    world.apply(&files.iter().map(|file| manifests(file)).collect::<Vec<_>>().join("\n---\n")).await;
}

/// Replaces the values that differ at every run by fixed ones.
fn settled(mut status: WebhookResponseStatus) -> WebhookResponseStatus {
    status.timestamp = status.timestamp.map(|_| Timestamp::UNIX_EPOCH);
    for attempt in &mut status.attempts {
        attempt.time = Timestamp::UNIX_EPOCH;
        attempt.duration_ms = 0;
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acknowledge_example_comes_out_exactly() {
    let world = World::new("acknowledge").await;
    apply(&world, &["acknowledge/secret.yaml", "acknowledge/webhook.yaml", "acknowledge/mistake.yaml"]).await;
    apply(&world, &["acknowledge/event.yaml"]).await;
    let event = world.completed("instance-down-acknowledged", 2).await;

    let received = world.receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let request = &received[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/acknowledge"));
    assert_eq!(request.body, r#"{"labels": {"alertname": "InstanceDown", "job": "node", "severity": "critical"}}"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer an-example-token"));

    let text = |text: &str| Some(text.to_owned());
    let url = format!("{}/acknowledge", world.receiver.url());
    let recorded = settled(world.response("acknowledge").await);
    let data: Value = serde_json::from_str(recorded.event_data.as_deref().unwrap_or_default()).expect("event data");
    let expected = WebhookResponseStatus {
        phase: ResponsePhase::Succeeded,
        timestamp: Some(Timestamp::UNIX_EPOCH),
        url: Some(url),
        request_trigger: text(""),
        request_headers: text(r#"{"Authorization": "****************"}"#),
        request_data: Some(request.body.clone()),
        status_code: Some(200),
        content: text(r#"{"ok": true}"#),
        event_data: recorded.event_data.clone(),
        attempt_count: 1,
        attempts: vec![Attempt {
            time: Timestamp::UNIX_EPOCH,
            status_code: Some(200),
            message: None,
            duration_ms: 0,
            redeliver: None,
        }],
        ..WebhookResponseStatus::default()
    };
    assert_eq!(recorded, expected);
    assert_eq!(data.to_string(), seed(&world).await.to_string());

    let expected = WebhookResponseStatus {
        phase: ResponsePhase::Failed,
        timestamp: Some(Timestamp::UNIX_EPOCH),
        url: Some(format!("{}/mistake", world.receiver.url())),
        request_trigger: text(""),
        request_data: text("Data - Template Warning: Object of type Undefined is not JSON serializable"),
        ..WebhookResponseStatus::default()
    };
    let recorded = settled(world.response("mistake").await);
    assert_eq!(recorded, WebhookResponseStatus { event_data: recorded.event_data.clone(), ..expected });

    let status = event.status.expect("a status");
    let names =
        |webhook: &str| status.webhooks.iter().find(|line| line.name == webhook).and_then(|line| line.response.clone());
    let line = |name: &str, outcome, status_code| DeliverySummary {
        name: name.to_owned(),
        outcome,
        status_code,
        response: names(name),
    };
    assert_eq!(
        (status.phase, status.matched, status.succeeded, status.failed, status.skipped),
        (EventPhase::Completed, 2, 1, 1, 0)
    );
    assert_eq!(
        status.webhooks,
        [line("acknowledge", ResponsePhase::Succeeded, Some(200)), line("mistake", ResponsePhase::Failed, None)]
    );
    assert!(names("acknowledge").is_some() && names("mistake").is_some());

    let last_run = |webhook: Option<&Webhook>| webhook?.status.as_ref()?.last_run.clone();
    let last_run = world.object_that("the last run is shown", "acknowledge", last_run).await;
    let expected = LastRun {
        time: last_run.time,
        outcome: ResponsePhase::Succeeded,
        status_code: Some(200),
        response: names("acknowledge").unwrap_or_default(),
    };
    assert_eq!(last_run, expected);
}

/// The whole data, with keys in the order that OnCall has them in.
async fn seed(world: &World) -> Value {
    let id = world.api::<Webhook>().get("acknowledge").await.expect("get").status.and_then(|status| status.id);
    let alert = |instance: &str, group: &str, fingerprint: &str| {
        json!({
            "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"job": "node", "group": group, "instance": instance, "severity": "critical", "alertname": "InstanceDown"},
            "status": "firing",
            "startsAt": "2023-06-12T08:24:38.326Z",
            "annotations": {
                "title": format!("Instance {instance} down"),
                "description": format!("{instance} of job node has been down for more than 1 minute."),
            },
            "fingerprint": fingerprint,
            "generatorURL": "",
        })
    };
    json!({
        "event": {"type": "acknowledge", "time": "2023-08-18T16:38:21.442981+00:00"},
        "user": {"id": "UK49JJNPZMFLJ", "username": "oncall", "email": "admin@localhost"},
        "alert_group": {
            "id": "IZQERPWKWCGH1",
            "integration_id": "CRV8A5MXC751A",
            "route_id": "RWNCT6C77M3WM",
            "alerts_count": 1,
            "state": "acknowledged",
            "created_at": "2023-08-18T16:34:27.678406Z",
            "resolved_at": null,
            "acknowledged_at": "2023-08-18T16:38:21.442981Z",
            "title": "[firing:2] InstanceDown ",
            "permalinks": {
                "slack": null,
                "telegram": null,
                "web": "http://localhost:3000/a/grafana-oncall-app/alert-groups/IZQERPWKWCGH1",
            },
        },
        "alert_group_id": "IZQERPWKWCGH1",
        "alert_payload": {
            "alerts": [
                alert("localhost:8081", "production", "f404ecabc8dd5cd7"),
                alert("localhost:8082", "canary", "f8f08d4e32c61a9d"),
            ],
            "status": "firing",
            "version": "4",
            "groupKey": "{}:{alertname=\"InstanceDown\"}",
            "receiver": "combo",
            "numFiring": 2,
            "externalURL": "",
            "groupLabels": {"alertname": "InstanceDown"},
            "numResolved": 0,
            "commonLabels": {"job": "node", "severity": "critical", "alertname": "InstanceDown"},
            "truncatedAlerts": 0,
            "commonAnnotations": {},
        },
        "integration": {"id": "CRV8A5MXC751A", "type": "alertmanager", "name": "One - Alertmanager", "team": null},
        "notified_users": [],
        "users_to_be_notified": [],
        "alert_group_acknowledged_by": null,
        "alert_group_resolved_by": null,
        "webhook": {"id": id, "name": "acknowledge", "labels": {}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_webhook_sends_the_whole_data() {
    let world = World::new("smallest").await;
    apply(&world, &["smallest/webhook.yaml", "smallest/event.yaml"]).await;
    world.completed("disk-full-silenced", 1).await;
    let recorded = world.response("smallest").await;
    let sent = world.arrived(1).await.remove(0);
    assert_eq!((&*sent.0, &*sent.1), ("POST", "/smallest"));
    // The record has it once, and so has what people look at.
    assert_eq!((recorded.request_data.as_deref(), recorded.event_data.as_deref()), (Some(&*sent.2), None));
    assert_eq!(recorded.event_data(), Some(&*sent.2));
    let described = world.kubectl(&["describe", "whr"]).await;
    assert_eq!(described.matches("alert_group_id").count(), 1, "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_chain_the_second_webhook_finds_what_the_first_was_answered() {
    let world = World::with_receiver("chain", |request| match request.method.as_str() {
        "POST" => Answer { delay: std::time::Duration::from_millis(300), ..Answer::new(201, r#"{"id": "T-1"}"#) },
        _ => Answer::new(200, "ok"),
    })
    .await;
    apply(&world, &["chain/webhooks.yaml"]).await;
    apply(&world, &["chain/events.yaml"]).await;
    world.completed("queue-stuck-resolved", 1).await;
    let sent = |method: &str, target: &str, body: &str| (method.to_owned(), target.to_owned(), body.to_owned());
    assert_eq!(
        world.arrived(2).await,
        [
            sent("POST", "/tickets", r#"{"summary": "Queue \"mail\" is stuck"}"#),
            sent("PUT", "/tickets/T-1", r#"{"state": "resolved"}"#),
        ]
    );
}

/// Applies the example, with a token that no other Integration has and an escalation after a second, and returns the token.
async fn alertmanager_example(world: &World) -> String {
    let token = format!("source-token-of-{}", world.namespace);
    world.apply(&manifests("alertmanager/secret.yaml").replace("put-a-token-of-your-own-here", &token)).await;
    world.apply(&manifests("alertmanager/integration.yaml").replace("after: 15m", "after: 1s")).await;
    apply(world, &["alertmanager/webhooks.yaml"]).await;
    let all_are_seen =
        |webhooks: &BTreeMap<String, Webhook>| (webhooks.len() == 3 && webhooks.values().all(is_seen)).then_some(());
    world.objects_that("the webhooks are seen", all_are_seen).await;
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_with_the_examples_configuration_opens_a_ticket() {
    let world = World::new("alertmanager-config").await;
    let token = alertmanager_example(&world).await;
    Source::new().await.is_known(&path("alertmanager", &token)).await;
    let file = Temporary::new(&token);
    let config: Value = serde_saphyr::from_str(&manifests("alertmanager/config/configmap.yaml")).expect("a ConfigMap");
    let mut config = config["data"]["alertmanager.yml"].as_str().expect("a text").to_owned();
    for (shown, real) in [
        ("http://oncall-webhooks.oncall-webhooks.svc/", &format!("{}/", shared().await.url())),
        ("namespaces/default/", &format!("namespaces/{}/", world.namespace)),
        ("/etc/alertmanager/secrets/prometheus-token/token", &file.path()),
        // Else it waits for half a minute.
        ("repeat_interval: 4h", &"group_wait: 0s".to_owned()),
    ] {
        assert_eq!(config.matches(shown).count(), 1, "{shown}");
        config = config.replace(shown, real);
    }
    let alertmanager = Alertmanager::start(&config).await.expect("start Alertmanager");
    alertmanager.fire(&[Alert::new("DiskFull").label("namespace", "shop")]).await.expect("fire");
    let body = r#"{"title": "DiskFull (shop)", "alerts": 1}"#.to_owned();
    assert_eq!(world.arrived(1).await[0], ("POST".to_owned(), "/tickets".to_owned(), body));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alertmanager_sends_opens_tickets_pages_and_closes_the_tickets_that_were_opened() {
    let world = World::with_receiver("alertmanager", |request| match request.target.as_str() {
        "/tickets" if request.body.contains("DiskFull") => Answer::new(201, r#"{"id": "T-2"}"#),
        "/tickets" => Answer::new(201, r#"{"id": "T-1"}"#),
        _ => Answer::new(200, "ok"),
    })
    .await;
    let token = alertmanager_example(&world).await;
    let (source, me) = (Source::new().await, myself(&world).await);
    // As in config/, with this namespace in place of the default one.
    let path = format!("/integrations/v1/alertmanager/namespaces/{}/prometheus/", world.namespace);
    let sent = |method: &str, target: &str, body: &str| (method.to_owned(), target.to_owned(), body.to_owned());
    let mut expected = Vec::new();
    let mut arrived = async |more: &[(&str, &str, &str)]| {
        expected.extend(more.iter().map(|(method, target, body)| sent(method, target, body)));
        let mut arrived = world.arrived(expected.len()).await;
        // Of what was asked for at about the same time, either may come first.
        arrived.sort();
        expected.sort();
        assert_eq!(arrived, expected);
    };

    // The source says that it is over.
    source.taken(&path, &token, &group("firing").to_string()).await;
    arrived(&[
        ("POST", "/tickets", r#"{"title": "InstanceDown (critical)", "alerts": 1}"#),
        ("POST", "/pages", r#"{"text": "Nobody has taken on: InstanceDown (critical)"}"#),
    ])
    .await;
    source.taken(&path, &token, &group("resolved").to_string()).await;
    arrived(&[("PUT", "/tickets/T-1/close", r#"{"by": "prometheus"}"#)]).await;

    // Somebody says so.
    let disk = group("firing").to_string().replace("InstanceDown", "DiskFull");
    source.taken(&path, &token, &disk).await;
    arrived(&[
        ("POST", "/tickets", r#"{"title": "DiskFull (critical)", "alerts": 1}"#),
        ("POST", "/pages", r#"{"text": "Nobody has taken on: DiskFull (critical)"}"#),
    ])
    .await;
    let is_open = |group: &&AlertGroup| group.status.as_ref().is_some_and(|status| status.open_for_grouping);
    let open = |groups: &BTreeMap<String, AlertGroup>| groups.values().find(is_open).map(ResourceExt::name_any);
    let name = world.objects_that("the second one is open", open).await;
    let resolved = format!("AlertGroup {}/{name}: resolved\n", world.namespace);
    assert_eq!(run(&world, &["resolve", &name], "").await, (resolved, String::new(), 0));
    arrived(&[("PUT", "/tickets/T-2/close", &format!(r#"{{"by": "{me}"}}"#))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_receiver_and_nothing_else() {
    // A receiver that repeats what it was sent, as some do.
    let world = World::with_receiver("secrets", |request| Answer::new(200, format!("{:?}", request.headers))).await;
    // In the order that `kubectl apply -f examples/secrets` takes them in, and the Secret last.
    apply(&world, &["secrets/event.yaml", "secrets/webhook.yaml", "secrets/secret.yaml"]).await;
    world.completed("certificate-expires-escalated", 1).await;

    let request = &world.receiver.received()[0];
    assert_eq!(request.target, "/chat/an-example-path-nobody-should-know");
    assert_eq!(request.header("x-api-key"), Some("an-example-key"));
    assert_eq!(request.header("x-alert-group"), Some("I9CERTIFICATE"));
    assert_eq!(request.body, "ann is called for: Certificate of shop.example expires tomorrow");
    assert_eq!(request.header("content-type"), None);

    let recorded = world.response("chat").await;
    assert_eq!(recorded.url.as_deref(), Some("****************"));
    assert_eq!(
        recorded.request_headers.as_deref(),
        Some(r#"{"X-Alert-Group": "I9CERTIFICATE", "X-Api-Key": "****************"}"#)
    );
    let everything = world.everything().await;
    for secret in ["an-example-path-nobody-should-know", "an-example-key"] {
        assert!(!everything.contains(secret), "{secret} shows in {everything}");
    }
}
