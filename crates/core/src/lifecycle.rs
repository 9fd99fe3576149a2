//! The life of events and of their deliveries: inputs say what has happened, effects what is to be done.
//!
//! ```text
//!                 seen ─► admitted ─► matched with webhooks
//!                                            │
//!   Ordered ─► Preparing ─► Queued ─► Sending ─► Answered ─► Ended ─► the event's end is written, and shown
//!      │           │         ▲  ▲        │          │         ▲
//!      └───────────┼─────────┘  └────────┼─ again ──┘         │
//!                  └─ was recorded ──────┴─ nothing to send ──┤
//!                           Queued ─► Closing ────────────────┘
//! ```
//! [`Lifecycle::handle`] takes an [`Input`] and the time, and returns [`Effect`]s: nothing here waits, reads or writes. Each
//! effect that hands out a [`Delivery`] is followed by an input that gives it back, unless the process stops.
//!
//! | from | input | to | effects |
//! |---|---|---|---|
//! | – | [`EventSeen`](Input::EventSeen), [`EventListEnded`](Input::EventListEnded), [`WebhookAppeared`](Input::WebhookAppeared) | Ordered | – |
//! | Ordered | its turn in the alert group comes, and it needs to be known what another process has recorded | Ordered, until [`ResponsesListed`](Input::ResponsesListed) | – |
//! | Ordered | its turn in the alert group comes | Preparing, where another process may have begun or Secrets may follow; else Queued | [`Prepare`](Effect::Prepare) |
//! | Preparing | [`Prepared`](Input::Prepared): nothing is recorded | Queued | – |
//! | Preparing | [`Prepared`](Input::Prepared): it was tried | Queued, for the time that is recorded | – |
//! | Preparing | [`Prepared`](Input::Prepared): it had ended | Ended; Queued, if it was asked for again meanwhile | – |
//! | Queued | the dispatcher has room | Sending | [`Attempt`](Effect::Attempt) |
//! | Queued | its deadline passes while its endpoint is down | Closing | [`GiveUp`](Effect::GiveUp) |
//! | Queued | [`WebhookGone`](Input::WebhookGone) | Ended | – |
//! | Ordered, Preparing | [`WebhookGone`](Input::WebhookGone) | as it was; its attempt finds no webhook and ends it | – |
//! | Queued | [`WebhookChanged`](Input::WebhookChanged) | Queued; held, or due at once | – |
//! | Ordered to Closing | [`RedeliveryAsked`](Input::RedeliveryAsked) | as it was; due at once if Queued, else sent again when it ends | – |
//! | Sending | [`Answered`](Input::Answered): its webhook's slot is free, and what that says of the endpoint counts | Answered | [`EndpointFailing`](Effect::EndpointFailing), [`EndpointRecovered`](Effect::EndpointRecovered), [`ReviewWebhook`](Effect::ReviewWebhook) |
//! | Queued, after an attempt that could not connect | the time to knock comes | as it was | [`Knock`](Effect::Knock) |
//! | Queued, after an attempt that could not connect | [`Knocked`](Input::Knocked), and a connection could be made | Queued, due at once | – |
//! | Sending, Answered | [`AttemptEnded`](Input::AttemptEnded): again; the next delivery of its alert group and webhook may go | Queued; Ended, if the webhook is gone | – |
//! | Sending | [`AttemptEnded`](Input::AttemptEnded): left, since the process stops | Sending, for ever: the next process looks it up | – |
//! | Sending, Answered | [`AttemptEnded`](Input::AttemptEnded): ended | Ended; Queued, if it was asked for again meanwhile | – |
//! | Closing | [`GaveUp`](Input::GaveUp) | Ended; Queued, if it was asked for again meanwhile | – |
//! | Ended | [`RedeliveryAsked`](Input::RedeliveryAsked), read by [`ReadResponse`](Effect::ReadResponse), [`ReadEvent`](Effect::ReadEvent) | Queued | – |
//! | any, as there is no room for it | | Parked, in the API server | [`ReviewEvent`](Effect::ReviewEvent) |
//! | Parked | [`BacklogRead`](Input::BacklogRead), since there is room | Ordered | – |
//! | the last one ends | | | [`ReviewEvent`](Effect::ReviewEvent), [`ForgetData`](Effect::ForgetData) |
//! | any | [`EventGone`](Input::EventGone) | as it was: it goes on, and nothing is written of the event | – |
//!
//! These are kept apart: an event that is *seen* is known to exist, one that is *admitted* is worked for. A delivery that is
//! *answered* has had its request, one that is *recorded* will never be sent again by anybody. The end of an event is
//! *written out* when the watch, or whoever writes it, says so ([`EventSeen`](Input::EventSeen),
//! [`EventStatusConfirmed`](Input::EventStatusConfirmed)), never because a write was asked for.

