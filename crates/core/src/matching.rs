//! Decides which webhooks run for an event.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    event::EventFacts,
    webhook::{TriggerType, Webhook},
};

/// How much later than an event a webhook may be created and still get it: one `kubectl apply -f dir/` creates both, in the
/// order of file names, and creation times are whole seconds.
pub const SAME_APPLY: Duration = Duration::from_secs(5);

/// Why a webhook does not run for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is disabled.
    Disabled,
    /// Another type of event fires it.
    Trigger,
    /// Its trigger is the event's, but the event names its webhooks, and this one is not among them.
    NotNamed,
    /// It runs for other integrations.
    Integration,
}

/// Whether `webhook` runs for the event.
pub fn runs(webhook: &Webhook, event: &EventFacts) -> bool {
    check(webhook, event).is_ok()
}

/// Checks whether `webhook` runs for the event.
///
/// # Errors
/// It does not run, for this reason.
pub fn check(webhook: &Webhook, event: &EventFacts) -> Result<(), Mismatch> {
    if !webhook.enabled {
        return Err(Mismatch::Disabled);
    }
    triggered(webhook, event)?;
    check_once_triggered(webhook, event.integration_id.as_deref())
}

/// Checks a webhook that is to run whatever its trigger: only whether it is enabled, and its integrations.
///
/// # Errors
/// It does not run, for this reason.
pub fn check_once_triggered(webhook: &Webhook, integration_id: Option<&str>) -> Result<(), Mismatch> {
    if !webhook.enabled {
        return Err(Mismatch::Disabled);
    }
    let passes = webhook.integration_filter.is_empty()
        || integration_id.is_some_and(|id| webhook.integration_filter.iter().any(|allowed| allowed == id));
    if passes { Ok(()) } else { Err(Mismatch::Integration) }
}

fn triggered(webhook: &Webhook, event: &EventFacts) -> Result<(), Mismatch> {
    let Some(event_type) = event.event_type else { return Err(Mismatch::Trigger) };
    let is_its_trigger = Some(webhook.trigger_type) == event_type.trigger()
        || (webhook.trigger_type == TriggerType::StatusChange && event_type.is_status_change());
    let is_named = || event.webhook_refs.iter().any(|named| *named == webhook.name || *named == webhook.id);
    if !is_its_trigger {
        Err(Mismatch::Trigger)
    } else if event_type.names_webhooks() && !is_named() {
        Err(Mismatch::NotNamed)
    } else {
        Ok(())
    }
}

/// Whether a webhook created at `webhook` existed for an event created at `event`, [`SAME_APPLY`] included.
pub fn existed(webhook: Timestamp, event: Timestamp) -> bool {
    webhook <= event.saturating_add(SAME_APPLY).unwrap_or(Timestamp::MAX)
}

