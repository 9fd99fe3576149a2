//! From an event to the end of its deliveries.
//!
//! ```text
//! watch ─► observe ─► admit ─► (earlier events of the alert group) ─► start ─► deliver × webhook ─► ended
//!                                                                       │                            │
//!                                                       matched against the catalog        events::reconcile writes
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
use tokio_util::task::TaskTracker;

use super::{
    catalog::{Catalog, Entry},
    deliver::{Deliverer, Delivery, EventKey},
};
use crate::{
    core::{
        event::{EventData, EventFacts},
        matching::SAME_APPLY,
    },
    kubernetes::guard::Guarded,
    resources::{AlertGroupEvent, AlertGroupEventStatus, EventPhase, ResponsePhase, WebhookLine},
};

/// How long a completed event is remembered, for webhooks of the same apply that the watch shows later.
const REMEMBERED: Duration = Duration::from_secs(SAME_APPLY.as_secs() * 2);

/// As many lines as the schema of an event's status allows.
const MAX_LINES: usize = 2000;

/// How far an event's deliveries are.
#[derive(Debug)]
enum Stage {
    /// Earlier events of the alert group have not had their first attempts.
    Waiting(Arc<EventData>),
    Running {
        since: Instant,
        open: usize,
    },
    Ended,
}

#[derive(Debug)]
struct Run {
    key: EventKey,
    facts: Arc<EventFacts>,
    created: Timestamp,
    /// Whether it was there before this process, so that some of it may be done.
    inherited: bool,
    stage: Stage,
    /// What came of each webhook; None while it is under way.
    lines: BTreeMap<String, Option<WebhookLine>>,
    /// What the event names and no webhook answers to.
    unknown: Vec<String>,
    /// The watch has shown that the end, with all that is known now, is recorded.
    recorded: bool,
    deleted: bool,
}

impl Run {
    /// Nothing is to be written of it.
    fn is_settled(&self) -> bool {
        self.recorded || self.deleted
    }

    /// Nothing is to be done about it any more.
    fn is_over(&self) -> bool {
        self.is_settled() && matches!(self.stage, Stage::Ended)
    }

    fn group(&self) -> (String, String) {
        (self.key.namespace.clone(), self.facts.alert_group_id.clone())
    }
}

/// What is to be written to an event's status.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing is known of it, or nothing is to be written.
    Settled,
    /// Under way since then.
    Running(Instant, AlertGroupEventStatus),
    /// All deliveries have ended. The names are those in webhookRefs that no webhook answers to.
    Ended(AlertGroupEventStatus, Vec<String>),
}

#[derive(Default)]
struct State {
    runs: HashMap<String, Run>,
    /// Uids of the events of an alert group that have not ended, in the order of their creation. The first one runs.
    groups: HashMap<(String, String), VecDeque<String>>,
    /// Completed runs, in the order in which they are to be forgotten.
    remembered: VecDeque<(Instant, String)>,
    /// What a list that is under way has named so far, and what of it is to be admitted.
    listed: Option<(HashSet<String>, Vec<Admission>)>,
    /// The first list has ended.
    synced: bool,
    stopped: bool,
}

struct Admission {
    run: Run,
    /// Whether it has no status yet: of an alert group only the first gets one before its turn is over.
    untouched: bool,
    version: u64,
}

/// The events that are under way.
pub(crate) struct Runs {
    state: Mutex<State>,
    catalog: Arc<Catalog>,
    deliverer: Arc<Deliverer>,
    tasks: TaskTracker,
    changed: mpsc::UnboundedSender<ObjectRef<AlertGroupEvent>>,
}

