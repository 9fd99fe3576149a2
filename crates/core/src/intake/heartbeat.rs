//! The alerts that tell that a source is silent, and that it is back.

use serde_json::{Value, json};

use super::{AlertAction, IntegrationType, ReceivedAlert};

/// The grouping id of all heartbeats of an Integration: there is one alert group at a time that says that it is silent.
pub const HEARTBEAT_GROUPING_ID: &str = r#"{}:{alertname="OnCallHeartBeatMissing"}"#;

/// What a heartbeat tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// Nothing came for longer than was agreed.
    Missing,
    /// Something came again.
    Restored,
}

/// The payload of a heartbeat's alert, and what is known of it. The payload has the keys of OnCall's, by which webhooks may
/// tell it. The Integration's templates are not asked, so that none of them can keep a heartbeat from opening its alert group
/// or from resolving it; OnCall asks them. `name` is the Integration's.
pub fn heartbeat_alert(integration_type: IntegrationType, name: &str, heartbeat: Heartbeat) -> (Value, ReceivedAlert) {
    let (action, title, message) = match heartbeat {
        Heartbeat::Missing => (
            AlertAction::Firing,
            format!("{name}: no heartbeat"),
            format!("Nothing was received from {name} in time: it may have ended, or can't reach this cluster."),
        ),
        Heartbeat::Restored => (
            AlertAction::Resolve,
            format!("{name}: heartbeat is back"),
            format!("Something was received from {name} again."),
        ),
    };
    let payload = if integration_type.sends_groups() {
        group(&title, &message, heartbeat)
    } else {
        formatted(&title, &message, heartbeat)
    };
    (payload, ReceivedAlert { grouping_id: Some(HEARTBEAT_GROUPING_ID.to_owned()), action, title, faults: Vec::new() })
}

fn group(title: &str, message: &str, heartbeat: Heartbeat) -> Value {
    let is_missing = heartbeat == Heartbeat::Missing;
    let status = if is_missing { "firing" } else { "resolved" };
    let labels = json!({"alertname": "OnCallHeartBeatMissing"});
    let annotations = json!({"title": title, "description": message});
    json!({
        "alerts": [{
            "endsAt": "", "labels": labels, "status": status, "startsAt": "", "annotations": annotations,
            "fingerprint": "fingerprint", "generatorURL": "",
        }],
        "status": status, "version": "4", "groupKey": HEARTBEAT_GROUPING_ID, "receiver": "", "externalURL": "",
        "numFiring": u8::from(is_missing), "numResolved": u8::from(!is_missing), "truncatedAlerts": 0,
        "groupLabels": labels, "commonLabels": labels, "commonAnnotations": annotations,
    })
}

fn formatted(title: &str, message: &str, heartbeat: Heartbeat) -> Value {
    let is_restored = heartbeat == Heartbeat::Restored;
    json!({
        "alert_uid": HEARTBEAT_GROUPING_ID, "title": title, "image_url": null, "state": if is_restored { "ok" } else { "alerting" },
        "link_to_upstream_details": null, "message": message,
        "is_oncall_heartbeat": true, "is_oncall_heartbeat_restored": is_restored,
        "is_amixr_heartbeat": true, "is_amixr_heartbeat_restored": is_restored,
    })
}
