//! An event's data as templates see it and as "forward all" sends it.

use std::{fmt, sync::OnceLock};

use minijinja::Value as TemplateValue;
use serde_json::{Map, Value};

use super::{json, template::Mode, webhook::EventType};

/// What matching needs to know of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// What happened.
    pub event_type: EventType,
    /// The alert group it happened to.
    pub alert_group_id: String,
    /// The integration of the alert group.
    pub integration_id: Option<String>,
    /// Names or ids of the webhooks that the event is for; only for the types that name them.
    pub webhook_refs: Vec<String>,
}

/// The part of the data that is the same for every webhook, made ready for templates at most once.
pub struct EventData {
    shared: Map<String, Value>,
    raw: OnceLock<Vec<(String, TemplateValue)>>,
    escaped: OnceLock<Vec<(String, TemplateValue)>>,
    dumped: OnceLock<Result<String, String>>,
}

impl fmt::Debug for EventData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventData").field("keys", &self.shared.keys()).finish_non_exhaustive()
    }
}

impl EventData {
    /// Takes the keys from `event` to `alert_group_resolved_by`, in OnCall's order.
    pub fn new(shared: Map<String, Value>) -> Self {
        Self { shared, raw: OnceLock::new(), escaped: OnceLock::new(), dumped: OnceLock::new() }
    }

    /// What a template of one webhook sees: the shared part, `responses` if there are any, `webhook`, and `payload`,
    /// which is always None.
    pub fn context(&self, mode: Mode, own: &Own) -> TemplateValue {
        let shared = match mode {
            Mode::Raw => self.raw.get_or_init(|| prepare(&self.shared, mode)),
            Mode::Json => self.escaped.get_or_init(|| prepare(&self.shared, mode)),
        };
        let own = prepare(&own.0, mode);
        TemplateValue::from_pairs(
            shared.iter().cloned().chain(own).chain([("payload".to_owned(), TemplateValue::from(()))]),
        )
    }

    /// The whole data of one webhook as JSON text, as OnCall sends and records it.
    ///
    /// # Errors
    /// The data has something that JSON can't express.
    pub fn dumps(&self, own: &Own) -> Result<String, String> {
        let dump = |map: &Map<String, Value>| json::dumps(map).map_err(|error| error.to_string());
        let shared = self.dumped.get_or_init(|| dump(&self.shared)).as_ref().map_err(Clone::clone)?;
        let own = dump(&own.0)?;
        // Two objects, neither of them empty, joined into one.
        Ok(format!("{}, {}", &shared[..shared.len() - 1], &own[1..]))
    }
}

/// The part of the data that one webhook sees alone: `responses` and `webhook`.
#[derive(Clone, Debug, PartialEq)]
pub struct Own(Map<String, Value>);

impl Own {
    /// `responses` maps the ids of other webhooks to the content that each last got for the same alert group.
    pub fn new(webhook: Value, responses: Map<String, Value>) -> Self {
        let mut own = Map::new();
        if !responses.is_empty() {
            own.insert("responses".to_owned(), Value::Object(responses));
        }
        own.insert("webhook".to_owned(), webhook);
        Self(own)
    }
}

/// What templates see of a response's content: parsed if it is JSON, else the text.
pub fn response_value(content: Option<&str>) -> Value {
    content.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}

fn prepare(map: &Map<String, Value>, mode: Mode) -> Vec<(String, TemplateValue)> {
    map.iter().map(|(key, value)| (key.clone(), template_value(value, mode))).collect()
}

fn template_value(value: &Value, mode: Mode) -> TemplateValue {
    match value {
        Value::Null => TemplateValue::from(()),
        Value::Bool(value) => TemplateValue::from(*value),
        Value::Number(number) => number
            .as_i64()
            .map(TemplateValue::from)
            .or_else(|| number.as_u64().map(TemplateValue::from))
            .or_else(|| number.as_f64().map(TemplateValue::from))
            .unwrap_or_default(),
        Value::String(text) => match mode {
            Mode::Raw => TemplateValue::from(text.as_str()),
            Mode::Json => TemplateValue::from(escape(text)),
        },
        Value::Array(items) => items.iter().map(|item| template_value(item, mode)).collect(),
        Value::Object(map) => TemplateValue::from_pairs(prepare(map, mode)),
    }
}

/// `text` as it stands inside a JSON string literal, non-ASCII kept.
fn escape(text: &str) -> String {
    let literal = Value::from(text).to_string();
    literal[1..literal.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::Template;
    use serde_json::json;

    fn mk_data(value: Value) -> EventData {
        match value {
            Value::Object(map) => EventData::new(map),
            other => panic!("not an object: {other}"),
        }
    }

    fn mk_own(responses: &Value) -> Own {
        let responses = responses.as_object().cloned().unwrap_or_default();
        Own::new(json!({"id": "WH1", "name": "one", "labels": {}}), responses)
    }

    #[test]
    fn the_json_text_ends_with_responses_and_webhook() {
        let data = mk_data(json!({"event": {"type": "resolve"}, "alert_payload": {"city": "東京"}}));
        assert_eq!(
            data.dumps(&mk_own(&json!({}))).unwrap(),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
        assert_eq!(
            data.dumps(&mk_own(&json!({"WH2": null}))).unwrap(),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "responses": {"WH2": null}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
    }

    #[test]
    fn strings_are_escaped_for_json_templates_only() {
        let data = mk_data(json!({"alert_payload": {"text": "say \"é\"\n", "n": 1}}));
        let source = "{{ alert_payload.text }}{{ responses.WH2.t }}{{ webhook.id }}{{ payload }}";
        for (mode, expected) in [(Mode::Raw, "say \"é\"\n\"WH1None"), (Mode::Json, "say \\\"é\\\"\\n\\\"WH1None")] {
            let context = data.context(mode, &mk_own(&json!({"WH2": {"t": "\""}})));
            assert_eq!(Template::compile(source, mode).unwrap().render(&context).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_responses_content_is_parsed_if_it_is_json() {
        let cases = [
            (Some(r#"{"id": 7}"#), json!({"id": 7})),
            (Some("ok"), json!("ok")),
            (Some(""), json!("")),
            (None, json!(null)),
        ];
        for (content, expected) in cases {
            assert_eq!(response_value(content), expected, "{content:?}");
        }
    }
}
