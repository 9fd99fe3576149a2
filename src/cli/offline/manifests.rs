//! Files in; webhooks, events, responses and Secrets out, and every error for which the API server would refuse them.

use std::{
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
    sync::Arc,
};

use anyhow::bail;
use kube::ResourceExt;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    files::{self, File},
    findings::{FieldError, Finding, Severity},
    manifest::{EventManifest, IntegrationManifest, ManifestSource, WebhookManifest},
    metadata,
    oncall_json::{self, InlineSecret},
    options::Sources,
    schema,
    secrets::{MissingSecret, Secrets},
    wording::{joined, nearest, quoted},
    yaml::{self, Data, Node, SyntaxError},
};
use crate::{
    core::webhook::SecretKey,
    resources::{self, Webhook, WebhookResponse},
};

const GROUP: &str = "oncall.dev";
const VERSION: &str = "oncall.dev/v1alpha1";

/// Everything that the files say.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) webhooks: Vec<WebhookManifest>,
    pub(super) events: Vec<EventManifest>,
    pub(super) responses: Vec<WebhookResponse>,
    pub(super) integrations: Vec<IntegrationManifest>,
    pub(super) secrets: Secrets,
    /// Every manifest of a webhook, also those that have errors.
    pub(super) webhook_sources: Vec<ManifestSource>,
    /// Every manifest of an event, also those that have errors.
    pub(super) event_sources: Vec<ManifestSource>,
    pub(super) findings: Vec<Finding>,
    /// The names of the files, in the order in which they were read.
    pub(super) files: Vec<Arc<str>>,
    /// How many objects of any kind there are.
    objects: usize,
    /// The file and the line where each kind, namespace and name first stood.
    known: HashMap<(String, String, String), (Arc<str>, usize)>,
}

/// Reads and checks everything.
pub(super) fn load(sources: &Sources) -> anyhow::Result<Manifests> {
    let mut manifests = Manifests::default();
    for file in files::read_all(&sources.file, sources.recursive)? {
        manifests.file(&file, &sources.namespace);
        manifests.files.push(file.name);
    }
    if manifests.objects == 0 && manifests.findings.is_empty() {
        bail!("no objects in {}", joined(&manifests.files));
    }
    Ok(manifests)
}

impl Manifests {
    /// The value of a secret that a webhook needs.
    ///
    /// # Errors
    /// It is masked, or the operator would not find it either.
    pub(super) fn secret_of(&self, webhook: &WebhookManifest, key: &SecretKey) -> Result<SecretString, MissingSecret> {
        match webhook.inline.iter().find(|inline| inline.key == *key) {
            Some(InlineSecret { value: Some(value), .. }) => Ok(value.clone()),
            Some(_) => Err(MissingSecret { message: webhook.masked_secrets(), may_be_elsewhere: true }),
            None => self.secrets.get(&webhook.source.namespace, key),
        }
    }

    fn file(&mut self, file: &File, namespace: &str) {
        let strict = file.name.ends_with(".json");
        for document in yaml::documents(&file.bytes, strict) {
            match document {
                Ok(document) => {
                    for error in document.repeated {
                        self.syntax_error(&file.name, error);
                    }
                    self.take(&file.name, &document.root, namespace);
                }
                Err(error) => self.syntax_error(&file.name, error),
            }
        }
    }

    fn syntax_error(&mut self, file: &Arc<str>, SyntaxError { line, message }: SyntaxError) {
        self.error(file, "", FieldError { line, field: String::new(), message });
    }

    fn error(&mut self, file: &Arc<str>, object: &str, FieldError { line, field, message }: FieldError) {
        let object = object.to_owned();
        self.findings.push(Finding { severity: Severity::Fault, file: Arc::clone(file), line, object, field, message });
    }

