//! `redeliver`: names, or a selection, of responses in; the annotation on each out, for which the operator sends it again, and a line for
//! each that says so.
//!
//! ```text
//! names ──────────────────────────────────────────────┐
//! --webhook, --since, --failed ─► rows of responses ──┴─► asked, if many ─► annotation, a few at a time ─► lines
//! ```

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::{ListParams, ObjectMeta};
use serde::Deserialize;
use serde_json::json;

use super::{
    cluster::ClusterOptions,
    complete,
    output::{complain, confirm, print, report},
    progress::Progress,
    session::{Session, explain, name},
    table::printable,
    times::since,
    webhooks,
};
use crate::resources::{REDELIVER_ANNOTATION, WEBHOOK_LABEL, WebhookResponse, label_value, recorded_at};

/// With more than so many, a person is asked first.
const UNASKED: usize = 5;
/// How many annotations are written at a time.
const WRITES: usize = 8;

/// Says which deliveries are sent again.
#[derive(Debug, Args)]
#[group(id = "selection", required = true, multiple = true, args = ["names", "webhook", "since", "failed"])]
pub struct Options {
    /// Names of WebhookResponses
    #[arg(
        value_name = "NAMES",
        conflicts_with_all = ["webhook", "since", "failed"],
        value_parser = response_name,
        add = ArgValueCompleter::new(complete::responses)
    )]
    names: Vec<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Those of this Webhook, by name or id
    #[arg(long, value_name = "WEBHOOK", value_parser = webhooks::reference, add = ArgValueCompleter::new(complete::webhooks))]
    webhook: Option<String>,
    /// Those that were last tried so lately, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = since)]
    since: Option<Timestamp>,
    /// Those that failed for good
    #[arg(long)]
    failed: bool,
    /// Only say what would be sent again
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, however many there are
    #[arg(short, long)]
    yes: bool,
}

fn response_name(text: &str) -> Result<String, String> {
    let (kind, of_kind) = text.rsplit_once('/').unwrap_or(("whr", text));
    let kind = kind.strip_suffix(".oncall.dev").unwrap_or(kind);
    if !["whr", "webhookresponse", "webhookresponses"].contains(&kind) {
        return Err("give the name of a WebhookResponse; its namespace is -n's".to_owned());
    }
    name(of_kind, 253, true)
}

impl Options {
    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        &mut self.cluster
    }
}

/// A response that is to be sent again, and what is told of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chosen {
    time: Option<Timestamp>,
    name: String,
    webhook: String,
    about: String,
}

/// Asks the operator to send responses again, with the cluster of the environment. The exit status is 1 if it could not be asked for one
/// of them or the person said no, 2 if there is nobody to ask.
///
/// # Errors
/// There is no cluster or no such webhook, or the API server refuses to list responses.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let session = Session::open(&options.cluster).await?;
    let chosen = if options.names.is_empty() { select(&session, options).await? } else { named(options) };
    if chosen.is_empty() {
        complain(&format!("No WebhookResponses to send again found in namespace {}.", session.namespace));
        return Ok(ExitCode::SUCCESS);
    }
    if options.dry_run {
        return dry_run(&session, &chosen).await;
    }
    if chosen.len() > UNASKED && !options.yes {
        let question = question(&chosen);
        match confirm(&format!("{question}?"))? {
            Some(true) => {}
            Some(false) => {
                complain("Nothing is sent again.");
                return Ok(ExitCode::FAILURE);
            }
            None => {
                complain(&format!("error: {question}: there is no terminal to ask on, so say --yes if you mean it"));
                return Ok(ExitCode::from(2));
            }
        }
    }
    annotate(&session, &chosen).await
}

/// What a person is asked.
fn question(chosen: &[Chosen]) -> String {
    let mut webhooks: Vec<&str> =
        chosen.iter().map(|chosen| &*chosen.webhook).filter(|webhook| !webhook.is_empty()).collect();
    webhooks.sort_unstable();
    webhooks.dedup();
    let of = match &*webhooks {
        [] => String::new(),
        [one] => format!(" of Webhook {}", printable(one)),
        several => format!(" of {} Webhooks", several.len()),
    };
    format!("Send {} deliveries{of} again", chosen.len())
}

