//! Makes the report from the requests that arrived and the records that the API server has. It is a function of values, tested
//! with tables.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    Settings,
    answers::PlannedAnswer,
    faults::{Disturbance, Fault},
    load::{Delivery, EventId, STEPS, webhook_name, webhooks_of},
    receiver::{LoggedRequest, RequestLog},
    records::Record,
    report::{Duplicates, Injected, Report},
};

/// How long a process that goes on after a pause may take to notice that it does not lead any more.
const WAKING: Duration = Duration::from_secs(1);
/// How many requests such a process may have been about to write when it was paused: nothing held them back any more. It has
/// far more requests in memory than these.
const WOKEN: usize = 16;

/// Everything that is known when a run is over.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The events that are there, each with the time at which that was known.
    pub(crate) created: BTreeMap<EventId, Duration>,
    /// How many of them are not recorded as completed.
    pub(crate) open: usize,
    pub(crate) received: RequestLog,
    /// In the order in which they came.
    pub(crate) disturbances: Vec<Disturbance>,
    /// By `webhook-id`: when it was seen that the delivery is recorded as succeeded.
    pub(crate) succeeded: HashMap<String, Duration>,
    /// The records that the API server has in the end.
    pub(crate) records: HashMap<Delivery, Record>,
    /// How many deliveries an operator may have sent and not recorded.
    pub(crate) max_unrecorded: usize,
}

/// Draws up the report.
pub(crate) fn judge(settings: &Settings, evidence: &Evidence) -> Report {
    let mut by_delivery: BTreeMap<Delivery, Vec<&LoggedRequest>> = BTreeMap::new();
    for request in &evidence.received.requests {
        by_delivery.entry(request.delivery).or_default().push(request);
    }
    let due: Vec<Delivery> = evidence
        .created
        .keys()
        .flat_map(|event| webhooks_of(settings, event.group).map(|webhook| Delivery { webhook, event: *event }))
        .collect();
    let none = Vec::new();
    let requests_of = |delivery: &Delivery| by_delivery.get(delivery).unwrap_or(&none);
    let answered = |delivery: &Delivery| requests_of(delivery).iter().any(|request| request.answered.is_some());
    let recorded =
        |delivery: &Delivery| evidence.records.get(delivery).is_some_and(|record| record.phase == "Succeeded");

    let mut cases = Cases::default();
    let duplicates = duplicates(settings, evidence, &by_delivery, &mut cases);
    let (out_of_order, overtaken) = order(evidence, &by_delivery, &mut cases);
    let lost = due.iter().filter(|delivery| !answered(delivery));
    let lost = lost.inspect(|delivery| cases.add("lost", **delivery, requests_of(delivery))).count();
    let misrecorded = due.iter().filter(|delivery| answered(delivery) != recorded(delivery));
    let misrecorded = misrecorded
        .inspect(|delivery| {
            let phase = evidence.records.get(delivery).map_or("no record", |record| &*record.phase);
            cases.add(&format!("misrecorded as {phase}"), **delivery, requests_of(delivery));
        })
        .count();
    let requests: usize = due.iter().map(|delivery| requests_of(delivery).len()).sum();
    let arrived = due.iter().filter(|delivery| !requests_of(delivery).is_empty()).count();
    let mut faults = BTreeMap::new();
    evidence.disturbances.iter().for_each(|disturbance| *faults.entry(disturbance.fault).or_insert(0) += 1);
    Report {
        events: evidence.created.len(),
        open: evidence.open,
        deliveries: due.len(),
        requests,
        retries: requests - arrived - duplicates.all,
        injected: injected(&evidence.received),
        lost,
        duplicates,
        out_of_order,
        overtaken,
        strange: evidence.received.strange + strange(evidence, &by_delivery, requests),
        misrecorded,
        faults,
        cases: cases.0,
    }
}

/// Deliveries that are not as they should be, told in full as far as a person wants to read them.
#[derive(Default)]
struct Cases(Vec<String>);

impl Cases {
    /// How many of a kind are told.
    const MANY: usize = 8;

    fn add(&mut self, what: &str, delivery: Delivery, requests: &[&LoggedRequest]) {
        let kind = what.split(' ').next().unwrap_or_default();
        if self.0.iter().filter(|case| case.starts_with(kind)).count() >= Self::MANY {
            return;
        }
        let requests: Vec<String> = requests
            .iter()
            .map(|request| {
                let cut = if request.planned == PlannedAnswer::Taken && request.answered.is_none() {
                    " (cut off)"
                } else {
                    ""
                };
                format!("{:.3} s: {}{cut}", request.arrived.as_secs_f64(), request.planned)
            })
            .collect();
        let (event, webhook) = (delivery.event, webhook_name(delivery.webhook));
        self.0.push(format!("{what}: {event} to {webhook}: {}", requests.join(", ")));
    }
}

fn injected(log: &RequestLog) -> Injected {
    let count = |planned| log.requests.iter().filter(|request| request.planned == planned).count();
    Injected {
        errors: count(PlannedAnswer::Error),
        busy: count(PlannedAnswer::Busy),
        silences: count(PlannedAnswer::Silence),
        hang_ups: count(PlannedAnswer::HangUp),
    }
}

/// Requests of no delivery that is due, and those whose id is not that of their delivery alone.
fn strange(evidence: &Evidence, by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>, due: usize) -> usize {
    let mut owners: HashMap<&str, Delivery> = HashMap::new();
    let mut strange = evidence.received.requests.len() - due;
    for (delivery, requests) in by_delivery {
        let Some(first) = requests.first() else { continue };
        strange += requests.iter().filter(|request| request.id != first.id).count();
        strange += usize::from(owners.insert(&first.id, *delivery).is_some());
    }
    strange
}

