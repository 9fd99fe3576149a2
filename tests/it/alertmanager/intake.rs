//! A real Alertmanager, pointed at the intake: from its alerts to the requests of webhooks.
//!
//! ```text
//! Alertmanager ─► api ─┐
//!    ▲ gossip          ├─► AlertGroupEvents ─► operator ─► AlertGroups, receiver
//!    ▼                 │
//! Alertmanager ─► api ─┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use oncall_webhooks::{
    core::alert_groups::Verdict,
    resources::{AlertGroup, AlertGroupEvent},
};
use serde_json::{Value, json};
use support::{Alert, Alertmanager, Api, Received, config_to};

use crate::{
    harness::{LIMIT, World, eventually},
    intake::{Source, made, path, shared, start},
};

/// An operator with a webhook for each end of an alert group, and an Integration whose token is known.
async fn prepared(name: &str, apis: &[&Api]) -> (World, String) {
    let world = World::new(name).await;
    world.seen_webhook("created", "alert group created", json!({})).await;
    world.seen_webhook("resolved", "resolve", json!({})).await;
    let token = made(&world, "prometheus", "alertmanager", json!({})).await;
    for api in apis {
        Source::of(api).is_known(&path("alertmanager", &token)).await;
    }
    (world, token)
}

/// Waits for the requests of a webhook, until each of `titles` had one, and returns the last of each.
async fn requests(world: &World, webhook: &str, titles: &[&str]) -> BTreeMap<String, Value> {
    let found = |received: &[Received]| -> BTreeMap<String, Value> {
        let of_webhook = received.iter().filter(|request| request.target == format!("/{webhook}"));
        let data = of_webhook.map(|request| serde_json::from_str::<Value>(&request.body).expect("JSON"));
        data.map(|data| (data["alert_group"]["title"].as_str().expect("a title").to_owned(), data)).collect()
    };
    let wanted: BTreeSet<String> = titles.iter().map(|title| format!("{title} ")).collect();
    let all_are_there = |received: &[Received]| found(received).into_keys().collect::<BTreeSet<_>>() == wanted;
    let received = world.receiver.wait_until(LIMIT, all_are_there).await.expect("requests of all groups");
    found(&received)
}

/// Waits until every alert group has had `alerts` of them.
async fn counted(world: &World, groups: usize, alerts: u32) {
    world
        .objects_that("all alerts are counted", |found: &BTreeMap<String, AlertGroup>| {
            let count = |group: &AlertGroup| group.status.as_ref().map(|status| status.alerts_count);
            (found.len() == groups && found.values().all(|group| count(group) == Some(alerts))).then_some(())
        })
        .await;
}

