//! `Webhook`: which event, which request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema, ResourceExt, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Rule, condition::Condition, has, schema};
use crate::core::{
    id, retry as core_retry,
    template::Mode,
    webhook::{self as core, CompiledTemplate, HttpMethod, TriggerType},
};

/// The rules below, for whoever has no API server to ask.
pub(super) const RULES: [(&str, Rule); 6] = [
    ("has(self.url) != has(self.urlFrom)", |spec| has(spec, "url") != has(spec, "urlFrom")),
    (SIMPLE_PRESET, |spec| {
        let forwards = if has(spec, "forwardAll") { spec["forwardAll"] == true } else { !has(spec, "data") };
        let posts = !has(spec, "httpMethod") || spec["httpMethod"] == "POST";
        spec["preset"] != "simple_webhook" || (spec["triggerType"] == "escalation" && posts && forwards)
    }),
    ("duration(self) > duration('0s') && duration(self) <= duration('1m')", |timeout| {
        seconds(timeout).is_some_and(|timeout| timeout > 0.0 && timeout <= 60.0)
    }),
    ("duration(self) <= duration('720h')", |deadline| {
        seconds(deadline).is_some_and(|deadline| deadline <= 720.0 * 3600.0)
    }),
    ("duration(self) >= duration('100ms') && duration(self) <= duration('24h')", |delay| {
        seconds(delay).is_some_and(is_delay)
    }),
    ("self.all(delay, duration(delay) >= duration('100ms') && duration(delay) <= duration('24h'))", |delays| {
        delays.as_array().is_some_and(|delays| delays.iter().all(|delay| seconds(delay).is_some_and(is_delay)))
    }),
];

/// Whether a delay, in seconds, may be.
fn is_delay(delay: f64) -> bool {
    (0.1..=24.0 * 3600.0).contains(&delay)
}

/// `duration(value)` in a rule.
pub(super) fn seconds(value: &Value) -> Option<f64> {
    let duration = value.as_str()?.parse::<Duration>().ok()?;
    Some(std::time::Duration::from(duration).as_secs_f64())
}

/// The rule of preset `simple_webhook`.
const SIMPLE_PRESET: &str = "!has(self.preset) || self.preset != 'simple_webhook' || (self.triggerType == 'escalation' && self.httpMethod == 'POST' && (has(self.forwardAll) ? self.forwardAll : !has(self.data)))";

