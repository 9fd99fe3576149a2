//! One manifest: where it stands, and what became of it.

use std::{rc::Rc, sync::Arc};

use super::{
    findings::{Finding, Severity},
    oncall_json::{InlineSecret, MASKED},
    yaml::{MappingEntry, Node},
};
use crate::{
    core::webhook,
    resources::{AlertGroupEvent, Integration},
};

/// One manifest as it was read, and where it stands.
#[derive(Clone)]
pub(super) struct ManifestSource {
    pub(super) file: Arc<str>,
    pub(super) namespace: String,
    /// Kind, namespace and name, as findings call it.
    pub(super) object: String,
    pub(super) node: Rc<Node>,
    /// Whether it is no manifest but JSON of OnCall's API, with that API's fields.
    pub(super) is_oncall_json: bool,
}

impl ManifestSource {
    /// The manifest of a Kubernetes object of this kind.
    pub(super) fn of_object(file: &Arc<str>, node: &Rc<Node>, kind: &str, default_namespace: &str) -> Self {
        let metadata = |key| node.text_at(&["metadata", key]).filter(|text| !text.is_empty());
        let namespace = metadata("namespace").unwrap_or(default_namespace).to_owned();
        let object = match metadata("name").or_else(|| metadata("generateName")) {
            Some(name) => format!("{kind} {namespace}/{name}"),
            None => kind.to_owned(),
        };
        Self { file: Arc::clone(file), namespace, object, node: Rc::clone(node), is_oncall_json: false }
    }

    /// A finding about a field of this manifest.
    pub(super) fn finding(&self, severity: Severity, line: usize, field: &str, message: String) -> Finding {
        Finding {
            severity,
            file: Arc::clone(&self.file),
            line,
            object: self.object.clone(),
            field: field.to_owned(),
            message,
        }
    }

    /// The path and the value of the webhook's field that manifests call `name`: under `spec`, or in OnCall's JSON at the top
    /// and in snake case.
    pub(super) fn webhook_field(&self, name: &str) -> Option<(String, &MappingEntry)> {
        if !self.is_oncall_json {
            return Some((format!("spec.{name}"), self.node.at(&["spec"])?.get(name)?));
        }
        let mut snake = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        let entry = self.node.get(&snake)?;
        Some((snake, entry))
    }
}

/// A webhook that is ready to run.
pub(super) struct WebhookManifest {
    pub(super) source: ManifestSource,
    pub(super) webhook: webhook::Webhook,
    /// Secrets that stand in it.
    pub(super) inline: Vec<InlineSecret>,
}

/// An event without errors.
pub(super) struct EventManifest {
    pub(super) source: ManifestSource,
    pub(super) event: AlertGroupEvent,
}

/// An Integration without errors.
pub(super) struct IntegrationManifest {
    pub(super) source: ManifestSource,
    pub(super) integration: Integration,
}

impl WebhookManifest {
    /// Says of all inline secrets that are masked at once: they are put in at once too.
    pub(super) fn masked_secrets(&self) -> String {
        let masked = self.inline.iter().filter(|secret| secret.value.is_none());
        let fields: Vec<&str> = masked.map(|secret| secret.key.key.as_str()).collect();
        match &*fields {
            [field] => format!("{field} is {MASKED}"),
            _ => format!("{} are masked: put their values in place of the asterisks", fields.join(" and ")),
        }
    }
}
