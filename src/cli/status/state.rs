//! How an object is, in a word, from its spec and its conditions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::resources::{
    Condition,
    conditions::{Standing, Word},
};

/// How an object is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum State {
    /// Its receiver wants no more of it.
    Gone,
    /// It can't work.
    NotReady,
    /// Its endpoint is taken to be down.
    Failing,
    /// Nothing came for longer than it should.
    Silent,
    /// No operator has looked at it as it is now.
    Unknown,
    /// What it is to send waits in the API server.
    Backlogged,
    /// Held by a person.
    Suspended,
    /// Well.
    Ready,
    /// Never runs.
    Disabled,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gone => "Gone",
            Self::NotReady => "NotReady",
            Self::Failing => "Failing",
            Self::Silent => "Silent",
            Self::Unknown => "Unknown",
            Self::Backlogged => "Backlogged",
            Self::Suspended => "Suspended",
            Self::Ready => "Ready",
            Self::Disabled => "Disabled",
        }
    }

    /// Whether it needs a person, whatever else there is to tell.
    pub(super) fn is_trouble(self) -> bool {
        self <= Self::Backlogged
    }
}

/// What an object's status says: the part that Webhooks and Integrations have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Conditions {
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// A state, why, and since when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) state: State,
    pub(super) message: String,
    pub(super) since: Option<Timestamp>,
}

/// Judges an object of this generation. `enabled` and `suspended` are what its spec says.
pub(super) fn judge(status: &Conditions, generation: Option<i64>, enabled: bool, suspended: bool) -> Judgement {
    let found = |state: State, condition: &Condition| Judgement {
        state,
        message: condition.message.clone(),
        since: Some(condition.last_transition_time),
    };
    let plain = |state: State, message: &str| Judgement { state, message: message.to_owned(), since: None };
    if status.conditions.is_empty() || status.observed_generation.unwrap_or_default() < generation.unwrap_or_default() {
        return plain(State::Unknown, "No operator has looked at it as it is now");
    }
    match Standing::of(&status.conditions, enabled) {
        Standing::NotReady(condition) => found(State::NotReady, condition),
        Standing::Held(condition) => found(held(condition), condition),
        Standing::Disabled => plain(State::Disabled, ""),
        // One without the condition is of before there was one.
        _ if suspended => plain(State::Suspended, "spec.suspend is set"),
        Standing::Failing(condition) => found(State::Failing, condition),
        Standing::Silent(condition) => found(State::Silent, condition),
        Standing::Backlogged(condition) => found(State::Backlogged, condition),
        Standing::Well => plain(State::Ready, ""),
    }
}

/// The state of an object that is held, by why it is.
fn held(condition: &Condition) -> State {
    match &*condition.reason {
        reason if reason == Word::Suspended.as_str() => State::Suspended,
        reason if reason == Word::Gone.as_str() => State::Gone,
        // This version can't read it.
        _ => State::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(status: Value, enabled: bool, suspended: bool) -> (State, String) {
        let Judgement { state, message, .. } =
            judge(&serde_json::from_value(status).unwrap(), Some(2), enabled, suspended);
        (state, message)
    }

    #[test]
    fn the_worst_that_an_object_says_of_itself_is_its_state() {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({
                "type": type_, "status": status, "reason": reason, "message": reason,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let ready = || condition("Ready", "True", "Valid");
        let broken = || condition("Ready", "False", "TemplateError");
        let failing = || condition("Failing", "True", "EndpointFailing");
        let suspended = |reason: &str| condition("Suspended", "True", reason);
        let seen = |conditions: Vec<Value>| json!({"observedGeneration": 2, "conditions": conditions});
        let unknown = (State::Unknown, "No operator has looked at it as it is now");
        for (status, enabled, suspend, expected) in [
            (json!({}), true, false, unknown),
            (json!({"observedGeneration": -1}), true, false, unknown),
            (json!({"observedGeneration": 1, "conditions": [ready()]}), true, false, unknown),
            (seen(vec![ready()]), true, false, (State::Ready, "")),
            (seen(vec![ready()]), false, false, (State::Disabled, "")),
            (seen(vec![broken(), failing()]), true, false, (State::NotReady, "TemplateError")),
            (seen(vec![broken()]), false, false, (State::NotReady, "TemplateError")),
            (seen(vec![ready(), failing()]), true, false, (State::Failing, "EndpointFailing")),
            (seen(vec![ready(), failing(), suspended("Gone")]), true, false, (State::Gone, "Gone")),
            (seen(vec![ready(), failing(), suspended("Suspended")]), true, true, (State::Suspended, "Suspended")),
            (seen(vec![ready(), suspended("Unreadable")]), true, false, (State::NotReady, "Unreadable")),
            // As the column STATUS has it.
            (seen(vec![broken(), suspended("Gone")]), true, false, (State::NotReady, "TemplateError")),
            (seen(vec![ready(), suspended("Suspended")]), false, true, (State::Suspended, "Suspended")),
            (seen(vec![ready()]), true, true, (State::Suspended, "spec.suspend is set")),
            (
                seen(vec![ready(), condition("Backlogged", "True", "ShareUsedUp")]),
                true,
                false,
                (State::Backlogged, "ShareUsedUp"),
            ),
            (seen(vec![ready(), condition("Heartbeat", "False", "Missed")]), true, false, (State::Silent, "Missed")),
            (seen(vec![ready(), condition("Failing", "False", "Answers")]), true, false, (State::Ready, "")),
        ] {
            let (state, message) = expected;
            assert_eq!(judged(status.clone(), enabled, suspend), (state, message.to_owned()), "{status}");
        }
    }
}
