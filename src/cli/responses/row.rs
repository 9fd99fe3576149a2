//! A delivery as a line of a table.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    cli::{
        table::{BAD, Cell, DOUBTFUL, FAINT, GOOD, Table, printable, shortened},
        times::seconds,
    },
    resources::{ResponsePhase, WebhookResponse, WebhookResponseStatus},
};

/// Bounds on a message, in characters: in the usual table, and in a wide one.
const SHORT: usize = 80;
const LONG: usize = 300;

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// When it was last tried; when it was made, where that is not known.
    pub(super) time: Option<Timestamp>,
    pub(super) name: String,
    event: String,
    alert_group: String,
    phase: ResponsePhase,
    code: Option<u16>,
    attempts: u32,
    message: String,
    url: String,
    duration_ms: Option<u64>,
}

/// The table, which has room for more if it is wide.
pub(super) fn table(wide: bool) -> Table {
    let heads = ["TIME", "NAME", "EVENT", "ALERT GROUP", "PHASE", "CODE", "ATTEMPTS", "MESSAGE"];
    let more = ["TIME", "NAME", "EVENT", "ALERT GROUP", "PHASE", "CODE", "ATTEMPTS", "TOOK", "URL", "MESSAGE"];
    if wide { Table::new(&more) } else { Table::new(&heads) }
}

impl Row {
    pub(super) fn of(response: &WebhookResponse) -> Self {
        let status = response.status.clone().unwrap_or_default();
        let last = status.attempts.last();
        let created = response.metadata.creation_timestamp.as_ref().map(|time| time.0);
        Self {
            time: status.timestamp.or_else(|| last.map(|attempt| attempt.time)).or(created),
            name: response.name_any(),
            event: response.spec.event_ref.name.clone(),
            alert_group: response.spec.alert_group_id.clone(),
            phase: status.phase,
            code: status.status_code,
            attempts: status.attempt_count,
            message: shortened(&message(&status), LONG),
            url: shortened(status.url.as_deref().unwrap_or_default(), LONG),
            duration_ms: last.map(|attempt| attempt.duration_ms),
        }
    }

    /// What rows are sorted by.
    pub(super) fn place(&self) -> (Option<Timestamp>, &str) {
        (self.time, &self.name)
    }

    pub(super) fn cells(&self, wide: bool) -> Vec<Cell> {
        let style = style(self.phase);
        let mut cells = vec![
            Cell::styled(&self.time.map(seconds).unwrap_or_default(), FAINT),
            Cell::new(&self.name),
            Cell::new(&self.event),
            Cell::new(&self.alert_group),
            Cell::styled(word(self.phase), style),
            Cell::new(&self.code.map(|code| code.to_string()).unwrap_or_default()),
            Cell::new(&self.attempts.to_string()),
        ];
        if wide {
            cells.push(Cell::new(&self.duration_ms.map(|ms| format!("{ms}ms")).unwrap_or_default()));
            cells.push(Cell::new(&self.url));
            cells.push(Cell::new(&self.message));
        } else {
            cells.push(Cell::new(&shortened(&self.message, SHORT)));
        }
        cells
    }
}

pub(super) fn word(phase: ResponsePhase) -> &'static str {
    match phase {
        ResponsePhase::Pending => "Pending",
        ResponsePhase::Retrying => "Retrying",
        ResponsePhase::Succeeded => "Succeeded",
        ResponsePhase::Failed => "Failed",
        ResponsePhase::Skipped => "Skipped",
    }
}

fn style(phase: ResponsePhase) -> anstyle::Style {
    match phase {
        ResponsePhase::Succeeded => GOOD,
        ResponsePhase::Failed => BAD,
        ResponsePhase::Retrying => DOUBTFUL,
        ResponsePhase::Pending | ResponsePhase::Skipped => FAINT,
    }
}

