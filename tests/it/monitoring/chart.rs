//! What the Prometheus operator, Prometheus and Grafana find: monitors that the operator's own definitions take, and that lead to
//! every port that has metrics.

use std::collections::BTreeSet;

use cluster::PROMETHEUS_OPERATOR;
use serde_json::{Value, json};
use support::{output, pipe};

use super::{DASHBOARD, rendered, text};
use crate::harness::{cluster, define};

/// Everything on, with each value that there is.
fn all_on(api: &Value) -> Value {
    let monitor = json!({
        "enabled": true,
        "namespace": "default",
        "labels": {"release": "kube-prometheus-stack"},
        "annotations": {"example.com/a": "b"},
        "interval": "30s",
        "scrapeTimeout": "10s",
        "authorization": {"credentials": {"name": "prometheus", "key": "token"}},
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "process_threads", "action": "drop"}],
    });
    json!({"api": api, "metrics": {
        "protected": true,
        "readers": [{"name": "prometheus-k8s", "namespace": "monitoring"}],
        "service": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
        "serviceMonitor": monitor,
        "podMonitor": monitor,
        "prometheusRule": {
            "enabled": true,
            "labels": {"release": "kube-prometheus-stack"},
            "overrides": {"OnCallWebhooksEndpointFailing": {"for": "1h", "severity": "info"}},
        },
        "dashboard": {"enabled": true, "folder": "On call", "annotations": {"e": "f"}},
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prometheus_operator_s_own_definitions_take_every_monitor_and_rule() {
    let made = tokio::task::spawn_blocking(|| {
        define(&PROMETHEUS_OPERATOR);
        for api in [json!({}), json!({"placement": "sidecar"}), json!({"enabled": false})] {
            let monitors = rendered(None, &all_on(&api)).into_iter().filter(|object| {
                let kind = text(object, "kind");
                let is_of_operator = ["ServiceMonitor", "PodMonitor", "PrometheusRule"].contains(&kind);
                is_of_operator || text(&object["metadata"], "name").contains("metrics")
            });
            let list = json!({"apiVersion": "v1", "kind": "List", "items": monitors.collect::<Vec<_>>()});
            // A field that the definition does not have is refused too.
            let args = ["apply", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"];
            let taken = pipe(cluster().0.kubectl().args(args), &list.to_string()).expect("the API server takes them");
            for kind in ["servicemonitor", "podmonitor", "prometheusrule"] {
                assert!(taken.contains(&format!("{kind}.monitoring.coreos.com/")), "{kind}: {taken}");
            }
        }
    });
    made.await.expect("join");
}

/// Whether a selector finds an object with these labels.
fn finds(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().all(|(name, value)| labels[name] == *value);
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    equal
        && expressions.all(|expression| {
            assert_eq!(text(expression, "operator"), "In");
            expression["values"].as_array().is_some_and(|values| values.contains(&labels[text(expression, "key")]))
        })
}

/// A port of the pods of a Deployment, as its name and the port's.
type Port = (String, String);

/// Where the ports of this name, or number, of these pods are.
fn ports(deployments: &[&Value], selector: &Value, port: &str) -> BTreeSet<Port> {
    let found =
        deployments.iter().filter(|deployment| finds(selector, &deployment["spec"]["template"]["metadata"]["labels"]));
    let named = found.flat_map(|deployment| {
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
        let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let matching = ports.filter(move |named| text(named, "name") == port);
        matching.map(|named| (text(&deployment["metadata"], "name").to_owned(), text(named, "name").to_owned()))
    });
    named.collect()
}

/// Those that a ServiceMonitor leads to.
fn of_service_monitor(monitor: &Value, services: &[&Value], deployments: &[&Value]) -> Vec<Port> {
    let mut all = Vec::new();
    let found =
        || services.iter().filter(|service| finds(&monitor["spec"]["selector"], &service["metadata"]["labels"]));
    for endpoint in monitor["spec"]["endpoints"].as_array().expect("endpoints") {
        for service in found() {
            let of_service = service["spec"]["ports"].as_array().into_iter().flatten();
            for port in of_service.filter(|port| port["name"] == endpoint["port"]) {
                let selector = json!({"matchLabels": service["spec"]["selector"]});
                all.extend(ports(deployments, &selector, text(port, "targetPort")));
            }
        }
    }
    all
}

/// Those that a PodMonitor leads to.
fn of_pod_monitor(monitor: &Value, deployments: &[&Value]) -> Vec<Port> {
    let endpoints = monitor["spec"]["podMetricsEndpoints"].as_array().expect("endpoints");
    let found =
        endpoints.iter().flat_map(|endpoint| ports(deployments, &monitor["spec"]["selector"], text(endpoint, "port")));
    found.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_lead_to_each_port_with_metrics_once_and_network_policies_open_it() {
    let (operator, api) = ("release-oncall-webhooks", "release-oncall-webhooks-api");
    for (values, expected) in [
        (json!({}), vec![(operator, "health"), (api, "api-health")]),
        (json!({"placement": "sidecar"}), vec![(operator, "health"), (operator, "api-health")]),
        (json!({"enabled": false}), vec![(operator, "health")]),
    ] {
        let objects = tokio::task::spawn_blocking(move || rendered(None, &all_on(&values))).await.expect("join");
        let of_kind = |kind: &str| objects.iter().filter(|object| text(object, "kind") == kind).collect::<Vec<_>>();
        let (services, deployments) = (of_kind("Service"), of_kind("Deployment"));
        let mut expected: Vec<Port> = expected.into_iter().map(|(of, port)| (of.to_owned(), port.to_owned())).collect();
        expected.sort();
        let by_service = of_kind("ServiceMonitor").into_iter();
        let mut by_service: Vec<Port> =
            by_service.flat_map(|monitor| of_service_monitor(monitor, &services, &deployments)).collect();
        by_service.sort();
        assert_eq!(by_service, expected);
        let by_pod = of_kind("PodMonitor").into_iter();
        let mut by_pod: Vec<Port> = by_pod.flat_map(|monitor| of_pod_monitor(monitor, &deployments)).collect();
        by_pod.sort();
        assert_eq!(by_pod, expected);

        let policies = of_kind("NetworkPolicy");
        for (of, port) in &expected {
            let deployment = deployments.iter().find(|deployment| text(&deployment["metadata"], "name") == of);
            let labels = &deployment.expect("a Deployment")["spec"]["template"]["metadata"]["labels"];
            let open = policies.iter().filter(|policy| finds(&policy["spec"]["podSelector"], labels)).any(|policy| {
                let rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
                let mut ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
                ports.any(|open| text(open, "port") == port)
            });
            assert!(open, "{port} of {of}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_has_the_dashboard_where_grafana_looks_for_it() {
    let made = tokio::task::spawn_blocking(|| rendered(Some("templates/dashboard.yaml"), &all_on(&json!({}))));
    let made = made.await.expect("join");
    let [config_map] = &made[..] else { panic!("{made:?}") };
    assert_eq!(text(&config_map["metadata"]["labels"], "grafana_dashboard"), "1");
    assert_eq!(config_map["metadata"]["annotations"], json!({"grafana_folder": "On call", "e": "f"}));
    let shown: Value = serde_json::from_str(text(&config_map["data"], "oncall-webhooks.json")).expect("JSON");
    let file: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert_eq!(shown, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_metrics_that_is_misspelled_is_refused() {
    let refused = tokio::task::spawn_blocking(|| {
        for values in [
            "metrics.label=none",
            "metrics.labels=all",
            "metrics.serviceMonitor.enable=true",
            "metrics.podMonitor.interval=often",
            "metrics.prometheusRule.disabled.NoLeader=true",
            "metrics.prometheusRule.overrides.OnCallWebhooksNoLeader.after=1h",
            "metrics.dashboard.labels=grafana",
        ] {
            let mut helm = cluster().0.helm();
            let rendered = output(helm.args(["template", "release"]).arg(support::chart()).args(["--set", values]));
            assert!(rendered.is_err(), "{values}");
        }
    });
    refused.await.expect("join");
}
