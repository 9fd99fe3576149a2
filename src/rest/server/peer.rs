//! The client's side of a connection.

use std::net::SocketAddr;

/// Where a request comes from, and whether over TLS: an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peer {
    /// Where the connection comes from: a client or the last proxy. IPv4 is never written as IPv6.
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}
