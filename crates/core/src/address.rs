//! Decides whether a request may go to an address. A namespace, a host and the address it stands for come in; yes, or the
//! reason against it, goes out.
//!
//! ```text
//! address ─► canonical ─┬─► itself ────────────────┐    guarded: only by its own /32 or /128, or its own name
//!                       └─► IPv4 addresses in it ──┴──► else the table of networks, and what is allowed on top
//! ```
//! Each address counts by itself, however it was named: by a literal, a DNS answer or a redirect. Only allowed hosts make
//! a difference. Guarded are the cluster's API server, the metadata services of clouds and what the configuration closes.
//!
//! - `networks`: the table of networks, and the IPv4 addresses inside IPv6 addresses
//! - `allowed`: the configuration's networks and hosts, read from text

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use percent_encoding::percent_decode;

mod allowed;
mod networks;
#[cfg(test)]
mod tests;

pub use self::allowed::{AllowedAddress, AllowedHost, parse_cluster_domain, parse_host_suffix, parse_network};
use self::networks::{NetworkKind, classify, is_metadata_host, metadata, with_embedded};

const API_SERVER: &str = "the cluster's API server";
const CLOSED: &str = "closed by the operator's configuration";

/// An address to which no request may go, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}")]
pub struct RefusedAddress {
    /// The address, or the one inside it.
    pub address: IpAddr,
    /// Completes the sentence "The address is …", such as `private (RFC 1918)`.
    pub what: &'static str,
}

/// A host that no request may name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {CLOSED}")]
pub struct ClosedHost {
    /// The host, in lower case.
    pub host: String,
}

impl ClosedHost {
    /// The reason without the host.
    pub fn what(&self) -> &'static str {
        CLOSED
    }
}

/// A Service of a webhook's own namespace, as a host names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnService {
    /// Its name.
    pub name: String,
    /// The name of the pod behind it that is meant, where one is.
    pub pod: Option<String>,
}

/// The addresses and hosts that may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    unrestricted: bool,
    addresses: Vec<AllowedAddress>,
    hosts: Vec<AllowedHost>,
    /// Whether requests of a namespace may go to the Services of that namespace.
    own_services: bool,
    cluster_domain: String,
    closed_addresses: Vec<IpNet>,
    /// In lower case and ASCII, each with all hosts below it.
    closed_hosts: Vec<String>,
    api_server_addresses: BTreeSet<IpAddr>,
    api_server_hosts: BTreeSet<String>,
}

/// # Building a policy
impl AddressPolicy {
    /// Allows public addresses, and the Services of a webhook's own namespace, in a cluster of this domain.
    pub fn new(cluster_domain: &str) -> Self {
        Self {
            unrestricted: false,
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

    /// Allows every address: it is not for us to say what a person's own program may reach.
    pub fn unrestricted() -> Self {
        Self { unrestricted: true, ..Self::new("cluster.local") }
    }

    /// Allows these as well.
    #[must_use]
    pub fn allow(mut self, addresses: Vec<AllowedAddress>, hosts: Vec<AllowedHost>) -> Self {
        self.addresses.extend(addresses);
        self.hosts.extend(hosts);
        self
    }

    /// Refuses the Services of a webhook's own namespace.
    #[must_use]
    pub fn deny_own_services(mut self) -> Self {
        self.own_services = false;
        self
    }

    /// Refuses these, whatever else is open, unless they are allowed one by one.
    #[must_use]
    pub fn close(mut self, addresses: Vec<IpNet>, hosts: Vec<String>) -> Self {
        self.closed_addresses.extend(addresses);
        self.closed_hosts.extend(hosts);
        self
    }

    /// Refuses the cluster's API server, which has these addresses and names among others.
    #[must_use]
    pub fn guard_api_server<'a>(
        mut self,
        addresses: impl IntoIterator<Item = IpAddr>,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.api_server_addresses.extend(addresses.into_iter().map(|address| address.to_canonical()));
        self.api_server_hosts.extend(hosts.into_iter().map(normalize));
        self
    }
}

/// # Judging addresses
impl AddressPolicy {
    /// Whether a request of `namespace` may go to this address. `host` is the name that stands for it; None where the
    /// URL has the address itself. `is_service` says that the name is an [own Service](Self::own_service), and that the
    /// address is the Service's, or that of something behind it.
    ///
    /// # Errors
    /// The request may not go there.
    pub fn judge(
        &self,
        namespace: Option<&str>,
        host: Option<&str>,
        address: IpAddr,
        is_service: bool,
    ) -> Result<(), RefusedAddress> {
        let host = host.map(normalize);
        let host = host.as_deref();
        let by_host = host.is_some_and(|host| self.hosts_of(namespace).any(|suffix| is_below(host, suffix)));
        self.judge_each(address, |address| {
            if let Some(reason) = self.guarded(namespace, host, address) {
                return Err(reason);
            }
            let (kind, description) = classify(address);
            let allowed = match kind {
                NetworkKind::Public => true,
                NetworkKind::Internal if is_service => true,
                NetworkKind::Internal | NetworkKind::NeverReached => {
                    by_host || self.networks_of(namespace).any(|network| network.contains(&address))
                }
            };
            if allowed { Ok(()) } else { Err(description) }
        })
    }

