//! What is left of a wiped alert group in its events and responses, and what of that may be removed.
//!
//! An event goes when all its deliveries have ended and are written, a response when nothing is sent any more for the alert group: until then
//! templates may see it. Nothing is sent again for want of what was removed, and what is removed once stays so: nothing happens to what is
//! wiped.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{StoredEvent, StoredObject, StoredResponse};
use crate::alert_groups::{SKEW, Verdict};

/// An alert group that is wiped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WipedGroup {
    /// Its id, in the spelling that events and responses use.
    pub group: String,
    /// When it was wiped.
    pub at: Timestamp,
}

/// An event, as its status tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldableEvent {
    /// The event.
    pub event: StoredEvent,
    /// What came of it; None where that is not written, or it is none that is folded.
    pub verdict: Option<Verdict>,
    /// Whether something of it is under way: a delivery, or a record in the journal that is not in its response yet.
    pub is_pending: bool,
}

impl FoldableEvent {
    /// Whether it may turn out to be of an alert group that was wiped at this time.
    fn may_be_of(&self, wiped: Timestamp) -> bool {
        let is_unknown = self.event.group.is_empty() && self.verdict.is_none() && !self.event.object.finished;
        is_unknown && self.event.object.created <= wiped.saturating_add(SKEW).unwrap_or(Timestamp::MAX)
    }

    /// Whether it tells of more than who asked for what: of an alert, or of what was sent. Whoever asks for a change waits for its verdict.
    fn has_content(&self) -> bool {
        !matches!(self.verdict, Some(Verdict::Wiped | Verdict::NotApplicable))
    }

    /// Whether all that it was for is over and written.
    fn is_over(&self) -> bool {
        self.event.object.finished && !self.is_pending
    }
}

/// What is left of a wiped alert group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains<'a> {
    /// AlertGroupEvents to delete: first.
    pub events: Vec<&'a StoredObject>,
    /// WebhookResponses to delete.
    pub responses: Vec<&'a StoredObject>,
    /// Whether there are others that may be deleted later.
    pub is_more_later: bool,
}

/// Returns what is left of a wiped alert group in its namespace. The event that asked for it stays, as do those of which
/// nothing came and what a tool would create again.
///
/// As for [`plan`](super::plan), list the responses first: `events` must hold every event of the namespace that existed after that.
/// `is_pending` says whether a record of a response is in the journal.
pub fn remains<'a>(
    wiped: &WipedGroup,
    events: &'a [FoldableEvent],
    responses: &'a [StoredResponse],
    is_pending: impl Fn(&StoredResponse) -> bool,
) -> Remains<'a> {
    let mut left = Remains::default();
    for event in events {
        let object = &event.event.object;
        if event.event.group != wiped.group {
            left.is_more_later |= event.may_be_of(wiped.at);
        } else if !event.is_over() {
            left.is_more_later = true;
        } else if !object.protected && event.has_content() {
            left.events.push(object);
        }
    }
    let open: HashSet<&str> =
        events.iter().filter(|event| !event.is_over()).map(|event| event.event.object.name.as_str()).collect();
    let is_sent = !events.iter().any(|event| event.event.group == wiped.group && !event.is_over());
    for response in responses.iter().filter(|response| response.group == wiped.group) {
        let is_over = is_sent && !open.contains(response.event.as_str());
        if is_over && !is_pending(response) && !response.object.protected {
            left.responses.push(&response.object);
        } else {
            left.is_more_later = true;
        }
    }
    left
}
