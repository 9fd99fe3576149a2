//! How far a long reading or writing is: a line on standard error that is written over, where that is a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// What is done sooner shows no progress.
const QUIET: Duration = Duration::from_millis(500);
/// How often the line is written at most.
const EVERY: Duration = Duration::from_millis(100);

/// Shows how far something is, until it is dropped.
pub(super) struct Progress {
    /// What is counted, such as `objects read`.
    what: &'static str,
    is_shown: bool,
    state: Mutex<State>,
}

struct State {
    done: usize,
    next: Instant,
    is_on_screen: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let state = State { done: 0, next: Instant::now() + QUIET, is_on_screen: false };
        Self { what, is_shown: io::stderr().is_terminal(), state: Mutex::new(state) }
    }

    /// Takes in that so many more are done.
    pub(super) fn add(&self, more: usize) {
        let mut state = self.state.lock();
        state.done += more;
        let now = Instant::now();
        if self.is_shown && now >= state.next {
            state.next = now + EVERY;
            state.is_on_screen = true;
            let _ = write!(io::stderr(), "\r\x1b[K{} {}", state.done, self.what);
        }
    }

    /// Takes the line away, before others are written.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        if state.is_on_screen {
            state.is_on_screen = false;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
