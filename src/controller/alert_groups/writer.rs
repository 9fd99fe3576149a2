//! Writes alert groups: each by one task at a time, the latest state of it only.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::AlertPayloads;
use crate::{
    core::{
        alert_groups::{AlertGroupWrite, EventReference},
        json,
        name::NamespacedName,
    },
    errors::error_chain,
    kubernetes::objects::{self, Objects},
    resources::{AlertGroup, AlertGroupStatus},
};

/// How long to wait before a write is tried again that the API server refused.
pub(crate) const REFUSED: Duration = Duration::from_secs(60);

/// How long the count of an alert group waits for further alerts before it is written.
const COUNT_WAITS: Duration = Duration::from_secs(2);

/// What came of a write.
pub(crate) enum Written {
    /// It is written.
    Done,
    /// The object was deleted meanwhile, or its namespace is.
    Gone,
    /// The API server refuses it: it is to be tried again later. Until then what tells of it waits.
    Refused,
}

/// Writes AlertGroups.
pub(crate) struct AlertGroupWriter {
    objects: Objects,
    payloads: Arc<AlertPayloads>,
    /// The groups that are being written, or wait for that.
    under_way: Mutex<HashMap<NamespacedName, Arc<Wanted>>>,
}

/// A write that is wanted.
#[derive(Default)]
pub(crate) struct Wanted {
    urgent: Notify,
}

impl Wanted {
    /// Waits as long as the write may wait for further changes.
    pub(crate) async fn due(&self) {
        // When that is over it is due, though nobody is in a hurry.
        let _ = tokio::time::timeout(COUNT_WAITS, self.urgent.notified()).await;
    }
}

impl AlertGroupWriter {
    pub(crate) fn new(objects: Objects, payloads: Arc<AlertPayloads>) -> Self {
        Self { objects, payloads, under_way: Mutex::default() }
    }

    /// Notes that a group is to be written. Returns what the task waits for that is to write it, if none is under way.
    pub(crate) fn want(&self, name: &NamespacedName, is_urgent: bool) -> Option<Arc<Wanted>> {
        let mut under_way = self.under_way.lock();
        let (wanted, is_new) = match under_way.entry(name.clone()) {
            Entry::Occupied(entry) => (Arc::clone(entry.get()), false),
            Entry::Vacant(entry) => (Arc::clone(entry.insert(Arc::default())), true),
        };
        if is_urgent {
            wanted.urgent.notify_one();
        }
        is_new.then_some(wanted)
    }

    /// Ends a task, if nothing is left to write; `is_written` says that.
    pub(crate) fn end(&self, name: &NamespacedName, is_written: impl FnOnce() -> bool) -> bool {
        let mut under_way = self.under_way.lock();
        let ends = is_written();
        if ends {
            under_way.remove(name);
        }
        ends
    }

    /// Writes a group: creates it, or patches what has changed. Tries until it can, or the API server refuses it for good.
    pub(crate) async fn write(&self, name: &NamespacedName, write: &AlertGroupWrite) -> Written {
        // Its events wait for it: it must end, come what may.
        match AssertUnwindSafe(self.try_write(name, write)).catch_unwind().await {
            Ok(Ok(())) => Written::Done,
            Ok(Err(error)) if error.is_not_found() || error.is_in_ending_namespace() => Written::Gone,
            Ok(Err(error)) => {
                tracing::error!(
                    namespace = &*name.namespace,
                    alert_group = &*name.name,
                    error = error_chain(&error),
                    "failed to write an AlertGroup; its events wait, trying again in {REFUSED:?}"
                );
                Written::Refused
            }
            Err(_) => {
                tracing::error!(
                    namespace = &*name.namespace,
                    alert_group = &*name.name,
                    "failed to write an AlertGroup: a bug, the panic is in the log; trying again in {REFUSED:?}"
                );
                Written::Refused
            }
        }
    }

    async fn try_write(&self, name: &NamespacedName, write: &AlertGroupWrite) -> Result<(), objects::Error> {
        let (namespace, group) = (&*name.namespace, &write.group);
        if write.is_new {
            let mut object = AlertGroup::of(namespace, group);
            let opening = group.transitions.first().map_or(&group.last_alert, |opening| &opening.event);
            let first = self.payload(namespace, opening).await?;
            let last = self.last_payload(namespace, opening, &group.last_alert).await?;
            if let Some(status) = &mut object.status {
                (status.first_payload, status.last_payload) = (first, last);
            }
            match objects::persist(|| self.objects.create(namespace, &name.name, &object)).await {
                // Written by another process, or by us without an answer.
                Err(error) if error.is_already_exists() => {}
                result => return result.map(drop),
            }
        }
        let mut status = AlertGroupStatus::from(group).replacing().unwrap_or_default();
        if write.is_new_alert
            && let Some(payload) = self.payload(namespace, &group.last_alert).await?
        {
            status["lastPayload"] = payload;
        }
        let patch = json!({"status": status});
        objects::persist(|| self.objects.patch_at::<AlertGroup>(namespace, &name.name, None, &patch)).await?;
        Ok(())
    }

    async fn last_payload(
        &self,
        namespace: &str,
        opening: &EventReference,
        last: &EventReference,
    ) -> Result<Option<Value>, objects::Error> {
        if opening == last { Ok(None) } else { self.payload(namespace, last).await }
    }

    async fn payload(&self, namespace: &str, event: &EventReference) -> Result<Option<Value>, objects::Error> {
        let payload = self.payloads.payload(namespace, event).await?;
        Ok(payload.and_then(|payload| serde_json::from_str(&json::dumps(&payload)).ok()))
    }
}
