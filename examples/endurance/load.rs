//! The events of a run, the endpoints that get them, and what the API server takes.

use std::{
    collections::{HashMap, VecDeque},
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
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oncall_webhooks::{
    core::id,
    resources::{AlertGroupEvent, Webhook, WebhookResponse},
};
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
/// How long a delivery to a sick endpoint is tried.
const DEADLINE: &str = "30s";
/// How old an event is when it is removed, with its responses: long after its last delivery has ended.
const AGE: Duration = Duration::from_secs(45);
/// How often to look which are that old: they go one by one, as they came.
const LOOK: Duration = Duration::from_millis(5);
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

/// An event that was created then, and its uid.
struct Created {
    at: Instant,
    number: u64,
    uid: String,
}

/// Creates events, and knows when they arrived.
pub(crate) struct Load {
    api: Namespaced,
    /// In about the order of their creation.
    created: Arc<Mutex<VecDeque<Created>>>,
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
        let created = Arc::default();
        let load = Self { api, created, receiver, arrivals, sick, healthy, groups, next: AtomicU64::new(0) };
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

    /// How many events a second the API server takes beside all that works with it, while there are always some that have
    /// not arrived: when as many are removed as are created.
    pub(crate) async fn capacity(&self) -> Result<f64> {
        let (started, mut created) = (Instant::now(), JoinSet::new());
        let mut before = 0;
        while started.elapsed() < AGE + CAPACITY {
            if started.elapsed() < AGE {
                before = self.arrivals.lock().len();
            }
            while self.next.load(Ordering::Relaxed) < self.arrivals.lock().len() as u64 + IN_FLIGHT {
                self.create(self.next.fetch_add(1, Ordering::Relaxed), &mut created)?;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let arrived = self.arrivals.lock().len() - before;
        join(created).await?;
        Ok(arrived as f64 / CAPACITY.as_secs_f64())
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
        let all = Arc::clone(&self.created);
        created.spawn(async move {
            let event = api.create(&PostParams::default(), &event).await.context("create AlertGroupEvent")?;
            all.lock().push_back(Created { at: Instant::now(), number, uid: event.uid().unwrap_or_default() });
            Ok(())
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

    /// Removes events and their responses that are old, as long as it runs.
    pub(crate) fn remove_what_is_old(&self) -> JoinHandle<()> {
        let (api, created, healthy) = (self.api.clone(), Arc::clone(&self.created), self.healthy);
        tokio::spawn(async move {
            let (params, mut calls) = (Arc::new(DeleteParams::default()), JoinSet::new());
            loop {
                let is_old = |event: &Created| event.at.elapsed() >= AGE;
                let next = || {
                    let mut created = created.lock();
                    if created.front().is_some_and(is_old) { created.pop_front() } else { None }
                };
                while let Some(Created { number, uid, .. }) = next() {
                    let (events, responses) = (api.api::<AlertGroupEvent>(), api.api::<WebhookResponse>());
                    let params = Arc::clone(&params);
                    calls.spawn(async move {
                        // Those that are not there any more, or never were, are as good as removed.
                        for webhook in webhooks(number, healthy) {
                            let _ = responses.delete(&id::response_name(&uid, &webhook), &params).await;
                        }
                        let _ = events.delete(&format!("event-{number}"), &params).await;
                    });
                }
                while calls.try_join_next().is_some() {}
                tokio::time::sleep(LOOK).await;
            }
        })
    }
}

/// The webhooks that an event fires.
fn webhooks(number: u64, healthy: u64) -> impl Iterator<Item = String> {
    let integration = number % healthy;
    let sick = match integration {
        0 => Some(HANGING.to_owned()),
        1 => Some(BUSY.to_owned()),
        _ => None,
    };
    [format!("healthy-{integration}")].into_iter().chain(sick)
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
