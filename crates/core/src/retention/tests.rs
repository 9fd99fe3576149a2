mod wiping;

use std::slice::from_ref;

use proptest::{collection::vec, prelude::*};

use super::*;

const NOW: i64 = 1_700_000_000;
const DAY: i64 = 24 * 60;

fn now() -> Timestamp {
    at(0)
}

/// The time so many minutes ago.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW - minutes * 60).unwrap()
}

fn minutes(minutes: i64) -> Duration {
    Duration::from_secs(minutes.unsigned_abs() * 60)
}

/// An object that was created and ended so many minutes ago.
fn object(name: &str, ago: i64) -> StoredObject {
    StoredObject {
        namespace: "team".to_owned(),
        name: name.to_owned(),
        uid: format!("uid of {name}"),
        resource_version: (1_000_000 - ago).to_string(),
        created: at(ago),
        recorded: at(ago),
        finished: true,
        redelivery_requested: None,
        protected: false,
    }
}

fn event(name: &str, group: &str, ago: i64) -> StoredEvent {
    StoredEvent { object: object(name, ago), group: group.to_owned() }
}

fn response(name: &str, webhook: &str, group: &str, ago: i64) -> StoredResponse {
    StoredResponse {
        object: object(name, ago),
        webhook: webhook.to_owned(),
        event: format!("event of {name}"),
        group: group.to_owned(),
    }
}

fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

fn policy() -> RetentionPolicy {
    RetentionPolicy {
        events_for: RetentionLimit::AtMost(minutes(DAY)),
        events: RetentionLimit::AtMost(2),
        responses_for: RetentionLimit::AtMost(minutes(7 * DAY)),
        alert_groups_for: RetentionLimit::AtMost(minutes(7 * DAY)),
        alert_groups: RetentionLimit::AtMost(2),
        latest_for: minutes(DAY),
        grace: minutes(5),
    }
}

fn stored<'a>(events: &'a [StoredEvent], responses: &'a [StoredResponse]) -> StoredObjects<'a> {
    StoredObjects { events, responses, alert_groups: &[] }
}

fn names(objects: &[&StoredObject]) -> Vec<String> {
    objects.iter().map(|object| object.name.clone()).collect()
}

/// The names of the objects that are removed, if two responses of a webhook are kept.
fn removed(
    policy: &RetentionPolicy,
    events: &[StoredEvent],
    responses: &[StoredResponse],
) -> (Vec<String>, Vec<String>) {
    let plan = plan(now(), policy, stored(events, responses), |_, _| RetentionLimit::AtMost(2));
    (names(&plan.events), names(&plan.responses))
}

#[test]
fn resolved_alert_groups_are_kept_for_a_while_and_open_ones_with_the_latest_responses_as_long_as_they_are_open() {
    let group = |name: &str, ago: i64, is_resolved: bool| StoredAlertGroup {
        object: with(object(name, ago), |object| object.finished = is_resolved),
        group: name.to_owned(),
    };
    let alert_groups = [
        group("old", 8 * DAY, true),
        group("third", 50, true),
        group("second", 40, true),
        group("first", 30, true),
        group("open", 30 * DAY, false),
    ];
    let responses = [
        response("of open", "jira", "open", 30 * DAY),
        response("before that", "jira", "open", 31 * DAY),
        response("of old", "jira", "old", 8 * DAY),
    ];
    let working = [with(event("e", "old", 8 * DAY), |event| event.object.finished = false)];
    let cases: [(&[StoredEvent], &[&str], &[&str]); 2] =
        [(&[], &["old", "third"], &["before that", "of old"]), (&working, &["third"], &["before that"])];
    for (events, expected, expected_responses) in cases {
        let stored = StoredObjects { events, responses: &responses, alert_groups: &alert_groups };
        let plan = plan(now(), &policy(), stored, |_, _| RetentionLimit::AtMost(2));
        assert_eq!(
            (names(&plan.alert_groups), names(&plan.responses)),
            (
                expected.iter().map(|name| (*name).to_owned()).collect(),
                expected_responses.iter().map(|name| (*name).to_owned()).collect()
            )
        );
    }
}

