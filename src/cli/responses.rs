//! `responses`: a webhook in; what came of its deliveries out, newest last, and with `--follow` what comes of further ones.
//!
//! ```text
//! webhook ─► WebhookResponses, page by page ─► lines (row) ─► in order of time ─► table
//!                                          └─► objects, in the API server's order ─► JSON, YAML, names
//! ```

mod document;
mod follow;
mod row;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use kube::api::ListParams;

use self::{
    document::Document,
    row::{Row, table},
};
use super::{
    cluster::ClusterOptions,
    complete,
    output::{Format, ShowOptions, complain},
    progress::Progress,
    session::Session,
    times::since,
    webhooks,
};
use crate::{
    kubernetes::{lenient::Lenient, watch::Selection},
    resources::{WEBHOOK_LABEL, WebhookResponse, label_value},
};

/// Says which responses are shown.
#[derive(Debug, Args)]
pub struct Options {
    /// Name or id of the Webhook
    #[arg(value_name = "WEBHOOK", value_parser = webhooks::reference, add = ArgValueCompleter::new(complete::webhooks))]
    webhook: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Go on with what comes of further deliveries, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only deliveries that failed for good
    #[arg(long)]
    failed: bool,
    /// Only what was last tried so lately, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = since)]
    since: Option<Timestamp>,
    #[command(flatten)]
    show: ShowOptions,
}

impl Options {
    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        &mut self.cluster
    }

    fn is_wide(&self) -> bool {
        self.show.output == Some(Format::Wide)
    }
}

/// Which responses are asked for: what the API server selects by, and what is left to look at.
struct Wanted {
    webhook: String,
    selection: Selection,
    since: Option<Timestamp>,
}

impl Wanted {
    fn of(options: &Options, webhook: String) -> Self {
        let selection = Selection {
            labels: Some(format!("{WEBHOOK_LABEL}={}", label_value(&webhook))),
            fields: options.failed.then(|| "status.phase=Failed".to_owned()),
        };
        Self { webhook, selection, since: options.since }
    }

    fn params(&self) -> ListParams {
        let Selection { labels, fields } = self.selection.clone();
        ListParams { label_selector: labels, field_selector: fields, ..ListParams::default() }
    }

    /// The line of a response; None if it is not asked for. One that can't be read is named on standard error.
    fn row(&self, response: &Lenient<WebhookResponse>) -> Option<Row> {
        match &response.0 {
            Ok(response) if response.spec.webhook_ref.name == self.webhook => {
                let row = Row::of(response);
                self.since.is_none_or(|since| row.time >= Some(since)).then_some(row)
            }
            // Another webhook's, whose label's value is the same.
            Ok(_) => None,
            Err(unreadable) => {
                let name = unreadable.metadata.name.as_deref().unwrap_or_default();
                complain(&format!("WebhookResponse {name} can't be read: {}", unreadable.error));
                None
            }
        }
    }
}

/// Prints the responses of a webhook, with the cluster of the environment.
///
/// # Errors
/// There is no cluster or no such webhook, or the API server refuses to list or watch its responses.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let session = Session::open(&options.cluster).await?;
    let webhook = webhooks::find(&session, &options.webhook).await?;
    let wanted = Wanted::of(options, webhook);
    match options.show.output {
        _ if options.follow => follow::run(&session, options, &wanted).await?,
        Some(format @ (Format::Json | Format::Yaml | Format::Name)) => objects(&session, &wanted, format).await?,
        Some(Format::Wide) | None => lines(&session, options, &wanted).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a table.
async fn lines(session: &Session, options: &Options, wanted: &Wanted) -> Result<()> {
    let progress = Progress::new("responses read");
    let mut rows = Vec::new();
    let take = |text: &str| {
        rows.extend(wanted.row(&serde_json::from_str(text)?));
        Ok(())
    };
    session.each_text::<WebhookResponse>(Some(&session.namespace), wanted.params(), &progress, take).await?;
    progress.clear();
    if rows.is_empty() {
        complain(&format!("No WebhookResponses of Webhook {}/{} found.", session.namespace, wanted.webhook));
        return Ok(());
    }
    rows.sort_by(|a: &Row, b: &Row| a.place().cmp(&b.place()));
    let mut table = table(options.is_wide());
    rows.into_iter().for_each(|row| table.push(row.cells(options.is_wide())));
    options.show.print(&table.take(!options.show.no_headers)).map(|_| ())
}

/// Prints the objects, as they come: there may be more of them than memory has room for.
async fn objects(session: &Session, wanted: &Wanted, format: Format) -> Result<()> {
    let progress = Progress::new("responses read");
    let mut document = Document::begin(format)?;
    let take = |text: &str| match wanted.row(&serde_json::from_str(text)?) {
        Some(_) => document.add(text),
        None => Ok(()),
    };
    session.each_text::<WebhookResponse>(Some(&session.namespace), wanted.params(), &progress, take).await?;
    progress.clear();
    document.end()
}
