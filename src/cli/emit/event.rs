//! The event that the flags describe.

use std::{fs, io::Read, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::{Kind, Options};
use crate::{
    core::{alert_groups::AlertGroupState, webhook::EventType},
    resources::{Alert, AlertGroupEvent, AlertGroupEventSpec, EventAlertGroup, EventIntegration, IntegrationRef, User},
};

/// Reads JSON from a file; `-` is standard input.
///
/// # Errors
/// It can't be read, or is no JSON.
pub(super) fn payload(path: &Path) -> Result<Value> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("read the payload from standard input")?;
    } else {
        bytes = fs::read(path).with_context(|| format!("read the payload from {}", path.display()))?;
    }
    serde_json::from_slice(&bytes).with_context(|| format!("read the payload from {}: it is no JSON", path.display()))
}

/// The event.
pub(super) fn of(options: &Options, namespace: &str, payload: Option<Value>, user: Option<String>) -> AlertGroupEvent {
    let spec = match options.kind {
        Kind::Alert => AlertGroupEventSpec { alert: Some(alert(options, payload)), ..AlertGroupEventSpec::default() },
        Kind::Event(type_) => happened(options, type_, payload, user),
    };
    AlertGroupEvent {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", options.kind.word())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

/// What a source says.
fn alert(options: &Options, payload: Option<Value>) -> Alert {
    Alert {
        integration_ref: IntegrationRef { name: options.integration.clone().unwrap_or_default(), id: None },
        grouping_id: options.grouping_id.clone(),
        action: options.action.unwrap_or_default(),
        title: options.title.clone(),
        payload,
    }
}

/// What happened to an alert group that another system keeps.
fn happened(
    options: &Options,
    type_: EventType,
    payload: Option<Value>,
    username: Option<String>,
) -> AlertGroupEventSpec {
    let state = match type_ {
        EventType::Acknowledge => AlertGroupState::Acknowledged,
        EventType::Resolve => AlertGroupState::Resolved,
        EventType::Silence => AlertGroupState::Silenced,
        _ => AlertGroupState::Firing,
    };
    let integration = options.integration.clone();
    AlertGroupEventSpec {
        type_: Some(type_),
        time: Some(Some(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string())),
        user: username.map(|username| User { username: Some(username), ..User::default() }),
        alert_group: Some(EventAlertGroup {
            id: options.alert_group.clone().unwrap_or_default(),
            integration_id: integration.clone(),
            state: Some(state.as_str().to_owned()),
            title: options.title.clone(),
            ..EventAlertGroup::default()
        }),
        alert_payload: payload,
        integration: integration.map(|id| EventIntegration { id: Some(id), ..EventIntegration::default() }),
        webhook_refs: options.webhooks.clone(),
        ..AlertGroupEventSpec::default()
    }
}
