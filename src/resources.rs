//! The custom resources of group `oncall.dev`, their conversion to the values of [`crate::core`] and back, and their
//! conditions, labels and annotations.
//!
//! Their schemas are printed by `oncall-webhooks crds` and checked in under `crds/`. Every field has a description
//! (`kubectl explain` is the reference), every string, list and map a bound.

mod alert_group;
mod alert_group_event;
mod condition;
pub(crate) mod conditions;
mod delivery_journal;
mod integration;
mod manager;
mod schema;
mod webhook;
mod webhook_response;

pub use crate::core::delivery::{Attempt, DeliverySummary, ResponsePhase, Round};
pub use alert_group::{
    AlertGroup, AlertGroupAct, AlertGroupEscalation, AlertGroupSpec, AlertGroupStatus, AlertGroupTransition,
    EventPlace, IntegrationRef,
};
pub use alert_group_event::{
    Alert, AlertGroupEvent, AlertGroupEventSpec, AlertGroupEventStatus, AlertGroupRef, EventAlertGroup,
    EventIntegration, EventPhase, FoldedInto, Permalinks, User,
};
pub(crate) use alert_group_event::{
    FoldedSpec, SilencedUntil, payload_of, silence_end, type_in_names, without_payload,
};
pub use condition::{Condition, ConditionStatus, set as set_condition};
pub use delivery_journal::{DeliveryJournal, DeliveryJournalSpec};
pub use integration::{
    EscalationStep, Heartbeat, Integration, IntegrationSpec, IntegrationStatus, IntegrationTemplateSources,
};
pub use manager::Manager;
pub use webhook::{
    HeaderFromSecret, LastRun, Preset, SecretKeyRef, SecretKeySource, Webhook, WebhookSpec, WebhookStatus, compile,
};
pub use webhook_response::{
    EventRef, WebhookRef, WebhookResponse, WebhookResponseSpec, WebhookResponseStatus, closing_patch, cut_record,
};

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{CustomResourceExt, api::ObjectMeta};
use serde_json::Value;

/// Label of the Secrets that webhooks may name; its value is `true`.
pub const SECRET_LABEL: &str = "oncall.dev/secret";
/// Label of the Secrets whose token opens their namespace to callers of the REST API; its value is `true`.
pub const API_TOKEN_LABEL: &str = "oncall.dev/api-token";
/// Label of such a Secret whose token is for reading only; its value is `true`.
pub const READ_ONLY_LABEL: &str = "oncall.dev/read-only";
/// Label of a WebhookResponse: the name of its Webhook.
pub const WEBHOOK_LABEL: &str = "oncall.dev/webhook";
/// Label of a WebhookResponse: the name of its AlertGroupEvent.
pub const EVENT_LABEL: &str = "oncall.dev/event";
/// Label of an AlertGroup: the name of its Integration.
pub const INTEGRATION_LABEL: &str = "oncall.dev/integration";
/// Label of a WebhookResponse: the id of its alert group.
pub const ALERT_GROUP_LABEL: &str = "oncall.dev/alert-group";
/// Annotation of a WebhookResponse: when its last attempt was recorded, in microseconds since 1970. In a storm it is written later than
/// that, and its versions are in another order.
pub const RECORDED_AT_ANNOTATION: &str = "oncall.dev/recorded-at";
/// Label of a DeliveryJournal: the namespaces that the operator which made it works in.
pub const JOURNAL_SCOPE_LABEL: &str = "oncall.dev/journal-scope";
/// Annotation of a WebhookResponse or an AlertGroupEvent that is to be sent again; any new value asks for it.
pub const REDELIVER_ANNOTATION: &str = "oncall.dev/redeliver";

/// Annotation of an AlertGroupEvent that the intake made of an alert on which a template of the Integration failed: the generation of the
/// Integration, a blank, and what failed.
pub const TEMPLATE_FAULT_ANNOTATION: &str = "oncall.dev/template-fault";
/// Annotation of an AlertGroupEvent: the span that made it, as the header `traceparent` of W3C Trace Context has it. Without traces it
/// is ignored, as is what is none.
pub const TRACEPARENT_ANNOTATION: &str = "oncall.dev/traceparent";

/// Kubernetes' label of the program that made an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Annotation of a Webhook that was made over the REST API: when, in microseconds. Its own creation time has no fractions
/// of a second, and lists are in the order of creation.
pub const CREATED_AT_ANNOTATION: &str = "oncall.dev/created-at";
/// Annotation of a Webhook that was made over the REST API: the API's fields, with commas between, that were sent as `""` (or,
/// for `is_webhook_enabled`, as null) and read back so. A text that has a value since is no longer blank, and a webhook that is
/// disabled since is just that.
pub const BLANK_FIELDS_ANNOTATION: &str = "oncall.dev/blank-fields";

/// The definitions of all resources, in the order in which people meet them.
pub fn definitions() -> [CustomResourceDefinition; 6] {
    let (mut group, mut response) = (AlertGroup::crd(), WebhookResponse::crd());
    // They are created together with their statuses: one call costs the API server a third of what two do.
    for crd in [&mut group, &mut response] {
        crd.spec.versions.iter_mut().for_each(|version| version.subresources = None);
    }
    let (mut webhook, mut integration) = (Webhook::crd(), Integration::crd());
    for crd in [&mut webhook, &mut integration, &mut group] {
        schemas_of(crd).for_each(with_status_of_unseen);
    }
    [webhook, integration, group, AlertGroupEvent::crd(), response, DeliveryJournal::crd()].map(|mut crd| {
        schemas_of(&mut crd).for_each(without_unsigned_formats);
        crd
    })
}

