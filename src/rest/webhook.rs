//! The fields of a webhook in OnCall's API: as clients send them, as they are shown, and as they stand in a manifest.
//!
//! ```text
//! request's body ─► WebhookInput ─► DesiredWebhook ─► manifest
//!                   (reader)                             │
//! answer's body ◄────────── WebhookOutput ◄──────────────┘
//! ```
//! A field is added here and nowhere else under `rest`: a member and a line in both [`WebhookInput`] and [`WebhookOutput`],
//! and a line in [`desired`]. `/actions/` gets it by itself; where it is to differ there, `collection` says how.

mod carried;
mod collection;
mod credential;
mod desired;
mod reader;
mod rules;
#[cfg(test)]
mod tests;

use axum::body::Bytes;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(crate) use self::{
    carried::carried_credentials,
    collection::Collection,
    credential::CredentialField,
    desired::{DesiredWebhook, unwritten},
    reader::ExistingWebhook,
};
use self::{credential::CredentialChange, desired::blank_fields, reader::FieldReader, rules::TextRules};
use super::error::ApiError;
use crate::{
    core::{
        id,
        json::Json,
        response::MASK,
        webhook::{HttpMethod, TriggerType},
    },
    resources::{Preset, SecretKeySource, Webhook, WebhookSpec},
};

// In these two types a doc comment is the field's description in the OpenAPI document, and the order of fields is that
// of answers and error messages.

/// What a client sends to update a webhook. A field that is left out stays as it is, but for `integration_filter`, which is
/// cleared then.
#[derive(Clone, Debug, Default, ToSchema)]
#[schema(as = WebhookInput)]
pub(crate) struct WebhookInput {
    /// Unique in its namespace.
    #[schema(nullable = false, min_length = 1, max_length = 100, example = "New Webhook")]
    name: Option<String>,
    /// True if it is left out of a new webhook. Null is for new webhooks alone: as good as true, and read back as null.
    #[schema(value_type = Option<bool>)]
    is_webhook_enabled: Option<Option<bool>>,
    /// Id of a team: any text. Empty and `null` are none.
    #[schema(value_type = Option<String>, max_length = 100)]
    team: Option<Option<String>>,
    /// Jinja2 template of the body.
    #[schema(value_type = Option<String>, max_length = 50000)]
    data: Option<Option<String>>,
    // An empty text reads back as such.
    /// User name for Basic auth.
    #[schema(value_type = Option<String>, max_length = 100)]
    username: Option<Option<String>>,
    /// Password for Basic auth. Sixteen asterisks leave it as it is.
    #[schema(value_type = Option<String>, max_length = 1000)]
    password: Option<CredentialChange>,
    /// The Authorization header. Sixteen asterisks leave it as it is.
    #[schema(value_type = Option<String>, max_length = 2000)]
    authorization_header: Option<CredentialChange>,
    /// Jinja2 template: the webhook runs if it is empty or renders to `true` or `1`.
    #[schema(value_type = Option<String>, max_length = 50000)]
    trigger_template: Option<Option<String>>,
    /// Jinja2 template of a JSON object.
    #[schema(value_type = Option<String>, max_length = 50000)]
    headers: Option<Option<String>>,
    /// Jinja2 template of the URL. One that leads to another scheme, host or port needs the password and the Authorization header
    /// once more: they are not sent to where nobody gave them for.
    #[schema(nullable = false, min_length = 1, max_length = 50000, example = "https://example.com")]
    url: Option<String>,
    /// Whether the whole data is sent rather than `data`. True if it is left out of a new webhook.
    #[schema(nullable = false)]
    forward_all: Option<bool>,
    /// A new webhook needs it, unless it is a simple one.
    #[schema(nullable = false)]
    http_method: Option<HttpMethod>,
    /// A new webhook needs it, unless it is a simple one.
    #[schema(nullable = false)]
    trigger_type: Option<TriggerType>,
    /// Ids of the integrations whose events run it; null or empty for all.
    #[schema(value_type = Option<Vec<String>>, max_items = 256)]
    integration_filter: Vec<String>,
    /// Null, or an empty text, for none. A simple webhook is a POST of the whole data for escalations, whatever else is
    /// sent.
    #[schema(value_type = Option<Preset>)]
    preset: Option<Option<Preset>>,
}

