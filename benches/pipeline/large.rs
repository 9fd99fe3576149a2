//! A lot at a time: deliveries that are not written out yet, and webhooks and responses that are stored.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use kube::{Api, api::ListParams};
use oncall_webhooks::resources::{EVENT_LABEL, WEBHOOK_LABEL, Webhook};
use parking_lot::Mutex;
use support::{Footprint, Operator};
use tokio::task::JoinHandle;

use crate::{
    bare::Bare,
    ground::{Candidate, Ground, at_once, create, stop},
    paced::paced,
    report::{Figures, quantiles},
    scene::{Load, Scene, webhook},
};

/// Shows how many deliveries have ended and are not written out yet.
const PENDING: &str = "oncall_webhooks_records_pending ";
/// How often the operator's metrics are read.
const LOOK: Duration = Duration::from_millis(200);
/// Over how many namespaces what is stored is spread.
const NAMESPACES: usize = 20;
/// The fewest events of which a latency is told.
const FEWEST: usize = 200;
/// How long an operator is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// Many deliveries with large records, so many at once that they can't be written out meanwhile.
pub(crate) async fn memory(ground: &Ground<'_>, candidate: &Candidate, scene: &Scene) -> Result<Figures> {
    let operator = ground.start(candidate).await?;
    scene.until_ready().await?;
    let before = Footprint::of(operator.pid())?;
    let bytes = serde_json::to_string(&scene.event(0)?.spec.alert_payload)?.len();
    let pending = Pending::follow(&operator)?;
    let events = scene.create_events().await?;
    scene.arrived().await?;
    let sent = pending.now();
    scene.recorded(&events).await?;
    let after = Footprint::of(operator.pid())?;
    stop(operator)?;
    scene.verify(&events).await?;
    let count = |count: Option<f64>| count.map_or_else(|| "not told".to_owned(), |count| count.to_string());
    let (resident, peak) = (before.resident, after.peak);
    Ok(vec![
        ("bytes of an event's payload", bytes.to_string()),
        ("not written out yet: when all were sent / at most", format!("{} / {}", count(sent), count(pending.most()))),
        ("memory before / at most / after, MiB", format!("{resident:.0} / {peak:.0} / {:.0}", after.resident)),
    ])
}

/// Follows the metric [`PENDING`] of an operator, until it is dropped.
struct Pending {
    /// The last value and the greatest; None while the operator does not tell.
    seen: Arc<Mutex<Option<(f64, f64)>>>,
    task: JoinHandle<()>,
}

impl Pending {
    fn follow(operator: &Operator) -> Result<Self> {
        let health = operator.events("the health port listens").pop().context("find the operator's health address")?;
        let url = format!("http://{}/metrics", health["address"].as_str().context("read the health address")?);
        let seen = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(answer) = reqwest::get(&url).await
                    && let Ok(text) = answer.text().await
                    && let Some(value) = text.lines().find_map(|line| line.strip_prefix(PENDING)?.trim().parse().ok())
                {
                    let mut noted = noted.lock();
                    let most: f64 = noted.map_or(0.0, |(_, most)| most);
                    *noted = Some((value, most.max(value)));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { seen, task })
    }

    fn now(&self) -> Option<f64> {
        self.seen.lock().map(|(now, _)| now)
    }

