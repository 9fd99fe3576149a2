//! The events of a run, the endpoints that get them, and what the API server takes.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oncall_webhooks::resources::{AlertGroupEvent, Webhook, WebhookResponse};
use parking_lot::Mutex;
use serde_json::json;
use support::{Answer, Received, Receiver, Samples, ms};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};

/// How long all of them are given as much as they take.
const CAPACITY: Duration = Duration::from_secs(30);
/// Events that have not arrived then at a time.
const IN_FLIGHT: u64 = 64;
/// How often what is finished is removed: in small lots, each of which the events of that moment have to wait for.
const REMOVAL: Duration = Duration::from_secs(1);
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

/// The endpoints that can be sick.
#[derive(Default)]
struct Sick {
    now: AtomicBool,
    /// What they got while they were.
    requests: AtomicUsize,
}

/// Creates events, and knows when they arrived.
pub(crate) struct Load {
    api: Namespaced,
    receiver: Receiver,
    arrivals: Arrivals,
    sick: Arc<Sick>,
    healthy: u64,
    groups: u64,
    next: AtomicU64,
}

impl Load {
    /// Starts the receiver and creates the webhooks: of the healthy endpoints, and two that get the events of two of these as
    /// well.
    pub(crate) async fn start(api: Namespaced, healthy: u64, groups: u64) -> Result<Self> {
        let (arrivals, sick) = (Arrivals::default(), Arc::new(Sick::default()));
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
        load.create_webhook(HANGING, 0).await?;
        load.create_webhook(BUSY, 1).await?;
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

    /// Makes the two endpoints sick that can be, or well again.
    pub(crate) fn make_sick(&self, sick: bool) {
        self.sick.now.store(sick, Ordering::Relaxed);
    }

    /// How many events a second the API server takes beside all that works with it: there are always some that have not
    /// arrived, and the time ends when all are recorded.
    pub(crate) async fn capacity(&self) -> Result<f64> {
        let (started, mut created) = (Instant::now(), JoinSet::new());
        while started.elapsed() < CAPACITY {
            while self.next.load(Ordering::Relaxed) < self.arrivals.lock().len() as u64 + IN_FLIGHT {
                self.create(self.next.fetch_add(1, Ordering::Relaxed), &mut created)?;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        join(created).await?;
        let waiting = ListParams::default().fields("status.phase!=Completed").limit(1);
        let events = self.api.api::<AlertGroupEvent>();
        until("every event is recorded", async || Ok(events.list(&waiting).await?.items.is_empty())).await?;
        Ok(self.next.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
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
            events.push((number, Instant::now()));
            self.create(number, &mut created)?;
        }
        join(created).await?;
        Ok(events)
    }

    /// Begins to create an event, and looks after those that were begun before.
    fn create(&self, number: u64, created: &mut JoinSet<Result<()>>) -> Result<()> {
        let (api, event) = (self.api.api::<AlertGroupEvent>(), self.event(number)?);
        created.spawn(async move {
            api.create(&PostParams::default(), &event).await.context("create AlertGroupEvent").map(drop)
        });
        while let Some(ended) = created.try_join_next() {
            ended.context("join a writer")??;
        }
        Ok(())
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
        self.sick.requests.load(Ordering::Relaxed)
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

fn answer(request: &Received, arrivals: &Arrivals, sick: &Sick) -> Answer {
    let endpoint = request.target.trim_start_matches('/');
    let well = Answer::new(200, r#"{"ok": true}"#);
    match endpoint {
        HANGING | BUSY if sick.now.load(Ordering::Relaxed) => {
            sick.requests.fetch_add(1, Ordering::Relaxed);
            match endpoint {
                HANGING => Answer { delay: Duration::from_secs(3600), ..well },
                _ => Answer::new(503, ""),
            }
        }
        HANGING | BUSY => well,
        _ => {
            if let Ok(number) = request.body.trim().parse() {
                arrivals.lock().entry(number).or_insert(request.at);
            }
            well
        }
    }
}

async fn join(mut created: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = created.join_next().await {
        ended.context("join a writer")??;
    }
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
