//! The one clock of a run: times since its beginning, of this program and of records.

use std::time::{Duration, Instant};

use jiff::Timestamp;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_of_day: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), start_of_day: Timestamp::now() }
    }

    pub(crate) fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// The time that a record says; zero if that was before the beginning.
    pub(crate) fn of(self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.start_of_day)).unwrap_or_default()
    }
}
