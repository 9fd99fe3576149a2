//! Which records are in the journal and not written out yet, and which is written out next.
//!
//! ```text
//! segment ─► records ─► waiting, in turns by namespace ─► being written ─► written: the segment's last one ends the segment
//!                            └────────── expedited ───────────┘
//! ```

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{core::shares::Shares, kubernetes::name::NamespacedName, turns::Turns};

/// About how many bytes a record takes beside its part of the segment.
const RECORD_COST: usize = 300;

/// Bounds on what is pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct JournalLimits {
    /// How many records.
    pub(super) records: usize,
    /// How many bytes they take, compressed.
    pub(super) bytes: usize,
}

/// Names a segment within this process.
pub(super) type SegmentId = u64;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment.
    pub(super) segment: SegmentId,
    /// The number of its line.
    pub(super) line: usize,
}

/// A record as it is added.
#[derive(Clone, Debug)]
pub(super) struct NewRecord {
    /// The WebhookResponse.
    pub(super) response: NamespacedName,
    /// Name of its event.
    pub(super) event: Arc<str>,
    /// How many attempts it tells of.
    pub(super) attempts: u32,
    /// How many bytes of the segment it takes.
    pub(super) bytes: usize,
    /// The number of its line.
    pub(super) line: usize,
}

/// A record that is to be written out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The WebhookResponse.
    pub(super) response: NamespacedName,
    /// Where the record stands.
    pub(super) place: Place,
    /// Since when the API server does not allow it to be written.
    pub(super) forbidden_since: Option<Instant>,
    attempts: u32,
    in_turn: bool,
}

/// What came of writing a record out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenOut {
    /// It is in its object, or never will be.
    Done,
    /// It is not allowed for now, since then.
    Forbidden(Instant),
    /// Nobody knows.
    Again,
}

#[derive(Debug)]
struct Pending {
    event: Arc<str>,
    attempts: u32,
    cost: usize,
    place: Place,
    is_being_written: bool,
    forbidden_since: Option<Instant>,
}

/// The records that are pending.
pub(super) struct PendingRecords {
    limits: JournalLimits,
    shares: Shares,
    records: HashMap<NamespacedName, Pending>,
    turns: Turns<Arc<str>>,
    /// How many records of a segment are pending.
    segments: HashMap<SegmentId, usize>,
    /// How many records of an event are pending.
    events: HashMap<NamespacedName, usize>,
}

impl PendingRecords {
    pub(super) fn new(limits: JournalLimits) -> Self {
        Self {
            limits,
            shares: Shares::new(limits.bytes),
            records: HashMap::new(),
            turns: Turns::default(),
            segments: HashMap::new(),
            events: HashMap::new(),
        }
    }

    /// How many namespaces have records that are pending.
    pub(super) fn namespaces(&self) -> usize {
        self.turns.namespaces()
    }

    /// How many records are pending.
    pub(super) fn count(&self) -> usize {
        self.records.len()
    }

