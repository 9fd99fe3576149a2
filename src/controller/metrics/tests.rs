//! All that both processes show, held to docs/metrics.md and to Prometheus' conventions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kube::runtime::{
    reflector::{self, ObjectRef, store::Writer},
    watcher::Event,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    controller::Metrics,
    core::delivery::ResponsePhase,
    metrics::{AttemptCode, IntakeOutcome, LostSpans, ProcessMetrics},
    rest,
};

/// A family as a scrape shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Described {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The families of a scrape, by name.
fn families(text: &str) -> BTreeMap<String, Described> {
    let mut families: BTreeMap<String, Described> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            name.clone_into(&mut last);
            let known = families.insert(name.to_owned(), Described { help: help.to_owned(), ..Described::default() });
            assert_eq!(known, None, "{name} is described once");
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            assert_eq!(name, last);
            kind.clone_into(&mut families.get_mut(name).unwrap().kind);
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = families.get_mut(&last).unwrap();
            let suffixes: &[&str] = if family.kind == "histogram" { &["_sum", "_count", "_bucket"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == format!("{last}{suffix}")), "{line} is of {last}");
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            family.labels.extend(names.filter(|label| label != "le"));
        }
    }
    families
}

fn webhook(name: &str, conditions: &Value) -> Webhook {
    serde_json::from_value(json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": name, "namespace": "team", "uid": name},
        "spec": {"triggerType": "acknowledge", "url": "https://receiver.example"},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn condition(type_: &str, status: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

/// A store that holds these.
fn stored<K>(objects: impl IntoIterator<Item = K>) -> (Store<K>, Writer<K>)
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store::<K>();
    writer.apply_watcher_event(&Event::Init);
    objects.into_iter().for_each(|object| writer.apply_watcher_event(&Event::InitApply(object)));
    writer.apply_watcher_event(&Event::InitDone);
    (store, writer)
}

/// The operator's metrics with at least one series in each family.
fn of_operator(labels: MetricLabels) -> (Metrics, impl Sized) {
    let metrics = Metrics::new(labels);
    let series = metrics.deliveries.webhook(&NamespacedName::new("team", "hook"));
    series.attempted(AttemptCode::Status(2), Duration::from_millis(10));
    series.ended(ResponsePhase::Succeeded);
    let (webhooks, webhook_writer) = stored([
        webhook("hook", &json!([condition("Ready", "True"), condition("Failing", "True")])),
        webhook("other", &json!([condition("Ready", "True"), condition("TemplateWarning", "True")])),
    ]);
    let integration: Integration = serde_json::from_value(json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Integration",
        "metadata": {"name": "prometheus", "namespace": "team", "uid": "i"},
        "spec": {"type": "alertmanager"},
        "status": {"conditions": [condition("Ready", "False")], "lastAlertTime": "1970-01-01T00:00:07Z"},
    }))
    .unwrap();
    let (integrations, integration_writer) = stored([integration]);
    metrics.state.show_webhooks(webhooks);
    metrics.state.show_integrations(integrations);
    counted(&metrics.process);
    (metrics, (series, webhook_writer, integration_writer))
}

/// Counts what both processes count.
fn counted(metrics: &ProcessMetrics) {
    metrics.watches.of("Webhook").active();
    LostSpans::NotTaken.counter();
    let mut reconciled = metrics.reconciles.of::<Webhook, (), fmt::Error, fmt::Error>();
    drop(reconciled(Ok((ObjectRef::new("hook"), ()))));
    metrics.api_server.note("get", Some(200), std::time::Instant::now());
}

/// The API's metrics with at least one series in each family.
fn of_api() -> rest::Metrics {
    let metrics = rest::Metrics::default();
    metrics.rest.note_unmatched();
    metrics.intake.count(Some("alertmanager"), IntakeOutcome::Taken);
    counted(&metrics.process);
    metrics
}

/// The series of a scrape whose names begin so.
fn series<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(prefix)).collect()
}

#[test]
fn docs_metrics_md_lists_every_family_with_its_type_labels_and_meaning() {
    let (operator, _held) = of_operator(MetricLabels::Webhook);
    let (operator, api) = (families(&operator.exposition().text()), families(&of_api().exposition().text()));
    let names: BTreeSet<&String> = operator.keys().chain(api.keys()).collect();
    let rows = names.into_iter().map(|name| {
        let (family, shown_by) = match (operator.get(name), api.get(name)) {
            (Some(family), Some(_)) => (family, "both"),
            (Some(family), None) => (family, "operator"),
            (None, family) => (family.unwrap(), "API"),
        };
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let Described { kind, help, .. } = family;
        format!("| `{name}` | {kind} | {} | {shown_by} | {help} |", labels.join(", "))
    });
    let expected: Vec<String> = rows.collect();
    let docs = include_str!("../../../docs/metrics.md");
    let documented: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(documented, expected, "the table in docs/metrics.md is to be:\n{}\n", expected.join("\n"));
}

