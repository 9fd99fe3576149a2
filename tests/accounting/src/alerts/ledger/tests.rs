use super::*;
use crate::answers::PlannedAnswer;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings() -> AlertSettings {
    AlertSettings {
        alertmanagers: 2,
        label_sets: 2,
        occurrences: 1,
        at_a_time: 1,
        seed: 1,
        refused_per_mille: 0,
        kills: 0,
        pauses: 0,
        api_kills: 0,
        api_server_restarts: 0,
        etcd_restarts: 0,
        receiver_restarts: 0,
        lease_seconds: 15,
        patience: s(1),
    }
}

/// An event of an alert group, and the transition that it made.
fn mk_transition(group: &str, step: usize, version: u64) -> (Transition, (String, FoldedEvent)) {
    let (verdict, event) = (VERDICTS[step].to_owned(), format!("{group}-{step}"));
    let folded = FoldedEvent { verdict: verdict.clone(), group: group.to_owned(), is_completed: true, created: s(0) };
    (Transition { verdict, event: event.clone(), version }, (event, folded))
}

/// A request for an alert group's event, of its occurrence.
fn mk_request(group: &str, occurrence: usize, step: usize, arrived: u64) -> LoggedRequest {
    let delivery = Delivery { webhook: step, event: EventId { group: occurrence, step } };
    let id = format!("id-{group}-{step}");
    LoggedRequest { delivery, id, arrived: s(arrived), planned: PlannedAnswer::Taken, answered: Some(s(arrived)) }
}

impl AlertEvidence {
    /// With an alert group that was opened and resolved at these versions, with all that belongs to that.
    fn with(mut self, name: &str, occurrence: usize, opened: u64, resolved: u64) -> Self {
        let (transitions, events): (Vec<_>, Vec<_>) =
            [(0, opened), (1, resolved)].map(|(step, version)| mk_transition(name, step, version)).into_iter().unzip();
        let state = "resolved".to_owned();
        self.groups.push(Group { name: name.to_owned(), occurrence: Some(occurrence), state, alerts: 3, transitions });
        for (step, (event, folded)) in events.into_iter().enumerate() {
            let record = Record { phase: "Succeeded".to_owned(), ..Record::default() };
            let response = Response { event: event.clone(), webhook: Some(step), record };
            self.responses.insert(format!("id-{name}-{step}"), response);
            self.events.insert(event, folded);
            self.received.requests.push(mk_request(name, occurrence, step, [opened, resolved][step]));
        }
        self.fired.insert(occurrence);
        self.max_unrecorded = 1;
        self
    }

