//! What became of the alerts and heartbeats that sources have sent.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::describe;

/// Counts them. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct IntakeMetrics(Family<[(&'static str, &'static str); 2], Counter>);

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntakeOutcome {
    /// The API server has it.
    Taken,
    /// Its token opens nothing.
    UnknownToken,
    /// No alert can be made of it, or it is for an Integration of another type.
    Invalid,
    /// It is too long.
    TooLarge,
    /// The source, or somebody without a token, has called too often.
    RateLimited,
    /// Too many alert groups of the namespace are open.
    TooManyOpen,
    /// The Integration takes none for now.
    Suspended,
    /// It may be taken later: the API server or this process has too much to do.
    Unavailable,
}

impl IntakeOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::UnknownToken => "unknown_token",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::TooManyOpen => "too_many_open",
            Self::Suspended => "suspended",
            Self::Unavailable => "unavailable",
        }
    }
}

impl IntakeMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        describe(
            registry,
            "intake_requests",
            "Alerts and heartbeats that came in, by the type of their Integration and what became of them",
            self.0.clone(),
        );
    }

    /// Counts a call for an Integration of this type; None if it is not known for which.
    pub(crate) fn count(&self, integration_type: Option<&'static str>, outcome: IntakeOutcome) {
        let labels = [("type", integration_type.unwrap_or("unknown")), ("outcome", outcome.as_str())];
        self.0.get_or_create(&labels).inc();
    }
}
