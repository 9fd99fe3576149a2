//! The tenant next door, who does the same all the time: an event that is to be delivered, or a call of the REST API. On a thread of
//! its own, so that what this program does meanwhile does not count.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use support::{Answer, Received, Receiver};
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};

use crate::{
    ground::{Hands, event, object},
    sockets::{self, NEIGHBOUR},
};

/// How often an event is created, and a call made: within the API's limit for a token.
const EVERY: Duration = Duration::from_millis(220);
/// How long is waited in the end for what has not come.
const PATIENCE: Duration = Duration::from_secs(12);
/// How many are under way at a time: more wait for them, and count as late as they then are.
const UNDER_WAY: usize = 200;

/// One delivery, or one call: when it was asked for, and how long it took. None if it never was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) at: Instant,
    pub(crate) took: Option<Duration>,
}

/// A neighbour at work.
pub(crate) struct Neighbour {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Turn>>>,
}

/// What it does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Events for a webhook in this namespace.
    Deliveries { kubeconfig: PathBuf, namespace: String },
    /// Calls with this token.
    Calls { api: SocketAddr, token: String },
}

impl Neighbour {
    /// Begins, when its webhook is there.
    pub(crate) fn start(work: Work) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, (ready, is_ready)) = (Arc::clone(&stop), mpsc::channel());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match work {
                    Work::Deliveries { kubeconfig, namespace } => {
                        deliveries(&kubeconfig, &namespace, &stopped, &ready).await
                    }
                    Work::Calls { api, token } => {
                        let _ = ready.send(());
                        calls(api, &token, &stopped).await
                    }
                }
            })
        });
        match is_ready.recv() {
            Ok(()) => Ok(Self { stop, thread }),
            Err(_) => Err(thread.join().map_or_else(
                |_| anyhow::anyhow!("the neighbour panicked"),
                |ended| ended.err().unwrap_or_else(|| anyhow::anyhow!("the neighbour ended")),
            )),
        }
    }

    /// Ends, when what is under way has come or is given up.
    pub(crate) fn stop(self) -> Result<Vec<Turn>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the neighbour panicked"))?
    }
}

fn number(request: &Received) -> Option<u64> {
    request.body.trim().parse().ok()
}

async fn deliveries(
    kubeconfig: &Path,
    namespace: &str,
    stop: &AtomicBool,
    ready: &mpsc::Sender<()>,
) -> Result<Vec<Turn>> {
    let hands = Hands::new(kubeconfig).await?;
    let receiver = Receiver::start(|_| Answer::new(200, r#"{"ok": true}"#)).await?;
    let spec = json!({
        "triggerType": "resolve", "url": receiver.url(), "data": "{{ alert_payload.number }}", "forwardAll": false,
    });
    hands.create(namespace, &object("Webhook", "neighbour", json!({ "spec": spec }))).await?;
    // The first event comes after the webhook, whatever the attacker does.
    ready.send(()).context("tell that it is ready")?;
    let (mut ticks, mut created, mut asked) = (tokio::time::interval(EVERY), JoinSet::new(), BTreeMap::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    for next in 0_u64.. {
        ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        asked.insert(next, Instant::now());
        let (hands, namespace, under_way) = (hands.clone(), namespace.to_owned(), Arc::clone(&under_way));
        created.spawn(async move {
            let _permit = under_way.acquire_owned().await;
            let event = event(&format!("event-{next}"), &format!("I{next}"), json!({ "number": next }));
            hands.create(&namespace, &event).await
        });
        while let Some(ended) = created.try_join_next() {
            ended.context("join a writer")??;
        }
    }
    let _ = tokio::time::timeout(PATIENCE, async {
        while created.join_next().await.is_some() {}
        let _ = receiver.wait_for(asked.len(), PATIENCE).await;
    })
    .await;
    let mut arrived: BTreeMap<u64, Instant> = BTreeMap::new();
    for request in receiver.received() {
        if let Some(number) = number(&request) {
            arrived.entry(number).or_insert(request.at);
        }
    }
    let turn = |(number, at): (&u64, &Instant)| Turn {
        at: *at,
        took: arrived.get(number).map(|arrived| arrived.saturating_duration_since(*at)),
    };
    Ok(asked.iter().map(turn).collect())
}

async fn calls(api: SocketAddr, token: &str, stop: &AtomicBool) -> Result<Vec<Turn>> {
    let request = sockets::request("GET", "/api/v1/webhooks/", token, None);
    let (mut ticks, mut calls, mut turns) = (tokio::time::interval(EVERY), JoinSet::new(), Vec::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let request = request.clone();
        calls.spawn(async move {
            let at = Instant::now();
            let answer = sockets::call(NEIGHBOUR, api, &request).await;
            Turn { at, took: answer.is_ok_and(|(status, _)| status == 200).then(|| at.elapsed()) }
        });
        while let Some(turn) = calls.try_join_next() {
            turns.push(turn.context("join a caller")?);
        }
    }
    while let Some(turn) = calls.join_next().await {
        turns.push(turn.context("join a caller")?);
    }
    Ok(turns)
}
