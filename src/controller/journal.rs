//! The journal: takes many records in one write when so many come that each can't have its own at once.
//!
//! ```text
//!                ┌─► append ─► segment (DeliveryJournal) ─► recorded: nobody sends it again
//! record of an   │                └─► pending ─► write_out ─► WebhookResponse ─► the segment is deleted
//! attempt ───────┤                       ▲
//!                └─► WebhookResponse     └── replay: segments that other processes have left
//! ```
//! A segment is created once and never changed. What it holds stays in memory, compressed, until it is written out, so that a
//! segment that somebody deletes meanwhile is no loss (where another process has left more than there is room for, that is read again
//! when it is its turn). Records are written out as fast as the API server can without holding up
//! those who create events ([`pending::pace`]).
//!
//! Without the kind, or the right to it, every record is written directly.

mod append;
mod pending;
mod replay;
mod segment;
mod write_out;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::{Notify, SetOnce, mpsc};

pub(crate) use self::segment::JournalRecord;
use self::{
    append::Appended,
    pending::{JournalLimits, NewRecord, PendingRecords, Place, Rate, SegmentId},
    segment::{Lines, SegmentError},
};
use super::catalog::Catalog;
use crate::{
    errors::error_chain,
    kubernetes::{
        name::NamespacedName,
        objects::{self, Objects},
        scope::Scope,
    },
    memory::{CACHE_ENTRY, cache},
    resources::{DeliveryJournal, WebhookResponse, label_value},
};

/// Bound on the records that are pending.
const MOST_RECORDS: usize = 20_000;
/// Bound on what they take, compressed, in bytes; less where there is less memory.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// Bounds on the segments that are held as text, in bytes: one at least, and at most.
const LINES: (u64, u64) = (640 * 1024, 4 * 1024 * 1024);

/// Where the segments of an operator are.
#[derive(Clone, Debug)]
pub(crate) struct JournalPlace {
    /// Their namespace.
    pub(crate) namespace: String,
    /// What its segments say of the namespaces that it works in: segments that say another are left alone.
    pub(crate) scope: String,
    /// What those say that it takes over: its own and, where it has a Lease, what it wrote when it worked in more namespaces, or in
    /// one of these.
    pub(crate) adopted: Vec<String>,
    /// The namespaces that it works in: records of others stay in their segments.
    works_in: Scope,
}

impl JournalPlace {
    /// The place of the segments of an operator that works in a scope: the namespace of its Lease, else the first one that it works
    /// in, else `default_namespace`. Those of several namespaces are known by the name of the Lease: which namespaces these are may
    /// change while something is in the journal.
    pub(crate) fn new(lease: Option<&(String, String)>, works_in: &Scope, default_namespace: &str) -> Self {
        let names = works_in.names();
        let value = |text: String| label_value(&text).to_lowercase();
        let of_lease = lease.map(|(_, name)| value(format!("of.{name}")));
        let of_each = || names.iter().map(|name| value(format!("in.{name}")));
        let scope = match (names, &of_lease) {
            ([], _) => "all".to_owned(),
            ([_, _, ..], Some(of_lease)) => of_lease.clone(),
            _ => value(format!("in.{}", names.join("."))),
        };
        let mut adopted = vec![scope.clone()];
        if let Some(of_lease) = of_lease {
            adopted.extend(of_each().chain([of_lease]).filter(|other| *other != scope));
        }
        let namespace = lease.map(|(namespace, _)| namespace).or(names.first());
        let namespace = namespace.map_or(default_namespace, String::as_str).to_owned();
        Self { namespace, scope, adopted, works_in: works_in.clone() }
    }
}

/// How much is in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalLoad {
    /// Records that are not written out.
    pub(crate) records: usize,
    /// About how many bytes they take.
    pub(crate) bytes: usize,
    /// Segments.
    pub(crate) segments: usize,
}

/// The records that are in the journal.
pub(crate) struct Journal {
    /// Makes the calls for segments. They wait for no other writes.
    objects: Objects,
    /// Writes records out.
    records: Objects,
    catalog: Arc<Catalog>,
    place: JournalPlace,
    /// Tells the segments of this process from those of others.
    nonce: String,
    state: Mutex<State>,
    lines: Cache<SegmentId, Arc<Lines>, LinesWeight>,
    appended: mpsc::UnboundedSender<Appended>,
    /// It was looked for segments, whatever came of it.
    opened: SetOnce<()>,
    /// There is something to write out.
    work: Notify,
    /// Something was written out.
    written: Notify,
}

struct State {
    pending: PendingRecords,
    segments: HashMap<SegmentId, Segment>,
    /// Segments that are of no use and could not be deleted, by name.
    doomed: Vec<String>,
    /// Segments with records of namespaces in which nothing is done, by name: they stay.
    kept: HashSet<String>,
    /// How many segments this process has known.
    count: SegmentId,
    /// How many it has created.
    created: u64,
    /// How many records are added.
    rate: Rate,
    /// How long it took of late to create a segment.
    latency: Duration,
    /// When segments may be created; None before it is known that they may be.
    open: Option<Instant>,
}

