use super::*;
use crate::JournalFaults;

const KILL: Fault = Fault::Kill;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings() -> Settings {
    Settings {
        events: 2,
        webhooks: 1,
        fan_out: 1,
        seed: 1,
        writers: 1,
        backlog: 1,
        refused_per_mille: 0,
        burst: 0,
        kills: 0,
        journal: JournalFaults::default(),
        pauses: 0,
        api_server_restarts: 0,
        etcd_restarts: 0,
        receiver_restarts: 0,
        standby: false,
        lease_seconds: 15,
        patience: s(1),
    }
}

fn delivery(step: usize) -> Delivery {
    Delivery { webhook: 0, event: EventId { group: 0, step } }
}

/// A request of the event of that step, which arrived then.
fn mk(step: usize, arrived: u64, planned: PlannedAnswer) -> LoggedRequest {
    let answered = (planned == PlannedAnswer::Taken).then(|| s(arrived));
    LoggedRequest { delivery: delivery(step), id: format!("id-{step}"), arrived: s(arrived), planned, answered }
}

fn cut(step: usize, arrived: u64) -> LoggedRequest {
    LoggedRequest { answered: None, ..mk(step, arrived, PlannedAnswer::Taken) }
}

fn mk_fault(fault: Fault, from: u64, to: u64) -> Disturbance {
    Disturbance { fault, from: s(from), to: s(to), resumed: None }
}

fn paused(from: u64, resumed: u64) -> Disturbance {
    Disturbance { fault: Fault::Pause, from: s(from), to: s(from), resumed: Some(s(resumed)) }
}

/// Two events of one alert group for one webhook, both recorded as succeeded at last.
fn evidence(requests: Vec<LoggedRequest>, disturbances: Vec<Disturbance>) -> Evidence {
    let record = Record { phase: "Succeeded".to_owned(), ..Record::default() };
    Evidence {
        created: [0, 1].map(|step| (EventId { group: 0, step }, s(0))).into(),
        received: RequestLog { requests, ..RequestLog::default() },
        disturbances,
        records: [0, 1].map(|step| (delivery(step), record.clone())).into(),
        max_unrecorded: 1,
        ..Evidence::default()
    }
}

/// The report when all went well, in as many requests as there are deliveries.
fn good() -> Report {
    Report { events: 2, deliveries: 2, requests: 2, ..Report::default() }
}

/// The report without its cases, which are for people.
fn counted(settings: &Settings, evidence: &Evidence) -> Report {
    Report { cases: Vec::new(), ..judge(settings, evidence) }
}

#[test]
fn what_is_wrong_is_told_with_all_that_arrived_of_it() {
    let report = judge(&settings(), &evidence(vec![cut(0, 1), mk(0, 2, PlannedAnswer::Error)], Vec::new()));
    let expected = [
        "lost: event-00000-0 to webhook-000: 1.000 s: 200 (cut off), 2.000 s: 500",
        "lost: event-00000-1 to webhook-000: ",
        "misrecorded as Succeeded: event-00000-0 to webhook-000: 1.000 s: 200 (cut off), 2.000 s: 500",
        "misrecorded as Succeeded: event-00000-1 to webhook-000: ",
    ];
    assert_eq!(report.cases, expected);
}

#[test]
fn a_single_operator_that_is_paused_is_the_same_after_it() {
    let requests =
        vec![mk(0, 10, PlannedAnswer::Taken), mk(0, 40, PlannedAnswer::Taken), mk(1, 90, PlannedAnswer::Taken)];
    let report = judge(&settings(), &evidence(requests, vec![paused(12, 30)]));
    assert_eq!(report.duplicates, duplicates(1, 0, 0, 1));
}

fn duplicates(all: usize, at_kill: usize, at_pause: usize, unexplained: usize) -> Duplicates {
    Duplicates { all, at_kill, at_pause, unexplained, ..Duplicates::default() }
}