    /// Whether a Service of `namespace` may lead to this address.
    ///
    /// # Errors
    /// It may not: the address is guarded.
    pub fn judge_endpoint(&self, namespace: &str, address: IpAddr) -> Result<(), RefusedAddress> {
        self.judge_each(address, |address| self.guarded(Some(namespace), None, address).map_or(Ok(()), Err))
    }

    /// Judges the address, and those inside it.
    fn judge_each(
        &self,
        address: IpAddr,
        judge: impl Fn(IpAddr) -> Result<(), &'static str>,
    ) -> Result<(), RefusedAddress> {
        if self.unrestricted {
            return Ok(());
        }
        let judge = |address| judge(address).map_err(|what| RefusedAddress { address, what });
        with_embedded(address).into_iter().try_for_each(judge)
    }

    /// Why an address stays closed whatever network it is in: it is guarded, or its `host` is, and the configuration does
    /// not name that one by itself. None if nothing guards it. `host` is [normalized](normalize).
    fn guarded(&self, namespace: Option<&str>, host: Option<&str>, address: IpAddr) -> Option<&'static str> {
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
        let named = host.is_some_and(|host| is_metadata_host(host) && !unnamed(host));
        metadata(address).filter(|_| !named)
    }

    fn is_closed(&self, host: &str) -> bool {
        self.closed_hosts.iter().any(|suffix| is_below(host, suffix))
    }

    /// The hosts that are allowed to a namespace.
    fn hosts_of(&self, namespace: Option<&str>) -> impl Iterator<Item = &str> {
        let hosts = self.hosts.iter().filter(move |allowed| allowed.applies_to(namespace));
        hosts.map(|allowed| &*allowed.suffix)
    }

    /// The networks that are allowed to a namespace.
    fn networks_of(&self, namespace: Option<&str>) -> impl Iterator<Item = IpNet> {
        let networks = self.addresses.iter().filter(move |allowed| allowed.applies_to(namespace));
        networks.map(|allowed| allowed.net)
    }

    fn is_named(&self, namespace: Option<&str>, host: &str) -> bool {
        self.hosts_of(namespace).any(|suffix| suffix == host)
    }
}

/// # Judging hosts
impl AddressPolicy {
    /// Whether a request of `namespace` may name this host: in its URL, or as one that its URL's host stands for (CNAME).
    ///
    /// # Errors
    /// The configuration closes the host, and does not name it by itself among those that it allows.
    pub fn judge_host(&self, namespace: &str, host: &str) -> Result<(), ClosedHost> {
        let host = normalize(host);
        let is_open = self.unrestricted || !self.is_closed(&host) || self.is_named(Some(namespace), &host);
        if is_open { Ok(()) } else { Err(ClosedHost { host }) }
    }

    /// Whether a request of `namespace` may have this value of the header `Host`. Every name in it counts, however a receiver
    /// takes it apart.
    ///
    /// # Errors
    /// As [`Self::judge_host`].
    pub fn judge_host_header(&self, namespace: &str, value: &[u8]) -> Result<(), ClosedHost> {
        let value: Vec<u8> = percent_decode(value).collect();
        let is_of_name = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        let names = value.split(|b| !is_of_name(b)).filter_map(|name| std::str::from_utf8(name).ok());
        names.into_iter().try_for_each(|name| self.judge_host(namespace, name))
    }

    /// Whether everybody knows where a host leads inside the cluster or the machine, so that saying so discloses nothing.
    pub fn is_well_known(&self, host: &str) -> bool {
        let host = normalize(host);
        is_below(&host, "localhost") || is_metadata_host(&host) || self.api_server_hosts.contains(&host)
    }

    /// Whether the configuration names this very host for requests of `namespace`: then a proxy may look it up.
    pub fn trusts(&self, namespace: Option<&str>, host: &str) -> bool {
        self.unrestricted || self.is_named(namespace, &normalize(host))
    }

    /// Whether the host is a name inside the cluster, which no proxy outside knows: a Service's (`NAME.NAMESPACE.svc`), or
    /// one in the cluster's domain.
    pub fn is_of_cluster(&self, host: &str) -> bool {
        let host = normalize(host);
        is_below(&host, &self.cluster_domain) || host.ends_with(".svc")
    }

    /// The Service of `namespace` that `host` stands for, if it has the form of one and such Services may be sent to: `host` is
    /// `NAME.NAMESPACE.svc`, also with the cluster's domain, or `POD.NAME.NAMESPACE.svc` for a pod behind it.
    pub fn own_service(&self, namespace: &str, host: &str) -> Option<OwnService> {
        if self.unrestricted || !self.own_services || namespace.is_empty() {
            return None;
        }
        let host = normalize(host);
        let host = host.strip_suffix(&self.cluster_domain).and_then(|host| host.strip_suffix('.')).unwrap_or(&host);
        let name = host.strip_suffix(".svc")?.strip_suffix(namespace)?.strip_suffix('.')?;
        if name.split('.').any(str::is_empty) {
            return None;
        }
        let (pod, name) = name.rsplit_once('.').map_or((None, name), |(pod, name)| (Some(pod), name));
        Some(OwnService { name: name.to_owned(), pod: pod.map(str::to_owned) })
    }
}

/// `host` in lower case, without dots at its end.
fn normalize(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `host` is `suffix`, or below it.
fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
