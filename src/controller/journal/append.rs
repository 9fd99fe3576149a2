//! Adds records to the journal: a segment takes all that have gathered while others were being created.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::api::ObjectMeta;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{Journal, NewRecord, parts, segment};
use crate::{
    errors::error_chain,
    kubernetes::{
        name::{NamespacedName, name_of},
        objects,
    },
    resources::{DeliveryJournal, DeliveryJournalSpec, JOURNAL_SCOPE_LABEL, WebhookResponse},
};

/// How many segments are created at a time.
const CREATIONS: usize = 4;
/// How many records make a segment at once.
const ENOUGH: usize = 64;
/// How long fewer than that wait for others. The next event of an alert group waits for them.
const GATHER: Duration = Duration::from_millis(25);
/// How long nothing is added after the API server refused a segment for good.
const REFUSED: Duration = Duration::from_secs(60);

/// A record that the journal does not take: it is to be written directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unjournaled;

/// A record that is to be added.
pub(super) struct Appended {
    response: NamespacedName,
    event: Arc<str>,
    attempts: u32,
    text: Vec<u8>,
    added: oneshot::Sender<Result<(), Unjournaled>>,
}

/// A record as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_generation: Option<i64>,
    response: &'a WebhookResponse,
}

impl Journal {
    /// Adds the record of a response of an event, with its status, and its version if it is known to be there. Once it is added,
    /// nobody sends it again.
    ///
    /// # Errors
    /// It is too long, there is no room for it, or there is no journal.
    pub(crate) async fn append(
        &self,
        response: &WebhookResponse,
        webhook_generation: Option<i64>,
    ) -> Result<(), Unjournaled> {
        let name = name_of(response);
        // About what it will take.
        let may_take = |text: usize| {
            let state = self.state.lock();
            let is_open = state.open.is_some_and(|from| from <= Instant::now());
            // Of two records of one response, the first gives its room back.
            is_open && (state.pending.place(&name).is_some() || state.pending.has_room(&name.namespace, text / 8))
        };
        if !may_take(0) {
            return Err(Unjournaled);
        }
        let text = serde_json::to_vec(&RecordText { webhook_generation, response }).map_err(|_| Unjournaled)?;
        if text.len() > segment::MOST_RECORD || !may_take(text.len()) {
            return Err(Unjournaled);
        }
        let event = Arc::from(response.spec.event_ref.name.as_str());
        let attempts = response.status.as_ref().map_or(0, |status| status.attempt_count);
        let (added, is_added) = oneshot::channel();
        // It is never closed.
        let _ = self.appended.send(Appended { response: name, event, attempts, text, added });
        is_added.await.unwrap_or(Err(Unjournaled))
    }

    /// Adds all records that come.
    pub(super) async fn append_all(self: Arc<Self>, mut appended: mpsc::UnboundedReceiver<Appended>) {
        let mut gathered: Vec<Appended> = Vec::new();
        let mut since = Instant::now();
        let mut creations = JoinSet::new();
        loop {
            let may_create = !gathered.is_empty() && creations.len() < CREATIONS;
            if may_create && (gathered.len() >= ENOUGH || since.elapsed() >= GATHER) {
                creations.spawn(Arc::clone(&self).create_segments(std::mem::take(&mut gathered)));
                continue;
            }
            tokio::select! {
                next = appended.recv() => match next {
                    Some(record) => {
                        if gathered.is_empty() {
                            since = Instant::now();
                        }
                        gathered.push(record);
                    }
                    None => return,
                },
                Some(_) = creations.join_next() => {}
                () = tokio::time::sleep_until((since + GATHER).into()), if may_create => {}
            }
        }
    }

    /// Creates a segment of these records, or several if they are too much for one.
    async fn create_segments(self: Arc<Self>, mut records: Vec<Appended>) {
        while !records.is_empty() {
            let deflated = tokio::task::spawn_blocking(move || {
                let deflated = segment::deflate(records.iter().map(|record| record.text.as_slice()));
                (records, deflated)
            });
            // It does not panic; what waits is written directly then.
            let Ok((mut first, Ok((count, data)))) = deflated.await else { return };
            records = first.split_off(count.min(first.len()));
            let created = self.create_segment(&first, data).await;
            for record in first {
                // Whoever waited for it may have stopped.
                let _ = record.added.send(created.as_ref().map(|_| ()).map_err(|refused| *refused));
            }
            self.delete(created.unwrap_or_default()).await;
        }
    }

    /// Creates a segment. Returns the segments that are of no use any more.
    async fn create_segment(&self, records: &[Appended], data: Vec<u8>) -> Result<Vec<String>, Unjournaled> {
        let number = {
            let mut state = self.state.lock();
            state.created += 1;
            state.created
        };
        let name = format!("{}-{}-{number:08}", self.place.scope, self.nonce);
        let records_count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let mut object =
            DeliveryJournal::new(&name, DeliveryJournalSpec { records: records_count, data: segment::to_text(&data) });
        object.metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(self.place.namespace.clone()),
            labels: Some([(JOURNAL_SCOPE_LABEL.to_owned(), self.place.scope.clone())].into()),
            ..ObjectMeta::default()
        };
        let (namespace, asked) = (&self.place.namespace, Instant::now());
        match objects::persist(|| self.objects.create(namespace, &name, &object)).await {
            Ok(_) => {}
            // A call that seemed to fail had worked: nobody else has this name.
            Err(error) if error.is_already_exists() => {}
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "failed to add to the journal; records are written one by one for {REFUSED:?}"
                );
                self.state.lock().open = Some(Instant::now() + REFUSED);
                return Err(Unjournaled);
            }
        }
        let texts: Vec<usize> = records.iter().map(|record| record.text.len()).collect();
        let added = records.iter().zip(parts(data.len(), &texts)).enumerate();
        let added = added.map(|(line, (record, bytes))| NewRecord {
            response: record.response.clone(),
            event: Arc::clone(&record.event),
            attempts: record.attempts,
            bytes,
            line,
        });
        {
            let (mut state, now) = (self.state.lock(), Instant::now());
            state.rate.add(records.len(), now);
            // As much of what is new as of what was before.
            state.latency = (state.latency + (now - asked)) / 2;
        }
        Ok(self.add(name, true, Some(Arc::from(data)), added.collect()))
    }
}
