//! The client for the cluster that the environment names: a kubeconfig, or the pod that the process runs in.

use anyhow::{Context, Result};
use kube::Client;

/// Makes a client that makes each call once and asks no proxy. A crypto provider must be installed.
///
/// # Errors
/// There is no cluster in the environment, or what is said of it can't be used.
pub async fn connect() -> Result<Client> {
    let mut cluster = kube::Config::infer().await.context("find the cluster: set KUBECONFIG, or run in a pod")?;
    // Calls are tried again where the operator knows what a failure means.
    cluster.default_retry = false;
    // A proxy in the environment does not lead to the cluster's own API server.
    cluster.proxy_url = None;
    Client::try_from(cluster).context("set up the Kubernetes client")
}
