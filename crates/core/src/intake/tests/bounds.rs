//! Bounds on what is kept of a payload, whatever it is.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::response::stored_size;

use IntegrationType::{Alertmanager, GrafanaAlerting, Webhook};

#[test]
fn a_long_grouping_id_is_its_beginning_and_a_hash_that_tells_it_from_others() {
    let id_of = |payload: Value| {
        let templates = mk_templates(Webhook, &TemplateSources::default());
        received(&templates, &mk_values(), &payload).grouping_id.unwrap()
    };
    // `{'a': '…'}` has nine characters beside its text.
    let short = id_of(json!({"a": "é".repeat(GROUPING_ID_LIMIT - 9)}));
    assert_eq!(short, format!("{{'a': '{}'}}", "é".repeat(GROUPING_ID_LIMIT - 9)));
    let long = |end: &str| id_of(json!({"a": "é".repeat(1000), "b": end}));
    let (one, same, other) = (long("1"), long("1"), long("2"));
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert_eq!(one.chars().count(), GROUPING_ID_LIMIT);
    assert!(one.starts_with(&format!("{{'a': '{}…", "é".repeat(199))), "{one}");
}

#[test]
fn a_long_title_is_cut_as_oncall_shows_it() {
    let title_of = |length: usize| {
        let sources = TemplateSources { title: Some("{{ payload.t }}".to_owned()), ..TemplateSources::default() };
        received(&mk_templates(Webhook, &sources), &mk_values(), &json!({"t": "é".repeat(length)})).title
    };
    assert_eq!(title_of(500), "é".repeat(500));
    assert_eq!(title_of(501), format!("{}..", "é".repeat(500)));
}

/// A group of so many alerts, some of whose sizes differ.
fn mk_group(alerts: usize, truncated: &Value) -> Value {
    let alert = mk_payload("kube_prometheus_firing")["alerts"][0].clone();
    let alerts: Vec<_> = (0..alerts)
        .map(|n| {
            let mut alert = alert.clone();
            alert["fingerprint"] = json!(n);
            alert
        })
        .collect();
    mk_changed("kube_prometheus_firing", json!({"alerts": alerts, "truncatedAlerts": truncated}))
}

#[test]
fn of_a_group_that_is_too_long_the_last_alerts_are_left_out_and_counted() {
    let group = mk_group(2000, &json!(3));
    for integration_type in [Alertmanager, GrafanaAlerting] {
        let left = bounded(integration_type, group.clone(), PAYLOAD_LIMIT);
        let kept = left["alerts"].as_array().unwrap().len();
        let mut expected = group.clone();
        expected["alerts"].as_array_mut().unwrap().truncate(kept);
        expected["truncatedAlerts"] = json!(3 + 2000 - kept);
        assert_eq!(left.to_string(), expected.to_string());
        // There would have been no room for another one.
        let (size, of_alert) = (stored_size(&left), stored_size(&group["alerts"][0]));
        assert!(size <= PAYLOAD_LIMIT && size + of_alert + 50 > PAYLOAD_LIMIT, "{size}");
    }
    assert_eq!(bounded(Alertmanager, mk_group(5, &json!(0)), PAYLOAD_LIMIT), mk_group(5, &json!(0)));
    for (before, expected) in [(json!(1.0), 1.0), (json!("x"), 0.0), (json!(-1), 0.0)] {
        let left = bounded(Alertmanager, mk_group(2000, &before), PAYLOAD_LIMIT);
        let kept = left["alerts"].as_array().unwrap().len();
        assert_eq!(left["truncatedAlerts"].as_u64().unwrap(), expected as u64 + 2000 - kept as u64, "{before}");
    }
}

#[test]
fn of_a_group_whose_first_alert_is_too_long_its_texts_are_cut() {
    let mut group = mk_group(10, &json!(0));
    group["alerts"][0]["annotations"]["description"] = json!("x".repeat(PAYLOAD_LIMIT));
    let left = bounded(Alertmanager, group.clone(), PAYLOAD_LIMIT);
    assert_eq!((&left["truncatedAlerts"], left["alerts"].as_array().unwrap().len()), (&json!(9), 1));
    let description = left["alerts"][0]["annotations"]["description"].as_str().unwrap();
    assert!(description.ends_with("xxx… (cut: 262144 bytes in all)"));
    assert_eq!(left["alerts"][0]["labels"], group["alerts"][0]["labels"]);
    assert_eq!(left["groupKey"], group["groupKey"]);
}

#[test]
fn of_another_payload_the_longest_texts_are_cut() {
    let alerts = vec![json!({"text": "x".repeat(1000)}); 400];
    let left = bounded(Webhook, json!({"alerts": alerts, "state": "alerting"}), PAYLOAD_LIMIT);
    assert_eq!((&left["state"], left["alerts"].as_array().unwrap().len()), (&json!("alerting"), 400));
    assert!(left["alerts"][399]["text"].as_str().unwrap().ends_with("xxx… (cut: 1000 bytes in all)"));
    assert!(stored_size(&left) <= PAYLOAD_LIMIT);
}

/// Any JSON, with the keys that templates look for.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["ok|resolved|firing", "[a-z<\"\\\\é\u{1}😀]{0,40}", "x{200}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("alerts"),
        Just("status"),
        Just("labels"),
        Just("groupLabels"),
        Just("groupKey"),
        Just("numFiring"),
        Just("truncatedAlerts"),
        Just("alert_uid"),
        Just("state"),
        Just("title"),
        Just("is_oncall_heartbeat"),
        Just("items"),
        Just("…"),
    ];
    leaf.prop_recursive(5, 80, 12, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..12).prop_map(Value::from),
            vec((key.clone(), inner), 0..8).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    /// Whatever comes in is refused, or read without a fault of ours, the same each time, and stored within the bound.
    #[test]
    fn no_json_is_too_odd_or_too_long(body in any_json(), of in 0_usize..4, limit in 64_usize..3000) {
        let integration_type = IntegrationType::ALL[of];
        let Ok(payload) = alert_of(integration_type, body) else { return Ok(()) };
        let templates = mk_templates(integration_type, &TemplateSources::default());
        let alert = received(&templates, &mk_values(), &payload);
        prop_assert!(alert.grouping_id.as_deref().is_none_or(|id| (1..=GROUPING_ID_LIMIT).contains(&id.chars().count())));
        prop_assert!(alert.title.chars().count() <= TITLE_LIMIT + 2);
        prop_assert_eq!(&alert.faults, &[]);
        prop_assert_eq!(&received(&templates, &mk_values(), &payload), &alert);
        let left = bounded(integration_type, payload.clone(), limit);
        prop_assert!(stored_size(&left) <= limit, "{} > {limit}: {left}", stored_size(&left));
        prop_assert_eq!(left == payload, stored_size(&payload) <= limit);
        prop_assert_eq!(bounded(integration_type, left.clone(), limit), left);
    }

    #[test]
    fn no_body_is_too_odd(body in vec(any::<u8>(), 0..60), nested in 0_usize..400) {
        let deep = [vec![b'['; nested], body.clone(), vec![b']'; nested]].concat();
        for body in [body, deep] {
            if let Err(refusal) = parse(&body) {
                prop_assert_eq!(refusal.status, 400);
            }
        }
    }
}
