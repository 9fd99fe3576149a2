//! Folds an event into the alert groups of its namespace.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AlertGroups, KnownGroup, NamespaceGroups,
    group::{Act, AlertGroup, Escalation, EventReference, Position, Silence, Transition},
};
use crate::{id, intake::AlertAction, name::NamespacedName, webhook::EventType};

/// An event that says what a source said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertReport {
    /// Name of the Integration.
    pub integration: Arc<str>,
    /// Id of that.
    pub integration_id: Arc<str>,
    /// What alerts of one group have in common.
    pub grouping_id: Arc<str>,
    /// What is said.
    pub action: AlertAction,
    /// The title of an alert group that it opens.
    pub title: Arc<str>,
}

/// Until when an alert group is to be silenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// For ever.
    #[default]
    Forever,
    /// Until then.
    Time(Timestamp),
    /// The text is no time.
    Unreadable,
}

/// An event that asks for a change of an alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRequest {
    /// Name of the AlertGroup.
    pub alert_group: Arc<str>,
    /// The change.
    pub event_type: EventType,
    /// The name of the user who asks for it; None for a timer.
    pub by: Option<Arc<str>>,
    /// For a silence: until when.
    pub until: Until,
    /// The number of the timer that asks for it.
    pub timer: Option<u64>,
    /// Names or ids of the webhooks that run, for an escalation or a personal notification.
    pub webhook_refs: Vec<String>,
}

/// What an event asks of the alert groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldRequest {
    /// A source said something.
    Alert(AlertReport),
    /// A person or a timer asks for a change.
    Change(ChangeRequest),
}

impl FoldRequest {
    /// About how many bytes it holds.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Alert(AlertReport { integration, integration_id, grouping_id, title, action: _ }) => {
                [integration, integration_id, grouping_id, title].iter().map(|text| 2 * text.len()).sum()
            }
            // The names are held once more with the event's facts.
            Self::Change(change) => {
                let named: usize = change.webhook_refs.iter().map(|name| 4 * (24 + name.len())).sum();
                named + change.alert_group.len() + change.by.as_ref().map_or(0, |by| by.len())
            }
        }
    }
}

/// What came of an event that was folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Verdict {
    /// It opened an alert group.
    Opened,
    /// It joined an open alert group, and changed nothing else.
    Joined,
    /// The alert group is acknowledged.
    Acknowledged,
    /// It is not acknowledged any more.
    Unacknowledged,
    /// It is resolved.
    Resolved,
    /// It is not resolved any more.
    Unresolved,
    /// It is silenced.
    Silenced,
    /// It is not silenced any more.
    Unsilenced,
    /// It ran the webhooks that it names.
    Escalated,
    /// Its source is there.
    Noted,
    /// Its alerts are over, and no alert group was open for them.
    NothingOpen,
    /// The alert group was not in a state for it, or is not there.
    NotApplicable,
}

impl Verdict {
    /// The type of the event that fires webhooks; None if it fires none. `named` is that of an event that names its webhooks.
    pub fn event_type(self, named: EventType) -> Option<EventType> {
        Some(match self {
            Self::Opened => EventType::AlertGroupCreated,
            Self::Acknowledged => EventType::Acknowledge,
            Self::Unacknowledged => EventType::Unacknowledge,
            Self::Resolved => EventType::Resolve,
            Self::Unresolved => EventType::Unresolve,
            Self::Silenced => EventType::Silence,
            Self::Unsilenced => EventType::Unsilence,
            Self::Escalated => named,
            Self::Joined | Self::Noted | Self::NothingOpen | Self::NotApplicable => return None,
        })
    }

    /// Whether nothing is left to tell once the alert group is written: the event is deleted. An event that a person made stays.
    pub fn leaves_nothing(self) -> bool {
        matches!(self, Self::Joined | Self::Noted | Self::NothingOpen)
    }
}

/// What came of an event, and of which alert group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// What came of it.
    pub verdict: Verdict,
    /// The name of the alert group; None if there is none.
    pub group: Option<Arc<str>>,
    /// Whether the alert group has changed, and is to be written.
    pub is_changed: bool,
}

impl Folded {
    fn of(verdict: Verdict, group: &AlertGroup, is_changed: bool) -> Self {
        Self { verdict, group: Some(Arc::clone(&group.name)), is_changed }
    }

    fn nothing(verdict: Verdict) -> Self {
        Self { verdict, group: None, is_changed: false }
    }
}

