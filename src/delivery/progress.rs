//! How far a request has come: whether it was still without a connection when its time was over. A receiver that can't be
//! connected to has seen nothing; one that was sent the request and did not answer may have taken it.
//!
//! ```text
//! exchange ─► watched ─► HTTP client ─► Watch ─► connector
//!                 └───── Progress ◄───────┘
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tower::{Layer, Service};

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// The connections that were begun, and those that were made, for one request.
#[derive(Debug, Default)]
pub(super) struct Progress {
    begun: AtomicUsize,
    made: AtomicUsize,
}

impl Progress {
    /// Whether the request was sent, or is being sent: over a connection that there was, or one that was made for it.
    pub(super) fn is_sent(&self) -> bool {
        self.begun.load(Ordering::Relaxed) <= self.made.load(Ordering::Relaxed)
    }
}

/// Does `work`, and notes in `progress` the connections that it asks a [`Watch`] for.
pub(super) async fn watched<F: Future>(progress: &Arc<Progress>, work: F) -> F::Output {
    PROGRESS.scope(Arc::clone(progress), work).await
}

/// Puts a [`Watch`] around a connector.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchLayer;

impl<S> Layer<S> for WatchLayer {
    type Service = Watch<S>;

    fn layer(&self, connector: S) -> Watch<S> {
        Watch(connector)
    }
}

/// A connector that tells of its connections.
#[derive(Clone, Debug)]
pub(super) struct Watch<S>(pub(super) S);

impl<S, Target> Service<Target> for Watch<S>
where
    S: Service<Target>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        // Kept by the connection: a client may go on with it elsewhere, when another one got free first.
        let progress = PROGRESS.try_with(Arc::clone).ok();
        if let Some(progress) = &progress {
            progress.begun.fetch_add(1, Ordering::Relaxed);
        }
        let connection = self.0.call(target);
        Box::pin(async move {
            let connection = connection.await?;
            if let Some(progress) = &progress {
                progress.made.fetch_add(1, Ordering::Relaxed);
            }
            Ok(connection)
        })
    }
}
