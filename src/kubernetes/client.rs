//! The client for the cluster that the environment names (a kubeconfig, or the pod that the process runs in), and the
//! collections that are read through it.

use std::{collections::BTreeSet, env, path::Path};

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::ExposeSecret;

use crate::metrics::ApiServerMetrics;

/// The variable that holds the API server's address in every pod.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";

const SET_UP: &str = "set up the Kubernetes client";

/// Makes a client that makes each call once and asks no proxy. A crypto provider must be installed.
///
/// # Errors
/// The environment names no cluster, or its configuration of one can't be used.
pub async fn connect() -> Result<Client> {
    Client::try_from(calling_once(configuration().await?)).context(SET_UP)
}

/// The same, and its calls are counted.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_counted(calls: &ApiServerMetrics) -> Result<Client> {
    let builder = ClientBuilder::try_from(calling_once(configuration().await?)).context(SET_UP)?;
    Ok(builder.with_layer(calls).build())
}

/// Makes such a client for the cluster of this kubeconfig, and this context of it; where neither is given, that of the environment.
///
/// # Errors
/// The kubeconfig can't be read, or has no such context; else as [`connect`].
pub(crate) async fn connect_to(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Client> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let found = match (kubeconfig, context) {
        (None, None) => return connect().await,
        (None, Some(_)) => Config::from_kubeconfig(&options).await,
        (Some(path), _) => match Kubeconfig::read_from(path) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        },
    };
    let (path, context) = (kubeconfig.map(Path::display), context.map(|context| format!(", context {context}")));
    let named = path.map_or_else(|| "the kubeconfig".to_owned(), |path| format!("kubeconfig {path}"));
    let found = found.with_context(|| format!("find the cluster: {named}{}", context.unwrap_or_default()))?;
    Client::try_from(calling_once(found)).context(SET_UP)
}

/// The configuration of a client that makes each call once and asks no proxy.
fn calling_once(mut cluster: Config) -> Config {
    // The callers know what a failure means, and try again where that helps.
    cluster.default_retry = false;
    // A proxy in the environment does not lead to the cluster's own API server.
    cluster.proxy_url = None;
    cluster
}

async fn configuration() -> Result<Config> {
    Config::infer().await.context("find the cluster: set KUBECONFIG, or run in a pod")
}

/// The hosts of the API server that the environment names: names and addresses.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn api_server_hosts() -> Result<BTreeSet<String>> {
    let configured = configuration().await?.cluster_url.host().map(str::to_owned);
    let service = env::var(SERVICE_HOST).ok();
    let hosts = configured.into_iter().chain(service).map(|host| host.trim_matches(['[', ']']).to_owned());
    Ok(hosts.filter(|host| !host.is_empty()).collect())
}

/// The token that this process shows to the API server, as the environment has it now; None if it shows none, or it can't be
/// read.
pub(crate) async fn own_token() -> Option<String> {
    let auth = configuration().await.ok()?.auth_info;
    match (auth.token, auth.token_file) {
        (Some(token), _) => Some(token.expose_secret().to_owned()),
        (None, Some(file)) => std::fs::read_to_string(file).ok().map(|token| token.trim().to_owned()),
        (None, None) => None,
    }
}

/// The objects of one namespace, or of all namespaces.
pub(crate) fn api_of<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
