//! A namespace and a URL in, the client that may send there out. A name is looked up once for a connection, every
//! answer judged, and the connection made to no other address.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use quick_cache::sync::Cache;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use url::{Host, Url};

use super::Broken;
use crate::core::address::Policy;

/// Shorter than many servers keep a connection, so that a request seldom meets one that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How many namespaces have connections of their own at a time; with more, some make theirs anew.
const NAMESPACES: usize = 256;

/// Gives the addresses of a host, whose ports do not count.
pub(super) type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's look-up.
pub(super) fn look_up() -> LookUp {
    Arc::new(|name| async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }.boxed())
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
}

/// Clients, each with its own connections: a connection that one namespace may have is not for another that may not.
pub(super) struct Clients {
    policy: Arc<Policy>,
    look_up: LookUp,
    tls: ClientConfig,
    /// For what every namespace may reach.
    shared: Client,
    own: Cache<String, Client>,
}

impl Clients {
    pub(super) fn new(policy: Policy, look_up: LookUp) -> Result<Self, SetUp> {
        let mut tls = ClientConfig::with_platform_verifier()?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let policy = Arc::new(policy);
        let shared =
            client(&tls, Resolver { policy: Arc::clone(&policy), namespace: None, look_up: Arc::clone(&look_up) })?;
        Ok(Self { policy, look_up, tls, shared, own: Cache::new(NAMESPACES) })
    }

    /// The client for a request of `namespace` to `url`. An address that the URL has itself is judged here: no resolver
    /// is asked for it.
    pub(super) fn get(&self, namespace: &str, url: &Url) -> Result<Client, Broken> {
        let (name, address) = match url.host() {
            Some(Host::Domain(name)) => (Some(name), None),
            Some(Host::Ipv4(address)) => (None, Some(address.into())),
            Some(Host::Ipv6(address)) => (None, Some(address.into())),
            None => return Err(Broken::NoName),
        };
        let scope = self.policy.scope(namespace, name);
        if let Some(address) = address {
            self.policy.judge(scope, None, address).map_err(Broken::Refused)?;
        }
        let Some(namespace) = scope else { return Ok(self.shared.clone()) };
        let make = || {
            let (policy, look_up) = (Arc::clone(&self.policy), Arc::clone(&self.look_up));
            client(&self.tls, Resolver { policy, namespace: Some(namespace.to_owned()), look_up })
        };
        self.own
            .get_or_insert_with(namespace, make)
            .map_err(|error| Broken::Because(format!("No HTTP client: {error}")))
    }
}

fn client(tls: &ClientConfig, resolver: Resolver) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(concat!("oncall-webhooks/", env!("CARGO_PKG_VERSION")))
        // Read once, and not for each namespace.
        .tls_backend_preconfigured(tls.clone())
        // Each hop is checked, and what it may know decided, by the core.
        .redirect(redirect::Policy::none())
        .referer(false)
        // What stands in the environment is not for requests that others write; and a proxy would look names up itself.
        .no_proxy()
        .pool_idle_timeout(IDLE)
        .dns_resolver(Arc::new(resolver))
        // As forgiving as OnCall's library.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .build()
}

/// Looks names up for one client; its failures can be told from others.
struct Resolver {
    policy: Arc<Policy>,
    namespace: Option<String>,
    look_up: LookUp,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resolve name")]
pub(super) struct Unresolved;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, namespace) = (Arc::clone(&self.policy), self.namespace.clone());
        let answers = (self.look_up)(name.as_str().to_owned());
        Box::pin(async move {
            // The port is the connector's.
            let answers = answers.await.ok().filter(|answers| !answers.is_empty()).ok_or(Unresolved)?;
            // One that is refused refuses all, as in OnCall: who mixes them in means no good.
            for answer in &answers {
                policy.judge(namespace.as_deref(), Some(name.as_str()), answer.ip())?;
            }
            Ok(Box::new(answers.into_iter()) as Addrs)
        })
    }
}
