//! What answers show of an alert group, as the API server has it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    core::alert_groups::AlertGroupState,
    kubernetes::resource_version::{ResourceVersion, version_in},
    resources::{AlertGroup, AlertGroupAct, AlertGroupSpec, EventPlace, EventRef},
    rest::shown::Shown,
};

/// The part of an AlertGroup that answers show. Payloads stay the text that they are.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredAlertGroup {
    metadata: ObjectMeta,
    pub(super) spec: AlertGroupSpec,
    #[serde(default)]
    pub(super) status: StoredStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StoredStatus {
    pub(super) id: String,
    pub(super) state: AlertGroupState,
    title: String,
    pub(super) alerts_count: u32,
    pub(super) created_at: Option<Timestamp>,
    pub(super) acknowledged: Option<AlertGroupAct>,
    pub(super) resolved: Option<AlertGroupAct>,
    pub(super) silenced: Option<AlertGroupAct>,
    wiped: Option<IgnoredAny>,
    pub(super) labels: BTreeMap<String, String>,
    first_payload: Option<Box<RawValue>>,
    last_payload: Option<Box<RawValue>>,
    pub(super) last_alert: Option<EventPlace>,
    transitions: Vec<StoredTransition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredTransition {
    event_ref: EventRef,
}

impl StoredAlertGroup {
    /// Name of the Integration that received its alerts.
    pub(crate) fn integration(&self) -> &str {
        &self.spec.integration_ref.name
    }
}

impl StoredStatus {
    /// Its title; None if it is wiped, as in OnCall.
    pub(super) fn title(&self) -> Option<&str> {
        self.wiped.is_none().then_some(&self.title)
    }

    /// The first alert as it was received; of one that is wiped OnCall has an object without anything in it.
    pub(super) fn first_payload(&self) -> Option<&RawValue> {
        self.first_payload.as_deref().or_else(|| self.wiped.and_then(|_| serde_json::from_str("{}").ok()))
    }

    /// The last alert as it was received. The first one is stored once.
    pub(super) fn last_payload(&self) -> Option<&RawValue> {
        self.last_payload.as_deref().or_else(|| self.first_payload())
    }

    /// Uid of the event that opened it.
    pub(super) fn opened_by(&self) -> Option<&str> {
        self.transitions.first().map(|opening| opening.event_ref.uid.as_str())
    }
}

impl Shown for StoredAlertGroup {
    type Object = AlertGroup;

    fn version(&self) -> ResourceVersion {
        version_in(&self.metadata)
    }

    fn size(&self) -> usize {
        let StoredStatus { title, first_payload, last_payload, labels, transitions, .. } = &self.status;
        let payloads = [first_payload, last_payload].into_iter().flatten();
        let labels: usize = labels.iter().map(|(key, value)| 100 + key.len() + value.len()).sum();
        2000 + title.len()
            + labels
            + 150 * transitions.len()
            + payloads.map(|payload| payload.get().len()).sum::<usize>()
    }
}
