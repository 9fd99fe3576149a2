//! What an event asks of the alert groups.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{intake::AlertAction, webhook::EventType};

/// An event that says what a source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertReport {
    /// Name of the Integration.
    pub integration: Arc<str>,
    /// Id of that.
    pub integration_id: Arc<str>,
    /// What alerts of one group have in common.
    pub grouping_id: Arc<str>,
    /// What is said.
    pub action: AlertAction,
    /// The title of an alert group that it opens.
    pub title: Arc<str>,
}

/// Until when an alert group is to be silenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// For ever.
    #[default]
    Forever,
    /// Until then.
    Time(Timestamp),
    /// The text is no time.
    Unreadable,
}

impl Until {
    /// The time; None if it never comes.
    pub(super) fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::Forever | Self::Unreadable => None,
        }
    }
}

/// An event that asks for a change of an alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Name of the AlertGroup.
    pub alert_group: Arc<str>,
    /// The change.
    pub event_type: EventType,
    /// The name of the user who asks for it; None for a timer.
    pub by: Option<Arc<str>>,
    /// For a silence: until when.
    pub until: Until,
    /// The number of the timer that asks for it.
    pub timer: Option<u64>,
    /// Names or ids of the webhooks that run, for an escalation or a personal notification.
    pub webhook_refs: Vec<String>,
}

/// What an event asks of the alert groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldRequest {
    /// A source said something.
    Alert(AlertReport),
    /// A person or a timer asks for a change.
    Change(ChangeRequest),
}

impl FoldRequest {
    /// About how many bytes it holds.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Alert(AlertReport { integration, integration_id, grouping_id, title, action: _ }) => {
                [integration, integration_id, grouping_id, title].iter().map(|text| 2 * text.len()).sum()
            }
            // The names are held once more with the event's facts.
            Self::Change(change) => {
                let named: usize = change.webhook_refs.iter().map(|name| 4 * (24 + name.len())).sum();
                named + change.alert_group.len() + change.by.as_ref().map_or(0, |by| by.len())
            }
        }
    }
}
