//! Tables of what follows from what, and a world in which anything may happen in any order.

mod answers;
mod backlog;
mod folding;
mod responses;
mod world;

use std::{collections::HashSet, sync::Mutex};

use super::{event::Stage, *};
use crate::{
    delivery::{Attempt, AttemptHistory, ResponsePhase, Round},
    event::EventFacts,
    id,
    template::Mode,
    version::ResourceVersion,
    webhook::{CompiledTemplate, EventType, TriggerType, UrlSource, Webhook},
};

/// Names of responses that were listed. None are before the list has ended.
#[derive(Default)]
struct Listed(Mutex<HashSet<(String, String)>>);

impl Listed {
    /// Takes in a list, by events and webhooks.
    fn end(&self, listed: impl IntoIterator<Item = (String, String)>) {
        *self.0.lock().unwrap() = listed.into_iter().collect();
    }
}

impl ListedResponses for Listed {
    fn has(&self, event: &EventKey, webhook: &str) -> bool {
        self.0.lock().unwrap().contains(&(event.uid.clone(), webhook.to_owned()))
    }

    fn has_any(&self, event: &EventKey) -> bool {
        self.0.lock().unwrap().iter().any(|(uid, _)| *uid == event.uid)
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A webhook for resolved alert groups, of the first of January. It holds its deliveries.
fn mk_webhook(name: &str, change: impl FnOnce(&mut Webhook)) -> KnownWebhook {
    let url = UrlSource::Template(CompiledTemplate::new("http://receiver.example", Mode::Raw));
    let mut webhook = Webhook { name: name.to_owned(), ..Webhook::bare(TriggerType::Resolve, url) };
    change(&mut webhook);
    KnownWebhook {
        name: NamespacedName::new("team", name),
        uid: Arc::from(name),
        webhook: Arc::new(webhook),
        created: time("2026-01-01T00:00:00Z"),
        appeared: Instant::now(),
        is_held: true,
    }
}

/// An event of the second of January, whose name is its uid too.
fn mk_event(name: &str, record: Option<EventRecord>) -> SeenEvent {
    SeenEvent {
        key: Arc::new(EventKey { namespace: Arc::from("team"), name: name.to_owned(), uid: name.to_owned() }),
        facts: Arc::new(EventFacts {
            event_type: Some(EventType::Resolve),
            alert_group_id: Arc::from("I1"),
            integration_id: None,
            webhook_refs: Vec::new(),
        }),
        request: None,
        created: time("2026-01-02T00:00:00Z"),
        version: ResourceVersion::from("1"),
        is_changed: false,
        is_deleting: false,
        asked: None,
        record,
        weight: 0,
    }
}

fn mk_summary(webhook: &str, outcome: ResponsePhase) -> DeliverySummary {
    DeliverySummary { name: webhook.to_owned(), outcome, status_code: None, response: None }
}

/// The status of an event that has one webhook.
fn mk_record(is_completed: bool, webhook: &str, outcome: ResponsePhase) -> EventRecord {
    EventRecord { is_completed, matched: 1, deliveries: vec![mk_summary(webhook, outcome)], ..EventRecord::default() }
}

/// A lifecycle, and the time.
struct Setting {
    lifecycle: Lifecycle,
    responses: Arc<Listed>,
    now: Now,
}

impl Setting {
    fn new() -> Self {
        Self::with_responses(&[])
    }

    /// With responses of these events and webhooks.
    fn with_responses(listed: &[(&str, &str)]) -> Self {
        Self::with(listed, 1_000_000)
    }

    /// With so much memory for what waits.
    fn with_memory(memory: usize) -> Self {
        Self::with(&[], memory)
    }

    fn with(listed: &[(&str, &str)], memory: usize) -> Self {
        let mut setting = Self::at_start(memory);
        setting.list_responses(listed);
        setting
    }

    /// One that does not know yet which responses there are.
    fn at_start(memory: usize) -> Self {
        let (responses, limits) = (Arc::<Listed>::default(), Limits { in_flight: 10, per_webhook: 10, bytes: 1000 });
        let lifecycle = Lifecycle::new(limits, memory, Arc::<Listed>::clone(&responses));
        Self { lifecycle, responses, now: Now { instant: Instant::now(), time: time("2026-01-02T00:01:00Z") } }
    }

    /// Ends a list of responses of these events and webhooks.
    fn list_responses(&mut self, listed: &[(&str, &str)]) -> Vec<Effect> {
        self.responses.end(listed.iter().map(|(event, webhook)| ((*event).to_owned(), (*webhook).to_owned())));
        self.handle(Input::ResponsesListed)
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        self.lifecycle.handle(input, self.now)
    }

    fn appear(&mut self, webhook: KnownWebhook) -> Vec<Effect> {
        self.handle(Input::WebhookAppeared(Arc::new(webhook)))
    }

    fn list(&mut self, events: &[SeenEvent]) -> Vec<Effect> {
        let mut effects = self.handle(Input::EventListBegan);
        for event in events {
            effects.extend(self.handle(Input::EventListed(Box::new(event.clone()))));
        }
        effects.extend(self.handle(Input::EventListEnded));
        effects
    }

    /// Asks for the response of `mk_asked` to be sent again.
    fn ask(&mut self, value: &str) {
        let asked = mk_asked(value);
        self.handle(Input::RedeliveryAsked(asked.name, asked.value));
    }

    /// How far an event is, and the webhooks that it is for.
    fn progress(&self, event: &str) -> (&'static str, Vec<String>) {
        let (word, summary) = match self.lifecycle.progress(event) {
            Progress::Settled => return ("settled", Vec::new()),
            Progress::Running { summary, waits_for_unreadable: false, .. } => ("running", summary),
            Progress::Running { summary, waits_for_unreadable: true, .. } => ("held", summary),
            Progress::Ended { summary, .. } => ("ended", summary),
        };
        (word, summary.deliveries.into_iter().map(|summary| summary.name).collect())
    }

    /// Takes the delivery that waits for a webhook out of the queue.
    fn take_queued(&mut self, webhook: &str) -> Box<Delivery> {
        self.lifecycle.dispatcher.remove(&NamespacedName::new("team", webhook), self.now.instant).remove(0)
    }
}

/// The delivery that is to be attempted.
fn attempted(effects: Vec<Effect>) -> (Box<Delivery>, Permit) {
    let attempt = effects.into_iter().find_map(|effect| match effect {
        Effect::Attempt(delivery, permit) => Some((delivery, permit)),
        _ => None,
    });
    attempt.unwrap()
}

/// The answer to a request of a webhook as it was then.
fn mk_answer(report: EndpointReport, webhook: &Arc<Webhook>) -> Answer {
    Answer { report, webhook: Arc::clone(webhook), is_gone: false, chance: 0.0 }
}

/// An endpoint that may do better later, and was asked in no time.
fn failed(asked: Option<Duration>) -> EndpointReport {
    EndpointReport::Failed { asked, cost: Duration::ZERO }
}

/// What has happened when a delivery is answered.
fn answered(delivery: &Delivery, answer: Answer) -> Input {
    Input::Answered((delivery.number, Arc::clone(&delivery.webhook)), answer)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_process_that_stops_waits_for_no_time() {
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.list(&[mk_event("resolved", None)]);
    let delivery = setting.take_queued("one");
    let next = setting.now.time.saturating_add(seconds(5)).unwrap();
    setting.handle(Input::Prepared(delivery, Found::Tried(next, mk_summary("one", ResponsePhase::Retrying))));
    assert!(setting.lifecycle.wake_at().is_some());
    setting.handle(Input::Stopped);
    assert_eq!(setting.lifecycle.wake_at(), None);
}

#[test]
fn what_waits_is_told_by_webhook_since_the_oldest_of_its_events_was_created() {
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.appear(mk_webhook("two", |webhook| webhook.integration_filter = names(&["C1"])));
    let of_group = |name: &str, group: &str, created: &str| {
        let event = mk_event(name, None);
        let facts = EventFacts { alert_group_id: Arc::from(group), ..(*event.facts).clone() };
        SeenEvent { created: time(created), facts: Arc::new(facts), ..event }
    };
    let (old, new) = ("2026-01-02T00:00:00Z", "2026-01-02T00:00:09Z");
    assert_eq!(setting.lifecycle.waiting(), []);
    setting.list(&[of_group("second", "I2", new), of_group("first", "I1", old)]);
    let waiting = Waiting { webhook: NamespacedName::new("team", "one"), count: 2, since: time(old), is_held: true };
    assert_eq!(setting.lifecycle.waiting(), [waiting]);
    let created = ["first", "second", "third"].map(|event| setting.lifecycle.created(event));
    assert_eq!(created, [Some(time(old)), Some(time(new)), None]);
}

#[test]
fn the_answer_to_a_webhook_that_is_gone_makes_no_endpoint_fail() {
    let mut setting = Setting::new();
    let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
    let answer = mk_answer(failed(Some(seconds(5))), &asked.webhook);
    setting.appear(asked);
    let effects = setting.list(&[mk_event("resolved", None)]);
    let (delivery, permit) = attempted(effects);
    setting.handle(Input::WebhookGone(NamespacedName::new("team", "one")));
    setting.handle(answered(&delivery, answer));
    let again = Next::Again(Timestamp::MAX, mk_summary("one", ResponsePhase::Retrying));
    setting.handle(Input::AttemptEnded(delivery, permit, again));
    let Load { in_flight, waiting, failing, .. } = setting.lifecycle.load();
    let load = (in_flight, waiting, failing);
    assert_eq!((load, setting.lifecycle.wake_at()), ((0, 0, 0), None));
    assert_eq!(setting.progress("resolved"), ("ended", names(&["one"])));
}

#[test]
fn a_run_that_another_process_began_goes_on_though_the_webhook_is_not_for_the_event_any_more() {
    let delivering = |outcome| Some(mk_record(false, "one", outcome));
    let again = || {
        let record = mk_record(false, "one", ResponsePhase::Succeeded);
        Some(EventRecord { redelivering: Some(Arc::from("again")), ..record })
    };
    let other = |webhook: &mut Webhook| webhook.trigger_type = TriggerType::Acknowledge;
    let disabled = |webhook: &mut Webhook| webhook.enabled = false;
    let integration = |webhook: &mut Webhook| webhook.integration_filter = names(&["C1"]);
    let (pending, retrying, skipped) = (ResponsePhase::Pending, ResponsePhase::Retrying, ResponsePhase::Skipped);
    // How the webhook was changed, the event's status, whether there is a response; and whether it goes on.
    let cases: [(fn(&mut Webhook), _, _, _); 9] = [
        (other, None, false, false),
        (other, None, true, true),
        (disabled, None, true, true),
        (integration, None, true, true),
        (other, delivering(pending), false, true),
        (other, delivering(retrying), true, true),
        (disabled, delivering(retrying), true, true),
        (other, delivering(skipped), false, false),
        // The first sending of it is not repeated.
        (other, again(), true, false),
    ];
    for (number, (change, record, has_response, goes_on)) in cases.into_iter().enumerate() {
        let responses: &[_] = if has_response { &[("resolved", "one")] } else { &[] };
        let mut setting = Setting::with_responses(responses);
        setting.appear(mk_webhook("one", change));
        setting.appear(mk_webhook("two", |_| {}));
        setting.list(&[mk_event("resolved", record)]);
        let expected = if goes_on { names(&["one", "two"]) } else { names(&["two"]) };
        assert_eq!(setting.progress("resolved"), ("running", expected), "case {number}");
    }
}

#[test]
fn a_run_that_was_begun_with_another_webhook_of_that_name_does_not_go_on() {
    let mut setting = Setting::new();
    let other = mk_webhook("one", |webhook| webhook.trigger_type = TriggerType::Acknowledge);
    setting.appear(KnownWebhook { created: time("2026-01-03T00:00:00Z"), ..other });
    setting.list(&[mk_event("resolved", Some(mk_record(false, "one", ResponsePhase::Retrying)))]);
    assert_eq!(setting.progress("resolved"), ("ended", vec![]));
}

#[test]
fn a_webhook_gets_the_event_that_it_came_with_though_another_process_has_completed_it() {
    let now = time("2026-01-02T00:01:00Z");
    let ago = |count| now.saturating_sub(seconds(count)).unwrap();
    let made = |name: &str, created| KnownWebhook { created, ..mk_webhook(name, |_| {}) };
    let completed = |created, record| SeenEvent { created, ..mk_event("resolved", Some(record)) };
    let whole = || mk_record(true, "one", ResponsePhase::Succeeded);
    let in_part = || EventRecord { matched: 2, ..whole() };
    let cases = [
        (ago(10), whole(), ("running", names(&["late", "one"]))),
        // Clocks differ.
        (now.saturating_add(seconds(4)).unwrap(), whole(), ("running", names(&["late", "one"]))),
        (ago(20), whole(), ("settled", vec![])),
        (ago(10), in_part(), ("settled", vec![])),
    ];
    for (number, (created, record, expected)) in cases.into_iter().enumerate() {
        let mut setting = Setting::new();
        setting.appear(made("one", ago(1000)));
        // It did not run for another reason.
        setting.appear(made("old", ago(1000)));
        setting.appear(made("late", if number == 1 { now } else { ago(11) }));
        setting.list(&[completed(created, record)]);
        assert_eq!(setting.progress("resolved"), expected, "case {number}");
    }

    let mut setting = Setting::new();
    setting.appear(made("one", ago(1000)));
    setting.list(&[completed(ago(10), whole())]);
    assert_eq!(setting.progress("resolved"), ("settled", vec![]));
    setting.appear(made("late", ago(9)));
    assert_eq!(setting.progress("resolved"), ("running", names(&["late", "one"])));
}

#[test]
fn no_event_is_completed_while_a_webhook_is_there_that_cannot_be_read() {
    let name = || NamespacedName::new("team", "one");
    let appeared = |change: fn(&mut Webhook)| Input::WebhookAppeared(Arc::new(mk_webhook("one", change)));
    let pending = || Some(mk_record(false, "one", ResponsePhase::Pending));
    let other = |webhook: &mut Webhook| webhook.trigger_type = TriggerType::Acknowledge;
    // What becomes of the webhook, the event's status before; and what becomes of the event.
    let cases = [
        (appeared(|_| {}), None, ("running", names(&["one"]))),
        (appeared(other), None, ("ended", vec![])),
        (appeared(other), pending(), ("running", names(&["one"]))),
        (Input::WebhookGone(name()), pending(), ("ended", vec![])),
    ];
    for (number, (then, record, expected)) in cases.into_iter().enumerate() {
        let mut setting = Setting::new();
        setting.handle(Input::WebhookUnreadable(name()));
        let over = mk_event("over", Some(mk_record(true, "one", ResponsePhase::Succeeded)));
        setting.list(&[mk_event("resolved", record), over]);
        setting.handle(Input::EventSeen(Box::new(mk_event("new", None))));
        let progress = ["resolved", "new", "over"].map(|event| setting.progress(event).0);
        assert_eq!(progress, ["held", "held", "settled"], "case {number}");
        setting.handle(then);
        assert_eq!(setting.progress("resolved"), expected, "case {number}");
        assert!(setting.lifecycle.namespaces_awaiting_unreadable.is_empty());
    }
    // One that comes later holds all that has not ended.
    let mut setting = Setting::new();
    setting.appear(mk_webhook("two", |_| {}));
    setting.list(&[mk_event("resolved", None)]);
    setting.handle(Input::WebhookUnreadable(name()));
    setting.handle(Input::WebhookGone(NamespacedName::new("team", "two")));
    assert_eq!(setting.progress("resolved"), ("held", names(&["two"])));
    // Nobody waits for an event that is deleted.
    setting.handle(Input::EventGone("resolved".to_owned()));
    assert!(setting.lifecycle.events.values().all(EventState::is_over));
}

/// A response of the event `resolved` and the webhook `one`, with a value of the annotation.
fn mk_asked(value: &str) -> Box<RedeliveryRequest> {
    Box::new(RedeliveryRequest {
        name: NamespacedName::new("team", id::response_name("resolved", "one")),
        value: Arc::from(value),
        event: "resolved".to_owned(),
        event_uid: "resolved".to_owned(),
        webhook: Arc::from("one"),
        owners: names(&["one"]),
        has_status: true,
        history: AttemptHistory::new(1, None, Vec::new(), (ResponsePhase::Succeeded, None)),
        redelivered: None,
        next_attempt: None,
        version: ResourceVersion::from("2"),
    })
}

#[test]
fn a_delivery_that_is_to_be_sent_again_waits_for_a_webhook_that_cannot_be_read() {
    let completed = mk_event("resolved", Some(mk_record(true, "one", ResponsePhase::Succeeded)));
    let mut setting = Setting::new();
    setting.handle(Input::WebhookUnreadable(NamespacedName::new("team", "one")));
    // Nothing is read before it is known what is under way.
    let asked = || mk_asked("again");
    let early = setting.handle(Input::RedeliveryAsked(asked().name, asked().value));
    assert!(matches!(early.as_slice(), []), "{early:?}");
    let is_read = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::ReadResponse(name, _) if *name == asked().name))
    };
    assert!(is_read(&setting.list(std::slice::from_ref(&completed))));
    let waits = setting.handle(Input::ResponseRead(asked()));
    assert!(waits.is_empty(), "{waits:?}");
    assert!(is_read(&setting.appear(mk_webhook("one", |_| {}))));
    let read = setting.handle(Input::ResponseRead(asked()));
    assert!(matches!(read.as_slice(), [Effect::ReadEvent(_)]), "{read:?}");
    setting.handle(Input::EventRead(asked(), Some(Box::new(completed))));
    assert_eq!(setting.lifecycle.load().waiting, 1);
    assert_eq!(setting.take_queued("one").redeliver.as_deref(), Some("again"));
}

