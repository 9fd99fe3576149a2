//! What every phase stands on: the control plane, the operators to be measured, and calls as the operator makes them.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cluster::Cluster;
use futures::{StreamExt, TryStreamExt, stream};
use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{PartialObjectMeta, Request},
};
use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent, Integration, Webhook, WebhookResponse};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use support::{Installation, Operator, output};

use crate::{IN_FLIGHT, PATIENCE, usage::Usage};

/// How many objects are listed at a time to be removed.
const PAGE: u32 = 2000;

/// An operator to be measured: what it is called in the results, its binary, and the folder of its definitions.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    pub(crate) definitions: PathBuf,
}

/// What operators of other versions may do, beside what this one's chart lets them do.
const OTHER_RIGHTS: [&[&str]; 2] = [
    &["create", "clusterrole", "others", "--verb=patch,update", OTHER_RESOURCES],
    &["create", "clusterrolebinding", "others", "--clusterrole=others", ACCOUNT],
];
const OTHER_RESOURCES: &str = "--resource=webhookresponses.oncall.dev/status,alertgroupevents.oncall.dev/status";
/// The operator's, as kubectl is given it.
pub(crate) const ACCOUNT: &str = "--serviceaccount=oncall-webhooks:oncall-webhooks";

/// The things that every phase uses.
pub(crate) struct Ground<'a> {
    pub(crate) cluster: &'a Cluster,
    installation: Installation,
    /// May do everything, and is never made to wait by the API server's flow control.
    pub(crate) admin: Client,
    /// Has the operator's rights.
    pub(crate) operator: Client,
}

impl<'a> Ground<'a> {
    pub(crate) async fn new(cluster: &'a Cluster) -> Result<Self> {
        let chart = support::chart();
        // The receiver is on loopback; and what is measured shall not be removed meanwhile.
        let values = [
            "controller.allowAddresses={127.0.0.1/32}",
            "controller.retention.events=unlimited",
            "controller.retention.responses=unlimited",
        ];
        let installation = Installation::new(cluster, &chart, "oncall-webhooks", &values)?;
        for args in OTHER_RIGHTS {
            output(cluster.kubectl().args(args))?;
        }
        let admin = client(cluster.kubeconfig()).await?;
        let operator = client(&installation.kubeconfig).await?;
        Ok(Self { cluster, installation, admin, operator })
    }

    /// Has the cluster know the definitions of this folder.
    pub(crate) fn define(&self, definitions: &Path) -> Result<()> {
        output(self.cluster.kubectl().args(["apply", "--filename"]).arg(definitions)).map(drop)
    }

    /// Starts an operator with its definitions and waits until it is ready. Its log goes to the file of its name.
    pub(crate) async fn start(&self, candidate: &Candidate) -> Result<Operator> {
        self.define(&candidate.definitions)?;
        self.start_again(candidate).await
    }

    /// Does the same where its definitions are there already: this takes as long as the operator does.
    pub(crate) async fn start_again(&self, candidate: &Candidate) -> Result<Operator> {
        let Installation { kubeconfig, args, .. } = &self.installation;
        let group = self.cluster.processes();
        Operator::start(&candidate.binary, group, &candidate.name, kubeconfig, args).await
    }

    /// Starts the REST API of the same binary, with its rights, and waits until it is ready.
    pub(crate) async fn start_api(&self, candidate: &Candidate) -> Result<support::Api> {
        let Installation { api_kubeconfig, api_args, .. } = &self.installation;
        let args = api_args.as_ref().context("the chart has no container named api")?;
        let (group, name) = (self.cluster.processes(), format!("{}-api", candidate.name));
        support::Api::start(&candidate.binary, group, &name, api_kubeconfig, args).await
    }

    pub(crate) fn usage(&self, operator: Option<&Operator>) -> Result<Usage> {
        Usage::now(self.cluster, operator)
    }

    /// Creates an empty namespace, of another name each time.
    pub(crate) async fn namespace(&self) -> Result<String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("scene-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let meta = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
        let object = Namespace { metadata: meta, ..Namespace::default() };
        Api::all(self.admin.clone()).create(&PostParams::default(), &object).await.context("create a namespace")?;
        Ok(namespace)
    }

    /// Removes all that was made in a namespace, so that a phase does not work among what another one left.
    pub(crate) async fn clear(&self, namespace: &str) -> Result<()> {
        self.remove::<Webhook>(namespace).await?;
        self.remove::<WebhookResponse>(namespace).await?;
        self.remove::<AlertGroupEvent>(namespace).await?;
        self.remove::<Integration>(namespace).await?;
        self.remove::<AlertGroup>(namespace).await
    }

