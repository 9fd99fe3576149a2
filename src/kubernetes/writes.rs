//! Lets writes go to the API server, a bounded number at a time. Others wait here, in fair turns by namespace, and those that nobody
//! waits for yield to the others.
//!
//! ```text
//! first (records that deliveries wait for)      ─► turns by namespace ─┐
//! journaled (records that are in the journal)   ─► turns by namespace ─┼─► under way
//! later (statuses)                              ─► turns by namespace ─┘
//! ```
//! A namespace that alone has something to write may have all of them: many at a time cost the API server less each. While others
//! write too it has a share only, since what waits in the API server makes everybody's calls and watches late.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::turns::Turns;

/// How many writes may be under way at a time. With more of them an API server refuses some, and is no faster.
const MOST: usize = 64;
/// How many of one namespace, while others write too.
const EACH: usize = 8;
/// How long a namespace counts as one that writes, after it asked for that.
const RECENTLY: Duration = Duration::from_secs(2);
/// How many writes of one priority go at most while one of the next waits: so it comes to its end, too.
const IN_A_ROW: u32 = 3;

/// Which writes go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Priority {
    /// A delivery waits for it, or somebody who called.
    #[default]
    First,
    /// It is in the journal, and written out.
    Journaled,
    /// Nobody waits for it.
    Later,
}

/// The writes of this process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<State<Waiting>>>);

/// The right to make one write. It ends when it is dropped.
#[must_use]
pub(crate) struct Turn {
    /// None once it has ended.
    writes: Option<Writes>,
    namespace: Arc<str>,
    priority: Priority,
}

/// Decides who makes a write now. A waiting write is a `T`.
struct State<T> {
    first: Turns<T>,
    journaled: Turns<T>,
    later: Turns<T>,
    /// How many went first since another one went.
    first_in_a_row: u32,
    /// How many of the journal went since one came later.
    journaled_in_a_row: u32,
    under_way: usize,
    /// How many of those that nobody waits for.
    unawaited: usize,
    /// The bound on these.
    unawaited_limit: usize,
    writers: Writers,
}

/// Tells whether several namespaces write.
#[derive(Debug, Default)]
struct Writers {
    /// The one that asked last, and when.
    last: Option<(Arc<str>, Instant)>,
    /// When another one than that asked last.
    other: Option<Instant>,
}

/// Where the turn of a write that waits goes to.
type Waiting = oneshot::Sender<Turn>;

impl Writes {
    /// Waits until `namespace` may make a write.
    pub(crate) async fn turn(&self, namespace: &str, priority: Priority) -> Turn {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().push(namespace, priority, sender, Instant::now());
        self.grant();
        // Senders end by sending only. Without one, the write would not count.
        receiver.await.unwrap_or_else(|_| Turn::new(None, Arc::from(namespace), priority))
    }

    /// Bounds how many writes may be under way that nobody waits for.
    pub(crate) fn pace(&self, unawaited: usize) {
        self.0.lock().unawaited_limit = unawaited;
        self.grant();
    }

    /// Gives turns to writes that wait, as long as more may be under way.
    fn grant(&self) {
        loop {
            let Some((namespace, priority, sender)) = self.0.lock().next(Instant::now()) else { return };
            if let Err(mut unwanted) = sender.send(Turn::new(Some(self.clone()), namespace, priority)) {
                unwanted.writes = None;
                self.0.lock().end(&unwanted);
            }
        }
    }
}

impl Turn {
    fn new(writes: Option<Writes>, namespace: Arc<str>, priority: Priority) -> Self {
        Self { writes, namespace, priority }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(writes) = self.writes.take() else { return };
        writes.0.lock().end(self);
        writes.grant();
    }
}

// A derived one would ask for it of what waits.
impl<T> Default for State<T> {
    fn default() -> Self {
        let (first, journaled, later, writers) = Default::default();
        Self {
            first,
            journaled,
            later,
            first_in_a_row: 0,
            journaled_in_a_row: 0,
            under_way: 0,
            unawaited: 0,
            unawaited_limit: MOST,
            writers,
        }
    }
}

impl<T> State<T> {
    fn turns(&mut self, priority: Priority) -> &mut Turns<T> {
        match priority {
            Priority::First => &mut self.first,
            Priority::Journaled => &mut self.journaled,
            Priority::Later => &mut self.later,
        }
    }

    fn push(&mut self, namespace: &str, priority: Priority, write: T, now: Instant) {
        self.writers.note(namespace, now);
        self.turns(priority).push(namespace, write);
    }

    /// The write that may be made now, which is under way then. None if none waits, or enough are under way.
    fn next(&mut self, now: Instant) -> Option<(Arc<str>, Priority, T)> {
        if self.under_way >= MOST {
            return None;
        }
        let each = if self.writers.are_several(now) { EACH } else { MOST };
        let (priority, (namespace, write)) =
            self.order().iter().find_map(|priority| Some((*priority, self.turns(*priority).next(each)?)))?;
        match priority {
            Priority::First => self.first_in_a_row += 1,
            Priority::Journaled => (self.first_in_a_row, self.journaled_in_a_row) = (0, self.journaled_in_a_row + 1),
            Priority::Later => (self.first_in_a_row, self.journaled_in_a_row) = (0, 0),
        }
        self.under_way += 1;
        self.unawaited += usize::from(priority != Priority::First);
        Some((namespace, priority, write))
    }