    /// Takes in one object, or each object of a list.
    fn take(&mut self, file: &Arc<str>, node: &Rc<Node>, namespace: &str) {
        let (version, kind) = (node.text_at(&["apiVersion"]), node.text_at(&["kind"]));
        // `kubectl get` and OnCall's API print several objects in one.
        let several = match (&node.data, kind) {
            (Data::List(items), _) => Some(items),
            (_, Some(kind)) if kind.ends_with("List") => items(node, "items"),
            (_, None) => items(node, "results"),
            _ => None,
        };
        if let Some(items) = several {
            items.iter().for_each(|item| self.take(file, item, namespace));
            return;
        }
        self.objects += 1;
        if oncall_json::is_webhook(node) {
            return self.oncall_webhook(file, node, namespace);
        }
        let mut error = |field: &str, message: String| {
            let line = node.get(field).map_or(node.line, |entry| entry.line);
            self.error(file, kind.unwrap_or_default(), FieldError { line, field: field.to_owned(), message });
        };
        match (version, kind) {
            (Some(VERSION), Some(kind)) if schema::kinds().any(|known| known == kind) => {
                self.custom_resource(file, node, kind, namespace);
            }
            (Some(VERSION), kind) => {
                let meant = kind.and_then(|kind| nearest(kind, schema::kinds()));
                let kinds = meant.map_or_else(
                    || format!("there are {}", joined(schema::kinds())),
                    |kind| format!("did you mean {kind}?"),
                );
                error("kind", format!("{VERSION} has no such kind: {kinds}"));
            }
            (Some(version), _) if version.split('/').next() == Some(GROUP) => {
                error("apiVersion", format!("there is no {}: use {VERSION}", quoted(version)));
            }
            (Some("v1"), Some("Secret")) => self.secret(file, node, namespace),
            (None, Some(kind)) if schema::kinds().any(|known| known == kind) => {
                error("apiVersion", format!("is missing: a {kind} has {VERSION}"));
            }
            (Some(_), Some(_)) => {}
            (None, Some(_)) => error("apiVersion", "is missing: this is no manifest".to_owned()),
            (_, None) => error(
                "kind",
                format!("is missing: this is no manifest (a webhook has apiVersion: {VERSION} and kind: Webhook)"),
            ),
        }
    }

    /// Takes in a manifest of a kind that has a definition.
    fn custom_resource(&mut self, file: &Arc<str>, node: &Rc<Node>, kind: &str, default_namespace: &str) {
        let source = ManifestSource::of_object(file, node, kind, default_namespace);
        let mut errors = Vec::new();
        metadata::check(node, &mut errors);
        let schema = schema::schema_of(kind).unwrap_or(&Value::Null);
        schema::check(node, &of_manifest(schema, kind), node.line, "", &mut errors);
        let is_good = errors.is_empty();
        for error in errors {
            self.error(file, &source.object, error);
        }
        self.only_once(&source, kind);
        match kind {
            "Webhook" => self.webhook_sources.push(source.clone()),
            "AlertGroupEvent" => self.event_sources.push(source.clone()),
            _ => {}
        }
        if !is_good {
            return;
        }
        match kind {
            "Webhook" => {
                if let Some(webhook) = self.typed::<Webhook>(&source, schema) {
                    self.webhooks.push(WebhookManifest {
                        webhook: resources::compile(&webhook),
                        source,
                        inline: Vec::new(),
                    });
                }
            }
            "AlertGroupEvent" => {
                if let Some(event) = self.typed(&source, schema) {
                    self.events.push(EventManifest { event, source });
                }
            }
            "WebhookResponse" => {
                let response = self.typed(&source, schema);
                self.responses.extend(response);
            }
            "Integration" => {
                if let Some(integration) = self.typed(&source, schema) {
                    self.integrations.push(IntegrationManifest { integration, source });
                }
            }
            // Nobody but the operator writes the others.
            _ => {}
        }
    }

