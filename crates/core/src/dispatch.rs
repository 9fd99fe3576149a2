//! Deliveries that wait in, the next one to go out: bounded in all, shared fairly, and held back from endpoints that fail.
//!
//! ```text
//! namespace ──► webhook ──► ready ──► in flight
//!  in turn      in turn       ▲           │ failed
//!                             └── later ◄─┘
//! ```
//! Nobody gets all there is: a namespace may have in flight at most twice what is free, and a webhook no more than what
//! is left of that. So whoever comes next finds something free, however many endpoints hang.
//!
//! An endpoint that fails some times in a row is tried with one delivery at a time, another each time. When it answers,
//! what waits for it goes out at once, in order: one request, two, four, and so on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::retry::Policy;

/// So many failures in a row, and an endpoint is taken to be down.
const FAILURES: u32 = 5;

/// How long to wait between one delivery and the next while an endpoint is down, unless the webhook's policy says less.
const PROBES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// So many that waited too long are given up at a time. There may be thousands at once, each of which costs writes that
/// others' records need.
const GIVING_UP: usize = 8;

/// What may be in flight at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub in_flight: usize,
    /// Of one webhook.
    pub per_webhook: usize,
}

/// A webhook: its namespace and its name.
pub type Lane = (Arc<str>, Arc<str>);

/// A delivery that waits.
#[derive(Debug)]
pub struct Waiting<T> {
    /// What is to be delivered.
    pub item: T,
    /// Number of its event: events have numbers in the order of their creation.
    pub number: u64,
    /// Alert group of its event. Of one group and webhook, one delivery is in flight at a time.
    pub group: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// When to try it.
    pub due: Instant,
    /// When to give up waiting for an endpoint that is down.
    pub give_up: Instant,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next<T> {
    /// Send it. The turn is given back by [`Dispatcher::done`].
    Send(T, Turn),
    /// Its time is over. To be answered by [`Dispatcher::gave_up`].
    GiveUp(T),
}

/// Stands for a delivery in flight.
#[derive(Debug)]
#[must_use = "what is in flight is bounded: give the turn back"]
pub struct Turn {
    lane: Lane,
    group: Arc<str>,
    probe: bool,
}

/// What came of a turn, as far as it tells of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It answers.
    Answered,
    /// It may do better later; it may have said when.
    Failed(Option<Duration>),
    /// Nothing was sent.
    Nothing,
}

/// What has changed about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is taken to be down.
    Failing,
    /// It answers again.
    Recovered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well { failures: u32 },
    Failing { probes: u32, next: Instant, probing: bool },
}

#[derive(Debug)]
struct Queue<T> {
    /// By number of the event.
    ready: BTreeMap<u64, Waiting<T>>,
    later: BTreeMap<(Instant, u64), Waiting<T>>,
    /// When what waits is due, by the time to give it up and the number of the event.
    ends: BTreeMap<(Instant, u64), Instant>,
    /// Alert groups of what is in flight.
    busy: HashSet<Arc<str>>,
    in_flight: usize,
    /// How many may be in flight: less than the bound while an endpoint recovers.
    window: usize,
    health: Health,
    held: bool,
    /// Whether it is in the round of its namespace.
    listed: bool,
    wake: Option<Instant>,
}

impl<T> Queue<T> {
    fn new(window: usize) -> Self {
        Self {
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            ends: BTreeMap::new(),
            busy: HashSet::new(),
            in_flight: 0,
            window,
            health: Health::Well { failures: 0 },
            held: false,
            listed: false,
            wake: None,
        }
    }

    fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    fn is_idle(&self, window: usize) -> bool {
        self.ready.is_empty()
            && self.later.is_empty()
            && self.in_flight == 0
            && self.window == window
            && self.health == Health::Well { failures: 0 }
            && !self.held
    }

    /// Whether something may go, as far as it is for the webhook itself to say.
    fn is_willing(&self, now: Instant) -> bool {
        let healthy = match self.health {
            Health::Well { .. } => self.in_flight < self.window,
            Health::Failing { next, probing, .. } => !probing && next <= now,
        };
        healthy && !self.held && !self.ready.is_empty()
    }

    /// When to look again after `now`, if nothing happens before. Nothing is due or to be given up now.
    fn next_wake(&self, now: Instant) -> Option<Instant> {
        if self.held {
            return None;
        }
        let due = self.later.first_key_value().map(|((due, _), _)| *due);
        let probe = match self.health {
            Health::Well { .. } => return due,
            Health::Failing { probing: true, .. } => None,
            Health::Failing { next, .. } if next > now && !self.ready.is_empty() => Some(next),
            Health::Failing { next, .. } => due.map(|due| due.max(next)),
        };
        let end = self.ends.first_key_value().map(|((end, _), _)| *end);
        [probe, end].into_iter().flatten().min()
    }

