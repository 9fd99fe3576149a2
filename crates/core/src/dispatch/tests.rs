mod probing;

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// It may do better later, and was asked in no time.
const FAILED: EndpointReport = EndpointReport::Failed { asked: None, cost: Duration::ZERO };

/// The same, and it asks to wait for so many seconds.
fn asked(seconds: u64) -> EndpointReport {
    EndpointReport::Failed { asked: Some(Duration::from_secs(seconds)), cost: Duration::ZERO }
}

fn mk_name(namespace: &str, name: &str) -> NamespacedName {
    NamespacedName::new(namespace, name)
}

struct World {
    dispatcher: Dispatcher<u64>,
    start: Instant,
    now: Instant,
    policy: RetryPolicy,
}

impl World {
    fn new(in_flight: usize, per_webhook: usize) -> Self {
        let start = Instant::now();
        let dispatcher = Dispatcher::new(Limits { in_flight, per_webhook, bytes: 1000 });
        Self { dispatcher, start, now: start, policy: RetryPolicy::default() }
    }

    fn at(&mut self, second: u64) {
        self.now = self.start + Duration::from_secs(second);
    }

    /// Item, event and alert group have the same number.
    fn push(&mut self, webhook: &NamespacedName, number: u64) {
        self.push_later(webhook, number, 0, 0);
    }

    fn push_later(&mut self, webhook: &NamespacedName, number: u64, attempts: u32, due: u64) {
        let group = Arc::from(number.to_string());
        let (due, give_up) = (self.start + Duration::from_secs(due), self.start + Duration::from_secs(3600));
        self.dispatcher.push(
            webhook,
            Queued { item: number, number, group, attempts, timed_out: false, due, give_up, bytes: 0 },
            self.now,
        );
    }

    /// Starts all that may go.
    fn start(&mut self) -> Vec<(u64, Permit)> {
        std::iter::from_fn(|| self.dispatcher.next(self.now))
            .map(|next| match next {
                Decision::Send(item, permit) => (item, permit),
                Decision::GiveUp(item) => panic!("{item} is given up"),
            })
            .collect()
    }

    /// A request is answered.
    fn answered(&mut self, permit: &Permit, report: &EndpointReport) -> Option<EndpointChange> {
        self.dispatcher.answered(&permit.webhook, &permit.group, report, &self.policy, self.now, 0.0)
    }

    /// A request is answered, and that is recorded.
    fn done(&mut self, permit: Permit, report: &EndpointReport) -> Option<EndpointChange> {
        let change = self.answered(&permit, report);
        self.dispatcher.done(permit, self.now);
        change
    }

