//! `AlertGroup`: alerts that belong together, and what was done about them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::{CustomResource, ResourceExt, api::ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EventRef, INTEGRATION_LABEL, label_value, schema};
use crate::core::{
    alert_groups::{
        self as core, Act, AlertGroupState, Done, Escalation, EventReference, Position, Silence, Transition, Verdict,
    },
    version::ResourceVersion,
};

/// Where its alerts come from, and what they have in common.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "AlertGroup",
    doc = "Alerts that belong together. Written by the operator; create an AlertGroupEvent with alertGroupRef to change it.",
    namespaced,
    shortname = "ag",
    category = "oncall",
    status = "AlertGroupStatus",
    derive = "PartialEq",
    selectable = ".spec.integrationRef.name",
    selectable = ".status.state",
    selectable = ".status.id",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state", description = "Its state."),
    printcolumn(name = "Title", type_ = "string", json_path = ".status.title", description = "Its title."),
    printcolumn(
        name = "Integration",
        type_ = "string",
        json_path = ".spec.integrationRef.name",
        description = "Where its alerts come from."
    ),
    printcolumn(
        name = "Alerts",
        type_ = "integer",
        json_path = ".status.alertsCount",
        description = "How many alerts it has."
    ),
    printcolumn(
        name = "By",
        type_ = "string",
        json_path = ".status.by",
        description = "Who brought it into its state."
    ),
    printcolumn(
        name = "ID",
        type_ = "string",
        priority = 1,
        json_path = ".status.id",
        description = "Its id in OnCall's form."
    ),
    printcolumn(
        name = "Silenced Until",
        type_ = "string",
        priority = 1,
        json_path = ".status.silencedUntil",
        description = "When its silence ends."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroupSpec {
    /// The Integration that received its alerts.
    pub integration_ref: IntegrationRef,
    /// What its alerts have in common; the digest of that once it is wiped.
    #[schemars(length(max = 1000))]
    pub grouping_id: String,
}

/// An Integration of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntegrationRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its id, which templates and webhooks' integrationFilter see. Default: the one that is derived from namespace and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub id: Option<String>,
}

/// What it is now, and how that came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroupStatus {
    /// -1 where no operator has written it. Its generation changes with its status, so that a written one has none to observe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Its id in OnCall's form.
    #[serde(default)]
    #[schemars(length(max = 200), transform = schema::without_default)]
    pub id: String,
    /// Its state.
    #[serde(default)]
    #[schemars(transform = schema::without_default)]
    pub state: AlertGroupState,
    /// Its title.
    #[serde(default)]
    #[schemars(length(max = 10000))]
    pub title: String,
    /// Its labels: those that its Integration had when it was opened, the first 15 by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::inherited_labels")]
    pub labels: BTreeMap<String, String>,
    /// How many alerts it has.
    #[serde(default)]
    pub alerts_count: u32,
    /// Who brought it into its state, or wiped it: the name of a user, or the name of the Integration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 400))]
    pub by: Option<String>,
    /// When it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created_at: Option<Timestamp>,
    /// Whether further alerts join it: until it is resolved for the first time.
    #[serde(default)]
    pub open_for_grouping: bool,
    /// Who acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<AlertGroupAct>,
    /// Who resolved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<AlertGroupAct>,
    /// Who silenced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<AlertGroupAct>,
    /// Who wiped it: it has no payloads any more, its title says so, and groupingId is a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wiped: Option<AlertGroupWipe>,
    /// When its silence ends; not there where that is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub silenced_until: Option<Timestamp>,
    /// How far its escalation is; not there while somebody has taken it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<AlertGroupEscalation>,
    /// How many timers it has had: ends of silences and steps of its escalation.
    #[serde(default)]
    pub timers: u64,
    /// The number of the timer that ends its silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_timer: Option<u64>,
    /// The first alert as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::any_json")]
    pub first_payload: Option<Value>,
    /// The last alert as it was received, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::any_json")]
    pub last_payload: Option<Value>,
    /// The last alert that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_alert: Option<EventPlace>,
    /// Its changes, oldest first: the one that opened it, and the last 49.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub transitions: Vec<AlertGroupTransition>,
}

