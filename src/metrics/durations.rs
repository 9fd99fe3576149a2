//! How long things take that requests wait for, in buckets.

use prometheus_client::metrics::histogram::Histogram;

/// From a call within the cluster to the longest that a request may take, in seconds.
const OF_A_CALL: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// From at once to what waits for an outage to end, in seconds.
const OF_A_WAIT: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// A histogram of how long a call takes.
pub(super) fn of_a_call() -> Histogram {
    Histogram::new(OF_A_CALL)
}

/// A histogram of how long something waits.
pub(super) fn of_a_wait() -> Histogram {
    Histogram::new(OF_A_WAIT)
}
