//! Work for a namespace that serves all who have asked for it before it began.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex as ShortMutex;
use tokio::sync::Mutex;

/// When the last round of a namespace that has ended began, and what came of it.
type Last<E> = Mutex<Option<(Instant, Result<(), E>)>>;

/// Makes rounds of the same work, one at a time for each namespace.
pub(crate) struct Rounds<E>(ShortMutex<HashMap<Arc<str>, Weak<Last<E>>>>);

impl<E> Default for Rounds<E> {
    fn default() -> Self {
        Self(ShortMutex::default())
    }
}

impl<E: Clone> Rounds<E> {
    /// Waits for a round that begins from now on: makes it, or shares the one that another makes. Whoever gives up while he makes
    /// it leaves it to the next who waits.
    ///
    /// # Errors
    /// Those of `round`, to all who share it.
    pub(crate) async fn next(&self, namespace: &str, round: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let (last, asked) = (self.of(namespace), Instant::now());
        let mut last = last.lock().await;
        if let Some((_, outcome)) = last.as_ref().filter(|(began, _)| *began > asked) {
            return outcome.clone();
        }
        let began = Instant::now();
        let outcome = round.await;
        *last = Some((began, outcome.clone()));
        outcome
    }

    fn of(&self, namespace: &str) -> Arc<Last<E>> {
        let mut rounds = self.0.lock();
        if let Some(known) = rounds.get(namespace).and_then(Weak::upgrade) {
            return known;
        }
        rounds.retain(|_, last| last.strong_count() > 0);
        let new = Arc::default();
        rounds.insert(namespace.into(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{FutureExt, future::join_all};
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_comes_while_a_round_is_under_way_shares_the_next_one_with_others_whatever_comes_of_it() {
        for outcome in [Ok(()), Err("away")] {
            let (rounds, made, go_on) = (Rounds::default(), AtomicUsize::new(0), Notify::new());
            let round = || async {
                made.fetch_add(1, Ordering::Relaxed);
                go_on.notified().await;
                outcome
            };
            let mut first = Box::pin(rounds.next("team", round()));
            assert!(first.as_mut().now_or_never().is_none());
            let mut late: Vec<_> = (0..5).map(|_| Box::pin(rounds.next("team", round()))).collect();
            for waiting in &mut late {
                assert!(waiting.as_mut().now_or_never().is_none());
            }
            let mut other = Box::pin(rounds.next("other", round()));
            assert!(other.as_mut().now_or_never().is_none());
            assert_eq!(made.load(Ordering::Relaxed), 2, "one for each namespace");
            go_on.notify_waiters();
            assert_eq!((first.await, other.await), (outcome, outcome));
            go_on.notify_one();
            assert_eq!(join_all(late).await, [outcome; 5]);
            assert_eq!(made.load(Ordering::Relaxed), 3, "all who came late share one");
        }
    }

    #[tokio::test]
    async fn a_round_that_failed_or_was_given_up_serves_nobody_who_asks_later() {
        let rounds = Rounds::default();
        assert_eq!(rounds.next("team", async { Err("away") }).await, Err("away"));
        assert_eq!(rounds.next("team", async { Ok(()) }).await, Ok(()));
        let mut given_up = Box::pin(rounds.next("team", std::future::pending()));
        assert!(given_up.as_mut().now_or_never().is_none());
        let mut waiting = Box::pin(rounds.next("team", async { Err("refused") }));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(given_up);
        assert_eq!(waiting.await, Err("refused"));
    }
}
