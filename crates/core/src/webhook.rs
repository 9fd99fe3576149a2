//! A webhook as the core sees it: its templates are compiled, its secrets are only named.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    json::Json,
    retry::RetryPolicy,
    template::{Mode, Template, TemplateError},
};

/// What fires a webhook, in OnCall's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub enum TriggerType {
    /// An escalation step or a person names the webhook.
    #[serde(rename = "escalation")]
    Escalation,
    /// A user's own notification rules name the webhook.
    #[serde(rename = "personal notification")]
    PersonalNotification,
    /// A new alert group.
    #[serde(rename = "alert group created")]
    AlertGroupCreated,
    /// An alert group is acknowledged.
    #[serde(rename = "acknowledge")]
    Acknowledge,
    /// An alert group is resolved.
    #[serde(rename = "resolve")]
    Resolve,
    /// An alert group is silenced.
    #[serde(rename = "silence")]
    Silence,
    /// An alert group's silence ends.
    #[serde(rename = "unsilence")]
    Unsilence,
    /// A resolved alert group is open again.
    #[serde(rename = "unresolve")]
    Unresolve,
    /// An alert group's acknowledgement is taken back.
    #[serde(rename = "unacknowledge")]
    Unacknowledge,
    /// Any of the six changes of an alert group.
    #[serde(rename = "status change")]
    StatusChange,
}

/// The kind of an event: every trigger type except `status change`, which only webhooks have; and `wipe`, which fires none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventType {
    /// An escalation step or a person names webhooks.
    #[default]
    #[serde(rename = "escalation")]
    Escalation,
    /// A user's notification rules name webhooks.
    #[serde(rename = "personal notification")]
    PersonalNotification,
    /// A new alert group.
    #[serde(rename = "alert group created")]
    AlertGroupCreated,
    /// The alert group is acknowledged.
    #[serde(rename = "acknowledge")]
    Acknowledge,
    /// The alert group is resolved.
    #[serde(rename = "resolve")]
    Resolve,
    /// The alert group is silenced.
    #[serde(rename = "silence")]
    Silence,
    /// The alert group's silence ends.
    #[serde(rename = "unsilence")]
    Unsilence,
    /// The resolved alert group is open again.
    #[serde(rename = "unresolve")]
    Unresolve,
    /// The alert group's acknowledgement is taken back.
    #[serde(rename = "unacknowledge")]
    Unacknowledge,
    /// The alert group is resolved for good, and the content of its title and alerts is taken away.
    #[serde(rename = "wipe")]
    Wipe,
}

impl EventType {
    /// The trigger type of the same name; None if it fires no webhooks.
    pub fn trigger(self) -> Option<TriggerType> {
        Some(match self {
            Self::Escalation => TriggerType::Escalation,
            Self::PersonalNotification => TriggerType::PersonalNotification,
            Self::AlertGroupCreated => TriggerType::AlertGroupCreated,
            Self::Acknowledge => TriggerType::Acknowledge,
            Self::Resolve => TriggerType::Resolve,
            Self::Silence => TriggerType::Silence,
            Self::Unsilence => TriggerType::Unsilence,
            Self::Unresolve => TriggerType::Unresolve,
            Self::Unacknowledge => TriggerType::Unacknowledge,
            Self::Wipe => return None,
        })
    }

    /// Whether only webhooks that the event names get it.
    pub fn names_webhooks(self) -> bool {
        matches!(self, Self::Escalation | Self::PersonalNotification)
    }

    /// Whether the event is a change of an alert group, for which `status change` stands.
    pub fn is_status_change(self) -> bool {
        !self.names_webhooks() && !matches!(self, Self::AlertGroupCreated | Self::Wipe)
    }
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET: no body.
    Get,
    /// POST: with a body.
    #[default]
    Post,
    /// PUT: with a body.
    Put,
    /// PATCH: with a body.
    Patch,
    /// DELETE: no body.
    Delete,
    /// OPTIONS: no body.
    Options,
}

