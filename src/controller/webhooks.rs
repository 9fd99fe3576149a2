//! Writes the status of Webhooks: the id, whether they are ready and why not, how they do in one word, and the last run. A status is
//! written when a condition changes, and no more than once a second for a run; a number of waiting deliveries that changes has it written
//! every 15 s at most, and seldom as it grows.

use std::sync::{Arc, Weak, atomic::Ordering};

use kube::{ResourceExt, runtime::controller::Action};
use tokio::{
    sync::SetOnce,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{
    announcer::{Announcer, Kind, Subject},
    catalog::{Catalog, LastRuns, WAITING_EVERY, WatchedWebhook},
    check::{self, Asked, Findings},
    deliveries::Deliveries,
    events::now,
};
use crate::{
    kubernetes::objects::{self, Objects},
    rendering::RenderingPool,
    resources::{
        Webhook, WebhookStatus,
        conditions::{
            self as reasons, BACKLOGGED, FAILING, INSECURE_TLS, News, RECOVERED, Reason, SUSPENDED, TEMPLATE_WARNING,
            about,
        },
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
    pub(crate) announcer: Announcer,
    /// Set when events are listed.
    pub(crate) events_listed: Arc<SetOnce<()>>,
    /// Until when that is waited for.
    pub(crate) patience: Instant,
}

/// Brings a webhook's status up to date.
pub(crate) async fn reconcile(webhook: Arc<Webhook>, context: Arc<Context>) -> Result<Action, objects::Error> {
    // Whoever has thousands of webhooks waits for deliveries, not for these to be judged. But where something can't be listed, people look
    // here for what is wrong.
    let _ = timeout_at(context.patience, context.events_listed.wait()).await;
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
    let (last_runs, action) = match entry.last_run.take() {
        Ok(last_runs) => (last_runs, Action::await_change()),
        Err(wait) => (None, Action::requeue(wait)),
    };
    let state = State {
        findings,
        is_failing: context.deliveries.is_failing(&entry.name),
        backlog: context.deliveries.backlog_of(&entry.name),
        waiting: about(context.deliveries.waiting_for(&entry.name)),
    };
    if state.is_failing {
        entry.has_failed.store(true, Ordering::Relaxed);
    }
    let old = webhook.status.clone().unwrap_or_default();
    let mut status = desired(&webhook, &entry, state);
    if let Some(LastRuns { last, succeeded }) = last_runs.clone() {
        status.last_run = Some(last);
        status.last_success_time = succeeded.or(old.last_success_time);
    }
    if last_runs.is_none() && !entry.waiting.may_change() {
        status.waiting = old.waiting;
    }
    if old == status {
        entry.waiting.note(status.waiting);
        return Ok(action);
    }
    // What the watch has shown of the last run may be older than what was written.
    status.last_run = last_runs.as_ref().map(|runs| runs.last.clone());
    status.last_success_time = last_runs.as_ref().and_then(|runs| runs.succeeded);
    let mut objects = context.objects.clone();
    if entry.is_gone() && !reasons::is_gone(&old.conditions, webhook.metadata.generation) {
        // Until it is written, another process would go on sending to a receiver that wants no more.
        objects = objects.yielding();
    }
    let result = objects.patch_status::<Webhook>(&namespace, &name, None, &status).await;
    match (result, last_runs) {
        (Ok(_), last_runs) => {
            if last_runs.is_some() {
                entry.last_run.written();
            }
            entry.waiting.note(status.waiting);
            let subject = Subject { kind: Kind::Webhook, name: entry.name.clone(), uid: Some(Arc::clone(&entry.uid)) };
            // Of an endpoint that an earlier process found to fail, or an earlier generation, it is not known yet.
            let is_known = |news: &News| news.reason != RECOVERED || entry.has_failed.swap(false, Ordering::Relaxed);
            for news in reasons::news(&old.conditions, &status.conditions).into_iter().filter(is_known) {
                context.announcer.announce(&subject, news);
            }
        }
        (Err(error), _) if error.is_not_found() => {}
        (Err(error), last_runs) => {
            if let Some(runs) = last_runs {
                entry.last_run.put_back(&runs);
            }
            return Err(error);
        }
    }
    Ok(action)
}

/// Has the statuses looked at, now and then, of webhooks that show another number of waiting deliveries than there are. Never returns.
pub(crate) async fn count_waiting(catalog: Arc<Catalog>, deliveries: Arc<Deliveries>) {
    let mut tick = interval(WAITING_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let waiting = deliveries.waiting().into_iter().map(|of| (of.webhook, about(of.count))).collect();
        catalog.showing_other_waiting(&waiting).iter().for_each(|webhook| deliveries.review(webhook));
    }
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
    /// How many of its deliveries wait, as a status shows it.
    waiting: u32,
}

fn desired(webhook: &Webhook, entry: &WatchedWebhook, state: State) -> WebhookStatus {
    let State { findings: Findings { fault, warning }, is_failing, backlog, waiting } = state;
    let old = webhook.status.clone().unwrap_or_default();
    let mut conditions = old.conditions;
    let (generation, now) = (webhook.metadata.generation, now());
    let held = match (entry.is_gone(), entry.webhook.suspend) {
        _ if entry.is_unreadable() => Some(reasons::webhook_unreadable()),
        (true, _) => Some(reasons::gone()),
        (false, true) => Some(reasons::suspended()),
        (false, false) => None,
    };
    let enabled = entry.webhook.enabled;
    let found = fault.as_ref().map_or_else(|| Ok(reasons::valid(enabled, held.as_ref(), is_failing)), Err);
    reasons::set_readiness(&mut conditions, found, generation, now);
    let down = is_failing.then(reasons::endpoint_failing);
    let insecure = entry.webhook.tls.insecure.then(reasons::verification_skipped);
    for (type_, holds) in [
        (TEMPLATE_WARNING, warning),
        (SUSPENDED, held),
        (FAILING, down),
        (BACKLOGGED, backlog),
        (INSECURE_TLS, insecure),
    ] {
        reasons::set_or_remove(&mut conditions, type_, holds.as_ref(), generation, now);
    }
    WebhookStatus {
        id: Some(entry.webhook.id.clone()),
        observed_generation: generation,
        state: Some(reasons::webhook_state(&conditions, enabled).to_owned()),
        conditions,
        waiting,
        ..old
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
