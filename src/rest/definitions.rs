//! What works while the cluster lacks definitions of custom resources, as when those that are there are of an earlier version:
//! webhooks do, and alerts wait for theirs.

use kube::{Client, Resource};
use tokio::sync::watch;

use crate::{
    kubernetes::{definitions, probes::Ready},
    resources::{AlertGroup, AlertGroupEvent, Integration, Webhook, WebhookResponse},
};

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

/// Says what the cluster lacks, in the log and by `ready`, until it has all that is needed; and by `only_alerts_lack` whether what alerts
/// need is lacking, and nothing else.
pub(super) async fn announce(client: &Client, ready: &Ready, only_alerts_lack: &watch::Sender<bool>) {
    definitions::until(client, |found| {
        let lacking = Lacking::among(found);
        ready.lacks(lacking.as_ref().map(|lacking| lacking.text.as_str()));
        only_alerts_lack.send_replace(lacking.as_ref().is_some_and(|lacking| lacking.is_of_alerts));
        let Some(lacking) = lacking else { return true };
        tracing::error!(
            error = lacking.text,
            "the cluster lacks definitions; the REST API serves what it can, and looks again"
        );
        false
    })
    .await;
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
