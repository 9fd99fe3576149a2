//! The same webhook in both forms: a change of OnCall's API in, a manifest out; a manifest in, OnCall's JSON out.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use kube::ResourceExt;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::fields::{Change, Credential, Form};
use crate::{
    core::{
        id,
        response::MASK,
        webhook::{HttpMethod, TriggerType},
    },
    resources::{BLANK_FIELDS_ANNOTATION, Preset, SecretKeyRef, SecretKeySource, Webhook, WebhookSpec},
};

/// A webhook, as `/api/v1/webhooks/` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookBody<'a> {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    #[schema(pattern = "^WH[A-NP-Z1-9]{12,}$", example = "WHP936BM1GPVHQ")]
    id: &'a str,
    /// Unique in its namespace.
    name: &'a str,
    /// A disabled webhook never runs. Null, which a client may have sent, is as good as false.
    #[schema(required)]
    is_webhook_enabled: Option<bool>,
    /// Id of its team.
    #[schema(required)]
    team: Option<&'a str>,
    /// Template of the body.
    #[schema(required)]
    data: Option<&'a str>,
    /// User name for Basic auth.
    #[schema(required)]
    username: Option<&'a str>,
    /// Sixteen asterisks where there is one.
    #[schema(required)]
    password: Option<&'a str>,
    /// Sixteen asterisks where there is one.
    #[schema(required)]
    authorization_header: Option<&'a str>,
    /// Template that decides whether to run.
    #[schema(required)]
    trigger_template: Option<&'a str>,
    /// Template of the headers, a JSON object.
    #[schema(required)]
    headers: Option<&'a str>,
    /// Template of the URL; sixteen asterisks where it is kept in a Secret.
    url: &'a str,
    /// Whether the whole data is sent.
    forward_all: bool,
    #[schema(value_type = HttpMethod)]
    http_method: HttpMethod,
    #[schema(value_type = TriggerType)]
    trigger_type: TriggerType,
    /// Ids of the integrations whose events run it; null for all.
    #[schema(required)]
    integration_filter: Option<&'a [String]>,
    /// The form that it was made with; null for none.
    #[schema(required, value_type = Option<Preset>)]
    preset: Option<&'static str>,
}

/// A webhook, as the older `/api/v1/actions/` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Action)]
pub(crate) struct ActionBody<'a> {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    #[schema(pattern = "^WH[A-NP-Z1-9]{12,}$", example = "WHP936BM1GPVHQ")]
    id: &'a str,
    /// Unique in its namespace.
    name: &'a str,
    /// A disabled webhook never runs.
    #[schema(required)]
    is_webhook_enabled: Option<bool>,
    /// Id of its team.
    #[schema(required)]
    team_id: Option<&'a str>,
    /// User name for Basic auth.
    #[schema(required)]
    user: Option<&'a str>,
    /// Template of the body.
    #[schema(required)]
    data: Option<&'a str>,
    /// Sixteen asterisks where there is one.
    #[schema(required)]
    password: Option<&'a str>,
    /// Sixteen asterisks where there is one.
    #[schema(required)]
    authorization_header: Option<&'a str>,
    /// Template that decides whether to run.
    #[schema(required)]
    trigger_template: Option<&'a str>,
    /// Template of the headers, a JSON object.
    #[schema(required)]
    headers: Option<&'a str>,
    /// Template of the URL; sixteen asterisks where it is kept in a Secret.
    url: &'a str,
    /// Whether the whole data is sent.
    forward_whole_payload: bool,
    #[schema(value_type = HttpMethod)]
    http_method: HttpMethod,
    #[schema(value_type = TriggerType)]
    trigger_type: TriggerType,
    /// Ids of the integrations whose events run it; null for all.
    #[schema(required)]
    integration_filter: Option<&'a [String]>,
}

/// The id that templates and the API see.
pub(crate) fn id_of(webhook: &Webhook) -> String {
    webhook.spec.id.clone().unwrap_or_else(|| {
        id::webhook_id(webhook.metadata.namespace.as_deref().unwrap_or_default(), &webhook.name_any())
    })
}

