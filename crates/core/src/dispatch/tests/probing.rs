//! How an endpoint that is down is asked whether it is there again.

use super::*;

fn away() -> EndpointReport {
    EndpointReport::Away(Arc::from("http://receiver.example:80"))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What is to be done, with the second of each.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    Knocked(u64),
    Sent(u64, u64),
}

impl World {
    /// Sends deliveries that can't connect, and have to be sent again at that second.
    fn cannot_connect(&mut self, webhook: &NamespacedName, numbers: std::ops::Range<u64>, due: u64) {
        numbers.for_each(|number| self.push(webhook, number));
        for (number, permit) in self.start() {
            self.done(permit, &away());
            self.push_later(webhook, number, 1, due);
        }
    }

    /// Goes on until a second, knocking at closed doors, and sending deliveries that can't connect and are due again when they were.
    fn go_on_while_away(&mut self, webhook: &NamespacedName, until: u64) -> Vec<Did> {
        let mut did = Vec::new();
        while let Some(wake) = self.dispatcher.wake_at().filter(|wake| *wake < self.start + seconds(until)) {
            self.now = wake.max(self.now);
            let second = self.now.duration_since(self.start).as_secs();
            for (number, permit) in self.start() {
                did.push(Did::Sent(second, number));
                self.done(permit, &away());
                self.push_later(webhook, number, 2, second + 500);
            }
            while let Some(door) = self.dispatcher.next_knock(self.now) {
                did.push(Did::Knocked(second));
                self.dispatcher.knocked(&door, false, self.now, 0.0);
            }
        }
        self.at(until);
        did
    }

    /// The door that is to be knocked at now.
    fn knock(&mut self) -> Door {
        self.dispatcher.next_knock(self.now).unwrap()
    }
}

#[test]
fn an_endpoint_that_refuses_connections_is_knocked_at_every_two_seconds_and_tried_at_once_when_it_is_there() {
    for (failures, until) in [(1, 300), (5, 300), (5, 3000)] {
        let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
        world.cannot_connect(&a, 0..failures, 600);
        assert_eq!(world.dispatcher.is_failing(&a), failures == 5);
        let did = world.go_on_while_away(&a, until);
        let knocked = |second| did.contains(&Did::Knocked(second));
        assert!((2..until).step_by(2).all(knocked), "after {failures}: {did:?}");
        // Deliveries are sent when they are due, and each of them counts.
        let sent = did.iter().filter(|did| matches!(did, Did::Sent(..))).count();
        assert!(if until == 300 { sent == 0 } else { sent < 30 }, "after {failures}: {sent} sent by {until}");
        let door = world.knock();
        world.dispatcher.knocked(&door, true, world.now, 0.0);
        // It is there: what waits need not be due. One that is taken to be down gets one first.
        let mut started = world.start();
        assert_eq!(started.len(), 1, "after {failures}");
        let recovered = (failures == 5).then_some(EndpointChange::Recovered);
        assert_eq!(world.done(started.remove(0).1, &EndpointReport::Answered), recovered);
        let (mut rest, mut width) = (0, 0);
        loop {
            let started = world.start();
            if started.is_empty() {
                break;
            }
            rest += started.len() as u64;
            width = width.max(started.len());
            for (_, permit) in started {
                world.done(permit, &EndpointReport::Answered);
            }
        }
        assert_eq!((rest, world.dispatcher.waiting()), (failures - 1, 0));
        assert!(width <= 4 && world.dispatcher.doors.is_empty());
    }
}

