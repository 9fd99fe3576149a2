//! `render`: the requests that would be sent.

use std::{collections::HashSet, path::PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{
    decision::{self, Decision, OnMissingSecret},
    events::InputEvent,
    findings, inputs,
    manifest::WebhookManifest,
    manifests::Manifests,
    options::{Format, Sources, Verdict},
    responses::ResponseHistory,
};
use crate::{
    cli::output::{complain, print},
    core::{
        request::{Header, PreparedRequest},
        response::{MASK, ResponseRecord},
        webhook::TlsSettings,
    },
};

/// Says what to render.
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

/// One webhook and what it would do for one event, as shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RenderedWebhook<'a> {
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
    request: Option<RenderedRequest>,
}

#[derive(Serialize)]
struct RenderedRequest {
    method: &'static str,
    url: String,
    headers: Vec<RenderedHeader>,
    body: Option<String>,
}

#[derive(Serialize)]
struct RenderedHeader {
    name: String,
    value: String,
}

pub(super) fn run(options: &Options) -> Result<Verdict> {
    let (mut manifests, events) = inputs::read(&options.sources, options.data.as_deref())?;
    ignore_absent_tls(&mut manifests);
    let history = ResponseHistory::new(manifests.responses.clone());
    let (mut rendered, mut mentioned) = (Vec::new(), HashSet::new());
    for event in &events {
        for webhook in decision::webhooks_of(&manifests, event) {
            let decision = decision::decide(&manifests, webhook, event, &history, OnMissingSecret::Mask);
            match &decision {
                Decision::Sends { .. } => mention_placeholders(&manifests, webhook, &mut mentioned),
                Decision::Fails { message, .. } if message.contains("'responses' is undefined") => {
                    mention(webhook, WITHOUT_RESPONSES, &mut mentioned);
                }
                _ => {}
            }
            rendered.push((render(webhook, event, decision), &event.title));
        }
    }
    match options.output {
        Format::Json => {
            let rendered: Vec<&RenderedWebhook> = rendered.iter().map(|(rendered, _)| rendered).collect();
            print(&format!("{}\n", serde_json::to_string_pretty(&rendered)?))?;
        }
        Format::Text => {
            let blocks: Vec<String> = rendered.iter().map(|(rendered, title)| rendered.text(title)).collect();
            print(&blocks.join("\n"))?;
        }
    }
    Ok(Verdict::faulty_if(
        findings::any_fault(&manifests.findings) || rendered.iter().any(|(rendered, _)| rendered.error.is_some()),
    ))
}

/// Takes `tls` away from webhooks that name a Secret which may be in the cluster but is not among the files: a request shows
/// nothing of it, and nothing can take the place of a certificate.
fn ignore_absent_tls(manifests: &mut Manifests) {
    let is_absent = |webhook: &WebhookManifest| {
        let of_tls = webhook.webhook.secrets().filter(|(field, _)| field.starts_with("tls."));
        let mut missing = of_tls.filter_map(|(_, key)| manifests.secret_of(webhook, key).err());
        missing.any(|missing| missing.may_be_elsewhere)
    };
    let absent: Vec<bool> = manifests.webhooks.iter().map(is_absent).collect();
    for (webhook, _) in manifests.webhooks.iter_mut().zip(absent).filter(|(_, absent)| *absent) {
        webhook.webhook.tls = TlsSettings::default();
    }
}

/// Mentions each Secret that is missing and shown masked, once.
fn mention_placeholders(manifests: &Manifests, webhook: &WebhookManifest, mentioned: &mut HashSet<String>) {
    for (_, key) in webhook.webhook.secrets() {
        if let Err(missing) = manifests.secret_of(webhook, key) {
            mention(webhook, &format!("{}; shown masked", missing.message), mentioned);
        }
    }
}

/// Prints a hint to standard error, unless it was printed before.
fn mention(webhook: &WebhookManifest, hint: &str, mentioned: &mut HashSet<String>) {
    let line = format!("{}: hint: {}: {hint}", webhook.source.file, webhook.source.object);
    if mentioned.insert(line.clone()) {
        complain(&line);
    }
}

fn render<'a>(manifest: &'a WebhookManifest, event: &'a InputEvent, decision: Decision) -> RenderedWebhook<'a> {
    let mut rendered = RenderedWebhook {
        namespace: &manifest.source.namespace,
        webhook: &manifest.webhook.name,
        webhook_id: &manifest.webhook.id,
        event: event.name.as_deref(),
        fires: true,
        reason: None,
        error: None,
        request: None,
    };
    match decision {
        Decision::DoesNotFire(reason) => (rendered.fires, rendered.reason) = (false, Some(reason)),
        Decision::Fails { message, .. } => rendered.error = Some(message),
        Decision::Sends { request, record, masked } => {
            rendered.request = Some(render_request(&request, record, masked));
        }
    }
    rendered
}

/// The request with its secrets masked, and its body too where it is not to be shown.
fn render_request(request: &PreparedRequest, record: ResponseRecord, masked: bool) -> RenderedRequest {
    let first = &request.first;
    let header = |header: &Header| RenderedHeader {
        name: header.name.clone(),
        value: if header.secret { MASK.to_owned() } else { header.value.iter().copied().map(char::from).collect() },
    };
    let body = first.body.as_deref().map(|body| if masked { MASK } else { body }.to_owned());
    RenderedRequest {
        method: first.method.as_str(),
        url: record.url.unwrap_or_default(),
        headers: first.headers.iter().map(header).collect(),
        body,
    }
}

impl RenderedWebhook<'_> {
    /// The request as text, under a title that names the webhook and the event.
    fn text(&self, event: &str) -> String {
        let title = format!("# Webhook {}/{} for {event}", self.namespace, self.webhook);
        if let Some(reason) = &self.reason {
            return format!("{title}: does not fire: {reason}\n");
        }
        let Some(request) = &self.request else {
            return format!("{title}: not sent: {}\n", self.error.as_deref().unwrap_or_default());
        };
        let headers: String =
            request.headers.iter().map(|RenderedHeader { name, value }| format!("{name}: {value}\n")).collect();
        let body = request.body.as_ref().map_or_else(String::new, |body| format!("\n{body}\n"));
        format!("{title}\n{} {}\n{headers}{body}", request.method, request.url)
    }
}
