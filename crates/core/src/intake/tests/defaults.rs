//! What the default templates make of payloads: the same as OnCall's.

use super::*;

use AlertAction::{Firing, Resolve};
use IntegrationType::{Alertmanager, FormattedWebhook, GrafanaAlerting, Webhook};

fn check(integration_type: IntegrationType, cases: Vec<(Value, Option<&str>, AlertAction, &str)>) {
    let templates = mk_templates(integration_type, &TemplateSources::default());
    for (payload, grouping_id, action, title) in cases {
        let alert = received(&templates, &mk_values(), &payload);
        assert_eq!(alert, mk_received(grouping_id, action, title), "{payload}");
    }
}

#[test]
fn groups_of_an_alertmanager_are_told_by_their_key() {
    let key = Some(r#"{}:{namespace="shop"}"#);
    let firing = |changes| mk_changed("kube_prometheus_firing", changes);
    let labels = json!({"alertname": "KubePodCrashLooping", "namespace": "shop", "severity": "warning"});
    let cases = vec![
        (mk_payload("kube_prometheus_firing"), key, Firing, " (shop)"),
        (mk_payload("kube_prometheus_mixed"), key, Firing, " (shop)"),
        (mk_payload("kube_prometheus_resolved"), key, Resolve, " (shop)"),
        (firing(json!({"groupLabels": labels})), key, Firing, "KubePodCrashLooping (shop, warning)"),
        // The space at the end is OnCall's.
        (firing(json!({"groupLabels": {"alertname": "Watchdog"}})), key, Firing, "Watchdog "),
        (firing(json!({"groupLabels": {"alertname": "A", "pod": ""}})), key, Firing, "A ()"),
        (firing(json!({"groupLabels": {"items": "A", "n": 1}})), key, Firing, " (A, 1)"),
        (firing(json!({"groupLabels": {}})), key, Firing, " "),
        (firing(json!({"groupLabels": null})), key, Firing, " "),
        (firing(json!({"groupKey": null})), None, Firing, " (shop)"),
        (firing(json!({"groupKey": ""})), None, Firing, " (shop)"),
        (firing(json!({"groupKey": " "})), Some(" "), Firing, " (shop)"),
        (firing(json!({"status": "Resolved"})), key, Firing, " (shop)"),
        (firing(json!({"status": null})), key, Firing, " (shop)"),
        // One alert, as old versions of OnCall took them.
        (json!({"labels": {"alertname": "A", "pod": "p"}}), None, Firing, "A "),
        (json!({"labels": {}, "groupLabels": {"alertname": "B", "pod": "p"}}), None, Firing, " (B, p)"),
        (json!({}), None, Firing, " "),
    ];
    check(Alertmanager, cases);
}

#[test]
fn groups_of_grafana_are_told_by_their_key() {
    let cases = vec![
        (mk_payload("grafana_firing"), Some("{}:{}"), Firing, " "),
        (
            mk_changed(
                "grafana_firing",
                json!({
                    "status": "resolved", "state": "ok", "groupKey": "{}/{team=\"blue\"}:{alertname=\"High CPU\"}",
                    "groupLabels": {"alertname": "High CPU", "grafana_folder": "Ops"},
                }),
            ),
            Some("{}/{team=\"blue\"}:{alertname=\"High CPU\"}"),
            Resolve,
            "High CPU (Ops)",
        ),
    ];
    check(GrafanaAlerting, cases);
}

#[test]
fn any_json_is_told_by_all_that_it_says() {
    let cases = vec![
        (json!({"message": "down", "n": 1.0}), Some("{'message': 'down', 'n': 1.0}"), Firing, "Incident"),
        // The order of the keys counts, as in OnCall.
        (json!({"n": 1.0, "message": "down"}), Some("{'n': 1.0, 'message': 'down'}"), Firing, "Incident"),
        (json!({"state": "Ok"}), Some("{'state': 'Ok'}"), Resolve, "Incident"),
        (json!({"state": " ok"}), Some("{'state': ' ok'}"), Firing, "Incident"),
        (json!({"state": null}), Some("{'state': None}"), Firing, "Incident"),
        (json!({"state": 1}), Some("{'state': 1}"), Firing, "Incident"),
        (json!({"state": ["ok"]}), Some("{'state': ['ok']}"), Firing, "Incident"),
        (json!({}), Some("{}"), Firing, "Incident"),
        (json!([{"state": "ok"}]), Some("[{'state': 'ok'}]"), Firing, "Incident"),
        (json!("ok"), Some("ok"), Firing, "Incident"),
        // `in` does not fit a number.
        (json!(5), None, Firing, "Incident"),
        (json!({"is_oncall_heartbeat": true, "alert_uid": "u", "state": "ok"}), Some("u"), Resolve, "Incident"),
    ];
    check(Webhook, cases);
}

#[test]
fn formatted_alerts_are_told_by_their_uid() {
    let changed = |changes| mk_changed("formatted_webhook", changes);
    let (uid, title) = (Some("08d6891a-835c-e661-39fa-96b6a9e26552"), "The whole system is down");
    let no_get = "Template Warning: 'list object' has no attribute 'get'";
    let cases = vec![
        (mk_payload("formatted_webhook"), uid, Firing, title),
        (changed(json!({"state": "ok"})), uid, Resolve, title),
        (changed(json!({"alert_uid": ""})), None, Firing, title),
        (changed(json!({"alert_uid": null})), None, Firing, title),
        (changed(json!({"alert_uid": 0})), Some("0"), Firing, title),
        (changed(json!({"title": null})), uid, Firing, "Title undefined"),
        (json!({"alert_uid": null, "title": null}), Some("None"), Firing, "None"),
        (json!([]), None, Firing, no_get),
    ];
    check(FormattedWebhook, cases);
}
