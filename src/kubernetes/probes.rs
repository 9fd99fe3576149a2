//! `/livez` and `/readyz`: the answers to Kubernetes' liveness and readiness probes, for the controller and the REST API.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

/// Whether the caches are filled, so that the process can do its work.
#[derive(Clone, Default)]
pub(crate) struct Ready(Arc<AtomicBool>);

impl Ready {
    /// From now on the readiness probe succeeds.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens on `address`.
///
/// # Errors
/// The address can't be taken.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listen on health address {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "health");
    Ok(listener)
}

/// Answers the probes and the routes of `others` until the process ends.
pub(crate) async fn serve(listener: TcpListener, ready: Ready, others: Router) -> std::io::Result<()> {
    axum::serve(listener, routes(ready).merge(others)).await
}

/// The routes of both probes.
pub(crate) fn routes(ready: Ready) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(readyz)).with_state(ready)
}

async fn readyz(State(ready): State<Ready>) -> (StatusCode, &'static str) {
    if ready.is_set() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not filled yet\n")
    }
}
