//! Tells people who look at a Webhook, an Integration or an AlertGroup what went wrong with it: as Events, which `kubectl describe` shows.
//!
//! ```text
//! a status was written (news) ───────────────► announce ─► (the namespace's share) ─► queue ─► one Event at a time
//! a delivery failed for good ─► gave_up ─► tally ───┘
//! ```
//! Whatever happens in a namespace, no more than [`MOST`] Events are written of it in [`PERIOD`]; what is over is dropped. So is what
//! can't be written: conditions, WebhookResponses and the log tell the same.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    core::PartialObjectMeta,
    runtime::events::{Event, EventType},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use super::FIELD_MANAGER;
use crate::{
    kubernetes::{
        events::{EventWriter, SAME_WITHIN},
        name::NamespacedName,
        objects::Objects,
    },
    resources::{AlertGroup, Integration, Webhook, conditions::News},
};

/// How many Events are written of the objects of a namespace, in all and in this time.
const MOST: u32 = 30;
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// How many Events wait to be written.
const QUEUE: usize = 256;
/// The time between two of them.
const PACE: Duration = Duration::from_millis(50);
/// What failed for good is told so soon after the first time, and then no more often than the second says: as Events of their own.
const TOLD: Duration = Duration::from_secs(5);
const TOLD_AGAIN: Duration = SAME_WITHIN.saturating_add(Duration::from_secs(10));
/// How many objects are known of which deliveries have failed; and how many of them may be AlertGroups.
const TALLIES: (usize, usize) = (10_000, 5_000);
/// How many of these are told of at a time, so that the queue has room for what others announce.
const AT_A_TIME: usize = 64;

/// A kind of object that Events are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Webhook,
    Integration,
    AlertGroup,
}

/// What an Event is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) name: NamespacedName,
    /// Not known of an AlertGroup.
    pub(crate) uid: Option<Arc<str>>,
}

impl Subject {
    fn reference(&self) -> ObjectReference {
        let (kind, api_version) = match self.kind {
            Kind::Webhook => (Webhook::kind(&()), Webhook::api_version(&())),
            Kind::Integration => (Integration::kind(&()), Integration::api_version(&())),
            Kind::AlertGroup => (AlertGroup::kind(&()), AlertGroup::api_version(&())),
        };
        ObjectReference {
            api_version: Some(api_version.into_owned()),
            kind: Some(kind.into_owned()),
            namespace: Some(self.name.namespace.to_string()),
            name: Some(self.name.name.to_string()),
            uid: self.uid.as_deref().map(str::to_owned),
            ..ObjectReference::default()
        }
    }
}

/// What is to be told of an object.
type Announcement = (Subject, News);

/// Takes in what is to be told. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub(crate) struct Announcer {
    queue: mpsc::Sender<Announcement>,
    shares: Arc<Mutex<Shares>>,
    tallies: Arc<Mutex<Tallies>>,
}

impl Announcer {
    /// Also returns what is to be written.
    pub(crate) fn new() -> (Self, Announcements) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let announcer = Self { queue, shares: Arc::default(), tallies: Arc::default() };
        (announcer.clone(), Announcements { waiting, announcer })
    }

    /// Tells something of an object, if its namespace has something left of its share.
    pub(crate) fn announce(&self, subject: &Subject, news: News) {
        let is_let = self.shares.lock().take(&subject.name.namespace, Instant::now());
        // Where many wait, they tell enough.
        if !is_let || self.queue.try_send((subject.clone(), news)).is_err() {
            tracing::debug!(subject = ?subject, "an Event is dropped: there are too many");
        }
    }

    /// Notes that a delivery failed for good, for each of these objects: `last` says which.
    pub(crate) fn gave_up(&self, subjects: impl IntoIterator<Item = Subject>, last: &str) {
        let mut tallies = self.tallies.lock();
        subjects.into_iter().for_each(|subject| tallies.note(subject, last));
    }

    fn tell_tallies(&self) {
        let due = self.tallies.lock().take_due(Instant::now());
        due.into_iter().for_each(|(subject, news)| self.announce(&subject, news));
    }
}

/// How many Events were written of each namespace, and since when.
#[derive(Debug, Default)]
struct Shares(HashMap<Arc<str>, (Instant, u32)>);

impl Shares {
    /// Whether one more may be written.
    fn take(&mut self, namespace: &Arc<str>, now: Instant) -> bool {
        self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < PERIOD);
        let (_, written) = self.0.entry(Arc::clone(namespace)).or_insert((now, 0));
        *written += 1;
        *written <= MOST
    }
}

/// How many deliveries of an object failed for good that was not told yet, and when it last was.
#[derive(Debug)]
struct Tally {
    count: u32,
    last: String,
    since: Instant,
    told: Option<Instant>,
}

#[derive(Debug, Default)]
struct Tallies(HashMap<Subject, Tally>);

impl Tallies {
    fn note(&mut self, subject: Subject, last: &str) {
        self.note_at(subject, last, Instant::now());
    }