#[test]
fn the_newest_finished_events_of_a_namespace_are_kept_for_a_while() {
    let unlimited =
        RetentionPolicy { events_for: RetentionLimit::Unlimited, events: RetentionLimit::Unlimited, ..policy() };
    let none = RetentionPolicy { events: RetentionLimit::AtMost(0), ..policy() };
    let young = RetentionPolicy {
        events_for: RetentionLimit::AtMost(Duration::ZERO),
        events: RetentionLimit::Unlimited,
        ..policy()
    };
    let four = || [("a", 10), ("b", 40), ("c", 30), ("d", 20)].map(|(name, ago)| event(name, name, ago)).to_vec();
    let elsewhere = with(event("f", "f", 50), |event| event.object.namespace = "other".to_owned());
    let cases: [(&str, &RetentionPolicy, Vec<StoredEvent>, &[&str]); 12] = [
        ("more than the number", &policy(), four(), &["b", "c"]),
        ("no limits", &unlimited, four(), &[]),
        ("none is kept", &none, four(), &["b", "c", "d", "a"]),
        ("for no time", &young, four(), &["b", "c", "d", "a"]),
        ("older than the age", &policy(), vec![event("a", "a", DAY + 1), event("b", "b", DAY)], &["a"]),
        ("each namespace for itself", &policy(), [&four()[..2], &[elsewhere]].concat(), &[]),
        ("what ended just now", &none, vec![event("a", "a", 4), event("b", "b", 5)], &["b"]),
        (
            "what took long counts from its end",
            &policy(),
            vec![with(event("a", "a", 9 * DAY), |event| event.object.recorded = at(10))],
            &[],
        ),
        ("not finished", &none, vec![with(event("a", "a", 9 * DAY), |event| event.object.finished = false)], &[]),
        ("a tool's", &none, vec![with(event("a", "a", 9 * DAY), |event| event.object.protected = true)], &[]),
        (
            "asked for within the hour",
            &none,
            vec![with(event("a", "a", 9 * DAY), |event| event.object.redelivery_requested = Some(at(59)))],
            &[],
        ),
        (
            "asked for before that",
            &none,
            vec![with(event("a", "a", 9 * DAY), |event| event.object.redelivery_requested = Some(at(60)))],
            &["a"],
        ),
    ];
    for (what, policy, events, expected) in cases {
        assert_eq!(removed(policy, &events, &[]).0, expected, "{what}");
    }
}

#[test]
fn a_protected_old_event_does_not_push_out_a_newer_one() {
    let tools = with(event("a", "a", 40), |event| event.object.protected = true);
    let events = [event("b", "b", 30), event("c", "c", 20), event("d", "d", 10), tools];
    assert_eq!(removed(&policy(), &events, &[]).0, ["b"]);
}

#[test]
fn the_newest_finished_responses_of_a_webhook_are_kept_for_a_while() {
    // Each is of an alert group of its own that was last seen long ago, except for those of `recent`.
    let of = |webhook: &str, ages: &[(&str, i64)]| -> Vec<StoredResponse> {
        ages.iter().map(|(name, days)| response(name, webhook, name, days * DAY)).collect()
    };
    let group = |ages: &[(&str, i64)]| -> Vec<StoredResponse> {
        ages.iter().map(|(name, ago)| response(name, "one", "recent", *ago)).collect()
    };
    let unfinished = |event: &str, ago: i64| {
        with(response("open", "two", "g", ago), |response| {
            response.object.finished = false;
            response.event = event.to_owned();
        })
    };
    let seen = |ago: i64| [event("seen", "recent", ago)];
    let open = |group: &str| with(event("event of a", group, 9 * DAY), |event| event.object.finished = false);
    let three = [("a", 4), ("b", 3), ("c", 2)];
    type Case<'a> = (&'a str, Vec<StoredEvent>, Vec<StoredResponse>, &'a [&'a str]);
    let cases: [Case; 10] = [
        ("more than the number", vec![], of("one", &three), &["a"]),
        ("each webhook for itself", vec![], [of("one", &three[..2]), of("two", &three[2..])].concat(), &[]),
        ("older than the age", vec![], of("one", &[("a", 8), ("b", 7)]), &["a"]),
        ("not finished", vec![], vec![unfinished("e", 90 * DAY)], &[]),
        ("an event that is not finished", vec![open("other")], of("one", &three), &[]),
        (
            "all but the latest of a group that was just seen",
            vec![],
            group(&[("a", 50), ("b", 40), ("c", 30), ("d", 20)]),
            &["a", "b"],
        ),
        (
            "the latest of a group that an event tells of",
            seen(DAY).to_vec(),
            [group(&[("a", 9 * DAY), ("b", 8 * DAY)]), of("one", &[("c", 2), ("d", 2)])].concat(),
            &["a"],
        ),
        (
            "a group that was not seen lately",
            seen(DAY + 1).to_vec(),
            group(&[("a", 9 * DAY), ("b", 8 * DAY)]),
            &["a", "b"],
        ),
        (
            "the latest of a group that waits, however long",
            vec![with(open("recent"), |event| event.object.name = "other".to_owned())],
            group(&[("a", 9 * DAY), ("b", 8 * DAY)]),
            &["a"],
        ),
        (
            "both that can be called the latest",
            seen(DAY).to_vec(),
            [
                vec![with(response("a", "one", "recent", 30 * DAY), |response| {
                    response.object.recorded = at(8 * DAY);
                })],
                group(&[("b", 20 * DAY), ("c", 10 * DAY), ("d", 9 * DAY)]),
            ]
            .concat(),
            &["b", "c"],
        ),
    ];
    for (what, events, responses, expected) in cases {
        assert_eq!(removed(&policy(), &events, &responses).1, expected, "{what}");
    }
}