/// Which event fires the webhook, and the request that it sends.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "Webhook",
    doc = "An outgoing webhook of Grafana OnCall: a trigger, and templates of the request that it sends.",
    namespaced,
    shortname = "wh",
    category = "oncall",
    status = "WebhookStatus",
    derive = "PartialEq",
    selectable = ".spec.name",
    selectable = ".spec.triggerType",
    selectable = ".spec.httpMethod",
    selectable = ".spec.enabled",
    selectable = ".status.id",
    printcolumn(name = "Trigger", type_ = "string", json_path = ".spec.triggerType", description = "What fires it."),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", description = "Where it sends, as written."),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether its templates and its URL can work and its Secrets are there."
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.state",
        description = "Who is in trouble: Ready, or what is wrong."
    ),
    printcolumn(
        name = "Last",
        type_ = "string",
        json_path = ".status.lastRun.outcome",
        description = "Outcome of the last run."
    ),
    printcolumn(
        name = "Waiting",
        type_ = "integer",
        priority = 1,
        json_path = ".status.waiting",
        description = "About how many of its deliveries wait."
    ),
    printcolumn(
        name = "Last Success",
        type_ = "date",
        priority = 1,
        json_path = ".status.lastSuccessTime",
        description = "When a run last succeeded."
    ),
    printcolumn(
        name = "Enabled",
        type_ = "boolean",
        priority = 1,
        json_path = ".spec.enabled",
        description = "Whether it runs."
    ),
    printcolumn(
        name = "ID",
        type_ = "string",
        priority = 1,
        json_path = ".status.id",
        description = "Its id in OnCall's form."
    ),
    printcolumn(
        name = "Method",
        type_ = "string",
        priority = 1,
        json_path = ".spec.httpMethod",
        description = "Method of the request."
    ),
    printcolumn(
        name = "Last Run",
        type_ = "date",
        priority = 1,
        json_path = ".status.lastRun.time",
        description = "When it last ran."
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
#[x_kube(
    validation = Rule::new("has(self.url) != has(self.urlFrom)")
        .message("give exactly one of url and urlFrom"),
    validation = Rule::new(SIMPLE_PRESET)
        .message("preset simple_webhook goes with triggerType escalation, httpMethod POST and forwardAll true: change these, or use preset advanced_webhook"),
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSpec {
    /// Name for people, which templates see as `webhook.name`. Default: metadata.name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
    /// Id that templates and the REST API see, such as `WHP936BM1GPVHQ`. Default: one derived from namespace and name,
    /// the same in every cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^WH[A-NP-Z1-9]{12,}$"))]
    pub id: Option<String>,
    /// Labels that templates see as `webhook.labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Team that the webhook belongs to: any text, for people and for the REST API's filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub team: Option<String>,
    /// Whether the webhook runs at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What fires it. `escalation` and `personal notification` run only for events that name the webhook; `status change`
    /// stands for acknowledge, resolve, silence, unsilence, unresolve and unacknowledge.
    pub trigger_type: TriggerType,
    /// Method of the request. POST, PUT and PATCH have a body.
    #[serde(default)]
    pub http_method: HttpMethod,
    /// Template of the URL, http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50000))]
    pub url: Option<String>,
    /// Where the template of the URL comes from, if the URL is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretKeySource>,
    /// Template that renders to a JSON object of request headers. Those of the connection are left out: Connection,
    /// Transfer-Encoding, Expect and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub headers: Option<String>,
    /// Headers whose values are secrets. They replace those of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub headers_from: Option<Vec<HeaderFromSecret>>,
    /// Template of the body. Sent as JSON if it renders to JSON, else as text; not sent where forwardAll is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub data: Option<String>,
    /// Send the event's whole data as the JSON body. Default: true where there is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_all: Option<bool>,
    /// Template that decides whether to run: it does if this is empty or renders to `true` or `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50000))]
    pub trigger_template: Option<String>,
    /// Ids of the integrations whose events run it. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 100)))]
    pub integration_filter: Option<Vec<String>>,
    /// User name for Basic auth, with password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub username: Option<String>,
    /// Password for Basic auth, with username. Basic auth wins over authorizationHeader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretKeySource>,
    /// Value of the Authorization header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_header: Option<SecretKeySource>,
    /// What signs the requests, as Standard Webhooks has it (header `webhook-signature`): `whsec_` and the base64 of 24 to 64
    /// bytes. Two with a space between sign at the same time, while one takes the other's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SecretKeySource>,
    /// The form that the webhook was made with, for clients of the REST API that ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Bound on one request, answer included, such as `4s`; at most one minute. Default: what the operator is configured to, which is
    /// 4s if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(
        validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('1m')")
            .message("give a timeout over 0s and up to 1m"),
    )]
    pub timeout: Option<Duration>,
    /// When to try again what a receiver did not take: after a connection that fails or can't be made, a request that is not
    /// answered in time, and the status codes 408, 425, 429 and 5xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whom to trust, and who to be, where the URL is https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How many of its responses are kept, the latest of each alert group that was seen lately aside. Default: what the
    /// operator is configured to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100000))]
    pub history_limit: Option<u32>,
    /// Hold what it is to send, and send it when this is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// When to try again. Delays double from one attempt to the next, and vary by chance. After a request that was sent and not answered in
