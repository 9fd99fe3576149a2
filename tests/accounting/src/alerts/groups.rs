//! The AlertGroups that the API server has, as a watch shows them while a run lasts.

use std::{collections::BTreeMap, pin::pin};

use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::DynamicObject,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::watch;

use super::occurrence_of;

/// An AlertGroup that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SeenGroup {
    /// The number of the occurrence whose alert opened it.
    occurrence: Option<usize>,
    is_resolved: bool,
}

/// All that were seen, by name.
#[derive(Debug, Default)]
pub(crate) struct SeenGroups(BTreeMap<String, SeenGroup>);

impl SeenGroups {
    fn of(&self, occurrence: usize) -> impl Iterator<Item = &SeenGroup> {
        self.0.values().filter(move |group| group.occurrence == Some(occurrence))
    }

    /// Whether an occurrence has opened one.
    pub(crate) fn is_there(&self, occurrence: usize) -> bool {
        self.of(occurrence).next().is_some()
    }

    /// Whether one of those that an occurrence has opened is resolved, and another one is not.
    pub(crate) fn is_open_again(&self, occurrence: usize) -> bool {
        self.of(occurrence).any(|group| group.is_resolved) && self.of(occurrence).any(|group| !group.is_resolved)
    }

    /// Whether all that an occurrence has opened are resolved.
    pub(crate) fn is_over(&self, occurrence: usize) -> bool {
        self.is_there(occurrence) && self.of(occurrence).all(|group| group.is_resolved)
    }
}

/// Notes which AlertGroups there are, as long as it is polled. Nobody removes one in a run.
pub(crate) async fn follow(groups: Api<DynamicObject>, seen: watch::Sender<SeenGroups>) {
    let mut events = pin!(watcher(groups, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            let status = &object.data["status"];
            let group = SeenGroup {
                occurrence: occurrence_of(&status["firstPayload"]),
                is_resolved: status["state"] == "resolved",
            };
            seen.send_modify(|seen| {
                seen.0.insert(object.name_any(), group);
            });
        }
    }
}
