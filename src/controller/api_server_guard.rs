//! Keeps the API server out of reach of webhooks, wherever it is found.
//!
//! ```text
//! kubeconfig, environment, /api, EndpointSlice default/kubernetes ──► ApiServerGuard ──► the policy of the moment
//! ```

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use tokio::{net::lookup_host, sync::watch, time::timeout};

use super::services::addresses_of;
use crate::{
    core::address::AddressPolicy,
    delivery::Policies,
    errors::error_chain,
    kubernetes::{client::api_server_hosts, objects::Objects},
};

/// Nothing is written.
const READER: &str = "";

/// How often to look where the API server is, and after a look that failed.
const LOOK: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));
/// Bound on each way to find it.
const FIND: Duration = Duration::from_secs(5);

/// Finds the addresses and names of the API server, and publishes the policy that keeps requests from them.
pub(crate) struct ApiServerGuard {
    client: Client,
    objects: Objects,
    /// The policy as it is configured.
    base: AddressPolicy,
    /// The hosts that the environment names.
    hosts: BTreeSet<String>,
    found: Found,
    /// Whether it was logged that the EndpointSlice can't be read.
    unreadable_logged: bool,
    policies: watch::Sender<Arc<AddressPolicy>>,
}

/// Names and addresses of the API server. Those that were found once stay guarded.
#[derive(Clone, Default, PartialEq, Eq)]
struct Found {
    addresses: BTreeSet<IpAddr>,
    names: BTreeSet<String>,
}

impl ApiServerGuard {
    /// Also returns the policies: first `base`; from the first change on, with the API server out of reach.
    ///
    /// # Errors
    /// The environment names no cluster.
    pub(crate) async fn new(client: &Client, base: AddressPolicy) -> Result<(Self, Policies)> {
        let (policies, receiver) = watch::channel(Arc::new(base.clone()));
        let (client, objects) = (client.clone(), Objects::new(client.clone(), READER));
        let (hosts, found) = (api_server_hosts().await?, Found::default());
        Ok((Self { client, objects, base, hosts, found, unreadable_logged: false, policies }, receiver))
    }

    /// Looks where the API server is, again and again. Never returns.
    pub(crate) async fn keep(mut self) {
        loop {
            let before = self.found.clone();
            let answered = self.look().await;
            if self.found != before {
                let Found { addresses, names } = &self.found;
                let policy = self.base.clone();
                let policy = policy.guard_api_server(addresses.iter().copied(), names.iter().map(String::as_str));
                self.policies.send_replace(Arc::new(policy));
            }
            let (pause, after_failure) = LOOK;
            tokio::time::sleep(if answered { pause } else { after_failure }).await;
        }
    }

    /// Looks once. Tells whether the API server answered.
    async fn look(&mut self) -> bool {
        let mut hosts = self.hosts.clone();
        // The API server itself says where it is.
        let answered = match timeout(FIND, self.client.list_core_api_versions()).await {
            Ok(Ok(versions)) => {
                let servers = versions.server_address_by_client_cidrs.into_iter();
                hosts.extend(servers.map(|server| host_of(&server.server_address).to_owned()));
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "failed to ask the API server for its addresses; trying again"
                );
                false
            }
            Err(_) => {
                tracing::warn!(
                    "failed to ask the API server for its addresses: no answer within {FIND:?}; trying again"
                );
                false
            }
        };
        // The slice names all of several API servers, but may not be readable.
        match self.objects.get::<EndpointSlice>("default", "kubernetes").await {
            Ok(slice) => self.found.addresses.extend(slice.iter().flat_map(addresses_of)),
            Err(error) if !std::mem::replace(&mut self.unreadable_logged, true) => {
                tracing::info!(
                    error = error_chain(&error),
                    "failed to read the addresses of all API servers; if there are several, close the others to webhooks: --deny-address"
                );
            }
            Err(_) => {}
        }
        let names = hosts.into_iter().filter_map(|host| match host.parse() {
            Ok(address) => {
                self.found.addresses.insert(address);
                None
            }
            Err(_) => Some(host),
        });
        let names: Vec<String> = names.collect();
        // Where a name has no address now, the name alone is guarded.
        let answers = join_all(names.iter().map(|name| timeout(FIND, lookup_host((name.as_str(), 0))))).await;
        self.found.addresses.extend(answers.into_iter().flatten().flatten().flatten().map(|answer| answer.ip()));
        self.found.names.extend(names);
        answered
    }
}

/// The host of `host:port`, where the port may be missing and an IPv6 address has brackets.
fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    };
    host.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_authority_is_found_in_each_of_its_forms() {
        for (authority, expected) in [
            ("10.0.0.1:6443", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00::1]:443", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("ip-10-0-0-1.ec2.internal:443", "ip-10-0-0-1.ec2.internal"),
        ] {
            assert_eq!(host_of(authority), expected);
        }
    }
}