#[test]
fn an_unfinished_response_counts_as_finished_once_its_event_is_gone() {
    let open = |object: &mut StoredObject| object.finished = false;
    let waits = |name: &str, ago| with(response(name, "one", "g", ago), |response| open(&mut response.object));
    let elsewhere = with(event("event of a", "g", 9), |event| event.object.namespace = "other".to_owned());
    let cases = [
        ("its event is there", vec![event("event of a", "g", 9)], waits("a", 9), false),
        ("and not finished", vec![with(event("event of a", "g", 9), |e| open(&mut e.object))], waits("a", 9), false),
        ("its event is gone", vec![event("event of b", "g", 9)], waits("a", 9), true),
        ("an event of that name is elsewhere", vec![elsewhere], waits("a", 9), true),
        ("it was recorded just now", vec![], waits("a", 4), false),
    ];
    for (what, events, response, finished) in cases {
        let mut responses = [response.clone()];
        mark_abandoned(now(), &policy(), &events, &mut responses);
        assert_eq!(responses, [with(response, |response| response.object.finished = finished)], "{what}");
    }
    // It is removed as others are, and does not count as a sign of its alert group any more.
    let mut responses = [waits("a", 9 * DAY), response("b", "one", "g", 8 * DAY)];
    assert_eq!(removed(&policy(), &[], &responses).1, Vec::<String>::new());
    mark_abandoned(now(), &policy(), &[], &mut responses);
    assert_eq!(removed(&policy(), &[], &responses).1, ["a", "b"]);
}

#[test]
fn an_event_or_response_that_is_to_be_sent_again_keeps_the_other() {
    let asked = |object: &mut StoredObject| object.redelivery_requested = Some(at(10));
    let pair = || (event("event of a", "g", 9 * DAY), response("a", "one", "g", 9 * DAY));
    let (old_event, old_response) = pair();
    assert_eq!(
        removed(&policy(), from_ref(&old_event), from_ref(&old_response)),
        (vec!["event of a".to_owned()], vec!["a".to_owned()])
    );
    let nothing = (vec![], vec![]);
    let asked_event = with(old_event.clone(), |event| asked(&mut event.object));
    assert_eq!(removed(&policy(), &[asked_event], from_ref(&old_response)), nothing);
    let asked_response = with(old_response.clone(), |response| asked(&mut response.object));
    assert_eq!(removed(&policy(), from_ref(&old_event), &[asked_response]), nothing);
    let tried_again = with(old_response, |response| response.object.finished = false);
    assert_eq!(removed(&policy(), &[old_event], &[tried_again]), nothing);
}

#[test]
fn the_only_event_that_shows_its_group_was_seen_stays_while_there_are_responses() {
    let none = RetentionPolicy { events: RetentionLimit::AtMost(0), ..policy() };
    let events = [event("a", "g", 30), event("b", "g", 20), event("c", "other", 10)];
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let old = response("old", "one", "g", 9 * DAY);
    assert_eq!(removed(&none, &events, from_ref(&old)), (names(&["a", "c"]), vec![]));
    let new = response("new", "two", "g", 20);
    assert_eq!(removed(&none, &events, &[old, new]), (names(&["a", "b", "c"]), vec![]));
}

