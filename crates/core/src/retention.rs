//! Which finished events and responses are removed: what is known of all of them in, what is to be deleted out.
//!
//! ```text
//! events ────┐   past its age, or not among the newest      nothing needs it
//! responses ─┴──────────────────────────────────────► and ───────────────────► plan, oldest first
//! ```
//! A response that is not finished and whose event is gone will never be: [`mark_abandoned`] takes it for finished.
//!
//! What needs an object wins over every limit. A plan changes nothing of that: when it is carried out, or a part of it, the next
//! one asks for the rest and no more.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::Duration,
};

use jiff::Timestamp;

/// How long what was asked to be sent again is kept, with what belongs to it, whatever the limits.
pub const REDELIVERY_WINDOW: Duration = Duration::from_secs(3600);

/// A bound, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionLimit<T> {
    /// So much and no more; with zero, nothing is kept but what is needed.
    AtMost(T),
    /// No bound.
    Unlimited,
}

impl<T: PartialOrd> RetentionLimit<T> {
    fn allows(&self, value: &T) -> bool {
        match self {
            Self::AtMost(most) => value < most,
            Self::Unlimited => true,
        }
    }
}

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// How long an event is kept after its end.
    pub events_for: RetentionLimit<Duration>,
    /// How many finished events of a namespace are kept.
    pub events: RetentionLimit<usize>,
    /// How long a response is kept after its end.
    pub responses_for: RetentionLimit<Duration>,
    /// How long after an alert group was last seen the latest response of each webhook for it is kept, whatever the other
    /// limits: templates read it.
    pub latest_for: Duration,
    /// How long everything is kept after its end, whatever the other limits, so that people see it and so that it is not needed
    /// by what is just going on.
    pub rest: Duration,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What tells it from others that had its name.
    pub uid: String,
    /// Its resource version: what is deleted is what was looked at.
    pub version: String,
    /// When it was created.
    pub created: Timestamp,
    /// When its status was last written: for what is finished, its end.
    pub recorded: Timestamp,
    /// Nothing is to be done about it any more.
    pub finished: bool,
    /// When it was asked to be sent again, if it was; no sooner than that.
    pub asked: Option<Timestamp>,
    /// It is not ours to remove: a tool would make it again, or it is being removed already.
    pub kept: bool,
}

impl StoredObject {
    fn key(&self) -> NamespacedName<'_> {
        (&self.namespace, &self.name)
    }

    /// Orders objects from the one that was recorded first to the one that was recorded last.
    fn rank(&self) -> (Timestamp, u64, NamespacedName<'_>) {
        (self.recorded, self.number(), self.key())
    }

    /// Orders objects by their creation.
    fn creation_rank(&self) -> (Timestamp, u64, NamespacedName<'_>) {
        (self.created, self.number(), self.key())
    }

    /// Times are whole seconds; versions are numbers that grow.
    fn number(&self) -> u64 {
        self.version.parse().unwrap_or_default()
    }

    fn is_asked(&self, now: Timestamp) -> bool {
        self.asked.is_some_and(|asked| asked > before(now, REDELIVERY_WINDOW))
    }
}

/// An AlertGroupEvent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// What every object has.
    pub object: StoredObject,
    /// Its alert group, in the letters of a response's.
    pub group: String,
}

/// A WebhookResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// What every object has.
    pub object: StoredObject,
    /// Name of its Webhook.
    pub webhook: String,
    /// Name of its AlertGroupEvent.
    pub event: String,
    /// Its alert group, in the letters of an event's.
    pub group: String,
}

/// What is to be deleted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalPlan<'a> {
    /// Of the events.
    pub events: Vec<&'a StoredObject>,
    /// Of the responses.
    pub responses: Vec<&'a StoredObject>,
}

/// Namespace, and a name in it.
type NamespacedName<'a> = (&'a str, &'a str);

/// Takes responses for finished that nobody goes on with: their events are gone, and nothing was recorded of them for a while.
///
/// As for [`plan`], all events that there were after the responses were looked at must be among `events`.
pub fn mark_abandoned(
    now: Timestamp,
    policy: &RetentionPolicy,
    events: &[StoredEvent],
    responses: &mut [StoredResponse],
) {
    let there: HashSet<NamespacedName> = events.iter().map(|event| event.object.key()).collect();
    let rested = before(now, policy.rest);
    for StoredResponse { object, event, .. } in responses {
        object.finished |= object.recorded <= rested && !there.contains(&(&*object.namespace, event));
    }
}

