//! What was deleted, so that what comes late does not bring it back.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

/// How long after an object was deleted an older state of it may still come.
const LATE: Duration = Duration::from_secs(600);

/// Uids of objects that were deleted: older states of them may still come, from the watch, and as answers to reads and writes.
/// Kept for [`LATE`].
#[derive(Default)]
pub(crate) struct Tombstones {
    uids: HashSet<String>,
    since: VecDeque<(Instant, String)>,
}

impl Tombstones {
    pub(crate) fn insert(&mut self, uid: &str) {
        while self.since.front().is_some_and(|(since, _)| since.elapsed() >= LATE)
            && let Some((_, old)) = self.since.pop_front()
        {
            self.uids.remove(&old);
        }
        if self.uids.insert(uid.to_owned()) {
            self.since.push_back((Instant::now(), uid.to_owned()));
        }
    }

    pub(crate) fn contains(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}
