//! The calls that OnCall's documentation shows, as the README shows them.

use std::process::Command;

use serde_json::{Value, json};
use support::output;

use super::{Team, alert_groups, id, plain};

/// The README's calls, in order.
fn documented() -> Vec<&'static str> {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("$ONCALL_API_URL")).map(str::trim).collect()
}

/// Runs a curl command with the shell, and returns what it printed: the body, and the status.
async fn shell(team: &Team, id: &str, command: &str) -> (Value, String) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{command} --silent --show-error --noproxy '*' --write-out '\\n%{{http_code}}'")])
        .envs([("ONCALL_API_URL", &team.url), ("TOKEN", &team.token)])
        .envs([("WEBHOOK_ID", id), ("ALERT_GROUP_ID", id)]);
    let printed = tokio::task::spawn_blocking(move || output(&mut shell)).await.expect("run curl").expect("curl");
    let (body, status) = printed.rsplit_once('\n').expect("a status");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("a body of JSON") };
    (body, status.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_the_readme_works_as_typed() {
    let team = Team::new("curl").await;
    let [create, list, get, disable, responses, delete, ..] = documented()[..] else {
        panic!("the README shows other calls");
    };
    let (created, status) = shell(&team, "", create).await;
    let id = id(&created).to_owned();
    let webhook = |more: Value| {
        let mut body = plain("New Webhook", more);
        body["id"] = id.as_str().into();
        body
    };
    let page = |results: Value| {
        json!({
            "count": results.as_array().map(Vec::len), "next": null, "previous": null, "results": results,
            "page_size": 50, "current_page_number": 1, "total_pages": 1,
        })
    };
    assert_eq!((created.to_string(), status.as_str()), (webhook(json!({})).to_string(), "201"));
    let disabled = json!({"is_webhook_enabled": false});
    let calls = [
        (list, page(json!([webhook(json!({}))])), "200"),
        (get, webhook(json!({})), "200"),
        (disable, webhook(disabled.clone()), "200"),
        (get, webhook(disabled), "200"),
        (responses, page(json!([])), "200"),
        (delete, Value::Null, "204"),
        (get, json!({"detail": "Not found."}), "404"),
    ];
    for (command, body, status) in calls {
        let (printed, code) = shell(&team, &id, command).await;
        assert_eq!((printed.to_string(), code.as_str()), (body.to_string(), status), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_calls_about_alert_groups_work_as_typed() {
    let (_world, team) = alert_groups::team("curl-alerts").await;
    let group = alert_groups::opened(&team, "prod", "Disk is full").await;
    let status = group.status.expect("a status");
    let [.., list, silence] = documented()[..] else { panic!("the README shows other calls") };
    let (listed, code) = shell(&team, "", list).await;
    assert_eq!((&listed["results"][0]["id"], &listed["count"], &*code), (&json!(status.id), &json!(1), "200"));
    assert_eq!(shell(&team, &status.id, silence).await, (Value::Null, "200".to_owned()));
    let (listed, _) = shell(&team, "", list).await;
    assert_eq!(listed["results"], json!([]));
}
