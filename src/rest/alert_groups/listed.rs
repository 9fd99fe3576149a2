//! What lists and filters need of an alert group. Its title, payloads and texts stay in the API server.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::{Deserialize, de::IgnoredAny};

use super::alert::ListedAlert;
use crate::{
    core::{alert_groups::AlertGroupState, id},
    kubernetes::{
        name::{NamespacedName, name_of},
        objects::ObjectState,
        resource_version::{ResourceVersion, created_in, version_of},
    },
    resources::{AlertGroup, AlertGroupSpec, EventPlace, EventRef},
    rest::shown::Wanted,
};

/// Labels of an alert group.
pub(super) type Labels = BTreeMap<String, String>;

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
    wiped: Option<IgnoredAny>,
    labels: Labels,
    last_alert: Option<EventPlace>,
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
    pub(crate) is_wiped: bool,
    /// Its labels; None if it has none.
    pub(super) labels: Option<Arc<Labels>>,
    pub(super) opening: Opening,
    /// Id of the alert that opened it.
    first_alert: Option<Box<str>>,
    /// The last alert, if it is another one.
    last_alert: Option<LastAlert>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LastAlert {
    id: Box<str>,
    at: Timestamp,
    version: ResourceVersion,
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
        let opened_by = status.transitions.first().map(|opening| opening.event_ref.uid.as_str());
        let last_alert = status.last_alert.as_ref().filter(|alert| Some(alert.event_ref.uid.as_str()) != opened_by);
        let listed = Self {
            uid: group.metadata.uid.clone(),
            version: version_of(group),
            id: Arc::from(&*status.id),
            integration,
            integration_id: Arc::from(integration_id),
            is_acknowledged: status.acknowledged.is_some(),
            is_resolved: status.resolved.is_some(),
            is_silenced: status.silenced.is_some(),
            is_wiped: status.wiped.is_some(),
            labels: (!status.labels.is_empty()).then(|| Arc::new(status.labels.clone())),
            opening,
            first_alert: opened_by.map(|uid| id::alert_id(uid).into()),
            last_alert: last_alert.map(|alert| LastAlert {
                id: id::alert_id(&alert.event_ref.uid).into(),
                at: alert.time,
                version: ResourceVersion::from(alert.version.as_str()),
            }),
            name,
        };
        Some((listed, status.transitions.iter().map(|transition| transition.event_ref.uid.clone()).collect()))
    }

    /// Asks for something of the object, as it is known or later.
    pub(crate) fn wanting<W>(&self, what: W) -> Wanted<W> {
        Wanted { name: self.name.clone(), version: self.version.clone(), what }
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

    /// The alerts that are stored of it: the first, and the last if that is another one.
    pub(super) fn alerts(&self) -> impl Iterator<Item = ListedAlert<'_>> {
        let place = (self.opening.at, self.opening.version.as_ref());
        let first = self.first_alert.as_deref().map(|id| ListedAlert { id, place });
        let last = self.last_alert.as_ref();
        let last = last.map(|LastAlert { id, at, version }| ListedAlert { id, place: (*at, Some(version)) });
        first.into_iter().chain(last)
    }

    /// Whether it has this label.
    pub(super) fn has_label(&self, key: &str, value: &str) -> bool {
        self.labels.as_ref().and_then(|labels| labels.get(key)).is_some_and(|found| found == value)
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