impl AlertGroups {
    /// Folds an event, which was created at `position`. What was folded before gives the same again.
    pub fn fold(
        &mut self,
        namespace: &Arc<str>,
        event: &EventReference,
        position: &Position,
        request: &FoldRequest,
    ) -> Folded {
        let of_namespace = self.namespaces.entry(Arc::clone(namespace)).or_default();
        let folded = match of_namespace.folded_before(event) {
            Some(folded) => folded,
            None => match request {
                FoldRequest::Alert(report) => of_namespace.fold_alert(event, position, report),
                FoldRequest::Change(change) => of_namespace.fold_change(event, position, change),
            },
        };
        if let Some(group) = folded.group.as_ref().filter(|_| folded.is_changed) {
            let name = NamespacedName::new(Arc::clone(namespace), Arc::clone(group));
            if let Some(known) = self.known_mut(&name) {
                known.revision += 1;
            }
            self.set_timer(&name);
        }
        folded
    }
}

impl NamespaceGroups {
    fn folded_before(&self, event: &EventReference) -> Option<Folded> {
        let KnownGroup { group, .. } = self.groups.get(self.by_event.get(&event.uid)?)?;
        Some(Folded::of(group.transition(&event.uid)?.verdict, group, false))
    }

    /// The alert group that an alert of this place belongs to: the one that was open then. One that was opened later is another.
    fn group_for(&self, report: &AlertReport, position: &Position) -> Option<Arc<str>> {
        let key = (Arc::clone(&report.integration), Arc::clone(&report.grouping_id));
        let mut groups = self.by_key.get(&key)?.iter().rev().filter_map(|name| self.groups.get(name));
        groups.find(|known| known.group.had(position)).map(|known| Arc::clone(&known.group.name))
    }

    fn fold_alert(&mut self, event: &EventReference, position: &Position, report: &AlertReport) -> Folded {
        if report.action == AlertAction::Heartbeat {
            return Folded::nothing(Verdict::Noted);
        }
        let found = self.group_for(report, position);
        let Some(known) = found.as_ref().and_then(|name| self.groups.get_mut(name)) else {
            return match report.action {
                AlertAction::Firing => self.open(event, position, report),
                _ => Folded::nothing(Verdict::NothingOpen),
            };
        };
        let group = &mut known.group;
        // A source that acknowledges has said before, in an event of its own, that there is an alert.
        let is_counted = report.action != AlertAction::Acknowledge && group.count(event, position);
        let verdict = match report.action {
            AlertAction::Firing | AlertAction::Heartbeat => Verdict::Joined,
            _ if !group.is_open_for_grouping || group.is_past(position) => Verdict::Joined,
            AlertAction::Acknowledge if group.acknowledged.is_some() => Verdict::Joined,
            AlertAction::Acknowledge => Verdict::Acknowledged,
            AlertAction::Resolve => Verdict::Resolved,
        };
        let act = Act { at: position.0, by: None };
        let was_resolved = group.resolved.is_some();
        match verdict {
            Verdict::Acknowledged => group.acknowledge(act),
            Verdict::Resolved => group.resolve(act),
            _ => return Folded::of(verdict, group, is_counted),
        }
        let name = Arc::clone(&group.name);
        self.note((name, was_resolved), verdict, event, position, None)
    }

    fn open(&mut self, event: &EventReference, position: &Position, report: &AlertReport) -> Folded {
        let id = self.new_id(&event.uid);
        let name: Arc<str> = Arc::from(id.to_lowercase());
        let origin = self.origins.get(&report.integration);
        let mut group = AlertGroup {
            name: Arc::clone(&name),
            id: Arc::from(id),
            integration: Arc::clone(&report.integration),
            integration_id: Arc::clone(origin.map_or(&report.integration_id, |origin| &origin.id)),
            labels: origin.map(|origin| Arc::clone(&origin.labels)).unwrap_or_default(),
            grouping_id: Arc::clone(&report.grouping_id),
            title: Arc::clone(&report.title),
            alerts_count: 1,
            counted: position.clone(),
            last_alert: event.clone(),
            is_open_for_grouping: true,
            acknowledged: None,
            resolved: None,
            silenced: None,
            escalation: None,
            timers: 0,
            transitions: Vec::new(),
        };
        group.escalate(position.0);
        group.note(Transition { verdict: Verdict::Opened, event: event.clone(), position: position.clone(), by: None });
        let folded = Folded::of(Verdict::Opened, &group, true);
        self.insert(KnownGroup::opened(group));
        folded
    }

    /// An id that no alert group has, derived from the event that opens it.
    fn new_id(&self, uid: &str) -> String {
        let ids = (0_u32..).map(|number| id::alert_group_id(uid, number));
        let mut free = ids.filter(|id| !self.groups.contains_key(id.to_lowercase().as_str()));
        free.next().unwrap_or_else(|| id::alert_group_id(uid, 0))
    }