/// The name for people.
pub(crate) fn name_of(webhook: &Webhook) -> &str {
    webhook.spec.name.as_deref().or(webhook.metadata.name.as_deref()).unwrap_or_default()
}

/// The webhook as JSON text.
pub(crate) fn body(webhook: &Webhook, form: Form) -> Bytes {
    let (id, spec) = (id_of(webhook), &webhook.spec);
    let blank = blank_fields(webhook);
    let or_blank = |value: Option<&'static str>, field: &str| value.or_else(|| blank.contains(field).then_some(""));
    let masked = |source: &Option<SecretKeySource>| source.as_ref().map(|_| MASK);
    let enabled = (spec.enabled || !blank.contains("is_webhook_enabled")).then_some(spec.enabled);
    let username = spec.username.as_deref().or_else(|| or_blank(None, "username"));
    let webhooks = WebhookBody {
        id: &id,
        name: name_of(webhook),
        is_webhook_enabled: enabled,
        team: text(&spec.team),
        data: text(&spec.data),
        username,
        password: or_blank(masked(&spec.password), "password"),
        authorization_header: or_blank(masked(&spec.authorization_header), "authorization_header"),
        trigger_template: text(&spec.trigger_template),
        headers: text(&spec.headers),
        url: spec.url.as_deref().unwrap_or(MASK),
        forward_all: forwards_all(spec),
        http_method: spec.http_method,
        trigger_type: spec.trigger_type,
        integration_filter: spec.integration_filter.as_deref().filter(|ids| !ids.is_empty()),
        preset: spec.preset.map(Preset::as_str),
    };
    let json = match form {
        Form::Webhooks => serde_json::to_vec(&webhooks),
        Form::Actions => serde_json::to_vec(&ActionBody {
            id: webhooks.id,
            name: webhooks.name,
            is_webhook_enabled: webhooks.is_webhook_enabled,
            team_id: webhooks.team,
            user: webhooks.username,
            data: webhooks.data,
            password: webhooks.password,
            authorization_header: webhooks.authorization_header,
            trigger_template: webhooks.trigger_template,
            headers: webhooks.headers,
            url: webhooks.url,
            forward_whole_payload: webhooks.forward_all,
            http_method: webhooks.http_method,
            trigger_type: webhooks.trigger_type,
            integration_filter: webhooks.integration_filter,
        }),
    };
    // Texts, numbers and names of variants: there is nothing that JSON could not hold.
    json.unwrap_or_default().into()
}

/// An empty text is none.
fn text(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn forwards_all(spec: &WebhookSpec) -> bool {
    spec.forward_all.unwrap_or(spec.data.is_none())
}

fn blank_fields(webhook: &Webhook) -> BTreeSet<&str> {
    let annotation = webhook.annotations().get(BLANK_FIELDS_ANNOTATION);
    annotation.into_iter().flat_map(|fields| fields.split(',')).filter(|field| !field.is_empty()).collect()
}

/// What a webhook keeps in a Secret when it comes over the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    Password,
    AuthorizationHeader,
}

impl Kept {
    /// The key in the Secret.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::AuthorizationHeader => "authorization-header",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::AuthorizationHeader => "authorization_header",
        }
    }

    fn source(self, spec: &mut WebhookSpec) -> &mut Option<SecretKeySource> {
        match self {
            Self::Password => &mut spec.password,
            Self::AuthorizationHeader => &mut spec.authorization_header,
        }
    }

    /// Where it is kept now.
    pub(crate) fn kept_in(self, spec: &WebhookSpec) -> Option<&SecretKeyRef> {
        let source = match self {
            Self::Password => &spec.password,
            Self::AuthorizationHeader => &spec.authorization_header,
        };
        source.as_ref().map(|source| &source.secret_key_ref)
    }
}

/// What a change makes of a webhook.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) spec: WebhookSpec,
    /// The annotation of blank fields; None if there are none.
    pub(crate) blank: Option<String>,
    /// Values that are to be kept in the Secret.
    pub(crate) secrets: BTreeMap<Kept, SecretString>,
    /// What is not needed any more.
    pub(crate) cleared: Vec<Kept>,
}

