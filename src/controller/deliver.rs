//! One attempt of a delivery: render the request, send it, judge the answer, and have it recorded.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, channel::mpsc};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::{
    alert_groups::AlertPayloads,
    catalog::WatchedWebhook,
    history::{History, ResponseContent},
    journal::Journal,
    payloads::Payloads,
    recorder::{RecordedBefore, Recorder, log},
};
use crate::{
    core::{
        delivery::{AttemptHistory, Delivery, DeliverySummary, EventKey, ResponsePhase},
        dispatch::{Door, EndpointReport},
        event::{EventData, WebhookContext},
        lifecycle::{self, FoldedEvent, Next},
        matching::SAME_APPLY,
        request::{self, Preparation},
        response::{Outcome, ResponseRecord},
        retry::{self, AttemptVerdict},
        webhook::EventType,
    },
    delivery::{Requester, Sender},
    errors::error_chain,
    kubernetes::{
        lease::Leadership,
        objects::{self, Objects},
    },
    metrics::{AttemptCode, WebhookSeries},
    rendering::RenderingPool,
    resources::{AlertGroupEvent, AlertGroupEventSpec, LastRun, Webhook, WebhookResponseStatus, cut_record},
    secrets::Secrets,
    traces::EventSpans,
};

/// How long to wait before an event that can't be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// The least that a delivery in flight holds, in bytes: its task, connection, buffers, and the answer.
const LEAST_WEIGHT: usize = 64 * 1024;

/// About how many bytes a delivery holds while it is in flight, before its request is rendered. `data` is what the event's data
/// takes.
pub(crate) fn estimated_weight(data: usize) -> usize {
    LEAST_WEIGHT + 2 * data
}

/// About how many bytes a delivery holds while it is in flight: the body twice, as it is and as it is being written, and the
/// record as text, as JSON, and as it is being written.
fn weight(body: usize, record: &ResponseRecord) -> usize {
    LEAST_WEIGHT + 2 * body + 4 * record.size()
}

/// Sends requests.
pub(crate) struct Deliverer {
    objects: Objects,
    sender: Sender,
    secrets: Secrets,
    history: Arc<History>,
    payloads: Payloads,
    alerts: Arc<AlertPayloads>,
    recorder: Recorder,
    lease: Leadership,
    stop: CancellationToken,
    rendering: RenderingPool,
    default_timeout: Duration,
    ran: mpsc::UnboundedSender<ObjectRef<Webhook>>,
    spans: EventSpans,
}

/// The parts of a [`Deliverer`].
pub(crate) struct Parts {
    pub(crate) objects: Objects,
    pub(crate) sender: Sender,
    pub(crate) secrets: Secrets,
    pub(crate) history: Arc<History>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) payloads: Payloads,
    pub(crate) alerts: Arc<AlertPayloads>,
    pub(crate) lease: Leadership,
    pub(crate) rendering: RenderingPool,
    /// Bound on a request of a webhook that states none.
    pub(crate) default_timeout: Duration,
}

/// How far sending a request came.
pub(crate) enum Sent {
    /// There is an answer, or there will never be one. It is to be recorded.
    Answered(Box<Answer>),
    /// Nothing was sent, and nothing is left to record.
    Over(Next),
}

/// An answer whose meaning is known, and that is to be recorded.
pub(crate) struct Judged {
    webhook: Arc<WatchedWebhook>,
    status: WebhookResponseStatus,
    before: RecordedBefore,
    report: EndpointReport,
}

impl Judged {
    /// What it says of the endpoint.
    pub(crate) fn answer(&self) -> lifecycle::Answer {
        lifecycle::Answer {
            report: self.report.clone(),
            webhook: Arc::clone(&self.webhook.webhook),
            is_gone: self.webhook.is_gone(),
            chance: chance(),
        }
    }
}

/// The outcome of preparing and sending a request.
pub(crate) struct Answer {
    /// The webhook as it was when the request was made.
    webhook: Arc<WatchedWebhook>,
    status: WebhookResponseStatus,
    verdict: AttemptVerdict,
    /// The scheme, host and port that could not be connected to, such as `https://receiver.example:8443`; empty if they could.
    origin: String,
}

