//! `lint`: what is wrong with manifests beyond what the API server would say.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use clap::Args;
use secrecy::ExposeSecret;

use super::{
    Format, Sources, Verdict,
    findings::{self, Finding, Severity},
    manifests::{self, Manifests, Place},
    plan::{self, Missing},
    schema,
    yaml::{Data, Entry, Node},
};
use crate::core::{
    template::{Mode, Template, TemplateError},
    webhook::{SecretKey, Url},
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
    for place in &manifests.webhooks {
        templates(place, &manifests.findings, &mut found);
    }
    names(&manifests, &mut found);
    secrets(&manifests, &mut found);
    references(&manifests, &mut found);
    let mut all = manifests.findings;
    all.extend(found);
    all.sort_by_key(|finding| (manifests.files.iter().position(|file| *file == finding.file), finding.line));
    findings::show(&all, options.output)?;
    Ok(Verdict::faulty_if(findings::any_fault(&all)))
}

/// Templates that can't work.
fn templates(place: &Place, known: &[Finding], found: &mut Vec<Finding>) {
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
        if known.iter().any(|finding| finding.file == place.file && finding.line == entry.line && finding.field == path)
        {
            continue;
        }
        if let Err(error) = Template::compile(text, mode) {
            let (line, message) = located(&error, entry, *starts);
            found.push(place.finding(Severity::Fault, line, &path, message));
        }
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

/// Two webhooks of one name.
fn names(manifests: &Manifests, found: &mut Vec<Finding>) {
    let mut seen: HashMap<(&str, bool, &str), (&Place, usize)> = HashMap::new();
    for place in &manifests.webhooks {
        let (path, field): (&[&str], _) =
            if place.rest { (&["name"], "name") } else { (&["metadata", "name"], "metadata.name") };
        let Some(node) = place.node.at(path) else { continue };
        let Some(name) = node.text() else { continue };
        match seen.get(&(place.namespace.as_str(), place.rest, name)) {
            Some((first, line)) => {
                let message =
                    format!("there is one of this name already, in {}:{line}: only the last would stay", first.file);
                found.push(place.finding(Severity::Fault, node.line, field, message));
            }
            None => {
                seen.insert((&place.namespace, place.rest, name), (place, node.line));
            }
        }
    }
}

/// Secrets that are named and not there.
fn secrets(manifests: &Manifests, found: &mut Vec<Finding>) {
    for hook in &manifests.hooks {
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
                Err(Missing { message, may_be_elsewhere }) => {
                    let severity = if may_be_elsewhere { Severity::Hint } else { Severity::Fault };
                    found.push(hook.place.finding(severity, line, &path, message));
                }
            }
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
