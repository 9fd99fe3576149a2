//! The flags that say what deliveries may reach.

use ipnet::IpNet;

use crate::core::address::{self, AddressPolicy, AllowedAddress, AllowedHost};

/// Says what requests may reach beside public addresses.
#[derive(Clone, Debug, clap::Args)]
pub struct Reach {
    /// A network that Webhooks may send to though it is not public, such as 10.1.0.0/16; with a namespace, from there
    /// alone. The API server and metadata services must each be named by their one address
    #[arg(
        long = "allow-address",
        env = "ONCALL_WEBHOOKS_ALLOW_ADDRESSES",
        value_delimiter = ',',
        value_name = "[NAMESPACE=]CIDR"
    )]
    pub allow_addresses: Vec<AllowedAddress>,
    /// A host that Webhooks may send to, with all below it, though its address is not public; with a namespace, from
    /// there alone. The API server and metadata services must each be named in full
    #[arg(
        long = "allow-host",
        env = "ONCALL_WEBHOOKS_ALLOW_HOSTS",
        value_delimiter = ',',
        value_name = "[NAMESPACE=]SUFFIX"
    )]
    pub allow_hosts: Vec<AllowedHost>,
    /// A network that Webhooks may not send to, whatever is open otherwise, unless one address of it is allowed by itself:
    /// networks of pods or nodes that are public addresses, other ways to the API server
    #[arg(
        long = "deny-address",
        env = "ONCALL_WEBHOOKS_DENY_ADDRESSES",
        value_delimiter = ',',
        value_name = "CIDR",
        value_parser = address::parse_network
    )]
    pub deny_addresses: Vec<IpNet>,
    /// A host that Webhooks may not send to, nor to any below it, nor by an alias (CNAME) or as header Host, unless a host is
    /// allowed in full: other names of the API server
    #[arg(
        long = "deny-host",
        env = "ONCALL_WEBHOOKS_DENY_HOSTS",
        value_delimiter = ',',
        value_name = "SUFFIX",
        value_parser = address::parse_host_suffix
    )]
    pub deny_hosts: Vec<String>,
    /// Refuse Services of the Webhook's own namespace too (NAME.NAMESPACE.svc)
    #[arg(long, env = "ONCALL_WEBHOOKS_DENY_OWN_SERVICES")]
    pub deny_own_services: bool,
    /// The cluster's domain, in which Services have their names
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_CLUSTER_DOMAIN",
        default_value = "cluster.local",
        value_parser = address::parse_cluster_domain
    )]
    pub cluster_domain: String,
}

impl From<Reach> for AddressPolicy {
    fn from(reach: Reach) -> Self {
        let policy = Self::new(&reach.cluster_domain)
            .allow(reach.allow_addresses, reach.allow_hosts)
            .close(reach.deny_addresses, reach.deny_hosts);
        if reach.deny_own_services { policy.deny_own_services() } else { policy }
    }
}