    fn note_at(&mut self, subject: Subject, last: &str, now: Instant) {
        let most = if subject.kind == Kind::AlertGroup { TALLIES.1 } else { TALLIES.0 };
        if self.0.len() >= most && !self.0.contains_key(&subject) {
            return;
        }
        let tally =
            self.0.entry(subject).or_insert_with(|| Tally { count: 0, last: String::new(), since: now, told: None });
        if tally.count == 0 {
            tally.since = now;
        }
        tally.count = tally.count.saturating_add(1);
        last.clone_into(&mut tally.last);
    }

    /// What is to be told now, of webhooks first. Objects of which nothing has failed for long are forgotten.
    fn take_due(&mut self, now: Instant) -> Vec<Announcement> {
        let since = |then: Instant| now.saturating_duration_since(then);
        let may_tell = |tally: &Tally| tally.told.map_or(since(tally.since) >= TOLD, |told| since(told) >= TOLD_AGAIN);
        self.0.retain(|_, tally| tally.count > 0 || !may_tell(tally));
        let mut due: Vec<(&Subject, &mut Tally)> =
            self.0.iter_mut().filter(|(_, tally)| tally.count > 0 && may_tell(tally)).collect();
        due.sort_by_key(|(subject, tally)| (subject.kind == Kind::AlertGroup, tally.since));
        due.truncate(AT_A_TIME);
        let tell = |(subject, tally): (&Subject, &mut Tally)| {
            let note = match tally.count {
                1 => format!("A delivery failed for good: {}", tally.last),
                count => format!(
                    "{count} deliveries failed for good within {} s; the last: {}",
                    since(tally.since).as_secs(),
                    tally.last
                ),
            };
            (tally.count, tally.told) = (0, Some(now));
            let news = News { is_warning: true, type_: "", reason: "GaveUp", action: "Deliver".to_owned(), note };
            (subject.clone(), news)
        };
        due.into_iter().map(tell).collect()
    }
}

/// What is to be written.
pub(crate) struct Announcements {
    waiting: mpsc::Receiver<Announcement>,
    announcer: Announcer,
}

impl Announcements {
    /// Writes Events. Never returns.
    pub(crate) async fn write(mut self, client: Client, objects: Objects) {
        let mut tick = interval(TOLD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writers = Writers { client, objects, of_namespace: HashMap::new() };
        loop {
            tokio::select! {
                Some((subject, news)) = self.waiting.recv() => {
                    writers.write(subject, news).await;
                    sleep(PACE).await;
                }
                _ = tick.tick() => self.announcer.tell_tallies(),
            }
        }
    }
}

/// Those who write Events, one for each namespace.
struct Writers {
    client: Client,
    objects: Objects,
    of_namespace: HashMap<Arc<str>, NamespaceWriter>,
}

struct NamespaceWriter {
    writer: EventWriter,
    told: Told,
}

/// What an Event is about: one replaces another of the same.
type Topic = (Subject, &'static str);

/// What was last told of each object, and when.
#[derive(Debug, Default)]
struct Told(HashMap<Topic, (News, Instant)>);

/// What is to be done with news.
#[derive(Debug, PartialEq, Eq)]
enum Telling {
    /// It was told a moment ago: a status is judged again before the watch has shown it.
    Known,
    /// It counts as the same Event as one that was told before, if it is.
    Tell,
    /// One that was told before has its reason and another note: it is an Event of its own.
    TellAnew,
}

/// Within this time the same news of an object is no news: what is well between two troubles is told too.
const KNOWN: Duration = Duration::from_secs(60);

impl Told {
    fn tell(&mut self, subject: &Subject, news: &News, now: Instant) -> Telling {
        self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < SAME_WITHIN);
        let before = self.0.get(&(subject.clone(), news.type_));
        let telling = match before {
            Some((old, at)) if old == news && !news.type_.is_empty() && now.saturating_duration_since(*at) < KNOWN => {
                return Telling::Known;
            }
            Some((old, _)) if (old.reason, &old.action) == (news.reason, &news.action) && old.note != news.note => {
                Telling::TellAnew
            }
            _ => Telling::Tell,
        };
        self.0.insert((subject.clone(), news.type_), (news.clone(), now));
        telling
    }
}

impl Writers {
    async fn write(&mut self, mut subject: Subject, news: News) {
        if subject.uid.is_none() {
            let Some(uid) = self.uid_of_group(&subject.name).await else { return };
            subject.uid = Some(uid);
        }
        let now = Instant::now();
        self.of_namespace.retain(|namespace, of| {
            *namespace == subject.name.namespace
                || of.told.0.values().any(|(_, at)| now.saturating_duration_since(*at) < SAME_WITHIN)
        });
        let new = || EventWriter::new(self.client.clone(), FIELD_MANAGER);
        let of_namespace = self
            .of_namespace
            .entry(Arc::clone(&subject.name.namespace))
            .or_insert_with(|| NamespaceWriter { writer: new(), told: Told::default() });
        match of_namespace.told.tell(&subject, &news, now) {
            Telling::Known => return,
            Telling::Tell => {}
            // The Recorder would count it with the old note.
            Telling::TellAnew => of_namespace.writer = new(),
        }
        let event = Event {
            type_: if news.is_warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason.to_owned(),
            note: Some(news.note),
            action: news.action,
            secondary: None,
        };
        of_namespace.writer.write(event, &subject.reference()).await;
    }