impl Runs {
    /// Also returns the events whose status has changed here.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        deliverer: Arc<Deliverer>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<AlertGroupEvent>>) {
        let (changed, changes) = mpsc::unbounded();
        let runs = Self { state: Mutex::default(), catalog, deliverer, tasks: TaskTracker::new(), changed };
        (Arc::new(runs), changes)
    }

    /// Takes in what the watch says, in its order.
    pub(crate) fn observe(self: &Arc<Self>, event: &Event<Guarded<AlertGroupEvent>>) {
        match event {
            Event::Init => self.state.lock().listed = Some((HashSet::new(), Vec::new())),
            Event::InitApply(object) => {
                let admission = self.admission(object);
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
                let gone: Vec<String> = state.runs.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                gone.iter().for_each(|uid| deleted(&mut state, uid));
                // A list is in the order of names.
                admissions.sort_by_key(|admission| (admission.run.created, admission.untouched, admission.version));
                for admission in admissions {
                    self.admit(&mut state, admission.run);
                }
            }
            Event::Apply(object) => {
                let admission = self.admission(object);
                let mut state = self.state.lock();
                note(&mut state, object);
                if let Some(admission) = admission {
                    self.admit(&mut state, admission.run);
                }
            }
            Event::Delete(object) => deleted(&mut self.state.lock(), &object.uid().unwrap_or_default()),
        }
        forget(&mut self.state.lock());
    }

    /// What is to be admitted: an event that is not completed, not being deleted and not here yet.
    fn admission(&self, object: &Guarded<AlertGroupEvent>) -> Option<Admission> {
        let event = object.0.as_ref().ok()?;
        if is_completed(event) || event.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let key = EventKey::of(event);
        let inherited = {
            let state = self.state.lock();
            if state.runs.contains_key(&key.uid) {
                return None;
            }
            !state.synced
        };
        let data = match event.spec.data() {
            Ok(data) => Arc::new(data),
            Err(error) => {
                tracing::error!(namespace = key.namespace, event = key.name, %error, "read AlertGroupEvent");
                return None;
            }
        };
        let run = Run {
            key,
            facts: Arc::new(event.spec.facts()),
            created: event.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            inherited,
            stage: Stage::Waiting(data),
            lines: BTreeMap::new(),
            unknown: event.spec.webhook_refs.clone(),
            recorded: false,
            deleted: false,
        };
        let version = event.resource_version().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX);
        Some(Admission { run, untouched: event.status.is_none(), version })
    }

    fn admit(self: &Arc<Self>, state: &mut State, run: Run) {
        let uid = run.key.uid.clone();
        if state.stopped || state.runs.contains_key(&uid) {
            return;
        }
        let queue = state.groups.entry(run.group()).or_default();
        queue.push_back(uid.clone());
        let first = queue.len() == 1;
        state.runs.insert(uid.clone(), run);
        if first {
            self.start(state, &uid);
        }
    }

    /// Starts the deliveries of an event whose turn it is, and those after it that have none.
    fn start(self: &Arc<Self>, state: &mut State, uid: &str) {
        let mut next = Some(uid.to_owned());
        while let Some(uid) = next.take() {
            let Some(run) = state.runs.get_mut(&uid) else { return };
            let Stage::Waiting(data) = &run.stage else { return };
            let data = Arc::clone(data);
            let webhooks = match run.deleted {
                true => Vec::new(),
                false => self.catalog.matching(&run.key.namespace, &run.facts, run.created),
            };
            run.stage = Stage::Running { since: Instant::now(), open: webhooks.len() };
            if webhooks.is_empty() {
                next = self.end(state, &uid);
                continue;
            }
            for entry in webhooks {
                self.spawn(run, &entry, Some(Arc::clone(&data)));
            }
        }
    }

    fn spawn(self: &Arc<Self>, run: &mut Run, entry: &Arc<Entry>, data: Option<Arc<EventData>>) {
        let webhook = &entry.webhook;
        run.lines.insert(webhook.name.clone(), None);
        run.unknown.retain(|named| *named != webhook.name && *named != webhook.id);
        let runs = Arc::clone(self);
        let delivery = Delivery {
            event: run.key.clone(),
            facts: Arc::clone(&run.facts),
            data,
            inherited: run.inherited,
            entry: Arc::clone(entry),
        };
        self.tasks.spawn(async move {
            // What has not begun when the process stops is for the next one.
            if let Some(line) = runs.deliverer.deliver(&delivery).await {
                runs.ended(&delivery, line);
            }
        });
    }

    fn ended(self: &Arc<Self>, delivery: &Delivery, line: WebhookLine) {
        let mut state = self.state.lock();
        let uid = &delivery.event.uid;
        let Some(run) = state.runs.get_mut(uid) else { return };
        run.lines.insert(line.name.clone(), Some(line));
        if let Stage::Running { open, .. } = &mut run.stage {
            *open -= 1;
            if *open == 0
                && let Some(next) = self.end(&mut state, uid)
            {
                self.start(&mut state, &next);
            }
        }
    }

    /// Ends an event. Returns the one whose turn is next.
    fn end(&self, state: &mut State, uid: &str) -> Option<String> {
        let run = state.runs.get_mut(uid)?;
        run.stage = Stage::Ended;
        // The controller lives as long as the process.
        let _ = self.changed.unbounded_send(run.key.reference());
        let group = run.group();
        remember(state, uid);
        let queue = state.groups.get_mut(&group)?;
        queue.retain(|other| other != uid);
        if queue.is_empty() {
            state.groups.remove(&group);
            return None;
        }
        queue.front().filter(|_| !state.stopped).cloned()
    }

    /// Runs a webhook that the watch has shown just now for the events that it was there for.
    pub(crate) fn appeared(self: &Arc<Self>, entry: &Arc<Entry>) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        let late = state.runs.values_mut().filter(|run| {
            run.key.namespace == entry.namespace
                && !run.deleted
                && !matches!(run.stage, Stage::Waiting(_))
                && !run.lines.contains_key(&entry.webhook.name)
                && entry.runs(&run.facts, run.created)
        });
        for run in late {
            run.recorded = false;
            match &mut run.stage {
                Stage::Running { open, .. } => *open += 1,
                stage => *stage = Stage::Running { since: Instant::now(), open: 1 },
            }
            self.spawn(run, entry, None);
        }
    }

    /// What is to be written to the status of an event.
    pub(crate) fn progress(&self, uid: &str) -> Progress {
        let state = self.state.lock();
        match state.runs.get(uid) {
            Some(run) if !run.is_settled() => match run.stage {
                Stage::Waiting(_) => Progress::Settled,
                Stage::Running { since, .. } => Progress::Running(since, status(run, EventPhase::Delivering)),
                Stage::Ended => Progress::Ended(status(run, EventPhase::Completed), run.unknown.clone()),
            },
            _ => Progress::Settled,
        }
    }

    /// How many events have ended whose end is not recorded yet.
    pub(crate) fn unrecorded(&self) -> usize {
        let state = self.state.lock();
        state.runs.values().filter(|run| matches!(run.stage, Stage::Ended) && !run.is_settled()).count()
    }

    /// Starts nothing more, and waits for what is on the way.
    pub(crate) async fn stop(&self) {
        self.state.lock().stopped = true;
        self.deliverer.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn is_completed(event: &AlertGroupEvent) -> bool {
    event.status.as_ref().is_some_and(|status| status.phase == EventPhase::Completed)
}

/// Notes that the end of an event is recorded, with all that is known of it now: a webhook that came late may have added
/// to it since.
fn note(state: &mut State, object: &Guarded<AlertGroupEvent>) {
    let Ok(event) = &object.0 else { return };
    let Some(recorded) = event.status.as_ref().filter(|_| is_completed(event)) else { return };
    let uid = event.uid().unwrap_or_default();
    if let Some(run) = state.runs.get_mut(&uid)
        && matches!(run.stage, Stage::Ended)
        && lines(run) == recorded.webhooks
    {
        run.recorded = true;
        remember(state, &uid);
    }
}

/// Nothing more is to be recorded of an event that is gone; what is on the way ends.
fn deleted(state: &mut State, uid: &str) {
    if let Some(run) = state.runs.get_mut(uid) {
        run.deleted = true;
        remember(state, uid);
    }
}

/// Keeps an event that needs nothing more for a while.
fn remember(state: &mut State, uid: &str) {
    if state.runs.get(uid).is_some_and(Run::is_over) {
        state.remembered.push_back((Instant::now() + REMEMBERED, uid.to_owned()));
    }
}

fn forget(state: &mut State) {
    let now = Instant::now();
    while state.remembered.front().is_some_and(|(until, _)| *until <= now) {
        let Some((_, uid)) = state.remembered.pop_front() else { return };
        if state.runs.get(&uid).is_some_and(Run::is_over) {
            state.runs.remove(&uid);
        }
    }
}

fn lines(run: &Run) -> Vec<WebhookLine> {
    let pending = |name: &String| WebhookLine {
        name: name.clone(),
        outcome: ResponsePhase::Pending,
        status_code: None,
        response: None,
    };
    run.lines.iter().take(MAX_LINES).map(|(name, line)| line.clone().unwrap_or_else(|| pending(name))).collect()
}

fn status(run: &Run, phase: EventPhase) -> AlertGroupEventStatus {
    let count = |outcome| run.lines.values().flatten().filter(|line| line.outcome == outcome).count() as u32;
    AlertGroupEventStatus {
        phase,
        conditions: Vec::new(),
        matched: run.lines.len() as u32,
        succeeded: count(ResponsePhase::Succeeded),
        failed: count(ResponsePhase::Failed),
        skipped: count(ResponsePhase::Skipped),
        webhooks: lines(run),
    }
}
