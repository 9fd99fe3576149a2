//! Takes over the segments that other processes have left.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use kube::{ResourceExt, api::ObjectMeta};
use tokio::time::sleep;

use super::{
    Journal, JournalRecord, NewRecord, parts,
    segment::{self, Lines, SegmentError},
};
use crate::{
    errors::error_chain,
    kubernetes::{
        name::name_of,
        objects::{self, Cause},
        resource_version::ResourceVersion,
    },
    resources::{DeliveryJournal, JOURNAL_SCOPE_LABEL},
};

/// How often to look for segments.
const LOOK: Duration = Duration::from_secs(60);
/// How long to wait after a list that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How many segments are read at a time.
const READS: usize = 4;

/// Whether a list failed since there is no such kind.
fn is_unknown_kind(error: &Cause) -> bool {
    error.code() == Some(404)
}

/// Whether it failed since there is no right to it. An API server that has just started does not know its rules yet.
fn is_forbidden(error: &Cause) -> bool {
    matches!(error.code(), Some(401 | 403))
}

impl Journal {
    /// Takes over all segments that are there. `adopted` is told of each record. From then on records may be added; where there is
    /// no such kind, or no right to it, they are written directly until there is.
    pub(crate) async fn open(&self, adopted: impl Fn(&JournalRecord) + Sync) {
        self.open_if_there_is_one(adopted).await;
        // It is opened once.
        let _ = self.opened.set(());
    }

    async fn open_if_there_is_one(&self, adopted: impl Fn(&JournalRecord) + Sync) {
        let since = Instant::now();
        let mut unreadable = HashSet::new();
        loop {
            match self.look(&adopted, &mut unreadable).await {
                Ok(()) => return,
                Err(error)
                    if is_unknown_kind(&error) || (is_forbidden(&error) && since.elapsed() > objects::FORBIDDEN) =>
                {
                    tracing::warn!(
                        error = error_chain(&error),
                        "there is no journal, so alert storms are slow: apply the chart's crds/ and its rights to deliveryjournals"
                    );
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        error = error_chain(&error),
                        "failed to list DeliveryJournals; trying again in {AGAIN:?}"
                    );
                }
            }
            sleep(AGAIN).await;
        }
    }

    /// Looks for segments of other processes, for ever.
    pub(super) async fn look_for_segments(&self, adopted: impl Fn(&JournalRecord) + Sync) {
        // Before, it is not known which webhooks there are.
        self.opened.wait().await;
        let mut unreadable = HashSet::new();
        loop {
            sleep(LOOK).await;
            let doomed = std::mem::take(&mut self.state.lock().doomed);
            self.delete(doomed).await;
            if let Err(error) = self.look(&adopted, &mut unreadable).await
                && !is_unknown_kind(&error)
                && !is_forbidden(&error)
            {
                tracing::warn!(
                    error = error_chain(&error),
                    "failed to list DeliveryJournals; trying again in {LOOK:?}"
                );
            }
        }
    }

    /// Looks once. `unreadable` are the names of those that can't be read.
    async fn look(
        &self,
        adopted: &(impl Fn(&JournalRecord) + Sync),
        unreadable: &mut HashSet<String>,
    ) -> Result<(), Cause> {
        let selector = format!("{JOURNAL_SCOPE_LABEL} in ({})", self.place.adopted.join(","));
        let own = format!("{}-{}-", self.place.scope, self.nonce);
        let known: HashSet<String> = {
            let state = self.state.lock();
            let segments = state.segments.values().map(|segment| &segment.name);
            segments.chain(&state.doomed).chain(&state.kept).cloned().collect()
        };
        let is_unknown = |meta: &ObjectMeta| {
            let name = meta.name.as_deref().unwrap_or_default();
            !name.starts_with(&own) && !known.contains(name) && !unreadable.contains(name)
        };
        let listed = self.objects.list_metadata::<DeliveryJournal>(Some(&self.place.namespace), &selector, is_unknown);
        let mut found = listed.await?;
        // The oldest first: they are written out in this order.
        found.sort_by_key(|meta| ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default()));
        let read = |meta: ObjectMeta| async move {
            let name = meta.name.unwrap_or_default();
            let found = objects::persist(|| self.objects.get::<DeliveryJournal>(&self.place.namespace, &name)).await;
            (name, found)
        };
        let mut segments = stream::iter(found.into_iter().map(read)).buffered(READS);
        let mut count = 0;
        while let Some((name, segment)) = segments.next().await {
            let adopted = match segment {
                Ok(Some(segment)) => self.adopt(&segment, adopted),
                // Whoever made it may have deleted it.
                Ok(None) => continue,
                Err(error) => Err(SegmentError::Object(Box::new(error))),
            };
            match adopted {
                Ok((records, ended)) => {
                    count += records;
                    self.delete(ended).await;
                }
                Err(error) => {
                    let namespace = &self.place.namespace;
                    tracing::error!(
                        namespace,
                        journal = name,
                        error = error_chain(&error),
                        "DeliveryJournal {namespace}/{name} can't be read, and stays; what only it holds is sent again"
                    );
                    unreadable.insert(name);
                }
            }
        }
        if count > 0 {
            tracing::info!(records = count, "took over what another process has left in the journal");
        }
        self.state.lock().open.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Takes a segment over, if all of it can be read, but for records of namespaces in which nothing is done: with these it stays, for
    /// when something is. Returns how many records are taken over, and the segments that are of no use any more.
    fn adopt(
        &self,
        segment: &DeliveryJournal,
        adopted: &impl Fn(&JournalRecord),
    ) -> Result<(usize, Vec<String>), SegmentError> {
        let data = segment::from_text(&segment.spec.data)?;
        let lines = Lines::inflate(&data)?;
        let texts: Vec<usize> = (0..lines.count()).map(|line| lines.line(line).len()).collect();
        let mut added = Vec::new();
        for (line, bytes) in parts(data.len(), &texts).enumerate() {
            let record = lines.record(line)?;
            let response = name_of(&record.response);
            if !self.place.works_in.is_open(&response.namespace) {
                continue;
            }
            added.push((
                NewRecord {
                    response,
                    event: Arc::from(record.response.spec.event_ref.name.as_str()),
                    attempts: record.attempts(),
                    bytes,
                    line,
                },
                record,
            ));
        }
        let (records, all): (Vec<NewRecord>, Vec<JournalRecord>) = added.into_iter().unzip();
        if records.len() < texts.len() {
            self.keep(&segment.name_any());
        }
        if records.is_empty() && !texts.is_empty() {
            return Ok((0, Vec::new()));
        }
        // Room is taken for the records that are taken over.
        let may_hold = records.len() == texts.len() && self.state.lock().pending.may_hold(data.len());
        let ended = self.add(segment.name_any(), false, may_hold.then(|| Arc::from(data)), records);
        all.iter().for_each(adopted);
        Ok((all.len(), ended))
    }

    /// Takes in that a segment is to stay.
    fn keep(&self, name: &str) {
        let namespace = &self.place.namespace;
        if self.state.lock().kept.insert(name.to_owned()) {
            tracing::warn!(
                namespace,
                journal = name,
                "DeliveryJournal {namespace}/{name} stays: it has records of namespaces in which nothing can be done now"
            );
        }
    }
}
