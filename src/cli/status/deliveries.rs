//! Counts deliveries by webhook: those that have ended are WebhookResponses, those that have not are also lines of the events that they
//! are for, or only that.

use std::collections::HashMap;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::Deserialize;

use super::overview::{WaitingEvents, earlier};
use crate::resources::DeliverySummary;

/// Namespace and name of a webhook.
type WebhookName = (String, String);

/// What is known of all deliveries. Of those that have ended, numbers.
#[derive(Default)]
pub(super) struct Deliveries {
    ended: HashMap<WebhookName, (u64, u64)>,
    /// When each that waits began to, by webhook and event.
    waiting: HashMap<(WebhookName, String), Option<Timestamp>>,
    events: WaitingEvents,
}

/// The deliveries of one webhook.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) waiting: u64,
    pub(super) oldest: Option<Timestamp>,
}

/// An event that is not completed: nothing of what it tells.
#[derive(Deserialize)]
pub(super) struct Unfinished {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
    creation_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
struct Status {
    phase: Option<String>,
    #[serde(default)]
    webhooks: Vec<DeliverySummary>,
}

impl Deliveries {
    /// Takes in an event that is not completed.
    pub(super) fn event(&mut self, event: Unfinished) {
        let Unfinished { metadata: Metadata { namespace, name, creation_timestamp }, status } = event;
        if status.phase.is_none() {
            self.events.add(creation_timestamp);
        }
        for delivery in status.webhooks.into_iter().filter(DeliverySummary::is_open) {
            self.waits((namespace.clone(), delivery.name), name.clone(), creation_timestamp);
        }
    }

    /// Takes in a response: its webhook, its event and its phase.
    pub(super) fn response(&mut self, metadata: &ObjectMeta, [webhook, event, phase]: [String; 3]) {
        let webhook = (metadata.namespace.clone().unwrap_or_default(), webhook);
        match phase.as_str() {
            "Succeeded" => self.ended.entry(webhook).or_default().0 += 1,
            "Failed" => self.ended.entry(webhook).or_default().1 += 1,
            "Pending" | "Retrying" => {
                let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
                self.waits(webhook, event, created);
            }
            _ => {}
        }
    }

    fn waits(&mut self, webhook: WebhookName, event: String, since: Option<Timestamp>) {
        let known = self.waiting.entry((webhook, event)).or_default();
        *known = earlier(*known, since);
    }

    /// The numbers of each webhook, and of events.
    pub(super) fn tally(self) -> (HashMap<WebhookName, Tally>, WaitingEvents) {
        let mut tallies: HashMap<WebhookName, Tally> = HashMap::new();
        for (webhook, (succeeded, failed)) in self.ended {
            let tally = tallies.entry(webhook).or_default();
            (tally.succeeded, tally.failed) = (succeeded, failed);
        }
        for ((webhook, _), since) in self.waiting {
            let tally = tallies.entry(webhook).or_default();
            tally.waiting += 1;
            tally.oldest = earlier(tally.oldest, since);
        }
        (tallies, self.events)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn time(minute: u8) -> Timestamp {
        format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
    }

    #[test]
    fn a_delivery_that_waits_counts_once_wherever_it_is_told_of() {
        let mut deliveries = Deliveries::default();
        let mut response = |webhook: &str, event: &str, phase: &str, minute: u8| {
            let metadata = ObjectMeta {
                namespace: Some("team".to_owned()),
                creation_timestamp: Some(Time(time(minute))),
                ..ObjectMeta::default()
            };
            deliveries.response(&metadata, [webhook, event, phase].map(str::to_owned));
        };
        response("a", "one", "Succeeded", 1);
        response("a", "two", "Succeeded", 2);
        response("a", "three", "Failed", 3);
        response("a", "four", "Retrying", 5);
        response("b", "five", "Pending", 6);
        response("b", "six", "", 6);
        let event = |name: &str, minute: u8, status: serde_json::Value| {
            let metadata = json!({"namespace": "team", "name": name, "creationTimestamp": time(minute)});
            serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
        };
        let line = |webhook: &str, outcome: &str| json!({"name": webhook, "outcome": outcome});
        let lines = json!({"phase": "Delivering", "webhooks": [line("a", "Retrying"), line("b", "Pending"), line("c", "Succeeded")]});
        deliveries.event(event("four", 4, lines));
        deliveries.event(event("seven", 8, json!({"observedGeneration": -1})));
        deliveries.event(event("eight", 7, json!({})));
        let (mut tallies, events) = deliveries.tally();
        let mut of = |webhook: &str| tallies.remove(&("team".to_owned(), webhook.to_owned()));
        assert_eq!(of("a"), Some(Tally { succeeded: 2, failed: 1, waiting: 1, oldest: Some(time(4)) }));
        assert_eq!(of("b"), Some(Tally { succeeded: 0, failed: 0, waiting: 2, oldest: Some(time(4)) }));
        assert_eq!(of("c"), None);
        assert_eq!(events, WaitingEvents { waiting: 2, oldest: Some(time(7)) });
    }
}
