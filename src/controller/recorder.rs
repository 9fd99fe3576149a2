//! Writes what came of deliveries into WebhookResponses, and reads what other processes have written there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::catalog::WatchedWebhook;
use crate::{
    core::{
        delivery::{AttemptHistory, Delivery, DeliverySummary, ResponsePhase},
        lifecycle::{Found, RedeliveryRequest},
        name::NamespacedName,
        response::ResponseRecord,
    },
    errors::error_chain,
    kubernetes::{
        objects::{self, Objects},
        resource_version::{ResourceVersion, version_of},
    },
    resources::{AlertGroupEvent, EventRef, Webhook, WebhookResponse, WebhookResponseStatus, closing_patch},
};

/// How long to wait before an object that can't be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// The outcome of writing a status.
enum Written {
    /// It is there.
    Ours(ResourceVersion),
    /// There is no such object any more.
    Gone,
    /// Another replica's is there, and stays.
    Theirs(ResourceVersion, Box<WebhookResponseStatus>),
}

/// An attempt that is to be recorded, and what was recorded before it.
pub(super) struct AttemptRecord<'a> {
    /// The status that the WebhookResponse is to have.
    pub(super) status: &'a WebhookResponseStatus,
    /// How many attempts were recorded before.
    pub(super) recorded_attempts: u32,
    /// Whether there was no WebhookResponse before.
    pub(super) is_new: bool,
}

/// Writes and reads WebhookResponses.
pub(crate) struct Recorder {
    objects: Objects,
    stop: CancellationToken,
}

impl Recorder {
    /// Gives up reading what can't be read when `stop` is cancelled.
    pub(crate) fn new(objects: Objects, stop: CancellationToken) -> Self {
        Self { objects, stop }
    }

