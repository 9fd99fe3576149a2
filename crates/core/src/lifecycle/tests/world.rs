//! A world in which events come, requests are answered, processes end and webhooks change in any order.
//!
//! It keeps what the API server would: the events with their statuses, and a record for each delivery. At each attempt it
//! checks that nothing is sent that is recorded as ended, and that a webhook sees the events of an alert group in order. In
//! the end all that is asked for must be done. A process learns at any time after its start which records there were.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::{
        event::{Stage, Step},
        *,
    },
    Listed, mk_webhook, time,
};
use crate::{
    delivery::{Attempt, AttemptHistory, ResponsePhase, Round},
    event::EventFacts,
    version::ResourceVersion,
    webhook::EventType,
};

const WEBHOOKS: [&str; 3] = ["a", "b", "reader"];

/// Something that may happen.
#[derive(Clone, Debug)]
enum Happens {
    /// An event of this alert group is created, and seen.
    Event(u8),
    /// One of the effects that wait is carried out, or an answer recorded. The number chooses it.
    Effect(u16, Reply),
    /// So many seconds pass.
    Time(u8),
    /// A webhook is held, or let go.
    Hold(u8, bool),
    /// A webhook is deleted.
    Delete(u8),
    /// An event is deleted.
    DeleteEvent(u16),
    /// The process ends, and another one begins.
    Restart,
    /// The watch lists all events again.
    Relist,
    /// The list of responses ends, that began with the process.
    ResponsesListed,
    /// The record of a delivery is asked to be sent again.
    Redeliver(u16),
}

const LIMITS: Limits = Limits { in_flight: 4, per_webhook: 2, bytes: 1000 };

/// How many events are read at a time.
const PAGE: usize = 2;

/// What a receiver answers.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Success,
    Failure,
    /// It can't be connected to.
    Away,
    /// It wants no more of the webhook.
    Gone,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0_u8..3).prop_map(Happens::Event),
        20 => (any::<u16>(), reply()).prop_map(|(which, reply)| Happens::Effect(which, reply)),
        3 => (1_u8..60).prop_map(Happens::Time),
        2 => (0_u8..3, any::<bool>()).prop_map(|(which, held)| Happens::Hold(which, held)),
        1 => (0_u8..3).prop_map(Happens::Delete),
        1 => any::<u16>().prop_map(Happens::DeleteEvent),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Relist),
        2 => Just(Happens::ResponsesListed),
        1 => any::<u16>().prop_map(Happens::Redeliver),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![14 => Just(Reply::Success), 4 => Just(Reply::Failure), 3 => Just(Reply::Away), 1 => Just(Reply::Gone)]
}

/// A delivery: the number of its event, which is the event's name and uid too, and the webhook.
type Key = (usize, String);

/// The content of a WebhookResponse.
#[derive(Clone, Debug, Default)]
struct Record {
    count: u32,
    ended: bool,
    next: Option<Timestamp>,
    redelivered: Option<String>,
}

/// A delivery that is not recorded, and what it was answered; None if there was no webhook any more.
type Unrecorded = (Box<Delivery>, Permit, Option<Reply>);

/// Events of a backlog that are read and not yet taken in.
type Read = (Arc<str>, Vec<SeenEvent>, Option<Position>);

struct World {
    lifecycle: Lifecycle,
    /// The responses that the process knows to have been there before it, and those that it will know.
    responses: Arc<Listed>,
    before: Vec<(String, String)>,
    /// The memory for what waits.
    memory: usize,
    now: Now,
    effects: Vec<Effect>,
    unrecorded: Vec<Unrecorded>,
    reads: Vec<Read>,
    events: Vec<SeenEvent>,
    deleted_events: BTreeSet<usize>,
    records: BTreeMap<Key, Record>,
    /// The webhooks that are there, and whether each is held.
    webhooks: BTreeMap<&'static str, bool>,
    /// The webhooks as the lifecycle was shown them last.
    shown: BTreeMap<String, Arc<Webhook>>,
    /// The values of the annotation that asks to send again.
    annotations: BTreeMap<Key, Arc<str>>,
    /// How many were set.
    asked: usize,
    /// A webhook was held, or its endpoint was down, so that nobody waited for its deliveries.
    was_stuck: bool,
}