    /// The object as its Rust type; None if that can't hold it, which is added to the findings.
    fn typed<K: DeserializeOwned + ResourceExt>(&mut self, source: &ManifestSource, schema: &Value) -> Option<K> {
        let mut value = schema::without_nulls(source.node.value(), schema);
        if drops_status(source.node.text_at(&["kind"])) {
            value.as_object_mut().map(|object| object.shift_remove("status"));
        }
        match serde_json::from_value::<K>(value) {
            Ok(mut object) => {
                object.meta_mut().namespace = Some(source.namespace.clone());
                Some(object)
            }
            Err(error) => {
                let error = FieldError { line: source.node.line, field: String::new(), message: error.to_string() };
                self.error(&source.file, &source.object, error);
                None
            }
        }
    }

    /// Takes in a webhook as OnCall's API gives it.
    fn oncall_webhook(&mut self, file: &Arc<str>, node: &Rc<Node>, namespace: &str) {
        let text = |key| node.text_at(&[key]).map(oncall_json::trim).filter(|text| !text.is_empty());
        let name = text("name").or_else(|| text("id")).unwrap_or_default();
        let source = ManifestSource {
            file: Arc::clone(file),
            namespace: namespace.to_owned(),
            object: format!("webhook {name:?}"),
            node: Rc::clone(node),
            is_oncall_json: true,
        };
        let mut errors = Vec::new();
        let webhook = oncall_json::webhook(node, namespace, &mut errors);
        for error in errors {
            self.error(file, &source.object, error);
        }
        self.only_once(&source, "webhook");
        self.webhook_sources.push(source.clone());
        if let Some((webhook, inline)) = webhook {
            self.webhooks.push(WebhookManifest { source, webhook, inline });
        }
    }

    /// Takes in a Secret.
    fn secret(&mut self, file: &Arc<str>, node: &Rc<Node>, default_namespace: &str) {
        let source = ManifestSource::of_object(file, node, "Secret", default_namespace);
        let mut errors = Vec::new();
        metadata::check(node, &mut errors);
        if let Some(name) = node.text_at(&["metadata", "name"]) {
            self.secrets.add(&source.namespace, name, node, &mut errors);
        }
        for error in errors {
            self.error(file, &source.object, error);
        }
        self.only_once(&source, "Secret");
    }

    /// Adds an error where another object of this name was there before.
    fn only_once(&mut self, source: &ManifestSource, kind: &str) {
        let (path, field): (&[&str], _) =
            if source.is_oncall_json { (&["name"], "name") } else { (&["metadata", "name"], "metadata.name") };
        let Some(node) = source.node.at(path) else { return };
        let Some(name) = node.text().map(oncall_json::trim).filter(|name| !name.is_empty()) else { return };
        match self.known.entry((kind.to_owned(), source.namespace.clone(), name.to_owned())) {
            Entry::Vacant(slot) => {
                slot.insert((Arc::clone(&source.file), node.line));
            }
            Entry::Occupied(first) => {
                let (file, line) = first.get();
                let message = format!("there is one of this name already, in {file}:{line}: only the last would stay");
                self.findings.push(source.finding(Severity::Fault, node.line, field, message));
            }
        }
    }
}

fn items<'a>(node: &'a Node, key: &str) -> Option<&'a Vec<Rc<Node>>> {
    match &node.at(&[key])?.data {
        Data::List(items) => Some(items),
        _ => None,
    }
}

/// Whether the API server drops the status of what people create: the operator writes it.
fn drops_status(kind: Option<&str>) -> bool {
    !matches!(kind, Some("WebhookResponse" | "AlertGroup"))
}

/// The schema without the parts that are checked elsewhere or not at all.
fn of_manifest(schema: &Value, kind: &str) -> Value {
    let mut schema = schema.clone();
    let properties = &mut schema["properties"];
    properties["metadata"] = json!({});
    for known in ["apiVersion", "kind"] {
        properties[known] = json!({"type": "string"});
    }
    if drops_status(Some(kind)) {
        properties["status"] = json!({});
    }
    schema
}