    /// Reads what another process may have recorded of a delivery. What can't be read is not taken for nothing: it is tried
    /// again. None if this process stops before.
    pub(crate) async fn look_up(&self, delivery: &mut Delivery) -> Option<Found> {
        let (namespace, name) = (&*delivery.event.namespace, delivery.response_name());
        loop {
            match objects::persist(|| self.objects.get::<WebhookResponse>(namespace, &name)).await {
                Ok(Some(response)) => return Some(found(delivery, response)),
                Ok(None) => return Some(Found::ToSend),
                Err(error) => log(delivery, &error_chain(&error), "look up"),
            }
            tokio::select! {
                () = tokio::time::sleep(REREAD_AFTER) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    /// Creates the WebhookResponse of a delivery, where it is not there yet. Returns its version; None if it was there after
    /// all.
    pub(super) async fn create(
        &self,
        delivery: &Delivery,
        webhook: &WatchedWebhook,
    ) -> Result<Option<ResourceVersion>, objects::Error> {
        if delivery.version.is_some() {
            return Ok(delivery.version.clone());
        }
        let (namespace, name) = (&*delivery.event.namespace, delivery.response_name());
        let object = pending(delivery, webhook, &name);
        match objects::persist(|| self.objects.create(namespace, &name, &object)).await {
            Ok(version) => Ok(Some(version)),
            // A call that seemed to fail had worked, or another replica was there.
            Err(error) if error.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records what came of an attempt. Returns what another replica has recorded in the meantime, if one has: that stays.
    pub(super) async fn record(
        &self,
        delivery: &mut Delivery,
        version: Option<ResourceVersion>,
        AttemptRecord { status, recorded_attempts, is_new }: AttemptRecord<'_>,
    ) -> Result<Option<WebhookResponseStatus>, objects::Error> {
        let (event, name) = (Arc::clone(&delivery.event), delivery.response_name());
        let patch = if is_new { serde_json::to_value(status) } else { status.replacing() };
        let is_untouched = |theirs: &WebhookResponseStatus| {
            theirs.attempt_count == recorded_attempts && (!is_new || theirs.phase == ResponsePhase::Pending)
        };
        let patch = patch.unwrap_or_default();
        let theirs = match self.write(&event.namespace, &name, version, &patch, is_untouched).await? {
            Written::Ours(version) => {
                delivery.version = Some(version);
                return Ok(None);
            }
            // Its webhook was deleted, and it with it.
            Written::Gone => return Ok(None),
            Written::Theirs(version, theirs) => {
                delivery.version = Some(version);
                *theirs
            }
        };
        // The answer to a call that worked may have been lost.
        if theirs.attempt_count == status.attempt_count && theirs.attempts.last() == status.attempts.last() {
            return Ok(None);
        }
        delivery.history = theirs.history();
        let (namespace, event) = (&*event.namespace, &event.name);
        tracing::warn!(namespace, response = name, event, "another replica recorded an attempt");
        Ok(Some(theirs))
    }

    /// Records the end of a delivery of which nothing more is sent, and `why`. `webhook` makes a record where there is none.
    pub(super) async fn close(
        &self,
        delivery: &mut Delivery,
        webhook: Option<&WatchedWebhook>,
        why: Option<&str>,
    ) -> DeliverySummary {
        if delivery.history.count == 0 && delivery.version.is_none() {
            return self.close_unsent(delivery, webhook, why).await;
        }
        let (namespace, name) = (&*delivery.event.namespace, delivery.response_name());
        let patch = closing_patch(&delivery.history, Timestamp::now(), delivery.redeliver.as_deref(), why);
        let attempts = delivery.history.count;
        let is_untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == attempts;
        if let Err(error) = self.write(namespace, &name, delivery.version.clone(), &patch, is_untouched).await {
            log(delivery, &error_chain(&error), "record");
        }
        let (outcome, status_code) = delivery.history.outcome();
        delivery.summary(outcome, status_code, Some(name))
    }

    async fn close_unsent(
        &self,
        delivery: &mut Delivery,
        webhook: Option<&WatchedWebhook>,
        why: Option<&str>,
    ) -> DeliverySummary {
        let (Some(webhook), Some(why)) = (webhook, why) else {
            return delivery.summary(ResponsePhase::Skipped, None, None);
        };
        let record = ResponseRecord { content: Some(why.to_owned()), ..ResponseRecord::default() };
        let status = WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new());
        let recorded = match self.create(delivery, webhook).await {
            Ok(version) => {
                let record = AttemptRecord { status: &status, recorded_attempts: 0, is_new: true };
                self.record(delivery, version, record).await
            }
            Err(error) => Err(error),
        };
        match recorded {
            Ok(theirs) => summary_of(delivery, &theirs.unwrap_or(status)),
            Err(error) => {
                log(delivery, &error_chain(&error), "record");
                summary_of(delivery, &status)
            }
        }
    }

    /// Logs why a WebhookResponse can't be sent again, and records it there. One without a status gets none: it shows what the
    /// operator has made.
    pub(crate) async fn decline(&self, asked: &RedeliveryRequest, why: &str) {
        let NamespacedName { namespace, name } = &asked.name;
        let patch = closing_patch(&asked.history.clone().anew(), Timestamp::now(), Some(&asked.value), Some(why));
        tracing::warn!(namespace = &**namespace, response = &**name, why, "send again");
        if !asked.has_status {
            return;
        }
        let is_untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == asked.history.count;
        if let Err(error) = self.write(namespace, name, Some(asked.version.clone()), &patch, is_untouched).await {
            tracing::error!(error = error_chain(&error), "record");
        }
    }

    /// Reads a WebhookResponse; None if it is gone, or can't be read.
    pub(crate) async fn response(&self, name: &NamespacedName) -> Option<WebhookResponse> {
        logged(objects::persist(|| self.objects.get(&name.namespace, &name.name)).await)
    }

    /// Reads an AlertGroupEvent; None if it is gone, or can't be read.
    pub(crate) async fn event(&self, namespace: &str, name: &str) -> Option<AlertGroupEvent> {
        logged(objects::persist(|| self.objects.get(namespace, name)).await)
    }

    /// Patches the status of a WebhookResponse at a version, read first if there is none; and at a later one if
    /// `is_untouched` says that what is there now can be written over.
    async fn write(
        &self,
        namespace: &str,
        name: &str,
        mut version: Option<ResourceVersion>,
        patch: &Value,
        is_untouched: impl Fn(&WebhookResponseStatus) -> bool,
    ) -> Result<Written, objects::Error> {
        loop {
            if version.is_some() {
                let write = || self.objects.patch_status::<WebhookResponse>(namespace, name, version.as_ref(), patch);
                match objects::persist(write).await {
                    Ok(version) => return Ok(Written::Ours(version)),
                    Err(error) if error.is_not_found() => return Ok(Written::Gone),
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
            let found = objects::persist(|| self.objects.get::<WebhookResponse>(namespace, name)).await?;
            let Some(found) = found else { return Ok(Written::Gone) };
            let now = version_of(&found);
            let theirs = found.status.unwrap_or_default();
            if !is_untouched(&theirs) {
                return Ok(Written::Theirs(now, Box::new(theirs)));
            }
            version = Some(now);
        }
    }
}

/// Reads a record into a delivery.
fn found(delivery: &mut Delivery, response: WebhookResponse) -> Found {
    delivery.version = Some(version_of(&response));
    let Some(status) = response.status else { return Found::ToSend };
    let summary = summary_of(delivery, &status);
    delivery.history = status.history();
    let next = status.next_attempt_time.unwrap_or(Timestamp::UNIX_EPOCH);
    match (status.phase, delivery.redeliver.as_deref()) {
        (ResponsePhase::Pending, _) => Found::ToSend,
        (ResponsePhase::Retrying, _) => Found::Tried(next, summary),
        (_, Some(value)) if status.redelivered.as_deref() != Some(value) => {
            delivery.history = std::mem::take(&mut delivery.history).anew();
            Found::ToSend
        }
        _ => Found::Ended(summary),
    }
}

fn summary_of(delivery: &Delivery, status: &WebhookResponseStatus) -> DeliverySummary {
    delivery.summary(status.phase, status.status_code, Some(delivery.response_name()))
}

/// Makes the WebhookResponse of a delivery, before anything came of it.
fn pending(delivery: &Delivery, watched: &WatchedWebhook, name: &str) -> WebhookResponse {
    let (event, webhook) = (&*delivery.event, &watched.webhook);
    let reference = EventRef { name: event.name.clone(), uid: event.uid.clone() };
    let mut object =
        WebhookResponse::pending(name, &event.namespace, reference, &delivery.facts.alert_group_id, webhook);
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: Webhook::api_version(&()).into_owned(),
        kind: Webhook::kind(&()).into_owned(),
        name: webhook.name.clone(),
        uid: watched.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    object
}

/// Logs an error that a delivery has met.
pub(super) fn log(delivery: &Delivery, error: &str, what: &str) {
    let (namespace, event) = (&*delivery.event.namespace, &delivery.event.name);
    tracing::error!(namespace, webhook = &*delivery.webhook, event, error, "{what}");
}

fn logged<K>(result: Result<Option<K>, objects::Error>) -> Option<K> {
    result.unwrap_or_else(|error| {
        tracing::error!(error = error_chain(&error), "read");
        None
    })
}

/// Reads from a response what sending it again needs.
pub(crate) fn redelivery_request(name: NamespacedName, value: Arc<str>, found: &WebhookResponse) -> RedeliveryRequest {
    let status = found.status.as_ref();
    RedeliveryRequest {
        name,
        value,
        event: found.spec.event_ref.name.clone(),
        event_uid: found.spec.event_ref.uid.clone(),
        webhook: Arc::from(found.spec.webhook_ref.name.as_str()),
        owners: found.owner_references().iter().map(|owner| owner.uid.clone()).collect(),
        has_status: status.is_some(),
        history: status.map_or_else(AttemptHistory::default, WebhookResponseStatus::history),
        redelivered: status.and_then(|status| status.redelivered.clone()),
        next_attempt: status.and_then(|status| status.next_attempt_time),
        version: version_of(found),
    }
}
