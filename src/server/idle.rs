//! Ends connections on which nothing happens.
//!
//! hyper has no limits for clients that open a connection and say nothing, do not read the answer, or keep HTTP/2 open
//! with pings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use super::limits::Limits;

/// How many requests of a connection are running, and since when none is.
#[derive(Debug)]
pub(super) struct RunningRequests {
    count: Mutex<RequestCount>,
    /// Told when the last of them has ended.
    idle: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct RequestCount {
    running: usize,
    /// Whether no request has run yet.
    is_first: bool,
    /// When the last one ended, or the connection was opened.
    since: Instant,
}

impl RequestCount {
    /// The time after which the connection may have been idle for too long; None if it has been. `longer` is added to the
    /// limit.
    fn remaining(self, now: Instant, limits: Limits, longer: Duration) -> Option<Duration> {
        let limit = if self.is_first { limits.head } else { limits.idle } + longer;
        if self.running > 0 {
            return Some(limit);
        }
        limit.checked_sub(now.duration_since(self.since)).filter(|remaining| !remaining.is_zero())
    }
}

impl RunningRequests {
    /// The requests of a connection that was opened at `now`. `idle` is told whenever none is running any more.
    pub(super) fn new(now: Instant, idle: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(RequestCount { running: 0, is_first: true, since: now }), idle })
    }

    /// Begins the time for the first request anew: TLS has its own.
    pub(super) fn restart(&self, now: Instant) {
        self.count.lock().since = now;
    }

    /// Whether a request is running.
    pub(super) fn any(&self) -> bool {
        self.count.lock().running > 0
    }

    /// Whether a request has run, or runs.
    pub(super) fn had_any(&self) -> bool {
        !self.count.lock().is_first
    }

    /// Counts a request that begins.
    pub(super) fn begin(self: &Arc<Self>) -> RunningRequest {
        let mut count = self.count.lock();
        count.running += 1;
        count.is_first = false;
        RunningRequest(Arc::clone(self))
    }

    /// Resolves when no request has run for the limit's time and `longer`.
    pub(super) async fn idle_too_long(&self, limits: Limits, longer: Duration) {
        // Looks again when the limit ends that holds now: a wake-up for each request would cost more.
        loop {
            let count = *self.count.lock();
            match count.remaining(Instant::now(), limits, longer) {
                Some(remaining) => sleep(remaining).await,
                None => return,
            }
        }
    }
}

/// A request that runs until this is dropped.
pub(super) struct RunningRequest(Arc<RunningRequests>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let mut count = self.0.count.lock();
        count.running -= 1;
        count.since = Instant::now();
        if count.running == 0 {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_too_long_when_no_request_ran_within_its_limit() {
        let since = Instant::now();
        let limits = Limits { head: Duration::from_secs(10), idle: Duration::from_secs(60), ..Limits::default() };
        for (case, running, is_first, seconds, longer, expected) in [
            ("just opened", 0, true, 0, 0, Some(10)),
            ("no request so far", 0, true, 7, 0, Some(3)),
            ("no request in time", 0, true, 10, 0, None),
            ("no request, and asked to close", 0, true, 10, 5, Some(5)),
            ("a request is running", 1, false, 500, 0, Some(60)),
            ("a request ended", 0, false, 20, 0, Some(40)),
            ("a request ended long ago", 0, false, 61, 0, None),
            ("a request ended long ago, and asked to close", 0, false, 61, 5, Some(4)),
        ] {
            let count = RequestCount { running, is_first, since };
            let remaining = count.remaining(since + Duration::from_secs(seconds), limits, Duration::from_secs(longer));
            assert_eq!(remaining, expected.map(Duration::from_secs), "{case}");
        }
    }
}
