//! From an event to the end of its deliveries.
//!
//! ```text
//! watch ─► observe ─► admit ─► order ─► (look up) ─► dispatcher ─► attempt ─┬─► ended ─► events::reconcile writes
//!               matched against    │                     ▲                  │
//!               the catalog        └── tried ◄───────────┴── again ◄────────┘
//! ```
//! An event is admitted once: it is here until the watch shows it Completed. What it needs is in memory, so that a request
//! waits for no call of the API. An event that was there before this process is different: those of its responses that
//! were there too are looked up first, and what is recorded as ended is not sent again.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::channel::mpsc;
use jiff::Timestamp;
use kube::{
    ResourceExt,
    runtime::{reflector::ObjectRef, watcher::Event},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SetOnce};
use tokio_util::task::TaskTracker;

use super::{
    catalog::{Catalog, WatchedWebhook, WebhookChange},
    deliver::{Deliverer, Delivery, Done, EventKey, Found, chance},
};
use crate::{
    core::{
        dispatch::{Change, Dispatcher, Lane, Limits, Next, Report, Turn, Waiting},
        event::EventFacts,
        matching::SAME_APPLY,
        order::{self, Order},
    },
    kubernetes::{lenient::Lenient, resource_version::ResourceVersion},
    resources::{
        AlertGroupEvent, AlertGroupEventStatus, EventPhase, REDELIVER_ANNOTATION, ResponsePhase, Tries, WebhookLine,
    },
};

/// How long a completed event is remembered, for webhooks of the same apply that the watch shows later, or shows another
/// process; and how long all of them are after the watch of webhooks was interrupted, which it says again every half a minute
/// until it goes on.
const REMEMBERED: Duration = Duration::from_secs(SAME_APPLY.as_secs() + 60);

/// As many lines as the schema of an event's status allows.
const MAX_LINES: usize = 2000;

/// How many responses that people want to be sent again are read at a time. A restart finds all that ever were, and requests
/// wait for other reads.
const REDELIVERIES: usize = 2;

/// How long sending waits for what is in flight before that is said.
const BLOCKED: Duration = Duration::from_secs(5);

/// A webhook's run for an event.
#[derive(Debug)]
struct Line {
    /// Uid of the webhook.
    uid: Arc<str>,
    ended: bool,
    /// What came of it so far.
    shown: Option<WebhookLine>,
    /// The value of the annotation that asks to send it again, and has not been answered.
    asked: Option<Arc<str>>,
}

#[derive(Debug)]
struct Run {
    key: Arc<EventKey>,
    facts: Arc<EventFacts>,
    created: Timestamp,
    /// The version that it had when it was first seen.
    version: ResourceVersion,
    /// Whether some of it may have been done before this process.
    inherited: bool,
    /// Whether that is not known from the first list.
    doubtful: bool,
    /// The webhooks whose runs, as its status says, another process has begun and not ended.
    begun: HashSet<String>,
    /// The value of the annotation for which all is sent again.
    redeliver: Option<Arc<str>>,
    /// The value of the annotation that is answered when it ends.
    answers: Option<Arc<str>>,
    since: Instant,
    lines: BTreeMap<Arc<str>, Line>,
    /// How many lines have not ended; and one more while it is held.
    open: usize,
    /// It may be for a webhook that can't be read.
    held: bool,
    /// What the event names and no webhook answers to.
    unknown: Vec<String>,
    /// With its lines, its status is larger than what etcd takes.
    shortened: bool,
    /// The watch has shown that the end, with all that is known now, is recorded.
    recorded: bool,
    deleted: bool,
}

impl Run {
    fn of(event: &AlertGroupEvent, inherited: bool) -> Self {
        let asked: Option<Arc<str>> = annotation(event).map(Arc::from);
        let completed = is_completed(event);
        let going_on = event.status.as_ref().and_then(|status| status.redelivering.as_deref()).map(Arc::from);
        let redeliver = if completed { asked.clone() } else { going_on };
        let lines = event.status.iter().flat_map(|status| &status.webhooks);
        let is_open = |line: &&WebhookLine| matches!(line.outcome, ResponsePhase::Pending | ResponsePhase::Retrying);
        let begun = lines.filter(is_open).map(|line| line.name.clone()).collect();
        Self {
            key: Arc::new(EventKey::of(event)),
            facts: Arc::new(event.spec.facts()),
            created: created(event),
            version: seen_version(event),
            inherited,
            doubtful: false,
            begun,
            answers: redeliver.clone().or(asked),
            redeliver,
            since: Instant::now(),
            lines: BTreeMap::new(),
            open: 0,
            held: false,
            unknown: event.spec.webhook_refs.clone(),
            shortened: false,
            recorded: false,
            deleted: false,
        }
    }

    /// Whether another process may have begun with it.
    fn is_anothers(&self) -> bool {
        self.inherited || self.doubtful
    }

    fn has_ended(&self) -> bool {
        self.open == 0
    }

