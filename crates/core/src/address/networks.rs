//! The networks that have a purpose of their own, and the IPv4 addresses that stand inside IPv6 addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Says who may be reached in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkKind {
    /// The internet's receivers.
    Public,
    /// Networks that belong to someone, a cluster's among them: its Services and pods have such addresses.
    Internal,
    /// This machine, its neighbours on the same wire, and addresses that belong to nobody.
    NeverReached,
}

use NetworkKind::{Internal, NeverReached, Public};

/// A network with a purpose of its own. Of those that hold an address, the narrowest counts.
pub(super) struct KnownNetwork {
    pub(super) net: IpNet,
    pub(super) kind: NetworkKind,
    /// Completes the sentence "10.0.0.1 is …", with the document that says so: `private (RFC 1918)`.
    pub(super) description: &'static str,
}

pub(super) const NETWORKS: &[KnownNetwork] = &[
    v4(0, 0, 0, 0, 0, Public, "public"),
    v4(0, 0, 0, 0, 8, NeverReached, "unspecified (RFC 791)"),
    v4(10, 0, 0, 0, 8, Internal, "private (RFC 1918)"),
    v4(100, 64, 0, 0, 10, Internal, "shared by a carrier's customers (RFC 6598)"),
    v4(127, 0, 0, 0, 8, NeverReached, "loopback (RFC 1122)"),
    v4(169, 254, 0, 0, 16, NeverReached, "link-local (RFC 3927)"),
    v4(172, 16, 0, 0, 12, Internal, "private (RFC 1918)"),
    v4(192, 0, 0, 0, 24, NeverReached, "for protocols (RFC 6890)"),
    v4(192, 0, 2, 0, 24, NeverReached, "for documentation (RFC 5737)"),
    v4(192, 88, 99, 0, 24, NeverReached, "a relay of 6to4 (RFC 7526)"),
    v4(192, 168, 0, 0, 16, Internal, "private (RFC 1918)"),
    // Some clusters number their pods from this one, and from 240/4.
    v4(198, 18, 0, 0, 15, Internal, "for benchmarks (RFC 2544)"),
    v4(198, 51, 100, 0, 24, NeverReached, "for documentation (RFC 5737)"),
    v4(203, 0, 113, 0, 24, NeverReached, "for documentation (RFC 5737)"),
    v4(224, 0, 0, 0, 4, NeverReached, "multicast (RFC 5771)"),
    v4(240, 0, 0, 0, 4, Internal, "reserved (RFC 1112)"),
    v4(255, 255, 255, 255, 32, NeverReached, "broadcast (RFC 919)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 0, NeverReached, "not assigned (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, NeverReached, "an IPv4-compatible address (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, NeverReached, "unspecified (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, NeverReached, "loopback (RFC 4291)"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, NeverReached, "an IPv4-translated address (RFC 2765)"),
    // How hosts with IPv6 alone reach IPv4: as open as the address inside.
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Public, "public, by NAT64 (RFC 6052)"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, NeverReached, "for a site's own NAT64 (RFC 8215)"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, NeverReached, "for what is discarded (RFC 6666)"),
    v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Public, "public"),
    // Benchmarks (RFC 5180) and ORCHID (RFC 7343) among them.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, NeverReached, "for protocols (RFC 2928)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, NeverReached, "a Teredo address (RFC 4380)"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, NeverReached, "for documentation (RFC 3849)"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, NeverReached, "a 6to4 address (RFC 3056)"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, NeverReached, "for documentation (RFC 9637)"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Internal, "private (RFC 4193)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, NeverReached, "link-local (RFC 4291)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, NeverReached, "site-local (RFC 3879)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, NeverReached, "multicast (RFC 4291)"),
];

/// Where clouds tell a machine its secrets, or take its orders.
pub(super) const METADATA: &[KnownNetwork] = &[
    // 169.254.169.254 nearly everywhere; beside it 169.254.170.2 and .23 (AWS), 169.254.42.42 (Scaleway), 169.254.0.23
    // (Tencent).
    v4(169, 254, 0, 0, 16, NeverReached, "link-local, where clouds have their metadata"),
    v4(100, 100, 100, 200, 32, NeverReached, "Alibaba Cloud's metadata"),
    v4(168, 63, 129, 16, 32, NeverReached, "Azure's metadata"),
    v4(192, 0, 0, 192, 32, NeverReached, "Oracle Cloud's metadata"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32, NeverReached, "AWS's metadata"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, NeverReached, "Google Cloud's metadata"),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, NeverReached, "Scaleway's metadata"),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, NeverReached, "Oracle Cloud's metadata"),
    v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128, NeverReached, "Alibaba Cloud's metadata"),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128, NeverReached, "Akamai's metadata"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, NeverReached, "OpenStack's metadata"),
];

/// Host names of these addresses. A look-up elsewhere, by a proxy for example, may know them too.
const METADATA_HOSTS: &[&str] = &[
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8, kind: NetworkKind, description: &'static str) -> KnownNetwork {
    let net = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length));
    KnownNetwork { net, kind, description }
}

const fn v6(s: [u16; 8], length: u8, kind: NetworkKind, description: &'static str) -> KnownNetwork {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    KnownNetwork { net: IpNet::V6(Ipv6Net::new_assert(address, length)), kind, description }
}

/// The kind of network that an address is in, and the description of that network.
pub(super) fn classify(address: IpAddr) -> (NetworkKind, &'static str) {
    narrowest(NETWORKS, address).map_or((NeverReached, "no address"), |network| (network.kind, network.description))
}

/// The description of the cloud's metadata service at an address, if it is one.
pub(super) fn metadata(address: IpAddr) -> Option<&'static str> {
    narrowest(METADATA, address).map(|network| network.description)
}

/// Whether `host`, in lower case, is a name of a cloud's metadata service.
pub(super) fn is_metadata_host(host: &str) -> bool {
    METADATA_HOSTS.contains(&host)
}

fn narrowest(networks: &'static [KnownNetwork], address: IpAddr) -> Option<&'static KnownNetwork> {
    networks.iter().filter(|network| network.net.contains(&address)).max_by_key(|network| network.net.prefix_len())
}

/// The address, as IPv4 where it only spells one, followed by the IPv4 addresses that routers or tunnels take out of it.
pub(super) fn with_embedded(address: IpAddr) -> Vec<IpAddr> {
    let address = address.to_canonical();
    let IpAddr::V6(outer) = address else { return vec![address] };
    let o = outer.octets();
    let at = |bytes: [usize; 4]| bytes.map(|index| o[index]);
    let last = at([12, 13, 14, 15]);
    let embedded = match outer.segments() {
        // IPv4-compatible; :: and ::1 are no more than themselves.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => vec![last],
        [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        // RFC 6052 puts it in another place for each length that the site's prefix may have.
        [0x64, 0xff9b, 1, ..] => vec![last, at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12])],
        // 6to4.
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo: its server, and its client inverted.
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), last.map(|byte| !byte)],
        _ => Vec::new(),
    };
    // ISATAP (RFC 5214), below any prefix, those above among them.
    let isatap = matches!(outer.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, ..]).then_some(last);
    let embedded = embedded.into_iter().chain(isatap).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    [address].into_iter().chain(embedded).collect()
}