    fn insert(&mut self, waiting: Waiting<T>, now: Instant) {
        self.ends.insert((waiting.give_up, waiting.number), waiting.due);
        if waiting.due <= now {
            self.ready.insert(waiting.number, waiting);
        } else {
            self.later.insert((waiting.due, waiting.number), waiting);
        }
    }

    /// Makes ready what is due.
    fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let waiting = entry.remove();
            self.ready.insert(waiting.number, waiting);
        }
    }

    /// Makes ready all that waits.
    fn release(&mut self) {
        let later = std::mem::take(&mut self.later);
        self.ready.extend(later.into_values().map(|waiting| (waiting.number, waiting)));
    }

    /// What to send next: the earliest. To an endpoint that is down, what was tried least, since the earliest may be what it
    /// fails at; but of an alert group the earliest, unless that was tried often.
    fn pick(&mut self) -> Option<Waiting<T>> {
        let number = match self.health {
            Health::Well { .. } => {
                let mut ready = self.ready.values();
                ready.find(|waiting| !self.busy.contains(&waiting.group))?.number
            }
            Health::Failing { .. } => {
                let mut all: Vec<&Waiting<T>> = self.ready.values().chain(self.later.values()).collect();
                all.sort_unstable_by_key(|waiting| waiting.number);
                let mut taken = HashSet::new();
                all.retain(|waiting| {
                    let is_first = !taken.contains(&waiting.group);
                    if waiting.attempts < FAILURES {
                        taken.insert(&waiting.group);
                    }
                    is_first && !self.busy.contains(&waiting.group) && self.ready.contains_key(&waiting.number)
                });
                all.into_iter().min_by_key(|waiting| (waiting.attempts, waiting.number))?.number
            }
        };
        let waiting = self.ready.remove(&number)?;
        self.ends.remove(&(waiting.give_up, number));
        Some(waiting)
    }

    /// Takes out what has waited too long for an endpoint that is down.
    fn given_up(&mut self, now: Instant) -> Vec<T> {
        let mut over = Vec::new();
        if self.held || !self.is_failing() {
            return over;
        }
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, number), due) = first.remove_entry();
            let waiting = self.ready.remove(&number).or_else(|| self.later.remove(&(due, number)));
            over.extend(waiting.map(|waiting| waiting.item));
        }
        over
    }
}

/// Webhooks in the order in which they get a turn, and how much the namespace has in flight.
#[derive(Debug, Default)]
struct Namespace {
    in_flight: usize,
    round: VecDeque<Arc<str>>,
    listed: bool,
}

/// All that waits and all that is in flight.
#[derive(Debug)]
pub struct Dispatcher<T> {
    limits: Limits,
    in_flight: usize,
    waiting: usize,
    queues: HashMap<Lane, Queue<T>>,
    namespaces: HashMap<Arc<str>, Namespace>,
    round: VecDeque<Arc<str>>,
    given_up: VecDeque<T>,
    /// How many of those that were given up are under way.
    giving_up: usize,
    wakes: BTreeSet<(Instant, Lane)>,
    blocked: bool,
}

