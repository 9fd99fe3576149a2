//! One event and its webhooks' runs: how far they are.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;

use super::folding::{EventFold, FoldRecord};
use crate::{
    alert_groups::FoldRequest,
    delivery::{AttemptHistory, Delivery, DeliverySummary, EventKey, ResponsePhase},
    event::EventFacts,
    name::NamespacedName,
    version::ResourceVersion,
};

/// As many summaries as the schema of an event's status allows.
const MAX_SUMMARIES: usize = 2000;

/// About how many bytes an event holds beside its runs.
const EVENT_COST: usize = 1200;

/// About how many bytes a run holds beside its delivery.
const RUN_COST: usize = 250;

/// An event as the watch shows it.
#[derive(Clone, Debug)]
pub struct SeenEvent {
    /// Its namespace, name and uid.
    pub key: Arc<EventKey>,
    /// The facts that decide which webhooks run.
    pub facts: Arc<EventFacts>,
    /// What it asks of the alert groups; None if it says itself what happened.
    pub request: Option<Arc<FoldRequest>>,
    /// When it was created.
    pub created: Timestamp,
    /// The version that it had when an operator first saw it: its place among all events.
    pub version: ResourceVersion,
    /// Whether somebody has changed it since its creation, its status aside: its version is a later one then.
    pub is_changed: bool,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// The value of the annotation that asks to send all of it again.
    pub asked: Option<Arc<str>>,
    /// The content of its status; None if it has none.
    pub record: Option<EventRecord>,
    /// About how many bytes a delivery of it holds while it is in flight.
    pub weight: usize,
}

/// The content of the status of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRecord {
    /// All its deliveries have ended.
    pub is_completed: bool,
    /// How many webhooks it fired.
    pub matched: u32,
    /// The value of the annotation for which it was last sent again.
    pub redelivered: Option<Arc<str>>,
    /// The value of the annotation for which it is being sent again.
    pub redelivering: Option<Arc<str>>,
    /// What came of it, if it was folded.
    pub fold: Option<FoldRecord>,
    /// One for each webhook, by name; none where there was no room for them.
    pub deliveries: Vec<DeliverySummary>,
}

impl SeenEvent {
    /// About how many bytes it holds once it is admitted, beside its deliveries.
    pub(super) fn cost(&self) -> usize {
        let runs = self.record.as_ref().map_or(0, |record| record.deliveries.len());
        let request = self.request.as_ref().map_or(0, |request| request.cost());
        EVENT_COST
            + request
            + runs * RUN_COST
            + self.facts.webhook_refs.iter().map(|name| 2 * (24 + name.len())).sum::<usize>()
    }

    pub(super) fn is_completed(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_completed)
    }

    /// Whether it has a value of the annotation for which it was not sent again.
    pub(super) fn asks_for_redelivery(&self) -> bool {
        let answered = self.record.as_ref().and_then(|record| record.redelivered.as_ref());
        self.asked.as_ref().is_some_and(|value| answered != Some(value))
    }
}

/// Which process may have worked for an event before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// None: it was created while this process watched.
    New,
    /// Another one, perhaps. Its responses are among those that were listed.
    FirstList,
    /// Another one, and its responses may have come after the list.
    OtherProcess,
}

/// Which of its deliveries an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Those that it fires. `answers` is the value of the annotation that this answers, if it came with one.
    Initial { answers: Option<Arc<str>> },
    /// All once more, for this value of the annotation.
    Redelivery(Arc<str>),
}

/// How far the end of an event is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusState {
    /// Not all that is known.
    Outdated,
    /// All that is known, as was shown or confirmed.
    UpToDate,
    /// Nothing is to be written any more: the event is deleted.
    EventDeleted,
}

/// Where a delivery that has not ended is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits in the API server, and not here: its webhook's share of memory is used up.
    Parked,
    /// It waits for its turn among the deliveries of its alert group; at a start also for the list of responses.
    Ordered,
    /// Its record is looked up, or its webhook's Secrets are waited for.
    Preparing,
    /// It waits for its next attempt.
    Queued,
    /// Its request is on the way.
    Sending,
    /// There is an answer, or will be none; it is not recorded yet.
    Answered,
    /// The end is being recorded, without another request.
    Closing,
}

/// Whether a delivery has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not. `asked` is the value of the annotation that asks to send it again, and has not been answered.
    Open { step: Step, asked: Option<Arc<str>> },
    /// It has.
    Ended,
}

impl WebhookRun {
    /// Where it is; None if it has ended.
    pub(super) fn step(&self) -> Option<Step> {
        match self.stage {
            Stage::Open { step, .. } => Some(step),
            Stage::Ended => None,
        }
    }
}

impl Stage {
    pub(super) fn is_open(&self) -> bool {
        *self != Self::Ended
    }

    /// Takes the value that asks to send it again.
    pub(super) fn take_redelivery(&mut self) -> Option<Arc<str>> {
        match self {
            Self::Open { asked, .. } => asked.take(),
            Self::Ended => None,
        }
    }
}