fn mk_lifecycle(memory: usize, responses: &Arc<Listed>) -> Lifecycle {
    Lifecycle::new(LIMITS, memory, Arc::<Listed>::clone(responses))
}

impl World {
    fn new(memory: usize) -> Self {
        let now = Now { instant: Instant::now(), time: time("2026-01-02T00:00:00Z") };
        let responses = Arc::default();
        let mut world = Self {
            lifecycle: mk_lifecycle(memory, &responses),
            responses,
            before: Vec::new(),
            memory,
            now,
            effects: Vec::new(),
            unrecorded: Vec::new(),
            reads: Vec::new(),
            events: Vec::new(),
            deleted_events: BTreeSet::new(),
            records: BTreeMap::new(),
            webhooks: WEBHOOKS.map(|name| (name, false)).into(),
            shown: BTreeMap::new(),
            annotations: BTreeMap::new(),
            asked: 0,
            was_stuck: false,
        };
        world.begin();
        world
    }

    fn handle(&mut self, input: Input) {
        let effects = self.lifecycle.handle(input, self.now);
        self.effects.extend(effects);
        self.was_stuck |= self.lifecycle.load().failing > 0;
    }

    /// A webhook as it is shown now.
    fn show(&mut self, name: &str) -> Arc<KnownWebhook> {
        let is_held = self.webhooks.get(name).copied().unwrap_or_default();
        let known = mk_webhook(name, |webhook| webhook.reads_responses = name == "reader");
        self.shown.insert(name.to_owned(), Arc::clone(&known.webhook));
        Arc::new(KnownWebhook { is_held, appeared: self.now.instant, ..known })
    }

    /// A process begins: it sees the webhooks, and then the events. The responses may take longer.
    fn begin(&mut self) {
        self.effects.clear();
        self.unrecorded.clear();
        self.reads.clear();
        self.responses = Arc::default();
        self.before = self.records.keys().map(|(event, webhook)| (event.to_string(), webhook.clone())).collect();
        self.lifecycle = mk_lifecycle(self.memory, &self.responses);
        for name in self.webhooks.keys().copied().collect::<Vec<_>>() {
            let known = self.show(name);
            self.handle(Input::WebhookAppeared(known));
        }
        for (key, value) in self.annotations.clone() {
            self.handle(Input::RedeliveryAsked(response_name(&key), value));
        }
        self.list();
    }

    fn list(&mut self) {
        let there = self.events.iter().enumerate().filter(|(number, _)| !self.deleted_events.contains(number));
        let mut listed: Vec<SeenEvent> = there.map(|(_, event)| event.clone()).collect();
        // A list is in no order of time.
        listed.sort_by_key(|event| event.key.uid.chars().rev().collect::<String>());
        self.handle(Input::EventListBegan);
        listed.into_iter().for_each(|event| self.handle(Input::EventListed(Box::new(event))));
        self.handle(Input::EventListEnded);
    }

    fn list_responses(&mut self) {
        self.responses.end(self.before.clone());
        self.handle(Input::ResponsesListed);
    }

    fn step(&mut self, happens: &Happens) {
        match *happens {
            Happens::Event(group) => self.create_event(group),
            Happens::Effect(which, reply) => {
                let (effects, unrecorded, reads) = (self.effects.len(), self.unrecorded.len(), self.reads.len());
                match usize::from(which).checked_rem(effects + unrecorded + reads) {
                    Some(at) if at < effects => {
                        let effect = self.effects.swap_remove(at);
                        self.carry_out(effect, reply);
                    }
                    Some(at) if at >= effects + unrecorded => {
                        let read = self.reads.swap_remove(at - effects - unrecorded);
                        self.take_in(read);
                    }
                    Some(at) => {
                        let answered = self.unrecorded.swap_remove(at - effects);
                        self.record(answered);
                    }
                    None => {}
                }
            }
            Happens::Time(passed) => self.pass(Duration::from_secs(passed.into())),
            Happens::Hold(which, held) => {
                let name = WEBHOOKS[usize::from(which)];
                if let Some(is_held) = self.webhooks.get_mut(name) {
                    *is_held = held;
                    self.was_stuck |= held;
                    let known = self.show(name);
                    self.handle(Input::WebhookChanged(known));
                }
            }
            Happens::Delete(which) => {
                let name = WEBHOOKS[usize::from(which)];
                // One stays, so that there is something to do.
                if which != 0 && self.webhooks.remove(name).is_some() {
                    self.records.retain(|(_, webhook), _| webhook != name);
                    self.annotations.retain(|(_, webhook), _| webhook != name);
                    self.handle(Input::WebhookGone(NamespacedName::new("team", name)));
                }
            }
            Happens::DeleteEvent(which) => {
                if let Some(number) = usize::from(which).checked_rem(self.events.len())
                    && self.deleted_events.insert(number)
                {
                    self.handle(Input::EventGone(number.to_string()));
                }
            }
            Happens::Restart => self.begin(),
            Happens::Relist => self.list(),
            Happens::ResponsesListed => self.list_responses(),
            Happens::Redeliver(which) => {
                let Some(key) = self.records.keys().nth(usize::from(which) % self.records.len().max(1)).cloned() else {
                    return;
                };
                self.asked += 1;
                let value: Arc<str> = Arc::from(format!("again {}", self.asked));
                self.annotations.insert(key.clone(), Arc::clone(&value));
                self.handle(Input::RedeliveryAsked(response_name(&key), value));
            }
        }
    }

