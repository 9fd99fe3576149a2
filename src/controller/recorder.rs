//! Writes what came of deliveries into WebhookResponses, and reads what other processes have written there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    catalog::WatchedWebhook,
    journal::Journal,
    record::{self, Written},
};
use crate::{
    core::{
        delivery::{AttemptHistory, Delivery, DeliverySummary, EventKey, ResponsePhase},
        lifecycle::{Found, RedeliveryRequest},
        name::NamespacedName,
        response::ResponseRecord,
    },
    errors::error_chain,
    kubernetes::{
        name::name_of,
        objects::{self, Objects},
        resource_version::{ResourceVersion, version_of},
    },
    resources::{
        AlertGroupEvent, EventRef, RECORDED_AT_ANNOTATION, Webhook, WebhookResponse, WebhookResponseStatus,
        closing_patch,
    },
};

/// How long to wait before an object that can't be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// What was recorded of a delivery before an attempt.
#[derive(Clone, Copy)]
pub(super) struct RecordedBefore {
    /// How many attempts.
    pub(super) attempts: u32,
    /// Whether there was no WebhookResponse.
    pub(super) nothing: bool,
}

impl RecordedBefore {
    /// What is recorded of a delivery now.
    pub(super) fn of(delivery: &Delivery) -> Self {
        let is_new = delivery.history == AttemptHistory::default();
        Self { attempts: delivery.history.count, nothing: is_new && delivery.version.is_none() }
    }

    /// Whether a record may go into the journal: one that tells of no more attempts than another would count for nothing there.
    fn may_be_journaled(self, response: &WebhookResponse) -> bool {
        self.nothing || response.status.as_ref().is_some_and(|status| status.attempt_count > self.attempts)
    }
}

/// Writes and reads WebhookResponses.
pub(crate) struct Recorder {
    objects: Objects,
    journal: Arc<Journal>,
    /// How many records are on the way to their objects.
    direct: AtomicUsize,
    stop: CancellationToken,
}

/// A record on the way to its object.
struct Direct<'a>(&'a AtomicUsize);

