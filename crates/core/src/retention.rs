//! Decides which finished events and responses are removed. What is known of all of them comes in; a plan of what to delete
//! goes out.
//!
//! ```text
//! alert groups ─┐
//! events ───────┤   past its age, or not among the newest      nothing needs it
//! responses ────┴──────────────────────────────────────► and ───────────────────► plan, oldest first
//! ```
//! An alert group that is not resolved stays, with the latest response of each webhook for it, whatever its age: what resolves it may
//! need them.
//!
//! A response whose event is gone will never be finished: [`mark_abandoned`] marks it as finished.
//!
//! An object that something needs stays, whatever the limits. Carrying out a plan, or a part of it, changes nothing about
//! that: the next plan asks for the rest, and for no more.

mod wiping;

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::Duration,
};

use jiff::Timestamp;

pub use self::wiping::{FoldableEvent, Remains, WipedGroup, remains};

/// How long an object stays after someone asked to send it again, with the objects that belong to it, whatever the limits.
pub const REDELIVERY_WINDOW: Duration = Duration::from_secs(3600);

/// A bound on a number or an age, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionLimit<T> {
    /// At most this. With zero, only objects that something needs are kept.
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

/// How much is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// How long an event is kept after its end.
    pub events_for: RetentionLimit<Duration>,
    /// How many finished events of a namespace are kept.
    pub events: RetentionLimit<usize>,
    /// How long a response is kept after its end.
    pub responses_for: RetentionLimit<Duration>,
    /// How long an alert group is kept after it was last written, once it is resolved.
    pub alert_groups_for: RetentionLimit<Duration>,
    /// How many resolved alert groups of a namespace are kept.
    pub alert_groups: RetentionLimit<usize>,
    /// How long after an alert group was last seen the latest response of each webhook for it is kept, whatever the other
    /// limits: templates read it.
    pub latest_for: Duration,
    /// How long every object is kept after its end, whatever the other limits: people see it, and nothing that is going on
    /// at the moment needs it any more after that.
    pub grace: Duration,
}

/// An object in the API server, as far as retention needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, which tells it from other objects that had its name.
    pub uid: String,
    /// Its resource version: only the version that was looked at is deleted.
    pub resource_version: String,
    /// When it was created.
    pub created: Timestamp,
    /// When its status was last written: if it is finished, its end.
    pub recorded: Timestamp,
    /// Whether nothing is left to do about it.
    pub finished: bool,
    /// When someone asked to send it again, or later than that. None if nobody did.
    pub redelivery_requested: Option<Timestamp>,
    /// Whether it is not ours to remove: a tool would create it again, or it is being removed already.
    pub protected: bool,
}

impl StoredObject {
    fn key(&self) -> ScopedName<'_> {
        (&self.namespace, &self.name)
    }

    /// Orders objects from the one that was recorded first to the one that was recorded last.
    fn rank(&self) -> (Timestamp, u64, ScopedName<'_>) {
        (self.recorded, self.version_number(), self.key())
    }

    /// Orders objects from the one that was created first to the one that was created last.
    fn creation_rank(&self) -> (Timestamp, u64, ScopedName<'_>) {
        (self.created, self.version_number(), self.key())
    }

    /// Orders objects of the same second: resource versions are numbers that grow.
    fn version_number(&self) -> u64 {
        self.resource_version.parse().unwrap_or_default()
    }

    /// Whether it is not finished, or is to be sent again.
    fn is_open(&self, now: Timestamp) -> bool {
        let window = before(now, REDELIVERY_WINDOW);
        !self.finished || self.redelivery_requested.is_some_and(|requested| requested > window)
    }
}

/// An AlertGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlertGroup {
    /// The part that every object has. It is finished once it is resolved.
    pub object: StoredObject,
    /// Its id, in the spelling that responses use.
    pub group: String,
}

/// An AlertGroupEvent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The part that every object has.
    pub object: StoredObject,
    /// Its alert group, in the spelling that responses use.
    pub group: String,
}

/// A WebhookResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// The part that every object has.
    pub object: StoredObject,
    /// Name of its Webhook.
    pub webhook: String,
    /// Name of its AlertGroupEvent.
    pub event: String,
    /// Its alert group, in the spelling that events use.
    pub group: String,
}

/// The objects to delete, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalPlan<'a> {
    /// AlertGroupEvents to delete.
    pub events: Vec<&'a StoredObject>,
    /// WebhookResponses to delete.
    pub responses: Vec<&'a StoredObject>,
    /// AlertGroups to delete.
    pub alert_groups: Vec<&'a StoredObject>,
}

/// A namespace, and the name of an object or an alert group in it.
type ScopedName<'a> = (&'a str, &'a str);

/// Marks responses as finished that nobody goes on with: their events are gone, and nothing was recorded of them for a while.
///
/// As for [`plan`], list the responses first: `events` must hold every event that existed after that.
pub fn mark_abandoned(
    now: Timestamp,
    policy: &RetentionPolicy,
    events: &[StoredEvent],
    responses: &mut [StoredResponse],
) {
    let there: HashSet<ScopedName> = events.iter().map(|event| event.object.key()).collect();
    let rested = before(now, policy.grace);
    for StoredResponse { object, event, .. } in responses {
        object.finished |= object.recorded <= rested && !there.contains(&(&*object.namespace, event));
    }
}

