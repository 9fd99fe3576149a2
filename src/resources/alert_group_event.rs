//! `AlertGroupEvent`: what happened to an alert group, and what was done about it.

mod change;
mod folded;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use change::{SilencedUntil, silence_end, type_in_names};
pub(crate) use folded::{FoldedSpec, payload_of, without_payload};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DeliverySummary, IntegrationRef, Rule, condition::Condition, has, schema};
use crate::core::{
    alert_groups::{AlertReport, ChangeRequest, FoldRequest, Until, Verdict},
    event::{EventData, EventFacts},
    id,
    intake::AlertAction,
    json::{Json, jsonb},
    webhook::EventType,
};

/// The rules below about one event alone, for whoever has no API server to ask.
pub(super) const RULES: [(&str, Rule); 8] = [
    (ONE_SUBJECT, |spec| ["alertGroup", "alertGroupRef", "alert"].iter().filter(|field| has(spec, field)).count() == 1),
    ("has(self.type) != has(self.alert)", |spec| has(spec, "type") != has(spec, "alert")),
    (UNTIL_IS_A_TIME, |spec| {
        let is_time = |until: &Value| until.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
        !has(spec, "alertGroupRef") || !has(spec, "until") || is_time(&spec["until"])
    }),
    (FILLED_IN, |spec| {
        let filled = [
            "time",
            "integration",
            "notifiedUsers",
            "usersToBeNotified",
            "alertGroupAcknowledgedBy",
            "alertGroupResolvedBy",
        ];
        has(spec, "alertGroup") || !filled.iter().any(|field| has(spec, field))
    }),
    ("!has(self.alert) || !(has(self.user) || has(self.until))", |spec| {
        !has(spec, "alert") || !(has(spec, "user") || has(spec, "until"))
    }),
    (REFS_GO_WITH_TYPE, |spec| {
        let names_webhooks = ["escalation", "personal notification"].iter().any(|type_| spec["type"] == *type_);
        names_webhooks == spec["webhookRefs"].as_array().is_some_and(|refs| !refs.is_empty())
    }),
    ("!has(self.alertGroupRef) || self.type != 'alert group created'", |spec| {
        !has(spec, "alertGroupRef") || spec["type"] != "alert group created"
    }),
    (WIPE_IS_OURS, |spec| !has(spec, "alertGroup") || spec["type"] != "wipe"),
];

/// The rule that an event is about one thing.
const ONE_SUBJECT: &str =
    "(has(self.alertGroup) ? 1 : 0) + (has(self.alertGroupRef) ? 1 : 0) + (has(self.alert) ? 1 : 0) == 1";

/// The rule that the end of a silence of ours can be read.
const UNTIL_IS_A_TIME: &str = r"!has(self.alertGroupRef) || !has(self.until) || self.until.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$')";

/// The rule that the operator fills in what templates see of an alert group of its own.
const FILLED_IN: &str = "has(self.alertGroup) || !(has(self.time) || has(self.integration) || has(self.notifiedUsers) || has(self.usersToBeNotified) || has(self.alertGroupAcknowledgedBy) || has(self.alertGroupResolvedBy))";

/// The rule that only what is kept here is wiped here.
const WIPE_IS_OURS: &str = "!has(self.alertGroup) || self.type != 'wipe'";

/// The rule of the types that name webhooks.
const REFS_GO_WITH_TYPE: &str = "(has(self.type) && self.type in ['escalation', 'personal notification']) == (has(self.webhookRefs) && size(self.webhookRefs) > 0)";

