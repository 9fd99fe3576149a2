//! `status`: nothing but a namespace in, or all; out: what needs a person first, and how webhooks, open alert groups and integrations are.
//!
//! ```text
//! Webhooks, Integrations (without templates) ─┐
//! AlertGroupEvents that are not completed ────┤                                  ┌─► tables
//! WebhookResponses, as columns ───────────────┼─► read ─► Overview ─► attention ─┼─► JSON, YAML
//! AlertGroups that are open, as columns ──────┘                                  └─► names
//! ```
//! All of it is found from what the objects say, so that it works with operators of other versions.

mod attention;
mod deliveries;
mod overview;
mod read;
mod shown;
mod state;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;

use self::{overview::Overview, shown::Shown};
use super::{
    cluster::ClusterOptions,
    output::{Format, ShowOptions},
    progress::Progress,
    session::Session,
};

/// Says what is looked at.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    show: ShowOptions,
}

impl Options {
    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        &mut self.cluster
    }
}

/// Prints how things are, in the cluster of the environment.
///
/// # Errors
/// There is no cluster, or the API server refuses to list something.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let session = Session::open(&options.cluster).await?;
    let namespace = (!options.all_namespaces).then_some(session.namespace.as_str());
    let progress = Progress::new("objects read");
    let overview = read::read(&session, namespace, Timestamp::now(), &progress).await?;
    progress.clear();
    let text = match options.show.output {
        Some(Format::Json) => serde_json::to_string_pretty(&overview).context("print the status")? + "\n",
        Some(Format::Yaml) => serde_saphyr::to_string(&overview).context("print the status")?,
        Some(Format::Name) => names(&overview),
        format @ (Some(Format::Wide) | None) => {
            Shown { overview: &overview, namespace, wide: format.is_some(), with_heads: !options.show.no_headers }
                .text()
        }
    };
    options.show.print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What needs a person, one a line.
fn names(overview: &Overview) -> String {
    overview.attention.iter().filter_map(|item| Some(format!("{}\n", item.object.as_ref()?))).collect()
}