    /// It is held no more.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.held) {
            self.open -= 1;
        }
    }

    /// Nothing is to be written of it.
    fn is_settled(&self) -> bool {
        self.recorded || self.deleted
    }

    /// Nothing is to be done about it any more.
    fn is_over(&self) -> bool {
        self.is_settled() && self.has_ended()
    }

    /// Webhooks that were created before run for it. What is sent again goes to those that are there now.
    fn before(&self) -> Timestamp {
        if self.redeliver.is_some() { Timestamp::MAX } else { self.created }
    }

    fn group(&self) -> Group {
        (Arc::clone(&self.key.namespace), Arc::clone(&self.facts.alert_group_id))
    }

    fn delivery(&self, number: u64, webhook: &Arc<str>, line: &Line) -> Box<Delivery> {
        Box::new(Delivery {
            event: Arc::clone(&self.key),
            facts: Arc::clone(&self.facts),
            number,
            webhook: Arc::clone(webhook),
            uid: Arc::clone(&line.uid),
            tries: Tries::default(),
            version: None,
            redeliver: self.redeliver.clone(),
        })
    }
}

/// What is to be written to an event's status.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing is known of it, or nothing is to be written.
    Settled,
    /// Under way since then; whether it waits for nothing but a webhook that can't be read.
    Running(Instant, AlertGroupEventStatus, bool),
    /// All deliveries have ended. The names are those in webhookRefs that no webhook answers to.
    Ended(AlertGroupEventStatus, Vec<String>),
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    /// Deliveries that are sent and not yet recorded.
    pub(crate) in_flight: usize,
    /// The bound on these.
    pub(crate) limit: usize,
    /// Deliveries that wait, for whatever.
    pub(crate) waiting: usize,
    /// Endpoints that are taken to be down.
    pub(crate) failing: usize,
    /// Something would be sent but for what is in flight already.
    pub(crate) blocked: bool,
}

/// Namespace and id of an alert group.
type Group = (Arc<str>, Arc<str>);

struct State {
    /// By number: in the order in which they were created.
    runs: HashMap<u64, Run>,
    numbers: HashMap<String, u64>,
    next: u64,
    orders: HashMap<Group, Order>,
    dispatcher: Dispatcher<Box<Delivery>>,
    /// The namespaces in which events are held.
    held: HashSet<Arc<str>>,
    /// What people want to be sent again of webhooks that can't be read: values by the names of responses.
    asked: HashMap<Lane, HashMap<String, String>>,
    /// When to look again what may be sent.
    alarm: Option<Instant>,
    /// Completed runs, in the order in which they are to be forgotten.
    remembered: VecDeque<(Instant, u64)>,
    /// Until then nothing is forgotten: webhooks may have been missed.
    none_forgotten_until: Option<Instant>,
    /// What a list that is under way has named so far, and what of it is to be admitted.
    listed: Option<(HashSet<String>, Vec<Run>)>,
    /// The first list has ended.
    synced: bool,
    stopped: bool,
}

/// The events that are under way.
pub(crate) struct Runs {
    state: Mutex<State>,
    catalog: Arc<Catalog>,
    deliverer: Arc<Deliverer>,
    tasks: TaskTracker,
    redeliveries: Semaphore,
    changed: mpsc::UnboundedSender<ObjectRef<AlertGroupEvent>>,
    /// The time to look again has changed.
    alarm: Notify,
    synced: SetOnce<()>,
}

