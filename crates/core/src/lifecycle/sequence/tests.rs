//! Tables and properties of the order of events.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{delivery::EventKey, event::EventFacts, lifecycle::EventRecord};

/// A version and a second.
type Placed = (&'static str, i64);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// An event of this version that was created at this second.
fn mk_seen(version: &str, second: i64) -> SeenEvent {
    let facts =
        EventFacts { event_type: None, alert_group_id: "".into(), integration_id: None, webhook_refs: Vec::new() };
    SeenEvent {
        key: Arc::new(EventKey { namespace: "team".into(), name: version.to_owned(), uid: version.to_owned() }),
        facts: Arc::new(facts),
        request: None,
        created: at(second),
        version: ResourceVersion::from(version),
        is_changed: false,
        is_deleting: false,
        asked: None,
        record: None,
        weight: 0,
    }
}

/// The versions of events, in their order, and the seconds at which they count as created.
fn in_order(events: &[SeenEvent]) -> Vec<(String, i64)> {
    let placed = Sequence::default().in_order(events.to_vec());
    placed.iter().map(|(time, seen)| (seen.version.to_string(), time.as_second() - at(0).as_second())).collect()
}

#[test]
fn versions_tell_the_order_where_clocks_are_less_than_a_minute_apart() {
    let cases: [(&[Placed], &[Placed]); 9] = [
        (&[], &[]),
        (&[("11", 0), ("10", 0)], &[("10", 0), ("11", 0)]),
        // One clock is behind, the other ahead.
        (&[("10", 5), ("11", 3), ("12", 6)], &[("10", 5), ("11", 5), ("12", 6)]),
        (&[("12", 3), ("9", 1), ("10", 60)], &[("9", 1), ("10", 60), ("12", 60)]),
        // A clock that is wrong, or a version that is not that of the creation.
        (&[("9", 1), ("10", 61), ("12", 1)], &[("9", 1), ("12", 1), ("10", 61)]),
        (&[("9", 3600), ("10", 3), ("11", 4)], &[("10", 3), ("11", 4), ("9", 3600)]),
        (&[("9", 3600), ("10", 5), ("11", 3)], &[("10", 5), ("11", 5), ("9", 3600)]),
        (&[("x", 3), ("10", 5), ("11", 4)], &[("x", 3), ("10", 5), ("11", 5)]),
        (&[("x", 5), ("y", 3)], &[("y", 3), ("x", 5)]),
    ];
    for (events, expected) in cases {
        let events: Vec<SeenEvent> = events.iter().map(|(version, second)| mk_seen(version, *second)).collect();
        let expected: Vec<(String, i64)> = expected.iter().map(|(version, at)| ((*version).to_owned(), *at)).collect();
        assert_eq!(in_order(&events), expected, "{events:?}");
    }
}

#[test]
fn what_was_changed_since_its_creation_takes_the_place_of_its_time() {
    let record = |is_completed| Some(EventRecord { is_completed, ..EventRecord::default() });
    let asked: Option<Arc<str>> = Some("again".into());
    let changed = mk_seen("12", 3);
    let cases = [
        (changed.clone(), 5),
        (SeenEvent { is_changed: true, ..changed.clone() }, 3),
        (SeenEvent { record: record(true), asked: asked.clone(), ..changed.clone() }, 3),
        // Its status tells the version of its creation.
        (SeenEvent { record: record(false), asked: asked.clone(), ..changed.clone() }, 5),
        (SeenEvent { asked, ..changed }, 3),
    ];
    for (changed, expected) in cases {
        let placed = in_order(&[mk_seen("10", 5), changed.clone(), mk_seen("13", 4)]);
        let second = |version: &str| placed.iter().find(|(of, _)| of == version).map(|(_, second)| *second);
        assert_eq!((second("12"), second("13")), (Some(expected), Some(5)), "{changed:?}");
    }
}

#[test]
fn what_is_read_again_has_the_order_that_it_had() {
    let mut sequence = Sequence::default();
    let events = [mk_seen("10", 5), mk_seen("11", 3), mk_seen("12", 4)];
    let placed = [at(5), at(5), at(5)];
    assert_eq!([0, 1].map(|event: usize| sequence.place(&events[event])), placed[..2]);
    for _ in 0..2 {
        let again = sequence.in_order(events.to_vec());
        let versions: Vec<String> = again.iter().map(|(_, seen)| seen.version.to_string()).collect();
        assert_eq!(versions, ["10", "11", "12"]);
        assert_eq!(again.iter().map(|(time, _)| *time).collect::<Vec<_>>(), placed);
    }
}

#[test]
fn each_namespace_has_its_order_and_those_that_are_quiet_are_forgotten() {
    let mut sequence = Sequence::default();
    let of = |namespace: &str, version: &str, second| {
        let seen = mk_seen(version, second);
        SeenEvent { key: Arc::new(EventKey { namespace: namespace.into(), ..(*seen.key).clone() }), ..seen }
    };
    assert_eq!(sequence.place(&of("a", "10", 5)), at(5));
    assert_eq!(sequence.place(&of("b", "8", 1)), at(1));
    // Its watch is one of its own, and behind.
    assert_eq!([("9", 0), ("7", 0)].map(|(version, second)| sequence.place(&of("b", version, second))), [at(1), at(0)]);
    for number in 0..5000 {
        sequence.place(&of(&number.to_string(), "20", number));
    }
    assert!(sequence.clocks.len() <= CLOCKS, "{}", sequence.clocks.len());
}

proptest! {
    /// Each API server's clock has an error of its own, of less than a minute in all.
    #[test]
    fn events_are_in_the_order_of_their_creation_however_they_are_listed(
        created in vec((0_i64..4, 0_usize..3), 1..40),
        errors in vec(0_i64..60, 3),
        shuffled in vec(any::<u32>(), 40),
    ) {
        let mut now = 0;
        let mut events: Vec<(u32, SeenEvent)> = Vec::new();
        for (number, (pause, server)) in created.into_iter().enumerate() {
            now += pause;
            events.push((shuffled[number], mk_seen(&(100 + number).to_string(), now + errors[server])));
        }
        // As the watch shows them, one after the other.
        let mut sequence = Sequence::default();
        let number_of = |(_, seen): &(u32, SeenEvent)| order_number(sequence.place(seen), &seen.version);
        let numbers: Vec<u64> = events.iter().map(number_of).collect();
        prop_assert!(numbers.is_sorted(), "{:?}", numbers);
        let expected: Vec<String> = events.iter().map(|(_, seen)| seen.version.to_string()).collect();
        events.sort_by_key(|(place, _)| *place);
        let listed: Vec<SeenEvent> = events.into_iter().map(|(_, seen)| seen).collect();
        let found: Vec<String> = in_order(&listed).into_iter().map(|(version, _)| version).collect();
        prop_assert_eq!(found, expected);
    }

    /// Whatever the times and versions are.
    #[test]
    fn no_event_counts_as_created_a_minute_later_than_it_says(events in vec((0_u32..50, 0_i64..300, any::<bool>()), 0..40)) {
        let mk = |(version, second, is_completed): (u32, i64, bool)| {
            let record = is_completed.then(|| EventRecord { is_completed, ..EventRecord::default() });
            SeenEvent { record, ..mk_seen(&version.to_string(), second) }
        };
        let events: Vec<SeenEvent> = events.into_iter().map(mk).collect();
        let placed = Sequence::default().in_order(events.clone());
        prop_assert_eq!(placed.len(), events.len());
        for (time, seen) in placed {
            let later = time.duration_since(seen.created).as_secs();
            prop_assert!((0..60).contains(&later) && (later == 0 || !seen.is_completed()), "{} {:?}", later, seen);
        }
    }
}
