//! Decides about the next attempt. What came of an attempt comes in; whether there is another one, and when, goes out.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};

use super::response::Outcome;

/// The longest wait that `Retry-After` may ask for: more counts as this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The largest part of a delay by which it is shortened at random, so that deliveries that failed together are not tried
/// together again.
const JITTER: f64 = 0.25;

/// Says when to try again. Delays double from one attempt to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long to try, from the first attempt on.
    pub deadline: Duration,
    /// How many attempts to make at most, the first included.
    pub max_attempts: Option<u32>,
    /// How long to wait after the first attempt.
    pub initial_delay: Duration,
    /// How long to wait at most, unless the receiver asks for more.
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(3600),
            max_attempts: None,
            initial_delay: Duration::from_secs(5),
            max_delay: Duration::from_secs(600),
        }
    }
}

/// The meaning of an attempt for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptVerdict {
    /// The receiver took the request.
    Delivered,
    /// The receiver, or the way to it, may do better later. Holds the wait that the receiver asked for, if it did.
    RetryLater(Option<Duration>),
    /// The receiver would answer the same again: there is no further attempt.
    Rejected,
    /// The receiver wants nothing of this webhook any more.
    Gone,
}

/// Judges an attempt by its outcome.
pub fn judge(outcome: &Outcome) -> AttemptVerdict {
    match outcome {
        Outcome::Answer { status, retry_after, .. } => match status {
            200..=299 => AttemptVerdict::Delivered,
            408 | 425 | 429 | 500..=599 => AttemptVerdict::RetryLater(*retry_after),
            410 => AttemptVerdict::Gone,
            _ => AttemptVerdict::Rejected,
        },
        Outcome::Withheld | Outcome::Failure { retryable: true, .. } | Outcome::UrlRefused { retryable: true, .. } => {
            AttemptVerdict::RetryLater(None)
        }
        Outcome::Failure { .. } | Outcome::UrlRefused { .. } => AttemptVerdict::Rejected,
    }
}

