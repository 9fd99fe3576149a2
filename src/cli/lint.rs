//! `lint`: what is wrong with manifests beyond what the API server would say.

use std::collections::HashSet;

use anyhow::Result;
use clap::Args;
use secrecy::ExposeSecret;

use super::{
    Format, Sources, Verdict,
    findings::{self, Finding, Severity},
    manifests::{self, Hook, Manifests, Place},
    plan::{self, MASKED, Missing},
    rest, schema,
    yaml::{Data, Entry, Node},
};
use crate::core::{
    event::{EventData, Own},
    request::{self, Prepared},
    template::{Mode, Template, TemplateError},
    tls,
    webhook::{Field, HttpMethod, SecretKey, TriggerType, Url, Webhook},
};

/// What to check.
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
    for place in &manifests.webhooks {
        templates(place, &known, &mut found);
        unsent(place, &mut found);
    }
    for hook in &manifests.hooks {
        constants(hook, &mut found);
    }
    secrets(&manifests, &mut found);
    references(&manifests, &mut found);
    let mut all = manifests.findings;
    all.extend(found);
    all.sort_by_key(|finding| (manifests.files.iter().position(|file| *file == finding.file), finding.line));
    findings::show(&all, options.output)?;
    Ok(Verdict::faulty_if(findings::any_fault(&all)))
}

/// Templates that can't work.
fn templates(place: &Place, known: &HashSet<(&str, usize, &str)>, found: &mut Vec<Finding>) {
    let fields = if place.rest {
        ["url", "trigger_template", "headers", "data"]
    } else {
        ["url", "triggerTemplate", "headers", "data"]
    };
    let parent = if place.rest { Some(&*place.node) } else { place.node.at(&["spec"]) };
    for (field, mode) in fields.into_iter().zip([Mode::Raw, Mode::Raw, Mode::Json, Mode::Json]) {
        let Some(entry) = parent.and_then(|parent| parent.get(field)) else { continue };
        let Data::Text { text, starts } = &entry.node.data else { continue };
        let path = if place.rest { field.to_owned() } else { format!("spec.{field}") };
        // Too long is what the schema says too.
        if known.contains(&(&*place.file, entry.line, &*path)) {
            continue;
        }
        if let Err(error) = Template::compile(text, mode) {
            let (line, message) = located(&error, entry, *starts);
            found.push(place.finding(Severity::Fault, line, &path, message));
        }
    }
}

/// A body that is never sent, because the whole data is. OnCall's API stores such webhooks.
fn unsent(place: &Place, found: &mut Vec<Finding>) {
    let Some(spec) = place.node.at(&["spec"]).filter(|_| !place.rest) else { return };
    let forwards = spec.at(&["forwardAll"]).is_some_and(|node| matches!(node.data, Data::Bool(true)));
    if let Some(entry) =
        spec.get("data").filter(|entry| forwards && entry.node.text().is_some_and(|text| !text.is_empty()))
    {
        let message = "is not sent where forwardAll is true: remove it, or set forwardAll to false".to_owned();
        found.push(place.finding(Severity::Hint, entry.line, "spec.data", message));
    }
}

/// The line of the file, where the text's lines are the file's; else the line of the field and that of the text.
fn located(error: &TemplateError, entry: &Entry, starts: Option<usize>) -> (usize, String) {
    match (error.line, starts) {
        (Some(line), Some(starts)) => ((starts + line).saturating_sub(1), error.to_string()),
        (Some(line), None) if line > 1 => (entry.line, format!("{error} (line {line} of the template)")),
        _ => (entry.line, error.to_string()),
    }
}

/// URLs and headers that are no templates, and that no request can be made of.
fn constants(hook: &Hook, found: &mut Vec<Finding>) {
    let node = &hook.place.node;
    let parent = if hook.place.rest { Some(&**node) } else { node.at(&["spec"]) };
    for field in ["url", "headers"] {
        let Some(entry) = parent.and_then(|parent| parent.get(field)) else { continue };
        let Some(text) = entry.node.text().filter(|text| !["{{", "{%", "{#"].iter().any(|open| text.contains(open)))
        else {
            continue;
        };
        // Empty headers are none.
        if field == "headers" && text.is_empty() {
            continue;
        }
        let (url, headers) = match field {
            "url" if hook.place.rest => (rest::trim(text), None),
            "url" => (text, None),
            _ => ("http://receiver.invalid/", Some(Field::new(text, Mode::Json))),
        };
        if let Some(message) = refusal(url, headers) {
            let path = if hook.place.rest { field.to_owned() } else { format!("spec.{field}") };
            found.push(hook.place.finding(Severity::Fault, entry.line, &path, message));
        }
    }
}