#[test]
fn a_response_is_sent_again_once_for_each_value_and_declined_without_its_event() {
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.list(&[]);
    let answered = RedeliveryRequest { redelivered: Some("again".to_owned()), ..*mk_asked("again") };
    setting.ask("again");
    assert!(setting.handle(Input::ResponseRead(Box::new(answered))).is_empty());
    setting.ask("again");
    let declined = setting.handle(Input::EventRead(mk_asked("again"), None));
    let expected = "Not sent again: AlertGroupEvent resolved is gone";
    assert!(matches!(declined.as_slice(), [Effect::Decline(_, why)] if why == expected), "{declined:?}");
    // One that waits is only hurried.
    setting.handle(Input::EventSeen(Box::new(mk_event("resolved", None))));
    setting.ask("again");
    assert!(setting.handle(Input::ResponseRead(mk_asked("again"))).is_empty());
    assert_eq!(setting.take_queued("one").redeliver.as_deref(), Some("again"));
}

#[test]
fn a_response_of_another_namespaces_event_has_nothing_sent_again() {
    let other = SeenEvent {
        key: Arc::new(EventKey { namespace: Arc::from("other"), ..(*mk_event("resolved", None).key).clone() }),
        ..mk_event("resolved", None)
    };
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.appear(KnownWebhook { name: NamespacedName::new("other", "one"), ..mk_webhook("one", |_| {}) });
    setting.list(&[other]);
    setting.ask("again");
    // The event is under way, in the other namespace; this one has none of that uid.
    let read = setting.handle(Input::ResponseRead(mk_asked("again")));
    assert!(matches!(read.as_slice(), [Effect::ReadEvent(_)]), "{read:?}");
    let declined = setting.handle(Input::EventRead(mk_asked("again"), None));
    assert!(matches!(declined.as_slice(), [Effect::Decline(..)]), "{declined:?}");
    let name = NamespacedName::new("other", "one");
    let waiting = setting.lifecycle.dispatcher.remove(&name, setting.now.instant).remove(0);
    assert_eq!(waiting.redeliver, None);
    let runs = setting.lifecycle.events.values().flat_map(|event| event.runs.values());
    assert!(runs.into_iter().all(|run| run.stage == Stage::Open { step: event::Step::Queued, asked: None }));
}

