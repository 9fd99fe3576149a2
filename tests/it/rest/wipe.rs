//! What a wipe leaves in the cluster of an alert group's content: nothing.

use std::collections::BTreeMap;

use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent, AlertGroupStatus, Webhook, WebhookResponse};
use reqwest::Method;
use serde_json::{Value, json};
use support::Answer;

use super::{
    Team,
    alert_groups::{act, path, seen},
    shared,
};
use crate::{
    harness::{LIMIT, TestNamespace, World, eventually},
    intake::{self, Source},
};

/// Stands in what sources send: as a value and as a key.
const MARKER: &str = "kestrel-4711";

/// All objects of a namespace that may have something of an alert, with who wrote which field.
async fn everything(place: &TestNamespace) -> String {
    let kinds = "webhooks,integrations,alertgroups,alertgroupevents,webhookresponses,deliveryjournals,events,leases";
    place.kubectl(&["get", kinds, "-o", "json", "--show-managed-fields"]).await
}

/// Waits until nothing has the marker.
async fn nothing_is_left(place: &TestNamespace) {
    eventually("nothing has the content any more", || async {
        (!everything(place).await.contains(MARKER)).then_some(())
    })
    .await;
}

/// Sends an alert to the Integration `prod`.
async fn send(source: &Source, path: &str, number: u8) {
    let body = json!({"text": MARKER, MARKER: number});
    assert_eq!(source.sends(path, &body.to_string()).await, 200);
}

/// A namespace whose receiver sends back what it gets, and a team that works in it; and the path of its Integration's source.
async fn ground(name: &str) -> (World, Team, Source, String) {
    let world = World::with_receiver(name, |request| Answer::new(200, request.body.clone())).await;
    let team = Team::within((*world).clone(), shared().await.url()).await;
    world.seen_webhook("tickets", "alert group created", json!({})).await;
    let templates = json!({"groupingId": "{{ payload.text }}", "title": "{{ payload.text }} is high"});
    let token = intake::made(&world, "prod", "webhook", json!({"templates": templates})).await;
    seen(&team, "prod").await;
    let (source, path) = (Source::new().await, intake::path("webhook", &token));
    source.is_known(&path).await;
    (world, team, source, path)
}

