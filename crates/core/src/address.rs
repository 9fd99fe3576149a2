//! A namespace, a host and the address it stands for in; whether a request may go there, out.
//!
//! ```text
//! address ─► canonical ─┬─► itself ────────────────┐    guarded: only by its own /32 or /128, or its own name
//!                       └─► IPv4 addresses in it ──┴──► else the table of networks, and what is allowed on top
//! ```
//! Each address counts by itself: what names it (a literal, a DNS answer, a redirect) makes no difference, but for the
//! hosts that are allowed. Guarded are the cluster's API server, the metadata of clouds and what the configuration closes.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

/// What a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetworkKind {
    /// The internet's receivers.
    Public,
    /// Networks that belong to someone, a cluster's among them: its Services and pods have such addresses.
    Internal,
    /// This machine, what is on the same wire, and what is nobody's.
    NeverReached,
}

/// A network, what it is for, and what it is, with the document that says so. The narrowest that holds an address counts.
struct KnownNetwork(IpNet, NetworkKind, &'static str);

const NETWORKS: &[KnownNetwork] = &[
    v4(0, 0, 0, 0, 0, NetworkKind::Public, "public"),
    v4(0, 0, 0, 0, 8, NetworkKind::NeverReached, "unspecified (RFC 791)"),
    v4(10, 0, 0, 0, 8, NetworkKind::Internal, "private (RFC 1918)"),
    v4(100, 64, 0, 0, 10, NetworkKind::Internal, "shared by a carrier's customers (RFC 6598)"),
    v4(127, 0, 0, 0, 8, NetworkKind::NeverReached, "loopback (RFC 1122)"),
    v4(169, 254, 0, 0, 16, NetworkKind::NeverReached, "link-local (RFC 3927)"),
    v4(172, 16, 0, 0, 12, NetworkKind::Internal, "private (RFC 1918)"),
    v4(192, 0, 0, 0, 24, NetworkKind::NeverReached, "for protocols (RFC 6890)"),
    v4(192, 0, 2, 0, 24, NetworkKind::NeverReached, "for documentation (RFC 5737)"),
    v4(192, 88, 99, 0, 24, NetworkKind::NeverReached, "a relay of 6to4 (RFC 7526)"),
    v4(192, 168, 0, 0, 16, NetworkKind::Internal, "private (RFC 1918)"),
    // Some clusters number their pods from this one, and from 240/4.
    v4(198, 18, 0, 0, 15, NetworkKind::Internal, "for benchmarks (RFC 2544)"),
    v4(198, 51, 100, 0, 24, NetworkKind::NeverReached, "for documentation (RFC 5737)"),
    v4(203, 0, 113, 0, 24, NetworkKind::NeverReached, "for documentation (RFC 5737)"),
    v4(224, 0, 0, 0, 4, NetworkKind::NeverReached, "multicast (RFC 5771)"),
    v4(240, 0, 0, 0, 4, NetworkKind::Internal, "reserved (RFC 1112)"),
    v4(255, 255, 255, 255, 32, NetworkKind::NeverReached, "broadcast (RFC 919)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 0, NetworkKind::NeverReached, "not assigned (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, NetworkKind::NeverReached, "an IPv4-compatible address (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, NetworkKind::NeverReached, "unspecified (RFC 4291)"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, NetworkKind::NeverReached, "loopback (RFC 4291)"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, NetworkKind::NeverReached, "an IPv4-translated address (RFC 2765)"),
    // How hosts with IPv6 alone reach IPv4: as open as the address inside.
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, NetworkKind::Public, "public, by NAT64 (RFC 6052)"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, NetworkKind::NeverReached, "for a site's own NAT64 (RFC 8215)"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, NetworkKind::NeverReached, "for what is discarded (RFC 6666)"),
    v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, NetworkKind::Public, "public"),
    // Benchmarks (RFC 5180) and ORCHID (RFC 7343) among them.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, NetworkKind::NeverReached, "for protocols (RFC 2928)"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, NetworkKind::NeverReached, "a Teredo address (RFC 4380)"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, NetworkKind::NeverReached, "for documentation (RFC 3849)"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, NetworkKind::NeverReached, "a 6to4 address (RFC 3056)"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, NetworkKind::NeverReached, "for documentation (RFC 9637)"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, NetworkKind::Internal, "private (RFC 4193)"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, NetworkKind::NeverReached, "link-local (RFC 4291)"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, NetworkKind::NeverReached, "site-local (RFC 3879)"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, NetworkKind::NeverReached, "multicast (RFC 4291)"),
];

/// Where clouds tell a machine its secrets, or take its orders.
const METADATA: &[KnownNetwork] = &[
    // 169.254.169.254 nearly everywhere; beside it 169.254.170.2 and .23 (AWS), 169.254.42.42 (Scaleway), 169.254.0.23
    // (Tencent).
    v4(169, 254, 0, 0, 16, NetworkKind::NeverReached, "link-local, where clouds have their metadata"),
    v4(100, 100, 100, 200, 32, NetworkKind::NeverReached, "Alibaba Cloud's metadata"),
    v4(168, 63, 129, 16, 32, NetworkKind::NeverReached, "Azure's metadata"),
    v4(192, 0, 0, 192, 32, NetworkKind::NeverReached, "Oracle Cloud's metadata"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32, NetworkKind::NeverReached, "AWS's metadata"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, NetworkKind::NeverReached, "Google Cloud's metadata"),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, NetworkKind::NeverReached, "Scaleway's metadata"),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, NetworkKind::NeverReached, "Oracle Cloud's metadata"),
    v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128, NetworkKind::NeverReached, "Alibaba Cloud's metadata"),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128, NetworkKind::NeverReached, "Akamai's metadata"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, NetworkKind::NeverReached, "OpenStack's metadata"),
];

