//! What the tests share: one cluster, and for each test a namespace, a receiver and an operator.
//!
//! ```text
//!  test ──applies, creates──▶ kube-apiserver ◀──watch, writes── operator (the chart's arguments and rights) ──▶ receiver
//!    └── waits, by watches ──────────┘                                                                          │
//!    └── looks at what arrived ◀────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::Future,
    ops::Deref,
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use cluster::{Cluster, Definitions};
use futures::StreamExt;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watch_object, watcher},
    },
};
use oncall_webhooks::resources::{
    AlertGroupEvent, AlertGroupEventSpec, EventPhase, Webhook, WebhookResponse, WebhookResponseStatus, WebhookSpec,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{Answer, Installation, Operator, Received, Receiver, output, pipe};

/// Bound on everything that is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The address that receivers listen at. The API server listens there too, so it has to be allowed as this one address.
const LOOPBACK: &str = "127.0.0.1/32";

/// The API server writes down every request and every answer about Webhooks, that it was asked about a token, and all that the two
/// ServiceAccounts ask whose rights are to be no more than they need.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users:
  - system:serviceaccount:least-oncall-webhooks:least-oncall-webhooks
  - system:serviceaccount:least-oncall-webhooks:least-oncall-webhooks-api
- level: RequestResponse
  resources:
  - group: oncall.dev
    resources: [webhooks, webhooks/*]
- level: Metadata
  resources:
  - group: authentication.k8s.io
    resources: [tokenreviews]
- level: None
";

/// Has the API server take kinds of other projects. More than one test may.
pub(crate) fn define(definitions: &Definitions) {
    for file in definitions.files().expect("find resource definitions") {
        let kubectl = |args: &[&str]| output(cluster().0.kubectl().args(args).arg("-f").arg(&file));
        kubectl(&["apply", "--server-side"]).expect("apply a definition");
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s"]).expect("wait for a definition");
    }
}

/// Builds the Go program in this folder of tests, with the Go that the control plane is built with.
pub(crate) fn go_program(folder: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(source);
    go.env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("CGO_ENABLED", "0");
    output(&mut go).expect("build a Go program of the tests");
    program
}

/// The cluster of this test run, with the chart installed.
pub(crate) fn cluster() -> &'static (Cluster, Installation) {
    static SHARED: OnceLock<(Cluster, Installation)> = OnceLock::new();
    SHARED.get_or_init(|| {
        // The first of the tests does this; nothing else installs a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::builder().audit(AUDIT_POLICY).quotas(true).start().expect("start a control plane");
        let chart = support::chart();
        let values = [format!("controller.allowAddresses={{{LOOPBACK}}}")];
        let installation =
            Installation::new(&cluster, &chart, "oncall-webhooks", &[&values[0]]).expect("install the chart");
        // Each test's operator has a Lease and a journal of its own, beside the chart's.
        let account = "--serviceaccount=oncall-webhooks:oncall-webhooks";
        let verbs = "--verb=get,list,watch,create,update";
        let of_journal = "--verb=get,list,create,delete";
        for args in [
            ["create", "clusterrole", "leases", verbs, "--resource=leases.coordination.k8s.io"],
            ["create", "clusterrolebinding", "leases", "--clusterrole=leases", account],
            ["create", "clusterrole", "journals", of_journal, "--resource=deliveryjournals.oncall.dev"],
            ["create", "clusterrolebinding", "journals", "--clusterrole=journals", account],
        ] {
            output(cluster.kubectl().args(args)).expect("allow Leases");
        }
        (cluster, installation)
    })
}

/// A kind of resource that lives in namespaces.
pub(crate) trait Namespaced:
    kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Namespaced for K where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static
{
}

/// A namespace of its own in the cluster, and what an administrator does there.
#[derive(Clone)]
pub(crate) struct TestNamespace {
    pub(crate) namespace: String,
    client: Client,
}

impl TestNamespace {
    /// Makes a namespace whose name begins with `name`.
    pub(crate) async fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = tokio::task::spawn_blocking({
            let namespace = namespace.clone();
            move || {
                output(cluster().0.kubectl().args(["create", "namespace", &namespace])).expect("create a namespace");
                Kubeconfig::read_from(cluster().0.kubeconfig()).expect("read the kubeconfig")
            }
        });
        let kubeconfig = client.await.expect("prepare the cluster");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("make a configuration")).expect("make a client");
        Self { namespace, client }
    }

    pub(crate) fn api<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Watches the object of this name until `found` gives something for it. None stands for no such object.
    pub(crate) async fn object_that<K: Namespaced, T>(
        &self,
        what: &str,
        name: &str,
        mut found: impl FnMut(Option<&K>) -> Option<T>,
    ) -> T {
        let mut changes = pin!(watch_object(self.api::<K>(), name).default_backoff());
        within(what, async {
            loop {
                // After an error, the watch is tried again.
                if let Some(Ok(object)) = changes.next().await
                    && let Some(found) = found(object.as_ref())
                {
                    return found;
                }
            }
        })
        .await
    }

    /// Watches all objects of a kind until `found` gives something for them, by their names.
    pub(crate) async fn objects_that<K: Namespaced, T>(
        &self,
        what: &str,
        mut found: impl FnMut(&BTreeMap<String, K>) -> Option<T>,
    ) -> T {
        let mut changes = pin!(watcher(self.api::<K>(), watcher::Config::default()).default_backoff());
        let mut objects = BTreeMap::new();
        within(what, async {
            loop {
                match changes.next().await {
                    Some(Ok(Event::Init)) => objects.clear(),
                    Some(Ok(Event::InitApply(object))) => {
                        objects.insert(object.name_any(), object);
                        // Not all of them are there yet.
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {}
                    Some(Ok(Event::Apply(object))) => drop(objects.insert(object.name_any(), object)),
                    Some(Ok(Event::Delete(object))) => drop(objects.remove(&object.name_any())),
                    // After an error, the watch is tried again.
                    Some(Err(_)) | None => continue,
                }
                if let Some(found) = found(&objects) {
                    return found;
                }
            }
        })
        .await
    }

    /// Applies manifests as a person does.
    pub(crate) async fn apply(&self, manifests: &str) {
        let manifests = manifests.to_owned();
        let mut kubectl = cluster().0.kubectl();
        kubectl.args(["apply", "--namespace", &self.namespace, "-f", "-"]);
        let applied = tokio::task::spawn_blocking(move || pipe(&mut kubectl, &manifests));
        applied.await.expect("run kubectl").expect("apply the manifests");
    }

    pub(crate) async fn kubectl(&self, args: &[&str]) -> String {
        let mut kubectl = cluster().0.kubectl();
        kubectl.args(["--namespace", &self.namespace]).args(args);
        let ran = tokio::task::spawn_blocking(move || output(&mut kubectl));
        ran.await.expect("run kubectl").expect("kubectl")
    }
}

/// All that one test has: a namespace, a receiver, and an operator that works in this namespace alone.
pub(crate) struct World {
    in_namespace: TestNamespace,
    pub(crate) receiver: Receiver,
    pub(crate) operator: Option<Operator>,
    /// The operator's arguments.
    args: Vec<String>,
    /// The variables of its environment that this process has not, each as `NAME=VALUE`.
    environment: Vec<String>,
}

impl Deref for World {
    type Target = TestNamespace;

    fn deref(&self) -> &TestNamespace {
        &self.in_namespace
    }
}

impl World {
    /// Starts all of it. The receiver answers everything with 200 and `{"ok": true}`.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with_receiver(name, |_| Answer::new(200, r#"{"ok": true}"#)).await
    }

    /// Starts all of it. The receiver answers what `respond` says.
    pub(crate) async fn with_receiver(
        name: &str,
        respond: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let mut world = Self::without_operator(name, respond).await;
        world.start_operator().await;
        world
    }

    /// Starts all of it. The operator may reach what `reach` says, in place of loopback; `NAMESPACE` in it stands for the
    /// namespace.
    pub(crate) async fn reaching(
        name: &str,
        respond: impl Fn(&Received) -> Answer + Send + Sync + 'static,
        reach: &[&str],
    ) -> Self {
        let mut world = Self::without_operator(name, respond).await;
        world.args.retain(|arg| !arg.starts_with("--allow-"));
        world.args.extend(reach.iter().map(|arg| arg.replace("NAMESPACE", &world.in_namespace.namespace)));
        world.start_operator().await;
        world
    }

    /// Starts all of it. The operator has these arguments in place of those of the same flags that the chart gives it.
    pub(crate) async fn configured(
        name: &str,
        respond: impl Fn(&Received) -> Answer + Send + Sync + 'static,
        args: &[&str],
    ) -> Self {
        let mut world = Self::without_operator(name, respond).await;
        let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
        world.args.retain(|old| args.iter().all(|new| flag(new) != flag(old)));
        world.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        world.start_operator().await;
        world
    }

    /// Starts all of it. The operator has these variables and these further arguments; the receiver answers everything with
    /// 200.
    pub(crate) async fn in_environment(name: &str, environment: &[(&str, &str)], args: &[String]) -> Self {
        let mut world = Self::without_operator(name, |_| Answer::new(200, "ok")).await;
        world.environment = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        world.args.extend_from_slice(args);
        world.start_operator().await;
        world
    }

    /// Starts all but the operator.
    pub(crate) async fn without_operator(
        name: &str,
        respond: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let in_namespace = TestNamespace::new(name).await;
        let receiver = Receiver::start(respond).await.expect("start a receiver");
        let mut args = cluster().1.args.clone();
        args.retain(|arg| !arg.starts_with("--lease="));
        // A new process of the same identity takes the Lease at once.
        args.extend(
            ["--namespace=NAMESPACE", "--lease=NAMESPACE/operator", "--identity=operator"]
                .map(|arg| arg.replace("NAMESPACE", &in_namespace.namespace)),
        );
        Self { in_namespace, receiver, operator: None, args, environment: Vec::new() }
    }

    pub(crate) async fn start_operator(&mut self) {
        self.start_with(&cluster().1.kubeconfig).await;
    }

    /// Starts the operator as a ServiceAccount of this namespace.
    pub(crate) async fn start_operator_as(&mut self, account: &str) {
        let (namespace, account) = (self.namespace.clone(), account.to_owned());
        let kubeconfig =
            tokio::task::spawn_blocking(move || cluster().0.service_account_kubeconfig(&namespace, &account));
        self.start_with(&kubeconfig.await.expect("join").expect("make a kubeconfig")).await;
    }

    async fn start_with(&mut self, kubeconfig: &Path) {
        let cluster = &cluster().0;
        let binary = env!("CARGO_BIN_EXE_oncall-webhooks");
        // `env` becomes the operator.
        let mut args = self.environment.clone();
        args.push(binary.to_owned());
        args.extend_from_slice(&self.args);
        let env = Path::new("/usr/bin/env");
        let started = Operator::start(env, cluster.processes(), &self.namespace, kubeconfig, &args).await;
        self.operator = Some(started.expect("start the operator"));
    }

    /// Starts another replica, and waits until it has logged `message`.
    pub(crate) async fn start_replica(&self, identity: &str, lease_seconds: u16, message: &str) -> Operator {
        let (cluster, installation) = cluster();
        let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
        let others =
            self.args.iter().filter(|arg| !arg.starts_with("--identity=") && !arg.starts_with("--lease-seconds="));
        let own = [format!("--identity={identity}"), format!("--lease-seconds={lease_seconds}")];
        let args: Vec<String> = others.cloned().chain(own).collect();
        let name = format!("{}-{identity}", self.namespace);
        let started =
            Operator::start_until(binary, cluster.processes(), &name, &installation.kubeconfig, &args, message).await;
        started.expect("start a replica")
    }

    /// Kills the operator, which has no time to do anything about it.
    pub(crate) fn kill_operator(&mut self) {
        self.operator = None;
    }

    /// Applies manifests as a person does, with the receiver's address in place of the examples'.
    pub(crate) async fn apply(&self, manifests: &str) {
        self.in_namespace.apply(&manifests.replace("http://receiver.example", &self.receiver.url())).await;
    }

    /// Creates a Webhook for the receiver; `spec` adds to the trigger and the URL, which has the webhook's name as path.
    pub(crate) async fn webhook(&self, name: &str, trigger: &str, spec: Value) -> Webhook {
        let mut all = json!({"triggerType": trigger, "url": format!("{}/{name}", self.receiver.url())});
        merge(&mut all, spec);
        let spec: WebhookSpec = serde_json::from_value(all).expect("a webhook's spec");
        self.api().create(&PostParams::default(), &Webhook::new(name, spec)).await.expect("create Webhook")
    }

    /// Creates a webhook and waits until the operator has seen it.
    pub(crate) async fn seen_webhook(&self, name: &str, trigger: &str, spec: Value) -> Webhook {
        self.webhook(name, trigger, spec).await;
        let seen = |webhook: Option<&Webhook>| webhook.filter(|webhook| is_seen(webhook)).cloned();
        self.object_that("the operator has seen the webhook", name, seen).await
    }

    /// Creates an AlertGroupEvent; `spec` adds to the type and the id of the alert group.
    pub(crate) async fn event(&self, name: &str, type_: &str, group: &str, spec: Value) -> AlertGroupEvent {
        let mut all = json!({"type": type_, "alertGroup": {"id": group}});
        merge(&mut all, spec);
        let spec: AlertGroupEventSpec = serde_json::from_value(all).expect("an event's spec");
        let event = AlertGroupEvent {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec,
            status: None,
        };
        self.api().create(&PostParams::default(), &event).await.expect("create AlertGroupEvent")
    }

    /// Waits until an event is completed with that many webhooks.
    pub(crate) async fn completed(&self, name: &str, matched: u32) -> AlertGroupEvent {
        self.object_that("the event is completed", name, |event: Option<&AlertGroupEvent>| {
            let status = event?.status.as_ref()?;
            (status.phase == EventPhase::Completed && status.matched == matched).then(|| event.cloned())?
        })
        .await
    }

    /// The responses that are there, by the name of their webhook and event.
    pub(crate) async fn responses(&self) -> BTreeMap<(String, String), WebhookResponse> {
        let all = self.api::<WebhookResponse>().list(&Default::default()).await.expect("list WebhookResponses");
        all.into_iter()
            .map(|response| ((response.spec.webhook_ref.name.clone(), response.spec.event_ref.name.clone()), response))
            .collect()
    }

    /// The status of the one response of a webhook.
    pub(crate) async fn response(&self, webhook: &str) -> WebhookResponseStatus {
        let mut of_webhook: Vec<_> = self
            .responses()
            .await
            .into_iter()
            .filter(|((name, _), _)| name == webhook)
            .map(|(_, response)| response)
            .collect();
        assert_eq!(of_webhook.len(), 1, "responses of {webhook}");
        of_webhook.remove(0).status.expect("a status")
    }

    /// Waits until the response of a webhook is as `is` says, and returns its status.
    pub(crate) async fn response_that(
        &self,
        webhook: &str,
        is: impl Fn(&WebhookResponseStatus) -> bool,
    ) -> WebhookResponseStatus {
        self.objects_that("the response is as it should be", |responses: &BTreeMap<_, WebhookResponse>| {
            let of_webhook = responses.values().find(|response| response.spec.webhook_ref.name == webhook);
            of_webhook?.status.clone().filter(&is)
        })
        .await
    }

    /// Waits until a webhook has a condition of that type for that reason; None to wait until it has none.
    pub(crate) async fn condition(&self, webhook: &str, type_: &str, reason: Option<&str>) {
        self.object_that("the condition is as it should be", webhook, |webhook: Option<&Webhook>| {
            let conditions = &webhook?.status.as_ref()?.conditions;
            let found = conditions.iter().find(|condition| condition.type_ == type_);
            (found.map(|condition| condition.reason.as_str()) == reason).then_some(())
        })
        .await;
    }

    /// The path and the `webhook-id` of each request, in the order of their arrival.
    pub(crate) fn ids(&self) -> Vec<(String, String)> {
        let id = |request: &Received| request.header("webhook-id").unwrap_or_default().to_owned();
        self.receiver.received().iter().map(|request| (request.target.clone(), id(request))).collect()
    }

    /// Waits for requests and returns method, target and body of each, in order.
    pub(crate) async fn arrived(&self, count: usize) -> Vec<(String, String, String)> {
        let received = self.receiver.wait_for(count, LIMIT).await.expect("requests arrive");
        received.into_iter().map(|request| (request.method, request.target, request.body)).collect()
    }

    /// All objects but Secrets, as YAML, and the operator's log: nothing in it may be secret.
    pub(crate) async fn everything(&self) -> String {
        let objects = self.kubectl(&["get", "webhooks,agev,whr,events", "-o", "yaml"]).await;
        format!("{objects}{}", self.operator.as_ref().map(Operator::log).unwrap_or_default())
    }
}

/// Whether the operator has seen a webhook as it is.
pub(crate) fn is_seen(webhook: &Webhook) -> bool {
    webhook.status.as_ref().is_some_and(|status| status.observed_generation == webhook.metadata.generation)
}

/// A file that is removed when it is dropped.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    pub(crate) fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oncall-webhooks-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("write a file");
        Self(path)
    }

    pub(crate) fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from,
    }
}

/// Waits for something, as long as anything is waited for.
async fn within<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    assert!(waited.is_ok(), "{what}: not within {LIMIT:?}");
    waited.expect("it has come")
}

/// Asks again and again until `attempt` gives something: for what nobody tells of when it changes. Objects are watched
/// ([`TestNamespace::object_that`]).
pub(crate) async fn eventually<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The names of objects.
pub(crate) fn names<K: ResourceExt + Debug>(objects: impl IntoIterator<Item = K>) -> Vec<String> {
    objects.into_iter().map(|object| object.name_any()).collect()
}
