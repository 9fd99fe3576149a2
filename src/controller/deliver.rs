//! One attempt of a webhook's run for one event: prepare, send, judge, record.

use std::{
    num::NonZero,
    panic::AssertUnwindSafe,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures::{FutureExt, channel::mpsc};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    catalog::WatchedWebhook,
    history::{History, ResponseContent},
    payloads::Payloads,
    secrets::Secrets,
};
use crate::{
    core::{
        dispatch::Report,
        event::{EventData, EventFacts, Own},
        id,
        matching::SAME_APPLY,
        request::{self, Prepared},
        response::{Outcome, Record},
        retry::{self, Verdict},
        webhook::EventType,
    },
    delivery::{Origin, Sender},
    errors::error_chain,
    kubernetes::{
        lease::Leadership,
        objects::{self, Objects},
        resource_version::ResourceVersion,
    },
    resources::{
        AlertGroupEvent, EventRef, LastRun, ResponsePhase, Tries, Webhook, WebhookLine, WebhookResponse,
        WebhookResponseStatus,
    },
};

/// How often to look for a Secret that should be there any moment.
const SECRETS_EVERY: Duration = Duration::from_millis(50);

/// How long to wait before what can't be read is read again.
const UNREADABLE: Duration = Duration::from_secs(60);

/// Templates that take longer than this are rendered where they hold up nobody else, from the second time on.
const SLOW: Duration = Duration::from_millis(5);

/// What names an event, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventKey {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl EventKey {
    pub(crate) fn of(event: &impl ResourceExt) -> Self {
        Self {
            namespace: Arc::from(event.namespace().unwrap_or_default()),
            name: event.name_any(),
            uid: event.uid().unwrap_or_default(),
        }
    }

    pub(crate) fn reference(&self) -> ObjectRef<AlertGroupEvent> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

/// What is to be delivered, and how far it is.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) event: Arc<EventKey>,
    pub(crate) facts: Arc<EventFacts>,
    /// Number of the event.
    pub(crate) number: u64,
    pub(crate) webhook: Arc<str>,
    /// Uid of the webhook.
    pub(crate) uid: Arc<str>,
    pub(crate) tries: Tries,
    /// Its WebhookResponse as it was last read or written; None if it is not there yet.
    pub(crate) version: Option<ResourceVersion>,
    /// The value of the annotation that asked to send it again.
    pub(crate) redeliver: Option<Arc<str>>,
}

impl Delivery {
    /// Name of its WebhookResponse, and its `webhook-id`.
    pub(crate) fn response(&self) -> String {
        id::response_name(&self.event.uid, &self.webhook)
    }

    fn line(&self, outcome: ResponsePhase, status_code: Option<u16>, response: Option<String>) -> WebhookLine {
        WebhookLine { name: self.webhook.to_string(), outcome, status_code, response }
    }

    fn line_of(&self, status: &WebhookResponseStatus) -> WebhookLine {
        self.line(status.phase, status.status_code, Some(self.response()))
    }

    /// What is said of it where the operator itself failed.
    fn bug(&self, what: &str) -> WebhookLine {
        self.log("a bug: the panic is in the log", what);
        self.line(ResponsePhase::Failed, None, None)
    }

    fn log(&self, error: &str, what: &str) {
        let EventKey { namespace, name, .. } = &*self.event;
        tracing::error!(namespace = &**namespace, webhook = &*self.webhook, event = name, error, "{what}");
    }
}

/// How far a delivery is after a turn.
#[derive(Debug)]
pub(crate) enum Done {
    /// It is over.
    Ended(WebhookLine),
    /// It is to be sent again then.
    Again(Timestamp, WebhookLine),
    /// This process stops: it is for the next one.
    Stopped,
}

/// What was found of a delivery that another process may have begun.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is over.
    Ended(WebhookLine),
    /// It was tried, and is to be sent again then.
    Tried(Timestamp, WebhookLine),
    /// It is to be sent.
    Nothing,
}