    /// Removes all objects of a kind.
    pub(crate) async fn remove<K>(&self, namespace: &str) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
        K: Send + Sync + 'static,
    {
        let api: Api<K> = Api::namespaced(self.admin.clone(), namespace);
        loop {
            let list = api.list_metadata(&ListParams::default().limit(PAGE)).await?;
            if list.items.is_empty() {
                return Ok(());
            }
            let names: Vec<_> = list.items.into_iter().filter_map(|object| object.metadata.name).collect();
            let params = DeleteParams::default();
            let (api, params) = (&api, &params);
            at_once(&names, |name| async move {
                match api.delete(name, params).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                    deleted => deleted.map(drop).with_context(|| format!("delete {} {name}", K::kind(&()))),
                }
            })
            .await?;
        }
    }

    /// The calls of our API that kube-apiserver has answered, by verb, resource and, where it is not a success, code.
    pub(crate) async fn calls(&self) -> Result<BTreeMap<String, f64>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = self.admin.request_text(request).await.context("read kube-apiserver's metrics")?;
        let mut calls = BTreeMap::new();
        for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
            let field = |name: &str| label(name).unwrap_or_default();
            if field("group") == "oncall.dev" && !["LIST", "WATCH"].contains(&field("verb")) {
                let code = Some(field("code")).filter(|code| !code.starts_with('2')).unwrap_or_default();
                let words = [field("verb"), field("resource"), field("subresource"), code];
                let call = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
                let count: f64 = line.rsplit_once(' ').context("read a metric")?.1.parse()?;
                *calls.entry(call).or_insert(0.0) += count;
            }
        }
        Ok(calls)
    }

    pub(crate) async fn calls_since(&self, before: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>> {
        let mut calls = self.calls().await?;
        for (call, count) in &mut calls {
            *count -= before.get(call).unwrap_or(&0.0);
        }
        calls.retain(|_, count| *count > 0.0);
        Ok(calls)
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    // A write that is refused shall be seen.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Asks an operator to stop, and waits until it has.
pub(crate) fn stop(operator: Operator) -> Result<()> {
    let status = operator.stop()?;
    ensure!(status.success(), "the operator ended with {status}");
    Ok(())
}

/// Creates one object, as the operator does: no more of it comes back than its metadata.
pub(crate) async fn create<K>(client: &Client, object: &K) -> Result<ObjectMeta>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize,
{
    let request = Request::new(K::url_path(&(), object.meta().namespace.as_deref()));
    send::<K>(client, request.create(&PostParams::default(), serde_json::to_vec(object)?)?).await
}

/// Creates one object of the kind at `path`, in the same way.
pub(crate) async fn create_at(client: &Client, path: &str, object: &impl Serialize) -> Result<ObjectMeta> {
    send::<WebhookResponse>(client, Request::new(path).create(&PostParams::default(), serde_json::to_vec(object)?)?)
        .await
}

/// Merges `status` into the status of one object of the kind at `path`.
pub(crate) async fn patch_status_at(
    client: &Client,
    path: &str,
    name: &str,
    status: &impl Serialize,
) -> Result<ObjectMeta> {
    let patch = Patch::Merge(json!({"status": serde_json::to_value(status)?}));
    let request = Request::new(path).patch_subresource("status", name, &PatchParams::default(), &patch)?;
    send::<WebhookResponse>(client, request).await
}

async fn send<K>(client: &Client, mut request: http::Request<Vec<u8>>) -> Result<ObjectMeta>
where
    K: Resource<DynamicType = ()>,
{
    let metadata = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    request.headers_mut().insert(ACCEPT, metadata);
    let what = format!("{} {}", request.method(), request.uri());
    let written: PartialObjectMeta<K> = client.request(request).await.context(what)?;
    Ok(written.metadata)
}

/// Does a thing for each of `items`, [`IN_FLIGHT`] at a time, and returns what came of them, in any order, or the first error.
pub(crate) async fn at_once<I, T, F>(items: impl IntoIterator<Item = I>, job: impl FnMut(I) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    stream::iter(items).map(job).buffer_unordered(IN_FLIGHT).try_collect().await
}

/// Asks every now and then until the answer is yes.
pub(crate) async fn until(what: &str, every: Duration, mut ask: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ask().await? {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(every).await;
    }
    Ok(())
}