    /// About how many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.shares.used()
    }

    /// How much of what may be pending is, from 0 to 1, and more where another process left more.
    pub(super) fn fill(&self) -> f64 {
        let part = |used: usize, limit: usize| used as f64 / limit.max(1) as f64;
        part(self.records.len(), self.limits.records).max(part(self.shares.used(), self.limits.bytes))
    }

    /// Whether a namespace may have another record of about so many bytes.
    pub(super) fn has_room(&self, namespace: &str, bytes: usize) -> bool {
        self.records.len() < self.limits.records && self.shares.has_room_at_all(namespace, RECORD_COST + bytes)
    }

    /// Whether the data of a segment of so many bytes may be held, that another process has made.
    pub(super) fn may_hold(&self, bytes: usize) -> bool {
        self.shares.used() + bytes <= self.limits.bytes
    }

    /// Where the pending record of a response is.
    pub(super) fn place(&self, response: &NamespacedName) -> Option<Place> {
        self.records.get(response).map(|pending| pending.place)
    }

    /// The responses whose records are pending.
    pub(super) fn responses(&self) -> impl Iterator<Item = &NamespacedName> {
        self.records.keys()
    }

    /// Whether a record of an event is pending.
    pub(super) fn has_event(&self, event: &NamespacedName) -> bool {
        self.events.contains_key(event)
    }

    /// Adds the records of a segment. Of two for one response the one with more attempts counts, and of as many the first. Returns
    /// the segments that are of no use any more.
    pub(super) fn add(&mut self, segment: SegmentId, records: Vec<NewRecord>) -> Vec<SegmentId> {
        let mut ended = Vec::new();
        self.segments.insert(segment, 0);
        for record in records {
            let NewRecord { response, event, attempts, bytes, line } = record;
            let known = self.records.get(&response);
            if known.is_some_and(|known| known.attempts >= attempts) {
                continue;
            }
            let is_being_written = known.is_some_and(|known| known.is_being_written);
            if known.is_some() {
                ended.extend(self.remove(&response));
            }
            if !is_being_written {
                self.turns.push(&response.namespace, Arc::clone(&response.name));
            }
            let (cost, place) = (RECORD_COST + bytes, Place { segment, line });
            self.shares.take(&response.namespace, cost);
            *self.segments.entry(segment).or_default() += 1;
            *self.events.entry(event_name(&response, &event)).or_default() += 1;
            let pending = Pending { event, attempts, cost, place, is_being_written, forbidden_since: None };
            self.records.insert(response, pending);
        }
        ended.extend(self.end_if_empty(segment));
        ended
    }

    /// The next record to be written out; None if there is none, or as many as `each` are being written of every namespace.
    pub(super) fn next(&mut self, each: usize) -> Option<Taken> {
        loop {
            let (namespace, name) = self.turns.next(each)?;
            let response = NamespacedName::new(Arc::clone(&namespace), name);
            match self.take(&response) {
                Some(taken) => return Some(Taken { in_turn: true, ..taken }),
                // It was expedited, or is gone.
                None => self.turns.done(&namespace),
            }
        }
    }

    /// Takes a record out of its turn; None if it is not pending, or being written.
    pub(super) fn take(&mut self, response: &NamespacedName) -> Option<Taken> {
        let pending = self.records.get_mut(response).filter(|pending| !pending.is_being_written)?;
        pending.is_being_written = true;
        let &mut Pending { attempts, place, forbidden_since, .. } = pending;
        Some(Taken { response: response.clone(), place, forbidden_since, attempts, in_turn: false })
    }

    /// Takes in what came of writing a record out. Returns its segment if that is of no use any more.
    pub(super) fn done(&mut self, taken: &Taken, written: WrittenOut) -> Option<SegmentId> {
        let response = &taken.response;
        if taken.in_turn {
            self.turns.done(&response.namespace);
        }
        let pending = self.records.get_mut(response)?;
        // Another attempt may have come meanwhile.
        if written == WrittenOut::Done && pending.attempts == taken.attempts {
            return self.remove(response);
        }
        pending.is_being_written = false;
        if let WrittenOut::Forbidden(since) = written {
            pending.forbidden_since = Some(since);
        }
        self.turns.push(&response.namespace, Arc::clone(&response.name));
        None
    }

    fn remove(&mut self, response: &NamespacedName) -> Option<SegmentId> {
        let Pending { event, cost, place, .. } = self.records.remove(response)?;
        self.shares.give_back(&response.namespace, cost);
        let event = event_name(response, &event);
        if let Some(count) = self.events.get_mut(&event) {
            *count -= 1;
            if *count == 0 {
                self.events.remove(&event);
            }
        }
        if let Some(count) = self.segments.get_mut(&place.segment) {
            *count -= 1;
        }
        self.end_if_empty(place.segment)
    }

    fn end_if_empty(&mut self, segment: SegmentId) -> Option<SegmentId> {
        let is_empty = self.segments.get(&segment) == Some(&0);
        is_empty.then(|| self.segments.remove(&segment)).map(|_| segment)
    }
}

fn event_name(response: &NamespacedName, event: &Arc<str>) -> NamespacedName {
    NamespacedName::new(Arc::clone(&response.namespace), Arc::clone(event))
}

