//! What the rendering on this thread has used up of its bounds.
//!
//! Kept for the thread, not in [`crate::eval::rendering::Rendering`]: values compare and hash themselves in places that no argument
//! reaches, such as the keys of a dict, and one comparison or printing may go on inside another.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::python::value::DEPTH;

/// Bound on the steps of one rendering: loops over thousands of alerts fit, loops without end do not.
pub(crate) const STEPS: u64 = 1_000_000;

/// Bound on how long one rendering takes: for what costs more than it is counted for.
pub(crate) const TIME: Duration = Duration::from_millis(1500);

/// How often the clock is read: after so many steps, and after so many calls.
const STEPS_BETWEEN: u64 = 1024;
const CALLS_BETWEEN: u32 = 32;

thread_local! {
    static STEPS_USED: Cell<u64> = const { Cell::new(0) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
    static DEPTH_USED: Cell<usize> = const { Cell::new(0) };
}

/// A rendering begins.
pub(crate) fn begin() {
    STEPS_USED.set(0);
    CALLS.set(0);
    STARTED.set(Some(Instant::now()));
}

/// Which bound is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Steps,
    Time,
}

/// Counts `steps` of work. Says which bound is met, from then on each time.
pub(crate) fn spend(steps: usize) -> Option<Bound> {
    let before = STEPS_USED.get();
    let after = before.saturating_add(steps as u64);
    STEPS_USED.set(after);
    if after > STEPS {
        return Some(Bound::Steps);
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
pub(crate) fn clock() -> Option<Bound> {
    let late = STARTED.get().is_some_and(|started| started.elapsed() > TIME);
    if late {
        // Whoever asks next is to stop as well.
        STEPS_USED.set(STEPS_USED.get().max(STEPS + 1));
    }
    late.then_some(Bound::Time)
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
