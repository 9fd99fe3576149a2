//! The calls that OnCall's documentation shows, typed as there.

use std::process::Command;

use serde_json::{Value, json};
use support::output;

use super::{Team, id, plain};

/// Runs a curl command with the shell, and returns what it printed: the body, and the status on a line of its own.
async fn shell(team: &Team, id: &str, command: &str) -> (Value, String) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{command} --silent --show-error --noproxy '*' --write-out '\\n%{{http_code}}'")])
        .envs([("ONCALL_API_URL", &team.url), ("TOKEN", &team.token)])
        .env("ID", id);
    let printed = tokio::task::spawn_blocking(move || output(&mut shell)).await.expect("run curl").expect("curl");
    let (body, status) = printed.rsplit_once('\n').expect("a status");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("a body of JSON") };
    (body, status.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_documented_curl_example_works_as_typed() {
    let team = Team::new("curl").await;
    let (created, status) = shell(
        &team,
        "",
        r#"curl "$ONCALL_API_URL/api/v1/webhooks/" \
  --request POST \
  --header "Authorization: $TOKEN" \
  --header "Content-Type: application/json" \
  --data '{
    "name": "New Webhook",
    "url": "https://example.com",
    "http_method": "POST",
    "trigger_type" : "resolve"
  }'"#,
    )
    .await;
    let id = id(&created).to_owned();
    let webhook = |more: Value| {
        let mut body = plain("New Webhook", more);
        body["id"] = id.as_str().into();
        body
    };
    let list = |results: Value| {
        json!({
            "count": results.as_array().map(Vec::len), "next": null, "previous": null, "results": results,
            "page_size": 50, "current_page_number": 1, "total_pages": 1,
        })
    };
    assert_eq!((created.to_string(), status.as_str()), (webhook(json!({})).to_string(), "201"));

    let examples = [
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/" \
  --request GET \
  --header "Authorization: $TOKEN""#,
            list(json!([webhook(json!({}))])),
            "200",
        ),
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/$ID/" \
  --request GET \
  --header "Authorization: $TOKEN" \
  --header "Content-Type: application/json""#,
            webhook(json!({})),
            "200",
        ),
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/$ID/" \
  --request PUT \
  --header "Authorization: $TOKEN" \
  --header "Content-Type: application/json" \
  --data '{
    "is_webhook_enabled": false
  }'"#,
            webhook(json!({"is_webhook_enabled": false})),
            "200",
        ),
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/$ID/responses" \
  --request GET \
  --header "Authorization: $TOKEN""#,
            list(json!([])),
            "200",
        ),
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/$ID/" \
  --request DELETE \
  --header "Authorization: $TOKEN""#,
            Value::Null,
            "204",
        ),
        (
            r#"curl "$ONCALL_API_URL/api/v1/webhooks/$ID/" \
  --request GET \
  --header "Authorization: $TOKEN""#,
            json!({"detail": "Not found."}),
            "404",
        ),
    ];
    for (command, body, status) in examples {
        let (printed, code) = shell(&team, &id, command).await;
        assert_eq!((printed.to_string(), code.as_str()), (body.to_string(), status), "{command}");
    }
}
