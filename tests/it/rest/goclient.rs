//! OnCall's own Go client, unchanged, in a program that uses all that it can do with webhooks.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use oncall_webhooks::core::id::integration_id;
use serde_json::{Value, json};
use support::output;

use super::{
    Team,
    alert_groups::{self, opened},
    id,
};
use crate::harness::go_program;

/// Runs the program of tests/goclient with these variables.
fn run(variables: &[(&str, String)]) -> String {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| go_program("goclient"));
    let variables = variables.iter().map(|(name, value)| (name, value));
    output(Command::new(&*BUILT).envs(variables)).expect("run the Go client")
}

/// What the program says of its steps.
async fn steps(team: &Team, alert_group: Option<&str>) -> Vec<Value> {
    let mut variables = vec![("ONCALL_API_URL", team.url.clone()), ("ONCALL_TOKEN", team.token.clone())];
    variables.extend(alert_group.map(|id| ("ONCALL_ALERT_GROUP", id.to_owned())));
    let said = tokio::task::spawn_blocking(move || run(&variables)).await.expect("run the Go client");
    said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn oncalls_go_client_creates_lists_reads_updates_and_deletes() {
    let team = Team::new("goclient").await;
    let steps = steps(&team, None).await;

    let made = id(&steps[0]["result"]).to_owned();
    let webhook = |name: &str, method: &str, password: Value| {
        json!({
            "id": made, "preset": "", "name": name, "team": "", "url": "https://example.com",
            "trigger_type": "resolve", "http_method": method, "data": "{\"text\": \"{{ alert_group.title }}\"}\n",
            "username": null, "password": password, "authorization_header": null, "trigger_template": null,
            "headers": null, "forward_all": false, "integration_filter": null, "schedule_filter": null,
            "is_webhook_enabled": true,
        })
    };
    let list = |results: Value| json!({"count": results.as_array().map(Vec::len), "next": null, "previous": null, "results": results});
    let first = webhook("Made by Go", "POST", "****************".into());
    let failed = |verb: &str, path: &str, status: u16, why: &str| {
        format!("{verb} {}/api/v1/webhooks/{path}: {status} {why}", team.url)
    };
    let expected = [
        json!({"step": "create", "status": 201, "result": first}),
        json!({
            "step": "create again", "status": 400,
            "error": failed("POST", "", 400, "{non_field_errors: [The fields name, organization must make a unique set.]}"),
        }),
        json!({"step": "list by name", "status": 200, "result": list(json!([first]))}),
        json!({"step": "list another name", "status": 200, "result": list(json!([]))}),
        json!({"step": "get", "status": 200, "result": first}),
        json!({"step": "update", "status": 200, "result": webhook("Changed by Go", "PUT", Value::Null)}),
        json!({"step": "delete", "status": 204}),
        json!({
            "step": "get deleted", "status": 404,
            "error": failed("GET", &format!("{made}/"), 404, "{detail: Not found.}"),
        }),
    ];
    assert_eq!(steps, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn oncalls_go_client_reads_alert_groups_and_integrations() {
    let (_world, team) = alert_groups::team("goclient-alerts").await;
    team.apply(
        "{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: prod},
          spec: {type: webhook, name: Production, labels: {env: prod, severity: high}}}",
    )
    .await;
    alert_groups::seen(&team, "prod").await;
    let group = opened(&team, "prod", "Disk is full").await;
    let status = group.status.as_ref().expect("a status");
    let steps = steps(&team, Some(&status.id)).await;

    let integration = integration_id(&team.namespace, "prod");
    let group = json!({
        "id": status.id, "integration_id": integration, "route_id": "", "alerts_count": 1, "state": "firing",
        "created_at": status.created_at.expect("a time").to_string(), "resolved_at": "", "acknowledged_at": "",
        "title": "Disk is full", "permalinks": {"slack": "", "slack_app": "", "telegram": "", "web": ""},
    });
    let opening = &status.transitions[0].event.event_ref;
    let alert = json!({
        "id": oncall_webhooks::core::id::alert_id(&opening.uid), "alert_group_id": status.id,
        "created_at": status.created_at.expect("a time").to_string(),
        "payload": {
            "state": "", "title": "Disk is full", "ruleId": 0, "message": "", "ruleUrl": "", "ruleName": "", "evalMatches": null,
        },
    });
    let (none, message) = (Value::Null, json!({"title": null, "message": null, "image_url": null}));
    let link = format!("{}/integrations/v1/webhook/namespaces/{}/prod/", team.url, team.namespace);
    let integration = json!({
        "id": integration, "team_id": "", "name": "Production", "link": link, "inbound_email": "", "incidents_count": 0,
        "type": "webhook", "labels": null, "dynamic_labels": null,
        "default_route": {
            "id": "", "escalation_chain_id": null, "slack": {"channel_id": null, "enabled": false},
            "telegram": {"id": null, "enabled": false},
        },
        "templates": {
            "grouping_key": none, "resolve_signal": none, "acknowledge_signal": none, "source_link": none,
            "slack": message, "web": message, "msteams": none, "telegram": message, "phone_call": {"title": null},
            "sms": {"title": null}, "email": none, "mobile_app": none,
        },
    });
    let list = |results: Value| json!({"count": results.as_array().map(Vec::len), "next": null, "previous": null, "results": results});
    let unknown = format!(
        "GET {}/api/v1/alert_groups/: 400 {{state: Must be one of the following: new, acknowledged, resolved, silenced}}",
        team.url
    );
    let expected = [
        json!({"step": "get", "status": 200, "result": group}),
        json!({"step": "list all", "status": 200, "result": list(json!([group]))}),
        json!({"step": "list by id and state", "status": 200, "result": list(json!([group]))}),
        json!({"step": "list by time", "status": 200, "result": list(json!([]))}),
        json!({"step": "list by labels", "status": 200, "result": list(json!([group]))}),
        json!({"step": "list by another label", "status": 200, "result": list(json!([]))}),
        json!({"step": "list an unknown state", "status": 400, "error": unknown}),
        json!({"step": "list alerts with ", "status": 200, "result": list(json!([alert]))}),
        json!({"step": "list alerts with DISK", "status": 200, "result": list(json!([alert]))}),
        json!({"step": "list alerts with nothing", "status": 200, "result": list(json!([]))}),
        json!({"step": "list integrations", "status": 200, "result": list(json!([integration]))}),
        json!({"step": "get integration", "status": 200, "result": integration}),
    ];
    assert_eq!(steps, expected);
}
