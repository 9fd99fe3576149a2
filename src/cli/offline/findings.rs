//! Errors and hints about manifests, and how they are shown.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::options::Format;
use crate::cli::output::{complain, print};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It can't work.
    Fault,
    /// It may be meant so.
    Hint,
}

/// Something that a person should know of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    #[serde(serialize_with = "as_text")]
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    /// Kind, namespace and name, as far as they are known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) object: String,
    /// The path of the field, such as `spec.url`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) field: String,
    pub(super) message: String,
}

/// An error in one field of an object, before it is known which object and file that is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldError {
    pub(super) line: usize,
    /// The path of the field, such as `spec.url`; empty for the whole object.
    pub(super) field: String,
    pub(super) message: String,
}

fn as_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if self.severity == Severity::Hint {
            f.write_str("hint: ")?;
        }
        for part in [&self.object, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// Whether any of them is an error.
pub(super) fn any_fault(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Fault)
}

/// Prints findings to standard output: they are the subcommand's answer.
pub(super) fn show(findings: &[Finding], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Text => print(&findings.iter().map(|finding| format!("{finding}\n")).collect::<String>()),
        Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(findings)?)),
    }
}

/// Prints findings to standard error, beside the subcommand's answer.
pub(super) fn mention(findings: &[Finding]) {
    for finding in findings {
        complain(&finding.to_string());
    }
}