    /// Changed.
    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn good() -> AlertEvidence {
    AlertEvidence::default().with("b", 0, 1, 3).with("a", 1, 2, 4)
}

fn counted(evidence: &AlertEvidence) -> AlertReport {
    AlertReport { cases: Vec::new(), ..judge(&settings(), evidence) }
}

/// The report of so many alert groups, two occurrences of which are as promised.
fn reported(alert_groups: usize) -> AlertReport {
    AlertReport {
        occurrences: 2,
        planned: 2,
        alert_groups,
        notifications: 3 * alert_groups,
        created: alert_groups,
        resolved: alert_groups,
        ids: 2 * alert_groups,
        requests: 2 * alert_groups,
        ..AlertReport::default()
    }
}

#[test]
fn what_is_as_promised_is_said_to_be() {
    assert_eq!(judge(&settings(), &good()), reported(2));
    assert_eq!(reported(2).broken(&settings()), Vec::<String>::new());
}

#[test]
fn what_the_api_server_has_too_many_or_too_few_of_is_found() {
    let left = |verdict: &str| FoldedEvent {
        verdict: verdict.to_owned(),
        group: "b".to_owned(),
        is_completed: true,
        created: s(0),
    };
    let cases = [
        (
            "nothing came of it",
            good().but(|all| all.fired.extend([7])),
            AlertReport { occurrences: 3, without: 1, ..reported(2) },
        ),
        ("opened again when it was resolved", good().with("c", 0, 4, 5), AlertReport { late: 1, ..reported(3) }),
        ("opened beside the other", good().with("c", 0, 2, 5), AlertReport { twice: 1, ..reported(3) }),
        (
            "not resolved",
            good().but(|all| all.groups[0].state = "firing".to_owned()),
            AlertReport { unlike: 1, ..reported(2) },
        ),
        (
            "an event that opened it twice",
            good().but(|all| drop(all.events.insert("b-2".to_owned(), left("Opened")))),
            // The event fires a webhook too, of which no request came; and it is of a delivery that there is already.
            AlertReport { unlike: 1, created: 3, ..reported(2) },
        ),
        (
            "an event that is left",
            good().but(|all| drop(all.events.insert("b-2".to_owned(), left("Joined")))),
            AlertReport { unlike: 1, left: 1, ..reported(2) },
        ),
        (
            "an event that is not completed",
            good().but(|all| all.events.values_mut().take(1).for_each(|event| event.is_completed = false)),
            AlertReport { left: 1, ..reported(2) },
        ),
    ];
    for (what, evidence, expected) in cases {
        assert_eq!(counted(&evidence), expected, "{what}");
        assert_ne!(expected.broken(&AlertSettings { alertmanagers: 1, ..settings() }), Vec::<String>::new(), "{what}");
        assert_eq!(expected.broken(&settings()).is_empty(), expected.late > 0, "{what}");
    }
}

#[test]
fn each_request_is_of_the_event_that_its_id_names() {
    let kill = Disturbance { fault: Fault::Kill, from: s(5), to: s(6), resumed: None };
    let again = |all: &mut AlertEvidence| all.received.requests.push(mk_request("b", 0, 0, 7));
    let duplicates = |at_kill, unexplained| crate::Duplicates { all: 1, at_kill, unexplained, ..Default::default() };
    let outage = Disturbance { fault: Fault::ApiServer, ..kill };
    let without_api_server = AlertReport { faults: [(Fault::ApiServer, 1)].into(), ..reported(2) };
    let killed = AlertReport { faults: [(Fault::Kill, 1)].into(), ..reported(2) };
    let cases = [
        (
            "lost, and recorded as made",
            good().but(|all| drop(all.received.requests.remove(0))),
            AlertReport { lost: 1, misrecorded: 1, ids: 3, requests: 3, ..reported(2) },
        ),
        (
            "again without a reason",
            good().but(again),
            AlertReport { requests: 5, duplicates: duplicates(0, 1), ..reported(2) },
        ),
        (
            "again after a kill",
            good().but(again).but(|all| all.disturbances.push(kill)),
            AlertReport { requests: 5, duplicates: duplicates(1, 0), ..killed.clone() },
        ),
        (
            "again after a kill, though its record had been seen",
            good().but(again).but(|all| {
                all.disturbances.push(kill);
                all.succeeded.insert("id-b-0".to_owned(), s(4));
            }),
            AlertReport { requests: 5, duplicates: duplicates(0, 1), ..killed.clone() },
        ),
        (
            "again with another id",
            good().but(again).but(|all| all.received.requests[4].id = "other".to_owned()),
            AlertReport { strange: 1, ..reported(2) },
        ),
        (
            "it names another occurrence",
            good().but(again).but(|all| all.received.requests[4].delivery.event.group = 1),
            AlertReport { strange: 1, ..reported(2) },
        ),
        (
            "of another webhook's",
            good().but(|all| all.responses.values_mut().take(1).for_each(|response| response.webhook = Some(1))),
            // Sorted by name, the first is that of a's beginning.
            AlertReport { lost: 1, strange: 2, ids: 3, requests: 3, ..reported(2) },
        ),
        (
            "the end came first",
            good().but(|all| all.received.requests[0].arrived = s(9)),
            AlertReport { out_of_order: 1, ..reported(2) },
        ),
        (
            "the end came first, since the operator was killed before the beginning was sent",
            good().but(|all| all.received.requests[0].arrived = s(9)).but(|all| all.disturbances.push(kill)),
            AlertReport { overtaken: 1, ..killed },
        ),
        (
            "the end came first, just after the API server had been away",
            good().but(|all| all.received.requests[0].arrived = s(35)).but(|all| all.disturbances.push(outage)),
            AlertReport { overtaken: 1, ..without_api_server.clone() },
        ),
        (
            "the end came first, long after the API server had been away",
            good().but(|all| all.received.requests[0].arrived = s(37)).but(|all| all.disturbances.push(outage)),
            AlertReport { out_of_order: 1, ..without_api_server },
        ),
    ];
    for (what, evidence, expected) in cases {
        assert_eq!(counted(&evidence), expected, "{what}");
    }
}
