//! The conditions that the operator sets: every type, reason and message. People's scripts and alerts rely on types and
//! reasons, and kstatus on `Ready` and `Stalled`.
//!
//! ```text
//! Webhook          Ready         Valid | TemplateError, URLInvalid, HeadersInvalid,
//!                                SecretNotFound, SecretKeyNotFound, SecretInvalid, SecretTooLarge
//!                  Stalled       as Ready, where that is False
//!                  TemplateWarning  FailsOnEmptyData
//!                  Suspended     Suspended, Gone, Unreadable
//!                  Failing       EndpointFailing
//!                  Backlogged    ShareUsedUp, NamespaceShareUsedUp
//!                  InsecureTLS   VerificationSkipped
//! Integration      Ready         Valid | TemplateError, SecretNotFound, SecretKeyNotFound, SecretInvalid, SecretTooLarge,
//!                                TokenShared
//!                  Stalled       as Ready, where that is False
//! AlertGroupEvent  Completed     Delivered, NothingMatched, SomeFailed, WebhookNotFound, NotApplicable | Delivering, WebhookUnreadable,
//!                                Unreadable
//! ```

use std::{borrow::Cow, fmt::Display};

use jiff::Timestamp;

use super::{AlertGroupEventStatus, Condition, ConditionStatus, EventPhase, IntegrationSpec};
use crate::core::{
    alert_groups::Verdict,
    judgement::{Fault, FaultKind},
};

/// Of a Webhook: whether it can work, as far as that can be told without an event: its templates, its URL, its Secrets.
pub(crate) const READY: &str = "Ready";
/// Of a Webhook: it will not get ready by itself.
pub(crate) const STALLED: &str = "Stalled";
/// Of a Webhook: a template may fail, though not with all data.
pub(crate) const TEMPLATE_WARNING: &str = "TemplateWarning";
/// Of a Webhook: its deliveries wait.
pub(crate) const SUSPENDED: &str = "Suspended";
/// Of a Webhook: its endpoint is taken to be down.
pub(crate) const FAILING: &str = "Failing";
/// Of a Webhook: what it is to send waits in the API server.
pub(crate) const BACKLOGGED: &str = "Backlogged";
/// Of a Webhook: the certificate of its receiver is not verified.
pub(crate) const INSECURE_TLS: &str = "InsecureTLS";
/// Of an AlertGroupEvent: whether the runs of all its webhooks have ended.
pub(crate) const COMPLETED: &str = "Completed";

/// The reason of `Ready` where a Secret is missing or lacks the label.
pub(crate) const SECRET_NOT_FOUND: &str = "SecretNotFound";
/// The reason of `Ready` where a Secret lacks a key.
pub(crate) const SECRET_KEY_NOT_FOUND: &str = "SecretKeyNotFound";
/// The reason of `Ready` where there is no room for the value of a Secret in the namespace's share of memory.
pub(crate) const SECRET_TOO_LARGE: &str = "SecretTooLarge";
/// The reason of `Ready` where the value in a Secret can't be used.
pub(crate) const SECRET_INVALID: &str = "SecretInvalid";
/// The reason of `Suspended` where the receiver answered 410.
const GONE: &str = "Gone";

/// Bound on a message that is put together from others, in characters.
const MESSAGE_LIMIT: usize = 4000;

/// Why a condition has its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// One CamelCase word, for programs.
    word: &'static str,
    /// A sentence, for people.
    message: Cow<'static, str>,
}

impl Reason {
    /// The word for programs.
    #[cfg(test)]
    pub(crate) fn word(&self) -> &'static str {
        self.word
    }

    fn new(word: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
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
            reason: self.word.to_owned(),
            message: self.message.clone().into_owned(),
        }
    }
}

/// `Ready`: nothing is wrong.
pub(crate) fn valid(enabled: bool) -> Reason {
    Reason::new("Valid", if enabled { "Runs when its trigger fires" } else { "Disabled: never runs" })
}