impl Runs {
    /// Also returns the events whose status has changed here.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        deliverer: Arc<Deliverer>,
        limits: Limits,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<AlertGroupEvent>>) {
        let (changed, changes) = mpsc::unbounded();
        let state = Mutex::new(State {
            runs: HashMap::new(),
            numbers: HashMap::new(),
            next: 0,
            orders: HashMap::new(),
            dispatcher: Dispatcher::new(limits),
            held: HashSet::new(),
            asked: HashMap::new(),
            alarm: None,
            remembered: VecDeque::new(),
            none_forgotten_until: None,
            listed: None,
            synced: false,
            stopped: false,
        });
        let (tasks, alarm, synced) = (TaskTracker::new(), Notify::new(), SetOnce::new());
        let redeliveries = Semaphore::new(REDELIVERIES);
        (Arc::new(Self { state, catalog, deliverer, tasks, redeliveries, changed, alarm, synced }), changes)
    }

    /// Takes in what the watch says, in its order.
    pub(crate) fn observe(self: &Arc<Self>, event: &Event<Lenient<AlertGroupEvent>>) {
        match event {
            Event::Init => self.state.lock().listed = Some((HashSet::new(), Vec::new())),
            Event::InitApply(object) => {
                let admission = self.admission(object).or_else(|| self.remembrance(object));
                let mut state = self.state.lock();
                if let Some((listed, admissions)) = &mut state.listed {
                    listed.insert(object.uid().unwrap_or_default());
                    admissions.extend(admission);
                }
                note(&mut state, object);
            }
            Event::InitDone => {
                let mut state = self.state.lock();
                let (listed, mut admissions) = state.listed.take().unwrap_or_default();
                state.synced = true;
                let gone: Vec<String> = state.numbers.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                gone.iter().for_each(|uid| deleted(&mut state, uid));
                // A list is in the order of names.
                admissions.sort_by(|one, two| (one.created, &one.version).cmp(&(two.created, &two.version)));
                for run in admissions {
                    self.admit(&mut state, run);
                }
                self.pump(&mut state);
                let _ = self.synced.set(());
            }
            Event::Apply(object) => {
                let admission = self.admission(object);
                let mut state = self.state.lock();
                note(&mut state, object);
                if let Some(run) = admission {
                    self.admit(&mut state, run);
                    self.pump(&mut state);
                }
            }
            Event::Delete(object) => {
                self.deliverer.forget(&EventKey::of(object));
                deleted(&mut self.state.lock(), &object.uid().unwrap_or_default());
            }
        }
        forget(&mut self.state.lock());
    }

    /// What is to be admitted: an event that is not completed, or is to be sent again, and is not being deleted and not here
    /// yet.
    fn admission(&self, object: &Lenient<AlertGroupEvent>) -> Option<Run> {
        let event = object.0.as_ref().ok()?;
        if (is_completed(event) && !is_asked_for(event)) || event.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let inherited = {
            let state = self.state.lock();
            let uid = event.metadata.uid.as_deref().unwrap_or_default();
            let known = state.numbers.get(uid).and_then(|number| state.runs.get(number));
            // One that has ended is admitted again only for another value of the annotation.
            if known.is_some_and(|run| {
                !run.has_ended() || !is_completed(event) || run.answers.as_deref() == annotation(event)
            }) {
                return None;
            }
            !state.synced
        };
        // One that is not completed and has a status was another process's.
        let run = Run { doubtful: !inherited && event.status.is_some(), ..Run::of(event, inherited) };
        match event.spec.data() {
            Ok(data) => self.deliverer.keep(&run.key, data),
            Err(error) => {
                let EventKey { namespace, name, .. } = &*run.key;
                tracing::error!(namespace = &**namespace, event = name, %error, "read AlertGroupEvent");
                return None;
            }
        }
        Some(run)
    }

    /// An event that was completed not long before this process began.
    fn remembrance(&self, object: &Lenient<AlertGroupEvent>) -> Option<Run> {
        let event = object.0.as_ref().ok()?;
        let is_over = is_completed(event) && !is_asked_for(event) && event.metadata.deletion_timestamp.is_none();
        let age = Timestamp::now().duration_since(created(event));
        // Where lines were left out, it is not known who had one.
        let is_whole = event.status.as_ref().is_some_and(|status| status.webhooks.len() == status.matched as usize);
        let is_recent = Duration::try_from(age).unwrap_or_default() < REMEMBERED;
        (is_over && is_whole && is_recent && !self.state.lock().synced).then(|| self.completed(event))
    }

    fn admit(self: &Arc<Self>, state: &mut State, run: Run) {
        let known = state.numbers.get(&run.key.uid).copied();
        if state.stopped || known.and_then(|number| state.runs.get(&number)).is_some_and(|run| !run.has_ended()) {
            return;
        }
        if let Some(number) = known {
            state.runs.remove(&number);
        }
        let webhooks = self.webhooks_of(&run);
        let number = state.next;
        state.next += 1;
        state.numbers.insert(run.key.uid.clone(), number);
        state.runs.insert(number, run);
        for entry in &webhooks {
            self.add(state, number, entry);
        }
        self.hold_open(state, number);
        if state.runs.get(&number).is_some_and(Run::has_ended) {
            self.end(state, number);
        }
    }

    /// Keeps an event from its end while it may be for a webhook of which nothing is known because it can't be read.
    fn hold_open(&self, state: &mut State, number: u64) {
        if let Some(run) = state.runs.get_mut(&number)
            && !(run.held || run.recorded || run.deleted)
            && self.catalog.has_unreadable(&run.key.namespace)
        {
            run.held = true;
            run.open += 1;
            state.held.insert(Arc::clone(&run.key.namespace));
        }
    }

    /// Lets the events of a namespace end, if there is no webhook any more that can't be read.
    fn let_end(&self, state: &mut State, namespace: &Arc<str>) {
        if !state.held.contains(namespace) || self.catalog.has_unreadable(namespace) {
            return;
        }
        state.held.remove(namespace);
        let mut ended = Vec::new();
        for (number, run) in state.runs.iter_mut().filter(|(_, run)| run.held && run.key.namespace == *namespace) {
            run.let_go();
            ended.extend(run.has_ended().then_some(*number));
        }
        ended.into_iter().for_each(|number| self.end(state, number));
    }

    /// The run of an event that has ended, as its status says.
    fn completed(&self, event: &AlertGroupEvent) -> Run {
        let status = event.status.clone().unwrap_or_default();
        let mut run = Run::of(event, true);
        run.redeliver = None;
        run.recorded = true;
        run.answers = status.redelivered.as_deref().map(Arc::from);
        run.lines = status
            .webhooks
            .into_iter()
            .map(|line| {
                let uid = self
                    .catalog
                    .get(&run.key.namespace, &line.name)
                    .map_or_else(|| Arc::from(""), |entry| Arc::clone(&entry.uid));
                (Arc::from(line.name.as_str()), Line { uid, ended: true, shown: Some(line), asked: None })
            })
            .collect();
        let ids: HashSet<String> = run
            .lines
            .keys()
            .filter_map(|name| Some(self.catalog.get(&run.key.namespace, name)?.webhook.id.clone()))
            .collect();
        run.unknown.retain(|named| !run.lines.contains_key(named.as_str()) && !ids.contains(named));
        run
    }

    /// The webhooks that an event is for, but for those that are known to have had it.
    fn webhooks_of(&self, run: &Run) -> Vec<Arc<WatchedWebhook>> {
        let (namespace, before) = (&run.key.namespace, run.before());
        let mut webhooks = self.catalog.matching(namespace, &run.facts, before);
        if run.recorded {
            // What came with it may have come after its end.
            webhooks.retain(|entry| entry.came_with(run.created) && !run.lines.contains_key(&entry.name));
            return webhooks;
        }
        if !run.begun.is_empty() || (run.is_anothers() && self.deliverer.had_responses(&run.key)) {
            let also = |entry: &WatchedWebhook| !entry.runs(&run.facts, before) && self.has_begun(run, entry);
            webhooks.extend(self.catalog.filter(namespace, also));
        }
        webhooks
    }

    /// Whether another process has begun with a webhook's run, so that it goes on though the webhook, as it is now, is not for
    /// the event.
    fn has_begun(&self, run: &Run, entry: &WatchedWebhook) -> bool {
        // Of what is sent again, there are responses of the time before.
        let was_there = || run.redeliver.is_none() && self.deliverer.was_there(&run.key, &entry.name);
        run.is_anothers() && entry.existed(run.before()) && (run.begun.contains(&*entry.name) || was_there())
    }

    /// Adds a webhook's run to an event.
    fn add(self: &Arc<Self>, state: &mut State, number: u64, entry: &Arc<WatchedWebhook>) {
        let Some(run) = state.runs.get_mut(&number) else { return };
        let webhook = Arc::clone(&entry.name);
        let line = Line { uid: Arc::clone(&entry.uid), ended: false, shown: None, asked: None };
        run.lines.insert(Arc::clone(&webhook), line);
        run.open += 1;
        run.recorded = false;
        run.unknown.retain(|named| **named != *webhook && *named != entry.webhook.id);
        let awaited = !state.dispatcher.is_stuck(&entry.lane());
        let order = state.orders.entry(run.group()).or_default();
        let turn = order.add(number, &webhook, entry.webhook.reads_responses, awaited);
        self.begin(state, turn);
    }

    /// Begins with deliveries whose turn has come.
    fn begin(self: &Arc<Self>, state: &mut State, turns: impl IntoIterator<Item = order::Turn>) {
        for (number, webhook) in turns {
            let Some(run) = state.runs.get(&number) else { continue };
            let Some(line) = run.lines.get(&webhook) else { continue };
            let delivery = run.delivery(number, &webhook, line);
            let was_there = || run.inherited && self.deliverer.was_there(&run.key, &webhook);
            let looks_up = run.doubtful || run.redeliver.is_some() || was_there();
            self.prepare(state, delivery, looks_up);
        }
    }

    /// Queues a delivery, after what it has to wait for.
    fn prepare(self: &Arc<Self>, state: &mut State, mut delivery: Box<Delivery>, looks_up: bool) {
        let entry = self.entry(&delivery);
        let waits = entry.as_ref().is_some_and(|entry| self.deliverer.awaits_secrets(entry));
        if !looks_up && !waits {
            return self.push(state, delivery, Instant::now());
        }
        let runs = Arc::clone(self);
        self.tasks.spawn(async move {
            let found = match looks_up {
                true => match runs.deliverer.look_up(&mut delivery).await {
                    Some(found) => found,
                    None => return,
                },
                false => Found::Nothing,
            };
            if let Some(entry) = entry.filter(|_| matches!(found, Found::Nothing)) {
                runs.deliverer.secrets_of_the_same_apply(&entry).await;
            }
            let mut state = runs.state.lock();
            match found {
                Found::Ended(line) => {
                    runs.tried(&mut state, &delivery);
                    runs.ended(&mut state, delivery, line);
                }
                Found::Tried(next, line) => {
                    runs.tried(&mut state, &delivery);
                    runs.again(&mut state, delivery, next, line);
                }
                Found::Nothing => runs.push(&mut state, delivery, Instant::now()),
            }
            runs.pump(&mut state);
        });
    }

    fn push(&self, state: &mut State, delivery: Box<Delivery>, due: Instant) {
        let entry = self.entry(&delivery);
        let policy = entry.as_ref().map(|entry| &entry.webhook.retry);
        let deadline = policy.map_or(Duration::ZERO, |policy| policy.deadline);
        let now = Instant::now();
        let give_up = match &delivery.tries.round {
            Some(round) => now + until(round.since.saturating_add(deadline).unwrap_or(Timestamp::MAX)),
            None => now + deadline,
        };
        let waiting = Waiting {
            number: delivery.number,
            group: Arc::clone(&delivery.facts.alert_group_id),
            attempts: delivery.tries.round.map_or(0, |round| round.attempts),
            due,
            give_up,
            item: delivery,
        };
        let lane = lane(&waiting.item);
        state.dispatcher.push(&lane, waiting, now);
    }

    /// The webhook of a delivery, as it is now; None if it is gone.
    fn entry(&self, delivery: &Delivery) -> Option<Arc<WatchedWebhook>> {
        self.catalog.get(&delivery.event.namespace, &delivery.webhook).filter(|entry| entry.uid == delivery.uid)
    }

    /// Sends all that may go now.
    fn pump(self: &Arc<Self>, state: &mut State) {
        while !state.stopped {
            let Some(next) = state.dispatcher.next(Instant::now()) else { break };
            let runs = Arc::clone(self);
            match next {
                Next::Send(mut delivery, turn) => self.tasks.spawn(async move {
                    let entry = runs.entry(&delivery);
                    let (done, report) = runs.deliverer.attempt(&mut delivery, entry.as_ref()).await;
                    runs.done(delivery, entry.as_deref(), turn, done, report);
                }),
                Next::GiveUp(mut delivery) => self.tasks.spawn(async move {
                    let entry = runs.entry(&delivery);
                    let line = runs.deliverer.give_up(&mut delivery, entry.as_ref()).await;
                    let mut state = runs.state.lock();
                    state.dispatcher.gave_up();
                    runs.settle(&mut state, delivery, Done::Ended(line));
                    runs.pump(&mut state);
                }),
            };
        }
        // Who stops waits for nothing.
        let alarm = state.dispatcher.wake_at().filter(|_| !state.stopped);
        if alarm != state.alarm {
            state.alarm = alarm;
            self.alarm.notify_one();
        }
    }

    /// Takes a delivery back after its turn.
    fn done(
        self: &Arc<Self>,
        delivery: Box<Delivery>,
        entry: Option<&WatchedWebhook>,
        turn: Turn,
        done: Done,
        report: Report,
    ) {
        let mut state = self.state.lock();
        let policy = entry.map(|entry| entry.webhook.retry.clone()).unwrap_or_default();
        let entry = self.entry(&delivery);
        // What a webhook was answered that is gone says nothing of one that has its name now.
        let report = if entry.is_some() { report } else { Report::Nothing };
        let change = state.dispatcher.done(turn, report, &policy, Instant::now(), chance());
        let lane = lane(&delivery);
        if report == Report::Answered
            && let Some(entry) = entry.filter(|entry| entry.is_held())
        {
            // It has just been told to stop, as it is now.
            self.hold(&mut state, &entry);
        }
        self.settle(&mut state, delivery, done);
        self.changed(&mut state, &lane, change);
        self.pump(&mut state);
    }

    /// Draws the consequences of what came of a delivery.
    fn settle(self: &Arc<Self>, state: &mut State, delivery: Box<Delivery>, done: Done) {
        match done {
            // For the next process.
            Done::Stopped => {}
            Done::Ended(line) => {
                self.tried(state, &delivery);
                self.ended(state, delivery, line);
            }
            Done::Again(next, line) => {
                self.tried(state, &delivery);
                self.again(state, delivery, next, line);
            }
        }
    }

    /// Draws the consequences of a change of an endpoint.
    fn changed(self: &Arc<Self>, state: &mut State, lane: &Lane, change: Option<Change>) {
        let Some(change) = change else { return };
        let (namespace, webhook) = (&*lane.0, &*lane.1);
        match change {
            Change::Failing => {
                tracing::warn!(namespace, webhook, "the endpoint fails: it is tried with one delivery at a time");
                self.pass(state, lane);
            }
            Change::Recovered => tracing::info!(namespace, webhook, "the endpoint answers again"),
        }
        self.deliverer.show(namespace, webhook);
    }

    /// Lets nobody wait for the deliveries of a webhook.
    fn pass(self: &Arc<Self>, state: &mut State, lane: &Lane) {
        let orders = state.orders.iter_mut().filter(|((namespace, _), _)| *namespace == lane.0);
        let turns: Vec<order::Turn> = orders.flat_map(|(_, order)| order.pass(&lane.1)).collect();
        self.begin(state, turns);
    }

    /// Holds what waits for a webhook, or lets it go, as the webhook says.
    fn hold(self: &Arc<Self>, state: &mut State, entry: &WatchedWebhook) {
        let (lane, held) = (entry.lane(), entry.is_held());
        state.dispatcher.hold(&lane, held, Instant::now());
        if held {
            self.pass(state, &lane);
        }
        self.deliverer.show(&entry.namespace, &entry.name);
    }

    /// Lets those after a delivery go that waited until it was tried.
    fn tried(self: &Arc<Self>, state: &mut State, delivery: &Delivery) {
        let group = (Arc::clone(&delivery.event.namespace), Arc::clone(&delivery.facts.alert_group_id));
        let Some(order) = state.orders.get_mut(&group) else { return };
        let turns = order.tried(delivery.number, &delivery.webhook);
        if order.is_empty() {
            state.orders.remove(&group);
        }
        self.begin(state, turns);
    }

    /// Queues a delivery that is to be sent again at `next`.
    fn again(self: &Arc<Self>, state: &mut State, mut delivery: Box<Delivery>, next: Timestamp, line: WebhookLine) {
        if self.entry(&delivery).is_none() {
            let line = WebhookLine { outcome: ResponsePhase::Failed, ..line };
            return self.ended(state, delivery, line);
        }
        let mut due = Instant::now() + until(next);
        if let Some(shown) = self.line(state, &delivery) {
            shown.shown = Some(line);
            if let Some(asked) = shown.asked.take() {
                delivery.redeliver = Some(asked);
                due = Instant::now();
            }
        }
        self.push(state, delivery, due);
    }

    /// Ends a delivery, unless it is asked for again already.
    fn ended(self: &Arc<Self>, state: &mut State, mut delivery: Box<Delivery>, shown: WebhookLine) {
        let Some(line) = self.line(state, &delivery) else { return };
        line.shown = Some(shown);
        let asked = line.asked.take().filter(|asked| delivery.redeliver.as_ref() != Some(asked));
        if asked.is_some() && self.entry(&delivery).is_some() {
            delivery.redeliver = asked;
            delivery.tries = std::mem::take(&mut delivery.tries).anew();
            return self.push(state, delivery, Instant::now());
        }
        if std::mem::replace(&mut line.ended, true) {
            return;
        }
        let Some(run) = state.runs.get_mut(&delivery.number) else { return };
        run.open -= 1;
        if run.open == 0 {
            self.end(state, delivery.number);
        }
    }

    fn line<'a>(&self, state: &'a mut State, delivery: &Delivery) -> Option<&'a mut Line> {
        state.runs.get_mut(&delivery.number)?.lines.get_mut(&delivery.webhook)
    }

    /// Ends an event.
    fn end(&self, state: &mut State, number: u64) {
        let Some(run) = state.runs.get(&number) else { return };
        self.deliverer.forget(&run.key);
        // The controller lives as long as the process.
        let _ = self.changed.unbounded_send(run.key.reference());
        remember(state, number);
    }

    /// Takes in what has happened to a webhook.
    pub(crate) fn seen(self: &Arc<Self>, seen: WebhookChange) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        match seen {
            WebhookChange::Added(entry) => {
                state.dispatcher.renew(&entry.lane(), Instant::now());
                self.hold(&mut state, &entry);
                self.appeared(&mut state, &entry);
                self.let_end(&mut state, &entry.namespace);
                for (response, value) in state.asked.remove(&entry.lane()).into_iter().flatten() {
                    self.redeliver(entry.namespace.to_string(), response, value);
                }
            }
            WebhookChange::Unreadable((namespace, _)) => {
                let is_open = |run: &Run| run.key.namespace == namespace && !run.has_ended();
                let open = state.runs.iter().filter(|(_, run)| is_open(run)).map(|(number, _)| *number);
                for number in open.collect::<Vec<_>>() {
                    self.hold_open(&mut state, number);
                }
            }
            WebhookChange::Changed(entry) => {
                let lane = entry.lane();
                let change = state.dispatcher.renew(&lane, Instant::now());
                self.hold(&mut state, &entry);
                self.changed(&mut state, &lane, change);
            }
            WebhookChange::Removed(lane) => {
                for mut delivery in state.dispatcher.remove(&lane, Instant::now()) {
                    self.tried(&mut state, &delivery);
                    let (outcome, status_code) = match delivery.tries.count {
                        0 => (ResponsePhase::Skipped, None),
                        _ => delivery.tries.outcome(),
                    };
                    delivery.redeliver = None;
                    let name = delivery.webhook.to_string();
                    let line = WebhookLine { name, outcome, status_code, response: None };
                    self.ended(&mut state, delivery, line);
                }
                state.asked.remove(&lane);
                self.let_end(&mut state, &lane.0);
            }
        }
        self.pump(&mut state);
    }

    /// Takes in that the watch of webhooks was interrupted: what it shows next may be old.
    pub(crate) fn webhooks_interrupted(&self) {
        self.state.lock().none_forgotten_until = Some(Instant::now() + REMEMBERED);
    }

    /// Runs a webhook that the watch has shown just now for the events that it was there for.
    fn appeared(self: &Arc<Self>, state: &mut State, entry: &Arc<WatchedWebhook>) {
        let is_late = |run: &Run| {
            run.key.namespace == entry.namespace
                && !run.deleted
                && !run.lines.contains_key(&entry.name)
                && (entry.runs(&run.facts, run.created) || self.has_begun(run, entry))
        };
        let mut late: Vec<u64> = state.runs.iter().filter(|(_, run)| is_late(run)).map(|(number, _)| *number).collect();
        late.sort_unstable();
        for number in late {
            self.add(state, number, entry);
        }
    }

    /// Sends a run again whose WebhookResponse has that value of the annotation, unless it was.
    pub(crate) fn redeliver(self: &Arc<Self>, namespace: String, response: String, value: String) {
        let runs = Arc::clone(self);
        self.tasks.spawn(async move {
            let read = async {
                // What is under way is known then.
                runs.synced.wait().await;
                let turn = runs.redeliveries.acquire().await;
                (turn, runs.deliverer.response(&namespace, &response).await)
            };
            let (_turn, found) = tokio::select! {
                () = runs.deliverer.stopped() => return,
                read = read => read,
            };
            let Some(found) = found else { return };
            if found.status.as_ref().and_then(|status| status.redelivered.as_ref()) == Some(&value) {
                return;
            }
            let asked: Arc<str> = Arc::from(value.as_str());
            let (uid, webhook) = (&found.spec.event_ref.uid, Arc::from(found.spec.webhook_ref.name.as_str()));
            {
                let mut state = runs.state.lock();
                if runs.catalog.is_unreadable(&namespace, &webhook) {
                    let lane = (Arc::from(namespace), webhook);
                    state.asked.entry(lane).or_default().insert(response, value);
                    return;
                }
            }
            let Some(entry) = runs.catalog.get(&namespace, &webhook) else { return };
            if runs.ask(uid, &webhook, &asked) {
                return;
            }
            let name = &found.spec.event_ref.name;
            let event = runs.deliverer.event(&namespace, name).await.filter(|event| event.uid().as_ref() == Some(uid));
            let Some(event) = event else {
                let why = format!("Not sent again: AlertGroupEvent {name} is gone");
                return runs.deliverer.decline(&namespace, &found, &value, &why).await;
            };
            let mut state = runs.state.lock();
            // It may have been asked for in the meantime.
            if runs.ask_now(&mut state, uid, &webhook, &asked) {
                return;
            }
            let number = runs.reopen(&mut state, &event);
            let Some(run) = state.runs.get_mut(&number) else { return };
            let shown = run.lines.remove(&webhook).and_then(|line| line.shown);
            let line = Line { uid: Arc::clone(&entry.uid), ended: false, shown, asked: None };
            run.open += 1;
            run.recorded = false;
            let mut delivery = run.delivery(number, &webhook, &line);
            run.lines.insert(webhook, line);
            delivery.version = Some(ResourceVersion::of(&found));
            delivery.redeliver = Some(asked);
            let status = found.status.unwrap_or_default();
            let tries = Tries::of(&status);
            // Another process may have begun.
            let goes_on = status.attempts.last().is_some_and(|last| last.redeliver.as_ref() == Some(&value));
            let next = status.next_attempt_time.filter(|_| goes_on).map_or(Duration::ZERO, until);
            delivery.tries = if goes_on { tries } else { tries.anew() };
            runs.push(&mut state, delivery, Instant::now() + next);
            runs.pump(&mut state);
        });
    }

    /// Asks for a run that has not ended to be sent again. False if there is none.
    fn ask(self: &Arc<Self>, uid: &str, webhook: &Arc<str>, value: &Arc<str>) -> bool {
        self.ask_now(&mut self.state.lock(), uid, webhook, value)
    }

    fn ask_now(self: &Arc<Self>, state: &mut State, uid: &str, webhook: &Arc<str>, value: &Arc<str>) -> bool {
        let Some(number) = state.numbers.get(uid).copied() else { return false };
        let Some(run) = state.runs.get_mut(&number) else { return false };
        let Some(line) = run.lines.get_mut(webhook).filter(|line| !line.ended) else { return false };
        line.asked = Some(Arc::clone(value));
        let lane = (Arc::clone(&run.key.namespace), Arc::clone(webhook));
        let hurried = state.dispatcher.hurry(&lane, number, Instant::now(), |delivery| {
            delivery.redeliver = Some(Arc::clone(value));
        });
        if hurried && let Some(line) = state.runs.get_mut(&number).and_then(|run| run.lines.get_mut(webhook)) {
            line.asked = None;
        }
        self.pump(state);
        true
    }

    /// The number of an event of which some is to be sent again; what its status says of the others stays.
    fn reopen(&self, state: &mut State, event: &AlertGroupEvent) -> u64 {
        if let Some(number) = event.metadata.uid.as_ref().and_then(|uid| state.numbers.get(uid)) {
            return *number;
        }
        let run = self.completed(event);
        let number = state.next;
        state.next += 1;
        state.numbers.insert(run.key.uid.clone(), number);
        state.runs.insert(number, run);
        number
    }

    /// What is to be written to the status of an event.
    pub(crate) fn progress(&self, uid: &str) -> Progress {
        let state = self.state.lock();
        match state.numbers.get(uid).and_then(|number| state.runs.get(number)) {
            Some(run) if !run.is_settled() => match run.has_ended() {
                false => {
                    let is_held = run.held && run.open == 1;
                    Progress::Running(run.since, status(run, EventPhase::Delivering), is_held)
                }
                true => Progress::Ended(status(run, EventPhase::Completed), run.unknown.clone()),
            },
            _ => Progress::Settled,
        }
    }

    /// Leaves the lines of an event out of its status. False if they are already.
    pub(crate) fn shorten(&self, event: &AlertGroupEvent) -> bool {
        let mut state = self.state.lock();
        let number = event.metadata.uid.as_ref().and_then(|uid| state.numbers.get(uid)).copied();
        let run = number.and_then(|number| state.runs.get_mut(&number));
        run.is_some_and(|run| !std::mem::replace(&mut run.shortened, true))
    }

    /// Notes that the status of an event, as it is, says all that is known.
    pub(crate) fn recorded(self: &Arc<Self>, event: &AlertGroupEvent) {
        let mut state = self.state.lock();
        let Some(number) = event.metadata.uid.as_ref().and_then(|uid| state.numbers.get(uid)).copied() else { return };
        let Some(run) = state.runs.get_mut(&number).filter(|run| run.has_ended()) else { return };
        run.recorded = true;
        let asked_since = is_completed(event) && is_asked_for(event) && run.answers.as_deref() != annotation(event);
        remember(&mut state, number);
        if asked_since {
            self.admit(&mut state, Run::of(event, true));
            self.pump(&mut state);
        }
    }

    /// Whether a webhook's endpoint has failed so often in a row that it is taken to be down.
    pub(crate) fn is_failing(&self, lane: &Lane) -> bool {
        self.state.lock().dispatcher.is_failing(lane)
    }

    pub(crate) fn numbers(&self) -> Numbers {
        let State { dispatcher, .. } = &*self.state.lock();
        Numbers {
            in_flight: dispatcher.in_flight(),
            limit: dispatcher.limit(),
            waiting: dispatcher.waiting(),
            failing: dispatcher.failing(),
            blocked: dispatcher.is_blocked(),
        }
    }

    /// How many events have ended whose end is not recorded yet.
    pub(crate) fn unrecorded(&self) -> usize {
        let state = self.state.lock();
        state.runs.values().filter(|run| run.has_ended() && !run.is_settled()).count()
    }

    /// Sends what waits when its time has come, for ever.
    pub(crate) async fn drive(self: Arc<Self>) {
        loop {
            let at = self.state.lock().alarm;
            let wake = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wake => self.pump(&mut self.state.lock()),
                () = self.alarm.notified() => {}
            }
        }
    }

    /// Says when sending waits at its bound, for ever.
    pub(crate) async fn watch_bound(self: Arc<Self>) {
        let mut blocked_since = None;
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let Numbers { in_flight, limit, waiting, blocked, .. } = self.numbers();
            match (blocked, blocked_since) {
                (true, None) => blocked_since = Some((Instant::now(), false)),
                (true, Some((since, false))) if since.elapsed() >= BLOCKED => {
                    blocked_since = Some((since, true));
                    tracing::warn!(in_flight, limit, waiting, "sending waits: so many are sent and not yet recorded");
                }
                (false, Some((_, said))) => {
                    blocked_since = None;
                    if said {
                        tracing::info!(waiting, "sending goes on");
                    }
                }
                _ => {}
            }
        }
    }

    /// Starts nothing more, and waits for what is on the way.
    pub(crate) async fn stop(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            state.stopped = true;
            self.pump(&mut state);
        }
        self.deliverer.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn lane(delivery: &Delivery) -> Lane {
    (Arc::clone(&delivery.event.namespace), Arc::clone(&delivery.webhook))
}