/// What happened, as templates see it. Fields that every OnCall has are null for templates (and print `None`) where they are
/// not given; of the others, templates see those that are given.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "AlertGroupEvent",
    doc = "Something that happened to an alert group. It fires the webhooks whose trigger it is, once.",
    namespaced,
    shortname = "agev",
    category = "oncall",
    status = "AlertGroupEventStatus",
    derive = "PartialEq",
    selectable = ".spec.type",
    selectable = ".spec.alertGroup.id",
    selectable = ".spec.alert.integrationRef.name",
    selectable = ".status.alertGroupRef.name",
    selectable = ".status.phase",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", description = "What happened."),
    printcolumn(
        name = "Alert Group",
        type_ = "string",
        json_path = ".spec.alertGroup.id",
        description = "Id of what it happened to."
    ),
    printcolumn(
        name = "Group",
        type_ = "string",
        json_path = ".status.alertGroupRef.name",
        description = "The AlertGroup that it was folded into."
    ),
    printcolumn(
        name = "Group ID",
        type_ = "string",
        priority = 1,
        json_path = ".status.alertGroupRef.id",
        description = "Id of that."
    ),
    printcolumn(
        name = "Verdict",
        type_ = "string",
        json_path = ".status.verdict",
        description = "What came of it there."
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "How far it is."),
    printcolumn(
        name = "Succeeded",
        type_ = "integer",
        json_path = ".status.succeeded",
        description = "Requests that were taken."
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.failed",
        description = "Requests that were not."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self == oldSelf")
        .message("an event is a record and does not change: create another one"),
    validation = Rule::new(ONE_SUBJECT)
        .message("give exactly one of alertGroup, alertGroupRef and alert"),
    validation = Rule::new("has(self.type) != has(self.alert)")
        .message("give a type with alertGroup and alertGroupRef, and none with alert"),
    validation = Rule::new(REFS_GO_WITH_TYPE)
        .message("webhookRefs goes with type escalation and type personal notification, which need it; other types find their webhooks by triggerType"),
    validation = Rule::new(FILLED_IN)
        .message("time, integration and users other than user go with alertGroup: of an AlertGroup the operator fills them in"),
    validation = Rule::new("!has(self.alert) || !(has(self.user) || has(self.until))")
        .message("user and until go with alertGroup and alertGroupRef: alert says what a source said"),
    validation = Rule::new(UNTIL_IS_A_TIME)
        .message("give an until such as 2026-01-31T12:00:00Z; leave it out to silence for ever"),
    validation = Rule::new("!has(self.alertGroupRef) || self.type != 'alert group created'")
        .message("type alert group created goes with alertGroup: an AlertGroup is there already"),
    validation = Rule::new(WIPE_IS_OURS)
        .message("type wipe goes with alertGroupRef: it takes away what is stored here"),
)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroupEventSpec {
    /// What happened; not there with alert.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<EventType>,
    /// When it happened, as templates are to see it, such as `2023-08-18T16:38:21.442981+00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 64))]
    pub time: Option<Option<String>>,
    /// Until when the alert group is silenced, as templates are to see it; null for ever.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 64))]
    pub until: Option<Option<String>>,
    /// Who did it. For a personal notification: who is notified, which templates see as `event.user` too. Beside the keys that are
    /// named here there may be others, of any JSON, such as the id of a chat; at most 64 in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The alert group after the change, where another system keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_group: Option<EventAlertGroup>,
    /// The AlertGroup that is to be changed; the operator fills in what templates see. Whether it can be is said in status.verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_group_ref: Option<AlertGroupRef>,
    /// What the source of an Integration said. It opens an AlertGroup, joins one, or changes it: status.verdict says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// The first alert as it was received: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::any_json")]
    pub alert_payload: Option<Value>,
    /// Where the alert came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<EventIntegration>,
    /// Who was notified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub notified_users: Vec<User>,
    /// Who is to be notified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub users_to_be_notified: Vec<User>,
    /// Who acknowledged the alert group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_group_acknowledged_by: Option<User>,
    /// Who resolved the alert group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_group_resolved_by: Option<User>,
    /// Names or ids of the webhooks that run; for the types escalation and personal notification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    pub webhook_refs: Vec<String>,
}

/// An AlertGroup of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertGroupRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The number of the timer that asks for the change; set by the operator alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<u64>,
}