/// `Ready` of an Integration: nothing is wrong.
pub(crate) fn integration_ready(spec: &IntegrationSpec) -> Reason {
    Reason::new(
        "Valid",
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
        Some(FaultKind::Url) => "URLInvalid",
        Some(FaultKind::Headers) => "HeadersInvalid",
        Some(FaultKind::Template | FaultKind::EmptyData) | None => "TemplateError",
    };
    Reason::new(word, listed(faults, ""))
}

/// `TemplateWarning`: these templates fail on empty data, and may work on that of events.
pub(crate) fn fails_on_empty_data(faults: &[Fault]) -> Reason {
    Reason::new("FailsOnEmptyData", listed(faults, "fails on empty data, and OnCall's API would refuse it: "))
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

/// `Ready`: a field of the spec names a Secret that can't be read. `word` is one of the reasons above.
pub(crate) fn secret_unavailable(word: &'static str, field: &str, why: &impl Display) -> Reason {
    Reason::new(word, format!("spec.{field}: {why}"))
}

/// `Ready`: the value that is to sign the requests is no signing key.
pub(crate) fn signing_key_invalid(secret: &str, key: &str, why: &impl Display) -> Reason {
    Reason::new(SECRET_INVALID, format!("spec.signing: Key '{key}' of Secret '{secret}': {why}"))
}

/// `Ready`: certificates or keys in Secrets can't be used. `why` begins with the field.
pub(crate) fn tls_invalid(why: &impl Display) -> Reason {
    Reason::new(SECRET_INVALID, format!("spec.{why}"))
}

/// `Ready` of an Integration: its token in a Secret can't be used.
pub(crate) fn token_invalid(secret: &str, key: &str, why: &impl Display) -> Reason {
    Reason::new(SECRET_INVALID, format!("spec.tokenSecretRef: Key '{key}' of Secret '{secret}': {why}"))
}

/// `Ready` of an Integration: its token is not its own alone.
pub(crate) fn token_shared(why: &str) -> Reason {
    Reason::new("TokenShared", format!("spec.tokenSecretRef: {why}"))
}

/// `Suspended`: by people.
pub(crate) fn suspended() -> Reason {
    Reason::new("Suspended", "spec.suspend: what it is to send waits until this is lifted")
}

/// `Suspended`: by the receiver.
pub(crate) fn gone() -> Reason {
    Reason::new(
        GONE,
        "The receiver answered 410: it wants no more of this. Change the Webhook and what waits is sent; delete it and it is \
         not",
    )
}

/// Whether the conditions say of this generation that the receiver suspended it.
pub(crate) fn is_gone(conditions: &[Condition], generation: Option<i64>) -> bool {
    conditions.iter().any(|condition| {
        condition.type_ == SUSPENDED
            && condition.status == ConditionStatus::True
            && condition.reason == GONE
            && condition.observed_generation == generation
    })
}

/// `Suspended`: a Webhook was changed so that it can't be read.
pub(crate) fn webhook_unreadable() -> Reason {
    Reason::new(
        "Unreadable",
        "It was changed to what this version of the operator can't read (its log says why): what it is to send waits",
    )
}

/// `Failing`.
pub(crate) fn endpoint_failing() -> Reason {
    Reason::new(
        "EndpointFailing",
        "Failed some times in a row: tried with one delivery at a time until it answers; the WebhookResponses say how it \
         failed",
    )
}

/// `Backlogged`: new events of the namespace wait.
pub(crate) fn namespace_backlogged() -> Reason {
    Reason::new(
        "NamespaceShareUsedUp",
        "The namespace's share of the operator's memory is used up: its new events wait in the API server, in order, until what \
         was before them is sent",
    )
}

/// `Backlogged`: what waits for this webhook does.
pub(crate) fn backlogged() -> Reason {
    Reason::new(
        "ShareUsedUp",
        "The webhook's share of the operator's memory is used up: what it is to send waits in the API server, in order, until \
         what was before it is sent",
    )
}

/// `InsecureTLS`.
pub(crate) fn verification_skipped() -> Reason {
    Reason::new(
        "VerificationSkipped",
        "spec.tls.insecureSkipVerify: whoever is on the way can read and change what is sent",
    )
}

/// `Completed`, for an event with this status. `unknown` are the webhookRefs that no webhook answers to; `held` says that it
/// waits for a webhook that can't be read.
pub(crate) fn completed(status: &AlertGroupEventStatus, unknown: &[String], held: bool, time: Timestamp) -> Condition {
    let AlertGroupEventStatus { phase, matched, succeeded, failed, skipped, verdict, .. } = status;
    if *verdict == Some(Verdict::NotApplicable) && *phase == EventPhase::Completed {
        let why = match &status.alert_group_ref {
            Some(group) => format!("AlertGroup {} was in no state for it", group.name),
            None => "There is no such AlertGroup".to_owned(),
        };
        let reason = Reason::new("NotApplicable", format!("{why}: nothing was changed, and nothing is sent"));
        return reason.condition(COMPLETED, ConditionStatus::True, None, time);
    }
    let (holds, word) = match (phase, matched, failed) {
        (EventPhase::Completed, _, _) if !unknown.is_empty() => (ConditionStatus::True, "WebhookNotFound"),
        (EventPhase::Completed, 0, _) => (ConditionStatus::True, "NothingMatched"),
        (EventPhase::Completed, _, 0) => (ConditionStatus::True, "Delivered"),
        (EventPhase::Completed, _, _) => (ConditionStatus::True, "SomeFailed"),
        _ if held => (ConditionStatus::False, "WebhookUnreadable"),
        _ => (ConditionStatus::False, "Delivering"),
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
    Reason::new(word, message).condition(COMPLETED, holds, None, time)
}

/// `Completed`, for an event that can't be read.
pub(crate) fn event_unreadable(error: &str, time: Timestamp) -> Condition {
    let reason = Reason::new(
        "Unreadable",
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
    fn an_event_is_completed_with_what_came_of_its_webhooks() {
        let status = |phase, matched, failed| AlertGroupEventStatus { phase, matched, failed, ..Default::default() };
        let (delivering, completed) = (EventPhase::Delivering, EventPhase::Completed);
        let cases: [(_, &[&str], _, _); 7] = [
            (status(delivering, 2, 1), &[], false, (ConditionStatus::False, "Delivering")),
            (status(delivering, 0, 0), &[], true, (ConditionStatus::False, "WebhookUnreadable")),
            (status(completed, 2, 0), &[], false, (ConditionStatus::True, "Delivered")),
            (status(completed, 2, 0), &[], true, (ConditionStatus::True, "Delivered")),
            (status(completed, 2, 1), &[], false, (ConditionStatus::True, "SomeFailed")),
            (status(completed, 0, 0), &[], false, (ConditionStatus::True, "NothingMatched")),
            (status(completed, 2, 1), &["one"], false, (ConditionStatus::True, "WebhookNotFound")),
        ];
        for (status, unknown, held, expected) in cases {
            let unknown: Vec<String> = unknown.iter().map(|name| (*name).to_owned()).collect();
            let condition = super::completed(&status, &unknown, held, Timestamp::UNIX_EPOCH);
            assert_eq!((condition.status, &*condition.reason), expected, "{status:?} {unknown:?} {held}");
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
        let fault = |field, line, kind, message: &str| Fault { field, line, kind, message: message.to_owned() };
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
            assert_eq!((reason.word, &*reason.message), (word, message));
        }
        let long = unusable(&[fault("url", None, FaultKind::Template, &"é".repeat(2 * MESSAGE_LIMIT))]);
        assert_eq!(long.message.chars().count(), MESSAGE_LIMIT);
    }
}
