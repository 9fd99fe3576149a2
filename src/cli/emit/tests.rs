use clap::Parser;
use serde_json::json;

use super::*;
use crate::{
    core::alert_groups::Verdict,
    resources::{AlertGroupEventStatus, EventPhase, FoldedInto},
};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    options: Options,
}

fn options(args: &str) -> Options {
    Program::try_parse_from(format!("emit {args}").split_whitespace()).unwrap().options
}

#[test]
fn flags_that_do_not_go_together_are_named() {
    for (args, expected) in [
        ("alert --integration prod", None),
        ("alert --integration prod --grouping-id g --action resolve --title t", None),
        ("alert", Some("alert needs --integration")),
        ("alert --integration prod --alert-group I1", Some("--alert-group does not go with alert")),
        ("alert --integration prod --webhook one", Some("--webhook does not go with alert")),
        ("resolve --alert-group I1", None),
        ("resolve --alert-group I1 --integration CPROD", None),
        ("resolve", Some("resolve needs --alert-group")),
        ("resolve --alert-group I1 --action firing", Some("--action does not go with resolve")),
        ("resolve --alert-group I1 --grouping-id g", Some("--grouping-id does not go with resolve")),
        ("alert-group-created --alert-group I1 --webhook a", Some("--webhook does not go with alert-group-created")),
        ("escalation --alert-group I1", Some("escalation needs --webhook")),
        ("personal-notification --alert-group I1 --webhook a --webhook b", None),
        (
            "alert --integration CPROD",
            Some(
                "--integration: give lower-case letters, digits, ., and -, at most 253, a letter or digit first and last",
            ),
        ),
    ] {
        assert_eq!(options(args).fault().as_deref(), expected, "{args}");
    }
}

#[test]
fn every_kind_is_an_alert_or_a_type_of_events() {
    for word in KINDS {
        assert_eq!(Kind::of(word).word(), word);
    }
}

#[test]
fn flags_become_the_spec_of_an_event() {
    let payload = || Some(json!({"host": "a"}));
    let spec = |args: &str, user: Option<&str>| {
        let event = event::of(&options(args), "team", payload(), user.map(str::to_owned));
        (event.metadata.generate_name.unwrap(), json!(event.spec))
    };
    let integration = json!({"name": "prod"});
    assert_eq!(
        spec("alert --integration prod --grouping-id disk --title Full --action resolve", None),
        (
            "alert-".to_owned(),
            json!({"alert": {
                "integrationRef": integration, "groupingId": "disk", "action": "resolve", "title": "Full", "payload": {"host": "a"},
            }})
        )
    );
    assert_eq!(
        spec("alert --integration prod", None).1,
        json!({"alert": {"integrationRef": integration, "action": "firing", "payload": {"host": "a"}}})
    );
    let (name, mut spec) =
        spec("personal-notification --alert-group I1 --title Full --integration CPROD --webhook a", Some("ann"));
    assert_eq!(name, "personal-notification-");
    assert!(spec["time"].take().as_str().is_some_and(|time| time.ends_with("+00:00")));
    assert_eq!(
        spec,
        json!({
            "type": "personal notification", "time": null, "user": {"id": null, "username": "ann", "email": null},
            "alertGroup": {
                "id": "I1", "integrationId": "CPROD", "routeId": null, "alertsCount": null, "state": "firing",
                "createdAt": null, "resolvedAt": null, "acknowledgedAt": null, "title": "Full", "permalinks": null,
            },
            "alertPayload": {"host": "a"},
            "integration": {"id": "CPROD", "type": null, "name": null, "team": null},
            "webhookRefs": ["a"],
        })
    );
}

#[test]
fn what_came_of_an_event_is_said_in_a_line() {
    let group = || Some(FoldedInto { name: "i1".to_owned(), id: "I1".to_owned() });
    let status = |verdict, matched, failed| AlertGroupEventStatus {
        phase: EventPhase::Completed,
        verdict,
        alert_group_ref: verdict.and_then(|_| group()),
        matched,
        succeeded: matched - failed,
        failed,
        ..AlertGroupEventStatus::default()
    };
    for (status, expected) in [
        (Some(status(None, 0, 0)), ("no webhook ran", true)),
        (Some(status(None, 3, 1)), ("webhooks: 2 succeeded, 1 failed, 0 skipped", false)),
        (Some(status(Some(Verdict::Opened), 0, 0)), ("opened AlertGroup i1; no webhook ran", true)),
        (
            Some(status(Some(Verdict::Resolved), 1, 0)),
            ("resolved AlertGroup i1; webhooks: 1 succeeded, 0 failed, 0 skipped", true),
        ),
        (None, ("joined an open alert group", true)),
    ] {
        assert_eq!(outcome::line(status, AlertAction::Firing), (expected.0.to_owned(), expected.1));
    }
    assert_eq!(outcome::line(None, AlertAction::Heartbeat), ("was received".to_owned(), true));
    let nothing = ("changed no alert group".to_owned(), true);
    assert_eq!(
        [AlertAction::Resolve, AlertAction::Acknowledge].map(|action| outcome::line(None, action)),
        [nothing.clone(), nothing]
    );
}