/// How long until then; zero if it is past.
fn until(then: Timestamp) -> Duration {
    then.duration_since(Timestamp::now()).try_into().unwrap_or_default()
}

fn is_completed(event: &AlertGroupEvent) -> bool {
    event.status.as_ref().is_some_and(|status| status.phase == EventPhase::Completed)
}

fn created(event: &AlertGroupEvent) -> Timestamp {
    event.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn annotation(event: &AlertGroupEvent) -> Option<&str> {
    event.annotations().get(REDELIVER_ANNOTATION).map(String::as_str)
}

/// The version that an event had when it was first seen.
fn seen_version(event: &AlertGroupEvent) -> ResourceVersion {
    let noted = event.status.as_ref().and_then(|status| status.seen_version.as_deref());
    noted.map_or_else(|| ResourceVersion::of(event), ResourceVersion::from)
}

/// Whether an event has a value of the annotation for which it was not sent again.
fn is_asked_for(event: &AlertGroupEvent) -> bool {
    let answered = event.status.as_ref().and_then(|status| status.redelivered.as_deref());
    annotation(event).is_some_and(|value| answered != Some(value))
}

/// Notes that the end of an event is recorded, with all that is known of it now: a webhook that came late may have added
/// to it since.
fn note(state: &mut State, object: &Lenient<AlertGroupEvent>) {
    let Ok(event) = &object.0 else { return };
    let Some(recorded) = event.status.as_ref().filter(|_| is_completed(event)) else { return };
    let Some(number) = event.metadata.uid.as_ref().and_then(|uid| state.numbers.get(uid)).copied() else { return };
    if let Some(run) = state.runs.get_mut(&number)
        && run.has_ended()
        && run.answers.as_deref() == recorded.redelivered.as_deref()
        && lines(run) == recorded.webhooks
    {
        run.recorded = true;
        remember(state, number);
    }
}

/// Nothing more is to be recorded of an event that is gone; what is on the way ends.
fn deleted(state: &mut State, uid: &str) {
    if let Some(number) = state.numbers.get(uid).copied()
        && let Some(run) = state.runs.get_mut(&number)
    {
        run.deleted = true;
        run.let_go();
        remember(state, number);
    }
}

/// Keeps an event that needs nothing more for a while.
fn remember(state: &mut State, number: u64) {
    if state.runs.get(&number).is_some_and(Run::is_over) {
        state.remembered.push_back((Instant::now() + REMEMBERED, number));
    }
}

fn forget(state: &mut State) {
    let now = Instant::now();
    if state.none_forgotten_until.is_some_and(|until| now < until) {
        return;
    }
    while state.remembered.front().is_some_and(|(until, _)| *until <= now) {
        let Some((_, number)) = state.remembered.pop_front() else { return };
        if state.runs.get(&number).is_some_and(Run::is_over)
            && let Some(run) = state.runs.remove(&number)
        {
            state.numbers.remove(&run.key.uid);
        }
    }
}

fn lines(run: &Run) -> Vec<WebhookLine> {
    if run.shortened {
        return Vec::new();
    }
    let pending = |name: &str| WebhookLine {
        name: name.to_owned(),
        outcome: ResponsePhase::Pending,
        status_code: None,
        response: None,
    };
    run.lines.iter().take(MAX_LINES).map(|(name, line)| line.shown.clone().unwrap_or_else(|| pending(name))).collect()
}

fn status(run: &Run, phase: EventPhase) -> AlertGroupEventStatus {
    let count = |outcome| {
        let lines = run.lines.values().filter_map(|line| line.shown.as_ref());
        lines.filter(|line| line.outcome == outcome).count() as u32
    };
    AlertGroupEventStatus {
        phase,
        conditions: Vec::new(),
        matched: run.lines.len() as u32,
        succeeded: count(ResponsePhase::Succeeded),
        failed: count(ResponsePhase::Failed),
        skipped: count(ResponsePhase::Skipped),
        redelivered: run.answers.as_deref().filter(|_| phase == EventPhase::Completed).map(str::to_owned),
        redelivering: run.redeliver.as_deref().filter(|_| phase == EventPhase::Delivering).map(str::to_owned),
        seen_version: (phase == EventPhase::Delivering).then(|| run.version.to_string()),
        webhooks: lines(run),
    }
}

#[cfg(test)]
mod tests;
