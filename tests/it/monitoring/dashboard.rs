//! Every query of the dashboard, and of the alerts, against what both processes really expose while they work, scraped by a real
//! Prometheus.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use support::{Answer, Prometheus, Received, Scraped};

use super::{DASHBOARD, rules, text};
use crate::{
    harness::{LIMIT, World},
    intake::{Source, group, made, path},
    rest,
};

/// The jobs that Prometheus scrapes, as the chart's ServiceMonitor would name them.
const JOBS: [&str; 2] = ["oncall-webhooks-metrics", "oncall-webhooks-api-metrics"];

/// More requests in a row than may fail before an endpoint counts as failing.
const FAILURES: usize = 6;

/// Each query of the dashboard with the panel that has it, and of each variable.
fn queries(namespace: &str) -> BTreeMap<String, String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let filled = |query: &str| {
        let of_rate = query.replace("$__rate_interval", "10s").replace("$__range", "1m");
        let filled =
            of_rate.replace("$namespace", namespace).replace("$webhook", ".*").replace("$job", &JOBS.join("|"));
        assert!(!filled.contains('$'), "{filled}");
        filled
    };
    let mut queries = BTreeMap::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let of = format!("{} {}", text(panel, "title"), text(target, "refId"));
            assert!(queries.insert(of.clone(), filled(text(target, "expr"))).is_none(), "{of}");
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let Some(query) = text(variable, "definition").strip_prefix("label_values(") else { continue };
        let (selector, label) = query.trim_end_matches(')').rsplit_once(", ").expect("a selector and a label");
        let values = format!("count by ({label}) ({})", filled(selector));
        queries.insert(format!("variable {}", text(variable, "name")), values);
    }
    queries
}

/// The address at which a process serves its metrics.
pub(super) fn health(process: &support::Operator) -> String {
    let listening = process.events("the health port listens");
    listening.first().and_then(|event| event["address"].as_str()).expect("an address").to_owned()
}

/// Webhooks of every kind: one that works, one that nobody answers, one that can't work, and one that waits.
async fn webhooks(world: &World) {
    world.webhook("works", "alert group created", json!({})).await;
    // An endpoint of a webhook that tries nothing again does not count as failing.
    let retry = json!({"maxAttempts": 2, "initialDelay": "100ms", "maxDelay": "100ms"});
    world.webhook("fails", "alert group created", json!({"retry": retry})).await;
    let password = json!({"secretKeyRef": {"name": "nowhere", "key": "password"}});
    world.webhook("unready", "alert group created", json!({"username": "a", "password": password})).await;
    world.webhook("waits", "alert group created", json!({"suspend": true})).await;
}

/// An answer to each request, by the webhook.
fn answer(request: &Received) -> Answer {
    if request.target == "/fails" { Answer::new(503, "down") } else { Answer::new(200, "ok") }
}

/// Those of the samples that are numbers.
fn numbers(samples: &[Value]) -> Vec<&Value> {
    samples.iter().filter(|sample| sample["value"][1].as_str().is_some_and(|value| value != "NaN")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_finds_data_in_what_both_processes_expose() {
    let world = World::with_receiver("dashboard", answer).await;
    let namespace = format!("--namespace={}", world.namespace);
    let api = rest::start("api-dashboard", &[&namespace, "--health-address=127.0.0.1:0"]).await;
    let operator = world.operator.as_ref().expect("an operator");
    let processes = [operator, api.process()];
    let scraped =
        JOBS.into_iter().zip(processes).map(|(job, process)| Scraped { job: job.to_owned(), address: health(process) });
    let prometheus = Prometheus::start(&scraped.collect::<Vec<_>>()).await.expect("start Prometheus");
    webhooks(&world).await;
    let token = made(&world, "prometheus", "alertmanager", json!({"heartbeat": {"every": "1h"}})).await;
    let (source, path) = (Source::of(&api), path("alertmanager", &token));

    let mut open = queries(&world.namespace);
    let all = open.len();
    let began = std::time::Instant::now();
    for number in 0.. {
        // Rates need what goes on: an event, an alert, and a call that nobody may make.
        let spec = json!({"type": "alert group created", "alertGroup": {"id": format!("I{number}")}});
        world.event(&format!("event-{number}"), "alert group created", &format!("I{number}"), spec).await;
        source.sends(&path, &group("firing").to_string()).await;
        for (of, query) in open.clone() {
            let samples = prometheus.query(&query).await.expect("a query that Prometheus takes");
            if !numbers(&samples).is_empty() {
                open.remove(&of);
            }
        }
        if open.is_empty() && number >= FAILURES {
            break;
        }
        assert!(began.elapsed() < LIMIT, "of {all} queries these find nothing: {open:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    alerts_see_what_is_wrong(&world, &prometheus).await;
}

/// The expressions of alerts, without the time that it has to last, give what is wrong here, by its labels, and nothing else.
async fn alerts_see_what_is_wrong(world: &World, prometheus: &Prometheus) {
    let of_webhook = |name: &str| vec![json!({"namespace": world.namespace, "webhook": name})];
    let expected = BTreeMap::from([
        ("OnCallWebhooksEndpointFailing", of_webhook("fails")),
        ("OnCallWebhooksDeliveriesGivenUp", of_webhook("fails")),
        ("OnCallWebhooksWebhookNotReady", of_webhook("unready")),
    ]);
    for (alert, labels) in expected {
        let rules = rules();
        let rule = rules.iter().find(|rule| text(rule, "alert") == alert).expect("a rule");
        crate::harness::eventually(&format!("{alert} sees it"), || async {
            let samples = prometheus.query(text(rule, "expr")).await.expect("a query that Prometheus takes");
            let found: Vec<Value> = samples.iter().map(|sample| sample["metric"].clone()).collect();
            (found == labels).then_some(())
        })
        .await;
    }
    let others =
        ["NoLeader", "SourceSilent", "SourceNeverSent", "WatchStuck"].map(|name| format!("OnCallWebhooks{name}"));
    for rule in rules().iter().filter(|rule| others.iter().any(|name| text(rule, "alert") == name)) {
        let samples = prometheus.query(text(rule, "expr")).await.expect("a query that Prometheus takes");
        assert_eq!(samples, Vec::<Value>::new(), "{}", text(rule, "alert"));
    }
}
