//! What is told of a delivery that has ended: its webhook's metrics count it, and one that failed has a line in the log.

use super::catalog::WatchedWebhook;
use crate::core::delivery::{Attempt, Delivery, DeliverySummary, ResponsePhase};

/// Tells that a delivery has ended so. `last` is the attempt by which it did; None if nothing was sent that came to this end. `trace_id` is
/// that of its trace, if it has one.
pub(super) fn tell(
    delivery: &Delivery,
    webhook: &WatchedWebhook,
    summary: &DeliverySummary,
    last: Option<&Attempt>,
    trace_id: Option<&str>,
) {
    webhook.series.ended(summary.outcome);
    if summary.outcome != ResponsePhase::Failed {
        return;
    }
    let (namespace, event) = (&*delivery.event.namespace, &*delivery.event.name);
    tracing::warn!(
        namespace,
        webhook = &*delivery.webhook,
        event,
        alert_group = &*delivery.facts.alert_group_id,
        attempts = delivery.history.count,
        status = summary.status_code,
        reason = reason(last),
        response = summary.response,
        trace_id,
        "a delivery failed for good"
    );
}

/// Why there was no answer; None if there was one.
fn reason(last: Option<&Attempt>) -> Option<&str> {
    match last {
        // Secrets are masked in it, as in the WebhookResponse.
        Some(last) => last.message.as_deref(),
        None => Some("nothing could be sent; the WebhookResponse says why"),
    }
}
