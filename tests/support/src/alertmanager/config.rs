//! Configurations of Alertmanager.

use serde_json::{Value, json};

/// The configuration of an Alertmanager that notifies one receiver by POST to `url`, with `authorization` as bearer token.
///
/// Alerts are grouped by `alertname`. A group is notified of soon after it has come to be, and at most once a second when it
/// changes, also when it is resolved. The rest is as Alertmanager has it by default: what did not change is repeated after four
/// hours. What a test wants otherwise, it sets in the value: `config["route"]["repeat_interval"] = "1s".into()`.
///
/// JSON is YAML: its text (`to_string`) is what [`Alertmanager::start`](super::Alertmanager::start) takes.
pub fn config_to(url: &str, authorization: Option<&str>) -> Value {
    let mut webhook = json!({"url": url, "send_resolved": true});
    if let Some(token) = authorization {
        webhook["http_config"] = json!({"authorization": {"type": "Bearer", "credentials": token}});
    }
    json!({
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname"],
            "group_wait": "100ms",
            "group_interval": "1s",
        },
        "receivers": [{"name": "webhook", "webhook_configs": [webhook]}],
    })
}
