//! The conditions of an AlertGroupEvent: how far it is, and, as a Job has them, how it ended.

use jiff::Timestamp;

use super::{COMPLETED, FAILED, Reason, SUCCEEDED, Word};
use crate::{
    core::alert_groups::Verdict,
    resources::{AlertGroupEventStatus, Condition, ConditionStatus, EventPhase, set_condition},
};

/// `Completed`, for an event with this status. `unknown` are the webhookRefs that no webhook answers to; `held` says that it
/// waits for a webhook that can't be read.
fn completed(status: &AlertGroupEventStatus, unknown: &[String], held: bool, time: Timestamp) -> (Condition, Word) {
    let AlertGroupEventStatus { phase, matched, succeeded, failed, skipped, verdict, .. } = status;
    if *verdict == Some(Verdict::NotApplicable) && *phase == EventPhase::Completed {
        let why = match &status.alert_group_ref {
            Some(group) => format!("AlertGroup {} was in no state for it", group.name),
            None => "There is no such AlertGroup".to_owned(),
        };
        let reason = Reason::new(Word::NotApplicable, format!("{why}: nothing was changed, and nothing is sent"));
        return (reason.condition(COMPLETED, ConditionStatus::True, None, time), reason.word);
    }
    let (holds, word) = match (phase, matched, failed) {
        (EventPhase::Completed, _, _) if !unknown.is_empty() => (ConditionStatus::True, Word::WebhookNotFound),
        (EventPhase::Completed, 0, _) => (ConditionStatus::True, Word::NothingMatched),
        (EventPhase::Completed, _, 0) => (ConditionStatus::True, Word::Delivered),
        (EventPhase::Completed, _, _) => (ConditionStatus::True, Word::SomeFailed),
        _ if held => (ConditionStatus::False, Word::WebhookUnreadable),
        _ => (ConditionStatus::False, Word::Delivering),
    };
    let mut message = format!("{matched} webhooks: {succeeded} succeeded, {failed} failed, {skipped} skipped");
    if !unknown.is_empty() {
        message.push_str(&format!(
            "; spec.webhookRefs names {}, which is no enabled Webhook of this trigger type and integration",
            unknown.join(", ")
        ));
    }
    if held {
        message.push_str(
            "; this version of the operator can't read a Webhook of the namespace, which the event may be for (its log says \
             which and why)",
        );
    }
    (Reason::new(word, message).condition(COMPLETED, holds, None, time), word)
}

/// Brings the conditions of an event to what its status says. `unknown` and `held` are as above. `Succeeded` and `Failed` are there
/// once it is completed, one of them; not while it is sent again.
pub(crate) fn set_event_conditions(
    conditions: &mut Vec<Condition>,
    status: &AlertGroupEventStatus,
    unknown: &[String],
    held: bool,
    time: Timestamp,
) {
    let (completed, word) = completed(status, unknown, held, time);
    let end = match word {
        Word::Delivered | Word::NothingMatched => Some(SUCCEEDED),
        Word::SomeFailed | Word::WebhookNotFound | Word::NotApplicable => Some(FAILED),
        _ => None,
    };
    conditions.retain(|old| ![SUCCEEDED, FAILED].contains(&&*old.type_) || Some(&*old.type_) == end);
    let end = end.map(|end| Condition { type_: end.to_owned(), ..completed.clone() });
    set_condition(conditions, completed);
    end.into_iter().for_each(|end| set_condition(conditions, end));
}

/// `Completed`, for an event that can't be read.
pub(crate) fn event_unreadable(error: &str, time: Timestamp) -> Condition {
    let reason = Reason::new(
        Word::Unreadable,
        format!(
            "Nothing is sent, since the operator can't read the event: {error}. \
             Make it anew so that it can; spec.alertPayload may be nested 125 deep"
        ),
    );
    reason.condition(COMPLETED, ConditionStatus::False, None, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_completed_with_what_came_of_its_webhooks_and_then_succeeded_or_failed() {
        let status = |phase, matched, failed| AlertGroupEventStatus { phase, matched, failed, ..Default::default() };
        let (delivering, completed) = (EventPhase::Delivering, EventPhase::Completed);
        let refused = AlertGroupEventStatus { verdict: Some(Verdict::NotApplicable), ..status(completed, 0, 0) };
        let cases: [(_, &[&str], _, _); 8] = [
            (status(delivering, 2, 1), &[], false, vec!["Completed=False Delivering"]),
            (status(delivering, 0, 0), &[], true, vec!["Completed=False WebhookUnreadable"]),
            (status(completed, 2, 0), &[], false, vec!["Completed=True Delivered", "Succeeded=True Delivered"]),
            (status(completed, 2, 0), &[], true, vec!["Completed=True Delivered", "Succeeded=True Delivered"]),
            (status(completed, 2, 1), &[], false, vec!["Completed=True SomeFailed", "Failed=True SomeFailed"]),
            (
                status(completed, 0, 0),
                &[],
                false,
                vec!["Completed=True NothingMatched", "Succeeded=True NothingMatched"],
            ),
            (
                status(completed, 2, 1),
                &["one"],
                false,
                vec!["Completed=True WebhookNotFound", "Failed=True WebhookNotFound"],
            ),
            (refused, &[], false, vec!["Completed=True NotApplicable", "Failed=True NotApplicable"]),
        ];
        // Whatever it was before: it may be sent again.
        let mut conditions = Vec::new();
        for (status, unknown, held, expected) in cases {
            let unknown: Vec<String> = unknown.iter().map(|name| (*name).to_owned()).collect();
            set_event_conditions(&mut conditions, &status, &unknown, held, Timestamp::UNIX_EPOCH);
            let found: Vec<String> =
                conditions.iter().map(|one| format!("{}={:?} {}", one.type_, one.status, one.reason)).collect();
            assert_eq!(found, expected, "{status:?} {unknown:?} {held}");
        }
    }
}