/// Whether the same `kubectl apply` may have created a webhook at `webhook` and an event at `event`.
pub fn came_with(webhook: Timestamp, event: Timestamp) -> bool {
    existed(webhook, event) && existed(event, webhook)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{EventType, mk_webhook};

    fn mk_event(event_type: EventType) -> EventFacts {
        EventFacts {
            event_type: Some(event_type),
            alert_group_id: "I1".into(),
            integration_id: Some("C1".to_owned()),
            webhook_refs: Vec::new(),
        }
    }

    #[test]
    fn a_webhook_runs_for_its_trigger_and_status_change_for_the_six_changes() {
        use EventType as E;
        use TriggerType as T;
        let cases = [
            (T::Acknowledge, E::Acknowledge, true),
            (T::Acknowledge, E::Resolve, false),
            (T::AlertGroupCreated, E::AlertGroupCreated, true),
            (T::StatusChange, E::AlertGroupCreated, false),
            (T::StatusChange, E::Acknowledge, true),
            (T::StatusChange, E::Resolve, true),
            (T::StatusChange, E::Silence, true),
            (T::StatusChange, E::Unsilence, true),
            (T::StatusChange, E::Unresolve, true),
            (T::StatusChange, E::Unacknowledge, true),
            (T::StatusChange, E::Escalation, false),
            (T::StatusChange, E::PersonalNotification, false),
            (T::Escalation, E::Escalation, false),
            (T::PersonalNotification, E::PersonalNotification, false),
        ];
        for (trigger, event, expected) in cases {
            assert_eq!(runs(&mk_webhook(trigger), &mk_event(event)), expected, "{trigger:?} {event:?}");
        }
    }

    #[test]
    fn escalations_and_personal_notifications_run_the_webhooks_they_name() {
        let cases = [
            (TriggerType::Escalation, EventType::Escalation, "jira", true),
            (TriggerType::Escalation, EventType::Escalation, "WHP936BM1GPVHQ", true),
            (TriggerType::Escalation, EventType::Escalation, "Jira", false),
            (TriggerType::PersonalNotification, EventType::Escalation, "jira", false),
            (TriggerType::PersonalNotification, EventType::PersonalNotification, "jira", true),
            (TriggerType::Resolve, EventType::Escalation, "jira", false),
        ];
        for (trigger, event, named, expected) in cases {
            let event = EventFacts { webhook_refs: vec![named.to_owned()], ..mk_event(event) };
            assert_eq!(runs(&mk_webhook(trigger), &event), expected, "{trigger:?} {event:?}");
        }
    }

    #[test]
    fn disabled_webhooks_and_other_integrations_do_not_run() {
        let event = mk_event(EventType::Resolve);
        let mk = |enabled, filter: &[&str]| Webhook {
            enabled,
            integration_filter: filter.iter().map(ToString::to_string).collect(),
            ..mk_webhook(TriggerType::Resolve)
        };
        let cases =
            [(true, &[] as &[&str], true), (false, &[], false), (true, &["C2", "C1"], true), (true, &["C2"], false)];
        for (enabled, filter, expected) in cases {
            assert_eq!(runs(&mk(enabled, filter), &event), expected, "{enabled} {filter:?}");
        }
        let unknown = EventFacts { integration_id: None, ..event };
        assert!(!runs(&mk(true, &["C1"]), &unknown));
    }

    #[test]
    fn the_first_reason_not_to_run_is_given() {
        let event = mk_event(EventType::Escalation);
        let mk = |enabled, trigger, filter: &[&str]| Webhook {
            enabled,
            integration_filter: filter.iter().map(ToString::to_string).collect(),
            ..mk_webhook(trigger)
        };
        let cases = [
            (mk(false, TriggerType::Resolve, &["C2"]), Mismatch::Disabled),
            (mk(true, TriggerType::Resolve, &["C2"]), Mismatch::Trigger),
            (mk(true, TriggerType::Escalation, &["C2"]), Mismatch::NotNamed),
        ];
        for (webhook, reason) in cases {
            assert_eq!(check(&webhook, &event), Err(reason));
        }
        let webhook = mk(true, TriggerType::Resolve, &["C2"]);
        assert_eq!(check_once_triggered(&webhook, Some("C1")), Err(Mismatch::Integration));
        assert_eq!(check_once_triggered(&webhook, Some("C2")), Ok(()));
    }

    #[test]
    fn a_webhook_gets_the_events_created_after_it_and_those_of_the_same_apply() {
        let event: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        for (webhook, expected) in [
            ("2025-01-01T00:00:00Z", (true, false)),
            ("2026-01-01T00:00:04Z", (true, false)),
            ("2026-01-01T00:00:05Z", (true, true)),
            ("2026-01-01T00:00:10Z", (true, true)),
            ("2026-01-01T00:00:15Z", (true, true)),
            ("2026-01-01T00:00:16Z", (false, false)),
        ] {
            let created = webhook.parse().unwrap();
            assert_eq!((existed(created, event), came_with(created, event)), expected, "{webhook}");
        }
    }
}
