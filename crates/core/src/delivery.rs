//! One webhook's run for one event: what names it, how far it is, and what came of it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{event::EventFacts, id, name::NamespacedName, version::ResourceVersion};

/// The last attempts that are kept.
const ATTEMPTS: usize = 10;

/// Bound on the annotation's value, in characters.
const REDELIVER_LIMIT: usize = 1000;

/// About how many bytes a delivery without attempts holds while it waits, with its places in queues.
pub const COST: usize = 1000;

/// Names an event, for ever: another one of the same name has another uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A webhook's run for an event, from the time that it is its turn in the alert group until it ends.
#[derive(Debug)]
pub struct Delivery {
    /// The event.
    pub event: Arc<EventKey>,
    /// The facts of the event that decide which webhooks run.
    pub facts: Arc<EventFacts>,
    /// Number of the event: events have numbers in the order of their creation.
    pub number: u64,
    /// Name of the webhook.
    pub webhook: Arc<str>,
    /// Uid of the webhook. One of the same name that is made later is another one.
    pub uid: Arc<str>,
    /// The attempts that were made.
    pub history: AttemptHistory,
    /// Version of its WebhookResponse as it was last read or written; None if it is not there yet.
    pub version: Option<ResourceVersion>,
    /// The value of the annotation that asked to send it again.
    pub redeliver: Option<Arc<str>>,
    /// About how many bytes it holds while it is in flight: its request, its record and the answer.
    pub weight: usize,
}

impl Delivery {
    /// Name of its WebhookResponse, and its `webhook-id`.
    pub fn response_name(&self) -> String {
        id::response_name(&self.event.uid, &self.webhook)
    }

    /// About how many bytes it holds while it waits.
    pub fn cost(&self) -> usize {
        COST + self.history.cost() + self.redeliver.as_ref().map_or(0, |value| value.len())
    }

    /// Namespace and name of its webhook.
    pub fn webhook_name(&self) -> NamespacedName {
        NamespacedName::new(Arc::clone(&self.event.namespace), Arc::clone(&self.webhook))
    }

    /// Takes in that a person asks for it anew, by this value of the annotation. False if it was tried for that value already, by
    /// another process perhaps: then it only goes on.
    pub fn ask_anew(&mut self, value: Arc<str>) -> bool {
        let last = self.history.last().last().and_then(|last| last.redeliver.as_deref());
        let is_new = last != Some(redelivery_value(&value));
        self.redeliver = Some(value);
        if is_new {
            self.history = std::mem::take(&mut self.history).anew();
        }
        is_new
    }

    /// The summary of it in the status of its event. `response` is the name of its WebhookResponse, where there is one.
    pub fn summary(
        &self,
        outcome: ResponsePhase,
        status_code: Option<u16>,
        response: Option<String>,
    ) -> DeliverySummary {
        DeliverySummary { name: self.webhook.to_string(), outcome, status_code, response }
    }
}

/// What came of one webhook's run for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliverySummary {
    /// Name of the Webhook.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// What came of it.
    pub outcome: ResponsePhase,
    /// Status code of the answer, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Name of the WebhookResponse that tells more; none where nothing was to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub response: Option<String>,
}

impl DeliverySummary {
    /// The summary of a run of which no request was answered, and that has no WebhookResponse.
    pub fn without_response(webhook: &str, outcome: ResponsePhase) -> Self {
        Self { name: webhook.to_owned(), outcome, status_code: None, response: None }
    }

    /// Whether what it tells is not the end.
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, ResponsePhase::Pending | ResponsePhase::Retrying)
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ResponsePhase {
    /// It has not ended.
    #[default]
    Pending,
    /// Not taken yet: it is sent again.
    Retrying,
    /// Answered with 200 to 299.
    Succeeded,
    /// Not sent, not answered, or answered otherwise.
    Failed,
    /// Not sent because the trigger template said so. Events show it; it leaves no WebhookResponse.
    Skipped,
}

/// One time that a request was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it was sent.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub time: Timestamp,
    /// Status code of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub message: Option<String>,
    /// How long it took until the answer was read, in milliseconds.
    pub duration_ms: u64,
    /// The value of the annotation `oncall.dev/redeliver` that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub redeliver: Option<String>,
}

/// The part of a value of the annotation `oncall.dev/redeliver` that counts: its first 1000 characters. Kubernetes takes much
/// longer ones.
pub fn redelivery_value(value: &str) -> &str {
    value.char_indices().nth(REDELIVER_LIMIT).map_or(value, |(end, _)| &value[..end])
}

impl Attempt {
    /// Notes the annotation's value that asked for it.
    pub fn asked_for(&mut self, redeliver: Option<&str>) {
        self.redeliver = redeliver.map(|value| redelivery_value(value).to_owned());
    }
}

/// Attempts that belong together: all, but for those before the run was asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// When the first of them was made.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub since: Timestamp,
    /// How many there were.
    pub attempts: u32,
    /// How many of them were sent and not answered in time.
    // Zero takes away that of an earlier round.
    #[serde(default)]
    pub timeouts: u32,
}

/// The attempts that were made for a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptHistory {
    /// How many there were in all.
    pub count: u32,
    /// The attempts that count against the webhook's policy; None if none does.
    pub round: Option<Round>,
    /// The last ones, oldest first.
    last: Vec<Attempt>,
    /// The phase that they led to, and the status code of the last answer.
    outcome: (ResponsePhase, Option<u16>),
}

impl AttemptHistory {
    /// The history that a record tells: of `count` attempts, the `last`, and what came of them.
    pub fn new(count: u32, round: Option<Round>, last: Vec<Attempt>, outcome: (ResponsePhase, Option<u16>)) -> Self {
        let round = round.or_else(|| Some(Round { since: last.first()?.time, attempts: count, timeouts: 0 }));
        Self { count, round, last, outcome }
    }

    /// Adds what came of the next try; `attempt` is None if nothing was sent. `timed_out` says that it was sent and not answered in
    /// time.
    pub fn add(&mut self, outcome: (ResponsePhase, Option<u16>), attempt: Option<Attempt>, timed_out: bool) {
        self.outcome = outcome;
        let Some(attempt) = attempt else { return };
        let round = self.round.unwrap_or(Round { since: attempt.time, attempts: 0, timeouts: 0 });
        let (attempts, timeouts) = (round.attempts + 1, round.timeouts + u32::from(timed_out));
        self.round = Some(Round { attempts, timeouts, ..round });
        self.count += 1;
        self.last.push(attempt);
        self.last.drain(..self.last.len().saturating_sub(ATTEMPTS));
    }

    /// About how many bytes it holds.
    fn cost(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.last.iter().map(|attempt| size_of::<Attempt>() + text(&attempt.message) + text(&attempt.redeliver)).sum()
    }

    /// The last 10 attempts, oldest first.
    pub fn last(&self) -> &[Attempt] {
        &self.last
    }

    /// The last 10 entries if this one, which is no attempt, is added.
    pub fn last_with<'a>(&'a self, entry: &'a Attempt) -> Vec<&'a Attempt> {
        let last = self.last.iter().skip((self.last.len() + 1).saturating_sub(ATTEMPTS));
        last.chain([entry]).collect()
    }

    /// The phase and the status code of a run that ends now.
    pub fn outcome(&self) -> (ResponsePhase, Option<u16>) {
        match self.outcome {
            (ResponsePhase::Succeeded, code) => (ResponsePhase::Succeeded, code),
            (_, code) => (ResponsePhase::Failed, code),
        }
    }

    /// The same attempts, none of which counts.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { round: None, ..self }
    }
}