impl WebhookInput {
    /// Reads a request to create a webhook, where `existing` is None, or to change one. Templates are tried out, which
    /// may take seconds.
    ///
    /// # Errors
    /// Fields are wrong: 400 with the messages for all of them, in OnCall's order.
    pub(crate) fn read(
        body: &Json,
        collection: Collection,
        existing: Option<ExistingWebhook>,
    ) -> Result<Self, ApiError> {
        const OPTIONAL: TextRules = TextRules::OPTIONAL;
        let mut fields = FieldReader::new(body, collection, existing)?;
        let is_new = fields.is_new();
        let preset = fields.preset();
        let is_simple = fields.is_simple(preset.as_ref().ok().copied().flatten());
        let input = Self {
            name: fields.text("name", TextRules::REQUIRED.at_most(100)).flatten(),
            is_webhook_enabled: fields.flag("is_webhook_enabled", is_new),
            team: fields.team(),
            data: fields.template("data", TextRules::TEMPLATE),
            username: fields.text("username", OPTIONAL.at_most(100)),
            password: fields.credential("password", OPTIONAL.at_most(1000)),
            authorization_header: fields.credential("authorization_header", OPTIONAL.at_most(2000)),
            trigger_template: fields.template("trigger_template", TextRules::TEMPLATE),
            headers: fields.template("headers", TextRules::TEMPLATE),
            url: fields.url(),
            forward_all: if is_simple { Some(true) } else { fields.flag("forward_all", false).flatten() },
            http_method: if is_simple { Some(HttpMethod::Post) } else { fields.http_method() },
            trigger_type: if is_simple { Some(TriggerType::Escalation) } else { fields.trigger_type()? },
            integration_filter: fields.integration_filter(),
            preset: fields.record("preset", preset),
        };
        fields.finish(input)
    }

    /// The new name for people, if it is to have one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// A webhook, as `/api/v1/webhooks/` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookOutput<'a> {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    #[schema(pattern = "^WH[A-NP-Z1-9]{12,}$", example = "WHP936BM1GPVHQ")]
    id: String,
    /// Unique in its namespace.
    name: &'a str,
    /// A disabled webhook, where this is false, never runs. Null, which a client may have sent, is as good as true.
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

impl<'a> From<&'a Webhook> for WebhookOutput<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        let spec = &webhook.spec;
        let blank = blank_fields(webhook);
        let or_blank = |value: Option<&'a str>, field: &str| value.or_else(|| blank.contains(field).then_some(""));
        let masked = |source: &Option<SecretKeySource>| source.as_ref().map(|_| MASK);
        Self {
            id: id_of(webhook),
            name: display_name(webhook),
            // Null is no value of a manifest, and OnCall's webhooks that have it run.
            is_webhook_enabled: (!spec.enabled || !blank.contains("is_webhook_enabled")).then_some(spec.enabled),
            team: non_empty(&spec.team),
            data: non_empty(&spec.data),
            username: or_blank(spec.username.as_deref(), "username"),
            password: or_blank(masked(&spec.password), "password"),
            authorization_header: or_blank(masked(&spec.authorization_header), "authorization_header"),
            trigger_template: non_empty(&spec.trigger_template),
            headers: non_empty(&spec.headers),
            url: spec.url.as_deref().unwrap_or(MASK),
            forward_all: forwards_all(spec),
            http_method: spec.http_method,
            trigger_type: spec.trigger_type,
            integration_filter: spec.integration_filter.as_deref().filter(|ids| !ids.is_empty()),
            preset: spec.preset.map(Preset::as_str),
        }
    }
}

