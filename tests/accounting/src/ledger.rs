//! Makes the report from the requests that arrived and the records that the API server has. It is a function of values, tested
//! with tables.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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

#[cfg(test)]
mod tests;

/// How long a process that goes on after a pause may take to notice that it does not lead any more.
const WAKING: Duration = Duration::from_secs(1);
/// How many requests such a process may have been about to write when it was paused: nothing held them back any more. It has
/// far more requests in memory than these.
const WOKEN: usize = 16;

/// How many duplicates may come of answers that an operator, by its own records, did not read in time: these, and one more for each 1000
/// deliveries. All run on one machine, which may be busy for as long as a webhook waits for an answer.
const UNREAD: usize = 8;

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
    /// Segments of the journal that are left in the end, though all is recorded.
    pub(crate) segments_left: usize,
    /// Broken segments that are gone, or that no operator's log names.
    pub(crate) segments_unnamed: usize,
}

impl Evidence {
    /// When the first attempt that is recorded of a delivery began, and ended.
    fn first_attempt(&self, delivery: Delivery) -> Option<(Duration, Duration)> {
        self.records.get(&delivery)?.first_attempt
    }

    /// The end of the attempt of which it is recorded that a request was not answered in time, whatever the receiver says.
    fn unread(&self, request: &LoggedRequest) -> Option<Duration> {
        let record = self.records.get(&request.delivery);
        let mut timeouts = record.iter().flat_map(|record| &record.timeouts);
        timeouts.find(|(began, ended)| (*began..=*ended).contains(&request.arrived)).map(|(_, ended)| *ended)
    }

    /// Whether of each of these requests an attempt of its own was not answered in time, and all had ended by then.
    fn were_unread<'a>(&self, requests: impl Iterator<Item = &'a LoggedRequest>, by: Duration) -> bool {
        let mut ends = BTreeSet::new();
        requests.map(|request| self.unread(request)).all(|end| end.is_some_and(|end| end <= by && ends.insert(end)))
    }
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
    let duplicates = duplicates(settings.standby, evidence, &by_delivery, &mut cases);
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
        repeated_out_of_order: repeated_out_of_order(evidence, &by_delivery, &mut cases),
        segments_left: evidence.segments_left,
        segments_unnamed: evidence.segments_unnamed,
        strange: evidence.received.strange + strange(evidence, &by_delivery, requests),
        misrecorded,
        faults,
        cases: cases.0,
    }
}

/// Deliveries that are not as they should be, told in full as far as a person wants to read them.
#[derive(Default)]
pub(crate) struct Cases(pub(crate) Vec<String>);

impl Cases {
    /// How many of a kind are told.
    const MANY: usize = 8;

