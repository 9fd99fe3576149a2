//! A webhook as OnCall's API gives it.
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    schema::{Fault, quoted},
    yaml::{Data, Node},
};
use crate::core::{
    id,
    response::MASK,
    template::Mode,
    uri,
    webhook::{Field, HttpMethod, SecretKey, TriggerType, Url, Webhook},
};

/// A secret that stood in the JSON; None if it was masked.
pub(super) type Inline = (SecretKey, Option<SecretString>);

/// Whether this is one: it has no kind, but fields that only these have.
pub(super) fn is_webhook(node: &Node) -> bool {
    let has = |key| node.get(key).is_some();
    !has("apiVersion") && !has("kind") && has("url") && (has("trigger_type") || has("http_method") || has("name"))
}

/// The webhook and its secrets; None if something is wrong, which is added to `faults`.
pub(super) fn webhook(node: &Node, namespace: &str, faults: &mut Vec<Fault>) -> Option<(Webhook, Vec<Inline>)> {
    let before = faults.len();
    let mut fields = Fields { node, faults };
    let simple = match fields.text("preset").as_deref() {
        None | Some("advanced_webhook") => false,
        Some("simple_webhook") => true,
        Some(other) => {
            let message = format!(
                "{} is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana Cloud only",
                quoted(other)
            );
            fields.fault("preset", message);
            false
        }
    };
    let display_name = fields.trimmed("name").unwrap_or_default();
    let name = id::resource_name(&display_name);
    let id = fields.text("id").unwrap_or_else(|| id::webhook_id(namespace, &name));
    let name = if name.is_empty() { id.to_lowercase() } else { name };

    let url = fields.trimmed("url");
    if url.is_none() {
        fields.fault("url", "is missing: give the template of the URL".to_owned());
    }
    // The older form of the same objects has other names for some fields.
    let username = fields.trimmed("username").or_else(|| fields.trimmed("user"));
    let forward_all = fields.flag("forward_all").or_else(|| fields.flag("forward_whole_payload"));
    let trigger_type = if simple { Some(TriggerType::Escalation) } else { fields.word("trigger_type") };
    let method = if simple { Some(HttpMethod::Post) } else { fields.word("http_method") };
    let mut secrets = Vec::new();
    let mut secret = |fields: &mut Fields, field: &str| {
        let value = fields.text(field)?;
        // No Secret has such a name.
        let key = SecretKey { name: format!("{id}: {name}"), key: field.to_owned() };
        secrets.push((key.clone(), (value != MASK).then(|| SecretString::from(value))));
        Some(key)
    };
    let password = secret(&mut fields, "password");
    let authorization_header = secret(&mut fields, "authorization_header");
    let template = |text: Option<String>, mode| text.map(|text| Field::new(&text, mode));
    let url = Url::Template(Field::new(&url.unwrap_or_default(), Mode::Raw));
    let webhook = Webhook {
        display_name,
        enabled: fields.flag("is_webhook_enabled").unwrap_or(true),
        method: method.unwrap_or_default(),
        headers: template(fields.text("headers"), Mode::Json),
        data: template(fields.text("data"), Mode::Json),
        forward_all: simple || forward_all.unwrap_or(true),
        trigger_template: template(fields.text("trigger_template"), Mode::Raw),
        integration_filter: fields.texts("integration_filter"),
        username,
        password,
        authorization_header,
        name,
        id,
        ..Webhook::bare(trigger_type.unwrap_or(TriggerType::Escalation), url)
    };
    (faults.len() == before).then_some((webhook, secrets))
}

/// As Python's `str.strip()` does.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(uri::is_python_space)
}

struct Fields<'a> {
    node: &'a Node,
    faults: &'a mut Vec<Fault>,
}

impl Fields<'_> {
    fn fault(&mut self, field: &str, message: String) {
        let line = self.node.get(field).map_or(self.node.line, |entry| entry.line);
        self.faults.push(Fault { line, field: field.to_owned(), message });
    }

    /// None if it is missing, null or empty, which are the same to OnCall.
    fn text(&mut self, field: &str) -> Option<String> {
        let node = self.node.at(&[field])?;
        match node.text() {
            Some(text) => (!text.is_empty()).then(|| text.to_owned()),
            None => {
                self.fault(field, format!("must be a string, not {}", node.what()));
                None
            }
        }
    }

    /// The same without the white space around it, which OnCall's API takes away.
    fn trimmed(&mut self, field: &str) -> Option<String> {
        self.text(field).map(|text| trim(&text).to_owned()).filter(|text| !text.is_empty())
    }

    fn flag(&mut self, field: &str) -> Option<bool> {
        let node = self.node.at(&[field])?;
        match node.data {
            Data::Bool(value) => Some(value),
            _ => {
                self.fault(field, format!("must be true or false, not {}", node.what()));
                None
            }
        }
    }

    fn word<T: DeserializeOwned>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field)?;
        let word = serde_json::from_value(Value::from(text.as_str()));
        if word.is_err() {
            self.fault(field, format!("{} is none of OnCall's", quoted(&text)));
        }
        word.ok()
    }

    fn texts(&mut self, field: &str) -> Vec<String> {
        let Some(node) = self.node.at(&[field]) else { return Vec::new() };
        let texts = match &node.data {
            Data::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            Data::Text { text, .. } if text.is_empty() => Some(Vec::new()),
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.fault(field, "must be a list of ids".to_owned());
            Vec::new()
        })
    }
}
