//! Numbers that nobody can foretell, for `random` and `lipsum`.

use std::hash::{BuildHasher, RandomState};

/// A number below `bound`, which is not 0.
pub(crate) fn below(bound: usize) -> usize {
    // Each RandomState has keys of its own.
    usize::try_from(RandomState::new().hash_one(bound) % bound.max(1) as u64).unwrap_or(0)
}
