//! The statuses of Integrations.

use std::sync::Arc;

use kube::{Resource, ResourceExt, runtime::controller::Action};
use parking_lot::Mutex;
use tokio::sync::SetOnce;

use super::{Generation, Integrations, Received};
use crate::{
    controller::{
        announcer::{Announcer, Kind, Subject},
        deliveries::Deliveries,
        events::now,
    },
    core::{alert_groups::Heard, judgement},
    kubernetes::{
        name::name_of,
        objects::{self, Objects},
    },
    rendering::RenderingPool,
    resources::{
        Condition, ConditionStatus, Integration, IntegrationStatus, IntegrationTemplateSources,
        conditions::{self as reasons, HEARTBEAT, READY, Reason, SUSPENDED, TEMPLATE_WARNING, TOO_MANY_OPEN},
        set_condition,
    },
    source_tokens::{SecretTokens, TokenTrouble},
};

/// The parts that a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) integrations: Arc<Integrations>,
    pub(crate) tokens: Arc<Mutex<SecretTokens>>,
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
    if context.tokens.lock().awaits(&name) {
        // When it is read, this is called again.
        return Ok(Action::await_change());
    }
    let (received, wait) = match context.integrations.to_tell(&name) {
        Ok(received) => (received, None),
        Err(wait) => (Received::default(), Some(wait)),
    };
    let old = integration.status.clone().unwrap_or_default();
    let old_conditions = old.conditions.clone();
    let Some(fault) = fault_of(&integration, &old, &context).await? else { return Ok(Action::await_change()) };
    let fault = fault.or_else(|| context.tokens.lock().trouble(&name).as_ref().map(token_fault));
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

fn generation_of(integration: &Integration) -> Generation {
    (integration.uid(), integration.metadata.generation)
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

/// Why the templates of an Integration can't work, Some(None) if they can: as its status or this process remembers it of this generation,
/// else they are read and judged. None if it has changed meanwhile, of which the watch tells.
async fn fault_of(
    integration: &Integration,
    status: &IntegrationStatus,
    context: &Context,
) -> Result<Option<Option<Reason>>, objects::Error> {
    let (name, generation) = (name_of(integration), generation_of(integration));
    let remembered = judged(integration, status).or_else(|| context.integrations.judged(&name, &generation));
    if remembered.is_some() {
        return Ok(remembered);
    }
    let found = objects::persist(|| context.objects.get::<Integration>(&name.namespace, &name.name)).await?;
    let Some(found) = found.filter(|found| generation_of(found) == generation) else { return Ok(None) };
    let fault = context.rendering.run(&name.namespace, move || fault(&found)).await;
    context.integrations.note_judged(&name, generation, fault.clone());
    Ok(Some(fault))
}

/// Why the token of an Integration opens nothing.
fn token_fault(trouble: &TokenTrouble<'_>) -> Reason {
    match trouble {
        TokenTrouble::Missing(missing) => reasons::secret_unavailable(missing.reason(), "tokenSecretRef", missing),
        TokenTrouble::Invalid(key, fault) => reasons::token_invalid(&key.name, &key.key, fault),
        TokenTrouble::Shared(shared) => reasons::token_shared(&shared.text()),
    }
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
