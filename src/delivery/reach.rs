//! A namespace, a URL and an identity in, the client that may send there out. A name is looked up once for a connection,
//! every answer judged, and the connection made to no other address, by way of a proxy too.
//!
//! ```text
//! Direct ─► reqwest ───────────► resolver ─► judged address ─► TCP
//! Tunnelled ─► TLS ─► connector ─► resolver ─► judged address ─► CONNECT through the proxy
//! ```

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{self, BoxFuture, FutureExt};
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::LookupIpStrategy,
    net::{NetError, runtime::TokioRuntimeProvider},
};
use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, proxy::Tunnel},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use quick_cache::sync::Cache;
use reqwest::{
    Body,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::SingleCertAndKey,
};
use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, sync::watch};
use tower::{Service, util::AndThenLayer};
use url::{Host, Url};

use super::{
    Broken, because, last_cause,
    proxy::{NoProxy, Proxies, Proxy, Settings},
};
use crate::core::{
    address::Policy,
    tls::{Fingerprint, Identity},
};

/// Shorter than many servers keep a connection, so that a request seldom meets one that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How many namespaces and identities have connections of their own at a time; with more, some make theirs anew.
const CLIENTS: usize = 256;

/// How long it is believed that there is no such name, at most.
const NEGATIVE: Duration = Duration::from_secs(1);

/// Questions that a name server may have at a time, over one connection. Requests in flight are bounded elsewhere.
const ACTIVE: usize = 10_000;

/// How many addresses of a host a proxy is asked for, one after the other.
const TARGETS: usize = 4;

/// What requests may reach, as it is now.
pub type Policies = watch::Receiver<Arc<Policy>>;

/// What a Service of the cluster leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To its endpoints, which have these addresses.
    To(Vec<IpAddr>),
    /// To wherever a name leads (`ExternalName`); or there is no such Service.
    Elsewhere,
}

/// Says where a Service leads, by its namespace and name; or why that is not known.
pub type Services = Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<Leads, String>> + Send + Sync>;

/// It is not known where a Service leads. In one clause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unknown(pub(super) String);

/// Gives the addresses of a host, whose ports do not count.
pub(super) type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Sends requests, over connections of its own.
#[derive(Clone)]
pub(super) enum Client {
    /// To where their URLs lead.
    Direct(reqwest::Client),
    /// Through proxies. Not reqwest's: that leaves it to a proxy to look names up, which may find what was not judged.
    Tunnelled(Arc<legacy::Client<HttpsConnector<Connector>, Body>>),
}

impl Client {
    /// Sends a request once; the answer has its body still to come.
    pub(super) async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, BoxError> {
        Ok(match self {
            Self::Direct(client) => client.execute(request).await?,
            Self::Tunnelled(client) => client.request(request.try_into()?).await?.map(Body::wrap).into(),
        })
    }
}

/// A tunnel: TLS only where it is that with the proxy.
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Says whether requests may go out now.
pub type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// The gate was closed when there was a connection at last: nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("requests may not go out now")]
pub(super) struct Closed;

fn pass<T>(gate: &Gate, connection: T) -> future::Ready<Result<T, BoxError>> {
    future::ready(if gate() { Ok(connection) } else { Err(Closed.into()) })
}

/// Looks names up as the system says (resolv.conf and its hosts). A look-up ends with the request that needs it, whoever
/// does not answer.
pub(super) fn look_up() -> LookUp {
    look_up_at(TokioResolver::builder_tokio())
}

