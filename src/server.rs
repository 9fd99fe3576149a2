//! The listener of every port: connections come in, requests with their [`Peer`] go to the router.
//!
//! ```text
//! Acceptor ─► Connections (in all, and each peer's) ─► TLS, if asked for ─► HTTP/1.1 or HTTP/2 ─► Gate (bytes) ─► Router
//! ```
//! Nobody has said who he is so far. Therefore no client holds a connection for ever: a handshake, a request's head and the time
//! without a request have their limits; and none has more than a share of the connections, or of the memory for requests that
//! wait to be let in ([`Waiting`]). How long a body and a handler may take is for the router.

mod acceptor;
mod bounds;
mod connection;
mod connections;
mod gate;
mod idle;
mod limits;
mod peer;
#[cfg(test)]
mod tests;
mod tls;

use std::{future::Future, io, net::SocketAddr, path::Path, pin::pin, sync::Arc};

use anyhow::{Context, Result};
use axum::{Router, http::Method};
use futures::future;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{acceptor::Acceptor, connection::ConnectionHandler, connections::Connections, gate::Gate, tls::TlsServer};
pub(crate) use self::{
    bounds::Bounds,
    gate::Waiting,
    limits::Limits,
    peer::{Peer, PeerKey, is_trusted},
};
use crate::config::Listen;

/// Is told of the method of each request that there is no room for, and that no router sees.
type OnRefusal = Arc<dyn Fn(&Method) + Send + Sync>;

/// A listener that is bound, and does not serve yet.
pub(crate) struct Server {
    listener: TcpListener,
    tls: Option<TlsServer>,
    /// What the port is for, in logs and errors.
    port: &'static str,
    bounds: Bounds,
    limits: Limits,
    on_refusal: OnRefusal,
}

impl Server {
    /// Takes the address of the REST API and reads its certificate.
    ///
    /// # Errors
    /// The address can't be taken, or the files hold no certificate with its key; names which.
    pub(crate) async fn bind(listen: &Listen, bounds: Bounds) -> Result<Self> {
        let tls = match (&listen.tls_certificate, &listen.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsServer::load(certificate, key)?),
            (None, None) => None,
            _ => anyhow::bail!("set up TLS: give both --tls-certificate and --tls-key, or neither"),
        };
        let listener = TcpListener::bind(listen.address).await.with_context(|| {
            format!("listen on address {} of the REST API: free it, or give another with --address", listen.address)
        })?;
        Ok(Self::new(listener, tls, "REST API", bounds, Limits::default()))
    }

    /// Takes an address and reads the certificate of the port that this is for.
    ///
    /// # Errors
    /// The address can't be taken, or the files hold no certificate with its key; names which.
    pub(crate) async fn secured(
        address: SocketAddr,
        (certificate, key): (&Path, &Path),
        port: &'static str,
        bounds: Bounds,
    ) -> Result<Self> {
        let tls = Some(TlsServer::load(certificate, key)?);
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen on address {address} of the {port}"))?;
        Ok(Self::new(listener, tls, port, bounds, Limits::default()))
    }

    /// A server on a listener, without TLS.
    pub(crate) fn plain(listener: TcpListener, port: &'static str, bounds: Bounds, limits: Limits) -> Self {
        Self::new(listener, None, port, bounds, limits)
    }

    fn new(listener: TcpListener, tls: Option<TlsServer>, port: &'static str, bounds: Bounds, limits: Limits) -> Self {
        Self { listener, tls, port, bounds, limits, on_refusal: Arc::new(|_| {}) }
    }

    /// Tells of each request that there is no room for. It is answered with 503, and no router sees it.
    pub(crate) fn on_refusal(self, tell: impl Fn(&Method) + Send + Sync + 'static) -> Self {
        Self { on_refusal: Arc::new(tell), ..self }
    }

    /// The address, with the port that was chosen where 0 was asked for.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves; then refuses new connections and finishes what is running, within
    /// [`limits::GRACE`].
    ///
    /// # Errors
    /// The socket does not listen any more.
    pub(crate) async fn serve(self, router: Router, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { listener, tls, port, bounds, limits, on_refusal } = self;
        let gate = Gate::new(bounds.clone());
        let acceptor = Acceptor::new(listener, Connections::new(bounds, limits.settle), port);
        let stopping = CancellationToken::new();
        let handler = Arc::new(ConnectionHandler::new(router, tls, limits, port, (gate, on_refusal), stopping.clone()));
        let mut connections = JoinSet::new();
        accept(acceptor, &handler, &mut connections, stop).await?;
        stopping.cancel();
        let last = async { while connections.join_next().await.is_some() {} };
        if timeout(limits.close, last).await.is_err() {
            tracing::warn!(
                port,
                connections = connections.len(),
                "stopped before all requests on these connections were answered"
            );
        }
        Ok(())
    }
}

/// Accepts connections until `stop` resolves, and then listens no more.
async fn accept(
    mut acceptor: Acceptor,
    handler: &Arc<ConnectionHandler>,
    connections: &mut JoinSet<()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let reload = async {
        match &handler.tls {
            Some(tls) => tls.reload(handler.limits.reload).await,
            None => future::pending().await,
        }
    };
    let (mut stop, mut reload) = (pin!(stop), pin!(reload));
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            never = &mut reload => match never {},
            accepted = acceptor.accept() => {
                let (stream, address, entry) = accepted.context("accept connections")?;
                let handler = Arc::clone(handler);
                connections.spawn(async move { handler.serve(stream, address, &entry.place().await).await });
                // Forgets those that have ended.
                while connections.try_join_next().is_some() {}
            }
        }
    }
}