    fn create_event(&mut self, group: u8) {
        let number = self.events.len();
        let event = SeenEvent {
            facts: Arc::new(EventFacts {
                event_type: Some(EventType::Resolve),
                alert_group_id: Arc::from(format!("I{group}")),
                integration_id: None,
                webhook_refs: Vec::new(),
            }),
            created: self.now.time,
            version: ResourceVersion::from(number.to_string().as_str()),
            weight: number % 4 * 200,
            ..super::mk_event(&number.to_string(), None)
        };
        self.events.push(event.clone());
        self.handle(Input::EventSeen(Box::new(event)));
    }

    fn pass(&mut self, passed: Duration) {
        self.now.instant += passed;
        self.now.time = self.now.time.saturating_add(passed).unwrap();
        self.handle(Input::Woken);
    }

    fn carry_out(&mut self, effect: Effect, reply: Reply) {
        match effect {
            Effect::Prepare { mut delivery, look_up } => {
                let found = if look_up { self.look_up(&mut delivery) } else { Found::ToSend };
                self.handle(Input::Prepared(delivery, found));
            }
            Effect::Attempt(delivery, permit) => self.send(delivery, permit, reply),
            Effect::Knock(door) => self.handle(Input::Knocked(door, matches!(reply, Reply::Success), 0.0)),
            Effect::GiveUp(delivery) => {
                let redelivered = delivery.redeliver.as_deref().map(str::to_owned);
                let record = Record { ended: true, next: None, redelivered, count: delivery.history.count };
                self.records.insert(key_of(&delivery), record);
                let summary = delivery.summary(ResponsePhase::Failed, None, None);
                self.handle(Input::GaveUp(delivery, summary));
            }
            Effect::ReviewEvent(key) => self.write_event(&key),
            Effect::ReadBacklog { namespace, after, .. } => self.read_backlog(namespace, &after),
            Effect::ReadResponse(name, value) => self.read_response(&name, value),
            Effect::ReadEvent(asked) => {
                let number: usize = asked.event_uid.parse().unwrap();
                let event = self.events.get(number).filter(|_| !self.deleted_events.contains(&number)).cloned();
                self.handle(Input::EventRead(asked, event.map(Box::new)));
            }
            Effect::Decline(asked, why) => {
                let key = (asked.event_uid.parse().unwrap(), asked.webhook.to_string());
                assert!(self.deleted_events.contains(&key.0), "{why}");
                if let Some(record) = self.records.get_mut(&key) {
                    record.redelivered = Some(asked.value.to_string());
                }
            }
            Effect::WriteAlertGroup { .. }
            | Effect::CreateTimerEvent(_)
            | Effect::CreateHeartbeatEvent(_)
            | Effect::AlertReceived(..) => unreachable!("no event is folded"),
            Effect::ForgetData(_)
            | Effect::EventForgotten(_)
            | Effect::NamespaceBehind(_)
            | Effect::NamespaceCaughtUp(_)
            | Effect::WebhookParked(_)
            | Effect::WebhookUnparked(_)
            | Effect::EndpointFailing(_)
            | Effect::EndpointRecovered(_)
            | Effect::ReviewWebhook(_)
            | Effect::WakeChanged => {}
        }
    }

