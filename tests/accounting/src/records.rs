//! The records of deliveries that the API server has: watched while a run lasts, and read in the end.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    clock::Clock,
    load::{Delivery, EventId, TIMEOUT, webhook_number},
};

/// How many are read at a time.
const PAGE: u32 = 500;

/// By the name of a response, which is the `webhook-id`: when it was seen that it had succeeded. It had then, at the latest.
pub(crate) type Succeeded = Arc<Mutex<HashMap<String, Duration>>>;

/// Notes which responses have succeeded, as long as it is polled.
pub(crate) async fn follow(responses: Api<PartialObjectMeta<DynamicObject>>, clock: Clock, succeeded: Succeeded) {
    let config = watcher::Config::default().fields("status.phase=Succeeded");
    let mut events = pin!(watcher(responses, config).default_backoff());
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            succeeded.lock().entry(object.name_any()).or_insert_with(|| clock.now());
        }
    }
}

/// The record of a delivery in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Empty if it has none.
    pub(crate) phase: String,
    /// When the first attempt that is recorded began and ended; None if it is not among those that are kept.
    pub(crate) first_attempt: Option<(Duration, Duration)>,
    /// When attempts began and ended that were not answered in time, as far as they are kept.
    pub(crate) timeouts: Vec<(Duration, Duration)>,
}

/// Reads all responses.
pub(crate) async fn read(responses: &Api<DynamicObject>, clock: Clock) -> Result<HashMap<Delivery, Record>> {
    let mut records = HashMap::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = responses.list(&page).await.context("list WebhookResponses")?;
        for object in &list.items {
            let spec = &object.data["spec"];
            let webhook = spec["webhookRef"]["name"].as_str().and_then(webhook_number);
            let event = spec["eventRef"]["name"].as_str().and_then(EventId::of_name);
            if let (Some(webhook), Some(event)) = (webhook, event) {
                records.insert(Delivery { webhook, event }, record(&object.data["status"], clock));
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(records),
        }
    }
}

/// What a status says of a delivery.
pub(crate) fn record(status: &Value, clock: Clock) -> Record {
    let attempts = status["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = attempts.first().filter(|_| status["attemptCount"].as_u64() == u64::try_from(attempts.len()).ok());
    let span = |attempt: &Value| {
        let began = clock.of(attempt["time"].as_str()?.parse::<Timestamp>().ok()?);
        Some((began, began + Duration::from_millis(attempt["durationMs"].as_u64().unwrap_or(0))))
    };
    let first_attempt = first.and_then(span);
    let unanswered = attempts.iter().filter(|attempt| attempt["statusCode"].is_null());
    let timeouts = unanswered.filter_map(span).filter(|(began, ended)| *ended - *began >= TIMEOUT).collect();
    Record { phase: status["phase"].as_str().unwrap_or_default().to_owned(), first_attempt, timeouts }
}
