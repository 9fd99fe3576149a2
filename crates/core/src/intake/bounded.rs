//! Payloads that are too long to be stored.

use serde_json::{Map, Value};

use super::IntegrationType;
use crate::response::{cut_value, stored_size};

/// Bound on a stored payload, in bytes of the JSON that the API server makes of it.
pub const PAYLOAD_LIMIT: usize = 256 << 10;

/// Room for `,"truncatedAlerts":` and any count.
const COUNT_ROOM: usize = 40;

/// A payload that takes at most `limit` bytes of JSON where it is stored. Of a group, alerts are left out from the last on, and
/// counted in `truncatedAlerts` beside those that the source left out; the first one stays. If that is not enough, and of any
/// other payload, what is longest is cut as [`cut_value`] does it.
pub fn bounded(integration_type: IntegrationType, payload: Value, limit: usize) -> Value {
    if stored_size(&payload) <= limit {
        return payload;
    }
    match payload {
        Value::Object(group) if integration_type.sends_groups() => {
            cut_value(Value::Object(with_fewer_alerts(group, limit)), limit)
        }
        other => cut_value(other, limit),
    }
}

fn with_fewer_alerts(mut group: Map<String, Value>, limit: usize) -> Map<String, Value> {
    let Some(Value::Array(alerts)) = group.get_mut("alerts") else { return group };
    let mut alerts = std::mem::take(alerts);
    let size = group.iter().map(|(key, value)| stored_size(&Value::from(key.as_str())) + 2 + stored_size(value)).sum();
    let mut room = limit.saturating_sub(COUNT_ROOM).saturating_sub(size);
    let fitting = alerts.iter().take_while(|alert| match room.checked_sub(stored_size(alert) + 1) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    });
    let kept = fitting.count().max(1);
    let left_out = alerts.len().saturating_sub(kept);
    alerts.truncate(kept);
    group.insert("alerts".to_owned(), Value::Array(alerts));
    if left_out > 0 {
        let before = group.get("truncatedAlerts").map_or(0, count);
        group.insert("truncatedAlerts".to_owned(), before.saturating_add(left_out as u64).into());
    }
    group
}

/// A count that may have come with a fraction, as some proxies write it.
fn count(value: &Value) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and no count is negative")]
    value.as_u64().unwrap_or_else(|| value.as_f64().unwrap_or_default() as u64)
}