/// What a source said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The Integration that received it.
    pub integration_ref: IntegrationRef,
    /// What alerts of one alert group have in common. Default: nothing; the alert has an alert group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub grouping_id: Option<String>,
    /// Whether there is an alert, somebody works on it, or it is over.
    #[serde(default)]
    pub action: AlertAction,
    /// The title of an alert group that it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10000))]
    pub title: Option<String>,
    /// The alert as it was received: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::any_json")]
    pub payload: Option<Value>,
}

/// A user of the system that the alert group lives in: who that is, and whatever else templates are to see of the user, such as a
/// phone number or the id of a chat; at most 64 keys in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::open::<64>)]
pub struct User {
    /// The user's id.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub id: Option<String>,
    /// The user's login.
    #[serde(default)]
    #[schemars(length(max = 400))]
    pub username: Option<String>,
    /// The user's mail address.
    #[serde(default)]
    #[schemars(length(max = 320))]
    pub email: Option<String>,
    /// All other keys, as they were sent.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An alert group. Times are texts, shown as they are given.
// In the order in which OnCall gives the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventAlertGroup {
    /// The alert group's id. Events and responses of the same id belong together.
    #[schemars(length(min = 1, max = 200))]
    pub id: String,
    /// Id of the integration that received its alerts.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub integration_id: Option<String>,
    /// Id of its team.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 200))]
    pub team_id: Option<Option<String>>,
    /// Id of the route that its alerts took.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub route_id: Option<String>,
    /// How many alerts it has.
    #[serde(default)]
    pub alerts_count: Option<i64>,
    /// Its state: firing, acknowledged, resolved or silenced.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub state: Option<String>,
    /// When it was created.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub created_at: Option<String>,
    /// When it was resolved.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub resolved_at: Option<String>,
    /// Id of the user who resolved it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 200))]
    pub resolved_by: Option<Option<String>>,
    /// When it was acknowledged.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub acknowledged_at: Option<String>,
    /// Id of the user who acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 200))]
    pub acknowledged_by: Option<Option<String>>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: Option<Option<BTreeMap<String, String>>>,
    /// Its title.
    #[serde(default)]
    #[schemars(length(max = 10000))]
    pub title: Option<String>,
    /// Links to it.
    #[serde(default)]
    pub permalinks: Option<Permalinks>,
    /// When it was silenced.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 64))]
    pub silenced_at: Option<Option<String>>,
    /// Its last alert: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::any_json")]
    pub last_alert: Option<Value>,
}

/// Links to an alert group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permalinks {
    /// In Slack.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub slack: Option<String>,
    /// In Slack's own program.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(length(max = 2000))]
    pub slack_app: Option<Option<String>>,
    /// In Telegram.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub telegram: Option<String>,
    /// In a browser.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub web: Option<String>,
}

/// An integration: what received the alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventIntegration {
    /// The integration's id, which integrationFilter of a webhook names.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub id: Option<String>,
    /// Its type, such as `alertmanager`.
    #[serde(rename = "type", default)]
    #[schemars(length(max = 200))]
    pub type_: Option<String>,
    /// Its name.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub name: Option<String>,
    /// The name of its team.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub team: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "schema::present")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: Option<Option<BTreeMap<String, String>>>,
}

