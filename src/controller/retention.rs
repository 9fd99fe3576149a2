//! Removes finished events and responses that are not kept any more. Looks for them periodically.
//!
//! ```text
//! list WebhookResponses ─► list AlertGroupEvents, AlertGroups ─► core::retention::plan ─► delete, oldest first, a few at a time
//! ```
//! Lists hold metadata and a few columns, in pages. An object that has changed since stays until the next pass.

use std::{fmt::Debug, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time},
};
use kube::{
    Resource,
    api::{ListParams, ObjectMeta, Preconditions},
};
use serde::de::DeserializeOwned;
use tokio::sync::SetOnce;

use super::{FIELD_MANAGER, catalog::Catalog};
use crate::{
    config::Retention,
    core::{
        matching::SAME_APPLY,
        retention::{
            self, RemovalPlan, RetentionLimit, RetentionPolicy, StoredAlertGroup, StoredEvent, StoredObject,
            StoredObjects, StoredResponse,
        },
    },
    errors::error_chain,
    kubernetes::{objects::Objects, resource_version::created_in, scope::Scope, table::Table},
    resources::{
        ALERT_GROUP_LABEL, AlertGroup, AlertGroupEvent, Manager, REDELIVER_ANNOTATION, WebhookResponse, label_value,
        recorded_at,
    },
};

/// Bound on the deletions that are under way at a time. Deliveries have 64 writes, and go first.
const DELETIONS: usize = 4;
/// How long after the start the first pass is: the start has enough else to do.
const FIRST: Duration = Duration::from_secs(30);
/// How long an object stays at least after its end: webhooks of the same apply may run for an event that has ended, which reads
/// its data again.
const LEAST_REST: Duration = Duration::from_secs(SAME_APPLY.as_secs() * 2);
/// Bound on the failures of a pass that are logged one by one.
const LOGGED: usize = 10;

impl Retention {
    fn policy(&self) -> RetentionPolicy {
        RetentionPolicy {
            events_for: self.keep_events_for,
            events: self.keep_events,
            responses_for: self.keep_responses_for,
            alert_groups_for: self.keep_alert_groups_for,
            alert_groups: self.keep_alert_groups,
            latest_for: self.keep_latest_for,
            grace: self.every.max(LEAST_REST),
        }
    }
}

/// Removes the objects of a scope that are not kept any more, listed in pages of up to `page` bytes. Never returns. The catalog is complete
/// once `webhooks_listed` is set.
pub(crate) async fn run(
    objects: Objects,
    catalog: Arc<Catalog>,
    scope: Scope,
    config: Retention,
    page: u64,
    webhooks_listed: Arc<SetOnce<()>>,
) {
    webhooks_listed.wait().await;
    let mut pause = FIRST.min(config.every);
    loop {
        tokio::time::sleep(pause).await;
        for namespace in scope.parts().await {
            if let Err(error) = pass(&objects, &catalog, namespace, &config, page).await {
                tracing::warn!(
                    error = error_chain(error.as_ref()),
                    namespace,
                    "failed to remove all objects that are not kept any more; trying again in {:?}",
                    config.every
                );
            }
        }
        pause = config.every;
    }
}

