//! Reads what the overview is made of, of each kind no more than is needed.

use std::cell::RefCell;

use anyhow::Result;
use futures::try_join;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Resource,
    api::{ListParams, ObjectMeta},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    attention::sort_and_find,
    deliveries::{Deliveries, Unfinished},
    overview::{AlertGroupLine, IntegrationLine, LastRunLine, Overview, WebhookLine},
    state::{Conditions, Judgement, judge},
};
use crate::{
    cli::{output::complain, progress::Progress, session::Session},
    resources::{AlertGroup, AlertGroupEvent, Integration, LastRun, Webhook, WebhookResponse},
};

/// Reads all of it, of one namespace or of all.
///
/// # Errors
/// The API server refuses to list something, or does not answer.
pub(super) async fn read(
    session: &Session,
    namespace: Option<&str>,
    now: Timestamp,
    progress: &Progress,
) -> Result<Overview> {
    let all = ListParams::default;
    let unended = all().fields("status.phase!=Completed");
    let open = all().fields("status.state!=resolved");
    let (mut webhooks, mut alert_groups, mut integrations) = (Vec::new(), Vec::new(), Vec::new());
    let deliveries = RefCell::new(Deliveries::default());
    try_join!(
        each::<Webhook, StoredWebhook>(session, namespace, all(), progress, |webhook| webhooks.push(webhook)),
        each::<Integration, StoredIntegration>(session, namespace, all(), progress, |integration| {
            integrations.push(integration.line());
        }),
        each::<AlertGroupEvent, Unfinished>(session, namespace, unended, progress, |event| {
            deliveries.borrow_mut().event(event);
        }),
        session.each_row::<WebhookResponse, 3>(namespace, all(), RESPONSE, progress, |metadata, texts| {
            deliveries.borrow_mut().response(&metadata, texts);
        }),
        session.each_row::<AlertGroup, 5>(namespace, open, ALERT_GROUP, progress, |metadata, texts| {
            alert_groups.extend(alert_group(metadata, texts));
        }),
    )?;
    let (mut tallies, events) = deliveries.into_inner().tally();
    let webhooks = webhooks.into_iter().map(|webhook| {
        let mut line = webhook.line();
        let tally = tallies.remove(&(line.namespace.clone(), line.name.clone())).unwrap_or_default();
        (line.succeeded, line.failed) = (tally.succeeded, tally.failed);
        (line.waiting, line.oldest_waiting) = (tally.waiting, tally.oldest);
        line
    });
    let webhooks = webhooks.collect();
    let mut overview = Overview { time: now, attention: Vec::new(), webhooks, alert_groups, integrations, events };
    sort_and_find(&mut overview);
    Ok(overview)
}

/// Reads what `T` has of each object. One that can't be read is named on standard error, and holds up no others.
async fn each<K, T>(
    session: &Session,
    namespace: Option<&str>,
    params: ListParams,
    progress: &Progress,
    mut take: impl FnMut(T),
) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    T: DeserializeOwned,
{
    let read = |text: &str| {
        match serde_json::from_str(text) {
            Ok(object) => take(object),
            Err(error) => {
                let Named { metadata: Metadata { namespace, name, .. } } = serde_json::from_str(text)?;
                progress.clear();
                complain(&format!("{} {namespace}/{name} can't be read: {error}", K::kind(&())));
            }
        }
        Ok(())
    };
    session.each_text::<K>(namespace, params, progress, read).await
}

/// Names an object of one of several namespaces.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
    generation: Option<i64>,
}

/// What every object has.
#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

/// What is read of a Webhook: nothing that is as large as its templates.
#[derive(Deserialize)]
struct StoredWebhook {
    metadata: Metadata,
    spec: WebhookParts,
    #[serde(default)]
    status: WebhookStatusParts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookParts {
    trigger_type: String,
    enabled: Option<bool>,
    suspend: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookStatusParts {
    id: Option<String>,
    last_run: Option<LastRun>,
    #[serde(flatten)]
    conditions: Conditions,
}

impl StoredWebhook {
    /// Its line, without what its deliveries tell.
    fn line(self) -> WebhookLine {
        let Self { metadata: Metadata { namespace, name, generation }, spec, status } = self;
        let (enabled, suspend) = (spec.enabled.unwrap_or(true), spec.suspend.unwrap_or_default());
        let Judgement { state, message, since } = judge(&status.conditions, generation, enabled, suspend);
        let last_run = status.last_run.map(|LastRun { time, outcome, status_code, response }| LastRunLine {
            time,
            outcome: format!("{outcome:?}"),
            status_code,
            response,
        });
        WebhookLine {
            namespace,
            name,
            id: status.id,
            trigger_type: spec.trigger_type,
            state,
            message,
            since,
            succeeded: 0,
            failed: 0,
            waiting: 0,
            oldest_waiting: None,
            last_run,
        }
    }
}

/// What is read of an Integration.
#[derive(Deserialize)]
struct StoredIntegration {
    metadata: Metadata,
    spec: IntegrationParts,
    #[serde(default)]
    status: IntegrationStatusParts,
}

#[derive(Deserialize)]
struct IntegrationParts {
    #[serde(rename = "type")]
    type_: String,
    suspend: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationStatusParts {
    last_alert_time: Option<Timestamp>,
    #[serde(default)]
    open_alert_groups: u32,
    #[serde(flatten)]
    conditions: Conditions,
}

impl StoredIntegration {
    fn line(self) -> IntegrationLine {
        let Self { metadata: Metadata { namespace, name, generation }, spec, status } = self;
        let suspend = spec.suspend.unwrap_or_default();
        let Judgement { state, message, since } = judge(&status.conditions, generation, true, suspend);
        IntegrationLine {
            namespace,
            name,
            type_: spec.type_,
            state,
            message,
            since,
            open_alert_groups: status.open_alert_groups,
            last_alert_time: status.last_alert_time,
        }
    }
}

/// The columns of `kubectl get` that are read.
const RESPONSE: [&str; 3] = ["Webhook", "Event", "Phase"];
const ALERT_GROUP: [&str; 5] = ["State", "Title", "Integration", "Alerts", "By"];

/// The line of an alert group; None for one that no operator has made anything of.
fn alert_group(metadata: ObjectMeta, [state, title, integration, alerts, by]: [String; 5]) -> Option<AlertGroupLine> {
    (!state.is_empty()).then(|| AlertGroupLine {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        state,
        title,
        integration,
        alerts: alerts.parse().unwrap_or_default(),
        by,
        created_at: metadata.creation_timestamp.map(|time| time.0),
    })
}
