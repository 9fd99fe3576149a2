//! What is told of a delivery that has ended: its webhook's metrics count it, and one that failed has a line in the log.

use super::catalog::WatchedWebhook;
use crate::core::delivery::{Delivery, DeliverySummary, ResponsePhase};

/// Tells that a delivery has ended so.
pub(super) fn tell(delivery: &Delivery, webhook: &WatchedWebhook, summary: &DeliverySummary) {
    webhook.series.ended(summary.outcome);
    if summary.outcome != ResponsePhase::Failed {
        return;
    }
    let (namespace, event) = (&*delivery.event.namespace, &*delivery.event.name);
    let reason = match (summary.status_code, delivery.history.last().last()) {
        (Some(_), _) => None,
        // Secrets are masked in it, as in the WebhookResponse.
        (None, Some(last)) => last.message.as_deref(),
        (None, None) => Some("nothing could be sent; the WebhookResponse says why"),
    };
    tracing::warn!(
        namespace,
        webhook = &*delivery.webhook,
        event,
        alert_group = &*delivery.facts.alert_group_id,
        attempts = delivery.history.count,
        status = summary.status_code,
        reason,
        response = summary.response,
        "a delivery failed for good"
    );
}