    fn read_backlog(&mut self, namespace: Arc<str>, after: &Position) {
        let position = |event: &SeenEvent| (event.created, event.version.clone());
        let is_open = |event: &&SeenEvent| event.record.as_ref().is_none_or(|record| !record.is_completed);
        let there = self.events.iter().enumerate().filter(|(number, _)| !self.deleted_events.contains(number));
        let mut found: Vec<SeenEvent> =
            there.map(|(_, event)| event).filter(is_open).filter(|event| position(event) >= *after).cloned().collect();
        found.sort_by_key(position);
        let next = found.get(PAGE).map(position);
        found.truncate(PAGE);
        self.reads.push((namespace, found, next));
    }

    /// Hands over what was read; some of it may be gone, or done.
    fn take_in(&mut self, (namespace, events, next): Read) {
        self.handle(Input::BacklogRead(namespace, events, next));
    }

    fn look_up(&self, delivery: &mut Delivery) -> Found {
        let Some(record) = self.records.get(&key_of(delivery)) else { return Found::ToSend };
        delivery.history = history_of(record);
        let asks_again =
            delivery.redeliver.as_deref().is_some_and(|value| record.redelivered.as_deref() != Some(value));
        match record.next {
            Some(next) => Found::Tried(next, delivery.summary(ResponsePhase::Retrying, None, None)),
            None if record.ended && asks_again => {
                delivery.history = std::mem::take(&mut delivery.history).anew();
                Found::ToSend
            }
            None => Found::Ended(delivery.summary(ResponsePhase::Succeeded, None, None)),
        }
    }

    /// Sends a request, and has its answer. The process may end before that is recorded.
    fn send(&mut self, delivery: Box<Delivery>, mut permit: Permit, reply: Reply) {
        let bytes = delivery.number as usize % 5 * 200;
        if !self.lifecycle.weigh(&mut permit, bytes) {
            return self.handle(Input::AttemptEnded(delivery, permit, Next::Heavier(bytes)));
        }
        if !self.webhooks.contains_key(&*delivery.webhook) {
            return self.unrecorded.push((delivery, permit, None));
        }
        self.check_is_due(&delivery);
        let (key, webhook) =
            ((delivery.number, Arc::clone(&delivery.webhook)), Arc::clone(&self.shown[&*delivery.webhook]));
        let is_gone = matches!(reply, Reply::Gone);
        if let Some(is_held) = self.webhooks.get_mut(&*delivery.webhook).filter(|_| is_gone) {
            *is_held = true;
            self.was_stuck = true;
        }
        let report = match reply {
            Reply::Success | Reply::Gone => EndpointReport::Answered,
            Reply::Failure => super::failed(None),
            Reply::Away => EndpointReport::Away(Arc::from("http://receiver.example:80")),
        };
        self.unrecorded.push((delivery, permit, Some(reply)));
        self.handle(Input::Answered(key, Answer { report, webhook, is_gone, chance: 0.0 }));
    }

    fn record(&mut self, (mut delivery, permit, reply): Unrecorded) {
        let next = match reply {
            Some(reply) => self.record_attempt(&mut delivery, reply),
            None => Next::End(delivery.summary(ResponsePhase::Skipped, None, None)),
        };
        self.handle(Input::AttemptEnded(delivery, permit, next));
    }

    fn record_attempt(&mut self, delivery: &mut Delivery, reply: Reply) -> Next {
        let redeliver = delivery.redeliver.as_deref().map(str::to_owned);
        let phase = match reply {
            Reply::Success => ResponsePhase::Succeeded,
            Reply::Failure | Reply::Away => ResponsePhase::Retrying,
            Reply::Gone => ResponsePhase::Failed,
        };
        let ends = phase != ResponsePhase::Retrying;
        let (time, status_code, message, duration_ms) = (self.now.time, None, None, 0);
        let attempt = Attempt { time, status_code, message, duration_ms, redeliver: redeliver.clone() };
        delivery.history.add((phase, None), Some(attempt), false);
        let again = time.saturating_add(Duration::from_secs(10)).unwrap();
        // A webhook that was deleted since has no records any more.
        if self.webhooks.contains_key(&*delivery.webhook) {
            let record = self.records.entry(key_of(delivery)).or_default();
            record.count = delivery.history.count;
            record.ended = ends;
            record.next = (!ends).then_some(again);
            if ends {
                record.redelivered = redeliver;
            }
        }
        let summary = delivery.summary(phase, None, None);
        if ends { Next::End(summary) } else { Next::Again(again, summary) }
    }

