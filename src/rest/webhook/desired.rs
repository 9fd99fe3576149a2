//! The state that a webhook is to have in the cluster, and the patch or manifest that brings it there.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::credential::{CredentialChange, CredentialField};
use crate::resources::{BLANK_FIELDS_ANNOTATION, SecretKeyRef, SecretKeySource, Webhook, WebhookSpec};

/// A webhook as a request wants it to be.
#[derive(Debug)]
pub(crate) struct DesiredWebhook {
    pub(crate) spec: WebhookSpec,
    /// Fields that read back as `""`, or as null where null is no default.
    blank: BTreeSet<String>,
    /// Values that are to be stored in the webhook's Secret.
    pub(crate) secrets: BTreeMap<CredentialField, SecretString>,
    /// Credentials whose values are not needed any more.
    pub(crate) cleared: Vec<CredentialField>,
}

impl DesiredWebhook {
    /// A request that changes nothing: the webhook stays as it is.
    pub(super) fn unchanged(webhook: &Webhook) -> Self {
        let blank = blank_fields(webhook).into_iter().map(str::to_owned).collect();
        Self { spec: webhook.spec.clone(), blank, secrets: BTreeMap::new(), cleared: Vec::new() }
    }

    /// Notes whether a field reads back as it was sent blank.
    pub(super) fn mark_blank(&mut self, field: &str, is_blank: bool) {
        if is_blank {
            self.blank.insert(field.to_owned());
        } else {
            self.blank.remove(field);
        }
    }

    pub(super) fn change_credential(&mut self, field: CredentialField, change: Option<CredentialChange>) {
        match change {
            None | Some(CredentialChange::Keep) => {}
            Some(CredentialChange::Clear { blank }) => {
                self.mark_blank(field.name(), blank);
                if field.source(&mut self.spec).take().is_some() {
                    self.cleared.push(field);
                }
            }
            Some(CredentialChange::Set(value)) => {
                self.mark_blank(field.name(), false);
                self.secrets.insert(field, value);
            }
        }
    }

    /// The annotation of blank fields; None if there are none.
    pub(crate) fn blank_annotation(&self) -> Option<String> {
        let fields: Vec<&str> = self.blank.iter().map(String::as_str).collect();
        Some(fields.join(",")).filter(|fields| !fields.is_empty())
    }

    /// Refers to the keys in which the values are stored.
    pub(crate) fn refer_to(&mut self, references: BTreeMap<CredentialField, SecretKeyRef>) {
        for (field, secret_key_ref) in references {
            *field.source(&mut self.spec) = Some(SecretKeySource { secret_key_ref });
        }
    }

    /// The spec of a new webhook as a person would write it: without values that are the schema's defaults.
    pub(crate) fn written_spec(&self) -> Map<String, Value> {
        let defaults = [("enabled", json!(true)), ("httpMethod", json!("POST"))];
        let mut fields = to_fields(&self.spec);
        fields.retain(|field, value| !defaults.iter().any(|(known, default)| field == known && value == default));
        fields
    }

    /// The merge patch that brings `webhook` to this state, at the version that it was read at; None if it is there.
    pub(crate) fn patch(&self, webhook: &Webhook) -> Option<Value> {
        let spec = difference(&webhook.spec, &self.spec);
        let mut metadata = Map::new();
        let blank = self.blank_annotation();
        if webhook.annotations().get(BLANK_FIELDS_ANNOTATION) != blank.as_ref() {
            metadata.insert("annotations".to_owned(), json!({BLANK_FIELDS_ANNOTATION: blank}));
        }
        if spec.is_empty() && metadata.is_empty() {
            return None;
        }
        metadata.insert("resourceVersion".to_owned(), webhook.resource_version().into());
        Some(json!({"metadata": metadata, "spec": spec}))
    }
}

/// The fields of a webhook that were sent blank.
pub(super) fn blank_fields(webhook: &Webhook) -> BTreeSet<&str> {
    let annotation = webhook.annotations().get(BLANK_FIELDS_ANNOTATION);
    annotation.into_iter().flat_map(|fields| fields.split(',')).filter(|field| !field.is_empty()).collect()
}

/// A webhook before anything is said about it: all fields have their defaults, and `escalation`, which is OnCall's
/// default, is the trigger.
///
/// # Errors
/// The schema has a field without a default beside the trigger, which is a fault of the program.
pub(crate) fn unwritten(namespace: &str, name: &str) -> Result<Webhook, serde_json::Error> {
    let spec: WebhookSpec = serde_json::from_value(json!({"triggerType": "escalation"}))?;
    let mut webhook = Webhook::new(name, spec);
    webhook.metadata.namespace = Some(namespace.to_owned());
    Ok(webhook)
}

/// The fields that differ, with their new values; null for those that are gone.
fn difference(old: &WebhookSpec, new: &WebhookSpec) -> Map<String, Value> {
    let (old, new) = (to_fields(old), to_fields(new));
    let gone = old.keys().filter(|field| !new.contains_key(*field)).map(|field| (field.clone(), Value::Null));
    let set = new.iter().filter(|(field, value)| old.get(*field) != Some(*value));
    gone.chain(set.map(|(field, value)| (field.clone(), value.clone()))).collect()
}

fn to_fields(spec: &WebhookSpec) -> Map<String, Value> {
    // There is nothing in a spec that JSON could not hold.
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
