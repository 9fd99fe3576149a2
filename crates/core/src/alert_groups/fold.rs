//! Folds an event into the alert groups of its namespace.

use std::sync::Arc;

use super::{
    AlertGroups, AlertReport, ChangeRequest, Done, FoldRequest, Until, Verdict,
    group::{AlertGroup, EventReference, Position, Transition},
    namespace::{KnownGroup, NamespaceGroups},
};
use crate::{id, intake::AlertAction, name::NamespacedName, webhook::EventType};

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
        let find = |grouping_id: Arc<str>, is_wiped: bool| {
            let names = self.by_key.get(&(Arc::clone(&report.integration), grouping_id))?;
            let mut groups = names.iter().rev().filter_map(|name| Some(&self.groups.get(name)?.group));
            groups.find(|group| group.is_wiped() == is_wiped && group.had(position))
        };
        let found = find(Arc::clone(&report.grouping_id), false);
        let wiped = find(Arc::from(id::grouping_digest(&report.grouping_id)), true);
        let last = [wiped, found].into_iter().flatten().max_by(|one, other| one.compare_opening(other))?;
        Some(Arc::clone(&last.name))
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
            AlertAction::Acknowledge if group.done.acknowledged.is_some() => Verdict::Joined,
            AlertAction::Acknowledge => Verdict::Acknowledged,
            AlertAction::Resolve => Verdict::Resolved,
        };
        if verdict == Verdict::Joined {
            return Folded::of(verdict, group, is_counted);
        }
        let name = Arc::clone(&group.name);
        self.change_by(&name, (verdict, None), event, position, Until::Forever)
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
            done: Done::default(),
            silence: None,
            escalation: None,
            timers: 0,
            transitions: Vec::new(),
        };
        let opening =
            Transition { verdict: Verdict::Opened, event: event.clone(), position: position.clone(), by: None };
        group.change(opening, Until::Forever);
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
        let Some(KnownGroup { group, .. }) = self.groups.get(&change.alert_group) else {
            return Folded::nothing(Verdict::NotApplicable);
        };
        // It changes nothing of the alert group, whenever it is folded.
        if change.timer.is_none() && change.event_type.names_webhooks() {
            // As in OnCall, nobody is told of what is wiped.
            let is_over = group.is_wiped() && !group.is_past(position);
            let verdict = if is_over { Verdict::NotApplicable } else { Verdict::Escalated };
            return Folded::of(verdict, group, false);
        }
        // What is wiped is wiped, whatever else has happened to the alert group since.
        let is_past = change.event_type != EventType::Wipe && group.is_past(position);
        let verdict = if is_past { Verdict::NotApplicable } else { group.verdict_of(change) };
        if verdict == Verdict::NotApplicable {
            return Folded::of(verdict, group, false);
        }
        self.change_by(&change.alert_group, (verdict, change.by.clone()), event, position, change.until)
    }

    /// Changes a group as a verdict on an event says.
    fn change_by(
        &mut self,
        group: &str,
        (verdict, by): (Verdict, Option<Arc<str>>),
        event: &EventReference,
        position: &Position,
        until: Until,
    ) -> Folded {
        let transition = Transition { verdict, event: event.clone(), position: position.clone(), by };
        let group = self.change(group, transition, until);
        Folded { verdict, is_changed: group.is_some(), group }
    }
}
