//! Responses as they change: those that are there, in order of time, and then each that is written, as it is.

use std::{collections::HashMap, pin::pin};

use anyhow::{Result, anyhow};
use futures::StreamExt;
use kube::{ResourceExt, runtime::watcher::Event};

use super::{
    Options, Wanted,
    document::single,
    row::{Row, table},
};
use crate::{
    cli::{
        output::Format,
        session::{PAGE, Session, is_refused},
        table::Table,
    },
    errors::error_chain,
    kubernetes::{lenient::Lenient, scope::Scope, watch::Watches},
    metrics::WatchMetrics,
    resources::WebhookResponse,
};

/// What was printed, and how.
struct Printed<'a> {
    options: &'a Options,
    wanted: &'a Wanted,
    table: Table,
    with_heads: bool,
    /// The version of each response that was printed last, by name: a watch that begins anew lists them again.
    versions: HashMap<String, String>,
    /// Lines of a list that is under way.
    rows: Vec<Row>,
}

/// Prints until it is interrupted, or nobody reads any more.
pub(super) async fn run(session: &Session, options: &Options, wanted: &Wanted) -> Result<()> {
    let scope = Scope::new([session.namespace.clone()]);
    let watches = Watches::new(session.client.clone(), scope, PAGE, WatchMetrics::default());
    let mut changes = pin!(watches.objects::<WebhookResponse>(wanted.selection.clone()));
    let mut printed = Printed {
        options,
        wanted,
        table: table(options.is_wide()),
        with_heads: !options.show.no_headers,
        versions: HashMap::new(),
        rows: Vec::new(),
    };
    while let Some(change) = changes.next().await {
        let goes_on = match change {
            Ok(Event::Init) => {
                printed.rows.clear();
                true
            }
            Ok(Event::InitApply(response)) => printed.listed(&response)?,
            Ok(Event::InitDone) => printed.list()?,
            Ok(Event::Apply(response)) => printed.listed(&response)? && printed.list()?,
            Ok(Event::Delete(response)) => {
                printed.versions.remove(&response.name_any());
                true
            }
            Err(error) if is_refused(&error) => {
                return Err(anyhow!("watch webhookresponses: {}", error_chain(&error)));
            }
            // It goes on by itself.
            Err(_) => true,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

impl Printed<'_> {
    /// Takes in a response: what is printed as an object is so at once. False if nobody reads any more.
    fn listed(&mut self, response: &Lenient<WebhookResponse>) -> Result<bool> {
        let version = response.resource_version().unwrap_or_default();
        if self.versions.get(&response.name_any()) == Some(&version) {
            return Ok(true);
        }
        let Some(row) = self.wanted.row(response) else { return Ok(true) };
        self.versions.insert(response.name_any(), version);
        match (self.options.show.output, &response.0) {
            (Some(format @ (Format::Json | Format::Yaml | Format::Name)), Ok(response)) => {
                self.options.show.print(&single(serde_json::to_value(response)?, format)?)
            }
            _ => {
                self.rows.push(row);
                Ok(true)
            }
        }
    }

    /// Prints the lines that have come. False if nobody reads any more.
    fn list(&mut self) -> Result<bool> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        rows.iter().for_each(|row| self.table.push(row.cells(self.options.is_wide())));
        if self.table.is_empty() {
            return Ok(true);
        }
        self.options.show.print(&self.table.take(std::mem::take(&mut self.with_heads)))
    }
}
