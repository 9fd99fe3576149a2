//! One word that says how a Webhook does, for people who look at many: who is in trouble, and why.

use super::{BACKLOGGED, FAILING, READY, SUSPENDED};
use crate::resources::{Condition, ConditionStatus};

/// The word where nothing is wrong.
pub(crate) const WELL: &str = "Ready";

/// The word for a Webhook with these conditions: the reason for which it is not ready or sends nothing, the type of what else is wrong,
/// or `Disabled`. What keeps it from working at all comes first.
pub(crate) fn webhook_state(conditions: &[Condition], is_enabled: bool) -> &str {
    let of = |type_: &str, status| conditions.iter().find(|one| one.type_ == type_ && one.status == status);
    let reason = of(READY, ConditionStatus::False).or_else(|| of(SUSPENDED, ConditionStatus::True));
    let holds = |type_| of(type_, ConditionStatus::True).map(|_| type_);
    match reason {
        Some(condition) => &condition.reason,
        None if !is_enabled => "Disabled",
        None => holds(FAILING).or_else(|| holds(BACKLOGGED)).unwrap_or(WELL),
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
        let cases: [(&[&Condition], bool, &str); 9] = [
            (&[&ready], true, "Ready"),
            (&[&ready, &warned], true, "Ready"),
            (&[&ready], false, "Disabled"),
            (&[&not_ready], false, "TemplateError"),
            (&[&not_ready, &suspended, &failing], true, "TemplateError"),
            (&[&ready, &suspended, &failing, &backlogged], true, "Suspended"),
            (&[&ready, &gone], false, "Gone"),
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
