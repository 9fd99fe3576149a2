//! The events of a run, the endpoints that get them, and what the API server takes.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oncall_webhooks::resources::{AlertGroupEvent, Webhook, WebhookResponse};
use parking_lot::Mutex;
use serde_json::{Value, json};
use support::{Answer, Received, Receiver, Samples, ms};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};

/// How long the API server is asked for all that it takes.
const CEILING: Duration = Duration::from_secs(10);
/// Writes that are under way then at a time.
const IN_FLIGHT: usize = 64;
/// How often what is finished is removed.
const REMOVAL: Duration = Duration::from_secs(5);
/// How long a delivery to a sick endpoint is tried.
const DEADLINE: &str = "30s";
/// Bound on everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

const HANGING: &str = "hanging";
const BUSY: &str = "busy";

/// An administrator's hands on a namespace.
#[derive(Clone)]
pub(crate) struct Namespaced {
    client: Client,
    namespace: &'static str,
}

impl Namespaced {
    /// Makes the namespace.
    pub(crate) async fn new(kubeconfig: &Path, namespace: &'static str) -> Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let metadata = ObjectMeta { name: Some(namespace.to_owned()), ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &object).await.context("create a namespace")?;
        Ok(Self { client, namespace })
    }

    fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }
}

/// When the request of which event was at its healthy endpoint first.
type Arrivals = Arc<Mutex<HashMap<u64, Instant>>>;

/// Creates events, and knows when they arrived.
pub(crate) struct Load {
    api: Namespaced,
    receiver: Receiver,
    arrivals: Arrivals,
    sick: Arc<AtomicUsize>,
    healthy: u64,
    groups: u64,
    next: AtomicU64,
}

impl Load {
    /// Starts the receiver and creates the webhooks of the healthy endpoints.
    pub(crate) async fn start(api: Namespaced, healthy: u64, groups: u64) -> Result<Self> {
        let (arrivals, sick) = (Arrivals::default(), Arc::new(AtomicUsize::new(0)));
        let receiver = {
            let (arrivals, sick) = (Arc::clone(&arrivals), Arc::clone(&sick));
            Receiver::start(move |request| answer(request, &arrivals, &sick)).await?
        };
        // The same alert group's events are for the same endpoint.
        let groups = groups.next_multiple_of(healthy);
        let load = Self { api, receiver, arrivals, sick, healthy, groups, next: AtomicU64::new(0) };
        for number in 0..healthy {
            load.create_webhook(&format!("healthy-{number}"), number).await?;
        }
        load.webhooks_are_seen().await?;
        Ok(load)
    }

    async fn create_webhook(&self, name: &str, integration: u64) -> Result<()> {
        let webhook: Webhook = serde_json::from_value(json!({
            "apiVersion": Webhook::api_version(&()),
            "kind": Webhook::kind(&()),
            "metadata": {"name": name},
            "spec": {
                "triggerType": "acknowledge",
                "integrationFilter": [format!("C{integration}")],
                "url": format!("{}/{name}", self.receiver.url()),
                "data": "{{ alert_payload.number }}",
                "forwardAll": false,
                "timeout": "2s",
                "retry": {"deadline": DEADLINE},
            },
        }))
        .context("make a Webhook")?;
        let what = format!("create Webhook {name}");
        self.api.api().create(&PostParams::default(), &webhook).await.context(what)?;
        Ok(())
    }

    async fn webhooks_are_seen(&self) -> Result<()> {
        let webhooks = self.api.api::<Webhook>();
        until("the operator has seen the webhooks", async || {
            Ok(webhooks.list(&ListParams::default()).await?.iter().all(|webhook| webhook.status.is_some()))
        })
        .await
    }

    /// From now on the events of two healthy endpoints go to a sick one too.
    pub(crate) async fn add_sick_ones(&self) -> Result<()> {
        self.create_webhook(HANGING, 0).await?;
        self.create_webhook(BUSY, 1).await?;
        self.webhooks_are_seen().await
    }

    /// From now on they don't.
    pub(crate) async fn delete_sick_ones(&self) -> Result<()> {
        for name in [HANGING, BUSY] {
            let what = format!("delete Webhook {name}");
            self.api.api::<Webhook>().delete(name, &DeleteParams::default()).await.context(what)?;
        }
        Ok(())
    }

