//! What came of an event, in words.

use std::pin::pin;

use anyhow::{Result, bail};
use futures::StreamExt;

use crate::{
    cli::session::Session,
    core::{alert_groups::Verdict, intake::AlertAction},
    resources::{AlertGroupEvent, AlertGroupEventStatus, EventPhase},
};

/// Waits until an event has ended; None if it has left nothing, and is deleted.
///
/// # Errors
/// It can't be watched.
pub(super) async fn wait(session: &Session, event: &str) -> Result<Option<AlertGroupEventStatus>> {
    let mut states = pin!(session.follow::<AlertGroupEvent>(event));
    while let Some(state) = states.next().await {
        let Some(event) = state? else { return Ok(None) };
        if let Some(status) = event.status.filter(|status| status.phase == EventPhase::Completed) {
            return Ok(Some(status));
        }
    }
    bail!("the watch ended")
}

/// What came of it, and whether that is well. Of what has left nothing, `action` is what the source said.
pub(super) fn line(status: Option<AlertGroupEventStatus>, action: AlertAction) -> (String, bool) {
    let Some(status) = status else {
        let line = match action {
            AlertAction::Firing => "joined an open alert group",
            AlertAction::Acknowledge | AlertAction::Resolve => "changed no alert group",
            AlertAction::Heartbeat => "was received",
        };
        return (line.to_owned(), true);
    };
    let group = status.alert_group_ref.as_ref().map_or_else(String::new, |group| format!(" AlertGroup {}", group.name));
    let verdict = match status.verdict {
        Some(Verdict::Opened) => format!("opened{group}; "),
        Some(Verdict::Acknowledged) => format!("acknowledged{group}; "),
        Some(Verdict::Resolved) => format!("resolved{group}; "),
        _ => String::new(),
    };
    let AlertGroupEventStatus { matched, succeeded, failed, skipped, .. } = status;
    let webhooks = match matched {
        0 => "no webhook ran".to_owned(),
        _ => format!("webhooks: {succeeded} succeeded, {failed} failed, {skipped} skipped"),
    };
    (format!("{verdict}{webhooks}"), failed == 0)
}