impl HttpMethod {
    /// The method as it stands on the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether OnCall sends a body with this method.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// One key of a Secret in the webhook's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// OnCall's bound on the time of a request, answer and redirects included (its `OUTGOING_WEBHOOK_TIMEOUT`).
pub const TIMEOUT: Duration = Duration::from_secs(4);

/// Looks up the value of a Secret's key. The error says in one clause why there is none.
pub type SecretLookup<'a> = &'a dyn Fn(&SecretKey) -> Result<SecretString, String>;

/// Bound on all templates that are kept compiled, in bytes: an estimate, since what a template is compiled to may be many times
/// its text.
pub const COMPILED_BYTES: u64 = 24 << 20;
/// About how many templates of a usual size that is.
const COMPILED: usize = 2000;
/// About how many bytes a byte of a template's text is compiled to.
const COMPILED_FACTOR: u64 = 40;

/// The templates that were used last, by their numbers.
static KEPT: LazyLock<Cache<u64, Kept, TemplateWeight>> =
    LazyLock::new(|| Cache::with_weighter(COMPILED, COMPILED_BYTES, TemplateWeight));
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A template, and the length of its text in bytes.
type Kept = (Arc<Template>, usize);

#[derive(Clone)]
struct TemplateWeight;

impl Weighter<u64, Kept> for TemplateWeight {
    fn weight(&self, _: &u64, (_, length): &Kept) -> u64 {
        1024 + COMPILED_FACTOR * *length as u64
    }
}

/// A template that is compiled when it is needed, or the error in its text. A webhook with a broken template still runs: it
/// records the error in the field that the template is for, as OnCall does. Those that were not used for long are compiled anew.
#[derive(Debug)]
pub struct CompiledTemplate {
    source: Box<str>,
    mode: Mode,
    number: u64,
    /// Whether it compiles, once that is known.
    outcome: OnceLock<Result<(), TemplateError>>,
}

impl CompiledTemplate {
    /// Takes the text. It is compiled at once if there is nothing to compile in it.
    pub fn new(source: &str, mode: Mode) -> Self {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let template = Self { source: Box::from(source), mode, number, outcome: OnceLock::new() };
        if !source.contains('{') {
            let _ = template.template();
        }
        template
    }

    /// The template. It is compiled if it is not kept, which may take a while.
    ///
    /// # Errors
    /// The text does not compile.
    pub fn template(&self) -> Result<Arc<Template>, TemplateError> {
        if let Some(Err(error)) = self.outcome.get() {
            return Err(error.clone());
        }
        if let Some((kept, _)) = KEPT.get(&self.number) {
            return Ok(kept);
        }
        let compiled = Template::compile(&self.source, self.mode).map(Arc::new);
        let _ = self.outcome.set(compiled.as_ref().map(drop).map_err(Clone::clone));
        if let Ok(template) = &compiled {
            KEPT.insert(self.number, (Arc::clone(template), self.source.len()));
        }
        compiled
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether nothing is left to compile.
    pub fn is_compiled(&self) -> bool {
        self.outcome.get().is_some_and(|outcome| outcome.is_err() || KEPT.peek(&self.number).is_some())
    }
}

impl Drop for CompiledTemplate {
    fn drop(&mut self) {
        KEPT.remove(&self.number);
    }
}

/// Where a webhook's URL comes from.
#[derive(Debug)]
pub enum UrlSource {
    /// Template text in the webhook.
    Template(CompiledTemplate),
    /// Template text in a Secret: the whole URL is a secret.
    Secret(SecretKey),
}

/// With more Secret keys than this, reading them may take long: each can be as long as an object.
const MANY_SECRETS: usize = 4;

/// A webhook, ready to run.
#[derive(Debug)]
pub struct Webhook {
    /// `metadata.name`: what events and responses call it.
    pub name: String,
    /// The id that templates see, `WH…`.
    pub id: String,
    /// The name that people see.
    pub display_name: String,
    /// Labels that templates see.
    pub labels: Map<String, Value>,
    /// The kind of event that fires it.
    pub trigger_type: TriggerType,
    /// A disabled webhook never runs.
    pub enabled: bool,
    /// The request's method.
    pub method: HttpMethod,
    /// The request's URL.
    pub url: UrlSource,
    /// A template that gives a JSON object of headers.
    pub headers: Option<CompiledTemplate>,
    /// Headers whose values are secrets.
    pub headers_from: Vec<(String, SecretKey)>,
    /// A template of the body.
    pub data: Option<CompiledTemplate>,
    /// Whether the body is the event's whole data.
    pub forward_all: bool,
    /// A template that says whether to send the request.
    pub trigger_template: Option<CompiledTemplate>,
    /// Ids of the integrations whose events fire it; empty for all.
    pub integration_filter: Vec<String>,
    /// User name for Basic auth.
    pub username: Option<String>,
    /// Password for Basic auth.
    pub password: Option<SecretKey>,
    /// Value of the Authorization header.
    pub authorization_header: Option<SecretKey>,
    /// The secrets that sign its requests.
    pub signing: Option<SecretKey>,
    /// Bound on the time of a request, answer and redirects included; None for what the operator's configuration says.
    pub timeout: Option<Duration>,
    /// Whether its templates read the answers that other webhooks got for the alert group (`responses`).
    pub reads_responses: bool,
    /// When to try a request again.
    pub retry: RetryPolicy,
    /// The authorities to trust and the certificate to show.
    pub tls: TlsSettings,
    /// How many of its responses are kept; None for as many as the operator's configuration says.
    pub history_limit: Option<u32>,
    /// Whether its requests are held back.
    pub suspend: bool,
}

/// The authorities to trust and the certificate to show where a URL is https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM certificates of the authorities to trust in place of the system's.
    pub authorities: Option<SecretKey>,
    /// The certificate for receivers that ask for one.
    pub client: Option<ClientCertificate>,
    /// Whether any certificate of a receiver is accepted.
    pub insecure: bool,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those between it and its authority.
    pub certificate: SecretKey,
    /// The private key.
    pub key: SecretKey,
}

impl Webhook {
    /// A webhook that sends a POST without a body to `url`. Callers change the fields that are to be different.
    pub fn bare(trigger_type: TriggerType, url: UrlSource) -> Self {
        Self {
            name: String::new(),
            id: String::new(),
            display_name: String::new(),
            labels: Map::new(),
            trigger_type,
            enabled: true,
            method: HttpMethod::Post,
            url,
            headers: None,
            headers_from: Vec::new(),
            data: None,
            forward_all: false,
            trigger_template: None,
            integration_filter: Vec::new(),
            username: None,
            password: None,
            authorization_header: None,
            signing: None,
            timeout: None,
            reads_responses: false,
            retry: RetryPolicy::default(),
            tls: TlsSettings::default(),
            history_limit: None,
            suspend: false,
        }
    }

