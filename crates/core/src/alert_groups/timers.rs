//! What happens to alert groups by itself, when its time has come: the end of a silence, and the steps of an escalation.

use jiff::Timestamp;

use super::{AlertGroup, AlertGroups, EscalationStep, KnownGroup, NamespaceGroups};
use crate::name::NamespacedName;

/// What a timer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The silence is over.
    Unsilence,
    /// The next step of the escalation: it runs these webhooks.
    Escalation(Vec<String>),
}

/// An event that is to be created, since its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The alert group.
    pub group: NamespacedName,
    /// Its number: each timer of an alert group has another one, also after a restart.
    pub number: u64,
    /// What it asks for.
    pub kind: TimerKind,
}

impl Timer {
    /// The name of its event: the same whoever creates it, so that it is created once.
    pub fn event_name(&self) -> String {
        let kind = match self.kind {
            TimerKind::Unsilence => "unsilence",
            TimerKind::Escalation(_) => "escalation",
        };
        format!("{}-{kind}-{}", self.group.name, self.number)
    }
}

impl NamespaceGroups {
    /// The step of the escalation of a group that is next.
    fn next_step(&self, group: &AlertGroup) -> Option<&EscalationStep> {
        self.escalations.get(&group.integration)?.get(group.escalation.as_ref()?.step)
    }

    /// What happens to a group by itself next, and when.
    fn next(&self, group: &AlertGroup) -> Option<(Timestamp, u64, TimerKind)> {
        if let Some(escalation) = &group.escalation {
            let step = self.next_step(group)?;
            let due = escalation.since.saturating_add(step.after).unwrap_or(Timestamp::MAX);
            return Some((due, escalation.timer, TimerKind::Escalation(step.webhook_refs.clone())));
        }
        let silence = group.silence.as_ref()?;
        Some((silence.until?, silence.timer, TimerKind::Unsilence))
    }

    /// When something happens to a group by itself, unless that was asked for.
    fn due(&self, known: &KnownGroup) -> Option<Timestamp> {
        let (due, number, _) = self.next(&known.group)?;
        (number != known.asked_timer).then_some(due)
    }
}

impl AlertGroups {
    /// Notes when something happens to a group by itself.
    pub(super) fn set_timer(&mut self, name: &NamespacedName) {
        let Some(of_namespace) = self.namespaces.get_mut(&name.namespace) else { return };
        let Some(known) = of_namespace.groups.get(&name.name) else { return };
        let (old, new) = (known.due, of_namespace.due(known));
        if let Some(known) = of_namespace.groups.get_mut(&name.name) {
            known.due = new;
        }
        if let Some(old) = old {
            self.due.remove(&(old, name.clone()));
        }
        if let Some(new) = new {
            self.due.insert((new, name.clone()));
        }
    }

    /// When to look again what is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        let group = self.due.first().map(|(due, _)| *due);
        [group, self.heartbeats.next_due()].into_iter().flatten().min()
    }

    /// The timers whose time has come. Each is given out once in the life of a process; its event may be there already.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Timer> {
        let mut timers = Vec::new();
        while let Some((due, name)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            self.due.remove(&(due, name.clone()));
            let Some(of_namespace) = self.namespaces.get_mut(&name.namespace) else { continue };
            let next = of_namespace.groups.get(&name.name).and_then(|known| of_namespace.next(&known.group));
            let Some(known) = of_namespace.groups.get_mut(&name.name) else { continue };
            known.due = None;
            if let Some((_, number, kind)) = next {
                known.asked_timer = number;
                timers.push(Timer { group: name, number, kind });
            }
        }
        timers
    }

    /// Takes in that the event of a timer could not be created: it is asked for again.
    pub fn timer_failed(&mut self, timer: &Timer) {
        if let Some(known) = self.known_mut(&timer.group).filter(|known| known.asked_timer == timer.number) {
            known.asked_timer = 0;
            self.set_timer(&timer.group);
        }
    }
}
