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

use super::{deliveries::Deliveries, events::now, integration_tokens::IntegrationTokens};
use crate::{
    core::{
        alert_groups::IntegrationFacts,
        intake::IntegrationTemplates,
        judgement::{self, Fault, FaultKind},
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
        ConditionStatus, EventIntegration, Integration, IntegrationStatus, IntegrationTemplateSources,
        conditions::{self as reasons, READY, Reason, STALLED},
        set_condition,
    },
};

/// What an Integration receives is told in its status no more often than this.
const EVERY: Duration = Duration::from_secs(10);

/// What is known of the Integrations.
pub(crate) struct Integrations {
    known: RwLock<HashMap<NamespacedName, EventIntegration>>,
    received: Mutex<HashMap<NamespacedName, Received>>,
    changed: mpsc::UnboundedSender<ObjectRef<Integration>>,
}

/// What an Integration has received that its status does not tell yet.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    alerts: u64,
    last: Option<Timestamp>,
    written: Option<Instant>,
}

impl Integrations {
    /// Also returns those whose statuses may have to change.
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Integration>>) {
        let (changed, changes) = mpsc::unbounded();
        (Arc::new(Self { known: RwLock::default(), received: Mutex::default(), changed }), changes)
    }

    /// What templates see of an Integration; None if it is gone.
    pub(crate) fn facts(&self, name: &NamespacedName) -> Option<EventIntegration> {
        self.known.read().get(name).cloned()
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

    /// Notes what was told.
    fn told(&self, name: &NamespacedName, told: &Received) {
        if let Some(received) = self.received.lock().get_mut(name) {
            received.alerts -= told.alerts;
            received.written = Some(Instant::now());
        }
    }

    fn remove(&self, name: &NamespacedName) {
        self.known.write().remove(name);
        self.received.lock().remove(name);
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
        let seen = EventIntegration {
            id: Some(integration.id()),
            type_: Some(spec.type_.as_str().to_owned()),
            name: Some(integration.display_name()),
            team: spec.team.clone(),
            labels: Some(Some(spec.labels.clone().unwrap_or_default())),
        };
        self.integrations.known.write().insert(name.clone(), seen);
        let token = spec.token_secret_ref.as_ref();
        let token = token.map(|token| SecretKey { name: token.name.clone(), key: token.key.clone() });
        self.tokens.refer(&name, token).iter().for_each(|name| self.integrations.review(name));
        let facts = IntegrationFacts {
            id: Arc::from(integration.id()),
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
}

/// Brings an Integration's status up to date.
pub(crate) async fn reconcile(integration: Arc<Integration>, context: Arc<Context>) -> Result<Action, objects::Error> {
    if integration.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
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
    let mut status = desired(&integration, old, fault.as_ref());
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
            context.integrations.told(&name, &received);
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
    let sources = integration.template_sources();
    let (_, refused) = IntegrationTemplates::compile(integration.spec.type_, &sources, true);
    let mut faults: Vec<Fault> = refused
        .into_iter()
        .map(|fault| Fault { field: fault.field, line: fault.line, kind: FaultKind::Template, message: fault.message })
        .collect();
    for (field, source) in [
        ("templates.groupingId", &sources.grouping_id),
        ("templates.title", &sources.title),
        ("templates.resolveCondition", &sources.resolve_condition),
        ("templates.acknowledgeCondition", &sources.acknowledge_condition),
    ] {
        let judged = source.as_deref().filter(|source| !source.is_empty());
        let judged = judged.and_then(|source| judgement::judge_field(field, source));
        // One that fails on empty data may work with that of alerts.
        let is_new = |fault: &Fault| !fault.kind.is_warning() && faults.iter().all(|known| known.field != fault.field);
        if let Some(fault) = judged.filter(is_new) {
            faults.push(fault);
        }
    }
    (!faults.is_empty()).then(|| reasons::unusable(&faults))
}

fn desired(integration: &Integration, old: IntegrationStatus, fault: Option<&Reason>) -> IntegrationStatus {
    let generation = integration.metadata.generation;
    let mut conditions = old.conditions;
    let mut set = |type_, status, reason: &Reason| {
        set_condition(&mut conditions, reason.condition(type_, status, generation, now()));
    };
    match fault {
        None => set(READY, ConditionStatus::True, &reasons::integration_ready(&integration.spec)),
        Some(reason) => {
            set(READY, ConditionStatus::False, reason);
            // For kstatus: it will not get ready by itself.
            set(STALLED, ConditionStatus::True, reason);
        }
    }
    if fault.is_none() {
        conditions.retain(|condition| condition.type_ != STALLED);
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