/// What was done about the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroupEventStatus {
    /// How far it is.
    pub phase: EventPhase,
    /// What came of an event with alert or alertGroupRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The AlertGroup that it was folded into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_group_ref: Option<FoldedInto>,
    /// Completed is True when every webhook's run has ended, whatever came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many webhooks it fires.
    pub matched: u32,
    /// How many requests were answered with 200 to 299.
    pub succeeded: u32,
    /// How many could not be sent, were not answered, or were answered otherwise.
    pub failed: u32,
    /// How many were not sent because the trigger template said so.
    pub skipped: u32,
    /// The value of the annotation `oncall.dev/redeliver` for which it was last sent again.
    // Null, like a list that is empty, takes away that of an earlier time.
    #[serde(default)]
    #[schemars(length(max = 262144))]
    pub redelivered: Option<String>,
    /// The value for which it is being sent again.
    #[serde(default)]
    #[schemars(length(max = 262144))]
    pub redelivering: Option<String>,
    /// The resourceVersion that it had when it was first seen: its place among all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub seen_version: Option<String>,
    /// One line for each webhook, by name; none where the event is so large that there is no room for them.
    #[serde(default)]
    #[schemars(length(max = 2000), transform = schema::without_default)]
    pub webhooks: Vec<DeliverySummary>,
}

/// An AlertGroup of the same namespace, which may have been removed since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoldedInto {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its id.
    #[schemars(length(max = 200))]
    pub id: String,
}

/// How far an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventPhase {
    /// Seen, nothing done yet.
    #[default]
    Pending,
    /// Some webhooks' runs have not ended.
    Delivering,
    /// All have.
    Completed,
}

impl AlertGroupEventSpec {
    /// The facts that decide which webhooks run. Those of an event that is to be folded come with its verdict; until then it runs none.
    pub fn facts(&self) -> EventFacts {
        let group = self.alert_group.as_ref();
        let integration = self.integration.as_ref().and_then(|integration| integration.id.clone());
        EventFacts {
            event_type: group.and(self.type_),
            alert_group_id: group.map_or("", |group| group.id.as_str()).into(),
            integration_id: integration.or_else(|| group?.integration_id.clone()),
            webhook_refs: if group.is_some() { self.webhook_refs.clone() } else { Vec::new() },
        }
    }

    /// The data in OnCall's spelling and order. Of an event that is to be folded, the parts that it has itself.
    ///
    /// # Errors
    /// Never for what the API server gave: a value that JSON can't express.
    pub fn data(&self) -> Result<EventData, serde_json::Error> {
        // The API server sorts keys; OnCall has them as its database does.
        let payload = self.alert_payload.clone();
        self.data_with(payload.map_or_else(|| Json::from(""), |payload| jsonb(Json::from(payload))), None)
    }

    /// The data with this first alert, and the last one, if that is not in the alert group.
    fn data_with(&self, alert_payload: Json, last_alert: Option<Json>) -> Result<EventData, serde_json::Error> {
        let mut event = Map::from_iter([("type".to_owned(), json!(self.type_))]);
        for (key, value) in [("time", &self.time), ("until", &self.until)] {
            if let Some(value) = value {
                event.insert(key.to_owned(), json!(value));
            }
        }
        if self.type_ == Some(EventType::PersonalNotification) {
            event.insert("user".to_owned(), serde_json::to_value(&self.user)?);
        }
        let mut alert_group = self.alert_group.clone().unwrap_or_default();
        alert_group.permalinks.get_or_insert_default();
        let id = Json::from(alert_group.id.as_str());
        let mut alert_group = in_oncalls_spelling(json_of(&alert_group)?);
        if let (Some(last_alert), Json::Object(fields)) = (last_alert, &mut alert_group) {
            Arc::make_mut(fields).insert("last_alert".into(), last_alert);
        }
        let keys = [
            ("event", Json::from(Value::Object(event))),
            ("user", json_of(&self.user)?),
            ("alert_group", alert_group),
            ("alert_group_id", id),
            ("alert_payload", alert_payload),
            ("integration", json_of(&self.integration)?),
            ("notified_users", json_of(&self.notified_users)?),
            ("users_to_be_notified", json_of(&self.users_to_be_notified)?),
            ("alert_group_acknowledged_by", json_of(&self.alert_group_acknowledged_by)?),
            ("alert_group_resolved_by", json_of(&self.alert_group_resolved_by)?),
        ];
        Ok(EventData::new(keys.into_iter().map(|(key, value)| (Arc::from(key), value)).collect()))
    }

