//! Writes alert groups: each by one task at a time, the latest state of it only.
//!
//! A replica that was paused and goes on may be about to write what it knew before, though another one leads and has written since. So
//! each patch is of the version that this process has written last; or, if it has written none or somebody else has, of one that it has
//! read while it led for certain.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, channel::mpsc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
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
    kubernetes::{
        objects::{self, Objects},
        resource_version::ResourceVersion,
    },
    resources::{AlertGroup, AlertGroupStatus},
};

/// How long to wait before a write is tried again that the API server refused.
pub(crate) const REFUSED: Duration = Duration::from_secs(60);

/// How long the count of an alert group waits for further alerts before it is written.
const COUNT_WAITS: Duration = Duration::from_secs(2);

/// Of how many alert groups it is remembered which version this process has written. Those of others are read.
const VERSIONS: usize = 4096;
/// How often a group is read again in a row since somebody else has changed it.
const CONFLICTS: usize = 5;

/// What came of a write.
pub(crate) enum Written {
    /// It is written.
    Done,
    /// The object was deleted meanwhile, or its namespace is.
    Gone,
    /// The API server refuses it: it is to be tried again later. Until then what tells of it waits.
    Refused,
    /// It is not: this replica may lead no more. It is to be tried again if it does.
    Withheld,
}

/// Writes AlertGroups.
pub(crate) struct AlertGroupWriter {
    objects: Objects,
    payloads: Arc<AlertPayloads>,
    /// The groups that are being written, or wait for that.
    under_way: Mutex<HashMap<NamespacedName, Arc<Wanted>>>,
    /// The versions that this process has written last.
    versions: Cache<NamespacedName, ResourceVersion>,
    /// Those that are wiped, as they are written.
    wiped: mpsc::UnboundedSender<NamespacedName>,
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
    /// Also returns the names of alert groups that are wiped, as soon as that is written.
    pub(crate) fn new(
        objects: Objects,
        payloads: Arc<AlertPayloads>,
    ) -> (Self, mpsc::UnboundedReceiver<NamespacedName>) {
        let (wiped, names) = mpsc::unbounded();
        let versions = Cache::new(VERSIONS);
        (Self { objects, payloads, under_way: Mutex::default(), versions, wiped }, names)
    }

