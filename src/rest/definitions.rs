//! What works while the cluster lacks definitions of custom resources, as when those that are there are of an earlier version:
//! webhooks do, and alerts wait for theirs.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource};

use crate::{
    errors::error_chain,
    kubernetes::probes::Ready,
    resources::{AlertGroup, AlertGroupEvent, Integration, Webhook, WebhookResponse},
};

/// How long to wait until they are looked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// The kinds that are needed for alerts, and those that are needed for anything at all.
fn needed() -> [(String, String, bool); 5] {
    fn named<K: Resource<DynamicType = ()>>(is_of_alerts: bool) -> (String, String, bool) {
        (K::kind(&()).into_owned(), K::plural(&()).into_owned(), is_of_alerts)
    }
    [
        named::<Webhook>(false),
        named::<WebhookResponse>(false),
        named::<AlertGroupEvent>(true),
        named::<AlertGroup>(true),
        named::<Integration>(true),
    ]
}

/// What is lacking.
#[derive(Debug, PartialEq, Eq)]
struct Lacking {
    /// For the log and the readiness probe.
    text: String,
    /// Whether that concerns alerts alone.
    is_of_alerts: bool,
}

impl Lacking {
    fn among(found: &[String]) -> Option<Self> {
        let missing = needed().into_iter().filter(|(_, plural, _)| !found.contains(plural)).collect::<Vec<_>>();
        let kinds: Vec<&str> = missing.iter().map(|(kind, ..)| kind.as_str()).collect();
        let is_of_alerts = missing.iter().all(|(.., is_of_alerts)| *is_of_alerts);
        let what_for = if is_of_alerts {
            "no alert is taken, and no alert group or integration shown"
        } else {
            "nothing can be served"
        };
        let text = format!(
            "The cluster has no definition of {}: {what_for} until those of this version are applied (kubectl apply -f crds/).",
            kinds.join(", ")
        );
        (!kinds.is_empty()).then_some(Self { text, is_of_alerts })
    }
}

/// Says what the cluster lacks, in the log and by `ready`, until it has all that is needed.
pub(super) async fn announce(client: &Client, ready: &Ready) {
    loop {
        match found(client).await {
            Ok(found) => match Lacking::among(&found) {
                Some(lacking) => {
                    tracing::error!(
                        error = lacking.text,
                        "the cluster lacks definitions; the REST API serves what it can, and looks again"
                    );
                    ready.lacks(Some(&lacking.text));
                }
                None => return ready.lacks(None),
            },
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

/// Resolves when the cluster is found to lack what alerts need, and nothing else.
pub(super) async fn lacking_for_alerts(client: &Client) {
    loop {
        let lacking = found(client).await.ok().and_then(|found| Lacking::among(&found));
        if lacking.is_some_and(|lacking| lacking.is_of_alerts) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The plurals of the kinds that are defined.
async fn found(client: &Client) -> kube::Result<Vec<String>> {
    match client.list_api_group_resources(&Webhook::api_version(&())).await {
        Ok(APIResourceList { resources, .. }) => Ok(resources.into_iter().map(|resource| resource.name).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_with_what_comes_of_it() {
        let all =
            ["webhooks", "webhookresponses", "alertgroupevents", "alertgroups", "integrations", "deliveryjournals"];
        let lacking = |missing: &[&str]| {
            let found: Vec<String> =
                all.iter().filter(|name| !missing.contains(name)).map(|name| (*name).to_owned()).collect();
            Lacking::among(&found).map(|lacking| (lacking.text, lacking.is_of_alerts))
        };
        let end = "until those of this version are applied (kubectl apply -f crds/).";
        let alerts = "no alert is taken, and no alert group or integration shown";
        let text = |kinds: &str, what_for: &str| format!("The cluster has no definition of {kinds}: {what_for} {end}");
        assert_eq!(lacking(&[]), None);
        assert_eq!(lacking(&["deliveryjournals"]), None, "the operator's own");
        assert_eq!(lacking(&["alertgroups", "integrations"]), Some((text("AlertGroup, Integration", alerts), true)));
        assert_eq!(
            lacking(&["webhooks", "integrations"]),
            Some((text("Webhook, Integration", "nothing can be served"), false))
        );
    }
}