    /// Checks that a delivery that is sent is not recorded as ended, and does not come before its time in the alert group.
    fn check_is_due(&self, delivery: &Delivery) {
        let key = key_of(delivery);
        if let Some(record) = self.records.get(&key).filter(|record| record.ended) {
            let value = delivery.redeliver.as_deref();
            let is_asked = value.is_some() && record.redelivered.as_deref() != value;
            assert!(is_asked, "{key:?} is sent, and recorded as ended");
        } else if delivery.history.count == 0 {
            let group = |number: usize| &self.events[number].facts.alert_group_id;
            // A webhook that reads the answers of others waits for theirs as well.
            let waits_for = |name: &str| name == key.1 || (key.1 == "reader" && !self.was_stuck);
            let is_before = |number: &usize| !self.deleted_events.contains(number) && group(*number) == group(key.0);
            for number in (0..key.0).filter(is_before) {
                for webhook in self.webhooks.keys().filter(|name| waits_for(name)) {
                    let is_tried = self.records.contains_key(&(number, (*webhook).to_owned()));
                    assert!(is_tried, "{key:?} is sent before event {number} for {webhook}");
                }
            }
        }
    }

    fn write_event(&mut self, key: &EventKey) {
        let summary = match self.lifecycle.progress(&key.uid) {
            Progress::Ended { summary, .. } | Progress::Running { summary, is_parked: true, .. } => summary,
            Progress::Running { .. } | Progress::Settled => return,
        };
        let number: usize = key.uid.parse().unwrap();
        self.events[number].record = Some(EventRecord {
            is_completed: summary.is_completed,
            matched: summary.matched,
            redelivered: summary.redelivered,
            redelivering: None,
            fold: summary.fold,
            deliveries: summary.deliveries,
        });
        // As the answer to the write, or the watch, says.
        self.handle(match self.deleted_events.contains(&number) {
            true => Input::EventGone(key.uid.clone()),
            false => Input::EventSeen(Box::new(self.events[number].clone())),
        });
    }

    fn read_response(&mut self, name: &NamespacedName, value: Arc<str>) {
        // It may be gone, with its webhook.
        let Some((key, record)) = self.records.iter().find(|(key, _)| response_name(key) == *name) else {
            return self.handle(Input::ResponseGone(name.clone(), value));
        };
        let asked = RedeliveryRequest {
            name: name.clone(),
            value,
            event: key.0.to_string(),
            event_uid: key.0.to_string(),
            webhook: Arc::from(key.1.as_str()),
            owners: vec![key.1.clone()],
            has_status: true,
            history: history_of(record),
            redelivered: record.redelivered.clone(),
            next_attempt: record.next,
            version: ResourceVersion::from("1"),
        };
        self.handle(Input::ResponseRead(Box::new(asked)));
    }

    /// Lets everything end, with every request answered.
    fn finish(&mut self) {
        self.list_responses();
        for name in self.webhooks.keys().copied().collect::<Vec<_>>() {
            self.webhooks.insert(name, false);
            let known = self.show(name);
            self.handle(Input::WebhookChanged(known));
        }
        for _ in 0..100_000 {
            if let Some(answered) = self.unrecorded.pop() {
                self.record(answered);
                continue;
            }
            if let Some(read) = self.reads.pop() {
                self.take_in(read);
                continue;
            }
            match self.effects.pop() {
                Some(effect) => self.carry_out(effect, Reply::Success),
                None => match self.lifecycle.wake_at() {
                    Some(at) => self.pass(at.saturating_duration_since(self.now.instant)),
                    None => return,
                },
            }
        }
        panic!("it never ends");
    }