/// What came of writing a status.
enum Written {
    /// It is there.
    Ours(ResourceVersion),
    /// There is no such object any more.
    Gone,
    /// Another replica's is there, and stays.
    Theirs(ResourceVersion, Box<WebhookResponseStatus>),
}

/// Sends, and records.
pub(crate) struct Deliverer {
    objects: Objects,
    sender: Sender,
    secrets: Secrets,
    history: Arc<History>,
    payloads: Payloads,
    lease: Leadership,
    stop: CancellationToken,
    /// One permit for each slow rendering at a time.
    slow: Semaphore,
    ran: mpsc::UnboundedSender<ObjectRef<Webhook>>,
}

/// What a [`Deliverer`] works with.
pub(crate) struct Parts {
    pub(crate) objects: Objects,
    pub(crate) sender: Sender,
    pub(crate) secrets: Secrets,
    pub(crate) history: Arc<History>,
    pub(crate) lease: Leadership,
}

impl Deliverer {
    /// Also returns the webhooks that have run, or of which something else is to be shown.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Webhook>>) {
        let Parts { objects, sender, secrets, history, lease } = parts;
        let (ran, runs) = mpsc::unbounded();
        let deliverer = Self {
            objects,
            sender,
            secrets,
            history,
            payloads: Payloads::new(),
            lease,
            stop: CancellationToken::new(),
            slow: Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)),
            ran,
        };
        (Arc::new(deliverer), runs)
    }

    /// Has the status of a webhook looked at.
    pub(crate) fn show(&self, namespace: &str, webhook: &str) {
        // The controller lives as long as the process.
        let _ = self.ran.unbounded_send(ObjectRef::new(webhook).within(namespace));
    }

    /// Keeps an event's data at hand.
    pub(crate) fn keep(&self, event: &EventKey, data: EventData) {
        self.payloads.insert(&event.uid, Arc::new(data));
    }

    /// The data of an event is not needed any more.
    pub(crate) fn forget(&self, event: &EventKey) {
        self.payloads.remove(&event.uid);
    }

    /// Begins nothing more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Resolves when nothing more is to be begun.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether there may have been a WebhookResponse of that event and webhook at the start. False is certain.
    pub(crate) fn was_there(&self, event: &EventKey, webhook: &str) -> bool {
        self.history.was_there(&event.namespace, &id::response_name(&event.uid, webhook))
    }

    /// Whether there may have been a WebhookResponse of that event at the start. False is certain.
    pub(crate) fn had_responses(&self, event: &EventKey) -> bool {
        self.history.had_responses(&event.namespace, &event.name)
    }

    /// Whether a webhook is new and lacks a Secret, which may come any moment: they are watched apart from it, and one
    /// `kubectl apply -f dir/` makes both.
    pub(crate) fn awaits_secrets(&self, entry: &WatchedWebhook) -> bool {
        let is_missing = |key: &_| self.secrets.get(&entry.namespace, key).is_err();
        entry.appeared.elapsed() < SAME_APPLY && entry.webhook.secrets().any(|(_, key)| is_missing(key))
    }

    /// Waits a while for the Secrets of a webhook that is new.
    pub(crate) async fn secrets_of_the_same_apply(&self, entry: &WatchedWebhook) {
        while self.awaits_secrets(entry) {
            tokio::time::sleep(SECRETS_EVERY).await;
        }
    }

    /// Reads what another process may have recorded of a delivery. What can't be read is not taken for nothing: it is tried
    /// again. None if this process stops before.
    pub(crate) async fn look_up(&self, delivery: &mut Delivery) -> Option<Found> {
        let (namespace, name) = (Arc::clone(&delivery.event.namespace), delivery.response());
        loop {
            match objects::persist(|| self.objects.get::<WebhookResponse>(&namespace, &name)).await {
                Ok(Some(recorded)) => return Some(Self::found(delivery, recorded)),
                Ok(None) => return Some(Found::Nothing),
                Err(error) => delivery.log(&error_chain(&error), "look up"),
            }
            tokio::select! {
                () = tokio::time::sleep(UNREADABLE) => {}
                () = self.stopped() => return None,
            }
        }
    }

    fn found(delivery: &mut Delivery, recorded: WebhookResponse) -> Found {
        delivery.version = Some(ResourceVersion::of(&recorded));
        let Some(status) = recorded.status else { return Found::Nothing };
        let line = delivery.line_of(&status);
        delivery.tries = Tries::of(&status);
        let next = status.next_attempt_time.unwrap_or(Timestamp::UNIX_EPOCH);
        match (status.phase, delivery.redeliver.as_deref()) {
            (ResponsePhase::Pending, _) => Found::Nothing,
            (ResponsePhase::Retrying, _) => Found::Tried(next, line),
            (_, Some(value)) if status.redelivered.as_deref() != Some(value) => {
                delivery.tries = std::mem::take(&mut delivery.tries).anew();
                Found::Nothing
            }
            _ => Found::Ended(line),
        }
    }

    /// Sends the request and records what came of it. What can't be recorded is logged, and counts as it came out. `entry` is
    /// None if there is no such webhook any more.
    pub(crate) async fn attempt(&self, delivery: &mut Delivery, entry: Option<&Arc<WatchedWebhook>>) -> (Done, Report) {
        let Some(entry) = entry.filter(|entry| entry.webhook.enabled) else {
            return (Done::Ended(self.end(delivery, entry, None).await), Report::Nothing);
        };
        // Later events of the alert group wait for this one: it must end, come what may.
        match AssertUnwindSafe(self.run(delivery, entry)).catch_unwind().await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                // The event can't be read, for now.
                delivery.log(&error_chain(&error), "deliver");
                let next = Timestamp::now().saturating_add(UNREADABLE).unwrap_or(Timestamp::MAX);
                (Done::Again(next, delivery.line(ResponsePhase::Pending, None, None)), Report::Nothing)
            }
            Err(_) => (Done::Ended(delivery.bug("deliver")), Report::Nothing),
        }
    }

    /// Ends a delivery that waited too long for an endpoint that is down.
    pub(crate) async fn give_up(&self, delivery: &mut Delivery, entry: Option<&Arc<WatchedWebhook>>) -> WebhookLine {
        let why = "Not sent: the endpoint had failed before, and did not answer others until the deadline";
        // As for an attempt: it must end, come what may.
        match AssertUnwindSafe(self.end(delivery, entry, Some(why))).catch_unwind().await {
            Ok(line) => line,
            Err(_) => delivery.bug("give up"),
        }
    }

    async fn run(
        &self,
        delivery: &mut Delivery,
        entry: &Arc<WatchedWebhook>,
    ) -> Result<(Done, Report), objects::Error> {
        let Some(data) = self.data(&delivery.event).await? else {
            let why = "Not sent: the AlertGroupEvent is gone";
            return Ok((Done::Ended(self.end(delivery, Some(entry), Some(why)).await), Report::Nothing));
        };
        let namespace = &*delivery.event.namespace;
        let responses = self.history.responses(namespace, &delivery.facts.alert_group_id, &delivery.webhook).await;
        let own = Own::new(entry.webhook.template_data(), responses);
        let (seen, fresh) = (delivery.tries.count, delivery.version.is_none());
        let (status, verdict, created) = match self.prepare(delivery, entry, data, own).await {
            Prepared::Skip(_) => return Ok((Done::Ended(self.end(delivery, None, None).await), Report::Nothing)),
            Prepared::Refused(record) => {
                let status = WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new());
                (status, Verdict::Refused, self.create(delivery, entry).await)
            }
            Prepared::Send(request, record) => {
                if !self.may_send().await {
                    return Ok((Done::Stopped, Report::Nothing));
                }
                // In this order: the request does not wait until the other call has left.
                let sent = self.send(delivery, entry, &request, record);
                let (Some((status, verdict)), created) = tokio::join!(sent, self.create(delivery, entry)) else {
                    return Ok((Done::Stopped, Report::Nothing));
                };
                (status, verdict, created)
            }
        };
        let sent = !status.attempts.is_empty();
        let status = status.after(&mut delivery.tries, delivery.redeliver.as_deref());
        let (report, next) = match (verdict, delivery.tries.round.filter(|_| sent)) {
            (Verdict::Later(asked), Some(round)) => {
                let ended = status.timestamp.unwrap_or_else(Timestamp::now);
                let next = entry.webhook.retry.next(round.attempts, round.since, ended, asked, chance());
                (Report::Failed(asked), next)
            }
            (_, Some(_)) => (Report::Answered, None),
            (_, None) => (Report::Nothing, None),
        };
        if verdict == Verdict::Gone {
            entry.suspend();
        }
        let status = match next {
            Some(next) => status.until(next),
            None => status.redelivered(delivery.redeliver.as_deref()),
        };
        let recorded = match created {
            Ok(version) => self.record(delivery, version, seen, fresh, &status).await,
            Err(error) => Err(error),
        };
        let (status, response) = match recorded {
            Ok(theirs) => (theirs.unwrap_or(status), Some(delivery.response())),
            Err(error) => {
                // What was sent was sent: the event's status says how it came out.
                delivery.log(&error_chain(&error), "record");
                (status, None)
            }
        };
        self.note(delivery, entry, &status);
        let line = delivery.line(status.phase, status.status_code, response);
        Ok(match (status.phase, status.next_attempt_time) {
            (ResponsePhase::Retrying, Some(next)) => (Done::Again(next, line), report),
            _ => (Done::Ended(line), report),
        })
    }

    /// The data of an event; None if it is gone.
    async fn data(&self, event: &EventKey) -> Result<Option<Arc<EventData>>, objects::Error> {
        if let Some(data) = self.payloads.get(&event.uid) {
            return Ok(Some(data));
        }
        let found = objects::persist(|| self.objects.get::<AlertGroupEvent>(&event.namespace, &event.name)).await?;
        let data = found
            .filter(|found| found.metadata.uid.as_ref() == Some(&event.uid))
            .and_then(|found| found.spec.data().ok())
            .map(Arc::new);
        if let Some(data) = &data {
            self.payloads.insert(&event.uid, Arc::clone(data));
        }
        Ok(data)
    }

    /// Renders the request: here, or where it holds up nobody if that took long the last time.
    async fn prepare(
        &self,
        delivery: &Delivery,
        entry: &Arc<WatchedWebhook>,
        data: Arc<EventData>,
        own: Own,
    ) -> Prepared {
        let masked = delivery.facts.event_type == EventType::PersonalNotification;
        let (entry, secrets) = (Arc::clone(entry), self.secrets.clone());
        let slow = entry.is_slow();
        let prepare = move || {
            let started = Instant::now();
            let secret = |key: &_| secrets.get(&entry.namespace, key).map_err(|missing| missing.to_string());
            let prepared = request::prepare(&entry.webhook, &data, &own, masked, &secret);
            entry.set_slow(started.elapsed() > SLOW);
            prepared
        };
        if !slow {
            return prepare();
        }
        // Never closed.
        let _turn = self.slow.acquire().await;
        match tokio::task::spawn_blocking(prepare).await {
            Ok(prepared) => prepared,
            // As it would have panicked here.
            Err(error) => std::panic::resume_unwind(error.try_into_panic().unwrap_or_else(|error| Box::new(error))),
        }
    }

    /// Waits until it is certain that no other replica sends. False if this process stops before.
    async fn may_send(&self) -> bool {
        if self.lease.is_held() {
            return true;
        }
        tokio::select! {
            () = self.lease.held() => true,
            () = self.stopped() => false,
        }
    }

    /// None if this process stops before anything is sent.
    async fn send(
        &self,
        delivery: &Delivery,
        entry: &WatchedWebhook,
        request: &request::Request,
        record: Record,
    ) -> Option<(WebhookResponseStatus, Verdict)> {
        let webhook = &entry.webhook;
        let origin = Origin { namespace: &delivery.event.namespace, webhook: &webhook.name };
        loop {
            let (time, started) = (Timestamp::now(), Instant::now());
            let outcome = self.sender.send(origin, request, &delivery.response(), webhook.timeout).await;
            if outcome != Outcome::Withheld {
                let status =
                    WebhookResponseStatus::attempted(record, &outcome, &request.secrets, time, started.elapsed());
                return Some((status, retry::judge(&outcome)));
            }
            if !self.may_send().await {
                return None;
            }
        }
    }

    /// Makes the object that stands for the run, where it is not there yet. Returns its version; None if it was there after all.
    async fn create(
        &self,
        delivery: &Delivery,
        entry: &WatchedWebhook,
    ) -> Result<Option<ResourceVersion>, objects::Error> {
        if delivery.version.is_some() {
            return Ok(delivery.version.clone());
        }
        let (namespace, name) = (&*delivery.event.namespace, delivery.response());
        let object = object(delivery, entry, &name);
        match objects::persist(|| self.objects.create(namespace, &name, &object)).await {
            Ok(version) => Ok(Some(version)),
            // A call that seemed to fail had worked, or another replica was there.
            Err(error) if error.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records what came of an attempt, `seen` others being recorded; `fresh` if there was no record at all. Returns what
    /// another replica has recorded in the meantime, if one has: that stays.
    async fn record(
        &self,
        delivery: &mut Delivery,
        version: Option<ResourceVersion>,
        seen: u32,
        fresh: bool,
        status: &WebhookResponseStatus,
    ) -> Result<Option<WebhookResponseStatus>, objects::Error> {
        let (namespace, name) = (Arc::clone(&delivery.event.namespace), delivery.response());
        let patch = if fresh { serde_json::to_value(status) } else { status.replacing() };
        let untouched = |theirs: &WebhookResponseStatus| {
            theirs.attempt_count == seen && (!fresh || theirs.phase == ResponsePhase::Pending)
        };
        let theirs = match self.write(&namespace, &name, version, &patch.unwrap_or_default(), untouched).await? {
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
        delivery.tries = Tries::of(&theirs);
        let EventKey { name: event, .. } = &*delivery.event;
        tracing::warn!(namespace = &*namespace, response = name, event, "another replica recorded an attempt");
        Ok(Some(theirs))
    }

    /// Patches the status of a WebhookResponse at a version, read first if there is none; and at a later one if `untouched`
    /// says that what is there now can be written over.
    async fn write(
        &self,
        namespace: &str,
        name: &str,
        mut version: Option<ResourceVersion>,
        patch: &Value,
        untouched: impl Fn(&WebhookResponseStatus) -> bool,
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
            let now = ResourceVersion::of(&found);
            let theirs = found.status.unwrap_or_default();
            if !untouched(&theirs) {
                return Ok(Written::Theirs(now, Box::new(theirs)));
            }
            version = Some(now);
        }
    }

    /// Shows an attempt to templates and in the webhook's status.
    fn note(&self, delivery: &Delivery, entry: &WatchedWebhook, status: &WebhookResponseStatus) {
        let (namespace, webhook) = (&*delivery.event.namespace, &entry.webhook);
        let ended = status.timestamp.unwrap_or_else(Timestamp::now);
        let content = ResponseContent { webhook_id: webhook.id.clone(), content: status.content.clone() };
        let response = delivery.response();
        self.history.note(namespace, &delivery.facts.alert_group_id, &webhook.name, &response, content);
        let run = LastRun { time: ended, outcome: status.phase, status_code: status.status_code, response };
        if entry.last_run.note(run) {
            self.show(namespace, &webhook.name);
        }
    }

    /// Ends a delivery of which nothing more is sent, and says why in its record. `entry` makes a record where there is none.
    async fn end(
        &self,
        delivery: &mut Delivery,
        entry: Option<&Arc<WatchedWebhook>>,
        why: Option<&str>,
    ) -> WebhookLine {
        let (namespace, name) = (Arc::clone(&delivery.event.namespace), delivery.response());
        let content = why.map(str::to_owned);
        if delivery.tries.count == 0 && delivery.version.is_none() {
            let (Some(entry), Some(_)) = (entry, why) else {
                return delivery.line(ResponsePhase::Skipped, None, None);
            };
            let record = Record { content, ..Record::default() };
            let status = WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new());
            let recorded = match self.create(delivery, entry).await {
                Ok(version) => self.record(delivery, version, 0, true, &status).await,
                Err(error) => Err(error),
            };
            return match recorded {
                Ok(theirs) => delivery.line_of(&theirs.unwrap_or(status)),
                Err(error) => {
                    delivery.log(&error_chain(&error), "record");
                    delivery.line_of(&status)
                }
            };
        }
        let patch = delivery.tries.closing(Timestamp::now(), delivery.redeliver.as_deref(), why);
        let attempts = delivery.tries.count;
        let untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == attempts;
        if let Err(error) = self.write(&namespace, &name, delivery.version.clone(), &patch, untouched).await {
            delivery.log(&error_chain(&error), "record");
        }
        let (outcome, status_code) = delivery.tries.outcome();
        delivery.line(outcome, status_code, Some(name))
    }

    /// Says in the WebhookResponse why it can't be sent again.
    pub(crate) async fn decline(&self, namespace: &str, response: &WebhookResponse, value: &str, why: &str) {
        let status = response.status.clone().unwrap_or_default();
        let patch = Tries::of(&status).anew().closing(Timestamp::now(), Some(value), Some(why));
        let name = response.name_any();
        tracing::warn!(namespace, response = name, why, "send again");
        let version = Some(ResourceVersion::of(response));
        let untouched = |theirs: &WebhookResponseStatus| theirs.attempt_count == status.attempt_count;
        if let Err(error) = self.write(namespace, &name, version, &patch, untouched).await {
            tracing::error!(error = error_chain(&error), "record");
        }
    }

    /// Reads a WebhookResponse.
    pub(crate) async fn response(&self, namespace: &str, name: &str) -> Option<WebhookResponse> {
        found(objects::persist(|| self.objects.get(namespace, name)).await)
    }

    /// Reads an AlertGroupEvent.
    pub(crate) async fn event(&self, namespace: &str, name: &str) -> Option<AlertGroupEvent> {
        found(objects::persist(|| self.objects.get(namespace, name)).await)
    }
}

fn found<K>(result: Result<Option<K>, objects::Error>) -> Option<K> {
    result.unwrap_or_else(|error| {
        tracing::error!(error = error_chain(&error), "read");
        None
    })
}

/// From 0 to 1.
pub(crate) fn chance() -> f64 {
    // Without randomness, what failed together is tried together.
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}

fn object(delivery: &Delivery, entry: &WatchedWebhook, name: &str) -> WebhookResponse {
    let (event, webhook) = (&*delivery.event, &entry.webhook);
    let reference = EventRef { name: event.name.clone(), uid: event.uid.clone() };
    let mut object =
        WebhookResponse::pending(name, &event.namespace, reference, &delivery.facts.alert_group_id, webhook);
    object.metadata.owner_references = Some(vec![OwnerReference {
        api_version: Webhook::api_version(&()).into_owned(),
        kind: Webhook::kind(&()).into_owned(),
        name: webhook.name.clone(),
        uid: entry.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    object
}
