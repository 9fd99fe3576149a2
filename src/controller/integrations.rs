//! The Integrations: what templates see of them, what they have received, and their statuses.
//!
//! ```text
//! Integrations (watch) ─► IntegrationIndex ─► what templates see; the lifecycle: escalations, heartbeats
//!                     └─► reconcile ─► Integration.status
//! lifecycle (AlertReceived) ─► received ─┘
//! ```

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::channel::mpsc;
use jiff::Timestamp;
use kube::{
    Resource, ResourceExt,
    runtime::{controller::Action, reflector::ObjectRef},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::SetOnce;

use super::{
    announcer::{Announcer, Kind, Subject},
    deliveries::Deliveries,
    events::now,
    integration_tokens::IntegrationTokens,
};
use crate::{
    core::{
        alert_groups::{Heard, IntegrationFacts, inherited_labels},
        judgement,
        lifecycle::Input,
        webhook::SecretKey,
    },
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::{NamespacedName, name_of},
        objects::{self, Objects},
    },
    rendering::RenderingPool,
    resources::{
        Condition, ConditionStatus, EventIntegration, Integration, IntegrationStatus, IntegrationTemplateSources,
        conditions::{self as reasons, HEARTBEAT, READY, Reason, SUSPENDED, TEMPLATE_WARNING, TOO_MANY_OPEN},
        set_condition,
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
        self.faults.lock().remove(name);
    }
}

/// Feeds them with what the watch shows.
pub(crate) struct IntegrationIndex {
    pub(crate) integrations: Arc<Integrations>,
    pub(crate) tokens: Arc<IntegrationTokens>,
    pub(crate) deliveries: Arc<Deliveries>,
}

impl IntegrationIndex {
    fn remove(&self, name: &NamespacedName) {
        self.integrations.remove(name);
        self.tokens.refer(name, None).iter().for_each(|name| self.integrations.review(name));
        self.deliveries.handle(Input::IntegrationGone(name.clone()));
    }
}

impl Index for IntegrationIndex {
    type Object = Lenient<Integration>;
    type Listed = NamespacedName;

    fn list(&mut self, object: &Lenient<Integration>) -> NamespacedName {
        self.apply(object);
        name_of(object)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let listed: HashSet<NamespacedName> = listed.into_iter().collect();
        let known = self.integrations.known.read().keys().cloned().collect::<Vec<_>>();
        known.iter().filter(|name| !listed.contains(name)).for_each(|name| self.remove(name));
        self.tokens.listed();
    }

    fn apply(&mut self, object: &Lenient<Integration>) {
        // One that can't be read any more stays as it was.
        let Ok(integration) = &object.0 else { return };
        let (name, spec) = (name_of(integration), &integration.spec);
        let facts = EventIntegration {
            id: Some(integration.id()),
            type_: Some(spec.type_.as_str().to_owned()),
            name: Some(integration.display_name()),
            team: spec.team.clone(),
            labels: Some(Some(spec.labels.clone().unwrap_or_default())),
        };
        let generation = integration.metadata.generation.unwrap_or_default();
        self.integrations.known.write().insert(name.clone(), Known { facts, generation });
        let token = spec.token_secret_ref.as_ref();
        let token = token.map(|token| SecretKey { name: token.name.clone(), key: token.key.clone() });
        self.tokens.refer(&name, token).iter().for_each(|name| self.integrations.review(name));
        let facts = IntegrationFacts {
            id: Arc::from(integration.id()),
            labels: spec.labels.as_ref().map(inherited_labels).unwrap_or_default(),
            escalation: integration.escalation(),
            // What is refused is not missing.
            heartbeat: spec
                .heartbeat
                .as_ref()
                .filter(|_| spec.suspend != Some(true))
                .map(|heartbeat| heartbeat.every.into()),
            last_received: integration.status.as_ref().and_then(|status| status.last_alert_time),
        };
        self.deliveries.handle(Input::IntegrationSeen(name, facts));
    }

    fn delete(&mut self, object: &Lenient<Integration>) {
        self.remove(&name_of(object));
    }
}

/// The parts that a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) integrations: Arc<Integrations>,
    pub(crate) tokens: Arc<IntegrationTokens>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) rendering: RenderingPool,
    pub(crate) announcer: Announcer,
    /// Set when the alert groups have been listed: before, their numbers and heartbeats are not known.
    pub(crate) alert_groups_listed: Arc<SetOnce<()>>,
    /// How many open alert groups a namespace may have before the intake takes no more.
    pub(crate) max_open: usize,
}

