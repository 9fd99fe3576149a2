//! A file with data as templates see it in, an object out.

use std::{path::Path, sync::Arc};

use anyhow::Result;

use super::{
    files,
    findings::{Finding, Severity},
    wording::quoted,
    yaml::{self, Data},
};
use crate::core::{
    json::{Json, Object},
    webhook::EventType,
};

/// Reads data from a file of JSON or YAML. An empty file is an empty object. None if a fault was found, which is added to
/// `findings`.
///
/// # Errors
/// The file can't be read.
pub(super) fn read(path: &Path, findings: &mut Vec<Finding>) -> Result<Option<Object>> {
    let file = files::read(path)?;
    let mut fault = |line, field: &str, message: String| {
        let (file, object, field) = (Arc::clone(&file.name), String::new(), field.to_owned());
        findings.push(Finding { severity: Severity::Fault, file, line, object, field, message });
    };
    let mut documents = yaml::documents(&file.bytes, file.name.ends_with(".json"));
    if documents.len() > 1 {
        fault(1, "", "holds several documents: give the data as one".to_owned());
        return Ok(None);
    }
    let document = match documents.pop() {
        Some(Ok(document)) => document,
        Some(Err(error)) => {
            fault(error.line, "", error.message);
            return Ok(None);
        }
        None => return Ok(Some(Object::new())),
    };
    for error in document.repeated {
        fault(error.line, "", error.message);
    }
    match (&document.root.data, document.root.json()) {
        (Data::Map(_), Json::Object(object)) => {
            let known = |type_: &str| serde_json::from_value::<EventType>(type_.into()).is_ok();
            if let Some(type_) = document.root.text_at(&["event", "type"]).filter(|type_| !known(type_)) {
                let line = document.root.at(&["event", "type"]).map_or(1, |node| node.line);
                fault(line, "event.type", format!("{} is no type of event", quoted(type_)));
            }
            Ok(Some(Arc::unwrap_or_clone(object)))
        }
        _ => {
            let message = format!("must be an object, such as {{\"alert_payload\": …}}, not {}", document.root.kind());
            fault(document.root.line, "", message);
            Ok(None)
        }
    }
}
