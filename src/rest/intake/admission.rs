//! Bounds on what comes in: of each Integration in a minute, of each namespace at a time, and of those who know no token.

use std::{sync::Arc, time::Instant};

use super::{answers::later_if_unavailable, source::Source};
use crate::{
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
    pub(super) fn stranger(&self, peer: PeerKey) -> Result<(), ApiError> {
        self.strangers.call(peer, Instant::now()).map_err(|wait| ApiError::throttled(whole_seconds(wait)))
    }

    /// Lets an alert of an Integration in, and waits for its place.
    ///
    /// # Errors
    /// The Integration has sent too much in this minute (429), or its namespace has too much on its way (503).
    pub(super) async fn admit(&self, source: &Source) -> Result<Permit, ApiError> {
        let counted = self.rate.call(Arc::clone(&source.uid), Instant::now());
        counted.map_err(|wait| ApiError::throttled(whole_seconds(wait)))?;
        self.in_flight.take(&source.name.namespace, 1).await.map_err(later_if_unavailable)
    }
}