#[test]
fn names_keep_prometheus_conventions() {
    let (operator, _held) = of_operator(MetricLabels::Webhook);
    let mut all = families(&operator.exposition().text());
    all.extend(families(&of_api().exposition().text()));
    assert!(all.len() > 40, "{}", all.len());
    for (name, Described { kind, help, labels }) in all {
        assert!(name.starts_with("oncall_webhooks_") || name.starts_with("process_"), "{name} says whose it is");
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(is_plain(&name) && labels.iter().all(|label| is_plain(label)), "{name} is in snake case");
        assert_eq!(
            kind == "counter",
            name.ends_with("_total"),
            "{name}: counters end in _total, and nothing else does"
        );
        assert!(["counter", "gauge", "histogram"].contains(&&*kind), "{name} has a type");
        assert!(help.len() > 10 && help.ends_with('.'), "{name} has a meaning: {help}");
        // A time is in seconds since 1970 or a number of seconds, memory in bytes: the name ends in the unit.
        for unit in ["seconds", "bytes"] {
            let base = name.trim_end_matches("_total").trim_end_matches("_limit");
            assert_eq!(base.contains(unit), base.ends_with(unit), "{name} ends in its unit");
        }
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name} has its unit");
        for unit in ["_ms", "milliseconds", "_kb", "_mb", "minutes", "hours", "percent"] {
            assert!(!name.contains(unit), "{name} has a base unit");
        }
    }
}

#[test]
fn series_are_of_webhooks_of_namespaces_or_of_all_as_the_operator_was_told() {
    let cases = [
        (
            MetricLabels::Webhook,
            [
                r#"oncall_webhooks_deliveries_total{namespace="team",webhook="hook",outcome="succeeded"} 1"#,
                r#"oncall_webhooks_attempts_total{namespace="team",code="2xx"} 1"#,
                r#"oncall_webhooks_deliveries_waiting{namespace="team",webhook="hook"} 0"#,
                r#"oncall_webhooks_oldest_waiting_seconds{namespace="team"} 0.0"#,
                r#"oncall_webhooks_webhook_condition{namespace="team",webhook="hook",type="Ready",status="true"} 1"#,
                r#"oncall_webhooks_integration_condition{namespace="team",integration="prometheus",type="Ready",status="false"} 1"#,
            ],
        ),
        (
            MetricLabels::Namespace,
            [
                r#"oncall_webhooks_deliveries_total{namespace="team",outcome="succeeded"} 1"#,
                r#"oncall_webhooks_attempts_total{namespace="team",code="2xx"} 1"#,
                r#"oncall_webhooks_deliveries_waiting{namespace="team"} 0"#,
                r#"oncall_webhooks_oldest_waiting_seconds{namespace="team"} 0.0"#,
                r#"oncall_webhooks_webhook_condition{namespace="team",type="Ready",status="true"} 2"#,
                r#"oncall_webhooks_integration_condition{namespace="team",type="Ready",status="false"} 1"#,
            ],
        ),
        (
            MetricLabels::None,
            [
                r#"oncall_webhooks_deliveries_total{outcome="succeeded"} 1"#,
                r#"oncall_webhooks_attempts_total{code="2xx"} 1"#,
                "oncall_webhooks_deliveries_waiting 0",
                "oncall_webhooks_oldest_waiting_seconds 0.0",
                r#"oncall_webhooks_webhook_condition{type="Ready",status="true"} 2"#,
                r#"oncall_webhooks_integration_condition{type="Ready",status="false"} 1"#,
            ],
        ),
    ];
    for (labels, expected) in cases {
        let (metrics, _held) = of_operator(labels);
        let text = metrics.exposition().text();
        for line in expected {
            assert!(text.lines().any(|other| other == line), "{labels:?}: {line}: {text}");
        }
    }
}

#[test]
fn a_webhook_has_the_conditions_that_its_status_has_and_none_that_nobody_asks_for() {
    let (metrics, _held) = of_operator(MetricLabels::Webhook);
    let text = metrics.exposition().text();
    let shown = series(&text, r#"oncall_webhooks_webhook_condition{namespace="team",webhook="#);
    let shown: Vec<&str> = shown.iter().map(|line| line.split_once("webhook=").unwrap().1).collect();
    let expected = [
        r#""hook",type="Failing",status="true"} 1"#,
        r#""hook",type="Ready",status="true"} 1"#,
        r#""other",type="Ready",status="true"} 1"#,
    ];
    assert_eq!(shown, expected);
}

#[test]
fn counters_begin_with_zero_and_vanish_with_their_webhook_and_its_namespace() {
    let metrics = Metrics::new(MetricLabels::Webhook);
    let text = || metrics.exposition().text();
    let of = |namespace: &str, name: &str| metrics.deliveries.webhook(&NamespacedName::new(namespace, name));
    let (one, two) = (of("team", "one"), of("team", "two"));
    let other = of("else", "one");
    one.ended(ResponsePhase::Failed);
    let failed = |text: &str| -> Vec<String> {
        let lines = series(text, "oncall_webhooks_deliveries_total").into_iter();
        lines.filter(|line| line.contains("failed")).map(|line| line.replace("oncall_webhooks_", "")).collect()
    };
    let line = |namespace: &str, name: &str, count: u32| {
        format!(r#"deliveries_total{{namespace="{namespace}",webhook="{name}",outcome="failed"}} {count}"#)
    };
    assert_eq!(failed(&text()), [line("else", "one", 0), line("team", "one", 1), line("team", "two", 0)]);
    drop(one);
    assert_eq!(failed(&text()), [line("else", "one", 0), line("team", "two", 0)]);
    assert!(text().contains(r#"namespace="team""#));
    drop(two);
    assert!(!text().contains(r#"namespace="team""#), "{}", text());
    drop(other);
    assert!(!text().contains("namespace="), "{}", text());
}
