//! Log lines: one for a delivery that failed for good, none for one that succeeded, few in a storm; and levels that change while the
//! process runs.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use support::{Answer, Operator};

use crate::harness::{World, cluster, eventually};

const FAILED: &str = "a delivery failed for good";

/// What was logged, but for what the API server and the health port are asked.
fn lines(operator: &Operator) -> Vec<Value> {
    operator.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_has_a_line_one_that_succeeds_has_none_and_a_storm_has_few() {
    let respond = |request: &support::Received| Answer::new(if request.target == "/good" { 200 } else { 404 }, "");
    let world = World::with_receiver("lines", respond).await;
    let operator = world.operator.as_ref().expect("an operator");
    world.seen_webhook("good", "resolve", json!({})).await;
    world.event("fine", "resolve", "I0", json!({})).await;
    world.completed("fine", 1).await;
    let good: Vec<Value> = lines(operator).into_iter().filter(|line| line.to_string().contains("good")).collect();
    assert_eq!(good, [Value::Null; 0]);

    world.seen_webhook("bad", "acknowledge", json!({})).await;
    let events = 30;
    for number in 0..events {
        world.event(&format!("event-{number}"), "acknowledge", &format!("I{number}"), json!({})).await;
    }
    for number in 0..events {
        world.completed(&format!("event-{number}"), 1).await;
    }
    let left_out = || -> u64 {
        let told = operator.events("left out further lines like the ones before");
        let told = told.iter().filter(|line| line["like"] == FAILED && line["object"] == "bad");
        told.filter_map(|line| line["lines"].as_u64()).sum()
    };
    let written = eventually("all that failed is told of", || async {
        let written = operator.events(FAILED);
        (written.len() as u64 + left_out() == events).then_some(written)
    })
    .await;
    // Five in ten seconds.
    assert!((5..events as usize).contains(&written.len()), "{}", written.len());
    let first = &written[0];
    let known: Vec<&Value> = ["level", "namespace", "webhook", "event", "alert_group", "attempts", "status"]
        .iter()
        .map(|name| &first[*name])
        .collect();
    let number = first["event"].as_str().and_then(|event| event.strip_prefix("event-")).expect("an event");
    let group = format!("I{number}");
    let expected = json!(["WARN", world.namespace, "bad", first["event"], group, 1, 404]);
    assert_eq!(json!(known), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_fails_unsent_is_not_told_to_have_failed_as_an_earlier_attempt_did() {
    let world = World::with_receiver("reason", |_| Answer::new(200, "")).await;
    let operator = world.operator.as_ref().expect("an operator");
    // Port 9 discards what comes, where anybody listens.
    let spec = json!({"url": "http://127.0.0.1:9/", "retry": {"maxAttempts": 1}, "data": "{}"});
    world.seen_webhook("away", "resolve", spec).await;
    world.event("one", "resolve", "I1", json!({})).await;
    world.completed("one", 1).await;
    let broken = r#"--patch={"spec":{"data":"{{ nope"}}"#;
    world.kubectl(&["patch", "webhook", "away", "--type=merge", broken]).await;
    world.condition("away", "Ready", Some("TemplateError")).await;
    world.kubectl(&["annotate", "whr", "-l", "oncall.dev/webhook=away", "oncall.dev/redeliver=now"]).await;
    let told = eventually("both ends are told of", || async {
        let told = operator.events(FAILED);
        (told.len() == 2).then_some(told)
    })
    .await;
    let told: Vec<_> = told.iter().map(|line| json!([line["attempts"], line["reason"]])).collect();
    let unsent = "nothing could be sent; the WebhookResponse says why";
    assert_eq!(told, [json!([1, "Connection to 127.0.0.1 refused"]), json!([1, unsent])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_change_with_a_file_while_the_operator_runs_and_a_delivery_is_told_of_in_its_span() {
    let file: PathBuf =
        tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster").0.processes().dir().join("log-filter");
    fs::write(&file, "info\n").expect("write the file");
    let flag = format!("--log-filter-file={}", file.display());
    let world = World::configured("levels", |_| Answer::new(200, ""), &[&flag]).await;
    let operator = world.operator.as_ref().expect("an operator");
    let told = async |filter: &str| {
        fs::write(&file, filter).expect("write the file");
        eventually("the filter changes", || async {
            let changes = operator.events("the log filter changes to this");
            changes.last().is_some_and(|change| change["filter"] == filter).then_some(())
        })
        .await;
    };
    world.seen_webhook("one", "resolve", json!({})).await;
    world.event("quiet", "resolve", "I1", json!({})).await;
    world.completed("quiet", 1).await;
    assert_eq!(operator.events("an attempt ended"), [Value::Null; 0]);

    told("oncall_webhooks=debug,info").await;
    world.event("told", "resolve", "I1", json!({})).await;
    world.completed("told", 1).await;
    let attempts = operator.events("an attempt ended");
    let spans: Vec<&Value> = attempts.iter().map(|line| &line["span"]).collect();
    let span = json!({
        "name": "delivery", "namespace": world.namespace, "webhook": "one", "event": "told", "alert_group": "I1", "attempt": 1,
    });
    assert_eq!((spans, &attempts[0]["code"]), (vec![&span], &json!("2xx")));

    // What can't be used changes nothing.
    fs::write(&file, "info,oncall_webhooks=loud").expect("write the file");
    eventually("it says that the filter can't be used", || async {
        let told = operator.events("the file has no log filter that can be used; it stays as it was");
        (told.len() == 1).then_some(())
    })
    .await;
    told("info").await;
}