    /// Has removed what is left of a wiped alert group.
    pub(crate) fn clean(&self, name: NamespacedName) {
        // The receiver lives as long as the process.
        let _ = self.wiped.unbounded_send(name);
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

    /// Writes a group: creates it, or patches what has changed. Tries until it can, or the API server refuses it for good. `leads` says
    /// whether it is certain that no other replica writes.
    pub(crate) async fn write(
        &self,
        name: &NamespacedName,
        write: &AlertGroupWrite,
        leads: impl Fn() -> bool,
    ) -> Written {
        // Its events wait for it: it must end, come what may.
        match AssertUnwindSafe(self.try_write(name, write, leads)).catch_unwind().await {
            Ok(Ok(written)) => {
                if matches!(written, Written::Done) && write.group.is_wiped() {
                    self.clean(name.clone());
                }
                written
            }
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

    async fn try_write(
        &self,
        name: &NamespacedName,
        write: &AlertGroupWrite,
        leads: impl Fn() -> bool,
    ) -> Result<Written, objects::Error> {
        let (namespace, group) = (&*name.namespace, &write.group);
        if write.is_new {
            let mut object = AlertGroup::of(namespace, group);
            let opening = group.transitions.first().map_or(&group.last_alert, |opening| &opening.event);
            if let Some(status) = object.status.as_mut().filter(|_| !group.is_wiped()) {
                status.first_payload = self.payload(namespace, opening).await?;
                status.last_payload = self.last_payload(namespace, opening, &group.last_alert).await?;
            }
            if !leads() {
                return Ok(Written::Withheld);
            }
            match objects::persist(|| self.objects.create(namespace, &name.name, &object)).await {
                // Written by another process, or by us without an answer.
                Err(error) if error.is_already_exists() => {}
                result => return result.map(|version| self.written(name, version)),
            }
        }
        let mut status = AlertGroupStatus::from(group).replacing().unwrap_or_default();
        if write.is_new_alert
            && !group.is_wiped()
            && let Some(payload) = self.payload(namespace, &group.last_alert).await?
        {
            status["lastPayload"] = payload;
        }
        let mut patch = json!({"status": status});
        if group.is_wiped() {
            patch["spec"] = json!({"groupingId": group.grouping_id});
        }
        self.patch(name, &patch, leads).await
    }

    /// Patches a group of a version that nobody has written over since this process knows that it leads.
    async fn patch(
        &self,
        name: &NamespacedName,
        patch: &Value,
        leads: impl Fn() -> bool,
    ) -> Result<Written, objects::Error> {
        let (namespace, group) = (&*name.namespace, &*name.name);
        let mut conflicts = 0;
        loop {
            let known = self.versions.get(name);
            let version = match known {
                Some(version) => version,
                None => match objects::persist(|| self.objects.get_state::<AlertGroup>(namespace, group)).await? {
                    Some(state) => state.version().clone(),
                    None => return Ok(Written::Gone),
                },
            };
            // Whoever leads after this writes another version.
            if !leads() {
                return Ok(Written::Withheld);
            }
            let patched = || self.objects.patch_at::<AlertGroup>(namespace, group, Some(&version), patch);
            match objects::persist(patched).await {
                Ok(version) => return Ok(self.written(name, version)),
                // By somebody else, or by us without an answer.
                Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                    conflicts += 1;
                    self.versions.remove(name);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn written(&self, name: &NamespacedName, version: ResourceVersion) -> Written {
        self.versions.insert(name.clone(), version);
        Written::Done
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use http::{Method, Request, Response};
    use http_body_util::BodyExt;
    use kube::{Client, client::Body};
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::controller::integrations::Integrations;

    /// An alert group on an API server that knows versions.
    #[derive(Clone, Default)]
    struct Stored {
        version: Arc<AtomicU64>,
        calls: Arc<Mutex<Vec<String>>>,
    }

    impl Stored {
        /// Answers a call: a patch of another version than it has is refused.
        async fn answer(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
            let is_patch = request.method() == Method::PATCH;
            let body = request.into_body().collect().await?.to_bytes();
            let version = self.version.load(Ordering::Relaxed);
            let wanted = if is_patch {
                serde_json::from_slice::<Value>(&body)?["metadata"]["resourceVersion"].take()
            } else {
                Value::Null
            };
            let is_conflict = is_patch && wanted.as_str() != Some(&*version.to_string());
            let code = if is_conflict { 409 } else { 200 };
            let call =
                if is_patch { format!("patch {} {code}", wanted.as_str().unwrap_or("any")) } else { "get".to_owned() };
            self.calls.lock().push(call);
            let answer = if is_conflict {
                json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": ""})
            } else {
                let version = if is_patch { self.version.fetch_add(1, Ordering::Relaxed) + 1 } else { version };
                json!({"metadata": {"resourceVersion": version.to_string()}})
            };
            Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))?)
        }

        /// Somebody else writes it.
        fn change(&self) {
            self.version.fetch_add(1, Ordering::Relaxed);
        }

        /// A replica that writes it.
        fn replica(&self) -> AlertGroupWriter {
            let stored = self.clone();
            let server = service_fn(move |request| stored.clone().answer(request));
            let objects = Objects::new(Client::new(server, "team"), "test");
            let (integrations, _) = Integrations::new();
            let payloads = Arc::new(AlertPayloads::new(objects.clone(), integrations, 1 << 20));
            AlertGroupWriter::new(objects, payloads).0
        }

        /// Has a replica write, which leads for that many looks. Returns whether it has, and the calls that it made.
        async fn patched(&self, replica: &AlertGroupWriter, looks: u64) -> (bool, Vec<String>) {
            let (name, looked) = (NamespacedName::new("team", "group"), AtomicU64::new(0));
            let leads = || looked.fetch_add(1, Ordering::Relaxed) < looks;
            let written = replica.patch(&name, &json!({"status": {}}), leads).await.unwrap();
            (matches!(written, Written::Done), std::mem::take(&mut *self.calls.lock()))
        }
    }

    #[tokio::test]
    async fn a_replica_writes_over_nothing_that_another_one_has_written_since_it_led() {
        let calls = |calls: &[&str]| calls.iter().map(|call| (*call).to_owned()).collect::<Vec<_>>();
        let stored = Stored::default();
        let (first, second) = (stored.replica(), stored.replica());
        assert_eq!(stored.patched(&first, 9).await, (true, calls(&["get", "patch 0 200"])));
        assert_eq!(stored.patched(&first, 9).await, (true, calls(&["patch 1 200"])));
        // A person puts a label on it.
        stored.change();
        assert_eq!(stored.patched(&first, 9).await, (true, calls(&["patch 2 409", "get", "patch 3 200"])));

        // The first is paused, and the second leads.
        assert_eq!(stored.patched(&second, 9).await, (true, calls(&["get", "patch 4 200"])));
        // It goes on where it had looked for the last time whether it leads.
        assert_eq!(stored.patched(&first, 1).await, (false, calls(&["patch 4 409", "get"])));
        assert_eq!(stored.patched(&first, 0).await, (false, calls(&["get"])));
        assert_eq!(stored.patched(&second, 9).await, (true, calls(&["patch 5 200"])));
    }
}
