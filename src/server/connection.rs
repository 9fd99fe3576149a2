//! One connection from its first byte to its end: TLS, HTTP, requests for the router.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{HeaderValue, StatusCode, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    OnRefusal, acceptor::LogThrottle, bounds, connections::Place, gate::Gate, limits::Limits, peer::Peer,
    tls::TlsServer,
};

/// How long a connection that has to make room has to say so to its client.
const FAREWELL: Duration = Duration::from_millis(100);

/// Serves connections.
pub(super) struct ConnectionHandler {
    router: Router,
    http: auto::Builder<TokioExecutor>,
    pub(super) tls: Option<TlsServer>,
    pub(super) limits: Limits,
    /// What the port is for, in logs.
    port: &'static str,
    gate: Arc<Gate>,
    on_refusal: OnRefusal,
    shed_log: Mutex<LogThrottle>,
    /// Cancelled when connections are to be closed as soon as their requests are answered.
    stopping: CancellationToken,
}

impl ConnectionHandler {
    pub(super) fn new(
        router: Router,
        tls: Option<TlsServer>,
        limits: Limits,
        port: &'static str,
        (gate, on_refusal): (Arc<Gate>, OnRefusal),
        stopping: CancellationToken,
    ) -> Self {
        // The state makes the router's layers once, rather than for each request.
        let (router, http) = (router.with_state(()), limits.http());
        Self { router, http, tls, limits, port, gate, on_refusal, shed_log: Mutex::default(), stopping }
    }

    /// Serves one connection to its end, or until its place is another's.
    pub(super) async fn serve(self: &Arc<Self>, stream: TcpStream, mut address: SocketAddr, place: &Place) {
        address.set_ip(address.ip().to_canonical());
        // Answers are written at once; waiting for more only delays their end.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "failed to set TCP_NODELAY of a connection");
        }
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, Peer { address, tls: false }, place).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake, tls.accept(stream)) => handshake,
            () = self.stopping.cancelled() => return,
            () = place.evicted.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.serve_http(stream, Peer { address, tls: true }, place).await,
            Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
        }
    }

    /// Serves HTTP until the client or the limits end it, its place is another's, or the process stops.
    async fn serve_http(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        place: &Place,
    ) {
        let requests = &place.requests;
        requests.restart(Instant::now());
        let service = {
            let (handler, requests) = (Arc::clone(self), Arc::clone(requests));
            tower::service_fn(move |request: http::Request<_>| {
                let running = requests.begin();
                let answer = handler.answer(request.map(Body::new), peer);
                async move {
                    let answer = answer.await;
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
            () = place.evicted.cancelled() => None,
            () = requests.idle_too_long(self.limits, Duration::ZERO) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            // It has asked for nothing.
            None if place.evicted.is_cancelled() && !requests.had_any() => return,
            None => {
                connection.as_mut().graceful_shutdown();
                let farewell = async {
                    place.evicted.cancelled().await;
                    sleep(FAREWELL).await;
                };
                tokio::select! {
                    ended = connection => ended,
                    () = farewell => Ok(()),
                    () = requests.idle_too_long(self.limits, self.limits.close) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(address = %peer.address, error, port = self.port, "a connection ended with an error");
        }
    }

    /// The router's answer to a request, or that there is no room for it.
    fn answer(
        &self,
        mut request: Request,
        peer: Peer,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let cost = bounds::cost(request.uri(), request.headers());
        let method = request.method().clone();
        let router = self.gate.take(peer.address.ip(), cost).map(|waiting| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(waiting);
            (self.router.clone(), request)
        });
        if router.is_none() {
            (self.on_refusal)(&method);
            if self.shed_log.lock().is_due(Instant::now()) {
                let (port, peer) = (self.port, peer.address.ip());
                tracing::warn!(port, %peer, "requests are refused: too many wait until it is known who sends them");
            }
        }
        async move {
            match router {
                Some((router, request)) => router.oneshot(request).await,
                None => Ok(no_room()),
            }
        }
    }
}

/// The answer to a request for which there is no room.
fn no_room() -> Response {
    let mut answer = Response::new(Body::from(r#"{"detail":"Too many requests wait to be let in: try again."}"#));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
