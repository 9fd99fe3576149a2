//! Templates of an Integration's own, and what is done where they fail.

use super::*;

use AlertAction::{Acknowledge, Firing, Resolve};
use IntegrationType::{Alertmanager, FormattedWebhook, Webhook};

/// The grouping id, the title, and the conditions to resolve and to acknowledge; an empty one is the default.
fn mk_sources([grouping_id, title, resolve_condition, acknowledge_condition]: [&str; 4]) -> TemplateSources {
    let some = |source: &str| Some(source.to_owned());
    TemplateSources {
        grouping_id: some(grouping_id),
        title: some(title),
        resolve_condition: some(resolve_condition),
        acknowledge_condition: some(acknowledge_condition),
    }
}

#[test]
fn conditions_hold_for_the_words_for_which_oncalls_do() {
    let cases = [
        ("True", true),
        ("true", true),
        (" OK\n\x1f\u{a0}", true),
        ("1", true),
        ("1.0", false),
        ("yes", false),
        ("ok.", false),
        ("o\u{212a}", true),
        (" ", false),
        ("None", false),
        ("{{ payload.missing }}", false),
        ("{{ payload.n == 1 }}", true),
        ("{{ payload.n }}", true),
        ("{{ labels.tier }}", true),
        ("{{ integration_name is defined }}", false),
    ];
    for (condition, expected) in cases {
        let sources = mk_sources(["", "", condition, ""]);
        let alert = received(&mk_templates(Webhook, &sources), &mk_values(), &json!({"n": 1}));
        let action = if expected { Resolve } else { Firing };
        assert_eq!(alert, mk_received(Some("{'n': 1}"), action, "Incident"), "{condition:?}");
    }
}

#[test]
fn what_resolves_does_not_acknowledge_as_well_unless_resolving_is_switched_off() {
    let cases = [
        (true, "0", "0", Firing),
        (true, "0", "1", Acknowledge),
        (true, "1", "0", Resolve),
        (true, "1", "1", Resolve),
        (false, "1", "0", Firing),
        (false, "1", "1", Acknowledge),
    ];
    for (auto_resolve, resolve, acknowledge, expected) in cases {
        let sources = mk_sources(["", "", resolve, acknowledge]);
        let (templates, faults) = IntegrationTemplates::compile(Webhook, &sources, auto_resolve);
        let alert = received(&templates, &mk_values(), &json!({}));
        assert_eq!((faults, alert.action), (vec![], expected), "{auto_resolve} {resolve} {acknowledge}");
    }
}

#[test]
fn templates_see_the_payload_and_the_labels_and_the_title_the_name_as_well() {
    let all = "{{ payload.status }}|{{ labels }}|{{ integration_name }}|{{ grafana_oncall_link }}|{{ source_link }}";
    let sources = mk_sources([all, all, "", ""]);
    let templates = mk_templates(Alertmanager, &sources);
    let payload = mk_payload("kube_prometheus_firing");
    assert_eq!(
        received(&templates, &mk_values(), &payload),
        mk_received(Some("firing|{'tier': '1'}|||"), Firing, "firing|{'tier': '1'}|Prod||")
    );
    assert_eq!(
        received(&templates, &IntegrationValues::default(), &payload),
        mk_received(Some("firing|None|||"), Firing, "firing|None|||")
    );
}

#[test]
fn the_default_is_taken_for_an_empty_template_and_for_one_that_is_none_which_is_reported() {
    let sources = mk_sources(["{{ payload.x", "", "\n{{ payload | nope }}", "{% if %}"]);
    let (templates, faults) = IntegrationTemplates::compile(FormattedWebhook, &sources, true);
    let expected = [
        (
            "templates.groupingId",
            (Some(1), None),
            "Template Error: unexpected end of template, expected 'end of print statement'.",
        ),
        ("templates.resolveCondition", (Some(2), Some(14)), "Template Error: No filter named 'nope'."),
        (
            "templates.acknowledgeCondition",
            (Some(1), Some(7)),
            "Template Error: Expected an expression, got 'end of statement block'",
        ),
    ];
    let expected =
        expected.map(|(field, (line, column), message)| TemplateFault { column, ..mk_fault(field, line, message) });
    assert_eq!(faults, expected);
    let payload = mk_changed("formatted_webhook", json!({"state": "ok"}));
    assert_eq!(
        received(&templates, &mk_values(), &payload),
        mk_received(payload["alert_uid"].as_str(), Resolve, "The whole system is down")
    );
}

#[test]
fn the_default_is_taken_where_a_template_does_not_fit_the_payload_and_that_is_reported() {
    let sources = mk_sources([
        "{{ payload.commonLabels.cluster.name }}",
        "a\n{{ 1 / payload.truncatedAlerts }}",
        "{{ payload.status.nope() }}",
        "{{ range(3) }}",
    ]);
    let templates = mk_templates(Alertmanager, &sources);
    let faults = vec![
        mk_fault("templates.groupingId", Some(1), "Template Warning: 'dict object' has no attribute 'cluster'"),
        mk_fault("templates.resolveCondition", Some(1), "Template Warning: 'str object' has no attribute 'nope'"),
        mk_fault("templates.title", Some(2), "Template Error: division by zero"),
    ];
    assert_eq!(
        received(&templates, &mk_values(), &mk_payload("kube_prometheus_resolved")),
        ReceivedAlert { faults, ..mk_received(Some(r#"{}:{namespace="shop"}"#), Resolve, " (shop)") }
    );
    let firing = received(&templates, &mk_values(), &mk_payload("kube_prometheus_firing"));
    let fields: Vec<_> = firing.faults.iter().map(|fault| fault.field).collect();
    assert_eq!(firing.action, Firing);
    assert_eq!(
        fields,
        ["templates.groupingId", "templates.resolveCondition", "templates.acknowledgeCondition", "templates.title"]
    );
}

#[test]
fn what_is_cheap_to_read_is_known() {
    let cases = [
        (None, Some(12)),
        (Some("{{ payload.x | upper }}"), Some(15)),
        (Some("{% for i in payload.x %}{{ i }}{% endfor %}"), None),
    ];
    for (grouping_id, expected) in cases {
        let sources = TemplateSources { grouping_id: grouping_id.map(str::to_owned), ..TemplateSources::default() };
        assert_eq!(mk_templates(Alertmanager, &sources).plain_expressions(), expected, "{grouping_id:?}");
    }
}