#[test]
fn an_endpoint_of_many_webhooks_is_knocked_at_once_for_all_and_they_all_see_that_it_is_there() {
    let mut world = World::new(10_000, 32);
    let names: Vec<NamespacedName> = (0..1000).map(|number| mk_name("team", &format!("w{number}"))).collect();
    for (number, name) in (0..).zip(&names) {
        world.cannot_connect(name, 10 * number..10 * number + 5, 600);
    }
    let other = mk_name("other", "w");
    world.cannot_connect(&other, 20_000..20_001, 600);
    let mut knocks = 0;
    while let Some(wake) = world.dispatcher.wake_at().filter(|wake| *wake <= world.start + seconds(20)) {
        world.now = wake;
        assert!(world.start().is_empty());
        while let Some(door) = world.dispatcher.next_knock(world.now) {
            knocks += 1;
            world.dispatcher.knocked(&door, false, world.now, 0.0);
        }
    }
    // Once each two seconds for one namespace, and for the other.
    assert!((18..=20).contains(&knocks), "{knocks} knocks");
    world.at(23);
    let doors = [world.knock(), {
        world.now += Duration::from_millis(10);
        world.knock()
    }];
    let team = doors.iter().find(|door| &*door.namespace == "team").unwrap();
    world.dispatcher.knocked(team, true, world.now, 0.0);
    assert_eq!(world.start().len(), 1000);
}

#[test]
fn many_doors_are_knocked_at_one_after_the_other_and_few_at_a_time_where_nobody_answers() {
    let mut world = World::new(10_000, 32);
    for number in 0..500 {
        let name = mk_name("team", &format!("w{number}"));
        world.push(&name, number);
        let (_, permit) = world.start().remove(0);
        world.done(permit, &EndpointReport::Away(Arc::from(format!("http://receiver-{number}.example:80"))));
        world.push_later(&name, number, 1, 600);
    }
    let mut open = Vec::new();
    while let Some(wake) = world.dispatcher.wake_at().filter(|wake| *wake < world.start + seconds(100)) {
        world.now = wake;
        open.extend(world.dispatcher.next_knock(wake));
    }
    let took = world.now.duration_since(world.start);
    assert_eq!((open.len(), took), (64, seconds(2) + Duration::from_millis(630)));
    world.dispatcher.knocked(&open[0], false, world.now, 0.0);
    assert!(world.dispatcher.wake_at().is_some());
}

#[test]
fn where_a_door_opens_and_the_next_request_does_not_get_in_it_is_knocked_at_less_and_less_often() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.cannot_connect(&a, 0..5, 3000);
    let mut waits = Vec::new();
    for _ in 0..7 {
        let before = world.now;
        let door = loop {
            world.now = world.dispatcher.wake_at().unwrap();
            if let Some(door) = world.dispatcher.next_knock(world.now) {
                break door;
            }
        };
        waits.push(world.now.duration_since(before).as_secs());
        world.dispatcher.knocked(&door, true, world.now, 0.0);
        let (number, permit) = world.start().remove(0);
        world.done(permit, &away());
        let due = world.now.duration_since(world.start).as_secs() + 1000;
        world.push_later(&a, number, 2, due);
        // The others are ready since; here they wait as well.
        for number in 0..5 {
            if world.dispatcher.withdraw(&a, number, world.now).is_some() {
                world.push_later(&a, number, 2, due);
            }
        }
    }
    assert_eq!(waits, [2, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn nobody_knocks_for_what_does_not_wait_or_would_not_be_sent() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.cannot_connect(&a, 0..5, 600);
    assert!(!world.dispatcher.doors.is_empty());
    // Held.
    world.dispatcher.hold(&a, true, world.now);
    assert!(world.dispatcher.doors.is_empty());
    world.dispatcher.hold(&a, false, world.now);
    assert!(!world.dispatcher.doors.is_empty());
    // Gone.
    let waiting = world.dispatcher.remove(&a, world.now);
    assert!(waiting.len() == 5 && world.dispatcher.doors.is_empty());
    // Down, with nothing to send; what comes then has somebody knock at once.
    let b = mk_name("team", "b");
    for number in 0..5 {
        world.push(&b, number);
        let (_, permit) = world.start().remove(0);
        world.done(permit, &away());
    }
    assert!(world.dispatcher.is_failing(&b) && world.dispatcher.doors.is_empty());
    world.at(100);
    let (_, probe) = {
        world.push(&b, 5);
        world.start().remove(0)
    };
    world.done(probe, &away());
    world.push(&b, 6);
    assert_eq!(world.dispatcher.wake_at(), Some(world.start + seconds(102)));
    // It answers otherwise.
    world.at(102);
    let door = world.knock();
    let (_, probe) = world.start().remove(0);
    world.push(&b, 7);
    world.done(probe, &FAILED);
    world.dispatcher.knocked(&door, false, world.now, 0.0);
    assert!(world.dispatcher.doors.is_empty());
}

#[test]
fn an_answer_of_one_of_a_webhooks_hosts_says_nothing_of_another_that_refused() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    world.cannot_connect(&a, 0..1, 600);
    world.push(&a, 1);
    let (_, permit) = world.start().remove(0);
    world.done(permit, &EndpointReport::Answered);
    assert!(world.start().is_empty());
    world.at(2);
    let door = world.knock();
    world.dispatcher.knocked(&door, true, world.now, 0.0);
    assert_eq!(items(&world.start()), [0]);
}

