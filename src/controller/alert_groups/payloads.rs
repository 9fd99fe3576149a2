//! What is needed of events that are folded to make the data that templates see: from memory, else from the API server.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use serde_json::{Value, json};

use crate::{
    controller::integrations::Integrations,
    core::{
        alert_groups::{AlertGroup as CoreAlertGroup, EventReference},
        delivery::{Delivery, EventKey},
        event::{EventData, value_size},
        intake::PAYLOAD_LIMIT,
        json::Json,
        lifecycle::FoldedEvent,
        name::NamespacedName,
    },
    kubernetes::objects::{self, Objects},
    memory::{CACHE_ENTRY, cache},
    resources::{
        AlertGroup, AlertGroupEvent, AlertGroupEventSpec, EventIntegration, FoldedSpec, payload_of, without_payload,
    },
};

/// About how many bytes an event usually has.
const USUAL: u64 = 8 * 1024;

/// An event that is folded.
struct AlertEvent {
    /// The event without the alert's payload.
    spec: AlertGroupEventSpec,
    /// The alert as it was received.
    payload: Json,
}

/// Data, and the alert group that it was made of.
struct Made {
    group: CoreAlertGroup,
    data: Arc<EventData>,
}

#[derive(Clone)]
struct EventWeight;

impl Weighter<String, Arc<AlertEvent>> for EventWeight {
    fn weight(&self, key: &String, event: &Arc<AlertEvent>) -> u64 {
        let user = serde_json::to_string(&event.spec.user).map_or(0, |user| 4 * user.len());
        CACHE_ENTRY + (key.len() + value_size(&event.payload) + user + 1000) as u64
    }
}

#[derive(Clone)]
struct MadeWeight;

impl Weighter<String, Arc<Made>> for MadeWeight {
    fn weight(&self, key: &String, made: &Arc<Made>) -> u64 {
        CACHE_ENTRY + (key.len() + made.data.size() + 2000) as u64
    }
}

/// The events that are folded, and what is made of them.
pub(crate) struct AlertPayloads {
    events: Cache<String, Arc<AlertEvent>, EventWeight>,
    made: Cache<String, Arc<Made>, MadeWeight>,
    objects: Objects,
    integrations: Arc<Integrations>,
}

/// Under which an event is kept. An AlertGroup names events by uid, and may be made by people: an event of another namespace is none of it.
fn key(namespace: &str, uid: &str) -> String {
    format!("{namespace}/{uid}")
}

impl AlertPayloads {
    /// Keeps events of up to `budget` bytes.
    pub(crate) fn new(objects: Objects, integrations: Arc<Integrations>, budget: u64) -> Self {
        let (events, made) = (cache(budget / 2, USUAL, EventWeight), cache(budget / 2, USUAL, MadeWeight));
        Self { events, made, objects, integrations }
    }

    /// Keeps an event at hand. Returns about how many bytes its data takes.
    pub(crate) fn keep(&self, event: &EventKey, spec: &AlertGroupEventSpec) -> usize {
        let kept = AlertEvent::new(spec);
        // The data of a change has the first alert of the group and the last one, whose sizes are not known here.
        let size = if spec.alert.is_some() { 4 * value_size(&kept.payload) } else { 2 * PAYLOAD_LIMIT };
        self.events.insert(key(&event.namespace, &event.uid), Arc::new(kept));
        size
    }

    /// Reads an event; None if it is gone.
    async fn event(&self, namespace: &str, event: &EventReference) -> Result<Option<Arc<AlertEvent>>, objects::Error> {
        let key = key(namespace, &event.uid);
        if let Some(event) = self.events.get(&key) {
            return Ok(Some(event));
        }
        let found = objects::persist(|| self.objects.get::<AlertGroupEvent>(namespace, &event.name)).await?;
        let found = found.filter(|found| found.metadata.uid.as_deref() == Some(&event.uid));
        Ok(found.map(|found| {
            let read = Arc::new(AlertEvent::new(&found.spec));
            self.events.insert(key, Arc::clone(&read));
            read
        }))
    }

    /// Reads the alert that an event brought; None if the event is gone.
    pub(crate) async fn payload(
        &self,
        namespace: &str,
        event: &EventReference,
    ) -> Result<Option<Json>, objects::Error> {
        Ok(self.event(namespace, event).await?.map(|event| event.payload.clone()))
    }

