//! One alert group.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{AlertGroupState, Done, GroupingKey, Verdict};
use crate::version::ResourceVersion;

/// How many transitions of an alert group are kept: the first, and the last ones. An event whose transition is not among them any
/// more has ended long ago.
const TRANSITIONS: usize = 50;

/// A place among the events of a namespace: later ones are greater.
pub type Position = (Timestamp, ResourceVersion);

/// About how many bytes an alert group holds beside its texts and transitions, a transition beside its event, and a label beside its
/// texts.
const GROUP_COST: usize = 1000;
const TRANSITION_COST: usize = 250;
const LABEL_COST: usize = 80;

/// How many labels an alert group has at most, as in OnCall (`apps/labels/alert_group_labels.py`).
const LABELS: usize = 15;

/// Labels, by key.
pub type Labels = Arc<BTreeMap<String, String>>;

/// The labels that alert groups have of an Integration with these: the first 15, by key.
pub fn inherited_labels(of_integration: &BTreeMap<String, String>) -> Labels {
    let inherited = of_integration.iter().take(LABELS);
    Arc::new(inherited.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// How far the clocks of API servers may be apart.
pub(crate) const SKEW: Duration = Duration::from_secs(60);

/// Which of two events was created first. Within a minute their versions say, which are in the order of etcd's changes; each API server
/// has a clock of its own. If they are further apart their times say: in a cluster that was restored, versions begin anew.
pub(super) fn compare(one: &Position, two: &Position) -> Ordering {
    let apart = one.0.duration_since(two.0).unsigned_abs();
    match (one.1.number(), two.1.number()) {
        (Some(one), Some(two)) if apart < SKEW => one.cmp(&two),
        _ => one.cmp(two),
    }
}

/// Names an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReference {
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
}

/// How the silence of an alert group ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Until when; None for ever.
    pub until: Option<Timestamp>,
    /// The number of the timer that ends it.
    pub timer: u64,
}

/// The escalation of an alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Since when.
    pub since: Timestamp,
    /// The next step, from 0 on.
    pub step: usize,
    /// The number of the timer that takes it.
    pub timer: u64,
}

/// A change of an alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What came of the event.
    pub verdict: Verdict,
    /// The event that made it.
    pub event: EventReference,
    /// The place of the event among all.
    pub position: Position,
    /// The name of the user who asked for it.
    pub by: Option<Arc<str>>,
}

/// An alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertGroup {
    /// Name of the object.
    pub name: Arc<str>,
    /// Its id in OnCall's form.
    pub id: Arc<str>,
    /// Name of the Integration that received its alerts.
    pub integration: Arc<str>,
    /// Id of that.
    pub integration_id: Arc<str>,
    /// The labels that its Integration had when it was opened.
    pub labels: Labels,
    /// What its alerts have in common; of one that is wiped, the digest of that.
    pub grouping_id: Arc<str>,
    /// Its title.
    pub title: Arc<str>,
    /// How many alerts it has.
    pub alerts_count: u32,
    /// The place of the last alert that is counted.
    pub counted: Position,
    /// The event of its last alert.
    pub last_alert: EventReference,
    /// Whether further alerts join it. What was resolved once takes no more, whatever comes after.
    pub is_open_for_grouping: bool,
    /// What was done to it.
    pub done: Done,
    /// How its silence ends, while it is silenced.
    pub silence: Option<Silence>,
    /// Its escalation, unless somebody has taken it on.
    pub escalation: Option<Escalation>,
    /// How many timers it has had.
    pub timers: u64,
    /// Its changes, oldest first: the one that opened it, and the last ones.
    pub transitions: Vec<Transition>,
}

impl AlertGroup {
    /// Its state.
    pub fn state(&self) -> AlertGroupState {
        self.done.state()
    }

    /// Whether it is over.
    pub fn is_resolved(&self) -> bool {
        self.done.resolved.is_some()
    }

    /// Whether its content was taken away.
    pub fn is_wiped(&self) -> bool {
        self.done.wiped.is_some()
    }

    /// The place of the event that opened it.
    pub fn opened_at(&self) -> Option<&Position> {
        self.transitions.first().map(|opening| &opening.position)
    }

    /// When it was opened.
    pub fn created_at(&self) -> Timestamp {
        self.opened_at().map_or(Timestamp::UNIX_EPOCH, |(time, _)| *time)
    }

    /// Which of two alert groups was opened first.
    pub(super) fn compare_opening(&self, other: &Self) -> Ordering {
        self.opened_at().zip(other.opened_at()).map_or(Ordering::Less, |(one, other)| compare(one, other))
    }

    /// The place of the event from which on no further alerts joined it; None if they do.
    fn closed_at(&self) -> Option<&Position> {
        if self.is_open_for_grouping {
            return None;
        }
        self.transitions.iter().find(|transition| transition.verdict.closes()).map(|closing| &closing.position)
    }

    /// About how many bytes it holds in memory.
    pub(super) fn cost(&self) -> usize {
        let texts = [&self.name, &self.id, &self.integration, &self.integration_id, &self.grouping_id, &self.title];
        let texts: usize = texts.iter().map(|text| 2 * text.len()).sum();
        let event = |event: &EventReference| event.name.len() + 2 * event.uid.len();
        let transitions = self.transitions.iter().map(|transition| TRANSITION_COST + event(&transition.event));
        let labels = self.labels.iter().map(|(key, value)| LABEL_COST + key.len() + value.len());
        GROUP_COST + texts + transitions.sum::<usize>() + labels.sum::<usize>()
    }

    /// Whether an alert of that place belonged to it.
    pub(super) fn had(&self, position: &Position) -> bool {
        // What waits in the API server is read in the order of the times: where clocks disagree, the one that was second may have opened it.
        let was_open = |opened: &Position| compare(opened, position).is_le() || opened.0 < position.0;
        self.opened_at().is_some_and(was_open)
            && self.closed_at().is_none_or(|closed| compare(position, closed).is_lt())
    }

    /// Whether an event of that place was folded before: a later one has changed it. It changed nothing itself, unless it is among the
    /// transitions.
    pub(super) fn is_past(&self, position: &Position) -> bool {
        self.transitions.last().is_some_and(|last| compare(position, &last.position).is_lt())
    }

    /// The change that an event made.
    pub fn transition(&self, uid: &str) -> Option<&Transition> {
        self.transitions.iter().find(|transition| *transition.event.uid == *uid)
    }

    pub(super) fn key(&self) -> GroupingKey {
        (Arc::clone(&self.integration), Arc::clone(&self.grouping_id))
    }

    /// Counts an alert, unless it is counted. Returns whether it is counted now.
    pub(super) fn count(&mut self, event: &EventReference, position: &Position) -> bool {
        if compare(position, &self.counted).is_le() {
            return false;
        }
        self.alerts_count = self.alerts_count.saturating_add(1);
        self.counted.clone_from(position);
        self.last_alert.clone_from(event);
        true
    }

    /// Notes a change. Returns one that is not kept any more.
    pub(super) fn note(&mut self, transition: Transition) -> Option<Transition> {
        self.transitions.push(transition);
        // The first one says what opened it; the one that closed it, what belonged to it.
        let is_closing = |transition: &Transition| transition.verdict.closes();
        let place = if self.transitions.iter().position(is_closing) == Some(1) { 2 } else { 1 };
        (self.transitions.len() > TRANSITIONS).then(|| self.transitions.remove(place))
    }
}
