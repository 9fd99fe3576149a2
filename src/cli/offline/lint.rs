//! `lint`: finds what is wrong with manifests: the errors for which the API server would refuse them, and what it would take
//! though it can't work.

mod references;

use std::collections::HashSet;

use anyhow::Result;
use clap::Args;

use super::{
    findings::{self, Finding, Severity},
    manifest::{IntegrationManifest, ManifestSource, WebhookManifest},
    manifests::{self, Manifests},
    oncall_json::{self, MASKED},
    options::{Format, Sources, Verdict},
    secrets::MissingSecret,
    yaml::{Data, MappingEntry, Node},
};
use crate::{
    core::{
        hints, judgement, tls,
        webhook::{HttpMethod, SecretKey, UrlSource},
    },
    resources::Integration,
    wording,
};

/// Says what to check.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    sources: Sources,
    /// How faults are shown
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(options: &Options) -> Result<Verdict> {
    let manifests = manifests::load(&options.sources)?;
    let mut found = Vec::new();
    let known = manifests.findings.iter().map(|finding| (&*finding.file, finding.line, &*finding.field)).collect();
    for source in &manifests.webhook_sources {
        templates(source, &known, &mut found);
        unsent(source, &mut found);
    }
    for IntegrationManifest { source, integration } in &manifests.integrations {
        integration_templates(source, &mut found);
        token(&manifests, source, integration, &mut found);
    }
    secrets(&manifests, &mut found);
    references::check(&manifests, &mut found);
    let mut all = manifests.findings;
    all.extend(found);
    all.sort_by_key(|finding| (manifests.files.iter().position(|file| *file == finding.file), finding.line));
    findings::show(&all, options.output)?;
    Ok(Verdict::faulty_if(findings::any_fault(&all)))
}

/// The fields of a Webhook that are templates.
const TEMPLATES: [&str; 4] = ["url", "triggerTemplate", "headers", "data"];

/// Finds templates that can't work, and what in them is probably not meant so. `known` has the file, line and field of what was
/// found before.
fn templates(source: &ManifestSource, known: &HashSet<(&str, usize, &str)>, found: &mut Vec<Finding>) {
    for field in TEMPLATES {
        let Some((path, entry)) = source.webhook_field(field) else { continue };
        let Data::Text { text, starts } = &entry.node.data else { continue };
        // The schema has said already what is wrong with the field: that it is too long, or empty.
        if known.contains(&(&*source.file, entry.line, &*path)) {
            continue;
        }
        // OnCall's API takes away what is around a URL, and takes an empty text for none.
        let text = if source.is_oncall_json && field == "url" { oncall_json::trim(text) } else { text };
        if text.is_empty() {
            continue;
        }
        if let Some(fault) = judgement::judge_field(field, text) {
            let unsent = why_unsent(source).filter(|_| field == "data");
            let unsent = unsent.map(|(why, _)| format!(" (OnCall's API refuses it, though it {why})"));
            let message = wording::fault(&fault) + &unsent.unwrap_or_default();
            let (line, message) = located(fault.line, message, entry, *starts);
            found.push(source.finding(Severity::Fault, line, &path, message));
        }
        for hint in hints::of_template(field, text) {
            let (line, message) = wording::hint(hint);
            let (line, message) = located(line, message, entry, *starts);
            found.push(source.finding(Severity::Hint, line, &path, message));
        }
    }
}

/// The fields of an Integration's `spec.templates`.
const INTEGRATION_TEMPLATES: [&str; 4] = ["groupingId", "title", "resolveCondition", "acknowledgeCondition"];

/// Finds templates of an Integration that can't work.
fn integration_templates(source: &ManifestSource, found: &mut Vec<Finding>) {
    let Some(templates) = source.node.at(&["spec", "templates"]) else { return };
    for field in INTEGRATION_TEMPLATES {
        let Some(entry) = templates.get(field) else { continue };
        let Data::Text { text, starts } = &entry.node.data else { continue };
        // One that fails on empty data may work with that of alerts; OnCall's API does not try these out.
        let fault = judgement::judge_field(field, text).filter(|fault| !fault.kind.is_warning());
        if let Some(fault) = fault.filter(|_| !text.is_empty()) {
            let (line, message) = located(fault.line, fault.message, entry, *starts);
            found.push(source.finding(Severity::Fault, line, &format!("spec.templates.{field}"), message));
        }
    }
}

