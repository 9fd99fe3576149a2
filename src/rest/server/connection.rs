//! One connection from its first byte to its end: TLS, HTTP, requests for the router.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{idle::RunningRequests, limits::Limits, peer::Peer, tls::TlsServer};

/// Serves connections.
pub(super) struct ConnectionHandler {
    router: Router,
    http: auto::Builder<TokioExecutor>,
    pub(super) tls: Option<TlsServer>,
    pub(super) limits: Limits,
    /// Cancelled when connections are to be closed as soon as their requests are answered.
    stopping: CancellationToken,
}

impl ConnectionHandler {
    pub(super) fn new(router: Router, tls: Option<TlsServer>, limits: Limits, stopping: CancellationToken) -> Self {
        // The state makes the router's layers once, rather than for each request.
        Self { router: router.with_state(()), http: limits.http(), tls, limits, stopping }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(&self, stream: TcpStream, mut address: SocketAddr) {
        address.set_ip(address.ip().to_canonical());
        // Answers are written at once; waiting for more only delays their end.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "set TCP_NODELAY");
        }
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, Peer { address, tls: false }).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake, tls.accept(stream)) => handshake,
            () = self.stopping.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve_http(stream, Peer { address, tls: true }).await,
            Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake"),
            Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
        }
    }

    /// Serves HTTP until the client or the limits end it, or the process stops.
    async fn serve_http(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let requests = RunningRequests::new(Instant::now());
        let service = {
            let (router, requests) = (self.router.clone(), Arc::clone(&requests));
            tower::service_fn(move |request: http::Request<_>| {
                let mut request: Request = request.map(axum::body::Body::new);
                request.extensions_mut().insert(peer);
                let (router, running) = (router.clone(), requests.begin());
                async move {
                    let answer = router.oneshot(request).await;
                    drop(running);
                    answer
                }
            })
        };
        let connection = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.stopping.cancelled() => None,
            () = requests.idle_too_long(self.limits, Duration::ZERO) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = requests.idle_too_long(self.limits, self.limits.close) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(address = %peer.address, error, "connection of the REST API");
        }
    }
}
