//! Pieces of schema that Rust types do not express.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of labels as templates see them.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 200},
    })
}

/// The schema of the labels of an alert group.
pub(super) fn inherited_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 15,
        "additionalProperties": {"type": "string", "maxLength": 200},
    })
}

/// The schema of any JSON value.
pub(super) fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// Lets an object have other properties than those of its schema, of any JSON; `MOST` in all.
pub(super) fn open<const MOST: u32>(schema: &mut Schema) {
    schema.remove("additionalProperties");
    schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    schema.insert("maxProperties".to_owned(), MOST.into());
}

/// The schema of a duration such as `4s` or `1m30s`.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 32, "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$"})
}

/// The schema of a few durations.
pub(super) fn delays(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 20, "items": duration(generator)})
}

/// Deserializes a field that is there: Some also for null, so that it differs from a field that is missing.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Removes the default, so that the API server does not write it into objects.
pub(super) fn without_default(schema: &mut Schema) {
    schema.remove("default");
}
