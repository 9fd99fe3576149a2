//! One webhook's run for one event: prepare, send, record.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, channel::mpsc};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    catalog::Entry,
    history::{Content, History},
    secrets::Secrets,
};
use crate::{
    core::{
        event::{EventData, EventFacts, Own},
        id,
        matching::SAME_APPLY,
        request::{self, Prepared},
        response::Record,
        webhook::EventType,
    },
    delivery::{Origin, Sender},
    kubernetes::objects::{self, Objects, chain},
    resources::{
        AlertGroupEvent, EventRef, LastRun, ResponsePhase, Webhook, WebhookLine, WebhookResponse, WebhookResponseStatus,
    },
};

/// How often to look for a Secret that should be there any moment.
const SECRETS_EVERY: Duration = Duration::from_millis(50);

/// What names an event, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl EventKey {
    pub(crate) fn of(event: &impl ResourceExt) -> Self {
        Self {
            namespace: event.namespace().unwrap_or_default(),
            name: event.name_any(),
            uid: event.uid().unwrap_or_default(),
        }
    }

    pub(crate) fn reference(&self) -> ObjectRef<AlertGroupEvent> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

/// What is to be delivered.
pub(crate) struct Delivery {
    pub(crate) event: EventKey,
    pub(crate) facts: Arc<EventFacts>,
    /// The event's data; read again where it is not kept any more.
    pub(crate) data: Option<Arc<EventData>>,
    /// Whether it may have been delivered before this process began.
    pub(crate) inherited: bool,
    pub(crate) entry: Arc<Entry>,
}

/// Delivers, within bounds, and records.
pub(crate) struct Deliverer {
    objects: Objects,
    sender: Sender,
    secrets: Secrets,
    history: History,
    /// One permit for each delivery that may be sent and not yet recorded.
    unrecorded: Semaphore,
    /// The runs that are to be shown in their webhooks' status, by namespace and name.
    last_runs: Mutex<HashMap<(String, String), LastRun>>,
    ran: mpsc::UnboundedSender<ObjectRef<Webhook>>,
}

impl Deliverer {
    /// Also returns the webhooks that have run.
    pub(crate) fn new(
        objects: Objects,
        sender: Sender,
        secrets: Secrets,
        history: History,
        max_unrecorded: usize,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Webhook>>) {
        let (ran, runs) = mpsc::unbounded();
        let unrecorded = Semaphore::new(max_unrecorded);
        let last_runs = Mutex::default();
        (Arc::new(Self { objects, sender, secrets, history, unrecorded, last_runs, ran }), runs)
    }

    /// The run that is to be shown in a webhook's status, once.
    pub(crate) fn take_last_run(&self, namespace: &str, webhook: &str) -> Option<LastRun> {
        self.last_runs.lock().remove(&(namespace.to_owned(), webhook.to_owned()))
    }

    /// Puts back one that could not be shown, unless there is a later one.
    pub(crate) fn return_last_run(&self, namespace: &str, webhook: &str, run: LastRun) {
        self.last_runs.lock().entry((namespace.to_owned(), webhook.to_owned())).or_insert(run);
    }

