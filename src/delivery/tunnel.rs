//! A URL in; a connection to its host through a proxy out. The proxy is asked to `CONNECT` to an address that was judged, and
//! TLS with the receiver goes through the tunnel.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{BoxFuture, FutureExt};
use http::{Uri, uri::Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::Service;

use super::{
    errors::{BoxError, TunnelError},
    explain::because,
    ports::{SendGate, pass_gate},
    proxy::ProxyMatcher,
    resolver::GuardedResolver,
};

/// A tunnel. TLS here is that with the proxy.
type TunnelStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connects to the hosts of URLs, each through its proxy.
#[derive(Clone)]
pub(super) struct TunnelConnector {
    resolver: GuardedResolver,
    proxies: Arc<ProxyMatcher>,
    gate: SendGate,
    /// Connects to proxies. An administrator chose them: they may be anywhere.
    to_proxy: HttpsConnector<HttpConnector>,
}

impl TunnelConnector {
    pub(super) fn new(
        resolver: GuardedResolver,
        proxies: Arc<ProxyMatcher>,
        gate: SendGate,
        mut tls: ClientConfig,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A tunnel is asked for in HTTP/1.1.
        tls.alpn_protocols.clear();
        Self { resolver, proxies, gate, to_proxy: HttpsConnector::from((tcp, tls)) }
    }

    /// The same with another resolver.
    pub(super) fn with(&self, resolver: GuardedResolver) -> Self {
        Self { resolver, ..self.clone() }
    }

    async fn connect(self, url: Uri) -> Result<TunnelStream, BoxError> {
        let host = url.host().unwrap_or_default();
        let proxy = self.proxies.of(&url, &self.resolver.policy());
        let proxy = proxy.ok_or_else(|| TunnelError(format!("No proxy for {host}")))?;
        let port = url.port_u16().unwrap_or(if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let name = proxy.name();
        let mut tunnel = Tunnel::new(proxy.uri, self.to_proxy);
        if let Some(credentials) = proxy.credentials {
            tunnel = tunnel.with_auth(credentials);
        }
        let mut failure = TunnelError(format!("Proxy {name} would not connect to {host}"));
        for target in self.resolver.targets(host, port).await? {
            let target = Uri::builder().scheme(Scheme::HTTP).authority(target).path_and_query("/").build()?;
            match tunnel.call(target).await {
                Ok(stream) => return Ok(stream),
                // The proxy may reach another address of the host.
                Err(error) if error.to_string() == "tunnel error: unsuccessful" => {}
                Err(error) => {
                    failure.0 = match error.source() {
                        Some(cause) => because(cause, &format!("proxy {name}")),
                        None => format!("{}: {}", failure.0, error.to_string().trim_start_matches("tunnel error: ")),
                    };
                    break;
                }
            }
        }
        Err(failure.into())
    }
}

impl Service<Uri> for TunnelConnector {
    type Response = TunnelStream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TunnelStream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (gate, connection) = (Arc::clone(&self.gate), self.clone().connect(url));
        async move { pass_gate(&gate, connection.await?).await }.boxed()
    }
}
