//! The conditions that the operator sets: every type, reason and message. People's scripts and alerts rely on types and
//! reasons, and kstatus on `Ready`, `Reconciling` and `Stalled`.
//!
//! The list of them is in [`words`], and for people in `docs/status.md`; what a change of them tells people is in [`news`].

mod event;
mod news;
mod state;
mod words;

use std::{borrow::Cow, fmt::Display, time::Duration};

use jiff::Timestamp;

pub(crate) use self::{
    event::{event_unreadable, set_event_conditions},
    news::{News, RECOVERED, news},
    state::{Standing, about, webhook_state},
    words::{
        BACKLOGGED, COMPLETED, FAILED, FAILING, HEARTBEAT, INSECURE_TLS, READY, RECONCILING, STALLED, SUCCEEDED,
        SUSPENDED, TEMPLATE_WARNING, TOO_MANY_OPEN, Word,
    },
};
use super::{Condition, ConditionStatus, IntegrationSpec, set_condition};
use crate::core::{
    alert_groups::Heard,
    judgement::{Fault, FaultKind},
};

/// Bound on a message that is put together from others, in characters.
const MESSAGE_LIMIT: usize = 4000;

/// Why a condition has its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// One CamelCase word, for programs.
    word: Word,
    /// A sentence, for people.
    message: Cow<'static, str>,
}

impl Reason {
    /// The word for programs.
    #[cfg(test)]
    pub(crate) fn word(&self) -> &'static str {
        self.word.as_str()
    }

    fn new(word: Word, message: impl Into<Cow<'static, str>>) -> Self {
        Self { word, message: message.into() }
    }

    /// Makes a condition of this reason, found at `time` for a `generation` of the object.
    pub(crate) fn condition(
        &self,
        type_: &str,
        status: ConditionStatus,
        generation: Option<i64>,
        time: Timestamp,
    ) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: generation,
            last_transition_time: time,
            reason: self.word.as_str().to_owned(),
            message: self.message.clone().into_owned(),
        }
    }
}

/// `Ready`: nothing is wrong with the manifest. `held` says that what it is to send waits, `is_failing` that its endpoint fails: each has
/// its own condition.
pub(crate) fn valid(enabled: bool, held: Option<&Reason>, is_failing: bool) -> Reason {
    let message = match (enabled, held.map(|held| held.word)) {
        (false, _) => "Disabled: never runs",
        (true, Some(Word::Gone)) => "Can work, but its receiver wants no more: see the condition Suspended",
        (true, Some(_)) => "Can work, but is suspended: see the condition Suspended",
        (true, None) if is_failing => "Can work, but its endpoint fails: see the condition Failing",
        (true, None) => "Runs when its trigger fires",
    };
    Reason::new(Word::Valid, message)
}

/// Brings `Ready`, `Reconciling` and `Stalled` to what was found: a fault, or that all is well. A fault of the manifest itself stays until
/// that is changed; what lies in a Secret may be mended without it.
pub(crate) fn set_readiness(
    conditions: &mut Vec<Condition>,
    found: Result<Reason, &Reason>,
    generation: Option<i64>,
    time: Timestamp,
) {
    let others = match &found {
        Ok(_) => [RECONCILING, STALLED].as_slice(),
        Err(fault) if words::is_of_manifest(fault.word) => &[RECONCILING],
        Err(_) => &[STALLED],
    };
    conditions.retain(|condition| !others.contains(&&*condition.type_));
    let mut set = |type_, status, reason: &Reason| {
        set_condition(conditions, reason.condition(type_, status, generation, time));
    };
    match found {
        Ok(reason) => set(READY, ConditionStatus::True, &reason),
        Err(fault) => {
            set(READY, ConditionStatus::False, fault);
            let why = if words::is_of_manifest(fault.word) { STALLED } else { RECONCILING };
            set(why, ConditionStatus::True, fault);
        }
    }
}

/// Has a condition hold for a reason, or takes it away.
pub(crate) fn set_or_remove(
    conditions: &mut Vec<Condition>,
    type_: &str,
    reason: Option<&Reason>,
    generation: Option<i64>,
    time: Timestamp,
) {
    match reason {
        None => conditions.retain(|condition| condition.type_ != type_),
        Some(reason) => set_condition(conditions, reason.condition(type_, ConditionStatus::True, generation, time)),
    }
}

/// `Ready` of an Integration: nothing is wrong.
pub(crate) fn integration_ready(spec: &IntegrationSpec) -> Reason {
    Reason::new(
        Word::Valid,
        match (spec.suspend, &spec.token_secret_ref) {
            (Some(true), _) => "Suspended: takes no alerts until spec.suspend is lifted",
            (_, None) => {
                "Takes alerts that AlertGroupEvents tell of; none over HTTP, since spec.tokenSecretRef names no token"
            }
            (_, Some(_)) => "Takes alerts",
        },
    )
}