    /// Which writes may go now, those that are to go first before the others.
    fn order(&self) -> &'static [Priority] {
        use Priority::{First, Journaled, Later};
        if self.unawaited >= self.unawaited_limit {
            return &[First];
        }
        match (self.first_in_a_row < IN_A_ROW, self.journaled_in_a_row < IN_A_ROW) {
            (true, true) => &[First, Journaled, Later],
            (true, false) => &[First, Later, Journaled],
            (false, true) => &[Journaled, Later, First],
            (false, false) => &[Later, Journaled, First],
        }
    }

    /// Takes in that a write is over.
    fn end(&mut self, turn: &Turn) {
        self.under_way -= 1;
        self.unawaited -= usize::from(turn.priority != Priority::First);
        self.turns(turn.priority).done(&turn.namespace);
    }
}

impl Writers {
    fn note(&mut self, namespace: &str, now: Instant) {
        match &mut self.last {
            Some((last, at)) if **last == *namespace => *at = now,
            last => self.other = last.replace((Arc::from(namespace), now)).map(|(_, at)| at),
        }
    }

    fn are_several(&self, now: Instant) -> bool {
        self.other.is_some_and(|at| now.saturating_duration_since(at) < RECENTLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many writes as may be under way, as they come.
    fn drain(state: &mut State<&'static str>, now: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| state.next(now)).map(|(_, _, write)| write).collect()
    }

    #[test]
    fn namespaces_take_turns_and_writes_that_nobody_waits_for_yield_but_come_to_their_end() {
        use Priority::{First, Later};
        let (mut state, now) = (State::default(), Instant::now());
        for (namespace, priority, write) in [
            ("a", Later, "a status"),
            ("a", Later, "a status 2"),
            ("a", First, "a1"),
            ("a", First, "a2"),
            ("a", First, "a3"),
            ("b", First, "b1"),
            ("b", First, "b2"),
        ] {
            state.push(namespace, priority, write, now);
        }
        assert_eq!(drain(&mut state, now), ["a1", "b1", "a2", "a status", "b2", "a3", "a status 2"]);
    }

    #[test]
    fn of_those_that_nobody_waits_for_records_go_before_statuses_and_no_more_than_the_bound() {
        use Priority::{First, Journaled, Later};
        let (mut state, now) = (State::default(), Instant::now());
        for write in ["r1", "r2", "r3", "r4", "r5"] {
            state.push("a", Journaled, write, now);
        }
        state.push("a", Later, "status", now);
        state.unawaited_limit = 5;
        assert_eq!(drain(&mut state, now), ["r1", "r2", "r3", "status", "r4"]);
        state.push("a", First, "first", now);
        assert_eq!(drain(&mut state, now), ["first"]);
        state.unawaited_limit = 6;
        assert_eq!(drain(&mut state, now), ["r5"]);
    }

    #[test]
    fn a_namespace_has_all_writes_while_it_is_alone_and_a_share_while_others_write_too() {
        // Who asks, at which second, and how many of the first may be under way right after.
        let cases = [
            ("alone", vec![("a", 0)], MOST),
            ("another at the same time", vec![("a", 0), ("b", 0)], EACH),
            ("another before, which goes on", vec![("b", 0), ("a", 1), ("b", 2), ("a", 3)], EACH),
            ("another before, which wrote no more", vec![("b", 0), ("a", 0), ("a", 1), ("a", 2)], MOST),
            ("another, which is alone now", vec![("a", 0), ("b", 1), ("b", 2), ("b", 3)], MOST),
        ];
        for (case, asked, expected) in cases {
            let (mut state, start) = (State::default(), Instant::now());
            let mut now = start;
            for (namespace, second) in asked {
                now = start + Duration::from_secs(second);
                state.writers.note(namespace, now);
            }
            for _ in 0..2 * MOST {
                state.first.push("a", "write");
            }
            assert_eq!(drain(&mut state, now).len(), expected, "{case}");
        }
    }

    #[tokio::test]
    async fn whoever_does_not_wait_any_more_keeps_no_turn() {
        let writes = Writes::default();
        let mut held = Vec::new();
        for _ in 0..MOST {
            held.push(writes.turn("a", Priority::First).await);
        }
        let mut waits = Box::pin(writes.turn("a", Priority::First));
        assert!(futures::poll!(&mut waits).is_pending());
        drop(waits);
        drop(held);
        assert_eq!(writes.0.lock().under_way, 0);
        drop(writes.turn("b", Priority::Later).await);
        assert_eq!(writes.0.lock().under_way, 0);
    }
}