/// Finds the token of an Integration where it is not there.
fn token(manifests: &Manifests, source: &ManifestSource, integration: &Integration, found: &mut Vec<Finding>) {
    let Some(reference) = &integration.spec.token_secret_ref else { return };
    if let Err(MissingSecret { message, may_be_elsewhere }) =
        manifests.secrets.get(&source.namespace, &SecretKey::from(reference))
    {
        let line = source.node.at(&["spec", "tokenSecretRef"]).map_or(source.node.line, |reference| reference.line);
        let severity = if may_be_elsewhere { Severity::Hint } else { Severity::Fault };
        found.push(source.finding(severity, line, "spec.tokenSecretRef", message));
    }
}

/// Finds a body that is never sent. OnCall's API stores such webhooks too.
fn unsent(source: &ManifestSource, found: &mut Vec<Finding>) {
    if source.is_oncall_json {
        return;
    }
    let Some((path, entry)) = source.webhook_field("data") else { return };
    if let Some((why, remedy)) = why_unsent(source).filter(|_| entry.node.text().is_some_and(|text| !text.is_empty())) {
        found.push(source.finding(Severity::Hint, entry.line, &path, format!("{why}: {remedy}")));
    }
}

/// Why a webhook never sends its body, and what to do about it; None if it may.
fn why_unsent(source: &ManifestSource) -> Option<(String, &'static str)> {
    let field = |name| source.webhook_field(name).map(|(_, entry)| &entry.node);
    let named = field("httpMethod").and_then(|node| serde_json::from_value(node.text()?.into()).ok());
    let method: HttpMethod = named.unwrap_or_default();
    let forwards = field("forwardAll").map_or(source.is_oncall_json, |node| matches!(node.data, Data::Bool(true)));
    wording::unsent(method, forwards)
}

/// The line and the message of what is wrong in a line of a text. The line is that one where the text's lines are the file's;
/// else it is the field's, and the message has the line of the text.
fn located(of_text: Option<usize>, message: String, entry: &MappingEntry, starts: Option<usize>) -> (usize, String) {
    match (of_text, starts) {
        (Some(line), Some(starts)) => ((starts + line).saturating_sub(1), message),
        (Some(line), None) if line > 1 => (entry.line, format!("{message} (line {line} of the template)")),
        _ => (entry.line, message),
    }
}

/// Finds Secrets that webhooks name and that are not there, or that hold nothing usable.
fn secrets(manifests: &Manifests, found: &mut Vec<Finding>) {
    for manifest in &manifests.webhooks {
        let missing = missing_secrets(manifests, manifest, found);
        let secret = |key: &SecretKey| manifests.secret_of(manifest, key).map_err(|missing| missing.message);
        if let Err(fault) = tls::load_identity(&manifest.webhook.tls, &secret)
            && !missing.contains(fault.field)
        {
            let names = |(field, key): &(&str, &SecretKey)| {
                *field == fault.field && fault.message.starts_with(&format!("Key '{}'", key.key))
            };
            let key = manifest.webhook.secrets().find(names).map(|(_, key)| key);
            let (path, line) = key.map_or_else(
                || (format!("spec.{}", fault.field), manifest.source.node.line),
                |key| line_of(&manifest.source, fault.field, key),
            );
            found.push(manifest.source.finding(Severity::Fault, line, &path, fault.message));
        }
    }
}