mod admission;
mod backlog;
mod deliveries;
mod event;
mod folding;
mod redelivery;
mod responses;
mod sequence;
mod webhooks;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

pub use self::{
    backlog::{BACKLOG_READS, BacklogLoad, Position},
    event::{EventRecord, EventSummary, SeenEvent},
    folding::{FoldRecord, FoldedEvent},
    redelivery::RedeliveryRequest,
    webhooks::KnownWebhook,
};
use self::{
    backlog::{Backlog, Listing},
    event::EventState,
    sequence::Sequence,
    webhooks::KnownWebhooks,
};
use crate::{
    alert_groups::{AlertGroup, AlertGroupWrite, AlertGroups, HeartbeatEvent, IntegrationFacts, Timer},
    delivery::{Delivery, DeliverySummary, EventKey},
    dispatch::{Dispatcher, Door, EndpointReport, Limits, Permit},
    matching::SAME_APPLY,
    name::NamespacedName,
    order::{AlertGroupOrder, DeliveryKey},
    shares::Shares,
    webhook::Webhook,
};

/// How long a completed event is remembered: a webhook of the same apply may be seen late. After an interruption of the watch of
/// webhooks, which is reported every 30 s until it ends, nothing is forgotten for as long.
pub const REMEMBERED: Duration = Duration::from_secs(SAME_APPLY.as_secs() + 60);

/// The time of an input, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what waits in this process.
    pub instant: Instant,
    /// For what stands in objects.
    pub time: Timestamp,
}

impl Now {
    /// The time as it is.
    pub fn read() -> Self {
        Self { instant: Instant::now(), time: Timestamp::now() }
    }

    /// The instant of a time that an object has; now if it is past.
    fn instant_of(self, then: Timestamp) -> Instant {
        self.instant + Duration::try_from(then.duration_since(self.time)).unwrap_or_default()
    }
}

/// Knows the WebhookResponses that were there when they were last listed: all of them from [`Input::ResponsesListed`] on.
pub trait ListedResponses: Send + Sync {
    /// Whether one of that event and webhook may have been there. False is certain.
    fn has(&self, event: &EventKey, webhook: &str) -> bool;

    /// Whether any of that event may have been there. False is certain.
    fn has_any(&self, event: &EventKey) -> bool;
}

