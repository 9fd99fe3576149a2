//! `WebhookResponse`: one webhook's run for one event.

use std::time::Duration;

use jiff::Timestamp;
use kube::{CustomResource, api::ObjectMeta};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ALERT_GROUP_LABEL, EVENT_LABEL, WEBHOOK_LABEL, label_value};
use crate::core::{
    delivery::{Attempt, AttemptHistory, ResponsePhase, Round},
    response::{self, Outcome, ResponseRecord},
    webhook::{TriggerType, Webhook},
};

/// Which run this is.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "WebhookResponse",
    doc = "One run of a Webhook for an AlertGroupEvent: what was sent and what was answered. Written by the operator.",
    namespaced,
    shortname = "whr",
    category = "oncall",
    status = "WebhookResponseStatus",
    derive = "PartialEq",
    selectable = ".spec.webhookRef.name",
    selectable = ".spec.eventRef.name",
    selectable = ".spec.alertGroupId",
    selectable = ".spec.triggerType",
    selectable = ".status.phase",
    selectable = ".status.statusCode",
    printcolumn(
        name = "Webhook",
        type_ = "string",
        json_path = ".spec.webhookRef.name",
        description = "Whose run it is."
    ),
    printcolumn(name = "Event", type_ = "string", json_path = ".spec.eventRef.name", description = "What fired it."),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "How far it is."),
    printcolumn(
        name = "Code",
        type_ = "integer",
        json_path = ".status.statusCode",
        description = "Status code of the answer."
    ),
    printcolumn(
        name = "Attempts",
        type_ = "integer",
        json_path = ".status.attemptCount",
        description = "How often it was sent."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookResponseSpec {
    /// The Webhook that ran.
    pub webhook_ref: WebhookRef,
    /// The AlertGroupEvent that fired it.
    pub event_ref: EventRef,
    /// Id of the alert group.
    #[schemars(length(max = 200))]
    pub alert_group_id: String,
    /// The trigger type of the Webhook when it ran.
    pub trigger_type: TriggerType,
}

/// A Webhook of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its id, which templates see as a key of `responses`.
    #[schemars(length(max = 32))]
    pub id: String,
}

/// An AlertGroupEvent of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid: an event that is deleted and made again is another one.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// What came of the run: the fields of OnCall's stored response, and the attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookResponseStatus {
    /// How far it is.
    #[serde(default)]
    pub phase: ResponsePhase,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub timestamp: Option<Timestamp>,
    /// The URL that the request went to, or why there was none (`URL - …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub url: Option<String>,
    /// What the trigger template rendered to, or why it did not (`Trigger - …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub request_trigger: Option<String>,
    /// The request's headers as JSON text, secrets masked, or why there were none (`Headers - …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub request_headers: Option<String>,
    /// The body as it was sent, or why there was none (`Data - …`). JSON of more than 200 000 bytes has its largest values cut, and
    /// a last key `…` that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub request_data: Option<String>,
    /// Status code of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Content of the answer, or why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub content: Option<String>,
    /// The event's data as templates saw it, as JSON text. Of more than 200 000 bytes, its largest values are cut, and a last key
    /// `…` says so. Not there where the body (requestData) is just that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub event_data: Option<String>,
    /// When it is sent again, unless the endpoint is found to be up before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub next_attempt_time: Option<Timestamp>,
    /// How often the request was sent.
    #[serde(default)]
    pub attempt_count: u32,
    /// What counts against the webhook's `retry`. Not there where the first attempt was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// Id of the OpenTelemetry trace that has the last attempt, as W3C Trace Context has it. Only where traces are on, and this one was
    /// sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub trace_id: Option<String>,
    /// The value of the annotation `oncall.dev/redeliver` for which it was last sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub redelivered: Option<String>,
    /// The last 10 times that it was sent, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub attempts: Vec<Attempt>,
}

impl WebhookResponseStatus {
    /// The event's data as templates saw it, wherever it stands.
    pub fn event_data(&self) -> Option<&str> {
        self.event_data.as_deref().or(self.request_data.as_deref())
    }

    /// The attempts that it tells of.
    pub fn history(&self) -> AttemptHistory {
        AttemptHistory::new(self.attempt_count, self.round, self.attempts.clone(), (self.phase, self.status_code))
    }
}

