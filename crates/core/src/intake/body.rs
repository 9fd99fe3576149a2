//! The body of a request from a source: its JSON, and the payload of the one alert that it is.

use serde_json::{Map, Value};

use super::{IntegrationType, Refusal};
use crate::json;

/// How deep a payload may be nested, in levels: with what is around it where it is stored, watched and listed it stays within
/// the 128 levels to which objects can be read.
pub const DEEPEST: usize = 100;

/// The JSON of a body in UTF-8. An empty body is `{}`, as in OnCall.
///
/// # Errors
/// The body is not JSON, in OnCall's words; or it is nested deeper than [`DEEPEST`] or has a number beyond what 64 bits can
/// tell, in ours.
pub fn parse(body: &[u8]) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(body) {
        Ok(value) if is_deeper_than(DEEPEST, &value) => {
            Err(Refusal::not_json(&format!("nested deeper than {DEEPEST} levels")))
        }
        Ok(value) => Ok(value),
        Err(error) => Err(match json::parse(body) {
            Err(message) => Refusal::not_json(&message),
            Ok(_) => Refusal::not_json(&error.to_string()),
        }),
    }
}

fn is_deeper_than(levels: usize, value: &Value) -> bool {
    let within = |value| levels == 0 || is_deeper_than(levels - 1, value);
    match value {
        Value::Array(items) => items.iter().any(within) || levels == 0,
        Value::Object(entries) => entries.values().any(within) || levels == 0,
        _ => false,
    }
}

/// The payload of the alert that a source sent. Each body is one alert, whatever it is: also a group with many alerts, and a
/// list. Where a group does not say how many of its alerts are firing, `numFiring` and `numResolved` are counted and added
/// (neither Alertmanager nor Grafana sends them). Alerts that are no objects count as neither: OnCall ends in a 500.
///
/// # Errors
/// The body is `null`, or no object where the type sends groups, for which OnCall ends in a 500.
pub fn alert_of(integration_type: IntegrationType, body: Value) -> Result<Value, Refusal> {
    match body {
        Value::Object(group) if integration_type.sends_groups() => Ok(Value::Object(counted(group))),
        Value::Null => Err(Refusal::no_payload()),
        _ if integration_type.sends_groups() => {
            Err(Refusal::detail(400, &format!("A payload of type {integration_type} is a JSON object")))
        }
        payload => Ok(payload),
    }
}

fn counted(mut group: Map<String, Value>) -> Map<String, Value> {
    if group.contains_key("numFiring") {
        return group;
    }
    let alerts = group.get("alerts").and_then(Value::as_array).map_or([].as_slice(), Vec::as_slice);
    let count = |status: &str| alerts.iter().filter(|alert| alert["status"] == status).count();
    let (firing, resolved) = (count("firing"), count("resolved"));
    group.insert("numFiring".to_owned(), firing.into());
    group.insert("numResolved".to_owned(), resolved.into());
    group
}
