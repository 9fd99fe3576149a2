//! Bounds the bytes of the requests that wait to be let in. A request that is let in counts no more: its caller has limits of its
//! own.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use super::{bounds::Bounds, peer::PeerKey};

/// Counts the bytes of requests that nobody has let in yet.
#[derive(Debug)]
pub(super) struct Gate {
    bounds: Bounds,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_peer: HashMap<PeerKey, usize>,
}

impl Held {
    /// Takes `bytes` if then all hold at most `all`, and the peer at most `share`.
    fn take(&mut self, peer: PeerKey, bytes: usize, share: usize, all: usize) -> bool {
        let own = self.by_peer.get(&peer).copied().unwrap_or_default();
        if self.all + bytes > all || own + bytes > share {
            return false;
        }
        self.all += bytes;
        self.by_peer.insert(peer, own + bytes);
        true
    }

    fn give_back(&mut self, peer: PeerKey, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(own) = self.by_peer.get_mut(&peer) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }
}

impl Gate {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, held: Mutex::default() })
    }

    /// Counts a request of so many bytes; None if there is no room for it.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, bytes: usize) -> Option<Waiting> {
        let (peer, share) = (PeerKey::from(address), self.bounds.bytes_of(address));
        let taken = self.held.lock().take(peer, bytes, share, self.bounds.bytes);
        taken.then(|| Waiting(Arc::new(Share { gate: Arc::clone(self), peer, bytes })))
    }
}

/// A request that waits to be let in: an extension of each request. Whoever lets it in takes it out; with the last clone its
/// bytes are given back.
#[derive(Clone, Debug)]
pub(crate) struct Waiting(#[expect(dead_code, reason = "it is kept for what its end does")] Arc<Share>);

#[derive(Debug)]
struct Share {
    gate: Arc<Gate>,
    peer: PeerKey,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gate.held.lock().give_back(self.peer, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_all_and_for_each_peer_until_it_is_let_in() {
        let bounds = Bounds {
            connections: 1,
            connections_each: 1,
            bytes: 100,
            bytes_each: 60,
            proxies: vec!["10.9.0.0/16".parse().unwrap()],
        };
        let gate = Gate::new(bounds);
        let take = |peer: [u8; 4], bytes| gate.take(IpAddr::from(peer), bytes);
        let first = take([10, 0, 0, 1], 40);
        assert!(first.is_some());
        assert!(take([10, 0, 0, 1], 21).is_none(), "the peer has its share");
        assert!(take([10, 0, 0, 2], 61).is_none(), "no request is larger than a share");
        let second = take([10, 0, 0, 2], 60);
        assert!(second.is_some());
        assert!(take([10, 0, 0, 3], 1).is_none(), "all is taken");
        drop(second);
        let proxied = take([10, 9, 0, 1], 60);
        assert!(proxied.is_some() && take([10, 9, 0, 1], 1).is_none(), "a proxy has no share, but the bound on all");
        let copy = first.clone();
        drop(first);
        assert!(take([10, 0, 0, 1], 21).is_none(), "it still waits");
        drop((copy, proxied));
        let held = gate.held.lock();
        assert_eq!((held.all, held.by_peer.len()), (0, 0), "those that have nothing are forgotten");
    }
}
