//! Plans what the receiver answers to which attempt. The seed decides by chance, and the time does not matter.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::load::Delivery;

/// From this attempt on every request of a delivery is taken, so that a run ends.
const LAST_REFUSED: usize = 3;

/// The answer that a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlannedAnswer {
    /// 200.
    Taken,
    /// 500.
    Error,
    /// 503 with `Retry-After: 1`.
    Busy,
    /// No answer for longer than the webhook waits.
    Silence,
    /// The connection ends without an answer.
    HangUp,
}

impl fmt::Display for PlannedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "200",
            Self::Error => "500",
            Self::Busy => "503",
            Self::Silence => "silence",
            Self::HangUp => "hang-up",
        })
    }
}

/// How likely it is that an attempt is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) seed: u64,
    /// Of 1000 attempts, those that are not taken.
    pub(crate) refused_per_mille: u32,
}

impl Odds {
    /// The answer to an attempt; the first attempt of a delivery is number 1.
    pub(crate) fn plan(self, delivery: Delivery, attempt: usize) -> PlannedAnswer {
        let mut hash = DefaultHasher::new();
        (self.seed, delivery, attempt).hash(&mut hash);
        let mut chance = fastrand::Rng::with_seed(hash.finish());
        if attempt > LAST_REFUSED || chance.u32(0..1000) >= self.refused_per_mille {
            return PlannedAnswer::Taken;
        }
        match chance.u32(0..10) {
            0..=3 => PlannedAnswer::Error,
            4..=5 => PlannedAnswer::Busy,
            6..=7 => PlannedAnswer::Silence,
            _ => PlannedAnswer::HangUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load::EventId;

    fn deliveries() -> impl Iterator<Item = Delivery> {
        (0..2000).map(|group| Delivery { webhook: group % 7, event: EventId { group, step: group % 5 } })
    }

    #[test]
    fn the_seed_decides_and_every_kind_of_refusal_is_as_frequent_as_it_should_be() {
        let answers = |seed, per_mille, attempt| -> Vec<PlannedAnswer> {
            let odds = Odds { seed, refused_per_mille: per_mille };
            deliveries().map(|delivery| odds.plan(delivery, attempt)).collect()
        };
        assert_eq!(answers(1, 100, 1), answers(1, 100, 1));
        assert_ne!(answers(1, 100, 1), answers(2, 100, 1));
        assert_ne!(answers(1, 100, 1), answers(1, 100, 2));
        assert!(answers(1, 0, 1).iter().all(|planned| *planned == PlannedAnswer::Taken));
        assert!(answers(1, 1000, 3).iter().all(|planned| *planned != PlannedAnswer::Taken));
        assert!(answers(1, 1000, 4).iter().all(|planned| *planned == PlannedAnswer::Taken));

        let mut counts = BTreeMap::new();
        answers(1, 500, 1).into_iter().for_each(|planned| *counts.entry(planned).or_insert(0) += 1);
        let expected = [
            (PlannedAnswer::Taken, 1000),
            (PlannedAnswer::Error, 400),
            (PlannedAnswer::Busy, 200),
            (PlannedAnswer::Silence, 200),
            (PlannedAnswer::HangUp, 200),
        ];
        for (planned, expected) in expected {
            assert!((expected - 60..=expected + 60).contains(&counts[&planned]), "{planned}: {counts:?}");
        }
    }
}