fn schemas_of(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
}

/// The generation that no object has: of one that no operator has looked at, tools that wait until it is current (kstatus) see that
/// it is not.
pub const UNSEEN_GENERATION: i64 = -1;

/// Gives an object that is read without a status one that says that nobody has looked at it.
fn with_status_of_unseen(schema: &mut JSONSchemaProps) {
    if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
        status.default = Some(JSON(serde_json::json!({"observedGeneration": UNSEEN_GENERATION})));
    }
}

/// A rule of a definition (`x-kubernetes-validations`), as a function of the value that it validates.
pub type Rule = fn(&Value) -> bool;

/// Finds the function of the rule with this text; None for a rule that compares with an older state, and for any other text.
pub fn rule(text: &str) -> Option<Rule> {
    webhook::RULES
        .into_iter()
        .chain(alert_group_event::RULES)
        .chain(integration::RULES)
        .find(|(rule, _)| *rule == text)
        .map(|(_, holds)| holds)
}

/// `has(value.field)` in a rule, where null is as good as nothing.
fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|value| !value.is_null())
}

/// The API server warns of the formats of unsigned numbers, which it does not know; a minimum of 0 says the same.
fn without_unsigned_formats(schema: &mut JSONSchemaProps) {
    schema.format.take_if(|format| format.starts_with("uint"));
    schema.properties.iter_mut().flat_map(BTreeMap::values_mut).for_each(without_unsigned_formats);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_unsigned_formats(items);
    }
}

/// When a WebhookResponse was recorded, in microseconds since 1970; None where that is not noted.
pub(crate) fn recorded_at(meta: &ObjectMeta) -> Option<i64> {
    meta.annotations.as_ref()?.get(RECORDED_AT_ANNOTATION)?.parse().ok()
}

/// Makes a label's value of a text: the text itself where Kubernetes allows it, else its beginning and letters that tell it from
/// others.
pub fn label_value(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric();
    let legal = text.len() <= 63
        && text.bytes().all(|b| is_plain(b) || b"-_.".contains(&b))
        && text.bytes().next().is_none_or(is_plain)
        && text.bytes().last().is_none_or(is_plain);
    if legal {
        return text.to_owned();
    }
    let readable: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    crate::core::id::response_name(text, &readable).trim_start_matches('-').to_owned()
}

/// Whether an object can have this name of up to `most` bytes: letters and digits with `-` among them, in lower case;
/// with `dots`, several such parts.
pub(crate) fn is_name(text: &str, most: usize, dots: bool) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_part = |part: &str| {
        part.bytes().all(|b| is_plain(b) || b == b'-')
            && part.bytes().next().is_some_and(is_plain)
            && part.bytes().last().is_some_and(is_plain)
    };
    text.len() <= most && if dots { text.split('.').all(is_part) } else { is_part(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the rules of a schema and of the schemas in it.
    fn rules(schema: &Value, found: &mut Vec<String>) {
        let own = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        found.extend(own.filter_map(|rule| rule["rule"].as_str()).map(str::to_owned));
        schema["properties"].as_object().into_iter().flatten().for_each(|(_, inner)| rules(inner, found));
        ["items", "additionalProperties"]
            .iter()
            .filter_map(|key| schema.get(key))
            .for_each(|inner| rules(inner, found));
    }

    #[test]
    fn every_rule_can_be_checked_without_a_cluster() {
        let mut found = Vec::new();
        for crd in definitions() {
            rules(&serde_json::to_value(&crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut found);
        }
        assert!(found.len() >= webhook::RULES.len() + alert_group_event::RULES.len());
        found.retain(|text| rule(text).is_none() && !text.contains("oldSelf"));
        assert_eq!(found, Vec::<String>::new(), "add them to RULES beside their types");
    }

    /// Walks a schema and collects what a field lacks.
    fn faults(path: &str, schema: &Value, found: &mut Vec<String>) {
        let lacks = |key: &str| schema.get(key).is_none();
        let mut fault = |what: &str| found.push(format!("{path}: no {what}"));
        if lacks("description") && !path.ends_with("[]") && !path.ends_with("{}") {
            fault("description");
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") if lacks("maxLength") && lacks("enum") && lacks("format") => fault("maxLength"),
            Some("array") if lacks("maxItems") => fault("maxItems"),
            Some("object") if !lacks("additionalProperties") && lacks("maxProperties") => fault("maxProperties"),
            _ => {}
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            faults(&format!("{path}.{name}"), property, found);
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(inner) = schema.get(key) {
                faults(&format!("{path}{suffix}"), inner, found);
            }
        }
    }

    #[test]
    fn every_field_has_a_description_and_a_bound() {
        let mut found = Vec::new();
        for crd in definitions() {
            let crd = serde_json::to_value(&crd).unwrap();
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
            let properties = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            for (part, schema) in properties.as_object().unwrap() {
                faults(&format!("{kind}.{part}"), schema, &mut found);
            }
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn any_text_becomes_a_legal_label_value() {
        for text in ["IZQERPWKWCGH1", "", "a.b_c-d"] {
            assert_eq!(label_value(text), text);
        }
        for text in ["team/123", "-a", "a-", "東京", &"a".repeat(64), "a b"] {
            let value = label_value(text);
            assert!(!value.is_empty() && label_value(&value) == value, "{text} {value}");
        }
        assert_ne!(label_value("team/123"), label_value("team 123"));
    }
}
