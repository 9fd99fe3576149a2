//! What lists and filters need of an alert group. Its title, payloads and texts stay in the API server.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    core::{alert_groups::AlertGroupState, id},
    kubernetes::{
        name::{NamespacedName, name_of},
        objects::ObjectState,
        resource_version::{ResourceVersion, created_in, version_of},
    },
    resources::{AlertGroup, AlertGroupSpec, EventRef},
};

/// An AlertGroup as it is watched: nothing else of it is kept for a moment.
#[derive(Clone, Debug, Deserialize, kube::Resource)]
#[resource(inherit = AlertGroup)]
pub(crate) struct WatchedAlertGroup {
    metadata: ObjectMeta,
    spec: AlertGroupSpec,
    status: Option<WatchedStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WatchedStatus {
    id: String,
    created_at: Option<Timestamp>,
    acknowledged: Option<IgnoredAny>,
    resolved: Option<IgnoredAny>,
    silenced: Option<IgnoredAny>,
    transitions: Vec<WatchedTransition>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WatchedTransition {
    event_ref: EventRef,
    #[serde(default)]
    version: String,
}

/// Orders lists: when an alert group was opened, the place of the event that opened it among those of the same second, its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opening {
    at: Timestamp,
    version: Option<ResourceVersion>,
    name: Option<Arc<str>>,
}

impl Opening {
    /// Before all others.
    pub(super) const FIRST: Self = Self { at: Timestamp::MIN, version: None, name: None };
}

/// An alert group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedAlertGroup {
    pub(crate) name: NamespacedName,
    pub(crate) uid: Option<String>,
    pub(crate) version: ResourceVersion,
    /// Its id in OnCall's form.
    pub(crate) id: Arc<str>,
    /// The Integration that received its alerts.
    pub(crate) integration: NamespacedName,
    /// Id of that.
    pub(crate) integration_id: Arc<str>,
    pub(crate) is_acknowledged: bool,
    pub(crate) is_resolved: bool,
    pub(crate) is_silenced: bool,
    pub(super) opening: Opening,
}

impl ListedAlertGroup {
    /// An alert group, and the uids of the events that have changed it; None for what the operator has not written.
    pub(super) fn read(group: &WatchedAlertGroup) -> Option<(Self, Vec<String>)> {
        let status = group.status.as_ref().filter(|status| !status.id.is_empty())?;
        let name = name_of(group);
        let integration = NamespacedName::new(Arc::clone(&name.namespace), &*group.spec.integration_ref.name);
        let derived = || id::integration_id(&name.namespace, &integration.name);
        let integration_id = group.spec.integration_ref.id.clone().unwrap_or_else(derived);
        let opening = Opening {
            at: status.created_at.unwrap_or_else(|| created_in(&group.metadata)),
            version: status.transitions.first().map(|opening| ResourceVersion::from(opening.version.as_str())),
            name: Some(Arc::clone(&name.name)),
        };
        let listed = Self {
            uid: group.metadata.uid.clone(),
            version: version_of(group),
            id: Arc::from(&*status.id),
            integration,
            integration_id: Arc::from(integration_id),
            is_acknowledged: status.acknowledged.is_some(),
            is_resolved: status.resolved.is_some(),
            is_silenced: status.silenced.is_some(),
            opening,
            name,
        };
        Some((listed, status.transitions.iter().map(|transition| transition.event_ref.uid.clone()).collect()))
    }

    /// Its state.
    pub(crate) fn state(&self) -> AlertGroupState {
        if self.is_resolved {
            AlertGroupState::Resolved
        } else if self.is_acknowledged {
            AlertGroupState::Acknowledged
        } else if self.is_silenced {
            AlertGroupState::Silenced
        } else {
            AlertGroupState::Firing
        }
    }

    /// Which object it is, and in which state.
    pub(super) fn state_of_object(&self) -> ObjectState {
        ObjectState::new(self.uid.clone(), self.version.clone())
    }

    /// When it was opened.
    pub(crate) fn created_at(&self) -> Timestamp {
        self.opening.at
    }
}