/// Looks once for objects that are not kept any more, and deletes them.
async fn pass(
    objects: &Objects,
    catalog: &Catalog,
    namespace: Option<&str>,
    config: &Retention,
    page: u64,
) -> Result<()> {
    // In this order, so that the event of each listed response is known.
    let mut responses =
        responses(objects, namespace, ListParams::default(), page).await.context("list WebhookResponses")?;
    let events = events(objects, namespace, page).await.context("list AlertGroupEvents")?;
    let alert_groups = alert_groups(objects, namespace, page).await.context("list AlertGroups")?;
    let (now, policy) = (Timestamp::now(), config.policy());
    retention::mark_abandoned(now, &policy, &events, &mut responses);
    let keep = |namespace: &str, webhook: &str| match catalog.get(namespace, webhook) {
        Some(entry) => entry.webhook.history_limit.map_or(config.keep_responses, |limit| {
            RetentionLimit::AtMost(usize::try_from(limit).unwrap_or(usize::MAX))
        }),
        // The webhook is gone, and its responses go with it; or it can't be read, and may want to keep more.
        None => RetentionLimit::Unlimited,
    };
    let stored = StoredObjects { events: &events, responses: &responses, alert_groups: &alert_groups };
    let RemovalPlan { events, responses, alert_groups } = retention::plan(now, &policy, stored, keep);
    let (removed_responses, rest) = remove::<WebhookResponse>(objects, &responses).await;
    let (removed_events, rest) = match rest {
        Ok(()) => remove::<AlertGroupEvent>(objects, &events).await,
        error => (0, error),
    };
    let (removed_groups, rest) = match rest {
        Ok(()) => remove::<AlertGroup>(objects, &alert_groups).await,
        error => (0, error),
    };
    if removed_responses + removed_events + removed_groups > 0 {
        tracing::info!(
            responses = removed_responses,
            events = removed_events,
            alert_groups = removed_groups,
            "removed objects that are not kept any more"
        );
    }
    rest
}

/// Deletes the objects that have not changed since they were listed. Returns how many it deleted, and an error if it did not
/// come to the end: where the API server does not answer or is busy, the rest waits for the next pass.
pub(super) async fn remove<K>(objects: &Objects, doomed: &[&StoredObject]) -> (usize, Result<()>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let (mut removed, mut refused) = (0, 0);
    let mut waiting = doomed.iter();
    let mut calls = FuturesUnordered::new();
    loop {
        for object in waiting.by_ref().take(DELETIONS - calls.len()) {
            let expected = Preconditions {
                uid: Some(object.uid.clone()),
                resource_version: Some(object.resource_version.clone()),
            };
            calls.push(objects.delete::<K>(&object.namespace, &object.name, expected));
        }
        let Some(result) = calls.next().await else { break };
        match result {
            Ok(()) => removed += 1,
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) if error.is_final() => {
                refused += 1;
                if refused <= LOGGED {
                    tracing::warn!(
                        namespace = error.namespace(),
                        kind = error.kind(),
                        name = error.name(),
                        error = error_chain(&error),
                        "failed to delete an object that is not kept any more"
                    );
                }
            }
            Err(error) => return (removed, Err(error.into())),
        }
    }
    if refused > LOGGED {
        tracing::warn!("failed to delete {refused} of {} {} that are not kept any more", doomed.len(), K::plural(&()));
    }
    (removed, Ok(()))
}

/// Lists the responses, in pages. `params` may select some.
pub(super) async fn responses(
    objects: &Objects,
    namespace: Option<&str>,
    params: ListParams,
    page: u64,
) -> Result<Vec<StoredResponse>> {
    let mut responses = Vec::new();
    let mut pages = objects.tables::<WebhookResponse>(namespace, params, page);
    while let Some(table) = objects.next_page::<Table>(&mut pages).await? {
        responses.extend(table.rows(["Webhook", "Event", "Phase"])?.map(|(mut meta, [webhook, event, phase])| {
            let group = meta.labels.as_mut().and_then(|labels| labels.remove(ALERT_GROUP_LABEL)).unwrap_or_default();
            let finished = ["Succeeded", "Failed"].contains(&phase.as_str());
            StoredResponse { object: object(meta, finished), webhook, event, group }
        }));
    }
    Ok(responses)
}

/// Lists the events, in pages.
async fn events(objects: &Objects, namespace: Option<&str>, page: u64) -> Result<Vec<StoredEvent>> {
    let mut events = Vec::new();
    let mut pages = objects.tables::<AlertGroupEvent>(namespace, ListParams::default(), page);
    while let Some(table) = objects.next_page::<Table>(&mut pages).await? {
        events.extend(table.rows(["Alert Group", "Group ID", "Phase"])?.map(|(meta, [given, folded, phase])| {
            let group = label_value(if given.is_empty() { &folded } else { &given });
            StoredEvent { object: object(meta, phase == "Completed"), group }
        }));
    }
    Ok(events)
}