/// time, which the receiver may have taken, they are those of timeoutDelays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// How long to try, from the first attempt on, such as `1h` or `72h`; `0s` for no second attempt. At most 30 days.
    #[serde(default = "one_hour")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(
        validation = Rule::new("duration(self) <= duration('720h')")
            .message("give a deadline up to 720h, which is 30 days"),
    )]
    pub deadline: Duration,
    /// How many attempts to make at most, the first included. Default: as many as the deadline allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_attempts: Option<u32>,
    /// How long to wait after the first attempt.
    #[serde(default = "five_seconds")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('24h')")
            .message("give a delay from 100ms to 24h"),
    )]
    pub initial_delay: Duration,
    /// How long to wait at most.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('24h')")
            .message("give a delay from 100ms to 24h"),
    )]
    pub max_delay: Duration,
    /// How long to wait after the first, second … request that was sent and not answered in time: such a request is sent again as
    /// often as there are delays, within the deadline. `[]` for never.
    #[serde(default = "timeout_delays")]
    #[schemars(schema_with = "schema::delays")]
    #[x_kube(
        validation = Rule::new("self.all(delay, duration(delay) >= duration('100ms') && duration(delay) <= duration('24h'))")
            .message("give delays from 100ms to 24h"),
    )]
    pub timeout_delays: Vec<Duration>,
}

impl From<&Retry> for core_retry::RetryPolicy {
    fn from(retry: &Retry) -> Self {
        Self {
            deadline: retry.deadline.into(),
            max_attempts: retry.max_attempts,
            initial_delay: retry.initial_delay.into(),
            max_delay: retry.max_delay.into(),
            timeout_delays: retry.timeout_delays.iter().copied().map(Into::into).collect(),
        }
    }
}

/// Whom to trust, and who to be. Secrets are of the webhook's namespace and carry the label `oncall.dev/secret: "true"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM certificates of the authorities to trust, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecretRef>,
    /// A Secret of type `kubernetes.io/tls`: the certificate and key to show to a receiver that asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<SecretRef>,
    /// Do not look at the receiver's certificate: whoever is on the way can read and change what is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// Certificates in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A Secret as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl From<&Tls> for core::TlsSettings {
    fn from(tls: &Tls) -> Self {
        let key = |name: &str, key: &str| core::SecretKey { name: name.to_owned(), key: key.to_owned() };
        Self {
            authorities: tls.ca_secret_ref.as_ref().map(|source| key(&source.name, &source.key)),
            client: tls.client_cert_secret_ref.as_ref().map(|source| core::ClientCertificate {
                certificate: key(&source.name, "tls.crt"),
                key: key(&source.name, "tls.key"),
            }),
            insecure: tls.insecure_skip_verify.unwrap_or_default(),
        }
    }
}

/// A form that a webhook is made with, in OnCall's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Named by escalations, sends a POST with the whole data.
    SimpleWebhook,
    /// Whatever the other fields say.
    AdvancedWebhook,
}

impl Preset {
    /// The name, as the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SimpleWebhook => "simple_webhook",
            Self::AdvancedWebhook => "advanced_webhook",
        }
    }
}

fn yes() -> bool {
    true
}

fn one_hour() -> Duration {
    core_retry::RetryPolicy::default().deadline.into()
}

fn five_seconds() -> Duration {
    core_retry::RetryPolicy::default().initial_delay.into()
}

fn ten_minutes() -> Duration {
    core_retry::RetryPolicy::default().max_delay.into()
}

fn timeout_delays() -> Vec<Duration> {
    core_retry::TIMEOUT_DELAYS.map(Into::into).to_vec()
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}

/// A value that is kept in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySource {
    /// The Secret and the key in it.
    pub secret_key_ref: SecretKeyRef,
}

/// One key of a Secret in the webhook's namespace. The Secret must carry the label `oncall.dev/secret: "true"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A header whose value is kept in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFromSecret {
    /// Name of the header.
    #[schemars(length(min = 1, max = 100), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// The Secret and the key in it.
    pub secret_key_ref: SecretKeyRef,
}