/// The webhook as JSON text, as the collection shows it.
pub(crate) fn body(webhook: &Webhook, collection: Collection) -> Bytes {
    let output = WebhookOutput::from(webhook);
    let json = match collection {
        Collection::Webhooks => serde_json::to_vec(&output),
        Collection::Actions => serde_json::to_value(&output).and_then(|fields| match fields {
            Value::Object(fields) => serde_json::to_vec(&collection.arrange::<_, Map<_, _>>(fields)),
            other => serde_json::to_vec(&other),
        }),
    };
    // Texts, booleans and names of variants: there is nothing that JSON could not hold.
    json.unwrap_or_default().into()
}

/// The webhook that `input` makes of `webhook`, which is an [`unwritten`] one where it is created.
pub(crate) fn desired(webhook: &Webhook, input: WebhookInput) -> DesiredWebhook {
    let WebhookInput {
        name,
        is_webhook_enabled,
        team,
        data,
        username,
        password,
        authorization_header,
        trigger_template,
        headers,
        url,
        forward_all,
        http_method,
        trigger_type,
        integration_filter,
        preset,
    } = input;
    let mut desired = DesiredWebhook::unchanged(webhook);
    if let Some(enabled) = is_webhook_enabled {
        desired.spec.enabled = enabled.unwrap_or(true);
        desired.mark_blank("is_webhook_enabled", enabled.is_none());
    }
    if let Some(username) = username {
        desired.mark_blank("username", username.as_deref() == Some(""));
        desired.spec.username = username.filter(|username| !username.is_empty());
    }
    desired.change_credential(CredentialField::Password, password);
    desired.change_credential(CredentialField::AuthorizationHeader, authorization_header);
    let spec = &mut desired.spec;
    // metadata.name is the default.
    if let Some(name) = name.filter(|name| name != display_name(webhook)) {
        spec.name = Some(name).filter(|name| webhook.metadata.name.as_ref() != Some(name));
    }
    set(&mut spec.team, team);
    set(&mut spec.data, data);
    set_forward_all(spec, forward_all.unwrap_or_else(|| forwards_all(&webhook.spec)));
    set(&mut spec.trigger_template, trigger_template);
    set(&mut spec.headers, headers);
    if let Some(url) = url {
        spec.url = Some(url);
        spec.url_from = None;
    }
    set(&mut spec.http_method, http_method);
    set(&mut spec.trigger_type, trigger_type);
    if spec.integration_filter.as_deref().unwrap_or_default() != integration_filter {
        spec.integration_filter = Some(integration_filter).filter(|ids| !ids.is_empty());
    }
    set(&mut spec.preset, preset);
    desired
}

fn set<T>(field: &mut T, sent: Option<T>) {
    if let Some(value) = sent {
        *field = value;
    }
}

/// Writes `forwardAll` only where it is no default, or was written before.
fn set_forward_all(spec: &mut WebhookSpec, forwards_all: bool) {
    if spec.forward_all != Some(forwards_all) {
        spec.forward_all = (forwards_all != spec.data.is_none()).then_some(forwards_all);
    }
}

fn forwards_all(spec: &WebhookSpec) -> bool {
    spec.forward_all.unwrap_or(spec.data.is_none())
}

/// An empty text counts as none.
fn non_empty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The id that templates and the API see.
pub(crate) fn id_of(webhook: &Webhook) -> String {
    webhook.spec.id.clone().unwrap_or_else(|| {
        id::webhook_id(webhook.metadata.namespace.as_deref().unwrap_or_default(), &webhook.name_any())
    })
}

/// The name for people, which is that in Kubernetes where there is no other.
pub(crate) fn display_name(webhook: &Webhook) -> &str {
    webhook.spec.name.as_deref().or(webhook.metadata.name.as_deref()).unwrap_or_default()
}