impl Answer {
    /// Counts how long after its event was created the first request of a delivery was made.
    pub(crate) fn counted(self: Box<Self>, created: Option<Timestamp>) -> Box<Self> {
        if let (Some(created), Some(attempt)) = (created, self.status.attempts.last()) {
            let after = Duration::try_from(attempt.time.duration_since(created)).unwrap_or_default();
            self.webhook.series.began(after);
        }
        self
    }

    /// Decides what follows from it; how the delivery goes on, if the operator fails at that.
    pub(crate) fn judge(self, delivery: &mut Delivery) -> Result<Judged, Next> {
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| judge(delivery, self)));
        judged.map_err(|_| Next::End(bug(delivery, "judge")))
    }
}

impl Deliverer {
    /// Also returns the webhooks that have run, or whose status may have to change.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::UnboundedReceiver<ObjectRef<Webhook>>) {
        let Parts { objects, sender, secrets, history, journal, payloads, alerts, lease, rendering, default_timeout } =
            parts;
        let (ran, webhooks) = mpsc::unbounded();
        let stop = CancellationToken::new();
        let deliverer = Self {
            recorder: Recorder::new(objects.clone(), journal, stop.clone()),
            objects,
            sender,
            secrets,
            history,
            payloads,
            alerts,
            lease,
            stop,
            rendering,
            default_timeout,
            ran,
            spans: EventSpans::new(),
        };
        (Arc::new(deliverer), webhooks)
    }

    /// Has the status of a webhook reviewed.
    pub(crate) fn review(&self, namespace: &str, webhook: &str) {
        // The controller lives as long as the process.
        let _ = self.ran.unbounded_send(ObjectRef::new(webhook).within(namespace));
    }

    /// Makes the calls of the API server.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Reads and writes the records.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Keeps an event's data at hand.
    pub(crate) fn keep(&self, event: &EventKey, data: EventData) {
        self.payloads.insert(&event.uid, Arc::new(data));
    }

    /// Keeps an event at hand that is to be folded. Returns about how many bytes its data takes.
    pub(crate) fn keep_alert(&self, event: &EventKey, spec: &AlertGroupEventSpec) -> usize {
        self.alerts.keep(event, spec)
    }

    /// Forgets the data of an event, of which nothing more is to be sent for now.
    pub(crate) fn forget(&self, event: &EventKey) {
        self.payloads.remove(&event.uid);
        self.spans.end(event);
    }

    /// The spans of what is worked for.
    pub(crate) fn spans(&self) -> &EventSpans {
        &self.spans
    }

    /// Begins nothing more.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.spans.end_all();
    }

    /// Resolves when nothing more is to be begun.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether a webhook is new and lacks a Secret, which may come any moment: they are watched apart from it, and one
    /// `kubectl apply -f dir/` makes both.
    pub(crate) fn awaits_secrets(&self, webhook: &WatchedWebhook) -> bool {
        let is_missing = |key: &_| self.secrets.get(&webhook.name.namespace, key).is_err();
        webhook.appeared.elapsed() < SAME_APPLY && webhook.webhook.secrets().any(|(_, key)| is_missing(key))
    }

    /// Waits a while for the Secrets of a webhook that is new.
    pub(crate) async fn secrets_of_the_same_apply(&self, webhook: &WatchedWebhook) {
        let arrived = async {
            loop {
                let changed = self.secrets.changed();
                if !self.awaits_secrets(webhook) {
                    return;
                }
                changed.await;
            }
        };
        // At the limit the request says which Secret is missing.
        let _ = tokio::time::timeout_at((webhook.appeared + SAME_APPLY).into(), arrived).await;
    }

    /// Renders the request and sends it. `webhook` is None if there is no such webhook any more; `folded` says what came of an
    /// event that was folded. `has_room` says whether the delivery may hold so many bytes.
    pub(crate) async fn send(
        &self,
        delivery: &mut Delivery,
        webhook: Option<&Arc<WatchedWebhook>>,
        folded: Option<FoldedEvent>,
        has_room: impl FnMut(usize) -> bool + Send,
    ) -> Sent {
        let Some(enabled) = webhook.filter(|webhook| webhook.webhook.enabled) else {
            return Sent::Over(Next::End(self.recorder.close(delivery, webhook.map(|webhook| &**webhook), None).await));
        };
        // Later events of the alert group wait for this one: it must end, come what may.
        match AssertUnwindSafe(self.prepare_and_send(delivery, enabled, folded, has_room)).catch_unwind().await {
            Ok(Ok(sent)) => sent,
            Ok(Err(error)) => {
                // The event can't be read, for now.
                log(delivery, &error_chain(&error), "failed to read the event of a delivery; trying again in a minute");
                let next = Timestamp::now().saturating_add(REREAD_AFTER).unwrap_or(Timestamp::MAX);
                Sent::Over(Next::Again(next, delivery.summary(ResponsePhase::Pending, None, None)))
            }
            Err(_) => Sent::Over(Next::End(bug(delivery, "deliver"))),
        }
    }

    /// Records an answer, and says how the delivery goes on. An answer that can't be recorded is logged, and counts as it came out.
    pub(crate) async fn record(&self, delivery: &mut Delivery, judged: Judged) -> Next {
        match AssertUnwindSafe(self.record_judged(delivery, judged)).catch_unwind().await {
            Ok(next) => next,
            Err(_) => Next::End(bug(delivery, "record")),
        }
    }

    /// Whether an endpoint that could not be connected to is there again.
    pub(crate) async fn is_open(&self, door: &Door) -> bool {
        // Whoever waits before it must hear of it, come what may.
        let knock = AssertUnwindSafe(self.sender.can_connect(&door.namespace, &door.origin)).catch_unwind();
        tokio::select! {
            is_open = knock => is_open.unwrap_or(false),
            () = self.stopped() => false,
        }
    }

    /// Ends a delivery that waited too long for an endpoint that is down.
    pub(crate) async fn give_up(&self, delivery: &mut Delivery, webhook: Option<&WatchedWebhook>) -> DeliverySummary {
        let why = "Not sent: the endpoint had failed before, and did not answer others until the deadline";
        let close = self.recorder.close(delivery, webhook, Some(why));
        // As for an attempt: it must end, come what may.
        match AssertUnwindSafe(close).catch_unwind().await {
            Ok(summary) => summary,
            Err(_) => bug(delivery, "give up"),
        }
    }

    async fn prepare_and_send(
        &self,
        delivery: &mut Delivery,
        webhook: &Arc<WatchedWebhook>,
        folded: Option<FoldedEvent>,
        mut has_room: impl FnMut(usize) -> bool + Send,
    ) -> Result<Sent, objects::Error> {
        let data = match &folded {
            Some(folded) => self.alerts.data(delivery, folded).await?,
            None => self.data(&delivery.event).await?,
        };
        let Some(data) = data else {
            let why = match folded {
                Some(FoldedEvent { group: None, .. }) => "Not sent: the AlertGroup is gone",
                _ => "Not sent: the AlertGroupEvent is gone",
            };
            return Ok(Sent::Over(Next::End(self.recorder.close(delivery, Some(webhook), Some(why)).await)));
        };
        let prepared = self.prepare(delivery, webhook, data).await;
        let held = match &prepared {
            Preparation::Skip(_) => LEAST_WEIGHT,
            Preparation::Failed(record) => weight(0, record),
            Preparation::Send(request, record) => weight(request.size(), record),
        };
        if !has_room(held) {
            // It is rendered again when there is.
            return Ok(Sent::Over(Next::Heavier(held)));
        }
        Ok(match prepared {
            Preparation::Skip(_) => Sent::Over(Next::End(self.recorder.close(delivery, None, None).await)),
            Preparation::Failed(record) => Sent::Answered(Box::new(Answer {
                status: WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new()),
                verdict: AttemptVerdict::Rejected,
                origin: String::new(),
                webhook: Arc::clone(webhook),
            })),
            Preparation::Send(mut request, record) => match self.request(delivery, webhook, &mut request, record).await
            {
                Some(answer) => Sent::Answered(Box::new(answer)),
                None => Sent::Over(Next::Leave),
            },
        })
    }

    /// Reads the data of an event; None if it is gone.
    async fn data(&self, event: &EventKey) -> Result<Option<Arc<EventData>>, objects::Error> {
        if let Some(data) = self.payloads.get(&event.uid) {
            return Ok(Some(data));
        }
        let found = objects::persist(|| self.objects.get::<AlertGroupEvent>(&event.namespace, &event.name)).await?;
        let data = found
            .filter(|found| found.metadata.uid.as_ref() == Some(&event.uid))
            // What is to be folded has no data of its own.
            .filter(|found| found.spec.alert_group.is_some())
            .and_then(|found| found.spec.data().ok())
            .map(Arc::new);
        if let Some(data) = &data {
            self.payloads.insert(&event.uid, Arc::clone(data));
        }
        Ok(data)
    }

    /// Renders the request: here if that is known to be cheap, else where it holds up nobody.
    async fn prepare(&self, delivery: &Delivery, webhook: &Arc<WatchedWebhook>, data: Arc<EventData>) -> Preparation {
        let namespace = &*delivery.event.namespace;
        self.secrets.read(namespace, &webhook.webhook).await;
        let responses = self.history.responses(namespace, &delivery.facts.alert_group_id, &delivery.webhook).await;
        let own = WebhookContext::new(webhook.webhook.template_data(), responses);
        let masked = delivery.facts.event_type == Some(EventType::PersonalNotification);
        let size = data.size();
        let is_cheap = webhook.effort.is_cheap(webhook.webhook.plain_expressions(), size);
        let (webhook, secrets) = (Arc::clone(webhook), self.secrets.clone());
        let prepare = move || {
            let started = Instant::now();
            let secret = |key: &_| secrets.get(&webhook.name.namespace, key).map_err(|missing| missing.to_string());
            let prepared = request::prepare(&webhook.webhook, &data, &own, masked, &secret).bounded(cut_record);
            webhook.effort.note(size, started.elapsed());
            prepared
        };
        if is_cheap { prepare() } else { self.rendering.run(namespace, prepare).await }
    }

    /// Whether it is certain that no other replica sends.
    pub(crate) fn leads(&self) -> bool {
        self.lease.is_held()
    }

    /// Waits until it is certain that no other replica sends. False if this process stops before.
    pub(crate) async fn may_send(&self) -> bool {
        if self.lease.is_held() {
            return true;
        }
        tokio::select! {
            () = self.lease.held() => true,
            () = self.stopped() => false,
        }
    }

    /// Sends the request. None if this process stops before anything is sent.
    async fn request(
        &self,
        delivery: &Delivery,
        webhook: &Arc<WatchedWebhook>,
        request: &mut request::PreparedRequest,
        record: ResponseRecord,
    ) -> Option<Answer> {
        if !self.may_send().await {
            return None;
        }
        let (status, verdict) = self.send_when_allowed(delivery, webhook, request, record).await?;
        let origin = if verdict == AttemptVerdict::Unreached { request.first.url.origin() } else { String::new() };
        Some(Answer { webhook: Arc::clone(webhook), status, verdict, origin })
    }

    async fn send_when_allowed(
        &self,
        delivery: &Delivery,
        webhook: &WatchedWebhook,
        request: &mut request::PreparedRequest,
        record: ResponseRecord,
    ) -> Option<(WebhookResponseStatus, AttemptVerdict)> {
        let (webhook, series) = (&webhook.webhook, &webhook.series);
        let span = self.spans.begin_attempt(delivery, request);
        let requester = Requester { namespace: &delivery.event.namespace, webhook: &webhook.name };
        let timeout = webhook.timeout.unwrap_or(self.default_timeout);
        loop {
            let (time, started) = (Timestamp::now(), Instant::now());
            let (outcome, code) = self.sender.attempt(requester, request, &delivery.response_name(), timeout).await;
            if outcome != Outcome::Withheld {
                let took = started.elapsed();
                count(series, delivery, code, took);
                let trace_id = span.and_then(|span| span.end(&outcome, code));
                let status = WebhookResponseStatus::attempted(record, &outcome, &request.secrets, time, took);
                return Some((status.traced(trace_id), retry::judge(&outcome)));
            }
            if !self.may_send().await {
                if let Some(span) = span {
                    span.not_sent();
                }
                return None;
            }
        }
    }

    async fn record_judged(&self, delivery: &mut Delivery, judged: Judged) -> Next {
        let Judged { webhook, mut status, before, report: _ } = judged;
        let recorded = self.recorder.record(delivery, &webhook, &mut status, before).await;
        let (status, response) = match recorded {
            Ok(theirs) => (theirs.unwrap_or(status), Some(delivery.response_name())),
            Err(error) => {
                // What was sent was sent: the event's status says how it came out.
                log(
                    delivery,
                    &error_chain(&error),
                    "failed to record an attempt; the status of its event says how it came out",
                );
                (status, None)
            }
        };
        self.note(delivery, &webhook, &status);
        let summary = delivery.summary(status.phase, status.status_code, response);
        match (status.phase, status.next_attempt_time) {
            (ResponsePhase::Retrying, Some(next)) => Next::Again(next, summary),
            _ => Next::End(summary),
        }
    }

    /// Shows an attempt to templates and in the webhook's status.
    fn note(&self, delivery: &Delivery, watched: &WatchedWebhook, status: &WebhookResponseStatus) {
        let (namespace, webhook) = (&*delivery.event.namespace, &watched.webhook);
        let ended = status.timestamp.unwrap_or_else(Timestamp::now);
        let content = ResponseContent { webhook_id: webhook.id.clone(), content: status.content.clone() };
        let response = delivery.response_name();
        self.history.note(namespace, &delivery.facts.alert_group_id, &webhook.name, &response, content);
        let run = LastRun { time: ended, outcome: status.phase, status_code: status.status_code, response };
        if watched.last_run.note(run) {
            self.review(namespace, &webhook.name);
        }
    }
}

