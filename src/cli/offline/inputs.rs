//! Reads the manifests and the events that `render` and `send` work on.

use std::path::Path;

use anyhow::{Result, bail};

use super::{
    data,
    events::InputEvent,
    files, findings,
    manifest::EventManifest,
    manifests::{self, Manifests},
    options::Sources,
};
use crate::cli::output::complain;

/// Reads manifests and events, and prints what is wrong with them to standard error. With `data`, the data in that file
/// takes the place of the events.
///
/// # Errors
/// A file can't be read, or there is nothing to do: no webhook, or nothing that could fire one.
pub(super) fn read(sources: &Sources, data: Option<&Path>) -> Result<(Manifests, Vec<InputEvent>)> {
    if data.is_some_and(files::is_stdin) && sources.file.iter().any(|path| files::is_stdin(path)) {
        bail!("standard input (-) can be read only once");
    }
    let mut manifests = manifests::load(sources)?;
    if manifests.webhook_sources.is_empty() && manifests.findings.is_empty() {
        bail!("there is no Webhook among the files");
    }
    let events = events(&mut manifests, data)?;
    findings::mention(&manifests.findings);
    for EventManifest { source, .. } in &manifests.events {
        if data.is_none() && !manifests.webhook_sources.iter().any(|other| other.namespace == source.namespace) {
            let message = "no Webhook of its namespace is among the files";
            complain(&format!("{}: hint: {}: {message}", source.file, source.object));
        }
    }
    Ok((manifests, events))
}

/// The events among the files, or the one in the file with data.
fn events(manifests: &mut Manifests, data: Option<&Path>) -> Result<Vec<InputEvent>> {
    if let Some(path) = data {
        let data = data::read(path, &mut manifests.findings)?;
        return Ok(data.map(|data| InputEvent::of_data(path, data)).into_iter().collect());
    }
    let events = manifests.events.iter().map(InputEvent::of_manifest).collect::<Result<Vec<_>>>()?;
    if manifests.event_sources.is_empty() && manifests.findings.is_empty() {
        bail!("there is no AlertGroupEvent among the files: add one, or give data with --data FILE");
    }
    Ok(events)
}
