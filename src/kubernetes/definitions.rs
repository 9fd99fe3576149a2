//! Which definitions of this program's custom resources the cluster has.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource};

use crate::{errors::error_chain, resources::Webhook};

/// How long to wait until they are looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Looks at the definitions until they are fine: `are_fine` is told of what there is, as the plurals of kinds (`webhooks`) and what is
/// written apart of these (`webhooks/status`).
pub(crate) async fn until(client: &Client, mut are_fine: impl FnMut(&[String]) -> bool) {
    loop {
        match found(client).await {
            Ok(found) if are_fine(&found) => return,
            Ok(_) => {}
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

async fn found(client: &Client) -> kube::Result<Vec<String>> {
    match client.list_api_group_resources(&Webhook::api_version(&())).await {
        Ok(APIResourceList { resources, .. }) => Ok(resources.into_iter().map(|resource| resource.name).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
