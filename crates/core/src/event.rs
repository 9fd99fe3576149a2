//! An event's data, as templates see it and as "forward all" sends it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    json::{self, Json},
    template::Mode,
    webhook::EventType,
};

/// The values that a template sees, by their names.
pub type TemplateContext = Vec<(Arc<str>, Json)>;

/// The part of an event that decides which webhooks run for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// The kind of event; None for one that fires nothing.
    pub event_type: Option<EventType>,
    /// The alert group it happened to.
    pub alert_group_id: Arc<str>,
    /// The integration of the alert group.
    pub integration_id: Option<String>,
    /// Names or ids of the webhooks that the event is for; only for the types that name them.
    pub webhook_refs: Vec<String>,
}

/// The part of an event's data that is the same for every webhook. It is made ready for templates at most once.
pub struct EventData {
    shared: TemplateContext,
    escaped: OnceLock<TemplateContext>,
    dumped: OnceLock<String>,
    size: OnceLock<usize>,
}

impl fmt::Debug for EventData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.shared.iter().map(|(key, _)| &**key).collect();
        f.debug_struct("EventData").field("keys", &keys).finish_non_exhaustive()
    }
}

impl EventData {
    /// Takes the keys from `event` to `alert_group_resolved_by`, in OnCall's order.
    pub fn new(shared: TemplateContext) -> Self {
        Self { shared, escaped: OnceLock::new(), dumped: OnceLock::new(), size: OnceLock::new() }
    }

    /// The memory that it takes once it is ready for all templates: an estimate, in bytes.
    pub fn size(&self) -> usize {
        *self.size.get_or_init(|| self.shared.iter().map(|(key, value)| 3 * key.len() + ready_size(value)).sum())
    }

    /// The values that a template of one webhook sees: the shared part, `responses` if there are any, `webhook`, and
    /// `payload`, which is always None.
    pub fn context(&self, mode: Mode, webhook: &WebhookContext) -> TemplateContext {
        let (shared, of_webhook) = match mode {
            Mode::Raw => (&self.shared, webhook.0.clone()),
            Mode::Json => (self.escaped.get_or_init(|| escape_all(&self.shared)), escape_all(&webhook.0)),
        };
        let data = shared.iter().cloned().chain(of_webhook).filter(|(key, _)| &**key != "payload");
        data.chain([(Arc::from("payload"), Json::Null)]).collect()
    }

    /// The whole data of one webhook as JSON text, as OnCall sends and records it.
    pub fn dumps(&self, webhook: &WebhookContext) -> String {
        let shared = self.dumped.get_or_init(|| dump(&self.shared));
        match (shared.as_str(), dump(&webhook.0)) {
            ("{}", of_webhook) => of_webhook,
            (shared, of_webhook) if of_webhook == "{}" => shared.to_owned(),
            (shared, of_webhook) => format!("{}, {}", &shared[..shared.len() - 1], &of_webhook[1..]),
        }
    }
}

/// The part of the data that only one webhook sees: `responses` and `webhook`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookContext(TemplateContext);

impl WebhookContext {
    /// `responses` maps the ids of other webhooks to the content that each last got for the same alert group.
    pub fn new(webhook: Json, responses: json::Object) -> Self {
        let mut values = TemplateContext::new();
        if !responses.is_empty() {
            values.push((Arc::from("responses"), Json::Object(Arc::new(responses))));
        }
        values.push((Arc::from("webhook"), webhook));
        Self(values)
    }
}

/// A response's content as templates see it: parsed if it is JSON, otherwise the text.
pub fn response_value(content: Option<&str>) -> Json {
    content.map_or(Json::Null, |text| json::loads(text).unwrap_or_else(|_| Json::from(text)))
}

