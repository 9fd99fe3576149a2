//! Decides about the next attempt. What came of an attempt comes in; whether there is another one, and when, goes out.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};

use super::response::Outcome;

/// The longest wait that `Retry-After` may ask for: more counts as this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The largest part of a delay by which it is shortened at random, so that deliveries that failed together are not tried
/// together again.
const JITTER: f64 = 0.25;

/// How long to wait after the first, second … attempt that was sent and not answered in time, unless the webhook says. OnCall tries
/// three more times, 10 seconds apart, and whoever is merely slow gets the same alert four times within a minute. Here it is two
/// more: after a minute, which a short hang does not outlast, and after another half hour, which a person needs to restart what hangs.
pub const TIMEOUT_DELAYS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(1800)];

/// Says when to try again. Delays double from one attempt to the next; after attempts that were sent and not answered in time, they
/// are listed: the receiver may have taken each of these.
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
    /// How long to wait after the first, second … attempt that was sent and not answered in time. There is no other attempt after
    /// one more than these.
    pub timeout_delays: Vec<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(3600),
            max_attempts: None,
            initial_delay: Duration::from_secs(5),
            max_delay: Duration::from_secs(600),
            timeout_delays: TIMEOUT_DELAYS.to_vec(),
        }
    }
}

/// The meaning of an attempt for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptVerdict {
    /// The receiver took the request.
    Delivered,
    /// The receiver could not be connected to, so that nothing was sent, and asking it cost it nothing. It may be there later.
    Unreached,
    /// The receiver, or the way to it, may do better later. Holds the wait that the receiver asked for, if it did.
    RetryLater(Option<Duration>),
    /// The receiver was sent the request, and did not answer in time: it may have taken it.
    TimedOut,
    /// The receiver would answer the same again: there is no further attempt.
    Rejected,
    /// The receiver wants nothing of this webhook any more.
    Gone,
}

impl AttemptVerdict {
    /// Whether another attempt may have another outcome.
    pub fn may_be_tried_again(self) -> bool {
        matches!(self, Self::Unreached | Self::RetryLater(_) | Self::TimedOut)
    }
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
        Outcome::Unreached { .. } | Outcome::UrlRefused { retryable: true, sent: false, .. } => {
            AttemptVerdict::Unreached
        }
        Outcome::Withheld | Outcome::Failure { retryable: true, .. } | Outcome::UrlRefused { retryable: true, .. } => {
            AttemptVerdict::RetryLater(None)
        }
        Outcome::TimedOut { .. } => AttemptVerdict::TimedOut,
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
        let delay = self.delay(attempts, chance).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        self.after(delay, attempts, first, now)
    }

    /// The time of the next attempt after one that was sent and not answered in time, as `timeouts` of the `attempts` were, this one
    /// included; None if it was final. The other arguments are those of [`RetryPolicy::next`].
    pub fn next_after_timeout(
        &self,
        attempts: u32,
        timeouts: u32,
        first: Timestamp,
        now: Timestamp,
        chance: f64,
    ) -> Option<Timestamp> {
        let index = usize::try_from(timeouts.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = self.timeout_delays.get(index)?;
        self.after(shortened(*delay, chance), attempts, first, now)
    }

    /// The time of the next attempt, so long from `now`, if there may be one.
    fn after(&self, delay: Duration, attempts: u32, first: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let end = self.end(first);
        if now >= end || self.max_attempts.is_some_and(|max| attempts >= max) {
            return None;
        }
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
        shortened(delay, chance)
    }
}

/// A delay, shortened by as much as `chance` says, from 0 to 1.
fn shortened(delay: Duration, chance: f64) -> Duration {
    delay.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
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
        let refused = |retryable, sent| Outcome::UrlRefused { message: String::new(), sent, retryable };
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
            (Outcome::TimedOut { message: String::new() }, AttemptVerdict::TimedOut),
            (Outcome::Unreached { message: String::new() }, AttemptVerdict::Unreached),
            (refused(true, false), AttemptVerdict::Unreached),
            // Another host was sent a request before.
            (refused(true, true), AttemptVerdict::RetryLater(None)),
            (refused(false, false), AttemptVerdict::Rejected),
        ];
        for (outcome, expected) in cases {
            assert_eq!(judge(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn delays_double_up_to_the_bound_and_end_with_the_deadline() {
        let mk = |max_attempts, deadline| RetryPolicy {
            deadline: Duration::from_secs(deadline),
            max_attempts,
            max_delay: Duration::from_secs(60),
            ..RetryPolicy::default()
        };
        let policy = mk(None, 3600);
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        let (limited, once, long) = (mk(Some(3), 3600), mk(None, 0), mk(None, 86_400));
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
    fn who_is_sent_the_request_and_is_slow_gets_it_a_few_times_far_apart_and_who_is_away_until_the_deadline() {
        // What a receiver that takes 7 s gets of a webhook that waits 4 s, and what one that is away for an hour does: the times at
        // which attempts begin, with the longest delays and with the shortest.
        let default = RetryPolicy::default();
        let times = |policy: &RetryPolicy, timeout: i64, chance: f64, is_sent: bool| {
            let mut times = vec![0];
            while let Some(last) = times.last() {
                let (count, ended) = (u32::try_from(times.len()).unwrap(), at(last + timeout));
                let next = match is_sent {
                    true => policy.next_after_timeout(count, count, at(0), ended, chance),
                    false => policy.next(count, at(0), ended, None, chance),
                };
                let Some(next) = next else { break };
                times.push(next.as_second() - at(0).as_second());
            }
            times
        };
        assert_eq!(times(&default, 4, 0.0, true), [0, 64, 1868]);
        assert_eq!(times(&default, 4, 1.0, true), [0, 49, 1403]);
        let away = times(&default, 4, 0.0, false);
        assert_eq!((away.len(), away.last()), (13, Some(&3600)), "{away:?}");

        let mk = |timeout_delays: &[u64], max_attempts, deadline| RetryPolicy {
            timeout_delays: timeout_delays.iter().copied().map(Duration::from_secs).collect(),
            max_attempts,
            deadline: Duration::from_secs(deadline),
            ..RetryPolicy::default()
        };
        let cases: [(RetryPolicy, &[i64]); 6] = [
            // As OnCall does.
            (mk(&[10, 10, 10], None, 3600), &[0, 14, 28, 42]),
            (mk(&[], None, 3600), &[0]),
            (mk(&[10, 10, 10], Some(2), 3600), &[0, 14]),
            // The last attempt is at the deadline.
            (mk(&[60, 1800], None, 30), &[0, 30]),
            (mk(&[60, 1800], None, 600), &[0, 64, 600]),
            (mk(&[60, 1800], None, 0), &[0]),
        ];
        for (policy, expected) in cases {
            assert_eq!(times(&policy, 4, 0.0, true), expected, "{policy:?}");
        }
    }

    #[test]
    fn attempts_that_were_not_sent_use_up_nothing_of_what_is_for_those_that_time_out() {
        let policy = RetryPolicy::default();
        let cases =
            [(1, 1, Some(at(160))), (9, 1, Some(at(160))), (9, 2, Some(at(1900))), (9, 3, None), (3, 0, Some(at(160)))];
        for (attempts, timeouts, expected) in cases {
            assert_eq!(
                policy.next_after_timeout(attempts, timeouts, at(0), at(100), 0.0),
                expected,
                "{attempts} {timeouts}"
            );
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
                timeout_delays: Vec::new(),
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
