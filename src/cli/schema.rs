//! A node and the schema of a definition in, what the API server would refuse out.
//!
//! The schema of a definition is a small part of JSON Schema with words of Kubernetes (`nullable`, list types, rules),
//! and each fault needs the line it stands on: so it is checked here, over nodes. A test fails when a definition uses a
//! word that is not known here.

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    sync::LazyLock,
};

use fancy_regex::Regex;
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::yaml::{Data, Entry, Node};
use crate::resources::{self, is_name};

/// What is wrong with one field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    /// Such as `spec.url`; empty for the whole.
    pub(super) field: String,
    pub(super) message: String,
}

/// Checks `node`, which stands under a key in `line` at path `field`.
pub(super) fn check(node: &Node, schema: &Value, line: usize, field: &str, faults: &mut Vec<Fault>) {
    let before = faults.len();
    let mut fault = |message: String| faults.push(Fault { line, field: field.to_owned(), message });
    if matches!(node.data, Data::Null) && schema["nullable"] == true {
        return;
    }
    if let Some(message) = wrong_type(node, schema) {
        fault(message);
        return;
    }
    match &node.data {
        Data::Text { text, .. } => check_text(text, schema, &mut fault),
        Data::Int(_) | Data::Float(_) | Data::Big(_) => check_number(node, schema, &mut fault),
        Data::Bool(_) | Data::Null => {}
        Data::List(items) => {
            check_count(items.len(), schema, ["minItems", "maxItems"], "items", &mut fault);
            check_keys_of_list(items, schema, &mut fault);
            for (index, item) in items.iter().enumerate() {
                check(item, &schema["items"], item.line, &format!("{field}[{index}]"), faults);
            }
        }
        Data::Map(_) => check_map(node, schema, line, field, faults),
    }
    // What has the wrong type or form is no value for a rule.
    let rules = schema["x-kubernetes-validations"].as_array();
    if let Some(rules) = rules.filter(|_| faults.len() == before || matches!(node.data, Data::Map(_))) {
        let value = without_nulls(node.value(), schema);
        for rule in rules {
            let holds = rule["rule"].as_str().and_then(resources::rule).is_none_or(|holds| holds(&value));
            if !holds {
                let message = rule["message"].as_str().unwrap_or("breaks a rule").to_owned();
                faults.push(Fault { line, field: field.to_owned(), message });
            }
        }
    }
}

fn wrong_type(node: &Node, schema: &Value) -> Option<String> {
    let (fits, wanted) = match schema["type"].as_str()? {
        "object" => (matches!(node.data, Data::Map(_)), "an object"),
        "array" => (matches!(node.data, Data::List(_)), "a list"),
        "string" => (matches!(node.data, Data::Text { .. }), "a string"),
        "boolean" => (matches!(node.data, Data::Bool(_)), "true or false"),
        "integer" => match &node.data {
            Data::Float(value) => (value.fract() == 0.0, "a whole number"),
            data => (matches!(data, Data::Int(_) | Data::Big(_)), "a whole number"),
        },
        _ => (matches!(node.data, Data::Int(_) | Data::Big(_) | Data::Float(_)), "a number"),
    };
    let way_out = match (wanted, &node.data) {
        ("a string", Data::Int(_) | Data::Big(_) | Data::Float(_) | Data::Bool(_)) => ": put it in quotes",
        ("an object", _) if !schema["properties"]["secretKeyRef"].is_null() => {
            ": secrets are only references, {secretKeyRef: {name: …, key: …}}"
        }
        _ => "",
    };
    (!fits).then(|| format!("must be {wanted}, not {}{way_out}", node.what()))
}

fn check_text(text: &str, schema: &Value, fault: &mut dyn FnMut(String)) {
    let length = text.chars().count();
    check_count(length, schema, ["minLength", "maxLength"], "characters", fault);
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.iter().any(|value| value == text)) {
        fault(format!("{} is not one of {}", quoted(text), words(allowed)));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text).unwrap_or_default())
    {
        fault(format!("{} does not match {pattern} ({})", quoted(text), explained(schema)));
    }
    if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
        fault(format!("{} is no time such as 2026-01-31T12:00:00Z", quoted(text)));
    }
}

fn check_number(node: &Node, schema: &Value, fault: &mut dyn FnMut(String)) {
    let value = match &node.data {
        #[expect(clippy::cast_precision_loss, reason = "compared with small bounds")]
        Data::Int(value) => *value as f64,
        Data::Float(value) if value.is_finite() => *value,
        Data::Float(_) => return fault("NaN and infinities are not JSON: put it in quotes".to_owned()),
        _ if schema["type"] == "integer" => return fault("the number is beyond 64 bits".to_owned()),
        _ => return fault("the number is beyond 64 bits: put it in quotes".to_owned()),
    };
    if let Some(minimum) = schema["minimum"].as_f64().filter(|minimum| value < *minimum) {
        fault(format!("must be {minimum} or more"));
    }
    if let Some(maximum) = schema["maximum"].as_f64().filter(|maximum| value > *maximum) {
        fault(format!("must be {maximum} or less"));
    }
}

