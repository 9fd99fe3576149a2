//! Where templates are compiled and rendered, and other work goes on that people's objects make as long as they like: on a few
//! threads of its own, in fair turns by namespace. The threads of the runtime, which carry everybody's requests, do none of it
//! but what is known to be cheap.
//!
//! ```text
//! deliver ─┬─ cheap ──────────────────► here
//!          └─ else ─► run ─► Turns ─► a thread of the pool
//! catalog, webhooks, rest ──┘ (a queue for each namespace)
//! ```
//!
//! `effort` knows what is cheap; whose work is next: [`crate::turns`].

mod effort;

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

pub(crate) use self::effort::MeasuredEffort;
use crate::{core::template::KEPT_PATTERNS_BYTES, turns::Turns};

/// Bound on the threads, whatever the machine has: each may hold a rendering.
const MOST_THREADS: usize = 4;
/// At least two, so that there is one for others while a namespace has one.
const LEAST_THREADS: usize = 2;

/// Bytes that a rendering may hold: its limit, and as much again while a long text or list grows. Half of that was the most
/// that patterns took (`crates/pyjinja/tests/memory.rs`).
const RENDERING_BYTES: usize = 48 << 20;

/// A piece of work, which tells by itself what came of it. It holds references to shared values only.
type Work = Box<dyn FnOnce() + Send>;

/// Threads for renderings. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub(crate) struct RenderingPool(Arc<Owner>);

/// Ends the threads when it is dropped.
struct Owner(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to do, or nothing will be any more.
    changed: Condvar,
}

struct State {
    turns: Turns<Work>,
    /// How much work of a namespace may be under way at a time.
    each: usize,
    is_closed: bool,
}

impl RenderingPool {
    /// A pool with as many threads as the machine runs at a time, and the memory has room for: from two to `most`, or four.
    ///
    /// # Errors
    /// A thread can't be started.
    pub(crate) fn new(most: usize) -> std::io::Result<Self> {
        Self::with_threads(threads(most))
    }

    fn with_threads(threads: usize) -> std::io::Result<Self> {
        tracing::debug!(
            threads,
            bytes = bytes(threads),
            "started the threads for templates, which may hold so many bytes"
        );
        // One namespace never has all threads.
        let each = threads.saturating_sub(1).max(1);
        let state = State { turns: Turns::default(), each, is_closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let pool = Self(Arc::new(Owner(Arc::clone(&shared))));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("rendering-{number}")).spawn(move || {
                yield_processors();
                shared.work();
            })?;
        }
        Ok(pool)
    }

    /// Does `work` when `namespace` has its turn, which has one queue: what it asked for first is begun first. Work that nobody
    /// waits for any more is left undone.
    ///
    /// # Errors
    /// The work panicked: what it panicked with.
    pub(crate) async fn try_run<T: Send + 'static>(
        &self,
        namespace: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.0.0.add(
            namespace,
            Box::new(move || {
                if !sender.is_closed() {
                    // Nobody waits any more: it was in vain.
                    let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
                }
            }),
        );
        // The pool lives at least as long as this call, and drops no work.
        receiver.await.unwrap_or_else(|error| Err(Box::new(error)))
    }

    /// As [`RenderingPool::try_run`], but a panic goes on here.
    pub(crate) async fn run<T: Send + 'static>(&self, namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.try_run(namespace, work).await.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn add(&self, namespace: &str, work: Work) {
        self.state.lock().turns.push(namespace, work);
        self.changed.notify_one();
    }

    /// Does what there is to do, until there will be nothing any more.
    fn work(&self) {
        while let Some((namespace, work)) = self.next() {
            work();
            self.state.lock().turns.done(&namespace);
            // Another of this namespace may be let now.
            self.changed.notify_one();
        }
    }

    fn next(&self) -> Option<(Arc<str>, Work)> {
        let mut state = self.state.lock();
        loop {
            let each = state.each;
            if let Some(next) = state.turns.next(each) {
                return Some(next);
            }
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

/// How much this thread yields its processor to the others of the process, from 0 to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Makes this thread yield its processor to those that carry everybody's requests: where there are fewer processors than threads,
/// these go on at once.
fn yield_processors() {
    // Elsewhere it would be the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(error = %error, "failed to lower the priority of a thread for templates");
    }
}

/// How many renderings go on at a time.
fn threads(most: usize) -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(most).clamp(LEAST_THREADS, MOST_THREADS)
}

/// Bytes that so many renderings may hold at a time, with the patterns that are kept for others.
fn bytes(threads: usize) -> usize {
    threads * RENDERING_BYTES + KEPT_PATTERNS_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Work that says that it has begun, and goes on until it is let to end.
    fn mk_blocked() -> (impl FnOnce() + Send + 'static, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let work = move || {
            begin.send(()).unwrap();
            ended.recv().unwrap_err();
        };
        (work, begun, end)
    }

    #[tokio::test]
    async fn another_namespace_goes_on_while_one_floods_the_pool_with_slow_work() {
        let pool = RenderingPool::with_threads(2).unwrap();
        let (slow, begun, end) = mk_blocked();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run("flood", slow).await }
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        let others: Vec<_> = (0..100)
            .map(|number| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.run("flood", move || number).await })
            })
            .collect();
        for number in 0..10 {
            assert_eq!(pool.run("calm", move || number).await, number);
        }
        assert!(!first.is_finished() && others.iter().all(|other| !other.is_finished()), "the slow work goes on");
        drop(end);
        first.await.unwrap();
        for (number, other) in others.into_iter().enumerate() {
            assert_eq!(other.await.unwrap(), number);
        }
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_work_only() {
        let pool = RenderingPool::with_threads(2).unwrap();
        for _ in 0..5 {
            let panicked = pool.try_run("team", || -> u8 { panic!("a bug") }).await;
            assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"a bug"));
        }
        assert_eq!(pool.run("team", || 7).await, 7);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_left_undone() {
        let pool = RenderingPool::with_threads(2).unwrap();
        let (slow, begun, end) = mk_blocked();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run("team", slow).await }
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        let (done, was_done) = mpsc::channel::<()>();
        let abandoned = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run("team", move || done.send(())).await }
        });
        while pool.0.0.state.lock().turns.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
        drop(end);
        first.await.unwrap();
        pool.run("team", || ()).await;
        assert!(was_done.try_recv().is_err());
    }

    #[test]
    fn the_memory_of_all_renderings_is_bounded() {
        for most in [0, 1, 2, 3, 100] {
            assert!((LEAST_THREADS..=most.clamp(LEAST_THREADS, MOST_THREADS)).contains(&threads(most)), "{most}");
        }
        assert_eq!((bytes(LEAST_THREADS) >> 20, bytes(MOST_THREADS) >> 20), (112, 208));
    }
}
