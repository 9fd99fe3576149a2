//! Carries what happens to the [`Lifecycle`], and carries out what it decides.
//!
//! ```text
//! EventIndex (watch) ──┐                                  ┌─► Deliverer, Recorder ─► endpoints, WebhookResponses
//! WebhookChange ───────┼─► handle ─► Lifecycle ─► effects ┼─► events::reconcile ───► AlertGroupEvent.status
//! redeliver ───────────┤      ▲                           ├─► webhooks::reconcile ─► Webhook.status
//! the clock (drive) ───┘      └──────── answers ◄─────────┴─► backlog (reads what waits in the API server)
//! ```

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{TryStreamExt, channel::mpsc};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::watcher::Event};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use super::{
    alert_groups::{AlertGroupWriter, REFUSED, Wanted, Written, create_event, heartbeat_event, timer_event},
    announcer::{Announcer, Kind, Subject},
    backlog,
    catalog::{Catalog, WatchedWebhook, WebhookChange},
    deliver::{Deliverer, Sent, chance, estimated_weight},
    ended,
    history::History,
    integrations::Integrations,
    recorder::redelivery_request,
};
use crate::{
    core::{
        alert_groups::{AlertGroupWrite, Heard},
        delivery::{Delivery, DeliverySummary, EventKey, ResponsePhase, redelivery_value},
        dispatch::{Limits, Permit},
        lifecycle::{
            Effect, EventRecord, FoldRecord, FoldedEvent, Found, Input, Lifecycle, Load, Next, Now, Position, Progress,
            RedeliveryRequest, SeenEvent, Waiting,
        },
        name::NamespacedName,
        version::ResourceVersion,
    },
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::name_of,
        resource_version::{created_in, is_changed, version_of},
    },
    resources::{
        AlertGroupEvent, AlertGroupEventSpec, EventPhase, FoldedInto, REDELIVER_ANNOTATION, TEMPLATE_FAULT_ANNOTATION,
        conditions::{self, Reason},
    },
};

/// How many objects are read at a time for responses that people want to be sent again. After a restart every response that
/// was ever annotated is read once, and that must not delay the reads that requests wait for.
const REDELIVERY_READS: usize = 2;

/// When the event of a timer is created again that the API server refused.
const TIMER_AGAIN: Duration = Duration::from_secs(60);

/// How long sending waits for what is in flight before that is said.
const BLOCKED: Duration = Duration::from_secs(5);

/// The deliveries that are under way.
pub(crate) struct Deliveries {
    lifecycle: Mutex<Lifecycle>,
    catalog: Arc<Catalog>,
    deliverer: Arc<Deliverer>,
    alert_groups: AlertGroupWriter,
    integrations: Arc<Integrations>,
    announcer: Announcer,
    tasks: TaskTracker,
    redelivery_reads: Semaphore,
    reviewed: mpsc::UnboundedSender<Event<AlertGroupEvent>>,
    wake_changed: Notify,
    /// Something was shown of an event, or written.
    events_changed: Notify,
}