    /// What is sent and not recorded is bounded, as are the requests of each webhook that have no answer; and of one alert group
    /// and webhook it is one delivery, so that none that is sent again after a kill comes after a later one.
    fn check_flights(&self) {
        let asked = self.effects.iter().filter_map(|effect| match effect {
            Effect::Attempt(delivery, _) => Some(delivery),
            _ => None,
        });
        let mut unanswered: BTreeMap<&str, usize> = BTreeMap::new();
        asked.clone().for_each(|delivery| *unanswered.entry(&delivery.webhook).or_default() += 1);
        assert!(unanswered.values().all(|count| *count <= LIMITS.per_webhook), "{unanswered:?} have no answer");
        let unrecorded = asked.chain(self.unrecorded.iter().map(|(delivery, ..)| delivery));
        let of_groups: Vec<_> =
            unrecorded.map(|delivery| (&delivery.webhook, &delivery.facts.alert_group_id)).collect();
        assert!(of_groups.len() <= LIMITS.in_flight, "{of_groups:?} are in flight");
        let distinct: BTreeSet<_> = of_groups.iter().collect();
        assert_eq!(distinct.len(), of_groups.len(), "{of_groups:?} are in flight");
    }

    /// The steps of deliveries agree with the counts of the dispatcher.
    fn check_steps(&self) {
        let stages = self.lifecycle.events.values().flat_map(|event| event.runs.values()).map(|run| &run.stage);
        let steps: Vec<Step> = stages
            .filter_map(|stage| match stage {
                Stage::Open { step, .. } => Some(*step),
                Stage::Ended => None,
            })
            .collect();
        let count = |of: &[Step]| steps.iter().filter(|step| of.contains(step)).count();
        let load = self.lifecycle.load();
        assert_eq!((count(&[Step::Queued]), count(&[Step::Sending, Step::Answered])), (load.waiting, load.in_flight));
        for (webhook, is_held) in &self.webhooks {
            let name = NamespacedName::new("team", *webhook);
            let is_stuck = *is_held || self.lifecycle.is_failing(&name);
            assert_eq!(self.lifecycle.dispatcher.is_stuck(&name), is_stuck, "{webhook}");
        }
    }

    fn check_all_is_done(&self) {
        for number in (0..self.events.len()).filter(|number| !self.deleted_events.contains(number)) {
            for webhook in self.webhooks.keys() {
                let record = self.records.get(&(number, (*webhook).to_owned()));
                assert!(record.is_some_and(|record| record.ended), "event {number} for {webhook}: {record:?}");
            }
            let is_completed = self.events[number].record.as_ref().is_some_and(|record| record.is_completed);
            assert!(is_completed, "event {number} is not completed");
        }
        for (key, value) in self.annotations.iter().filter(|((number, _), _)| !self.deleted_events.contains(number)) {
            let redelivered = self.records.get(key).and_then(|record| record.redelivered.as_deref());
            assert_eq!(redelivered, Some(&**value), "{key:?}");
        }
        let load = Load {
            limit: 4,
            in_flight_limit: 1000,
            held_limit: self.memory,
            held_bytes: self.remembered(),
            ..Load::default()
        };
        assert_eq!((self.lifecycle.load(), self.lifecycle.unwritten()), (load, 0));
        assert!(self.lifecycle.backlogs_are_empty());
    }

    /// What completed events hold.
    fn remembered(&self) -> usize {
        self.lifecycle.events.values().map(|event| event.cost).sum()
    }
}

fn response_name((event, webhook): &Key) -> NamespacedName {
    NamespacedName::new("team", crate::id::response_name(&event.to_string(), webhook))
}

fn key_of(delivery: &Delivery) -> Key {
    (delivery.event.uid.parse().unwrap(), delivery.webhook.to_string())
}

fn history_of(record: &Record) -> AttemptHistory {
    let round =
        (record.count > 0).then(|| Round { since: time("2026-01-02T00:00:00Z"), attempts: record.count, timeouts: 0 });
    let phase = if record.ended { ResponsePhase::Succeeded } else { ResponsePhase::Retrying };
    AttemptHistory::new(record.count, round, Vec::new(), (phase, None))
}

proptest! {
    /// No order in which things happen loses a delivery, sends one that is recorded, or breaks the order in an alert group.
    #[test]
    fn whatever_happens_all_is_delivered_in_order_and_nothing_that_is_recorded_is_sent(
        steps in proptest::collection::vec(happens(), 1..120),
        memory in prop_oneof![Just(1_000_000_usize), 2_000_usize..40_000],
    ) {
        let mut world = World::new(memory);
        for step in steps {
            world.step(&step);
            world.check_steps();
            world.check_flights();
        }
        world.finish();
        world.check_all_is_done();
    }
}