    /// The templates in it, each with its field's name in a manifest.
    pub fn templates(&self) -> impl Iterator<Item = (&'static str, &CompiledTemplate)> {
        let url = match &self.url {
            UrlSource::Template(field) => Some(field),
            UrlSource::Secret(_) => None,
        };
        [
            ("triggerTemplate", self.trigger_template.as_ref()),
            ("url", url),
            ("headers", self.headers.as_ref()),
            ("data", self.data.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, field)| Some((name, field?)))
    }

    /// Whether reading its Secrets takes next to no time: there are few, and none holds certificates or a template.
    pub fn has_simple_secrets(&self) -> bool {
        self.tls == TlsSettings::default()
            && !matches!(self.url, UrlSource::Secret(_))
            && self.secrets().nth(MANY_SECRETS).is_none()
    }

    /// How many expressions its templates have, if each looks at the event's data once and there is nothing else in its
    /// request whose cost may be out of all proportion to that data; else None, as long as they are not compiled too. See
    /// [`Template::plain_expressions`].
    pub fn plain_expressions(&self) -> Option<usize> {
        // A URL in a Secret is compiled each time.
        let is_ready = self.has_simple_secrets() && self.templates().all(|(_, template)| template.is_compiled());
        if !is_ready || self.reads_responses {
            return None;
        }
        // A template that does not compile costs nothing.
        let templates = self.templates().filter_map(|(_, field)| field.template().ok());
        templates.map(|template| template.plain_expressions()).sum()
    }

    /// Every Secret key that it needs, each with the name of the field that refers to it in a manifest.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretKey)> {
        let url = match &self.url {
            UrlSource::Template(_) => None,
            UrlSource::Secret(key) => Some(key),
        };
        url.map(|key| ("urlFrom", key))
            .into_iter()
            .chain(self.headers_from.iter().map(|(_, key)| ("headersFrom", key)))
            .chain(self.password.as_ref().map(|key| ("password", key)))
            .chain(self.authorization_header.as_ref().map(|key| ("authorizationHeader", key)))
            .chain(self.signing.as_ref().map(|key| ("signing", key)))
            .chain(self.tls.authorities.as_ref().map(|key| ("tls.caSecretRef", key)))
            .chain(
                self.tls
                    .client
                    .iter()
                    .flat_map(|client| [&client.certificate, &client.key].map(|key| ("tls.clientCertSecretRef", key))),
            )
    }

    /// The value that templates see as `webhook`.
    pub fn template_data(&self) -> Json {
        Json::object([
            ("id", Json::from(self.id.as_str())),
            ("name", Json::from(self.display_name.as_str())),
            ("labels", Json::from(Value::Object(self.labels.clone()))),
        ])
    }
}

/// A webhook that sends a POST without a body. Tests change what is to be different.
#[cfg(test)]
pub(crate) fn mk_webhook(trigger_type: TriggerType) -> Webhook {
    Webhook {
        name: "jira".to_owned(),
        id: "WHP936BM1GPVHQ".to_owned(),
        display_name: "Jira".to_owned(),
        ..Webhook::bare(
            trigger_type,
            UrlSource::Template(CompiledTemplate::new("http://receiver.example/hook", Mode::Raw)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_templates_are_bounded_in_bytes_and_those_that_are_not_kept_are_compiled_anew() {
        let template = |number: usize| {
            let text = format!("{{{{ {number} }}}}{}", "{{ payload }}".repeat(3000));
            CompiledTemplate::new(&text, Mode::Raw)
        };
        let all: Vec<CompiledTemplate> = (0..40).map(template).collect();
        assert!(all.iter().all(|template| template.template().is_ok()));
        assert!(KEPT.weight() <= COMPILED_BYTES, "{}", KEPT.weight());
        let kept = all.iter().filter(|template| template.is_compiled()).count();
        assert!((1..all.len()).contains(&kept), "{kept}");
        for (number, template) in all.iter().enumerate() {
            let rendered = template.template().unwrap().render(&Vec::new()).unwrap();
            assert!(rendered.starts_with(&number.to_string()), "{number}");
        }
        let broken = CompiledTemplate::new("{{ x | nope }}", Mode::Raw);
        assert!(broken.template().is_err() && broken.is_compiled());
        assert_eq!(broken.template().unwrap_err().message, "No filter named 'nope'.");
    }
}
