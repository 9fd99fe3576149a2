//! The Integrations: what templates see of them, what they have received, and their statuses.
//!
//! ```text
//! Integrations (watch) ─► IntegrationIndex ─► what templates see; the lifecycle: escalations, heartbeats
//!                     └─► reconcile ─► Integration.status
//! lifecycle (AlertReceived) ─► received ─┘
//! ```

mod index;
mod status;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::channel::mpsc;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use parking_lot::{Mutex, RwLock};

pub(crate) use self::{
    index::IntegrationIndex,
    status::{Context, drop_texts, failed, reconcile},
};
use crate::{
    kubernetes::name::NamespacedName,
    resources::{
        EventIntegration, Integration, IntegrationStatus,
        conditions::{self as reasons, Reason},
    },
};

/// What an Integration receives is told in its status no more often than this.
const EVERY: Duration = Duration::from_secs(10);

/// Bound on what is told of a template that failed, in characters.
const FAULT_LIMIT: usize = 1000;

/// What is known of the Integrations.
pub(crate) struct Integrations {
    known: RwLock<HashMap<NamespacedName, Known>>,
    received: Mutex<HashMap<NamespacedName, Received>>,
    /// Why the templates of those that are not ready can't work, None if they can, with the generation that was judged.
    judged: Mutex<HashMap<NamespacedName, (Generation, Option<Reason>)>>,
    /// The first template of each that failed on an alert, with the generation that it is of.
    faults: Mutex<HashMap<NamespacedName, (i64, String)>>,
    /// The namespaces that have too many open alert groups.
    full: Mutex<HashSet<Arc<str>>>,
    changed: mpsc::UnboundedSender<ObjectRef<Integration>>,
}

/// An Integration as the watch shows it.
struct Known {
    /// What templates see of it.
    facts: EventIntegration,
    generation: i64,
}

/// There is room again in a namespace that had too many open alert groups when one of so many is resolved.
const ROOM: usize = 20;

/// Uid and generation of an Integration.
type Generation = (Option<String>, Option<i64>);

/// What an Integration has received that its status does not tell yet.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    alerts: u64,
    last: Option<Timestamp>,
    written: Option<Instant>,
    /// What was last written: the watch may not have shown it yet.
    told: (u64, Option<Timestamp>),
}