impl Deliveries {
    /// What waits may take up to `memory` bytes. Also returns the events whose statuses may have to be written, without their
    /// content, and those that are forgotten, as deleted.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        history: Arc<History>,
        deliverer: Arc<Deliverer>,
        (alert_groups, integrations, announcer): (AlertGroupWriter, Arc<Integrations>, Announcer),
        limits: Limits,
        memory: usize,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event<AlertGroupEvent>>) {
        let (reviewed, events) = mpsc::unbounded();
        let deliveries = Self {
            lifecycle: Mutex::new(Lifecycle::new(limits, memory, history)),
            catalog,
            deliverer,
            alert_groups,
            integrations,
            announcer,
            tasks: TaskTracker::new(),
            redelivery_reads: Semaphore::new(REDELIVERY_READS),
            reviewed,
            wake_changed: Notify::new(),
            events_changed: Notify::new(),
        };
        (Arc::new(deliveries), events)
    }

    /// Takes in what has happened.
    pub(crate) fn handle(self: &Arc<Self>, input: Input) {
        self.handle_locked(|| input);
    }

    /// Takes in what `input` finds to have happened while nothing else happens.
    fn handle_locked(self: &Arc<Self>, input: impl FnOnce() -> Input) {
        // Who stops waits for what is about to be started too.
        let _token = self.tasks.token();
        let effects = {
            let mut lifecycle = self.lifecycle.lock();
            let effects = lifecycle.handle(input(), Now::read());
            // Before anybody can see that the event has ended, and keep its data once more.
            for effect in &effects {
                if let Effect::ForgetData(event) = effect {
                    self.deliverer.forget(event);
                }
            }
            effects
        };
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(self: &Arc<Self>, effect: Effect) {
        let this = Arc::clone(self);
        match effect {
            Effect::Prepare { delivery, look_up } => self.prepare(delivery, look_up),
            Effect::Attempt(delivery, permit) => drop(self.tasks.spawn(this.attempt(delivery, permit))),
            Effect::Knock(door) => {
                self.tasks.spawn(async move {
                    let is_open = this.deliverer.is_open(&door).await;
                    this.handle(Input::Knocked(door, is_open, chance()));
                });
            }
            Effect::GiveUp(delivery) => drop(self.tasks.spawn(this.give_up(delivery))),
            Effect::ReadResponse(name, value) => drop(self.tasks.spawn(this.read_response(name, value))),
            Effect::ReadEvent(asked) => drop(self.tasks.spawn(this.read_event(asked))),
            Effect::Decline(asked, why) => {
                self.tasks.spawn(async move { this.deliverer.recorder().decline(&asked, &why).await });
            }
            Effect::WriteAlertGroup { name, is_urgent } => {
                if let Some(wanted) = self.alert_groups.want(&name, is_urgent) {
                    self.tasks.spawn(this.write_alert_group(name, wanted));
                }
            }
            Effect::CreateTimerEvent(timer) => {
                self.tasks.spawn(async move {
                    if !this.create_event(timer_event(&timer)).await {
                        tokio::select! {
                            () = this.deliverer.stopped() => {}
                            () = tokio::time::sleep(TIMER_AGAIN) => this.handle(Input::TimerFailed(timer)),
                        }
                    }
                });
            }
            Effect::CreateHeartbeatEvent(told) => {
                self.integrations.review(&told.integration);
                if let Some(event) = self
                    .integrations
                    .facts(&told.integration)
                    .and_then(|integration| heartbeat_event(&told, &integration))
                {
                    self.tasks.spawn(async move {
                        if !this.create_event(event).await {
                            tokio::select! {
                                () = this.deliverer.stopped() => {}
                                () = tokio::time::sleep(TIMER_AGAIN) => this.handle(Input::HeartbeatFailed(told)),
                            }
                        }
                    });
                }
            }
            Effect::AlertReceived(integration, at) => self.integrations.note_received(&integration, at),
            // It is done.
            Effect::ForgetData(_) => {}
            Effect::ReviewEvent(event) => self.show(Event::Apply(bare(&event))),
            Effect::EventForgotten(event) => self.show(Event::Delete(bare(&event))),
            Effect::ReadBacklog { namespace, after, with_completed } => {
                self.tasks.spawn(this.read_backlog(namespace, after, with_completed));
            }
            Effect::NamespaceBehind(namespace) => {
                tracing::warn!(
                    namespace = &*namespace,
                    "the share of memory of this namespace is used up; its new events wait in the API server"
                );
                self.review_all(&namespace);
            }
            Effect::NamespaceCaughtUp(namespace) => {
                tracing::info!(namespace = &*namespace, "no events of this namespace wait in the API server any more");
                self.review_all(&namespace);
            }
            Effect::WebhookParked(NamespacedName { namespace, name }) => {
                let (namespace, webhook) = (&*namespace, &*name);
                tracing::warn!(
                    namespace,
                    webhook,
                    "the share of memory of this webhook is used up; what it is to send waits in the API server"
                );
                self.deliverer.review(namespace, webhook);
            }
            Effect::WebhookUnparked(NamespacedName { namespace, name }) => {
                let (namespace, webhook) = (&*namespace, &*name);
                tracing::info!(
                    namespace,
                    webhook,
                    "nothing that this webhook is to send waits in the API server any more"
                );
                self.deliverer.review(namespace, webhook);
            }
            Effect::EndpointFailing(NamespacedName { namespace, name }) => {
                let (namespace, webhook) = (&*namespace, &*name);
                tracing::warn!(
                    namespace,
                    webhook,
                    "the endpoint of this webhook fails; it is tried with one delivery at a time"
                );
            }
            Effect::EndpointRecovered(NamespacedName { namespace, name }) => {
                tracing::info!(namespace = &*namespace, webhook = &*name, "the endpoint of this webhook answers again");
            }
            Effect::ReviewWebhook(webhook) => self.deliverer.review(&webhook.namespace, &webhook.name),
            Effect::WakeChanged => self.wake_changed.notify_one(),
        }
    }

    /// Creates an event that no source and no person asks for. False if the API server refuses it for good.
    async fn create_event(&self, event: AlertGroupEvent) -> bool {
        tokio::select! {
            () = self.deliverer.stopped() => true,
            created = create_event(self.deliverer.objects(), event) => created,
        }
    }

    /// How many alert groups of an Integration are not resolved.
    pub(crate) fn open_alert_groups(&self, integration: &NamespacedName) -> usize {
        self.lifecycle.lock().open_alert_groups(integration)
    }

    /// How many alert groups of a namespace are not resolved.
    pub(crate) fn open_in(&self, namespace: &str) -> usize {
        self.lifecycle.lock().open_in(namespace)
    }

    /// Whether an Integration receives something as often as it should; None if that does not matter.
    pub(crate) fn heard(&self, integration: &NamespacedName) -> Option<Heard> {
        self.lifecycle.lock().heard(integration)
    }

    /// Writes an alert group until nothing is left to write.
    async fn write_alert_group(self: Arc<Self>, name: NamespacedName, wanted: Arc<Wanted>) {
        loop {
            tokio::select! {
                () = self.deliverer.stopped() => {}
                () = wanted.due() => {}
            }
            // A replica that does not lead any more would write over what another one has written.
            if !self.deliverer.may_send().await {
                return;
            }
            if let Some(write) = self.alert_group_to_write(&name) {
                let integration =
                    NamespacedName::new(Arc::clone(&name.namespace), Arc::clone(&write.group.integration));
                match self.alert_groups.write(&name, &write, || self.deliverer.leads()).await {
                    Written::Done => self.handle(Input::AlertGroupWritten(name.clone(), Box::new(write))),
                    Written::Gone => self.handle(Input::AlertGroupGone(name.clone())),
                    Written::Withheld => continue,
                    Written::Refused => tokio::select! {
                        () = self.deliverer.stopped() => return,
                        () = tokio::time::sleep(REFUSED) => continue,
                    },
                }
                self.integrations.review(&integration);
            }
            if self.alert_groups.end(&name, || self.alert_group_to_write(&name).is_none()) {
                return;
            }
        }
    }

    fn alert_group_to_write(&self, name: &NamespacedName) -> Option<AlertGroupWrite> {
        self.lifecycle.lock().alert_group_to_write(name)
    }

    /// Whether an alert group is known.
    pub(crate) fn knows_alert_group(&self, name: &NamespacedName) -> bool {
        self.lifecycle.lock().alert_group(name).is_some()
    }

    /// Has removed what is left of a wiped alert group.
    pub(crate) fn clean_wiped(&self, name: NamespacedName) {
        self.alert_groups.clean(name);
    }

    /// Waits until this replica leads, if it may not. False if it stops.
    pub(crate) async fn may_write(&self) -> bool {
        self.deliverer.may_send().await
    }

    /// The names of the alert groups that were written.
    pub(crate) fn stored_alert_groups(&self) -> HashSet<NamespacedName> {
        self.lifecycle.lock().stored_alert_groups().collect()
    }

    /// Has the status of an event looked at, or lets it be forgotten.
    fn show(&self, event: Event<AlertGroupEvent>) {
        // The controller lives as long as the process.
        let _ = self.reviewed.unbounded_send(event);
    }

    fn review_all(&self, namespace: &str) {
        self.catalog.in_namespace(namespace).iter().for_each(|webhook| self.deliverer.review(namespace, webhook));
    }

    /// Reads the oldest events of a namespace that wait in the API server.
    async fn read_backlog(self: Arc<Self>, namespace: Arc<str>, after: Position, with_completed: bool) {
        let read = async {
            let objects = self.deliverer.objects();
            loop {
                let (names, next) = backlog::find(objects, &namespace, &after, with_completed).await;
                let events = backlog::read(objects, &namespace, &names);
                match events.try_filter_map(async |event| Ok(self.take_in(&event, true))).try_collect::<Vec<_>>().await
                {
                    Ok(events) => break (events, next),
                    Err(error) => backlog::wait_after(&namespace, &error).await,
                }
            }
        };
        tokio::select! {
            () = self.deliverer.stopped() => {}
            (events, next) = read => self.handle(Input::BacklogRead(Arc::clone(&namespace), events, next)),
        }
    }

    /// Passes on what the intake says of a template of an Integration that failed on an alert.
    fn note_template_fault(&self, event: &AlertGroupEvent) {
        let told = event.annotations().get(TEMPLATE_FAULT_ANNOTATION).and_then(|told| told.split_once(' '));
        let (Some(alert), Some((generation, fault))) = (&event.spec.alert, told) else { return };
        let (Some(namespace), Ok(generation)) = (event.namespace(), generation.parse()) else { return };
        let integration = NamespacedName::new(namespace, alert.integration_ref.name.as_str());
        self.integrations.note_fault(&integration, generation, fault);
    }

    /// An event as the lifecycle sees it, whose data is kept at hand if it will be needed. None if that can't be read. `is_read`
    /// says that the event waited in the API server.
    fn take_in(&self, event: &AlertGroupEvent, is_read: bool) -> Option<SeenEvent> {
        self.note_template_fault(event);
        let mut seen = seen(event);
        if self.lifecycle.lock().needs_data(&seen, is_read) {
            if seen.request.is_some() {
                self.deliverer.spans().begin(&seen.key, event);
                seen.weight = estimated_weight(self.deliverer.keep_alert(&seen.key, &event.spec));
                return Some(seen);
            }
            match event.spec.data() {
                Ok(data) => {
                    seen.weight = estimated_weight(data.size());
                    self.deliverer.spans().begin(&seen.key, event);
                    self.deliverer.keep(&seen.key, data);
                }
                Err(error) => {
                    let EventKey { namespace, name, .. } = &*seen.key;
                    tracing::error!(namespace = &**namespace, event = name, %error, "an AlertGroupEvent can't be read; nothing is sent for it");
                    return None;
                }
            }
        }
        Some(seen)
    }

    /// Whether an event is here: it is worked for, or was completed not long ago.
    pub(crate) fn is_known(&self, event: &AlertGroupEvent) -> bool {
        event.metadata.uid.as_deref().is_some_and(|uid| self.lifecycle.lock().is_known(uid))
    }

    /// Takes in that an event is gone.
    pub(crate) fn event_gone(self: &Arc<Self>, uid: &str) {
        self.handle(Input::EventGone(uid.to_owned()));
        self.events_changed.notify_waiters();
    }

    /// The webhook of a delivery, as it is now; None if it is gone.
    fn webhook_of(&self, delivery: &Delivery) -> Option<Arc<WatchedWebhook>> {
        self.catalog.get(&delivery.event.namespace, &delivery.webhook).filter(|webhook| webhook.uid == delivery.uid)
    }

    fn prepare(self: &Arc<Self>, mut delivery: Box<Delivery>, look_up: bool) {
        let webhook = self.webhook_of(&delivery);
        if !look_up && !webhook.as_ref().is_some_and(|webhook| self.deliverer.awaits_secrets(webhook)) {
            return self.handle(Input::Prepared(delivery, Found::ToSend));
        }
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let found = match look_up {
                true => this.deliverer.recorder().look_up(&mut delivery).await,
                false => Some(Found::ToSend),
            };
            let Some(found) = found else { return };
            if let Some(webhook) = webhook.filter(|_| matches!(found, Found::ToSend)) {
                this.deliverer.secrets_of_the_same_apply(&webhook).await;
            }
            this.handle(Input::Prepared(delivery, found));
        });
    }

    async fn attempt(self: Arc<Self>, mut delivery: Box<Delivery>, mut permit: Permit) {
        let webhook = self.webhook_of(&delivery);
        let (folded, created) = {
            let lifecycle = self.lifecycle.lock();
            (lifecycle.folded(&delivery.event.uid), lifecycle.created(&delivery.event.uid))
        };
        let group = folded.as_ref().and_then(|folded| folded.name.clone());
        let is_first = delivery.history.count == 0 && delivery.redeliver.is_none();
        let trace_id = self.deliverer.spans().trace_id(&delivery.event);
        let (span, attempts) = (span_of(&delivery, trace_id.as_deref()), delivery.history.count);
        let next =
            self.send_and_record(&mut delivery, webhook.as_ref(), folded, created.filter(|_| is_first), &mut permit);
        let next = next.instrument(span).await;
        if let (Next::End(summary), Some(webhook)) = (&next, &webhook) {
            // A template or a Secret may have failed before this attempt, and not before an earlier one.
            let last = delivery.history.last().last().filter(|_| delivery.history.count > attempts);
            ended::tell(&delivery, webhook, summary, last, trace_id.as_deref());
            self.note_failure(&delivery, Some(webhook), summary, group);
        }
        self.handle(Input::AttemptEnded(delivery, permit, next));
    }

    /// Sends the request of a delivery, and records what came of it. `created` is the time of its event, if it is the first request.
    async fn send_and_record(
        self: &Arc<Self>,
        delivery: &mut Delivery,
        webhook: Option<&Arc<WatchedWebhook>>,
        folded: Option<FoldedEvent>,
        created: Option<Timestamp>,
        permit: &mut Permit,
    ) -> Next {
        let has_room = |bytes| self.lifecycle.lock().weigh(permit, bytes);
        match self.deliverer.send(delivery, webhook, folded, has_room).await {
            Sent::Answered(answer) => match answer.counted(created).judge(delivery) {
                Ok(judged) => {
                    let key = (delivery.number, Arc::clone(&delivery.webhook));
                    // What it says of the endpoint counts at once, and the next request need not wait for the record.
                    self.handle(Input::Answered(key, judged.answer()));
                    self.deliverer.record(delivery, judged).await
                }
                Err(next) => next,
            },
            Sent::Over(next) => next,
        }
    }

    async fn give_up(self: Arc<Self>, mut delivery: Box<Delivery>) {
        let webhook = self.webhook_of(&delivery);
        let summary = self.deliverer.give_up(&mut delivery, webhook.as_deref()).await;
        if let Some(webhook) = &webhook {
            webhook.series.gave_up();
            // Those of before somebody asked for it again came to another end.
            let last = delivery.history.last().last().filter(|_| delivery.history.round.is_some());
            let trace_id = self.deliverer.spans().trace_id(&delivery.event);
            ended::tell(&delivery, webhook, &summary, last, trace_id.as_deref());
        }
        let group = self.lifecycle.lock().folded(&delivery.event.uid).and_then(|folded| folded.name);
        self.note_failure(&delivery, webhook.as_deref(), &summary, group);
        self.handle(Input::GaveUp(delivery, summary));
    }

    /// Has told of a delivery that failed for good: of its webhook, and of the AlertGroup whose change it tells of, if it has one.
    fn note_failure(
        &self,
        delivery: &Delivery,
        webhook: Option<&WatchedWebhook>,
        summary: &DeliverySummary,
        group: Option<Arc<str>>,
    ) {
        let (ResponsePhase::Failed, Some(webhook)) = (summary.outcome, webhook) else { return };
        let of_webhook =
            Subject { kind: Kind::Webhook, name: webhook.name.clone(), uid: Some(Arc::clone(&webhook.uid)) };
        let of_group = group.map(|name| Subject {
            kind: Kind::AlertGroup,
            name: NamespacedName::new(Arc::clone(&delivery.event.namespace), name),
            uid: None,
        });
        let answer = summary.status_code.map_or_else(String::new, |code| format!(" (answered with {code})"));
        let response = summary.response.as_deref().unwrap_or("that could not be written");
        let last = format!("WebhookResponse {response} of Webhook {}{answer}", webhook.name.name);
        self.announcer.gave_up([of_webhook].into_iter().chain(of_group), &last);
    }

    async fn read_response(self: Arc<Self>, name: NamespacedName, value: Arc<str>) {
        let read = async {
            // Never closed.
            let _permit = self.redelivery_reads.acquire().await;
            self.deliverer.recorder().response(&name).await
        };
        let found = tokio::select! {
            () = self.deliverer.stopped() => return,
            found = read => found,
        };
        self.handle(match found {
            Some(found) => Input::ResponseRead(Box::new(redelivery_request(name, value, &found))),
            None => Input::ResponseGone(name, value),
        });
    }

    async fn read_event(self: Arc<Self>, asked: Box<RedeliveryRequest>) {
        let read = async {
            let _permit = self.redelivery_reads.acquire().await;
            self.deliverer.recorder().event(&asked.name.namespace, &asked.event).await
        };
        let found = tokio::select! {
            () = self.deliverer.stopped() => return,
            found = read => found,
        };
        let seen = found.map(|event| {
            let seen = seen(&event);
            self.deliverer.spans().begin(&seen.key, &event);
            let data = match seen.request {
                Some(_) => self.deliverer.keep_alert(&seen.key, &event.spec),
                None => event.spec.data().map_or(0, |data| data.size()),
            };
            Box::new(SeenEvent { weight: estimated_weight(data), ..seen })
        });
        self.handle(Input::EventRead(asked, seen));
    }

    /// Takes in what has happened to a webhook.
    pub(crate) fn webhook_changed(self: &Arc<Self>, change: WebhookChange) {
        // Whether it is held is read while no attempt can end that says so.
        self.handle_locked(|| match change {
            WebhookChange::Added(webhook) => Input::WebhookAppeared(webhook.known()),
            WebhookChange::Changed(webhook) => Input::WebhookChanged(webhook.known()),
            WebhookChange::Removed(name) => Input::WebhookGone(name),
            WebhookChange::Unreadable(name) => Input::WebhookUnreadable(name),
        });
    }

    /// Takes in that the watch of webhooks was interrupted.
    pub(crate) fn webhooks_interrupted(self: &Arc<Self>) {
        self.handle(Input::WebhooksInterrupted);
    }

    /// Sends again the delivery of a WebhookResponse that has this value of the annotation, unless it was.
    pub(crate) fn redeliver(self: &Arc<Self>, response: NamespacedName, value: &str) {
        self.handle(Input::RedeliveryAsked(response, Arc::from(redelivery_value(value))));
    }

    /// How far an event is.
    pub(crate) fn progress(&self, uid: &str) -> Progress {
        self.lifecycle.lock().progress(uid)
    }

    /// Leaves the summaries of its deliveries out of an event's status. False if they are already.
    pub(crate) fn shorten(&self, uid: &str) -> bool {
        self.lifecycle.lock().shorten(uid)
    }

    /// Takes in that the status of an event, as it is, says all that is to be said.
    pub(crate) fn written(self: &Arc<Self>, event: &AlertGroupEvent) {
        self.handle(Input::EventStatusConfirmed(Box::new(seen(event))));
        self.events_changed.notify_waiters();
    }

    /// Whether a webhook's endpoint is taken to be down.
    pub(crate) fn is_failing(&self, webhook: &NamespacedName) -> bool {
        self.lifecycle.lock().is_failing(webhook)
    }

    /// How many deliveries wait for a webhook.
    pub(crate) fn waiting_for(&self, webhook: &NamespacedName) -> usize {
        self.lifecycle.lock().waiting_for(webhook)
    }

    /// Why what a webhook is to send waits in the API server; None if it does not.
    pub(crate) fn backlog_of(&self, webhook: &NamespacedName) -> Option<Reason> {
        let lifecycle = self.lifecycle.lock();
        let of_namespace = lifecycle.is_behind(&webhook.namespace).then(conditions::namespace_backlogged);
        of_namespace.or_else(|| lifecycle.is_parked(webhook).then(conditions::backlogged))
    }

    /// Has the status of a webhook reviewed.
    pub(crate) fn review(&self, webhook: &NamespacedName) {
        self.deliverer.review(&webhook.namespace, &webhook.name);
    }

    /// How much there is to do.
    pub(crate) fn load(&self) -> Load {
        self.lifecycle.lock().load()
    }

    /// What waits, by webhook.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        self.lifecycle.lock().waiting()
    }

    /// How many alert groups of each of these Integrations are not resolved.
    pub(crate) fn open_alert_groups_of(&self, integrations: &[NamespacedName]) -> Vec<usize> {
        let lifecycle = self.lifecycle.lock();
        integrations.iter().map(|integration| lifecycle.open_alert_groups(integration)).collect()
    }

    /// How many events have ended of which the end is not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.lifecycle.lock().unwritten()
    }

    /// Resolves when the ends of all events that have ended are written.
    pub(crate) async fn all_written(&self) {
        loop {
            let changed = self.events_changed.notified();
            if self.unwritten() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Sends what waits when its time has come, for ever.
    pub(crate) async fn drive(self: Arc<Self>) {
        loop {
            let at = self.lifecycle.lock().wake_at();
            let wake = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wake => self.handle(Input::Woken),
                () = self.wake_changed.notified() => {}
            }
        }
    }

    /// Says when sending waits at its bound, for ever.
    pub(crate) async fn watch_bound(self: Arc<Self>) {
        let mut blocked_since = None;
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let Load { in_flight, limit, in_flight_bytes, waiting, blocked, .. } = self.load();
            match (blocked, blocked_since) {
                (true, None) => blocked_since = Some((Instant::now(), false)),
                (true, Some((since, false))) if since.elapsed() >= BLOCKED => {
                    blocked_since = Some((since, true));
                    tracing::warn!(
                        in_flight,
                        limit,
                        in_flight_bytes,
                        waiting,
                        "sending waits: as many deliveries as may be are sent and not yet recorded in the API server"
                    );
                }
                (false, Some((_, said))) => {
                    blocked_since = None;
                    if said {
                        tracing::info!(waiting, "sending goes on");
                    }
                }
                _ => {}
            }
        }
    }

    /// Starts nothing more, and waits for what is on the way.
    pub(crate) async fn stop(self: &Arc<Self>) {
        self.handle(Input::Stopped);
        self.deliverer.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Feeds the deliveries with what the watch of events shows, and keeps the data of those that are to be delivered at hand.
pub(crate) struct EventIndex(pub(crate) Arc<Deliveries>);

impl Index for EventIndex {
    type Object = Lenient<AlertGroupEvent>;
    /// The lifecycle notes them itself, since it knows how many it has room for.
    type Listed = ();

    fn begin_list(&mut self) {
        self.0.handle(Input::EventListBegan);
    }

    fn list(&mut self, object: &Lenient<AlertGroupEvent>) {
        let seen = object.0.as_ref().ok().and_then(|event| self.0.take_in(event, false));
        self.0.handle(match seen {
            Some(seen) => Input::EventListed(Box::new(seen)),
            None => Input::UnreadableEventListed(object.uid().unwrap_or_default()),
        });
    }

    fn retain(&mut self, _: Vec<()>) {
        self.0.handle(Input::EventListEnded);
        self.0.events_changed.notify_waiters();
    }

    fn apply(&mut self, object: &Lenient<AlertGroupEvent>) {
        if let Some(seen) = object.0.as_ref().ok().and_then(|event| self.0.take_in(event, false)) {
            self.0.handle(Input::EventSeen(Box::new(seen)));
            self.0.events_changed.notify_waiters();
        }
    }

    fn delete(&mut self, object: &Lenient<AlertGroupEvent>) {
        self.0.deliverer.forget(&key_of(object));
        self.0.event_gone(&object.uid().unwrap_or_default());
    }
}

/// What all lines of one attempt have in common. `trace_id` is that of its trace, if it has one.
fn span_of(delivery: &Delivery, trace_id: Option<&str>) -> Span {
    tracing::info_span!(
        "delivery",
        namespace = &*delivery.event.namespace,
        webhook = &*delivery.webhook,
        event = delivery.event.name,
        alert_group = &*delivery.facts.alert_group_id,
        attempt = delivery.history.count + 1,
        trace_id,
    )
}

/// An event of which no more is known than its key.
fn bare(key: &EventKey) -> AlertGroupEvent {
    let mut event = AlertGroupEvent::new(&key.name, AlertGroupEventSpec::default());
    let metadata = event.meta_mut();
    (metadata.namespace, metadata.uid) = (Some(key.namespace.to_string()), Some(key.uid.clone()));
    event
}

fn key_of(event: &impl ResourceExt) -> EventKey {
    let NamespacedName { namespace, .. } = name_of(event);
    EventKey { namespace, name: event.name_any(), uid: event.uid().unwrap_or_default() }
}

/// An event as the lifecycle sees it.
fn seen(event: &AlertGroupEvent) -> SeenEvent {
    let status = event.status.as_ref();
    let noted = status.and_then(|status| status.seen_version.as_deref());
    let key = key_of(event);
    let request = event.spec.fold_request(&key.namespace, &key.uid);
    let group = |of: &FoldedInto| -> (Arc<str>, Arc<str>) { (Arc::from(&*of.name), Arc::from(&*of.id)) };
    let record = status.map(|status| EventRecord {
        is_completed: status.phase == EventPhase::Completed,
        matched: status.matched,
        redelivered: status.redelivered.as_deref().map(Arc::from),
        redelivering: status.redelivering.as_deref().map(Arc::from),
        fold: status.verdict.map(|verdict| FoldRecord { verdict, group: status.alert_group_ref.as_ref().map(group) }),
        deliveries: status.webhooks.clone(),
    });
    SeenEvent {
        key: Arc::new(key),
        facts: Arc::new(event.spec.facts()),
        request: request.map(Arc::new),
        created: created_in(&event.metadata),
        version: noted.map_or_else(|| version_of(event), ResourceVersion::from),
        is_changed: is_changed(&event.metadata),
        is_deleting: event.metadata.deletion_timestamp.is_some(),
        asked: event.annotations().get(REDELIVER_ANNOTATION).map(|value| Arc::from(redelivery_value(value))),
        record,
        weight: 0,
    }
}

#[cfg(test)]
mod tests;
