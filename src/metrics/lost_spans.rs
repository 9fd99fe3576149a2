//! Spans that ended and never got to the collector.

use std::sync::LazyLock;

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::describe;

/// There is one of a process, as there is one tracer: spans are made before anything else is.
static LOST: LazyLock<Family<[(&'static str, &'static str); 1], Counter>> = LazyLock::new(Family::default);

/// Why spans were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostSpans {
    /// As many waited as may.
    QueueFull,
    /// The collector did not take them.
    NotTaken,
}

impl LostSpans {
    pub(super) fn register(registry: &mut Registry) {
        describe(registry, "spans_lost", "Spans that were not sent to the collector, by the reason", LOST.clone());
    }

    /// Their counter, which is shown from now on.
    pub(crate) fn counter(self) -> Counter {
        let reason = match self {
            Self::QueueFull => "queue_full",
            Self::NotTaken => "not_taken",
        };
        LOST.get_or_create_owned(&[("reason", reason)])
    }
}
