//! A webhook as OnCall's API gives it, in place of a manifest.
//!
//! Only fields that OnCall's API has are read here: those that manifests alone have take their defaults from
//! [`Webhook::bare`].

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    findings::FieldError,
    wording::quoted,
    yaml::{Data, Node},
};
use crate::core::{
    id, request_url,
    response::MASK,
    template::Mode,
    webhook::{CompiledTemplate, HttpMethod, SecretKey, TriggerType, UrlSource, Webhook},
};

/// A message's words for a field that is masked.
pub(super) const MASKED: &str = "masked: put its value in place of the asterisks";

/// A secret that stands in the JSON itself.
pub(super) struct InlineSecret {
    /// The key by which the webhook names it. No Secret has such a name.
    pub(super) key: SecretKey,
    /// None if OnCall's API masked it.
    pub(super) value: Option<SecretString>,
}

/// Whether this is one: it has no kind, but fields that only these have.
pub(super) fn is_webhook(node: &Node) -> bool {
    let has = |key| node.get(key).is_some();
    !has("apiVersion") && !has("kind") && has("url") && (has("trigger_type") || has("http_method") || has("name"))
}

/// The webhook and its secrets; None if something is wrong, which is added to `errors`.
pub(super) fn webhook(
    node: &Node,
    namespace: &str,
    errors: &mut Vec<FieldError>,
) -> Option<(Webhook, Vec<InlineSecret>)> {
    let before = errors.len();
    let mut fields = Fields { node, errors };
    let simple = fields.is_simple();
    let display_name = fields.trimmed("name").unwrap_or_default();
    let name = id::resource_name(&display_name);
    let id = fields.text("id").unwrap_or_else(|| id::webhook_id(namespace, &name));
    let name = if name.is_empty() { id.to_lowercase() } else { name };

    let url = fields.trimmed("url");
    if url.is_none() {
        fields.error("url", "is missing: give the template of the URL".to_owned());
    }
    // The older form of the same objects has other names for some fields.
    let username = fields.trimmed("username").or_else(|| fields.trimmed("user"));
    let forward_all = fields.flag("forward_all").or_else(|| fields.flag("forward_whole_payload"));
    let trigger_type = if simple { Some(TriggerType::Escalation) } else { fields.word("trigger_type") };
    let method = if simple { Some(HttpMethod::Post) } else { fields.word("http_method") };
    let owner = format!("{id}: {name}");
    let secrets = ["password", "authorization_header"].map(|field| fields.secret(&owner, field));
    let [password, authorization_header] = [0, 1].map(|index| secrets[index].as_ref().map(|secret| secret.key.clone()));
    let template = |text: Option<String>, mode| text.map(|text| CompiledTemplate::new(&text, mode));
    let url = UrlSource::Template(CompiledTemplate::new(&url.unwrap_or_default(), Mode::Raw));
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
    (errors.len() == before).then(|| (webhook, secrets.into_iter().flatten().collect()))
}

/// Takes away white space at both ends, as Python's `str.strip()` does.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(request_url::is_python_space)
}

/// Reads fields one by one, and collects what is wrong with them.
struct Fields<'a> {
    node: &'a Node,
    errors: &'a mut Vec<FieldError>,
}

impl Fields<'_> {
    fn error(&mut self, field: &str, message: String) {
        let line = self.node.get(field).map_or(self.node.line, |entry| entry.line);
        self.errors.push(FieldError { line, field: field.to_owned(), message });
    }

    /// Whether the preset says that it is a simple webhook.
    fn is_simple(&mut self) -> bool {
        match self.text("preset").as_deref() {
            None | Some("advanced_webhook") => false,
            Some("simple_webhook") => true,
            Some(other) => {
                let message = format!(
                    "{} is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana Cloud only",
                    quoted(other)
                );
                self.error("preset", message);
                false
            }
        }
    }

    fn secret(&mut self, owner: &str, field: &str) -> Option<InlineSecret> {
        let value = self.text(field)?;
        let key = SecretKey { name: owner.to_owned(), key: field.to_owned() };
        Some(InlineSecret { key, value: (value != MASK).then(|| SecretString::from(value)) })
    }

    /// The text of a field; None if it is missing, null or empty, which are the same to OnCall.
    fn text(&mut self, field: &str) -> Option<String> {
        let node = self.node.at(&[field])?;
        match node.text() {
            Some(text) => (!text.is_empty()).then(|| text.to_owned()),
            None => {
                self.error(field, format!("must be a string, not {}", node.kind()));
                None
            }
        }
    }

    /// The text of a field without the white space around it, which OnCall's API takes away.
    fn trimmed(&mut self, field: &str) -> Option<String> {
        self.text(field).map(|text| trim(&text).to_owned()).filter(|text| !text.is_empty())
    }

    fn flag(&mut self, field: &str) -> Option<bool> {
        let node = self.node.at(&[field])?;
        match node.data {
            Data::Bool(value) => Some(value),
            _ => {
                self.error(field, format!("must be true or false, not {}", node.kind()));
                None
            }
        }
    }

    /// One of the words of an enum.
    fn word<T: DeserializeOwned>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field)?;
        let word = serde_json::from_value(Value::from(text.as_str()));
        if word.is_err() {
            self.error(field, format!("{} is none of OnCall's", quoted(&text)));
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
            self.error(field, "must be a list of ids".to_owned());
            Vec::new()
        })
    }
}
