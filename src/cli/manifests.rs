//! Files in; webhooks, events, responses and Secrets out, and every fault that the API server would refuse them for.

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
    Sources,
    files::{self, File},
    findings::{Finding, Severity},
    rest,
    schema::{self, Fault},
    secrets::Secrets,
    yaml::{self, Data, Node},
};
use crate::{
    core::webhook::{self, SecretKey},
    resources::{self, AlertGroupEvent, Webhook, WebhookResponse},
};

const GROUP: &str = "oncall.dev";
const VERSION: &str = "oncall.dev/v1alpha1";
const KINDS: [&str; 3] = ["Webhook", "AlertGroupEvent", "WebhookResponse"];

/// Where a manifest stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) namespace: String,
    /// As findings call it.
    pub(super) object: String,
    pub(super) node: Rc<Node>,
    /// Whether its fields are those of OnCall's API.
    pub(super) rest: bool,
}

impl Place {
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
}

/// A webhook, ready to run.
pub(super) struct Hook {
    pub(super) place: Place,
    pub(super) webhook: webhook::Webhook,
    /// Secrets that stand in it; None for what is masked there.
    pub(super) inline: Vec<(SecretKey, Option<SecretString>)>,
}

/// An event.
pub(super) struct Happening {
    pub(super) place: Place,
    pub(super) event: AlertGroupEvent,
}

/// All that the files say.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) hooks: Vec<Hook>,
    pub(super) events: Vec<Happening>,
    pub(super) responses: Vec<WebhookResponse>,
    pub(super) secrets: Secrets,
    /// Every manifest of a webhook, also of those that can't run.
    pub(super) webhooks: Vec<Place>,
    /// The same for events.
    pub(super) happenings: Vec<Place>,
    pub(super) findings: Vec<Finding>,
    /// The names of the files, in the order in which they were read.
    pub(super) files: Vec<Arc<str>>,
    /// Objects of any kind.
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
        bail!("no objects in {}", schema::joined(&manifests.files));
    }
    Ok(manifests)
}

impl Manifests {
    fn file(&mut self, file: &File, namespace: &str) {
        let strict = file.name.ends_with(".json");
        for document in yaml::documents(&file.bytes, strict) {
            match document {
                Ok(document) => {
                    for problem in document.repeated {
                        self.fault(
                            &file.name,
                            "",
                            Fault { line: problem.line, field: String::new(), message: problem.message },
                        );
                    }
                    self.take(&file.name, &document.root, namespace);
                }
                Err(problem) => {
                    self.fault(
                        &file.name,
                        "",
                        Fault { line: problem.line, field: String::new(), message: problem.message },
                    );
                }
            }
        }
    }

    fn fault(&mut self, file: &Arc<str>, object: &str, Fault { line, field, message }: Fault) {
        let object = object.to_owned();
        self.findings.push(Finding { severity: Severity::Fault, file: Arc::clone(file), line, object, field, message });
    }

    fn take(&mut self, file: &Arc<str>, node: &Rc<Node>, namespace: &str) {
        let (version, kind) = (node.text_at(&["apiVersion"]), node.text_at(&["kind"]));
        // What `kubectl get` and OnCall's API print of several.
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
        if rest::is_webhook(node) {
            return self.rest(file, node, namespace);
        }
        let mut fault = |field: &str, message: String| {
            let line = node.get(field).map_or(node.line, |entry| entry.line);
            self.fault(file, kind.unwrap_or_default(), Fault { line, field: field.to_owned(), message });
        };
        match (version, kind) {
            (Some(VERSION), Some(kind)) if KINDS.contains(&kind) => self.ours(file, node, kind, namespace),
            (Some(VERSION), kind) => {
                let meant = kind.and_then(|kind| schema::nearest(kind, KINDS.into_iter()));
                let kinds = meant
                    .map_or_else(|| format!("there are {}", KINDS.join(", ")), |kind| format!("did you mean {kind}?"));
                fault("kind", format!("{VERSION} has no such kind: {kinds}"));
            }
            (Some(version), _) if version.split('/').next() == Some(GROUP) => {
                fault("apiVersion", format!("there is no {}: use {VERSION}", schema::quoted(version)));
            }
            (Some("v1"), Some("Secret")) => self.secret(file, node, namespace),
            (None, Some(kind)) if KINDS.contains(&kind) => {
                fault("apiVersion", format!("is missing: a {kind} has {VERSION}"));
            }
            (Some(_), Some(_)) => {}
            (None, Some(_)) => fault("apiVersion", "is missing: this is no manifest".to_owned()),
            (_, None) => fault(
                "kind",
                format!("is missing: this is no manifest (a webhook has apiVersion: {VERSION} and kind: Webhook)"),
            ),
        }
    }

