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

use anyhow::{Context, Result};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
};
use oncall_core::id;
use oncall_webhooks::resources::{AlertGroupEvent, Webhook, WebhookResponse};
use parking_lot::Mutex;
use serde_json::json;
use support::{Answer, Received, Receiver, Samples, ms};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, sleep_until, timeout, timeout_at},
};

/// How long the capacity of the API server is measured.
const CAPACITY: Duration = Duration::from_secs(30);
/// How many events have been created and have not arrived, at any time of that measurement.
const IN_FLIGHT: u64 = 64;
/// How long a delivery to a sick endpoint is tried.
const DEADLINE: &str = "30s";
/// The age at which an event is removed, with its responses: long after its last delivery has ended.
const AGE: Duration = Duration::from_secs(45);
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

/// The first request of each event at its healthy endpoint.
#[derive(Default)]
struct Arrivals {
    /// By the number of the event: when its request had arrived.
    times: Mutex<HashMap<u64, Instant>>,
    /// How many events have arrived.
    count: watch::Sender<u64>,
}

impl Arrivals {
    fn add(&self, number: u64, at: Instant) {
        let mut times = self.times.lock();
        times.entry(number).or_insert(at);
        // Under the lock, so that the count never goes back.
        self.count.send_replace(times.len() as u64);
    }

    fn count(&self) -> u64 {
        *self.count.borrow()
    }
}

/// The endpoints that can be sick.
#[derive(Default)]
struct Sick {
    now: AtomicBool,
    /// How many requests they got while they were sick.
    requests: AtomicUsize,
}

/// An event that has been created.
pub(crate) struct Created {
    at: Instant,
    number: u64,
    uid: String,
}

/// Creates events, and knows when they arrived.
pub(crate) struct Load {
    api: Namespaced,
    /// Takes each event when it has been created; see [`Load::remove_old_events`].
    created: mpsc::UnboundedSender<Created>,
    receiver: Receiver,
    arrivals: Arc<Arrivals>,
    sick: Arc<Sick>,
    healthy: u64,
    groups: u64,
    next: AtomicU64,
}

impl Load {
    /// Starts the receiver and creates the webhooks: one for each healthy endpoint, and two that get the events of two of these
    /// as well. Every event that is created goes to `created`.
    pub(crate) async fn start(
        api: Namespaced,
        healthy: u64,
        groups: u64,
        created: mpsc::UnboundedSender<Created>,
    ) -> Result<Self> {
        let (arrivals, sick) = (Arc::<Arrivals>::default(), Arc::new(Sick::default()));
        let receiver = {
            let (arrivals, sick) = (Arc::clone(&arrivals), Arc::clone(&sick));
            Receiver::start(move |request| answer(request, &arrivals, &sick)).await?
        };
        // The same alert group's events are for the same endpoint.
        let groups = groups.next_multiple_of(healthy);
        let load = Self { api, created, receiver, arrivals, sick, healthy, groups, next: AtomicU64::new(0) };
        for number in 0..healthy {
            load.create_webhook(&format!("healthy-{number}"), number).await?;
        }
        load.create_webhook(HANGING, 0).await?;
        load.create_webhook(BUSY, 1).await?;
        Ok(load)
    }

