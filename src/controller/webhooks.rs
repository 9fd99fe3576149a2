//! Writes the status of Webhooks: the id, whether they are ready and why not, and the last run.

use std::sync::Arc;

use kube::{ResourceExt, runtime::controller::Action};

use super::{
    catalog::{Catalog, Entry, GONE, SUSPENDED},
    events::now,
    runs::Runs,
    secrets::Secrets,
};
use crate::{
    core::{signing, tls},
    kubernetes::objects::{self, Objects},
    resources::{Condition, ConditionStatus, Webhook, WebhookStatus, set_condition},
};

/// The condition that warns of receivers whose certificate does not count.
const INSECURE: &str = "InsecureTLS";

/// Bound on a condition's message, in characters.
const MESSAGE_LIMIT: usize = 4000;

/// What a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) secrets: Secrets,
    pub(crate) runs: Arc<Runs>,
}

/// Brings a webhook's status up to date.
pub(crate) async fn reconcile(webhook: Arc<Webhook>, context: Arc<Context>) -> Result<Action, objects::Error> {
    let (namespace, name) = (webhook.namespace().unwrap_or_default(), webhook.name_any());
    let uid = webhook.uid().unwrap_or_default();
    // Not in the catalog: deleted, or changed again; the watch will say.
    let Some(entry) = context.catalog.get(&namespace, &name).filter(|entry| *entry.uid == *uid) else {
        return Ok(Action::await_change());
    };
    let mut status = desired(&webhook, &entry, &context.secrets, context.runs.is_failing(&entry.lane()));
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

/// What to do when that failed.
pub(crate) fn failed(_: Arc<Webhook>, error: &objects::Error, _: Arc<Context>) -> Action {
    objects::retry_later(error)
}

fn desired(webhook: &Webhook, entry: &Entry, secrets: &Secrets, failing: bool) -> WebhookStatus {
    let old = webhook.status.clone().unwrap_or_default();
    let mut conditions = old.conditions;
    let generation = webhook.metadata.generation;
    let mk = |type_: &str, status, reason: &str, message: &str| Condition {
        type_: type_.to_owned(),
        status,
        observed_generation: generation,
        last_transition_time: now(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match fault(entry, secrets) {
        None => {
            conditions.retain(|condition| condition.type_ != "Stalled");
            let message = if entry.webhook.enabled { "Runs when its trigger fires" } else { "Disabled: never runs" };
            set_condition(&mut conditions, mk("Ready", ConditionStatus::True, "Valid", message));
        }
        Some((reason, message)) => {
            set_condition(&mut conditions, mk("Ready", ConditionStatus::False, reason, &message));
            // For kstatus: it will not get ready by itself.
            set_condition(&mut conditions, mk("Stalled", ConditionStatus::True, reason, &message));
        }
    }
    let held = match (entry.is_gone(), entry.webhook.suspend) {
        _ if entry.is_unreadable() => Some((
            "Unreadable",
            "It was changed to what this version of the operator can't read (its log says why): what it is to send waits",
        )),
        (true, _) => Some((
            GONE,
            "The receiver answered 410: it wants no more of this. Change the Webhook and what waits is sent; delete it and it is not",
        )),
        (false, true) => Some(("Suspended", "spec.suspend: what it is to send waits until this is lifted")),
        (false, false) => None,
    };
    let down = failing.then_some((
        "EndpointFailing",
        "Failed some times in a row: tried with one delivery at a time until it answers; the WebhookResponses say how it failed",
    ));
    let insecure = entry.webhook.tls.insecure.then_some((
        "VerificationSkipped",
        "spec.tls.insecureSkipVerify: whoever is on the way can read and change what is sent",
    ));
    for (type_, holds) in [(SUSPENDED, held), ("Failing", down), (INSECURE, insecure)] {
        match holds {
            None => conditions.retain(|condition| condition.type_ != type_),
            Some((reason, message)) => {
                set_condition(&mut conditions, mk(type_, ConditionStatus::True, reason, message));
            }
        }
    }
    WebhookStatus {
        id: Some(entry.webhook.id.clone()),
        observed_generation: generation,
        conditions,
        last_run: old.last_run,
    }
}

/// Why a webhook can't work: a reason and a message that name the field and the way out.
fn fault(entry: &Entry, secrets: &Secrets) -> Option<(&'static str, String)> {
    let templates = entry.webhook.faults();
    if !templates.is_empty() {
        let messages: Vec<String> = templates
            .into_iter()
            .map(|(field, error)| match error.line {
                Some(line) => format!("spec.{field}, line {line}: {error}"),
                None => format!("spec.{field}: {error}"),
            })
            .collect();
        return Some(("TemplateError", messages.join("; ").chars().take(MESSAGE_LIMIT).collect()));
    }
    let lacking = entry.webhook.secrets().find_map(|(field, key)| match secrets.get(&entry.namespace, key) {
        Err(missing) => Some((missing.reason(), format!("spec.{field}: {missing}"))),
        Ok(text) if field == "signing" => {
            let malformed = signing::keys(&text).err()?;
            let message = format!("spec.signing: Key '{}' of Secret '{}': {malformed}", key.key, key.name);
            Some(("SecretInvalid", message))
        }
        Ok(_) => None,
    });
    let secret = |key: &_| secrets.get(&entry.namespace, key).map_err(|missing| missing.to_string());
    lacking.or_else(|| {
        let fault = tls::identity(&entry.webhook.tls, &secret).err()?;
        Some(("SecretInvalid", format!("spec.{fault}")))
    })
}
