//! Deliveries from their turn in the alert group to their end.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Answer, Effect, Found, Lifecycle, Next, Now, RedeliveryRequest,
    event::{Origin, Stage, Step},
};
use crate::{
    delivery::{Delivery, DeliverySummary, ResponsePhase},
    dispatch::{Decision, EndpointReport, Permit, Queued},
    name::NamespacedName,
    order::DeliveryKey,
};

impl Lifecycle {
    /// Begins with deliveries whose turn has come.
    pub(super) fn begin(&mut self, next: impl IntoIterator<Item = DeliveryKey>, now: Now) {
        for (number, webhook) in next {
            let Some(event) = self.events.get(&number) else { continue };
            let Some(run) = event.runs.get(&webhook) else { continue };
            if self.needs_responses(event, &webhook) {
                self.awaiting_responses.insert((number, webhook));
                continue;
            }
            let delivery = event.delivery(number, &webhook, &run.uid);
            let look_up = match event.origin {
                Origin::OtherProcess => true,
                _ if event.is_redelivery() => true,
                Origin::FirstList => self.responses.has(&event.key, &webhook),
                Origin::New => false,
            };
            self.prepare(delivery, look_up, now);
        }
    }

    /// Queues a delivery, after what it has to wait for.
    fn prepare(&mut self, delivery: Box<Delivery>, look_up: bool, now: Now) {
        let awaits = || self.webhook_of(&delivery).is_some_and(|known| known.may_await_secrets(now.instant));
        if look_up || awaits() {
            self.set_step(&delivery, Step::Preparing);
            self.effects.push(Effect::Prepare { delivery, look_up });
        } else {
            self.queue(delivery, now.time, now);
        }
    }

    pub(super) fn prepared(&mut self, delivery: Box<Delivery>, found: Found, now: Now) {
        match found {
            Found::Ended(summary) => {
                self.tried(&delivery, now);
                self.ended(delivery, summary, now);
            }
            Found::Tried(next, summary) => {
                self.tried(&delivery, now);
                self.retry_later(delivery, next, summary, now);
            }
            Found::ToSend => self.queue(delivery, now.time, now),
        }
    }

    /// Lets a delivery wait until it is due, and there is room.
    pub(super) fn queue(&mut self, delivery: Box<Delivery>, due: Timestamp, now: Now) {
        self.set_step(&delivery, Step::Queued);
        let round = delivery.history.round;
        let since = round.map_or(now.time, |round| round.since);
        let give_up = self.webhook_of(&delivery).map_or(since, |known| known.webhook.retry.end(since));
        self.hold_cost(delivery.number, &delivery.webhook, delivery.cost());
        let queued = Queued {
            bytes: delivery.weight,
            number: delivery.number,
            group: Arc::clone(&delivery.facts.alert_group_id),
            attempts: round.map_or(0, |round| round.attempts),
            timed_out: round.is_some_and(|round| round.timeouts > 0),
            due: now.instant_of(due),
            give_up: now.instant_of(give_up),
            item: delivery,
        };
        let webhook = queued.item.webhook_name();
        self.dispatcher.push(&webhook, queued, now.instant);
    }

    /// Starts all that may be started now.
    pub(super) fn start_due(&mut self, now: Now) {
        while !self.is_stopped {
            let Some(decision) = self.dispatcher.next(now.instant) else { break };
            match decision {
                Decision::Send(delivery, permit) => {
                    self.set_step(&delivery, Step::Sending);
                    self.effects.push(Effect::Attempt(delivery, permit));
                }
                Decision::GiveUp(delivery) => {
                    self.set_step(&delivery, Step::Closing);
                    self.effects.push(Effect::GiveUp(delivery));
                }
            }
        }
        while !self.is_stopped
            && let Some(door) = self.dispatcher.next_knock(now.instant)
        {
            self.effects.push(Effect::Knock(door));
        }
        // A process that stops waits for nothing.
        let wake_at = [self.dispatcher.wake_at(), self.next_timer(now)].into_iter().flatten().min();
        let wake_at = wake_at.filter(|_| !self.is_stopped);
        if wake_at != self.wake_at {
            self.wake_at = wake_at;
            self.effects.push(Effect::WakeChanged);
        }
    }