impl<T> Dispatcher<T> {
    /// Nothing waits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            in_flight: 0,
            waiting: 0,
            queues: HashMap::new(),
            namespaces: HashMap::new(),
            round: VecDeque::new(),
            given_up: VecDeque::new(),
            giving_up: 0,
            wakes: BTreeSet::new(),
            blocked: false,
        }
    }

    /// How many deliveries wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The bound on that.
    pub fn limit(&self) -> usize {
        self.limits.in_flight
    }

    /// How many endpoints are taken to be down.
    pub fn failing(&self) -> usize {
        self.queues.values().filter(|queue| queue.is_failing()).count()
    }

    /// Whether something would go but for what is in flight already.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// When to ask for the next one, if nothing happens before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Whether what waits for a webhook may wait long: its endpoint is down, or it is held.
    pub fn is_stuck(&self, lane: &Lane) -> bool {
        self.queues.get(lane).is_some_and(|queue| queue.held || queue.is_failing())
    }

    /// Whether a webhook's endpoint has failed so often in a row that it is taken to be down.
    pub fn is_failing(&self, lane: &Lane) -> bool {
        self.queues.get(lane).is_some_and(Queue::is_failing)
    }

    /// Adds a delivery.
    pub fn push(&mut self, lane: &Lane, waiting: Waiting<T>, now: Instant) {
        self.waiting += 1;
        self.change(lane, now, |queue| queue.insert(waiting, now));
    }

    /// What to do next, if anything may be done now.
    pub fn next(&mut self, now: Instant) -> Option<Next<T>> {
        self.wake(now);
        self.next_to_send(now).or_else(|| {
            if self.giving_up >= GIVING_UP {
                return None;
            }
            let item = self.given_up.pop_front()?;
            self.waiting -= 1;
            self.giving_up += 1;
            Some(Next::GiveUp(item))
        })
    }

    /// Takes note that something has been given up.
    pub fn gave_up(&mut self) {
        self.giving_up -= 1;
    }

    fn next_to_send(&mut self, now: Instant) -> Option<Next<T>> {
        self.blocked = false;
        if self.in_flight >= self.limits.in_flight {
            self.blocked = !self.round.is_empty();
            return None;
        }
        for _ in 0..self.round.len() {
            let Some(name) = self.round.pop_front() else { break };
            let started = self.next_of(&name, now);
            match self.namespaces.get_mut(&name) {
                Some(namespace) if namespace.round.is_empty() => namespace.listed = false,
                _ => self.round.push_back(name),
            }
            if started.is_some() {
                return started;
            }
        }
        None
    }

    fn next_of(&mut self, name: &Arc<str>, now: Instant) -> Option<Next<T>> {
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
            let lane = (Arc::clone(name), webhook);
            let Some(queue) = self.queues.get_mut(&lane) else { continue };
            if queue.is_willing(now) && queue.in_flight >= room {
                self.blocked = true;
                self.namespaces.get_mut(name)?.round.push_back(lane.1);
                continue;
            }
            // Listed again when something changes about it.
            queue.listed = false;
            if !queue.is_willing(now) {
                self.change(&lane, now, |_| {});
                continue;
            }
            let Some(waiting) = queue.pick() else { continue };
            let probe = match &mut queue.health {
                Health::Failing { probing, .. } => {
                    *probing = true;
                    true
                }
                Health::Well { .. } => false,
            };
            let turn = self.begin(&lane, &waiting.group, probe);
            self.change(&lane, now, |_| {});
            return Some(Next::Send(waiting.item, turn));
        }
        None
    }

    fn begin(&mut self, lane: &Lane, group: &Arc<str>, probe: bool) -> Turn {
        self.waiting -= 1;
        self.in_flight += 1;
        self.namespaces.entry(Arc::clone(&lane.0)).or_default().in_flight += 1;
        let queue = self.queues.entry(lane.clone()).or_insert_with(|| Queue::new(self.limits.per_webhook));
        queue.in_flight += 1;
        queue.busy.insert(Arc::clone(group));
        Turn { lane: lane.clone(), group: Arc::clone(group), probe }
    }

    /// Takes a turn back. `policy` is the webhook's; `chance` is from 0 to 1.
    pub fn done(&mut self, turn: Turn, report: Report, policy: &Policy, now: Instant, chance: f64) -> Option<Change> {
        let Turn { lane, group, probe } = turn;
        self.in_flight -= 1;
        if let Some(namespace) = self.namespaces.get_mut(&lane.0) {
            namespace.in_flight -= 1;
        }
        let bound = self.limits.per_webhook;
        self.change(&lane, now, |queue| {
            queue.in_flight -= 1;
            queue.busy.remove(&group);
            let delay = |probes: u32, asked: Option<Duration>| {
                let pace = Policy {
                    initial_delay: PROBES.0.min(policy.initial_delay),
                    max_delay: PROBES.1.min(policy.max_delay),
                    ..Policy::default()
                };
                let asked = asked.unwrap_or_default().min(super::retry::RETRY_AFTER_MAX);
                now + pace.delay(probes + 1, chance).max(asked)
            };
            match (&mut queue.health, report) {
                (Health::Well { failures }, Report::Answered) => {
                    *failures = 0;
                    queue.window = (queue.window + 1).min(bound);
                    None
                }
                (Health::Well { failures }, Report::Failed(asked)) if policy.tries_again() => {
                    *failures += 1;
                    if *failures < FAILURES && asked.is_none() {
                        return None;
                    }
                    queue.health = Health::Failing { probes: 0, next: delay(0, asked), probing: false };
                    Some(Change::Failing)
                }
                (Health::Failing { .. }, Report::Answered) => {
                    queue.health = Health::Well { failures: 0 };
                    queue.window = 2.min(bound);
                    queue.release();
                    Some(Change::Recovered)
                }
                (Health::Failing { probes, next, probing }, Report::Failed(asked)) => {
                    if probe {
                        *probing = false;
                        *probes += 1;
                        *next = delay(*probes, asked);
                    } else if asked.is_some() {
                        *next = delay(*probes, asked).max(*next);
                    }
                    None
                }
                (Health::Failing { probing, .. }, Report::Nothing) => {
                    *probing &= !probe;
                    None
                }
                (Health::Well { .. }, _) => None,
            }
        })
    }

    /// Holds what waits for a webhook, or lets it go.
    pub fn hold(&mut self, lane: &Lane, held: bool, now: Instant) {
        if held || self.queues.contains_key(lane) {
            self.change(lane, now, |queue| queue.held = held);
        }
    }

    /// Begins anew with a webhook that was changed: what waits for it goes out at once. Returns what that changes.
    pub fn renew(&mut self, lane: &Lane, now: Instant) -> Option<Change> {
        let bound = self.limits.per_webhook;
        self.queues.contains_key(lane).then_some(())?;
        self.change(lane, now, |queue| {
            let failing = queue.is_failing();
            queue.health = Health::Well { failures: 0 };
            queue.window = bound;
            queue.release();
            failing.then_some(Change::Recovered)
        })
    }

    /// Takes out all that waits for a webhook.
    pub fn remove(&mut self, lane: &Lane, now: Instant) -> Vec<T> {
        if !self.queues.contains_key(lane) {
            return Vec::new();
        }
        let bound = self.limits.per_webhook;
        let out = self.change(lane, now, |queue| {
            queue.release();
            queue.held = false;
            queue.health = Health::Well { failures: 0 };
            queue.window = bound;
            queue.ends.clear();
            std::mem::take(&mut queue.ready)
        });
        let out: Vec<T> = out.into_values().map(|waiting| waiting.item).collect();
        self.waiting -= out.len();
        out
    }

    /// Makes a delivery that waits ready now; `change` may change it. False if it does not wait.
    pub fn hurry(&mut self, lane: &Lane, number: u64, now: Instant, change: impl FnOnce(&mut T)) -> bool {
        if !self.queues.contains_key(lane) {
            return false;
        }
        self.change(lane, now, |queue| {
            let due = queue.later.keys().find(|(_, of)| *of == number).copied();
            if let Some(waiting) = due.and_then(|key| queue.later.remove(&key)) {
                queue.ready.insert(number, waiting);
            }
            queue.ready.get_mut(&number).map(|waiting| change(&mut waiting.item)).is_some()
        })
    }

    /// Wakes those whose time has come.
    fn wake(&mut self, now: Instant) {
        while let Some((_, lane)) = self.wakes.first().filter(|(at, _)| *at <= now) {
            let lane = lane.clone();
            self.change(&lane, now, |_| {});
        }
    }

    /// Changes a queue and notes what follows from it, and from the time.
    fn change<R>(&mut self, lane: &Lane, now: Instant, change: impl FnOnce(&mut Queue<T>) -> R) -> R {
        let bound = self.limits.per_webhook;
        let queue = self.queues.entry(lane.clone()).or_insert_with(|| Queue::new(bound));
        let result = change(queue);
        queue.ripen(now);
        self.given_up.extend(queue.given_up(now));
        let willing = queue.is_willing(now);
        let wake = queue.next_wake(now);
        if queue.wake != wake {
            if let Some(old) = queue.wake.take() {
                self.wakes.remove(&(old, lane.clone()));
            }
            self.wakes.extend(wake.map(|at| (at, lane.clone())));
            queue.wake = wake;
        }
        if willing && !queue.listed {
            queue.listed = true;
            let namespace = self.namespaces.entry(Arc::clone(&lane.0)).or_default();
            namespace.round.push_back(Arc::clone(&lane.1));
            if !namespace.listed {
                namespace.listed = true;
                self.round.push_back(Arc::clone(&lane.0));
            }
        } else if !queue.listed && queue.is_idle(bound) {
            self.queues.remove(lane);
            if self.namespaces.get(&lane.0).is_some_and(|of| of.in_flight == 0 && !of.listed) {
                self.namespaces.remove(&lane.0);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lane(namespace: &str, webhook: &str) -> Lane {
        (Arc::from(namespace), Arc::from(webhook))
    }

    struct World {
        dispatcher: Dispatcher<u64>,
        start: Instant,
        now: Instant,
        policy: Policy,
    }

    impl World {
        fn new(in_flight: usize, per_webhook: usize) -> Self {
            let start = Instant::now();
            let dispatcher = Dispatcher::new(Limits { in_flight, per_webhook });
            Self { dispatcher, start, now: start, policy: Policy::default() }
        }

        fn at(&mut self, second: u64) {
            self.now = self.start + Duration::from_secs(second);
        }

        /// Item, event and alert group have the same number.
        fn push(&mut self, lane: &Lane, number: u64) {
            self.push_later(lane, number, 0, 0);
        }

        fn push_later(&mut self, lane: &Lane, number: u64, attempts: u32, due: u64) {
            let group = Arc::from(number.to_string());
            let (due, give_up) = (self.start + Duration::from_secs(due), self.start + Duration::from_secs(3600));
            self.dispatcher.push(lane, Waiting { item: number, number, group, attempts, due, give_up }, self.now);
        }

        /// Starts all that may go.
        fn start(&mut self) -> Vec<(u64, Turn)> {
            std::iter::from_fn(|| self.dispatcher.next(self.now))
                .map(|next| match next {
                    Next::Send(item, turn) => (item, turn),
                    Next::GiveUp(item) => panic!("{item} is given up"),
                })
                .collect()
        }

        fn done(&mut self, turn: Turn, report: Report) -> Option<Change> {
            self.dispatcher.done(turn, report, &self.policy, self.now, 0.0)
        }

        fn fail(&mut self, lane: &Lane, numbers: std::ops::Range<u64>) -> Vec<Option<Change>> {
            numbers.clone().for_each(|number| self.push(lane, number));
            let started = self.start();
            assert_eq!(started.iter().map(|(item, _)| *item).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
            started.into_iter().map(|(_, turn)| self.done(turn, Report::Failed(None))).collect()
        }
    }

    fn items(started: &[(u64, Turn)]) -> Vec<u64> {
        started.iter().map(|(item, _)| *item).collect()
    }

    #[test]
    fn a_webhook_has_no_more_in_flight_than_its_bound_and_goes_in_order() {
        let (mut world, a) = (World::new(100, 2), lane("team", "a"));
        [3, 1, 4, 2].into_iter().for_each(|number| world.push(&a, number));
        let mut started = world.start();
        assert_eq!(items(&started), [1, 2]);
        assert_eq!(world.done(started.remove(1).1, Report::Answered), None);
        assert_eq!(items(&world.start()), [3]);
        assert_eq!((world.dispatcher.in_flight(), world.dispatcher.waiting()), (2, 1));
    }

    #[test]
    fn of_one_alert_group_one_delivery_is_in_flight_at_a_time() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        let now = world.now;
        for (number, group) in [(1, "x"), (2, "x"), (3, "y")] {
            let waiting =
                Waiting { item: number, number, group: Arc::from(group), attempts: 0, due: now, give_up: now };
            world.dispatcher.push(&a, waiting, now);
        }
        let mut started = world.start();
        assert_eq!(items(&started), [1, 3]);
        assert_eq!(world.done(started.remove(0).1, Report::Answered), None);
        assert_eq!(items(&world.start()), [2]);
    }

    #[test]
    fn webhooks_and_namespaces_take_turns_and_leave_something_for_who_comes_next() {
        let mut world = World::new(64, 32);
        let greedy: Vec<Lane> = (0..10).map(|number| lane("greedy", &format!("w{number}"))).collect();
        for number in 0..400 {
            world.push(&greedy[number as usize % 10], number);
        }
        let hanging = world.start();
        assert!(world.dispatcher.is_blocked());
        // Ten that hang, and still there is room in their own namespace, and more in others.
        assert_eq!(hanging.len(), 42);
        let (own, other) = (lane("greedy", "healthy"), lane("other", "healthy"));
        world.push(&own, 1000);
        world.push(&other, 1001);
        let mut started = items(&world.start());
        started.retain(|item| *item >= 1000);
        started.sort_unstable();
        assert_eq!(started, [1000, 1001]);
    }

    #[test]
    fn an_endpoint_that_fails_is_tried_with_one_delivery_at_a_time_and_each_in_its_turn() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        let changes = world.fail(&a, 0..5);
        assert_eq!(changes, [None, None, None, None, Some(Change::Failing)]);
        (0..5).for_each(|number| world.push_later(&a, number, 1, 1));
        (5..8).for_each(|number| world.push(&a, number));
        assert!(world.start().is_empty());
        // One after a second, two seconds, four; first what was never tried.
        let mut second = 0;
        for (wait, expected) in [(1, 5), (2, 6), (4, 7), (8, 0)] {
            assert_eq!(world.dispatcher.wake_at(), Some(world.start + Duration::from_secs(second + wait)));
            world.at(second + wait - 1);
            assert!(world.start().is_empty());
            second += wait;
            world.at(second);
            let mut started = world.start();
            assert_eq!(items(&started), [expected]);
            assert_eq!(world.done(started.remove(0).1, Report::Failed(None)), None);
            world.push_later(&a, expected, 2, second);
        }
        // An answer lets them all go, in order, and more at a time from one answer to the next.
        world.at(second + 16);
        let mut started = world.start();
        assert_eq!(items(&started), [1]);
        assert_eq!(world.done(started.remove(0).1, Report::Answered), Some(Change::Recovered));
        let mut order = Vec::new();
        let mut widths = Vec::new();
        loop {
            let started = world.start();
            if started.is_empty() {
                break;
            }
            widths.push(started.len());
            for (item, turn) in started {
                order.push(item);
                assert_eq!(world.done(turn, Report::Answered), None);
            }
        }
        assert_eq!((order, widths), (vec![0, 2, 3, 4, 5, 6, 7], vec![2, 4, 1]));
    }

    #[test]
    fn of_an_alert_group_the_earliest_is_tried_first_where_an_endpoint_is_down_unless_it_was_tried_often() {
        for (attempts, expected) in [(1, None), (FAILURES, Some(2))] {
            let (mut world, a) = (World::new(100, 32), lane("team", "a"));
            world.fail(&a, 10..15);
            let (start, group) = (world.start, Arc::from("x"));
            let waiting = |number, attempts, due| Waiting {
                item: number,
                number,
                group: Arc::clone(&group),
                attempts,
                due: start + Duration::from_secs(due),
                give_up: start + Duration::from_secs(3600),
            };
            world.dispatcher.push(&a, waiting(1, attempts, 30), world.now);
            world.dispatcher.push(&a, waiting(2, 0, 0), world.now);
            world.at(1);
            assert_eq!(items(&world.start()).first().copied(), expected);
            // Nobody else says when.
            if expected.is_none() {
                assert_eq!(world.dispatcher.wake_at(), Some(start + Duration::from_secs(30)));
                world.at(30);
                assert_eq!(items(&world.start()), [1]);
            }
        }
    }

    #[test]
    fn an_endpoint_that_asks_to_wait_is_left_alone_until_then() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        [1, 2].into_iter().for_each(|number| world.push(&a, number));
        let mut started = world.start();
        let asked = Report::Failed(Some(Duration::from_secs(30)));
        assert_eq!(world.done(started.remove(0).1, asked), Some(Change::Failing));
        world.push(&a, 3);
        world.at(29);
        assert!(world.start().is_empty());
        world.at(30);
        assert_eq!(items(&world.start()), [3]);
    }

    #[test]
    fn an_endpoint_that_asks_to_wait_for_days_is_tried_after_an_hour() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.policy = Policy { deadline: Duration::from_secs(86_400), ..Policy::default() };
        world.push(&a, 1);
        let (_, turn) = world.start().remove(0);
        let asked = Report::Failed(Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(world.done(turn, asked), Some(Change::Failing));
        let [hour, day] = [3600, 86_400].map(|seconds| world.start + Duration::from_secs(seconds));
        let waiting = Waiting { item: 1, number: 1, group: Arc::from("1"), attempts: 1, due: hour, give_up: day };
        world.dispatcher.push(&a, waiting, world.now);
        assert_eq!(world.dispatcher.wake_at(), Some(hour));
        world.at(3599);
        assert!(world.start().is_empty());
        world.at(3600);
        assert_eq!(items(&world.start()), [1]);
    }

    #[test]
    fn one_that_is_tried_once_is_never_held_back() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.policy = Policy { max_attempts: Some(1), ..Policy::default() };
        assert_eq!(world.fail(&a, 0..20), [None; 20]);
        world.push(&a, 20);
        assert_eq!(items(&world.start()), [20]);
    }

    #[test]
    fn what_is_due_when_something_else_comes_is_not_forgotten() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.push_later(&a, 1, 1, 5);
        world.at(6);
        world.push(&a, 2);
        assert_eq!(items(&world.start()), [1, 2]);
    }

    #[test]
    fn what_waits_too_long_for_an_endpoint_that_is_down_is_given_up() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.fail(&a, 0..5);
        world.push(&a, 5);
        world.at(3600);
        let Some(Next::GiveUp(5)) = world.dispatcher.next(world.now) else { panic!("not given up") };
        world.dispatcher.gave_up();
        assert_eq!((world.dispatcher.in_flight(), world.dispatcher.waiting()), (0, 0));
    }

    #[test]
    fn a_deadline_is_kept_while_an_endpoint_asks_to_wait_for_longer_or_is_tried() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        let start = world.start;
        let at = |second: u64| start + Duration::from_secs(second);
        let asked = Report::Failed(Some(Duration::from_secs(100)));
        world.push(&a, 0);
        let mut started = world.start();
        assert_eq!(world.done(started.remove(0).1, asked), Some(Change::Failing));
        for (number, due, give_up) in [(1, 100, 60), (2, 0, 70), (3, 0, 80), (4, 0, 130), (5, 0, 140), (6, 0, 500)] {
            let (group, due, give_up) = (Arc::from(number.to_string()), at(due), at(give_up));
            world.dispatcher.push(&a, Waiting { item: number, number, group, attempts: 1, due, give_up }, start);
        }
        let mut seen = Vec::new();
        let mut probe = None;
        while seen.last() != Some(&(140, "given up", 5)) {
            let Some(wake) = world.dispatcher.wake_at() else { panic!("nothing follows {seen:?}") };
            world.now = wake;
            let second = wake.duration_since(start).as_secs();
            while let Some(next) = world.dispatcher.next(wake) {
                match next {
                    Next::Send(item, turn) => {
                        seen.push((second, "sent", item));
                        probe = Some(turn);
                    }
                    Next::GiveUp(item) => {
                        seen.push((second, "given up", item));
                        world.dispatcher.gave_up();
                    }
                }
            }
        }
        let expected =
            [(60, "given up", 1), (70, "given up", 2), (80, "given up", 3), (100, "sent", 4), (140, "given up", 5)];
        assert_eq!(seen, expected);
        // What is on its way is not waited for.
        assert_eq!(world.dispatcher.wake_at(), Some(at(500)));
        assert_eq!(probe.and_then(|turn| world.done(turn, Report::Answered)), Some(Change::Recovered));
        assert_eq!(items(&world.start()), [6]);
    }

    #[test]
    fn what_is_given_up_takes_nothing_from_what_can_be_sent() {
        let (mut world, a, b) = (World::new(4, 32), lane("team", "a"), lane("team", "b"));
        [0..2, 2..4, 4..5].into_iter().for_each(|numbers| drop(world.fail(&a, numbers)));
        (10..50).for_each(|number| world.push(&a, number));
        world.at(3600);
        (50..60).for_each(|number| world.push(&b, number));
        let (mut sent, mut given_up) = (Vec::new(), Vec::new());
        while let Some(next) = world.dispatcher.next(world.now) {
            match next {
                Next::Send(item, turn) => sent.push((item, turn)),
                Next::GiveUp(item) => given_up.push(item),
            }
        }
        assert_eq!((items(&sent), given_up.len()), (vec![50, 51], GIVING_UP));
        assert_eq!(world.dispatcher.in_flight(), 2);
        world.dispatcher.gave_up();
        let Some(Next::GiveUp(_)) = world.dispatcher.next(world.now) else { panic!("none follows") };
    }

    #[test]
    fn where_one_of_an_alert_group_is_given_up_the_others_still_go_one_at_a_time() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.fail(&a, 10..15);
        let start = world.start;
        let waiting = |number, give_up| Waiting {
            item: number,
            number,
            group: Arc::from("x"),
            attempts: 0,
            due: start,
            give_up: start + Duration::from_secs(give_up),
        };
        [waiting(1, 1), waiting(2, 3600), waiting(3, 3600)]
            .into_iter()
            .for_each(|waiting| world.dispatcher.push(&a, waiting, start));
        world.at(1);
        let Some(Next::Send(2, _turn)) = world.dispatcher.next(world.now) else { panic!("not sent") };
        let Some(Next::GiveUp(1)) = world.dispatcher.next(world.now) else { panic!("not given up") };
        world.dispatcher.gave_up();
        // The endpoint is taken to be well again, but 2 is on its way.
        assert_eq!(world.dispatcher.renew(&a, world.now), Some(Change::Recovered));
        assert!(world.start().is_empty());
    }

    #[test]
    fn what_is_held_waits_for_ever_and_goes_when_it_is_let() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.dispatcher.hold(&a, true, world.now);
        world.push(&a, 1);
        assert!(world.dispatcher.is_stuck(&a));
        world.at(10_000);
        assert!(world.start().is_empty());
        assert_eq!(world.dispatcher.wake_at(), None);
        world.dispatcher.hold(&a, false, world.now);
        assert_eq!(items(&world.start()), [1]);
    }

    #[test]
    fn a_webhook_that_was_changed_begins_anew() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        world.fail(&a, 0..5);
        world.push_later(&a, 1, 1, 500);
        world.push(&a, 6);
        assert_eq!(world.dispatcher.renew(&a, world.now), Some(Change::Recovered));
        assert_eq!(items(&world.start()), [1, 6]);
    }

    #[test]
    fn one_delivery_can_be_hurried_and_all_of_a_webhook_taken_out() {
        let (mut world, a) = (World::new(100, 32), lane("team", "a"));
        [1, 2, 3].into_iter().for_each(|number| world.push_later(&a, number, 1, 500));
        assert!(world.dispatcher.hurry(&a, 2, world.now, |item| *item = 20));
        assert!(!world.dispatcher.hurry(&a, 9, world.now, |_| ()));
        let mut started = world.start();
        assert_eq!(items(&started), [20]);
        assert_eq!(world.dispatcher.remove(&a, world.now), [1, 3]);
        assert_eq!(world.done(started.remove(0).1, Report::Nothing), None);
        assert!(world.dispatcher.queues.is_empty() && world.dispatcher.namespaces.is_empty());
    }

    proptest! {
        /// Whatever comes back how: the bounds hold, nothing is lost, and all is sent when endpoints answer in the end.
        #[test]
        fn nothing_is_lost_and_bounds_hold(
            deliveries in proptest::collection::vec((0_usize..3, 0_usize..4, 0_u64..6), 1..80),
            reports in proptest::collection::vec(0_u8..4, 200),
            in_flight in 1_usize..20,
            per_webhook in 1_usize..6,
        ) {
            let mut world = World::new(in_flight, per_webhook);
            let policy = Policy::default();
            for (number, (namespace, webhook, group)) in deliveries.iter().enumerate() {
                let lane = lane(&namespace.to_string(), &webhook.to_string());
                let waiting = Waiting {
                    item: number as u64, number: number as u64, group: Arc::from(group.to_string()),
                    attempts: 0, due: world.now, give_up: world.now + Duration::from_secs(1_000_000),
                };
                world.dispatcher.push(&lane, waiting, world.now);
            }
            let mut reports = reports.into_iter();
            let (mut flying, mut delivered): (Vec<(u64, Turn)>, HashSet<u64>) = (Vec::new(), HashSet::new());
            for _ in 0..10_000 {
                flying.extend(world.start());
                prop_assert_eq!(flying.len(), world.dispatcher.in_flight());
                prop_assert!(flying.len() <= in_flight);
                let mut of_webhook: HashMap<Lane, usize> = HashMap::new();
                let mut of_group: HashSet<(Lane, Arc<str>)> = HashSet::new();
                for (_, turn) in &flying {
                    *of_webhook.entry(turn.lane.clone()).or_default() += 1;
                    prop_assert!(of_group.insert((turn.lane.clone(), Arc::clone(&turn.group))));
                }
                prop_assert!(of_webhook.values().all(|count| *count <= per_webhook));
                let Some((item, turn)) = (!flying.is_empty()).then(|| flying.remove(0)) else {
                    match world.dispatcher.wake_at() {
                        Some(at) => world.now = at.max(world.now),
                        None => break,
                    }
                    continue;
                };
                let (lane, group) = (turn.lane.clone(), Arc::clone(&turn.group));
                let report = match reports.next() {
                    Some(0) => Report::Failed(None),
                    Some(1) => Report::Failed(Some(Duration::from_secs(2))),
                    _ => Report::Answered,
                };
                world.dispatcher.done(turn, report, &policy, world.now, 0.5);
                if report == Report::Answered {
                    prop_assert!(delivered.insert(item));
                } else {
                    let (due, give_up) = (world.now + Duration::from_secs(3), world.now + Duration::from_secs(1_000_000));
                    let waiting = Waiting { item, number: item, group, attempts: 1, due, give_up };
                    world.dispatcher.push(&lane, waiting, world.now);
                }
            }
            prop_assert_eq!(delivered.len(), deliveries.len());
            prop_assert_eq!(world.dispatcher.waiting(), 0);
        }
    }
}