impl<'a> Direct<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Direct<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Recorder {
    /// Gives up reading what can't be read when `stop` is cancelled.
    pub(crate) fn new(objects: Objects, journal: Arc<Journal>, stop: CancellationToken) -> Self {
        Self { objects, journal, direct: AtomicUsize::new(0), stop }
    }

    /// Reads what another process may have recorded of a delivery. What can't be read is not taken for nothing: it is tried
    /// again. None if this process stops before.
    pub(crate) async fn look_up(&self, delivery: &mut Delivery) -> Option<Found> {
        let (namespace, name) = (&*delivery.event.namespace, delivery.response_name());
        // What the journal has of it may be older than what is there.
        self.journal.settle(&NamespacedName::new(namespace, &*name)).await;
        loop {
            match objects::persist(|| self.objects.get::<WebhookResponse>(namespace, &name)).await {
                Ok(Some(response)) => return Some(found(delivery, response)),
                Ok(None) => return Some(Found::ToSend),
                Err(error) => log(
                    delivery,
                    &error_chain(&error),
                    "failed to read what is recorded of a delivery; trying again in a minute",
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(REREAD_AFTER) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    /// Records what came of an attempt: in its object, or in the journal if many others are on the way. Returns what another replica
    /// has recorded in the meantime, if one has: that stays.
    pub(super) async fn record(
        &self,
        delivery: &mut Delivery,
        webhook: &WatchedWebhook,
        status: &mut WebhookResponseStatus,
        before: RecordedBefore,
    ) -> Result<Option<WebhookResponseStatus>, objects::Error> {
        let name = delivery.response_name();
        let mut response = bare(delivery, webhook, &name);
        response.metadata.resource_version = delivery.version.as_ref().map(ToString::to_string);
        let now = Timestamp::now().as_microsecond().to_string();
        response.metadata.annotations = Some([(RECORDED_AT_ANNOTATION.to_owned(), now)].into());
        response.status = Some(std::mem::take(status));
        let recorded = match self.record_response(delivery, webhook, &mut response, before).await {
            // The journal is elsewhere: what is there, the next process writes out that may.
            Err(error)
                if error.is_forbidden()
                    && before.may_be_journaled(&response)
                    && self.journal.is_refused(&name_of(&response)).await
                    && self.journal.append(&response, webhook.generation).await.is_ok() =>
            {
                Ok(Written::Ours(None))
            }
            recorded => recorded,
        };
        *status = response.status.unwrap_or_default();
        let theirs = match recorded? {
            Written::Ours(version) => {
                delivery.version = version;
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
        let EventKey { namespace, name: event, .. } = &*delivery.event;
        tracing::warn!(
            namespace = &**namespace,
            response = name,
            event,
            "another replica has recorded an attempt of this delivery; its record counts"
        );
        Ok(Some(theirs))
    }

    async fn record_response(
        &self,
        delivery: &Delivery,
        webhook: &WatchedWebhook,
        response: &mut WebhookResponse,
        before: RecordedBefore,
    ) -> Result<Written, objects::Error> {
        let name = name_of(response);
        let is_pending = self.journal.is_pending(&name);
        if before.may_be_journaled(response)
            && (is_pending || self.direct.load(Ordering::Relaxed) >= self.journal.direct_limit())
            && self.journal.append(response, webhook.generation).await.is_ok()
        {
            return Ok(Written::Ours(None));
        }
        if is_pending {
            self.journal.settle(&name).await;
        }
        let _direct = Direct::begin(&self.direct);
        response.metadata.resource_version = None;
        if before.nothing
            && let Some(version) = objects::persist(|| record::create(&self.objects, response)).await?
        {
            return Ok(Written::Ours(Some(version)));
        }
        let is_untouched = |theirs: &WebhookResponseStatus| {
            theirs.attempt_count == before.attempts && (!before.nothing || theirs.phase == ResponsePhase::Pending)
        };
        let patch = record::replacing(response);
        let version = delivery.version.clone().filter(|_| !is_pending);
        record::write(&self.objects, &name.namespace, &name.name, version, &patch, is_untouched).await
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
        let response = NamespacedName::new(Arc::clone(&delivery.event.namespace), delivery.response_name());
        let patch = closing_patch(&delivery.history, Timestamp::now(), delivery.redeliver.as_deref(), why);
        let patch = record::patch(&patch, None);
        let attempts = delivery.history.count;
        let is_untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == attempts;
        if let Err(error) = self.write(&response, delivery.version.clone(), &patch, is_untouched).await {
            log(delivery, &error_chain(&error), "failed to record how a delivery ended");
        }
        let (outcome, status_code) = delivery.history.outcome();
        delivery.summary(outcome, status_code, Some(response.name.to_string()))
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
        let mut status = WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new());
        let before = RecordedBefore::of(delivery);
        match self.record(delivery, webhook, &mut status, before).await {
            Ok(theirs) => summary_of(delivery, &theirs.unwrap_or(status)),
            Err(error) => {
                log(delivery, &error_chain(&error), "failed to record how a delivery ended");
                summary_of(delivery, &status)
            }
        }
    }

    /// Logs why a WebhookResponse can't be sent again, and records it there. One without a status gets none: it shows what the
    /// operator has made.
    pub(crate) async fn decline(&self, asked: &RedeliveryRequest, why: &str) {
        let NamespacedName { namespace, name } = &asked.name;
        let patch = closing_patch(&asked.history.clone().anew(), Timestamp::now(), Some(&asked.value), Some(why));
        let patch = record::patch(&patch, None);
        tracing::warn!(namespace = &**namespace, response = &**name, why, "a WebhookResponse can't be sent again");
        if !asked.has_status {
            return;
        }
        let is_untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == asked.history.count;
        if let Err(error) = self.write(&asked.name, Some(asked.version.clone()), &patch, is_untouched).await {
            tracing::error!(
                namespace = &**namespace,
                response = &**name,
                error = error_chain(&error),
                "failed to record why a WebhookResponse can't be sent again"
            );
        }
    }

    /// Reads a WebhookResponse; None if it is gone, or can't be read.
    pub(crate) async fn response(&self, name: &NamespacedName) -> Option<WebhookResponse> {
        self.journal.settle(name).await;
        logged(objects::persist(|| self.objects.get(&name.namespace, &name.name)).await)
    }

    /// Reads an AlertGroupEvent; None if it is gone, or can't be read.
    pub(crate) async fn event(&self, namespace: &str, name: &str) -> Option<AlertGroupEvent> {
        logged(objects::persist(|| self.objects.get(namespace, name)).await)
    }

    /// Patches the status of a WebhookResponse, after what the journal has of it.
    async fn write(
        &self,
        response: &NamespacedName,
        version: Option<ResourceVersion>,
        patch: &Value,
        is_untouched: impl Fn(&WebhookResponseStatus) -> bool,
    ) -> Result<Written, objects::Error> {
        let is_pending = self.journal.is_pending(response);
        self.journal.settle(response).await;
        let version = version.filter(|_| !is_pending);
        record::write(&self.objects, &response.namespace, &response.name, version, patch, is_untouched).await
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

/// Makes the WebhookResponse of a delivery, without a status.
fn bare(delivery: &Delivery, watched: &WatchedWebhook, name: &str) -> WebhookResponse {
    let (event, webhook) = (&*delivery.event, &watched.webhook);
    let reference = EventRef { name: event.name.clone(), uid: event.uid.clone() };
    let mut object = WebhookResponse::bare(name, &event.namespace, reference, &delivery.facts.alert_group_id, webhook);
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
        tracing::error!(
            namespace = error.namespace(),
            kind = error.kind(),
            name = error.name(),
            error = error_chain(&error),
            "failed to read what is to be sent again; it is not"
        );
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
