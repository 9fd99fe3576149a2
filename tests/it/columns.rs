//! The columns, selectors and categories of `kubectl get`.

use serde_json::json;

use crate::harness::{World, eventually};

/// The cells of a table that kubectl printed, whose columns are at least two spaces apart.
fn cells(table: &str) -> Vec<Vec<String>> {
    table
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_columns_that_people_look_for() {
    let world = World::new("columns").await;
    world.seen_webhook("jira", "alert group created", json!({"httpMethod": "PUT"})).await;
    world.event("created", "alert group created", "I1", json!({})).await;
    world.completed("created", 1).await;
    let last = eventually("the last run is shown", || async {
        let table = world.kubectl(&["get", "webhooks"]).await;
        table.contains("Succeeded").then_some(table)
    })
    .await;

    let webhooks = cells(&last);
    assert_eq!(webhooks[0], ["NAME", "TRIGGER", "URL", "READY", "STATUS", "LAST", "AGE"]);
    let url = format!("{}/jira", world.receiver.url());
    assert_eq!(webhooks[1][..6], ["jira", "alert group created", &url, "True", "Ready", "Succeeded"]);

    let wide = cells(&world.kubectl(&["get", "wh", "-o", "wide"]).await);
    let columns = [
        "NAME",
        "TRIGGER",
        "URL",
        "READY",
        "STATUS",
        "LAST",
        "WAITING",
        "LAST SUCCESS",
        "ENABLED",
        "ID",
        "METHOD",
        "LAST RUN",
        "MESSAGE",
        "AGE",
    ];
    assert_eq!(wide[0], columns);
    assert_eq!(
        (&*wide[1][6], &*wide[1][8], &*wide[1][10], &*wide[1][12]),
        ("0", "true", "PUT", "Runs when its trigger fires")
    );

    let responses = cells(&world.kubectl(&["get", "whr"]).await);
    assert_eq!(responses[0], ["NAME", "WEBHOOK", "EVENT", "PHASE", "CODE", "ATTEMPTS", "AGE"]);
    assert_eq!(responses[1][1..6], ["jira", "created", "Succeeded", "200", "1"]);

    let events = cells(&world.kubectl(&["get", "agev"]).await);
    assert_eq!(events[0], ["NAME", "TYPE", "ALERT GROUP", "GROUP", "VERDICT", "PHASE", "SUCCEEDED", "FAILED", "AGE"]);
    assert_eq!(events[1][..6], ["created", "alert group created", "I1", "Completed", "1", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_alert_groups_with_who_works_on_them_and_integrations_with_how_many_are_open() {
    let world = World::new("group-columns").await;
    world
        .apply("{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: scripts}, spec: {type: webhook}}")
        .await;
    let event = |name: &str, spec: serde_json::Value| {
        json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": name}, "spec": spec})
            .to_string()
    };
    let alert = json!({"alert": {"integrationRef": {"name": "scripts"}, "title": "Disk full", "payload": {}}});
    world.apply(&event("disk-full", alert)).await;
    world.completed("disk-full", 0).await;
    let group = world.kubectl(&["get", "agev", "disk-full", "-o", "jsonpath={.status.alertGroupRef.name}"]).await;
    let change = json!({"type": "acknowledge", "alertGroupRef": {"name": group}, "user": {"username": "admin"}});
    world.apply(&event("taken", change)).await;
    let groups = eventually("the acknowledgement is shown", || async {
        let table = world.kubectl(&["get", "ag"]).await;
        table.contains("acknowledged").then(|| cells(&table))
    })
    .await;
    assert_eq!(groups[0], ["NAME", "STATE", "TITLE", "INTEGRATION", "ALERTS", "BY", "AGE"]);
    assert_eq!(groups[1][..6], [&group, "acknowledged", "Disk full", "scripts", "1", "admin"]);
    let integrations = eventually("the open alert group is shown", || async {
        let table = cells(&world.kubectl(&["get", "intg"]).await);
        (table[1].get(3).is_some_and(|open| open == "1")).then_some(table)
    })
    .await;
    assert_eq!(integrations[0], ["NAME", "TYPE", "READY", "OPEN", "LAST ALERT", "AGE"]);
    assert_eq!(integrations[1][..4], ["scripts", "webhook", "True", "1"]);
    let events = cells(&world.kubectl(&["get", "agev"]).await);
    assert_eq!(events[2][..5], ["taken", "acknowledge", &group, "Acknowledged", "Completed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_find_objects_by_field_label_and_category() {
    let world = World::new("selectors").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.seen_webhook("two", "resolve", json!({"data": "{{ nope | tojson }}"})).await;
    world.event("first", "resolve", "team/1", json!({})).await;
    world.completed("first", 2).await;
    let names = async |args: &[&str]| {
        let args: Vec<&str> = [&["get", "-o", "custom-columns=:.spec.webhookRef.name", "--no-headers"], args].concat();
        world.kubectl(&args).await.trim().to_owned()
    };
    assert_eq!(names(&["whr", "--field-selector", "status.phase=Failed"]).await, "two");
    assert_eq!(names(&["whr", "--field-selector", "spec.webhookRef.name=one,spec.alertGroupId=team/1"]).await, "one");
    assert_eq!(names(&["whr", "-l", "oncall.dev/webhook=two,oncall.dev/event=first"]).await, "two");
    let all = world.kubectl(&["get", "oncall", "-o", "name"]).await;
    assert_eq!(all.lines().count(), 5, "{all}");
    let selected = world
        .kubectl(&["get", "wh", "-o", "name", "--field-selector", "spec.triggerType=resolve,spec.enabled=true"])
        .await;
    assert_eq!(selected, "webhook.oncall.dev/one\nwebhook.oncall.dev/two\n");
}