/// What the operator found and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// Id that templates and the REST API see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub id: Option<String>,
    /// The generation of the spec that the conditions were found for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready says whether it can work, as far as that shows without an event: every template, the URL, the headers and every Secret; a
    /// webhook that is not still runs, and its responses record what failed. TemplateWarning is there while a template fails on empty
    /// data, with which OnCall's API tries it out: it may work with that of events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How it does, in one word: Ready, Disabled, Failing or Backlogged, or the reason for which it is not ready or sends nothing, such as
    /// TemplateError, Suspended or Gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub state: Option<String>,
    /// About how many of its deliveries wait: for their turn, their next attempt, or the webhook. Up to 9 exactly, else with the first
    /// digit alone; looked at every 15 s. What waits in the API server (condition Backlogged) is not counted.
    #[serde(default)]
    pub waiting: u32,
    /// The last run that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// When a run last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_success_time: Option<Timestamp>,
}

/// One run of a webhook, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// When it ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// What came of it.
    pub outcome: super::ResponsePhase,
    /// Status code of the answer, where one came.
    // Null takes away that of an earlier run.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// Name of the WebhookResponse that tells more.
    #[schemars(length(max = 253))]
    pub response: String,
}

impl From<&SecretKeySource> for core::SecretKey {
    fn from(source: &SecretKeySource) -> Self {
        Self::from(&source.secret_key_ref)
    }
}

impl From<&SecretKeyRef> for core::SecretKey {
    fn from(reference: &SecretKeyRef) -> Self {
        Self { name: reference.name.clone(), key: reference.key.clone() }
    }
}

/// Makes a manifest ready to run: compiles its templates and fills in what it leaves out.
pub fn compile(webhook: &Webhook) -> core::Webhook {
    let (name, spec) = (webhook.name_any(), &webhook.spec);
    let field = |source: &Option<String>, mode| {
        source.as_deref().filter(|source| !source.is_empty()).map(|source| CompiledTemplate::new(source, mode))
    };
    core::Webhook {
        id: spec.id.clone().unwrap_or_else(|| id::webhook_id(&webhook.namespace().unwrap_or_default(), &name)),
        display_name: spec.name.clone().unwrap_or_else(|| name.clone()),
        labels: spec.labels.iter().flatten().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect(),
        trigger_type: spec.trigger_type,
        enabled: spec.enabled,
        method: spec.http_method,
        url: match (&spec.url, &spec.url_from) {
            (None, Some(source)) => core::UrlSource::Secret(source.into()),
            (url, _) => core::UrlSource::Template(CompiledTemplate::new(url.as_deref().unwrap_or_default(), Mode::Raw)),
        },
        headers: field(&spec.headers, Mode::Json),
        headers_from: spec
            .headers_from
            .iter()
            .flatten()
            .map(|header| (header.name.clone(), (&header.secret_key_ref).into()))
            .collect(),
        data: field(&spec.data, Mode::Json),
        forward_all: spec.forward_all.unwrap_or(spec.data.is_none()),
        trigger_template: field(&spec.trigger_template, Mode::Raw),
        integration_filter: spec.integration_filter.clone().unwrap_or_default(),
        username: spec.username.clone(),
        password: spec.password.as_ref().map(Into::into),
        authorization_header: spec.authorization_header.as_ref().map(Into::into),
        signing: spec.signing.as_ref().map(Into::into),
        timeout: spec.timeout.map(Into::into),
        // A name in a text that is no variable does no harm; a secret URL may hold one.
        reads_responses: spec.url_from.is_some()
            || [&spec.url, &spec.headers, &spec.data, &spec.trigger_template]
                .into_iter()
                .flatten()
                .any(|source| source.contains("responses")),
        retry: spec.retry.as_ref().map(Into::into).unwrap_or_default(),
        tls: spec.tls.as_ref().map(Into::into).unwrap_or_default(),
        history_limit: spec.history_limit,
        suspend: spec.suspend.unwrap_or_default(),
        name,
    }
}
