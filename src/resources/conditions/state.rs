//! How an object does, from its conditions, for people who look at many: who is in trouble, and why. The status of a Webhook says it in
//! a word, and so does `oncall-webhooks status`.

use super::{BACKLOGGED, FAILING, HEARTBEAT, READY, SUSPENDED};
use crate::resources::{Condition, ConditionStatus};

/// The word where nothing is wrong.
pub(crate) const WELL: &str = "Ready";

/// What most matters of an object, with the condition that says so: what keeps it from working at all comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// It can't work.
    NotReady(&'a Condition),
    /// What it is to do waits, for the reason of the condition.
    Held(&'a Condition),
    /// It never runs.
    Disabled,
    /// Its endpoint is taken to be down.
    Failing(&'a Condition),
    /// Nothing came for longer than it should.
    Silent(&'a Condition),
    /// What it is to send waits in the API server.
    Backlogged(&'a Condition),
    /// Nothing is wrong.
    Well,
}

impl<'a> Standing<'a> {
    /// That of an object with these conditions. `is_enabled` is what its spec says.
    pub(crate) fn of(conditions: &'a [Condition], is_enabled: bool) -> Self {
        let with = |type_: &str, status| conditions.iter().find(|one| one.type_ == type_ && one.status == status);
        let (holds, does_not_hold) =
            (|type_| with(type_, ConditionStatus::True), |type_| with(type_, ConditionStatus::False));
        let disabled = || (!is_enabled).then_some(Self::Disabled);
        does_not_hold(READY)
            .map(Self::NotReady)
            .or_else(|| holds(SUSPENDED).map(Self::Held))
            .or_else(disabled)
            .or_else(|| holds(FAILING).map(Self::Failing))
            .or_else(|| does_not_hold(HEARTBEAT).map(Self::Silent))
            .or_else(|| holds(BACKLOGGED).map(Self::Backlogged))
            .unwrap_or(Self::Well)
    }
}

/// The word for a Webhook with these conditions: the reason for which it is not ready or sends nothing, the type of what else is wrong,
/// or `Disabled`.
pub(crate) fn webhook_state(conditions: &[Condition], is_enabled: bool) -> &str {
    match Standing::of(conditions, is_enabled) {
        Standing::NotReady(condition) | Standing::Held(condition) => &condition.reason,
        Standing::Disabled => "Disabled",
        Standing::Failing(condition) | Standing::Silent(condition) | Standing::Backlogged(condition) => {
            &condition.type_
        }
        Standing::Well => WELL,
    }
}

/// What a status shows of a number of deliveries that wait: up to 9 as it is, else with its first digit alone, so that a growing number
/// is written seldom.
pub(crate) fn about(waiting: usize) -> u32 {
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    let place = 10_u32.pow(waiting.checked_ilog10().unwrap_or_default());
    waiting / place * place
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn mk(type_: &str, status: ConditionStatus, reason: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: None,
            last_transition_time: Timestamp::UNIX_EPOCH,
            reason: reason.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn the_worst_that_is_wrong_with_a_webhook_is_its_state() {
        let (yes, no) = (ConditionStatus::True, ConditionStatus::False);
        let ready = mk("Ready", yes, "Valid");
        let not_ready = mk("Ready", no, "TemplateError");
        let suspended = mk("Suspended", yes, "Suspended");
        let gone = mk("Suspended", yes, "Gone");
        let failing = mk("Failing", yes, "EndpointFailing");
        let backlogged = mk("Backlogged", yes, "ShareUsedUp");
        let warned = mk("TemplateWarning", yes, "FailsOnEmptyData");
        let cases: [(&[&Condition], bool, &str); 11] = [
            (&[&ready], true, "Ready"),
            (&[&ready, &warned], true, "Ready"),
            (&[&ready], false, "Disabled"),
            (&[&not_ready], false, "TemplateError"),
            (&[&not_ready, &suspended, &failing], true, "TemplateError"),
            (&[&ready, &suspended, &failing, &backlogged], true, "Suspended"),
            (&[&ready, &gone], false, "Gone"),
            (&[&not_ready, &gone], true, "TemplateError"),
            (&[&ready, &suspended], false, "Suspended"),
            (&[&ready, &backlogged, &failing], true, "Failing"),
            (&[&ready, &backlogged], true, "Backlogged"),
        ];
        for (conditions, is_enabled, expected) in cases {
            let conditions: Vec<Condition> = conditions.iter().map(|one| (*one).clone()).collect();
            assert_eq!(webhook_state(&conditions, is_enabled), expected, "{conditions:?}");
        }
    }

    #[test]
    fn a_number_that_grows_changes_what_is_shown_seldom() {
        for (waiting, shown) in [(0, 0), (1, 1), (9, 9), (10, 10), (19, 10), (20, 20), (999, 900), (123_456, 100_000)] {
            assert_eq!(about(waiting), shown);
        }
        let shown: std::collections::BTreeSet<u32> = (0..=1_000_000).map(about).collect();
        assert_eq!(shown.len(), 9 * 6 + 2);
        assert_eq!(about(usize::MAX), 4_000_000_000);
    }
}
