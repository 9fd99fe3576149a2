//! Payloads of real sources, and what OnCall's templates make of odd ones.

mod bodies;
mod bounds;
mod defaults;
mod own_templates;

use serde_json::{Value, json};

use super::*;

fn mk_payload(name: &str) -> Value {
    let text = match name {
        "kube_prometheus_firing" => include_str!("tests/payloads/kube_prometheus_firing.json"),
        "kube_prometheus_mixed" => include_str!("tests/payloads/kube_prometheus_mixed.json"),
        "kube_prometheus_resolved" => include_str!("tests/payloads/kube_prometheus_resolved.json"),
        "grafana_firing" => include_str!("tests/payloads/grafana_firing.json"),
        "formatted_webhook" => include_str!("tests/payloads/formatted_webhook.json"),
        other => panic!("no payload {other}"),
    };
    serde_json::from_str(text).unwrap()
}

/// The payload with other values for some keys; null takes the key away.
fn mk_changed(name: &str, changes: Value) -> Value {
    let mut payload = mk_payload(name);
    let Value::Object(changes) = changes else { panic!("no object: {changes}") };
    for (key, value) in changes {
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().remove(&key)),
            value => payload[key] = value,
        }
    }
    payload
}

fn mk_templates(integration_type: IntegrationType, sources: &TemplateSources) -> IntegrationTemplates {
    let (templates, faults) = IntegrationTemplates::compile(integration_type, sources, true);
    assert_eq!(faults, []);
    templates
}

fn mk_values() -> IntegrationValues {
    IntegrationValues { name: "Prod".to_owned(), labels: [("tier".to_owned(), "1".to_owned())].into() }
}

/// What is known of an alert when no template fails.
fn mk_received(grouping_id: Option<&str>, action: AlertAction, title: &str) -> ReceivedAlert {
    ReceivedAlert { grouping_id: grouping_id.map(str::to_owned), action, title: title.to_owned(), faults: Vec::new() }
}

fn mk_fault(field: &'static str, line: Option<usize>, message: &str) -> TemplateFault {
    TemplateFault { field, line, column: None, message: message.to_owned() }
}

#[test]
fn types_and_actions_have_oncalls_words() {
    for integration_type in IntegrationType::ALL {
        assert_eq!(serde_json::to_value(integration_type).unwrap(), json!(integration_type.as_str()));
        assert_eq!(integration_type.to_string().parse(), Ok(integration_type));
    }
    assert_eq!(
        "amazon_sns".parse::<IntegrationType>().map_err(|error| error.to_string()),
        Err("read integration type 'amazon_sns': it is none of alertmanager, grafana_alerting, webhook, \
             formatted_webhook"
            .to_owned())
    );
    let actions = [AlertAction::Firing, AlertAction::Acknowledge, AlertAction::Resolve];
    assert_eq!(serde_json::to_value(actions).unwrap(), json!(["firing", "acknowledge", "resolve"]));
}

#[test]
fn a_heartbeat_opens_an_alert_group_and_resolves_it_whatever_the_templates_are() {
    for integration_type in IntegrationType::ALL {
        let (missing, opens) = heartbeat_alert(integration_type, "Prod", Heartbeat::Missing);
        let (restored, resolves) = heartbeat_alert(integration_type, "Prod", Heartbeat::Restored);
        let id = Some(r#"{}:{alertname="OnCallHeartBeatMissing"}"#);
        assert_eq!(opens, mk_received(id, AlertAction::Firing, "Prod: no heartbeat"));
        assert_eq!(resolves, mk_received(id, AlertAction::Resolve, "Prod: heartbeat is back"));
        // The default templates see the same in it.
        let templates = mk_templates(integration_type, &TemplateSources::default());
        for (payload, alert) in [(missing, opens), (restored, resolves)] {
            let read = received(&templates, &mk_values(), &payload);
            assert_eq!((read.grouping_id, read.action), (alert.grouping_id, alert.action), "{integration_type}");
        }
    }
}
