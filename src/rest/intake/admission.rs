//! Bounds on what comes in: of each Integration in a minute, of each namespace at a time, and of those who know no token.

use std::{sync::Arc, time::Instant};

use axum::http::StatusCode;

use super::{
    answers::{Declined, later_if_unavailable},
    source::Source,
};
use crate::{
    core::intake::IntegrationType,
    rest::{
        auth::{MINUTE, RateLimiter, StrangerLimits, whole_seconds},
        error::ApiError,
        permits::{Permit, Permits},
    },
    server::PeerKey,
};

/// How many alerts are on their way into the API server at a time; and how many of a namespace.
const IN_FLIGHT: (u32, u32) = (256, 64);

pub(super) struct Admission {
    rate: RateLimiter<Arc<str>>,
    strangers: RateLimiter<PeerKey>,
    in_flight: Permits,
    pub(super) open_alert_groups: u64,
}

impl Admission {
    pub(super) fn new(per_minute: usize, open_alert_groups: u64) -> Self {
        Self {
            rate: RateLimiter::new(per_minute, MINUTE),
            strangers: RateLimiter::new(StrangerLimits::default().refusals_each, MINUTE),
            in_flight: Permits::new(IN_FLIGHT.0, IN_FLIGHT.1, "Too many alerts are being taken: try again."),
            open_alert_groups,
        }
    }

    /// Counts that a peer came with a token that nobody has.
    ///
    /// # Errors
    /// It has come too often: 429.
    pub(super) fn stranger(&self, peer: PeerKey) -> Result<(), Declined> {
        let counted = self.strangers.call(peer, Instant::now());
        counted.map_err(|wait| Declined::TooOften(ApiError::throttled(whole_seconds(wait))))
    }

    /// Lets an alert of an Integration in, and waits for its place.
    ///
    /// # Errors
    /// The Integration has sent too much in this minute (429, or what its type tries again), or its namespace has too much on its
    /// way (503).
    pub(super) async fn admit(&self, source: &Source) -> Result<Permit, Declined> {
        let counted = self.rate.call(Arc::clone(&source.uid), Instant::now());
        counted.map_err(|wait| throttled(source.integration_type, whole_seconds(wait)))?;
        Ok(self.in_flight.take(&source.name.namespace, 1).await.map_err(later_if_unavailable)?)
    }
}

/// The answer to a source that has sent too much: 429 as OnCall's; 503 to Alertmanager, which sends a group that was answered with 429
/// no more before its next `group_interval` (`notify.Retrier`, 0.31).
fn throttled(integration_type: IntegrationType, seconds: u64) -> Declined {
    let mut error = ApiError::throttled(seconds);
    if integration_type == IntegrationType::Alertmanager {
        error.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    Declined::TooOften(error)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::metrics::IntakeOutcome;

    #[test]
    fn whoever_sends_too_much_is_answered_so_that_it_sends_the_alert_again() {
        let answers = IntegrationType::ALL.map(|type_| throttled(type_, 7));
        assert!(answers.iter().all(|declined| declined.outcome() == IntakeOutcome::RateLimited));
        assert_eq!(answers.map(|declined| declined.into_response().status().as_u16()), [503, 429, 429, 429]);
    }
}
