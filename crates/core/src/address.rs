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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request_url::RequestUrl;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn policy(addresses: &[&str], hosts: &[&str]) -> AddressPolicy {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let hosts = hosts.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy::new("cluster.local")
            .allow(addresses, hosts)
            .guard_api_server([ip("10.96.0.1"), ip("203.0.114.5")], ["api.example.com"])
    }

    /// As where a Service of one's own is what it seems.
    fn judge(
        policy: &AddressPolicy,
        namespace: Option<&str>,
        host: Option<&str>,
        address: IpAddr,
    ) -> Result<(), RefusedAddress> {
        let is_service = namespace.zip(host).is_some_and(|(of, host)| policy.own_service(of, host).is_some());
        policy.judge(namespace, host, address, is_service)
    }

    /// One address of each network that is refused, and the first and the last of some.
    const REFUSED: [(&str, &str); 65] = [
        ("0.0.0.0", "unspecified (RFC 791)"),
        ("0.255.255.255", "unspecified (RFC 791)"),
        ("10.0.0.0", "private (RFC 1918)"),
        ("10.255.255.255", "private (RFC 1918)"),
        ("100.64.0.0", "shared by a carrier's customers (RFC 6598)"),
        ("100.127.255.255", "shared by a carrier's customers (RFC 6598)"),
        ("127.0.0.1", "loopback (RFC 1122)"),
        ("127.255.255.255", "loopback (RFC 1122)"),
        ("169.254.0.1", "link-local, where clouds have their metadata"),
        ("169.254.169.254", "link-local, where clouds have their metadata"),
        ("172.16.0.1", "private (RFC 1918)"),
        ("172.31.255.255", "private (RFC 1918)"),
        ("192.0.0.8", "for protocols (RFC 6890)"),
        ("192.0.0.192", "Oracle Cloud's metadata"),
        ("192.0.2.1", "for documentation (RFC 5737)"),
        ("192.88.99.1", "a relay of 6to4 (RFC 7526)"),
        ("192.168.255.255", "private (RFC 1918)"),
        ("198.18.0.1", "for benchmarks (RFC 2544)"),
        ("198.19.255.255", "for benchmarks (RFC 2544)"),
        ("198.51.100.7", "for documentation (RFC 5737)"),
        ("203.0.113.7", "for documentation (RFC 5737)"),
        ("224.0.0.1", "multicast (RFC 5771)"),
        ("239.255.255.255", "multicast (RFC 5771)"),
        ("240.0.0.1", "reserved (RFC 1112)"),
        ("255.255.255.254", "reserved (RFC 1112)"),
        ("255.255.255.255", "broadcast (RFC 919)"),
        ("100.100.100.200", "Alibaba Cloud's metadata"),
        ("168.63.129.16", "Azure's metadata"),
        ("10.96.0.1", API_SERVER),
        ("203.0.114.5", API_SERVER),
        ("::", "unspecified (RFC 4291)"),
        ("::1", "loopback (RFC 4291)"),
        ("::2", "an IPv4-compatible address (RFC 4291)"),
        ("::808:808", "an IPv4-compatible address (RFC 4291)"),
        ("::ffff:0:808:808", "an IPv4-translated address (RFC 2765)"),
        ("::1:0:0:1", "not assigned (RFC 4291)"),
        ("64:ff9b:1::808:808", "for a site's own NAT64 (RFC 8215)"),
        ("64:ff9b:2::1", "not assigned (RFC 4291)"),
        ("100::1", "for what is discarded (RFC 6666)"),
        ("100:0:0:1::1", "not assigned (RFC 4291)"),
        ("2001:0:808:808::", "a Teredo address (RFC 4380)"),
        ("2001:2::1", "for protocols (RFC 2928)"),
        ("2001:10::1", "for protocols (RFC 2928)"),
        ("2001:20::1", "for protocols (RFC 2928)"),
        ("2001:1ff:ffff::1", "for protocols (RFC 2928)"),
        ("2001:db8::1", "for documentation (RFC 3849)"),
        ("2002:808:808::1", "a 6to4 address (RFC 3056)"),
        ("3fff::1", "for documentation (RFC 9637)"),
        ("3fff:fff:ffff::1", "for documentation (RFC 9637)"),
        ("4000::1", "not assigned (RFC 4291)"),
        ("5f00::1", "not assigned (RFC 4291)"),
        ("fc00::1", "private (RFC 4193)"),
        ("fd12:3456::1", "private (RFC 4193)"),
        ("fd00:ec2::254", "AWS's metadata"),
        ("fd00:ec2::23", "AWS's metadata"),
        ("fd20:ce::254", "Google Cloud's metadata"),
        ("fd00:42::42", "Scaleway's metadata"),
        ("fd00:c1::a9fe:a9fe", "Oracle Cloud's metadata"),
        ("fd00:100::100:200", "Alibaba Cloud's metadata"),
        ("fd00:a9fe:a9fe::1", "Akamai's metadata"),
        ("fe80::1", "link-local (RFC 4291)"),
        ("fe80::a9fe:a9fe", "OpenStack's metadata"),
        ("febf:ffff::1", "link-local (RFC 4291)"),
        ("fec0::1", "site-local (RFC 3879)"),
        ("ff02::1", "multicast (RFC 4291)"),
    ];

    const OPEN: [&str; 24] = [
        "1.0.0.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
        "3ffe::1",
        "64:ff9b::808:808",
    ];

    #[test]
    fn only_public_addresses_are_reached_unless_others_are_allowed() {
        let policy = policy(&[], &[]);
        for (address, what) in REFUSED {
            let address = ip(address);
            assert_eq!(judge(&policy, Some("team"), None, address), Err(RefusedAddress { address, what }), "{address}");
            assert!(judge(&policy, None, Some("a.example"), address).is_err(), "{address}");
        }
        for address in OPEN {
            assert_eq!(judge(&policy, None, None, ip(address)), Ok(()), "{address}");
            assert_eq!(judge(&policy, Some("team"), Some("a.example"), ip(address)), Ok(()), "{address}");
        }
        assert_eq!(judge(&AddressPolicy::unrestricted(), None, None, ip("127.0.0.1")), Ok(()));
    }

    /// Every IPv6 form in which an IPv4 address can stand, but for those of a site's own.
    fn forms(inner: Ipv4Addr) -> [(&'static str, Ipv6Addr); 12] {
        let [a, b, c, d] = inner.octets();
        let join = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        let (high, low) = (join(a, b), join(c, d));
        let v6 = |segments: [u16; 8]| Ipv6Addr::from(segments);
        [
            ("mapped", v6([0, 0, 0, 0, 0, 0xffff, high, low])),
            ("compatible", v6([0, 0, 0, 0, 0, 0, high, low])),
            ("translated", v6([0, 0, 0, 0, 0xffff, 0, high, low])),
            ("NAT64", v6([0x64, 0xff9b, 0, 0, 0, 0, high, low])),
            ("local NAT64 /96", v6([0x64, 0xff9b, 1, 0x808, 8, 0x800, high, low])),
            ("local NAT64 /64", v6([0x64, 0xff9b, 1, 0x808, join(0, a), join(b, c), join(d, 0), 0])),
            ("local NAT64 /56", v6([0x64, 0xff9b, 1, join(8, a), join(0, b), join(c, d), 0, 0])),
            ("local NAT64 /48", v6([0x64, 0xff9b, 1, high, join(0, c), join(d, 0), 0, 0])),
            ("6to4", v6([0x2002, high, low, 0, 0, 0, 0, 1])),
            ("Teredo's client", v6([0x2001, 0, 0x808, 0x808, 0, 0, !high, !low])),
            ("ISATAP", v6([0x2a00, 1, 2, 3, 0, 0x5efe, high, low])),
            ("ISATAP, global", v6([0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low])),
        ]
    }

    #[test]
    fn an_ipv4_address_counts_in_every_ipv6_form() {
        let refused = policy(&[], &[]);
        // So that the form itself is no reason.
        let allowed = policy(&["::/0"], &[]);
        let inner = |(address, _): (&str, &str)| address.parse::<Ipv4Addr>().ok();
        for inner in REFUSED.into_iter().filter_map(inner) {
            for (form, address) in forms(inner) {
                // Those are other addresses altogether.
                if form == "compatible" && inner.octets() == [0; 4] {
                    continue;
                }
                for policy in [&refused, &allowed] {
                    assert!(judge(policy, None, None, address.into()).is_err(), "{inner} in {form}: {address}");
                }
            }
            let server = [&[0x20, 1, 0, 0][..], &inner.octets(), &[0; 4], &[0xf7; 4]].concat();
            let server = Ipv6Addr::from(<[u8; 16]>::try_from(server).unwrap());
            assert!(judge(&allowed, None, None, server.into()).is_err(), "{inner} as Teredo's server: {server}");
        }
        for (form, address) in forms(Ipv4Addr::new(8, 8, 8, 8)) {
            let open = matches!(form, "mapped" | "NAT64" | "ISATAP" | "ISATAP, global");
            assert_eq!(judge(&refused, None, None, address.into()).is_ok(), open, "{form}");
        }
        let inside = policy(&["10.0.0.0/8"], &[]);
        assert_eq!(judge(&inside, None, None, ip("64:ff9b::10.1.2.3")), Ok(()));
        assert_eq!(judge(&inside, None, None, ip("::ffff:10.1.2.3")), Ok(()));
    }

    /// An address of a network that is refused.
    fn refused() -> impl Strategy<Value = Ipv4Addr> {
        let nets: Vec<Ipv4Net> = NETWORKS
            .iter()
            .chain(METADATA)
            .filter_map(|KnownNetwork(net, used, _)| match net {
                IpNet::V4(net) if *used != NetworkKind::Public => Some(*net),
                _ => None,
            })
            .collect();
        let inside =
            |(net, bits): (Ipv4Net, u32)| Ipv4Addr::from(u32::from(net.network()) | bits & u32::from(net.hostmask()));
        (prop::sample::select(nets), any::<u32>()).prop_map(inside)
    }

    /// `inner` in every IPv6 form that leaves some of the address free, which is as in `free`.
    fn spread(inner: Ipv4Addr, free: u128) -> Vec<(&'static str, Ipv6Addr)> {
        let free = free.to_be_bytes();
        let with = |fixed: &[(usize, u8)]| {
            let mut octets = free;
            fixed.iter().for_each(|(at, octet)| octets[*at] = *octet);
            Ipv6Addr::from(octets)
        };
        let [a, b, c, d] = inner.octets();
        let last = [(12, a), (13, b), (14, c), (15, d)];
        let local = [(0, 0), (1, 0x64), (2, 0xff), (3, 0x9b), (4, 0), (5, 1)];
        let teredo = [(0, 0x20), (1, 1), (2, 0), (3, 0)];
        let isatap = [&[(8, 0), (9, 0), (10, 0x5e), (11, 0xfe)], &last[..]].concat();
        let six_to_four = [(0, 0x20), (1, 2)];
        vec![
            ("local NAT64 /96", with(&[&local, &last[..]].concat())),
            ("local NAT64 /64", with(&[&local[..], &[(9, a), (10, b), (11, c), (12, d)]].concat())),
            ("local NAT64 /56", with(&[&local[..], &[(7, a), (9, b), (10, c), (11, d)]].concat())),
            ("local NAT64 /48", with(&[&local[..], &[(6, a), (7, b), (9, c), (10, d)]].concat())),
            ("6to4", with(&[&six_to_four[..], &[(2, a), (3, b), (4, c), (5, d)]].concat())),
            ("Teredo's server", with(&[&teredo[..], &[(4, a), (5, b), (6, c), (7, d)]].concat())),
            ("Teredo's client", with(&[&teredo[..], &[(12, !a), (13, !b), (14, !c), (15, !d)]].concat())),
            ("ISATAP", with(&isatap)),
            ("ISATAP below 6to4", with(&[&isatap[..], &six_to_four].concat())),
            ("ISATAP below Teredo", with(&[&isatap[..], &teredo].concat())),
        ]
    }

    /// `address` as `inet_aton` takes it: the last number stands for what the others leave; each is decimal, octal or
    /// hexadecimal.
    fn noted(address: Ipv4Addr, numbers: usize, bases: [u8; 4]) -> String {
        let octets = address.octets();
        let (first, rest) = octets.split_at(numbers - 1);
        let last = rest.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
        let number = |(number, base): (u32, u8)| match base {
            0 => format!("{number}"),
            1 => format!("0{number:o}"),
            2 => format!("000{number:o}"),
            3 => format!("0x{number:x}"),
            _ => format!("0X00{number:X}"),
        };
        let numbers = first.iter().copied().map(u32::from).chain([last]).zip(bases);
        numbers.map(number).collect::<Vec<_>>().join(".")
    }

    proptest! {
        #[test]
        fn a_refused_ipv4_address_is_refused_in_every_ipv6_form(inner in refused(), free in any::<u128>()) {
            let allowed = policy(&["::/0"], &[]);
            for (form, address) in forms(inner).into_iter().chain(spread(inner, free)) {
                prop_assert!(judge(&policy(&[], &[]), None, None, address.into()).is_err(), "{inner} in {form}: {address}");
                // So that the form itself is no reason; :: and ::1 are no IPv4 addresses.
                if !matches!(u128::from(address), 0 | 1) {
                    prop_assert!(judge(&allowed, None, None, address.into()).is_err(), "{inner} in {form}: {address}");
                }
            }
        }

        #[test]
        fn an_ipv4_address_is_judged_as_itself_in_every_notation(
            address in prop_oneof![refused(), any::<u32>().prop_map(Ipv4Addr::from)],
            numbers in 1_usize..=4,
            bases in any::<[u8; 4]>().prop_map(|bases| bases.map(|base| base % 5)),
            spelling in 0..4,
        ) {
            let noted = noted(address, numbers, bases);
            let host = match spelling {
                0 => noted,
                1 => format!("{noted}."),
                2 => noted.bytes().map(|byte| format!("%{byte:02x}")).collect(),
                // The wide forms, from U+FF01 on.
                _ => noted.bytes().filter_map(|byte| char::from_u32(0xff00 + u32::from(byte) - 0x20)).collect(),
            };
            let uri = RequestUrl::parse(&format!("http://{host}:80/x"));
            let found = uri.map(|uri| Host::parse(uri.host()));
            prop_assert_eq!(found, Ok(Ok(Host::Ipv4(address))), "{}", host);
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_for_whom_it_is() {
        let policy = policy(
            &["10.1.0.0/16", "team=192.168.0.0/16", "127.0.0.0/8", "10.96.0.0/12", "0.0.0.0/0", "fd00::/8"],
            &["example.com", "team=inside.test"],
        );
        let allowed: Vec<AllowedAddress> = policy.addresses[..4].to_vec();
        let narrow = AddressPolicy { addresses: allowed, ..policy.clone() };
        // AddressPolicy, namespace, host, address, whether it goes there.
        let cases = [
            (&narrow, "team", None, "10.1.2.3", true),
            (&narrow, "other", None, "10.1.2.3", true),
            (&narrow, "team", None, "10.2.0.1", false),
            (&narrow, "team", None, "192.168.1.1", true),
            (&narrow, "other", None, "192.168.1.1", false),
            (&narrow, "tea", None, "192.168.1.1", false),
            (&narrow, "", None, "192.168.1.1", false),
            (&narrow, "team", None, "127.0.0.1", true),
            (&narrow, "team", Some("example.com"), "172.16.0.1", true),
            (&narrow, "team", Some("a.b.EXAMPLE.com."), "172.16.0.1", true),
            (&narrow, "team", Some("badexample.com"), "172.16.0.1", false),
            (&narrow, "team", Some("example.com.evil.test"), "172.16.0.1", false),
            (&narrow, "team", Some("com"), "172.16.0.1", false),
            (&narrow, "team", Some("a.inside.test"), "172.16.0.1", true),
            (&narrow, "other", Some("a.inside.test"), "172.16.0.1", false),
            // Those have to be named one by one.
            (&narrow, "team", None, "10.96.0.1", false),
            (&narrow, "team", None, "10.96.0.2", true),
            (&policy, "team", None, "10.96.0.1", false),
            (&policy, "team", None, "169.254.169.254", false),
            (&policy, "team", None, "168.63.129.16", false),
            (&policy, "team", None, "fd00:ec2::254", false),
            (&policy, "team", None, "fd00:ec3::254", true),
            (&policy, "team", Some("a.example.com"), "169.254.169.254", false),
            (&policy, "team", Some("a.example.com"), "10.96.0.1", false),
            // A name opens what it is the name of, not what it may stand for.
            (&policy, "team", Some("example.com"), "169.254.169.254", false),
            (&policy, "team", Some("inside.test"), "10.96.0.1", false),
            (&policy, "team", Some("api.example.com"), "1.2.3.4", false),
            (&policy, "default", Some("kubernetes.default.svc"), "1.2.3.4", false),
            (&policy, "default", Some("Kubernetes.default.svc.cluster.local."), "10.1.2.3", false),
        ];
        for (policy, namespace, host, address, expected) in cases {
            let found = judge(policy, Some(namespace), host, ip(address));
            assert_eq!(found.is_ok(), expected, "{namespace} {host:?} {address}: {found:?}");
        }
        let named = AddressPolicy::new("cluster.local").allow(
            ["169.254.169.254/32", "fd00:ec2::254", "team=10.96.0.1"].map(|text| text.parse().unwrap()).to_vec(),
            ["api.example.com", "metadata.google.internal"].map(|text| text.parse().unwrap()).to_vec(),
        );
        let named = named.guard_api_server([ip("10.96.0.1")], ["api.example.com"]);
        for (namespace, host, address, expected) in [
            ("team", None, "169.254.169.254", true),
            ("team", None, "::ffff:169.254.169.254", true),
            ("team", None, "64:ff9b::169.254.169.254", true),
            ("team", None, "169.254.169.253", false),
            ("team", None, "fd00:ec2::254", true),
            ("team", None, "fd00:ec2::23", false),
            ("team", None, "10.96.0.1", true),
            ("team", Some("kubernetes.default.svc"), "10.96.0.1", true),
            ("other", None, "10.96.0.1", false),
            ("other", Some("api.example.com"), "10.96.0.1", true),
            ("other", Some("api.example.com"), "100.100.100.200", false),
            ("other", Some("metadata.google.internal"), "fd20:ce::254", true),
            ("other", Some("metadata.google.internal"), "10.96.0.1", false),
        ] {
            let found = judge(&named, Some(namespace), host, ip(address));
            assert_eq!(found.is_ok(), expected, "{namespace} {host:?} {address}: {found:?}");
        }
    }

    #[test]
    fn what_is_closed_stays_closed_unless_it_is_named() {
        let closed = ["93.184.0.0/16", "10.1.0.0/16"].map(|text| parse_network(text).unwrap()).to_vec();
        let policy = policy(&["10.0.0.0/8", "93.184.216.34", "team=10.1.2.3"], &["corp.example", "named.eks.example"])
            .close(
                closed,
                vec![parse_host_suffix("eks.example").unwrap(), parse_host_suffix("a.corp.example").unwrap()],
            );
        let cases = [
            ("team", None, "93.184.216.33", Some(CLOSED)),
            ("team", None, "93.184.216.34", None),
            ("team", None, "10.1.2.4", Some(CLOSED)),
            ("team", None, "10.1.2.3", None),
            ("other", None, "10.1.2.3", Some(CLOSED)),
            ("team", None, "10.2.2.4", None),
            ("team", Some("b.corp.example"), "10.1.2.4", Some(CLOSED)),
            ("team", Some("a.corp.example"), "8.8.8.8", Some(CLOSED)),
            ("team", Some("b.corp.example"), "8.8.8.8", None),
            ("team", Some("A.eks.example."), "8.8.8.8", Some(CLOSED)),
            ("team", Some("a.eks.example"), "93.184.216.34", Some(CLOSED)),
            ("team", Some("named.eks.example"), "8.8.8.8", None),
            ("team", Some("named.eks.example"), "10.2.2.4", None),
            ("team", Some("named.eks.example"), "93.184.216.33", Some(CLOSED)),
        ];
        for (namespace, host, address, what) in cases {
            let address = ip(address);
            let expected = what.map_or(Ok(()), |what| Err(RefusedAddress { address, what }));
            assert_eq!(judge(&policy, Some(namespace), host, address), expected, "{namespace} {host:?} {address}");
        }
        assert_eq!(
            parse_network("10.1.2.3/8").unwrap_err(),
            "10.1.2.3/8 is an address and a length: the network is 10.0.0.0/8"
        );
    }

    #[test]
    fn services_of_the_own_namespace_are_reached_unless_that_is_closed() {
        let policy = policy(&[], &[]);
        let cases = [
            ("team", "chat.team.svc", "10.96.7.7", true),
            ("team", "Chat.Team.svc.cluster.local.", "10.96.7.7", true),
            ("team", "pod-0.chat.team.svc", "fd00::7", true),
            ("team", "chat.team.svc", "100.64.0.9", true),
            ("team", "chat.team.svc", "100.100.100.200", false),
            ("team", "chat.team.svc", "240.0.0.9", true),
            ("other", "chat.team.svc", "10.96.7.7", false),
            ("am", "chat.team.svc", "10.96.7.7", false),
            ("team", "team.svc", "10.96.7.7", false),
            ("team", ".team.svc", "10.96.7.7", false),
            ("team", "chat..team.svc", "10.96.7.7", false),
            ("team", "chat.team.svc.other.local", "10.96.7.7", false),
            ("team", "chat.team.svccluster.local", "10.96.7.7", false),
            ("team", "chat.team", "10.96.7.7", false),
            ("team", "chat.xteam.svc", "10.96.7.7", false),
            ("", "chat..svc", "10.96.7.7", false),
            // What no Service has, but one of type ExternalName may name.
            ("team", "chat.team.svc", "127.0.0.1", false),
            ("team", "chat.team.svc", "169.254.169.254", false),
            ("team", "chat.team.svc", "fd00:ec2::254", false),
            ("team", "chat.team.svc", "10.96.0.1", false),
            ("team", "chat.team.svc", "fe80::1", false),
            ("default", "kubernetes.default.svc", "10.96.7.7", false),
        ];
        for (namespace, host, address, expected) in cases {
            let found = judge(&policy, Some(namespace), Some(host), ip(address));
            assert_eq!(found.is_ok(), expected, "{namespace} {host} {address}: {found:?}");
        }
        // One that leads elsewhere is as closed as where it leads.
        assert!(policy.judge(Some("team"), Some("chat.team.svc"), ip("10.96.7.7"), false).is_err());
        for (namespace, address, expected) in [
            ("team", "10.1.2.3", true),
            ("team", "fd00::7", true),
            ("team", "8.8.8.8", true),
            ("team", "10.96.0.1", false),
            ("team", "203.0.114.5", false),
            ("team", "::ffff:203.0.114.5", false),
            ("team", "168.63.129.16", false),
            ("team", "100.100.100.200", false),
            ("site", "100.100.100.200", true),
            ("team", "fd00:ec2::254", false),
        ] {
            let policy = policy.clone().allow(vec!["site=100.100.100.200".parse().unwrap()], Vec::new());
            assert_eq!(policy.judge_endpoint(namespace, ip(address)).is_ok(), expected, "{namespace} {address}");
        }
        let closed = policy.clone().deny_own_services();
        assert!(judge(&closed, Some("team"), Some("chat.team.svc"), ip("10.96.7.7")).is_err());
        assert!(judge(&policy, None, Some("chat.team.svc"), ip("10.96.7.7")).is_err());
        let domain = AddressPolicy::new("k8s.example");
        for (host, expected) in [("chat.team.svc.k8s.example", true), ("chat.team.svc.cluster.local", false)] {
            assert_eq!(judge(&domain, Some("team"), Some(host), ip("10.1.1.1")).is_ok(), expected, "{host}");
        }
    }

    #[test]
    fn connections_are_shared_only_where_the_namespace_makes_no_difference() {
        let policy = policy(&["team=10.0.0.0/8", "fd00::/8"], &["site=example.com"]);
        for (namespace, host, shared) in [
            ("team", None, false),
            ("team", Some("a.example"), false),
            ("site", None, false),
            ("other", None, true),
            ("other", Some("chat.team.svc"), true),
            ("other", Some("chat.other.svc"), false),
            ("other", Some("chat.other.svc.cluster.local."), false),
        ] {
            assert_eq!(policy.scope(namespace, host).is_none(), shared, "{namespace} {host:?}");
        }
        assert_eq!(policy.deny_own_services().scope("other", Some("chat.other.svc")), None);
    }

    #[test]
    fn settings_that_can_not_be_meant_are_refused_in_a_sentence() {
        let address =
            |text: &str| text.parse::<AllowedAddress>().map(|allowed| (allowed.namespace, allowed.net.to_string()));
        for (text, namespace, net) in [
            ("10.0.0.0/8", None, "10.0.0.0/8"),
            ("10.1.2.3", None, "10.1.2.3/32"),
            ("fd00::1", None, "fd00::1/128"),
            (" team=fd00::/8", Some("team"), "fd00::/8"),
        ] {
            assert_eq!(address(text), Ok((namespace.map(str::to_owned), net.to_owned())), "{text}");
        }
        for (text, expected) in [
            ("10.1.2.3/8", "10.1.2.3/8 is an address and a length: the network is 10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "::ffff:10.0.0.0/104 stands for IPv4 addresses: give the IPv4 network"),
            ("", r#""" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
            ("10.0.0.0/33", r#""10.0.0.0/33" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
            ("example.com", r#""example.com" is no network such as 10.1.0.0/16 or fd00:1::/64"#),
            ("Team=10.0.0.0/8", r#""Team" is no name of a namespace"#),
            ("=10.0.0.0/8", r#""" is no name of a namespace"#),
        ] {
            assert_eq!(address(text), Err(expected.to_owned()), "{text}");
        }
        let host = |text: &str| text.parse::<AllowedHost>().map(|host| (host.namespace, host.suffix));
        for (text, namespace, suffix) in [
            ("Example.com.", None, "example.com"),
            ("team=intern", Some("team"), "intern"),
            ("bücher.example", None, "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(text), Ok((namespace.map(str::to_owned), suffix.to_owned())), "{text}");
        }
        for (text, expected) in [
            ("*.example.com", r#""*.example.com": "example.com" stands for itself and for all below it"#),
            (".example.com", r#"".example.com": "example.com" stands for itself and for all below it"#),
            ("10.0.0.1", r#""10.0.0.1" is an address: give it as one"#),
            ("[::1]", r#""[::1]" is an address: give it as one"#),
            ("a.*.com", r#""a.*.com" is no host name such as example.com"#),
            ("https://example.com", r#""https://example.com" is no host name such as example.com"#),
            ("example.com:80", r#""example.com:80" is no host name such as example.com"#),
            ("", r#""" is no host name such as example.com"#),
            ("a_b=example.com", r#""a_b" is no name of a namespace"#),
        ] {
            assert_eq!(host(text), Err(expected.to_owned()), "{text}");
        }
        assert_eq!(parse_cluster_domain("K8s.example."), Ok("k8s.example".to_owned()));
        assert_eq!(parse_cluster_domain("a b"), Err(r#""a b" is no domain such as cluster.local"#.to_owned()));
    }

    #[test]
    fn a_name_is_trusted_by_itself_only_where_it_is_named() {
        let policy = policy(&["10.0.0.0/8"], &["example.org", "team=own.example", "internal"]);
        let cases = [
            (None, "example.org", true),
            (None, "Example.ORG.", true),
            (None, "a.example.org", false),
            (None, "badexample.org", false),
            (None, "own.example", false),
            (Some("other"), "own.example", false),
            (Some("team"), "own.example", true),
            (Some("team"), "a.own.example", false),
            (None, "metadata.google.internal", false),
            (None, "api.example.com", false),
        ];
        for (namespace, host, expected) in cases {
            assert_eq!(policy.trusts(namespace, host), expected, "{namespace:?} {host}");
        }
        assert!(AddressPolicy::unrestricted().trusts(None, "a.example"));
    }

    #[test]
    fn a_service_of_ones_own_is_known_by_each_of_its_names() {
        let policy = policy(&[], &[]);
        for (namespace, host, service) in [
            ("team", "Chat.Team.svc.cluster.local.", Some("chat")),
            ("team", "pod-0.chat.team.svc", Some("chat")),
            ("team", "chat.other.svc", None),
            ("team", "team.svc", None),
            ("", "chat..svc", None),
        ] {
            assert_eq!(policy.own_service(namespace, host).as_deref(), service, "{namespace} {host}");
        }
        assert_eq!(policy.deny_own_services().own_service("team", "chat.team.svc"), None);
        assert_eq!(AddressPolicy::unrestricted().own_service("team", "chat.team.svc"), None);
    }

    #[test]
    fn names_of_the_cluster_are_known() {
        let policy = AddressPolicy::new("k8s.example");
        let cases = [
            ("chat.team.svc", true),
            ("Chat.Team.SVC.", true),
            ("chat.team.svc.k8s.example", true),
            ("node.k8s.example", true),
            ("k8s.example", true),
            ("svc", false),
            ("chat.team", false),
            ("bad-k8s.example", false),
            ("chat.team.svc.cluster.local", false),
            ("chat.example", false),
        ];
        for (host, expected) in cases {
            assert_eq!(policy.is_of_cluster(host), expected, "{host}");
        }
    }
}