    /// What it asks of the alert groups of its namespace; None if it says itself what happened.
    pub(crate) fn fold_request(&self, namespace: &str, uid: &str) -> Option<FoldRequest> {
        if let Some(alert) = &self.alert {
            let integration = &alert.integration_ref;
            let derived = || id::integration_id(namespace, &integration.name);
            return Some(FoldRequest::Alert(AlertReport {
                integration: Arc::from(&*integration.name),
                integration_id: Arc::from(integration.id.clone().unwrap_or_else(derived)),
                // What has nothing in common with others has an alert group of its own.
                grouping_id: Arc::from(alert.grouping_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(uid)),
                action: alert.action,
                title: Arc::from(alert.title.as_deref().unwrap_or_default()),
            }));
        }
        let reference = self.alert_group_ref.as_ref()?;
        Some(FoldRequest::Change(ChangeRequest {
            alert_group: Arc::from(&*reference.name),
            event_type: self.type_.unwrap_or_default(),
            by: self.user.as_ref().and_then(|user| user.username.as_deref()).map(Arc::from),
            until: match self.until.as_ref().and_then(Option::as_deref) {
                Some(text) => text.parse().map_or(Until::Unreadable, Until::Time),
                None => Until::Forever,
            },
            timer: reference.timer,
            webhook_refs: self.webhook_refs.clone(),
        }))
    }
}

fn json_of(part: &impl Serialize) -> Result<Json, serde_json::Error> {
    serde_json::to_value(part).map(Json::from)
}

/// The keys of an alert group, and of its permalinks, in snake case. Values that people fill in stay as they are.
fn in_oncalls_spelling(value: Json) -> Json {
    let Json::Object(object) = value else { return value };
    Json::object(object.iter().map(|(key, value)| match &**key {
        "permalinks" => (Arc::clone(key), in_oncalls_spelling(value.clone())),
        "lastAlert" => (Arc::from("last_alert"), jsonb(value.clone())),
        _ => (Arc::from(snake_case(key)), value.clone()),
    }))
}

