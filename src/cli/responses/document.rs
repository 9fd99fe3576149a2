//! Objects as JSON, YAML or names, written one by one: a `List`, as kubectl prints it, without who wrote what.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::output::{Format, print};

/// A list that is being written.
pub(super) struct Document {
    format: Format,
    is_empty: bool,
}

impl Document {
    pub(super) fn begin(format: Format) -> Result<Self> {
        if format == Format::Json {
            print("{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"List\",\n    \"metadata\": {},\n    \"items\": [")?;
        }
        if format == Format::Yaml {
            print("apiVersion: v1\nkind: List\nmetadata: {}\nitems:")?;
        }
        Ok(Self { format, is_empty: true })
    }

    /// Writes an object, given as the API server's text.
    pub(super) fn add(&mut self, text: &str) -> Result<()> {
        let object = without_managers(serde_json::from_str(text)?);
        match self.format {
            Format::Json => {
                let comma = if self.is_empty { "" } else { "," };
                print(&format!("{comma}\n{}", indented(&json(&object)?, "        ", "        ")))?;
            }
            Format::Yaml => {
                let line = if self.is_empty { "\n" } else { "" };
                print(&format!("{line}{}\n", indented(&yaml(&object)?, "- ", "  ")))?;
            }
            Format::Name | Format::Wide => print(&name(&object))?,
        }
        self.is_empty = false;
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        match (self.format, self.is_empty) {
            (Format::Json, true) => print("]\n}\n"),
            (Format::Json, false) => print("\n    ]\n}\n"),
            (Format::Yaml, true) => print(" []\n"),
            _ => Ok(()),
        }
    }
}

/// An object for itself: as one of several that are not known yet.
pub(super) fn single(object: Value, format: Format) -> Result<String> {
    let object = without_managers(object);
    Ok(match format {
        Format::Json => json(&object)? + "\n",
        Format::Yaml => format!("---\n{}\n", yaml(&object)?),
        Format::Name | Format::Wide => name(&object),
    })
}

fn without_managers(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

fn name(object: &Value) -> String {
    format!("webhookresponse.oncall.dev/{}\n", object["metadata"]["name"].as_str().unwrap_or_default())
}

fn json(object: &Value) -> Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(object, &mut writer).context("print a WebhookResponse")?;
    String::from_utf8(text).context("print a WebhookResponse")
}

fn yaml(object: &Value) -> Result<String> {
    Ok(serde_saphyr::to_string(object).context("print a WebhookResponse")?.trim_end().to_owned())
}

fn indented(text: &str, first: &str, others: &str) -> String {
    let lines = text.lines().enumerate().map(|(number, line)| match (number, line) {
        (0, line) => format!("{first}{line}"),
        // Of a text of several lines.
        (_, "") => String::new(),
        (_, line) => format!("{others}{line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_stands_for_itself_in_each_form_without_who_wrote_it() {
        let object = || json!({"kind": "WebhookResponse", "metadata": {"name": "a-1", "managedFields": [{}]}});
        for (format, expected) in [
            (
                Format::Json,
                "{\n    \"kind\": \"WebhookResponse\",\n    \"metadata\": {\n        \"name\": \"a-1\"\n    }\n}\n",
            ),
            (Format::Yaml, "---\nkind: WebhookResponse\nmetadata:\n  name: a-1\n"),
            (Format::Name, "webhookresponse.oncall.dev/a-1\n"),
        ] {
            assert_eq!(single(object(), format).unwrap(), expected);
        }
    }

    #[test]
    fn texts_of_several_lines_stay_what_they_are_where_they_are_indented() {
        let object = json!({"a": "one\n\n  two\n", "b": ["x: y", "- z", "true", ""], "c": "\n lead\n"});
        let list = format!("items:\n{}\n", indented(&yaml(&object).unwrap(), "- ", "  "));
        let read: Value = serde_saphyr::from_str(&list).unwrap();
        assert_eq!(read, json!({"items": [object]}), "{list}");
    }
}