    fn fail(&mut self, webhook: &NamespacedName, numbers: std::ops::Range<u64>) -> Vec<Option<EndpointChange>> {
        numbers.clone().for_each(|number| self.push(webhook, number));
        let started = self.start();
        assert_eq!(started.iter().map(|(item, _)| *item).collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
        started.into_iter().map(|(_, permit)| self.done(permit, &FAILED)).collect()
    }
}

fn items(started: &[(u64, Permit)]) -> Vec<u64> {
    started.iter().map(|(item, _)| *item).collect()
}

#[test]
fn a_webhook_has_no_more_in_flight_than_its_bound_and_goes_in_order() {
    let (mut world, a) = (World::new(100, 2), mk_name("team", "a"));
    [3, 1, 4, 2].into_iter().for_each(|number| world.push(&a, number));
    let mut started = world.start();
    assert_eq!(items(&started), [1, 2]);
    assert_eq!(world.done(started.remove(1).1, &EndpointReport::Answered), None);
    assert_eq!(items(&world.start()), [3]);
    assert_eq!((world.dispatcher.in_flight(), world.dispatcher.waiting()), (2, 1));
}

#[test]
fn what_waits_is_counted_by_webhook_with_the_oldest_whether_it_is_due_or_not() {
    let (mut world, a, b) = (World::new(100, 1), mk_name("team", "a"), mk_name("team", "b"));
    let waiting = |world: &World| {
        let mut all: Vec<_> = world
            .dispatcher
            .waiting_by_webhook()
            .map(|of| (of.webhook.clone(), of.count, of.oldest, of.is_held))
            .collect();
        all.sort();
        all
    };
    assert_eq!(waiting(&world), []);
    [3, 4].into_iter().for_each(|number| world.push(&a, number));
    world.push_later(&a, 2, 1, 100);
    world.push(&b, 5);
    assert_eq!(waiting(&world), [(a.clone(), 3, 2, false), (b.clone(), 1, 5, false)]);
    let _started = world.start();
    assert_eq!(waiting(&world), [(a.clone(), 2, 2, false)]);
    world.dispatcher.hold(&a, true, world.now);
    assert_eq!(waiting(&world), [(a, 2, 2, true)]);
}

#[test]
fn what_is_answered_leaves_its_slot_to_the_next_and_counts_until_it_is_recorded() {
    let (mut world, a) = (World::new(6, 2), mk_name("team", "a"));
    (0..8).for_each(|number| world.push(&a, number));
    let mut started = world.start();
    assert_eq!(items(&started), [0, 1]);
    assert_eq!(world.answered(&started[0].1, &EndpointReport::Answered), None);
    // It has one slot, however often that is said.
    assert_eq!(world.answered(&started[0].1, &EndpointReport::Answered), None);
    started.extend(world.start());
    assert_eq!(items(&started), [0, 1, 2]);
    // Of six that may be unrecorded, one webhook leaves some to others.
    (1..3).for_each(|at| assert_eq!(world.answered(&started[at].1, &EndpointReport::Answered), None));
    started.extend(world.start());
    assert_eq!((items(&started), world.dispatcher.is_blocked()), (vec![0, 1, 2], true));
    // A record makes room, and nothing is said twice of the endpoint.
    assert!(!world.dispatcher.done(started.remove(0).1, world.now));
    started.extend(world.start());
    assert_eq!((items(&started), world.dispatcher.in_flight()), (vec![1, 2, 3], 3));
}

#[test]
fn what_was_not_sent_leaves_its_slot_with_its_permit_and_says_nothing_of_the_endpoint() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.fail(&a, 0..5);
    [5, 6].into_iter().for_each(|number| world.push(&a, number));
    world.at(1);
    let (_, probe) = world.start().remove(0);
    assert!(!world.dispatcher.done(probe, world.now));
    let (item, probe) = world.start().remove(0);
    assert_eq!((item, world.done(probe, &EndpointReport::Answered)), (6, Some(EndpointChange::Recovered)));
}

#[test]
fn an_endpoint_is_found_to_be_down_by_its_answers_whenever_they_are_recorded() {
    let (mut world, a) = (World::new(100, 8), mk_name("team", "a"));
    (0..20).for_each(|number| world.push(&a, number));
    let started = world.start();
    let changes: Vec<_> = started[..5].iter().map(|(_, it)| world.answered(it, &FAILED)).collect();
    assert_eq!(changes, [None, None, None, None, Some(EndpointChange::Failing)]);
    assert!(world.start().is_empty());
    // The next one is tried after its answer too, and when that is good, what failed before need not wait when it is recorded.
    let mut probes = Vec::new();
    for (second, expected, report) in [(1, 8, FAILED), (3, 9, EndpointReport::Answered)] {
        world.at(second);
        let (item, probe) = world.start().remove(0);
        assert_eq!(item, expected);
        world.answered(&probe, &report);
        probes.push(probe);
    }
    world.answered(&started[5].1, &FAILED);
    let permits = started.into_iter().map(|(_, permit)| permit).chain(probes);
    let need_not_wait: Vec<bool> = permits.map(|permit| world.dispatcher.done(permit, world.now)).collect();
    assert_eq!(need_not_wait, [true, true, true, true, true, false, false, false, true, true]);
}

#[test]
fn of_one_alert_group_one_delivery_is_in_flight_at_a_time() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    let now = world.now;
    for (number, group) in [(1, "x"), (2, "x"), (3, "y")] {
        let waiting = Queued {
            item: number,
            number,
            group: Arc::from(group),
            attempts: 0,
            timed_out: false,
            due: now,
            give_up: now,
            bytes: 0,
        };
        world.dispatcher.push(&a, waiting, now);
    }
    let mut started = world.start();
    assert_eq!(items(&started), [1, 3]);
    assert_eq!(world.answered(&started[0].1, &EndpointReport::Answered), None);
    assert!(world.start().is_empty());
    assert!(!world.dispatcher.done(started.remove(0).1, world.now));
    assert_eq!(items(&world.start()), [2]);
}