#[test]
fn each_request_is_what_it_is() {
    use PlannedAnswer::{Busy, Error, HangUp, Silence, Taken};
    let injected = |errors, busy, silences, hang_ups| Injected { errors, busy, silences, hang_ups };
    let cases = [
        ("all well", vec![mk(0, 1, Taken), mk(1, 2, Taken)], good()),
        (
            "retries, in whatever order they come, are neither duplicates nor out of order",
            vec![
                mk(0, 1, Error),
                mk(1, 2, Busy),
                mk(1, 3, Silence),
                mk(1, 4, Taken),
                mk(0, 5, HangUp),
                mk(0, 6, Taken),
            ],
            Report { requests: 6, retries: 4, injected: injected(1, 1, 1, 1), ..good() },
        ),
        (
            "an answer that was not given is none: what follows is a retry",
            vec![cut(0, 1), mk(0, 2, Taken), mk(1, 3, Taken)],
            Report { requests: 3, retries: 1, ..good() },
        ),
        (
            "what never came is lost, and recorded as if it had",
            vec![mk(0, 1, Taken)],
            Report { requests: 1, lost: 1, misrecorded: 1, ..good() },
        ),
        (
            "what was never answered well is lost too",
            vec![mk(0, 1, Taken), mk(1, 2, Error)],
            Report { lost: 1, misrecorded: 1, injected: injected(1, 0, 0, 0), ..good() },
        ),
        ("out of order", vec![mk(1, 1, Taken), mk(0, 2, Taken)], Report { out_of_order: 1, ..good() }),
        (
            "what is repeated for no reason",
            vec![mk(0, 1, Taken), mk(1, 2, Taken), mk(1, 3, Taken)],
            Report { requests: 3, duplicates: duplicates(1, 0, 0, 1), ..good() },
        ),
        (
            "another id for the same delivery, and the same id for another delivery",
            vec![mk(0, 1, Error), LoggedRequest { id: "id-1".to_owned(), ..mk(0, 2, Taken) }, mk(1, 3, Taken)],
            Report { requests: 3, retries: 1, strange: 1, injected: injected(1, 0, 0, 0), ..good() },
        ),
        (
            "the same id for another delivery",
            vec![mk(0, 1, Taken), LoggedRequest { id: "id-0".to_owned(), ..mk(1, 2, Taken) }],
            Report { strange: 1, ..good() },
        ),
        (
            "a delivery that is not due",
            vec![mk(0, 1, Taken), mk(1, 2, Taken), mk(2, 3, Taken)],
            Report { strange: 1, ..good() },
        ),
    ];
    for (what, requests, expected) in cases {
        assert_eq!(counted(&settings(), &evidence(requests, Vec::new())), expected, "{what}");
    }
}

#[test]
fn a_duplicate_is_explained_only_by_a_process_that_ended_between_before_its_record_was_seen() {
    let both = |first, second| {
        vec![mk(0, first, PlannedAnswer::Taken), mk(0, second, PlannedAnswer::Taken), mk(1, 90, PlannedAnswer::Taken)]
    };
    let seen = |at| HashMap::from([("id-0".to_owned(), s(at))]);
    let none = HashMap::new;
    let cases = [
        ("in flight at a kill", both(10, 20), mk_fault(KILL, 12, 13), none(), duplicates(1, 1, 0, 0)),
        ("booked while it was killed", both(13, 20), mk_fault(KILL, 12, 13), none(), duplicates(1, 1, 0, 0)),
        (
            "recorded after the kill, by the next",
            both(10, 20),
            mk_fault(KILL, 12, 13),
            seen(21),
            duplicates(1, 1, 0, 0),
        ),
        ("recorded before the kill", both(10, 20), mk_fault(KILL, 12, 13), seen(11), duplicates(1, 0, 0, 1)),
        ("killed before the first", both(15, 20), mk_fault(KILL, 12, 13), none(), duplicates(1, 0, 0, 1)),
        ("killed after the second", both(10, 11), mk_fault(KILL, 12, 13), none(), duplicates(1, 0, 0, 1)),
        ("no process ended", both(10, 20), mk_fault(Fault::ApiServer, 12, 13), none(), duplicates(1, 0, 0, 1)),
        ("in flight at a pause", both(10, 40), paused(12, 60), none(), duplicates(1, 0, 1, 0)),
        ("written at the end of a pause", both(40, 60), paused(12, 60), none(), duplicates(1, 0, 1, 0)),
        (
            "written at the end of a pause, and then by the other",
            both(60, 70),
            paused(12, 60),
            none(),
            duplicates(1, 0, 1, 0),
        ),
        ("written long after a pause", both(40, 62), paused(12, 60), none(), duplicates(1, 0, 0, 1)),
    ];
    for (what, requests, fault, succeeded, duplicates) in cases {
        let settings = Settings { standby: fault.resumed.is_some(), ..settings() };
        let evidence = Evidence { succeeded, ..evidence(requests, vec![fault]) };
        let faults = [(fault.fault, 1)].into();
        let expected = Report { requests: 3, duplicates, faults, ..good() };
        assert_eq!(counted(&settings, &evidence), expected, "{what}");
    }
}