impl Draft {
    /// `change` on top of `webhook`, which is a bare one where it is to be made.
    pub(crate) fn new(webhook: &Webhook, change: Change) -> Self {
        let mut spec = webhook.spec.clone();
        let mut blank: BTreeSet<&str> = blank_fields(webhook);
        let mut mark = |field: &'static str, is_blank: bool| {
            if is_blank {
                blank.insert(field);
            } else {
                blank.remove(field);
            }
        };
        if let Some(name) = change.name
            && name != name_of(webhook)
        {
            // What metadata.name says already is a default.
            spec.name = Some(name).filter(|name| webhook.metadata.name.as_ref() != Some(name));
        }
        if let Some(enabled) = change.enabled {
            spec.enabled = enabled.unwrap_or(false);
            mark("is_webhook_enabled", enabled.is_none());
        }
        if let Some(team) = change.team {
            spec.team = team;
        }
        if let Some(username) = change.username {
            mark("username", username.as_deref() == Some(""));
            spec.username = username.filter(|username| !username.is_empty());
        }
        let (mut secrets, mut cleared) = (BTreeMap::new(), Vec::new());
        let credentials = [(Kept::Password, change.password), (Kept::AuthorizationHeader, change.authorization_header)];
        for (kept, credential) in credentials {
            match credential {
                None | Some(Credential::Keep) => {}
                Some(Credential::Clear { blank }) => {
                    mark(kept.field(), blank);
                    if kept.source(&mut spec).take().is_some() {
                        cleared.push(kept);
                    }
                }
                Some(Credential::Set(value)) => {
                    mark(kept.field(), false);
                    secrets.insert(kept, value);
                }
            }
        }
        let forwards_all = change.forward_all.unwrap_or_else(|| forwards_all(&spec));
        if let Some(data) = change.data {
            spec.data = data;
        }
        // Said only where it is no default, or was said before.
        if spec.forward_all != Some(forwards_all) {
            spec.forward_all = (forwards_all != spec.data.is_none()).then_some(forwards_all);
        }
        if let Some(template) = change.trigger_template {
            spec.trigger_template = template;
        }
        if let Some(headers) = change.headers {
            spec.headers = headers;
        }
        if let Some(url) = change.url {
            spec.url = Some(url);
            spec.url_from = None;
        }
        if let Some(method) = change.http_method {
            spec.http_method = method;
        }
        if let Some(trigger_type) = change.trigger_type {
            spec.trigger_type = trigger_type;
        }
        let filters = |ids: &Option<Vec<String>>| ids.iter().flatten().cloned().collect::<Vec<_>>();
        if filters(&spec.integration_filter) != change.integration_filter {
            spec.integration_filter = Some(change.integration_filter).filter(|ids| !ids.is_empty());
        }
        if let Some(preset) = change.preset {
            spec.preset = preset;
        }
        let blank: Vec<&str> = blank.into_iter().collect();
        Self { spec, blank: Some(blank.join(",")).filter(|blank| !blank.is_empty()), secrets, cleared }
    }

    /// Names the keys that keep the values.
    pub(crate) fn keep_in(&mut self, references: BTreeMap<Kept, SecretKeyRef>) {
        for (kept, secret_key_ref) in references {
            *kept.source(&mut self.spec) = Some(SecretKeySource { secret_key_ref });
        }
    }

    /// The merge patch that makes `webhook` so, at the version that it was read at; None if it is so.
    pub(crate) fn patch(&self, webhook: &Webhook) -> Option<Value> {
        let spec = difference(&webhook.spec, &self.spec);
        let mut metadata = Map::new();
        if webhook.annotations().get(BLANK_FIELDS_ANNOTATION) != self.blank.as_ref() {
            metadata.insert("annotations".to_owned(), json!({BLANK_FIELDS_ANNOTATION: self.blank}));
        }
        if spec.is_empty() && metadata.is_empty() {
            return None;
        }
        metadata.insert("resourceVersion".to_owned(), webhook.resource_version().into());
        Some(json!({"metadata": metadata, "spec": spec}))
    }
}