#[test]
fn webhooks_and_namespaces_take_turns_and_leave_something_for_who_comes_next() {
    let mut world = World::new(64, 32);
    let greedy: Vec<NamespacedName> = (0..10).map(|number| mk_name("greedy", &format!("w{number}"))).collect();
    for number in 0..400 {
        world.push(&greedy[number as usize % 10], number);
    }
    let hanging = world.start();
    assert!(world.dispatcher.is_blocked());
    // Ten that hang, and still there is room in their own namespace, and more in others.
    assert_eq!(hanging.len(), 42);
    let (own, other) = (mk_name("greedy", "healthy"), mk_name("other", "healthy"));
    world.push(&own, 1000);
    world.push(&other, 1001);
    let mut started = items(&world.start());
    started.retain(|item| *item >= 1000);
    started.sort_unstable();
    assert_eq!(started, [1000, 1001]);
}

#[test]
fn an_endpoint_that_fails_is_tried_with_one_delivery_at_a_time_and_each_in_its_turn() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    let changes = world.fail(&a, 0..5);
    assert_eq!(changes, [None, None, None, None, Some(EndpointChange::Failing)]);
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
        assert_eq!(world.done(started.remove(0).1, &FAILED), None);
        world.push_later(&a, expected, 2, second);
    }
    // An answer lets them all go, in order, and more at a time from one answer to the next.
    world.at(second + 16);
    let mut started = world.start();
    assert_eq!(items(&started), [1]);
    assert_eq!(world.done(started.remove(0).1, &EndpointReport::Answered), Some(EndpointChange::Recovered));
    let mut order = Vec::new();
    let mut widths = Vec::new();
    loop {
        let started = world.start();
        if started.is_empty() {
            break;
        }
        widths.push(started.len());
        for (item, permit) in started {
            order.push(item);
            assert_eq!(world.done(permit, &EndpointReport::Answered), None);
        }
    }
    assert_eq!((order, widths), (vec![0, 2, 3, 4, 5, 6, 7], vec![2, 4, 1]));
}

#[test]
fn of_an_alert_group_the_earliest_is_tried_first_where_an_endpoint_is_down_unless_it_was_tried_often() {
    for (attempts, expected) in [(1, None), (FAILURES, Some(2))] {
        let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
        world.fail(&a, 10..15);
        let (start, group) = (world.start, Arc::from("x"));
        let waiting = |number, attempts, due| Queued {
            item: number,
            number,
            group: Arc::clone(&group),
            attempts,
            timed_out: false,
            due: start + Duration::from_secs(due),
            give_up: start + Duration::from_secs(3600),
            bytes: 0,
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
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    [1, 2].into_iter().for_each(|number| world.push(&a, number));
    let mut started = world.start();
    let asked = asked(30);
    assert_eq!(world.done(started.remove(0).1, &asked), Some(EndpointChange::Failing));
    world.push(&a, 3);
    world.at(29);
    assert!(world.start().is_empty());
    world.at(30);
    assert_eq!(items(&world.start()), [3]);
}

#[test]
fn an_endpoint_that_asks_to_wait_for_days_is_tried_after_an_hour() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.policy = RetryPolicy { deadline: Duration::from_secs(86_400), ..RetryPolicy::default() };
    world.push(&a, 1);
    let (_, permit) = world.start().remove(0);
    let asked = asked(7 * 86_400);
    assert_eq!(world.done(permit, &asked), Some(EndpointChange::Failing));
    let [hour, day] = [3600, 86_400].map(|seconds| world.start + Duration::from_secs(seconds));
    let waiting = Queued {
        item: 1,
        number: 1,
        group: Arc::from("1"),
        attempts: 1,
        timed_out: false,
        due: hour,
        give_up: day,
        bytes: 0,
    };
    world.dispatcher.push(&a, waiting, world.now);
    assert_eq!(world.dispatcher.wake_at(), Some(hour));
    world.at(3599);
    assert!(world.start().is_empty());
    world.at(3600);
    assert_eq!(items(&world.start()), [1]);
}

#[test]
fn one_that_is_tried_once_is_never_held_back() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.policy = RetryPolicy { max_attempts: Some(1), ..RetryPolicy::default() };
    assert_eq!(world.fail(&a, 0..20), [None; 20]);
    world.push(&a, 20);
    assert_eq!(items(&world.start()), [20]);
}