/// `Ready`: these faults, of which there is at least one, let no request be made. Each has its field of the spec and its line.
pub(crate) fn unusable(faults: &[Fault]) -> Reason {
    let word = match faults.first().map(|fault| fault.kind) {
        Some(FaultKind::Url) => Word::URLInvalid,
        Some(FaultKind::Headers) => Word::HeadersInvalid,
        Some(FaultKind::Template | FaultKind::EmptyData) | None => Word::TemplateError,
    };
    Reason::new(word, listed(faults, ""))
}

/// `TemplateWarning`: these templates fail on empty data, and may work on that of events.
pub(crate) fn fails_on_empty_data(faults: &[Fault]) -> Reason {
    Reason::new(Word::FailsOnEmptyData, listed(faults, "fails on empty data, and OnCall's API would refuse it: "))
}

/// The faults one after the other, each behind its place and `what`.
fn listed(faults: &[Fault], what: &str) -> String {
    let messages: Vec<String> = faults
        .iter()
        .map(|Fault { field, line, message, .. }| match line {
            Some(line) => format!("spec.{field}, line {line}: {what}{message}"),
            None => format!("spec.{field}: {what}{message}"),
        })
        .collect();
    messages.join("; ").chars().take(MESSAGE_LIMIT).collect()
}

/// `Ready`: a field of the spec names a Secret that can't be read. `word` says why.
pub(crate) fn secret_unavailable(word: Word, field: &str, why: &impl Display) -> Reason {
    Reason::new(word, format!("spec.{field}: {why}"))
}

/// `Ready`: the value that is to sign the requests is no signing key.
pub(crate) fn signing_key_invalid(secret: &str, key: &str, why: &impl Display) -> Reason {
    Reason::new(Word::SecretInvalid, format!("spec.signing: Key '{key}' of Secret '{secret}': {why}"))
}

/// `Ready`: certificates or keys in Secrets can't be used. `why` begins with the field.
pub(crate) fn tls_invalid(why: &impl Display) -> Reason {
    Reason::new(Word::SecretInvalid, format!("spec.{why}"))
}

/// `Ready` of an Integration: its token in a Secret can't be used.
pub(crate) fn token_invalid(secret: &str, key: &str, why: &impl Display) -> Reason {
    Reason::new(Word::SecretInvalid, format!("spec.tokenSecretRef: Key '{key}' of Secret '{secret}': {why}"))
}

/// `Ready` of an Integration: its token is not its own alone.
pub(crate) fn token_shared(why: &str) -> Reason {
    Reason::new(Word::TokenShared, format!("spec.tokenSecretRef: {why}"))
}

/// `Suspended` of an Integration: by people.
pub(crate) fn integration_suspended() -> Reason {
    Reason::new(Word::Suspended, "spec.suspend: senders are told to try again later")
}

/// `Heartbeat` of an Integration that is to receive something every so often: the status, and why.
pub(crate) fn heartbeat(heard: Heard, every: Duration) -> (ConditionStatus, Reason) {
    let every = every.as_secs();
    match heard {
        Heard::Received => (
            ConditionStatus::True,
            Reason::new(Word::Received, format!("Something was received within {every} s (spec.heartbeat.every)")),
        ),
        Heard::Missed => (
            ConditionStatus::False,
            Reason::new(Word::Missed, format!("Nothing was received for more than {every} s (spec.heartbeat.every)")),
        ),
        Heard::Nothing => (
            ConditionStatus::Unknown,
            Reason::new(Word::NothingReceived, "Nothing was ever received, so that nothing is missed"),
        ),
    }
}

/// `TemplateWarning` of an Integration: a template of its own failed on an alert that was received.
pub(crate) fn failed_on_payload(fault: &str) -> Reason {
    let message = format!("The template of the type was used, since on an alert its own failed: {fault}");
    Reason::new(Word::FailedOnPayload, message.chars().take(MESSAGE_LIMIT).collect::<String>())
}

/// `TooManyOpenAlertGroups` of an Integration: its namespace has `limit` of them.
pub(crate) fn too_many_open(limit: usize) -> Reason {
    Reason::new(
        Word::LimitReached,
        format!(
            "The namespace has {limit} open alert groups or more: senders are told to try again later, until some are resolved"
        ),
    )
}

/// `Suspended`: by people.
pub(crate) fn suspended() -> Reason {
    Reason::new(Word::Suspended, "spec.suspend: what it is to send waits until this is lifted")
}

/// `Suspended`: by the receiver.
pub(crate) fn gone() -> Reason {
    Reason::new(
        Word::Gone,
        "The receiver answered 410: it wants no more of this. Change the Webhook and what waits is sent; delete it and it is \
         not",
    )
}

/// Whether the conditions say of this generation that the receiver suspended it.
pub(crate) fn is_gone(conditions: &[Condition], generation: Option<i64>) -> bool {
    conditions.iter().any(|condition| {
        condition.type_ == SUSPENDED
            && condition.status == ConditionStatus::True
            && condition.reason == Word::Gone.as_str()
            && condition.observed_generation == generation
    })
}

/// `Suspended`: a Webhook was changed so that it can't be read.
pub(crate) fn webhook_unreadable() -> Reason {
    Reason::new(
        Word::Unreadable,
        "It was changed to what this version of the operator can't read (its log says why): what it is to send waits",
    )
}

