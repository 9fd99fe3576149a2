//! The steps and the time that the rendering on this thread has used up, and what it has made of its data.
//!
//! They are kept for the thread, not in `Rendering`: values compare and hash themselves in places that no argument
//! reaches, such as the keys of a dict, and one comparison or printing may go on inside another.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How deep values may be nested in one another where they are walked: as Python's recursion limit, this keeps the stack
/// from overflowing.
pub(crate) const DEPTH: usize = 200;

/// How often the clock is read: after so many steps, and after so many calls.
const STEPS_BETWEEN: u64 = 1024;
const CALLS_BETWEEN: u32 = 32;

thread_local! {
    static STEPS_LIMIT: Cell<u64> = const { Cell::new(u64::MAX) };
    static STEPS_USED: Cell<u64> = const { Cell::new(0) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    static DEPTH_USED: Cell<usize> = const { Cell::new(0) };
    static MADE_OF_DATA: Cell<usize> = const { Cell::new(0) };
}

/// The budget of one rendering, for as long as it lives. The budget of a rendering around it, if any, goes on behind it.
pub(crate) struct Budget {
    outer_steps_limit: u64,
    outer_steps_used: u64,
    outer_deadline: Option<Instant>,
    outer_made: usize,
}

impl Budget {
    /// A rendering begins, with so many steps and so much time to spend.
    pub(crate) fn begin(steps: u64, time: Duration) -> Self {
        CALLS.set(0);
        Self {
            // One more than the limit can be counted.
            outer_steps_limit: STEPS_LIMIT.replace(steps.min(u64::MAX - 1)),
            outer_steps_used: STEPS_USED.replace(0),
            outer_deadline: DEADLINE.replace(Instant::now().checked_add(time)),
            outer_made: MADE_OF_DATA.replace(0),
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        STEPS_LIMIT.set(self.outer_steps_limit);
        STEPS_USED.set(self.outer_steps_used);
        DEADLINE.set(self.outer_deadline);
        MADE_OF_DATA.set(self.outer_made);
    }
}

/// Notes `bytes` of containers that were made of the data.
pub(crate) fn made_of_data(bytes: usize) {
    MADE_OF_DATA.set(MADE_OF_DATA.get().saturating_add(bytes));
}

/// The bytes that were noted since the last call.
pub(crate) fn take_made_of_data() -> usize {
    MADE_OF_DATA.take()
}

/// The limit that a rendering has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Steps,
    Time,
}

/// Counts `steps` of work. Says which limit is reached, from then on each time.
pub(crate) fn spend(steps: usize) -> Option<Reached> {
    let before = STEPS_USED.get();
    let after = before.saturating_add(steps as u64);
    STEPS_USED.set(after);
    if after > STEPS_LIMIT.get() {
        return Some(Reached::Steps);
    }
    let calls = CALLS.get() + 1;
    if calls < CALLS_BETWEEN && before / STEPS_BETWEEN == after / STEPS_BETWEEN {
        CALLS.set(calls);
        return None;
    }
    CALLS.set(0);
    clock()
}

/// Reads the clock.
pub(crate) fn clock() -> Option<Reached> {
    let late = DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline);
    if late {
        // Whoever asks next is to stop as well.
        STEPS_USED.set(STEPS_USED.get().max(STEPS_LIMIT.get() + 1));
    }
    late.then_some(Reached::Time)
}

/// One level of the walk through a value that is printed, compared or made a key.
pub(crate) struct Level(());

/// Goes one level deeper, for as long as the level lives. None at the bound.
pub(crate) fn deeper() -> Option<Level> {
    let depth = DEPTH_USED.get();
    (depth < DEPTH).then(|| {
        DEPTH_USED.set(depth + 1);
        Level(())
    })
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH_USED.set(DEPTH_USED.get() - 1);
    }
}
