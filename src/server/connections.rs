//! The connections that are open, each peer's together: who is let in, and who has to go for that.
//!
//! ```text
//! accepted ─► has the peer its share, or are all places taken? ─┬─► no: a place
//!                                                               ├─► yes, and one of them has no request running: that one ends
//!                                                               └─► yes, and all work: refused, or it waits
//! ```
//! So a flood of connections that say nothing pushes out its own, and a client that asks at once is answered meanwhile. Where one
//! waits for its own peer's, the next ones are accepted meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{bounds::Bounds, idle::RunningRequests, peer::PeerKey};

/// What happens to a connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// It has this place.
    Open(u64),
    /// A connection of another peer is in its way, which has only just been opened: its request may be on the way for so long.
    Settling(Duration),
    /// Its peer has its share, and the oldest that no request uses has only just been opened.
    PeerSettling(Duration),
    /// Its peer has its share, and uses all of it.
    PeerFull,
    /// All places are taken and in use.
    Full,
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A request is running.
    Running,
    /// Nothing, but it was opened only just now: its first request may be on the way for so long.
    Settling(Duration),
    /// Nothing.
    Idle,
}

/// Places of connections, oldest first, by peer. `T` is what is known of a connection.
#[derive(Debug)]
struct Places<T> {
    by_peer: HashMap<PeerKey, BTreeMap<u64, T>>,
    taken: usize,
    next: u64,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { by_peer: HashMap::new(), taken: 0, next: 0 }
    }
}

impl<T> Places<T> {
    /// Gives a place to a connection of `peer`, which may have `share` of the `all` that there are. Where there is none, the
    /// oldest connection that is idle loses its own: one of the same peer where that has its share, else one of the peer
    /// that has most. The second part is that connection. `used` says what a connection is used for.
    fn admit(
        &mut self,
        peer: PeerKey,
        share: usize,
        all: usize,
        connection: T,
        used: impl Fn(&T) -> Use,
    ) -> (Admission, Option<T>) {
        let has = self.by_peer.get(&peer).map_or(0, BTreeMap::len);
        let evicted = if has >= share && share < all {
            match self.oldest_unused(peer, &used) {
                Some((place, Duration::ZERO)) => self.leave(peer, place),
                Some((_, settling)) => return (Admission::PeerSettling(settling), None),
                None => return (Admission::PeerFull, None),
            }
        } else if self.taken >= all {
            let mut peers: Vec<_> = self.by_peer.iter().map(|(peer, places)| (places.len(), *peer)).collect();
            peers.sort_unstable_by(|one, other| other.cmp(one));
            let unused = peers.into_iter().find_map(|(_, peer)| Some((peer, self.oldest_unused(peer, &used)?)));
            match unused {
                Some((peer, (place, Duration::ZERO))) => self.leave(peer, place),
                Some((_, (_, settling))) => return (Admission::Settling(settling), None),
                None => return (Admission::Full, None),
            }
        } else {
            None
        };
        let place = self.next;
        self.next += 1;
        self.taken += 1;
        self.by_peer.entry(peer).or_default().insert(place, connection);
        (Admission::Open(place), evicted)
    }

    /// The oldest connection of a peer that no request uses, and for how long it must not be taken.
    fn oldest_unused(&self, peer: PeerKey, used: impl Fn(&T) -> Use) -> Option<(u64, Duration)> {
        self.by_peer.get(&peer)?.iter().find_map(|(place, connection)| match used(connection) {
            Use::Running => None,
            Use::Settling(longer) => Some((*place, longer)),
            Use::Idle => Some((*place, Duration::ZERO)),
        })
    }

    /// Gives a place back; None if it was given back already.
    fn leave(&mut self, peer: PeerKey, place: u64) -> Option<T> {
        let places = self.by_peer.get_mut(&peer)?;
        let left = places.remove(&place)?;
        if places.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.taken -= 1;
        Some(left)
    }
}

/// What is known of an open connection.
#[derive(Debug)]
struct Open {
    opened: Instant,
    requests: Arc<RunningRequests>,
    evicted: CancellationToken,
}