/// Why the request of a webhook with only these would not be sent.
fn refusal(url: &str, headers: Option<Field>) -> Option<String> {
    let url = Url::Template(Field::new(url, Mode::Raw));
    let webhook = Webhook { method: HttpMethod::Get, headers, ..Webhook::bare(TriggerType::Escalation, url) };
    let no_secrets = |_: &SecretKey| Err(String::new());
    match request::prepare(&webhook, &EventData::new(Vec::new()), &Own::default(), false, &no_secrets) {
        Prepared::Refused(record) => {
            let message = plan::failure(&record);
            // The field is named beside it.
            let short = ["URL - ", "Headers - "].iter().find_map(|prefix| message.strip_prefix(prefix));
            Some(short.map_or_else(|| message.clone(), str::to_owned))
        }
        Prepared::Send(..) | Prepared::Skip(_) => None,
    }
}

/// Secrets that are named and not there.
fn secrets(manifests: &Manifests, found: &mut Vec<Finding>) {
    for hook in &manifests.hooks {
        let mut missing = HashSet::new();
        for (field, key) in hook.webhook.secrets() {
            let is_url = matches!(&hook.webhook.url, Url::Secret(url) if url == key);
            let (path, line) = line_of(&hook.place, field, key);
            match plan::secret(manifests, hook, key) {
                Ok(text) if is_url => {
                    // The text is a secret: a message about it may quote it.
                    if let Err(error) = Template::compile(text.expose_secret(), Mode::Raw) {
                        let at = error.line.map_or_else(String::new, |line| format!(" in its line {line}"));
                        let message =
                            format!("the template in key '{}' of Secret '{}' can't work{at}", key.key, key.name);
                        found.push(hook.place.finding(Severity::Fault, line, &path, message));
                    }
                }
                Ok(_) => {}
                Err(_) if hook.place.rest => {
                    found.push(hook.place.finding(Severity::Hint, line, &path, format!("is {MASKED}")));
                }
                Err(Missing { message, may_be_elsewhere }) => {
                    missing.insert(field);
                    let severity = if may_be_elsewhere { Severity::Hint } else { Severity::Fault };
                    let finding = hook.place.finding(severity, line, &path, message);
                    // A Secret that is named as a whole is missing once.
                    if found.last() != Some(&finding) {
                        found.push(finding);
                    }
                }
            }
        }
        let secret = |key: &SecretKey| plan::secret(manifests, hook, key).map_err(|missing| missing.message);
        if let Err(fault) = tls::identity(&hook.webhook.tls, &secret)
            && !missing.contains(fault.field)
        {
            let names = |(field, key): &(&str, &SecretKey)| {
                *field == fault.field && fault.message.starts_with(&format!("Key '{}'", key.key))
            };
            let key = hook.webhook.secrets().find(names).map(|(_, key)| key);
            let (path, line) = key.map_or_else(
                || (format!("spec.{}", fault.field), hook.place.node.line),
                |key| line_of(&hook.place, fault.field, key),
            );
            found.push(hook.place.finding(Severity::Fault, line, &path, fault.message));
        }
    }
}

/// The path and the line where a webhook names a key.
fn line_of(place: &Place, field: &str, key: &SecretKey) -> (String, usize) {
    if place.rest {
        return (key.key.clone(), place.node.get(&key.key).map_or(place.node.line, |entry| entry.line));
    }
    let names = |node: &Node| node.text_at(&["name"]) == Some(&key.name) && node.text_at(&["key"]) == Some(&key.key);
    let spec = place.node.at(&["spec"]);
    if let Some((parent, field)) = field.split_once('.') {
        let reference = spec.and_then(|spec| spec.at(&[parent, field]));
        return (format!("spec.{parent}.{field}"), reference.map_or(place.node.line, |reference| reference.line));
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
    found.unwrap_or_else(|| (format!("spec.{field}"), place.node.line))
}

/// Events that name webhooks which are not among the files.
fn references(manifests: &Manifests, found: &mut Vec<Finding>) {
    let known: HashSet<(&str, &str)> = manifests
        .hooks
        .iter()
        .flat_map(|hook| {
            [&hook.webhook.name, &hook.webhook.id].map(|name| (hook.place.namespace.as_str(), name.as_str()))
        })
        .chain(
            manifests
                .webhooks
                .iter()
                .filter_map(|place| Some((place.namespace.as_str(), place.node.text_at(&["metadata", "name"])?))),
        )
        .collect();
    for place in &manifests.happenings {
        let Some(Data::List(items)) = place.node.at(&["spec", "webhookRefs"]).map(|node| &node.data) else { continue };
        for (index, item) in items.iter().enumerate() {
            let Some(name) = item.text().filter(|name| !known.contains(&(place.namespace.as_str(), *name))) else {
                continue;
            };
            let message =
                format!("no Webhook of namespace {} among the files is {}", place.namespace, schema::quoted(name));
            found.push(place.finding(Severity::Hint, item.line, &format!("spec.webhookRefs[{index}]"), message));
        }
    }
}