/// Counts an attempt.
fn count(series: &WebhookSeries, delivery: &Delivery, code: AttemptCode, took: Duration) {
    series.attempted(code, took);
    tracing::debug!(code = code.as_str(), milliseconds = took.as_secs_f64() * 1000.0, "an attempt ended");
    match (delivery.history.round, &delivery.redeliver) {
        (Some(_), _) => series.retried(),
        (None, Some(_)) => series.redelivered(),
        (None, None) => {}
    }
}

/// Decides what follows from an answer: for the delivery, the endpoint, and a webhook of which the receiver wants no more.
fn judge(delivery: &mut Delivery, Answer { webhook, status, verdict, origin }: Answer) -> Judged {
    let before = RecordedBefore::of(delivery);
    let took = status.attempts.last().map(|attempt| Duration::from_millis(attempt.duration_ms));
    let timed_out = verdict == AttemptVerdict::TimedOut;
    let status = status.after(&mut delivery.history, delivery.redeliver.as_deref(), timed_out);
    if verdict == AttemptVerdict::Gone {
        webhook.suspend();
    }
    let (report, next) = judged(&delivery.history, took, verdict, &origin, &webhook, &status);
    if next.is_none() && verdict.may_be_tried_again() {
        webhook.series.gave_up();
    }
    let status = match next {
        Some(next) => status.until(next),
        None => status.redelivered(delivery.redeliver.as_deref()),
    };
    Judged { webhook, status, before, report }
}

