//! An event's data as templates see it and as "forward all" sends it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    json::{self, Json},
    template::Mode,
    webhook::EventType,
};

/// What a template sees: values by their names.
pub type TemplateContext = Vec<(Arc<str>, Json)>;

/// What matching needs to know of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// What happened.
    pub event_type: EventType,
    /// The alert group it happened to.
    pub alert_group_id: Arc<str>,
    /// The integration of the alert group.
    pub integration_id: Option<String>,
    /// Names or ids of the webhooks that the event is for; only for the types that name them.
    pub webhook_refs: Vec<String>,
}

/// The part of the data that is the same for every webhook, made ready for templates at most once.
pub struct EventData {
    shared: TemplateContext,
    escaped: OnceLock<TemplateContext>,
    dumped: OnceLock<String>,
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
        Self { shared, escaped: OnceLock::new(), dumped: OnceLock::new() }
    }

    /// About how much memory it takes, in bytes, made ready for all templates.
    pub fn size(&self) -> usize {
        // The values, escaped ones, and their JSON text.
        3 * self.shared.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>()
    }

    /// What a template of one webhook sees: the shared part, `responses` if there are any, `webhook`, and `payload`,
    /// which is always None.
    pub fn context(&self, mode: Mode, own: &WebhookContext) -> TemplateContext {
        let (shared, own) = match mode {
            Mode::Raw => (&self.shared, own.0.clone()),
            Mode::Json => (self.escaped.get_or_init(|| escape_all(&self.shared)), escape_all(&own.0)),
        };
        let data = shared.iter().cloned().chain(own).filter(|(key, _)| &**key != "payload");
        data.chain([(Arc::from("payload"), Json::Null)]).collect()
    }

    /// The whole data of one webhook as JSON text, as OnCall sends and records it.
    pub fn dumps(&self, own: &WebhookContext) -> String {
        let shared = self.dumped.get_or_init(|| dump(&self.shared));
        match (shared.as_str(), dump(&own.0)) {
            ("{}", own) => own,
            (shared, own) if own == "{}" => shared.to_owned(),
            (shared, own) => format!("{}, {}", &shared[..shared.len() - 1], &own[1..]),
        }
    }
}

/// The part of the data that one webhook sees alone: `responses` and `webhook`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookContext(TemplateContext);

impl WebhookContext {
    /// `responses` maps the ids of other webhooks to the content that each last got for the same alert group.
    pub fn new(webhook: Json, responses: json::Object) -> Self {
        let mut own = TemplateContext::new();
        if !responses.is_empty() {
            own.push((Arc::from("responses"), Json::Object(Arc::new(responses))));
        }
        own.push((Arc::from("webhook"), webhook));
        Self(own)
    }
}

/// What templates see of a response's content: parsed if it is JSON, else the text.
pub fn response_value(content: Option<&str>) -> Json {
    content.map_or(Json::Null, |text| json::loads(text).unwrap_or_else(|_| Json::from(text)))
}

fn size(value: &Json) -> usize {
    let own = size_of::<Json>();
    own + match value {
        Json::Str(text) => text.len(),
        Json::Array(items) => items.iter().map(size).sum(),
        Json::Object(object) => object.iter().map(|(key, value)| 3 * own + key.len() + size(value)).sum(),
        _ => 0,
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

    fn mk_own(responses: Value) -> WebhookContext {
        WebhookContext::new(Json::from(json!({"id": "WH1", "name": "one", "labels": {}})), mk_object(responses))
    }

    #[test]
    fn the_json_text_ends_with_responses_and_webhook() {
        let data = mk_data(json!({"event": {"type": "resolve"}, "alert_payload": {"city": "東京"}}));
        assert_eq!(
            data.dumps(&mk_own(json!({}))),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
        assert_eq!(
            data.dumps(&mk_own(json!({"WH2": null}))),
            r#"{"event": {"type": "resolve"}, "alert_payload": {"city": "\u6771\u4eac"}, "responses": {"WH2": null}, "webhook": {"id": "WH1", "name": "one", "labels": {}}}"#
        );
    }

    #[test]
    fn strings_are_escaped_for_json_templates_only() {
        let data = mk_data(json!({"alert_payload": {"text": "say \"é\"\n", "n": 1}}));
        let source = "{{ alert_payload.text }}{{ responses.WH2.t }}{{ webhook.id }}{{ payload }}";
        for (mode, expected) in [(Mode::Raw, "say \"é\"\n\"WH1None"), (Mode::Json, "say \\\"é\\\"\\n\\\"WH1None")] {
            let context = data.context(mode, &mk_own(json!({"WH2": {"t": "\""}})));
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