/// Names of the same, for whoever looks them up elsewhere.
const METADATA_HOSTS: &[&str] = &[
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
];

const API_SERVER: &str = "the cluster's API server";
const CLOSED: &str = "closed by the operator's configuration";

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8, used: NetworkKind, what: &'static str) -> KnownNetwork {
    KnownNetwork(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)), used, what)
}

const fn v6(s: [u16; 8], length: u8, used: NetworkKind, what: &'static str) -> KnownNetwork {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    KnownNetwork(IpNet::V6(Ipv6Net::new_assert(address, length)), used, what)
}

/// An address to which no request may go, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}")]
pub struct RefusedAddress {
    /// The address, or the one inside it.
    pub address: IpAddr,
    /// What it is, such as `private (RFC 1918)`.
    pub what: &'static str,
}

/// A network that may be sent to, from all namespaces or one: `[NAMESPACE=]CIDR`, or one address without its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddress {
    namespace: Option<String>,
    net: IpNet,
}

/// A host that may be sent to, with all below it, from all namespaces or one: `[NAMESPACE=]SUFFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    namespace: Option<String>,
    /// In lower case and ASCII, without a dot at its ends.
    suffix: String,
}

impl FromStr for AllowedAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, text) = of_namespace(text)?;
        Ok(Self { namespace, net: parse_network(text)? })
    }
}

/// Reads a network such as `10.1.0.0/16`, or one address.
///
/// # Errors
/// It is none. Says so.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let net: IpNet = match text.parse() {
        Ok(net) => net,
        Err(_) => text
            .parse::<IpAddr>()
            .map(IpNet::from)
            .map_err(|_| format!("{text:?} is no network such as 10.1.0.0/16 or fd00:1::/64"))?,
    };
    if net.trunc() != net {
        return Err(format!("{net} is an address and a length: the network is {}", net.trunc()));
    }
    if matches!(net, IpNet::V6(net) if net.prefix_len() >= 96 && net.addr().to_ipv4_mapped().is_some()) {
        return Err(format!("{net} stands for IPv4 addresses: give the IPv4 network"));
    }
    Ok(net)
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, text) = of_namespace(text)?;
        Ok(Self { namespace, suffix: parse_host_suffix(text)? })
    }
}

/// Reads a host that stands for itself and for all below it.
///
/// # Errors
/// It is none. Says so.
pub fn parse_host_suffix(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("*.") || text.starts_with('.') {
        let rest = text.trim_start_matches(['*', '.']);
        return Err(format!("{text:?}: {rest:?} stands for itself and for all below it"));
    }
    match Host::parse(text.strip_suffix('.').unwrap_or(text)) {
        Ok(Host::Domain(suffix)) if is_name(&suffix) => Ok(suffix),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err(format!("{text:?} is an address: give it as one")),
        _ => Err(format!("{text:?} is no host name such as example.com")),
    }
}

/// The namespace before `=`, and what comes after it.
fn of_namespace(text: &str) -> Result<(Option<String>, &str), String> {
    match text.trim().split_once('=') {
        None => Ok((None, text.trim())),
        Some((namespace, rest)) if is_label(namespace) => Ok((Some(namespace.to_owned()), rest)),
        Some((namespace, _)) => Err(format!("{namespace:?} is no name of a namespace")),
    }
}

/// Whether it is what Kubernetes takes as the name of a namespace (RFC 1123).
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether it is labels of letters, digits, hyphens and underscores.
fn is_name(text: &str) -> bool {
    let of_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(of_label))
}