/// The fields that differ, with their new values; null for those that are gone.
fn difference(old: &WebhookSpec, new: &WebhookSpec) -> Map<String, Value> {
    let (old, new) = (fields(old), fields(new));
    let gone = old.keys().filter(|field| !new.contains_key(*field)).map(|field| (field.clone(), Value::Null));
    let set = new.iter().filter(|(field, value)| old.get(*field) != Some(*value));
    gone.chain(set.map(|(field, value)| (field.clone(), value.clone()))).collect()
}

/// A new webhook's spec as a person would write it: without what the schema's defaults say.
pub(crate) fn written(spec: &WebhookSpec) -> Map<String, Value> {
    let defaults = [("enabled", json!(true)), ("httpMethod", json!("POST")), ("timeout", json!("4s"))];
    let mut fields = fields(spec);
    fields.retain(|field, value| !defaults.iter().any(|(known, default)| field == known && value == default));
    fields
}

fn fields(spec: &WebhookSpec) -> Map<String, Value> {
    // There is nothing in a spec that JSON could not hold.
    match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::{
        super::fields::{self, Existing},
        *,
    };
    use crate::core::json::Json;

    /// As if the values were kept, each under a key of its own.
    fn mk_references(draft: &Draft) -> BTreeMap<Kept, SecretKeyRef> {
        let reference = |kept: &Kept| SecretKeyRef { name: "w-credentials".to_owned(), key: kept.key().to_owned() };
        draft.secrets.keys().map(|kept| (*kept, reference(kept))).collect()
    }

    fn webhook(spec: &Value, blank: &str) -> Webhook {
        let annotations = if blank.is_empty() { json!({}) } else { json!({BLANK_FIELDS_ANNOTATION: blank}) };
        let metadata = json!({"name": "w", "namespace": "n", "resourceVersion": "7", "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    /// A webhook before anything is said about it.
    fn bare() -> Webhook {
        webhook(&json!({"triggerType": "escalation"}), "")
    }

    fn draft(webhook: &Webhook, sent: Value, creates: bool) -> Draft {
        let existing = Existing { preset: webhook.spec.preset, url_is_secret: webhook.spec.url.is_none() };
        let change = fields::read(&Json::from(sent), Form::Webhooks, (!creates).then_some(existing)).unwrap();
        Draft::new(webhook, change)
    }

    /// The webhook after a draft is written.
    fn written_down(webhook: &Webhook, draft: &mut Draft) -> Webhook {
        let references = mk_references(draft);
        draft.keep_in(references);
        let mut webhook = webhook.clone();
        webhook.spec = draft.spec.clone();
        webhook.annotations_mut().remove(BLANK_FIELDS_ANNOTATION);
        if let Some(blank) = draft.blank.clone() {
            webhook.annotations_mut().insert(BLANK_FIELDS_ANNOTATION.to_owned(), blank);
        }
        webhook
    }

    fn shown(webhook: &Webhook, form: Form) -> Value {
        serde_json::from_slice(&body(webhook, form)).unwrap()
    }

    fn secret(name: &str, key: &str) -> Value {
        json!({"secretKeyRef": {"name": name, "key": key}})
    }

    #[test]
    fn a_new_webhook_is_written_without_what_is_a_default() {
        let (url, trigger) = (json!("https://e"), json!("resolve"));
        let cases = [
            (json!({}), json!({"triggerType": trigger, "url": url}), None),
            (
                json!({"name": "w", "http_method": "POST", "is_webhook_enabled": true, "forward_all": true}),
                json!({"triggerType": trigger, "url": url}),
                None,
            ),
            (
                json!({"name": "Über w", "http_method": "PUT", "is_webhook_enabled": false, "forward_all": false}),
                json!({"name": "Über w", "enabled": false, "triggerType": trigger, "httpMethod": "PUT", "url": url, "forwardAll": false}),
                None,
            ),
            (
                json!({"data": "d", "forward_all": false}),
                json!({"triggerType": trigger, "url": url, "data": "d"}),
                None,
            ),
            // OnCall forwards all unless it is told not to, with data or without.
            (json!({"data": "d"}), json!({"triggerType": trigger, "url": url, "data": "d", "forwardAll": true}), None),
            (
                json!({"data": "", "trigger_template": "", "headers": "", "team": "", "integration_filter": null, "preset": ""}),
                json!({"triggerType": trigger, "url": url}),
                None,
            ),
            (
                json!({"username": "", "password": "", "authorization_header": "", "is_webhook_enabled": null}),
                json!({"enabled": false, "triggerType": trigger, "url": url}),
                Some("authorization_header,is_webhook_enabled,password,username"),
            ),
            (
                json!({"username": null, "password": null, "authorization_header": null}),
                json!({"triggerType": trigger, "url": url}),
                None,
            ),
            (
                json!({"preset": "simple_webhook", "trigger_type": "", "data": "d"}),
                json!({"triggerType": "escalation", "url": url, "data": "d", "forwardAll": true, "preset": "simple_webhook"}),
                None,
            ),
            (
                json!({"team": "T", "username": "u", "trigger_template": "t", "headers": "{}", "integration_filter": ["C"]}),
                json!({"team": "T", "triggerType": trigger, "url": url, "headers": "{}", "triggerTemplate": "t", "integrationFilter": ["C"], "username": "u"}),
                None,
            ),
        ];
        for (sent, expected, blank) in cases {
            let mut all = json!({"name": "w", "url": url, "http_method": "POST", "trigger_type": trigger});
            all.as_object_mut().unwrap().extend(sent.as_object().unwrap().clone());
            let draft = draft(&bare(), all, true);
            assert_eq!((Value::from(written(&draft.spec)), draft.blank.as_deref()), (expected, blank), "{sent}");
        }
    }

    #[test]
    fn a_patch_says_what_changes_and_no_more() {
        let spec = |fields: Value| {
            let mut spec = json!({"triggerType": "resolve", "url": "https://e"});
            spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            spec
        };
        let own = secret("w-credentials", "password");
        // The old spec and what is blank in it; what is sent; the changes of the spec, and what is blank then.
        let cases = [
            (json!({}), "", json!({}), json!({}), None),
            (json!({}), "", json!({"name": "w", "team": "", "data": "", "forward_all": true}), json!({}), None),
            (json!({"name": "w"}), "", json!({"name": "w"}), json!({}), None),
            (json!({"name": "x"}), "", json!({"name": "w"}), json!({"name": null}), None),
            (json!({}), "", json!({"name": "x"}), json!({"name": "x"}), None),
            // What people wrote stays, though it is a default.
            (json!({"forwardAll": true}), "", json!({"forward_all": true}), json!({}), None),
            (
                json!({"data": "d", "forwardAll": false}),
                "",
                json!({"forward_all": false, "data": "d"}),
                json!({}),
                None,
            ),
            (json!({"data": "d"}), "", json!({"forward_all": false, "data": "d"}), json!({}), None),
            (json!({"integrationFilter": []}), "", json!({"integration_filter": []}), json!({}), None),
            // Whether all is forwarded does not change with the data alone.
            (json!({}), "", json!({"data": "d"}), json!({"data": "d", "forwardAll": true}), None),
            (json!({"data": "d"}), "", json!({"data": null}), json!({"data": null, "forwardAll": false}), None),
            (json!({"data": "d", "forwardAll": true}), "", json!({"data": ""}), json!({"data": null}), None),
            (
                json!({"data": "d", "forwardAll": true}),
                "",
                json!({"forward_all": false}),
                json!({"forwardAll": null}),
                None,
            ),
            (json!({"data": "d"}), "", json!({"forward_all": true}), json!({"forwardAll": true}), None),
            (json!({"forwardAll": false}), "", json!({"forward_all": true}), json!({"forwardAll": null}), None),
            (json!({"integrationFilter": ["C"]}), "", json!({}), json!({"integrationFilter": null}), None),
            (
                json!({"integrationFilter": ["C"]}),
                "",
                json!({"integration_filter": ["D", "C"]}),
                json!({"integrationFilter": ["D", "C"]}),
                None,
            ),
            (
                json!({"team": "T", "headers": "h", "triggerTemplate": "t"}),
                "",
                json!({"team": "null", "headers": "", "trigger_template": null}),
                json!({"team": null, "headers": null, "triggerTemplate": null}),
                None,
            ),
            (json!({}), "", json!({"is_webhook_enabled": false}), json!({"enabled": false}), None),
            (
                json!({"enabled": false}),
                "is_webhook_enabled",
                json!({"is_webhook_enabled": true}),
                json!({"enabled": true}),
                Some(Value::Null),
            ),
            (
                json!({"enabled": false}),
                "is_webhook_enabled",
                json!({"is_webhook_enabled": false}),
                json!({}),
                Some(Value::Null),
            ),
            (json!({"enabled": false}), "is_webhook_enabled", json!({}), json!({}), None),
            (json!({"username": "u"}), "", json!({"username": ""}), json!({"username": null}), Some(json!("username"))),
            (
                json!({}),
                "password,username",
                json!({"username": "u"}),
                json!({"username": "u"}),
                Some(json!("password")),
            ),
            (json!({}), "password", json!({"password": null}), json!({}), Some(Value::Null)),
            (json!({}), "password", json!({"password": "s"}), json!({"password": own}), Some(Value::Null)),
            (json!({"password": own}), "", json!({"password": MASK}), json!({}), None),
            (json!({"password": own}), "", json!({"password": "s"}), json!({}), None),
            (json!({"password": secret("mine", "p")}), "", json!({"password": "s"}), json!({"password": own}), None),
            (json!({"password": own}), "", json!({"password": ""}), json!({"password": null}), Some(json!("password"))),
            (json!({"url": null, "urlFrom": secret("s", "k")}), "", json!({"url": MASK}), json!({}), None),
            (
                json!({"url": null, "urlFrom": secret("s", "k")}),
                "",
                json!({"url": "https://f"}),
                json!({"url": "https://f", "urlFrom": null}),
                None,
            ),
            (json!({"preset": "advanced_webhook"}), "", json!({"preset": ""}), json!({"preset": null}), None),
            (
                json!({"data": "d", "httpMethod": "PUT"}),
                "",
                json!({"preset": "simple_webhook"}),
                json!({"preset": "simple_webhook", "triggerType": "escalation", "httpMethod": "POST", "forwardAll": true}),
                None,
            ),
            // What the API does not know stays.
            (
                json!({"id": "WHABCDEFGHIJKL", "labels": {"a": "b"}, "timeout": "9s", "headersFrom": [{"name": "A", "secretKeyRef": {"name": "s", "key": "k"}}]}),
                "",
                json!({"trigger_type": "silence"}),
                json!({"triggerType": "silence"}),
                None,
            ),
        ];
        for (old, blank, sent, changes, annotation) in cases {
            let old = webhook(&spec(old), blank);
            let mut draft = draft(&old, sent.clone(), false);
            let references = mk_references(&draft);
            draft.keep_in(references);
            let mut metadata = json!({"resourceVersion": "7"});
            let same = annotation.is_none() && changes == json!({});
            if let Some(annotation) = annotation {
                metadata["annotations"] = json!({BLANK_FIELDS_ANNOTATION: annotation});
            }
            let expected = (!same).then(|| json!({"metadata": metadata, "spec": changes}));
            assert_eq!(draft.patch(&old), expected, "{} and {sent}", Value::from(written(&old.spec)));
        }
    }

    #[test]
    fn secrets_are_set_kept_or_cleared_each_for_itself() {
        let old = json!({
            "triggerType": "resolve", "url": "u", "password": secret("s", "password"),
            "authorizationHeader": secret("mine", "k"),
        });
        let (old, bare) = (webhook(&old, ""), bare());
        let cases = [
            (&old, json!({}), vec![], vec![]),
            (&old, json!({"password": MASK, "authorization_header": MASK}), vec![], vec![]),
            (&old, json!({"password": null}), vec![], vec![Kept::Password]),
            (
                &old,
                json!({"password": "", "authorization_header": "a"}),
                vec![(Kept::AuthorizationHeader, "a")],
                vec![Kept::Password],
            ),
            (
                &old,
                json!({"password": " p ", "authorization_header": null}),
                vec![(Kept::Password, "p")],
                vec![Kept::AuthorizationHeader],
            ),
            // There is nothing to be cleared.
            (&bare, json!({"password": null, "authorization_header": ""}), vec![], vec![]),
            (&bare, json!({"password": MASK}), vec![], vec![]),
        ];
        for (old, sent, secrets, cleared) in cases {
            let draft = draft(old, sent.clone(), false);
            let set: Vec<_> = draft.secrets.iter().map(|(kept, value)| (*kept, value.expose_secret())).collect();
            assert_eq!((set, draft.cleared), (secrets, cleared), "{sent}");
        }
        let mut draft = draft(&old, json!({"password": "p"}), false);
        let references = mk_references(&draft);
        draft.keep_in(references);
        let kept_in =
            [Kept::Password, Kept::AuthorizationHeader].map(|kept| kept.kept_in(&draft.spec).cloned().unwrap());
        let reference = |name: &str, key: &str| SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
        assert_eq!(kept_in, [reference("w-credentials", "password"), reference("mine", "k")]);
    }

    #[test]
    fn a_webhook_is_shown_in_both_forms_with_fields_in_oncalls_order() {
        let full = json!({
            "id": "WHABCDEFGHIJKL", "name": "A w", "team": "T", "enabled": false, "triggerType": "status change",
            "httpMethod": "PUT", "urlFrom": secret("s", "k"), "headers": "h", "data": "d", "forwardAll": true,
            "triggerTemplate": "t", "integrationFilter": ["C"], "username": "u", "password": secret("s", "p"),
            "authorizationHeader": secret("s", "a"), "preset": "advanced_webhook",
        });
        let id = id::webhook_id("n", "w");
        let plain = format!(
            r#"{{"id":"{id}","name":"w","is_webhook_enabled":true,"team":null,"data":null,"username":null,"password":null,"authorization_header":null,"trigger_template":null,"headers":null,"url":"https://e","forward_all":true,"http_method":"POST","trigger_type":"resolve","integration_filter":null,"preset":null}}"#
        );
        // An annotation of fields that have a value since says nothing.
        let stale = "is_webhook_enabled,username,password";
        let enabled = json!({"triggerType": "resolve", "url": "https://e", "enabled": true, "username": "u", "password": secret("s", "p")});
        let cases = [
            (json!({"triggerType": "resolve", "url": "https://e"}), "", Form::Webhooks, plain.clone()),
            (
                json!({"triggerType": "resolve", "url": "https://e", "team": "", "data": "", "headers": "", "triggerTemplate": "", "integrationFilter": []}),
                "",
                Form::Webhooks,
                // Data that is there, though empty, is what is sent.
                plain.replace("\"forward_all\":true", "\"forward_all\":false"),
            ),
            (
                full.clone(),
                "",
                Form::Webhooks,
                r#"{"id":"WHABCDEFGHIJKL","name":"A w","is_webhook_enabled":false,"team":"T","data":"d","username":"u","password":"****************","authorization_header":"****************","trigger_template":"t","headers":"h","url":"****************","forward_all":true,"http_method":"PUT","trigger_type":"status change","integration_filter":["C"],"preset":"advanced_webhook"}"#.to_owned(),
            ),
            (
                full,
                "",
                Form::Actions,
                r#"{"id":"WHABCDEFGHIJKL","name":"A w","is_webhook_enabled":false,"team_id":"T","user":"u","data":"d","password":"****************","authorization_header":"****************","trigger_template":"t","headers":"h","url":"****************","forward_whole_payload":true,"http_method":"PUT","trigger_type":"status change","integration_filter":["C"]}"#.to_owned(),
            ),
            (
                json!({"triggerType": "resolve", "url": "https://e", "enabled": false}),
                "authorization_header,is_webhook_enabled,password,username",
                Form::Webhooks,
                plain
                    .replace("\"is_webhook_enabled\":true", "\"is_webhook_enabled\":null")
                    .replace("\"username\":null", "\"username\":\"\"")
                    .replace("\"password\":null", "\"password\":\"\"")
                    .replace("\"authorization_header\":null", "\"authorization_header\":\"\""),
            ),
            (
                enabled,
                stale,
                Form::Webhooks,
                plain
                    .replace("\"username\":null", "\"username\":\"u\"")
                    .replace("\"password\":null", "\"password\":\"****************\""),
            ),
        ];
        for (spec, blank, form, expected) in cases {
            let body = body(&webhook(&spec, blank), form);
            assert_eq!(std::str::from_utf8(&body).unwrap(), expected, "{spec}");
        }
    }

    /// What a client may send for a text: null, blank or a text that no trimming changes.
    fn sendable() -> impl Strategy<Value = Value> {
        prop_oneof![Just(Value::Null), Just(json!("")), "[a-zä\"]{1,8}( [a-z]{1,3})?".prop_map(Value::from)]
    }

    fn bodies() -> impl Strategy<Value = Value> {
        let needed =
            ("[a-zä]{1,4}", "https://[a-z]{1,8}", 0..fields::TRIGGER_TYPES.len(), "GET|POST|PUT|DELETE|OPTIONS|PATCH");
        let texts = proptest::collection::vec(sendable(), 7);
        let filter = proptest::collection::btree_set("[A-Z]{1,3}", 0..3);
        let preset = prop_oneof![Just(Value::Null), Just(json!("simple_webhook")), Just(json!("advanced_webhook"))];
        let enabled = prop_oneof![Just(json!(true)), Just(json!(false))];
        (needed, texts, filter, preset, enabled, any::<bool>()).prop_map(
            |((name, url, trigger_type, method), texts, filter, preset, enabled, forward_all)| {
                let simple = preset == "simple_webhook";
                json!({
                    "name": name, "is_webhook_enabled": enabled, "team": texts[0], "data": texts[1],
                    "username": texts[2], "password": texts[3], "authorization_header": texts[4],
                    "trigger_template": texts[5], "headers": texts[6], "url": url,
                    "forward_all": simple || forward_all,
                    "http_method": if simple { "POST" } else { method.as_str() },
                    "trigger_type": if simple { "escalation" } else { fields::TRIGGER_TYPES[trigger_type].0 },
                    "integration_filter": if filter.is_empty() { Value::Null } else { json!(filter) },
                    "preset": preset,
                })
            },
        )
    }

    /// What a body reads back as: secrets masked, blank templates and teams as null.
    fn read_back(mut sent: Value) -> Value {
        for field in ["team", "data", "trigger_template", "headers"] {
            if sent[field] == "" {
                sent[field] = Value::Null;
            }
        }
        for field in ["password", "authorization_header"] {
            if sent[field].as_str().is_some_and(|secret| !secret.is_empty()) {
                sent[field] = json!(MASK);
            }
        }
        sent
    }

    proptest! {
        #[test]
        fn what_is_sent_reads_back_and_sending_it_again_changes_nothing(first in bodies(), second in bodies()) {
            let mut webhook = bare();
            for (sent, creates) in [(first, true), (second, false)] {
                webhook = written_down(&webhook, &mut draft(&webhook, sent.clone(), creates));
                let mut read = shown(&webhook, Form::Webhooks);
                read.as_object_mut().unwrap().shift_remove("id");
                prop_assert_eq!(&read, &read_back(sent.clone()));
                for again in [sent, read] {
                    let mut draft = draft(&webhook, again, false);
                    let references = mk_references(&draft);
                    draft.keep_in(references);
                    prop_assert_eq!(draft.patch(&webhook), None);
                }
                // As a manifest it says the same, defaults or no defaults.
                let manifest = json!({"metadata": webhook.metadata, "spec": written(&webhook.spec)});
                let applied: Webhook = serde_json::from_value(manifest).unwrap();
                prop_assert_eq!(applied, webhook.clone());
            }
        }
    }
}
