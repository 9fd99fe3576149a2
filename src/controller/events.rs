//! Writes the status of AlertGroupEvents.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{ObjectMeta, Preconditions},
    runtime::controller::Action,
};

use super::deliveries::Deliveries;
use crate::{
    core::{
        delivery::{DeliverySummary, ResponsePhase, redelivery_value},
        event::EventFacts,
        lifecycle::{EventSummary, Progress},
    },
    errors::error_chain,
    kubernetes::{
        lenient::{Lenient, Unreadable},
        objects::{self, Objects},
        resource_version::version_of,
    },
    resources::{
        Alert, AlertGroupEvent, AlertGroupEventSpec, AlertGroupEventStatus, EventAlertGroup, EventPhase, FoldedInto,
        Manager, REDELIVER_ANNOTATION, User, conditions,
    },
};

/// An event that is done sooner is written once, when it is.
const SOON: Duration = Duration::from_secs(10);
/// When it is written that an event's deliveries fail, at the latest, while the API server has other writes to make.
const LATE: Duration = Duration::from_secs(60);

/// The parts that a reconciliation needs.
pub(crate) struct Context {
    pub(crate) objects: Objects,
    pub(crate) deliveries: Arc<Deliveries>,
}

/// Brings an event's status to where its deliveries are. The event may be [bare](super::deliveries): it is read then.
pub(crate) async fn reconcile(event: Arc<AlertGroupEvent>, context: Arc<Context>) -> Result<Action, objects::Error> {
    let (namespace, name) = (event.namespace().unwrap_or_default(), event.name_any());
    let uid = event.uid().unwrap_or_default();
    let (summary, unknown, held) = match context.deliveries.progress(&uid) {
        Progress::Settled => return Ok(Action::await_change()),
        Progress::Running { since, summary, waits_for_unreadable, is_parked } => {
            let is_news = waits_for_unreadable || tells_more_than_that_it_waits(&summary);
            // One that is parked is kept until its status says so.
            match wait_before_saying_how_far(since.elapsed(), is_news, context.objects.are_busy()) {
                Some(wait) if !is_parked => return Ok(Action::requeue(wait)),
                _ => (summary, Vec::new(), waits_for_unreadable),
            }
        }
        Progress::Ended { summary, unknown } => (summary, unknown, false),
    };
    let leaves_nothing = summary.fold.as_ref().is_some_and(|fold| fold.verdict.leaves_nothing());
    let event = match event.metadata.resource_version {
        Some(_) => event,
        None => match objects::persist(|| context.objects.get::<AlertGroupEvent>(&namespace, &name)).await? {
            Some(event) if event.metadata.uid.as_deref() == Some(&uid) => Arc::new(status_only(event)),
            _ => {
                context.deliveries.event_gone(&uid);
                return Ok(Action::await_change());
            }
        },
    };
    // A tool that put it there would put it there again.
    if summary.is_completed && leaves_nothing && Manager::of(&event.metadata).is_none() {
        return remove(&namespace, &name, uid, &context).await;
    }
    let status = with_condition(status_of(summary), &unknown, held, &event);
    if event.status.as_ref() == Some(&status) {
        context.deliveries.written(&event);
        return Ok(Action::await_change());
    }
    // What has changed since, by another replica's hand too, the watch will show.
    let version = version_of(&*event);
    match context.objects.replace_status::<AlertGroupEvent>(&namespace, &name, &version, &status).await {
        Err(error) if error.is_not_found() => {
            context.deliveries.event_gone(&uid);
            Ok(Action::await_change())
        }
        Err(error) if error.is_conflict() => Ok(Action::await_change()),
        Err(error) if error.is_too_large() && context.deliveries.shorten(&uid) => {
            tracing::warn!(
                namespace,
                event = name,
                error = error_chain(&error),
                "the status of an event is too large for the API server; the lines of its webhooks are left out"
            );
            Ok(Action::requeue(Duration::ZERO))
        }
        result => result.map(|_| Action::await_change()),
    }
}

/// Deletes an event that only told of one alert more, which its alert group tells of.
async fn remove(namespace: &str, name: &str, uid: String, context: &Context) -> Result<Action, objects::Error> {
    let expected = Preconditions { uid: Some(uid.clone()), resource_version: None };
    match context.objects.delete::<AlertGroupEvent>(namespace, name, expected).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => {
            context.deliveries.event_gone(&uid);
            Ok(Action::await_change())
        }
    }
}

/// How long to wait before the status of an event says how far it is, which has been under way for `age`. While writes are many, one
/// more for each event would make all of them take longer, and what only waits for its turn needs none.
fn wait_before_saying_how_far(age: Duration, is_news: bool, is_busy: bool) -> Option<Duration> {
    let soonest = match (is_busy, is_news) {
        (false, _) => SOON,
        (true, true) => LATE,
        (true, false) => age.max(SOON) + SOON,
    };
    soonest.checked_sub(age).filter(|wait| !wait.is_zero()).map(|wait| wait.min(SOON))
}

/// Whether a summary tells of more than deliveries that wait, and that were made.
fn tells_more_than_that_it_waits(summary: &EventSummary) -> bool {
    let is_retrying = |delivery: &DeliverySummary| delivery.outcome == ResponsePhase::Retrying;
    summary.failed > 0 || summary.redelivering.is_some() || summary.deliveries.iter().any(is_retrying)
}

