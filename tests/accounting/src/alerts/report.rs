//! The report of a run with alerts.

use std::{collections::BTreeMap, fmt};

use super::AlertSettings;
use crate::{
    faults::Fault,
    report::{Duplicates, Injected, write_rest, write_rows},
};

/// The results of a run with alerts. Words that the other report has too mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertReport {
    /// Occurrences that began: a label set fired.
    pub occurrences: usize,
    /// How many there should have been.
    pub planned: usize,
    /// AlertGroups that the API server has.
    pub alert_groups: usize,
    /// Of these, those that an occurrence opened when the one that it had opened before was resolved: Alertmanager said again
    /// that it fires.
    pub late: usize,
    /// How often two Alertmanagers left such a one open, so that it had to fire once more to be resolved.
    pub left_open: usize,
    /// Those that an occurrence opened beside another.
    pub twice: usize,
    /// Occurrences that have opened none.
    pub without: usize,
    /// AlertGroups that are not resolved, or were not opened and resolved by one event each, which are all of their events.
    pub unlike: usize,
    /// Notifications that opened, joined or resolved an AlertGroup.
    pub notifications: usize,
    /// Events that opened an AlertGroup.
    pub created: usize,
    /// Events that resolved one.
    pub resolved: usize,
    /// Events that changed nothing and are left, or are not completed.
    pub left: usize,
    /// Different `webhook-id`s among the requests that arrived.
    pub ids: usize,
    /// Requests that arrived, of these ids.
    pub requests: usize,
    /// Requests that came again because none before them had been answered with 200.
    pub retries: usize,
    /// The refusals of the receiver.
    pub injected: Injected,
    /// Events whose request was never answered with 200.
    pub lost: usize,
    /// Requests that came again although one before them had been answered with 200.
    pub duplicates: Duplicates,
    /// AlertGroups whose resolve arrived before their beginning.
    pub out_of_order: usize,
    /// The same, but the receiver was away at the first attempt, or the operator ended before it or saw no API server.
    pub overtaken: usize,
    /// Requests and responses of no event that is due, or with another `webhook-id`, occurrence or type than that has.
    pub strange: usize,
    /// Deliveries that were made and are not recorded as succeeded, or the other way round.
    pub misrecorded: usize,
    /// How often which fault came.
    pub faults: BTreeMap<Fault, usize>,
    /// Some of what is wrong.
    pub cases: Vec<String>,
}

impl AlertReport {
    /// Says what is not as promised, and which faults were planned and did not come.
    #[must_use]
    pub fn broken(&self, settings: &AlertSettings) -> Vec<String> {
        // One alone notifies in order.
        let late = if settings.alertmanagers > 1 { 0 } else { self.late };
        let counts = [
            (self.planned.saturating_sub(self.occurrences), "occurrences did not begin"),
            (self.without, "occurrences have no alert group"),
            (self.twice, "alert groups are open beside another of the same occurrence"),
            (late, "alert groups were opened again, though Alertmanager is alone"),
            (self.unlike, "alert groups have not one event that opened and one that resolved them, and no other"),
            (self.left, "events changed nothing and are left, or are not completed"),
            (self.created.abs_diff(self.alert_groups), "events that opened an alert group are too many or too few"),
            (self.resolved.abs_diff(self.alert_groups), "events that resolved one are too many or too few"),
            (self.ids.abs_diff(2 * self.alert_groups), "webhook-ids are too many or too few"),
            (self.lost, "events' requests are lost"),
            (self.duplicates.unexplained, "duplicates were not in flight at a kill, a pause or a hand-over"),
            (self.strange, "requests or responses are of no event, or don't say what that does"),
            (self.misrecorded, "records don't say what happened"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut broken: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        for (fault, planned) in settings.faults() {
            let came = self.faults.get(&fault).copied().unwrap_or_default();
            if came != planned {
                broken.push(format!("{fault} {came} times, not {planned}"));
            }
        }
        broken
    }
}

impl fmt::Display for AlertReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { injected, duplicates, .. } = self;
        let rows = [
            (self.occurrences, "occurrences", String::new()),
            (self.notifications, "notifications", String::new()),
            (
                self.alert_groups,
                "alert groups",
                format!("opened again by a late notification: {}, and left open: {}", self.late, self.left_open),
            ),
            (self.created, "events created", String::new()),
            (self.resolved, "events resolve", String::new()),
            (self.ids, "webhook-ids", String::new()),
            (self.requests, "requests", String::new()),
            (self.retries, "retries", format!("receiver: {injected}")),
            (self.lost, "lost", String::new()),
            (duplicates.all, "duplicated", duplicates.to_string()),
            (
                self.out_of_order,
                "out of order",
                format!("overtaken while the receiver, the operator or the API server was away: {}", self.overtaken),
            ),
            (self.misrecorded, "misrecorded", String::new()),
        ];
        write_rows(f, &rows)?;
        write_rest(f, &self.faults, &self.cases)
    }
}
