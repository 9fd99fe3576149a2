//! What the receiver does with which request: a matter of chance that the seed decides, not the time.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::load::Delivery;

/// From this attempt on every request of a delivery is taken, so that a run ends.
const LAST_REFUSED: usize = 3;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
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

impl fmt::Display for Fate {
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

/// The chances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) seed: u64,
    /// Of 1000 attempts, those that are not taken.
    pub(crate) refused_per_mille: u32,
}

impl Odds {
    /// What becomes of an attempt, the first of a delivery being number 1.
    pub(crate) fn fate(self, delivery: Delivery, attempt: usize) -> Fate {
        let mut hash = DefaultHasher::new();
        (self.seed, delivery, attempt).hash(&mut hash);
        let mut chance = fastrand::Rng::with_seed(hash.finish());
        if attempt > LAST_REFUSED || chance.u32(0..1000) >= self.refused_per_mille {
            return Fate::Taken;
        }
        match chance.u32(0..10) {
            0..=3 => Fate::Error,
            4..=5 => Fate::Busy,
            6..=7 => Fate::Silence,
            _ => Fate::HangUp,
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
        let fates = |seed, per_mille, attempt| -> Vec<Fate> {
            let odds = Odds { seed, refused_per_mille: per_mille };
            deliveries().map(|delivery| odds.fate(delivery, attempt)).collect()
        };
        assert_eq!(fates(1, 100, 1), fates(1, 100, 1));
        assert_ne!(fates(1, 100, 1), fates(2, 100, 1));
        assert_ne!(fates(1, 100, 1), fates(1, 100, 2));
        assert!(fates(1, 0, 1).iter().all(|fate| *fate == Fate::Taken));
        assert!(fates(1, 1000, 3).iter().all(|fate| *fate != Fate::Taken));
        assert!(fates(1, 1000, 4).iter().all(|fate| *fate == Fate::Taken));

        let mut counts = BTreeMap::new();
        fates(1, 500, 1).into_iter().for_each(|fate| *counts.entry(fate).or_insert(0) += 1);
        let expected =
            [(Fate::Taken, 1000), (Fate::Error, 400), (Fate::Busy, 200), (Fate::Silence, 200), (Fate::HangUp, 200)];
        for (fate, expected) in expected {
            assert!((expected - 60..=expected + 60).contains(&counts[&fate]), "{fate}: {counts:?}");
        }
    }
}