struct Segment {
    name: String,
    /// Whether this process has made it.
    is_own: bool,
    /// None where there was no room for it: it is read when it is needed.
    data: Option<Arc<[u8]>>,
}

/// Records that are to be added to the journal.
pub(crate) struct Appends(mpsc::UnboundedReceiver<Appended>);

#[derive(Clone)]
struct LinesWeight;

impl Weighter<SegmentId, Arc<Lines>> for LinesWeight {
    fn weight(&self, _: &SegmentId, lines: &Arc<Lines>) -> u64 {
        CACHE_ENTRY + lines.size() as u64
    }
}

/// A record that can't be read from its segment.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("read DeliveryJournal {name}")]
    Segment { name: String, source: SegmentError },
    #[error(transparent)]
    Object(#[from] objects::Error),
    #[error("DeliveryJournal {0} was deleted before all of it was written out")]
    Gone(String),
}

impl Journal {
    /// Holds records of up to half of `budget` bytes, and some of them as text. `objects` makes the calls for segments, `records` those that write records out.
    pub(crate) fn new(
        objects: Objects,
        records: Objects,
        catalog: Arc<Catalog>,
        place: JournalPlace,
        budget: u64,
    ) -> (Arc<Self>, Appends) {
        let (appended, appends) = mpsc::unbounded_channel();
        let bytes = usize::try_from(MOST_BYTES.min(budget / 2)).unwrap_or(usize::MAX);
        let state = State {
            pending: PendingRecords::new(JournalLimits { records: MOST_RECORDS, bytes }),
            segments: HashMap::new(),
            doomed: Vec::new(),
            kept: HashSet::new(),
            count: 0,
            created: 0,
            rate: Rate::new(Instant::now()),
            latency: Duration::ZERO,
            open: None,
        };
        let journal = Self {
            objects,
            records,
            catalog,
            place,
            // Without randomness another process may have the same name, whose segment is not replaced.
            nonce: format!("{:016x}", getrandom::u64().unwrap_or_default()),
            state: Mutex::new(state),
            lines: cache((budget / 2).clamp(LINES.0, LINES.1), 256 * 1024, LinesWeight),
            appended,
            opened: SetOnce::new(),
            work: Notify::new(),
            written: Notify::new(),
        };
        (Arc::new(journal), Appends(appends))
    }

    /// Adds records, writes them out, and looks for segments of other processes, for ever. `adopted` is told of each record of
    /// those.
    pub(crate) async fn run(self: Arc<Self>, appends: Appends, adopted: impl Fn(&JournalRecord) + Send + Sync) {
        tokio::join!(
            Arc::clone(&self).append_all(appends.0),
            Arc::clone(&self).write_all_out(),
            self.look_for_segments(adopted)
        );
    }

    /// Resolves when it was looked for segments, whatever came of it.
    pub(crate) async fn opened(&self) {
        self.opened.wait().await;
    }

    /// Whether a record of a response is pending.
    pub(crate) fn is_pending(&self, response: &NamespacedName) -> bool {
        self.state.lock().pending.place(response).is_some()
    }