/// Waits until what is left of events is one of each kind for each group; there must have been no other that fired webhooks.
async fn one_event_of_each_kind(world: &World, groups: usize) {
    let found = world
        .objects_that("events that changed nothing are gone", |events: &BTreeMap<String, AlertGroupEvent>| {
            let statuses = events.values().map(|event| event.status.as_ref());
            let verdict = |event: &AlertGroupEvent| {
                let status = event.status.as_ref()?;
                Some((status.verdict?, status.alert_group_ref.as_ref()?.name.clone()))
            };
            let is_done = statuses.flatten().count() == events.len() && events.len() == 2 * groups;
            is_done.then(|| events.values().map(verdict).collect::<Option<Vec<_>>>())?
        })
        .await;
    let names: BTreeSet<_> = found.iter().map(|(_, group)| group.clone()).collect();
    assert_eq!(names.len(), groups);
    for name in &names {
        let verdicts: Vec<_> = found.iter().filter(|(_, group)| group == name).map(|(verdict, _)| *verdict).collect();
        assert!(verdicts.len() == 2 && verdicts.contains(&Verdict::Opened) && verdicts.contains(&Verdict::Resolved));
    }
    let ids: BTreeSet<_> = world.ids().into_iter().collect();
    let of = |webhook: &str| ids.iter().filter(|(target, _)| target == webhook).count();
    assert_eq!((of("/created"), of("/resolved")), (groups, groups), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_fires_grows_and_resolves_whichever_way_the_token_comes() {
    let api = shared().await;
    let (world, token) = prepared("am-way", &[api]).await;
    let named = format!("/integrations/v1/alertmanager/namespaces/{}/prometheus/", world.namespace);
    let configs = [
        config_to(&format!("{}{}", api.url(), path("alertmanager", &token)), None),
        config_to(&format!("{}{named}", api.url()), Some(&token)),
    ];
    for (config, title) in configs.iter().zip(["InPath", "InHeader"]) {
        let alertmanager = Alertmanager::start(&config.to_string()).await.expect("start");
        let alert = |instance: &str| Alert::new(title).label("instance", instance);
        alertmanager.fire(&[alert("a")]).await.expect("fire");
        let titles: Vec<_> =
            ["InHeader", "InPath"].into_iter().filter(|other| title == "InHeader" || *other == title).collect();
        let created = requests(&world, "created", &titles).await.remove(&format!("{title} ")).expect("its request");
        let payload = &created["alert_payload"];
        assert_eq!(payload["groupKey"], format!(r#"{{}}:{{alertname="{title}"}}"#));
        assert_eq!((&payload["numFiring"], &payload["numResolved"]), (&json!(1), &json!(0)));
        assert_eq!(payload["externalURL"], alertmanager.url());
        assert_eq!(payload["alerts"][0]["labels"], json!({"alertname": title, "instance": "a"}));

        alertmanager.fire(&[alert("b")]).await.expect("fire");
        world
            .objects_that("the second alert is counted", |groups: &BTreeMap<String, AlertGroup>| {
                let statuses = groups.values().filter_map(|group| group.status.as_ref());
                let own = statuses.filter(|status| status.title == format!("{title} ")).collect::<Vec<_>>();
                assert!(own.len() <= 1, "{own:?}");
                own.first().filter(|status| status.alerts_count == 2).map(drop)
            })
            .await;
        alertmanager.resolve(&[alert("a"), alert("b")]).await.expect("resolve");
        let resolved = requests(&world, "resolved", &titles).await.remove(&format!("{title} ")).expect("its request");
        let group = &resolved["alert_group"];
        assert_eq!((&group["state"], &group["id"]), (&json!("resolved"), &created["alert_group_id"]));
        assert_eq!(group["last_alert"]["payload"]["numResolved"], 2);
        assert_eq!(resolved["alert_payload"], *payload);
    }
    one_event_of_each_kind(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_two_and_two_replicas_make_one_event_of_each_kind() {
    const TITLES: [&str; 4] = ["DiskFull", "HostDown", "LinkFlaps", "NoBackup"];
    let apis = [start("api-am-0", &[]).await, start("api-am-1", &[]).await];
    let (world, token) = prepared("am-cluster", &[&apis[0], &apis[1]]).await;
    let configs = apis
        .each_ref()
        .map(|api| config_to(&format!("{}{}", api.url(), path("alertmanager", &token)), None).to_string());
    let peers = Alertmanager::start_cluster(&[&configs[0], &configs[1]]).await.expect("start");
    let alerts = TITLES.map(Alert::new);
    for peer in &peers {
        peer.fire(&alerts).await.expect("fire");
    }
    requests(&world, "created", &TITLES).await;
    let looked = async || peers[1].log().ok()?.contains("flushing").then_some(());
    eventually("the second looks whether the first has notified", looked).await;
    for peer in &peers {
        peer.resolve(&alerts).await.expect("resolve");
    }
    requests(&world, "resolved", &TITLES).await;
    one_event_of_each_kind(&world, TITLES.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_do_not_know_each_other_and_both_notify_make_one_event_of_each_kind() {
    const TITLES: [&str; 4] = ["DiskFull", "HostDown", "LinkFlaps", "NoBackup"];
    let apis = [start("api-am-2", &[]).await, start("api-am-3", &[]).await];
    let (world, token) = prepared("am-split", &[&apis[0], &apis[1]]).await;
    let mut split = Vec::new();
    for api in &apis {
        let config = config_to(&format!("{}{}", api.url(), path("alertmanager", &token)), None);
        split.push(Alertmanager::start(&config.to_string()).await.expect("start"));
    }
    let alerts = TITLES.map(Alert::new);
    for one in &split {
        one.fire(&alerts).await.expect("fire");
    }
    counted(&world, TITLES.len(), 2).await;
    for one in &split {
        one.resolve(&alerts).await.expect("resolve");
    }
    requests(&world, "created", &TITLES).await;
    requests(&world, "resolved", &TITLES).await;
    for one in &split {
        let notified = async || {
            let log = one.log().ok()?;
            (log.matches("Notify success").count() >= 2 * TITLES.len()).then_some(())
        };
        eventually("both have notified of both", notified).await;
    }
    one_event_of_each_kind(&world, TITLES.len()).await;
}