/// Reads the domain of a cluster, such as `cluster.local`.
///
/// # Errors
/// It is no domain. Says so.
pub fn parse_cluster_domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches('.').to_ascii_lowercase();
    if is_name(&domain) { Ok(domain) } else { Err(format!("{text:?} is no domain such as cluster.local")) }
}

/// What may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    anything: bool,
    addresses: Vec<AllowedAddress>,
    hosts: Vec<AllowedHost>,
    /// Whether a namespace's Services may be sent to from there.
    own_services: bool,
    cluster_domain: String,
    closed_addresses: Vec<IpNet>,
    /// In lower case and ASCII, each with all below it.
    closed_hosts: Vec<String>,
    api_server_addresses: BTreeSet<IpAddr>,
    api_server_hosts: BTreeSet<String>,
}

impl AddressPolicy {
    /// Public addresses, and the Services of a webhook's own namespace, in a cluster of this domain.
    pub fn new(cluster_domain: &str) -> Self {
        Self {
            anything: false,
            addresses: Vec::new(),
            hosts: Vec::new(),
            own_services: true,
            api_server_hosts: ["kubernetes.default.svc".to_owned(), format!("kubernetes.default.svc.{cluster_domain}")]
                .into(),
            cluster_domain: cluster_domain.to_owned(),
            closed_addresses: Vec::new(),
            closed_hosts: Vec::new(),
            api_server_addresses: BTreeSet::new(),
        }
    }

    /// Every address: what a person's own program may reach is not ours to say.
    pub fn unrestricted() -> Self {
        Self { anything: true, ..Self::new("cluster.local") }
    }

    /// These on top.
    #[must_use]
    pub fn allow(mut self, addresses: Vec<AllowedAddress>, hosts: Vec<AllowedHost>) -> Self {
        self.addresses.extend(addresses);
        self.hosts.extend(hosts);
        self
    }

    /// Not the Services of a webhook's own namespace.
    #[must_use]
    pub fn deny_own_services(mut self) -> Self {
        self.own_services = false;
        self
    }

    /// Not these, whatever is open otherwise, unless they are named one by one.
    #[must_use]
    pub fn close(mut self, addresses: Vec<IpNet>, hosts: Vec<String>) -> Self {
        self.closed_addresses.extend(addresses);
        self.closed_hosts.extend(hosts);
        self
    }