/// Brings an Integration's status up to date.
pub(crate) async fn reconcile(integration: Arc<Integration>, context: Arc<Context>) -> Result<Action, objects::Error> {
    if integration.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    context.alert_groups_listed.wait().await;
    let name = name_of(&*integration);
    if context.tokens.awaits(&name) {
        // When it is read, this is called again.
        return Ok(Action::await_change());
    }
    let (received, wait) = match context.integrations.to_tell(&name) {
        Ok(received) => (received, None),
        Err(wait) => (Received::default(), Some(wait)),
    };
    let old = integration.status.clone().unwrap_or_default();
    let old_conditions = old.conditions.clone();
    let fault = match judged(&integration, &old) {
        Some(fault) => fault,
        None => {
            let (namespace, uid) = (&*name.namespace, integration.uid());
            let found = objects::persist(|| context.objects.get::<Integration>(namespace, &name.name)).await?;
            // Of another one the watch will tell.
            let is_this = |found: &Integration| found.uid() == uid && is_of_generation(found, &integration);
            let Some(found) = found.filter(is_this) else { return Ok(Action::await_change()) };
            context.rendering.run(namespace, move || fault(&found)).await
        }
    };
    let fault = fault.or_else(|| context.tokens.fault(&name));
    let open = context.deliveries.open_in(&name.namespace);
    let is_full = context.integrations.note_open(&name.namespace, open, context.max_open);
    let state = State {
        fault,
        heard: context.deliveries.heard(&name),
        fault_on_alert: context.integrations.fault_on_alert(&name, integration.metadata.generation),
        too_many: is_full.then(|| reasons::too_many_open(context.max_open)),
    };
    let mut status = desired(&integration, old, state);
    let (alerts, last) = context.integrations.last_told(&name);
    status.alerts = status.alerts.max(alerts);
    status.last_alert_time = status.last_alert_time.max(last);
    if wait.is_none() {
        status.alerts += received.alerts;
        status.last_alert_time = status.last_alert_time.max(received.last);
        status.open_alert_groups = u32::try_from(context.deliveries.open_alert_groups(&name)).unwrap_or(u32::MAX);
    }
    let action = wait.map_or_else(Action::await_change, Action::requeue);
    if integration.status.as_ref() == Some(&status) {
        return Ok(action);
    }
    match context.objects.patch_status::<Integration>(&name.namespace, &name.name, None, &status).await {
        Err(error) if error.is_not_found() => Ok(Action::await_change()),
        Err(error) => Err(error),
        Ok(_) => {
            context.integrations.told(&name, &received, &status);
            let uid = integration.uid().map(Arc::from);
            let subject = Subject { kind: Kind::Integration, name: name.clone(), uid };
            for news in reasons::news(&old_conditions, &status.conditions) {
                context.announcer.announce(&subject, news);
            }
            Ok(action)
        }
    }
}

/// Tries a reconciliation that failed again later.
pub(crate) fn failed(_: Arc<Integration>, error: &objects::Error, _: Arc<Context>) -> Action {
    objects::retry_later(error)
}

fn is_of_generation(one: &Integration, other: &Integration) -> bool {
    one.metadata.generation == other.metadata.generation
}

/// Takes out of an Integration what is long. The store is for statuses; the templates are read where they are judged.
pub(crate) fn drop_texts(integration: &mut Integration) {
    integration.metadata.managed_fields = None;
    integration.metadata.annotations = None;
    let spec = &mut integration.spec;
    (spec.templates, spec.labels) = (IntegrationTemplateSources::default(), None);
    spec.escalation.clear();
}

/// Why the templates can't work, as its status says of this generation; None if it does not say.
fn judged(integration: &Integration, status: &IntegrationStatus) -> Option<Option<Reason>> {
    let generation = integration.metadata.generation;
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY)?;
    let is_current = ready.observed_generation == generation && status.observed_generation == generation;
    // Only that all is well is believed: a later version may find less.
    (is_current && ready.status == ConditionStatus::True).then_some(None)
}

/// Why the templates of an Integration can't work; None if they can. May take seconds.
fn fault(integration: &Integration) -> Option<Reason> {
    let faults = judgement::judge_integration(integration.spec.type_, &integration.template_sources());
    (!faults.is_empty()).then(|| reasons::unusable(&faults))
}

/// How an Integration does.
struct State {
    /// Why it can't work, if it can't.
    fault: Option<Reason>,
    /// Whether it receives something as often as it should, if it should.
    heard: Option<Heard>,
    /// Why a template of its own failed on an alert, if one did that this process knows of.
    fault_on_alert: Option<Reason>,
    /// Why it takes no alerts that may open an alert group, if it does not.
    too_many: Option<Reason>,
}

fn desired(integration: &Integration, old: IntegrationStatus, state: State) -> IntegrationStatus {
    let (generation, now) = (integration.metadata.generation, now());
    let State { fault, heard, fault_on_alert, too_many } = state;
    let mut conditions = old.conditions;
    let found = fault.as_ref().map_or_else(|| Ok(reasons::integration_ready(&integration.spec)), Err);
    reasons::set_readiness(&mut conditions, found, generation, now);
    let suspended = (integration.spec.suspend == Some(true)).then(reasons::integration_suspended);
    reasons::set_or_remove(&mut conditions, SUSPENDED, suspended.as_ref(), generation, now);
    reasons::set_or_remove(&mut conditions, TOO_MANY_OPEN, too_many.as_ref(), generation, now);
    match heard.zip(integration.spec.heartbeat.as_ref()) {
        None => conditions.retain(|condition| condition.type_ != HEARTBEAT),
        Some((heard, heartbeat)) => {
            let (status, reason) = reasons::heartbeat(heard, heartbeat.every.into());
            set_condition(&mut conditions, reason.condition(HEARTBEAT, status, generation, now));
        }
    }
    // What was told of this generation stays, also by an earlier process.
    let is_told =
        |condition: &Condition| condition.type_ == TEMPLATE_WARNING && condition.observed_generation == generation;
    if !conditions.iter().any(is_told) {
        reasons::set_or_remove(&mut conditions, TEMPLATE_WARNING, fault_on_alert.as_ref(), generation, now);
    }
    let (namespace, name) = (integration.namespace().unwrap_or_default(), integration.name_any());
    IntegrationStatus {
        id: Some(integration.id()),
        path: Some(format!("/integrations/v1/{}/namespaces/{namespace}/{name}/", integration.spec.type_)),
        observed_generation: generation,
        conditions,
        ..old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