#[test]
fn what_is_due_when_something_else_comes_is_not_forgotten() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.push_later(&a, 1, 1, 5);
    world.at(6);
    world.push(&a, 2);
    assert_eq!(items(&world.start()), [1, 2]);
}

#[test]
fn what_waits_too_long_for_an_endpoint_that_is_down_is_given_up() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.fail(&a, 0..5);
    world.push(&a, 5);
    world.at(3600);
    let Some(Decision::GiveUp(5)) = world.dispatcher.next(world.now) else { panic!("not given up") };
    world.dispatcher.gave_up();
    assert_eq!((world.dispatcher.in_flight(), world.dispatcher.waiting()), (0, 0));
}

#[test]
fn a_deadline_is_kept_while_an_endpoint_asks_to_wait_for_longer_or_is_tried() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    let start = world.start;
    let at = |second: u64| start + Duration::from_secs(second);
    let asked = asked(100);
    world.push(&a, 0);
    let mut started = world.start();
    assert_eq!(world.done(started.remove(0).1, &asked), Some(EndpointChange::Failing));
    for (number, due, give_up) in [(1, 100, 60), (2, 0, 70), (3, 0, 80), (4, 0, 130), (5, 0, 140), (6, 0, 500)] {
        let (group, due, give_up) = (Arc::from(number.to_string()), at(due), at(give_up));
        world.dispatcher.push(
            &a,
            Queued { item: number, number, group, attempts: 1, timed_out: false, due, give_up, bytes: 0 },
            start,
        );
    }
    let mut seen = Vec::new();
    let mut probe = None;
    while seen.last() != Some(&(140, "given up", 5)) {
        let Some(wake) = world.dispatcher.wake_at() else { panic!("nothing follows {seen:?}") };
        world.now = wake;
        let second = wake.duration_since(start).as_secs();
        while let Some(next) = world.dispatcher.next(wake) {
            match next {
                Decision::Send(item, permit) => {
                    seen.push((second, "sent", item));
                    probe = Some(permit);
                }
                Decision::GiveUp(item) => {
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
    assert_eq!(probe.and_then(|permit| world.done(permit, &EndpointReport::Answered)), Some(EndpointChange::Recovered));
    assert_eq!(items(&world.start()), [6]);
}

#[test]
fn what_is_given_up_takes_nothing_from_what_can_be_sent() {
    let (mut world, a, b) = (World::new(4, 32), mk_name("team", "a"), mk_name("team", "b"));
    [0..2, 2..4, 4..5].into_iter().for_each(|numbers| drop(world.fail(&a, numbers)));
    (10..50).for_each(|number| world.push(&a, number));
    world.at(3600);
    (50..60).for_each(|number| world.push(&b, number));
    let (mut sent, mut given_up) = (Vec::new(), Vec::new());
    while let Some(next) = world.dispatcher.next(world.now) {
        match next {
            Decision::Send(item, permit) => sent.push((item, permit)),
            Decision::GiveUp(item) => given_up.push(item),
        }
    }
    assert_eq!((items(&sent), given_up.len()), (vec![50, 51], MAX_GIVING_UP));
    assert_eq!(world.dispatcher.in_flight(), 2);
    world.dispatcher.gave_up();
    let Some(Decision::GiveUp(_)) = world.dispatcher.next(world.now) else { panic!("none follows") };
}

#[test]
fn where_one_of_an_alert_group_is_given_up_the_others_still_go_one_at_a_time() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.fail(&a, 10..15);
    let start = world.start;
    let waiting = |number, give_up| Queued {
        item: number,
        number,
        group: Arc::from("x"),
        attempts: 0,
        timed_out: false,
        due: start,
        give_up: start + Duration::from_secs(give_up),
        bytes: 0,
    };
    [waiting(1, 1), waiting(2, 3600), waiting(3, 3600)]
        .into_iter()
        .for_each(|waiting| world.dispatcher.push(&a, waiting, start));
    world.at(1);
    let Some(Decision::Send(2, _turn)) = world.dispatcher.next(world.now) else { panic!("not sent") };
    let Some(Decision::GiveUp(1)) = world.dispatcher.next(world.now) else { panic!("not given up") };
    world.dispatcher.gave_up();
    // The endpoint is taken to be well again, but 2 is on its way.
    assert_eq!(world.dispatcher.renew(&a, world.now), Some(EndpointChange::Recovered));
    assert!(world.start().is_empty());
}

#[test]
fn what_is_held_waits_for_ever_and_goes_when_it_is_let() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
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
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.fail(&a, 0..5);
    world.push_later(&a, 1, 1, 500);
    world.push(&a, 6);
    assert_eq!(world.dispatcher.renew(&a, world.now), Some(EndpointChange::Recovered));
    assert_eq!(items(&world.start()), [1, 6]);
}

#[test]
fn what_was_slow_keeps_its_time_when_others_are_answered() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    for (number, timed_out) in [(1, true), (2, false)] {
        let (due, give_up) = (world.start + Duration::from_secs(60), world.start + Duration::from_secs(3600));
        let group = Arc::from(number.to_string());
        let waiting = Queued { item: number, number, group, attempts: 1, timed_out, due, give_up, bytes: 0 };
        world.dispatcher.push(&a, waiting, world.now);
    }
    world.fail(&a, 3..8);
    world.at(30);
    world.push(&a, 9);
    let mut probe = world.start();
    assert_eq!(items(&probe), [9]);
    assert_eq!(world.done(probe.remove(0).1, &EndpointReport::Answered), Some(EndpointChange::Recovered));
    assert_eq!(items(&world.start()), [2]);
    world.at(60);
    assert_eq!(items(&world.start()), [1]);
}

