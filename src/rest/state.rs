//! The state that all handlers share: caches, the writer, who is let in, and bounds on work that goes on at a time.

use std::{future::Future, sync::Arc};

use ipnet::IpNet;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

use super::{
    auth::Auth, catalog::Catalog, error::ApiError, permits::Permits, responses::Responses, writer::WebhookWriter,
};
use crate::{kubernetes::probes::Ready, rendering::RenderingPool};

/// The parts that answer calls, and the bounds that calls share.
pub(crate) struct ApiState {
    pub(crate) auth: Auth,
    pub(crate) ready: Ready,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) responses: Arc<Responses>,
    pub(crate) writer: Arc<WebhookWriter>,
    /// Networks of proxies whose `X-Forwarded-*` headers are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// One for each KiB of requests' bodies in memory.
    pub(crate) bodies: Permits,
    /// One for each request whose templates are tried out, or wait for that.
    pub(crate) validations: Permits,
    pub(crate) rendering: RenderingPool,
    /// Writes that are under way.
    pub(crate) writes: TaskTracker,
}

impl ApiState {
    /// Runs a write to its end, also when the client does not wait for it.
    pub(crate) async fn run_to_completion<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.writes.spawn(write).await.unwrap_or_else(|error| Err(ended_early(&error)))
    }
}

/// The answer to a call that has panicked elsewhere: the panic is in the log.
pub(crate) fn panicked() -> ApiError {
    tracing::error!("a call ended early");
    ApiError::internal()
}

/// The answer to a call whose task has panicked or was cancelled.
pub(crate) fn ended_early(error: &JoinError) -> ApiError {
    tracing::error!(%error, "a call ended early");
    ApiError::internal()
}
