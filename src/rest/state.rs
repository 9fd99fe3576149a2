//! The state that all handlers share: caches, the writer, who is let in, and bounds on work that goes on at a time.

use std::{future::Future, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::{
    task::JoinError,
    time::{error::Elapsed, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    alert_groups::{AlertGroupChanges, AlertGroups},
    auth::Auth,
    catalog::Catalog,
    error::ApiError,
    intake::Intake,
    integrations::Integrations,
    permits::Permits,
    responses::Responses,
    writer::WebhookWriter,
};
use crate::{kubernetes::probes::Ready, rendering::RenderingPool};

/// The parts that answer calls, and the bounds that calls share.
pub(crate) struct ApiState {
    pub(crate) auth: Auth,
    pub(crate) ready: Ready,
    /// Whether alert groups and integrations are known, which a cluster with earlier definitions has not.
    pub(crate) ready_for_alerts: Ready,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) responses: Arc<Responses>,
    pub(crate) integrations: Arc<Integrations>,
    pub(crate) alert_groups: Arc<AlertGroups>,
    pub(crate) alert_group_changes: Arc<AlertGroupChanges>,
    pub(crate) writer: Arc<WebhookWriter>,
    pub(crate) intake: Intake,
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

/// Runs a write, also when the client does not wait for it, but no longer than `limit`. What a client is told to send again is
/// not written after all, behind what the client has sent since.
pub(crate) async fn run_within<T: Send + 'static>(
    writes: &TaskTracker,
    limit: Duration,
    write: impl Future<Output = T> + Send + 'static,
) -> Result<Result<T, Elapsed>, JoinError> {
    writes.spawn(timeout(limit, write)).await
}

/// The answer to a call that has panicked elsewhere: the panic is in the log.
pub(crate) fn panicked() -> ApiError {
    tracing::error!("a call ended early and was answered with 500: a bug, the panic is in the log");
    ApiError::internal()
}

/// The answer to a call whose task has panicked or was cancelled.
pub(crate) fn ended_early(error: &JoinError) -> ApiError {
    tracing::error!(%error, "a call ended early and was answered with 500: a bug, the panic is in the log");
    ApiError::internal()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_write_that_takes_too_long_is_not_made_when_its_client_has_been_told() {
        let writes = TaskTracker::new();
        let (let_go, held) = oneshot::channel::<()>();
        assert!(run_within(&writes, Duration::from_millis(1), held).await.unwrap().is_err());
        assert_eq!(let_go.send(()), Err(()));
    }

    #[tokio::test]
    async fn a_write_is_made_also_when_its_client_does_not_wait() {
        let writes = TaskTracker::new();
        let ((let_go, held), (tell, told)) = (oneshot::channel::<()>(), oneshot::channel());
        let write = held.map(|held| tell.send(held));
        assert!(run_within(&writes, Duration::from_mins(1), write).now_or_never().is_none());
        let_go.send(()).unwrap();
        assert_eq!(told.await, Ok(Ok(())));
    }
}