/// Lists the alert groups, in pages.
async fn alert_groups(objects: &Objects, namespace: Option<&str>, page: u64) -> Result<Vec<StoredAlertGroup>> {
    let mut alert_groups = Vec::new();
    let mut pages = objects.tables::<AlertGroup>(namespace, ListParams::default(), page);
    while let Some(table) = objects.next_page::<Table>(&mut pages).await? {
        alert_groups.extend(table.rows(["State", "ID"])?.map(|(meta, [state, id])| StoredAlertGroup {
            object: object(meta, state == "resolved"),
            group: label_value(&id),
        }));
    }
    Ok(alert_groups)
}

/// Reads from the metadata of an object what decides whether it is kept.
pub(super) fn object(meta: ObjectMeta, finished: bool) -> StoredObject {
    let created = created_in(&meta);
    let kept = Manager::of(&meta).is_some() || meta.deletion_timestamp.is_some();
    let noted = recorded_at(&meta).and_then(|at| Timestamp::from_microsecond(at).ok());
    let is_asked = meta.annotations.is_some_and(|annotations| annotations.contains_key(REDELIVER_ANNOTATION));
    let writes = meta.managed_fields.unwrap_or_default();
    // What people write, such as labels, does not tell when it ended. Of events the operator writes the status only.
    let is_ours = |write: &ManagedFieldsEntry| {
        write.subresource.as_deref() == Some("status") || write.manager.as_deref() == Some(FIELD_MANAGER)
    };
    let last = |ours_only: bool| {
        let writes = writes.iter().filter(|write| !ours_only || is_ours(write));
        writes.filter_map(|write| write.time.as_ref()).map(|Time(time)| *time).fold(created, Timestamp::max)
    };
    StoredObject {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta.resource_version.unwrap_or_default(),
        created,
        recorded: noted.unwrap_or_else(|| last(true)),
        finished,
        redelivery_requested: is_asked.then(|| last(false)),
        protected: kept,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_tells_when_it_ended_when_it_was_asked_for_and_who_manages_it() {
        let meta = |more: serde_json::Value| {
            let mut meta = json!({
                "namespace": "team", "name": "one", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [
                    {"manager": "oncall-webhooks", "time": "2026-01-01T00:00:02Z"},
                    {"manager": "kubectl-edit", "subresource": "status", "time": "2026-01-01T00:00:01Z"},
                    {"manager": "kubectl-annotate", "time": "2026-01-01T00:00:03Z"},
                ],
            });
            meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<ObjectMeta>(meta).unwrap()
        };
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).unwrap();
        let expected = StoredObject {
            namespace: "team".to_owned(),
            name: "one".to_owned(),
            uid: "u".to_owned(),
            resource_version: "7".to_owned(),
            created: at(0),
            recorded: at(2),
            finished: true,
            redelivery_requested: None,
            protected: false,
        };
        assert_eq!(object(meta(json!({})), true), expected);
        let bare = StoredObject { recorded: at(0), finished: false, ..expected.clone() };
        assert_eq!(object(meta(json!({"managedFields": null})), false), bare);
        // In a storm it is written later than that.
        let noted = StoredObject { recorded: at(1), ..expected.clone() };
        let annotation = json!({"annotations": {"oncall.dev/recorded-at": "1767225601000000"}});
        assert_eq!(object(meta(annotation), true), noted);
        let asked = StoredObject { redelivery_requested: Some(at(3)), ..expected.clone() };
        assert_eq!(object(meta(json!({"annotations": {"oncall.dev/redeliver": "again"}})), true), asked);
        let kept = StoredObject { protected: true, ..expected };
        for more in [
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}),
            json!({"annotations": {"meta.helm.sh/release-name": "hooks"}}),
            json!({"deletionTimestamp": "2026-01-01T00:00:03Z"}),
        ] {
            assert_eq!(object(meta(more.clone()), true), kept, "{more}");
        }
    }
}
