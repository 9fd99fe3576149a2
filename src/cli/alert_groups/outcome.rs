//! What came of a change that was asked for, in words.

use std::{pin::pin, time::Duration};

use anyhow::{Result, bail};
use futures::{StreamExt, future};
use kube::ResourceExt;

use crate::{
    cli::{
        session::{Session, explain},
        table::printable,
    },
    core::{alert_groups::Verdict, webhook::EventType},
    resources::{AlertGroup, AlertGroupEvent},
};

/// What came of a change, as a line.
pub(super) enum Outcome {
    /// The alert group is changed, or nobody waited for that.
    Changed(String),
    /// It is not, or not yet.
    Unchanged(String),
}

/// Waits until the operator has carried out an event that asks for a change of an AlertGroup.
///
/// # Errors
/// The objects can't be watched.
pub(super) async fn wait(
    session: &Session,
    alert_group: &str,
    event: AlertGroupEvent,
    change: EventType,
    wait: Duration,
) -> Result<Outcome> {
    let (namespace, event_name) = (&session.namespace, event.name_any());
    let group = format!("AlertGroup {namespace}/{alert_group}");
    let done = participle(change);
    if wait.is_zero() {
        let line = format!("{group}: to be {done}, as AlertGroupEvent {namespace}/{event_name} asks");
        return Ok(Outcome::Changed(line));
    }
    let uid = event.uid().unwrap_or_default();
    let by_group = pin!(told_by_group(session, alert_group, &uid));
    let by_event = pin!(verdict(session, &event_name));
    let carried_out = future::select(by_group, by_event);
    let verdict = match tokio::time::timeout(wait, carried_out).await {
        Ok(verdict) => verdict.factor_first().0?,
        Err(_) => {
            return Ok(Outcome::Unchanged(format!(
                "{group}: not {done} within {} s: AlertGroupEvent {namespace}/{event_name} is there, and is carried out as \
                 soon as an operator works in this namespace",
                wait.as_secs_f64()
            )));
        }
    };
    if verdict == Verdict::NotApplicable {
        return Ok(Outcome::Unchanged(format!("{group} can't be {done}: {}", state(session, alert_group).await?)));
    }
    let until = match (change, event.spec.until.flatten()) {
        (EventType::Silence, Some(until)) => format!(" until {until}"),
        (EventType::Silence, None) => " for ever".to_owned(),
        _ => String::new(),
    };
    Ok(Outcome::Changed(format!("{group}: {done}{until}")))
}

/// The verdict on an event, as its AlertGroup shows it: long before the webhooks that the event fires have ended.
async fn told_by_group(session: &Session, alert_group: &str, uid: &str) -> Result<Verdict> {
    let mut states = pin!(session.follow::<AlertGroup>(alert_group));
    while let Some(state) = states.next().await {
        let transitions = state?.and_then(|group| group.status).map(|status| status.transitions).unwrap_or_default();
        if let Some(transition) = transitions.iter().find(|transition| transition.event.event_ref.uid == uid) {
            return Ok(transition.verdict);
        }
    }
    bail!("watch AlertGroup {}/{alert_group}: it ended", session.namespace)
}

/// The verdict on an event, as its status has it: also where its AlertGroup does not change.
async fn verdict(session: &Session, event: &str) -> Result<Verdict> {
    let mut states = pin!(session.follow::<AlertGroupEvent>(event));
    while let Some(state) = states.next().await {
        if let Some(verdict) = state?.and_then(|event| event.status).and_then(|status| status.verdict) {
            return Ok(verdict);
        }
    }
    bail!("watch AlertGroupEvent {}/{event}: it ended", session.namespace)
}

/// The state of an AlertGroup, as a sentence's end.
async fn state(session: &Session, alert_group: &str) -> Result<String> {
    let group = session.objects.get::<AlertGroup>(&session.namespace, alert_group).await;
    let status = group.map_err(|error| explain(&error))?.and_then(|group| group.status);
    Ok(status.map_or_else(
        || "it does not exist any more".to_owned(),
        |status| {
            let by = status.by.map(|by| format!(", by {}", printable(&by))).unwrap_or_default();
            let state = if status.wiped.is_some() { "wiped" } else { status.state.as_str() };
            format!("it is {state}{by}")
        },
    ))
}

/// What an alert group is after a change.
fn participle(change: EventType) -> &'static str {
    match change {
        EventType::Acknowledge => "acknowledged",
        EventType::Unacknowledge => "unacknowledged",
        EventType::Resolve => "resolved",
        EventType::Unresolve => "unresolved",
        EventType::Silence => "silenced",
        EventType::Unsilence => "unsilenced",
        EventType::Wipe => "wiped",
        EventType::Escalation | EventType::PersonalNotification | EventType::AlertGroupCreated => "changed",
    }
}
