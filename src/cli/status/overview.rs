//! What there is to tell of webhooks, alert groups and integrations: the document that `-o json` and `-o yaml` print.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::state::State;

/// All of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    /// When it was read.
    pub(super) time: Timestamp,
    /// What needs a person, the most urgent first.
    pub(super) attention: Vec<Attention>,
    /// All webhooks, those in trouble first.
    pub(super) webhooks: Vec<WebhookLine>,
    /// The alert groups that are not resolved: those that nobody has taken on first, each with the oldest first.
    pub(super) alert_groups: Vec<AlertGroupLine>,
    /// All integrations, those in trouble first.
    pub(super) integrations: Vec<IntegrationLine>,
    /// The events that no operator has taken up.
    pub(super) events: WaitingEvents,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Attention {
    /// What it is about; none where it is events that nobody takes up.
    #[serde(flatten)]
    pub(super) object: Option<Object>,
    /// What is wrong, in a word.
    pub(super) state: String,
    /// What is wrong, in a sentence.
    pub(super) message: String,
    /// Since when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Object {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Object {
    /// As kubectl names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.oncall.dev/{}", self.kind.to_lowercase(), self.name)
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookLine {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) trigger_type: String,
    pub(super) state: State,
    /// Why it is in that state.
    pub(super) message: String,
    /// Since when it is in that state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    /// How many of the responses that are stored succeeded, and how many failed for good.
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// How many deliveries have not ended.
    pub(super) waiting: u64,
    /// When the event of the oldest of them was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest_waiting: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_run: Option<LastRunLine>,
}

/// The last run of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LastRunLine {
    pub(super) time: Timestamp,
    pub(super) outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_code: Option<u16>,
    pub(super) response: String,
}

/// An alert group that is not resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertGroupLine {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) title: String,
    pub(super) integration: String,
    pub(super) alerts: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
}

/// An integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntegrationLine {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_: String,
    pub(super) state: State,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    pub(super) open_alert_groups: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_alert_time: Option<Timestamp>,
}

/// Events that no operator has taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct WaitingEvents {
    /// How many.
    pub(super) waiting: u64,
    /// When the oldest was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest: Option<Timestamp>,
}

impl WaitingEvents {
    pub(super) fn add(&mut self, created: Option<Timestamp>) {
        self.waiting += 1;
        self.oldest = earlier(self.oldest, created);
    }
}

/// The earlier of two times, of which either may be unknown.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