impl Integrations {
    /// Also returns those whose statuses may have to change.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Integration>>) {
        let (changed, changes) = mpsc::unbounded();
        let integrations = Self {
            known: RwLock::default(),
            received: Mutex::default(),
            judged: Mutex::default(),
            faults: Mutex::default(),
            full: Mutex::default(),
            changed,
        };
        (Arc::new(integrations), changes)
    }

    /// What templates see of an Integration; None if it is gone.
    pub(crate) fn facts(&self, name: &NamespacedName) -> Option<EventIntegration> {
        self.known.read().get(name).map(|known| known.facts.clone())
    }

    /// Notes that an Integration has received an alert.
    pub(crate) fn note_received(&self, name: &NamespacedName, at: Timestamp) {
        // Of one that is gone nobody tells.
        if !self.known.read().contains_key(name) {
            return;
        }
        let mut received = self.received.lock();
        let received = received.entry(name.clone()).or_default();
        (received.alerts, received.last) = (received.alerts + 1, received.last.max(Some(at)));
        if received.alerts == 1 {
            self.review(name);
        }
    }

    /// Notes that a template of this generation of an Integration failed on an alert. One is enough to tell. Whoever creates events may
    /// say what he likes: what is told of a generation that is not there yet would hide what is told of it later.
    pub(crate) fn note_fault(&self, name: &NamespacedName, generation: i64, fault: &str) {
        let current = self.known.read().get(name).map(|known| known.generation);
        if current.is_none_or(|current| generation > current) {
            return;
        }
        let mut faults = self.faults.lock();
        if faults.get(name).is_none_or(|(noted, _)| *noted < generation) {
            faults.insert(name.clone(), (generation, fault.chars().take(FAULT_LIMIT).collect()));
            self.review(name);
        }
    }

    /// What was found of the templates of a generation, if they were judged.
    fn judged(&self, name: &NamespacedName, generation: &Generation) -> Option<Option<Reason>> {
        let judged = self.judged.lock();
        let (_, found) = judged.get(name).filter(|(of, _)| of == generation)?;
        Some(found.clone())
    }

    /// Notes what was found of the templates of a generation.
    fn note_judged(&self, name: &NamespacedName, generation: Generation, found: Option<Reason>) {
        // Of one that is gone nothing is remembered.
        if self.known.read().contains_key(name) {
            self.judged.lock().insert(name.clone(), (generation, found));
        }
    }

    /// Why a template of this generation failed on an alert, if one did.
    fn fault_on_alert(&self, name: &NamespacedName, generation: Option<i64>) -> Option<Reason> {
        let faults = self.faults.lock();
        let (_, fault) = faults.get(name).filter(|(of, _)| Some(*of) == generation)?;
        Some(reasons::failed_on_payload(fault))
    }

    /// Takes in how many alert groups of a namespace are open, and returns whether these are too many. Where that changes, its
    /// Integrations are looked at.
    fn note_open(&self, namespace: &Arc<str>, open: usize, most: usize) -> bool {
        let mut full = self.full.lock();
        // One resolved and another opened is no news.
        let most = if full.contains(namespace) { most - most / ROOM } else { most };
        let is_full = open > most;
        let is_news = if is_full { full.insert(Arc::clone(namespace)) } else { full.remove(namespace) };
        drop(full);
        if is_news {
            let of_namespace = |name: &&NamespacedName| name.namespace == *namespace;
            self.known.read().keys().filter(of_namespace).for_each(|name| self.review(name));
        }
        is_full
    }

    /// Has the status of an Integration looked at.
    pub(crate) fn review(&self, name: &NamespacedName) {
        // The controller lives as long as the process.
        let _ = self.changed.unbounded_send(ObjectRef::new(&name.name).within(&name.namespace));
    }

    /// What is to be told in its status.
    ///
    /// # Errors
    /// Something was told a moment ago: how long to wait.
    fn to_tell(&self, name: &NamespacedName) -> Result<Received, Duration> {
        let received = self.received.lock().get(name).copied().unwrap_or_default();
        match received.written.map(|at| EVERY.saturating_sub(at.elapsed())).filter(|wait| !wait.is_zero()) {
            Some(wait) if received.alerts > 0 => Err(wait),
            _ => Ok(received),
        }
    }

    /// What was last told.
    fn last_told(&self, name: &NamespacedName) -> (u64, Option<Timestamp>) {
        self.received.lock().get(name).map(|received| received.told).unwrap_or_default()
    }

    /// Notes what was told, and the status that tells it.
    fn told(&self, name: &NamespacedName, told: &Received, status: &IntegrationStatus) {
        if let Some(received) = self.received.lock().get_mut(name) {
            // It may have been made anew meanwhile.
            received.alerts = received.alerts.saturating_sub(told.alerts);
            received.written = Some(Instant::now());
            received.told = (status.alerts, status.last_alert_time);
        }
    }

    fn remove(&self, name: &NamespacedName) {
        self.known.write().remove(name);
        self.received.lock().remove(name);
        self.judged.lock().remove(name);
        self.faults.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_judged_once_for_each_generation_of_an_integration_that_is_there() {
        let (integrations, _changes) = Integrations::new();
        let name = NamespacedName::new("team", "prometheus");
        let generation = |uid: &str, generation| (Some(uid.to_owned()), Some(generation));
        integrations.note_judged(&name, generation("u", 1), None);
        assert_eq!(integrations.judged(&name, &generation("u", 1)), None, "it is not there");
        integrations.known.write().insert(name.clone(), Known { facts: EventIntegration::default(), generation: 1 });
        let fault = Some(reasons::gone());
        for (of, found) in [(generation("u", 1), None), (generation("u", 2), fault)] {
            integrations.note_judged(&name, of.clone(), found.clone());
            assert_eq!(integrations.judged(&name, &of), Some(found));
        }
        let of_others = [generation("u", 1), generation("v", 2)].map(|of| integrations.judged(&name, &of));
        assert_eq!(of_others, [None, None]);
        integrations.remove(&name);
        assert_eq!(integrations.judged(&name, &generation("u", 2)), None);
    }

    #[test]
    fn a_namespace_that_is_full_has_room_again_only_when_some_alert_groups_are_resolved() {
        let (integrations, _changes) = Integrations::new();
        let namespace: Arc<str> = Arc::from("team");
        let mut open = |count| integrations.note_open(&namespace, count, 100);
        assert_eq!([100, 101, 100, 96, 95, 100, 101].map(&mut open), [false, true, true, true, false, false, true]);
    }

    #[test]
    fn a_fault_is_noted_of_a_generation_that_is_there_once_and_hides_none_of_a_later_one() {
        let (integrations, _changes) = Integrations::new();
        let name = NamespacedName::new("team", "prometheus");
        let is_of = |generation| {
            integrations.known.write().insert(name.clone(), Known { facts: EventIntegration::default(), generation });
        };
        let told = |generation| integrations.fault_on_alert(&name, Some(generation));
        let failed = |fault| Some(reasons::failed_on_payload(fault));
        integrations.note_fault(&name, 1, "of one that nobody knows");
        is_of(2);
        integrations.note_fault(&name, i64::MAX, "made up");
        assert_eq!([told(1), told(2), told(i64::MAX)], [None, None, None]);
        integrations.note_fault(&name, 2, "first");
        integrations.note_fault(&name, 2, "second");
        integrations.note_fault(&name, 1, "of an earlier one");
        assert_eq!(told(2), failed("first"));
        is_of(3);
        integrations.note_fault(&name, 3, "third");
        assert_eq!([told(2), told(3)], [None, failed("third")]);
    }
}
