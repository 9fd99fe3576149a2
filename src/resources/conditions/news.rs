//! What a change of conditions tells people who look at an object's Events: what went wrong, and that it is well again.
//!
//! The old conditions are those that were written, so that nothing is told twice when another process begins.

use super::{FAILING, HEARTBEAT, READY, SUSPENDED, TEMPLATE_WARNING, TOO_MANY_OPEN, Word};
use crate::resources::{Condition, ConditionStatus};

/// The reason that tells that an endpoint answers again.
pub(crate) const RECOVERED: &str = "Recovered";

/// Something that is told as an Event of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Whether somebody should look at it.
    pub(crate) is_warning: bool,
    /// The type of the condition that it is about, if it is about one.
    pub(crate) type_: &'static str,
    /// One word in CamelCase, for programs.
    pub(crate) reason: &'static str,
    /// Why, in the word of the condition.
    pub(crate) action: String,
    /// A sentence, for people.
    pub(crate) note: String,
}

/// What there is to tell of a Webhook or an Integration whose conditions change from `old` to `new`. Never that all is well, unless it
/// was not.
pub(crate) fn news(old: &[Condition], new: &[Condition]) -> Vec<News> {
    TOPICS.iter().filter_map(|(type_, of)| Some(News { type_, ..of((find(old, type_), find(new, type_)))? })).collect()
}

