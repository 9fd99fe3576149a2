//! Writes the status of Webhooks: the id, whether they are ready and why not, and the last run.

use std::sync::{Arc, Weak};

use kube::{ResourceExt, runtime::controller::Action};

use super::{
    catalog::{Catalog, WatchedWebhook},
    check::{self, Asked, Findings},
    deliveries::Deliveries,
    events::now,
};
use crate::{
    kubernetes::objects::{self, Objects},
    rendering::RenderingPool,
    resources::{
        ConditionStatus, Webhook, WebhookStatus,
        conditions::{
            self as reasons, BACKLOGGED, FAILING, INSECURE_TLS, READY, Reason, STALLED, SUSPENDED, TEMPLATE_WARNING,
        },
        set_condition,
    },
    secrets::Secrets,
};

/// The parts that a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) secrets: Secrets,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) rendering: RenderingPool,
}

/// Brings a webhook's status up to date.
pub(crate) async fn reconcile(webhook: Arc<Webhook>, context: Arc<Context>) -> Result<Action, objects::Error> {
    let (namespace, name) = (webhook.namespace().unwrap_or_default(), webhook.name_any());
    let uid = webhook.uid().unwrap_or_default();
    // Not in the catalog: deleted, or changed again; the watch will say.
    let Some(entry) = context.catalog.get(&namespace, &name).filter(|entry| *entry.uid == *uid) else {
        return Ok(Action::await_change());
    };
    if context.secrets.awaits(&namespace, &entry.webhook) {
        // They are being read, and then it is due again.
        return Ok(Action::await_change());
    }
    let Some(findings) = findings(&entry, &context) else {
        // It is being found, and then it is due again.
        return Ok(Action::await_change());
    };
    let state = State {
        findings,
        is_failing: context.deliveries.is_failing(&entry.name),
        backlog: context.deliveries.backlog_of(&entry.name),
    };
    let mut status = desired(&webhook, &entry, state);
    let (last_run, action) = match entry.last_run.take() {
        Ok(last_run) => (last_run, Action::await_change()),
        Err(wait) => (None, Action::requeue(wait)),
    };
    if last_run.is_some() {
        status.last_run.clone_from(&last_run);
    }
    if webhook.status.as_ref() == Some(&status) {
        return Ok(action);
    }
    // What the watch has shown of the last run may be older than what was written.
    status.last_run.clone_from(&last_run);
    let result = context.objects.patch_status::<Webhook>(&namespace, &name, None, &status).await;
    match (result, last_run) {
        (Ok(_), Some(_)) => entry.last_run.written(),
        (Err(error), _) if error.is_not_found() => {}
        (Err(error), last_run) => {
            if let Some(run) = last_run {
                entry.last_run.put_back(run);
            }
            return Err(error);
        }
        (Ok(_), None) => {}
    }
    Ok(action)
}

/// Tries a reconciliation that failed again later.
pub(crate) fn failed(_: Arc<Webhook>, error: &objects::Error, _: Arc<Context>) -> Action {
    objects::retry_later(error)
}

/// How a webhook does.
struct State {
    /// What is wrong with it.
    findings: Findings,
    /// Whether its endpoint is taken to be down.
    is_failing: bool,
    /// Why what it is to send waits in the API server, if it does.
    backlog: Option<Reason>,
}

fn desired(webhook: &Webhook, entry: &WatchedWebhook, state: State) -> WebhookStatus {
    let State { findings: Findings { fault, warning }, is_failing, backlog } = state;
    let old = webhook.status.clone().unwrap_or_default();
    let mut conditions = old.conditions;
    let generation = webhook.metadata.generation;
    let mk = |reason: &Reason, type_, status| reason.condition(type_, status, generation, now());
    match fault {
        None => {
            conditions.retain(|condition| condition.type_ != STALLED);
            let valid = reasons::valid(entry.webhook.enabled);
            set_condition(&mut conditions, mk(&valid, READY, ConditionStatus::True));
        }
        Some(reason) => {
            set_condition(&mut conditions, mk(&reason, READY, ConditionStatus::False));
            // For kstatus: it will not get ready by itself.
            set_condition(&mut conditions, mk(&reason, STALLED, ConditionStatus::True));
        }
    }
    let held = match (entry.is_gone(), entry.webhook.suspend) {
        _ if entry.is_unreadable() => Some(reasons::webhook_unreadable()),
        (true, _) => Some(reasons::gone()),
        (false, true) => Some(reasons::suspended()),
        (false, false) => None,
    };
    let down = is_failing.then(reasons::endpoint_failing);
    let insecure = entry.webhook.tls.insecure.then(reasons::verification_skipped);
    for (type_, holds) in [
        (TEMPLATE_WARNING, warning),
        (SUSPENDED, held),
        (FAILING, down),
        (BACKLOGGED, backlog),
        (INSECURE_TLS, insecure),
    ] {
        match holds {
            None => conditions.retain(|condition| condition.type_ != type_),
            Some(reason) => set_condition(&mut conditions, mk(&reason, type_, ConditionStatus::True)),
        }
    }
    WebhookStatus {
        id: Some(entry.webhook.id.clone()),
        observed_generation: generation,
        conditions,
        last_run: old.last_run,
    }
}

/// Finds what is wrong with a webhook: at once where that takes next to no time, else apart from here. None if it is being found.
fn findings(entry: &Arc<WatchedWebhook>, context: &Arc<Context>) -> Option<Findings> {
    if entry.manifest_faults.are_known() && entry.webhook.has_simple_secrets() {
        return Some(find(entry, context));
    }
    match entry.check.ask() {
        Asked::Known(findings) => return Some(findings),
        Asked::Wait => {}
        Asked::Begin => {
            // A webhook that is changed again and again waits for one check at a time: what it was before is neither held nor checked.
            let (name, entry, context) = (entry.name.clone(), Arc::downgrade(entry), Arc::clone(context));
            tokio::spawn(async move {
                let (checked, of) = (Weak::clone(&entry), Arc::clone(&context));
                let check = move || {
                    checked.upgrade().filter(|entry| of.catalog.is_current(entry)).map(|entry| find(&entry, &of))
                };
                let found = context.rendering.try_run(&name.namespace, check).await;
                let Some(entry) = entry.upgrade() else { return };
                match found {
                    Ok(Some(findings)) => {
                        entry.check.done(findings);
                        context.deliveries.review(&name);
                    }
                    Ok(None) => {}
                    // A bug: the panic is in the log.
                    Err(_) => entry.check.failed(),
                }
            });
        }
    }
    None
}

fn find(entry: &WatchedWebhook, context: &Context) -> Findings {
    check::find(&entry.webhook, &entry.manifest_faults, &entry.name.namespace, &context.secrets)
}