    /// A manifest of a kind of ours, of our version.
    fn ours(&mut self, file: &Arc<str>, node: &Rc<Node>, kind: &str, default_namespace: &str) {
        let place = place(file, node, kind, default_namespace);
        let mut faults = Vec::new();
        schema::check_metadata(node, &mut faults);
        let schema = schema::schema_of(kind).unwrap_or(&Value::Null);
        schema::check(node, &of_manifest(schema, kind), node.line, "", &mut faults);
        let is_good = faults.is_empty();
        for fault in faults {
            self.fault(file, &place.object, fault);
        }
        self.only_once(&place, kind);
        match kind {
            "Webhook" => self.webhooks.push(place.clone()),
            "AlertGroupEvent" => self.happenings.push(place.clone()),
            _ => {}
        }
        if !is_good {
            return;
        }
        match kind {
            "Webhook" => {
                if let Some(webhook) = self.typed::<Webhook>(&place, schema) {
                    self.hooks.push(Hook { webhook: resources::compile(&webhook), place, inline: Vec::new() });
                }
            }
            "AlertGroupEvent" => {
                if let Some(event) = self.typed(&place, schema) {
                    self.events.push(Happening { event, place });
                }
            }
            _ => {
                let response = self.typed(&place, schema);
                self.responses.extend(response);
            }
        }
    }

    /// The object as its Rust type.
    fn typed<K: DeserializeOwned + ResourceExt>(&mut self, place: &Place, schema: &Value) -> Option<K> {
        let mut value = schema::without_nulls(place.node.value(), schema);
        if drops_status(place.node.text_at(&["kind"])) {
            value.as_object_mut().map(|object| object.shift_remove("status"));
        }
        match serde_json::from_value::<K>(value) {
            Ok(mut object) => {
                object.meta_mut().namespace = Some(place.namespace.clone());
                Some(object)
            }
            Err(error) => {
                let fault = Fault { line: place.node.line, field: String::new(), message: error.to_string() };
                self.fault(&place.file, &place.object, fault);
                None
            }
        }
    }

    fn rest(&mut self, file: &Arc<str>, node: &Rc<Node>, namespace: &str) {
        let text = |key| node.text_at(&[key]).map(rest::trim).filter(|text| !text.is_empty());
        let name = text("name").or_else(|| text("id")).unwrap_or_default();
        let place = Place {
            file: Arc::clone(file),
            namespace: namespace.to_owned(),
            object: format!("webhook {name:?}"),
            node: Rc::clone(node),
            rest: true,
        };
        let mut faults = Vec::new();
        let webhook = rest::webhook(node, namespace, &mut faults);
        for fault in faults {
            self.fault(file, &place.object, fault);
        }
        self.only_once(&place, "webhook");
        self.webhooks.push(place.clone());
        if let Some((webhook, inline)) = webhook {
            self.hooks.push(Hook { place, webhook, inline });
        }
    }

    fn secret(&mut self, file: &Arc<str>, node: &Rc<Node>, default_namespace: &str) {
        let place = place(file, node, "Secret", default_namespace);
        let mut faults = Vec::new();
        schema::check_metadata(node, &mut faults);
        if let Some(name) = node.text_at(&["metadata", "name"]) {
            self.secrets.add(&place.namespace, name, node, &mut faults);
        }
        for fault in faults {
            self.fault(file, &place.object, fault);
        }
        self.only_once(&place, "Secret");
    }

    /// Finds fault with a second object of one name.
    fn only_once(&mut self, place: &Place, kind: &str) {
        let (path, field): (&[&str], _) =
            if place.rest { (&["name"], "name") } else { (&["metadata", "name"], "metadata.name") };
        let Some(node) = place.node.at(path) else { return };
        let Some(name) = node.text().map(rest::trim).filter(|name| !name.is_empty()) else { return };
        match self.known.entry((kind.to_owned(), place.namespace.clone(), name.to_owned())) {
            Entry::Vacant(slot) => {
                slot.insert((Arc::clone(&place.file), node.line));
            }
            Entry::Occupied(first) => {
                let (file, line) = first.get();
                let message = format!("there is one of this name already, in {file}:{line}: only the last would stay");
                self.findings.push(place.finding(Severity::Fault, node.line, field, message));
            }
        }
    }
}

fn place(file: &Arc<str>, node: &Rc<Node>, kind: &str, default_namespace: &str) -> Place {
    let metadata = |key| node.text_at(&["metadata", key]).filter(|text| !text.is_empty());
    let namespace = metadata("namespace").unwrap_or(default_namespace).to_owned();
    let object = match metadata("name").or_else(|| metadata("generateName")) {
        Some(name) => format!("{kind} {namespace}/{name}"),
        None => kind.to_owned(),
    };
    Place { file: Arc::clone(file), namespace, object, node: Rc::clone(node), rest: false }
}

fn items<'a>(node: &'a Node, key: &str) -> Option<&'a Vec<Rc<Node>>> {
    match &node.at(&[key])?.data {
        Data::List(items) => Some(items),
        _ => None,
    }
}

/// Whether the API server drops the status of what people create: the operator writes it.
fn drops_status(kind: Option<&str>) -> bool {
    kind != Some("WebhookResponse")
}

/// The schema, without what is checked elsewhere or not at all.
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