    /// Tells of one, unless enough of its kind are told.
    pub(crate) fn add(&mut self, what: &str, delivery: Delivery, requests: &[&LoggedRequest]) {
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

pub(crate) fn injected(log: &RequestLog) -> Injected {
    let count = |planned| log.requests.iter().filter(|request| request.planned == planned).count();
    Injected {
        errors: count(PlannedAnswer::Error),
        busy: count(PlannedAnswer::Busy),
        silences: count(PlannedAnswer::Silence),
        hang_ups: count(PlannedAnswer::HangUp),
    }
}

/// Requests of no delivery that is due, and those whose id is not that of their delivery alone.
pub(crate) fn strange(evidence: &Evidence, by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>, due: usize) -> usize {
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
pub(crate) fn duplicates(
    standby: bool,
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> Duplicates {
    let mut duplicates = Duplicates::default();
    // How many deliveries each fault explains already.
    let (mut in_flight, mut woken) = (HashMap::new(), HashMap::new());
    // One process that is paused is the same process when it goes on.
    let ends_a_process = |fault: Fault| match fault {
        Fault::Pause => standby,
        Fault::HandOver | Fault::Ended => true,
        fault => fault.kills(),
    };
    let ends: Vec<_> = evidence.disturbances.iter().filter(|fault| ends_a_process(fault.fault)).enumerate().collect();
    let most_unread = UNREAD + by_delivery.len() / 1000;
    for (delivery, requests) in by_delivery {
        let Some(first) = requests.iter().position(|request| request.answered.is_some()) else { continue };
        let (taken, again) = (requests[first], &requests[first + 1..]);
        for (number, request) in again.iter().enumerate() {
            let answered = requests[first..=first + number].iter().filter(|request| request.answered.is_some());
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
                Some(fault) if fault.kills() => duplicates.at_kill += 1,
                Some(Fault::Pause) => duplicates.at_pause += 1,
                Some(Fault::HandOver | Fault::Ended) => duplicates.at_hand_over += 1,
                _ if duplicates.unread < most_unread && evidence.were_unread(answered.copied(), request.arrived) => {
                    duplicates.unread += 1;
                }
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

/// How many deliveries came again, though they had been answered well, after the first request of a later event of their alert
/// group for the same webhook that should have waited until they were recorded. An event waits for the first attempt only: what
/// was refused before, and what came while the receiver was away and is recorded so, held up nobody any more. Nor is what a
/// paused process wrote when it went on counted here.
fn repeated_out_of_order(
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> usize {
    let mut count = 0;
    for (delivery, requests) in by_delivery {
        let Some(taken) = requests.iter().position(|request| request.answered.is_some()) else { continue };
        let (before, taken, again) = (&requests[..taken], requests[taken], &requests[taken + 1..]);
        let record = evidence.first_attempt(*delivery);
        let Some(later) = first_of_later(by_delivery, *delivery).filter(|later| taken.arrived <= *later) else {
            continue;
        };
        let held_up_others = before.iter().all(|request| request.planned == PlannedAnswer::Taken)
            && evidence.unread(taken).is_none_or(|ended| later < ended)
            && record.is_some_and(|(_, ended)| ended >= taken.arrived);
        let woken = |again: &LoggedRequest| {
            evidence
                .disturbances
                .iter()
                .any(|fault| fault.fault == Fault::Pause && was_woken(evidence, fault, taken, again))
        };
        // Once one of these is refused, and that is recorded, nobody waits for the others.
        let refused = again.iter().position(|again| again.planned != PlannedAnswer::Taken);
        let mut again = again.iter().take(refused.map_or(again.len(), |refused| refused + 1));
        // The process after that tried it, too, and that did not arrive: nobody waited for more.
        let was_tried = record.is_some_and(|(began, ended)| began > taken.arrived && ended <= later);
        if held_up_others && !was_tried && again.any(|again| later < again.arrived && !woken(again)) {
            count += 1;
            let what = format!("out of order when it came again, a later event's came at {:.3} s", later.as_secs_f64());
            cases.add(&what, *delivery, requests);
        }
    }
    count
}

/// When the first request of a later event of the same alert group came to the same webhook.
fn first_of_later(by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>, delivery: Delivery) -> Option<Duration> {
    let later = (delivery.event.step + 1..STEPS.len()).filter_map(|step| {
        let later = Delivery { event: EventId { step, ..delivery.event }, ..delivery };
        by_delivery.get(&later)?.first()
    });
    later.map(|later| later.arrived).min()
}

/// How many deliveries arrived first when a later event of their alert group had at the same webhook; and how many of these
/// only because their first attempt did not arrive.
fn order(
    evidence: &Evidence,
    by_delivery: &BTreeMap<Delivery, Vec<&LoggedRequest>>,
    cases: &mut Cases,
) -> (usize, usize) {
    let (mut out_of_order, mut overtaken) = (0, 0);
    // A connection that the receiver ends is at times just used again: that request fails, and is never heard of.
    let mut unheard = injected(&evidence.received).hang_ups;
    for (delivery, requests) in by_delivery {
        let Some(first) = requests.first() else { continue };
        let Some(overtaker) = first_of_later(by_delivery, *delivery).filter(|later| *later < first.arrived) else {
            continue;
        };
        let record = evidence.first_attempt(*delivery);
        if was_away(evidence, *delivery, overtaker, first.arrived) {
            overtaken += 1;
        } else if unheard > 0 && record.is_some_and(|(_, ended)| ended <= overtaker) {
            unheard -= 1;
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
pub(crate) fn was_away(evidence: &Evidence, delivery: Delivery, overtaker: Duration, arrived: Duration) -> bool {
    let outages = evidence.disturbances.iter().filter(|fault| fault.fault == Fault::Receiver && fault.from < overtaker);
    let record = evidence.first_attempt(delivery);
    let created = evidence.created.get(&delivery.event).copied().unwrap_or_default();
    outages.into_iter().any(|outage| {
        let attempted =
            record.is_some_and(|(began, ended)| began < overtaker && began <= outage.to && ended >= outage.from);
        // An attempt whose record went with a process.
        let forgotten = || {
            let killed = |fault: &Disturbance| fault.fault.kills() && fault.from <= arrived && fault.to >= overtaker;
            created <= outage.to && evidence.disturbances.iter().any(killed)
        };
        attempted || forgotten()
    })
}