/// Says of an event that can't be read why nothing comes of it. What was said of it before stays.
pub(crate) async fn refuse(objects: Objects, event: Lenient<AlertGroupEvent>) {
    let Err(Unreadable { has_status: false, error, .. }) = &event.0 else { return };
    let status = AlertGroupEventStatus {
        conditions: vec![conditions::event_unreadable(error, now())],
        ..AlertGroupEventStatus::default()
    };
    let (namespace, name) = (event.namespace().unwrap_or_default(), event.name_any());
    let version = version_of(&event);
    match objects.replace_status::<AlertGroupEvent>(&namespace, &name, &version, &status).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => {
            tracing::error!(
                namespace,
                event = name,
                error = error_chain(&error),
                "failed to say in the status of an event that it can't be read"
            );
        }
        _ => {}
    }
}

/// The part of an event that its status needs, and that decides which webhooks run for it. What else an object may have has no bound but that of etcd.
pub(crate) fn status_only(event: AlertGroupEvent) -> AlertGroupEvent {
    let AlertGroupEvent { metadata, spec, status } = event;
    let EventFacts { alert_group_id, integration_id, .. } = spec.facts();
    let alert_group = EventAlertGroup { id: alert_group_id.to_string(), integration_id, ..EventAlertGroup::default() };
    let spec = AlertGroupEventSpec {
        type_: spec.type_,
        alert_group: spec.alert_group.map(|_| alert_group),
        // What decides what is made of one that is folded.
        alert: spec.alert.map(|alert| Alert { payload: None, title: None, ..alert }),
        alert_group_ref: spec.alert_group_ref,
        user: spec.user.map(|user| User { username: user.username, ..User::default() }),
        until: spec.until,
        webhook_refs: spec.webhook_refs,
        ..AlertGroupEventSpec::default()
    };
    // Of what a tool put there, as much as tells that it did.
    let labels = Manager::of(&metadata).map(|_| [("argocd.argoproj.io/instance".to_owned(), String::new())].into());
    let metadata = ObjectMeta {
        labels,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        creation_timestamp: metadata.creation_timestamp,
        deletion_timestamp: metadata.deletion_timestamp,
        annotations: metadata.annotations.and_then(|all| {
            let asked = redelivery_value(all.get(REDELIVER_ANNOTATION)?).to_owned();
            Some([(REDELIVER_ANNOTATION.to_owned(), asked)].into())
        }),
        ..ObjectMeta::default()
    };
    AlertGroupEvent { metadata, spec, status }
}

/// Tries a reconciliation that failed again later.
pub(crate) fn failed(_: Arc<AlertGroupEvent>, error: &objects::Error, _: Arc<Context>) -> Action {
    objects::retry_later(error)
}

/// The status that says what the summary does, but for the conditions.
fn status_of(summary: EventSummary) -> AlertGroupEventStatus {
    AlertGroupEventStatus {
        phase: if summary.is_completed { EventPhase::Completed } else { EventPhase::Delivering },
        verdict: summary.fold.as_ref().map(|fold| fold.verdict),
        alert_group_ref: summary.fold.and_then(|fold| {
            let (name, id) = fold.group?;
            Some(FoldedInto { name: name.to_string(), id: id.to_string() })
        }),
        conditions: Vec::new(),
        matched: summary.matched,
        succeeded: summary.succeeded,
        failed: summary.failed,
        skipped: summary.skipped,
        redelivered: summary.redelivered.as_deref().map(str::to_owned),
        redelivering: summary.redelivering.as_deref().map(str::to_owned),
        seen_version: summary.seen_version.map(|version| version.to_string()),
        webhooks: summary.deliveries,
    }
}

fn with_condition(
    mut status: AlertGroupEventStatus,
    unknown: &[String],
    held: bool,
    event: &AlertGroupEvent,
) -> AlertGroupEventStatus {
    status.seen_version = status.seen_version.or_else(|| event.status.as_ref()?.seen_version.clone());
    status.conditions = event.status.as_ref().map(|old| old.conditions.clone()).unwrap_or_default();
    let mut conditions = std::mem::take(&mut status.conditions);
    conditions::set_event_conditions(&mut conditions, &status, unknown, held, now());
    AlertGroupEventStatus { conditions, ..status }
}

/// The time in the precision that Kubernetes keeps.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_how_far_it_is_soon_and_while_writes_are_many_later_or_only_if_it_fails() {
        let seconds = Duration::from_secs;
        // The age, whether it fails, whether writes are many; how long to wait.
        let cases = [
            (0, false, false, Some(10)),
            (4, true, false, Some(6)),
            (10, false, false, None),
            (70, true, false, None),
            (4, false, true, Some(10)),
            (70, false, true, Some(10)),
            (4, true, true, Some(10)),
            (55, true, true, Some(5)),
            (60, true, true, None),
        ];
        for (age, is_news, is_busy, expected) in cases {
            let found = wait_before_saying_how_far(seconds(age), is_news, is_busy);
            assert_eq!(found, expected.map(seconds), "{age} {is_news} {is_busy}");
        }
    }

    #[test]
    fn deliveries_that_wait_or_were_made_are_no_news() {
        let summary = |outcomes: &[ResponsePhase]| EventSummary {
            is_completed: false,
            matched: 2,
            succeeded: 0,
            failed: 0,
            skipped: 0,
            redelivered: None,
            redelivering: None,
            seen_version: None,
            fold: None,
            deliveries: outcomes.iter().map(|outcome| DeliverySummary::without_response("one", *outcome)).collect(),
        };
        let waits = summary(&[ResponsePhase::Pending, ResponsePhase::Succeeded]);
        let cases = [
            (EventSummary { succeeded: 1, ..waits.clone() }, false),
            (EventSummary { failed: 1, ..waits.clone() }, true),
            (EventSummary { redelivering: Some(Arc::from("again")), ..waits }, true),
            (summary(&[ResponsePhase::Pending, ResponsePhase::Retrying]), true),
        ];
        for (summary, expected) in cases {
            assert_eq!(tells_more_than_that_it_waits(&summary), expected, "{summary:?}");
        }
    }
}
