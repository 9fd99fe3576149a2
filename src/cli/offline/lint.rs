//! `lint`: finds what is wrong with manifests: the errors for which the API server would refuse them, and what it would take
//! though it can't work.

use std::collections::HashSet;

use anyhow::Result;
use clap::Args;
use secrecy::ExposeSecret;

use super::{
    decision,
    findings::{self, Finding, Severity},
    manifest::{ManifestSource, WebhookManifest},
    manifests::{self, Manifests},
    oncall_json::{self, MASKED},
    options::{Format, Sources, Verdict},
    secrets::MissingSecret,
    wording::quoted,
    yaml::{Data, MappingEntry, Node},
};
use crate::core::{
    event::{EventData, WebhookContext},
    request::{self, Preparation},
    template::{Mode, Template, TemplateError},
    tls,
    webhook::{CompiledTemplate, HttpMethod, SecretKey, TriggerType, UrlSource, Webhook},
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
    for manifest in &manifests.webhooks {
        constants(manifest, &mut found);
    }
    secrets(&manifests, &mut found);
    references(&manifests, &mut found);
    let mut all = manifests.findings;
    all.extend(found);
    all.sort_by_key(|finding| (manifests.files.iter().position(|file| *file == finding.file), finding.line));
    findings::show(&all, options.output)?;
    Ok(Verdict::faulty_if(findings::any_fault(&all)))
}

/// The fields of a Webhook that are templates.
const TEMPLATES: [(&str, Mode); 4] =
    [("url", Mode::Raw), ("triggerTemplate", Mode::Raw), ("headers", Mode::Json), ("data", Mode::Json)];

/// Finds templates that can't work. `known` has the file, line and field of what was found before.
fn templates(source: &ManifestSource, known: &HashSet<(&str, usize, &str)>, found: &mut Vec<Finding>) {
    for (field, mode) in TEMPLATES {
        let Some((path, entry)) = source.webhook_field(field) else { continue };
        let Data::Text { text, starts } = &entry.node.data else { continue };
        // The schema has said already what is wrong with the field: that it is too long.
        if known.contains(&(&*source.file, entry.line, &*path)) {
            continue;
        }
        if let Err(error) = Template::compile(text, mode) {
            let (line, message) = located(&error, entry, *starts);
            found.push(source.finding(Severity::Fault, line, &path, message));
        }
    }
}

/// Finds a body that is never sent, because the whole data is. OnCall's API stores such webhooks too.
fn unsent(source: &ManifestSource, found: &mut Vec<Finding>) {
    let Some(spec) = source.node.at(&["spec"]).filter(|_| !source.is_oncall_json) else { return };
    let forwards = spec.at(&["forwardAll"]).is_some_and(|node| matches!(node.data, Data::Bool(true)));
    if let Some(entry) =
        spec.get("data").filter(|entry| forwards && entry.node.text().is_some_and(|text| !text.is_empty()))
    {
        let message = "is not sent where forwardAll is true: remove it, or set forwardAll to false".to_owned();
        found.push(source.finding(Severity::Hint, entry.line, "spec.data", message));
    }
}

/// The line and the message of an error in a template. The line is that of the error where the text's lines are the file's;
/// else it is the field's, and the message has the line of the text.
fn located(error: &TemplateError, entry: &MappingEntry, starts: Option<usize>) -> (usize, String) {
    match (error.line, starts) {
        (Some(line), Some(starts)) => ((starts + line).saturating_sub(1), error.to_string()),
        (Some(line), None) if line > 1 => (entry.line, format!("{error} (line {line} of the template)")),
        _ => (entry.line, error.to_string()),
    }
}

/// Finds URLs and headers without any template in them that no request can be made of.
fn constants(manifest: &WebhookManifest, found: &mut Vec<Finding>) {
    let source = &manifest.source;
    for field in ["url", "headers"] {
        let Some((path, entry)) = source.webhook_field(field) else { continue };
        let Some(text) = entry.node.text().filter(|text| !["{{", "{%", "{#"].iter().any(|open| text.contains(open)))
        else {
            continue;
        };
        // An empty text stands for no headers.
        if field == "headers" && text.is_empty() {
            continue;
        }
        let (url, headers) = match field {
            "url" if source.is_oncall_json => (oncall_json::trim(text), None),
            "url" => (text, None),
            _ => ("http://receiver.invalid/", Some(CompiledTemplate::new(text, Mode::Json))),
        };
        if let Some(message) = refusal(url, headers) {
            found.push(source.finding(Severity::Fault, entry.line, &path, message));
        }
    }
}

/// Why no request can be made of a webhook with only these fields; None if one can.
fn refusal(url: &str, headers: Option<CompiledTemplate>) -> Option<String> {
    let url = UrlSource::Template(CompiledTemplate::new(url, Mode::Raw));
    let webhook = Webhook { method: HttpMethod::Get, headers, ..Webhook::bare(TriggerType::Escalation, url) };
    let no_secrets = |_: &SecretKey| Err(String::new());
    match request::prepare(&webhook, &EventData::new(Vec::new()), &WebhookContext::default(), false, &no_secrets) {
        Preparation::Failed(record) => {
            let message = decision::failure(&record);
            // A finding names its field beside the message.
            let short = ["URL - ", "Headers - "].iter().find_map(|prefix| message.strip_prefix(prefix));
            Some(short.map_or_else(|| message.clone(), str::to_owned))
        }
        Preparation::Send(..) | Preparation::Skip(_) => None,
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
                // The text is a secret: the template's own message may quote it.
                if let Err(error) = Template::compile(text.expose_secret(), Mode::Raw) {
                    let at = error.line.map_or_else(String::new, |line| format!(" in its line {line}"));
                    let message = format!("the template in key '{}' of Secret '{}' can't work{at}", key.key, key.name);
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

/// Finds events that name webhooks which are not among the files.
fn references(manifests: &Manifests, found: &mut Vec<Finding>) {
    let ready = manifests.webhooks.iter().flat_map(|manifest| {
        [&manifest.webhook.name, &manifest.webhook.id].map(|name| (manifest.source.namespace.as_str(), name.as_str()))
    });
    let with_errors = manifests
        .webhook_sources
        .iter()
        .filter_map(|source| Some((source.namespace.as_str(), source.node.text_at(&["metadata", "name"])?)));
    let known: HashSet<(&str, &str)> = ready.chain(with_errors).collect();
    for source in &manifests.event_sources {
        let Some(Data::List(items)) = source.node.at(&["spec", "webhookRefs"]).map(|node| &node.data) else { continue };
        for (index, item) in items.iter().enumerate() {
            let Some(name) = item.text().filter(|name| !known.contains(&(source.namespace.as_str(), *name))) else {
                continue;
            };
            let message = format!("no Webhook of namespace {} among the files is {}", source.namespace, quoted(name));
            found.push(source.finding(Severity::Hint, item.line, &format!("spec.webhookRefs[{index}]"), message));
        }
    }
}