    /// Not the cluster's API server, which has these addresses and names among others.
    #[must_use]
    pub fn guard_api_server<'a>(
        mut self,
        addresses: impl IntoIterator<Item = IpAddr>,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.api_server_addresses.extend(addresses.into_iter().map(|address| address.to_canonical()));
        self.api_server_hosts.extend(hosts.into_iter().map(normal));
        self
    }

    /// The namespace, if what may be sent to `host` from there depends on it. All that is the same for every namespace is
    /// judged with none, and connections to there may be shared.
    pub fn scope<'a>(&self, namespace: &'a str, host: Option<&str>) -> Option<&'a str> {
        let is_own = |of: &Option<String>| of.as_deref() == Some(namespace);
        let depends = self.addresses.iter().any(|allowed| is_own(&allowed.namespace))
            || self.hosts.iter().any(|allowed| is_own(&allowed.namespace))
            || host.is_some_and(|host| self.own_service(namespace, host).is_some());
        depends.then_some(namespace)
    }

    /// Whether a request of `namespace` may go to this address. `host` is the name that stands for it; None where the
    /// URL has the address itself. `is_service` says that the name is an [own Service](Self::own_service), and that the
    /// address is the Service's, or that of something behind it.
    ///
    /// # Errors
    /// It may not.
    pub fn judge(
        &self,
        namespace: Option<&str>,
        host: Option<&str>,
        address: IpAddr,
        is_service: bool,
    ) -> Result<(), RefusedAddress> {
        let host = host.map(normal);
        let host = host.as_deref();
        let by_host = host.is_some_and(|host| self.hosts_of(namespace).any(|suffix| is_below(host, suffix)));
        self.each(address, |address| {
            if let Some(what) = self.guard(namespace, host, address) {
                return Err(what);
            }
            let (used, what) = narrowest(NETWORKS, address)
                .map_or((NetworkKind::NeverReached, "no address"), |KnownNetwork(_, used, what)| (*used, what));
            let allowed = match used {
                NetworkKind::Public => true,
                NetworkKind::Internal if is_service => true,
                NetworkKind::Internal | NetworkKind::NeverReached => {
                    by_host || self.networks_of(namespace).any(|network| network.contains(&address))
                }
            };
            if allowed { Ok(()) } else { Err(what) }
        })
    }

    /// Whether a Service of `namespace` may lead to this address.
    ///
    /// # Errors
    /// It may not: the address is guarded.
    pub fn judge_endpoint(&self, namespace: &str, address: IpAddr) -> Result<(), RefusedAddress> {
        self.each(address, |address| self.guard(Some(namespace), None, address).map_or(Ok(()), Err))
    }

    /// Asks of the address, and of those inside it.
    fn each(&self, address: IpAddr, judge: impl Fn(IpAddr) -> Result<(), &'static str>) -> Result<(), RefusedAddress> {
        if self.anything {
            return Ok(());
        }
        let judge = |address| judge(address).map_err(|what| RefusedAddress { address, what });
        with_embedded(address).into_iter().try_for_each(judge)
    }

    /// Why an address stays closed, if it does: it is guarded, or its name is, which is [`normal`], and that one is not named.
    fn guard(&self, namespace: Option<&str>, host: Option<&str>, address: IpAddr) -> Option<&'static str> {
        let unnamed = |host: &str| !self.is_named(namespace, host);
        if host.is_some_and(|host| self.is_closed(host) && unnamed(host)) {
            return Some(CLOSED);
        }
        if self.networks_of(namespace).any(|network| network == IpNet::from(address)) {
            return None;
        }
        let by_address = || self.api_server_addresses.contains(&address);
        if host.filter(|host| self.api_server_hosts.contains(*host)).map_or_else(by_address, unnamed) {
            return Some(API_SERVER);
        }
        if self.closed_addresses.iter().any(|network| network.contains(&address)) {
            return Some(CLOSED);
        }
        let named = host.is_some_and(|host| METADATA_HOSTS.contains(&host) && !unnamed(host));
        narrowest(METADATA, address).filter(|_| !named).map(|KnownNetwork(.., what)| *what)
    }

    fn is_closed(&self, host: &str) -> bool {
        self.closed_hosts.iter().any(|suffix| is_below(host, suffix))
    }

    /// The hosts that are allowed to a namespace.
    fn hosts_of(&self, namespace: Option<&str>) -> impl Iterator<Item = &str> {
        let hosts = self.hosts.iter().filter(move |allowed| applies(allowed.namespace.as_deref(), namespace));
        hosts.map(|allowed| &*allowed.suffix)
    }

    /// The networks that are allowed to a namespace.
    fn networks_of(&self, namespace: Option<&str>) -> impl Iterator<Item = IpNet> {
        let networks = self.addresses.iter().filter(move |allowed| applies(allowed.namespace.as_deref(), namespace));
        networks.map(|allowed| allowed.net)
    }

    fn is_named(&self, namespace: Option<&str>, host: &str) -> bool {
        self.hosts_of(namespace).any(|suffix| suffix == host)
    }

    /// Whether the configuration names this host, for requests of `namespace`: then a proxy may look it up.
    pub fn trusts(&self, namespace: Option<&str>, host: &str) -> bool {
        self.anything || self.is_named(namespace, &normal(host))
    }

    /// Whether it is a name of the cluster's own, which no proxy outside knows: a Service's (`NAME.NAMESPACE.svc`), or one
    /// in the cluster's domain.
    pub fn is_of_cluster(&self, host: &str) -> bool {
        let host = normal(host);
        is_below(&host, &self.cluster_domain) || host.ends_with(".svc")
    }

    /// The Service of `namespace` that `host` is a name of, where these may be sent to: `NAME.NAMESPACE.svc`, also with the
    /// cluster's domain, or the name of a pod behind it.
    pub fn own_service(&self, namespace: &str, host: &str) -> Option<String> {
        if self.anything || !self.own_services || namespace.is_empty() {
            return None;
        }
        let host = normal(host);
        let host = host.strip_suffix(&self.cluster_domain).and_then(|host| host.strip_suffix('.')).unwrap_or(&host);
        let name = host.strip_suffix(".svc")?.strip_suffix(namespace)?.strip_suffix('.')?;
        let labels = || name.split('.');
        labels().all(|label| !label.is_empty()).then(|| labels().next_back().map(str::to_owned))?
    }
}

/// Whether what is allowed to `of` is allowed to `namespace`.
fn applies(of: Option<&str>, namespace: Option<&str>) -> bool {
    of.is_none() || of == namespace
}

/// In lower case, without dots at the end.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `host` is `suffix`, or below it.
fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn narrowest(networks: &'static [KnownNetwork], address: IpAddr) -> Option<&'static KnownNetwork> {
    networks
        .iter()
        .filter(|KnownNetwork(net, ..)| net.contains(&address))
        .max_by_key(|KnownNetwork(net, ..)| net.prefix_len())
}

/// The address, as IPv4 where it only spells one, and the IPv4 addresses that routers or tunnels take out of it.
fn with_embedded(address: IpAddr) -> Vec<IpAddr> {
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

#[cfg(test)]
mod tests;