impl Open {
    /// What it is used for at `now`; it takes up to `settle` until the first request is there.
    fn used(&self, now: Instant, settle: Duration) -> Use {
        let settling = settle.saturating_sub(now.saturating_duration_since(self.opened));
        match (self.requests.any(), self.requests.had_any()) {
            (true, _) => Use::Running,
            (false, false) if !settling.is_zero() => Use::Settling(settling),
            (false, _) => Use::Idle,
        }
    }
}

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    bounds: Bounds,
    /// How long the first request of a connection may be on the way before its place may be another's.
    settle: Duration,
    places: Mutex<Places<Open>>,
    /// How many connections wait for others of their peer to settle.
    waiting: AtomicUsize,
    /// Told of each place that is given back, and of each request that ends.
    freed: Arc<Notify>,
}

/// A connection may not be open: its peer has its share.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PeerFull;

impl Connections {
    pub(super) fn new(bounds: Bounds, settle: Duration) -> Arc<Self> {
        let (places, waiting, freed) = Default::default();
        Arc::new(Self { bounds, settle, places, waiting, freed })
    }

    /// Takes a place for a connection of `address`, or lets it wait for others of the same peer. Where all places are taken and in
    /// use, it comes back when one is given back; `full` is called once then.
    ///
    /// # Errors
    /// The peer has its share, and uses all of it; or too many wait for theirs.
    pub(super) async fn admit(self: &Arc<Self>, address: IpAddr, full: impl FnOnce()) -> Result<Entry, PeerFull> {
        let mut full = Some(full);
        loop {
            let freed = self.freed.notified();
            match self.take(address) {
                Ok(place) => return Ok(Entry::Open(place)),
                Err(Admission::PeerSettling(_)) => return self.wait(address).map(Entry::Waiting),
                // A request that ends before may make room.
                Err(Admission::Settling(longer)) => {
                    let _ = timeout(longer, freed).await;
                }
                Err(Admission::Full) => {
                    if let Some(full) = full.take() {
                        full();
                    }
                    freed.await;
                }
                Err(Admission::Open(_) | Admission::PeerFull) => return Err(PeerFull),
            }
        }
    }

    /// Takes a place at once, or says why not.
    fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Admission> {
        let (peer, share) = (PeerKey::from(address), self.bounds.connections_of(address));
        let now = Instant::now();
        let (requests, evicted) = (RunningRequests::new(now, Arc::clone(&self.freed)), CancellationToken::new());
        let open = Open { opened: now, requests: Arc::clone(&requests), evicted: evicted.clone() };
        let used = |open: &Open| open.used(now, self.settle);
        let (admission, loser) = self.places.lock().admit(peer, share, self.bounds.connections, open, used);
        if let Some(loser) = loser {
            loser.evicted.cancel();
        }
        match admission {
            Admission::Open(place) => Ok(Place { connections: Arc::clone(self), peer, place, requests, evicted }),
            refused => Err(refused),
        }
    }

    /// Lets a connection wait for others of its peer; as many may as may be open.
    fn wait(self: &Arc<Self>, address: IpAddr) -> Result<Waiting, PeerFull> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { connections: Arc::clone(self), address };
        if before < self.bounds.connections { Ok(waiting) } else { Err(PeerFull) }
    }
}

/// What an accepted connection gets.
#[derive(Debug)]
pub(super) enum Entry {
    Open(Place),
    Waiting(Waiting),
}

impl Entry {
    /// Waits until the connection has its place.
    pub(super) async fn place(self) -> Place {
        match self {
            Self::Open(place) => place,
            Self::Waiting(waiting) => waiting.place().await,
        }
    }
}

