//! A namespace, a URL and an identity in; the HTTP client that may send there out. A name is looked up once for a connection,
//! every answer is judged, and the connection is made to no other address, through a proxy too.
//!
//! ```text
//! Direct ─► reqwest ────────────────────► resolver ─► judged address ─► TCP
//! Tunnelled ─► TLS ─► tunnel connector ─► resolver ─► judged address ─► CONNECT through the proxy
//! ```

use std::{net::IpAddr, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use quick_cache::sync::Cache;
use reqwest::{Body, redirect};
use rustls::ClientConfig;
use tower::util::AndThenLayer;
use url::{Host, Url};

use super::{
    errors::{BoxError, ExchangeError, SetUpError},
    explain::last_cause,
    ports::{Ports, SendGate, pass_gate},
    proxy::{ChosenProxy, ProxyMatcher, ProxySettings},
    resolver::{DnsLookup, GuardedResolver},
    tls::TlsConfigs,
    tunnel::TunnelConnector,
};
use crate::core::tls::{TlsFingerprint, TlsIdentity};

/// How long an idle connection is kept. Shorter than many servers keep one, so that a request seldom meets one that is being
/// closed.
const IDLE: Duration = Duration::from_secs(4);

/// Bound on the clients for single namespaces and identities. With more of these, some make their connections anew.
const MAX_CLIENTS: usize = 256;

/// Sends requests, over connections of its own.
#[derive(Clone)]
pub(super) enum HttpClient {
    /// Straight to the hosts of URLs.
    Direct(reqwest::Client),
    /// Through proxies. Not reqwest's own way: it leaves it to a proxy to look names up, which may find what was not judged.
    Tunnelled(Arc<legacy::Client<HttpsConnector<TunnelConnector>, Body>>),
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

/// Clients, each with connections of its own: a connection that one namespace may have is not for another that may not have
/// it, and a connection that was made with an identity is not for requests with another.
pub(super) struct ClientPool {
    resolver: GuardedResolver,
    gate: SendGate,
    tls: TlsConfigs,
    /// For requests without an identity that every namespace may make.
    shared: HttpClient,
    /// For all other requests.
    separate: Cache<ClientKey, HttpClient>,
    /// None where no proxy is configured.
    proxied: Option<ProxiedClients>,
}

/// The makings of clients that go through proxies.
struct ProxiedClients {
    proxies: Arc<ProxyMatcher>,
    connector: TunnelConnector,
    /// For requests without an identity that every namespace may make.
    shared: HttpClient,
}

/// Requests with the same key may use the same connections.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    namespace: Option<String>,
    identity: Option<TlsFingerprint>,
    tunnelled: bool,
    http1: bool,
}

impl ClientPool {
    pub(super) fn new(ports: Ports, proxies: &ProxySettings, dns: DnsLookup) -> Result<Self, SetUpError> {
        let Ports { policies, services, gate } = ports;
        let tls = TlsConfigs::new()?;
        let resolver = GuardedResolver { policies, services, namespace: None, dns };
        let shared = direct(resolver.clone(), tls.default.clone(), &gate)?;
        let proxied = ProxyMatcher::new(proxies)?.map(|proxies| {
            let proxies = Arc::new(proxies);
            let (resolver, gate, to_proxy) = (resolver.clone(), Arc::clone(&gate), tls.default.clone());
            let connector = TunnelConnector::new(resolver, Arc::clone(&proxies), gate, to_proxy);
            let shared = tunnelled(connector.clone(), tls.default.clone());
            ProxiedClients { proxies, connector, shared }
        });
        Ok(Self { resolver, gate, tls, shared, separate: Cache::new(MAX_CLIENTS), proxied })
    }

    /// The client for a request of `namespace` to `url` with `identity`; one that speaks HTTP/1.1 alone if `http1` says so. An
    /// address that stands in the URL itself is judged here: no resolver is asked for it.
    ///
    /// # Errors
    /// The URL's host is none, or its address is refused; or there is no client.
    pub(super) fn get(
        &self,
        namespace: &str,
        url: &Url,
        identity: Option<&TlsIdentity>,
        http1: bool,
    ) -> Result<HttpClient, ExchangeError> {
        let (name, address) = match url.host() {
            Some(Host::Domain(name)) => (Some(name), None),
            Some(Host::Ipv4(address)) => (None, Some(IpAddr::from(address))),
            Some(Host::Ipv6(address)) => (None, Some(address.into())),
            None => return Err(ExchangeError::InvalidHost),
        };
        let policy = self.resolver.policy();
        let scope = policy.scope(namespace, name);
        if let Some(address) = address {
            policy.judge(scope, None, address, false).map_err(ExchangeError::Refused)?;
        }
        let proxied = self.proxied.as_ref().filter(|_| self.proxy(url).is_some());
        let https = url.scheme() == "https";
        let (identity, http1) = (identity.filter(|_| https), http1 && https);
        if scope.is_none() && identity.is_none() && !http1 {
            return Ok(proxied.map_or(&self.shared, |proxied| &proxied.shared).clone());
        }
        let key = ClientKey {
            namespace: scope.map(str::to_owned),
            identity: identity.map(TlsIdentity::fingerprint),
            tunnelled: proxied.is_some(),
            http1,
        };
        let make = || -> Result<HttpClient, BoxError> {
            let resolver = GuardedResolver { namespace: key.namespace.clone(), ..self.resolver.clone() };
            let mut tls = self.tls.of(identity)?;
            if http1 {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            Ok(match proxied {
                None => direct(resolver, tls, &self.gate)?,
                Some(proxied) => tunnelled(proxied.connector.with(resolver), tls),
            })
        };
        self.separate
            .get_or_insert_with(&key, make)
            .map_err(|error| ExchangeError::Failed(format!("No HTTP client: {}", last_cause(&*error))))
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
        .dns_resolver(Arc::new(resolver))
        .connector_layer(AndThenLayer::new(move |connection| pass_gate(&gate, connection)))
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
        // These make it as forgiving as the direct client.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .build(HttpsConnector::from((connector, tls)));
    HttpClient::Tunnelled(Arc::new(client))
}