fn check_count(count: usize, schema: &Value, [least, most]: [&str; 2], what: &str, fault: &mut dyn FnMut(String)) {
    let bound = |key| schema[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
    match (bound(least), bound(most)) {
        (Some(1), _) if count == 0 => fault("must not be empty".to_owned()),
        (Some(least), _) if count < least => fault(format!("has {count} {what}; it needs {least}")),
        (_, Some(most)) if count > most => fault(format!("has {count} {what}; {most} are allowed")),
        _ => {}
    }
}

fn check_keys_of_list(items: &[std::rc::Rc<Node>], schema: &Value, fault: &mut dyn FnMut(String)) {
    if schema["x-kubernetes-list-type"] != "map" {
        return;
    }
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut seen = HashSet::new();
    for item in items {
        let own: Vec<Option<&str>> = keys.iter().map(|key| item.text_at(&[key])).collect();
        if !seen.insert(own) {
            fault(format!("two items have the same {}", keys.join(" and ")));
        }
    }
}

fn check_map(node: &Node, schema: &Value, line: usize, field: &str, faults: &mut Vec<Fault>) {
    let Data::Map(entries) = &node.data else { return };
    let inside = |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
    check_count(entries.len(), schema, ["minProperties", "maxProperties"], "entries", &mut |message| {
        faults.push(Fault { line, field: field.to_owned(), message });
    });
    let (properties, others) = (schema["properties"].as_object(), schema.get("additionalProperties"));
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let known = &schema["properties"][key];
        // The API server drops a null where none may be.
        let dropped = |entry: &&Entry| matches!(entry.node.data, Data::Null) && known["nullable"] != true;
        if entries.get(key).filter(|entry| !dropped(entry)).is_none() && known.get("default").is_none() {
            faults.push(Fault { line, field: inside(key), message: format!("is missing: {}", explained(known)) });
        }
    }
    for (key, entry) in entries {
        match properties.and_then(|properties| properties.get(&**key)).or(others) {
            // Allowed, or dropped.
            Some(_) if matches!(entry.node.data, Data::Null) => {}
            Some(known) => check(&entry.node, known, entry.line, &inside(key), faults),
            None if schema["x-kubernetes-preserve-unknown-fields"] == true || schema["type"].is_null() => {
                check(&entry.node, &Value::Null, entry.line, &inside(key), faults);
            }
            None => {
                let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
                let way_out = match nearest(key, names.clone()) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                };
                faults.push(Fault {
                    line: entry.line,
                    field: inside(key),
                    message: format!("unknown field: {way_out}"),
                });
            }
        }
    }
}

/// What a field that is missing may be.
fn explained(schema: &Value) -> String {
    match schema["enum"].as_array() {
        Some(allowed) => format!("give one of {}", words(allowed)),
        None => {
            let text = schema["description"].as_str().unwrap_or("give it");
            text.split_inclusive('.').next().unwrap_or(text).trim_end_matches('.').replace('\n', " ")
        }
    }
}

fn words(values: &[Value]) -> String {
    values
        .iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A value in a message, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if key.len() > 100 {
        return None;
    }
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(key);
    let near = names.map(|name| (distance(&wanted, &plain(name)), name)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= 2 && near.0 < wanted.len()).then_some(near.1)
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let cost = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// `value` without nulls where the schema allows none, as the API server drops them.
pub(super) fn without_nulls(value: Value, schema: &Value) -> Value {
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .filter_map(|(key, value)| {
                    let known = schema["properties"].get(&key).or_else(|| schema.get("additionalProperties"));
                    let known = known.unwrap_or(&Value::Null);
                    let drops = value.is_null() && known["type"].is_string() && known["nullable"] != true;
                    (!drops).then(|| (key, without_nulls(value, known)))
                })
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| without_nulls(item, &schema["items"])).collect())
        }
        other => other,
    }
}

