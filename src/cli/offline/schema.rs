//! A node and the schema of a custom resource definition in; the errors for which the API server would refuse it out.
//!
//! The schema of a definition uses a small part of JSON Schema and some keywords of Kubernetes (`nullable`, list types, rules),
//! and each error needs the line it stands on. Therefore the checks are here, over nodes, and not in a library. A test fails
//! when a definition uses a keyword that is not known here.

use std::{collections::HashSet, rc::Rc, sync::LazyLock};

use fancy_regex::Regex;
use indexmap::IndexMap;
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::{
    findings::FieldError,
    wording::{nearest, quoted},
    yaml::{Data, MappingEntry, Node},
};
use crate::resources;

/// The schemas of the custom resources, by kind.
static SCHEMAS: LazyLock<IndexMap<String, Value>> = LazyLock::new(|| {
    let schema = |crd: CustomResourceDefinition| {
        let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        Some((crd.spec.names.kind, serde_json::to_value(schema).ok()?))
    };
    resources::definitions().into_iter().filter_map(schema).collect()
});

/// Adds everything that is wrong with `node` to `errors`. It is the value at path `field`, whose key stands on `line`.
pub(super) fn check(node: &Node, schema: &Value, line: usize, field: &str, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    let mut error = |message: String| errors.push(FieldError { line, field: field.to_owned(), message });
    if matches!(node.data, Data::Null) && schema["nullable"] == true {
        return;
    }
    if let Some(message) = wrong_type(node, schema) {
        error(message);
        return;
    }
    match &node.data {
        Data::Text { text, .. } => check_text(text, schema, &mut error),
        Data::Int(_) | Data::Float(_) | Data::Big(_) => check_number(node, schema, &mut error),
        Data::Bool(_) | Data::Null => {}
        Data::List(items) => {
            check_count(items.len(), schema, ["minItems", "maxItems"], "items", &mut error);
            check_keys_of_list(items, schema, &mut error);
            for (index, item) in items.iter().enumerate() {
                check(item, &schema["items"], item.line, &format!("{field}[{index}]"), errors);
            }
        }
        Data::Map(_) => check_map(node, schema, line, field, errors),
    }
    // Rules are for values that have the right type and form.
    let rules = schema["x-kubernetes-validations"].as_array();
    if let Some(rules) = rules.filter(|_| errors.len() == before || matches!(node.data, Data::Map(_))) {
        let value = without_nulls(node.value(), schema);
        for rule in rules {
            let holds = rule["rule"].as_str().and_then(resources::rule).is_none_or(|holds| holds(&value));
            if !holds {
                let message = rule["message"].as_str().unwrap_or("breaks a rule").to_owned();
                errors.push(FieldError { line, field: field.to_owned(), message });
            }
        }
    }
}

/// Why the node is not of the type that the schema asks for.
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
    (!fits).then(|| format!("must be {wanted}, not {}{way_out}", node.kind()))
}

fn check_text(text: &str, schema: &Value, error: &mut dyn FnMut(String)) {
    let length = text.chars().count();
    check_count(length, schema, ["minLength", "maxLength"], "characters", error);
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.iter().any(|value| value == text)) {
        error(format!("{} is not one of {}", quoted(text), words(allowed)));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text).unwrap_or_default())
    {
        error(format!("{} does not match {pattern} ({})", quoted(text), explained(schema)));
    }
    if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
        error(format!("{} is no time such as 2026-01-31T12:00:00Z", quoted(text)));
    }
}

fn check_number(node: &Node, schema: &Value, error: &mut dyn FnMut(String)) {
    let value = match &node.data {
        #[expect(clippy::cast_precision_loss, reason = "compared with small bounds")]
        Data::Int(value) => *value as f64,
        Data::Float(value) if value.is_finite() => *value,
        Data::Float(_) => return error("NaN and infinities are not JSON: put it in quotes".to_owned()),
        _ if schema["type"] == "integer" => return error("the number is beyond 64 bits".to_owned()),
        _ => return error("the number is beyond 64 bits: put it in quotes".to_owned()),
    };
    if let Some(minimum) = schema["minimum"].as_f64().filter(|minimum| value < *minimum) {
        error(format!("must be {minimum} or more"));
    }
    if let Some(maximum) = schema["maximum"].as_f64().filter(|maximum| value > *maximum) {
        error(format!("must be {maximum} or less"));
    }
}

fn check_count(count: usize, schema: &Value, [least, most]: [&str; 2], what: &str, error: &mut dyn FnMut(String)) {
    let bound = |key| schema[key].as_u64().and_then(|bound| usize::try_from(bound).ok());
    match (bound(least), bound(most)) {
        (Some(1), _) if count == 0 => error("must not be empty".to_owned()),
        (Some(least), _) if count < least => error(format!("has {count} {what}; it needs {least}")),
        (_, Some(most)) if count > most => error(format!("has {count} {what}; {most} are allowed")),
        _ => {}
    }
}

fn check_keys_of_list(items: &[Rc<Node>], schema: &Value, error: &mut dyn FnMut(String)) {
    if schema["x-kubernetes-list-type"] != "map" {
        return;
    }
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut seen = HashSet::new();
    for item in items {
        let own: Vec<Option<&str>> = keys.iter().map(|key| item.text_at(&[key])).collect();
        if !seen.insert(own) {
            error(format!("two items have the same {}", keys.join(" and ")));
        }
    }
}

fn check_map(node: &Node, schema: &Value, line: usize, field: &str, errors: &mut Vec<FieldError>) {
    let Data::Map(entries) = &node.data else { return };
    let inside = |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
    check_count(entries.len(), schema, ["minProperties", "maxProperties"], "entries", &mut |message| {
        errors.push(FieldError { line, field: field.to_owned(), message });
    });
    let (properties, others) = (schema["properties"].as_object(), schema.get("additionalProperties"));
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let known = &schema["properties"][key];
        // The API server drops a null where none may be.
        let dropped = |entry: &&MappingEntry| matches!(entry.node.data, Data::Null) && known["nullable"] != true;
        if entries.get(key).filter(|entry| !dropped(entry)).is_none() && known.get("default").is_none() {
            errors.push(FieldError { line, field: inside(key), message: format!("is missing: {}", explained(known)) });
        }
    }
    for (key, entry) in entries {
        match properties.and_then(|properties| properties.get(&**key)).or(others) {
            // The schema allows null here, or the API server drops it.
            Some(_) if matches!(entry.node.data, Data::Null) => {}
            Some(known) => check(&entry.node, known, entry.line, &inside(key), errors),
            None if schema["x-kubernetes-preserve-unknown-fields"] == true || schema["type"].is_null() => {
                check(&entry.node, &Value::Null, entry.line, &inside(key), errors);
            }
            None => {
                let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
                let way_out = match nearest(key, names.clone()) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                };
                errors.push(FieldError {
                    line: entry.line,
                    field: inside(key),
                    message: format!("unknown field: {way_out}"),
                });
            }
        }
    }
}

/// The way out where a field is missing or wrong: the words it may be, or the first sentence of its description.
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

/// Drops nulls where the schema allows none, as the API server does.
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

/// The kinds that have a definition, in the order in which people meet them.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    SCHEMAS.keys().map(String::as_str)
}

/// The schema of a kind that has a definition.
pub(super) fn schema_of(kind: &str) -> Option<&'static Value> {
    SCHEMAS.get(kind)
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
    fn every_schema_keyword_of_the_definitions_is_known() {
        let mut found = HashSet::new();
        for kind in kinds() {
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
}