/// What is to be deleted now. `keep` says how many finished responses of a webhook are kept, by namespace and name.
///
/// All events that there were after the responses were looked at must be among `events`: the response of an event that is not
/// finished tells that it was sent.
pub fn plan<'a>(
    now: Timestamp,
    policy: &RetentionPolicy,
    events: &'a [StoredEvent],
    responses: &'a [StoredResponse],
    keep: impl Fn(&str, &str) -> RetentionLimit<usize>,
) -> RemovalPlan<'a> {
    let at_work = |object: &StoredObject| !object.finished || object.is_asked(now);
    let needed_events: HashSet<NamespacedName> = responses
        .iter()
        .filter(|response| at_work(&response.object))
        .map(|response| (&*response.object.namespace, &*response.event))
        .chain(events.iter().filter(|event| at_work(&event.object)).map(|event| event.object.key()))
        .collect();
    let groups = groups(events, responses);
    let recent = before(now, policy.latest_for);
    let latest = latest(responses, |key| groups.get(&key).is_some_and(|group| group.is_seen(recent)));
    let witnesses: HashSet<NamespacedName> = groups.values().filter_map(|group| group.witness(recent)).collect();

    let rested = before(now, policy.rest);
    let stays = |object: &StoredObject| object.kept || at_work(object) || object.recorded > rested;
    RemovalPlan {
        events: removable(
            events.iter().map(|event| {
                let key = event.object.key();
                let needed = stays(&event.object) || needed_events.contains(&key) || witnesses.contains(&key);
                (key.0, &event.object, needed)
            }),
            |_| policy.events,
            oldest(now, policy.events_for),
        ),
        responses: removable(
            responses.iter().map(|response| {
                let (namespace, name) = response.object.key();
                let needed = stays(&response.object)
                    || needed_events.contains(&(namespace, &*response.event))
                    || latest.contains(&(namespace, name));
                ((namespace, &*response.webhook), &response.object, needed)
            }),
            |(namespace, webhook)| keep(namespace, webhook),
            oldest(now, policy.responses_for),
        ),
    }
}

/// Of the finished objects of each scope, what is older than `oldest` or not among the newest, and not needed.
fn removable<'a, S: Eq + Hash>(
    objects: impl Iterator<Item = (S, &'a StoredObject, bool)>,
    number: impl Fn(&S) -> RetentionLimit<usize>,
    oldest: Timestamp,
) -> Vec<&'a StoredObject> {
    let mut scopes: HashMap<S, Vec<(&StoredObject, bool)>> = HashMap::new();
    for (scope, object, needed) in objects.filter(|(_, object, _)| object.finished) {
        scopes.entry(scope).or_default().push((object, needed));
    }
    let mut removable = Vec::new();
    for (scope, mut objects) in scopes {
        objects.sort_unstable_by(|(one, _), (other, _)| other.rank().cmp(&one.rank()));
        let number = number(&scope);
        let newest_first = objects.into_iter().enumerate();
        removable.extend(
            newest_first
                .filter(|(place, (object, needed))| !needed && (object.recorded < oldest || !number.allows(place)))
                .map(|(_, (object, _))| object),
        );
    }
    removable.sort_unstable_by_key(|object| object.rank());
    removable
}

/// What is known of an alert group.
#[derive(Default)]
struct GroupActivity<'a> {
    /// Something of it is not finished.
    at_work: bool,
    /// When a response of it was last recorded.
    responded: Option<Timestamp>,
    /// The event that was recorded last.
    event: Option<&'a StoredObject>,
}

impl<'a> GroupActivity<'a> {
    fn is_seen(&self, recent: Timestamp) -> bool {
        self.at_work
            || self.responded.is_some_and(|responded| responded >= recent)
            || self.event.is_some_and(|event| event.recorded >= recent)
    }

    /// The event that alone tells that the group was seen: without it, the next plan would not know.
    fn witness(&self, recent: Timestamp) -> Option<NamespacedName<'a>> {
        let responded = self.responded?;
        self.event
            .filter(|event| !self.at_work && responded < recent && event.recorded >= recent)
            .map(StoredObject::key)
    }
}

fn groups<'a>(
    events: &'a [StoredEvent],
    responses: &'a [StoredResponse],
) -> HashMap<NamespacedName<'a>, GroupActivity<'a>> {
    let mut groups: HashMap<NamespacedName, GroupActivity> = HashMap::new();
    for StoredResponse { object, group, .. } in responses {
        let group = groups.entry((&object.namespace, group)).or_default();
        group.at_work |= !object.finished;
        group.responded = group.responded.max(Some(object.recorded));
    }
    for StoredEvent { object, group } in events {
        let group = groups.entry((&object.namespace, group)).or_default();
        group.at_work |= !object.finished;
        if group.event.is_none_or(|last| last.rank() < object.rank()) {
            group.event = Some(object);
        }
    }
    groups
}

/// The latest finished response of each webhook for each alert group that is seen: the one that was recorded last and the
/// one that was created last, which differ where an older one was tried for longer.
fn latest<'a>(
    responses: &'a [StoredResponse],
    is_seen: impl Fn(NamespacedName<'a>) -> bool,
) -> HashSet<NamespacedName<'a>> {
    let mut latest: HashMap<(NamespacedName, &str), (&StoredObject, &StoredObject)> = HashMap::new();
    for StoredResponse { object, webhook, group, .. } in responses {
        let group: NamespacedName = (&object.namespace, group);
        if !object.finished || !is_seen(group) {
            continue;
        }
        let (recorded, created) = latest.entry((group, webhook)).or_insert((object, object));
        if recorded.rank() < object.rank() {
            *recorded = object;
        }
        if created.creation_rank() < object.creation_rank() {
            *created = object;
        }
    }
    latest.into_values().flat_map(|(recorded, created)| [recorded.key(), created.key()]).collect()
}

/// What was recorded before this is older than `age` allows.
fn oldest(now: Timestamp, age: RetentionLimit<Duration>) -> Timestamp {
    match age {
        RetentionLimit::AtMost(age) => before(now, age),
        RetentionLimit::Unlimited => Timestamp::MIN,
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