/// Something that was done to an alert group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroupAct {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The name of the user who did it; not there for the source of its alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 400))]
    pub user: Option<String>,
}

/// That an alert group is wiped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroupWipe {
    /// When, and by whom.
    #[serde(flatten)]
    pub act: AlertGroupAct,
    /// When its events and responses were removed too; not there while some are still being delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub completed: Option<Timestamp>,
}

/// The escalation of an alert group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroupEscalation {
    /// Since when.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// The next step of the Integration's escalation, from 0 on.
    pub step: u32,
    /// The number of the timer that takes it.
    pub timer: u64,
}

/// An event, and its place among all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPlace {
    /// The AlertGroupEvent.
    pub event_ref: EventRef,
    /// When it was created.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The resourceVersion that it was created with: its place among those of the same second.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub version: String,
}

/// A change of an alert group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroupTransition {
    /// What happened.
    pub verdict: Verdict,
    /// The event that made it.
    #[serde(flatten)]
    pub event: EventPlace,
    /// The name of the user who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 400))]
    pub user: Option<String>,
}

/// The fields that an earlier status may have had and a later one may lack.
const PATCHED: [&str; 7] =
    ["by", "acknowledged", "resolved", "silenced", "silencedUntil", "escalation", "silenceTimer"];

impl AlertGroupStatus {
    /// Makes a merge patch that removes the fields of an earlier status that this one lacks. The payloads stay, unless it is wiped, and the
    /// labels, which are those of its creation. That it is wiped is never taken back.
    ///
    /// # Errors
    /// Never: a value that JSON can't express.
    pub fn replacing(&self) -> Result<Value, serde_json::Error> {
        let mut patch = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut patch {
            fields.remove("labels");
            if self.wiped.is_some() {
                fields.extend(["firstPayload", "lastPayload"].map(|payload| (payload.to_owned(), Value::Null)));
            }
            for field in PATCHED {
                fields.entry(field).or_insert(Value::Null);
            }
            // Of an act by the source, after one by a user.
            for act in ["acknowledged", "resolved", "silenced"] {
                if let Some(Value::Object(act)) = fields.get_mut(act) {
                    act.entry("user").or_insert(Value::Null);
                }
            }
        }
        Ok(patch)
    }
}

impl From<&core::AlertGroup> for AlertGroupStatus {
    /// Without the payloads.
    fn from(group: &core::AlertGroup) -> Self {
        let act = |act: &Act| AlertGroupAct { time: act.at, user: act.by.as_deref().map(str::to_owned) };
        let (state, Done { acknowledged, resolved, silenced, wiped }) = (group.state(), &group.done);
        let last = match state {
            AlertGroupState::Firing => None,
            AlertGroupState::Acknowledged => acknowledged.as_ref(),
            AlertGroupState::Silenced => silenced.as_ref(),
            AlertGroupState::Resolved => wiped.as_ref().or(resolved.as_ref()),
        };
        let transition = |transition: &Transition| AlertGroupTransition {
            verdict: transition.verdict,
            event: folded_event(&transition.event, &transition.position),
            user: transition.by.as_deref().map(str::to_owned),
        };
        Self {
            observed_generation: None,
            id: group.id.to_string(),
            state,
            title: group.title.to_string(),
            labels: (*group.labels).clone(),
            alerts_count: group.alerts_count,
            by: last.map(|act| act.by.as_ref().unwrap_or(&group.integration).to_string()),
            created_at: Some(group.created_at()),
            open_for_grouping: group.is_open_for_grouping,
            acknowledged: acknowledged.as_ref().map(act),
            resolved: resolved.as_ref().map(act),
            silenced: silenced.as_ref().map(act),
            wiped: wiped.as_ref().map(|wiped| AlertGroupWipe { act: act(wiped), completed: None }),
            silenced_until: group.silence.as_ref().and_then(|silence| silence.until),
            escalation: group.escalation.as_ref().map(|escalation| AlertGroupEscalation {
                since: escalation.since,
                step: u32::try_from(escalation.step).unwrap_or(u32::MAX),
                timer: escalation.timer,
            }),
            timers: group.timers,
            silence_timer: group.silence.as_ref().map(|silence| silence.timer),
            first_payload: None,
            last_payload: None,
            last_alert: Some(folded_event(&group.last_alert, &group.counted)),
            transitions: group.transitions.iter().map(transition).collect(),
        }
    }
}