#[test]
fn what_was_slow_keeps_its_time_when_a_door_opens_and_who_asked_to_wait_is_not_disturbed() {
    let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
    [1, 2].into_iter().for_each(|number| world.push(&a, number));
    let mut started = world.start();
    let (slow, refused) = (started.remove(0).1, started.remove(0).1);
    world.done(slow, &FAILED);
    let (due, give_up) = (world.start + seconds(60), world.start + seconds(3600));
    let waiting =
        Queued { item: 1, number: 1, group: Arc::from("1"), attempts: 1, timed_out: true, due, give_up, bytes: 0 };
    world.dispatcher.push(&a, waiting, world.now);
    world.done(refused, &away());
    world.push_later(&a, 2, 1, 60);
    world.at(2);
    let door = world.knock();
    world.dispatcher.knocked(&door, true, world.now, 0.0);
    assert_eq!(items(&world.start()), [2]);

    let (mut world, b) = (World::new(100, 32), mk_name("team", "b"));
    [1, 2, 3].into_iter().for_each(|number| world.push(&b, number));
    let mut started = world.start();
    let (busy, refused) = (started.remove(0).1, started.remove(0).1);
    assert_eq!(world.done(busy, &asked(100)), Some(EndpointChange::Failing));
    world.done(refused, &away());
    world.push_later(&b, 2, 1, 60);
    assert!(world.dispatcher.doors.is_empty());
}

#[test]
fn a_slow_or_failing_endpoint_is_tried_less_and_less_often_and_no_sooner_than_it_takes_to_ask_it() {
    let failed =
        |asked: Option<u64>, cost: u64| EndpointReport::Failed { asked: asked.map(seconds), cost: seconds(cost) };
    let hasty = RetryPolicy { max_delay: seconds(3), ..RetryPolicy::default() };
    let cases = [
        (RetryPolicy::default(), failed(None, 0), vec![1, 2, 4, 8, 16, 30, 30]),
        (RetryPolicy::default(), failed(None, 4), vec![4, 4, 4, 8, 16, 30, 30]),
        (RetryPolicy::default(), failed(None, 60), vec![30, 30]),
        (RetryPolicy::default(), failed(Some(10), 4), vec![10, 10, 10, 10, 16, 30]),
        (RetryPolicy::default(), away(), vec![1, 2, 4]),
        (hasty, failed(None, 10), vec![3, 3, 3]),
    ];
    for (policy, report, expected) in cases {
        let (mut world, a) = (World::new(100, 32), mk_name("team", "a"));
        world.policy = policy;
        (0..20).for_each(|number| world.push(&a, number));
        for (_, permit) in world.start().into_iter().take(5) {
            world.done(permit, &report);
        }
        (20..40).for_each(|number| world.push(&a, number));
        let mut waits = Vec::new();
        for _ in 0..expected.len() {
            let before = world.now;
            let (_, probe) = loop {
                while let Some(door) = world.dispatcher.next_knock(world.now) {
                    world.dispatcher.knocked(&door, false, world.now, 0.0);
                }
                if let Some(probe) = world.start().pop() {
                    break probe;
                }
                world.now = world.dispatcher.wake_at().unwrap();
            };
            waits.push(world.now.duration_since(before).as_secs());
            world.done(probe, &report);
        }
        assert_eq!(waits, expected, "{report:?}");
    }
}