#[test]
fn one_delivery_can_be_taken_out_and_all_of_a_webhook() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    [1, 2, 3].into_iter().for_each(|number| world.push_later(&a, number, 1, 500));
    world.push(&a, 4);
    assert_eq!([2, 4, 9].map(|number| world.dispatcher.withdraw(&a, number, world.now)), [Some(2), Some(4), None]);
    assert_eq!(items(&world.start()), [0; 0]);
    assert_eq!(world.dispatcher.remove(&a, world.now), [1, 3]);
    assert_eq!((world.dispatcher.waiting, world.dispatcher.withdraw(&a, 1, world.now)), (0, None));
    assert!(world.dispatcher.queues.is_empty() && world.dispatcher.namespaces.is_empty());
}

proptest! {
    /// Whatever comes back how: the bounds hold, nothing is lost, and all is sent when endpoints answer in the end.
    #[test]
    fn nothing_is_lost_and_bounds_hold(
        deliveries in proptest::collection::vec((0_usize..3, 0_usize..4, 0_u64..6), 1..80),
        reports in proptest::collection::vec(0_u8..5, 200),
        in_flight in 1_usize..20,
        per_webhook in 1_usize..6,
        records_behind in 0_usize..10,
    ) {
        let mut world = World::new(in_flight, per_webhook);
        let policy = RetryPolicy::default();
        for (number, (namespace, webhook, group)) in deliveries.iter().enumerate() {
            let webhook = mk_name(&namespace.to_string(), &webhook.to_string());
            let waiting = Queued {
                item: number as u64, number: number as u64, group: Arc::from(group.to_string()),
                attempts: 0, timed_out: false, due: world.now, give_up: world.now + Duration::from_secs(1_000_000), bytes: number % 7 * 100,
            };
            world.dispatcher.push(&webhook, waiting, world.now);
        }
        let mut reports = reports.into_iter();
        let (mut flying, mut delivered): (Vec<(u64, Permit)>, HashSet<u64>) = (Vec::new(), HashSet::new());
        let mut unrecorded: VecDeque<(u64, Permit, EndpointReport)> = VecDeque::new();
        for _ in 0..10_000 {
            while let Some(door) = world.dispatcher.next_knock(world.now) {
                world.dispatcher.knocked(&door, reports.next() == Some(2), world.now, 0.5);
            }
            flying.extend(world.start());
            let permits = || flying.iter().map(|(_, permit)| permit).chain(unrecorded.iter().map(|(_, permit, _)| permit));
            prop_assert_eq!(permits().count(), world.dispatcher.in_flight());
            prop_assert!(permits().count() <= in_flight);
            let mut of_webhook: HashMap<NamespacedName, usize> = HashMap::new();
            let mut of_group: HashSet<(NamespacedName, Arc<str>)> = HashSet::new();
            for (_, permit) in &flying {
                *of_webhook.entry(permit.webhook.clone()).or_default() += 1;
            }
            for permit in permits() {
                prop_assert!(of_group.insert((permit.webhook.clone(), Arc::clone(&permit.group))));
            }
            prop_assert!(of_webhook.values().all(|count| *count <= per_webhook));
            // Some are recorded long after they are answered.
            if (flying.is_empty() || unrecorded.len() > records_behind)
                && let Some((item, permit, report)) = unrecorded.pop_front()
            {
                let (webhook, group) = (permit.webhook.clone(), Arc::clone(&permit.group));
                world.dispatcher.done(permit, world.now);
                if report != EndpointReport::Answered {
                    let (due, give_up) = (world.now + Duration::from_secs(3), world.now + Duration::from_secs(1_000_000));
                    let waiting = Queued { item, number: item, group, attempts: 1, timed_out: false, due, give_up, bytes: 0 };
                    world.dispatcher.push(&webhook, waiting, world.now);
                }
                continue;
            }
            let Some((item, permit)) = (!flying.is_empty()).then(|| flying.remove(0)) else {
                match world.dispatcher.wake_at() {
                    Some(at) => world.now = at.max(world.now),
                    None => break,
                }
                continue;
            };
            let report = match reports.next() {
                Some(0) => FAILED,
                Some(4) => EndpointReport::Away(Arc::from("http://receiver.example:80")),
                Some(1) => asked(2),
                _ => EndpointReport::Answered,
            };
            world.dispatcher.answered(&permit.webhook, &permit.group, &report, &policy, world.now, 0.5);
            if report == EndpointReport::Answered {
                prop_assert!(delivered.insert(item));
            }
            unrecorded.push_back((item, permit, report));
        }
        prop_assert_eq!(delivered.len(), deliveries.len());
        prop_assert_eq!(world.dispatcher.waiting(), 0);
        prop_assert!(world.dispatcher.doors.is_empty());
    }
}