#[test]
fn a_response_that_the_operator_did_not_make_has_nothing_sent_again() {
    let named: fn(&mut RedeliveryRequest) = |asked| asked.name = NamespacedName::new("team", "by-hand");
    let owned: fn(&mut _) = |asked: &mut RedeliveryRequest| asked.owners = names(&["another"]);
    let bare: fn(&mut _) = |asked: &mut RedeliveryRequest| asked.has_status = false;
    let cases = [
        (named, "Not sent again: this is not the response of event resolved and webhook one"),
        (owned, "Not sent again: this is not owned by the Webhook one that is there now"),
        (bare, "Not sent again: the operator has recorded nothing here"),
    ];
    for (change, expected) in cases {
        let mut setting = Setting::new();
        setting.appear(mk_webhook("one", |_| {}));
        setting.list(&[mk_event("resolved", Some(mk_record(true, "one", ResponsePhase::Succeeded)))]);
        let asked = || {
            let mut asked = mk_asked("again");
            change(&mut asked);
            asked
        };
        setting.handle(Input::RedeliveryAsked(asked().name, asked().value));
        let declined = setting.handle(Input::ResponseRead(asked()));
        assert!(matches!(declined.as_slice(), [Effect::Decline(_, why)] if why == expected), "{declined:?}");
        assert_eq!((setting.lifecycle.load().waiting, setting.lifecycle.latest_redeliveries.len()), (0, 0));
    }
}