impl RetryPolicy {
    /// The time of the next attempt; None if the last one was final. The first attempt began at `first`, the last one was
    /// number `attempts` and ended `now`. `retry_after` is the wait that the receiver asked for. `chance`, from 0 to 1,
    /// shortens the delay.
    pub fn next(
        &self,
        attempts: u32,
        first: Timestamp,
        now: Timestamp,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Option<Timestamp> {
        let end = self.end(first);
        if now >= end || self.max_attempts.is_some_and(|max| attempts >= max) {
            return None;
        }
        let delay = self.delay(attempts, chance).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        Some(now.saturating_add(delay).map_or(end, |next| next.min(end)))
    }

    /// Whether there may be a second attempt.
    pub fn tries_again(&self) -> bool {
        !self.deadline.is_zero() && self.max_attempts != Some(1)
    }

    /// The end of the deadline of a delivery that was first tried at `first`.
    pub fn end(&self, first: Timestamp) -> Timestamp {
        first.saturating_add(self.deadline).unwrap_or(Timestamp::MAX)
    }

    /// How long to wait after attempt number `attempts`. `chance`, from 0 to 1, shortens the wait.
    pub fn delay(&self, attempts: u32, chance: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let delay = self.initial_delay.saturating_mul(1 << doublings).min(self.max_delay);
        delay.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
    }
}

/// The wait that a `Retry-After` header asks for, given in seconds or as a date. None if it is neither.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large asks for the longest wait there is.
        return Some(header.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = rfc2822::parse(header).ok()?.timestamp();
    Some(until.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, retry_after: Option<u64>) -> Outcome {
        let retry_after = retry_after.map(Duration::from_secs);
        Outcome::Answer { status, body: Vec::new(), announced: None, content_type: None, retry_after }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn an_attempt_is_repeated_if_another_may_succeed_and_only_then() {
        let failure = |retryable| Outcome::Failure { message: String::new(), retryable };
        let refused = |retryable| Outcome::UrlRefused { message: String::new(), sent: false, retryable };
        let cases = [
            (answer(200, None), AttemptVerdict::Delivered),
            (answer(299, Some(9)), AttemptVerdict::Delivered),
            (answer(302, None), AttemptVerdict::Rejected),
            (answer(400, Some(9)), AttemptVerdict::Rejected),
            (answer(404, None), AttemptVerdict::Rejected),
            (answer(408, None), AttemptVerdict::RetryLater(None)),
            (answer(410, None), AttemptVerdict::Gone),
            (answer(425, None), AttemptVerdict::RetryLater(None)),
            (answer(429, Some(7)), AttemptVerdict::RetryLater(Some(Duration::from_secs(7)))),
            (answer(499, None), AttemptVerdict::Rejected),
            (answer(500, None), AttemptVerdict::RetryLater(None)),
            (answer(503, Some(120)), AttemptVerdict::RetryLater(Some(Duration::from_secs(120)))),
            (answer(599, None), AttemptVerdict::RetryLater(None)),
            (answer(600, None), AttemptVerdict::Rejected),
            (failure(true), AttemptVerdict::RetryLater(None)),
            (failure(false), AttemptVerdict::Rejected),
            (refused(true), AttemptVerdict::RetryLater(None)),
            (refused(false), AttemptVerdict::Rejected),
        ];
        for (outcome, expected) in cases {
            assert_eq!(judge(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn delays_double_up_to_the_bound_and_end_with_the_deadline() {
        let policy = RetryPolicy { max_delay: Duration::from_secs(60), ..RetryPolicy::default() };
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        let limited = RetryPolicy { max_attempts: Some(3), ..policy };
        let once = RetryPolicy { deadline: Duration::ZERO, ..policy };
        let long = RetryPolicy { deadline: Duration::from_secs(86_400), ..policy };
        let cases = [
            (&policy, 1, 0, None, Some(at(5))),
            (&policy, 2, 10, None, Some(at(20))),
            (&policy, 4, 100, None, Some(at(140))),
            (&policy, 5, 100, None, Some(at(160))),
            (&policy, u32::MAX, 100, None, Some(at(160))),
            // The receiver's word counts up to a bound, and never makes the wait shorter.
            (&policy, 1, 0, minutes(3), Some(at(180))),
            (&policy, 5, 0, Some(Duration::from_secs(1)), Some(at(60))),
            (&policy, 1, 0, minutes(600), Some(at(3600))),
            (&long, 1, 0, minutes(59), Some(at(3540))),
            (&long, 1, 0, minutes(600), Some(at(3600))),
            (&long, 1, 10, Some(Duration::MAX), Some(at(3610))),
            // The last attempt is at the deadline.
            (&policy, 9, 3590, None, Some(at(3600))),
            (&policy, 9, 3600, None, None),
            (&limited, 2, 10, None, Some(at(20))),
            (&limited, 3, 20, None, None),
            (&once, 1, 0, None, None),
        ];
        for (policy, attempts, now, retry_after, expected) in cases {
            assert_eq!(policy.next(attempts, at(0), at(now), retry_after, 0.0), expected, "{attempts} {now}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_second(784_111_777).unwrap();
        let cases = [
            ("120", Some(Duration::from_secs(120))),
            (" 0 ", Some(Duration::ZERO)),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(Duration::from_secs(60))),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(Duration::ZERO)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (header, expected) in cases {
            assert_eq!(retry_after(header, now), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn the_next_attempt_is_neither_too_soon_nor_after_the_deadline(
            deadline in 0_u64..10_000_000,
            initial in 100_u64..100_000_000,
            max in 100_u64..100_000_000,
            max_attempts in proptest::option::of(1_u32..100),
            attempts in 1_u32..10_000,
            elapsed in 0_u64..20_000_000,
            asked in proptest::option::of(0_u64..100_000),
            chance in 0.0_f64..=1.0,
        ) {
            let policy = RetryPolicy {
                deadline: Duration::from_secs(deadline),
                max_attempts,
                initial_delay: Duration::from_millis(initial),
                max_delay: Duration::from_millis(max),
            };
            let (first, now) = (at(0), at(i64::try_from(elapsed).unwrap()));
            let asked = asked.map(Duration::from_secs);
            match policy.next(attempts, first, now, asked, chance) {
                None => prop_assert!(now >= policy.end(first) || max_attempts.is_some_and(|max| attempts >= max)),
                Some(next) => {
                    prop_assert!(now < next && next <= policy.end(first));
                    prop_assert!(max_attempts.is_none_or(|max| attempts < max));
                    let least = Duration::from_millis(initial.min(max)).mul_f64(1.0 - JITTER);
                    let asked = asked.unwrap_or_default().min(RETRY_AFTER_MAX);
                    let waited = Duration::try_from(next.duration_since(now)).unwrap();
                    prop_assert!(next == policy.end(first) || waited >= least.max(asked));
                }
            }
        }
    }
}
