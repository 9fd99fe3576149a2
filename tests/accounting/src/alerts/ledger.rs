//! Makes the report from what the API server says of alert groups, events and responses, and from the requests that arrived.
//! It is a function of values, tested with tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{AlertReport, AlertSettings};
use crate::{
    faults::{Disturbance, Fault},
    ledger::{Cases, Evidence, duplicates, injected, was_away},
    load::{Delivery, EventId},
    receiver::{LoggedRequest, RequestLog},
    records::Record,
};

#[cfg(test)]
mod tests;

/// The verdicts that fire webhooks here, in the order of [`super::TYPES`].
const VERDICTS: [&str; 2] = ["Opened", "Resolved"];

/// How much later than the API server a watch is there again at most: the longest pause between two attempts.
const WATCHED_AGAIN: Duration = Duration::from_secs(30);

/// Everything that is known when a run is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertEvidence {
    /// The numbers of the occurrences that began.
    pub(crate) fired: BTreeSet<usize>,
    /// How often two Alertmanagers have left open what one of them had opened again.
    pub(crate) left_open: usize,
    /// The AlertGroups that are there.
    pub(crate) groups: Vec<Group>,
    /// The AlertGroupEvents that are there, by name.
    pub(crate) events: BTreeMap<String, FoldedEvent>,
    /// The WebhookResponses that are there, by name, which is the `webhook-id`.
    pub(crate) responses: BTreeMap<String, Response>,
    /// The requests that arrived. Their events' group is the number of the occurrence.
    pub(crate) received: RequestLog,
    /// In the order in which they came.
    pub(crate) disturbances: Vec<Disturbance>,
    /// By `webhook-id`: when it was seen that the delivery is recorded as succeeded.
    pub(crate) succeeded: HashMap<String, Duration>,
    /// How many deliveries an operator may have sent and not recorded.
    pub(crate) max_unrecorded: usize,
}

/// An AlertGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// The number of the occurrence whose alert opened it.
    pub(crate) occurrence: Option<usize>,
    pub(crate) state: String,
    pub(crate) alerts: usize,
    pub(crate) transitions: Vec<Transition>,
}

/// A change of an AlertGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) verdict: String,
    /// The name of the event that made it.
    pub(crate) event: String,
    /// The resourceVersion that this was created with. There is one etcd, which counts up.
    pub(crate) version: u64,
}

/// An AlertGroupEvent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoldedEvent {
    /// Empty if it has none.
    pub(crate) verdict: String,
    /// The name of the AlertGroup that it was folded into.
    pub(crate) group: String,
    pub(crate) is_completed: bool,
    /// When it was created, to the second.
    pub(crate) created: Duration,
}

/// A WebhookResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// The name of its event.
    pub(crate) event: String,
    /// The number of its webhook.
    pub(crate) webhook: Option<usize>,
    pub(crate) record: Record,
}

