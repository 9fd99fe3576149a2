//! `send`: sends the requests, once, and prints the WebhookResponses.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use futures::future::join_all;
use jiff::Timestamp;

use super::{
    decision::{self, Decision, OnMissingSecret},
    events::InputEvent,
    findings, inputs,
    manifest::WebhookManifest,
    options::{Sources, Verdict},
    responses::ResponseHistory,
};
use crate::{
    cli::output::{complain, print, report},
    config::request_timeout,
    core::id,
    delivery::{ProxySettings, Requester, Sender},
    resources::{EventRef, ResponsePhase, WebhookResponse, WebhookResponseStatus},
};

/// Says what to send.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    sources: Sources,
    /// Data as templates see it, JSON or YAML, in place of events: every webhook fires, unless it is disabled, its
    /// integration filter leaves it out or its trigger template says no
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Bound on one request of a webhook that states no timeout, answer included; up to 1m
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = request_timeout)]
    default_timeout: Duration,
    /// How the WebhookResponses are printed; JSON is one array
    #[arg(short, long, default_value = "yaml")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Yaml,
    Json,
}

pub(super) fn run(options: &Options) -> Result<Verdict> {
    let (manifests, events) = inputs::read(&options.sources, options.data.as_deref())?;
    if findings::any_fault(&manifests.findings) {
        report(&anyhow!("nothing was sent: mend these first"));
        return Ok(Verdict::Faulty);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    // Proxies come from the environment, as for curl.
    let proxies = ProxySettings::default().or_environment();
    let sender = Sender::unbound(&proxies).context("set up the HTTP client")?;
    let mut history = ResponseHistory::new(manifests.responses.clone());
    let mut responses = Vec::new();
    // They go in their order, as in a cluster: a later event sees what an earlier one was answered.
    for (index, event) in events.iter().enumerate() {
        let deliveries = decision::webhooks_of(&manifests, event).into_iter().map(|webhook| {
            let decision = decision::decide(&manifests, webhook, event, &history, OnMissingSecret::Fail);
            deliver(&sender, options, webhook, event, index, decision)
        });
        for response in runtime.block_on(join_all(deliveries)).into_iter().flatten() {
            history.add(&response);
            if options.output == Output::Yaml {
                print(&format!("---\n{}", serde_saphyr::to_string(&response).context("print a WebhookResponse")?))?;
            }
            responses.push(response);
        }
    }
    if options.output == Output::Json {
        print(&format!("{}\n", serde_json::to_string_pretty(&responses)?))?;
    }
    let succeeded = |response: &WebhookResponse| {
        response.status.as_ref().is_some_and(|status| status.phase == ResponsePhase::Succeeded)
    };
    Ok(Verdict::faulty_if(!responses.iter().all(succeeded)))
}

/// Does what was decided for the event with this index; None if the webhook does not fire.
async fn deliver(
    sender: &Sender,
    options: &Options,
    manifest: &WebhookManifest,
    event: &InputEvent,
    index: usize,
    decision: Decision,
) -> Option<WebhookResponse> {
    let (webhook, namespace) = (&manifest.webhook, &manifest.source.namespace);
    let uid = event.uid.clone().unwrap_or_default();
    // Another id each time: a receiver that drops what it has seen is to take what is sent on purpose.
    let moment = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let name = id::response_name(&format!("{uid} {moment} {} {index}", std::process::id()), &webhook.name);
    let status = match decision {
        Decision::DoesNotFire(reason) => {
            complain(&format!("Webhook {namespace}/{} does not fire for {}: {reason}", webhook.name, event.title));
            return None;
        }
        Decision::Fails { record, .. } => WebhookResponseStatus::ended(record, false, Timestamp::now(), Vec::new()),
        Decision::Sends { request, record, .. } => {
            let (time, started) = (Timestamp::now(), Instant::now());
            let requester = Requester { namespace, webhook: &webhook.name };
            let timeout = webhook.timeout.unwrap_or(options.default_timeout);
            let outcome = sender.send(requester, &request, &name, timeout).await;
            WebhookResponseStatus::attempted(record, &outcome, &request.secrets, time, started.elapsed())
        }
    };
    let event_ref = EventRef { name: event.name.clone().unwrap_or_default(), uid };
    let mut response = WebhookResponse::bare(&name, namespace, event_ref, &event.alert_group_id, webhook);
    response.status = Some(status);
    Some(response)
}
