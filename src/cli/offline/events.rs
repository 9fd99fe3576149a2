//! The events that webhooks may fire for: the AlertGroupEvents among the files, or data as templates see it.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use kube::ResourceExt;

use super::manifest::EventManifest;
use crate::core::{
    event::{EventData, EventFacts, TemplateContext},
    json::{Json, Object},
    webhook::EventType,
};

/// An event that webhooks may fire for.
pub(super) struct InputEvent {
    /// The name for messages.
    pub(super) title: String,
    /// The event's name; None if only its data is known.
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) alert_group_id: String,
    /// The namespace that it is in; None for data, which is in all of them.
    pub(super) namespace: Option<String>,
    /// The facts that webhooks are matched against; None for data, for which every webhook is to fire.
    pub(super) facts: Option<EventFacts>,
    pub(super) integration_id: Option<String>,
    pub(super) data: EventData,
    /// Whether records hide the body.
    pub(super) masked: bool,
    /// `responses` that came with the data, by webhook id.
    pub(super) responses: Object,
}

impl InputEvent {
    /// An AlertGroupEvent.
    ///
    /// # Errors
    /// Its data can't be made into what templates see.
    pub(super) fn of_manifest(EventManifest { source, event }: &EventManifest) -> Result<Self> {
        let facts = event.spec.facts();
        let name = event.metadata.name.clone().or_else(|| event.metadata.generate_name.clone()).unwrap_or_default();
        Ok(Self {
            title: format!("AlertGroupEvent {}/{name}", source.namespace),
            name: Some(name),
            uid: event.uid(),
            alert_group_id: facts.alert_group_id.to_string(),
            namespace: Some(source.namespace.clone()),
            integration_id: facts.integration_id.clone(),
            masked: facts.event_type == Some(EventType::PersonalNotification),
            facts: Some(facts),
            data: event.spec.data()?,
            responses: Object::new(),
        })
    }

    /// The data in the file at `path`.
    pub(super) fn of_data(path: &Path, mut data: Object) -> Self {
        let text = |object: Option<&Json>, key: &str| match object?.get(key)? {
            Json::Str(text) => Some(text.to_string()),
            _ => None,
        };
        let responses = match data.shift_remove("responses") {
            Some(Json::Object(responses)) => Arc::unwrap_or_clone(responses),
            _ => Object::new(),
        };
        // Each webhook sees its own `webhook` instead.
        data.shift_remove("webhook");
        let group = data.get("alert_group");
        let alert_group_id = match data.get("alert_group_id") {
            Some(Json::Str(id)) => id.to_string(),
            _ => text(group, "id").unwrap_or_default(),
        };
        Self {
            title: format!("the data in {}", path.display()),
            name: None,
            uid: None,
            alert_group_id,
            namespace: None,
            facts: None,
            integration_id: text(data.get("integration"), "id").or_else(|| text(group, "integration_id")),
            masked: text(data.get("event"), "type").as_deref() == Some("personal notification"),
            data: EventData::new(data.into_iter().collect::<TemplateContext>()),
            responses,
        }
    }
}