/// Makes the merge patch of a status that ends a run without another attempt. `why` stands among the attempts.
pub fn closing_patch(history: &AttemptHistory, now: Timestamp, redeliver: Option<&str>, why: Option<&str>) -> Value {
    let mut patch = json!({"phase": history.outcome().0, "nextAttemptTime": null});
    if let Some(why) = why {
        let message = Some(why.to_owned());
        let mut entry =
            Attempt { time: in_microseconds(now), status_code: None, message, duration_ms: 0, redeliver: None };
        entry.asked_for(redeliver);
        patch["attempts"] = json!(history.last_with(&entry));
    }
    if let Some(value) = redeliver {
        patch["redelivered"] = json!(value);
    }
    patch
}

impl WebhookResponse {
    /// The object of one webhook's run, without a status.
    pub fn bare(name: &str, namespace: &str, event: EventRef, alert_group_id: &str, webhook: &Webhook) -> Self {
        let labels = [
            (WEBHOOK_LABEL, label_value(&webhook.name)),
            (EVENT_LABEL, label_value(&event.name)),
            (ALERT_GROUP_LABEL, label_value(alert_group_id)),
        ];
        Self {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
                ..ObjectMeta::default()
            },
            spec: WebhookResponseSpec {
                webhook_ref: WebhookRef { name: webhook.name.clone(), id: webhook.id.clone() },
                event_ref: event,
                alert_group_id: alert_group_id.to_owned(),
                trigger_type: webhook.trigger_type,
            },
            status: None,
        }
    }
}

/// Bound on one text of a status, in bytes of the JSON that the API server stores. Six of them, with what is around them, stay under what etcd takes (1.5 MiB).
const TEXT_LIMIT: usize = 200_000;

impl WebhookResponseStatus {
    /// The status of a run after a request that began at `time` and took `duration`, if that was the only one. `secrets` are
    /// masked.
    pub fn attempted(
        record: ResponseRecord,
        outcome: &Outcome,
        secrets: &[SecretString],
        time: Timestamp,
        duration: Duration,
    ) -> Self {
        let record = response::finish(record, outcome, secrets);
        let message = match outcome {
            Outcome::Failure { .. } | Outcome::TimedOut { .. } | Outcome::Unreached { .. } => record.content.as_deref(),
            Outcome::UrlRefused { .. } => record.url.as_deref(),
            Outcome::Answer { .. } | Outcome::Withheld => None,
        };
        let attempt = Attempt {
            time: in_microseconds(time),
            status_code: record.status_code,
            message: message.map(|text| text.chars().take(1000).collect()),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            redeliver: None,
        };
        let ended = time.saturating_add(duration).unwrap_or(time);
        Self::ended(record, outcome.is_success(), ended, vec![attempt])
    }

    /// Adds the earlier attempts of the history to the status, and the attempt of the status to the history. `timed_out` says that it
    /// was sent and not answered in time.
    #[must_use]
    pub fn after(mut self, history: &mut AttemptHistory, redeliver: Option<&str>, timed_out: bool) -> Self {
        let mut attempt = self.attempts.pop();
        if let Some(attempt) = &mut attempt {
            attempt.asked_for(redeliver);
        }
        let is_sent = attempt.is_some();
        history.add((self.phase, self.status_code), attempt, timed_out);
        self.attempts = history.last().to_vec();
        self.attempt_count = history.count;
        // The first attempt needs no round if it is the last, and tells all of it unless it timed out.
        self.round = history.round.filter(|round| !is_sent || history.count > 1 || round.timeouts > 0);
        self
    }

    /// Sets the value of the annotation for which it was sent again.
    #[must_use]
    pub fn redelivered(self, value: Option<&str>) -> Self {
        Self { redelivered: value.map(str::to_owned), ..self }
    }

    /// Sets the id of the trace that the attempt is in.
    #[must_use]
    pub fn traced(self, trace_id: Option<String>) -> Self {
        Self { trace_id, ..self }
    }

    /// Sets the time of another attempt.
    #[must_use]
    pub fn until(self, next: Timestamp) -> Self {
        Self { phase: ResponsePhase::Retrying, next_attempt_time: Some(in_microseconds(next)), ..self }
    }

    /// Makes a merge patch that removes the fields of an earlier status that this one lacks.
    ///
    /// # Errors
    /// Never: a value that JSON can't express.
    pub fn replacing(&self) -> Result<Value, serde_json::Error> {
        let mut patch = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut patch {
            for field in PATCHED {
                fields.entry(field).or_insert(Value::Null);
            }
        }
        Ok(patch)
    }