/// Draws up the report.
pub(crate) fn judge(settings: &AlertSettings, evidence: &AlertEvidence) -> AlertReport {
    let mut cases = Cases::default();
    let mut groups: Vec<&Group> = evidence.groups.iter().collect();
    groups.sort_by_key(|group| (group.occurrence, group.version_of("Opened")));
    let (late, twice) = more_than_one(&groups, &mut cases);
    let occurred: BTreeSet<usize> = groups.iter().filter_map(|group| group.occurrence).collect();
    let without = evidence.fired.difference(&occurred);
    let without = without.inspect(|number| cases.0.push(format!("occurrence {number} has no alert group"))).count();
    let unlike = groups.iter().filter(|group| !is_as_promised(group, evidence));
    let unlike = unlike
        .inspect(|group| {
            let own: Vec<_> = evidence.events.iter().filter(|(_, event)| event.group == group.name).collect();
            cases.0.push(format!("not as promised: {group:?}, with {own:?}"));
        })
        .count();
    let of_verdict = |wanted: &str| evidence.events.values().filter(|event| event.verdict == wanted).count();
    let left = evidence.events.iter().filter(|(_, event)| event.is_left());
    let left = left.inspect(|(name, event)| cases.0.push(format!("left: {name}: {event:?}"))).count();

    let (deliveries, strange_records) = deliveries(&groups, evidence);
    let (joined, strange_requests) = joined(&groups, evidence, &deliveries);
    let mut by_delivery: BTreeMap<Delivery, Vec<&LoggedRequest>> = BTreeMap::new();
    joined.received.requests.iter().for_each(|request| by_delivery.entry(request.delivery).or_default().push(request));
    let none = Vec::new();
    let requests_of = |delivery: &Delivery| by_delivery.get(delivery).unwrap_or(&none);
    let answered = |delivery: &Delivery| requests_of(delivery).iter().any(|request| request.answered.is_some());
    let recorded = |delivery: &Delivery| joined.records.get(delivery).is_some_and(|record| record.phase == "Succeeded");

    let duplicates = duplicates(true, &joined, &by_delivery, &mut cases);
    let unled = Duration::from_secs(settings.lease_seconds.into());
    let (out_of_order, overtaken) = order(unled, &joined, &by_delivery, &mut cases);
    let due: Vec<Delivery> =
        joined.created.keys().map(|event| Delivery { webhook: event.step, event: *event }).collect();
    let lost = due.iter().filter(|delivery| !answered(delivery));
    let lost = lost.inspect(|delivery| cases.add("lost", **delivery, requests_of(delivery))).count();
    let misrecorded = due.iter().filter(|delivery| answered(delivery) != recorded(delivery));
    let misrecorded =
        misrecorded.inspect(|delivery| cases.add("misrecorded", **delivery, requests_of(delivery))).count();
    let requests = joined.received.requests.len();
    let mut faults = BTreeMap::new();
    evidence.disturbances.iter().for_each(|disturbance| *faults.entry(disturbance.fault).or_insert(0) += 1);
    AlertReport {
        occurrences: evidence.fired.len(),
        planned: settings.all_occurrences(),
        alert_groups: groups.len(),
        late,
        left_open: evidence.left_open,
        twice,
        without,
        unlike,
        notifications: groups.iter().map(|group| group.alerts).sum(),
        created: of_verdict("Opened"),
        resolved: of_verdict("Resolved"),
        left,
        ids: by_delivery.len(),
        requests,
        retries: requests - by_delivery.len() - duplicates.all,
        injected: injected(&evidence.received),
        lost,
        duplicates,
        out_of_order,
        overtaken,
        strange: evidence.received.strange + strange_records + strange_requests,
        misrecorded,
        faults,
        cases: cases.0,
    }
}

fn step_of(verdict: &str) -> Option<usize> {
    VERDICTS.iter().position(|known| *known == verdict)
}

impl FoldedEvent {
    /// Whether it is not completed, or fired nothing: then it should have been removed.
    pub(crate) fn is_left(&self) -> bool {
        !self.is_completed || step_of(&self.verdict).is_none()
    }
}

impl Group {
    fn version_of(&self, verdict: &str) -> Option<u64> {
        self.transitions.iter().find(|transition| transition.verdict == verdict).map(|transition| transition.version)
    }
}

/// Of the alert groups beyond the first of an occurrence, those that were opened when the one before was resolved, and others.
fn more_than_one(groups: &[&Group], cases: &mut Cases) -> (usize, usize) {
    let (mut late, mut twice) = (0, 0);
    for pair in groups.windows(2).filter(|pair| pair[0].occurrence == pair[1].occurrence) {
        let (resolved, opened) = (pair[0].version_of("Resolved"), pair[1].version_of("Opened"));
        if resolved.zip(opened).is_some_and(|(resolved, opened)| resolved < opened) {
            late += 1;
        } else {
            twice += 1;
            cases.0.push(format!("two alert groups for one occurrence: {pair:?}"));
        }
    }
    (late, twice)
}

/// Whether an alert group was opened and resolved, once each, and its events are those of that, one each.
fn is_as_promised(group: &Group, evidence: &AlertEvidence) -> bool {
    let verdicts: Vec<&str> = group.transitions.iter().map(|transition| &*transition.verdict).collect();
    let own = evidence.events.iter().filter(|(_, event)| event.group == group.name);
    let own: BTreeSet<(&str, &str)> = own.map(|(name, event)| (&**name, &*event.verdict)).collect();
    let made = group.transitions.iter().map(|transition| (&*transition.event, &*transition.verdict)).collect();
    group.occurrence.is_some() && group.state == "resolved" && verdicts == VERDICTS && own == made
}