/// Requests that came again although their delivery had been answered well, and what explains them.
fn duplicates(
    settings: &Settings,
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> Duplicates {
    let mut duplicates = Duplicates::default();
    // How many deliveries each fault explains already.
    let (mut in_flight, mut woken) = (HashMap::new(), HashMap::new());
    // One process that is paused is the same process when it goes on.
    let ends_a_process = |fault: Fault| match fault {
        Fault::Pause => settings.standby,
        Fault::Kill | Fault::HandOver | Fault::Ended => true,
        Fault::ApiServer | Fault::Etcd | Fault::Receiver => false,
    };
    let ends: Vec<_> = evidence.disturbances.iter().filter(|fault| ends_a_process(fault.fault)).enumerate().collect();
    for (delivery, requests) in by_delivery {
        let Some(taken) = requests.iter().position(|request| request.answered.is_some()) else { continue };
        let (taken, again) = (requests[taken], &requests[taken + 1..]);
        for request in again {
            duplicates.all += 1;
            // The last one before it, if there are several.
            let explained = ends.iter().rev().find(|(number, fault)| {
                was_in_flight(evidence, fault, taken, request)
                    && has_room(&mut in_flight, *number, evidence.max_unrecorded)
            });
            let explained = explained.or_else(|| {
                ends.iter().rev().find(|(number, fault)| {
                    was_woken(evidence, fault, taken, request) && has_room(&mut woken, *number, WOKEN)
                })
            });
            match explained.map(|(_, fault)| fault.fault) {
                Some(Fault::Kill) => duplicates.at_kill += 1,
                Some(Fault::Pause) => duplicates.at_pause += 1,
                Some(Fault::HandOver | Fault::Ended) => duplicates.at_hand_over += 1,
                _ => {
                    duplicates.unexplained += 1;
                    cases.add("repeated", *delivery, requests);
                }
            }
        }
    }
    duplicates
}

fn has_room(counts: &mut HashMap<usize, usize>, number: usize, limit: usize) -> bool {
    let count = counts.entry(number).or_insert(0);
    *count += 1;
    *count <= limit
}

/// Whether the process had sent the first request and could not record its end when the fault came; the second is from the
/// process after it.
fn was_in_flight(evidence: &Evidence, fault: &Disturbance, taken: &LoggedRequest, again: &LoggedRequest) -> bool {
    let was_recorded = evidence.succeeded.get(&taken.id).is_some_and(|seen| *seen < fault.from);
    !was_recorded && taken.arrived <= fault.to && fault.from <= again.arrived
}

/// Whether one of the requests is one that a paused process had been about to write and wrote when it went on. It may come
/// before that of the process which works now, and knows nothing of it.
fn was_woken(evidence: &Evidence, fault: &Disturbance, taken: &LoggedRequest, again: &LoggedRequest) -> bool {
    let Some(resumed) = fault.resumed else { return false };
    let is_woken = |request: &LoggedRequest| (resumed..resumed + WAKING).contains(&request.arrived);
    let was_there = evidence.created.get(&again.delivery.event).is_some_and(|created| *created <= fault.to);
    was_there && fault.from <= taken.arrived && (is_woken(taken) || is_woken(again))
}

/// How many deliveries arrived first when a later event of their alert group had at the same webhook; and how many of these
/// only because the receiver was away at their first attempt.
fn order(
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> (usize, usize) {
    let (mut out_of_order, mut overtaken) = (0, 0);
    for (delivery, requests) in by_delivery {
        let Some(first) = requests.first() else { continue };
        let later = (delivery.event.step + 1..STEPS.len()).filter_map(|step| {
            let later = Delivery { event: EventId { step, ..delivery.event }, ..*delivery };
            by_delivery.get(&later)?.first()
        });
        let Some(overtaker) = later.map(|later| later.arrived).min().filter(|later| *later < first.arrived) else {
            continue;
        };
        if was_away(evidence, *delivery, overtaker, first.arrived) {
            overtaken += 1;
        } else {
            out_of_order += 1;
            let what = format!("out of order, a later event's came at {:.3} s", overtaker.as_secs_f64());
            cases.add(&what, *delivery, requests);
        }
    }
    (out_of_order, overtaken)
}

/// Whether an attempt before the `overtaker` can't have arrived, for the receiver was away.
fn was_away(evidence: &Evidence, delivery: Delivery, overtaker: Duration, arrived: Duration) -> bool {
    let outages = evidence.disturbances.iter().filter(|fault| fault.fault == Fault::Receiver && fault.from < overtaker);
    let record = evidence.records.get(&delivery).and_then(|record| record.first_attempt);
    let created = evidence.created.get(&delivery.event).copied().unwrap_or_default();
    outages.into_iter().any(|outage| {
        let attempted =
            record.is_some_and(|(began, ended)| began < overtaker && began <= outage.to && ended >= outage.from);
        // An attempt whose record went with a process.
        let forgotten = || {
            let killed =
                |fault: &Disturbance| fault.fault == Fault::Kill && fault.from <= arrived && fault.to >= overtaker;
            created <= outage.to && evidence.disturbances.iter().any(killed)
        };
        attempted || forgotten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            kills: 0,
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
        let record = Record { phase: "Succeeded".to_owned(), first_attempt: None };
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
            vec![
                mk(0, first, PlannedAnswer::Taken),
                mk(0, second, PlannedAnswer::Taken),
                mk(1, 90, PlannedAnswer::Taken),
            ]
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
            evidence.records.insert(delivery(0), Record { phase: "Succeeded".to_owned(), first_attempt });
            let report = judge(&settings(), &evidence);
            assert_eq!((report.out_of_order, report.overtaken), (out_of_order, overtaken), "{what}");
        }
    }
}
