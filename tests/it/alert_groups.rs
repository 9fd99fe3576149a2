//! From what a source says to alert groups, and from their changes to requests.

use std::collections::{BTreeMap, BTreeSet};

use kube::{
    ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use oncall_webhooks::resources::{
    AlertGroup, AlertGroupEvent, AlertGroupEventSpec, AlertGroupStatus, Condition, EventPhase, Integration,
};
use serde_json::{Value, json};
use support::Received;

use crate::harness::{LIMIT, World, cluster};

/// Creates an Integration; `spec` adds to its type.
async fn integration(world: &World, name: &str, spec: Value) -> Integration {
    let mut all = json!({"type": "webhook"});
    all.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    let spec = serde_json::from_value(all).expect("an Integration's spec");
    world.api().create(&PostParams::default(), &Integration::new(name, spec)).await.expect("create Integration")
}

/// Waits until the operator has seen an Integration.
async fn seen_integration(world: &World, name: &str) {
    world
        .object_that("it is seen", name, |integration: Option<&Integration>| {
            integration?.status.as_ref()?.id.as_ref().map(|_| ())
        })
        .await;
}

/// Creates an event with this spec.
async fn event(world: &World, name: &str, spec: Value) -> AlertGroupEvent {
    let spec: AlertGroupEventSpec = serde_json::from_value(spec).expect("an event's spec");
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let event = AlertGroupEvent { metadata, spec, status: None };
    world.api().create(&PostParams::default(), &event).await.expect("create AlertGroupEvent")
}

/// Creates an event that says what a source said.
async fn alert(world: &World, name: &str, action: &str, grouping_id: &str, payload: Value) -> AlertGroupEvent {
    let alert = json!({
        "integrationRef": {"name": "prometheus"}, "action": action, "groupingId": grouping_id, "title": "Disk full",
        "payload": payload,
    });
    event(world, name, json!({ "alert": alert })).await
}

/// Creates an event that asks for a change.
async fn change(world: &World, name: &str, type_: &str, group: &str, more: Value) -> AlertGroupEvent {
    let mut spec = json!({"type": type_, "alertGroupRef": {"name": group}, "user": {"username": "admin"}});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    event(world, name, spec).await
}

/// Waits until an event is completed; returns its verdict and the name of its alert group.
async fn verdict(world: &World, name: &str) -> (String, Option<String>) {
    world
        .object_that("the event is folded", name, |event: Option<&AlertGroupEvent>| {
            let status = event?.status.as_ref().filter(|status| status.phase == EventPhase::Completed)?;
            let verdict = json!(status.verdict?).as_str()?.to_owned();
            Some((verdict, status.alert_group_ref.as_ref().map(|group| group.name.clone())))
        })
        .await
}

/// Waits until the operator has removed an event.
async fn removed(world: &World, name: &str) {
    world
        .object_that("the event is removed", name, |event: Option<&AlertGroupEvent>| event.is_none().then_some(()))
        .await;
}

/// Waits until an alert group is as `is` says; returns its status.
async fn group_that(world: &World, name: &str, is: impl Fn(&AlertGroupStatus) -> bool) -> AlertGroupStatus {
    world
        .object_that("the alert group is as it should be", name, |group: Option<&AlertGroup>| {
            group?.status.clone().filter(&is)
        })
        .await
}

/// Waits for so many deliveries and returns their targets. What was in flight at a kill may arrive twice, with the same id.
async fn distinct(world: &World, count: usize) -> Vec<String> {
    let distinct = |received: &[Received]| -> Vec<String> {
        let mut ids = BTreeSet::new();
        let is_new = |request: &&Received| ids.insert(request.header("webhook-id").unwrap_or_default().to_owned());
        received.iter().filter(is_new).map(|request| request.target.clone()).collect()
    };
    let received = world.receiver.wait_until(LIMIT, |received| distinct(received).len() >= count).await;
    distinct(&received.expect("requests arrive"))
}

/// The data of a request, without the times in it.
fn without_times(body: &str) -> Value {
    let mut data: Value = serde_json::from_str(body).expect("JSON");
    for path in [
        "/event/time",
        "/alert_group/created_at",
        "/alert_group/acknowledged_at",
        "/alert_group/resolved_at",
        "/alert_group/last_alert/created_at",
        "/alert_group/silenced_at",
    ] {
        if let Some(value) = data.pointer_mut(path).filter(|value| !value.is_null()) {
            *value = json!("time");
        }
    }
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_people_change_an_alert_group_and_its_webhooks_see_it_as_it_was_then() {
    let world = World::new("alert-groups").await;
    let labels = json!({"env": "prod"});
    let spec =
        json!({"id": "CAAAAAAAAAAAA", "name": "Prometheus", "type": "alertmanager", "team": "SRE", "labels": labels});
    integration(&world, "prometheus", spec).await;
    seen_integration(&world, "prometheus").await;
    world.seen_webhook("created", "alert group created", json!({"integrationFilter": ["CAAAAAAAAAAAA"]})).await;
    world.seen_webhook("changed", "status change", json!({})).await;
    let alert = async |name: &str, action: &str, payload: Value| {
        let spec = json!({"alert": {
            "integrationRef": {"name": "prometheus", "id": "CAAAAAAAAAAAA"}, "action": action, "groupingId": "disk",
            "title": "Disk full", "payload": payload,
        }});
        event(&world, name, spec).await
    };

    alert("first", "firing", json!({"n": 1, "labels": {"b": 1, "a": 2}})).await;
    let (opened, group) = verdict(&world, "first").await;
    let group = group.expect("an alert group");
    assert_eq!(opened, "Opened");
    alert("second", "firing", json!({"n": 2})).await;
    removed(&world, "second").await;
    let joined = group_that(&world, &group, |status| status.alerts_count == 2).await;
    assert_eq!(
        (joined.first_payload, joined.last_payload),
        (Some(json!({"n": 1, "labels": {"b": 1, "a": 2}})), Some(json!({"n": 2})))
    );
    change(&world, "taken", "acknowledge", &group, json!({})).await;
    assert_eq!(verdict(&world, "taken").await, ("Acknowledged".to_owned(), Some(group.clone())));
    change(&world, "taken-too", "acknowledge", &group, json!({})).await;
    assert_eq!(verdict(&world, "taken-too").await, ("NotApplicable".to_owned(), Some(group.clone())));
    let over = alert("over", "resolve", json!({"n": 3})).await;
    assert_eq!(verdict(&world, "over").await, ("Resolved".to_owned(), Some(group.clone())));
    alert("over-too", "resolve", json!({"n": 4})).await;
    removed(&world, "over-too").await;

    let status = group_that(&world, &group, |status| status.resolved.is_some()).await;
    assert_eq!(
        (status.alerts_count, status.by.as_deref(), json!(status.state), json!(status.labels)),
        (3, Some("prometheus"), json!("resolved"), labels.clone())
    );
    let id = status.id;
    let requests = world.arrived(3).await;
    let targets: Vec<&str> = requests.iter().map(|(_, target, _)| target.as_str()).collect();
    assert_eq!(targets, ["/created", "/changed", "/changed"]);
    let data: Vec<Value> = requests.iter().map(|(_, _, body)| without_times(body)).collect();
    let admin = json!({"id": null, "username": "admin", "email": null});
    let alert_id = oncall_webhooks::core::id::alert_id(&over.uid().expect("a uid"));
    let last = json!({"id": alert_id, "alert_group_id": id, "created_at": "time", "payload": {"n": 3}});
    let expected = json!({
        "event": {"type": "resolve", "time": "time"},
        "user": null,
        "alert_group": {
            "id": id, "integration_id": "CAAAAAAAAAAAA", "team_id": "SRE", "route_id": null, "alerts_count": 3,
            "state": "resolved", "created_at": "time", "resolved_at": "time", "resolved_by": null, "acknowledged_at": "time",
            "acknowledged_by": "admin", "labels": labels, "title": "Disk full",
            "permalinks": {"slack": null, "telegram": null, "web": null}, "silenced_at": null, "last_alert": last,
        },
        "alert_group_id": id,
        "alert_payload": {"n": 1, "labels": {"a": 2, "b": 1}},
        "integration": {
            "id": "CAAAAAAAAAAAA", "type": "alertmanager", "name": "Prometheus", "team": "SRE", "labels": labels,
        },
        "notified_users": [],
        "users_to_be_notified": [],
        "alert_group_acknowledged_by": admin,
        "alert_group_resolved_by": null,
        "responses": data[2]["responses"],
        "webhook": data[2]["webhook"],
    });
    assert_eq!(data[2], expected);
    let of = |data: &Value| {
        json!([data["event"]["type"], data["user"], data["alert_group"]["state"], data["alert_group"]["resolved_at"]])
    };
    assert_eq!(of(&data[0]), json!(["alert group created", null, "firing", null]));
    assert_eq!(of(&data[1]), json!(["acknowledge", admin, "acknowledged", null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_neither_open_an_alert_group_twice_nor_lose_one() {
    let mut world = World::new("fold-kills").await;
    integration(&world, "prometheus", json!({})).await;
    world.seen_webhook("created", "alert group created", json!({})).await;
    world.seen_webhook("resolved", "resolve", json!({})).await;
    const GROUPS: usize = 12;
    for round in ["one", "two", "three"] {
        for number in 0..GROUPS {
            let name = |what: &str| format!("{what}-{round}-{number}");
            let grouping_id = format!("alert-{number}");
            alert(&world, &name("firing"), "firing", &grouping_id, json!({"round": round})).await;
            alert(&world, &name("repeat"), "firing", &grouping_id, json!({"round": round})).await;
            alert(&world, &name("resolve"), "resolve", &grouping_id, json!({})).await;
            if number % 4 == 2 {
                world.kill_operator();
                world.start_operator().await;
            }
        }
    }
    let groups: BTreeMap<String, AlertGroup> = world
        .objects_that("all are resolved", |groups: &BTreeMap<String, AlertGroup>| {
            let is_resolved =
                |group: &AlertGroup| group.status.as_ref().is_some_and(|status| status.resolved.is_some());
            (groups.len() >= 3 * GROUPS && groups.values().all(is_resolved)).then(|| groups.clone())
        })
        .await;
    // What did not open or resolve a group is gone, the others are completed.
    let events = world
        .objects_that("all events are folded", |events: &BTreeMap<String, AlertGroupEvent>| {
            let is_over = |event: &AlertGroupEvent| {
                event.status.as_ref().is_some_and(|status| status.phase == EventPhase::Completed)
            };
            (events.len() == 6 * GROUPS && events.values().all(is_over)).then(|| events.clone())
        })
        .await;
    assert!(events.keys().all(|name| !name.starts_with("repeat")));
    assert_eq!(groups.len(), 3 * GROUPS);
    let counts: BTreeSet<u32> = groups.values().filter_map(|group| Some(group.status.as_ref()?.alerts_count)).collect();
    assert_eq!(counts, BTreeSet::from([3]));
    // A request may be repeated that was in flight at a kill, with the same id.
    let ids: BTreeSet<(String, String)> = world.ids().into_iter().collect();
    assert_eq!(ids.len(), 6 * GROUPS);
}

#[tokio::test(flavor = "multi_thread")]
async fn escalations_and_silences_end_in_time_also_after_a_restart() {
    let mut world = World::new("timers").await;
    let escalation = json!([{"after": "1s", "webhookRefs": ["mail"]}, {"after": "2s", "webhookRefs": ["page"]}]);
    integration(&world, "prometheus", json!({"escalation": escalation})).await;
    for webhook in ["mail", "page"] {
        world.seen_webhook(webhook, "escalation", json!({})).await;
    }
    alert(&world, "firing", "firing", "disk", json!({})).await;
    distinct(&world, 1).await;
    world.kill_operator();
    world.start_operator().await;
    assert_eq!(distinct(&world, 2).await, ["/mail", "/page"]);

    world.seen_webhook("unsilenced", "unsilence", json!({})).await;
    let (_, group) = verdict(&world, "firing").await;
    let group = group.expect("an alert group");
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    change(&world, "silenced", "silence", &group, json!({"until": until.to_string()})).await;
    assert_eq!(verdict(&world, "silenced").await.0, "Silenced");
    group_that(&world, &group, |status| status.silenced_until.is_some()).await;
    world.kill_operator();
    world.start_operator().await;
    let status = group_that(&world, &group, |status| status.silenced.is_none()).await;
    assert_eq!(json!(status.state), json!("firing"));
    assert_eq!(distinct(&world, 3).await[2], "/unsilenced");
    // For ever.
    change(&world, "silenced-again", "silence", &group, json!({"until": null})).await;
    assert_eq!(verdict(&world, "silenced-again").await.0, "Silenced");
    let status = group_that(&world, &group, |status| status.silenced.is_some()).await;
    assert_eq!(status.silenced_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_group_that_is_deleted_is_opened_anew_by_the_next_alert() {
    let world = World::new("group-deleted").await;
    integration(&world, "prometheus", json!({})).await;
    alert(&world, "first", "firing", "disk", json!({})).await;
    let (_, group) = verdict(&world, "first").await;
    let group = group.expect("an alert group");
    world.api::<AlertGroup>().delete(&group, &DeleteParams::default()).await.expect("delete AlertGroup");
    // The operator may not have seen that yet: what joins it meanwhile finds that it is gone.
    change(&world, "late", "acknowledge", &group, json!({})).await;
    verdict(&world, "late").await;
    let other = crate::harness::eventually("another one is opened", async || {
        let name = format!("again-{}", jiff::Timestamp::now().as_nanosecond());
        alert(&world, &name, "firing", "disk", json!({})).await;
        world
            .object_that("the event is folded", &name, |event: Option<&AlertGroupEvent>| match event {
                None => Some(None),
                Some(event) => {
                    let status = event.status.as_ref().filter(|status| status.phase == EventPhase::Completed)?;
                    Some(status.alert_group_ref.as_ref().map(|group| group.name.clone()))
                }
            })
            .await
    })
    .await;
    assert_ne!(other, group);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_says_what_it_received_and_which_templates_can_not_work() {
    let world = World::new("integration").await;
    integration(&world, "prometheus", json!({"type": "alertmanager", "templates": {"title": "{{ payload.x }}"}})).await;
    let status = world
        .object_that("its status is written", "prometheus", |integration: Option<&Integration>| {
            integration?.status.clone().filter(|status| status.id.is_some())
        })
        .await;
    let id = oncall_webhooks::core::id::integration_id(&world.namespace, "prometheus");
    let path = format!("/integrations/v1/alertmanager/namespaces/{}/prometheus/", world.namespace);
    assert_eq!((status.id, status.path, status.observed_generation), (Some(id), Some(path), Some(1)));
    assert_eq!(reasons(&status.conditions), [("Ready".to_owned(), "True".to_owned(), "Valid".to_owned())]);
    alert(&world, "first", "firing", "a", json!({})).await;
    alert(&world, "second", "firing", "b", json!({})).await;
    alert(&world, "third", "resolve", "b", json!({})).await;
    world
        .object_that("it tells of its alerts", "prometheus", |integration: Option<&Integration>| {
            let status = integration?.status.as_ref()?;
            (status.alerts == 3 && status.open_alert_groups == 1 && status.last_alert_time.is_some()).then_some(())
        })
        .await;
    let patch = r#"{"spec": {"templates": {"title": "{{ payload.x", "groupingId": "{{ 1 / 0 }}"}}}"#;
    world.kubectl(&["patch", "intg", "prometheus", "--type=merge", "-p", patch]).await;
    let conditions = world
        .object_that("it is not ready", "prometheus", |integration: Option<&Integration>| {
            let conditions = &integration?.status.as_ref()?.conditions;
            conditions.iter().any(|condition| condition.type_ == "Stalled").then(|| conditions.clone())
        })
        .await;
    let expected = |type_: &str, status: &str| (type_.to_owned(), status.to_owned(), "TemplateError".to_owned());
    assert_eq!(reasons(&conditions), [expected("Ready", "False"), expected("Stalled", "True")]);
    let message = &conditions[0].message;
    let has = |part: &str| message.contains(part);
    assert!(has("spec.templates.title, line 1: ") && has("spec.templates.groupingId, line 1: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_is_missing_opens_an_alert_group_and_what_comes_then_resolves_it() {
    let world = World::new("heartbeat").await;
    integration(&world, "prometheus", json!({"type": "alertmanager", "heartbeat": {"every": "10s"}})).await;
    world.seen_webhook("missing", "alert group created", json!({})).await;
    world.seen_webhook("back", "resolve", json!({})).await;
    heard(&world, "Unknown", "NothingReceived").await;
    let heartbeat = json!({"alert": {"integrationRef": {"name": "prometheus"}, "action": "heartbeat"}});
    event(&world, "beat", heartbeat.clone()).await;
    removed(&world, "beat").await;
    heard(&world, "True", "Received").await;
    let opened = distinct(&world, 1).await;
    assert_eq!(opened, ["/missing"]);
    let title = |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["alert_group"]["title"].clone();
    assert_eq!(title(&world.receiver.received()[0].body), json!("prometheus: no heartbeat"));
    heard(&world, "False", "Missed").await;
    event(&world, "beat-again", heartbeat).await;
    assert_eq!(distinct(&world, 2).await[1], "/back");
    removed(&world, "beat-again").await;
    heard(&world, "True", "Received").await;
}

/// Waits until the condition Heartbeat of the Integration is this.
async fn heard(world: &World, status: &str, reason: &str) {
    let expected = ("Heartbeat".to_owned(), status.to_owned(), reason.to_owned());
    world
        .object_that("the heartbeat is told", "prometheus", |integration: Option<&Integration>| {
            reasons(&integration?.status.as_ref()?.conditions).contains(&expected).then_some(())
        })
        .await;
}

/// Type, status and reason of each condition.
fn reasons(conditions: &[Condition]) -> Vec<(String, String, String)> {
    let of =
        |condition: &Condition| (condition.type_.clone(), format!("{:?}", condition.status), condition.reason.clone());
    conditions.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_a_change_does_so_in_his_own_name() {
    let world = World::new("own-name").await;
    integration(&world, "prometheus", json!({})).await;
    alert(&world, "first", "firing", "disk", json!({})).await;
    let (_, group) = verdict(&world, "first").await;
    let group = group.expect("an alert group");
    // Somebody who may create events, and nothing else. An administrator may do everything, this too.
    let role = ["create", "role", "events", "--verb=create", "--resource=alertgroupevents.oncall.dev"];
    world.kubectl(&role).await;
    world.kubectl(&["create", "rolebinding", "events", "--role=events", "--user=ann"]).await;
    let create = async |name: &str, spec: Value| {
        let event = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": name}, "spec": spec,
        });
        let mut kubectl = cluster().0.kubectl();
        kubectl.args(["create", "--as=ann", "--namespace", &world.namespace, "-f", "-"]);
        let created = tokio::task::spawn_blocking(move || support::pipe(&mut kubectl, &event.to_string()));
        created.await.expect("run kubectl").map_err(|error| format!("{error:#}"))
    };
    let own = "spec.user.username: give ann, the name under which the API server knows you";
    let timer = "spec.alertGroupRef.timer: leave it out, the operator alone sets it";
    let reference = json!({"name": group});
    for (spec, expected) in [
        (json!({"type": "acknowledge", "alertGroupRef": reference}), own),
        (json!({"type": "acknowledge", "alertGroupRef": reference, "user": {"username": "admin"}}), own),
        (json!({"type": "acknowledge", "alertGroupRef": reference, "user": {"id": "U1"}}), own),
        (
            json!({"type": "unsilence", "alertGroupRef": {"name": group, "timer": 1}, "user": {"username": "ann"}}),
            timer,
        ),
    ] {
        let refused = create("refused", spec.clone()).await.expect_err("it is refused");
        assert!(refused.contains(expected), "{spec}: {refused}");
    }
    let own = json!({"type": "acknowledge", "alertGroupRef": reference, "user": {"username": "ann"}});
    create("taken", own).await.expect("create an event in one's own name");
    assert_eq!(verdict(&world, "taken").await.0, "Acknowledged");
}
