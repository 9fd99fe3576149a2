//! Bounds on asking the API server about tokens that it has not taken so far: anybody can make such tokens up, as many as he
//! likes.
//!
//! ```text
//! a token that nobody knows ─► has its peer been refused too often? ─► the peer's turn ─► the turn of all ─► TokenReview
//!                                           └─► 429                        └─► 503, where too many wait
//! ```

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::limit::{self, RateLimiter};
use crate::{rest::error::ApiError, server::PeerKey};

/// Bounds on questions about tokens that nobody knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrangerLimits {
    /// Questions that are under way at a time; and of one peer.
    pub(crate) in_flight: (usize, usize),
    /// Questions in a second; and of one peer.
    pub(crate) per_second: (usize, usize),
    /// Calls of one peer that wait for their turn, or have it, at a time.
    pub(crate) waiting_each: usize,
    /// Refusals of one peer in a minute, after which nobody is asked about tokens that it brings.
    pub(crate) refusals_each: usize,
}

impl Default for StrangerLimits {
    fn default() -> Self {
        Self { in_flight: (8, 4), per_second: (40, 10), waiting_each: 32, refusals_each: 30 }
    }
}

/// Gives turns to ask about tokens that nobody knows.
#[derive(Debug)]
pub(crate) struct Strangers {
    limits: StrangerLimits,
    in_flight: Arc<Semaphore>,
    all: RateLimiter<()>,
    each: RateLimiter<PeerKey>,
    refusals: RateLimiter<PeerKey>,
    queues: Mutex<HashMap<PeerKey, Queue>>,
}

/// The calls of one peer that wait or have a turn.
#[derive(Debug)]
struct Queue {
    calls: usize,
    turns: Arc<Semaphore>,
}

/// A turn to ask, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _of_all: OwnedSemaphorePermit,
    _of_peer: OwnedSemaphorePermit,
    _queued: Queued<'a>,
}

impl Strangers {
    pub(crate) fn new(limits: StrangerLimits) -> Self {
        let second = Duration::from_secs(1);
        Self {
            limits,
            in_flight: Arc::new(Semaphore::new(limits.in_flight.0)),
            all: RateLimiter::new(limits.per_second.0, second),
            each: RateLimiter::new(limits.per_second.1, second),
            refusals: RateLimiter::new(limits.refusals_each, limit::MINUTE),
            queues: Mutex::default(),
        }
    }

    /// Waits for a turn of `peer`.
    ///
    /// # Errors
    /// The peer has been refused too often (429), or too many of its calls wait (503).
    pub(crate) async fn turn(&self, peer: PeerKey) -> Result<Turn<'_>, ApiError> {
        self.not_refused_too_often(peer)?;
        let queued = self.queue(peer)?;
        // No semaphore of these is ever closed.
        let closed = |_| ApiError::internal();
        let of_peer = Arc::clone(&queued.turns).acquire_owned().await.map_err(closed)?;
        // Those before it may have been refused.
        self.not_refused_too_often(peer)?;
        while let Err(wait) = self.each.call(peer, Instant::now()) {
            sleep(wait).await;
        }
        while let Err(wait) = self.all.call((), Instant::now()) {
            sleep(wait).await;
        }
        let of_all = Arc::clone(&self.in_flight).acquire_owned().await.map_err(closed)?;
        Ok(Turn { _of_all: of_all, _of_peer: of_peer, _queued: queued })
    }

    /// Counts that a token of `peer` was refused.
    pub(crate) fn refused(&self, peer: PeerKey) {
        // More than the limit says nothing new.
        let _ = self.refusals.call(peer, Instant::now());
    }

    fn not_refused_too_often(&self, peer: PeerKey) -> Result<(), ApiError> {
        let wait = self.refusals.room(&peer, Instant::now());
        wait.map_err(|wait| ApiError::throttled(limit::seconds(wait)))
    }

    fn queue(&self, peer: PeerKey) -> Result<Queued<'_>, ApiError> {
        let mut queues = self.queues.lock();
        let queue = queues
            .entry(peer)
            .or_insert_with(|| Queue { calls: 0, turns: Arc::new(Semaphore::new(self.limits.in_flight.1)) });
        if queue.calls >= self.limits.waiting_each {
            let detail = "Too many Kubernetes tokens wait to be checked: try again.";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1));
        }
        queue.calls += 1;
        Ok(Queued { strangers: self, peer, turns: Arc::clone(&queue.turns) })
    }
}

/// A call that waits for its turn, or has it.
#[derive(Debug)]
struct Queued<'a> {
    strangers: &'a Strangers,
    peer: PeerKey,
    turns: Arc<Semaphore>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut queues = self.strangers.queues.lock();
        if let Some(queue) = queues.get_mut(&self.peer) {
            queue.calls -= 1;
            if queue.calls == 0 {
                queues.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(number: u8) -> PeerKey {
        IpAddr::from([10, 0, 0, number]).into()
    }

    fn limits() -> StrangerLimits {
        StrangerLimits { in_flight: (3, 2), per_second: (1000, 1000), waiting_each: 3, refusals_each: 2 }
    }

    fn status(turn: &Result<Turn<'_>, ApiError>) -> u16 {
        turn.as_ref().map_or_else(|error| error.status.as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn a_peer_has_its_turns_and_its_queue_and_leaves_the_others_theirs() {
        let strangers = Strangers::new(limits());
        let first = strangers.turn(peer(1)).await;
        let second = strangers.turn(peer(1)).await;
        assert_eq!((status(&first), status(&second)), (200, 200));
        let mut third = Box::pin(strangers.turn(peer(1)));
        assert!(futures::poll!(&mut third).is_pending(), "it waits for one of its peer");
        assert_eq!(status(&strangers.turn(peer(1)).await), 503, "so many wait already");
        let other = strangers.turn(peer(2)).await;
        assert_eq!(status(&other), 200);
        let mut next = Box::pin(strangers.turn(peer(3)));
        assert!(futures::poll!(&mut next).is_pending(), "all turns are taken");
        drop(first);
        assert_eq!(status(&next.await), 200);
        drop((second, other));
        assert_eq!(status(&third.await), 200);
        assert_eq!(strangers.queues.lock().len(), 0, "those without calls are forgotten");
    }

    #[tokio::test]
    async fn a_peer_that_was_refused_too_often_has_no_turn_and_neither_has_what_it_queued() {
        let strangers = Strangers::new(StrangerLimits { in_flight: (3, 1), ..limits() });
        let first = strangers.turn(peer(1)).await;
        let mut second = Box::pin(strangers.turn(peer(1)));
        assert!(futures::poll!(&mut second).is_pending());
        for _ in 0..2 {
            strangers.refused(peer(1));
        }
        assert_eq!(status(&strangers.turn(peer(1)).await), 429);
        drop(first);
        let error = second.await.expect_err("it was queued before");
        assert_eq!(error, ApiError::throttled(error.retry_after.unwrap()));
        assert!((1..=60).contains(&error.retry_after.unwrap()), "{error:?}");
        assert_eq!(status(&strangers.turn(peer(2)).await), 200);
    }

    #[tokio::test]
    async fn turns_come_at_the_pace_of_a_peer_and_of_all() {
        let limits = StrangerLimits { in_flight: (100, 100), per_second: (3, 2), waiting_each: 100, refusals_each: 9 };
        let strangers = Strangers::new(limits);
        for (number, waits) in [(1, false), (1, false), (1, true), (2, false), (2, true), (3, true)] {
            let mut turn = Box::pin(strangers.turn(peer(number)));
            assert_eq!(futures::poll!(&mut turn).is_pending(), waits, "{number}");
        }
    }
}