fn snake_case(key: &str) -> String {
    key.chars().fold(String::with_capacity(key.len() + 4), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{event::WebhookContext, json::Object, webhook::TriggerType};

    fn data_of(spec: Value) -> Value {
        let spec: AlertGroupEventSpec = serde_json::from_value(spec).unwrap();
        let own = WebhookContext::new(Json::from(json!({"id": "WH1", "name": "one", "labels": {}})), Object::new());
        serde_json::from_str(&spec.data().unwrap().dumps(&own)).unwrap()
    }

    #[test]
    fn the_data_has_oncalls_keys_in_oncalls_order() {
        let data = data_of(json!({
            "type": "silence",
            "until": "2024-03-01T01:00:00+00:00",
            "alertGroup": {"labels": {"b": "1"}, "id": "I1", "silencedAt": null, "permalinks": {"slackApp": "s", "web": "w"}},
            "alertPayload": {"annotations": {}, "labels": {"severity": "x", "job": "y"}},
            "integration": {"id": "C1"},
            "notifiedUsers": [{"id": "U1"}],
        }));
        let expected = json!({
            "event": {"type": "silence", "until": "2024-03-01T01:00:00+00:00"},
            "user": null,
            "alert_group": {
                "id": "I1", "integration_id": null, "route_id": null, "alerts_count": null, "state": null,
                "created_at": null, "resolved_at": null, "acknowledged_at": null, "labels": {"b": "1"}, "title": null,
                "permalinks": {"slack": null, "slack_app": "s", "telegram": null, "web": "w"},
                "silenced_at": null,
            },
            "alert_group_id": "I1",
            "alert_payload": {"labels": {"job": "y", "severity": "x"}, "annotations": {}},
            "integration": {"id": "C1", "type": null, "name": null, "team": null},
            "notified_users": [{"id": "U1", "username": null, "email": null}],
            "users_to_be_notified": [],
            "alert_group_acknowledged_by": null,
            "alert_group_resolved_by": null,
            "webhook": {"id": "WH1", "name": "one", "labels": {}},
        });
        assert_eq!(data.to_string(), expected.to_string());
    }

    #[test]
    fn a_personal_notification_names_its_user_in_the_event() {
        let data = data_of(json!({
            "type": "personal notification",
            "user": {"id": "U1", "username": "ann", "email": null},
            "alertGroup": {"id": "I1"},
            "webhookRefs": ["one"],
        }));
        let user = json!({"id": "U1", "username": "ann", "email": null});
        assert_eq!(data["event"], json!({"type": "personal notification", "user": user}));
        assert_eq!((&data["user"], &data["alert_payload"]), (&user, &json!("")));
    }

    #[test]
    fn users_carry_further_keys_as_they_were_sent() {
        let mk_user = |name: &str| {
            let more = json!({"chat_id": -1001, "phones": ["+49 1", {"type": "mobile"}], "aB": null, "id_2": 0.5});
            let mut user = json!({"id": name, "username": null, "email": "a@b.c"});
            user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            user
        };
        let data = data_of(json!({
            "type": "personal notification", "alertGroup": {"id": "I1"}, "webhookRefs": ["one"], "user": mk_user("a"),
            "notifiedUsers": [mk_user("b"), {"chat_id": 1}], "usersToBeNotified": [mk_user("c")],
            "alertGroupAcknowledgedBy": mk_user("d"), "alertGroupResolvedBy": mk_user("e"),
        }));
        let bare = json!({"id": null, "username": null, "email": null, "chat_id": 1});
        let expected = [
            ("user", mk_user("a")),
            ("notified_users", json!([mk_user("b"), bare])),
            ("users_to_be_notified", json!([mk_user("c")])),
            ("alert_group_acknowledged_by", mk_user("d")),
            ("alert_group_resolved_by", mk_user("e")),
        ];
        for (key, expected) in expected {
            assert_eq!(data[key].to_string(), expected.to_string(), "{key}");
        }
        assert_eq!(data["event"]["user"].to_string(), mk_user("a").to_string());
        let spec: AlertGroupEventSpec = serde_json::from_value(json!({
            "type": "resolve", "alertGroup": {"id": "I1"}, "user": mk_user("a"),
        }))
        .unwrap();
        assert_eq!(json!(spec)["user"].to_string(), mk_user("a").to_string());
    }

    #[test]
    fn a_time_that_is_null_is_seen_as_null_and_one_that_is_missing_is_not_seen() {
        // Whoever silences for ever says until when with null, as OnCall does.
        let cases = [
            (json!({}), json!({"type": "silence"})),
            (json!({"until": null}), json!({"type": "silence", "until": null})),
            (json!({"time": null, "until": "u"}), json!({"type": "silence", "time": null, "until": "u"})),
        ];
        for (times, expected) in cases {
            let mut spec = json!({"type": "silence", "alertGroup": {"id": "I1"}});
            spec.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            assert_eq!(data_of(spec)["event"].to_string(), expected.to_string(), "{times}");
        }
    }

    #[test]
    fn a_status_takes_away_what_an_earlier_one_had() {
        let expected = json!({
            "phase": "Pending", "matched": 0, "succeeded": 0, "failed": 0, "skipped": 0,
            "redelivered": null, "redelivering": null, "webhooks": [],
        });
        assert_eq!(json!(AlertGroupEventStatus::default()), expected);
    }

    #[test]
    fn every_event_type_is_a_trigger_type_of_the_same_words() {
        for type_ in ["escalation", "personal notification", "alert group created", "acknowledge", "resolve", "silence"]
        {
            let event: EventType = serde_json::from_value(json!(type_)).unwrap();
            let trigger: TriggerType = serde_json::from_value(json!(type_)).unwrap();
            assert_eq!(event.trigger(), Some(trigger));
        }
    }
}