/// Why a delivery did not succeed, and when it is tried again: in the words of the last attempt, of what could not be rendered, or of the
/// receiver.
fn message(status: &WebhookResponseStatus) -> String {
    if status.phase == ResponsePhase::Succeeded {
        return String::new();
    }
    let attempt = status.attempts.last().and_then(|attempt| attempt.message.as_deref());
    let unrendered = [
        (&status.request_trigger, "Trigger - "),
        (&status.url, "URL - "),
        (&status.request_headers, "Headers - "),
        (&status.request_data, "Data - "),
    ];
    let unrendered =
        unrendered.into_iter().find_map(|(text, begin)| text.as_deref().filter(|text| text.starts_with(begin)));
    let why = printable(attempt.or(unrendered).or(status.content.as_deref()).unwrap_or_default());
    let next = status.next_attempt_time.filter(|_| status.phase == ResponsePhase::Retrying);
    match next.map(|next| format!("again at {}", seconds(next))) {
        // The answer of a receiver may be long.
        Some(next) if !why.is_empty() => format!("{next}: {why}"),
        Some(next) => next,
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(status: &Value) -> Row {
        let response = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "WebhookResponse",
            "metadata": {"name": "jira-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "webhookRef": {"name": "jira", "id": "WH1"}, "eventRef": {"name": "disk", "uid": "u"}, "alertGroupId": "I1",
                "triggerType": "resolve",
            },
            "status": status,
        });
        Row::of(&serde_json::from_value(response).unwrap())
    }

    #[test]
    fn a_line_says_when_and_why() {
        let attempt = |message: Value| json!([{"time": "2026-01-01T00:01:00Z", "statusCode": null, "message": message, "durationMs": 12}]);
        for (status, time, message) in [
            (json!(null), "2026-01-01T00:00:00Z", ""),
            (
                json!({"phase": "Succeeded", "content": "ok", "attempts": attempt(json!(null))}),
                "2026-01-01T00:01:00Z",
                "",
            ),
            (
                json!({"phase": "Failed", "timestamp": "2026-01-01T00:02:00Z", "attempts": attempt(json!("connection\nrefused"))}),
                "2026-01-01T00:02:00Z",
                "connection refused",
            ),
            (
                json!({"phase": "Failed", "statusCode": 400, "content": "no\u{1b}[2J"}),
                "2026-01-01T00:00:00Z",
                "no\u{fffd}[2J",
            ),
            (
                json!({"phase": "Failed", "url": "http://x", "requestData": "Data - no x"}),
                "2026-01-01T00:00:00Z",
                "Data - no x",
            ),
            (
                json!({"phase": "Retrying", "content": "busy", "nextAttemptTime": "2026-01-01T00:09:00Z"}),
                "2026-01-01T00:00:00Z",
                "again at 2026-01-01T00:09:00Z: busy",
            ),
            (
                json!({"phase": "Failed", "nextAttemptTime": "2026-01-01T00:09:00Z", "content": "x".repeat(400)}),
                "2026-01-01T00:00:00Z",
                &format!("{}…", "x".repeat(299)),
            ),
        ] {
            let row = row(&status);
            assert_eq!((row.time.map(seconds).unwrap().as_str(), &*row.message), (time, message), "{status}");
        }
    }

    #[test]
    fn a_wide_table_has_the_url_and_how_long_it_took() {
        let status = json!({
            "phase": "Failed", "statusCode": 400, "url": "http://x/y", "content": "y".repeat(100), "attemptCount": 3,
            "timestamp": "2026-01-01T00:02:00.5Z", "attempts": [{"time": "2026-01-01T00:02:00Z", "durationMs": 500}],
        });
        let shown = |wide: bool| {
            let mut table = table(wide);
            table.push(row(&status).cells(wide));
            anstream::adapter::strip_str(&table.take(false)).to_string()
        };
        let begin = "2026-01-01T00:02:00Z   jira-1   disk   I1   Failed   400   3   ";
        assert_eq!(shown(false), format!("{begin}{}…\n", "y".repeat(79)));
        assert_eq!(shown(true), format!("{begin}500ms   http://x/y   {}\n", "y".repeat(100)));
    }
}