/// `Failing`.
pub(crate) fn endpoint_failing() -> Reason {
    Reason::new(
        Word::EndpointFailing,
        "Failed some times in a row: tried with one delivery at a time until it answers; the WebhookResponses say how it \
         failed",
    )
}

/// `Backlogged`: new events of the namespace wait.
pub(crate) fn namespace_backlogged() -> Reason {
    Reason::new(
        Word::NamespaceShareUsedUp,
        "The namespace's share of the operator's memory is used up: its new events wait in the API server, in order, until what \
         was before them is sent",
    )
}

/// `Backlogged`: what waits for this webhook does.
pub(crate) fn backlogged() -> Reason {
    Reason::new(
        Word::ShareUsedUp,
        "The webhook's share of the operator's memory is used up: what it is to send waits in the API server, in order, until \
         what was before it is sent",
    )
}

/// `InsecureTLS`.
pub(crate) fn verification_skipped() -> Reason {
    Reason::new(
        Word::VerificationSkipped,
        "spec.tls.insecureSkipVerify: whoever is on the way can read and change what is sent",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_change_mends_is_stalled_and_what_others_may_mend_is_reconciling() {
        let secret = secret_unavailable(Word::SecretNotFound, "password", &"no such Secret");
        let template = unusable(&[]);
        let cases = [
            (Err(&template), vec!["Ready=False TemplateError", "Stalled=True TemplateError"]),
            (Err(&secret), vec!["Ready=False SecretNotFound", "Reconciling=True SecretNotFound"]),
            (Ok(valid(true, None, false)), vec!["Ready=True Valid"]),
        ];
        // Each comes after any other.
        let mut conditions = Vec::new();
        for (found, expected) in cases.iter().chain(&cases).chain(cases.iter().rev()) {
            set_readiness(&mut conditions, found.clone(), Some(1), Timestamp::UNIX_EPOCH);
            let all: Vec<String> =
                conditions.iter().map(|one| format!("{}={:?} {}", one.type_, one.status, one.reason)).collect();
            assert_eq!(&all, expected);
        }
    }

    #[test]
    fn one_that_can_work_and_does_not_says_where_to_look() {
        let (suspended, gone) = (suspended(), gone());
        let cases = [
            (valid(true, None, false), "Runs when its trigger fires"),
            (valid(true, None, true), "Can work, but its endpoint fails: see the condition Failing"),
            (valid(true, Some(&suspended), true), "Can work, but is suspended: see the condition Suspended"),
            (valid(true, Some(&gone), false), "Can work, but its receiver wants no more: see the condition Suspended"),
            (valid(false, Some(&gone), true), "Disabled: never runs"),
        ];
        for (reason, message) in cases {
            assert_eq!((reason.word(), &*reason.message), ("Valid", message));
        }
    }

    #[test]
    fn a_webhook_is_gone_only_in_the_generation_that_the_receiver_refused() {
        let of = |reason: Reason, status, generation| {
            [reason.condition(SUSPENDED, status, Some(generation), Timestamp::UNIX_EPOCH)]
        };
        let cases = [
            (of(gone(), ConditionStatus::True, 2), true),
            (of(gone(), ConditionStatus::True, 1), false),
            (of(gone(), ConditionStatus::False, 2), false),
            (of(suspended(), ConditionStatus::True, 2), false),
        ];
        for (conditions, expected) in cases {
            assert_eq!(is_gone(&conditions, Some(2)), expected, "{conditions:?}");
        }
        assert!(!is_gone(&[], Some(2)));
    }

    #[test]
    fn faults_are_named_with_their_fields_and_lines_within_a_bound() {
        let fault =
            |field, line, kind, message: &str| Fault { field, line, column: None, kind, message: message.to_owned() };
        let url = fault("url", None, FaultKind::Url, "Malformed url");
        let data = fault("data", Some(3), FaultKind::Template, "no such filter");
        let headers = fault("headers", None, FaultKind::Headers, "no JSON");
        let empty = fault("data", Some(2), FaultKind::EmptyData, "division by zero");
        let cases = [
            (
                unusable(&[data, url.clone()]),
                "TemplateError",
                "spec.data, line 3: no such filter; spec.url: Malformed url",
            ),
            (unusable(&[url, headers.clone()]), "URLInvalid", "spec.url: Malformed url; spec.headers: no JSON"),
            (unusable(&[headers]), "HeadersInvalid", "spec.headers: no JSON"),
            (
                fails_on_empty_data(&[empty]),
                "FailsOnEmptyData",
                "spec.data, line 2: fails on empty data, and OnCall's API would refuse it: division by zero",
            ),
        ];
        for (reason, word, message) in cases {
            assert_eq!((reason.word(), &*reason.message), (word, message));
        }
        let long = unusable(&[fault("url", None, FaultKind::Template, &"é".repeat(2 * MESSAGE_LIMIT))]);
        assert_eq!(long.message.chars().count(), MESSAGE_LIMIT);
    }
}
