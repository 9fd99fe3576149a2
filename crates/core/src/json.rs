//! JSON as Python reads and writes it (from `pyjinja`), and keys in the order in which PostgreSQL's `jsonb` keeps them, which is
//! the order that OnCall's receivers see.

use std::sync::Arc;

pub use pyjinja::json::*;

/// `value` with the keys of every object as PostgreSQL's `jsonb` keeps them: shorter ones first, then by bytes. OnCall
/// keeps an alert's payload so, and its receivers see that order.
pub fn jsonb(value: Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().cloned().map(jsonb).collect()),
        Json::Object(object) => {
            let mut object: Object =
                object.iter().map(|(key, value)| (Arc::clone(key), jsonb(value.clone()))).collect();
            object.sort_by(|a, _, b, _| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            Json::Object(Arc::new(object))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_ordered_as_in_jsonb_at_every_depth() {
        let value = Json::from(json!({"b": 1, "annotations": {"title": 1, "a": [{"zz": 1, "y": 2}]}, "a": 2}));
        assert_eq!(dumps(&jsonb(value)), r#"{"a": 2, "b": 1, "annotations": {"a": [{"y": 2, "zz": 1}], "title": 1}}"#);
    }
}
