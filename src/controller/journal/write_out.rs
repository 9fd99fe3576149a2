//! Writes the records of the journal into their objects.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use kube::ResourceExt;
use tokio::task::JoinSet;

use super::{
    Journal, JournalRecord, ReadError,
    pending::{Storm, Taken, WrittenOut, pace},
};
use crate::{
    controller::record,
    errors::error_chain,
    kubernetes::{
        name::NamespacedName,
        objects::{self, Objects},
    },
    resources::{ResponsePhase, WebhookResponseStatus},
};

/// How often to look how fast records may be written out, while others are added.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait after a call that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How many records may be on the way to their objects, at most, before those that come are journaled.
const DIRECT: usize = 32;
/// How many writes may be under way, and how many of one namespace while others have something to write too.
const MOST: usize = 64;
const EACH: usize = 16;

impl Journal {
    /// Writes all records out, for ever.
    pub(super) async fn write_all_out(self: Arc<Self>) {
        let mut writes = JoinSet::new();
        loop {
            let limit = self.limit();
            self.records.pace(limit);
            while writes.len() < limit
                && let Some(taken) = self.next()
            {
                writes.spawn(Arc::clone(&self).write_out(taken, self.records.clone()));
            }
            tokio::select! {
                Some(_) = writes.join_next() => {}
                () = self.work.notified() => {}
                () = tokio::time::sleep(LOOK), if limit < MOST => {}
            }
        }
    }

    /// How many writes that no delivery waits for may be under way.
    fn limit(&self) -> usize {
        let mut state = self.state.lock();
        let (rate, latency) = (state.rate.get(Instant::now()), state.latency);
        pace(Storm { rate, latency, fill: state.pending.fill() })
    }

    /// How many records may be on the way to their objects before those that come are journaled: few in a storm, since they would take
    /// the API server from those who create events.
    pub(crate) fn direct_limit(&self) -> usize {
        self.limit().min(DIRECT)
    }

    fn next(&self) -> Option<Taken> {
        let mut state = self.state.lock();
        let each = if state.pending.namespaces() > 1 { EACH } else { MOST };
        state.pending.next(each)
    }

    /// Resolves when the record of a response is written out, if one is pending. It waits for no others.
    pub(crate) async fn settle(self: &Arc<Self>, response: &NamespacedName) {
        loop {
            let written = self.written.notified();
            let taken = {
                let mut state = self.state.lock();
                if state.pending.place(response).is_none() {
                    return;
                }
                state.pending.take(response)
            };
            match taken {
                // It goes on where nobody waits for it any more.
                Some(taken) => drop(tokio::spawn(Arc::clone(self).write_out(taken, self.objects.clone())).await),
                None => written.await,
            }
        }
    }

    async fn write_out(self: Arc<Self>, taken: Taken, objects: Objects) {
        let written = AssertUnwindSafe(self.try_to_write_out(&taken, &objects)).catch_unwind().await;
        // A bug: the panic is in the log. It would come again.
        let written = written.unwrap_or(WrittenOut::Done);
        let ended = {
            let mut state = self.state.lock();
            let ended = state.pending.done(&taken, written);
            ended.and_then(|ended| self.end(&mut state, ended))
        };
        self.written.notify_waiters();
        self.work.notify_one();
        self.delete(ended.into_iter().collect()).await;
    }

    async fn try_to_write_out(&self, taken: &Taken, objects: &Objects) -> WrittenOut {
        let (namespace, response) = (&*taken.response.namespace, &*taken.response.name);
        let record = match self.read(taken.place).await {
            Ok(record) => record,
            Err(error) => {
                let error_chain = error_chain(&error);
                tracing::error!(namespace, response, error = error_chain, "failed to read a record in the journal");
                return if matches!(error, ReadError::Object(_)) { WrittenOut::Again } else { WrittenOut::Done };
            }
        };
        match self.write(record, objects).await {
            Ok(()) => WrittenOut::Done,
            // Its namespace is gone, or goes with all that is in it.
            Err(error) if error.is_not_found() || error.is_in_ending_namespace() => WrittenOut::Done,
            Err(error) => {
                let since = taken.forbidden_since.unwrap_or_else(Instant::now);
                let may_pass = error.is_forbidden()
                    && (since.elapsed() < objects::FORBIDDEN || self.is_refused(&taken.response).await);
                if error.is_final() && !may_pass {
                    tracing::error!(
                        namespace,
                        response,
                        error = error_chain(&error),
                        "failed to write a record from the journal into its WebhookResponse; it is given up"
                    );
                    return WrittenOut::Done;
                }
                tracing::warn!(
                    namespace,
                    response,
                    error = error_chain(&error),
                    "failed to write a record from the journal into its WebhookResponse; trying again in {AGAIN:?}"
                );
                tokio::time::sleep(AGAIN).await;
                if may_pass { WrittenOut::Forbidden(since) } else { WrittenOut::Again }
            }
        }
    }

    /// Writes a record into its object.
    async fn write(
        &self,
        JournalRecord { mut response, .. }: JournalRecord,
        objects: &Objects,
    ) -> Result<(), objects::Error> {
        let (namespace, name) = (response.namespace().unwrap_or_default(), response.name_any());
        let owner = response.owner_references().first().map(|owner| owner.uid.clone()).unwrap_or_default();
        if self.catalog.is_gone(&namespace, &response.spec.webhook_ref.name, &owner) {
            // The object would go with it.
            return Ok(());
        }
        let version = response.metadata.resource_version.take().map(|version| version.as_str().into());
        if version.is_none() && record::create(objects, &response).await?.is_some() {
            return Ok(());
        }
        let patch = record::replacing(&response);
        let status = response.status.unwrap_or_default();
        let is_untouched = |theirs: &WebhookResponseStatus| is_older(theirs, &status);
        record::write(objects, &namespace, &name, version, &patch, is_untouched).await.map(drop)
    }
}

/// Whether a status tells less than one that is to be written.
fn is_older(theirs: &WebhookResponseStatus, ours: &WebhookResponseStatus) -> bool {
    theirs.attempt_count < ours.attempt_count
        || (theirs.attempt_count == ours.attempt_count && theirs.phase == ResponsePhase::Pending)
}