/// Something that has happened.
#[derive(Debug)]
pub enum Input {
    /// The watch shows an event that is new or has changed.
    EventSeen(Box<SeenEvent>),
    /// A list of events begins: those that it names come in any order.
    EventListBegan,
    /// A list names an event.
    EventListed(Box<SeenEvent>),
    /// A list names an event of this uid, which can't be read.
    UnreadableEventListed(String),
    /// A list of events has ended: what it did not name is not there.
    EventListEnded,
    /// Events of a namespace are read that have not ended, oldest first; and where the next ones begin, if there are more.
    BacklogRead(Arc<str>, Vec<SeenEvent>, Option<Position>),
    /// The status of an event says all that is to be said of it: the two were compared, and nothing need be written.
    EventStatusConfirmed(Box<SeenEvent>),
    /// The event of this uid is deleted.
    EventGone(String),
    /// There is a webhook that was not there before.
    WebhookAppeared(Arc<KnownWebhook>),
    /// A webhook has changed.
    WebhookChanged(Arc<KnownWebhook>),
    /// A webhook is deleted.
    WebhookGone(NamespacedName),
    /// There is a webhook that can't be read, and of which nothing is known.
    WebhookUnreadable(NamespacedName),
    /// The watch of webhooks was interrupted: what it shows next may be old.
    WebhooksInterrupted,
    /// A list names an alert group of a namespace, as it is written.
    AlertGroupListed(Arc<str>, Box<AlertGroup>),
    /// An alert group is deleted.
    AlertGroupGone(NamespacedName),
    /// An alert group is written so.
    AlertGroupWritten(NamespacedName, Box<AlertGroupWrite>),
    /// An Integration is new, or has changed.
    IntegrationSeen(NamespacedName, IntegrationFacts),
    /// An Integration is deleted.
    IntegrationGone(NamespacedName),
    /// The event of a timer could not be created.
    TimerFailed(Timer),
    /// The event that tells of a heartbeat could not be created.
    HeartbeatFailed(HeartbeatEvent),
    /// A delivery is prepared.
    Prepared(Box<Delivery>, Found),
    /// The request of a delivery is answered, or could not be made; the record of that follows.
    Answered(DeliveryKey, Answer),
    /// An attempt has ended, record included. Where nothing was sent, no [`Input::Answered`] came before.
    AttemptEnded(Box<Delivery>, Permit, Next),
    /// Somebody has knocked: whether a connection could be made. With a number from 0 to 1, which spreads what is knocked at together.
    Knocked(Door, bool, f64),
    /// A delivery that waited too long is closed, and so recorded.
    GaveUp(Box<Delivery>, DeliverySummary),
    /// A WebhookResponse of this name has this value of the annotation that asks to send it again.
    RedeliveryAsked(NamespacedName, Arc<str>),
    /// A response that is to be sent again is read.
    ResponseRead(Box<RedeliveryRequest>),
    /// A response that is to be sent again for this value is gone, or can't be read.
    ResponseGone(NamespacedName, Arc<str>),
    /// The event of a response that is to be sent again is read; None if it is gone.
    EventRead(Box<RedeliveryRequest>, Option<Box<SeenEvent>>),
    /// The WebhookResponses have been listed for the first time: what another process has recorded is known.
    ResponsesListed,
    /// The time of [`Lifecycle::wake_at`] has come.
    Woken,
    /// Nothing more is to be started.
    Stopped,
}

/// The record of a delivery that another process may have begun.
#[derive(Debug)]
pub enum Found {
    /// It is over.
    Ended(DeliverySummary),
    /// It was tried, and is to be sent again then.
    Tried(Timestamp, DeliverySummary),
    /// It is to be sent: there is no record, or it is asked for anew.
    ToSend,
}

/// What an answer, or that there is none, says of the endpoint.
#[derive(Debug)]
pub struct Answer {
    /// How the endpoint did.
    pub report: EndpointReport,
    /// The webhook as it was when the request was made.
    pub webhook: Arc<Webhook>,
    /// Whether the receiver has answered that it wants no more of this webhook (410).
    pub is_gone: bool,
    /// From 0 to 1: spreads what failed together.
    pub chance: f64,
}