/// The memory that a value takes: an estimate, in bytes.
pub fn value_size(value: &Json) -> usize {
    let own = size_of::<Json>();
    own + match value {
        Json::Str(text) => text.len(),
        Json::Array(items) => items.iter().map(value_size).sum(),
        Json::Object(object) => object.iter().map(|(key, value)| 3 * own + key.len() + value_size(value)).sum(),
        _ => 0,
    }
}

/// The memory that a value takes, the same escaped, and its JSON text: an estimate, in bytes.
fn ready_size(value: &Json) -> usize {
    let own = 3 * size_of::<Json>();
    own + match value {
        Json::Str(text) => 2 * text.len() + text.chars().map(json_size).sum::<usize>(),
        Json::Array(items) => items.iter().map(ready_size).sum(),
        Json::Object(object) => object.iter().map(|(key, value)| 3 * (own + key.len()) + ready_size(value)).sum(),
        _ => 0,
    }
}

/// How many bytes of JSON text a character takes, as Python writes it.
fn json_size(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        ' '..='~' => 1,
        other => 6 * other.len_utf16(),
    }
}

fn dump(entries: &TemplateContext) -> String {
    json::dumps(&Json::object(entries.iter().cloned()))
}

fn escape_all(entries: &TemplateContext) -> TemplateContext {
    entries.iter().map(|(key, value)| (Arc::clone(key), escaped(value))).collect()
}

/// `value` with each string as it stands inside a JSON string literal, non-ASCII kept. Keys stay as they are.
fn escaped(value: &Json) -> Json {
    match value {
        Json::Str(text) => {
            let mut out = String::with_capacity(text.len());
            json::write_escaped(&mut out, text, false);
            // Most strings have nothing to escape and are shared.
            if out.len() == text.len() { value.clone() } else { Json::Str(Arc::from(out)) }
        }
        Json::Array(items) => Json::Array(items.iter().map(escaped).collect()),
        Json::Object(object) => Json::object(object.iter().map(|(key, value)| (Arc::clone(key), escaped(value)))),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use serde_json::{Value, json};

    fn mk_object(value: Value) -> json::Object {
        match Json::from(value) {
            Json::Object(object) => Arc::unwrap_or_clone(object),
            other => panic!("not an object: {other:?}"),
        }
    }

    fn mk_data(value: Value) -> EventData {
        EventData::new(mk_object(value).into_iter().collect())
    }

    fn mk_webhook_context(responses: Value) -> WebhookContext {
        WebhookContext::new(Json::from(json!({"id": "WH1", "name": "one", "labels": {}})), mk_object(responses))
    }

    #[test]
    fn the_json_text_ends_with_responses_and_webhook() {
        let data = mk_data(json!({"event": {"type": "resolve"}, "alert_payload": {"city": "東京"}}));
        assert_eq!(
            data.dumps(&mk_webhook_context(json!({}))),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
        assert_eq!(
            data.dumps(&mk_webhook_context(json!({"WH2": null}))),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "responses": {"WH2": null}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
    }

    #[test]
    fn strings_are_escaped_for_json_templates_only() {
        let data = mk_data(json!({"alert_payload": {"text": "say \"é\"\n", "n": 1}}));
        let source = "{{ alert_payload.text }}{{ responses.WH2.t }}{{ webhook.id }}{{ payload }}";
        for (mode, expected) in [(Mode::Raw, "say \"é\"\n\"WH1None"), (Mode::Json, "say \\\"é\\\"\\n\\\"WH1None")] {
            let context = data.context(mode, &mk_webhook_context(json!({"WH2": {"t": "\""}})));
            assert_eq!(Template::compile(source, mode).unwrap().render(&context).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_responses_content_is_parsed_if_it_is_json() {
        let cases = [
            (Some(r#"{"id": 7}"#), json!({"id": 7})),
            (Some("{nope"), json!("{nope")),
            (Some("ok"), json!("ok")),
            (Some(""), json!("")),
            (None, json!(null)),
        ];
        for (content, expected) in cases {
            assert_eq!(response_value(content), Json::from(expected), "{content:?}");
        }
    }
}
