//! The REST API as OnCall's clients call it, against the real program and a real control plane.
//!
//! ```text
//! a namespace and a token for each test ──► one `oncall-webhooks api` for all, as the chart runs it ──► API server
//!                                       └──────────────── kubectl, kube-rs: what a person sees ────────────┘
//! ```

mod alert_groups;
mod alerts;
mod conformance;
mod curl;
mod definitions;
mod gitops;
mod goclient;
mod integrations;
mod isolation;
mod layouts;
mod least;
mod manifest;
mod memory;
mod namespaces;
mod quota;
mod reads;
mod refusals;
mod replicas;
mod rollout;
mod strangers;
mod terraform;
mod wipe;

use std::{
    ops::Deref,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::PostParams};
use oncall_webhooks::resources::Webhook;
use reqwest::{
    Client, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use support::Api;
use tokio::sync::OnceCell;

use crate::harness::{TestNamespace, cluster, eventually};

const WEBHOOKS: &str = "/api/v1/webhooks/";
const ACTIONS: &str = "/api/v1/actions/";

/// The API that all tests share. It ends with the cluster.
async fn shared() -> &'static Api {
    static SHARED: OnceCell<Api> = OnceCell::const_new();
    SHARED.get_or_init(|| start("api", &[])).await
}

/// An API process, with `more` arguments, which replace the chart's of the same name.
pub(crate) async fn start(name: &str, more: &[&str]) -> Api {
    let (_, installation) = tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster");
    start_with(name, &installation.api_kubeconfig, more).await
}

/// Does the same with another kubeconfig.
async fn start_with(name: &str, kubeconfig: &Path, more: &[&str]) -> Api {
    let (cluster, installation) = cluster();
    let name_of = |arg: &str| arg.split('=').next().map(str::to_owned);
    let replaced = |arg: &&str| more.iter().any(|other| name_of(other) == name_of(arg));
    let charts = installation.api_args.iter().flatten().map(String::as_str).filter(|arg| !replaced(arg));
    let args: Vec<String> = charts.chain(more.iter().copied()).map(str::to_owned).collect();
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let started = Api::start(binary, cluster.processes(), name, kubeconfig, &args).await;
    started.expect("start the REST API")
}

/// A namespace with a token, which OnCall would call an organization.
struct Team {
    place: TestNamespace,
    http: Client,
    url: String,
    token: String,
}

impl Deref for Team {
    type Target = TestNamespace;

    fn deref(&self) -> &TestNamespace {
        &self.place
    }
}

/// The answer to a call.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The body, with the order of its keys; null if there is none.
    fn json(&self) -> Value {
        if self.body.is_empty() { Value::Null } else { serde_json::from_str(&self.body).expect("a body of JSON") }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of text"))
    }

    /// Status and body, to be compared.
    fn both(&self) -> (u16, Value) {
        (self.status, self.json())
    }

    /// The body, of an answer that must have this status.
    fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.json()
    }
}

impl Team {
    /// A team that talks to the API that all tests share.
    async fn new(name: &str) -> Self {
        Self::at(name, shared().await.url()).await
    }

    /// A team that talks to an API of its own. Its token is accepted.
    async fn at(name: &str, url: &str) -> Self {
        Self::within(TestNamespace::new(name).await, url).await
    }

    /// The same in a namespace that is there.
    async fn within(place: TestNamespace, url: &str) -> Self {
        let http = Client::builder().no_proxy().build().expect("make a client");
        let team = Self { token: random_token(), place, http, url: url.to_owned() };
        team.add_token("token", &team.token, false).await;
        team.accepted(&team.token).await;
        team
    }

    /// Makes a Secret that makes `token` one of the team's.
    async fn add_token(&self, name: &str, token: &str, read_only: bool) {
        let mut secret = json!({
            "metadata": {"name": name, "labels": {"oncall.dev/api-token": "true"}},
            "stringData": {"token": token},
        });
        if read_only {
            secret["metadata"]["labels"]["oncall.dev/read-only"] = "true".into();
        }
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        self.api().create(&PostParams::default(), &secret).await.expect("create Secret");
    }

    /// Waits until the API takes a token.
    async fn accepted(&self, token: &str) {
        eventually("the token is accepted", || async {
            (self.send(Method::GET, WEBHOOKS, Some(token), None).await.status == 200).then_some(())
        })
        .await;
    }

    /// Calls the API with the team's token; JSON in, if any.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.send(method, path, Some(&self.token), body).await
    }

    /// Calls the API with this Authorization, and a body of this type.
    async fn send(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.expect("a body of text") }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(&body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Creates a webhook of this name, whose fields `more` adds to, and returns what was answered.
    async fn create(&self, name: &str, more: Value) -> Value {
        let body = json!({
            "name": name, "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve",
        });
        self.call(Method::POST, WEBHOOKS, Some(&with(body, more))).await.expect(201)
    }

    /// The Webhook behind an id, as Kubernetes has it.
    async fn object(&self, id: &str) -> Webhook {
        let all = self.api::<Webhook>().list(&Default::default()).await.expect("list Webhooks");
        let found = all.into_iter().find(|webhook| webhook_id(webhook) == id);
        found.expect("a Webhook of this id")
    }

    /// What the audit log has of this namespace: what went in and out of the API server about Webhooks.
    fn audit(&self) -> Vec<Value> {
        let log = cluster().0.audit_log().expect("an audit log");
        let log = std::fs::read_to_string(log).expect("read the audit log");
        // The last line may be half written.
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["objectRef"]["namespace"] == self.namespace.as_str()).collect()
    }
}

/// A token that no other test has.
fn random_token() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("oncall_of_these_tests_{:08}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn webhook_id(webhook: &Webhook) -> String {
    let derived = || {
        let namespace = webhook.namespace().unwrap_or_default();
        oncall_webhooks::core::id::webhook_id(&namespace, &webhook.name_any())
    };
    webhook.spec.id.clone().unwrap_or_else(derived)
}

fn id(body: &Value) -> &str {
    body["id"].as_str().expect("an id")
}

/// The path of the webhook that an answer shows.
fn path(body: &Value) -> String {
    format!("{WEBHOOKS}{}/", id(body))
}

/// What a webhook reads as that was created with nothing but what must be given, but for its id.
fn plain(name: &str, more: Value) -> Value {
    let body = json!({
        "id": null, "name": name, "is_webhook_enabled": true, "team": null, "data": null, "username": null,
        "password": null, "authorization_header": null, "trigger_template": null, "headers": null,
        "url": "https://example.com", "forward_all": true, "http_method": "POST", "trigger_type": "resolve",
        "integration_filter": null, "preset": null,
    });
    with(body, more)
}

/// The same with other fields; those that are there keep their place.
fn with(mut body: Value, fields: Value) -> Value {
    let (Value::Object(into), Value::Object(fields)) = (&mut body, fields) else { unreachable!("objects") };
    into.extend(fields);
    body
}

/// The same without what differs in each run.
fn without_id(mut body: Value) -> Value {
    body["id"] = Value::Null;
    body
}