    /// Creates a webhook and waits until the operator has seen it.
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
        let webhooks = self.api.api::<Webhook>();
        let what = format!("create Webhook {name}");
        webhooks.create(&PostParams::default(), &webhook).await.context(what)?;
        let has_status =
            |webhook: Option<&Webhook>| webhook.and_then(|webhook| webhook.status.as_ref()?.id.as_ref()).is_some();
        let seen = timeout(PATIENCE, await_condition(webhooks, name, has_status)).await;
        seen.with_context(|| format!("the operator has not seen Webhook {name} within {PATIENCE:?}"))?
            .with_context(|| format!("watch Webhook {name}"))?;
        Ok(())
    }

    /// Makes the two endpoints sick that can be, or well again.
    pub(crate) fn make_sick(&self, sick: bool) {
        self.sick.now.store(sick, Ordering::Relaxed);
    }

    /// How many events a second the API server takes beside all that works with it, while there are always some that have
    /// not arrived: when as many are removed as are created.
    pub(crate) async fn capacity(&self) -> Result<f64> {
        let (begin, mut created) = (Instant::now() + AGE, JoinSet::new());
        self.keep_in_flight(begin, &mut created).await?;
        let before = self.arrivals.count();
        self.keep_in_flight(begin + CAPACITY, &mut created).await?;
        let arrived = self.arrivals.count() - before;
        join(created).await?;
        Ok(arrived as f64 / CAPACITY.as_secs_f64())
    }

    /// Creates an event whenever one arrives, until `end`.
    async fn keep_in_flight(&self, end: Instant, created: &mut JoinSet<Result<()>>) -> Result<()> {
        let mut arrived = self.arrivals.count.subscribe();
        while Instant::now() < end {
            while self.next.load(Ordering::Relaxed) < *arrived.borrow_and_update() + IN_FLIGHT {
                self.create(self.next.fetch_add(1, Ordering::Relaxed), created)?;
            }
            // That time is up is seen by the loop.
            let _ = timeout_at(end.into(), arrived.changed()).await;
        }
        Ok(())
    }

    /// Creates events at that rate for that long. Returns the number of each and the time before it was created.
    pub(crate) async fn window(&self, rate: f64, length: Duration) -> Result<Vec<(u64, Instant)>> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        // Late ones follow at once: in production nobody waits for the operator either.
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

    /// Begins to create an event, and collects the results of those that were begun before.
    fn create(&self, number: u64, created: &mut JoinSet<Result<()>>) -> Result<()> {
        let (api, event) = (self.api.api::<AlertGroupEvent>(), self.event(number)?);
        let all = self.created.clone();
        created.spawn(async move {
            let event = api.create(&PostParams::default(), &event).await.context("create AlertGroupEvent")?;
            // With --keep nobody reads these.
            let _ = all.send(Created { at: Instant::now(), number, uid: event.uid().unwrap_or_default() });
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
        let created = self.next.load(Ordering::Relaxed);
        let mut arrived = self.arrivals.count.subscribe();
        let all = timeout(PATIENCE, arrived.wait_for(|arrived| *arrived == created)).await;
        all.with_context(|| format!("not every event has arrived at its healthy endpoint within {PATIENCE:?}"))??;
        Ok(())
    }

    /// Milliseconds from the creation of events to their requests.
    pub(crate) fn latencies(&self, events: &[(u64, Instant)]) -> Samples {
        let times = self.arrivals.times.lock();
        let latency = |(number, created): &(u64, Instant)| Some(ms(times.get(number)?.duration_since(*created)));
        Samples(events.iter().filter_map(latency).collect())
    }

    /// How many requests the sick endpoints got.
    pub(crate) fn sick_requests(&self) -> usize {
        self.sick.requests.load(Ordering::Relaxed)
    }

    /// Removes each of the `created` events and its responses at the age of 45 seconds, for as long as the task runs.
    pub(crate) fn remove_old_events(&self, mut created: mpsc::UnboundedReceiver<Created>) -> JoinHandle<()> {
        let (api, healthy) = (self.api.clone(), self.healthy);
        tokio::spawn(async move {
            let (params, mut calls) = (Arc::new(DeleteParams::default()), JoinSet::new());
            while let Some(Created { at, number, uid }) = created.recv().await {
                sleep_until((at + AGE).into()).await;
                let (events, responses) = (api.api::<AlertGroupEvent>(), api.api::<WebhookResponse>());
                let params = Arc::clone(&params);
                calls.spawn(async move {
                    // An object that is gone, or never was there, is as good as removed.
                    for webhook in webhooks(number, healthy) {
                        let _ = responses.delete(&id::response_name(&uid, &webhook), &params).await;
                    }
                    let _ = events.delete(&format!("event-{number}"), &params).await;
                });
                while calls.try_join_next().is_some() {}
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
                arrivals.add(number, request.at);
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
