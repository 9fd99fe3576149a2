//! Objects that the API server refuses, and the messages that say why.

use std::process::Command;

use crate::harness::{World, cluster};
use support::pipe;

fn refusal(world: &World, kind: &str, spec: &str) -> String {
    run(
        world,
        &["apply"],
        &format!("apiVersion: oncall.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {spec}\n"),
    )
}

fn run(world: &World, command: &[&str], manifest: &str) -> String {
    let mut kubectl = cluster().0.kubectl();
    kubectl.args(command).args(["--namespace", &world.namespace, "-f", "-"]);
    match pipe(&mut kubectl, manifest) {
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
            "{triggerType: resolve, url: 'http://x', preset: simple_webhook}".to_owned(),
            "preset simple_webhook goes with triggerType escalation, httpMethod POST and forwardAll true",
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
        ("AlertGroupEvent", "{type: resolve}".to_owned(), "give exactly one of alertGroup, alertGroupRef and alert"),
        (
            "AlertGroupEvent",
            "{type: resolve, alert: {integrationRef: {name: one}}}".to_owned(),
            "give a type with alertGroup and alertGroupRef, and none with alert",
        ),
        (
            "AlertGroupEvent",
            "{alertGroup: {id: I1}}".to_owned(),
            "give a type with alertGroup and alertGroupRef, and none with alert",
        ),
        (
            "AlertGroupEvent",
            "{type: alert group created, alertGroupRef: {name: one}, user: {username: admin}}".to_owned(),
            "type alert group created goes with alertGroup",
        ),
        ("AlertGroupEvent", "{type: wipe, alertGroup: {id: I1}}".to_owned(), "type wipe goes with alertGroupRef"),
        (
            "AlertGroupEvent",
            "{type: silence, alertGroupRef: {name: one}, user: {username: admin}, until: tomorrow}".to_owned(),
            "give an until such as 2026-01-31T12:00:00Z",
        ),
        (
            "AlertGroupEvent",
            "{alert: {integrationRef: {}}}".to_owned(),
            "spec.alert.integrationRef.name: Required value",
        ),
        ("Integration", "{type: prometheus}".to_owned(), "spec.type: Unsupported value: \"prometheus\""),
        ("Integration", "{type: webhook, id: nope}".to_owned(), "spec.id"),
        ("Integration", "{type: webhook, heartbeat: {every: 1s}}".to_owned(), "give a time from 10s to 168h"),
        (
            "Integration",
            "{type: webhook, escalation: [{after: 800h, webhookRefs: [page]}]}".to_owned(),
            "give an after up to 720h",
        ),
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

#[tokio::test(flavor = "multi_thread")]
async fn lint_refuses_what_the_api_server_refuses_and_nothing_else() {
    let world = World::new("lint").await;
    let hook =
        |spec: &str| format!("apiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata: {{name: one}}\nspec: {spec}\n");
    let event = |spec: &str| {
        format!(
            "apiVersion: oncall.dev/v1alpha1\nkind: AlertGroupEvent\nmetadata: {{generateName: e-}}\nspec: {spec}\n"
        )
    };
    let meta = |meta: &str| {
        let spec = "{triggerType: resolve, url: 'http://x'}";
        format!("apiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata: {meta}\nspec: {spec}\n")
    };
    let secret = "{secretKeyRef: {name: s, key: k}}";
    let keys = |count: usize| (0..count).map(|key| format!("k{key}: 1")).collect::<Vec<_>>().join(", ");
    let manifests = [
        // Keys that stand twice are not among them: kubectl takes the last without a word, lint does not.
        // Nulls, and what YAML 1.1 makes of plain words and numbers.
        hook("{triggerType: resolve, url: 'http://x', enabled: null, httpMethod: null, timeout: null}"),
        hook("{triggerType: null, url: 'http://x'}"),
        hook(&format!("{{triggerType: resolve, url: null, urlFrom: {secret}}}")),
        hook("{triggerType: resolve, url: null, urlFrom: null}"),
        hook("{triggerType: resolve, url: 'http://x', data: null, forwardAll: true}"),
        hook("{triggerType: resolve, url: 'http://x', data: '', forwardAll: true}"),
        hook("{triggerType: resolve, url: 'http://x', data: d, forwardAll: true}"),
        hook("{triggerType: escalation, url: 'http://x', data: d, forwardAll: true, preset: simple_webhook}"),
        hook("{triggerType: escalation, url: 'http://x', data: d, preset: simple_webhook}"),
        hook("{triggerType: escalation, url: 'http://x', httpMethod: PUT, preset: simple_webhook}"),
        hook("{triggerType: escalation, url: 'http://x', preset: simple_webhook}"),
        hook("{triggerType: escalation, url: 'http://x', preset: nope}"),
        hook("{triggerType: resolve, url: 'http://x', password: {secretKeyRef: null}}"),
        hook("{triggerType: resolve, url: 'http://x', integrationFilter: [null]}"),
        hook("{triggerType: resolve, url: 'http://x', labels: {a: null}}"),
        hook("{triggerType: resolve, url: 'http://x', enabled: yes}"),
        hook("{triggerType: resolve, url: 'http://x', enabled: 'yes'}"),
        hook("{triggerType: resolve, url: 'http://x', team: 1_0}"),
        hook("{triggerType: resolve, url: 'http://x', team: 2026-01-31}"),
        hook("{triggerType: resolve, url: 'http://x', team: no}"),
        hook("{triggerType: resolve, url: ''}"),
        hook("{triggerType: resolve, url: 'http://x', timeout: 1m}"),
        hook("{triggerType: resolve, url: 'http://x', retry: {timeoutDelays: []}}"),
        hook("{triggerType: resolve, url: 'http://x', retry: {timeoutDelays: [10s, 10s, 1m30s]}}"),
        hook("{triggerType: resolve, url: 'http://x', retry: {timeoutDelays: [10s, 25h]}}"),
        hook("{triggerType: resolve, url: 'http://x', retry: {timeoutDelays: [soon]}}"),
        hook("{triggerType: resolve, url: 'http://x', retry: {timeoutDelays: 10s}}"),
        hook("{triggerType: resolve, url: 'http://x', timeout: 0s}"),
        hook("{triggerType: resolve, url: 'http://x', timeout: 1.5s}"),
        hook("{triggerType: resolve, url: 'http://x', timeout: 0.5m}"),
        hook("{triggerType: resolve, url: 'http://x', headersFrom: [{name: 'a b', secretKeyRef: {name: s, key: k}}]}"),
        hook("{triggerType: resolve, url: 'http://x', name: ''}"),
        hook("[]"),
        hook("null"),
        event("{type: resolve, alertGroup: {id: I1, alertsCount: 1.0}}"),
        event("{type: resolve, alertGroup: {id: I1, alertsCount: 1.5}}"),
        event("{type: resolve, alertGroup: {id: I1, alertsCount: null}, webhookRefs: []}"),
        event("{type: resolve, alertGroup: {id: I1}, webhookRefs: null}"),
        event("{type: escalation, alertGroup: {id: I1}, webhookRefs: null}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: [1, {a: null}, [[]]]}"),
        event("{type: resolve, alertGroup: {id: I1, labels: {a: 1}}}"),
        event("{type: resolve, alertGroup: {id: I1, nope: null}}"),
        event("{type: resolve, alertGroup: {id: I1}, notifiedUsers: [{}]}"),
        event("{type: resolve, alertGroup: {id: I1}, user: {id: 1}}"),
        event("{type: resolve, alertGroup: {id: I1}, user: {id: U1, chat_id: 7, aB: null, phones: [{a: 1}]}}"),
        event("{type: silence, time: null, until: null, alertGroup: {id: I1}}"),
        event(&format!("{{type: resolve, alertGroup: {{id: I1}}, user: {{{}}}}}", keys(64))),
        event(&format!("{{type: resolve, alertGroup: {{id: I1}}, notifiedUsers: [{{{}}}]}}", keys(65))),
        meta("{name: One}"),
        meta("{name: 'a.b-c'}"),
        meta("{name: one, labels: {a: true}}"),
        meta("{name: one, labels: {a: 'b c'}}"),
        meta("{name: one, labels: {a: ''}, annotations: {b: 'x y'}}"),
        meta("{name: one, nope: 1}"),
        meta("{}"),
        meta("{name: one, namespace: null, labels: null, generateName: 'two.'}"),
        meta("{generateName: 'Two'}"),
        meta("{name: 7}"),
        meta("{name: one, finalizers: [a]}"),
        meta("{name: one}\nextra: 1"),
        meta("{name: one}\nstatus: {id: 1}"),
        meta(
            "{name: one}\nstatus: {conditions: [{type: A, status: 'True', lastTransitionTime: soon, reason: r, message: m}]}",
        ),
        meta("{name: one}\nstatus: {id: WH1, lastRun: {time: '2026-01-31T12:00:00Z', outcome: Failed, response: r}}"),
        event("{type: resolve, alertGroup: {id: I1, alertsCount: 9223372036854775808}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: {a: 9223372036854775807}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: {a: .inf}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: {a: &x [1], b: *x, c: 0x1F}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: {a: {<<: {b: 1}, c: 1}}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: {1: a, true: b, 1.5: c}}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: 2026-01-31}"),
        event("{type: resolve, alertGroup: {id: I1}, alertPayload: !!binary aGk=}"),
    ];
    let mut differences = Vec::new();
    for manifest in manifests {
        let refused = run(&world, &["create", "--dry-run=server"], &manifest);
        let mut lint = Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
        let linted = pipe(lint.args(["lint", "-f", "-", "-o", "json"]), &manifest);
        if refused.starts_with("accepted") != linted.is_ok() {
            differences.push(format!("{manifest}{refused}\nlint: {linted:?}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
