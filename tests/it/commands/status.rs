//! How things are, in one look.

use kube::ResourceExt;
use oncall_webhooks::resources::{AlertGroupEvent, Integration};
use serde_json::{Value, json};
use support::Answer;

use super::{opened, program, run, terminal::at_terminal, words};
use crate::harness::World;

/// A namespace in which something of every kind is wrong, and something is well.
async fn in_trouble(name: &str) -> World {
    let world = World::with_receiver(name, |request| match request.target.as_str() {
        "/refused" => Answer::new(400, "said"),
        "/down" => Answer { headers: vec![("Retry-After", "3600".to_owned())], ..Answer::new(429, "") },
        _ => Answer::new(200, "said"),
    })
    .await;
    world
        .apply("{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: prod}, spec: {type: webhook}}")
        .await;
    for (name, spec) in [
        ("well", json!({})),
        ("refused", json!({})),
        ("held", json!({"suspend": true})),
        ("off", json!({"enabled": false})),
        ("broken", json!({"data": "{{ 1 | nope }}", "forwardAll": false})),
        ("down", json!({"retry": {"deadline": "24h"}})),
    ] {
        world.seen_webhook(name, "resolve", spec).await;
    }
    world.event("one", "resolve", "I1", json!({})).await;
    world.condition("down", "Failing", Some("EndpointFailing")).await;
    world.event("two", "resolve", "I2", json!({})).await;
    for event in ["one", "two"] {
        // It is told while deliveries wait, some seconds later.
        let told = |event: Option<&AlertGroupEvent>| {
            let webhooks = &event?.status.as_ref()?.webhooks;
            (webhooks.iter().filter(|webhook| !webhook.is_open()).count() == 3).then_some(())
        };
        world.object_that("what waits is told", event, told).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_tells_what_needs_a_person_first() {
    let world = in_trouble("status-look").await;
    let firing = opened(&world, "Disk is full").await.name_any();
    let taken = opened(&world, "Fan is loud").await.name_any();
    let (stdout, stderr, status) = run(&world, &["ack", &taken], "").await;
    assert_eq!((stderr.as_str(), status), ("", 0), "{stdout}");
    let both = |integration: Option<&Integration>| (integration?.status.as_ref()?.open_alert_groups == 2).then_some(());
    world.object_that("both are counted", "prod", both).await;
    let me = super::myself(&world).await;
    let response = world.responses().await.remove(&("refused".to_owned(), "two".to_owned())).expect("it was refused");
    let response = response.name_any();

    let (shown, stderr, status) = run(&world, &["status"], "").await;
    assert_eq!((stderr.as_str(), status), ("", 0), "{shown}");
    let expected = [
        &format!("5 things need you in namespace {}:", world.namespace),
        "KIND NAME STATE SINCE MESSAGE",
        &format!("AlertGroup {firing} firing AGE Disk is full"),
        "Webhook broken NotReady AGE spec.data, line 1: Template Error: No filter named 'nope'.",
        "Webhook down Failing AGE 2 waiting. Failed some times in a row: tried with one delivery at a time until it answers; the Webh…",
        "Webhook held Suspended AGE 2 waiting. spec.suspend: what it is to send waits until this is lifted",
        &format!("Webhook refused Failed AGE The last delivery failed with 400, AGE ago: WebhookResponse {response}"),
        "",
        "Webhooks: 6",
        "NAME STATE SUCCEEDED WAITING OLDEST LAST RUN LAST CODE",
        "broken NotReady 0% of 2 AGE Failed",
        "down Failing 2 AGE AGE 429",
        "held Suspended 2 AGE",
        "refused Ready 0% of 2 AGE 400",
        "well Ready 100% of 2 AGE 200",
        "off Disabled",
        "",
        "Open alert groups: 2",
        "NAME STATE TITLE INTEGRATION ALERTS BY AGE",
        &format!("{firing} firing Disk is full prod 1 AGE"),
        &format!("{taken} acknowledged Fan is loud prod 1 {me} AGE"),
        "",
        "Integrations: 1",
        "NAME STATE TYPE OPEN LAST ALERT",
        "prod Ready webhook 2 AGE",
    ];
    assert_eq!(words(&shown), expected);

    let (named, ..) = run(&world, &["status", "-o", "name"], "").await;
    let webhooks = ["broken", "down", "held", "refused"].map(|name| format!("webhook.oncall.dev/{name}\n"));
    assert_eq!(named, format!("alertgroup.oncall.dev/{firing}\n{}", webhooks.concat()));

    let (document, ..) = run(&world, &["status", "-o", "json"], "").await;
    let mut document: Value = serde_json::from_str(&document).expect("it is JSON");
    let down = document["webhooks"][1].take();
    let id = oncall_webhooks::core::id::webhook_id(&world.namespace, "down");
    for (field, expected) in [
        ("name", json!("down")),
        ("namespace", json!(world.namespace)),
        ("id", json!(id)),
        ("triggerType", json!("resolve")),
        ("state", json!("Failing")),
        ("succeeded", json!(0)),
        ("failed", json!(0)),
        ("waiting", json!(2)),
    ] {
        assert_eq!(down[field], expected, "{field}");
    }
    assert_eq!(down["lastRun"]["statusCode"], json!(429));
    let (yaml, ..) = run(&world, &["status", "-o", "yaml"], "").await;
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("it is YAML");
    assert_eq!((&yaml["alertGroups"], &yaml["integrations"]), (&document["alertGroups"], &document["integrations"]));

    at_a_terminal_it_has_colours(&world);
}

fn at_a_terminal_it_has_colours(world: &World) {
    let colours = |args: &[&str], no_color: Option<&str>| {
        let mut status = program(world, args);
        status.env_remove("NO_COLOR");
        no_color.map(|value| status.env("NO_COLOR", value));
        let (shown, code) = at_terminal(status, "");
        assert!(code == 0 && shown.contains("Failing"), "{shown}");
        shown.contains("\u{1b}[31mFailing\u{1b}[0m")
    };
    assert!(colours(&["status"], None));
    assert!(!colours(&["status"], Some("1")));
    assert!(!colours(&["status", "--color", "never"], None));
    assert!(colours(&["status", "--color", "always"], Some("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_operator_works_that_is_what_is_said() {
    let world = World::without_operator("status-none", |_| Answer::new(200, "")).await;
    let (shown, stderr, status) = run(&world, &["status"], "").await;
    let nothing = format!(
        "Nothing needs you in namespace {}.\n\nWebhooks: 0\n\nOpen alert groups: 0\n\nIntegrations: 0\n",
        world.namespace
    );
    assert_eq!((shown, stderr.as_str(), status), (nothing, "", 0));
    world.webhook("one", "resolve", json!({})).await;
    let (shown, ..) = run(&world, &["status"], "").await;
    let expected = [
        &format!("1 thing needs you in namespace {}:", world.namespace),
        "KIND NAME STATE SINCE MESSAGE",
        "Webhook one Unknown No operator has looked at it as it is now",
        "",
        "Webhooks: 1",
        "NAME STATE SUCCEEDED WAITING OLDEST LAST RUN LAST CODE",
        "one Unknown",
        "",
        "Open alert groups: 0",
        "",
        "Integrations: 0",
    ];
    assert_eq!(words(&shown), expected);
    // All namespaces are too many to compare.
    let mut all = std::process::Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    all.args(["status", "-A", "-o", "json"]).env("KUBECONFIG", crate::harness::cluster().0.kubeconfig());
    let all: Value = serde_json::from_str(&support::output(&mut all).expect("look")).expect("it is JSON");
    let webhooks = all["webhooks"].as_array().expect("a list");
    let ours: Vec<&Value> = webhooks.iter().filter(|webhook| webhook["namespace"] == json!(world.namespace)).collect();
    assert!(ours.len() == 1 && ours[0]["state"] == json!("Unknown"), "{ours:?}");
}
