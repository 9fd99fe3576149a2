//! OnCall's own Go client, unchanged, in a program that uses all that it can do with webhooks.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use support::output;

use super::{Team, id};

/// Builds the program of tests/goclient and runs it. It needs the Go that the control plane is built with.
fn run(url: &str, token: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goclient");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("goclient");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(folder);
    output(go.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("CGO_ENABLED", "0")).expect("build the Go client");
    output(Command::new(program).env("ONCALL_API_URL", url).env("ONCALL_TOKEN", token)).expect("run the Go client")
}

#[tokio::test(flavor = "multi_thread")]
async fn oncalls_go_client_creates_lists_reads_updates_and_deletes() {
    let team = Team::new("goclient").await;
    let (url, token) = (team.url.clone(), team.token.clone());
    let said = tokio::task::spawn_blocking(move || run(&url, &token)).await.expect("run the Go client");
    let steps: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();

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
