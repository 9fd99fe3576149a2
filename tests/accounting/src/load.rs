//! The webhooks and events of a run, and who creates them.
//!
//! Alert group `g` belongs to integration `g mod webhooks`; a webhook hears that of its own number and those before it, as
//! many as the fan-out is. The five events of an alert group are created one after the other, each when the one before is
//! known to be there: that is the order in which they are due.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, PostParams},
    core::{ApiResource, DynamicResourceScope, GroupVersionKind},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{Settings, clock::Clock};

/// The events of each alert group, in their order. Every webhook is for changes of status, so each is of another type: the
/// type and the alert group name an event.
pub(crate) const STEPS: [&str; 5] = ["acknowledge", "unacknowledge", "silence", "unsilence", "resolve"];

/// How long a receiver may take to answer, by the webhooks' settings.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// Bound on one call of the API; it may have had its effect when this is over.
const CALL: Duration = Duration::from_secs(10);
/// How long to wait before a call that failed is made again.
const AGAIN: Duration = Duration::from_millis(100);

/// An event: the alert group's number and the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventId {
    pub(crate) group: usize,
    pub(crate) step: usize,
}

impl EventId {
    /// The event of what a request's body says: the alert group's id and the type.
    pub(crate) fn of(group: &str, type_: &str) -> Option<Self> {
        let step = STEPS.iter().position(|step| *step == type_)?;
        Some(Self { group: group.strip_prefix('I')?.parse().ok()?, step })
    }

    /// The event of a request's body.
    pub(crate) fn of_body(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        Self::of(body["group"].as_str()?, body["type"].as_str()?)
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (group, step) = name.strip_prefix("event-")?.split_once('-')?;
        Some(Self { group: group.parse().ok()?, step: step.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event-{:05}-{}", self.group, self.step)
    }
}

/// An event and one of the webhooks that it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Delivery {
    pub(crate) webhook: usize,
    pub(crate) event: EventId,
}

/// A webhook's name, and the path that it sends to.
pub(crate) fn webhook_name(number: usize) -> String {
    format!("webhook-{number:03}")
}

pub(crate) fn webhook_number(name: &str) -> Option<usize> {
    name.strip_prefix("webhook-")?.parse().ok()
}

/// The webhooks that are due to get the events of an alert group.
pub(crate) fn webhooks_of(settings: &Settings, group: usize) -> impl Iterator<Item = usize> {
    let webhooks = settings.webhooks;
    (0..settings.fan_out).map(move |more| (group + more) % webhooks)
}

pub(crate) fn api<K>(client: &Client, namespace: &str, kind: &str) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

pub(crate) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("oncall.dev", "v1alpha1", kind))
}

/// Creates one webhook.
pub(crate) async fn create_webhook(
    api: &Api<DynamicObject>,
    settings: &Settings,
    number: usize,
    url: &str,
) -> Result<()> {
    let name = webhook_name(number);
    let integrations: Vec<String> = (0..settings.fan_out)
        .map(|less| integration((number + settings.webhooks - less) % settings.webhooks))
        .collect();
    let spec = json!({
        "triggerType": "status change",
        "integrationFilter": integrations,
        "url": format!("{url}/{name}"),
        "data": r#"{"group": "{{ alert_group_id }}", "type": "{{ event.type }}"}"#,
        "forwardAll": false,
        "timeout": format!("{}s", TIMEOUT.as_secs()),
        // As far apart as other attempts, and more of them than are refused in any way.
        "retry": {"initialDelay": "200ms", "maxDelay": "2s", "deadline": "1h", "timeoutDelays": vec!["500ms"; 20]},
    });
    let what = format!("create Webhook {name}");
    let object = object("Webhook", &name, &spec);
    api.create(&PostParams::default(), &object).await.context(what)?;
    Ok(())
}

/// The events that are there, with the time at which that was known.
#[derive(Debug, Default)]
pub(crate) struct Created(Mutex<BTreeMap<EventId, Duration>>);

impl Created {
    pub(crate) fn events(&self) -> BTreeMap<EventId, Duration> {
        self.0.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Creates the events that belong to no burst. `arrived` is how many deliveries have arrived.
pub(crate) async fn write(
    api: Api<DynamicObject>,
    settings: &Settings,
    clock: Clock,
    created: Arc<Created>,
    arrived: watch::Receiver<usize>,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..settings.writers {
        let (settings, next, created) = (settings.clone(), Arc::clone(&next), Arc::clone(&created));
        let (api, mut arrived) = (api.clone(), arrived.clone());
        writers.spawn(async move {
            loop {
                let group = next.fetch_add(1, Ordering::Relaxed);
                let first = group * STEPS.len();
                if first >= settings.events {
                    return anyhow::Ok(());
                }
                for step in 0..STEPS.len().min(settings.events - first) {
                    let room = |arrived: &usize| created.count() * settings.fan_out < arrived + settings.backlog;
                    arrived.wait_for(room).await.context("wait for the receiver")?;
                    create_event(&api, &settings, EventId { group, step }, clock, &created).await;
                }
            }
        });
    }
    joined(writers).await
}

/// The alert groups of the burst of that number, after all others.
pub(crate) fn groups_of_burst(settings: &Settings, number: usize) -> Range<usize> {
    let first = settings.events.div_ceil(STEPS.len()) + number * settings.burst;
    first..first + settings.burst
}

/// Creates the events of some alert groups, all groups at once.
pub(crate) async fn write_at_once(
    api: Api<DynamicObject>,
    settings: &Settings,
    clock: Clock,
    created: Arc<Created>,
    groups: Range<usize>,
) -> Result<()> {
    let mut writers = JoinSet::new();
    for group in groups {
        let (settings, api, created) = (settings.clone(), api.clone(), Arc::clone(&created));
        writers.spawn(async move {
            for step in 0..STEPS.len() {
                create_event(&api, &settings, EventId { group, step }, clock, &created).await;
            }
            Ok(())
        });
    }
    joined(writers).await
}

async fn joined(mut writers: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = writers.join_next().await {
        ended.context("join a writer")??;
    }
    Ok(())
}

/// Creates an event, however often the API server is away. A call without an answer may have had its effect: then the event
/// is there already.
async fn create_event(api: &Api<DynamicObject>, settings: &Settings, id: EventId, clock: Clock, created: &Created) {
    let spec = json!({
        "type": STEPS[id.step],
        "alertGroup": {
            "id": format!("I{:05}", id.group),
            "integrationId": integration(id.group % settings.webhooks),
            "title": format!("Alert group {}", id.group),
        },
        "alertPayload": {"commonLabels": {"alertname": "InstanceDown", "group": id.group}},
    });
    let object = object("AlertGroupEvent", &id.to_string(), &spec);
    loop {
        match timeout(CALL, api.create(&PostParams::default(), &object)).await {
            Ok(Ok(_)) => break,
            Ok(Err(kube::Error::Api(status))) if status.is_already_exists() => break,
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
    created.0.lock().insert(id, clock.now());
}

fn integration(number: usize) -> String {
    format!("C{number:03}")
}

pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &resource(kind)).data(json!({ "spec": spec }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_known_by_its_name_and_by_what_is_sent_of_it() {
        let event = EventId { group: 12345, step: 2 };
        assert_eq!(EventId::of_name(&event.to_string()), Some(event));
        assert_eq!(EventId::of("I12345", "silence"), Some(event));
        assert_eq!(EventId::of("I12345", "created"), None);
        assert_eq!(EventId::of_name("event-1"), None);
        assert_eq!(webhook_number(&webhook_name(7)), Some(7));
    }
}
