//! `Integration`: where alerts come from, and how they become alert groups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema, ResourceExt, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rule, SecretKeyRef, condition::Condition, schema, webhook::seconds};
use crate::core::{
    alert_groups::EscalationStep as CoreStep,
    id,
    intake::{IntegrationType, TemplateSources},
    webhook::SecretKey,
};

/// The rules below, for whoever has no API server to ask.
pub(super) const RULES: [(&str, Rule); 2] = [
    ("self.all(step, duration(step.after) <= duration('720h'))", |steps| {
        let is_short = |after| seconds(after).is_some_and(|after| after <= 720.0 * 3600.0);
        steps.as_array().is_some_and(|steps| steps.iter().all(|step| is_short(&step["after"])))
    }),
    ("duration(self) >= duration('10s') && duration(self) <= duration('168h')", |every| {
        seconds(every).is_some_and(|every| (10.0..=168.0 * 3600.0).contains(&every))
    }),
];

/// What receives alerts, and how they are grouped.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "Integration",
    doc = "An integration of Grafana OnCall: receives the alerts of a source over HTTP and groups them into AlertGroups.",
    namespaced,
    shortname = "intg",
    category = "oncall",
    status = "IntegrationStatus",
    derive = "PartialEq",
    selectable = ".spec.type",
    selectable = ".status.id",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", description = "What sends to it."),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether its templates can work and its token is there."
    ),
    printcolumn(
        name = "Open",
        type_ = "integer",
        json_path = ".status.openAlertGroups",
        description = "How many of its alert groups are not resolved."
    ),
    printcolumn(
        name = "Last Alert",
        type_ = "date",
        json_path = ".status.lastAlertTime",
        description = "When it last received an alert."
    ),
    printcolumn(
        name = "Heartbeat",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Heartbeat\")].reason",
        description = "Whether it receives something as often as it should."
    ),
    printcolumn(
        name = "ID",
        type_ = "string",
        priority = 1,
        json_path = ".status.id",
        description = "Its id in OnCall's form."
    ),
    printcolumn(
        name = "Path",
        type_ = "string",
        priority = 1,
        json_path = ".status.path",
        description = "Where on the API's address it receives alerts, with a token in the header Authorization."
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "Why it is not ready."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationSpec {
    /// Name for people, which templates see as `integration.name`. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub name: Option<String>,
    /// Id that templates, webhooks' integrationFilter and the REST API see, such as `CFRPV98RPR1U8`. Default: one derived from namespace
    /// and name, the same in every cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^C[A-NP-Z1-9]{12,}$"))]
    pub id: Option<String>,
    /// What sends to it: says what its requests look like, and how they are grouped where templates say nothing.
    #[serde(rename = "type")]
    pub type_: IntegrationType,
    /// Team that it belongs to: any text, which templates see as `integration.team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub team: Option<String>,
    /// Labels that templates see as `integration.labels`. An alert group has those of its opening, the first 15 by key, which they see as
    /// `alert_group.labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The token that its source sends, at least 20 letters and digits without blanks. Two with a space between are valid at the same time, while one takes the
    /// other's place. Without one, nothing can be sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,
    /// How alerts are grouped, in place of what is usual for the type.
    #[serde(default)]
    pub templates: IntegrationTemplateSources,
    /// Whether the source resolves its alert groups. If not, alerts that are over join theirs.
    #[serde(default = "yes")]
    pub auto_resolve: bool,
    /// Webhooks that run while nobody has acknowledged, silenced or resolved an alert group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(
        validation = Rule::new("self.all(step, duration(step.after) <= duration('720h'))")
            .message("give an after up to 720h, which is 30 days"),
    )]
    pub escalation: Vec<EscalationStep>,
    /// An alert group opens when nothing was received for a while, and is resolved when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Take no alerts: senders get 503, and keep them if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Templates that see the alert as `payload`. Each that is not given, or that fails, is that of the type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationTemplateSources {
    /// What alerts of one alert group have in common. An alert for which it is empty has an alert group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub grouping_id: Option<String>,
    /// The title of the alert group that an alert opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub title: Option<String>,
    /// Whether an alert is over: it is if this renders to `true`, `1` or `ok`, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub resolve_condition: Option<String>,
    /// Whether somebody works on an alert, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub acknowledge_condition: Option<String>,
}

/// Webhooks that run some time after an alert group was opened, or was last taken up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EscalationStep {
    /// How long after, such as `15m`; at most 30 days.
    #[schemars(schema_with = "schema::duration")]
    pub after: Duration,
    /// Names or ids of Webhooks of triggerType escalation.
    #[schemars(length(min = 1, max = 20), inner(length(min = 1, max = 253)))]
    pub webhook_refs: Vec<String>,
}

/// How often something is to be received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct Heartbeat {
    /// How long may pass without anything, such as `10m`; from 10 s to 7 days.
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('168h')")
            .message("give a time from 10s to 168h"),
    )]
    pub every: Duration,
}

/// What the operator found and received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationStatus {
    /// Id that templates, webhooks and the REST API see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub id: Option<String>,
    /// Where on the API's address it receives alerts, with a token in the header Authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub path: Option<String>,
    /// The generation of the spec that the conditions were found for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready says whether all its templates can work, and its token is there. Heartbeat is there where spec.heartbeat is, and False while
    /// nothing comes. TemplateWarning is there since a template failed on an alert, until the manifest is changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When it last received an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_alert_time: Option<Timestamp>,
    /// How many of its alert groups are not resolved.
    #[serde(default)]
    pub open_alert_groups: u32,
    /// How many alerts it has received.
    #[serde(default)]
    pub alerts: u64,
}

fn yes() -> bool {
    true
}

impl Integration {
    /// Its id.
    pub fn id(&self) -> String {
        let derived = || id::integration_id(&self.namespace().unwrap_or_default(), &self.name_any());
        self.spec.id.clone().unwrap_or_else(derived)
    }

    /// Its name for people.
    pub fn display_name(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.name_any())
    }

    /// Where its token is, if it has one.
    pub(crate) fn token_key(&self) -> Option<SecretKey> {
        let token = self.spec.token_secret_ref.as_ref()?;
        Some(SecretKey { name: token.name.clone(), key: token.key.clone() })
    }

    /// Its templates as they are written.
    pub fn template_sources(&self) -> TemplateSources {
        let IntegrationTemplateSources { grouping_id, title, resolve_condition, acknowledge_condition } =
            self.spec.templates.clone();
        TemplateSources { grouping_id, title, resolve_condition, acknowledge_condition }
    }

    /// The steps of its escalation.
    pub fn escalation(&self) -> Vec<CoreStep> {
        let step =
            |step: &EscalationStep| CoreStep { after: step.after.into(), webhook_refs: step.webhook_refs.clone() };
        self.spec.escalation.iter().map(step).collect()
    }
}
