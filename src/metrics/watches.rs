//! How watches of the API server do.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use super::describe;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The kind.
type Labels = [(&'static str, String); 1];
type Seconds = Gauge<f64, AtomicU64>;

/// All watches of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchMetrics {
    restarts: Family<Labels, Counter>,
    active: Family<Labels, Seconds>,
    closed: Gauge,
}

/// The series of the watch of one kind.
#[derive(Clone, Debug)]
pub(crate) struct WatchSeries {
    restarts: Counter,
    active: Seconds,
}

impl WatchMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        describe(
            registry,
            "watch_restarts",
            "Times that a watch of the API server had to begin again since it had failed or fallen silent, by kind",
            self.restarts.clone(),
        );
        describe(
            registry,
            "watch_last_activity_timestamp_seconds",
            "When a watch last brought anything, by kind; an API server lets about a minute pass at most",
            self.active.clone(),
        );
        registry.register(
            "namespaces_closed",
            "Namespaces of --namespace in which this process does nothing, since it may not list what it needs there",
            self.closed.clone(),
        );
    }

    /// So many namespaces are closed to this process.
    pub(crate) fn closed(&self, count: usize) {
        self.closed.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The series of the watch of a kind, which begins now: one that never brings anything is seen by that.
    pub(crate) fn of(&self, kind: &str) -> WatchSeries {
        let labels = [("kind", kind.to_owned())];
        let series = WatchSeries {
            restarts: self.restarts.get_or_create_owned(&labels),
            active: self.active.get_or_create_owned(&labels),
        };
        series.active();
        series
    }
}

impl WatchSeries {
    /// It has brought something.
    pub(crate) fn active(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.active.set(now.as_secs_f64());
    }

    /// It begins again.
    pub(crate) fn restarted(&self) {
        self.restarts.inc();
    }
}
