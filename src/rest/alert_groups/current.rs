//! Alert groups as they are in the API server when a call asks for one, whatever the watch has shown so far.

use std::sync::Arc;

use axum::http::StatusCode;
use kube::api::ListParams;

use super::{AlertGroups, ListedAlertGroup, WatchedAlertGroup};
use crate::{
    errors::error_chain,
    kubernetes::{name::NamespacedName, objects},
    resources::AlertGroup,
    rest::{
        error::ApiError,
        freshness::{PATIENCE, Standing},
    },
};

impl AlertGroups {
    /// The alert group with an id, as it is at some moment after this is called.
    ///
    /// # Errors
    /// There is none: 404. It is not known, and the API server does not say: 503.
    pub(crate) async fn current(&self, namespace: &str, id: &str) -> Result<Arc<ListedAlertGroup>, ApiError> {
        let current = match self.get(namespace, id) {
            Some(known) => self.confirmed(known).await,
            None => self.look_up(namespace, id).await?,
        };
        current.filter(|group| *group.id == *id).ok_or_else(ApiError::not_found)
    }

    /// An alert group as it is now; None if it is gone. Where the API server does not say, as it is known.
    async fn confirmed(&self, known: Arc<ListedAlertGroup>) -> Option<Arc<ListedAlertGroup>> {
        match self.freshness.of::<AlertGroup>(&known.name, &known.state_of_object()).await {
            Standing::Unchanged | Standing::Unknown => Some(known),
            Standing::Gone => {
                self.remove(&known.name);
                None
            }
            Standing::Changed => self.read(&known.name).await.unwrap_or(Some(known)),
        }
    }

    /// Reads an alert group; None if it is gone, or no operator has written it yet.
    async fn read(&self, name: &NamespacedName) -> Result<Option<Arc<ListedAlertGroup>>, objects::Error> {
        match self.objects.get_part::<AlertGroup, WatchedAlertGroup>(&name.namespace, &name.name).await? {
            Some(group) => Ok(self.insert(&group)),
            None => {
                self.remove(name);
                Ok(None)
            }
        }
    }

    /// Asks for an alert group that is not known here.
    async fn look_up(&self, namespace: &str, id: &str) -> Result<Option<Arc<ListedAlertGroup>>, ApiError> {
        // Ids of alert groups have no other characters, which selectors would have to have escaped.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let mut name = None;
        let of_id = ListParams::default().fields(&format!("status.id={id}"));
        let take = |metadata: objects::ObjectMeta| name = metadata.name;
        let asked = self.objects.each_metadata::<AlertGroup>(Some(namespace), of_id, take);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(away(&error_chain(&error))),
            Err(_) => return Err(away("no answer in time")),
        }
        match name {
            Some(name) => {
                let found = self.read(&NamespacedName::new(namespace, name)).await;
                found.map_err(|error| ApiError::from(&error))
            }
            None => Ok(None),
        }
    }
}

/// The answer to a call for an alert group that is not known here, and that the API server may know.
fn away(why: &str) -> ApiError {
    tracing::warn!(
        error = why,
        "failed to look up an alert group that is not known here; the call was answered with 503"
    );
    let detail = "The Kubernetes API can't be asked at the moment: try again.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
}
