//! Checks the `metadata` of an object, which is the same for every kind: the definitions leave it to the API server.

use super::{
    findings::FieldError,
    wording::{nearest, quoted},
    yaml::{Data, MappingEntry, Node},
};
use crate::resources::{is_name, label_value};

/// The fields of Kubernetes' `ObjectMeta`.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Adds everything that is wrong with the metadata of `object` to `errors`.
pub(super) fn check(object: &Node, errors: &mut Vec<FieldError>) {
    let mut checker = Checker { errors, named: false };
    let Some(metadata) = object.get("metadata") else {
        return checker.error(object.line, "metadata.name", "is missing: give the object a name".to_owned());
    };
    let Data::Map(entries) = &metadata.node.data else {
        let message = format!("must be an object, not {}", metadata.node.kind());
        return checker.error(metadata.line, "metadata", message);
    };
    for (key, entry) in entries {
        checker.field(key, entry);
    }
    if !checker.named && !checker.errors.iter().any(|error| error.field == "metadata.name") {
        checker.error(metadata.line, "metadata.name", "is missing: give the object a name".to_owned());
    }
}

struct Checker<'a> {
    errors: &'a mut Vec<FieldError>,
    /// Whether there is a name or a generateName.
    named: bool,
}

impl Checker<'_> {
    fn error(&mut self, line: usize, field: &str, message: String) {
        self.errors.push(FieldError { line, field: field.to_owned(), message });
    }

    fn field(&mut self, key: &str, entry: &MappingEntry) {
        let field = format!("metadata.{key}");
        match (key, &entry.node.data) {
            (key, _) if !FIELDS.contains(&key) => {
                let way_out =
                    nearest(key, FIELDS.into_iter()).map_or_else(String::new, |name| format!(": did you mean {name}?"));
                self.error(entry.line, &field, format!("unknown field{way_out}"));
            }
            (_, Data::Null) => {}
            ("labels" | "annotations", Data::Map(pairs)) => {
                for (key, pair) in pairs {
                    self.pair(&field, key, pair);
                }
            }
            ("labels" | "annotations", _) => {
                self.error(entry.line, &field, format!("must be an object, not {}", entry.node.kind()));
            }
            ("name" | "namespace" | "generateName", Data::Text { text, .. }) => {
                self.named |= key != "namespace" && !text.is_empty();
                self.name(key, text, entry.line, &field);
            }
            ("name" | "namespace" | "generateName", _) => {
                let message = format!("must be a string, not {}: put it in quotes", entry.node.kind());
                self.error(entry.line, &field, message);
            }
            _ => {}
        }
    }

    /// Checks one label or annotation.
    fn pair(&mut self, field: &str, key: &str, pair: &MappingEntry) {
        let message = match pair.node.text() {
            Some(text) if field == "metadata.labels" && label_value(text) != text => {
                format!("{} is no label value: up to 63 letters, digits, -, _ and .", quoted(text))
            }
            Some(_) => return,
            None => format!("must be a string, not {}: put it in quotes", pair.node.kind()),
        };
        self.error(pair.line, &format!("{field}.{key}"), message);
    }

    fn name(&mut self, key: &str, text: &str, line: usize, field: &str) {
        let (text, most) = match key {
            "namespace" => (text, 63),
            "generateName" => (text.trim_end_matches('-'), 253),
            _ => (text, 253),
        };
        if !text.is_empty() && !is_name(text, most, key != "namespace") {
            let message = format!(
                "{} is no name: lower-case letters, digits and -, at most {most}, a letter or digit first and last",
                quoted(text)
            );
            self.error(line, field, message);
        }
    }
}
