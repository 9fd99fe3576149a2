//! Decides which of the waiting deliveries goes out next: bounded in all, shared fairly, and held back from endpoints that fail.
//!
//! ```text
//! namespace ──► webhook ──► ready ──► asked ──► answered ──► recorded
//!  in turn      in turn       ▲      (a slot)                    │ failed
//!                             │      └── in flight: a permit ──┘ │
//!                             └──────────── later ◄──────────────┘
//! ```
//! A webhook has a slot for each request that it may have under way, and gets it back with the answer. What is sent and not recorded is
//! in flight: bounded in all, and one delivery of an alert group and webhook at a time, so that none overtakes another whatever is
//! sent again after a kill.
//!
//! Nobody gets all there is: a namespace may have in flight at most twice what is free, and a webhook no more than what
//! is left of that. So whoever comes next finds something free, however many endpoints hang. The same goes for the memory that
//! deliveries in flight hold.
//!
//! An endpoint that fails some times in a row, or asks to wait, is tried with one delivery at a time, another each time: less and less
//! often, and no sooner than it takes to ask it. One that can't be connected to is also knocked at, every two seconds ([`Door`]). When it
//! answers, what waits for it goes out at once, in order: one request, two, four, and so on.

mod doors;
mod health;
mod queue;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::doors::Door;
use self::{
    doors::Doors,
    health::{Health, knock_at},
    queue::{Flight, WebhookQueue},
};
use super::{name::NamespacedName, retry::RetryPolicy, shares::Shares};

/// How many failures in a row it takes until an endpoint is taken to be down.
const FAILURES: u32 = 5;

/// How many deliveries that waited too long are given up at a time. There may be thousands at once, each of which costs
/// writes that the records of others need.
const MAX_GIVING_UP: usize = 8;

/// Bounds on the deliveries that are in flight at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub in_flight: usize,
    /// Of one webhook without an answer.
    pub per_webhook: usize,
    /// What they hold in all, in bytes.
    pub bytes: usize,
}

impl Limits {
    /// How many bytes a delivery counts for: never so many that it could not go while others do, and where it has more than
    /// that, one such at a time.
    fn weight(&self, bytes: usize) -> usize {
        bytes.min(self.bytes / 3 * 2)
    }
}

/// A delivery that waits.
#[derive(Debug)]
pub struct Queued<T> {
    /// The delivery.
    pub item: T,
    /// Number of its event: events have numbers in the order of their creation.
    pub number: u64,
    /// Alert group of its event. Of one group and webhook, one delivery is in flight at a time.
    pub group: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether one of these was sent and not answered in time.
    pub timed_out: bool,
    /// About how many bytes it will hold while it is in flight.
    pub bytes: usize,
    /// When to try it.
    pub due: Instant,
    /// When to give up waiting for an endpoint that is down.
    pub give_up: Instant,
}

/// What waits for one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingFor<'a> {
    /// The webhook.
    pub webhook: &'a NamespacedName,
    /// How many deliveries.
    pub count: usize,
    /// The least number of their events: that of the one that was created first.
    pub oldest: u64,
    /// Whether they wait until the webhook is changed.
    pub is_held: bool,
}

/// The next thing to do.
#[derive(Debug)]
pub enum Decision<T> {
    /// Send it. The slot is given back by [`Dispatcher::answered`], the permit by [`Dispatcher::done`].
    Send(T, Permit),
    /// Its time is over. To be answered by [`Dispatcher::gave_up`].
    GiveUp(T),
}

/// Stands for a delivery in flight.
#[derive(Debug)]
#[must_use = "what is in flight is bounded: give the permit back"]
pub struct Permit {
    webhook: NamespacedName,
    group: Arc<str>,
    bytes: usize,
}

/// How an endpoint did, as an attempt showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointReport {
    /// It answers.
    Answered,
    /// It could not be connected to, by that scheme, host and port: nothing was sent, and it cost it nothing.
    Away(Arc<str>),
    /// It may do better later.
    Failed {
        /// How long it asks to wait.
        asked: Option<Duration>,
        /// How long it took to ask it.
        cost: Duration,
    },
    /// Nothing was sent.
    NotSent,
}

impl EndpointReport {
    fn asks_to_wait(&self) -> bool {
        matches!(self, Self::Failed { asked: Some(_), .. })
    }
}

/// A change of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointChange {
    /// It is taken to be down.
    Failing,
    /// It answers again.
    Recovered,
}

/// Webhooks in the order in which they get a permit, and how much the namespace has in flight.
#[derive(Debug, Default)]
struct NamespaceShare {
    in_flight: usize,
    round: VecDeque<Arc<str>>,
    in_round: bool,
}