/// All that is stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredObjects<'a> {
    /// The events.
    pub events: &'a [StoredEvent],
    /// The responses.
    pub responses: &'a [StoredResponse],
    /// The alert groups.
    pub alert_groups: &'a [StoredAlertGroup],
}

/// Returns the objects to delete now. `keep` says how many finished responses of a webhook are kept, by its namespace and
/// name.
///
/// List the responses first: `events` must hold every event that existed after that. As long as an event is not finished,
/// its responses tell what was sent of it already, and stay.
pub fn plan<'a>(
    now: Timestamp,
    policy: &RetentionPolicy,
    StoredObjects { events, responses, alert_groups }: StoredObjects<'a>,
    keep: impl Fn(&str, &str) -> RetentionLimit<usize>,
) -> RemovalPlan<'a> {
    let needed_events: HashSet<ScopedName> = responses
        .iter()
        .filter(|response| response.object.is_open(now))
        .map(|response| (&*response.object.namespace, &*response.event))
        .chain(events.iter().filter(|event| event.object.is_open(now)).map(|event| event.object.key()))
        .collect();
    let groups = groups(events, responses, alert_groups);
    let recent = before(now, policy.latest_for);
    let latest = latest(responses, |key| groups.get(&key).is_some_and(|group| group.is_seen(recent)));
    let witnesses: HashSet<ScopedName> = groups.values().filter_map(|group| group.witness(recent)).collect();

    let rested = before(now, policy.grace);
    let stays = |object: &StoredObject| object.protected || object.is_open(now) || object.recorded > rested;
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
        alert_groups: removable(
            alert_groups.iter().map(|StoredAlertGroup { object, group }| {
                // What is going on with it tells of it.
                let is_busy = groups.get(&(&*object.namespace, &**group)).is_some_and(|group| group.unfinished);
                (&*object.namespace, object, stays(object) || is_busy)
            }),
            |_| policy.alert_groups,
            oldest(now, policy.alert_groups_for),
        ),
    }
}

/// The finished objects that are older than `oldest` or not among the `number` newest of their scope. Each object comes with
/// its scope and whether something needs it; if so, it stays.
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

/// Tells when an alert group was last seen.
#[derive(Default)]
struct GroupActivity<'a> {
    /// Whether it, or an event or a response of it, is not finished.
    unfinished: bool,
    /// When a response of it was last recorded.
    last_response: Option<Timestamp>,
    /// The event of it that was recorded last.
    last_event: Option<&'a StoredObject>,
}

impl<'a> GroupActivity<'a> {
    /// Whether the group was seen at `recent` or later, or is being worked on.
    fn is_seen(&self, recent: Timestamp) -> bool {
        self.unfinished
            || self.last_response.is_some_and(|responded| responded >= recent)
            || self.last_event.is_some_and(|event| event.recorded >= recent)
    }

    /// The event that is the only sign that the group was seen lately. Without it, the next plan would not know.
    fn witness(&self, recent: Timestamp) -> Option<ScopedName<'a>> {
        let responded = self.last_response?;
        self.last_event
            .filter(|event| !self.unfinished && responded < recent && event.recorded >= recent)
            .map(StoredObject::key)
    }
}

fn groups<'a>(
    events: &'a [StoredEvent],
    responses: &'a [StoredResponse],
    alert_groups: &'a [StoredAlertGroup],
) -> HashMap<ScopedName<'a>, GroupActivity<'a>> {
    let mut groups: HashMap<ScopedName, GroupActivity> = HashMap::new();
    for StoredAlertGroup { object, group } in alert_groups.iter().filter(|group| !group.object.finished) {
        groups.entry((&object.namespace, group)).or_default().unfinished = true;
    }
    for StoredResponse { object, group, .. } in responses {
        let group = groups.entry((&object.namespace, group)).or_default();
        group.unfinished |= !object.finished;
        group.last_response = group.last_response.max(Some(object.recorded));
    }
    for StoredEvent { object, group } in events {
        let group = groups.entry((&object.namespace, group)).or_default();
        group.unfinished |= !object.finished;
        if group.last_event.is_none_or(|last| last.rank() < object.rank()) {
            group.last_event = Some(object);
        }
    }
    groups
}

/// The latest finished response of each webhook for each alert group that was seen: both the one that was recorded last and
/// the one that was created last. They differ if an older delivery was tried for longer.
fn latest<'a>(responses: &'a [StoredResponse], is_seen: impl Fn(ScopedName<'a>) -> bool) -> HashSet<ScopedName<'a>> {
    let mut latest: HashMap<(ScopedName, &str), (&StoredObject, &StoredObject)> = HashMap::new();
    for StoredResponse { object, webhook, group, .. } in responses {
        let group: ScopedName = (&object.namespace, group);
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

/// The time before which objects are older than `age` allows.
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