#[test]
fn a_delivery_that_is_asked_for_while_it_is_on_its_way_is_sent_again_when_it_ends() {
    let mut setting = Setting::new();
    let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
    let webhook = Arc::clone(&asked.webhook);
    setting.appear(asked);
    let mut effects = setting.list(&[mk_event("resolved", None)]);
    for expected in [None, Some("again")] {
        let (delivery, permit) = attempted(effects);
        assert_eq!(delivery.redeliver.as_deref(), expected);
        setting.handle(answered(&delivery, mk_answer(EndpointReport::Answered, &webhook)));
        setting.ask("again");
        assert!(setting.handle(Input::ResponseRead(mk_asked("again"))).is_empty());
        let end = Next::End(mk_summary("one", ResponsePhase::Succeeded));
        effects = setting.handle(Input::AttemptEnded(delivery, permit, end));
    }
    assert_eq!(setting.progress("resolved"), ("ended", names(&["one"])));
    let runs = setting.lifecycle.events.values().flat_map(|event| event.runs.values());
    assert!(runs.into_iter().all(|run| run.stage == Stage::Ended));
}

#[test]
fn a_delivery_that_is_asked_for_while_it_waits_is_sent_at_once_and_none_of_its_attempts_counts() {
    // Asked for while it is on its way, and after that; and whether another process has begun with that.
    for (is_early, has_begun) in [(true, false), (false, false), (false, true)] {
        let mut setting = Setting::new();
        let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
        let answer = mk_answer(failed(None), &asked.webhook);
        setting.appear(asked);
        let (mut delivery, permit) = attempted(setting.list(&[mk_event("resolved", None)]));
        setting.handle(answered(&delivery, answer));
        let ask = |setting: &mut Setting| {
            setting.ask("again");
            setting.handle(Input::ResponseRead(mk_asked("again")))
        };
        if is_early {
            ask(&mut setting);
        }
        let round = Round { since: setting.now.time, attempts: 2, timeouts: 2 };
        let attempt = Attempt {
            time: setting.now.time,
            status_code: None,
            message: None,
            duration_ms: 0,
            redeliver: has_begun.then(|| "again".to_owned()),
        };
        delivery.history = AttemptHistory::new(2, Some(round), vec![attempt], (ResponsePhase::Retrying, None));
        let due = setting.now.time + seconds(1800);
        let again = Next::Again(due, mk_summary("one", ResponsePhase::Retrying));
        let mut effects = setting.handle(Input::AttemptEnded(delivery, permit, again));
        if !is_early {
            effects = ask(&mut setting);
        }
        let (delivery, _permit) = attempted(effects);
        let met = (delivery.redeliver.as_deref(), delivery.history.count, delivery.history.round);
        assert_eq!(met, (Some("again"), 2, has_begun.then_some(round)), "early: {is_early}, begun: {has_begun}");
    }
}