/// How a delivery goes on after an attempt.
#[derive(Debug)]
pub enum Next {
    /// It is over.
    End(DeliverySummary),
    /// It is to be sent again then.
    Again(Timestamp, DeliverySummary),
    /// Nothing was sent, since this process stops: it is for the next one.
    Leave,
    /// Nothing was sent: it holds so many bytes, for which there was no room.
    Heavier(usize),
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Look up what is recorded of a delivery, if that is said; then wait for the Secrets of its webhook, if it is to be sent.
    /// Answered by [`Input::Prepared`].
    Prepare {
        /// The delivery.
        delivery: Box<Delivery>,
        /// Whether another process may have recorded something.
        look_up: bool,
    },
    /// Send the request and record what came of it. Answered by [`Input::Answered`] and [`Input::AttemptEnded`].
    Attempt(Box<Delivery>, Permit),
    /// See whether a connection can be made. Answered by [`Input::Knocked`].
    Knock(Door),
    /// Record that a delivery waited too long. Answered by [`Input::GaveUp`].
    GiveUp(Box<Delivery>),
    /// Write an alert group ([`Lifecycle::alert_group_to_write`]). Answered by [`Input::AlertGroupWritten`].
    WriteAlertGroup {
        /// Its name.
        name: NamespacedName,
        /// Whether that is not to wait for further changes.
        is_urgent: bool,
    },
    /// Create the event that a timer asks for. If that fails for good, answered by [`Input::TimerFailed`].
    CreateTimerEvent(Timer),
    /// Create the event that tells of a heartbeat. If that fails for good, answered by [`Input::HeartbeatFailed`].
    CreateHeartbeatEvent(HeartbeatEvent),
    /// The status of an Integration may have to change: it has received something.
    AlertReceived(NamespacedName, Timestamp),
    /// The status of an event may have to be written ([`Lifecycle::progress`]).
    ReviewEvent(Arc<EventKey>),
    /// Nothing is known of an event any more.
    EventForgotten(Arc<EventKey>),
    /// Read the oldest [`BACKLOG_READS`] events of a namespace, from a position on, that have not ended. Answered by
    /// [`Input::BacklogRead`].
    ReadBacklog {
        /// The namespace.
        namespace: Arc<str>,
        /// The position.
        after: Position,
        /// Also read those that have been completed and are to be sent again.
        with_completed: bool,
    },
    /// Tell people that new events of a namespace wait in the API server.
    NamespaceBehind(Arc<str>),
    /// Tell people that they don't any more.
    NamespaceCaughtUp(Arc<str>),
    /// Tell people that deliveries of a webhook wait in the API server.
    WebhookParked(NamespacedName),
    /// Tell people that they don't any more.
    WebhookUnparked(NamespacedName),
    /// The data of an event is not needed any more.
    ForgetData(Arc<EventKey>),
    /// Read a response that is to be sent again for this value. Answered by [`Input::ResponseRead`] or
    /// [`Input::ResponseGone`].
    ReadResponse(NamespacedName, Arc<str>),
    /// Read the event of a response that is to be sent again. Answered by [`Input::EventRead`].
    ReadEvent(Box<RedeliveryRequest>),
    /// Say why a response can't be sent again: in the log, and in the response if it has a status.
    Decline(Box<RedeliveryRequest>, String),
    /// Tell people that an endpoint fails.
    EndpointFailing(NamespacedName),
    /// Tell people that an endpoint answers again.
    EndpointRecovered(NamespacedName),
    /// The status of a webhook may have to change.
    ReviewWebhook(NamespacedName),
    /// [`Lifecycle::wake_at`] has changed.
    WakeChanged,
}