    fn most(&self) -> Option<f64> {
        self.seen.lock().map(|(_, most)| most)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Webhooks that never fire, and responses of theirs, in namespaces of their own.
pub(crate) struct Stored {
    namespaces: Vec<String>,
    webhooks: usize,
}

impl Stored {
    /// Makes namespaces for so many webhooks; these are not there yet.
    pub(crate) async fn new(ground: &Ground<'_>, webhooks: usize) -> Result<Self> {
        let mut namespaces = Vec::new();
        for _ in 0..NAMESPACES.min(webhooks) {
            namespaces.push(ground.namespace().await?);
        }
        Ok(Self { namespaces, webhooks })
    }

    fn namespace(&self, webhook: usize) -> &str {
        self.namespaces.get(webhook % self.namespaces.len().max(1)).map_or("", |namespace| namespace)
    }

    /// Creates so many responses, with their ends.
    pub(crate) async fn create_responses(&self, bare: &Bare, responses: usize) -> Result<()> {
        let written = at_once(0..responses, |number| async move {
            let webhook = format!("webhook-{}", number % self.webhooks);
            let namespace = self.namespace(number % self.webhooks);
            let name = format!("{webhook}-{number}");
            let (mut object, status) = bare.in_namespace(namespace, &name);
            let event = format!("event-{number}");
            if let Some(labels) = &mut object.metadata.labels {
                labels.insert(WEBHOOK_LABEL.to_owned(), webhook.clone());
                labels.insert(EVENT_LABEL.to_owned(), event.clone());
            }
            object.spec.webhook_ref.name = webhook;
            object.spec.event_ref.name = event.clone();
            object.spec.event_ref.uid = event;
            object.status = Some(status.clone());
            create(bare.client(), &object).await.map(drop)
        });
        written.await.map(drop)
    }

    /// Creates the webhooks anew, so that they have no status.
    pub(crate) async fn renew_webhooks(&self, ground: &Ground<'_>) -> Result<()> {
        for namespace in &self.namespaces {
            ground.remove::<Webhook>(namespace).await?;
        }
        let created = at_once(0..self.webhooks, |number| async move {
            let url = format!("http://127.0.0.1:9/{number}");
            create(&ground.admin, &webhook(self.namespace(number), number, &url, "resolve")?).await
        });
        created.await.map(drop)
    }

    /// Removes all of it.
    pub(crate) async fn clear(&self, ground: &Ground<'_>) -> Result<()> {
        for namespace in &self.namespaces {
            ground.clear(namespace).await?;
        }
        Ok(())
    }

    /// Events at 20 a second from the start of an operator on, while it gives all the webhooks their first status. Returns
    /// the latencies, and how long that took.
    async fn first_statuses(&self, ground: &Ground<'_>, candidate: &Candidate) -> Result<(String, Duration)> {
        let mut scene = Scene::new(ground, Load::new(1, 0, 4.0)).await?;
        let operator = ground.start(candidate).await?;
        let (started, mut took, mut done) = (Instant::now(), None, 0);
        let without = ListParams::default().fields("status.id=").limit(1);
        let events = paced(&scene, async |number| {
            while number % 10 == 0
                && let Some(namespace) = self.namespaces.get(done)
            {
                let webhooks: Api<Webhook> = Api::namespaced(ground.admin.clone(), namespace);
                if !webhooks.list_metadata(&without).await?.items.is_empty() {
                    break;
                }
                done += 1;
            }
            if done == self.namespaces.len() {
                took.get_or_insert_with(|| started.elapsed());
            }
            Ok(number < FEWEST || took.is_none())
        });
        let events = events.await?;
        scene.load.events = events.len();
        let received = scene.arrived().await?;
        scene.recorded(&events).await?;
        stop(operator)?;
        scene.verify(&events).await?;
        let latencies = quantiles(&mut scene.latencies(&events, &received)?);
        ground.clear(&scene.namespace).await?;
        Ok((latencies, took.unwrap_or_default()))
    }

    /// Starts an operator that finds all as it left it. Returns how long it took until it was ready, and until the first
    /// request of an event that was created after it was started, and its memory in the end.
    async fn restart(&self, ground: &Ground<'_>, candidate: &Candidate) -> Result<(Duration, Duration, Footprint)> {
        let mut scene = Scene::new(ground, Load::new(1, 0, 4.0)).await?;
        stop(ground.start(candidate).await?)?;
        let started = Instant::now();
        let start = async {
            let operator = ground.start_again(candidate).await?;
            anyhow::Ok((operator, started.elapsed()))
        };
        let (operator, events) = tokio::join!(start, paced(&scene, async |_| Ok(scene.receiver.count() == 0)));
        let ((operator, ready), events) = (operator?, events?);
        scene.load.events = events.len();
        let received = scene.arrived().await?;
        scene.recorded(&events).await?;
        tokio::time::sleep(SETTLE).await;
        let footprint = Footprint::of(operator.pid())?;
        stop(operator)?;
        scene.verify(&events).await?;
        ground.clear(&scene.namespace).await?;
        let first = received.iter().map(|request| request.at).min().context("no request")?;
        Ok((ready, first.duration_since(started), footprint))
    }
}

/// An operator beside so much that is stored; and, for comparison, its latency beside a few new webhooks.
pub(crate) async fn stored(ground: &Ground<'_>, candidate: &Candidate, stored: &Stored) -> Result<Figures> {
    let few = Stored::new(ground, 10).await?;
    few.renew_webhooks(ground).await?;
    let (beside_few, _) = few.first_statuses(ground, candidate).await?;
    few.clear(ground).await?;
    stored.renew_webhooks(ground).await?;
    let (beside_all, took) = stored.first_statuses(ground, candidate).await?;
    let (ready, first, footprint) = stored.restart(ground, candidate).await?;
    Ok(vec![
        ("start → ready, s", format!("{:.2}", ready.as_secs_f64())),
        ("start → first delivery of an event created after it, s", format!("{:.2}", first.as_secs_f64())),
        ("memory, and the most it was, MiB", format!("{:.0}, {:.0}", footprint.resident, footprint.peak)),
        ("until all webhooks have their first status, s", format!("{:.1}", took.as_secs_f64())),
        ("meanwhile create call → request, p50 / p99 / max, ms", beside_all),
        ("the same with 10 webhooks stored beside it, ms", beside_few),
    ])
}
