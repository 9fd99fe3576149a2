//! How long a watch waits before it begins again.
//!
//! kube waits twice as long after each failure, up to half a minute and more, and begins anew only when a watch has shown something. An API
//! server that was away for a while refuses a watch a few times more when it is back: it is starting, does not know its rules yet, or has
//! forgotten the version. All that while, whoever waits for a page would wait for that.

use std::time::Duration;

use kube::runtime::{utils::Backoff, watcher::DefaultBackoff};

/// The longest wait.
const MOST: Duration = Duration::from_secs(3);

/// kube's own, but never longer than three seconds.
#[derive(Default)]
pub(crate) struct WatchBackoff(DefaultBackoff);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(MOST))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_a_watch_has_failed_it_begins_again_within_three_seconds() {
        let mut backoff = WatchBackoff::default();
        let waits: Vec<Duration> = backoff.by_ref().take(100).collect();
        assert_eq!(waits.len(), 100);
        assert!(waits[0] < Duration::from_secs(2), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= MOST) && waits[99] == MOST, "{waits:?}");
        backoff.reset();
        assert!(backoff.next() < Some(Duration::from_secs(2)));
    }
}
