//! Creates the events that no source and no person asks for: those of timers and of heartbeats.

use kube::{ResourceExt, api::ObjectMeta};

use crate::{
    core::{
        alert_groups::{HeartbeatEvent, Timer, TimerKind},
        intake::heartbeat_alert,
        name::NamespacedName,
        webhook::EventType,
    },
    errors::error_chain,
    kubernetes::objects::{self, Objects},
    resources::{Alert, AlertGroupEvent, AlertGroupEventSpec, AlertGroupRef, EventIntegration, IntegrationRef},
};

/// Creates an event, unless it is there. Tries until it can; false if the API server refuses it for good.
pub(crate) async fn create_event(objects: &Objects, event: AlertGroupEvent) -> bool {
    match try_create(objects, event).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(
                namespace = error.namespace(),
                event = error.name(),
                error = error_chain(&error),
                "failed to create the event of a silence, an escalation or a heartbeat whose time has come; trying again in a minute"
            );
            false
        }
    }
}

async fn try_create(objects: &Objects, mut event: AlertGroupEvent) -> Result<(), objects::Error> {
    let (namespace, name) = (event.namespace().unwrap_or_default(), event.name_any());
    match objects::persist(|| objects.create(&namespace, &name, &event)).await {
        Err(error) if error.is_already_exists() => {}
        result => return result.map(drop),
    }
    let found = objects::persist(|| objects.get::<AlertGroupEvent>(&namespace, &name)).await?;
    if found.is_none_or(|found| found.spec == event.spec) {
        return Ok(());
    }
    // Somebody else has made one of that name. Of two that the operator makes, the second one does nothing.
    let other = format!("{name}-{:08x}", getrandom::u32().unwrap_or_default());
    event.metadata.name = Some(other.clone());
    objects::persist(|| objects.create(&namespace, &other, &event)).await.map(drop)
}

/// The event of a timer.
pub(crate) fn timer_event(timer: &Timer) -> AlertGroupEvent {
    let (type_, webhook_refs) = match &timer.kind {
        TimerKind::Unsilence => (EventType::Unsilence, Vec::new()),
        TimerKind::Escalation(webhooks) => (EventType::Escalation, webhooks.clone()),
    };
    let spec = AlertGroupEventSpec {
        type_: Some(type_),
        alert_group_ref: Some(AlertGroupRef { name: timer.group.name.to_string(), timer: Some(timer.number) }),
        webhook_refs,
        ..AlertGroupEventSpec::default()
    };
    event(&timer.group.namespace, timer.event_name(), spec)
}

/// The event of an Integration's heartbeat, as its source would have it; None if its type is unknown.
pub(crate) fn heartbeat_event(told: &HeartbeatEvent, integration: &EventIntegration) -> Option<AlertGroupEvent> {
    let NamespacedName { namespace, name } = &told.integration;
    let type_ = integration.type_.as_deref()?.parse().ok()?;
    let (payload, alert) = heartbeat_alert(type_, integration.name.as_deref().unwrap_or(name), told.heartbeat);
    let alert = Alert {
        integration_ref: IntegrationRef { name: name.to_string(), id: integration.id.clone() },
        grouping_id: alert.grouping_id,
        action: alert.action,
        title: Some(alert.title),
        payload: Some(payload),
    };
    Some(event(namespace, told.event_name(), AlertGroupEventSpec { alert: Some(alert), ..Default::default() }))
}

fn event(namespace: &str, name: String, spec: AlertGroupEventSpec) -> AlertGroupEvent {
    let namespace = Some(namespace.to_owned());
    AlertGroupEvent {
        metadata: ObjectMeta { name: Some(name), namespace, ..ObjectMeta::default() },
        spec,
        status: None,
    }
}
