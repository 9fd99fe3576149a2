//! The Secrets among the files, as the operator would find them in a cluster.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::SecretString;

use super::{
    findings::FieldError,
    wording::joined,
    yaml::{Data, MappingEntry, Node},
};
use crate::{core::webhook::SecretKey, resources::SECRET_LABEL};

/// The Secrets among the files, by namespace and name.
#[derive(Default)]
pub(super) struct Secrets(HashMap<(String, String), Secret>);

struct Secret {
    /// Whether the operator may read it.
    labelled: bool,
    /// The values by key; None for one that is not UTF-8.
    data: BTreeMap<String, Option<SecretString>>,
}

/// A key of a Secret that has no value among the files.
pub(super) struct MissingSecret {
    pub(super) message: String,
    /// Whether a Secret that is not among these files may well have it.
    pub(super) may_be_elsewhere: bool,
}

impl Secrets {
    /// Takes in a manifest and adds what is wrong with it to `errors`. No message quotes a value.
    pub(super) fn add(&mut self, namespace: &str, name: &str, manifest: &Node, errors: &mut Vec<FieldError>) {
        let mut data = BTreeMap::new();
        // A key of stringData wins over the same key of data.
        for (field, encoded) in [("data", true), ("stringData", false)] {
            let Some(entry) = manifest.get(field) else { continue };
            let entries = match &entry.node.data {
                Data::Map(entries) => entries,
                Data::Null => continue,
                _ => {
                    let message = format!("must be an object, not {}", entry.node.kind());
                    errors.push(FieldError { line: entry.line, field: field.to_owned(), message });
                    continue;
                }
            };
            for (key, entry) in entries {
                match value(entry, encoded) {
                    Ok(Some(bytes)) => {
                        data.insert(key.to_string(), text(bytes));
                    }
                    Ok(None) => {}
                    Err(message) => {
                        errors.push(FieldError { line: entry.line, field: format!("{field}.{key}"), message });
                    }
                }
            }
        }
        let labelled = manifest.text_at(&["metadata", "labels", SECRET_LABEL]) == Some("true");
        self.0.insert((namespace.to_owned(), name.to_owned()), Secret { labelled, data });
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The operator would not find it either; the message names the way out.
    pub(super) fn get(
        &self,
        namespace: &str,
        SecretKey { name, key }: &SecretKey,
    ) -> Result<SecretString, MissingSecret> {
        let Some(secret) = self.0.get(&(namespace.to_owned(), name.to_owned())) else {
            let elsewhere = self.0.keys().find(|(_, other)| other == name);
            let mention =
                elsewhere.map_or_else(String::new, |(other, _)| format!(" (there is one in namespace {other})"));
            let message = format!("Secret '{name}' of namespace {namespace} is not among the files{mention}");
            return Err(MissingSecret { message, may_be_elsewhere: elsewhere.is_none() });
        };
        let missing = |message| MissingSecret { message, may_be_elsewhere: false };
        if !secret.labelled {
            return Err(missing(format!(
                "Secret '{name}' lacks the label {SECRET_LABEL}: \"true\", so the operator can't read it"
            )));
        }
        match secret.data.get(key) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(missing(format!("Key '{key}' of Secret '{name}' is not UTF-8 text"))),
            None => {
                let known = joined(secret.data.keys());
                Err(missing(format!("Secret '{name}' has no key '{key}': it has {known}")))
            }
        }
    }
}

/// The bytes of one key; None for null.
///
/// # Errors
/// It is no string, or not base64 where it should be.
fn value(entry: &MappingEntry, encoded: bool) -> Result<Option<Vec<u8>>, String> {
    let text = match &entry.node.data {
        Data::Text { text, .. } => text,
        Data::Null => return Ok(None),
        _ => return Err(format!("must be a string, not {}: put it in quotes", entry.node.kind())),
    };
    if !encoded {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    let text: String = text.split_ascii_whitespace().collect();
    let decoded = BASE64_STANDARD.decode(text);
    decoded.map(Some).map_err(|_| "is not base64: encode it, or put it under stringData as it is".to_owned())
}

/// The value as the operator reads it: without the line break that editors and `echo` put at its end. None if it is not
/// UTF-8.
fn text(bytes: Vec<u8>) -> Option<SecretString> {
    let text = String::from_utf8(bytes).ok()?;
    Some(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}
