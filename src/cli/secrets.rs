//! The Secrets among the files: what the operator would find of them in a cluster.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::SecretString;

use super::{
    plan::Missing,
    schema::{self, Fault},
    yaml::{Data, Node},
};
use crate::{core::webhook::SecretKey, resources::SECRET_LABEL};

/// By namespace and name.
#[derive(Default)]
pub(super) struct Secrets(HashMap<(String, String), Secret>);

struct Secret {
    labelled: bool,
    /// None where a value is not UTF-8.
    data: BTreeMap<String, Option<SecretString>>,
}

impl Secrets {
    /// Takes in a manifest and says what is wrong with it.
    pub(super) fn add(&mut self, namespace: &str, name: &str, manifest: &Node, faults: &mut Vec<Fault>) {
        let mut data = BTreeMap::new();
        // The second replaces the first.
        for (field, encoded) in [("data", true), ("stringData", false)] {
            let Some(entry) = manifest.get(field) else { continue };
            let Data::Map(entries) = &entry.node.data else {
                if !matches!(entry.node.data, Data::Null) {
                    let message = format!("must be an object, not {}", entry.node.what());
                    faults.push(Fault { line: entry.line, field: field.to_owned(), message });
                }
                continue;
            };
            for (key, entry) in entries {
                // Never quotes the value.
                let mut fault = |message: String| {
                    faults.push(Fault { line: entry.line, field: format!("{field}.{key}"), message });
                };
                let text = match &entry.node.data {
                    Data::Text { text, .. } => text,
                    Data::Null => continue,
                    _ => {
                        fault(format!("must be a string, not {}: put it in quotes", entry.node.what()));
                        continue;
                    }
                };
                let bytes = if encoded {
                    let text: String = text.split_ascii_whitespace().collect();
                    BASE64_STANDARD.decode(text)
                } else {
                    Ok(text.as_bytes().to_vec())
                };
                let Ok(bytes) = bytes else {
                    fault("is not base64: encode it, or put it under stringData as it is".to_owned());
                    continue;
                };
                // Without the line break that editors and `echo` put at its end, as in the operator.
                let value = String::from_utf8(bytes).ok();
                let value = value.map(|text| SecretString::from(text.trim_end_matches(['\r', '\n'])));
                data.insert(key.to_string(), value);
            }
        }
        let labelled = manifest.text_at(&["metadata", "labels", SECRET_LABEL]) == Some("true");
        self.0.insert((namespace.to_owned(), name.to_owned()), Secret { labelled, data });
    }

    /// The value of a key, or why there is none and the way out.
    pub(super) fn get(&self, namespace: &str, SecretKey { name, key }: &SecretKey) -> Result<SecretString, Missing> {
        let Some(secret) = self.0.get(&(namespace.to_owned(), name.to_owned())) else {
            let elsewhere = self.0.keys().find(|(_, other)| other == name);
            let mention =
                elsewhere.map_or_else(String::new, |(other, _)| format!(" (there is one in namespace {other})"));
            let message = format!("Secret '{name}' of namespace {namespace} is not among the files{mention}");
            return Err(Missing { message, may_be_elsewhere: elsewhere.is_none() });
        };
        let missing = |message| Missing { message, may_be_elsewhere: false };
        if !secret.labelled {
            return Err(missing(format!(
                "Secret '{name}' lacks the label {SECRET_LABEL}: \"true\", so the operator can't read it"
            )));
        }
        match secret.data.get(key) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(missing(format!("Key '{key}' of Secret '{name}' is not UTF-8 text"))),
            None => {
                let known = schema::joined(secret.data.keys());
                Err(missing(format!("Secret '{name}' has no key '{key}': it has {known}")))
            }
        }
    }
}