    /// Whether any record of a namespace is pending.
    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        self.state.lock().pending.responses().any(|response| *response.namespace == *namespace)
    }

    /// Whether a record of an event is pending.
    pub(crate) fn has_event(&self, event: &NamespacedName) -> bool {
        self.state.lock().pending.has_event(event)
    }

    /// The pending record of a response, if this process has made it: nothing newer is in the object then. One of another process is
    /// written out first. None if there is none.
    pub(crate) async fn get(self: &Arc<Self>, response: &NamespacedName) -> Option<WebhookResponse> {
        loop {
            let (place, is_own) = {
                let state = self.state.lock();
                let place = state.pending.place(response)?;
                (place, state.segments.get(&place.segment).is_some_and(|segment| segment.is_own))
            };
            if !is_own {
                self.settle(response).await;
                continue;
            }
            match self.read(place).await {
                Ok(record) => return Some(record.response),
                // It was written out meanwhile, or replaced.
                Err(_) if self.state.lock().pending.place(response) != Some(place) => {}
                Err(error) => {
                    tracing::error!(
                        namespace = &*response.namespace,
                        response = &*response.name,
                        error = error_chain(&error),
                        "failed to read a record in the journal"
                    );
                    return None;
                }
            }
        }
    }

    /// Whether a response may not even be read, in one of several namespaces. Then its record is for the journal alone: if that lasts, this
    /// process ends, and another one writes the record out when it may.
    pub(crate) async fn is_refused(&self, response: &NamespacedName) -> bool {
        let NamespacedName { namespace, name } = response;
        if !self.place.works_in.is_several() {
            return false;
        }
        let read = self.objects.get_state::<WebhookResponse>(namespace, name).await;
        let is_refused = read.is_err_and(|error| error.is_forbidden());
        if is_refused {
            self.place.works_in.doubt(namespace);
        }
        is_refused
    }

    /// The responses whose records are pending.
    pub(crate) fn pending(&self) -> Vec<NamespacedName> {
        self.state.lock().pending.responses().cloned().collect()
    }

    /// How much is in the journal.
    pub(crate) fn load(&self) -> JournalLoad {
        let state = self.state.lock();
        JournalLoad { records: state.pending.count(), bytes: state.pending.bytes(), segments: state.segments.len() }
    }

    /// Reads a record from its segment.
    async fn read(&self, place: Place) -> Result<JournalRecord, ReadError> {
        let lines = match self.lines.get_value_or_guard_async(&place.segment).await {
            Ok(lines) => lines,
            Err(guard) => {
                let (name, data) = self.data(place.segment).await?;
                let lines = Lines::inflate(&data).map_err(|source| ReadError::Segment { name, source })?;
                let lines = Arc::new(lines);
                // It fails where it was removed meanwhile.
                let _ = guard.insert(Arc::clone(&lines));
                lines
            }
        };
        lines.record(place.line).map_err(|source| ReadError::Segment { name: self.name_of(place.segment), source })
    }

    fn name_of(&self, segment: SegmentId) -> String {
        self.state.lock().segments.get(&segment).map(|segment| segment.name.clone()).unwrap_or_default()
    }

    /// The name and the data of a segment, read again where there was no room for it.
    async fn data(&self, segment: SegmentId) -> Result<(String, Arc<[u8]>), ReadError> {
        let known = self.state.lock().segments.get(&segment).map(|known| (known.name.clone(), known.data.clone()));
        let (name, data) = known.unwrap_or_default();
        if let Some(data) = data {
            return Ok((name, data));
        }
        let found = objects::persist(|| self.objects.get::<DeliveryJournal>(&self.place.namespace, &name)).await?;
        let Some(found) = found else { return Err(ReadError::Gone(name)) };
        let data = segment::from_text(&found.spec.data);
        let data = data.map_err(|source| ReadError::Segment { name: name.clone(), source })?;
        Ok((name, Arc::from(data)))
    }

    /// Takes in a segment that is there, and its records. `data` is None where it is not held.
    fn add(&self, name: String, is_own: bool, data: Option<Arc<[u8]>>, records: Vec<NewRecord>) -> Vec<String> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.count += 1;
        let id = state.count;
        state.segments.insert(id, Segment { name, is_own, data });
        let ended = state.pending.add(id, records);
        self.work.notify_one();
        ended.into_iter().filter_map(|ended| self.end(state, ended)).collect()
    }

    /// Forgets a segment. Returns its name, if it is of no use any more.
    fn end(&self, state: &mut State, segment: SegmentId) -> Option<String> {
        self.lines.remove(&segment);
        let ended = state.segments.remove(&segment);
        ended.map(|segment| segment.name).filter(|name| !state.kept.contains(name))
    }

    /// Deletes segments that are of no use any more.
    async fn delete(&self, segments: Vec<String>) {
        for name in segments {
            match self.objects.delete::<DeliveryJournal>(&self.place.namespace, &name, Default::default()).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(
                        namespace = error.namespace(),
                        journal = name,
                        error = error_chain(&error),
                        "failed to delete a DeliveryJournal that is of no use any more; trying again within a minute"
                    );
                    self.state.lock().doomed.push(name);
                }
            }
        }
    }
}

#[cfg(test)]
impl Journal {
    /// A journal that no record is added to.
    pub(crate) fn for_tests(objects: &Objects) -> (Arc<Self>, Appends) {
        let place = JournalPlace::new(None, &Scope::default(), "operator");
        Self::new(objects.clone(), objects.clone(), Arc::default(), place, 1 << 20)
    }
}

/// Splits the bytes of a segment among its records, by the lengths of their texts.
fn parts(data: usize, texts: &[usize]) -> impl Iterator<Item = usize> {
    let all = texts.iter().sum::<usize>().max(1);
    texts.iter().map(move |text| data.saturating_mul(*text) / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_where_the_lease_is_and_known_again_when_namespaces_are_added() {
        let lease = ("release".to_owned(), "operator".to_owned());
        let cases: [(Option<_>, &[&str], &str, &[&str]); 7] = [
            (None, &[], "default", &["all"]),
            (None, &["b"], "b", &["in.b"]),
            (None, &["b", "a"], "b", &["in.b.a"]),
            (Some(&lease), &[], "release", &["all", "of.operator"]),
            (Some(&lease), &["a"], "release", &["in.a", "of.operator"]),
            (Some(&lease), &["b", "a"], "release", &["of.operator", "in.b", "in.a"]),
            (Some(&lease), &["b", "a", "c"], "release", &["of.operator", "in.b", "in.a", "in.c"]),
        ];
        for (lease, names, namespace, adopted) in cases {
            let scope = Scope::new(names.iter().map(|name| (*name).to_owned()));
            let place = JournalPlace::new(lease, &scope, "default");
            let found: Vec<&str> = place.adopted.iter().map(String::as_str).collect();
            assert_eq!((&*place.namespace, &*place.scope, &*found), (namespace, adopted[0], adopted), "{names:?}");
        }
    }
}
