//! Where an attack takes place: a control plane with the chart, and two namespaces, the neighbour's and the attacker's.

use std::{future::Future, net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request, header::CONTENT_TYPE};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Answer, Received, Receiver};

/// How many objects are written at a time.
const WRITERS: usize = 16;

/// Somebody with a kubeconfig: here an administrator, who does what a tenant with the role `edit` could do in its namespace.
#[derive(Clone)]
pub(crate) struct Hands(Client);

impl Hands {
    pub(crate) async fn new(kubeconfig: &Path) -> Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        Ok(Self(Client::try_from(config)?))
    }

    /// Creates an object and returns it as it is then.
    pub(crate) async fn create(&self, namespace: &str, object: &Value) -> Result<Value> {
        self.send(Method::POST, &path(namespace, object), "application/json", object).await
    }

    /// Merges a patch into an object, which names its kind and name; `sub` is empty, or `/status`.
    pub(crate) async fn patch(&self, namespace: &str, patch: &Value, sub: &str) -> Result<Value> {
        let path = format!("{}/{}{sub}", path(namespace, patch), text(&patch["metadata"]["name"]));
        self.send(Method::PATCH, &path, "application/merge-patch+json", patch).await
    }

    pub(crate) async fn delete(&self, namespace: &str, object: &Value) -> Result<()> {
        let path = format!("{}/{}", path(namespace, object), text(&object["metadata"]["name"]));
        self.send(Method::DELETE, &path, "application/json", &json!({})).await.map(drop)
    }

    /// All objects of a kind in a namespace.
    pub(crate) async fn list(&self, namespace: &str, kind: &str) -> Result<Vec<Value>> {
        let path = path(namespace, &json!({"kind": kind}));
        let request = Request::get(&path).body(Vec::new()).context("make a request")?;
        let list: Value = self.0.request(request).await.with_context(|| format!("GET {path}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn send(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value> {
        let what = format!("{method} {path}");
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content_type);
        let request = request.body(body.to_string().into_bytes()).context("make a request")?;
        self.0.request(request).await.context(what)
    }
}

/// The path of the objects of this one's kind.
fn path(namespace: &str, object: &Value) -> String {
    let (group, plural) = match text(&object["kind"]) {
        "Namespace" => return "/api/v1/namespaces".to_owned(),
        "Secret" => ("api/v1", "secrets"),
        "Service" => ("api/v1", "services"),
        "Webhook" => ("apis/oncall.dev/v1alpha1", "webhooks"),
        "AlertGroupEvent" => ("apis/oncall.dev/v1alpha1", "alertgroupevents"),
        _ => ("apis/oncall.dev/v1alpha1", "webhookresponses"),
    };
    format!("/{group}/namespaces/{namespace}/{plural}")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An object of one of the kinds that [`Hands`] knows.
pub(crate) fn object(kind: &str, name: &str, fields: Value) -> Value {
    let version = if matches!(kind, "Secret" | "Namespace" | "Service") { "v1" } else { "oncall.dev/v1alpha1" };
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    merge(&mut object, fields);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

/// The ports of the process that is attacked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) health: SocketAddr,
    /// The REST API's own.
    pub(crate) api: Option<SocketAddr>,
}

/// The attacker in its namespace, with the means that it has; or what it does without a webhook that matches.
pub(crate) struct Side {
    pub(crate) hands: Hands,
    pub(crate) namespace: String,
    /// The neighbour's namespace, which the attacker knows the name of.
    pub(crate) neighbour: String,
    /// Whether the webhooks match.
    pub(crate) matching: bool,
    /// None while nothing runs.
    pub(crate) doors: Option<Doors>,
    /// A token of the attacker's namespace, for the REST API.
    pub(crate) token: String,
    /// The endpoint of the attacker's webhooks, which is answered for as long as this is there.
    pub(crate) receiver: Mutex<Option<Receiver>>,
    /// Tasks that go on while the neighbour is watched.
    pub(crate) tasks: Mutex<tokio::task::JoinSet<()>>,
}

impl Side {
    /// Listens, and returns the URL.
    pub(crate) async fn listen(&self, respond: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Result<String> {
        let receiver = Receiver::start(respond).await?;
        let url = receiver.url();
        *self.receiver.lock() = Some(receiver);
        Ok(url)
    }

    /// What arrived at the attacker's endpoint.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.receiver.lock().as_ref().map(Receiver::received).unwrap_or_default()
    }

    /// A webhook for `resolve`, as it is to be created.
    pub(crate) fn webhook(&self, name: &str, spec: Value) -> Value {
        let mut all = json!({"spec": {"triggerType": "resolve", "retry": {"maxAttempts": 1}}});
        merge(&mut all["spec"], spec);
        if !self.matching {
            all["spec"]["integrationFilter"] = json!(["CNOBODY"]);
        }
        object("Webhook", name, all)
    }

    pub(crate) async fn create(&self, object: &Value) -> Result<Value> {
        self.hands.create(&self.namespace, object).await
    }

    pub(crate) async fn patch(&self, patch: &Value) -> Result<Value> {
        self.hands.patch(&self.namespace, patch, "").await
    }

    /// Creates as many objects as there are numbers below `count`.
    pub(crate) async fn create_all(&self, count: usize, object: impl Fn(usize) -> Value) -> Result<()> {
        self.each(count, async |number| self.create(&object(number)).await.map(drop)).await
    }

    /// Does something for each number below `count`, some at a time.
    pub(crate) async fn each<F>(&self, count: usize, act: impl Fn(usize) -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        stream::iter((0..count).map(act)).buffer_unordered(WRITERS).try_collect::<Vec<()>>().await.map(drop)
    }

    /// Creates a Secret that webhooks may refer to; its value is under `v`.
    pub(crate) async fn secret(&self, name: &str, value: &str) -> Result<()> {
        self.create(&secret(name, value)).await.map(drop)
    }

    /// Creates an event that fires the webhooks.
    pub(crate) async fn event(&self, name: &str, group: &str, payload: Value) -> Result<()> {
        self.create(&event(name, group, payload)).await.map(drop)
    }

    /// Goes on with a task until the neighbour has been watched.
    pub(crate) fn go_on(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(task);
    }
}

pub(crate) fn secret(name: &str, value: &str) -> Value {
    let labels = json!({"labels": {"oncall.dev/secret": "true"}});
    object("Secret", name, json!({"metadata": labels, "stringData": {"v": value}}))
}

/// A Secret that makes a token one of its namespace.
pub(crate) fn token_secret(name: &str, field: &str, value: &str) -> Value {
    let labels = json!({"labels": {"oncall.dev/api-token": "true"}});
    object("Secret", name, json!({"metadata": labels, "stringData": {field: value}}))
}

pub(crate) fn event(name: &str, group: &str, payload: Value) -> Value {
    let mut spec = json!({"type": "resolve", "alertGroup": {"id": group}});
    spec["alertPayload"] = payload;
    object("AlertGroupEvent", name, json!({ "spec": spec }))
}