#[test]
fn the_end_of_an_event_is_written_out_when_the_watch_shows_it_and_no_sooner() {
    let mut setting = Setting::new();
    setting.list(&[]);
    let effects = setting.handle(Input::EventSeen(Box::new(mk_event("resolved", None))));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReviewEvent(key) if key.uid == "resolved")));
    let shown = |record| Input::EventSeen(Box::new(mk_event("resolved", Some(record))));
    let steps = [
        (shown(EventRecord { is_completed: false, ..EventRecord::default() }), "ended", 1),
        // As another replica wrote it, that knew of one more webhook.
        (shown(mk_record(true, "one", ResponsePhase::Succeeded)), "ended", 1),
        (shown(EventRecord { is_completed: true, ..EventRecord::default() }), "settled", 0),
    ];
    for (step, (input, expected, unwritten)) in steps.into_iter().enumerate() {
        setting.handle(input);
        let met = (setting.progress("resolved").0, setting.lifecycle.unwritten());
        assert_eq!(met, (expected, unwritten), "step {step}");
    }
    // A webhook of the same apply comes later: there is more to be written.
    setting.appear(KnownWebhook { created: time("2026-01-02T00:00:03Z"), ..mk_webhook("late", |_| {}) });
    assert_eq!(setting.progress("resolved"), ("running", names(&["late"])));
}