/// Looks names up at these name servers.
pub(super) fn look_up_at(servers: Result<ResolverBuilder<TokioRuntimeProvider>, NetError>) -> LookUp {
    let resolver = servers.and_then(|mut builder| {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // What was not there a moment ago may be now: a Service of the same apply.
        options.negative_max_ttl = Some(NEGATIVE);
        options.try_tcp_on_error = true;
        options.max_active_requests = ACTIVE;
        builder.build()
    });
    let resolver = resolver.map(Arc::new).inspect_err(|error| {
        tracing::error!(error = last_cause(error), "read the system's name servers: no name can be looked up");
    });
    Arc::new(move |name| {
        let resolver = resolver.as_ref().map(Arc::clone).map_err(|error| io::Error::other(error.to_string()));
        async move {
            let found = resolver?.lookup_ip(name).await.map_err(io::Error::other)?;
            Ok(found.iter().map(|address| SocketAddr::new(address, 0)).collect())
        }
        .boxed()
    })
}

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum SetUp {
    /// The system's certificate authorities can't be used.
    #[error("use the system's certificate authorities")]
    Authorities(#[from] rustls::Error),
    /// The HTTP client can't be made.
    #[error("make an HTTP client")]
    Client(#[from] reqwest::Error),
    /// What is said of proxies can't be used.
    #[error("set up the proxies")]
    Proxy(#[from] NoProxy),
}

/// Clients, each with its own connections: a connection that one namespace may have is not for another that may not, and
/// one that was made with an identity is not for whoever has another.
pub(super) struct Clients {
    resolver: Resolver,
    gate: Gate,
    tls: Tls,
    /// For what every namespace may reach, without an identity.
    shared: Client,
    own: Cache<Key, Client>,
    /// Where there are proxies.
    tunnels: Option<Tunnels>,
}

/// Whose connections they are.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    namespace: Option<String>,
    identity: Option<Fingerprint>,
    tunnelled: bool,
    http1: bool,
}

impl Clients {
    pub(super) fn new(
        policies: Policies,
        services: Services,
        proxies: &Settings,
        gate: Gate,
        look_up: LookUp,
    ) -> Result<Self, SetUp> {
        let tls = Tls::new()?;
        let resolver = Resolver { policies, services, namespace: None, look_up };
        let shared = direct(resolver.clone(), tls.plain.clone(), &gate)?;
        let tunnels = Proxies::new(proxies)?.map(|proxies| Tunnels::new(proxies, &resolver, &tls, &gate));
        Ok(Self { resolver, gate, tls, shared, own: Cache::new(CLIENTS), tunnels })
    }

    /// The client for a request of `namespace` to `url`, as `identity`, in HTTP/1.1 alone if `http1` says so. An address that
    /// the URL has itself is judged here: no resolver is asked for it.
    pub(super) fn get(
        &self,
        namespace: &str,
        url: &Url,
        identity: Option<&Identity>,
        http1: bool,
    ) -> Result<Client, Broken> {
        let (name, address) = match url.host() {
            Some(Host::Domain(name)) => (Some(name), None),
            Some(Host::Ipv4(address)) => (None, Some(address.into())),
            Some(Host::Ipv6(address)) => (None, Some(address.into())),
            None => return Err(Broken::NoName),
        };
        let policy = self.resolver.policy();
        let scope = policy.scope(namespace, name);
        if let Some(address) = address {
            policy.judge(scope, None, address, false).map_err(Broken::Refused)?;
        }
        let tunnels = self.tunnels.as_ref().filter(|_| self.proxy(url).is_some());
        let https = url.scheme() == "https";
        let (identity, http1) = (identity.filter(|_| https), http1 && https);
        if scope.is_none() && identity.is_none() && !http1 {
            return Ok(tunnels.map_or(&self.shared, |tunnels| &tunnels.shared).clone());
        }
        let key = Key {
            namespace: scope.map(str::to_owned),
            identity: identity.map(Identity::fingerprint),
            tunnelled: tunnels.is_some(),
            http1,
        };
        let make = || -> Result<Client, BoxError> {
            let resolver = Resolver { namespace: key.namespace.clone(), ..self.resolver.clone() };
            let mut tls = self.tls.of(identity)?;
            if http1 {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            Ok(match tunnels {
                None => direct(resolver, tls, &self.gate)?,
                Some(tunnels) => tunnels.connector.with(resolver).client(tls),
            })
        };
        self.own
            .get_or_insert_with(&key, make)
            .map_err(|error| Broken::Because(format!("No HTTP client: {}", last_cause(&*error))))
    }

    /// Whether requests may go out now.
    pub(super) fn may_send(&self) -> bool {
        (self.gate)()
    }

    /// The proxy that requests to `url` go through. What is no URI, which no client sends, has none.
    pub(super) fn proxy(&self, url: &Url) -> Option<Proxy> {
        let tunnels = self.tunnels.as_ref()?;
        tunnels.connector.proxies.of(&url.as_str().parse().ok()?, &self.resolver.policy())
    }
}

fn direct(resolver: Resolver, tls: ClientConfig, gate: &Gate) -> Result<Client, reqwest::Error> {
    let gate = Arc::clone(gate);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // Each hop is checked, and what it may know decided, by the core.
        .redirect(redirect::Policy::none())
        .referer(false)
        // Not the environment's, for which reqwest would not look names up.
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(resolver))
        .connector_layer(AndThenLayer::new(move |connection| pass(&gate, connection)))
        // As forgiving as OnCall's library.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .build()?;
    Ok(Client::Direct(client))
}

/// What goes through proxies.
struct Tunnels {
    connector: Connector,
    /// For what every namespace may reach, without an identity.
    shared: Client,
}

impl Tunnels {
    fn new(proxies: Proxies, resolver: &Resolver, tls: &Tls, gate: &Gate) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A tunnel is asked for in HTTP/1.1.
        let mut to_proxy = tls.plain.clone();
        to_proxy.alpn_protocols.clear();
        let to_proxy = HttpsConnector::from((tcp, to_proxy));
        let (proxies, gate) = (Arc::new(proxies), Arc::clone(gate));
        let connector = Connector { resolver: resolver.clone(), proxies, gate, to_proxy };
        let shared = connector.clone().client(tls.plain.clone());
        Self { connector, shared }
    }
}

/// Makes what connections of an identity are made with.
struct Tls {
    provider: Arc<CryptoProvider>,
    /// The system's authorities: read once, and not for each client.
    system: Arc<Verifier>,
    /// Without an identity.
    plain: ClientConfig,
}

impl Tls {
    fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let system = Arc::new(Verifier::new(Arc::clone(&provider))?);
        let plain = config(&provider, Arc::clone(&system) as _, None)?;
        Ok(Self { provider, system, plain })
    }

    fn of(&self, identity: Option<&Identity>) -> Result<ClientConfig, rustls::Error> {
        let Some(identity) = identity else { return Ok(self.plain.clone()) };
        let verifier: Arc<dyn ServerCertVerifier> = match identity.authorities() {
            _ if identity.insecure() => Arc::new(Unverified(Arc::clone(&self.provider))),
            Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
            None => Arc::clone(&self.system) as _,
        };
        let client = identity.client().map(|key| SingleCertAndKey::from(Arc::clone(key)));
        config(&self.provider, verifier, client)
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    client: Option<SingleCertAndKey>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client {
        Some(client) => builder.with_client_cert_resolver(Arc::new(client)),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes every certificate, for webhooks that say so.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Connects to where a URL leads, through its proxy.
#[derive(Clone)]
pub(super) struct Connector {
    resolver: Resolver,
    proxies: Arc<Proxies>,
    gate: Gate,
    /// Proxies are an administrator's: they may be anywhere.
    to_proxy: HttpsConnector<HttpConnector>,
}

/// A proxy that made no tunnel, in one clause that names it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoTunnel(pub(super) String);

impl Connector {
    fn with(&self, resolver: Resolver) -> Self {
        Self { resolver, ..self.clone() }
    }

    fn client(self, tls: ClientConfig) -> Client {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // As with reqwest.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .build(HttpsConnector::from((self, tls)));
        Client::Tunnelled(Arc::new(client))
    }

    async fn tunnel(self, url: Uri) -> Result<Stream, BoxError> {
        let host = url.host().unwrap_or_default();
        let proxy = self.proxies.of(&url, &self.resolver.policy());
        let proxy = proxy.ok_or_else(|| NoTunnel(format!("No proxy for {host}")))?;
        let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let name = proxy.name();
        let mut tunnel = Tunnel::new(proxy.uri, self.to_proxy);
        if let Some(credentials) = proxy.credentials {
            tunnel = tunnel.with_auth(credentials);
        }
        let mut refused = NoTunnel(format!("Proxy {name} would not connect to {host}"));
        for target in self.resolver.targets(host, port).await? {
            match tunnel.call(Uri::builder().scheme(Scheme::HTTP).authority(target).path_and_query("/").build()?).await
            {
                Ok(stream) => return Ok(stream),
                // It may reach another address.
                Err(error) if error.to_string() == "tunnel error: unsuccessful" => {}
                Err(error) => {
                    use std::error::Error as _;
                    refused.0 = match error.source() {
                        Some(cause) => because(cause, &format!("proxy {name}")),
                        None => format!("{}: {}", refused.0, error.to_string().trim_start_matches("tunnel error: ")),
                    };
                    break;
                }
            }
        }
        Err(refused.into())
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (gate, tunnel) = (Arc::clone(&self.gate), self.clone().tunnel(url));
        async move { pass(&gate, tunnel.await?).await }.boxed()
    }
}

/// Looks names up for one client; its failures can be told from others.
#[derive(Clone)]
pub(super) struct Resolver {
    policies: Policies,
    services: Services,
    namespace: Option<String>,
    look_up: LookUp,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resolve name")]
pub(super) struct Unresolved;

impl Resolver {
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policies.borrow())
    }

    /// The addresses of a name, none of which is refused. Their ports are the connector's.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let is_service = self.is_service(name).await?;
        let answers = (self.look_up)(name.to_owned()).await.ok();
        let answers = answers.filter(|answers| !answers.is_empty()).ok_or(Unresolved)?;
        let policy = self.policy();
        // One that is refused refuses all, as in OnCall: who mixes them in means no good.
        for answer in &answers {
            policy.judge(self.namespace.as_deref(), Some(name), answer.ip(), is_service)?;
        }
        Ok(answers)
    }

    /// Whether a name is that of a Service of one's own. What is behind it, to which the cluster's network leads, is judged.
    async fn is_service(&self, name: &str) -> Result<bool, BoxError> {
        let policy = self.policy();
        let Some(namespace) = self.namespace.as_deref() else { return Ok(false) };
        let Some(service) = policy.own_service(namespace, name) else { return Ok(false) };
        match (self.services)(namespace.to_owned(), service).await.map_err(Unknown)? {
            Leads::Elsewhere => Ok(false),
            Leads::To(endpoints) => {
                endpoints.into_iter().try_for_each(|endpoint| policy.judge_endpoint(namespace, endpoint))?;
                Ok(true)
            }
        }
    }

    /// What a proxy is asked to connect to, one after the other: the addresses, so that it can be led nowhere else, but the
    /// name where that is allowed.
    async fn targets(&self, host: &str, port: u16) -> Result<Vec<Authority>, BoxError> {
        let is_judged = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        if is_judged || self.policy().trusts(self.namespace.as_deref(), host) {
            return Ok(vec![Authority::try_from(format!("{host}:{port}"))?]);
        }
        let addresses = self.addresses(host).await?.into_iter().map(|answer| answer.ip().to_canonical());
        let mut seen = BTreeSet::new();
        let different = addresses.filter(|address| seen.insert(*address)).take(TARGETS);
        different.map(|address| Ok(Authority::try_from(SocketAddr::new(address, port).to_string())?)).collect()
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move { Ok(Box::new(resolver.addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}