/// A connection that waits for others of its peer, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Waiting {
    async fn place(self) -> Place {
        loop {
            let freed = self.connections.freed.notified();
            match self.connections.take(self.address) {
                Ok(place) => return place,
                Err(Admission::PeerSettling(longer) | Admission::Settling(longer)) => {
                    let _ = timeout(longer, freed).await;
                }
                Err(_) => freed.await,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.connections.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a connection, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    peer: PeerKey,
    place: u64,
    /// The requests of the connection.
    pub(super) requests: Arc<RunningRequests>,
    /// Cancelled when another connection has got the place.
    pub(super) evicted: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.connections.places.lock().leave(self.peer, self.place);
        self.connections.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerKey {
        IpAddr::from([10, 0, 0, number]).into()
    }

    /// A connection of a test: its name, and what it is used for.
    type Connection = (&'static str, Use);

    const IDLE: Use = Use::Idle;
    const RUNS: Use = Use::Running;
    const SETTLING: Use = Use::Settling(Duration::from_millis(7));

    #[test]
    fn who_has_most_gives_way_and_nobody_whose_request_runs() {
        const ALL: usize = 4;
        const SHARE: usize = 3;
        type Step = (u8, Connection, Result<Option<&'static str>, Admission>);
        let cases: [(&str, Vec<Step>); 7] = [
            ("room for all", vec![(1, ("a", IDLE), Ok(None)), (2, ("b", IDLE), Ok(None)), (1, ("c", IDLE), Ok(None))]),
            (
                "a flood of one peer pushes out its own, the oldest first",
                vec![
                    (1, ("a", IDLE), Ok(None)),
                    (1, ("b", IDLE), Ok(None)),
                    (1, ("c", IDLE), Ok(None)),
                    (1, ("d", IDLE), Ok(Some("a"))),
                    (1, ("e", IDLE), Ok(Some("b"))),
                    (2, ("f", IDLE), Ok(None)),
                ],
            ),
            (
                "a peer whose requests all run has no more than its share",
                vec![
                    (1, ("a", RUNS), Ok(None)),
                    (1, ("b", RUNS), Ok(None)),
                    (1, ("c", RUNS), Ok(None)),
                    (1, ("d", IDLE), Err(Admission::PeerFull)),
                    (2, ("e", IDLE), Ok(None)),
                ],
            ),
            (
                "where all places are taken, the peer with most of them gives way",
                vec![
                    (1, ("a", RUNS), Ok(None)),
                    (1, ("b", IDLE), Ok(None)),
                    (1, ("c", IDLE), Ok(None)),
                    (2, ("d", IDLE), Ok(None)),
                    (3, ("e", IDLE), Ok(Some("b"))),
                    (2, ("f", RUNS), Ok(Some("c"))),
                ],
            ),
            (
                "the oldest of a peer is waited for where it was only just opened",
                vec![
                    (1, ("a", SETTLING), Ok(None)),
                    (1, ("b", SETTLING), Ok(None)),
                    (1, ("c", IDLE), Ok(None)),
                    (1, ("d", IDLE), Err(Admission::PeerSettling(Duration::from_millis(7)))),
                ],
            ),
            (
                "where all places are taken, one that was only just opened is waited for too",
                vec![
                    (1, ("a", RUNS), Ok(None)),
                    (1, ("b", SETTLING), Ok(None)),
                    (2, ("c", RUNS), Ok(None)),
                    (2, ("d", RUNS), Ok(None)),
                    (3, ("e", IDLE), Err(Admission::Settling(Duration::from_millis(7)))),
                ],
            ),
            (
                "where all work, it waits",
                vec![
                    (1, ("a", RUNS), Ok(None)),
                    (1, ("b", RUNS), Ok(None)),
                    (2, ("c", RUNS), Ok(None)),
                    (3, ("d", RUNS), Ok(None)),
                    (4, ("e", IDLE), Err(Admission::Full)),
                ],
            ),
        ];
        for (case, steps) in cases {
            let mut places = Places::default();
            for (number, connection, expected) in steps {
                let (admission, evicted) =
                    places.admit(peer(number), SHARE, ALL, connection, |(_, used): &Connection| *used);
                let found = match admission {
                    Admission::Open(_) => Ok(evicted.map(|(name, _)| name)),
                    refused => Err(refused),
                };
                assert_eq!(found, expected, "{case}: {}", connection.0);
            }
        }
    }

    #[test]
    fn a_place_is_given_back_once() {
        let mut places = Places::default();
        let (admission, _) = places.admit(peer(1), 1, 1, "a", |_| IDLE);
        let Admission::Open(first) = admission else { panic!("{admission:?}") };
        let (admission, evicted) = places.admit(peer(1), 1, 1, "b", |_| IDLE);
        assert_eq!(evicted, Some("a"));
        assert_eq!((places.leave(peer(1), first), places.taken), (None, 1), "the evicted one has no place any more");
        let Admission::Open(second) = admission else { panic!("{admission:?}") };
        assert_eq!((places.leave(peer(1), second), places.taken, places.by_peer.len()), (Some("b"), 0, 0));
    }
}