/// The deliveries that have a record, by `webhook-id`: alert groups are numbered in their order. Then how many records are of
/// none that is due, or of one that has another.
fn deliveries<'a>(groups: &[&Group], evidence: &'a AlertEvidence) -> (HashMap<&'a str, Delivery>, usize) {
    let (mut deliveries, mut taken, mut strange) = (HashMap::new(), BTreeSet::new(), 0);
    for (id, response) in &evidence.responses {
        let event = evidence.events.get(&response.event).and_then(|event| id_of(groups, event));
        let delivery = event.map(|event| Delivery { webhook: event.step, event });
        match delivery.filter(|delivery| response.webhook == Some(delivery.webhook) && taken.insert(*delivery)) {
            Some(delivery) => drop(deliveries.insert(&**id, delivery)),
            None => strange += 1,
        }
    }
    (deliveries, strange)
}

fn id_of(groups: &[&Group], event: &FoldedEvent) -> Option<EventId> {
    let group = groups.iter().position(|group| group.name == event.group)?;
    Some(EventId { group, step: step_of(&event.verdict)? })
}

/// The evidence as the other ledger takes it. A request belongs to the delivery whose record its `webhook-id` names; how many
/// belong to none, or say something else than that, comes with it.
fn joined(groups: &[&Group], evidence: &AlertEvidence, deliveries: &HashMap<&str, Delivery>) -> (Evidence, usize) {
    let says_the_same = |request: &LoggedRequest, delivery: &Delivery| {
        let said = Delivery { event: EventId { group: 0, ..request.delivery.event }, ..request.delivery };
        let meant = Delivery { event: EventId { group: 0, ..delivery.event }, ..*delivery };
        said == meant && groups[delivery.event.group].occurrence == Some(request.delivery.event.group)
    };
    let all = evidence.received.requests.iter();
    let requests: Vec<LoggedRequest> = all
        .filter_map(|request| {
            let delivery = deliveries.get(&*request.id).filter(|delivery| says_the_same(request, delivery))?;
            Some(LoggedRequest { delivery: *delivery, ..request.clone() })
        })
        .collect();
    let strange = evidence.received.requests.len() - requests.len();
    let created = evidence.events.values().filter_map(|event| Some((id_of(groups, event)?, event.created)));
    let record = |id: &str| evidence.responses.get(id).map(|response| response.record.clone());
    let joined = Evidence {
        created: created.collect(),
        received: RequestLog { requests, ..RequestLog::default() },
        disturbances: evidence.disturbances.clone(),
        succeeded: evidence.succeeded.clone(),
        records: deliveries.iter().filter_map(|(id, delivery)| Some((*delivery, record(id)?))).collect(),
        max_unrecorded: evidence.max_unrecorded,
        ..Evidence::default()
    };
    (joined, strange)
}

/// How many alert groups' end arrived before their beginning; and how many of these only because the receiver was away at the
/// first attempt of that, or the operator ended before it or saw no API server: it may have learned of both events at
/// once then, and these are two webhooks, of which each keeps its own order.
fn order(
    unled: Duration,
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> (usize, usize) {
    let (mut out_of_order, mut overtaken) = (0, 0);
    for (delivery, requests) in by_delivery.iter().filter(|(delivery, _)| delivery.event.step == 0) {
        let end = Delivery { webhook: 1, event: EventId { step: 1, ..delivery.event } };
        let end = by_delivery.get(&end).and_then(|requests| requests.first());
        let (Some(begin), Some(end)) = (requests.first(), end) else { continue };
        if begin.arrived <= end.arrived {
            continue;
        }
        let created = evidence.created.get(&delivery.event).copied().unwrap_or_default();
        let was_unseen = |fault: &Disturbance| match fault.fault {
            Fault::ApiServer => begin.arrived <= fault.to + WATCHED_AGAIN,
            // Until another one leads.
            other => {
                let ends = other.kills() || matches!(other, Fault::Pause | Fault::HandOver | Fault::Ended);
                ends && created <= fault.resumed.unwrap_or(fault.to) + unled
            }
        };
        let was_unseen = |fault: &Disturbance| fault.from <= begin.arrived && was_unseen(fault);
        if was_away(evidence, *delivery, end.arrived, begin.arrived) || evidence.disturbances.iter().any(was_unseen) {
            overtaken += 1;
        } else {
            out_of_order += 1;
            let what = format!("out of order, the end came at {:.3} s", end.arrived.as_secs_f64());
            cases.add(&what, *delivery, requests);
        }
    }
    (out_of_order, overtaken)
}