/// Metadata is the same for every kind; the definitions leave it to the API server.
pub(super) fn check_metadata(object: &Node, faults: &mut Vec<Fault>) {
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
    let mut fault = |line: usize, field: &str, message: String| {
        faults.push(Fault { line, field: field.to_owned(), message });
    };
    let Some(metadata) = object.get("metadata") else {
        return fault(object.line, "metadata.name", "is missing: give the object a name".to_owned());
    };
    let Data::Map(entries) = &metadata.node.data else {
        return fault(metadata.line, "metadata", format!("must be an object, not {}", metadata.node.what()));
    };
    let mut named = false;
    for (key, entry) in entries {
        let field = format!("metadata.{key}");
        match (&**key, &entry.node.data) {
            (key, _) if !FIELDS.contains(&key) => {
                let way_out =
                    nearest(key, FIELDS.into_iter()).map_or_else(String::new, |name| format!(": did you mean {name}?"));
                fault(entry.line, &field, format!("unknown field{way_out}"));
            }
            (_, Data::Null) => {}
            ("labels" | "annotations", Data::Map(pairs)) => {
                for (key, pair) in pairs {
                    match pair.node.text() {
                        Some(text) if field == "metadata.labels" && !is_label_value(text) => fault(
                            pair.line,
                            &format!("{field}.{key}"),
                            format!("{} is no label value: up to 63 letters, digits, -, _ and .", quoted(text)),
                        ),
                        Some(_) => {}
                        None => fault(
                            pair.line,
                            &format!("{field}.{key}"),
                            format!("must be a string, not {}: put it in quotes", pair.node.what()),
                        ),
                    }
                }
            }
            ("labels" | "annotations", _) => {
                fault(entry.line, &field, format!("must be an object, not {}", entry.node.what()));
            }
            ("name" | "namespace" | "generateName", Data::Text { text, .. }) => {
                named |= &**key != "namespace" && !text.is_empty();
                let (text, most) = match &**key {
                    "namespace" => (&**text, 63),
                    "generateName" => (text.trim_end_matches('-'), 253),
                    _ => (&**text, 253),
                };
                if !text.is_empty() && !is_name(text, most, &**key != "namespace") {
                    fault(
                        entry.line,
                        &field,
                        format!(
                            "{} is no name: lower-case letters, digits and -, at most {most}, a letter or digit first and last",
                            quoted(text)
                        ),
                    );
                }
            }
            ("name" | "namespace" | "generateName", _) => {
                fault(entry.line, &field, format!("must be a string, not {}: put it in quotes", entry.node.what()));
            }
            _ => {}
        }
    }
    if !named && !faults.iter().any(|fault| fault.field == "metadata.name") {
        let message = "is missing: give the object a name".to_owned();
        faults.push(Fault { line: metadata.line, field: "metadata.name".to_owned(), message });
    }
}

fn is_label_value(text: &str) -> bool {
    resources::label_value(text) == text
}

/// The schema of a kind of ours.
pub(super) fn schema_of(kind: &str) -> Option<&'static Value> {
    static SCHEMAS: LazyLock<HashMap<String, Value>> = LazyLock::new(|| {
        let schema = |crd: CustomResourceDefinition| {
            let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
            Some((crd.spec.names.kind, serde_json::to_value(schema).ok()?))
        };
        resources::definitions().into_iter().filter_map(schema).collect()
    });
    SCHEMAS.get(kind)
}

/// For messages.
pub(super) fn joined(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(schema: &Value, found: &mut HashSet<String>) {
        found.extend(schema.as_object().into_iter().flatten().map(|(key, _)| key.clone()));
        found.extend(schema["type"].as_str().map(|word| format!("type {word}")));
        found.extend(schema["format"].as_str().map(|word| format!("format {word}")));
        found.extend(schema["x-kubernetes-list-type"].as_str().map(|word| format!("list {word}")));
        schema["properties"].as_object().into_iter().flatten().for_each(|(_, inner)| keywords(inner, found));
        ["items", "additionalProperties"]
            .iter()
            .filter_map(|key| schema.get(key))
            .for_each(|inner| keywords(inner, found));
    }

    #[test]
    fn every_word_of_the_definitions_is_known() {
        let mut found = HashSet::new();
        for kind in ["Webhook", "AlertGroupEvent", "WebhookResponse"] {
            keywords(schema_of(kind).unwrap(), &mut found);
        }
        let known = [
            "additionalProperties",
            "default",
            "description",
            "enum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "nullable",
            "pattern",
            "properties",
            "required",
            "title",
            "type",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-validations",
            "type array",
            "type boolean",
            "type integer",
            "type object",
            "type string",
            "format date-time",
            "format int64",
            "list map",
        ];
        found.retain(|word| !known.contains(&word.as_str()));
        assert_eq!(found, HashSet::new());
    }

    #[test]
    fn what_was_meant_is_guessed_only_if_it_is_near() {
        let names = ["forwardAll", "triggerType", "url", "headers"];
        for (key, expected) in [
            ("forwardALL", Some("forwardAll")),
            ("trigger_type", Some("triggerType")),
            ("header", Some("headers")),
            ("URL", Some("url")),
            ("ab", None),
            ("schedule", None),
        ] {
            assert_eq!(nearest(key, names.into_iter()), expected, "{key}");
        }
    }
}
