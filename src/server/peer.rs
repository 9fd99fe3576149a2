//! The client's side of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Where a request comes from, and whether over TLS: an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peer {
    /// Where the connection comes from: a client or the last proxy. IPv4 is never written as IPv6.
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}

/// Whose connections and requests count together: an IPv4 address, or a /64 of IPv6, of which one machine has every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerKey(IpAddr);

/// The bits of an IPv6 address that tell one site from another.
const SITE: u128 = !(u64::MAX as u128);

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SITE)),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Whether an address belongs to a proxy that is trusted, through which many clients come.
pub(crate) fn is_trusted(address: IpAddr, proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_counts_alone_and_ipv6_addresses_by_their_first_64_bits() {
        let key = |text: &str| PeerKey::from(text.parse::<IpAddr>().unwrap());
        for (one, other, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("2001:db8::1", "2001:db8::ffff:0:0:2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(key(one) == key(other), same, "{one} {other}");
        }
    }
}
