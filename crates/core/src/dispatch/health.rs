//! How an endpoint does, and what follows from the answers that it gives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{EndpointChange, EndpointReport, FAILURES, queue::WebhookQueue};
use crate::retry::{RETRY_AFTER_MAX, RetryPolicy};

/// How long to wait between one delivery and the next while an endpoint is down, unless the webhook's policy says less.
const PROBE_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long to wait from one knock at a door to the next, less up to a quarter by chance; and at most, where a door was opened and the
/// next request did not get in.
const KNOCK_DELAYS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// How an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Healthy { failures: u32 },
    Failing { probes: u32, next: Instant, probing: bool },
}

/// An endpoint that could not be connected to when it was last asked.
#[derive(Debug)]
pub(super) struct Away {
    /// Scheme, host and port.
    pub(super) origin: Arc<str>,
    /// When to knock there.
    pub(super) knock_at: Instant,
}

/// When to knock at a door. It was found open so many times since the endpoint was last known to be there, or not to be.
pub(super) fn knock_at(opened: u32, now: Instant, chance: f64) -> Instant {
    let pace = RetryPolicy { initial_delay: KNOCK_DELAYS.0, max_delay: KNOCK_DELAYS.1, ..RetryPolicy::default() };
    now + pace.delay(opened.max(1), chance)
}

/// When to try an endpoint again that is down: later from one time to the next, no sooner than it takes to ask it, nor than it wants.
fn next_probe(policy: &RetryPolicy, probes: u32, report: &EndpointReport, now: Instant, chance: f64) -> Instant {
    let (asked, cost) = match report {
        EndpointReport::Failed { asked, cost } => (asked.unwrap_or_default(), *cost),
        _ => (Duration::ZERO, Duration::ZERO),
    };
    let pace = RetryPolicy {
        initial_delay: PROBE_DELAYS.0.min(policy.initial_delay),
        max_delay: PROBE_DELAYS.1.min(policy.max_delay),
        ..RetryPolicy::default()
    };
    now + pace.delay(probes + 1, chance).max(cost.min(pace.max_delay)).max(asked.min(RETRY_AFTER_MAX))
}

impl<T> WebhookQueue<T> {
    /// Takes note of how the endpoint did. At most `bound` requests may be without an answer.
    pub(super) fn reported(
        &mut self,
        report: &EndpointReport,
        is_probe: bool,
        bound: usize,
        policy: &RetryPolicy,
        now: Instant,
        chance: f64,
    ) -> Option<EndpointChange> {
        self.note_whether_away(report, is_probe, now, chance);
        let change = self.health_after(report, is_probe, bound, policy, now, chance);
        // Its own pace counts.
        if change == Some(EndpointChange::Recovered)
            || (self.is_failing() && matches!(report, EndpointReport::Failed { .. }))
        {
            self.away = None;
        }
        change
    }

    fn health_after(
        &mut self,
        report: &EndpointReport,
        is_probe: bool,
        bound: usize,
        policy: &RetryPolicy,
        now: Instant,
        chance: f64,
    ) -> Option<EndpointChange> {
        match (&mut self.health, report) {
            (Health::Healthy { failures }, EndpointReport::Answered) => {
                *failures = 0;
                self.window = (self.window + 1).min(bound);
                None
            }
            (Health::Failing { .. }, EndpointReport::Answered) => {
                self.health = Health::Healthy { failures: 0 };
                self.window = 2.min(bound);
                self.release_those_away();
                Some(EndpointChange::Recovered)
            }
            (Health::Healthy { failures }, EndpointReport::Failed { .. } | EndpointReport::Away(_))
                if policy.tries_again() =>
            {
                *failures += 1;
                if *failures < FAILURES && !report.asks_to_wait() {
                    return None;
                }
                let next = next_probe(policy, 0, report, now, chance);
                self.health = Health::Failing { probes: 0, next, probing: false };
                Some(EndpointChange::Failing)
            }
            (Health::Failing { probes, next, probing }, EndpointReport::Failed { .. } | EndpointReport::Away(_)) => {
                if is_probe {
                    *probing = false;
                    *probes += 1;
                    *next = next_probe(policy, *probes, report, now, chance);
                } else if report.asks_to_wait() {
                    *next = next_probe(policy, *probes, report, now, chance).max(*next);
                }
                None
            }
            (Health::Failing { probing, .. }, EndpointReport::NotSent) => {
                *probing &= !is_probe;
                None
            }
            (Health::Healthy { .. }, _) => None,
        }
    }

    /// Notes whether there is a door to knock at. What was sent before an endpoint was found to be down says nothing new of it.
    fn note_whether_away(&mut self, report: &EndpointReport, is_probe: bool, now: Instant, chance: f64) {
        match report {
            EndpointReport::NotSent => {}
            EndpointReport::Away(_) if self.is_failing() && !is_probe => {}
            EndpointReport::Away(origin) => {
                if self.away.is_some() {
                    self.opened = 0;
                }
                let knock_at = knock_at(self.opened, now, chance);
                self.away = Some(Away { origin: Arc::clone(origin), knock_at });
            }
            // Perhaps of another host: where its URL is a template, a webhook has several. The knock will show.
            EndpointReport::Answered | EndpointReport::Failed { .. } => self.opened = 0,
        }
    }

    /// Takes note that the endpoint can be connected to again: what waits since it could not is tried at once, and if the endpoint
    /// is taken to be down, with one delivery.
    pub(super) fn door_opened(&mut self, now: Instant) {
        self.away = None;
        self.opened = self.opened.saturating_add(1);
        self.release_those_away();
        if let Health::Failing { next, .. } = &mut self.health {
            *next = now.min(*next);
        }
    }

    /// Begins anew with an endpoint.
    pub(super) fn begin_anew(&mut self, bound: usize) {
        self.health = Health::Healthy { failures: 0 };
        self.window = bound;
        self.away = None;
        self.opened = 0;
    }

    /// Where to knock, and when: there is a delivery that would be tried if the endpoint was there.
    pub(super) fn door(&self) -> Option<&Away> {
        let waits = !self.later.is_empty() || (self.is_failing() && !self.ready.is_empty());
        self.away.as_ref().filter(|_| waits && !self.held)
    }
}