fn folded_event(event: &EventReference, (time, version): &Position) -> EventPlace {
    EventPlace {
        event_ref: EventRef { name: event.name.to_string(), uid: event.uid.to_string() },
        time: *time,
        version: version.to_string(),
    }
}

impl EventPlace {
    fn reference(&self) -> EventReference {
        EventReference { name: Arc::from(&*self.event_ref.name), uid: Arc::from(&*self.event_ref.uid) }
    }

    fn position(&self) -> Position {
        (self.time, ResourceVersion::from(self.version.as_str()))
    }
}

impl AlertGroup {
    /// The object of an alert group, with its status, without the payloads.
    pub fn of(namespace: &str, group: &core::AlertGroup) -> Self {
        let labels = BTreeMap::from([(INTEGRATION_LABEL.to_owned(), label_value(&group.integration))]);
        Self {
            metadata: ObjectMeta {
                name: Some(group.name.to_string()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            spec: AlertGroupSpec {
                integration_ref: IntegrationRef {
                    name: group.integration.to_string(),
                    id: Some(group.integration_id.to_string()),
                },
                grouping_id: group.grouping_id.to_string(),
            },
            status: Some(AlertGroupStatus::from(group)),
        }
    }

    /// The alert group as it is written; None if its status is not that of an operator.
    pub fn stored(&self) -> Option<core::AlertGroup> {
        let status = self.status.as_ref()?;
        let last_alert = status.last_alert.as_ref()?;
        let text = |text: &str| -> Arc<str> { Arc::from(text) };
        let act = |act: &AlertGroupAct| Act { at: act.time, by: act.user.as_deref().map(Arc::from) };
        let transition = |transition: &AlertGroupTransition| Transition {
            verdict: transition.verdict,
            event: transition.event.reference(),
            position: transition.event.position(),
            by: transition.user.as_deref().map(Arc::from),
        };
        Some(core::AlertGroup {
            name: text(&self.name_any()),
            id: text(&status.id),
            integration: text(&self.spec.integration_ref.name),
            integration_id: text(self.spec.integration_ref.id.as_deref().unwrap_or_default()),
            labels: Arc::new(status.labels.clone()),
            grouping_id: text(&self.spec.grouping_id),
            title: text(&status.title),
            alerts_count: status.alerts_count,
            counted: last_alert.position(),
            last_alert: last_alert.reference(),
            is_open_for_grouping: status.open_for_grouping,
            done: Done {
                acknowledged: status.acknowledged.as_ref().map(act),
                resolved: status.resolved.as_ref().map(act),
                silenced: status.silenced.as_ref().map(act),
                wiped: status.wiped.as_ref().map(|wiped| act(&wiped.act)),
            },
            silence: status
                .silenced
                .as_ref()
                .map(|_| Silence { until: status.silenced_until, timer: status.silence_timer.unwrap_or_default() }),
            escalation: status.escalation.as_ref().map(|escalation| Escalation {
                since: escalation.since,
                step: escalation.step as usize,
                timer: escalation.timer,
            }),
            timers: status.timers,
            transitions: status.transitions.iter().map(transition).collect(),
        })
    }
}