/// What says how much the API server has to do beside writing records out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    /// How many records a second were added to the journal of late.
    pub(super) rate: f64,
    /// How long it took of late to create a segment.
    pub(super) latency: Duration,
    /// How full the journal is ([`PendingRecords::fill`]).
    pub(super) fill: f64,
}

/// How many writes that no delivery waits for may be under way at a time: records that are written out, and statuses.
///
/// While many records come, and the API server takes its time, it is left to those who create events, all of it at first; the fuller
/// the journal is, the more must go.
pub(super) fn pace(Storm { rate, latency, fill }: Storm) -> usize {
    const MOST: f64 = 64.0;
    /// An API server that is this quick has time for more.
    const QUICK: Duration = Duration::from_millis(15);
    /// Up to this part nothing else is written while many records come.
    const FIRST: f64 = 0.1;
    /// From this part on the journal is emptied faster, and at this one as fast as can be.
    const FILLS: (f64, f64) = (0.25, 0.75);
    let least = match rate {
        rate if rate <= 20.0 => MOST,
        _ if latency < QUICK => 16.0,
        rate if rate <= 100.0 => 4.0,
        _ if fill >= FIRST => 1.0,
        _ => 0.0,
    };
    let full = ((fill - FILLS.0) / (FILLS.1 - FILLS.0)).clamp(0.0, 1.0);
    // At most 64.
    (least + (MOST - least) * full).round() as usize
}

/// How many things happen a second, over the last moments.
#[derive(Debug)]
pub(super) struct Rate {
    since: Instant,
    count: usize,
    last: f64,
}