    /// The uid of an AlertGroup; None if it is gone, or can't be read.
    async fn uid_of_group(&self, NamespacedName { namespace, name }: &NamespacedName) -> Option<Arc<str>> {
        let found = self.objects.get_part::<AlertGroup, PartialObjectMeta<AlertGroup>>(namespace, name).await;
        found.ok()??.metadata.uid.map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject { kind: Kind::Webhook, name: NamespacedName::new("team", name), uid: Some(Arc::from("1")) }
    }

    fn news(reason: &'static str, note: &str) -> News {
        News { is_warning: true, type_: "Ready", reason, action: "TemplateError".to_owned(), note: note.to_owned() }
    }

    #[test]
    fn a_namespace_has_its_share_of_events_and_takes_none_of_anothers() {
        let (mut shares, begin) = (Shares::default(), Instant::now());
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        let let_ = |shares: &mut Shares, namespace, now| (0..2 * MOST).filter(|_| shares.take(namespace, now)).count();
        assert_eq!(let_(&mut shares, &one, begin), 30);
        assert_eq!(let_(&mut shares, &other, begin), 30);
        assert_eq!(let_(&mut shares, &one, begin + PERIOD - Duration::from_secs(1)), 0);
        assert_eq!(let_(&mut shares, &one, begin + PERIOD), 30);
        assert_eq!(shares.0.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn what_failed_for_good_is_told_soon_and_then_all_that_failed_since_at_once() {
        let (mut tallies, begin) = (Tallies::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let told = |tallies: &mut Tallies, now| {
            let due = tallies.take_due(at(now));
            due.into_iter().map(|(subject, news)| format!("{}: {}", subject.name.name, news.note)).collect::<Vec<_>>()
        };
        tallies.note_at(subject("jira"), "WebhookResponse a", at(0));
        tallies.note_at(subject("jira"), "WebhookResponse b", at(2));
        tallies.note_at(subject("slack"), "WebhookResponse c", at(3));
        assert_eq!(told(&mut tallies, 4), Vec::<String>::new());
        assert_eq!(
            told(&mut tallies, 7),
            ["jira: 2 deliveries failed for good within 7 s; the last: WebhookResponse b"]
        );
        assert_eq!(told(&mut tallies, 8), ["slack: A delivery failed for good: WebhookResponse c"]);
        for second in 10..300 {
            tallies.note_at(subject("jira"), "WebhookResponse d", at(second));
        }
        assert_eq!(told(&mut tallies, 376), Vec::<String>::new());
        let all = "jira: 290 deliveries failed for good within 367 s; the last: WebhookResponse d";
        assert_eq!(told(&mut tallies, 377), [all]);
        assert_eq!(told(&mut tallies, 1000), Vec::<String>::new());
        assert!(tallies.0.is_empty());
    }

    #[test]
    fn webhooks_are_told_of_before_alert_groups_and_all_a_part_at_a_time() {
        let (mut tallies, begin) = (Tallies::default(), Instant::now());
        for number in 0..AT_A_TIME {
            let group = Subject { kind: Kind::AlertGroup, uid: None, ..subject(&number.to_string()) };
            tallies.note_at(group, "WebhookResponse a", begin);
        }
        tallies.note_at(subject("jira"), "WebhookResponse a", begin + Duration::from_secs(1));
        let due = tallies.take_due(begin + TOLD * 2);
        assert_eq!((due.len(), due[0].0.clone()), (AT_A_TIME, subject("jira")));
        assert_eq!(tallies.take_due(begin + TOLD * 2).len(), 1);
    }

    #[test]
    fn the_same_news_is_told_once_and_another_note_is_another_event() {
        let (mut told, now) = (Told::default(), Instant::now());
        let later = now + KNOWN;
        let mut tell = |name, news: &News, now| told.tell(&subject(name), news, now);
        assert_eq!(tell("jira", &news("NotReady", "line 2"), now), Telling::Tell);
        assert_eq!(tell("jira", &news("NotReady", "line 2"), now), Telling::Known);
        assert_eq!(tell("slack", &news("NotReady", "line 2"), now), Telling::Tell);
        assert_eq!(tell("jira", &news("NotReady", "line 5"), now), Telling::TellAnew);
        assert_eq!(tell("jira", &news("Ready", "It works"), now), Telling::Tell);
        assert_eq!(tell("jira", &news("NotReady", "line 5"), now), Telling::Tell);
        assert_eq!(tell("jira", &news("NotReady", "line 5"), later), Telling::Tell, "it is counted");
    }
}
