//! The client for the cluster that the environment names: a kubeconfig, or the pod that the process runs in. And where
//! its API server is.

use std::{collections::BTreeSet, env, net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use kube::{Client, Config};

/// What every pod has the API server's address in.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
/// Bound on the look-up of the API server's name.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Makes a client that makes each call once and asks no proxy. A crypto provider must be installed.
///
/// # Errors
/// There is no cluster in the environment, or what is said of it can't be used.
pub async fn connect() -> Result<Client> {
    let mut cluster = configuration().await?;
    // Calls are tried again where the operator knows what a failure means.
    cluster.default_retry = false;
    // A proxy in the environment does not lead to the cluster's own API server.
    cluster.proxy_url = None;
    Client::try_from(cluster).context("set up the Kubernetes client")
}

async fn configuration() -> Result<Config> {
    Config::infer().await.context("find the cluster: set KUBECONFIG, or run in a pod")
}

/// Addresses and names of the API server, as the environment has them; the addresses of the names, as far as they can be
/// looked up now.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn api_server() -> Result<(BTreeSet<IpAddr>, Vec<String>)> {
    let configured = configuration().await?.cluster_url.host().map(str::to_owned);
    let service = env::var(SERVICE_HOST).ok().filter(|host| !host.is_empty());
    let (mut addresses, mut names) = (BTreeSet::new(), Vec::new());
    for host in configured.into_iter().chain(service) {
        let host = host.trim_matches(['[', ']']);
        match host.parse() {
            Ok(address) => {
                addresses.insert(address);
            }
            Err(_) => {
                // Its name is enough where there is no answer.
                let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host, 0))).await;
                addresses.extend(found.into_iter().flatten().flatten().map(|found| found.ip()));
                names.push(host.to_owned());
            }
        }
    }
    Ok((addresses, names))
}
