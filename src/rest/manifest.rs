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
    resources::{BLANK_FIELDS_ANNOTATION, SecretKeyRef, SecretKeySource, Webhook, WebhookSpec},
};

/// A webhook, as `/api/v1/webhooks/` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookBody<'a> {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    #[schema(example = "WHP936BM1GPVHQ")]
    id: &'a str,
    /// Unique in its namespace.
    #[schema(max_length = 100)]
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
    /// The form that it was made with: simple_webhook, advanced_webhook, or null for none.
    #[schema(required)]
    preset: Option<&'static str>,
}

/// A webhook, as the older `/api/v1/actions/` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Action)]
pub(crate) struct ActionBody<'a> {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    #[schema(example = "WHP936BM1GPVHQ")]
    id: &'a str,
    /// Unique in its namespace.
    #[schema(max_length = 100)]
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
        preset: spec.preset.map(|preset| preset.as_str()),
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
        if let Some(name) = change.name {
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

    /// Names the Secret that keeps the values.
    pub(crate) fn keep_in(&mut self, secret: impl Fn(Kept) -> String) {
        for kept in self.secrets.keys() {
            let secret_key_ref = SecretKeyRef { name: secret(*kept), key: kept.key().to_owned() };
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