#[test]
fn what_deliveries_hold_is_bounded_and_a_namespace_leaves_something_for_who_comes_next() {
    let (mut world, now) = (World::new(100, 32), Instant::now());
    let (a, b) = (mk_name("loud", "a"), mk_name("quiet", "b"));
    let waiting = |number: u64, bytes| {
        let group = Arc::from(number.to_string());
        Queued { item: number, number, group, attempts: 0, timed_out: false, due: now, give_up: now, bytes }
    };
    (0..10).for_each(|number| world.dispatcher.push(&a, waiting(number, 150), now));
    // Of 1000 bytes: at most twice what is free.
    let mut started = world.start();
    assert_eq!((items(&started), world.dispatcher.in_flight_bytes()), (vec![0, 1, 2, 3, 4], 750));
    assert!(world.dispatcher.is_blocked());
    world.dispatcher.push(&b, waiting(10, 200), now);
    started.extend(world.start());
    assert_eq!((items(&started), world.dispatcher.in_flight_bytes()), (vec![0, 1, 2, 3, 4, 10], 950));
    // What turns out to hold more is let go on only if there is room; what holds less leaves it to others.
    assert!(!world.dispatcher.weigh(&mut started[0].1, 400));
    assert!(!world.dispatcher.weigh(&mut started[5].1, 400));
    assert!(world.dispatcher.weigh(&mut started[5].1, 100));
    (0..5).for_each(|at| assert!(world.dispatcher.weigh(&mut started[at].1, 10)));
    assert_eq!(world.dispatcher.in_flight_bytes(), 150);
    started.extend(world.start());
    // None is so heavy that it could not go.
    world.dispatcher.push(&b, waiting(11, 1_000_000), now);
    while let Some((_, permit)) = started.pop() {
        world.done(permit, &EndpointReport::Answered);
        started.extend(world.start());
    }
    assert_eq!((world.dispatcher.in_flight_bytes(), world.dispatcher.waiting()), (0, 0));
}