#[test]
fn what_was_taken_and_is_recorded_as_not_answered_in_time_comes_again() {
    use PlannedAnswer::{HangUp, Taken};
    let requests = |arrived: &[(u64, PlannedAnswer)]| -> Vec<LoggedRequest> {
        let of_first = arrived.iter().map(|(at, planned)| mk(0, *at, *planned));
        of_first.chain([mk(1, 90, Taken)]).collect()
    };
    let counted =
        |unread, unexplained| Duplicates { all: unread + unexplained, unread, unexplained, ..Duplicates::default() };
    let cases = [
        ("recorded as answered", requests(&[(10, Taken), (13, Taken)]), vec![], counted(0, 1)),
        ("not read", requests(&[(10, Taken), (13, Taken)]), vec![(9, 11)], counted(1, 0)),
        (
            "not read, and then refused",
            requests(&[(10, Taken), (13, HangUp), (15, Taken)]),
            vec![(9, 11)],
            counted(2, 0),
        ),
        ("twice in one attempt", requests(&[(10, Taken), (11, Taken)]), vec![(9, 12)], counted(0, 1)),
        (
            "twice in one attempt, and once more",
            requests(&[(10, Taken), (11, Taken), (14, Taken)]),
            vec![(9, 12)],
            counted(0, 2),
        ),
        ("another attempt was not read", requests(&[(10, Taken), (13, Taken)]), vec![(12, 14)], counted(0, 1)),
        (
            "it was read the second time",
            requests(&[(10, Taken), (13, Taken), (15, Taken)]),
            vec![(9, 11)],
            counted(1, 1),
        ),
        (
            "nor the second time",
            requests(&[(10, Taken), (13, Taken), (15, Taken)]),
            vec![(9, 11), (12, 14)],
            counted(2, 0),
        ),
    ];
    for (what, requests, timeouts, expected) in cases {
        let mut evidence = evidence(requests, Vec::new());
        let timeouts = timeouts.into_iter().map(|(began, ended)| (s(began), s(ended))).collect();
        evidence.records.insert(delivery(0), Record { phase: "Succeeded".to_owned(), timeouts, ..Record::default() });
        assert_eq!(judge(&settings(), &evidence).duplicates, expected, "{what}");
    }
    let many = (0..10).map(|number| (10 + 2 * number, Taken)).collect::<Vec<_>>();
    let mut evidence = evidence(requests(&many), Vec::new());
    let timeouts = (0..10).map(|number| (s(9 + 2 * number), s(11 + 2 * number))).collect();
    evidence.records.insert(delivery(0), Record { phase: "Succeeded".to_owned(), timeouts, ..Record::default() });
    assert_eq!(judge(&settings(), &evidence).duplicates, counted(8, 1), "no more than are likely");
}

#[test]
fn a_kill_explains_no_more_duplicates_than_may_be_unrecorded() {
    let requests = [(0, 1), (1, 2), (0, 20), (1, 21)].map(|(step, at)| mk(step, at, PlannedAnswer::Taken)).to_vec();
    let kills = vec![mk_fault(KILL, 10, 11)];
    let report = judge(&settings(), &evidence(requests.clone(), kills.clone()));
    assert_eq!(report.duplicates, duplicates(2, 1, 0, 1));
    let report = judge(&settings(), &Evidence { max_unrecorded: 2, ..evidence(requests, kills) });
    assert_eq!(report.duplicates, duplicates(2, 2, 0, 0));
}

#[test]
fn one_event_overtakes_another_only_while_the_receiver_is_away() {
    let requests = || vec![mk(1, 20, PlannedAnswer::Taken), mk(0, 30, PlannedAnswer::Taken)];
    let away = mk_fault(Fault::Receiver, 10, 12);
    let first = |began, ended| Some((s(began), s(ended)));
    let cases = [
        ("refused while it was away", vec![away], first(11, 11), 0, 1),
        ("cut off when it went", vec![away], first(9, 10), 0, 1),
        ("tried when it was there", vec![away], first(13, 14), 1, 0),
        ("tried after the other", vec![away], first(25, 25), 1, 0),
        ("no attempt known", vec![away], None, 1, 0),
        ("never away", vec![], first(11, 11), 1, 0),
        ("the record went with the process", vec![away, mk_fault(KILL, 22, 23)], first(30, 30), 0, 1),
        ("killed before the other came", vec![away, mk_fault(KILL, 14, 15)], first(30, 30), 1, 0),
    ];
    for (what, faults, first_attempt, out_of_order, overtaken) in cases {
        let mut evidence = evidence(requests(), faults);
        evidence
            .records
            .insert(delivery(0), Record { phase: "Succeeded".to_owned(), first_attempt, ..Record::default() });
        let report = judge(&settings(), &evidence);
        assert_eq!((report.out_of_order, report.overtaken), (out_of_order, overtaken), "{what}");
    }
}