    /// Makes the data of an event that was folded; None if it, or its alert group, is gone.
    pub(crate) async fn data(
        &self,
        delivery: &Delivery,
        folded: &FoldedEvent,
    ) -> Result<Option<Arc<EventData>>, objects::Error> {
        let namespace = &delivery.event.namespace;
        let reference = EventReference { name: Arc::from(&*delivery.event.name), uid: Arc::from(&*delivery.event.uid) };
        let (Some(group), Some(event_type)) = (self.group(namespace, folded).await?, delivery.facts.event_type) else {
            return Ok(None);
        };
        let group = &group;
        let Some(event) = self.event(namespace, &reference).await? else { return Ok(None) };
        let key = key(namespace, &delivery.event.uid);
        if let Some(made) = self.made.get(&key).filter(|made| made.group == *group) {
            return Ok(Some(Arc::clone(&made.data)));
        }
        let (first, last) = self.alerts(namespace, group).await?;
        let integration = NamespacedName::new(Arc::clone(namespace), Arc::clone(&group.integration));
        let spec = FoldedSpec {
            own: &event.spec,
            uid: &delivery.event.uid,
            event_type,
            group,
            integration: self.integrations.facts(&integration).unwrap_or_else(|| EventIntegration {
                id: Some(group.integration_id.to_string()),
                ..EventIntegration::default()
            }),
        };
        let Ok(data) = spec.data(&first, &last) else { return Ok(None) };
        let data = Arc::new(data);
        self.made.insert(key, Arc::new(Made { group: group.clone(), data: Arc::clone(&data) }));
        Ok(Some(data))
    }

    /// The alert group of an event: from memory, else as it is written; None if it is gone.
    async fn group(&self, namespace: &str, folded: &FoldedEvent) -> Result<Option<CoreAlertGroup>, objects::Error> {
        match (&folded.group, &folded.name) {
            (Some(group), _) => Ok(Some(group.clone())),
            (None, Some(name)) => {
                let stored = objects::persist(|| self.objects.get::<AlertGroup>(namespace, name)).await?;
                Ok(stored.and_then(|stored| stored.stored()))
            }
            (None, None) => Ok(None),
        }
    }

    /// The first alert of a group, and the last one.
    async fn alerts(&self, namespace: &str, group: &CoreAlertGroup) -> Result<(Json, Json), objects::Error> {
        if group.is_wiped() {
            // As OnCall has them.
            let empty = || Json::from(json!({}));
            return Ok((empty(), empty()));
        }
        let opening = group.transitions.first().map_or(&group.last_alert, |opening| &opening.event);
        let at_hand =
            |event: &EventReference| self.events.get(&key(namespace, &event.uid)).map(|event| event.payload.clone());
        if let (Some(first), Some(last)) = (at_hand(opening), at_hand(&group.last_alert)) {
            return Ok((first, last));
        }
        let stored = objects::persist(|| self.objects.get::<AlertGroup>(namespace, &group.name)).await?;
        let status = stored.and_then(|stored| stored.status);
        let is_current = status.as_ref().and_then(|status| status.last_alert.as_ref());
        let is_current = is_current.is_some_and(|last| *last.event_ref.uid == *group.last_alert.uid);
        let (first, last) = status.map_or((None, None), |status| (status.first_payload, status.last_payload));
        let first = match (at_hand(opening), first) {
            (Some(payload), _) => payload,
            (None, Some(payload)) => Json::from(payload),
            // Not written yet: its event is still there.
            (None, None) => self.payload(namespace, opening).await?.unwrap_or_else(nothing),
        };
        let last = match at_hand(&group.last_alert) {
            Some(payload) => payload,
            None if opening.uid == group.last_alert.uid => first.clone(),
            None if is_current => last.map_or_else(|| first.clone(), Json::from),
            None => self.payload(namespace, &group.last_alert).await?.unwrap_or_else(|| first.clone()),
        };
        Ok((first, last))
    }
}

impl AlertEvent {
    fn new(spec: &AlertGroupEventSpec) -> Self {
        Self { spec: without_payload(spec), payload: payload_of(spec) }
    }
}

fn nothing() -> Json {
    Json::from(Value::from(""))
}
