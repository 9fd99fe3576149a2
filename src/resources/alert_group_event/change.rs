//! Events that ask for changes of AlertGroups, as people and the REST API create them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{AlertGroupEvent, AlertGroupEventSpec, AlertGroupRef, User};
use crate::core::webhook::EventType;

/// Until when a silence lasts, as templates see it; None for ever.
pub(crate) type SilencedUntil = Option<String>;

impl AlertGroupEvent {
    /// The event of a user of this name that asks for a change of an AlertGroup; `until` goes with a silence.
    pub(crate) fn change(
        namespace: &str,
        alert_group: &str,
        change: EventType,
        username: &str,
        until: Option<SilencedUntil>,
    ) -> Self {
        Self {
            metadata: ObjectMeta {
                generate_name: Some(format!("{alert_group}-{}-", type_in_names(change))),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            spec: AlertGroupEventSpec {
                type_: Some(change),
                alert_group_ref: Some(AlertGroupRef { name: alert_group.to_owned(), timer: None }),
                user: Some(User { username: Some(username.to_owned()), ..User::default() }),
                until,
                ..AlertGroupEventSpec::default()
            },
            status: None,
        }
    }
}

/// The word of a type of events, as names of objects and arguments of commands have it: with `-` for spaces.
pub(crate) fn type_in_names(type_: EventType) -> String {
    // A type is written as its word.
    serde_json::to_value(type_).ok().as_ref().and_then(Value::as_str).unwrap_or_default().replace(' ', "-")
}

/// When a silence ends that lasts so long from now on, in the form that OnCall's templates see; None beyond the year 9999.
pub(crate) fn silence_end(now: Timestamp, length: Duration) -> Option<String> {
    let end = now.checked_add(SignedDuration::try_from(length).ok()?).ok()?;
    Some(end.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string())
}
