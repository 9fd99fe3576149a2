//! OnCall's throttle: from the times of a caller's calls to whether one more is taken, or how long it has to wait.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::tokens::TokenHash;

/// How long a call counts against OnCall's limit.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LimitKey {
    /// The calls with one API token.
    Token(TokenHash),
    /// The calls of a Kubernetes user in a namespace: anybody can have many tokens of one ServiceAccount.
    User { name: String, namespace: Arc<str> },
    /// The calls of a Kubernetes user that were denied in any namespace: callers can name any.
    Denied { name: String },
}

/// The times of the calls that count together and were taken in the last period.
#[derive(Debug)]
pub(crate) struct CallWindow {
    limit: usize,
    /// How long a call counts.
    period: Duration,
    /// Oldest first.
    calls: VecDeque<Instant>,
}

impl CallWindow {
    pub(crate) fn new(limit: usize, period: Duration) -> Self {
        Self { limit, period, calls: VecDeque::new() }
    }

    /// Takes a call. Calls that are refused do not count.
    ///
    /// # Errors
    /// The limit is reached: how long it is until a call will be taken.
    pub(crate) fn call(&mut self, now: Instant) -> Result<(), Duration> {
        self.room(now)?;
        self.calls.push_back(now);
        Ok(())
    }

    /// Tells as [`CallWindow::call`] whether a call would be taken, and takes none.
    fn room(&mut self, now: Instant) -> Result<(), Duration> {
        self.forget(now);
        if self.calls.len() < self.limit {
            return Ok(());
        }
        let oldest = self.calls.front().map_or(Duration::ZERO, |oldest| now.saturating_duration_since(*oldest));
        Err(self.period.saturating_sub(oldest))
    }

    fn forget(&mut self, now: Instant) {
        while self.calls.front().is_some_and(|call| now.saturating_duration_since(*call) >= self.period) {
            self.calls.pop_front();
        }
    }
}

/// Whole seconds for a `Retry-After` header: rounded up, so that a call after them is taken; at least 1.
pub(crate) fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Limits the calls of each caller in a period.
#[derive(Debug)]
pub(crate) struct RateLimiter<K> {
    limit: usize,
    period: Duration,
    windows: Mutex<CallWindows<K>>,
}

#[derive(Debug)]
struct CallWindows<K> {
    by_caller: HashMap<K, CallWindow>,
    /// When windows without calls were last dropped.
    swept: Option<Instant>,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Takes up to `calls` in a `period` that count together.
    pub(crate) fn new(calls: usize, period: Duration) -> Self {
        Self { limit: calls, period, windows: Mutex::new(CallWindows { by_caller: HashMap::new(), swept: None }) }
    }

    /// As [`CallWindow::call`], for one caller.
    pub(crate) fn call(&self, caller: K, now: Instant) -> Result<(), Duration> {
        let mut windows = self.windows.lock();
        let swept = *windows.swept.get_or_insert(now);
        if now.saturating_duration_since(swept) >= self.period {
            windows.by_caller.retain(|_, window| {
                window.forget(now);
                !window.calls.is_empty()
            });
            windows.swept = Some(now);
        }
        windows.by_caller.entry(caller).or_insert_with(|| CallWindow::new(self.limit, self.period)).call(now)
    }

    /// Tells as [`CallWindow::call`] whether a call would be taken, and takes none.
    pub(crate) fn room(&self, caller: &K, now: Instant) -> Result<(), Duration> {
        self.windows.lock().by_caller.get_mut(caller).map_or(Ok(()), |window| window.room(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn the_call_after_the_limit_waits_until_the_oldest_is_a_minute_old() {
        let start = Instant::now();
        let mut window = CallWindow::new(3, MINUTE);
        let cases = [
            (0, Ok(())),
            (10_000, Ok(())),
            (20_000, Ok(())),
            (20_000, Err(40_000)),
            (59_999, Err(1)),
            // Refused calls took no place.
            (60_000, Ok(())),
            (60_001, Err(9_999)),
            (70_000, Ok(())),
            (70_000, Err(10_000)),
            (200_000, Ok(())),
            (200_000, Ok(())),
            (200_000, Ok(())),
            (200_000, Err(60_000)),
            // Another thread looked at the clock earlier.
            (199_000, Err(60_000)),
        ];
        for (millis, expected) in cases {
            assert_eq!(window.call(at(start, millis)), expected.map_err(Duration::from_millis), "{millis}");
        }
        assert_eq!(CallWindow::new(0, MINUTE).call(start), Err(MINUTE));
    }

    #[test]
    fn seconds_are_rounded_up_and_never_none() {
        let cases = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (59_001, 60), (60_000, 60)];
        for (millis, expected) in cases {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis}");
        }
        assert_eq!(seconds(Duration::from_nanos(1)), 1);
    }

    #[test]
    fn callers_do_not_count_for_each_other_and_are_forgotten_after_a_minute() {
        let start = Instant::now();
        let limit = RateLimiter::new(1, MINUTE);
        let user = |name: &str, namespace: &str| LimitKey::User { name: name.to_owned(), namespace: namespace.into() };
        let [one, two] = ["one", "two"].map(|token| LimitKey::Token(TokenHash::of(token)));
        let others =
            [two, user("one", "a"), user("one", "b"), user("two", "a"), LimitKey::Denied { name: "one".into() }];
        let call = |caller: &LimitKey, millis| limit.call(caller.clone(), at(start, millis));
        let waits = |seconds| Err(Duration::from_secs(seconds));
        assert_eq!(call(&one, 0), Ok(()));
        for other in &others {
            assert_eq!(limit.room(other, at(start, 30_000)), Ok(()));
            assert_eq!(call(other, 30_000), Ok(()));
            assert_eq!(limit.room(other, at(start, 30_000)), waits(60));
        }
        assert_eq!(call(&one, 30_000), waits(30));
        let callers = || limit.windows.lock().by_caller.len();
        assert_eq!(callers(), 6);
        assert_eq!(call(&others[0], 60_000), waits(30));
        assert_eq!(callers(), 5);
        assert_eq!(call(&one, 200_000), Ok(()));
        assert_eq!(callers(), 1);
    }
}
