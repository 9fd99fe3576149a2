//! Deliveries that people ask for again by an annotation of the WebhookResponse.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Effect, Lifecycle, Now,
    event::{SeenEvent, Step, WebhookRun},
    webhooks::KnownWebhook,
};
use crate::{delivery::AttemptHistory, id, name::NamespacedName, version::ResourceVersion};

/// A WebhookResponse that is to be sent again.
#[derive(Debug)]
pub struct RedeliveryRequest {
    /// Its namespace and name.
    pub name: NamespacedName,
    /// The value of the annotation that asks for it.
    pub value: Arc<str>,
    /// Name of the event.
    pub event: String,
    /// Uid of the event.
    pub event_uid: String,
    /// Name of the webhook.
    pub webhook: Arc<str>,
    /// Uids of its owners.
    pub owners: Vec<String>,
    /// Whether it has a status. Only the operator may write one: people may have made all else of it.
    pub has_status: bool,
    /// The attempts that were made.
    pub history: AttemptHistory,
    /// The value of the annotation for which it was last sent again.
    pub redelivered: Option<String>,
    /// When it is to be sent again.
    pub next_attempt: Option<Timestamp>,
    /// Its version.
    pub version: ResourceVersion,
}

impl RedeliveryRequest {
    /// Whether another process has begun to send it again for this value.
    fn has_begun(&self) -> bool {
        self.history.last().last().is_some_and(|last| last.redeliver.as_deref() == Some(&*self.value))
    }

    /// Why it can't be the record of a delivery to this webhook; None if the operator may have made it.
    fn why_foreign(&self, webhook: &KnownWebhook) -> Option<String> {
        let (event, name) = (&self.event_uid, &self.webhook);
        if *self.name.name != id::response_name(event, name) {
            return Some(format!("Not sent again: this is not the response of event {event} and webhook {name}"));
        }
        let is_owned = self.owners.iter().any(|owner| **owner == *webhook.uid);
        (!is_owned).then(|| format!("Not sent again: this is not owned by the Webhook {name} that is there now"))
    }
}

impl Lifecycle {
    pub(super) fn redelivery_asked(&mut self, response: NamespacedName, value: Arc<str>) {
        // Of two values, the later one counts, though the earlier one may be read later.
        self.latest_redeliveries.insert(response.clone(), Arc::clone(&value));
        // Not before it is known what is under way.
        self.early_redeliveries.push((response, value));
        self.start_early_redeliveries();
    }

    /// Has the responses read that are to be sent again, once all is listed.
    pub(super) fn start_early_redeliveries(&mut self) {
        if self.is_listed && self.are_responses_listed {
            let early = std::mem::take(&mut self.early_redeliveries).into_iter();
            self.effects.extend(early.map(|(response, value)| Effect::ReadResponse(response, value)));
        }
    }

    /// Takes in that a response is gone that is to be sent again.
    pub(super) fn response_gone(&mut self, response: &NamespacedName, value: &Arc<str>) {
        if self.latest_redeliveries.get(response) == Some(value) {
            self.latest_redeliveries.remove(response);
        }
    }

    pub(super) fn response_read(&mut self, asked: Box<RedeliveryRequest>, now: Now) {
        if self.latest_redeliveries.get(&asked.name) != Some(&asked.value) {
            return;
        }
        let RedeliveryRequest { name, value, webhook, .. } = &*asked;
        if self.webhooks.is_unreadable(&name.namespace, webhook) {
            let webhook = NamespacedName::new(Arc::clone(&name.namespace), Arc::clone(webhook));
            let of_webhook = self.redeliveries_of_unreadable.entry(webhook).or_default();
            of_webhook.insert(Arc::clone(&name.name), Arc::clone(value));
        } else if asked.redelivered.as_deref() != Some(&**value)
            && let Some(known) = self.webhooks.get(&name.namespace, webhook).cloned()
        {
            if let Some(why) = asked.why_foreign(&known) {
                self.latest_redeliveries.remove(&asked.name);
                return self.effects.push(Effect::Decline(asked, why));
            }
            if !self.redeliver_if_open(&asked, now) {
                // Nothing is known to have come of it: a person may have made it.
                if asked.has_status {
                    return self.effects.push(Effect::ReadEvent(asked));
                }
                self.latest_redeliveries.remove(&asked.name);
                let why = "Not sent again: the operator has recorded nothing here".to_owned();
                return self.effects.push(Effect::Decline(asked, why));
            }
        }
        self.latest_redeliveries.remove(&asked.name);
    }

    pub(super) fn event_read(&mut self, asked: Box<RedeliveryRequest>, seen: Option<&SeenEvent>, now: Now) {
        if self.latest_redeliveries.get(&asked.name) != Some(&asked.value) {
            return;
        }
        self.latest_redeliveries.remove(&asked.name);
        let Some(seen) = seen.filter(|seen| seen.key.uid == asked.event_uid) else {
            let why = format!("Not sent again: AlertGroupEvent {} is gone", asked.event);
            return self.effects.push(Effect::Decline(asked, why));
        };
        let Some(known) = self.webhooks.get(&asked.name.namespace, &asked.webhook).cloned() else { return };
        let Some(number) = self.reopen(seen, now) else { return };
        // It may be under way in the meantime.
        if self.redeliver_if_open(&asked, now) {
            return;
        }
        let Some(event) = self.events.get_mut(&number) else { return };
        let summary = event.runs.remove(&asked.webhook).and_then(|run| run.summary);
        self.open_run(number, &asked.webhook, WebhookRun::new(&known.uid, Step::Queued, summary));
        let Some(event) = self.events.get_mut(&number) else { return };
        let goes_on = asked.has_begun();
        let RedeliveryRequest { value, webhook, history, next_attempt, version, .. } = *asked;
        let mut delivery = event.delivery(number, &webhook, &known.uid);
        delivery.version = Some(version);
        delivery.redeliver = Some(value);
        delivery.history = if goes_on { history } else { history.anew() };
        let due = next_attempt.filter(|_| goes_on).unwrap_or(now.time);
        self.queue(delivery, due, now);
    }
}
