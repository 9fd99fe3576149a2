//! How many connections and bytes clients may have before anybody knows who they are: in all, and each peer.

use std::net::IpAddr;

use ipnet::IpNet;

use super::peer::is_trusted;

/// What an open connection holds at most beside its requests, in bytes: what was read and not yet parsed, TLS' records, its task.
pub(crate) const CONNECTION: usize = 64 * 1024;

/// What a request holds at most beside its headers, in bytes: its task, its stream, and as much of a body as HTTP/2 takes before
/// anybody reads it.
pub(super) const REQUEST: usize = 8 * 1024 + super::limits::STREAM_WINDOW as usize;

/// What a header holds beside its bytes: its place in the map of them.
const HEADER: usize = 128;

/// One peer gets at most one part in so many of what there is.
const SHARES: usize = 4;

/// Bounds on what is held before it is known who calls.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Connections that may be open at a time.
    pub(crate) connections: usize,
    /// Connections that one peer may have open.
    pub(crate) connections_each: usize,
    /// Bytes of the requests that wait to be let in.
    pub(crate) bytes: usize,
    /// Bytes of those of one peer.
    pub(crate) bytes_each: usize,
    /// Proxies that are trusted: all their clients share their connections, so that they have no share of their own.
    pub(crate) proxies: Vec<IpNet>,
}

impl Bounds {
    /// Bounds that keep to `memory` bytes in all, and to `connections`: half of the memory is for connections, half for
    /// requests. There are always connections for a few peers, and bytes for a few requests of each.
    pub(crate) fn within(memory: usize, connections: usize, proxies: Vec<IpNet>) -> Self {
        let connections = connections.min((memory / 2 / CONNECTION).max(16)).max(1);
        let bytes = (memory / 2).max(16 * (REQUEST + super::limits::MAX_HEADERS as usize));
        Self { connections, connections_each: connections.div_ceil(SHARES), bytes, bytes_each: bytes / SHARES, proxies }
    }

    /// The connections that a peer may have open.
    pub(super) fn connections_of(&self, peer: IpAddr) -> usize {
        if is_trusted(peer, &self.proxies) { self.connections } else { self.connections_each }
    }

    /// The bytes that the waiting requests of a peer may hold.
    pub(super) fn bytes_of(&self, peer: IpAddr) -> usize {
        if is_trusted(peer, &self.proxies) { self.bytes } else { self.bytes_each }
    }
}

/// What a request holds until it is let in, in bytes.
pub(super) fn cost(uri: &http::Uri, headers: &http::HeaderMap) -> usize {
    let target =
        uri.path().len() + uri.query().map_or(0, str::len) + uri.authority().map_or(0, |host| host.as_str().len());
    let headers: usize = headers.iter().map(|(name, value)| HEADER + name.as_str().len() + value.len()).sum();
    REQUEST + target + headers
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Uri};

    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn bounds_follow_the_memory_and_a_peer_gets_a_quarter() {
        // Memory, connections asked for; connections, of a peer, bytes, of a peer.
        for (memory, asked, expected) in [
            (64 * MIB, 512, (512, 128, 32 * MIB, 8 * MIB)),
            (64 * MIB, 10, (10, 3, 32 * MIB, 8 * MIB)),
            (64 * MIB, 1, (1, 1, 32 * MIB, 8 * MIB)),
            (64 * MIB, 0, (1, 1, 32 * MIB, 8 * MIB)),
            (8 * MIB, 512, (64, 16, 4 * MIB, MIB)),
            (0, 512, (16, 4, 896 * 1024, 224 * 1024)),
        ] {
            let bounds = Bounds::within(memory, asked, Vec::new());
            let found = (bounds.connections, bounds.connections_each, bounds.bytes, bounds.bytes_each);
            assert_eq!(found, expected, "{memory} {asked}");
        }
    }

    #[test]
    fn a_trusted_proxy_may_have_what_its_clients_may_have_together() {
        let bounds = Bounds::within(64 * MIB, 512, vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, expected) in [("10.1.2.3", (512, 32 * MIB)), ("11.1.2.3", (128, 8 * MIB))] {
            let peer = peer.parse().unwrap();
            assert_eq!((bounds.connections_of(peer), bounds.bytes_of(peer)), expected, "{peer}");
        }
    }

    #[test]
    fn many_short_headers_cost_more_than_their_bytes() {
        let uri: Uri = "http://host/path?query".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(cost(&uri, &headers), REQUEST + 14);
        headers.insert("a", HeaderValue::from_static("b"));
        headers.append("a", HeaderValue::from_static("cd"));
        headers.insert(HeaderName::from_static("host"), HeaderValue::from_static("api"));
        assert_eq!(cost(&uri, &headers), REQUEST + 14 + 3 * HEADER + 2 + 3 + 7);
    }
}