fn named(options: &Options) -> Vec<Chosen> {
    let mut names: Vec<&String> = Vec::new();
    for name in &options.names {
        // One that is named twice is sent again once.
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let chosen =
        |name: &&String| Chosen { time: None, name: (*name).clone(), webhook: String::new(), about: String::new() };
    names.iter().map(chosen).collect()
}

/// The responses that the flags select, oldest first: metadata and columns are enough to tell.
async fn select(session: &Session, options: &Options) -> Result<Vec<Chosen>> {
    let mut params = ListParams::default();
    let webhook = match &options.webhook {
        Some(reference) => Some(webhooks::find(session, reference).await?),
        None => None,
    };
    if let Some(webhook) = &webhook {
        params = params.labels(&format!("{WEBHOOK_LABEL}={}", label_value(webhook)));
    }
    if options.failed {
        params = params.fields("status.phase=Failed");
    }
    let progress = Progress::new("responses read");
    let mut found = Vec::new();
    let take = |metadata: ObjectMeta, [of, event, phase]: [String; 3]| {
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        let recorded = recorded_at(&metadata).and_then(|micros| Timestamp::from_microsecond(micros).ok());
        let time = recorded.or(created);
        let is_wanted = webhook.as_ref().is_none_or(|webhook| *webhook == of)
            && options.since.is_none_or(|since| time >= Some(since));
        if let Some(name) = metadata.name.filter(|_| is_wanted) {
            let about = format!(" (Webhook {of}, AlertGroupEvent {event}, {phase})");
            found.push(Chosen { time, name, webhook: of, about });
        }
    };
    let columns = ["Webhook", "Event", "Phase"];
    session.each_row::<WebhookResponse, 3>(Some(&session.namespace), params, columns, &progress, take).await?;
    found.sort();
    Ok(found)
}

/// Of an object, that it is there.
#[derive(Deserialize)]
struct Present {}

async fn dry_run(session: &Session, chosen: &[Chosen]) -> Result<ExitCode> {
    let is_there = async |Chosen { name, about, .. }: &Chosen| {
        // What was listed is there.
        if about.is_empty() {
            let found = session.objects.get_part::<WebhookResponse, Present>(&session.namespace, name).await;
            if found.map_err(|error| explain(&error))?.is_none() {
                bail!("WebhookResponse {}/{name} does not exist", session.namespace);
            }
        }
        Ok(())
    };
    told(session, chosen, "would be sent again", is_there).await
}

/// Sets the annotation on each, to a value that none has had.
async fn annotate(session: &Session, chosen: &[Chosen]) -> Result<ExitCode> {
    let patch = json!({"metadata": {"annotations": {REDELIVER_ANNOTATION: Timestamp::now().to_string()}}});
    let write = async |Chosen { name, .. }: &Chosen| {
        let written = session.objects.patch_at::<WebhookResponse>(&session.namespace, name, None, &patch).await;
        match written {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => {
                bail!("WebhookResponse {}/{name} does not exist", session.namespace)
            }
            Err(error) => Err(explain(&error)),
        }
    };
    told(session, chosen, "to be sent again", write).await
}

/// Does something for each, a few at a time, and prints in their order what was done.
async fn told(
    session: &Session,
    chosen: &[Chosen],
    done: &str,
    act: impl AsyncFn(&Chosen) -> Result<()>,
) -> Result<ExitCode> {
    let act = &act;
    let results = stream::iter(chosen).map(async |chosen| (chosen, act(chosen).await)).buffered(WRITES);
    let mut results = std::pin::pin!(results);
    let (mut status, progress) = (ExitCode::SUCCESS, Progress::new("deliveries asked for"));
    while let Some((Chosen { name, about, .. }, result)) = results.next().await {
        progress.clear();
        match result {
            Ok(()) => print(&format!("WebhookResponse {}/{name}: {done}{about}\n", session.namespace))?,
            Err(error) => {
                report(&error);
                status = ExitCode::FAILURE;
            }
        }
        progress.add(1);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_about_how_many_of_which_webhooks() {
        let chosen = |webhook: &str| Chosen {
            time: None,
            name: "a".to_owned(),
            webhook: webhook.to_owned(),
            about: String::new(),
        };
        for (webhooks, expected) in [
            (vec!["", ""], "Send 2 deliveries again"),
            (vec!["a", "a", "a"], "Send 3 deliveries of Webhook a again"),
            (vec!["a", "b", "a"], "Send 3 deliveries of 2 Webhooks again"),
        ] {
            let chosen: Vec<Chosen> = webhooks.into_iter().map(chosen).collect();
            assert_eq!(question(&chosen), expected);
        }
    }

    #[test]
    fn names_may_have_their_kind_before_them() {
        for text in ["jira-1", "webhookresponse.oncall.dev/jira-1"] {
            assert_eq!(response_name(text).unwrap(), "jira-1");
        }
        assert!(response_name("a_b").is_err());
    }
}