async fn group_that<T>(world: &World, what: &str, is: impl Fn(&AlertGroupStatus) -> Option<T>) -> (AlertGroup, T) {
    let found = |groups: &BTreeMap<String, AlertGroup>| {
        groups.values().find_map(|group| Some((group.clone(), is(group.status.as_ref()?)?)))
    };
    world.objects_that(what, found).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_the_content_of_an_alert_group_that_is_wiped_and_what_fires_again_opens_another_one() {
    let (world, team, source, source_path) = ground("wipe").await;
    send(&source, &source_path, 1).await;
    world.receiver.wait_for(1, LIMIT).await.expect("a request");
    send(&source, &source_path, 2).await;
    let (group, ()) = group_that(&world, "both are counted", |status| (status.alerts_count == 2).then_some(())).await;
    world
        .object_that(
            "the event is over",
            group.status.as_ref().expect("a status").transitions[0].event.event_ref.name.as_str(),
            |event: Option<&AlertGroupEvent>| (event?.status.as_ref()?.succeeded == 1).then_some(()),
        )
        .await;
    let before = everything(&world).await;
    assert!(before.matches(MARKER).count() > 10, "{before}");

    let one = path(&group);
    let wipe = async || team.call(Method::DELETE, &one, Some(&json!({"mode": "wipe"}))).await.both();
    assert_eq!(wipe().await, (204, Value::Null));
    let shown = team.get(&one).await.expect(200);
    let parts = ["state", "title", "resolved_by", "alerts_count"].map(|field| shown[field].clone());
    assert_eq!(parts, [json!("resolved"), Value::Null, Value::Null, json!(2)]);
    let alerts = team.get("/api/v1/alerts/").await.expect(200);
    let payloads = alerts["results"].as_array().expect("a page").iter().map(|alert| alert["payload"].clone());
    assert_eq!(payloads.collect::<Vec<_>>(), [json!({}), json!({})]);
    let completed = |status: &AlertGroupStatus| status.wiped.as_ref()?.completed;
    let (wiped, _) = group_that(&world, "nothing is left of it", completed).await;
    nothing_is_left(&world).await;
    let status = wiped.status.expect("a status");
    let by = status.wiped.and_then(|wiped| wiped.act.user);
    assert!(by.is_some() && by == status.by, "{by:?} {:?}", status.by);

    // What asked for it is left, and it asks once.
    assert_eq!(wipe().await, (204, Value::Null));
    assert_eq!(act(&team, &group, "unresolve").await.both(), (200, Value::Null));
    assert_eq!(act(&team, &group, "acknowledge").await.status, 400);
    let events = world.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list events").items;
    let verdicts: Vec<Value> =
        events.iter().map(|event| json!(event.status.as_ref().map(|status| status.verdict))).collect();
    assert_eq!(verdicts, [json!("Wiped")]);
    assert_eq!(world.api::<WebhookResponse>().list(&Default::default()).await.expect("list responses").items.len(), 0);

    send(&source, &source_path, 3).await;
    let opened = |status: &AlertGroupStatus| status.open_for_grouping.then_some(());
    let (other, ()) = group_that(&world, "another one is opened", opened).await;
    assert_ne!(other.name_any(), group.name_any());
    assert_eq!(world.receiver.wait_for(2, LIMIT).await.expect("a request").len(), 2, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_waits_to_be_sent_is_sent_without_the_content_and_removed_then_by_whoever_leads() {
    let (mut world, team, source, source_path) = ground("wipe-waits").await;
    world.seen_webhook("held", "acknowledge", json!({"suspend": true})).await;
    send(&source, &source_path, 1).await;
    world.receiver.wait_for(1, LIMIT).await.expect("a request");
    let (group, ()) = group_that(&world, "it is open", |status| status.open_for_grouping.then_some(())).await;
    eventually("the API shows it", || async { (team.get(&path(&group)).await.status == 200).then_some(()) }).await;
    assert_eq!(act(&team, &group, "acknowledge").await.both(), (200, Value::Null));
    assert_eq!(team.call(Method::DELETE, &path(&group), None).await.both(), (204, Value::Null));
    let is_over = |events: &BTreeMap<String, AlertGroupEvent>| {
        let verdicts = events.values().map(|event| json!(event.status.as_ref().map(|status| status.verdict)));
        (!verdicts.collect::<Vec<_>>().contains(&json!("Opened"))).then_some(())
    };
    world.objects_that("what is over is removed", is_over).await;
    assert_eq!(world.responses().await.len(), 1, "the answer is for whoever still is to be told");
    world.kill_operator();
    let held =
        world.api::<AlertGroup>().get(&group.name_any()).await.expect("get AlertGroup").status.expect("a status");
    assert_eq!(held.wiped.expect("it is wiped").completed, None, "an event of it waits");
    let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
    world.api::<Webhook>().patch("held", &PatchParams::default(), &patch).await.expect("patch Webhook");
    world.start_operator().await;

    let sent = world.receiver.wait_for(2, LIMIT).await.expect("a request");
    let data: Value = serde_json::from_str(&sent[1].body).expect("a body of JSON");
    let parts = ["event", "alert_payload"].map(|field| data[field].clone());
    assert_eq!((&sent[1].target[..], &parts[0]["type"], &parts[1]), ("/held", &json!("acknowledge"), &json!({})));
    let of_group = (&data["alert_group"]["title"], &data["alert_group"]["last_alert"]["payload"]);
    assert_eq!(of_group, (&Value::Null, &json!({})));
    let completed = |status: &AlertGroupStatus| status.wiped.as_ref()?.completed;
    group_that(&world, "nothing is left of it", completed).await;
    nothing_is_left(&world).await;
    assert_eq!(world.receiver.count(), 2, "nothing was sent twice");
}
