//! The results that the examples should have, and how they differ from those that they had.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use support::Received;

use crate::{
    REPOSITORY,
    shell::Shell,
    terminal::{cut, text},
};

/// The body that the receiver should have got for the smallest webhook: the event's data, with OnCall's keys in OnCall's order.
const SMALLEST_BODY: &str = concat!(
    r#"{"event": {"type": "silence", "until": "2026-01-01T12:00:00Z"}, "user": null, "#,
    r#""alert_group": {"id": "I4DISKFULL", "integration_id": null, "route_id": null, "alerts_count": null, "#,
    r#""state": "silenced", "created_at": null, "resolved_at": null, "acknowledged_at": null, "#,
    r#""title": "Disk / of node-1 is full", "permalinks": {"slack": null, "telegram": null, "web": null}}, "#,
    r#""alert_group_id": "I4DISKFULL", "alert_payload": "", "integration": null, "#,
    r#""notified_users": [], "users_to_be_notified": [], "#,
    r#""alert_group_acknowledged_by": null, "alert_group_resolved_by": null, "#,
    r#""webhook": {"id": "{id}", "name": "smallest", "labels": {}}}"#,
);

/// All requests and records that the examples should have led to. `id` gives the id of a webhook.
pub(crate) fn expected(receiver: &str, id: &dyn Fn(&str) -> String) -> Result<Value> {
    let smallest_body = SMALLEST_BODY.replace("{id}", &id("smallest"));
    let labels = r#"{"labels": {"alertname": "InstanceDown", "job": "node", "severity": "critical"}}"#;
    let masked = "****************";
    let json_type = json!({"content-type": "application/json"});
    Ok(json!({
        "requests": ["POST /smallest", "POST /acknowledge", "POST /tickets", "PUT /tickets/T-1",
                     "POST /chat/an-example-path-nobody-should-know"],
        "events": {
            "certificate-expires-escalated": counts(1, 0),
            "disk-full-silenced": counts(1, 0),
            "instance-down-acknowledged": counts(1, 1),
            "queue-stuck-created": counts(1, 0),
            "queue-stuck-resolved": counts(1, 0),
        },
        "runs": {
            "smallest for disk-full-silenced": {
                "request": {"method": "POST", "target": "/smallest", "headers": json_type, "body": smallest_body},
                "record": {
                    "phase": "Succeeded", "url": format!("{receiver}/smallest"), "requestTrigger": "",
                    "requestHeaders": "{}", "requestData": smallest_body,
                    "statusCode": 200, "content": r#"{"ok": true}"#, "attemptCount": 1,
                },
            },
            "acknowledge for instance-down-acknowledged": {
                "request": {
                    "method": "POST", "target": "/acknowledge",
                    "headers": {"authorization": "Bearer an-example-token", "content-type": "application/json"},
                    "body": labels,
                },
                "record": {
                    "phase": "Succeeded", "url": format!("{receiver}/acknowledge"), "requestTrigger": "",
                    "requestHeaders": format!(r#"{{"Authorization": "{masked}"}}"#), "requestData": labels,
                    "statusCode": 200, "content": r#"{"ok": true}"#, "attemptCount": 1,
                },
            },
            "mistake for instance-down-acknowledged": {
                "request": null,
                "record": {
                    "phase": "Failed", "url": format!("{receiver}/mistake"), "requestTrigger": "",
                    "attemptCount": 0,
                    "requestData": "Data - Template Warning: Object of type Undefined is not JSON serializable",
                },
            },
            "open-ticket for queue-stuck-created": {
                "request": {
                    "method": "POST", "target": "/tickets", "headers": json_type,
                    "body": r#"{"summary": "Queue \"mail\" is stuck"}"#,
                },
                "record": {
                    "phase": "Succeeded", "url": format!("{receiver}/tickets"), "requestTrigger": "",
                    "requestHeaders": "{}", "requestData": r#"{"summary": "Queue \"mail\" is stuck"}"#,
                    "statusCode": 201, "content": r#"{"id": "T-1"}"#, "attemptCount": 1,
                },
            },
            "close-ticket for queue-stuck-resolved": {
                "request": {
                    "method": "PUT", "target": "/tickets/T-1", "headers": json_type,
                    "body": r#"{"state": "resolved"}"#,
                },
                "record": {
                    "phase": "Succeeded", "url": format!("{receiver}/tickets/T-1"), "requestTrigger": "",
                    "requestHeaders": "{}", "requestData": r#"{"state": "resolved"}"#,
                    "statusCode": 200, "content": r#"{"ok": true}"#, "attemptCount": 1,
                },
            },
            "chat for certificate-expires-escalated": {
                "request": {
                    "method": "POST", "target": "/chat/an-example-path-nobody-should-know",
                    "headers": {"x-alert-group": "I9CERTIFICATE", "x-api-key": "an-example-key"},
                    "body": "ann is called for: Certificate of shop.example expires tomorrow",
                },
                "record": {
                    "phase": "Succeeded", "url": masked, "requestTrigger": "",
                    "requestHeaders": format!(r#"{{"X-Alert-Group": "I9CERTIFICATE", "X-Api-Key": "{masked}"}}"#),
                    "requestData": "ann is called for: Certificate of shop.example expires tomorrow",
                    "statusCode": 200, "content": r#"{"ok": true}"#, "attemptCount": 1,
                },
            },
        },
        // As text: the order of the keys counts.
        "eventData of acknowledge": acknowledged(&id("acknowledge"))?.to_string(),
    }))
}

/// The status of an event that is done.
fn counts(succeeded: u32, failed: u32) -> Value {
    json!({
        "phase": "Completed", "matched": succeeded + failed, "succeeded": succeeded, "failed": failed, "skipped": 0,
    })
}

/// The data of examples/acknowledge/event.yaml as templates and receivers see it.
fn acknowledged(webhook_id: &str) -> Result<Value> {
    let manifest = fs::read_to_string(Path::new(REPOSITORY).join("examples/acknowledge/event.yaml"));
    let manifest: Value = serde_saphyr::from_str(&manifest.context("read examples/acknowledge/event.yaml")?)
        .context("parse examples/acknowledge/event.yaml")?;
    Ok(json!({
        "event": {"type": "acknowledge", "time": "2023-08-18T16:38:21.442981+00:00"},
        "user": {"id": "UK49JJNPZMFLJ", "username": "oncall", "email": "admin@localhost"},
        "alert_group": {
            "id": "IZQERPWKWCGH1",
            "integration_id": "CRV8A5MXC751A",
            "route_id": "RWNCT6C77M3WM",
            "alerts_count": 1,
            "state": "acknowledged",
            "created_at": "2023-08-18T16:34:27.678406Z",
            "resolved_at": null,
            "acknowledged_at": "2023-08-18T16:38:21.442981Z",
            "title": "[firing:2] InstanceDown ",
            "permalinks": {
                "slack": null,
                "telegram": null,
                "web": "http://localhost:3000/a/grafana-oncall-app/alert-groups/IZQERPWKWCGH1",
            },
        },
        "alert_group_id": "IZQERPWKWCGH1",
        // Any JSON goes through as it is, its keys in the order of a jsonb column: that of the manifest.
        "alert_payload": manifest["spec"]["alertPayload"],
        "integration": {"id": "CRV8A5MXC751A", "type": "alertmanager", "name": "One - Alertmanager", "team": null},
        "notified_users": [],
        "users_to_be_notified": [],
        "alert_group_acknowledged_by": null,
        "alert_group_resolved_by": null,
        "webhook": {"id": webhook_id, "name": "acknowledge", "labels": {}},
    }))
}

/// The names of the resources in full: a cluster may have others that are called webhooks.
pub(crate) const KINDS: &str = "webhooks.oncall.dev,alertgroupevents.oncall.dev,webhookresponses.oncall.dev,\
    alertgroups.oncall.dev,integrations.oncall.dev";

/// The objects of a namespace.
pub(crate) struct Objects(Vec<Value>);

impl Objects {
    /// Reads those of the namespace that kubectl is told by `place`.
    pub(crate) async fn read(shell: &Shell, place: &str) -> Result<Self> {
        let list = shell.run(&format!("kubectl get {KINDS} {place} -o json")).await?;
        let list: Value = serde_json::from_str(&list).context("parse the list of objects")?;
        Ok(Self(list["items"].as_array().cloned().unwrap_or_default()))
    }

    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The id of a webhook, as its status has it.
    pub(crate) fn id(&self, webhook: &str) -> String {
        let found = self.all("Webhook").find(|object| object["metadata"]["name"] == webhook);
        found.map(|object| text(&object["status"]["id"])).unwrap_or_default().to_owned()
    }

    /// Says what is missing until `runs` runs have ended and all objects that show them do so.
    pub(crate) fn missing(&self, runs: usize) -> Vec<String> {
        let ended: Vec<&Value> = self
            .all("WebhookResponse")
            .filter(|response| ["Succeeded", "Failed"].contains(&text(&response["status"]["phase"])))
            .collect();
        let mut missing = Vec::new();
        if ended.len() < runs {
            missing.push(format!("{} of {runs} runs have ended", ended.len()));
        }
        for event in self.all("AlertGroupEvent").filter(|event| event["status"]["phase"] != "Completed") {
            missing.push(format!("AlertGroupEvent {} is not Completed", event["metadata"]["name"]));
        }
        let counted: u64 = self.all("AlertGroupEvent").filter_map(|event| event["status"]["matched"].as_u64()).sum();
        if counted < runs as u64 {
            missing.push(format!("events show {counted} of {runs} runs"));
        }
        for response in ended {
            let (name, webhook) = (&response["metadata"]["name"], &response["spec"]["webhookRef"]["name"]);
            if !self.all("Webhook").any(|webhook| webhook["status"]["lastRun"]["response"] == *name) {
                missing.push(format!("Webhook {webhook} does not show its last run"));
            }
        }
        missing
    }

    /// The requests that were sent and the records of them, in the form of [`expected`].
    pub(crate) fn outcome(&self, requests: &[Received]) -> Value {
        let event = |object: &Value| {
            let fields = ["phase", "matched", "succeeded", "failed", "skipped"];
            (text(&object["metadata"]["name"]).to_owned(), pick(&object["status"], &fields))
        };
        let name_of_run = |object: &Value| {
            let spec = &object["spec"];
            format!("{} for {}", text(&spec["webhookRef"]["name"]), text(&spec["eventRef"]["name"]))
        };
        let runs = self.all("WebhookResponse").map(|object| (name_of_run(object), run(object, requests)));
        let acknowledge =
            self.all("WebhookResponse").find(|object| object["spec"]["webhookRef"]["name"] == "acknowledge");
        let event_data = acknowledge.map(|object| text(&object["status"]["eventData"])).unwrap_or_default();
        let event_data = serde_json::from_str(event_data).unwrap_or_else(|_| Value::from(event_data));
        json!({
            "requests": requests.iter().map(|request| format!("{} {}", request.method, request.target)).collect::<Vec<_>>(),
            "events": self.all("AlertGroupEvent").map(event).collect::<Map<_, _>>(),
            "runs": runs.collect::<Map<_, _>>(),
            "eventData of acknowledge": event_data.to_string(),
        })
    }
}

/// What was sent for a WebhookResponse, and what stands in it.
pub(crate) fn run(response: &Value, requests: &[Received]) -> Value {
    const FIELDS: [&str; 8] =
        ["phase", "url", "requestTrigger", "requestHeaders", "requestData", "statusCode", "content", "attemptCount"];
    let name = text(&response["metadata"]["name"]);
    let request = requests.iter().find(|request| request.header("webhook-id") == Some(name));
    json!({"request": request.map(sent), "record": pick(&response["status"], &FIELDS)})
}

/// A request, with the headers that a webhook decides about.
fn sent(request: &Received) -> Value {
    let headers: Map<String, Value> = ["authorization", "content-type", "x-alert-group", "x-api-key"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), Value::from(request.header(name)?))))
        .collect();
    json!({"method": request.method, "target": request.target, "headers": headers, "body": request.body})
}

/// The fields of an object that are there.
pub(crate) fn pick(object: &Value, fields: &[&str]) -> Value {
    fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(field)?.clone()))).collect()
}

/// Adds a line for each place at which the two differ.
pub(crate) fn compare(path: &str, expected: &Value, found: &Value, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(given)) => {
            let keys: BTreeSet<&String> = wanted.keys().chain(given.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}, {key}") };
                compare(&path, &expected[key], &found[key], faults);
            }
        }
        _ if expected == found => {}
        (Value::String(wanted), Value::String(given)) => {
            let same = wanted.chars().zip(given.chars()).take_while(|(a, b)| a == b).count();
            let part = |text: &str| cut(&text.chars().skip(same.saturating_sub(60)).collect::<String>());
            faults.push(format!("{path}:\n    expected {}\n    found    {}", part(wanted), part(given)));
        }
        _ => faults.push(format!("{path}:\n    expected {expected}\n    found    {found}")),
    }
}
