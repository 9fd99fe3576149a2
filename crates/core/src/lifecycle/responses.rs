//! What waits at a start until the WebhookResponses are listed, which say what another process has done.
//!
//! ```text
//! an event that was there before this process ─► its deliveries wait ─────────────────────────┐
//! an event that was created since ─┬─► those whose templates read `responses` wait ───────────┼─► ResponsesListed: all go on
//!                                  ├─► those after one of the same alert group and webhook ───┘
//!                                  └─► all others go at once
//! ```
//! Events are listed when this process works already, so that one which the list does not name is newer than whatever another
//! process has sent. Of many responses a list takes seconds, and new events must not wait for it.

use std::sync::Arc;

use super::{
    Lifecycle, Now,
    event::{EventState, StatusState},
    webhooks::KnownWebhook,
};

impl Lifecycle {
    /// Whether a delivery of an event waits until the responses are listed: another process may have recorded it, or its templates
    /// read what others were answered.
    pub(super) fn needs_responses(&self, event: &EventState, webhook: &str) -> bool {
        let reads = || {
            let known = self.webhooks.get(&event.key.namespace, webhook);
            known.is_some_and(|known| known.webhook.reads_responses)
        };
        !self.are_responses_listed && (event.is_of_other_process() || event.is_redelivery() || reads())
    }

    /// Takes in that the responses are listed. Only the first list counts.
    pub(super) fn responses_listed(&mut self, now: Now) {
        if std::mem::replace(&mut self.are_responses_listed, true) {
            return;
        }
        let of_others = self.events.iter().filter(|(_, event)| event.awaits_responses).map(|(number, _)| *number);
        let mut of_others: Vec<u64> = of_others.collect();
        of_others.sort_unstable();
        for number in &of_others {
            for known in self.begun_elsewhere(*number) {
                self.add_run(*number, &known, false, now);
            }
        }
        let waiting = std::mem::take(&mut self.awaiting_responses);
        self.begin(waiting, now);
        for number in of_others {
            if let Some(event) = self.events.get_mut(&number) {
                event.awaits_responses = false;
            }
            self.settle(number, now);
        }
        self.start_early_redeliveries();
    }

    /// The webhooks whose runs for an event another process has begun, as its responses say, and that are not known to be for it.
    fn begun_elsewhere(&self, number: u64) -> Vec<Arc<KnownWebhook>> {
        let Some(event) = self.events.get(&number).filter(|event| event.status != StatusState::EventDeleted) else {
            return Vec::new();
        };
        if !self.responses.has_any(&event.key) {
            return Vec::new();
        }
        let is_new = |known: &&Arc<KnownWebhook>| {
            !event.runs.contains_key(&known.name.name) && self.was_begun_elsewhere(event, known)
        };
        self.webhooks.in_namespace(&event.key.namespace).filter(is_new).cloned().collect()
    }
}