    /// Takes note of what an answer says of its endpoint, before it is recorded: whoever fails is not asked so often until then.
    pub(super) fn answered(&mut self, number: u64, webhook: &Arc<str>, answer: &Answer, now: Now) {
        let Some(event) = self.events.get_mut(&number) else { return };
        event.set_step(webhook, Step::Answered);
        let Some(uid) = event.runs.get(webhook).map(|run| Arc::clone(&run.uid)) else { return };
        let group = Arc::clone(&event.facts.alert_group_id);
        let webhook = NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(webhook));
        // The answer to a webhook that is gone says nothing of one that has its name now.
        let known = self.webhooks.get(&webhook.namespace, &webhook.name).filter(|known| known.uid == uid);
        let report = if known.is_some() { &answer.report } else { &EndpointReport::NotSent };
        // One that was changed since is not the one that the receiver wants no more of.
        let is_unwanted = answer.is_gone && known.is_some_and(|known| Arc::ptr_eq(&answer.webhook, &known.webhook));
        let (retry, chance) = (&answer.webhook.retry, answer.chance);
        let change = self.dispatcher.answered(&webhook, &group, report, retry, now.instant, chance);
        if is_unwanted {
            self.hold(&webhook, true, now);
        }
        self.endpoint_changed(&webhook, change, now);
    }

    pub(super) fn attempt_ended(&mut self, mut delivery: Box<Delivery>, permit: Permit, next: Next, now: Now) {
        let has_recovered = self.dispatcher.done(permit, now.instant);
        match next {
            Next::Leave => {}
            Next::Heavier(bytes) => {
                delivery.weight = bytes;
                self.queue(delivery, now.time, now);
            }
            Next::End(summary) => {
                self.tried(&delivery, now);
                self.ended(delivery, summary, now);
            }
            Next::Again(next, summary) => {
                self.tried(&delivery, now);
                let was_away = delivery.history.round.is_none_or(|round| round.timeouts == 0);
                let next = if has_recovered && was_away { next.min(now.time) } else { next };
                self.retry_later(delivery, next, summary, now);
            }
        }
    }

    pub(super) fn gave_up(&mut self, delivery: Box<Delivery>, summary: DeliverySummary, now: Now) {
        self.dispatcher.gave_up();
        self.tried(&delivery, now);
        self.ended(delivery, summary, now);
    }

    /// Ends all deliveries that wait for a webhook that is gone.
    pub(super) fn end_queued(&mut self, webhook: &NamespacedName, now: Now) {
        for mut delivery in self.dispatcher.remove(webhook, now.instant) {
            self.tried(&delivery, now);
            let (outcome, status_code) = match delivery.history.count {
                0 => (ResponsePhase::Skipped, None),
                _ => delivery.history.outcome(),
            };
            delivery.redeliver = None;
            let summary = delivery.summary(outcome, status_code, None);
            self.ended(delivery, summary, now);
        }
    }

    /// Holds the deliveries that wait for a webhook, or lets them go.
    pub(super) fn hold(&mut self, webhook: &NamespacedName, is_held: bool, now: Now) {
        self.room_changed(&webhook.namespace);
        self.dispatcher.hold(webhook, is_held, now.instant);
        if is_held {
            self.stop_waiting_for(webhook, now);
        }
        self.effects.push(Effect::ReviewWebhook(webhook.clone()));
    }

    /// Lets nobody wait for the deliveries of a webhook.
    pub(super) fn stop_waiting_for(&mut self, webhook: &NamespacedName, now: Now) {
        let orders = self.orders.iter_mut().filter(|(group, _)| group.namespace == webhook.namespace);
        let next: Vec<DeliveryKey> = orders.flat_map(|(_, order)| order.stop_waiting_for(&webhook.name)).collect();
        self.begin(next, now);
    }

    /// Lets those after a delivery go that waited until it was tried.
    fn tried(&mut self, delivery: &Delivery, now: Now) {
        let group =
            NamespacedName::new(Arc::clone(&delivery.event.namespace), Arc::clone(&delivery.facts.alert_group_id));
        let Some(order) = self.orders.get_mut(&group) else { return };
        let next = order.tried(delivery.number, &delivery.webhook);
        if order.is_empty() {
            self.orders.remove(&group);
        }
        self.begin(next, now);
    }

    /// Queues a delivery that is to be sent again at `next`; at once, if a person asks for that.
    fn retry_later(&mut self, mut delivery: Box<Delivery>, next: Timestamp, summary: DeliverySummary, now: Now) {
        if self.webhook_of(&delivery).is_none() {
            let summary = DeliverySummary { outcome: ResponsePhase::Failed, ..summary };
            return self.ended(delivery, summary, now);
        }
        let mut due = next;
        let run = self.events.get_mut(&delivery.number).and_then(|event| event.runs.get_mut(&delivery.webhook));
        if let Some(run) = run {
            run.summary = Some(summary);
            if let Some(asked) = run.stage.take_redelivery()
                && delivery.ask_anew(asked)
            {
                due = now.time;
            }
        }
        self.queue(delivery, due, now);
    }

    /// Ends a delivery, unless it is asked for again already.
    fn ended(&mut self, mut delivery: Box<Delivery>, summary: DeliverySummary, now: Now) {
        let Some(event) = self.events.get_mut(&delivery.number) else { return };
        let Some(run) = event.runs.get_mut(&delivery.webhook) else { return };
        run.summary = Some(summary);
        let asked = run.stage.take_redelivery().filter(|asked| delivery.redeliver.as_ref() != Some(asked));
        if let Some(asked) = asked.filter(|_| self.webhook_of(&delivery).is_some()) {
            let _ = delivery.ask_anew(asked);
            return self.queue(delivery, now.time, now);
        }
        self.end_run(delivery.number, &delivery.webhook, now);
    }

    /// Asks for a delivery that has not ended to be sent again. False if there is none of that namespace.
    pub(super) fn redeliver_if_open(&mut self, asked: &RedeliveryRequest, now: Now) -> bool {
        let RedeliveryRequest { name: response, value, event_uid, webhook, .. } = asked;
        let Some((number, event)) = self.event_of(event_uid) else { return false };
        // People may have written the uid into the response: it counts for the events of their own namespace.
        if event.key.namespace != response.namespace {
            return false;
        }
        let name = NamespacedName::new(Arc::clone(&event.key.namespace), Arc::clone(webhook));
        let Some(Stage::Open { asked, .. }) = event.runs.get_mut(webhook).map(|run| &mut run.stage) else {
            return false;
        };
        *asked = Some(Arc::clone(value));
        if let Some(mut delivery) = self.dispatcher.withdraw(&name, number, now.instant) {
            let run = self.events.get_mut(&number).and_then(|event| event.runs.get_mut(webhook));
            let _ = run.and_then(|run| run.stage.take_redelivery());
            // One that only goes on is sent a little early.
            let _ = delivery.ask_anew(Arc::clone(value));
            self.queue(delivery, now.time, now);
        }
        true
    }

    fn set_step(&mut self, delivery: &Delivery, step: Step) {
        if let Some(event) = self.events.get_mut(&delivery.number) {
            event.set_step(&delivery.webhook, step);
        }
    }
}
