//! Looks whether the cluster's definitions of the custom resources are those that this program needs.

use kube::{Client, Resource};

use crate::{
    kubernetes::definitions,
    resources::{AlertGroup, Integration, WebhookResponse},
};

/// Resolves when the definitions are not older than this program. With an older one of WebhookResponse the API server would leave
/// out what is recorded, and not say so.
pub(super) async fn current(client: &Client) {
    definitions::until(client, |found| {
        let is_outdated = is_outdated(found);
        if is_outdated {
            tracing::error!(
                "nothing is sent: the cluster's definitions of the custom resources are older than this program; apply those of its \
                 version (kubectl apply -f crds/)"
            );
        }
        !is_outdated
    })
    .await;
}

/// Whether the status of a WebhookResponse is written apart from it, or there are no AlertGroups or Integrations. Where there is
/// nothing at all, the watches say so.
fn is_outdated(found: &[String]) -> bool {
    let has = |name: &str| found.iter().any(|found| found == name);
    !found.is_empty()
        && (has(&format!("{}/status", WebhookResponse::plural(&())))
            || !has(&AlertGroup::plural(&()))
            || !has(&Integration::plural(&())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_earlier_versions_are_outdated() {
        let is = |found: &[&str]| is_outdated(&found.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let current = ["webhooks", "webhooks/status", "webhookresponses", "alertgroups", "integrations"];
        assert!(!is(&current) && !is(&[]));
        for (added, without) in [(Some("webhookresponses/status"), None), (None, Some(3)), (None, Some(4))] {
            let kept = current.iter().enumerate().filter(|(place, _)| Some(*place) != without).map(|(_, name)| *name);
            let found: Vec<&str> = kept.chain(added).collect();
            assert!(is(&found), "{found:?}");
        }
    }
}
