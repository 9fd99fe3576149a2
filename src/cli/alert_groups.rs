//! `ack`, `unack`, `resolve`, `unresolve`, `silence`, `unsilence`, `wipe`: AlertGroups in; an event for each that asks the operator for the
//! change, and a line for each that says what came of it.
//!
//! ```text
//! names, ids ─► AlertGroup ─► AlertGroupEvent ─► the operator ─┬─► AlertGroup tells of the event: done
//!                                                              └─► status.verdict of the event: done, or why not
//! ```

mod outcome;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use futures::future::join_all;
use jiff::Timestamp;

use self::outcome::Outcome;
use super::{
    cluster::ClusterOptions,
    complete,
    output::{complain, print, report},
    session::{Session, duration, explain},
};
use crate::{
    core::webhook::EventType,
    resources::{AlertGroup, AlertGroupEvent, SilencedUntil, is_name, silence_end},
};

/// A change of AlertGroups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Acknowledge alert groups
    Ack(Options),
    /// Take the acknowledgement of alert groups back
    Unack(Options),
    /// Resolve alert groups
    Resolve(Options),
    /// Take the resolution of alert groups back; further alerts do not join them
    Unresolve(Options),
    /// Silence alert groups for a while, or for ever
    Silence(SilenceOptions),
    /// End the silence of alert groups
    Unsilence(Options),
    /// Take the content of alert groups away for good: titles, alerts, events and responses; what is open is resolved
    Wipe(Options),
}

/// Says which AlertGroups are to be changed.
#[derive(Debug, Args)]
pub struct Options {
    /// Names or ids of AlertGroups
    #[arg(
        required = true,
        value_name = "ALERT_GROUP",
        value_parser = alert_group,
        add = ArgValueCompleter::new(complete::alert_groups)
    )]
    alert_groups: Vec<String>,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// How long to wait for the operator to make the change; 0s: not at all
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    wait: Duration,
}

/// Says which AlertGroups are to be silenced, and for how long.
#[derive(Debug, Args)]
pub struct SilenceOptions {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    length: Length,
}

/// How long a silence lasts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Length {
    /// How long, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = silence)]
    length: Option<Duration>,
    /// Until somebody ends it
    #[arg(long)]
    forever: bool,
}

/// Parses the name or id of an AlertGroup into its name: the operator names it by its id.
fn alert_group(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if is_name(&name, 253, true) { Ok(name) } else { Err("give the name or the id of an AlertGroup".to_owned()) }
}

fn silence(text: &str) -> Result<Duration, String> {
    duration(text)
        .ok()
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "give a duration over 0s, such as 2h".to_owned())
}

impl Command {
    fn parts(&self) -> (&Options, EventType) {
        match self {
            Self::Ack(options) => (options, EventType::Acknowledge),
            Self::Unack(options) => (options, EventType::Unacknowledge),
            Self::Resolve(options) => (options, EventType::Resolve),
            Self::Unresolve(options) => (options, EventType::Unresolve),
            Self::Silence(SilenceOptions { options, .. }) => (options, EventType::Silence),
            Self::Unsilence(options) => (options, EventType::Unsilence),
            Self::Wipe(options) => (options, EventType::Wipe),
        }
    }

    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        match self {
            Self::Ack(options)
            | Self::Unack(options)
            | Self::Resolve(options)
            | Self::Unresolve(options)
            | Self::Silence(SilenceOptions { options, .. })
            | Self::Unsilence(options)
            | Self::Wipe(options) => &mut options.cluster,
        }
    }

    /// Until when it silences; None if it does not silence.
    fn until(&self) -> Result<Option<SilencedUntil>> {
        let Self::Silence(SilenceOptions { length: Length { length, .. }, .. }) = self else { return Ok(None) };
        let until = length.map(|length| {
            silence_end(Timestamp::now(), length).context("--for leads beyond the year 9999: give --forever")
        });
        until.transpose().map(Some)
    }
}

/// A change that was asked for.
struct Asked {
    /// Name of the AlertGroup.
    alert_group: String,
    event: AlertGroupEvent,
}

/// Runs a subcommand with the cluster of the environment. The exit status is 1 if an alert group was not changed.
///
/// # Errors
/// There is no cluster, or it does not say who asks.
pub async fn run(command: &Command) -> Result<ExitCode> {
    let (options, change) = command.parts();
    let until = command.until()?;
    let session = Session::open(&options.cluster).await?;
    let user = session.username().await?;
    let mut asked = Vec::new();
    // One after the other: events that are created in this order are carried out in this order.
    for alert_group in &options.alert_groups {
        asked.push(ask(&session, alert_group, change, &user, until.clone()).await);
    }
    let results = asked.into_iter().map(async |asked| match asked {
        Ok(asked) => outcome::wait(&session, &asked.alert_group, asked.event, change, options.wait).await,
        Err(error) => Err(error),
    });
    let mut all_done = true;
    for result in join_all(results).await {
        match result {
            Ok(Outcome::Changed(line)) => print(&format!("{line}\n"))?,
            Ok(Outcome::Unchanged(line)) => {
                complain(&line);
                all_done = false;
            }
            Err(error) => {
                report(&error);
                all_done = false;
            }
        }
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks for a change of an AlertGroup, which must be there.
async fn ask(
    session: &Session,
    alert_group: &str,
    change: EventType,
    user: &str,
    until: Option<SilencedUntil>,
) -> Result<Asked> {
    let namespace = &session.namespace;
    let found = session.objects.get::<AlertGroup>(namespace, alert_group).await.map_err(|error| explain(&error))?;
    if found.is_none() {
        bail!("AlertGroup {namespace}/{alert_group} does not exist");
    }
    let event = session.create(&AlertGroupEvent::change(namespace, alert_group, change, user, until)).await?;
    Ok(Asked { alert_group: alert_group.to_owned(), event })
}
