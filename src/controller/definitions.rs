//! Looks whether the cluster's definitions of the custom resources are those that this program needs.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource};

use crate::{
    errors::error_chain,
    resources::{AlertGroup, Integration, WebhookResponse},
};

/// How long to wait until they are looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Resolves when the definitions are not older than this program. With an older one of WebhookResponse the API server would leave
/// out what is recorded, and not say so.
pub(super) async fn current(client: &Client) {
    loop {
        match client.list_api_group_resources(&WebhookResponse::api_version(&())).await {
            Ok(found) if is_outdated(&found) => tracing::error!(
                "nothing is sent: the cluster's definitions of the custom resources are older than this program; apply those of its \
                 version (kubectl apply -f crds/)"
            ),
            Ok(_) => return,
            // There are none; the watches say so.
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "failed to read the definitions of the custom resources; trying again"
                );
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether the status of a WebhookResponse is written apart from it, or there are no AlertGroups.
fn is_outdated(found: &APIResourceList) -> bool {
    let has = |name: &str| found.resources.iter().any(|resource| resource.name == name);
    has(&format!("{}/status", WebhookResponse::plural(&())))
        || !has(&AlertGroup::plural(&()))
        || !has(&Integration::plural(&()))
}
