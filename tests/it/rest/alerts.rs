//! Alerts: the first and the last of each alert group.

use serde_json::{Value, json};

use super::alert_groups::{alert, opened, team};
use crate::harness::eventually;

const ALERTS: &str = "/api/v1/alerts/";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_alert_of_each_alert_group_are_listed_and_found() {
    let (_world, team) = team("alerts").await;
    let disk = opened(&team, "prod", "Disk is full").await;
    let load = opened(&team, "prod", "Load is high").await;
    for number in 2..4 {
        alert(&team, "prod", "Disk is full", json!({"n": number, "host": "Alpha"})).await;
    }
    let list = async |query: &str| team.get(&format!("{ALERTS}{query}")).await.expect(200);
    let page = eventually("all have come", || async {
        let page = list("").await;
        (page["results"][0]["payload"]["n"] == 3).then_some(page)
    })
    .await;
    let shown = page["results"].as_array().expect("a page").clone();
    let expected = json!({
        "count": 3, "next": null, "previous": null, "results": shown, "page_size": 50, "current_page_number": 1,
        "total_pages": 1,
    });
    assert_eq!(page.to_string(), expected.to_string());
    let id = |group: &oncall_webhooks::resources::AlertGroup| group.status.as_ref().expect("a status").id.clone();
    let (disk, load) = (id(&disk), id(&load));
    let in_brief = |alert: &Value| (alert["alert_group_id"].clone(), alert["payload"].clone());
    assert_eq!(
        shown.iter().map(in_brief).collect::<Vec<_>>(),
        [
            (json!(disk), json!({"n": 3, "host": "Alpha"})),
            (json!(load), json!({"title": "Load is high"})),
            (json!(disk), json!({"title": "Disk is full"})),
        ],
        "newest first; the one between is not stored"
    );
    let keys: Vec<_> = shown[0].as_object().expect("an alert").keys().collect();
    assert_eq!(keys, ["id", "alert_group_id", "created_at", "payload"]);
    // The last one is the alert group's own.
    let group = team.get(&format!("/api/v1/alert_groups/{disk}/")).await.expect(200);
    assert_eq!(group["last_alert"], shown[0]);

    let alert_id = |which: usize| shown[which]["id"].as_str().expect("an id").to_owned();
    for (query, expected) in [
        (format!("?alert_group_id={disk}"), json!([shown[0], shown[2]])),
        (format!("?alert_group_id={load}&perpage=1"), json!([shown[1]])),
        ("?perpage=1&page=2".to_owned(), json!([shown[1]])),
        (format!("?id={}", alert_id(2)), json!([shown[2]])),
        (format!("?id={}&alert_group_id={load}", alert_id(2)), json!([])),
        (format!("?alert_group_id={disk}&search=aLPHa"), json!([shown[0]])),
        (format!("?alert_group_id={disk}&search=full&page=1"), json!([shown[2]])),
        (format!("?alert_group_id={disk}&search=nothing"), json!([])),
        ("?alert_group_id=INOTHING".to_owned(), json!([])),
        ("?id=ANOTHING".to_owned(), json!([])),
    ] {
        assert_eq!(list(&query).await["results"], expected, "{query}");
    }
    let refused = team.get(&format!("{ALERTS}?search=full")).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("alert_group_id")),
        "{}",
        refused.body
    );
    assert_eq!(
        team.get(&format!("{ALERTS}{}/", alert_id(0))).await.status,
        404,
        "as in OnCall there is no such address"
    );
    assert_eq!(team.delete(ALERTS).await.both(), (405, json!({"detail": "Method \"DELETE\" not allowed."})));
}
