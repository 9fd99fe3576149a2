//! Alerts fire when they should, and say what they should; and what the chart installs is what was tested.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use cluster::ProcessGroup;
use serde_json::{Value, json};
use support::promtool;

use super::{ALERTS, rendered, rules, text};

/// The cases, as promtool reads them.
const CASES: &str = include_str!("alerts.test.yaml");

/// The groups of the PrometheusRule that the chart makes of these values.
fn groups(values: Value) -> Value {
    let mut values = values;
    values["enabled"] = true.into();
    let mut made = rendered(Some("templates/prometheusrule.yaml"), &json!({"metrics": {"prometheusRule": values}}));
    assert_eq!((made.len(), text(&made[0], "kind")), (1, "PrometheusRule"));
    made.remove(0)["spec"]["groups"].take()
}

#[test]
fn each_alert_fires_when_it_should_and_holds_its_peace_where_all_is_well() {
    let scratch = ProcessGroup::new("oncall-alerts-").expect("make a folder");
    let folder = scratch.dir();
    fs::write(folder.join("alerts.yaml"), ALERTS).expect("write the rules");
    fs::write(folder.join("cases.yaml"), CASES).expect("write the cases");
    promtool(folder, &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"]).expect("rules that are fine");
    promtool(folder, &["test", "rules", "cases.yaml"]).expect("alerts that fire when they should");

    // What a value says of an alert is said of one rule.
    let names: BTreeSet<String> = rules().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    assert_eq!(names.len(), rules().len());

    // By alert: whether it fires, in each of its cases.
    let cases: Value = serde_saphyr::from_str(CASES).expect("YAML");
    let mut tried = BTreeMap::<String, BTreeSet<bool>>::new();
    for test in cases["tests"].as_array().expect("tests") {
        for case in test["alert_rule_test"].as_array().expect("cases") {
            let fires = case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            tried.entry(text(case, "alertname").to_owned()).or_default().insert(fires);
        }
    }
    let both = BTreeSet::from([false, true]);
    let expected = rules().iter().map(|rule| (text(rule, "alert").to_owned(), both.clone())).collect();
    assert_eq!(tried, expected);
}

#[test]
fn each_alert_says_how_bad_it_is_what_happens_and_where_to_read_on() {
    for rule in rules() {
        let name = text(&rule, "alert");
        assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
        assert_eq!(text(&rule["annotations"], "runbook_url"), format!("docs/runbooks/{name}.md"));
        for annotation in ["summary", "description"] {
            assert!(text(&rule["annotations"], annotation).ends_with('.'), "{annotation} of {name}");
        }
        // A summary is the same for all that fires at a time, so that it can head a group.
        assert!(!text(&rule["annotations"], "summary").contains("{{"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_installs_the_alerts_that_were_tested() {
    let made = tokio::task::spawn_blocking(|| groups(json!({}))).await.expect("join");
    let file: Value = serde_saphyr::from_str(ALERTS).expect("YAML");
    assert_eq!(made, file["groups"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_leave_an_alert_out_and_change_how_long_it_waits_and_where_it_leads() {
    let values = json!({
        "disabled": {"OnCallWebhooksNoLeader": true, "OnCallWebhooksWatchStuck": false},
        "overrides": {"OnCallWebhooksEndpointFailing": {"for": "1h", "severity": "info"}},
        "alertLabels": {"team": "sre"},
        "alertAnnotations": {"dashboard": "https://grafana.example/d/oncall-webhooks"},
        "runbookUrl": "https://runbooks.example/oncall/",
    });
    let made = tokio::task::spawn_blocking(|| groups(values)).await.expect("join");
    let mut expected = rules();
    expected.retain(|rule| text(rule, "alert") != "OnCallWebhooksNoLeader");
    for rule in &mut expected {
        let name = text(rule, "alert").to_owned();
        rule["labels"]["team"] = "sre".into();
        rule["annotations"]["dashboard"] = "https://grafana.example/d/oncall-webhooks".into();
        rule["annotations"]["runbook_url"] = format!("https://runbooks.example/oncall/{name}.md").into();
        if name == "OnCallWebhooksEndpointFailing" {
            rule["for"] = "1h".into();
            rule["labels"]["severity"] = "info".into();
        }
    }
    assert_eq!(made[0]["rules"], Value::Array(expected));
}
