//! `/livez` and `/readyz`: the answers to Kubernetes' liveness and readiness probes, for the controller and the REST API.
//!
//! ```text
//! runtime of the process ──beats──► Pulse ──┐
//!                                           ├─► /livez, /readyz ◄── thread and runtime of the health port ◄── kubelet
//! caches ──────────set───────────► Ready ───┘   others (/metrics), on threads that may wait
//! ```
//! The health port has a thread of its own: whatever the process works on, the kubelet has its answer at once. A process that is
//! busy is not to be killed, since what it is busy with is there again after that. One whose runtime has run nothing for a whole
//! minute is beyond being busy, and `/livez` says so.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use kube::Client;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::{Semaphore, oneshot},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::readers::{Asking, only_for_readers};
use crate::server::{Bounds, Limits, Server};

/// Bound on the connections of the health port. The kubelet and Prometheus have one each at a time.
const CONNECTIONS: usize = 64;
/// Bound on the memory for what they send, in bytes.
const MEMORY: usize = 16 * 1024 * 1024;
/// How often the runtime shows that it runs.
const BEAT: Duration = Duration::from_secs(1);
/// How long it may show nothing before it counts as dead.
const STUCK: Duration = Duration::from_secs(60);
/// Bound on an answer that may have to wait for the process.
const ASIDE: Duration = Duration::from_secs(5);

/// Whether the caches are filled, so that the process can do its work; and what the cluster lacks for a part of that.
#[derive(Clone, Default)]
pub(crate) struct Ready {
    is_set: Arc<AtomicBool>,
    lacking: Arc<Mutex<Option<Arc<str>>>>,
}

impl Ready {
    /// From now on the readiness probe succeeds.
    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// Has the readiness probe say what is lacking: a sentence. That makes it no failure.
    pub(crate) fn lacks(&self, what: Option<&str>) {
        *self.lacking.lock() = what.map(Arc::from);
    }

    /// What is lacking.
    pub(crate) fn lacking(&self) -> Option<Arc<str>> {
        self.lacking.lock().clone()
    }
}

/// When the runtime of the process has last run something.
#[derive(Clone, Debug)]
struct Pulse {
    start: Instant,
    /// Milliseconds from `start` to the last beat.
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// Beats now.
    fn new(start: Instant) -> Self {
        Self { start, last: Arc::default() }
    }

    fn beat(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.start).as_millis();
        self.last.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago it has beaten, if that is too long ago.
    fn stuck_for(&self, now: Instant) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let since = now.saturating_duration_since(self.start).saturating_sub(last);
        (since >= STUCK).then_some(since)
    }

    /// Beats as long as the runtime that this runs on runs.
    async fn keep(self) {
        loop {
            self.beat(Instant::now());
            sleep(BEAT).await;
        }
    }
}

/// The health port, which is served until this is dropped.
#[derive(Debug)]
pub(crate) struct Health {
    ended: oneshot::Receiver<Result<()>>,
    heart: AbortHandle,
    _stop: DropGuard,
}

impl Health {
    /// Answers the probes and the routes of `others` at `address`, from a thread of their own. `/livez` watches over the
    /// runtime that calls this. With a client of the API server, which is of that runtime too, `others` are for those alone whom RBAC
    /// lets read them.
    ///
    /// # Errors
    /// The address can't be taken, or there is no thread to be had.
    pub(crate) async fn serve(
        address: SocketAddr,
        ready: Ready,
        others: Router,
        readers: Option<Client>,
    ) -> Result<Self> {
        let pulse = Pulse::new(Instant::now());
        let heart = tokio::spawn(pulse.clone().keep()).abort_handle();
        let (stop, (end, ended)) = (CancellationToken::new(), oneshot::channel());
        let (bound, is_bound) = oneshot::channel();
        let stopped = stop.clone().cancelled_owned();
        let readers = readers.map(|client| (client, Handle::current()));
        let work = move || {
            // Nobody listens any more where the process stops.
            let _ = end.send(run(address, router(ready, pulse, others, readers), stopped, bound));
        };
        thread::Builder::new().name("health".to_owned()).spawn(work).context("start the thread of the health port")?;
        let health = Self { ended, heart, _stop: stop.drop_guard() };
        match is_bound.await {
            Ok(address) => {
                tracing::info!(%address, "the health port listens");
                Ok(health)
            }
            Err(_) => {
                health.ended().await?;
                Err(anyhow!("listen on health address {address}: it ended at once"))
            }
        }
    }

    /// Resolves when the port is served no more: why.
    ///
    /// # Errors
    /// It is not served any more.
    pub(crate) async fn ended(mut self) -> Result<()> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(anyhow!("the thread of the health port has panicked")))
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

/// Serves on a runtime of this thread's own until `stop` resolves. `bound` is told the address.
fn run(
    address: SocketAddr,
    router: Router,
    stop: impl Future<Output = ()>,
    bound: oneshot::Sender<SocketAddr>,
) -> Result<()> {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(1).build().context("start the health port")?;
    let served = runtime.block_on(async {
        let listener = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            std::io::Result::Ok((listener, address))
        };
        let (listener, address) = listener.await.with_context(|| format!("listen on health address {address}"))?;
        // Whoever called has gone where it is not heard.
        let _ = bound.send(address);
        let bounds = Bounds::within(MEMORY, CONNECTIONS, Vec::new());
        Server::plain(listener, "health", bounds, Limits::health()).serve(router, stop).await
    });
    // An answer that waits for the process is not waited for.
    runtime.shutdown_background();
    served
}

/// The routes of the health port.
fn router(ready: Ready, pulse: Pulse, others: Router, readers: Option<Asking>) -> Router {
    let aside = middleware::from_fn_with_state(Arc::new(Semaphore::new(1)), aside);
    // There is nothing to be made aside where there are no others.
    let others = if others.has_routes() { others.route_layer(aside) } else { others };
    // Before their turn: whoever may not read them takes it from nobody.
    let others = match readers {
        Some(asking) if others.has_routes() => only_for_readers(others, asking),
        _ => others,
    };
    Router::new().route("/livez", get(livez)).with_state(pulse).merge(readiness(ready)).merge(others)
}

/// Both probes, for the port that is served by the process' own runtime: an answer shows that it runs.
pub(crate) fn routes(ready: Ready) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).merge(readiness(ready))
}

fn readiness(ready: Ready) -> Router {
    Router::new().route("/readyz", get(readyz)).with_state(ready)
}

async fn livez(State(pulse): State<Pulse>) -> Response {
    match pulse.stuck_for(Instant::now()) {
        None => "ok\n".into_response(),
        Some(since) => {
            let text = format!("the process has done nothing for {} s\n", since.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn readyz(State(ready): State<Ready>) -> (StatusCode, String) {
    let (status, text) = if ready.is_set() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not filled yet")
    };
    let lacking = ready.lacking().map(|lacking| format!("{lacking}\n")).unwrap_or_default();
    (status, format!("{text}\n{lacking}"))
}

/// Makes an answer that may wait for a lock of the process on another thread, one at a time, so that no probe waits for it.
async fn aside(State(turn): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let answer = async {
        let turn = turn.acquire_owned().await.ok()?;
        let here = Handle::current();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            here.block_on(next.run(request))
        });
        answer.await.ok()
    };
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "the process is busy: try again\n").into_response();
    timeout(ASIDE, answer).await.ok().flatten().unwrap_or_else(busy)
}

#[cfg(test)]
mod tests;
