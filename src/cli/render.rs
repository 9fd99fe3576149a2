//! `render`: the requests that would be sent.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::{
    Format, Sources, Verdict, complain, files, findings,
    manifests::{self, Happening, Hook, Manifests},
    plan::{self, Deed, History, Lacking, Occasion},
    print,
};
use crate::core::{
    request::{Header, Request},
    response::{MASK, Record},
};

/// What to render.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    sources: Sources,
    /// Data as templates see it, JSON or YAML, in place of events: every webhook fires, unless it is disabled, its
    /// integration filter leaves it out or its trigger template says no
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// How requests are shown
    #[arg(short, long, default_value = "text")]
    output: Format,
}

const WITHOUT_RESPONSES: &str = "nothing was answered for the alert group yet: add a WebhookResponse of it to the files, \
                                 or give data with responses by --data FILE";

/// One webhook and one occasion.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    namespace: &'a str,
    webhook: &'a str,
    webhook_id: &'a str,
    /// Null with `--data`.
    event: Option<&'a str>,
    fires: bool,
    /// Why it does not fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why nothing would be sent though it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Message>,
}

#[derive(Serialize)]
struct Message {
    method: &'static str,
    url: String,
    headers: Vec<Field>,
    body: Option<String>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    value: String,
}

pub(super) fn run(options: &Options) -> Result<Verdict> {
    let (mut manifests, occasions) = prepare(&options.sources, options.data.as_deref())?;
    plan::without_absent_tls(&mut manifests);
    let history = History::new(manifests.responses.clone());
    let (mut shown, mut mentioned) = (Vec::new(), HashSet::new());
    for occasion in &occasions {
        for hook in plan::concerned(&manifests, occasion) {
            let deed = plan::deed(&manifests, hook, occasion, &history, Lacking::Masked);
            match &deed {
                Deed::Send { .. } => mention_stand_ins(&manifests, hook, &mut mentioned),
                Deed::Refused { message, .. } if message.contains("'responses' is undefined") => {
                    mention(hook, WITHOUT_RESPONSES, &mut mentioned);
                }
                _ => {}
            }
            shown.push((show(hook, occasion, deed), &occasion.title));
        }
    }
    match options.output {
        Format::Json => {
            let shown: Vec<&Shown> = shown.iter().map(|(shown, _)| shown).collect();
            print(&format!("{}\n", serde_json::to_string_pretty(&shown)?))?;
        }
        Format::Text => {
            let blocks: Vec<String> = shown.iter().map(|(shown, title)| shown.text(title)).collect();
            print(&blocks.join("\n"))?;
        }
    }
    Ok(Verdict::faulty_if(
        findings::any_fault(&manifests.findings) || shown.iter().any(|(shown, _)| shown.error.is_some()),
    ))
}

/// Reads manifests and occasions, and says what is wrong with them.
pub(super) fn prepare(sources: &Sources, data: Option<&Path>) -> Result<(Manifests, Vec<Occasion>)> {
    if data.is_some_and(files::is_stdin) && sources.file.iter().any(|path| files::is_stdin(path)) {
        bail!("standard input (-) can be read only once");
    }
    let mut manifests = manifests::load(sources)?;
    if manifests.webhooks.is_empty() && manifests.findings.is_empty() {
        bail!("there is no Webhook among the files");
    }
    let occasions = plan::occasions(&mut manifests, data)?;
    findings::mention(&manifests.findings);
    for Happening { place, .. } in &manifests.events {
        if data.is_none() && !manifests.webhooks.iter().any(|webhook| webhook.namespace == place.namespace) {
            let message = "no Webhook of its namespace is among the files";
            complain(&format!("{}: hint: {}: {message}", place.file, place.object));
        }
    }
    Ok((manifests, occasions))
}

/// Says what is not there, once.
fn mention_stand_ins(manifests: &Manifests, hook: &Hook, mentioned: &mut HashSet<String>) {
    for (_, key) in hook.webhook.secrets() {
        if let Err(missing) = plan::secret(manifests, hook, key) {
            mention(hook, &format!("{}; shown masked", missing.message), mentioned);
        }
    }
}

fn mention(hook: &Hook, hint: &str, mentioned: &mut HashSet<String>) {
    let line = format!("{}: hint: {}: {hint}", hook.place.file, hook.place.object);
    if mentioned.insert(line.clone()) {
        complain(&line);
    }
}

fn show<'a>(hook: &'a Hook, occasion: &'a Occasion, deed: Deed) -> Shown<'a> {
    let mut shown = Shown {
        namespace: &hook.place.namespace,
        webhook: &hook.webhook.name,
        webhook_id: &hook.webhook.id,
        event: occasion.event.as_deref(),
        fires: true,
        reason: None,
        error: None,
        request: None,
    };
    match deed {
        Deed::Nothing(reason) => (shown.fires, shown.reason) = (false, Some(reason)),
        Deed::Refused { message, .. } => shown.error = Some(message),
        Deed::Send { request, record, masked } => shown.request = Some(message(&request, record, masked)),
    }
    shown
}

fn message(request: &Request, record: Record, masked: bool) -> Message {
    let first = &request.first;
    let header = |header: &Header| Field {
        name: header.name.clone(),
        value: if header.secret { MASK.to_owned() } else { header.value.iter().copied().map(char::from).collect() },
    };
    let body = first.body.as_deref().map(|body| if masked { MASK } else { body }.to_owned());
    Message {
        method: first.method.as_str(),
        url: record.url.unwrap_or_default(),
        headers: first.headers.iter().map(header).collect(),
        body,
    }
}

impl Shown<'_> {
    fn text(&self, occasion: &str) -> String {
        let title = format!("# Webhook {}/{} for {occasion}", self.namespace, self.webhook);
        if let Some(reason) = &self.reason {
            return format!("{title}: does not fire: {reason}\n");
        }
        let Some(request) = &self.request else {
            return format!("{title}: not sent: {}\n", self.error.as_deref().unwrap_or_default());
        };
        let headers: String =
            request.headers.iter().map(|Field { name, value }| format!("{name}: {value}\n")).collect();
        let body = request.body.as_ref().map_or_else(String::new, |body| format!("\n{body}\n"));
        format!("{title}\n{} {}\n{headers}{body}", request.method, request.url)
    }
}
