//! What is known to be cheap, so that it may be done where everybody's requests are carried.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// A rendering is quick if it takes less than this.
const QUICK: Duration = Duration::from_micros(500);

/// Data that is copied and sent as it is costs little up to this estimate of its size, in bytes: so little is never cut in a record,
/// though each of its bytes may be six there.
const LITTLE_DATA: usize = 32 << 10;

/// Templates that look at the data so often, in bytes looked at, cost little whatever is in it.
const LITTLE_WORK: usize = 512 << 10;

/// How large the data was, at most, for which the rendering of a webhook as it stands was quick. Nothing is known at first,
/// and after one that was not.
#[derive(Debug, Default)]
pub(crate) struct MeasuredEffort(AtomicUsize);

impl MeasuredEffort {
    /// Whether rendering is known to be cheap, with templates of so many plain expressions and data of so many bytes.
    pub(crate) fn is_cheap(&self, plain_expressions: Option<usize>, data: usize) -> bool {
        is_cheap(plain_expressions, data, self.0.load(Ordering::Relaxed))
    }

    /// Takes in how long a rendering took with data of so many bytes.
    pub(crate) fn note(&self, data: usize, took: Duration) {
        let known = self.0.load(Ordering::Relaxed);
        let now = measured(known, data, took);
        if now != known {
            self.0.store(now, Ordering::Relaxed);
        }
    }
}

/// Whether rendering is cheap. Templates without an expression cost what the data costs. Others that look at the data once
/// have to have been quick with as much data before, and their cost must be bounded too, since one payload may take another
/// way through them than another. All others may be dear with any payload.
fn is_cheap(plain_expressions: Option<usize>, data: usize, quick_up_to: usize) -> bool {
    match plain_expressions {
        None => false,
        Some(0) => data <= LITTLE_DATA,
        Some(expressions) => data <= quick_up_to && data.saturating_mul(expressions) <= LITTLE_WORK,
    }
}

/// The size up to which a rendering is known to be quick, after one with data of so many bytes.
fn measured(quick_up_to: usize, data: usize, took: Duration) -> usize {
    match took < QUICK {
        // Sizes differ a little from event to event.
        true => quick_up_to.max(data.next_power_of_two()),
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    #[test]
    fn only_what_can_cost_little_and_did_is_cheap() {
        let cases = [
            ("loops or patterns, though quick before", None, KIB, 1 << 30, false),
            ("text alone", Some(0), KIB, 0, true),
            ("text alone, and data to forward", Some(0), 32 * KIB, 0, true),
            ("text alone, and much data to forward", Some(0), 33 * KIB, 0, false),
            ("expressions for the first time", Some(3), KIB, 0, false),
            ("expressions that were quick", Some(3), 4 * KIB, 4 * KIB, true),
            ("expressions that were quick with less data", Some(3), 5 * KIB, 4 * KIB, false),
            ("expressions that may each print all", Some(30), 20 * KIB, 32 * KIB, false),
            ("an expression that may print much", Some(1), 600 * KIB, 1 << 20, false),
        ];
        for (case, expressions, data, quick_up_to, expected) in cases {
            assert_eq!(is_cheap(expressions, data, quick_up_to), expected, "{case}");
        }
    }

    #[test]
    fn what_was_quick_is_known_until_it_is_not() {
        let (quick, slow) = (Duration::from_micros(50), Duration::from_millis(1));
        let cases = [
            ("the first", 0, 3 * KIB, quick, 4 * KIB),
            ("with more data", 4 * KIB, 5 * KIB, quick, 8 * KIB),
            ("with less data", 8 * KIB, KIB, quick, 8 * KIB),
            ("slow", 8 * KIB, KIB, slow, 0),
            ("slow at first", 0, KIB, slow, 0),
        ];
        for (case, quick_up_to, data, took, expected) in cases {
            assert_eq!(measured(quick_up_to, data, took), expected, "{case}");
        }
        let effort = MeasuredEffort::default();
        assert!(!effort.is_cheap(Some(1), KIB));
        effort.note(KIB, quick);
        assert!(effort.is_cheap(Some(1), KIB));
        effort.note(KIB, slow);
        assert!(!effort.is_cheap(Some(1), KIB));
    }
}