#[test]
fn one_event_overtakes_another_whose_recorded_attempt_met_a_connection_that_ended() {
    use PlannedAnswer::{HangUp, Taken};
    let first = |began, ended| Some((s(began), s(ended)));
    let requests = |hang_ups| {
        let ended = (0..hang_ups).map(|number| {
            let mut request = mk(0, 5, HangUp);
            request.delivery.event.group = 100 + number;
            request
        });
        ended.chain([mk(1, 20, Taken), mk(0, 30, Taken)]).collect()
    };
    for (what, hang_ups, first_attempt, out_of_order, overtaken) in [
        ("tried before the other", 1, first(13, 14), 0, 1),
        ("no connection was ended", 0, first(13, 14), 1, 0),
        ("tried after the other", 1, first(25, 26), 1, 0),
    ] {
        let mut evidence = evidence(requests(hang_ups), vec![]);
        evidence
            .records
            .insert(delivery(0), Record { phase: "Succeeded".to_owned(), first_attempt, ..Record::default() });
        let report = judge(&settings(), &evidence);
        assert_eq!((report.out_of_order, report.overtaken), (out_of_order, overtaken), "{what}");
    }
}

#[test]
fn a_repetition_is_out_of_order_where_a_later_event_should_have_waited_for_it() {
    use PlannedAnswer::{Error, Taken};
    let kill = || vec![mk_fault(KILL, 30, 31)];
    let first = |began, ended| Some((s(began), s(ended)));
    let between = || vec![mk(0, 10, Taken), mk(1, 20, Taken), mk(0, 40, Taken)];
    let refused = || vec![mk(0, 5, Error), mk(0, 10, Taken), mk(1, 20, Taken), mk(0, 40, Taken)];
    let in_order = || vec![mk(0, 10, Taken), mk(0, 40, Taken), mk(1, 50, Taken)];
    let before = || vec![mk(1, 5, Taken), mk(0, 10, Taken), mk(0, 40, Taken)];
    let cut_off = || vec![cut(0, 5), mk(0, 10, Taken), mk(1, 20, Taken), mk(0, 40, Taken)];
    let refused_again = || vec![mk(0, 10, Taken), mk(0, 40, Error), mk(1, 50, Taken), mk(0, 60, Taken)];
    let cases = [
        ("the repetition was refused, and the later one waited for that", refused_again(), kill(), first(40, 40), 0),
        ("the later one should have waited", between(), kill(), first(40, 40), 1),
        ("also where it was recorded, and sent again", between(), kill(), first(9, 11), 1),
        ("it waited for a first attempt, which was refused", refused(), kill(), first(5, 5), 0),
        ("… or which nobody was there to hear", between(), kill(), first(4, 4), 0),
        ("what a kill cut off is none", cut_off(), kill(), first(40, 40), 1),
        ("it waited until the repetition", in_order(), kill(), first(40, 40), 0),
        ("the later one was there before both", before(), kill(), first(40, 40), 0),
        ("the process after that tried it before the later one", between(), kill(), first(18, 19), 0),
        ("a paused process wrote it when it went on", between(), vec![paused(8, 40)], first(10, 10), 0),
    ];
    let counted = |requests, faults, record: Record| {
        let mut evidence = evidence(requests, faults);
        evidence.records.insert(delivery(0), Record { phase: "Succeeded".to_owned(), ..record });
        judge(&settings(), &evidence).repeated_out_of_order
    };
    for (what, requests, faults, first_attempt, expected) in cases {
        let record = Record { first_attempt, ..Record::default() };
        assert_eq!(counted(requests, faults, record), expected, "{what}");
    }
    for (what, ended, expected) in [("while it was not answered in time", 25, 1), ("after that", 15, 0)] {
        let record = Record { first_attempt: first(9, ended), timeouts: vec![(s(9), s(ended))], ..Record::default() };
        assert_eq!(counted(between(), vec![], record), expected, "the later one came {what}");
    }
}

#[test]
fn whatever_kills_the_operator_explains_what_was_in_flight_then() {
    let requests =
        || vec![mk(0, 10, PlannedAnswer::Taken), mk(0, 40, PlannedAnswer::Taken), mk(1, 90, PlannedAnswer::Taken)];
    let kills = [Fault::Kill, Fault::KilledAtSegment, Fault::KilledAtWriteOut, Fault::BrokenSegment];
    for fault in kills {
        let report = judge(&settings(), &evidence(requests(), vec![mk_fault(fault, 12, 13)]));
        assert_eq!(report.duplicates, duplicates(1, 1, 0, 0), "{fault}");
    }
    let report = judge(&settings(), &evidence(requests(), vec![mk_fault(Fault::SegmentsDeleted, 12, 13)]));
    assert_eq!(report.duplicates, duplicates(1, 0, 0, 1));
}
