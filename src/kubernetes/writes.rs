//! Lets writes go to the API server, a bounded number at a time. Others wait here, in fair turns by namespace, and those that nobody
//! waits for yield to the others.
//!
//! ```text
//! first (records that deliveries wait for)        ─► turns by namespace ─┐
//! journaled (records that are in the journal)     ─► turns by namespace ─┼─► under way
//! later (statuses of events and Integrations)     ─► turns by namespace ─┤
//! last (statuses of webhooks, Events for people)  ─► turns by namespace ─┘ two at a time beside the first
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
/// How many of those that are to go last: ten thousand webhooks may want their first status at once, and that many writes make every
/// call late, also those that create events.
const MOST_LAST: usize = 16;
/// How many of these beside writes that somebody waits for.
const LAST_BESIDE: usize = 2;
/// How long a namespace counts as one that writes, after it asked for that; and a write that somebody waited for as one beside others.
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
    /// Nobody waits for it, and nothing comes after it: people look at it now and then.
    Last,
}

impl Priority {
    const ALL: [Self; 4] = [Self::First, Self::Journaled, Self::Later, Self::Last];
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
    /// By priority, as all that follows.
    turns: [Turns<T>; 4],
    under_way: [usize; 4],
    /// How many went since one of a lower priority went.
    in_a_row: [u32; 4],
    /// The bound on those that nobody waits for.
    unawaited_limit: usize,
    /// When one was last asked for that somebody waits for.
    first_asked: Option<Instant>,
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
        let (turns, under_way, in_a_row, writers) = Default::default();
        Self { turns, under_way, in_a_row, unawaited_limit: MOST, first_asked: None, writers }
    }
}

impl<T> State<T> {
    fn push(&mut self, namespace: &str, priority: Priority, write: T, now: Instant) {
        self.writers.note(namespace, now);
        if priority == Priority::First {
            self.first_asked = Some(now);
        }
        self.turns[priority as usize].push(namespace, write);
    }

    /// The write that may be made now, which is under way then. None if none waits, or enough are under way.
    fn next(&mut self, now: Instant) -> Option<(Arc<str>, Priority, T)> {
        if self.under_way.iter().sum::<usize>() >= MOST {
            return None;
        }
        let each = if self.writers.are_several(now) { EACH } else { MOST };
        let mut order = self.order(now).into_iter();
        let (priority, (namespace, write)) =
            order.find_map(|priority| Some((priority, self.turns[priority as usize].next(each)?)))?;
        self.in_a_row[..priority as usize].fill(0);
        self.in_a_row[priority as usize] = self.in_a_row[priority as usize].saturating_add(1);
        self.under_way[priority as usize] += 1;
        Some((namespace, priority, write))
    }

    /// Which writes may go now, those that are to go first before the others: by priority, but those of which many went in a row come
    /// after the lower ones.
    fn order(&self, now: Instant) -> Vec<Priority> {
        let may_go = Priority::ALL.into_iter().filter(|priority| self.may_go(*priority, now));
        let (mut order, many): (Vec<_>, Vec<_>) =
            may_go.partition(|priority| self.in_a_row[*priority as usize] < IN_A_ROW);
        order.extend(many.into_iter().rev());
        order
    }

    /// Whether no more than may be of a priority are under way.
    fn may_go(&self, priority: Priority, now: Instant) -> bool {
        let [_, unawaited @ ..] = self.under_way;
        let is_let = unawaited.iter().sum::<usize>() < self.unawaited_limit;
        match priority {
            Priority::First => true,
            Priority::Journaled | Priority::Later => is_let,
            Priority::Last => {
                let is_beside = self.first_asked.is_some_and(|at| now.saturating_duration_since(at) < RECENTLY);
                is_let && self.under_way[priority as usize] < if is_beside { LAST_BESIDE } else { MOST_LAST }
            }
        }
    }

    /// Takes in that a write is over.
    fn end(&mut self, turn: &Turn) {
        self.under_way[turn.priority as usize] -= 1;
        self.turns[turn.priority as usize].done(&turn.namespace);
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
    fn of_those_that_go_last_few_go_beside_writes_that_somebody_waits_for_and_more_when_there_are_none() {
        use Priority::{First, Last, Later};
        let start = Instant::now();
        // What is asked for before, and at which second it is looked at; and how many of the last go.
        let cases = [
            (None, 0, MOST_LAST),
            (Some(First), 0, LAST_BESIDE),
            (Some(First), 1, LAST_BESIDE),
            (Some(First), 2, MOST_LAST),
            (Some(Later), 0, MOST_LAST),
        ];
        for (before, second, expected) in cases {
            let mut state = State::default();
            if let Some(priority) = before {
                state.push("a", priority, "other", start);
            }
            for _ in 0..2 * MOST {
                state.push("a", Last, "last", start);
            }
            let mut gone = drain(&mut state, start + Duration::from_secs(second));
            gone.retain(|write| *write == "last");
            assert_eq!(gone.len(), expected, "{before:?} {second}");
            // All others go whenever they come.
            state.push("a", Later, "later", start);
            assert_eq!(drain(&mut state, start + Duration::from_secs(second)), ["later"], "{before:?} {second}");
        }
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
                state.turns[0].push("a", "write");
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
        assert_eq!(writes.0.lock().under_way, [0; 4]);
        drop(writes.turn("b", Priority::Later).await);
        assert_eq!(writes.0.lock().under_way, [0; 4]);
    }
}