#[test]
fn events_are_remembered_for_a_while_and_longer_after_the_watch_of_webhooks_was_interrupted() {
    let mut setting = Setting::new();
    setting.list(&[]);
    let completed = || EventRecord { is_completed: true, ..EventRecord::default() };
    let complete = |setting: &mut Setting, name: &str| {
        setting.handle(Input::EventSeen(Box::new(mk_event(name, None))));
        setting.handle(Input::EventSeen(Box::new(mk_event(name, Some(completed())))));
    };
    complete(&mut setting, "first");
    setting.now.instant += REMEMBERED - seconds(1);
    setting.handle(Input::WebhooksInterrupted);
    setting.now.instant += seconds(1);
    complete(&mut setting, "second");
    assert_eq!(setting.lifecycle.events.len(), 2);
    setting.now.instant += REMEMBERED;
    complete(&mut setting, "third");
    assert_eq!(setting.lifecycle.events.len(), 1);
    assert_eq!(setting.lifecycle.numbers.len(), 1);
}

#[test]
fn of_two_values_that_ask_for_a_response_the_later_one_counts_though_the_earlier_one_is_read_later() {
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.list(&[]);
    ["first", "second"].into_iter().for_each(|value| setting.ask(value));
    let completed = || Some(Box::new(mk_event("resolved", Some(mk_record(true, "one", ResponsePhase::Succeeded)))));
    let read = setting.handle(Input::ResponseRead(mk_asked("second")));
    assert!(matches!(read.as_slice(), [Effect::ReadEvent(_)]), "{read:?}");
    assert!(setting.handle(Input::ResponseRead(mk_asked("first"))).is_empty());
    assert!(setting.handle(Input::EventRead(mk_asked("first"), completed())).is_empty());
    setting.handle(Input::EventRead(mk_asked("second"), completed()));
    assert_eq!(setting.take_queued("one").redeliver.as_deref(), Some("second"));
    assert!(setting.lifecycle.latest_redeliveries.is_empty());
}
