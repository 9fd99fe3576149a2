//! What came of an event that was folded.

use serde::{Deserialize, Serialize};

use crate::webhook::EventType;

/// What came of an event that was folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verdict {
    /// It opened an alert group.
    Opened,
    /// It joined an open alert group, and changed nothing else.
    Joined,
    /// The alert group is acknowledged.
    Acknowledged,
    /// It is not acknowledged any more.
    Unacknowledged,
    /// It is resolved.
    Resolved,
    /// It is not resolved any more.
    Unresolved,
    /// It is silenced.
    Silenced,
    /// It is not silenced any more.
    Unsilenced,
    /// It ran the webhooks that it names.
    Escalated,
    /// It is resolved for good, and its content is taken away.
    Wiped,
    /// Its source is there.
    Noted,
    /// Its alerts are over, and no alert group was open for them.
    NothingOpen,
    /// The alert group was not in a state for it, or is not there.
    NotApplicable,
}

impl Verdict {
    /// The type of the event that fires webhooks; None if it fires none. `named` is that of an event that names its webhooks.
    pub fn event_type(self, named: EventType) -> Option<EventType> {
        Some(match self {
            Self::Opened => EventType::AlertGroupCreated,
            Self::Acknowledged => EventType::Acknowledge,
            Self::Unacknowledged => EventType::Unacknowledge,
            Self::Resolved => EventType::Resolve,
            Self::Unresolved => EventType::Unresolve,
            Self::Silenced => EventType::Silence,
            Self::Unsilenced => EventType::Unsilence,
            Self::Escalated => named,
            Self::Wiped | Self::Joined | Self::Noted | Self::NothingOpen | Self::NotApplicable => return None,
        })
    }

    /// Whether an alert group that it is the first of takes no more alerts from then on.
    pub(super) fn closes(self) -> bool {
        matches!(self, Self::Resolved | Self::Wiped)
    }

    /// Whether nothing is left to tell once the alert group is written: the event is deleted. An event that a person made stays.
    pub fn leaves_nothing(self) -> bool {
        matches!(self, Self::Joined | Self::Noted | Self::NothingOpen)
    }
}
