//! `emit`: flags in; an AlertGroupEvent out, for scripts and CI, and what came of it if somebody waits.
//!
//! ```text
//! emit alert --integration prod …   ─► spec.alert         as an Integration's source would say it
//! emit resolve --alert-group I1 …   ─► spec.alertGroup    of an alert group that another system keeps
//! ```

mod event;
mod outcome;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{
    Args, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::engine::ArgValueCompleter;
use kube::ResourceExt;
use serde_json::Value;

use super::{
    cluster::ClusterOptions,
    complete,
    output::{complain, print},
    session::{Session, duration, name},
};
use crate::{
    core::{intake::AlertAction, webhook::EventType},
    resources::type_in_names,
};

/// What may be emitted: `alert`, and the types of events, with `-` for their spaces.
const KINDS: [&str; 10] = [
    "alert",
    "alert-group-created",
    "acknowledge",
    "resolve",
    "silence",
    "unsilence",
    "unresolve",
    "unacknowledge",
    "escalation",
    "personal-notification",
];

/// What a source may say of an alert, or of itself.
const ACTIONS: [&str; 4] = ["firing", "acknowledge", "resolve", "heartbeat"];

/// Says what happened.
#[derive(Debug, Args)]
pub struct Options {
    /// What happened: `alert` is what the source of an Integration says, all else what happened to an alert group that another
    /// system keeps
    #[arg(value_name = "TYPE", value_parser = PossibleValuesParser::new(KINDS).map(|text| Kind::of(&text)))]
    kind: Kind,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Id of the alert group; for all but `alert`, which needs none
    #[arg(long, value_name = "ID")]
    alert_group: Option<String>,
    /// Title of the alert group; of `alert`: if it opens one
    #[arg(long)]
    title: Option<String>,
    /// File with the alert as JSON; `-` for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    payload: Option<PathBuf>,
    /// Of `alert`: name of the Integration; else the id that webhooks' integrationFilter names
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::integrations))]
    integration: Option<String>,
    /// Of `alert`: what alerts of one alert group have in common [default: it has one of its own]
    #[arg(long, value_name = "TEXT")]
    grouping_id: Option<String>,
    /// Of `alert`: what the source says of it; `heartbeat`: that it is there, and nothing of alerts [default: firing]
    #[arg(long, value_parser = PossibleValuesParser::new(ACTIONS).map(|text| action(&text)))]
    action: Option<AlertAction>,
    /// Name or id of a webhook that runs; for `escalation` and `personal-notification`
    #[arg(long = "webhook", value_name = "REF", add = ArgValueCompleter::new(complete::webhooks))]
    webhooks: Vec<String>,
    /// Wait until its webhooks have run, for up to 60s if no other time is given; the exit status is 1 if one failed
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60s",
        value_parser = duration
    )]
    wait: Option<Duration>,
}

/// What is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alert,
    Event(EventType),
}

impl Kind {
    fn of(word: &str) -> Self {
        let words = Value::from(word.replace('-', " "));
        serde_json::from_value(words).map_or(Self::Alert, Self::Event)
    }

    /// Its word in the command.
    fn word(self) -> String {
        match self {
            Self::Alert => "alert".to_owned(),
            Self::Event(type_) => type_in_names(type_),
        }
    }
}

fn action(word: &str) -> AlertAction {
    match word {
        "acknowledge" => AlertAction::Acknowledge,
        "resolve" => AlertAction::Resolve,
        "heartbeat" => AlertAction::Heartbeat,
        _ => AlertAction::Firing,
    }
}

impl Options {
    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        &mut self.cluster
    }

    /// What is wrong with the flags together.
    fn fault(&self) -> Option<String> {
        let named = matches!(self.kind, Kind::Event(type_) if type_.names_webhooks());
        // The flag, whether it is there, whether it must be, whether it may be.
        let (is_alert, kind) = (self.kind == Kind::Alert, self.kind.word());
        let flags = [
            ("--integration", self.integration.is_some(), is_alert, true),
            ("--alert-group", self.alert_group.is_some(), !is_alert, !is_alert),
            ("--grouping-id", self.grouping_id.is_some(), false, is_alert),
            ("--action", self.action.is_some(), false, is_alert),
            ("--webhook", !self.webhooks.is_empty(), named, named),
        ];
        let fault = |(flag, is_there, must, may): (&str, bool, bool, bool)| match is_there {
            false if must => Some(format!("{kind} needs {flag}")),
            true if !may => Some(format!("{flag} does not go with {kind}")),
            _ => None,
        };
        let integration = || {
            let integration = self.integration.as_deref().filter(|_| is_alert)?;
            name(integration, 253, true).err().map(|error| format!("--integration: {error}"))
        };
        flags.into_iter().find_map(fault).or_else(integration)
    }
}

/// Creates the event with the cluster of the environment. The exit status is 1 if a webhook failed, or did not end in time, 2 if flags
/// don't go together.
///
/// # Errors
/// The payload can't be read, there is no cluster, or it does not take the event.
pub async fn run(options: &Options) -> Result<ExitCode> {
    if let Some(fault) = options.fault() {
        complain(&format!("error: {fault}"));
        return Ok(ExitCode::from(2));
    }
    let payload = options.payload.as_deref().map(event::payload).transpose()?;
    let session = Session::open(&options.cluster).await?;
    // What a source says is said by nobody.
    let user = if options.kind == Kind::Alert { None } else { Some(session.username().await?) };
    let created = session.create(&event::of(options, &session.namespace, payload, user)).await?;
    let name = created.name_any();
    let title = format!("AlertGroupEvent {}/{name}", session.namespace);
    let Some(wait) = options.wait else {
        print(&format!("{title}: created\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let waiting = outcome::wait(&session, &name);
    let Ok(ended) = tokio::time::timeout(wait, waiting).await else {
        complain(&format!("{title}: not completed within {} s", wait.as_secs_f64()));
        return Ok(ExitCode::FAILURE);
    };
    let (line, is_well) = outcome::line(ended.with_context(|| title.clone())?, options.action.unwrap_or_default());
    let line = format!("{title}: {line}");
    if is_well {
        print(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    complain(&line);
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests;
