//! The report of a run.

use std::{collections::BTreeMap, fmt};

use crate::{Settings, faults::Fault};

/// The results of a run.
///
/// A delivery is an event and one of the webhooks that it fires. It is made when one of its requests was answered with
/// 200 by a receiver that gave its whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that were created.
    pub events: usize,
    /// Of these, those that are not recorded as completed in the end.
    pub open: usize,
    /// Deliveries that are due.
    pub deliveries: usize,
    /// Requests that arrived, of these deliveries.
    pub requests: usize,
    /// Requests that came again because none before them had been answered with 200.
    pub retries: usize,
    /// The refusals of the receiver.
    pub injected: Injected,
    /// Deliveries that were never made.
    pub lost: usize,
    /// Requests that came again although one before them had been answered with 200.
    pub duplicates: Duplicates,
    /// Deliveries whose first request came after one of a later event of the same alert group for the same webhook.
    pub out_of_order: usize,
    /// The same, but the first attempt did not arrive, since the receiver was away or the connection ended: the later event waits for an
    /// attempt, not for its success.
    pub overtaken: usize,
    /// Deliveries that came again after a later event of the same alert group had come, which should have waited for them.
    pub repeated_out_of_order: usize,
    /// Segments of the journal that are left in the end, though all is recorded.
    pub segments_left: usize,
    /// Broken segments of the journal that are gone, or that no operator's log names.
    pub segments_unnamed: usize,
    /// Requests that belong to no delivery that is due, or whose `webhook-id` is not that of their delivery alone.
    pub strange: usize,
    /// Deliveries that were made and are not recorded as succeeded, or the other way round.
    pub misrecorded: usize,
    /// How often which fault came.
    pub faults: BTreeMap<Fault, usize>,
    /// Some of the deliveries that are lost, repeated without explanation, out of order or misrecorded: all requests of each.
    pub cases: Vec<String>,
}

/// Answers that were not 200.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// 500.
    pub errors: usize,
    /// 503 with `Retry-After: 1`.
    pub busy: usize,
    /// No answer for longer than the webhook waits.
    pub silences: usize,
    /// Connections that ended without an answer.
    pub hang_ups: usize,
}

/// Requests that came again although one before them had been answered with 200, by what explains them.
///
/// A fault explains a duplicate if the first request was there before it and the second came after it, the delivery was not
/// seen to be recorded before it, and it does not explain more of them than an operator may have unrecorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// All of them.
    pub all: usize,
    /// In flight when the operator was killed.
    pub at_kill: usize,
    /// In flight when it was paused, or (16 for each pause at most) about to be written then and written within a second after.
    pub at_pause: usize,
    /// In flight when the Lease went over, or an operator ended by itself.
    pub at_hand_over: usize,
    /// Of a request whose answer was not read before its time was over, by the operator's own record: it may have been taken, and is sent again.
    pub unread: usize,
    /// Nothing explains them.
    pub unexplained: usize,
}

impl Report {
    /// Says what is not as promised, and which faults were planned and did not come.
    #[must_use]
    pub fn broken(&self, settings: &Settings) -> Vec<String> {
        let counts = [
            (self.lost, "deliveries are lost"),
            (self.out_of_order, "deliveries are out of order"),
            (self.repeated_out_of_order, "deliveries are out of order when they come again"),
            (self.segments_left, "segments of the journal are left"),
            (self.segments_unnamed, "broken segments of the journal are gone, or named in no log"),
            (
                self.duplicates.unexplained,
                "duplicates were not in flight at a kill, a pause or a hand-over, nor of an answer that was not read in time",
            ),
            (self.strange, "requests belong to no delivery, or their webhook-id is not that of their delivery"),
            (self.misrecorded, "records don't say what happened"),
            (self.open, "events are not completed"),
            (settings.all_events() - self.events, "events were not created"),
        ];
        let mut broken: Vec<String> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        for (fault, planned) in Fault::planned(settings) {
            let came = self.faults.get(&fault).copied().unwrap_or_default();
            if came != planned {
                broken.push(format!("{fault} {came} times, not {planned}"));
            }
        }
        broken
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errors, busy, silences, hang_ups } = self;
        write!(f, "{errors} x 500, {busy} x 503, {silences} x timeout, {hang_ups} x hang-up")
    }
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_kill, at_pause, at_hand_over, unread, unexplained, .. } = self;
        write!(
            f,
            "in flight at a kill {at_kill}, at a pause {at_pause}, at a hand-over {at_hand_over}; not read in time {unread}; none of these {unexplained}"
        )
    }
}

/// Writes rows of a count, what is counted and more about that.
pub(crate) fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[(usize, &str, String)]) -> fmt::Result {
    rows.iter()
        .try_for_each(|(count, what, more)| writeln!(f, "{}", format!("{what:<20}{count:>8}   {more}").trim_end()))
}

/// Writes the faults that came, and what is wrong.
pub(crate) fn write_rest(f: &mut fmt::Formatter<'_>, faults: &BTreeMap<Fault, usize>, cases: &[String]) -> fmt::Result {
    writeln!(f, "\nfaults")?;
    faults.iter().try_for_each(|(fault, count)| writeln!(f, "  {count:>4} x {fault}"))?;
    if !cases.is_empty() {
        writeln!(f, "\nsome of what is wrong")?;
    }
    cases.iter().try_for_each(|case| writeln!(f, "  {case}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { injected, duplicates, .. } = self;
        let rows = [
            (self.events, "events", String::new()),
            (self.deliveries, "deliveries", String::new()),
            (self.requests, "requests", String::new()),
            (self.retries, "retries", format!("receiver: {injected}")),
            (self.lost, "lost", String::new()),
            (duplicates.all, "duplicated", duplicates.to_string()),
            (
                self.out_of_order,
                "out of order",
                format!("overtaken when the first attempt did not arrive: {}", self.overtaken),
            ),
            (self.repeated_out_of_order, "again, out of order", String::new()),
            (self.misrecorded, "misrecorded", String::new()),
        ];
        write_rows(f, &rows)?;
        write_rest(f, &self.faults, &self.cases)
    }
}