/// Says how the endpoint does, and when the request is to be sent again; None if it is not. `took` is None if nothing was sent.
fn judged(
    history: &AttemptHistory,
    took: Option<Duration>,
    verdict: AttemptVerdict,
    origin: &str,
    webhook: &WatchedWebhook,
    status: &WebhookResponseStatus,
) -> (EndpointReport, Option<Timestamp>) {
    let (Some(round), Some(cost)) = (history.round, took) else { return (EndpointReport::NotSent, None) };
    let (retry, ended) = (&webhook.webhook.retry, status.timestamp.unwrap_or_else(Timestamp::now));
    let next = |asked| retry.next(round.attempts, round.since, ended, asked, chance());
    match verdict {
        AttemptVerdict::Unreached => (EndpointReport::Away(Arc::from(origin)), next(None)),
        AttemptVerdict::RetryLater(asked) => (EndpointReport::Failed { asked, cost }, next(asked)),
        AttemptVerdict::TimedOut => {
            let next = retry.next_after_timeout(round.attempts, round.timeouts, round.since, ended, chance());
            (EndpointReport::Failed { asked: None, cost }, next)
        }
        AttemptVerdict::Delivered | AttemptVerdict::Rejected | AttemptVerdict::Gone => (EndpointReport::Answered, None),
    }
}

/// Ends a delivery in which the operator itself failed.
fn bug(delivery: &Delivery, what: &str) -> DeliverySummary {
    log(delivery, &format!("{what}: a panic, which is in the log"), "a delivery failed for a bug of the operator");
    delivery.summary(ResponsePhase::Failed, None, None)
}

/// A random number from 0 to 1.
pub(crate) fn chance() -> f64 {
    // Without randomness, what failed together is tried together.
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}
