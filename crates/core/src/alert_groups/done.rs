//! What was done to an alert group, and its state, which follows from that.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Verdict;

/// The state of an alert group, in OnCall's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlertGroupState {
    /// Nobody has taken it on.
    #[default]
    Firing,
    /// Somebody works on it.
    Acknowledged,
    /// It is to be left alone for a while, or for ever.
    Silenced,
    /// It is over.
    Resolved,
}

impl AlertGroupState {
    /// The state of an alert group to which this was done: resolved before acknowledged before silenced, as OnCall has it.
    pub fn of(is_resolved: bool, is_acknowledged: bool, is_silenced: bool) -> Self {
        match (is_resolved, is_acknowledged, is_silenced) {
            (true, _, _) => Self::Resolved,
            (_, true, _) => Self::Acknowledged,
            (_, _, true) => Self::Silenced,
            _ => Self::Firing,
        }
    }

    /// OnCall's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
            Self::Resolved => "resolved",
        }
    }
}

/// Something that was done to an alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// The name of the user who did it; None for the source of its alerts.
    pub by: Option<Arc<str>>,
}

/// What was done to an alert group and is not undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Who acknowledged it.
    pub acknowledged: Option<Act>,
    /// Who resolved it.
    pub resolved: Option<Act>,
    /// Who silenced it.
    pub silenced: Option<Act>,
    /// Who took its content away, for good.
    pub wiped: Option<Act>,
}

impl Done {
    /// The state that it is in by that.
    pub fn state(&self) -> AlertGroupState {
        AlertGroupState::of(self.resolved.is_some(), self.acknowledged.is_some(), self.silenced.is_some())
    }

    /// Takes in what came of an event.
    pub(super) fn take_in(&mut self, verdict: Verdict, act: Act) {
        match verdict {
            Verdict::Acknowledged => (self.acknowledged, self.silenced) = (Some(act), None),
            Verdict::Unacknowledged => (self.acknowledged, self.silenced) = (None, None),
            Verdict::Resolved => (self.resolved, self.silenced) = (Some(act), None),
            Verdict::Unresolved => self.resolved = None,
            Verdict::Silenced => self.silenced = Some(act),
            Verdict::Unsilenced => self.silenced = None,
            Verdict::Wiped => {
                // As in OnCall, nobody has resolved it then.
                self.resolved.get_or_insert(Act { at: act.at, by: None });
                (self.silenced, self.wiped) = (None, Some(act));
            }
            Verdict::Opened
            | Verdict::Joined
            | Verdict::Escalated
            | Verdict::Noted
            | Verdict::NothingOpen
            | Verdict::NotApplicable => {}
        }
    }
}