/// How far an event is, for its status.
#[derive(Debug)]
pub enum Progress {
    /// Nothing is known of it, or nothing is to be written.
    Settled,
    /// It is under way.
    Running {
        /// Since when.
        since: Instant,
        /// The content of its status.
        summary: EventSummary,
        /// Whether it waits for nothing but a webhook that can't be read.
        waits_for_unreadable: bool,
        /// Whether all that is left of it waits in the API server, from the time on that its status says so.
        is_parked: bool,
    },
    /// All its deliveries have ended.
    Ended {
        /// The content of its status.
        summary: EventSummary,
        /// The names and ids in `webhookRefs` that no webhook answers to.
        unknown: Vec<String>,
    },
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Deliveries that are sent and not yet recorded.
    pub in_flight: usize,
    /// The bound on these.
    pub limit: usize,
    /// Deliveries that wait, for whatever.
    pub waiting: usize,
    /// Endpoints that are taken to be down.
    pub failing: usize,
    /// Something would be sent but for what is in flight already.
    pub blocked: bool,
    /// What is in memory of all that waits, in bytes: an estimate.
    pub held_bytes: usize,
    /// The bound on that.
    pub held_limit: usize,
    /// About how many bytes the deliveries in flight hold.
    pub in_flight_bytes: usize,
    /// The bound on that.
    pub in_flight_limit: usize,
    /// What waits in the API server.
    pub backlog: BacklogLoad,
}

/// The deliveries that wait for one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The webhook.
    pub webhook: NamespacedName,
    /// How many there are.
    pub count: usize,
    /// When the oldest of their events was created.
    pub since: Timestamp,
    /// Whether they wait until the webhook is changed: it is suspended, say.
    pub is_held: bool,
}

/// The events that are under way, and their deliveries.
pub struct Lifecycle {
    /// By number: in the order in which they were created.
    events: HashMap<u64, EventState>,
    /// Numbers by uid.
    numbers: HashMap<String, u64>,
    /// The deliveries that were not tried yet, by the namespace and the id of their alert group.
    orders: HashMap<NamespacedName, AlertGroupOrder>,
    dispatcher: Dispatcher<Box<Delivery>>,
    webhooks: KnownWebhooks,
    alert_groups: AlertGroups,
    /// The uids of the events whose statuses wait for an alert group to be written, by its name.
    awaiting_group: HashMap<NamespacedName, Vec<String>>,
    /// The order of events.
    sequence: Sequence,
    responses: Arc<dyn ListedResponses>,
    /// The namespaces in which events are held.
    namespaces_awaiting_unreadable: HashSet<Arc<str>>,
    /// The responses that people want to be sent again, and the values of the annotation, by webhooks that can't be read.
    redeliveries_of_unreadable: HashMap<NamespacedName, HashMap<Arc<str>, Arc<str>>>,
    /// The last value of each response that is being read.
    latest_redeliveries: HashMap<NamespacedName, Arc<str>>,
    /// The responses that were asked for before the first lists of events and of responses had ended.
    early_redeliveries: Vec<(NamespacedName, Arc<str>)>,
    /// When to look again what may be sent.
    wake_at: Option<Instant>,
    /// Completed events, in the order in which they are to be forgotten.
    remembered: VecDeque<(Instant, u64)>,
    /// The same by namespace.
    remembered_of: HashMap<Arc<str>, VecDeque<u64>>,
    /// Who holds how much of the memory for what waits.
    shares: Shares,
    /// What waits in the API server, by namespace.
    backlogs: HashMap<Arc<str>, Backlog>,
    /// There may be room for more.
    is_room_changed: bool,
    /// A list that is under way.
    listing: Option<Listing>,
    /// Until then nothing is forgotten: webhooks may have been missed.
    none_forgotten_until: Option<Instant>,
    /// The first list has ended.
    is_listed: bool,
    /// The first list of responses has ended.
    are_responses_listed: bool,
    /// The deliveries that wait for that, though their turn has come.
    awaiting_responses: BTreeSet<DeliveryKey>,
    is_stopped: bool,
    effects: Vec<Effect>,
}

