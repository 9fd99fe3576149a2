//! Writes the status of AlertGroupEvents.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};

use super::runs::{Progress, Runs};
use crate::{
    errors::error_chain,
    kubernetes::{
        lenient::{Lenient, Unreadable},
        objects::{self, Objects},
        resource_version::ResourceVersion,
    },
    resources::{AlertGroupEvent, AlertGroupEventStatus, conditions, set_condition},
};

/// An event that is done sooner is written once, when it is. Under load more of them take long, and writing that down would
/// make them take longer.
const SOON: Duration = Duration::from_secs(10);

/// What a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) runs: Arc<Runs>,
}

/// Brings an event's status to where its deliveries are.
pub(crate) async fn reconcile(event: Arc<AlertGroupEvent>, context: Arc<Context>) -> Result<Action, objects::Error> {
    let (namespace, name) = (event.namespace().unwrap_or_default(), event.name_any());
    let (status, unknown, held) = match context.runs.progress(&event.uid().unwrap_or_default()) {
        Progress::Settled => return Ok(Action::await_change()),
        Progress::Running(since, status, held) => {
            let age = since.elapsed();
            if age < SOON {
                return Ok(Action::requeue(SOON - age));
            }
            (status, Vec::new(), held)
        }
        Progress::Ended(status, unknown) => (status, unknown, false),
    };
    let status = with_condition(status, &unknown, held, &event);
    if event.status.as_ref() == Some(&status) {
        context.runs.recorded(&event);
        return Ok(Action::await_change());
    }
    // What has changed since, by another replica's hand too, the watch will show.
    let version = ResourceVersion::of(&*event);
    match context.objects.patch_status::<AlertGroupEvent>(&namespace, &name, Some(&version), &status).await {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(Action::await_change()),
        Err(error) if error.is_too_large() && context.runs.shorten(&event) => {
            tracing::warn!(error = error_chain(&error), "the lines of its webhooks are left out");
            Ok(Action::requeue(Duration::ZERO))
        }
        result => result.map(|_| Action::await_change()),
    }
}

/// Says of an event that can't be read why nothing comes of it. What was said of it before stays.
pub(crate) async fn refuse(objects: Objects, event: Lenient<AlertGroupEvent>) {
    let Err(Unreadable { has_status: false, error, .. }) = &event.0 else { return };
    let status = AlertGroupEventStatus {
        conditions: vec![conditions::event_unreadable(error, now())],
        ..AlertGroupEventStatus::default()
    };
    let (namespace, name) = (event.namespace().unwrap_or_default(), event.name_any());
    let version = ResourceVersion::of(&event);
    match objects.patch_status::<AlertGroupEvent>(&namespace, &name, Some(&version), &status).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => {
            tracing::error!(error = error_chain(&error), "say why nothing is sent");
        }
        _ => {}
    }
}

/// What to do when that failed.
pub(crate) fn failed(_: Arc<AlertGroupEvent>, error: &objects::Error, _: Arc<Context>) -> Action {
    objects::retry_later(error)
}

fn with_condition(
    mut status: AlertGroupEventStatus,
    unknown: &[String],
    held: bool,
    event: &AlertGroupEvent,
) -> AlertGroupEventStatus {
    let completed = conditions::completed(&status, unknown, held, now());
    status.seen_version = status.seen_version.or_else(|| event.status.as_ref()?.seen_version.clone());
    status.conditions = event.status.as_ref().map(|old| old.conditions.clone()).unwrap_or_default();
    set_condition(&mut status.conditions, completed);
    status
}

/// The time in the precision that Kubernetes keeps.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}