    /// The status of a run that has ended.
    pub fn ended(record: ResponseRecord, succeeded: bool, timestamp: Timestamp, attempts: Vec<Attempt>) -> Self {
        let record = cut_record(record);
        Self {
            phase: if succeeded { ResponsePhase::Succeeded } else { ResponsePhase::Failed },
            timestamp: Some(in_microseconds(timestamp)),
            url: record.url,
            request_trigger: record.request_trigger,
            request_headers: record.request_headers,
            // A webhook that forwards all sends just that.
            event_data: record.event_data.filter(|data| record.request_data.as_ref() != Some(data)),
            request_data: record.request_data,
            status_code: record.status_code,
            content: record.content,
            attempt_count: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
            attempts,
            ..Self::default()
        }
    }
}

/// The fields that an earlier status may have had and a later one may lack.
const PATCHED: [&str; 11] = [
    "url",
    "requestTrigger",
    "requestHeaders",
    "requestData",
    "statusCode",
    "content",
    "eventData",
    "nextAttemptTime",
    "round",
    "traceId",
    "attempts",
];

/// Rounds a time down to microseconds, which OnCall's records have.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Cuts the texts of a record to what a status may have, so that no more is held while the request is on its way. What is JSON
/// stays JSON.
pub fn cut_record(record: ResponseRecord) -> ResponseRecord {
    let cut = |text| response::cut(text, TEXT_LIMIT);
    ResponseRecord {
        url: record.url.map(cut),
        request_trigger: record.request_trigger.map(cut),
        request_headers: record.request_headers.map(cut),
        request_data: record.request_data.map(cut),
        status_code: record.status_code,
        content: record.content.map(cut),
        event_data: record.event_data.map(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ends_without_another_attempt_keeps_its_outcome_however_often_that_is_asked() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let attempt = Attempt { time: now, status_code: Some(200), message: None, duration_ms: 1, redeliver: None };
        let cases = [
            (ResponsePhase::Succeeded, Some(200), ResponsePhase::Succeeded),
            (ResponsePhase::Failed, Some(400), ResponsePhase::Failed),
            (ResponsePhase::Failed, None, ResponsePhase::Failed),
            (ResponsePhase::Retrying, Some(503), ResponsePhase::Failed),
            (ResponsePhase::Pending, None, ResponsePhase::Failed),
        ];
        for (phase, status_code, expected) in cases {
            let attempts = vec![Attempt { status_code, ..attempt.clone() }];
            let mut status =
                WebhookResponseStatus { phase, status_code, attempt_count: 1, attempts, ..Default::default() };
            for value in ["first", "second"] {
                let history = status.history().anew();
                assert_eq!(history.outcome(), (expected, status_code), "{phase:?} {value}");
                let patch = closing_patch(&history, now, Some(value), Some("Not sent again"));
                assert_eq!((&patch["phase"], &patch["redelivered"]), (&json!(expected), &json!(value)));
                status.phase = expected;
                status.attempts = serde_json::from_value(patch["attempts"].clone()).unwrap();
            }
        }
        // Another attempt replaces the outcome.
        let mut history = WebhookResponseStatus { phase: ResponsePhase::Succeeded, ..Default::default() }.history();
        let failed = WebhookResponseStatus::ended(ResponseRecord::default(), false, now, vec![attempt]);
        let _ = failed.after(&mut history, None, false);
        assert_eq!(history.outcome(), (ResponsePhase::Failed, None));
    }

    #[test]
    fn each_text_of_a_record_is_cut_for_itself_and_what_is_json_stays_json() {
        let text = |text: &str| Some(text.to_owned());
        let long = "x".repeat(300_000);
        let json = json!({"event": {"type": "resolve"}, "alert_payload": {"log": long}}).to_string();
        let record = ResponseRecord {
            url: text("http://receiver.example"),
            request_trigger: None,
            request_headers: text("{}"),
            request_data: Some(long),
            status_code: Some(200),
            content: text("ok"),
            event_data: Some(json),
        };
        let cut = cut_record(record.clone());
        let data: Value = serde_json::from_str(cut.event_data.as_deref().unwrap()).unwrap();
        assert_eq!(data["event"], json!({"type": "resolve"}));
        assert!(data["alert_payload"]["log"].as_str().unwrap().ends_with("x… (cut: 300000 bytes in all)"));
        assert!(cut.request_data.as_deref().unwrap().ends_with("x… (cut: 300000 bytes in all)"));
        let (request_data, event_data) = (cut.request_data.clone(), cut.event_data.clone());
        assert_eq!(cut, ResponseRecord { request_data, event_data, ..record });
        assert_eq!(cut_record(cut.clone()), cut);
    }
}