/// Objects in one of few namespaces, so that limits and needs meet.
fn objects() -> impl Strategy<Value = StoredObject> {
    let place = prop_oneof![4 => Just("team"), 1 => Just("other")];
    let ago = prop_oneof![2 => 0_i64..30, 3 => 0_i64..3 * DAY, 2 => 0_i64..12 * DAY];
    let asked = proptest::option::weighted(0.1, 0_i64..120);
    (place, ago, 0_i64..2 * DAY, 0_u32..1000, prop::bool::weighted(0.85), asked, prop::bool::weighted(0.1)).prop_map(
        |(namespace, ago, sooner, version, finished, asked, protected)| StoredObject {
            namespace: namespace.to_owned(),
            name: String::new(),
            uid: String::new(),
            resource_version: version.to_string(),
            created: at(ago + sooner),
            recorded: at(ago),
            finished,
            redelivery_requested: asked.map(at),
            protected,
        },
    )
}

fn all() -> impl Strategy<Value = (Vec<StoredEvent>, Vec<StoredResponse>)> {
    let event = (objects(), 0_u32..5);
    let response = (objects(), 0_u32..3, 0_usize..20, 0_u32..5);
    (vec(event, 0..20), vec(response, 0..40)).prop_map(|(events, responses)| {
        let events = events.into_iter().enumerate().map(|(number, (object, group))| StoredEvent {
            object: StoredObject { name: format!("event-{number}"), ..object },
            group: group.to_string(),
        });
        let responses =
            responses.into_iter().enumerate().map(|(number, (object, webhook, event, group))| StoredResponse {
                object: StoredObject { name: format!("response-{number}"), ..object },
                webhook: webhook.to_string(),
                event: format!("event-{event}"),
                group: group.to_string(),
            });
        (events.collect(), responses.collect())
    })
}

fn limits() -> impl Strategy<Value = (RetentionPolicy, RetentionLimit<usize>)> {
    let number =
        || prop_oneof![4 => (0_usize..8).prop_map(RetentionLimit::AtMost), 1 => Just(RetentionLimit::Unlimited)];
    let age = || prop_oneof![4 => (0..9 * DAY).prop_map(|ago| RetentionLimit::AtMost(minutes(ago))), 1 => Just(RetentionLimit::Unlimited)];
    (age(), number(), age(), 0..2 * DAY, 0_i64..20, number()).prop_map(
        |(events_for, events, responses_for, latest_for, grace, responses)| {
            let policy = RetentionPolicy {
                events_for,
                events,
                responses_for,
                latest_for: minutes(latest_for),
                grace: minutes(grace),
                ..policy()
            };
            (policy, responses)
        },
    )
}

/// Events and responses.
type Objects = (Vec<StoredEvent>, Vec<StoredResponse>);

fn split(events: &[StoredEvent], responses: &[StoredResponse], plan: &RemovalPlan<'_>) -> (Objects, Objects) {
    let (gone_events, left_events) = events.iter().cloned().partition(|event| plan.events.contains(&&event.object));
    let (gone_responses, left_responses) =
        responses.iter().cloned().partition(|response| plan.responses.contains(&&response.object));
    ((gone_events, gone_responses), (left_events, left_responses))
}

/// Whether so many newer objects are finished that this one is over the limit.
fn is_beyond<'a>(
    object: &StoredObject,
    others: impl Iterator<Item = &'a StoredObject>,
    number: RetentionLimit<usize>,
) -> bool {
    let newer = others
        .filter(|other| other.namespace == object.namespace && other.finished && other.rank() > object.rank())
        .count();
    matches!(number, RetentionLimit::AtMost(number) if newer >= number)
}

fn is_past(object: &StoredObject, age: RetentionLimit<Duration>) -> bool {
    matches!(age, RetentionLimit::AtMost(age) if Duration::try_from(now().duration_since(object.recorded)).unwrap() > age)
}

