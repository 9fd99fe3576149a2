//! A namespace, a URL and an identity in; the HTTP client that may send there out. A name is looked up once for a connection,
//! every answer is judged, and the connection is made to no other address, through a proxy too.
//!
//! ```text
//! Direct ─► reqwest ────────────────────► resolver ─► judged address ─► TCP
//! Tunnelled ─► TLS ─► tunnel connector ─► resolver ─► judged address ─► CONNECT through the proxy
//! ```

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use reqwest::{Body, redirect};
use rustls::{ClientConfig, client::Resumption};
use tokio::net::TcpStream;
use tower::util::AndThenLayer;
use url::{Host, Url};

use super::{
    errors::{BoxError, ExchangeError, Refusal, SetUpError},
    explain::last_cause,
    ports::{Ports, SendGate, pass_gate},
    progress::{Watch, WatchLayer},
    proxy::{ChosenProxy, ProxyMatcher, ProxySettings},
    resolver::{DnsLookup, GuardedResolver},
    tls::TlsConfigs,
    tunnel::TunnelConnector,
};
use crate::{
    core::{
        address::AddressPolicy,
        request::HttpRequest,
        tls::{TlsFingerprint, TlsIdentity},
    },
    metrics::AttemptCode,
};

/// How long an idle connection is kept. Shorter than many servers keep one, so that a request seldom meets one that is being
/// closed.
const IDLE: Duration = Duration::from_secs(4);

/// Bound on the idle connections of one client to one host: as many as requests are in flight by default.
const IDLE_OF_HOST: usize = 256;

/// Bound on the addresses of one host that are tried at a time, to see whether there is anybody.
const MAX_KNOCKED: usize = 4;

/// Bound on the namespaces that have clients. With more of these, some make their connections anew.
const NAMESPACES: usize = 1000;
/// Bound on the clients of one namespace: it has one for each of its identities.
const CLIENTS: usize = 16;
/// Bound on the TLS sessions that a client remembers, to take them up again.
const SESSIONS: usize = 32;

/// Sends requests, over connections of its own.
#[derive(Clone)]
pub(super) enum HttpClient {
    /// Straight to the hosts of URLs.
    Direct(reqwest::Client),
    /// Through proxies. Not reqwest's own way: it leaves it to a proxy to look names up, which may find what was not judged.
    Tunnelled(Arc<legacy::Client<Watch<HttpsConnector<TunnelConnector>>, Body>>),
}

impl HttpClient {
    /// Sends a request once. The answer's body is still to come.
    pub(super) async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, BoxError> {
        Ok(match self {
            Self::Direct(client) => client.execute(request).await?,
            Self::Tunnelled(client) => client.request(request.try_into()?).await?.map(Body::wrap).into(),
        })
    }
}

/// Clients, each with connections of its own: a connection of one namespace is not for another, also where both may have it
/// (a receiver may take what one sends for a part of what the other sends), and a connection that was made with an identity is
/// not for requests with another.
pub(super) struct ClientPool {
    resolver: GuardedResolver,
    gate: SendGate,
    tls: TlsConfigs,
    namespaces: Cache<Arc<str>, Arc<Cache<ClientKey, HttpClient>>>,
    /// The policy that all their connections were judged by.
    judged_by: Mutex<Arc<AddressPolicy>>,
    /// None where no proxy is configured.
    proxied: Option<ProxiedClients>,
}

/// The makings of clients that go through proxies.
struct ProxiedClients {
    proxies: Arc<ProxyMatcher>,
    connector: TunnelConnector,
}

/// Requests of a namespace with the same key may use the same connections.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    identity: Option<TlsFingerprint>,
    tunnelled: bool,
    http1: bool,
}

impl ClientPool {
    pub(super) fn new(ports: Ports, proxies: &ProxySettings, dns: DnsLookup) -> Result<Self, SetUpError> {
        let Ports { policies, services, gate } = ports;
        let tls = TlsConfigs::new()?;
        let judged_by = Mutex::new(Arc::clone(&policies.borrow()));
        let resolver = GuardedResolver { policies, services, namespace: Arc::from(""), dns };
        let proxied = ProxyMatcher::new(proxies)?.map(|proxies| {
            let proxies = Arc::new(proxies);
            let (resolver, gate, to_proxy) = (resolver.clone(), Arc::clone(&gate), tls.default.clone());
            let connector = TunnelConnector::new(resolver, Arc::clone(&proxies), gate, to_proxy);
            ProxiedClients { proxies, connector }
        });
        Ok(Self { resolver, gate, tls, namespaces: Cache::new(NAMESPACES), judged_by, proxied })
    }

