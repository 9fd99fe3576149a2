//! The AlertGroups, their events and responses that the API server has in the end.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use super::{
    ledger::{FoldedEvent, Group, Response, Transition},
    occurrence_of,
};
use crate::{clock::Clock, load::webhook_number, records::record};

/// How many are read at a time.
const PAGE: u32 = 500;

/// Reads all AlertGroups.
pub(crate) async fn groups(api: &Api<DynamicObject>) -> Result<Vec<Group>> {
    let groups = all(api).await.context("list AlertGroups")?;
    Ok(groups.iter().map(|group| mk_group(group.name_any(), &group.data["status"])).collect())
}

fn mk_group(name: String, status: &Value) -> Group {
    let transitions = status["transitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let transition = |transition: &Value| Transition {
        verdict: text(&transition["verdict"]),
        event: text(&transition["eventRef"]["name"]),
        version: text(&transition["version"]).parse().unwrap_or_default(),
    };
    Group {
        name,
        occurrence: occurrence_of(&status["firstPayload"]),
        state: text(&status["state"]),
        alerts: status["alertsCount"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default(),
        transitions: transitions.iter().map(transition).collect(),
    }
}

/// Reads all AlertGroupEvents.
pub(crate) async fn events(api: &Api<DynamicObject>, clock: Clock) -> Result<BTreeMap<String, FoldedEvent>> {
    let events = all(api).await.context("list AlertGroupEvents")?;
    let event = |event: &DynamicObject| {
        let status = &event.data["status"];
        FoldedEvent {
            verdict: text(&status["verdict"]),
            group: text(&status["alertGroupRef"]["name"]),
            is_completed: status["phase"] == "Completed",
            created: event.creation_timestamp().map_or(Duration::ZERO, |time| clock.of(time.0)),
        }
    };
    Ok(events.iter().map(|object| (object.name_any(), event(object))).collect())
}

/// Reads all WebhookResponses.
pub(crate) async fn responses(api: &Api<DynamicObject>, clock: Clock) -> Result<BTreeMap<String, Response>> {
    let responses = all(api).await.context("list WebhookResponses")?;
    let response = |response: &DynamicObject| {
        let spec = &response.data["spec"];
        Response {
            event: text(&spec["eventRef"]["name"]),
            webhook: spec["webhookRef"]["name"].as_str().and_then(webhook_number),
            record: record(&response.data["status"], clock),
        }
    };
    Ok(responses.iter().map(|object| (object.name_any(), response(object))).collect())
}

/// The text; empty if it is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn all(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>> {
    let (mut all, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let list = api.list(&page).await?;
        all.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}