impl Lifecycle {
    /// Nothing is known yet. What waits may take up to `memory` bytes.
    pub fn new(limits: Limits, memory: usize, responses: Arc<dyn ListedResponses>) -> Self {
        Self {
            events: HashMap::new(),
            numbers: HashMap::new(),
            orders: HashMap::new(),
            dispatcher: Dispatcher::new(limits),
            webhooks: KnownWebhooks::default(),
            alert_groups: AlertGroups::default(),
            awaiting_group: HashMap::new(),
            sequence: Sequence::default(),
            responses,
            namespaces_awaiting_unreadable: HashSet::new(),
            redeliveries_of_unreadable: HashMap::new(),
            latest_redeliveries: HashMap::new(),
            early_redeliveries: Vec::new(),
            wake_at: None,
            remembered: VecDeque::new(),
            remembered_of: HashMap::new(),
            shares: Shares::new(memory),
            backlogs: HashMap::new(),
            is_room_changed: false,
            listing: None,
            none_forgotten_until: None,
            is_listed: false,
            are_responses_listed: false,
            awaiting_responses: BTreeSet::new(),
            is_stopped: false,
            effects: Vec::new(),
        }
    }

    /// Takes in what has happened. Returns what is to be done about it, in any order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        match input {
            Input::EventSeen(seen) => self.event_seen(&seen, now),
            Input::EventListBegan => self.event_list_began(),
            Input::EventListed(seen) => self.event_listed(*seen, now),
            Input::UnreadableEventListed(uid) => self.unreadable_listed(&uid),
            Input::EventListEnded => self.event_list_ended(now),
            Input::BacklogRead(namespace, events, next) => self.backlog_read(&namespace, events, next, now),
            Input::EventStatusConfirmed(seen) => self.event_status_confirmed(&seen, now),
            Input::EventGone(uid) => self.event_gone(&uid, now),
            Input::WebhookAppeared(webhook) if !self.is_stopped => self.webhook_appeared(&webhook, now),
            Input::WebhookChanged(webhook) if !self.is_stopped => self.webhook_changed(&webhook, now),
            Input::WebhookGone(name) if !self.is_stopped => self.webhook_gone(&name, now),
            Input::WebhookUnreadable(name) if !self.is_stopped => self.webhook_unreadable(&name),
            // What is on the way ends as it would have.
            Input::WebhookAppeared(_)
            | Input::WebhookChanged(_)
            | Input::WebhookGone(_)
            | Input::WebhookUnreadable(_) => {}
            Input::WebhooksInterrupted => self.none_forgotten_until = Some(now.instant + REMEMBERED),
            Input::AlertGroupListed(namespace, group) => self.alert_group_listed(&namespace, *group),
            Input::AlertGroupGone(name) => self.alert_group_gone(&name),
            Input::AlertGroupWritten(name, write) => self.alert_group_written(&name, &write),
            Input::IntegrationSeen(integration, facts) => self.integration_seen(&integration, facts, now),
            Input::IntegrationGone(integration) => self.integration_gone(&integration),
            Input::HeartbeatFailed(event) => self.heartbeat_failed(&event),
            Input::TimerFailed(timer) => self.timer_failed(&timer),
            Input::Prepared(delivery, found) => self.prepared(delivery, found, now),
            Input::Answered((number, webhook), answer) => self.answered(number, &webhook, &answer, now),
            Input::AttemptEnded(delivery, permit, next) => self.attempt_ended(delivery, permit, next, now),
            Input::Knocked(door, is_open, chance) => self.dispatcher.knocked(&door, is_open, now.instant, chance),
            Input::GaveUp(delivery, summary) => self.gave_up(delivery, summary, now),
            Input::RedeliveryAsked(response, value) => self.redelivery_asked(response, value),
            Input::ResponseRead(asked) => self.response_read(asked, now),
            Input::ResponseGone(response, value) => self.response_gone(&response, &value),
            Input::EventRead(asked, event) => self.event_read(asked, event.as_deref(), now),
            Input::ResponsesListed => self.responses_listed(now),
            Input::Woken => {}
            Input::Stopped => self.is_stopped = true,
        }
        self.start_timers(now);
        self.start_due(now);
        self.read_backlogs();
        std::mem::take(&mut self.effects)
    }

    /// When to handle [`Input::Woken`], if nothing else happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// How far an event is.
    pub fn progress(&self, uid: &str) -> Progress {
        let event = self.numbers.get(uid).and_then(|number| self.events.get(number));
        // Its alert group is written first; then it is looked at again.
        let is_due = |event: &&EventState| !event.is_settled() && self.is_folded_in(event);
        let Some(event) = event.filter(is_due) else { return Progress::Settled };
        let summary = event.summary();
        if event.has_ended() {
            return Progress::Ended { summary, unknown: event.unknown.clone() };
        }
        let waits_for_unreadable = event.waits_for_unreadable_only();
        let is_parked = event.is_parked();
        Progress::Running { since: event.admitted, summary, waits_for_unreadable, is_parked }
    }

    /// Whether an event is here: it is worked for, or was completed not long ago.
    pub fn is_known(&self, uid: &str) -> bool {
        self.numbers.contains_key(uid)
    }

    /// Leaves the summaries of its deliveries out of an event's status. False if they are already.
    pub fn shorten(&mut self, uid: &str) -> bool {
        let number = self.numbers.get(uid).copied();
        let event = number.and_then(|number| self.events.get_mut(&number));
        event.is_some_and(|event| !std::mem::replace(&mut event.is_shortened, true))
    }

    /// Whether a webhook's endpoint has failed so often in a row that it is taken to be down.
    pub fn is_failing(&self, webhook: &NamespacedName) -> bool {
        self.dispatcher.is_failing(webhook)
    }

    /// How many deliveries wait for a webhook.
    pub fn waiting_for(&self, webhook: &NamespacedName) -> usize {
        self.dispatcher.waiting_for(webhook)
    }

    /// How much there is to do.
    pub fn load(&self) -> Load {
        Load {
            in_flight: self.dispatcher.in_flight(),
            limit: self.dispatcher.limit(),
            waiting: self.dispatcher.waiting(),
            failing: self.dispatcher.failing(),
            blocked: self.dispatcher.is_blocked(),
            held_bytes: self.shares.used(),
            held_limit: self.shares.limit(),
            in_flight_bytes: self.dispatcher.in_flight_bytes(),
            in_flight_limit: self.dispatcher.bytes_limit(),
            backlog: self.backlog_load(),
        }
    }

    /// The deliveries that wait for their turn, their next attempt or their webhook, in any order.
    pub fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.dispatcher.waiting_by_webhook().filter_map(|of| {
            let since = self.events.get(&of.oldest)?.created;
            Some(Waiting { webhook: of.webhook.clone(), count: of.count, since, is_held: of.is_held })
        });
        waiting.collect()
    }

    /// When an event was created; None if it is not known any more.
    pub fn created(&self, uid: &str) -> Option<Timestamp> {
        Some(self.events.get(self.numbers.get(uid)?)?.created)
    }

    /// Notes how many bytes a delivery in flight holds. False if there is no room for them: it is to be given back as
    /// [`Next::Heavier`].
    pub fn weigh(&mut self, permit: &mut Permit, bytes: usize) -> bool {
        self.dispatcher.weigh(permit, bytes)
    }

    /// How many events have ended of which the end is not written out.
    pub fn unwritten(&self) -> usize {
        self.events.values().filter(|event| event.has_ended() && !event.is_settled()).count()
    }

    fn event_of(&mut self, uid: &str) -> Option<(u64, &mut EventState)> {
        let number = self.numbers.get(uid).copied()?;
        Some((number, self.events.get_mut(&number)?))
    }

    /// The webhook of a delivery, as it is now; None if it is gone.
    fn webhook_of(&self, delivery: &Delivery) -> Option<Arc<KnownWebhook>> {
        let known = self.webhooks.get(&delivery.event.namespace, &delivery.webhook)?;
        (known.uid == delivery.uid).then(|| Arc::clone(known))
    }
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (events, load) = (self.events.len(), self.load());
        f.debug_struct("Lifecycle").field("events", &events).field("load", &load).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