    /// The client for a request of `namespace` to `url`. What stands in the request itself is judged here: no resolver is asked
    /// for an address in the URL, or for the header `Host`.
    ///
    /// # Errors
    /// The URL's host is none, or what the request names is refused; or there is no client.
    pub(super) fn get(&self, namespace: &str, hop: &HttpRequest, url: &Url) -> Result<HttpClient, ExchangeError> {
        let policy = self.policy();
        judge_host(&policy, namespace, url)?;
        for value in hop.stated_hosts() {
            policy.judge_host_header(namespace, value).map_err(Refusal::Host)?;
        }
        let https = url.scheme() == "https";
        let identity = hop.tls.as_deref().filter(|_| https);
        let key = ClientKey {
            identity: identity.map(TlsIdentity::fingerprint),
            tunnelled: self.proxy(url).is_some(),
            http1: https && hop.names_host(),
        };
        let namespace: Arc<str> = Arc::from(namespace);
        let new = || Ok::<_, Infallible>(Arc::new(Cache::new(CLIENTS)));
        let Ok(clients) = self.namespaces.get_or_insert_with(&namespace, new);
        let client = clients.get_or_insert_with(&key, || self.make(&namespace, &key, identity));
        client.map_err(|error| {
            ExchangeError::Failed(AttemptCode::Other, format!("No HTTP client: {}", last_cause(&*error)))
        })
    }

    /// Whether a connection can be made to the host and port of `url`, judged as for a request of `namespace`, without a proxy.
    pub(super) async fn can_connect(&self, namespace: &str, url: &Url) -> bool {
        let policy = self.policy();
        if !self.may_send() || self.proxy(url).is_some() || judge_host(&policy, namespace, url).is_err() {
            return false;
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
        let addresses: Vec<IpAddr> = match host {
            Host::Ipv4(address) => vec![IpAddr::from(address)],
            Host::Ipv6(address) => vec![IpAddr::from(address)],
            Host::Domain(name) => {
                let resolver = GuardedResolver { namespace: Arc::from(namespace), ..self.resolver.clone() };
                let found = resolver.addresses(name).await.unwrap_or_default();
                found.into_iter().map(|address| address.ip()).take(MAX_KNOCKED).collect()
            }
        };
        let mut connections: FuturesUnordered<_> =
            addresses.into_iter().map(|address| TcpStream::connect((address, port))).collect();
        while let Some(connection) = connections.next().await {
            if connection.is_ok() {
                return true;
            }
        }
        false
    }

    fn make(
        &self,
        namespace: &Arc<str>,
        key: &ClientKey,
        identity: Option<&TlsIdentity>,
    ) -> Result<HttpClient, BoxError> {
        let resolver = GuardedResolver { namespace: Arc::clone(namespace), ..self.resolver.clone() };
        let mut tls = self.tls.of(identity)?;
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        if key.http1 {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Ok(match self.proxied.as_ref().filter(|_| key.tunnelled) {
            None => direct(resolver, tls, &self.gate)?,
            Some(proxied) => tunnelled(proxied.connector.with(resolver), tls),
        })
    }

    /// The policy of the moment. Connections that were judged by another one are given up.
    fn policy(&self) -> Arc<AddressPolicy> {
        let policy = self.resolver.policy();
        let mut judged_by = self.judged_by.lock();
        if !Arc::ptr_eq(&judged_by, &policy) {
            *judged_by = Arc::clone(&policy);
            self.namespaces.clear();
        }
        policy
    }

    /// Whether requests may go out at this moment.
    pub(super) fn may_send(&self) -> bool {
        (self.gate)()
    }

    /// The proxy that requests to `url` go through; None if they go straight to its host. A URL that is no URI, which no
    /// client sends, has none.
    pub(super) fn proxy(&self, url: &Url) -> Option<ChosenProxy> {
        let proxied = self.proxied.as_ref()?;
        proxied.proxies.of(&url.as_str().parse().ok()?, &self.resolver.policy())
    }
}

/// Judges the host of a URL, as far as it can be before a name is looked up.
fn judge_host(policy: &AddressPolicy, namespace: &str, url: &Url) -> Result<(), ExchangeError> {
    let judge = |address| policy.judge(Some(namespace), None, address, false).map_err(Refusal::Address);
    match url.host() {
        Some(Host::Domain(name)) => policy.judge_host(namespace, name).map_err(Refusal::Host)?,
        Some(Host::Ipv4(address)) => judge(IpAddr::from(address))?,
        Some(Host::Ipv6(address)) => judge(IpAddr::from(address))?,
        None => return Err(ExchangeError::InvalidHost),
    }
    Ok(())
}

/// A client without a proxy.
fn direct(resolver: GuardedResolver, tls: ClientConfig, gate: &SendGate) -> Result<HttpClient, reqwest::Error> {
    let gate = Arc::clone(gate);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // The core checks each redirect, and decides what the next request may know.
        .redirect(redirect::Policy::none())
        .referer(false)
        // Reqwest would take proxies from the environment, and not look names up for them.
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_OF_HOST)
        .dns_resolver(Arc::new(resolver))
        .connector_layer(AndThenLayer::new(move |connection| pass_gate(&gate, connection)))
        .connector_layer(WatchLayer)
        // These make it as forgiving as OnCall's library.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .build()?;
    Ok(HttpClient::Direct(client))
}

/// A client whose connections are tunnels through proxies.
fn tunnelled(connector: TunnelConnector, tls: ClientConfig) -> HttpClient {
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_OF_HOST)
        // These make it as forgiving as the direct client.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .build(Watch(HttpsConnector::from((connector, tls))));
    HttpClient::Tunnelled(Arc::new(client))
}