/// Holds all deliveries that wait, and counts those in flight.
#[derive(Debug)]
pub struct Dispatcher<T> {
    limits: Limits,
    in_flight: usize,
    /// Who holds how much of the memory for what is in flight.
    shares: Shares,
    waiting: usize,
    queues: HashMap<NamespacedName, WebhookQueue<T>>,
    namespaces: HashMap<Arc<str>, NamespaceShare>,
    round: VecDeque<Arc<str>>,
    given_up: VecDeque<T>,
    /// How many of those that were given up are under way.
    giving_up: usize,
    wakes: BTreeSet<(Instant, NamespacedName)>,
    doors: Doors,
    blocked: bool,
}

impl<T> Dispatcher<T> {
    /// Nothing waits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            in_flight: 0,
            shares: Shares::new(limits.bytes),
            waiting: 0,
            queues: HashMap::new(),
            namespaces: HashMap::new(),
            round: VecDeque::new(),
            given_up: VecDeque::new(),
            giving_up: 0,
            wakes: BTreeSet::new(),
            doors: Doors::default(),
            blocked: false,
        }
    }

    /// How many deliveries wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What waits for each webhook for which anything does.
    pub fn waiting_by_webhook(&self) -> impl Iterator<Item = WaitingFor<'_>> {
        let queues = self.queues.iter().filter(|(_, queue)| queue.waiting() > 0);
        queues.filter_map(|(webhook, queue)| {
            Some(WaitingFor { webhook, count: queue.waiting(), oldest: queue.oldest()?, is_held: queue.held })
        })
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// About how many bytes these hold.
    pub fn in_flight_bytes(&self) -> usize {
        self.shares.used()
    }

    /// The bound on that, in bytes.
    pub fn bytes_limit(&self) -> usize {
        self.limits.bytes
    }

    /// The bound on how many are in flight.
    pub fn limit(&self) -> usize {
        self.limits.in_flight
    }

    /// How many endpoints are taken to be down.
    pub fn failing(&self) -> usize {
        self.queues.values().filter(|queue| queue.is_failing()).count()
    }

    /// Whether a delivery would go if less were in flight.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// When to ask for the next one, and where to knock, if nothing happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        wake.into_iter().chain(self.doors.wake_at()).min()
    }

    /// Whether the deliveries of a webhook may wait long: its endpoint is down, or it is held.
    pub fn is_stuck(&self, webhook: &NamespacedName) -> bool {
        self.queues.get(webhook).is_some_and(|queue| queue.held || queue.is_failing())
    }

    /// Whether the deliveries of a webhook wait until it is changed.
    pub fn is_held(&self, webhook: &NamespacedName) -> bool {
        self.queues.get(webhook).is_some_and(|queue| queue.held)
    }

    /// How many deliveries wait for a webhook.
    pub fn waiting_for(&self, webhook: &NamespacedName) -> usize {
        self.queues.get(webhook).map_or(0, WebhookQueue::waiting)
    }

    /// Whether a webhook's endpoint has failed so often in a row that it is taken to be down.
    pub fn is_failing(&self, webhook: &NamespacedName) -> bool {
        self.queues.get(webhook).is_some_and(WebhookQueue::is_failing)
    }

    /// Adds a delivery.
    pub fn push(&mut self, webhook: &NamespacedName, waiting: Queued<T>, now: Instant) {
        self.waiting += 1;
        self.change(webhook, now, |queue| queue.insert(waiting, now));
    }

    /// Says what to do next; None if nothing may be done now.
    pub fn next(&mut self, now: Instant) -> Option<Decision<T>> {
        self.wake(now);
        self.next_to_send(now).or_else(|| {
            if self.giving_up >= MAX_GIVING_UP {
                return None;
            }
            let item = self.given_up.pop_front()?;
            self.waiting -= 1;
            self.giving_up += 1;
            Some(Decision::GiveUp(item))
        })
    }

    /// Takes note that a delivery has been given up.
    pub fn gave_up(&mut self) {
        self.giving_up -= 1;
    }

    fn next_to_send(&mut self, now: Instant) -> Option<Decision<T>> {
        self.blocked = false;
        if self.in_flight >= self.limits.in_flight {
            self.blocked = !self.round.is_empty();
            return None;
        }
        for _ in 0..self.round.len() {
            let Some(name) = self.round.pop_front() else { break };
            let started = self.next_of(&name, now);
            match self.namespaces.get_mut(&name) {
                Some(namespace) if namespace.round.is_empty() => namespace.in_round = false,
                _ => self.round.push_back(name),
            }
            if started.is_some() {
                return started;
            }
        }
        None
    }

    fn next_of(&mut self, name: &Arc<str>, now: Instant) -> Option<Decision<T>> {
        let free = self.limits.in_flight - self.in_flight;
        let (room, webhooks) = {
            let namespace = self.namespaces.get(name)?;
            ((2 * free).saturating_sub(namespace.in_flight), namespace.round.len())
        };
        if room == 0 {
            self.blocked = true;
            return None;
        }
        for _ in 0..webhooks {
            let webhook = self.namespaces.get_mut(name)?.round.pop_front()?;
            let webhook = NamespacedName::new(Arc::clone(name), webhook);
            let Some(queue) = self.queues.get_mut(&webhook) else { continue };
            if queue.is_willing(now) && queue.flights.len() >= room {
                self.blocked = true;
                self.namespaces.get_mut(name)?.round.push_back(webhook.name);
                continue;
            }
            // Listed again when something changes about it.
            queue.in_round = false;
            if !queue.is_willing(now) {
                self.change(&webhook, now, |_| {});
                continue;
            }
            let Some(number) = queue.next() else { continue };
            let bytes = queue.ready.get(&number).map_or(0, |waiting| self.limits.weight(waiting.bytes));
            if !self.shares.has_room_at_all(name, bytes) {
                self.blocked = true;
                queue.in_round = true;
                self.namespaces.get_mut(name)?.round.push_back(webhook.name);
                continue;
            }
            let Some(waiting) = queue.take(number) else { continue };
            let is_probe = match &mut queue.health {
                Health::Failing { probing, .. } => {
                    *probing = true;
                    true
                }
                Health::Healthy { .. } => false,
            };
            let permit = self.begin(&webhook, &waiting.group, is_probe, bytes);
            self.change(&webhook, now, |_| {});
            return Some(Decision::Send(waiting.item, permit));
        }
        None
    }

    /// Notes how many bytes a delivery in flight holds. False, and nothing is noted, if there is no room for them.
    pub fn weigh(&mut self, permit: &mut Permit, bytes: usize) -> bool {
        let (bytes, namespace) = (self.limits.weight(bytes), &permit.webhook.namespace);
        if let Some(more) = bytes.checked_sub(permit.bytes).filter(|more| *more > 0)
            && self.shares.used() > permit.bytes
            && !self.shares.has_room_at_all(namespace, more)
        {
            return false;
        }
        self.shares.give_back(namespace, permit.bytes);
        self.shares.take(namespace, bytes);
        permit.bytes = bytes;
        true
    }

    fn begin(&mut self, webhook: &NamespacedName, group: &Arc<str>, is_probe: bool, bytes: usize) -> Permit {
        self.waiting -= 1;
        self.in_flight += 1;
        self.shares.take(&webhook.namespace, bytes);
        self.namespaces.entry(Arc::clone(&webhook.namespace)).or_default().in_flight += 1;
        let queue = self.queues.entry(webhook.clone()).or_insert_with(|| WebhookQueue::new(self.limits.per_webhook));
        queue.asked += 1;
        queue.flights.insert(Arc::clone(group), Flight::Asked { is_probe });
        Permit { webhook: webhook.clone(), group: Arc::clone(group), bytes }
    }

    /// Frees the slot of a delivery whose request is answered, and takes note of what that says of the endpoint. `policy` is the
    /// webhook's; `chance` is from 0 to 1.
    pub fn answered(
        &mut self,
        webhook: &NamespacedName,
        group: &str,
        report: &EndpointReport,
        policy: &RetryPolicy,
        now: Instant,
        chance: f64,
    ) -> Option<EndpointChange> {
        let bound = self.limits.per_webhook;
        self.queues.contains_key(webhook).then_some(())?;
        self.change(webhook, now, |queue| {
            let is_probe = queue.answered(group)?;
            queue.reported(report, is_probe, bound, policy, now, chance)
        })
    }

    /// The next endpoint that is to be knocked at: whether a connection can be made. To be answered by [`Dispatcher::knocked`].
    pub fn next_knock(&mut self, now: Instant) -> Option<Door> {
        self.doors.next(now)
    }

    /// Takes note of a knock: whether a connection could be made. `chance` is from 0 to 1.
    pub fn knocked(&mut self, door: &Door, is_open: bool, now: Instant, chance: f64) {
        for webhook in self.doors.knocked(door, is_open, knock_at(0, now, chance)) {
            let webhook = NamespacedName::new(Arc::clone(&door.namespace), webhook);
            self.change(&webhook, now, |queue| {
                queue.door = None;
                queue.door_opened(now);
            });
        }
    }

    /// Takes a permit back: the delivery is recorded, or nothing was sent. Returns whether its endpoint has recovered since it was
    /// answered: if it failed, it need not wait.
    pub fn done(&mut self, permit: Permit, now: Instant) -> bool {
        let Permit { webhook, group, bytes } = permit;
        self.in_flight -= 1;
        self.shares.give_back(&webhook.namespace, bytes);
        if let Some(namespace) = self.namespaces.get_mut(&webhook.namespace) {
            namespace.in_flight -= 1;
        }
        self.change(&webhook, now, |queue| {
            if let Some(true) = queue.answered(&group)
                && let Health::Failing { probing, .. } = &mut queue.health
            {
                *probing = false;
            }
            queue.flights.remove(&group) == Some(Flight::Answered { has_recovered: true })
        })
    }

    /// Holds the deliveries that wait for a webhook, or lets them go.
    pub fn hold(&mut self, webhook: &NamespacedName, held: bool, now: Instant) {
        if held || self.queues.contains_key(webhook) {
            self.change(webhook, now, |queue| queue.held = held);
        }
    }

    /// Begins anew with a webhook that was changed: its deliveries go out at once. Returns how that changes its endpoint.
    pub fn renew(&mut self, webhook: &NamespacedName, now: Instant) -> Option<EndpointChange> {
        let bound = self.limits.per_webhook;
        self.queues.contains_key(webhook).then_some(())?;
        self.change(webhook, now, |queue| {
            let failing = queue.is_failing();
            queue.begin_anew(bound);
            queue.release();
            failing.then_some(EndpointChange::Recovered)
        })
    }

    /// Takes out all deliveries that wait for a webhook.
    pub fn remove(&mut self, webhook: &NamespacedName, now: Instant) -> Vec<T> {
        if !self.queues.contains_key(webhook) {
            return Vec::new();
        }
        let bound = self.limits.per_webhook;
        let out = self.change(webhook, now, |queue| {
            queue.release();
            queue.held = false;
            queue.begin_anew(bound);
            queue.ends.clear();
            std::mem::take(&mut queue.ready)
        });
        let out: Vec<T> = out.into_values().map(|waiting| waiting.item).collect();
        self.waiting -= out.len();
        out
    }

    /// Takes out a delivery that waits; None if it does not.
    pub fn withdraw(&mut self, webhook: &NamespacedName, number: u64, now: Instant) -> Option<T> {
        if !self.queues.contains_key(webhook) {
            return None;
        }
        let waiting = self.change(webhook, now, |queue| queue.withdraw(number))?;
        self.waiting -= 1;
        Some(waiting.item)
    }

    /// Wakes the webhooks whose time has come.
    fn wake(&mut self, now: Instant) {
        while let Some((_, webhook)) = self.wakes.first().filter(|(at, _)| *at <= now) {
            let webhook = webhook.clone();
            self.change(&webhook, now, |_| {});
        }
    }

    /// Changes a queue, and notes the consequences of that and of the time.
    fn change<R>(
        &mut self,
        webhook: &NamespacedName,
        now: Instant,
        change: impl FnOnce(&mut WebhookQueue<T>) -> R,
    ) -> R {
        let bound = self.limits.per_webhook;
        let queue = self.queues.entry(webhook.clone()).or_insert_with(|| WebhookQueue::new(bound));
        let result = change(queue);
        queue.make_due_ready(now);
        self.given_up.extend(queue.given_up(now));
        let willing = queue.is_willing(now);
        let wake = queue.next_wake(now);
        if queue.wake != wake {
            if let Some(old) = queue.wake.take() {
                self.wakes.remove(&(old, webhook.clone()));
            }
            self.wakes.extend(wake.map(|at| (at, webhook.clone())));
            queue.wake = wake;
        }
        let away = queue.door();
        if queue.door.as_ref().map(|door| &door.origin) != away.map(|away| &away.origin) {
            let door = away.map(|away| {
                let door = Door { namespace: Arc::clone(&webhook.namespace), origin: Arc::clone(&away.origin) };
                self.doors.join(&door, &webhook.name, away.knock_at.max(now));
                door
            });
            if let Some(old) = std::mem::replace(&mut queue.door, door) {
                self.doors.leave(&old, &webhook.name);
            }
        }
        if willing && !queue.in_round {
            queue.in_round = true;
            let namespace = self.namespaces.entry(Arc::clone(&webhook.namespace)).or_default();
            namespace.round.push_back(Arc::clone(&webhook.name));
            if !namespace.in_round {
                namespace.in_round = true;
                self.round.push_back(Arc::clone(&webhook.namespace));
            }
        } else if !queue.in_round && queue.is_idle(bound) {
            self.queues.remove(webhook);
            if self.namespaces.get(&webhook.namespace).is_some_and(|of| of.in_flight == 0 && !of.in_round) {
                self.namespaces.remove(&webhook.namespace);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests;
