//! Reads the events of a namespace that wait in the API server, oldest first.
//!
//! ```text
//! list metadata, in small pages ─► the oldest after a position ─► get each ─► events, and the position of the next one
//! ```
//! The API server lists objects by name. So all that wait are listed, and few of them kept at a time.

use std::{collections::BTreeSet, time::Duration};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, ObjectMeta};

use crate::{
    core::lifecycle::{BACKLOG_READS, Position},
    errors::error_chain,
    kubernetes::{
        lenient::Lenient,
        objects::{self, Objects},
        resource_version::{ResourceVersion, created_in, version_in},
    },
    resources::{AlertGroupEvent, REDELIVER_ANNOTATION},
};

/// How many events are read at a time: each may be as large as etcd takes.
const READS: usize = 4;

/// Those that have not ended.
const OPEN: &str = "status.phase!=Completed";

/// Those that have: of these, people may have asked for some to be sent again.
const COMPLETED: &str = "status.phase=Completed";

/// How long to wait before what can't be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(2);

/// Names of events, oldest first, and the position of the next one; None if there is none.
pub(crate) type Found = (Vec<String>, Option<Position>);

/// Finds the oldest events of a namespace that have not ended, or are to be sent again, if there may be some of these, from a
/// position on. Tries until it can.
pub(crate) async fn find(objects: &Objects, namespace: &str, after: &Position, with_completed: bool) -> Found {
    loop {
        match try_find(objects, namespace, after, with_completed).await {
            Ok(found) => return found,
            Err(error) => wait_after(namespace, &error).await,
        }
    }
}

/// Logs why what waits in a namespace can't be read, and waits until it is to be read again.
pub(crate) async fn wait_after(namespace: &str, error: &(impl std::error::Error + 'static)) {
    tracing::warn!(
        namespace,
        error = error_chain(error),
        "failed to read the events that wait in the API server; trying again in {REREAD_AFTER:?}"
    );
    tokio::time::sleep(REREAD_AFTER).await;
}

async fn try_find(
    objects: &Objects,
    namespace: &str,
    after: &Position,
    with_completed: bool,
) -> Result<Found, objects::Cause> {
    let mut oldest = BTreeSet::new();
    for selector in [OPEN, COMPLETED].into_iter().take(1 + usize::from(with_completed)) {
        let take = |event: ObjectMeta| {
            if selector == OPEN || is_asked_for(&event) {
                keep_oldest(&mut oldest, &event, after);
            }
        };
        let params = ListParams::default().fields(selector);
        objects.each_metadata::<AlertGroupEvent>(Some(namespace), params, take).await?;
    }
    let next = cut(&mut oldest);
    Ok((oldest.into_iter().map(|(_, name)| name).collect(), next))
}

/// Leaves no more than are read at a time. Returns the position of the next one, if there is any.
///
/// Versions change with the statuses of events: they say where to go on, but not which of two events of a second is older. So a
/// second is read as a whole, unless it has more events than are read at a time.
fn cut(oldest: &mut BTreeSet<(Position, String)>) -> Option<Position> {
    if oldest.len() <= BACKLOG_READS {
        return None;
    }
    let (last, _) = oldest.pop_last()?;
    let second = ((last.0, ResourceVersion::from("")), String::new());
    if *oldest.first()? >= second {
        return Some(last);
    }
    oldest.split_off(&second);
    Some(second.0)
}

fn is_asked_for(event: &ObjectMeta) -> bool {
    event.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(REDELIVER_ANNOTATION))
}

/// Keeps an event if it is not before a position, and among the oldest.
fn keep_oldest(oldest: &mut BTreeSet<(Position, String)>, event: &ObjectMeta, after: &Position) {
    let position = (created_in(event), version_in(event));
    if position >= *after {
        oldest.insert((position, event.name.clone().unwrap_or_default()));
    }
    // One more than is read: it says where to go on.
    if oldest.len() > BACKLOG_READS + 1 {
        oldest.pop_last();
    }
}

/// Reads events. Those that are gone, or are not what their schema says, are left out.
pub(crate) fn read<'a>(
    objects: &'a Objects,
    namespace: &'a str,
    names: &'a [String],
) -> impl Stream<Item = Result<AlertGroupEvent, objects::Error>> + 'a {
    let read = async |name: &'a String| {
        let found = objects::persist(|| objects.get::<Lenient<AlertGroupEvent>>(namespace, name)).await?;
        // Of one that can't be read, the watch has said why.
        Ok(found.and_then(|found| found.0.ok()))
    };
    stream::iter(names).map(read).buffered(READS).try_filter_map(async |found| Ok(found))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_second_is_read_as_a_whole_unless_it_has_more_events_than_are_read_at_a_time() {
        let position = |second: i64, version: usize| {
            (Timestamp::from_second(second).unwrap(), ResourceVersion::from(version.to_string().as_str()))
        };
        let whole = |second: i64| (Timestamp::from_second(second).unwrap(), ResourceVersion::from(""));
        // How many events there are in two seconds; how many are read, and where the next ones begin.
        let cases = [
            ((0, 0), 0, None),
            ((BACKLOG_READS, 0), BACKLOG_READS, None),
            ((BACKLOG_READS - 1, 1), BACKLOG_READS, None),
            ((BACKLOG_READS - 1, 2), BACKLOG_READS - 1, Some(whole(2))),
            ((BACKLOG_READS, 1), BACKLOG_READS, Some(whole(2))),
            ((BACKLOG_READS + 1, 0), BACKLOG_READS, Some(position(1, BACKLOG_READS))),
        ];
        for ((first, second), expected, next) in cases {
            let of = |at: i64, count: usize| (0..count).map(move |version| (position(at, version), String::new()));
            let mut oldest: BTreeSet<(Position, String)> = of(1, first).chain(of(2, second)).collect();
            assert_eq!((cut(&mut oldest), oldest.len()), (next, expected), "{first} and {second}");
        }
    }
}
