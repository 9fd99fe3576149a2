//! Where Services of the cluster lead, and where its API server is: what decides whether a request may go there.
//!
//! ```text
//! Service, its EndpointSlices ──► cache ──► Leads
//! kubeconfig, environment, /api, EndpointSlice default/kubernetes ──► Guard ──► the policy of the moment
//! ```

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{FutureExt, future::join_all};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::Client;
use quick_cache::sync::Cache;
use tokio::{net::lookup_host, sync::watch, time::timeout};

use super::{client::api_server_hosts, objects::Objects};
use crate::{
    core::address::Policy,
    delivery::{Leads, Policies, Services},
    errors::error_chain,
};

/// How long what was read of a Service is believed: for as long are its changes not seen.
const FRESH: Duration = Duration::from_secs(10);
/// Bound on reading it: a request waits for that.
const READ: Duration = Duration::from_secs(2);
/// How many Services are known at a time.
const SERVICES: usize = 1000;

/// Nothing is written.
const READER: &str = "";

/// What every EndpointSlice of a Service has its name in.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// How often to look where the API server is, and after a look that failed.
const LOOK: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));
/// Bound on each way to find it.
const FIND: Duration = Duration::from_secs(5);

/// Says where Services lead, as the API server has them.
pub(crate) fn services(client: &Client) -> Services {
    // Of its own: what waits for others' reads is no reason for requests to wait.
    let objects = Objects::new(client.clone(), READER);
    let known: Arc<Cache<(String, String), (Instant, Leads)>> = Arc::new(Cache::new(SERVICES));
    Arc::new(move |namespace, name| {
        let (objects, known) = (objects.clone(), Arc::clone(&known));
        async move {
            let key = (namespace, name);
            let old = known.get(&key);
            if let Some((at, leads)) = &old
                && at.elapsed() < FRESH
            {
                return Ok(leads.clone());
            }
            let read = timeout(READ, read(&objects, &key.0, &key.1)).await;
            let leads = match (read.unwrap_or_else(|_| Err(format!("no answer within {READ:?}"))), old) {
                (Ok(leads), _) => leads,
                // While the API server is away, it is as it was.
                (Err(error), Some((_, leads))) => {
                    tracing::warn!(namespace = key.0, service = key.1, error, "read where a Service leads");
                    leads
                }
                (Err(error), None) => {
                    return Err(format!("It is not known where Service {} leads: {error}", key.1));
                }
            };
            known.insert(key, (Instant::now(), leads.clone()));
            Ok(leads)
        }
        .boxed()
    })
}

async fn read(objects: &Objects, namespace: &str, name: &str) -> Result<Leads, String> {
    let service: Option<Service> = objects.get(namespace, name).await.map_err(|error| error_chain(&error))?;
    let type_ = service.map(|service| service.spec.unwrap_or_default().type_.unwrap_or_default());
    if type_.is_none_or(|type_| type_ == "ExternalName") {
        return Ok(Leads::Elsewhere);
    }
    let slices = objects.list::<EndpointSlice>(Some(namespace), &format!("{SERVICE_LABEL}={name}")).await;
    let slices = slices.map_err(|error| format!("list EndpointSlices: {}", error_chain(&error)))?;
    Ok(Leads::To(slices.iter().flat_map(addresses).collect()))
}

fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    // Others are names, which no cluster's network leads to.
    addresses.filter_map(|address| address.parse().ok())
}

/// Keeps the API server out of reach, wherever it is found.
pub(crate) struct Guard {
    client: Client,
    objects: Objects,
    base: Policy,
    hosts: BTreeSet<String>,
    found: Found,
    /// Not all is readable, which has been said.
    told: bool,
    policies: watch::Sender<Arc<Policy>>,
}

/// Names and addresses of the API server. What was found once stays guarded.
#[derive(Clone, Default, PartialEq, Eq)]
struct Found {
    addresses: BTreeSet<IpAddr>,
    names: BTreeSet<String>,
}

impl Guard {
    /// Also returns the policies: `base`, from the first change on without the API server.
    ///
    /// # Errors
    /// There is no cluster in the environment.
    pub(crate) async fn new(client: &Client, base: Policy) -> Result<(Self, Policies)> {
        let (policies, receiver) = watch::channel(Arc::new(base.clone()));
        let (client, objects) = (client.clone(), Objects::new(client.clone(), READER));
        let (hosts, found) = (api_server_hosts().await?, Found::default());
        Ok((Self { client, objects, base, hosts, found, told: false, policies }, receiver))
    }

    /// Looks where the API server is, again and again, for ever.
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

    /// Whether everybody who knows answered.
    async fn look(&mut self) -> bool {
        let mut hosts = self.hosts.clone();
        // The one that answers says where it is.
        let answered = match timeout(FIND, self.client.list_core_api_versions()).await {
            Ok(Ok(versions)) => {
                let servers = versions.server_address_by_client_cidrs.into_iter();
                hosts.extend(servers.map(|server| host_of(&server.server_address).to_owned()));
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "ask the API server where it is");
                false
            }
            Err(_) => {
                tracing::warn!("ask the API server where it is: no answer within {FIND:?}");
                false
            }
        };
        // All of them, where that may be read.
        match self.objects.get::<EndpointSlice>("default", "kubernetes").await {
            Ok(slice) => self.found.addresses.extend(slice.iter().flat_map(addresses)),
            Err(error) if !std::mem::replace(&mut self.told, true) => {
                tracing::info!(
                    error = error_chain(&error),
                    "if there are several API servers, close the addresses of the others: --deny-address"
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
        // Their names are enough where there is no answer.
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
    fn the_host_of_an_authority_is_known_in_each_of_its_forms() {
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