/// A webhook's run for an event.
#[derive(Debug)]
pub(super) struct WebhookRun {
    /// Uid of the webhook.
    pub(super) uid: Arc<str>,
    pub(super) stage: Stage,
    /// The outcome so far.
    pub(super) summary: Option<DeliverySummary>,
    /// How many bytes its delivery counts for.
    pub(super) cost: usize,
}

impl WebhookRun {
    pub(super) fn new(uid: &Arc<str>, step: Step, summary: Option<DeliverySummary>) -> Self {
        Self { uid: Arc::clone(uid), stage: Stage::Open { step, asked: None }, summary, cost: 0 }
    }
}

/// An event that was admitted.
#[derive(Debug)]
pub(super) struct EventState {
    pub(super) key: Arc<EventKey>,
    pub(super) facts: Arc<EventFacts>,
    /// What came of it, if it was folded.
    pub(super) fold: Option<EventFold>,
    pub(super) created: Timestamp,
    /// When it counts as created in the order of events.
    pub(super) placed: Timestamp,
    pub(super) version: ResourceVersion,
    pub(super) origin: Origin,
    /// Names of the webhooks whose runs, as its status says, another process has begun and not ended.
    pub(super) begun_elsewhere: HashSet<String>,
    pub(super) request: Request,
    pub(super) admitted: Instant,
    /// By name of the webhook.
    pub(super) runs: BTreeMap<Arc<str>, WebhookRun>,
    /// How many of these have not ended.
    open_runs: usize,
    /// How many of those are parked.
    parked_runs: usize,
    /// How many bytes it counts for, without its deliveries.
    pub(super) cost: usize,
    /// It was read again, in its order.
    pub(super) is_read: bool,
    /// Until when it is remembered, once it is over.
    pub(super) remembered_until: Option<Instant>,
    /// About how many bytes a delivery of it holds while it is in flight.
    weight: usize,
    /// Whether it may be for a webhook that can't be read, and does not end before.
    pub(super) awaits_unreadable: bool,
    /// Whether another process may have begun with more runs of it, as its responses will tell, and it does not end before.
    pub(super) awaits_responses: bool,
    /// The names and ids that the event gives, and no webhook answers to.
    pub(super) unknown: Vec<String>,
    /// Whether its status has no room for summaries.
    pub(super) is_shortened: bool,
    pub(super) status: StatusState,
}

impl EventState {
    /// An event to begin with.
    pub(super) fn new(seen: &SeenEvent, origin: Origin, now: Instant) -> Self {
        let redelivering = match &seen.record {
            Some(record) if record.is_completed => seen.asked.clone(),
            record => record.as_ref().and_then(|record| record.redelivering.clone()),
        };
        let request = match redelivering {
            Some(value) => Request::Redelivery(value),
            None => Request::Initial { answers: seen.asked.clone() },
        };
        let recorded = seen.record.iter().flat_map(|record| &record.deliveries);
        let begun_elsewhere =
            recorded.filter(|summary| summary.is_open()).map(|summary| summary.name.clone()).collect();
        Self {
            key: Arc::clone(&seen.key),
            facts: Arc::clone(&seen.facts),
            fold: None,
            created: seen.created,
            placed: seen.created,
            version: seen.version.clone(),
            origin,
            begun_elsewhere,
            request,
            admitted: now,
            runs: BTreeMap::new(),
            open_runs: 0,
            parked_runs: 0,
            cost: seen.cost(),
            is_read: false,
            remembered_until: None,
            weight: seen.weight,
            awaits_unreadable: false,
            awaits_responses: false,
            unknown: seen.facts.webhook_refs.clone(),
            is_shortened: false,
            status: StatusState::Outdated,
        }
    }

    /// Whether another process may have begun with it.
    pub(super) fn is_of_other_process(&self) -> bool {
        self.origin != Origin::New
    }

    /// Whether all its deliveries have ended, and no other can follow.
    pub(super) fn has_ended(&self) -> bool {
        self.open_runs == 0 && !self.awaits_unreadable && !self.awaits_responses
    }

    /// Whether all that it waits for is parked.
    pub(super) fn is_parked(&self) -> bool {
        self.open_runs > 0
            && self.open_runs == self.parked_runs
            && !self.awaits_unreadable
            && !self.awaits_responses
            && self.status != StatusState::EventDeleted
            // This would be lost with it.
            && !self.runs.values().any(|run| matches!(run.stage, Stage::Open { asked: Some(_), .. }))
    }

    /// Whether it has nothing more to wait for than a webhook that can't be read.
    pub(super) fn waits_for_unreadable_only(&self) -> bool {
        self.open_runs == 0 && self.awaits_unreadable
    }

    /// Whether nothing is to be written of it.
    pub(super) fn is_settled(&self) -> bool {
        self.status != StatusState::Outdated
    }