type Topic = fn(Change<'_>) -> Option<News>;

/// The types of conditions that are told of, and how.
const TOPICS: [(&str, Topic); 6] = [
    (READY, of_ready),
    (SUSPENDED, of_suspended),
    (FAILING, of_failing),
    (HEARTBEAT, of_heartbeat),
    (TEMPLATE_WARNING, of_template),
    (TOO_MANY_OPEN, of_open),
];

type Change<'a> = (Option<&'a Condition>, Option<&'a Condition>);

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn holds(condition: Option<&Condition>) -> bool {
    condition.is_some_and(|condition| condition.status == ConditionStatus::True)
}

fn fails(condition: Option<&Condition>) -> bool {
    condition.is_some_and(|condition| condition.status == ConditionStatus::False)
}

fn warning(reason: &'static str, condition: &Condition) -> News {
    News { is_warning: true, type_: "", reason, action: condition.reason.clone(), note: condition.message.clone() }
}

fn normal(reason: &'static str, action: &str, note: &str) -> News {
    News { is_warning: false, type_: "", reason, action: action.to_owned(), note: note.to_owned() }
}

fn of_ready((old, new): Change<'_>) -> Option<News> {
    let now = new?;
    if fails(new) {
        let is_known = old.is_some_and(|old| (old.status, &old.message) == (now.status, &now.message));
        return (!is_known).then(|| warning("NotReady", now));
    }
    (fails(old) && holds(new)).then(|| normal("Ready", &now.reason, &now.message))
}

fn of_suspended((old, new): Change<'_>) -> Option<News> {
    match new.filter(|_| holds(new)) {
        Some(now) if old.is_none_or(|old| !holds(Some(old)) || old.reason != now.reason) => Some(match &*now.reason {
            reason if reason == Word::Gone.as_str() => warning("Gone", now),
            reason if reason == Word::Unreadable.as_str() => warning("NotReady", now),
            _ => normal("Suspended", &now.reason, &now.message),
        }),
        Some(_) => None,
        None => holds(old).then(|| normal("Resumed", "Resumed", "Works again")),
    }
}

fn of_failing((old, new): Change<'_>) -> Option<News> {
    match new.filter(|_| holds(new)) {
        Some(now) if !holds(old) => Some(warning("EndpointFailing", now)),
        None if holds(old) => Some(normal(RECOVERED, RECOVERED, "The endpoint answers again; what waited is sent")),
        _ => None,
    }
}

fn of_heartbeat((old, new): Change<'_>) -> Option<News> {
    let now = new?;
    match (fails(old), fails(new)) {
        (false, true) => Some(warning("HeartbeatMissed", now)),
        (true, false) => Some(normal("HeartbeatReceived", &now.reason, &now.message)),
        _ => None,
    }
}

fn of_template((old, new): Change<'_>) -> Option<News> {
    // That of a Webhook is found without data, and stands in its condition.
    let now = new.filter(|now| now.reason == Word::FailedOnPayload.as_str())?;
    (!holds(old)).then(|| warning("TemplateFailed", now))
}

fn of_open((old, new): Change<'_>) -> Option<News> {
    match new.filter(|_| holds(new)) {
        Some(now) if !holds(old) => Some(warning("TooManyOpenAlertGroups", now)),
        None if holds(old) => Some(normal("TakesAlerts", "TakesAlerts", "There is room for more alert groups again")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn mk(type_: &str, status: ConditionStatus, reason: &str) -> Vec<Condition> {
        vec![Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: None,
            last_transition_time: Timestamp::UNIX_EPOCH,
            reason: reason.to_owned(),
            message: format!("{reason}."),
        }]
    }

    #[test]
    fn what_goes_wrong_is_told_and_that_it_is_well_again_and_nothing_else() {
        let (yes, no) = (ConditionStatus::True, ConditionStatus::False);
        let (ready, broken) = (mk(READY, yes, "Valid"), mk(READY, no, "TemplateError"));
        let (suspended, gone) = (mk(SUSPENDED, yes, "Suspended"), mk(SUSPENDED, yes, "Gone"));
        let failing = mk(FAILING, yes, "EndpointFailing");
        let (received, missed) = (mk(HEARTBEAT, yes, "Received"), mk(HEARTBEAT, no, "Missed"));
        let unknown = mk(HEARTBEAT, ConditionStatus::Unknown, "NothingReceived");
        let open = mk(TOO_MANY_OPEN, yes, "LimitReached");
        let failed = mk(TEMPLATE_WARNING, yes, "FailedOnPayload");
        let other = mk(READY, no, "SecretNotFound");
        let none = Vec::new();
        let cases: [(&Vec<Condition>, &Vec<Condition>, &[&str]); 22] = [
            (&none, &ready, &[]),
            (&ready, &ready, &[]),
            (&none, &broken, &["Warning NotReady: TemplateError."]),
            (&ready, &broken, &["Warning NotReady: TemplateError."]),
            (&broken, &broken, &[]),
            (&broken, &other, &["Warning NotReady: SecretNotFound."]),
            (&broken, &ready, &["Normal Ready: Valid."]),
            (&none, &suspended, &["Normal Suspended: Suspended."]),
            (&suspended, &suspended, &[]),
            (&suspended, &gone, &["Warning Gone: Gone."]),
            (&gone, &none, &["Normal Resumed: Works again"]),
            (&none, &failing, &["Warning EndpointFailing: EndpointFailing."]),
            (&failing, &failing, &[]),
            (&failing, &none, &["Normal Recovered: The endpoint answers again; what waited is sent"]),
            (&none, &unknown, &[]),
            (&unknown, &received, &[]),
            (&received, &missed, &["Warning HeartbeatMissed: Missed."]),
            (&missed, &received, &["Normal HeartbeatReceived: Received."]),
            (&missed, &none, &[]),
            (&none, &open, &["Warning TooManyOpenAlertGroups: LimitReached."]),
            (&none, &failed, &["Warning TemplateFailed: FailedOnPayload."]),
            (&failed, &failed, &[]),
        ];
        for (old, new, expected) in cases {
            let told: Vec<String> = news(old, new)
                .iter()
                .map(|news| {
                    format!("{} {}: {}", if news.is_warning { "Warning" } else { "Normal" }, news.reason, news.note)
                })
                .collect();
            assert_eq!(told, expected, "{old:?} {new:?}");
        }
    }
}
