//! What people see the operator by: alerts with their runbooks, the dashboard, and what the chart tells Prometheus to scrape.
//!
//! ```text
//! files/alerts.yaml ─────► promtool, with alerts.test.yaml ; docs/runbooks
//! files/dashboard.json ──► a real Prometheus ──scrapes──► controller, api ◄── traffic
//! templates ─────────────► API server with the Prometheus operator's own definitions
//! ```

mod alerts;
mod chart;
mod dashboard;
mod pages;
mod protected;

use serde_json::Value;
use support::output;

use crate::harness::{Temporary, cluster};

/// The rules of the chart, as Prometheus reads them.
const ALERTS: &str = include_str!("../../charts/oncall-webhooks/files/alerts.yaml");
/// The dashboard of the chart, as Grafana reads it.
const DASHBOARD: &str = include_str!("../../charts/oncall-webhooks/files/dashboard.json");

/// The alerts, in order.
fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(ALERTS).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

/// A member that is text.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What the chart makes of these values: the documents of one template, or of all.
fn rendered(template: Option<&str>, values: &Value) -> Vec<Value> {
    let file = Temporary::new(&values.to_string());
    let mut helm = cluster().0.helm();
    helm.args(["template", "release"]).arg(support::chart()).args(["--values", &file.path()]);
    helm.args(template.iter().flat_map(|template| ["--show-only", template]));
    let manifests = output(&mut helm).expect("render the chart");
    let documents = manifests.split("\n---\n").filter(|text| text.contains("kind:"));
    documents.map(|text| serde_saphyr::from_str(text).expect("YAML")).collect()
}