    /// Whether nothing is to be done about it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_settled() && self.has_ended()
    }

    /// Whether all its deliveries are made once more.
    pub(super) fn is_redelivery(&self) -> bool {
        matches!(self.request, Request::Redelivery(_))
    }

    /// The value of the annotation that its end answers.
    pub(super) fn redelivery_value(&self) -> Option<&Arc<str>> {
        match &self.request {
            Request::Initial { answers } => answers.as_ref(),
            Request::Redelivery(value) => Some(value),
        }
    }

    /// Webhooks that were created before run for it. What is sent again goes to those that are there now.
    pub(super) fn webhooks_created_until(&self) -> Timestamp {
        if self.is_redelivery() { Timestamp::MAX } else { self.created }
    }

    pub(super) fn alert_group(&self) -> NamespacedName {
        NamespacedName::new(Arc::clone(&self.key.namespace), Arc::clone(&self.facts.alert_group_id))
    }

    /// Adds a run, or puts it in the place of one that has ended.
    pub(super) fn open_run(&mut self, webhook: &Arc<str>, run: WebhookRun) {
        self.parked_runs += usize::from(run.step() == Some(Step::Parked));
        self.runs.insert(Arc::clone(webhook), run);
        self.open_runs += 1;
        self.cost = self.cost.max(EVENT_COST + self.runs.len() * RUN_COST);
        if self.status == StatusState::UpToDate {
            self.status = StatusState::Outdated;
        }
    }

    /// Notes that its status says all that is known.
    pub(super) fn confirm_status(&mut self) {
        if self.status == StatusState::Outdated {
            self.status = StatusState::UpToDate;
        }
    }

    /// Ends a run. False if it had ended before, or is none.
    pub(super) fn end_run(&mut self, webhook: &str) -> bool {
        let Some(run) = self.runs.get_mut(webhook).filter(|run| run.stage.is_open()) else { return false };
        self.parked_runs -= usize::from(run.step() == Some(Step::Parked));
        run.stage = Stage::Ended;
        self.open_runs -= 1;
        true
    }

    /// Notes where a run is that has not ended.
    pub(super) fn set_step(&mut self, webhook: &str, new_step: Step) {
        if let Some(WebhookRun { stage: Stage::Open { step, .. }, .. }) = self.runs.get_mut(webhook) {
            self.parked_runs -= usize::from(*step == Step::Parked);
            self.parked_runs += usize::from(new_step == Step::Parked);
            *step = new_step;
        }
    }

    pub(super) fn delivery(&self, number: u64, webhook: &Arc<str>, uid: &Arc<str>) -> Box<Delivery> {
        let redeliver = match &self.request {
            Request::Redelivery(value) => Some(Arc::clone(value)),
            Request::Initial { .. } => None,
        };
        Box::new(Delivery {
            event: Arc::clone(&self.key),
            facts: Arc::clone(&self.facts),
            number,
            webhook: Arc::clone(webhook),
            uid: Arc::clone(uid),
            history: AttemptHistory::default(),
            version: None,
            redeliver,
            weight: self.weight,
        })
    }

    /// One summary for each webhook, by name.
    pub(super) fn summaries(&self) -> Vec<DeliverySummary> {
        if self.is_shortened {
            return Vec::new();
        }
        let pending = |name: &str| DeliverySummary::without_response(name, ResponsePhase::Pending);
        let runs = self.runs.iter().take(MAX_SUMMARIES);
        runs.map(|(name, run)| run.summary.clone().unwrap_or_else(|| pending(name))).collect()
    }

    /// The content that its status is to have.
    pub(super) fn summary(&self) -> EventSummary {
        let count = |outcome| {
            let summaries = self.runs.values().filter_map(|run| run.summary.as_ref());
            summaries.filter(|summary| summary.outcome == outcome).count() as u32
        };
        let is_completed = self.has_ended();
        EventSummary {
            is_completed,
            matched: self.runs.len() as u32,
            succeeded: count(ResponsePhase::Succeeded),
            failed: count(ResponsePhase::Failed),
            skipped: count(ResponsePhase::Skipped),
            redelivered: self.redelivery_value().filter(|_| is_completed).cloned(),
            redelivering: self.redelivery_value().filter(|_| !is_completed && self.is_redelivery()).cloned(),
            seen_version: (!is_completed).then(|| self.version.clone()),
            fold: self.fold.as_ref().map(|fold| fold.record.clone()),
            deliveries: self.summaries(),
        }
    }
}

/// The content that the status of an event is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSummary {
    /// All its deliveries have ended.
    pub is_completed: bool,
    /// How many webhooks it fires.
    pub matched: u32,
    /// How many requests were answered with 200 to 299.
    pub succeeded: u32,
    /// How many could not be sent, were not answered, or were answered otherwise.
    pub failed: u32,
    /// How many were not sent because the trigger template said so.
    pub skipped: u32,
    /// The value of the annotation that its end answers.
    pub redelivered: Option<Arc<str>>,
    /// The value for which it is being sent again.
    pub redelivering: Option<Arc<str>>,
    /// The version that it had when it was first seen, until its end.
    pub seen_version: Option<ResourceVersion>,
    /// What came of it, if it was folded.
    pub fold: Option<FoldRecord>,
    /// One for each webhook, by name, up to 2000; none where there is no room for them.
    pub deliveries: Vec<DeliverySummary>,
}
