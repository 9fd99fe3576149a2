//! Conditions, with the bounds of the Kubernetes API conventions in their schema.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about, in CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of the object that it was found for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Timestamp,
    /// Why, in one CamelCase word for programs.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Why, in a sentence for people.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It can't be told.
    Unknown,
}

/// Puts `condition` in the place of the one of its type. The transition time of the old one is kept where the status
/// did not change.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) {
    match conditions.iter_mut().find(|old| old.type_ == condition.type_) {
        Some(old) => {
            if old.status == condition.status {
                condition.last_transition_time = old.last_transition_time;
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_time_changes_with_the_status_only() {
        let mk = |status, time: &str, reason: &str| Condition {
            type_: "Ready".to_owned(),
            status,
            observed_generation: Some(1),
            last_transition_time: time.parse().unwrap(),
            reason: reason.to_owned(),
            message: String::new(),
        };
        let (first, second) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let mut conditions = vec![mk(ConditionStatus::True, first, "A")];
        set(&mut conditions, mk(ConditionStatus::True, second, "B"));
        assert_eq!(conditions, [mk(ConditionStatus::True, first, "B")]);
        set(&mut conditions, mk(ConditionStatus::False, second, "C"));
        assert_eq!(conditions, [mk(ConditionStatus::False, second, "C")]);
    }
}
