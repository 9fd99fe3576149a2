//! What the API server refuses, and how it says so.

use crate::harness::{World, cluster};
use support::pipe;

fn refusal(world: &World, kind: &str, spec: &str) -> String {
    let manifest = format!("apiVersion: oncall.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {spec}\n");
    let mut kubectl = cluster().0.kubectl();
    kubectl.args(["apply", "--namespace", &world.namespace, "-f", "-"]);
    match pipe(&mut kubectl, &manifest) {
        Ok(accepted) => format!("accepted: {accepted}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_manifests_are_refused_with_the_field_and_the_way_out() {
    let world = World::new("schema").await;
    let secret = "{secretKeyRef: {name: s, key: k}}";
    let cases = [
        ("Webhook", "{triggerType: resolve}".to_owned(), "give exactly one of url and urlFrom"),
        (
            "Webhook",
            format!("{{triggerType: resolve, url: 'http://x', urlFrom: {secret}}}"),
            "give exactly one of url and urlFrom",
        ),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', data: d, forwardAll: true}".to_owned(),
            "data is not sent where forwardAll is true",
        ),
        ("Webhook", "{triggerType: nope, url: 'http://x'}".to_owned(), "spec.triggerType: Unsupported value: \"nope\""),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', httpMethod: post}".to_owned(),
            "spec.httpMethod: Unsupported value",
        ),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', timeout: 2m}".to_owned(),
            "give a timeout over 0s and up to 1m",
        ),
        ("Webhook", "{triggerType: resolve, url: 'http://x', timeout: soon}".to_owned(), "spec.timeout"),
        ("Webhook", "{triggerType: resolve, url: 'http://x', id: nope}".to_owned(), "spec.id"),
        ("Webhook", "{triggerType: resolve, url: 'http://x', password: hunter2}".to_owned(), "spec.password"),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', forwardALL: true}".to_owned(),
            "unknown field \"spec.forwardALL\"",
        ),
        (
            "AlertGroupEvent",
            "{type: escalation, alertGroup: {id: I1}}".to_owned(),
            "webhookRefs goes with type escalation",
        ),
        (
            "AlertGroupEvent",
            "{type: resolve, alertGroup: {id: I1}, webhookRefs: [one]}".to_owned(),
            "webhookRefs goes with type escalation",
        ),
        ("AlertGroupEvent", "{type: status change, alertGroup: {id: I1}}".to_owned(), "spec.type: Unsupported value"),
        ("AlertGroupEvent", "{type: resolve}".to_owned(), "spec.alertGroup: Required value"),
    ];
    for (kind, spec, expected) in cases {
        let refusal = refusal(&world, kind, &spec);
        assert!(refusal.contains(expected), "{kind} {spec}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_do_not_change_after_they_are_made() {
    let world = World::new("immutable").await;
    let spec = |status: &str| format!("{{type: resolve, alertGroup: {{id: I1}}, alertPayload: {{status: {status}}}}}");
    assert!(refusal(&world, "AlertGroupEvent", &spec("firing")).starts_with("accepted"));
    let refusal = refusal(&world, "AlertGroupEvent", &spec("resolved"));
    assert!(refusal.contains("an event is a record and does not change: create another one"), "{refusal}");
}