    fn fold_change(&mut self, event: &EventReference, position: &Position, change: &ChangeRequest) -> Folded {
        let Some(known) = self.groups.get_mut(&change.alert_group) else {
            return Folded::nothing(Verdict::NotApplicable);
        };
        // It changes nothing of the alert group, whenever it is folded.
        if change.timer.is_none() && change.event_type.names_webhooks() {
            return Folded::of(Verdict::Escalated, &known.group, false);
        }
        let act = Act { at: position.0, by: change.by.clone() };
        let (is_past, was_resolved) = (known.group.is_past(position), known.group.resolved.is_some());
        let verdict = if is_past { Verdict::NotApplicable } else { known.group.apply(change, act) };
        if verdict == Verdict::NotApplicable {
            return Folded::of(verdict, &known.group, false);
        }
        self.note((Arc::clone(&change.alert_group), was_resolved), verdict, event, position, change.by.clone())
    }

    /// Notes that an event has changed a group, and whether that was resolved before.
    fn note(
        &mut self,
        (name, was_resolved): (Arc<str>, bool),
        verdict: Verdict,
        event: &EventReference,
        position: &Position,
        by: Option<Arc<str>>,
    ) -> Folded {
        if let Some(mut known) = self.groups.remove(&name) {
            let forgotten =
                known.group.note(Transition { verdict, event: event.clone(), position: position.clone(), by });
            if let Some(forgotten) = forgotten {
                self.by_event.remove(&forgotten.event.uid);
            }
            self.note_state(&known.group, Some(was_resolved));
            self.groups.insert(Arc::clone(&name), known);
        }
        self.by_event.insert(Arc::clone(&event.uid), Arc::clone(&name));
        Folded { verdict, group: Some(name), is_changed: true }
    }
}

impl AlertGroup {
    /// Makes a change that a person or a timer asks for, if it can be made.
    fn apply(&mut self, change: &ChangeRequest, act: Act) -> Verdict {
        let (is_acknowledged, is_resolved) = (self.acknowledged.is_some(), self.resolved.is_some());
        match change.event_type {
            EventType::Acknowledge if !is_acknowledged && !is_resolved => {
                self.acknowledge(act);
                Verdict::Acknowledged
            }
            EventType::Unacknowledge if is_acknowledged && !is_resolved => {
                (self.acknowledged, self.silenced) = (None, None);
                self.escalate(act.at);
                Verdict::Unacknowledged
            }
            EventType::Resolve if !is_resolved => {
                self.resolve(act);
                Verdict::Resolved
            }
            EventType::Unresolve if is_resolved => {
                self.resolved = None;
                if !is_acknowledged {
                    self.escalate(act.at);
                }
                Verdict::Unresolved
            }
            EventType::Silence if !is_resolved && !is_acknowledged && change.until != Until::Unreadable => {
                self.escalation = None;
                let until = match change.until {
                    Until::Time(time) => Some(time),
                    Until::Forever | Until::Unreadable => None,
                };
                let timer = self.next_timer();
                self.silenced = Some(Silence { act, until, timer });
                Verdict::Silenced
            }
            EventType::Unsilence if self.may_unsilence(change.timer) && !is_resolved && !is_acknowledged => {
                self.silenced = None;
                self.escalate(act.at);
                Verdict::Unsilenced
            }
            EventType::Escalation => self.take_step(change.timer),
            _ => Verdict::NotApplicable,
        }
    }

    /// Whether its silence may be ended: by a person, or by the timer of just this silence.
    fn may_unsilence(&self, timer: Option<u64>) -> bool {
        self.silenced.as_ref().is_some_and(|silence| timer.is_none_or(|timer| timer == silence.timer))
    }

    /// Takes the next step of the escalation, if its timer asks for it.
    fn take_step(&mut self, timer: Option<u64>) -> Verdict {
        let Some(timer) = timer else { return Verdict::NotApplicable };
        let next = self.timers + 1;
        match self.escalation.as_mut().filter(|escalation| escalation.timer == timer) {
            Some(escalation) => {
                (escalation.step, escalation.timer) = (escalation.step + 1, next);
                self.timers = next;
                Verdict::Escalated
            }
            None => Verdict::NotApplicable,
        }
    }

    /// Begins the escalation anew.
    fn escalate(&mut self, since: Timestamp) {
        let timer = self.next_timer();
        self.escalation = Some(Escalation { since, step: 0, timer });
    }

    fn acknowledge(&mut self, act: Act) {
        (self.silenced, self.escalation) = (None, None);
        self.acknowledged = Some(act);
    }

    fn resolve(&mut self, act: Act) {
        (self.silenced, self.escalation) = (None, None);
        self.resolved = Some(act);
        self.is_open_for_grouping = false;
    }
}