    /// Runs the webhook and records what came of it. What can't be recorded is logged, and counts as it came out.
    /// None if this process stops before it began.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Option<WebhookLine> {
        let name = id::response_name(&delivery.event.uid, &delivery.entry.webhook.name);
        // Later events of the alert group wait for this one: it must end, come what may.
        match AssertUnwindSafe(self.run(delivery, &name)).catch_unwind().await {
            Ok(Ok(line)) => return line,
            Ok(Err(error)) => log(delivery, &chain(&error), "deliver"),
            Err(_) => log(delivery, "a bug: the panic is in the log", "deliver"),
        }
        Some(line(delivery, ResponsePhase::Failed, None, None))
    }

    /// Begins nothing more.
    pub(crate) fn stop(&self) {
        self.unrecorded.close();
    }

    async fn run(&self, delivery: &Delivery, name: &str) -> Result<Option<WebhookLine>, objects::Error> {
        let (namespace, webhook) = (&delivery.event.namespace, &delivery.entry.webhook);
        let mut exists = false;
        if delivery.inherited && self.history.was_there(namespace, name) {
            let recorded = objects::persist(|| self.objects.get::<WebhookResponse>(namespace, name)).await?;
            exists = recorded.is_some();
            if let Some(status) = recorded.and_then(|response| response.status)
                && status.phase != ResponsePhase::Pending
            {
                return Ok(Some(line(delivery, status.phase, status.status_code, Some(name))));
            }
        }
        let data = match &delivery.data {
            Some(data) => Arc::clone(data),
            None => match self.read(&delivery.event).await? {
                Some(data) => data,
                None => return Ok(Some(line(delivery, ResponsePhase::Skipped, None, None))),
            },
        };
        // Never closed.
        let _slot = delivery.entry.slots.acquire().await;
        self.secrets_of_the_same_apply(&delivery.entry).await;
        let responses = self.history.responses(namespace, &delivery.facts.alert_group_id, &webhook.name).await?;
        let own = Own::new(webhook.template_data(), responses);
        let masked = delivery.facts.event_type == EventType::PersonalNotification;
        let secret = |key: &_| self.secrets.get(namespace, key).map_err(|missing| missing.to_string());

        let (_unrecorded, created, status) = match request::prepare(webhook, &data, &own, masked, &secret) {
            Prepared::Skip(_) => return Ok(Some(line(delivery, ResponsePhase::Skipped, None, None))),
            Prepared::Refused(record) => {
                let Ok(permit) = self.unrecorded.acquire().await else { return Ok(None) };
                let created = self.create(delivery, name, exists).await;
                (permit, created, WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new()))
            }
            Prepared::Send(request, record) => {
                let Ok(permit) = self.unrecorded.acquire().await else { return Ok(None) };
                // In this order: the request does not wait until the other call has left.
                let (status, created) =
                    tokio::join!(self.attempt(delivery, &request, record, name), self.create(delivery, name, exists));
                (permit, created, status)
            }
        };
        let recorded = match created {
            Ok(()) => self.record(delivery, name, &status).await,
            refused => refused,
        };
        let response = match &recorded {
            Ok(()) => Some(name),
            Err(error) => {
                // What was sent was sent: the event's status says how it came out.
                log(delivery, &chain(error), "record");
                None
            }
        };
        Ok(Some(line(delivery, status.phase, status.status_code, response)))
    }

    /// Waits a while for the Secrets of a webhook that is new: they are watched apart from it, and one `kubectl apply -f dir/`
    /// makes both.
    async fn secrets_of_the_same_apply(&self, entry: &Entry) {
        let is_missing = || entry.webhook.secrets().any(|(_, key)| self.secrets.get(&entry.namespace, key).is_err());
        while entry.appeared.elapsed() < SAME_APPLY && is_missing() {
            tokio::time::sleep(SECRETS_EVERY).await;
        }
    }

    /// The data of an event that is not kept any more; None if it is gone.
    async fn read(&self, event: &EventKey) -> Result<Option<Arc<EventData>>, objects::Error> {
        let found = objects::persist(|| self.objects.get::<AlertGroupEvent>(&event.namespace, &event.name)).await?;
        Ok(found
            .filter(|found| found.metadata.uid.as_ref() == Some(&event.uid))
            .and_then(|found| found.spec.data().ok())
            .map(Arc::new))
    }

    async fn attempt(
        &self,
        delivery: &Delivery,
        request: &request::Request,
        record: Record,
        name: &str,
    ) -> WebhookResponseStatus {
        let webhook = &delivery.entry.webhook;
        let origin = Origin { namespace: &delivery.event.namespace, webhook: &webhook.name };
        let (time, started) = (Timestamp::now(), Instant::now());
        let outcome = self.sender.send(origin, request, name, webhook.timeout).await;
        WebhookResponseStatus::attempted(record, &outcome, &request.secrets, time, started.elapsed())
    }

    /// Makes the object that stands for the run, where it is not there yet.
    async fn create(&self, delivery: &Delivery, name: &str, exists: bool) -> Result<(), objects::Error> {
        if exists {
            return Ok(());
        }
        let namespace = &delivery.event.namespace;
        let object = object(delivery, name);
        match objects::persist(|| self.objects.create(namespace, name, &object)).await {
            // A call that seemed to fail had worked.
            Err(error) if error.is_conflict() => Ok(()),
            result => result,
        }
    }

    async fn record(
        &self,
        delivery: &Delivery,
        name: &str,
        status: &WebhookResponseStatus,
    ) -> Result<(), objects::Error> {
        let (namespace, webhook) = (&delivery.event.namespace, &delivery.entry.webhook);
        let ended = status.timestamp.unwrap_or_else(Timestamp::now);
        let content = Content { webhook_id: webhook.id.clone(), content: status.content.clone() };
        self.history.note(namespace, &delivery.facts.alert_group_id, &webhook.name, name, ended, content);
        objects::persist(|| self.objects.patch_status::<WebhookResponse>(namespace, name, status)).await?;
        let run =
            LastRun { time: ended, outcome: status.phase, status_code: status.status_code, response: name.to_owned() };
        if self.last_runs.lock().insert((namespace.clone(), webhook.name.clone()), run).is_none() {
            // The controller lives as long as the process.
            let _ = self.ran.unbounded_send(ObjectRef::new(&webhook.name).within(namespace));
        }
        Ok(())
    }
}

fn log(delivery: &Delivery, error: &str, what: &str) {
    let (event, webhook) = (&delivery.event, &delivery.entry.webhook.name);
    tracing::error!(namespace = event.namespace, webhook, event = event.name, error, "{what}");
}

fn line(delivery: &Delivery, outcome: ResponsePhase, status_code: Option<u16>, response: Option<&str>) -> WebhookLine {
    WebhookLine {
        name: delivery.entry.webhook.name.clone(),
        outcome,
        status_code,
        response: response.map(str::to_owned),
    }
}

fn object(delivery: &Delivery, name: &str) -> WebhookResponse {
    let (event, webhook) = (&delivery.event, &delivery.entry.webhook);
    let reference = EventRef { name: event.name.clone(), uid: event.uid.clone() };
    let mut object =
        WebhookResponse::pending(name, &event.namespace, reference, &delivery.facts.alert_group_id, webhook);
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: Webhook::api_version(&()).into_owned(),
        kind: Webhook::kind(&()).into_owned(),
        name: webhook.name.clone(),
        uid: delivery.entry.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    object
}
