//! Bare writes: what this API server takes on this machine, with no operator running.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use oncall_webhooks::{
    core::id::response_name,
    resources::{WebhookResponse, WebhookResponseStatus, definitions},
};
use serde_json::{Value, json};
use support::{Samples, ms, output};

use crate::{
    IN_FLIGHT,
    ground::{ACCOUNT, Candidate, Ground, create_at, patch_status_at, stop},
    scene::{Load, Scene},
};

/// How long bare writes are measured at a time.
const WINDOW: Duration = Duration::from_secs(4);
/// The group of the kind that is written.
const GROUP: &str = "bare.oncall.dev";
/// Bytes of the status that a bare pair writes, as JSON.
const STATUS: usize = 2048;

/// Writes an object and a status such as the operator writes for one delivery, again and again.
#[derive(Clone)]
pub(crate) struct Bare {
    client: Client,
    object: WebhookResponse,
    status: WebhookResponseStatus,
    next: Arc<AtomicUsize>,
    /// Bytes of an event, of its response without its status, of that status, and of the status that is written here.
    pub(crate) sizes: [usize; 4],
}

/// What bare writes came to in a while.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Pairs a second.
    pub(crate) pairs: f64,
    /// Milliseconds of kube-apiserver's CPU time for one write.
    pub(crate) api_server: f64,
}

impl Window {
    /// The mean of one before and one after.
    pub(crate) fn mean(self, after: Self) -> Self {
        Self {
            pairs: f64::midpoint(self.pairs, after.pairs),
            api_server: f64::midpoint(self.api_server, after.api_server),
        }
    }
}

impl Bare {
    /// Has an operator make one delivery, and takes its record as the sample, cut or filled up to [`STATUS`].
    pub(crate) async fn new(ground: &Ground<'_>, candidate: &Candidate) -> Result<Self> {
        define(ground).await?;
        let operator = ground.start(candidate).await?;
        let scene = Scene::new(ground, Load::new(1, 1, 4.0)).await?;
        scene.until_ready().await?;
        let events = scene.create_events().await?;
        scene.recorded(&events).await?;
        stop(operator)?;
        let event = events.first().context("read an event's uid")?;
        let name = response_name(&event.uid, "webhook-0");
        let responses: Api<WebhookResponse> = Api::namespaced(ground.admin.clone(), &scene.namespace);
        let mut object = responses.get(&name).await.with_context(|| format!("get WebhookResponse {name}"))?;
        let mut status = object.status.take().context("read a response's status")?;
        object.metadata = ObjectMeta {
            namespace: object.metadata.namespace,
            labels: object.metadata.labels,
            // The garbage collector looks after the operator's responses, so after these.
            owner_references: object.metadata.owner_references,
            ..ObjectMeta::default()
        };
        let size = |value: Value| value.to_string().len();
        let sizes = [
            size(serde_json::to_value(scene.event(0)?)?),
            size(serde_json::to_value(&object)?),
            size(serde_json::to_value(&status)?),
        ];
        let data = status.event_data().unwrap_or_default().to_owned();
        status.event_data = None;
        // With it, and with its escaped quotes, it is of the size that it shall be.
        let fits = |length: &usize| {
            let cut = WebhookResponseStatus { event_data: data.get(..*length).map(str::to_owned), ..status.clone() };
            serde_json::to_value(&cut).is_ok_and(|value| size(value) <= STATUS)
        };
        let length = (0..=data.len()).rev().find(|length| data.is_char_boundary(*length) && fits(length)).unwrap_or(0);
        status.event_data = data.get(..length).map(str::to_owned);
        let missing = STATUS.saturating_sub(size(serde_json::to_value(&status)?));
        status.content.get_or_insert_default().push_str(&"x".repeat(missing));
        let [event, response, record] = sizes;
        let sizes = [event, response, record, size(serde_json::to_value(&status)?)];
        Ok(Self { client: ground.operator.clone(), object, status, next: Arc::default(), sizes })
    }