impl Rate {
    /// How long it looks back.
    const WINDOW: Duration = Duration::from_millis(250);

    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, count: 0, last: 0.0 }
    }

    /// Notes that so many have happened.
    pub(super) fn add(&mut self, count: usize, now: Instant) {
        self.roll(now);
        self.count += count;
    }

    /// How many a second: those of the last window that has ended, or of this one if they are more already.
    pub(super) fn get(&mut self, now: Instant) -> f64 {
        self.roll(now);
        self.last.max(self.count as f64 / Self::WINDOW.as_secs_f64())
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < Self::WINDOW {
            return;
        }
        let is_next = passed < 2 * Self::WINDOW;
        self.last = if is_next { self.count as f64 / passed.as_secs_f64() } else { 0.0 };
        (self.since, self.count) = (now, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JournalLimits = JournalLimits { records: 6, bytes: 6000 };

    const NONE: [SegmentId; 0] = [];

    fn record(namespace: &str, response: &str, attempts: u32, line: usize) -> NewRecord {
        let response = NamespacedName::new(namespace, response);
        NewRecord { response, event: Arc::from("event"), attempts, bytes: 100, line }
    }

    fn next(pending: &mut PendingRecords) -> Option<(String, Place)> {
        pending.next(8).map(|taken| (taken.response.name.to_string(), taken.place))
    }

    #[test]
    fn namespaces_take_turns_and_a_segment_ends_with_its_last_record() {
        let mut pending = PendingRecords::new(LIMITS);
        assert_eq!(
            pending.add(1, vec![record("a", "a1", 1, 0), record("a", "a2", 1, 1), record("b", "b1", 1, 2)]),
            NONE
        );
        assert_eq!(pending.add(2, vec![]), [2]);
        let mut taken = Vec::new();
        for expected in ["a1", "b1", "a2"] {
            let next = pending.next(8).unwrap();
            assert_eq!(&*next.response.name, expected);
            taken.push(next);
        }
        assert_eq!(pending.next(8), None);
        let ended: Vec<_> = taken.iter().map(|taken| pending.done(taken, WrittenOut::Done)).collect();
        assert_eq!(ended, [None, None, Some(1)]);
        assert_eq!((pending.count(), pending.bytes()), (0, 0));
    }

    #[test]
    fn of_two_records_for_a_response_the_one_with_more_attempts_is_written_out() {
        let mut pending = PendingRecords::new(LIMITS);
        assert_eq!(pending.add(1, vec![record("a", "r", 1, 0)]), NONE);
        // The earlier one is of no use any more, nor is a later one that tells no more.
        assert_eq!(pending.add(2, vec![record("a", "r", 2, 0)]), [1]);
        assert_eq!(pending.add(3, vec![record("a", "r", 2, 0)]), [3]);
        assert_eq!(pending.add(4, vec![record("a", "r", 1, 0)]), [4]);
        // One that comes while it is being written out is written out after it.
        let taken = pending.next(8).unwrap();
        assert_eq!(taken.place, Place { segment: 2, line: 0 });
        assert_eq!(pending.add(5, vec![record("a", "r", 3, 0)]), [2]);
        assert_eq!(next(&mut pending), None);
        assert_eq!(pending.done(&taken, WrittenOut::Done), None);
        let taken = pending.next(8).unwrap();
        assert_eq!(taken.place, Place { segment: 5, line: 0 });
        assert_eq!(pending.done(&taken, WrittenOut::Done), Some(5));
        assert_eq!(next(&mut pending), None);
    }

    #[test]
    fn what_is_not_written_out_waits_again_and_what_is_expedited_is_written_once() {
        let mut pending = PendingRecords::new(LIMITS);
        pending.add(1, vec![record("a", "a1", 1, 0), record("a", "a2", 1, 1)]);
        let expedited = pending.take(&NamespacedName::new("a", "a1")).unwrap();
        assert_eq!(pending.take(&NamespacedName::new("a", "a1")), None);
        assert_eq!(pending.take(&NamespacedName::new("b", "a1")), None);
        let taken = pending.next(8).unwrap();
        assert_eq!(&*taken.response.name, "a2");
        assert_eq!(pending.next(8), None);
        let since = Instant::now();
        assert_eq!(pending.done(&taken, WrittenOut::Forbidden(since)), None);
        let again = pending.next(8).unwrap();
        assert_eq!((&*again.response.name, again.forbidden_since), ("a2", Some(since)));
        assert_eq!(pending.done(&again, WrittenOut::Done), None);
        assert!(pending.has_event(&NamespacedName::new("a", "event")));
        assert_eq!(pending.done(&expedited, WrittenOut::Done), Some(1));
        assert!(!pending.has_event(&NamespacedName::new("a", "event")));
    }

    #[test]
    fn what_is_pending_is_bounded_and_a_namespace_leaves_room_for_who_comes_next() {
        let mut pending = PendingRecords::new(JournalLimits { records: 100, bytes: 4000 });
        let mut added = 0;
        while pending.has_room("a", 100) {
            pending.add(added, vec![record("a", &format!("r{added}"), 1, 0)]);
            added += 1;
        }
        assert_eq!((added, pending.bytes()), (7, 2800));
        assert!(pending.has_room("b", 100));
        let mut few = PendingRecords::new(JournalLimits { records: 1, bytes: 4000 });
        few.add(1, vec![record("a", "r", 1, 0)]);
        assert!(!few.has_room("b", 100));
        assert!(few.fill() >= 1.0);
    }

    #[test]
    fn few_writes_go_while_many_records_come_and_more_the_fuller_the_journal_is() {
        let cases = [
            (500.0, 50, 0.0, 0),
            (500.0, 50, 0.1, 1),
            (500.0, 50, 0.25, 1),
            (500.0, 50, 0.5, 33),
            (500.0, 50, 0.75, 64),
            (500.0, 50, 2.0, 64),
            (500.0, 5, 0.0, 16),
            (50.0, 50, 0.1, 4),
            (50.0, 5, 0.1, 16),
            (5.0, 50, 0.1, 64),
            (0.0, 50, 0.0, 64),
        ];
        for (rate, latency, fill, expected) in cases {
            let storm = Storm { rate, latency: Duration::from_millis(latency), fill };
            assert_eq!(pace(storm), expected, "{storm:?}");
        }
    }

    #[test]
    fn a_rate_is_that_of_the_last_moments() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::new(start);
        rate.add(50, at(10));
        assert!((rate.get(at(20)) - 200.0).abs() < 1e-9);
        assert!((rate.get(at(250)) - 200.0).abs() < 1e-9);
        rate.add(100, at(260));
        assert!((rate.get(at(270)) - 400.0).abs() < 1e-9);
        assert!((rate.get(at(500)) - 400.0).abs() < 1e-9);
        assert!(rate.get(at(1100)).abs() < 1e-9);
    }
}
