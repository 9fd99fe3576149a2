//! Reads what the operator's configuration says of networks and hosts.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use url::Host;

/// A network that may be sent to, from all namespaces or from one: `[NAMESPACE=]CIDR`. One address may stand without a
/// prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddress {
    pub(super) namespace: Option<String>,
    pub(super) net: IpNet,
}

/// A host that may be sent to, with all hosts below it, from all namespaces or from one: `[NAMESPACE=]SUFFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    pub(super) namespace: Option<String>,
    /// In lower case and ASCII, without a dot at either end.
    pub(super) suffix: String,
}

impl AllowedAddress {
    pub(super) fn applies_to(&self, namespace: Option<&str>) -> bool {
        applies(self.namespace.as_deref(), namespace)
    }
}

impl AllowedHost {
    pub(super) fn applies_to(&self, namespace: Option<&str>) -> bool {
        applies(self.namespace.as_deref(), namespace)
    }
}

/// Whether an allowance for `allowed`, or for all namespaces if that is None, applies to `namespace`.
fn applies(allowed: Option<&str>, namespace: Option<&str>) -> bool {
    allowed.is_none() || allowed == namespace
}

impl FromStr for AllowedAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, text) = split_namespace(text)?;
        Ok(Self { namespace, net: parse_network(text)? })
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, text) = split_namespace(text)?;
        Ok(Self { namespace, suffix: parse_host_suffix(text)? })
    }
}

/// Reads a network such as `10.1.0.0/16`, or one address.
///
/// # Errors
/// The text is no network, or one that can't be meant. The message is one clause for people.
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

/// Reads a host that stands for itself and for all hosts below it. Returns it in lower case and ASCII.
///
/// # Errors
/// The text is no host name. The message is one clause for people.
pub fn parse_host_suffix(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("*.") || text.starts_with('.') {
        let rest = text.trim_start_matches(['*', '.']);
        return Err(format!("{text:?}: {rest:?} stands for itself and for all below it"));
    }
    match Host::parse(text.strip_suffix('.').unwrap_or(text)) {
        Ok(Host::Domain(suffix)) if is_domain(&suffix) => Ok(suffix),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => Err(format!("{text:?} is an address: give it as one")),
        _ => Err(format!("{text:?} is no host name such as example.com")),
    }
}

/// Reads the domain of a cluster, such as `cluster.local`. Returns it in lower case.
///
/// # Errors
/// The text is no domain. The message is one clause for people.
pub fn parse_cluster_domain(text: &str) -> Result<String, String> {
    let domain = text.trim_matches('.').to_ascii_lowercase();
    if is_domain(&domain) { Ok(domain) } else { Err(format!("{text:?} is no domain such as cluster.local")) }
}

/// The namespace before `=`, if there is one, and the text after it.
fn split_namespace(text: &str) -> Result<(Option<String>, &str), String> {
    match text.trim().split_once('=') {
        None => Ok((None, text.trim())),
        Some((namespace, rest)) if is_label(namespace) => Ok((Some(namespace.to_owned()), rest)),
        Some((namespace, _)) => Err(format!("{namespace:?} is no name of a namespace")),
    }
}

/// Whether Kubernetes takes the text as the name of a namespace (a label of RFC 1123).
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether the text is labels of letters, digits, hyphens and underscores, with dots between.
fn is_domain(text: &str) -> bool {
    let of_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(of_label))
}