    /// Where the pairs are.
    fn path(&self) -> String {
        let namespace = self.object.metadata.namespace.as_deref().unwrap_or_default();
        format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/webhookresponses")
    }

    /// Has the operator's rights.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The response that a pair writes, of that name, in another namespace, with nobody who owns it.
    pub(crate) fn in_namespace(&self, namespace: &str, name: &str) -> (WebhookResponse, &WebhookResponseStatus) {
        let mut object = self.object.clone();
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.name = Some(name.to_owned());
        object.metadata.owner_references = None;
        (object, &self.status)
    }

    /// One pair: the milliseconds of each of its writes.
    async fn pair(&self) -> Result<[f64; 2]> {
        let (mut object, started) = (self.object.clone(), Instant::now());
        let name = format!("webhook-0-bare-{}", self.next.fetch_add(1, Ordering::Relaxed));
        object.metadata.name = Some(name.clone());
        let path = self.path();
        let mut object = serde_json::to_value(&object)?;
        object["apiVersion"] = Value::from(format!("{GROUP}/v1alpha1"));
        create_at(&self.client, &path, &object).await?;
        let created = Instant::now();
        patch_status_at(&self.client, &path, &name, &self.status).await?;
        Ok([ms(created.duration_since(started)), ms(created.elapsed())])
    }

    /// Writes pairs for a while, [`IN_FLIGHT`] at a time.
    pub(crate) async fn window(&self, ground: &Ground<'_>) -> Result<Window> {
        let (before, started) = (ground.usage(None)?, Instant::now());
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let bare = self.clone();
            writers.spawn(async move {
                let mut pairs = 0_usize;
                while started.elapsed() < WINDOW {
                    bare.pair().await?;
                    pairs += 1;
                }
                anyhow::Ok(pairs)
            });
        }
        let mut written = 0;
        while let Some(ended) = writers.join_next().await {
            written += ended.context("join a writer")??;
        }
        let (took, used) = (started.elapsed(), ground.usage(None)? - before);
        let pairs = written as f64 / took.as_secs_f64();
        Ok(Window { pairs, api_server: used.api_server / (2.0 * written as f64) })
    }

    /// Milliseconds of writes that are made one after another.
    pub(crate) async fn single(&self, pairs: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..pairs {
            samples.0.extend(self.pair().await?);
        }
        Ok(samples)
    }

    /// Removes what the pairs have made.
    pub(crate) async fn clear(&self, ground: &Ground<'_>) -> Result<()> {
        let request = http::Request::delete(self.path()).body(Vec::new())?;
        ground.admin.request_text(request).await.context("delete what the pairs have made").map(drop)
    }
}

/// Has the cluster know the kind that is written: a WebhookResponse with a status of its own, whatever that of the operator has.
async fn define(ground: &Ground<'_>) -> Result<()> {
    let all = definitions();
    let mut kind =
        all.into_iter().find(|crd| crd.spec.names.kind == "WebhookResponse").context("find the definition")?;
    let name = format!("{}.{GROUP}", kind.spec.names.plural);
    kind.spec.group = GROUP.to_owned();
    kind.metadata.name = Some(name.clone());
    for version in &mut kind.spec.versions {
        version.subresources = Some(serde_json::from_value(json!({"status": {}}))?);
    }
    Api::all(ground.admin.clone())
        .create(&PostParams::default(), &kind)
        .await
        .context("define the kind of bare pairs")?;
    output(ground.cluster.kubectl().args(["wait", "--for=condition=Established", "crd", &name]))?;
    let resources = format!("--resource=webhookresponses.{GROUP},webhookresponses.{GROUP}/status");
    for args in [
        ["create", "clusterrole", "bare", "--verb=create,patch", &resources],
        ["create", "clusterrolebinding", "bare", "--clusterrole=bare", ACCOUNT],
    ] {
        output(ground.cluster.kubectl().args(args))?;
    }
    Ok(())
}