    /// How many pairs of writes the API server takes in a second: the creation of a response and the patch of its status.
    pub(crate) async fn ceiling(&self) -> Result<f64> {
        let api = Namespaced { namespace: "default", ..self.api.clone() }.api::<WebhookResponse>();
        let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let mut writers = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (api, next) = (api.clone(), Arc::clone(&next));
            writers.spawn(async move {
                while started.elapsed() < CEILING {
                    pair(&api, next.fetch_add(1, Ordering::Relaxed)).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended.context("join a writer")??;
        }
        let rate = next.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
        api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.context("remove them again")?;
        Ok(rate)
    }

    /// An event and its status, a response and its status; their removal; and for two of the healthy endpoints' events as much
    /// for a response and about four attempts at a sick one.
    pub(crate) fn writes_of_an_event(&self, removed: bool) -> f64 {
        let removal = f64::from(u8::from(removed));
        let sick = 2.0 / self.healthy as f64;
        4.0 + 2.0 * removal + sick * (1.0 + 4.0 + removal)
    }

    /// Creates events at that rate for that long. Returns the number of each and the time before it was created.
    pub(crate) async fn window(&self, rate: f64, length: Duration) -> Result<Vec<(u64, Instant)>> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        // Late ones follow at once: the rate is that of the world, which doesn't wait.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (end, mut created, mut events) = (Instant::now() + length, JoinSet::new(), Vec::new());
        while Instant::now() < end {
            ticks.tick().await;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (api, event) = (self.api.api::<AlertGroupEvent>(), self.event(number)?);
            events.push((number, Instant::now()));
            created.spawn(async move {
                api.create(&PostParams::default(), &event).await.context("create AlertGroupEvent").map(drop)
            });
            while let Some(ended) = created.try_join_next() {
                ended.context("join a writer")??;
            }
        }
        while let Some(ended) = created.join_next().await {
            ended.context("join a writer")??;
        }
        Ok(events)
    }

    fn event(&self, number: u64) -> Result<AlertGroupEvent> {
        serde_json::from_value(json!({
            "apiVersion": AlertGroupEvent::api_version(&()),
            "kind": AlertGroupEvent::kind(&()),
            "metadata": {"name": format!("event-{number}")},
            "spec": {
                "type": "acknowledge",
                "alertGroup": {
                    "id": format!("I{}", number % self.groups),
                    "integrationId": format!("C{}", number % self.healthy),
                    "title": "Instance is down",
                },
                "alertPayload": {"number": number, "commonLabels": {"alertname": "InstanceDown", "severity": "critical"}},
            },
        }))
        .context("make an AlertGroupEvent")
    }

    /// Waits until the request of every event has been at its healthy endpoint.
    pub(crate) async fn all_arrived(&self) -> Result<()> {
        let created = usize::try_from(self.next.load(Ordering::Relaxed))?;
        until("every event has arrived at its healthy endpoint", async || Ok(self.arrivals.lock().len() == created))
            .await
    }

    /// Milliseconds from the creation of events to their requests.
    pub(crate) fn latencies(&self, events: &[(u64, Instant)]) -> Samples {
        let arrivals = self.arrivals.lock();
        let latency = |(number, created): &(u64, Instant)| Some(ms(arrivals.get(number)?.duration_since(*created)));
        Samples(events.iter().filter_map(latency).collect())
    }

    /// How many requests the sick endpoints got.
    pub(crate) fn sick_requests(&self) -> usize {
        self.sick.load(Ordering::Relaxed)
    }

    /// Removes events and responses that are finished, as long as it runs.
    pub(crate) fn remove_what_is_finished(&self) -> JoinHandle<()> {
        let api = self.api.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REMOVAL).await;
                let finished = |phase: &str| ListParams::default().fields(&format!("status.phase={phase}"));
                let delete = DeleteParams::default();
                // What could not be removed is the next time.
                let _ = api.api::<AlertGroupEvent>().delete_collection(&delete, &finished("Completed")).await;
                for phase in ["Succeeded", "Failed"] {
                    let _ = api.api::<WebhookResponse>().delete_collection(&delete, &finished(phase)).await;
                }
            }
        })
    }
}

fn answer(request: &Received, arrivals: &Arrivals, sick: &AtomicUsize) -> Answer {
    match request.target.trim_start_matches('/') {
        HANGING => {
            sick.fetch_add(1, Ordering::Relaxed);
            Answer { delay: Duration::from_secs(3600), ..Answer::new(200, "") }
        }
        BUSY => {
            sick.fetch_add(1, Ordering::Relaxed);
            Answer::new(503, "")
        }
        _ => {
            if let Ok(number) = request.body.trim().parse() {
                arrivals.lock().entry(number).or_insert(request.at);
            }
            Answer::new(200, r#"{"ok": true}"#)
        }
    }
}

/// A response and its status, as the operator writes them.
async fn pair(api: &Api<WebhookResponse>, number: usize) -> Result<()> {
    let name = format!("bare-{number}");
    let object: WebhookResponse = serde_json::from_value(json!({
        "apiVersion": WebhookResponse::api_version(&()),
        "kind": WebhookResponse::kind(&()),
        "metadata": {
            "name": name,
            "labels": {"oncall.dev/webhook": "bare", "oncall.dev/event": name, "oncall.dev/alert-group": "I1"},
        },
        "spec": {
            "webhookRef": {"name": "bare", "id": "WHBARE"},
            "eventRef": {"name": name, "uid": name},
            "alertGroupId": "I1",
            "triggerType": "acknowledge",
        },
    }))
    .context("make a WebhookResponse")?;
    api.create(&PostParams::default(), &object).await.context("create WebhookResponse")?;
    let status: Value = json!({"status": {
        "phase": "Succeeded",
        "url": "http://127.0.0.1:8080/healthy-1",
        "requestHeaders": r#"{"Content-Type": "application/json"}"#,
        "requestData": "12345",
        "statusCode": 200,
        "content": r#"{"ok": true}"#,
        "eventData": "x".repeat(1500),
        "attemptCount": 1,
        "attempts": [{"time": "2026-01-01T00:00:00Z", "statusCode": 200, "durationMs": 1}],
    }});
    let what = "patch the status of WebhookResponse";
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.context(what)?;
    Ok(())
}

/// Asks every now and then until the answer is yes.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ask().await? {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