proptest! {
    #[test]
    fn an_object_that_something_needs_is_never_removed((events, responses) in all(), (policy, number) in limits()) {
        let plan = plan(now(), &policy, stored(&events, &responses), |_, _| number);
        let ((gone_events, gone_responses), (_, left_responses)) = split(&events, &responses, &plan);

        let gone = gone_events.iter().map(|event| &event.object);
        for object in gone.chain(gone_responses.iter().map(|response| &response.object)) {
            prop_assert!(object.finished && !object.protected && object.recorded <= before(now(), policy.grace));
            prop_assert!(object.redelivery_requested.is_none_or(|asked| asked <= at(60)));
        }
        let is_open = |object: &StoredObject| !object.finished || object.redelivery_requested.is_some_and(|asked| asked > at(60));
        for event in &gone_events {
            let own = |response: &&StoredResponse| response.object.namespace == event.object.namespace
                && response.event == event.object.name;
            prop_assert!(responses.iter().filter(own).all(|response| !is_open(&response.object)));
        }
        for response in &gone_responses {
            let own = |event: &&StoredEvent| response.object.namespace == event.object.namespace
                && response.event == event.object.name;
            prop_assert!(events.iter().filter(own).all(|event| !is_open(&event.object)));

            // If its group was seen, a later one of the same webhook is left.
            let in_group = |object: &StoredObject, group: &str| {
                object.namespace == response.object.namespace && group == response.group
            };
            let recent = before(now(), policy.latest_for);
            let is_seen = |object: &StoredObject| !object.finished || object.recorded >= recent;
            let seen = events.iter().any(|event| in_group(&event.object, &event.group) && is_seen(&event.object))
                || responses.iter().any(|other| in_group(&other.object, &other.group) && is_seen(&other.object));
            if seen {
                let left: Vec<&StoredResponse> = left_responses
                    .iter()
                    .filter(|other| in_group(&other.object, &other.group) && other.webhook == response.webhook)
                    .filter(|other| other.object.finished)
                    .collect();
                prop_assert!(left.iter().any(|other| other.object.rank() > response.object.rank()));
                prop_assert!(left.iter().any(|o| o.object.creation_rank() > response.object.creation_rank()));
            }
        }
    }

    #[test]
    fn removed_objects_are_beyond_a_limit_and_objects_left_beyond_it_are_needed(
        (events, responses) in all(),
        (policy, number) in limits(),
    ) {
        let actual = plan(now(), &policy, stored(&events, &responses), |_, _| number);
        // Removes every object that nothing needs.
        let strictest = RetentionPolicy {
            events_for: RetentionLimit::AtMost(Duration::ZERO),
            events: RetentionLimit::AtMost(0),
            responses_for: RetentionLimit::AtMost(Duration::ZERO),
            ..policy.clone()
        };
        let unneeded = plan(now(), &strictest, stored(&events, &responses), |_, _| RetentionLimit::AtMost(0));
        for event in &events {
            let beyond = is_past(&event.object, policy.events_for)
                || is_beyond(&event.object, events.iter().map(|event| &event.object), policy.events);
            let expected = beyond && unneeded.events.contains(&&event.object);
            prop_assert_eq!(actual.events.contains(&&event.object), expected);
        }
        for response in &responses {
            let own = responses.iter().filter(|other| other.webhook == response.webhook);
            let beyond = is_past(&response.object, policy.responses_for)
                || is_beyond(&response.object, own.map(|other| &other.object), number);
            let expected = beyond && unneeded.responses.contains(&&response.object);
            prop_assert_eq!(actual.responses.contains(&&response.object), expected);
        }
    }

    #[test]
    fn after_a_part_of_a_plan_the_next_plan_asks_for_the_rest(
        (events, responses) in all(),
        (policy, number) in limits(),
        done in 0_usize..60,
    ) {
        let whole = plan(now(), &policy, stored(&events, &responses), |_, _| number);
        let of_responses = done.min(whole.responses.len());
        let of_events = (done - of_responses).min(whole.events.len());
        let part = RemovalPlan {
            events: whole.events[..of_events].to_vec(),
            responses: whole.responses[..of_responses].to_vec(),
            alert_groups: Vec::new(),
        };
        let (_, (events, responses)) = split(&events, &responses, &part);
        let rest = RemovalPlan {
            events: whole.events[of_events..].to_vec(),
            responses: whole.responses[of_responses..].to_vec(),
            alert_groups: Vec::new(),
        };
        prop_assert_eq!(plan(now(), &policy, stored(&events, &responses), |_, _| number), rest);
    }
}
