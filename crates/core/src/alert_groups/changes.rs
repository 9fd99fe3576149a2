//! What changes an alert group: whether a change can be made, what it comes to, and how it was before later ones.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    ChangeRequest, Until, Verdict,
    done::{Act, Done},
    group::{AlertGroup, Escalation, Silence, Transition},
};
use crate::{id, webhook::EventType};

impl Transition {
    /// What was done by it.
    fn act(&self) -> Act {
        Act { at: self.position.0, by: self.by.clone() }
    }
}

impl AlertGroup {
    /// What comes of a change that a person or a timer asks for.
    pub(super) fn verdict_of(&self, change: &ChangeRequest) -> Verdict {
        let Done { acknowledged, resolved, silenced, wiped } = &self.done;
        let (is_acknowledged, is_resolved) = (acknowledged.is_some(), resolved.is_some());
        let is_due = |timer: Option<u64>| change.timer.is_some() && change.timer == timer;
        match change.event_type {
            EventType::Acknowledge if !is_acknowledged && !is_resolved => Verdict::Acknowledged,
            EventType::Unacknowledge if is_acknowledged && !is_resolved => Verdict::Unacknowledged,
            EventType::Resolve if !is_resolved => Verdict::Resolved,
            EventType::Unresolve if is_resolved && wiped.is_none() => Verdict::Unresolved,
            EventType::Silence if !is_resolved && !is_acknowledged && change.until != Until::Unreadable => {
                Verdict::Silenced
            }
            // By a person, or by the timer of just this silence.
            EventType::Unsilence
                if silenced.is_some()
                    && (change.timer.is_none() || is_due(self.silence.as_ref().map(|silence| silence.timer)))
                    && !is_resolved
                    && !is_acknowledged =>
            {
                Verdict::Unsilenced
            }
            EventType::Escalation if is_due(self.escalation.as_ref().map(|escalation| escalation.timer)) => {
                Verdict::Escalated
            }
            EventType::Wipe if wiped.is_none() => Verdict::Wiped,
            _ => Verdict::NotApplicable,
        }
    }

    /// Makes the change that a verdict says; `until` goes with a silence. Returns a transition that is not kept any more.
    pub(super) fn change(&mut self, transition: Transition, until: Until) -> Option<Transition> {
        let verdict = transition.verdict;
        self.done.take_in(verdict, transition.act());
        match verdict {
            Verdict::Opened | Verdict::Unacknowledged | Verdict::Unsilenced => self.escalate(transition.position.0),
            Verdict::Unresolved if self.done.acknowledged.is_none() => self.escalate(transition.position.0),
            Verdict::Escalated => self.take_step(),
            Verdict::Acknowledged | Verdict::Resolved => self.escalation = None,
            Verdict::Wiped => self.wipe(&transition),
            Verdict::Silenced => {
                self.escalation = None;
                self.silence = Some(Silence { until: until.time(), timer: self.next_timer() });
            }
            _ => {}
        }
        if self.done.silenced.is_none() {
            self.silence = None;
        }
        if verdict.closes() {
            self.is_open_for_grouping = false;
        }
        self.note(transition)
    }

    /// What was done to it up to an event, and when the last of that was. What changed nothing, or is so old that its change is not noted any
    /// more, sees it as it is.
    pub fn as_of(&self, uid: &str) -> (Done, Timestamp) {
        let is_last = self.transitions.last().is_none_or(|last| *last.event.uid == *uid);
        let until = self.transitions.iter().position(|transition| *transition.event.uid == *uid);
        let Some(until) = until.filter(|_| !is_last) else {
            let last = self.transitions.last().map(|last| last.position.0);
            return (self.done.clone(), last.unwrap_or_else(|| self.created_at()));
        };
        let mut done = Done::default();
        let made = &self.transitions[..=until];
        made.iter().for_each(|transition| done.take_in(transition.verdict, transition.act()));
        (done, self.transitions[until].position.0)
    }

    /// Takes its content away. Alerts of before that are found by the digest.
    fn wipe(&mut self, transition: &Transition) {
        self.escalation = None;
        self.grouping_id = Arc::from(id::grouping_digest(&self.grouping_id));
        let by = transition.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        // OnCall's words, of its alerts.
        self.title = Arc::from(format!("Wiped{by} at {}", transition.position.0.strftime("%Y-%m-%d")));
    }

    /// Begins the escalation anew.
    fn escalate(&mut self, since: Timestamp) {
        let timer = self.next_timer();
        self.escalation = Some(Escalation { since, step: 0, timer });
    }

    /// Takes the next step of the escalation.
    fn take_step(&mut self) {
        let timer = self.next_timer();
        if let Some(escalation) = &mut self.escalation {
            (escalation.step, escalation.timer) = (escalation.step + 1, timer);
        }
    }

    /// The number of a timer that was not there before.
    fn next_timer(&mut self) -> u64 {
        self.timers += 1;
        self.timers
    }
}