/// Finds the Secrets of one webhook that are not there, and a secret URL whose template can't work. Returns the fields whose
/// Secrets are missing.
fn missing_secrets<'a>(
    manifests: &Manifests,
    manifest: &'a WebhookManifest,
    found: &mut Vec<Finding>,
) -> HashSet<&'a str> {
    let mut missing = HashSet::new();
    for (field, key) in manifest.webhook.secrets() {
        let is_url = matches!(&manifest.webhook.url, UrlSource::Secret(url) if url == key);
        let (path, line) = line_of(&manifest.source, field, key);
        match manifests.secret_of(manifest, key) {
            Ok(text) if is_url => {
                if let Some(fault) = judgement::judge_secret_url(&text, key) {
                    let at = fault.line.map_or_else(String::new, |line| format!(" (line {line} of the template)"));
                    let message = format!("{}{at}", wording::fault(&fault));
                    found.push(manifest.source.finding(Severity::Fault, line, &path, message));
                }
            }
            Ok(_) => {}
            Err(_) if manifest.source.is_oncall_json => {
                found.push(manifest.source.finding(Severity::Hint, line, &path, format!("is {MASKED}")));
            }
            Err(MissingSecret { message, may_be_elsewhere }) => {
                missing.insert(field);
                let severity = if may_be_elsewhere { Severity::Hint } else { Severity::Fault };
                let finding = manifest.source.finding(severity, line, &path, message);
                // A Secret that is named as a whole has two keys, and is missing once.
                if found.last() != Some(&finding) {
                    found.push(finding);
                }
            }
        }
    }
    missing
}

/// The path and the line where a webhook names a key.
fn line_of(source: &ManifestSource, field: &str, key: &SecretKey) -> (String, usize) {
    if source.is_oncall_json {
        return (key.key.clone(), source.node.get(&key.key).map_or(source.node.line, |entry| entry.line));
    }
    let names = |node: &Node| node.text_at(&["name"]) == Some(&key.name) && node.text_at(&["key"]) == Some(&key.key);
    let spec = source.node.at(&["spec"]);
    if let Some((parent, field)) = field.split_once('.') {
        let reference = spec.and_then(|spec| spec.at(&[parent, field]));
        return (format!("spec.{parent}.{field}"), reference.map_or(source.node.line, |reference| reference.line));
    }
    let found = match spec.and_then(|spec| Some(&spec.at(&[field])?.data)) {
        Some(Data::List(items)) => items.iter().enumerate().find_map(|(index, item)| {
            let reference = item.at(&["secretKeyRef"]).filter(|reference| names(reference))?;
            Some((format!("spec.{field}[{index}].secretKeyRef"), reference.line))
        }),
        _ => spec
            .and_then(|spec| spec.at(&[field, "secretKeyRef"]))
            .map(|reference| (format!("spec.{field}.secretKeyRef"), reference.line)),
    };
    found.unwrap_or_else(|| (format!("spec.{field}"), source.node.line))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        core::{event::WebhookContext, json::Object},
        resources::AlertGroupEventSpec,
    };

    #[test]
    fn the_names_that_hints_know_are_those_that_templates_see() {
        let texts = |names: &[&str]| -> Value { names.iter().map(|name| ((*name).to_owned(), json!("x"))).collect() };
        let spec: AlertGroupEventSpec = serde_json::from_value(json!({
            "type": "personal notification", "time": "t", "until": "u", "user": {"id": "U1"}, "webhookRefs": ["one"],
            "alertGroup": {
                "id": "I1", "integrationId": "x", "teamId": "x", "routeId": "x", "alertsCount": 1, "state": "x", "createdAt": "x",
                "resolvedAt": "x", "resolvedBy": "x", "acknowledgedAt": "x", "acknowledgedBy": "x", "labels": {}, "title": "x",
                "permalinks": texts(&["slack", "slackApp", "telegram", "web"]), "silencedAt": "x", "lastAlert": {},
            },
            "integration": {"id": "C1", "type": "x", "name": "x", "team": "x", "labels": {}},
        }))
        .unwrap();
        let webhook = json!({"id": "WH1", "name": "one", "labels": {}});
        let responses = Object::from_iter([("WH2".into(), json!({}).into())]);
        let own = WebhookContext::new(webhook.into(), responses);
        let data: Value = serde_json::from_str(&spec.data().unwrap().dumps(&own)).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&data), hints::NAMES);
        for (path, fields) in hints::FIELDS {
            let value = path.iter().fold(&data, |value, key| &value[*key]);
            assert_eq!(keys(value), fields, "{path:?}");
        }
    }
}
