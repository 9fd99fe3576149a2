//! Integrations, which are read and not written.

use oncall_webhooks::core::id::integration_id;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, with};
use crate::harness::eventually;

const INTEGRATIONS: &str = "/api/v1/integrations/";

/// What an integration reads as of which nothing is said but its type.
fn plain(team: &Team, name: &str, more: Value) -> Value {
    let link = format!("{}/integrations/v1/webhook/namespaces/{}/{name}/", team.url, team.namespace);
    let message = json!({"title": null, "message": null, "image_url": null});
    let body = json!({
        "maintenance_mode": null, "maintenance_started_at": null, "maintenance_end_at": null,
        "id": integration_id(&team.namespace, name), "name": name, "description_short": null, "team_id": null,
        "link": link, "inbound_email": null, "type": "webhook",
        "default_route": {
            "id": null, "slack": {"channel_id": null, "enabled": false}, "telegram": {"id": null, "enabled": false},
            "escalation_chain_id": null,
        },
        "templates": {
            "grouping_key": null, "resolve_signal": null, "acknowledge_signal": null, "source_link": null,
            "slack": message, "web": message, "sms": {"title": null}, "phone_call": {"title": null}, "telegram": message,
        },
        "heartbeat": null,
    });
    with(body, more)
}

#[tokio::test(flavor = "multi_thread")]
async fn integrations_are_shown_as_oncall_shows_them_and_without_their_tokens() {
    let team = Team::new("integrations").await;
    team.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: tokens, labels: {oncall.dev/secret: 'true'}},
          stringData: {a: oncall_secret_of_an_integration}}
---
{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: a}, spec: {type: webhook}}",
    )
    .await;
    eventually("the first is there", || async {
        (team.get(INTEGRATIONS).await.expect(200)["count"] == 1).then_some(())
    })
    .await;
    team.apply(
        "apiVersion: oncall.dev/v1alpha1
kind: Integration
metadata: {name: b}
spec:
  type: alertmanager
  name: Production
  id: CINTEGRATIQN1
  team: SRE
  tokenSecretRef: {name: tokens, key: a}
  heartbeat: {every: 5m}
  templates: {groupingId: g, title: t, resolveCondition: r, acknowledgeCondition: k}",
    )
    .await;
    let link = format!("{}/integrations/v1/alertmanager/namespaces/{}/b/", team.url, team.namespace);
    let a = plain(&team, "a", json!({}));
    let mut b = plain(
        &team,
        "b",
        json!({
            "id": "CINTEGRATIQN1", "name": "Production", "team_id": "SRE", "link": link, "type": "alertmanager",
            "heartbeat": {"link": format!("{link}heartbeat/")},
        }),
    );
    for (template, source) in [("grouping_key", "g"), ("resolve_signal", "r"), ("acknowledge_signal", "k")] {
        b["templates"][template] = source.into();
    }
    b["templates"]["web"]["title"] = "t".into();
    let listed = eventually("both are there", || async {
        let list = team.get(INTEGRATIONS).await.expect(200);
        (list["count"] == 2).then_some(list)
    })
    .await;
    let page = json!({
        "count": 2, "next": null, "previous": null, "results": [a, b], "page_size": 50, "current_page_number": 1,
        "total_pages": 1,
    });
    assert_eq!(listed.to_string(), page.to_string(), "also in their order");
    assert!(!listed.to_string().contains("oncall_secret"));
    assert_eq!(team.get(&format!("{INTEGRATIONS}CINTEGRATIQN1/")).await.both(), (200, b.clone()));
    assert_eq!(team.get(&format!("{INTEGRATIONS}CNOTHING/")).await.both(), (404, json!({"detail": "Not found."})));

    for (query, expected) in [
        ("?name=Production", json!([b])),
        ("?name=b", json!([])),
        ("?team_id=SRE", json!([b])),
        ("?team_id=null", json!([a])),
        ("?perpage=1&page=2", json!([b])),
    ] {
        let list = team.get(&format!("{INTEGRATIONS}{query}")).await.expect(200);
        assert_eq!(list["results"], expected, "{query}");
    }
    for (method, path) in [
        (Method::POST, INTEGRATIONS.to_owned()),
        (Method::PUT, format!("{INTEGRATIONS}CINTEGRATIQN1/")),
        (Method::DELETE, format!("{INTEGRATIONS}CINTEGRATIQN1/")),
    ] {
        let answer = team.call(method.clone(), &path, Some(&json!({"type": "webhook"}))).await;
        let detail = format!("Method \"{method}\" not allowed.");
        assert_eq!(answer.both(), (405, json!({ "detail": detail })), "{path}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    // Changes show, and what is gone is gone.
    team.kubectl(&["patch", "integration", "a", "--type=merge", "-p", r#"{"spec": {"name": "New"}}"#]).await;
    let path = format!("{INTEGRATIONS}{}/", integration_id(&team.namespace, "a"));
    eventually("the new name shows", || async { (team.get(&path).await.expect(200)["name"] == "New").then_some(()) })
        .await;
    team.kubectl(&["delete", "integration", "a"]).await;
    eventually("it is gone", || async { (team.get(&path).await.status == 404).then_some(()) }).await;

    let others = Team::new("integrations-others").await;
    assert_eq!(others.get(INTEGRATIONS).await.expect(200)["results"], json!([]));
    assert_eq!(others.get(&format!("{INTEGRATIONS}CINTEGRATIQN1/")).await.status, 404);
}
