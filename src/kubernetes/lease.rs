//! Leader election: of several replicas, the one that holds a Lease works.
//!
//! As in client-go: a holder writes the Lease again and again; others take it when it has not changed for as long as it
//! lasts, by their own clocks. Beyond that, a holder knows until when nobody else can have it ([`Leadership::is_held`]):
//! counted from before its last write was sent, on a clock that goes on while the process is stopped.

use std::{pin::pin, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::backoff::WatchBackoff;
use crate::errors::error_chain;

/// A process that is to hold a Lease, and how.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Namespace of the Lease.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Who is to hold it. A process that begins with the name of one that ended takes over at once.
    pub(crate) identity: String,
    /// How long the Lease lasts after it was written, in whole seconds.
    pub(crate) duration: Duration,
}

impl Candidate {
    /// The Lease, as it stands in logs.
    fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// How long a holder that can't write the Lease goes on. The rest of the time until another one takes it covers
    /// differences between clocks, and requests that leave late.
    fn certain(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// How often the Lease is written.
    fn period(&self) -> Duration {
        self.duration / 6
    }
}

/// Tells whether this process leads: whether the Lease that it took is its own still.
#[derive(Clone)]
pub(crate) struct Leadership {
    /// Until when nobody else can hold the Lease.
    until: watch::Receiver<Instant>,
}

impl Leadership {
    /// Leads for ever, for an operator that runs alone.
    pub(crate) fn unopposed() -> Self {
        // As far away as tokio's timers reach.
        let (_, until) = watch::channel(Instant::now() + Duration::from_secs(86_400 * 365 * 30));
        Self { until }
    }

    /// Whether it is certain that nobody else holds it.
    pub(crate) fn is_held(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }

    /// Waits until that is certain.
    pub(crate) async fn held(&self) {
        let mut until = self.until.clone();
        while !self.is_held() {
            // Its renewer ends with the process.
            if until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The Lease is not held any more. Names its holder now.
#[derive(Debug, thiserror::Error)]
#[error(
    "Lease {namespace}/{name} was deleted, or taken by {holder:?}: another replica works now, or this one when it is started again"
)]
pub(crate) struct LeaseLost {
    namespace: String,
    name: String,
    holder: String,
}

/// Bound on one call.
const CALL: Duration = Duration::from_secs(5);
/// How long to wait after a call that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes a Lease that was taken again and again, so that this process keeps it.
pub(crate) struct LeaseRenewer {
    candidate: Candidate,
    api: Api<Lease>,
    /// The Lease as it was last written.
    object: Mutex<Lease>,
    until: watch::Sender<Instant>,
}

/// Waits until this process holds the Lease.
pub(crate) async fn acquire(client: Client, candidate: Candidate) -> (LeaseRenewer, Leadership) {
    let api: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    let mut changes = pin!(watch_object(api.clone(), &candidate.name).backoff(WatchBackoff::default()));
    // The Lease that another process holds, or that nobody does, and when to try to take it.
    let mut expiring: Option<(Option<Lease>, Instant)> = None;
    let mut logged_holder = None;
    loop {
        let expiry = expiring.as_ref().map_or_else(Instant::now, |(_, at)| *at);
        let free = tokio::select! {
            change = changes.next() => match change {
                Some(Ok(found)) => match found.map(|found| (holder(&found).to_owned(), found)) {
                    Some((holder, found)) if !holder.is_empty() && holder != candidate.identity => {
                        if logged_holder.as_ref() != Some(&holder) {
                            tracing::info!(holder, "another replica leads; standing by");
                            logged_holder = Some(holder);
                        }
                        let at = Instant::now() + lasts(&found);
                        expiring = Some((Some(found), at));
                        continue;
                    }
                    free => free.map(|(_, found)| found),
                },
                Some(Err(error)) => {
                    tracing::warn!(
                        error = error_chain(&error),
                        lease = candidate.lease(),
                        "the watch of the Lease failed; it begins again by itself"
                    );
                    continue;
                }
                // A watch has no end.
                None => std::future::pending().await,
            },
            () = sleep_until(expiry), if expiring.is_some() => expiring.take().and_then(|(object, _)| object),
        };
        let before = Instant::now();
        match write(&api, &candidate, free.as_ref(), None).await {
            Ok(object) => {
                let (until, lease) = watch::channel(before + candidate.certain());
                return (
                    LeaseRenewer { candidate, api, object: Mutex::new(object), until },
                    Leadership { until: lease },
                );
            }
            Err(error) => {
                // As a rule another process was faster, and the watch shows what there is now. Otherwise this is tried again.
                tracing::info!(
                    error = error_chain(&error),
                    lease = candidate.lease(),
                    "failed to take the Lease: as a rule another replica was faster"
                );
                expiring = Some((free, Instant::now() + candidate.period()));
            }
        }
    }
}

impl LeaseRenewer {
    /// Renews the Lease until somebody else has it. Nothing more is sent then.
    pub(crate) async fn renew(&self) -> LeaseLost {
        let mut pause = self.candidate.period();
        loop {
            sleep(pause).await;
            let before = Instant::now();
            let object = self.object.lock().clone();
            match write(&self.api, &self.candidate, Some(&object), acquired(&object)).await {
                Ok(object) => {
                    if !self.is_held() {
                        tracing::info!("the Lease is renewed; sending goes on");
                    }
                    *self.object.lock() = object;
                    self.until.send_replace(before + self.candidate.certain());
                    pause = self.candidate.period();
                }
                Err(error) => {
                    let (error, lease) = (error_chain(&error), self.candidate.lease());
                    if self.is_held() {
                        tracing::warn!(error, lease, "failed to renew the Lease; trying again");
                    } else {
                        tracing::warn!(error, lease, "failed to renew the Lease; nothing is sent until that succeeds");
                    }
                    if let Some(lost) = self.look().await {
                        self.end();
                        return lost;
                    }
                    pause = PAUSE.min(self.candidate.period());
                }
            }
        }
    }

    /// Gives the Lease back, so that another replica need not wait. Nothing more is sent.
    pub(crate) async fn release(&self) {
        self.end();
        for _ in 0..2 {
            let mut object = self.object.lock().clone();
            if let Some(spec) = &mut object.spec {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            let params = PostParams::default();
            match timeout(CALL, self.api.replace(&self.candidate.name, &params, &object)).await {
                Ok(Ok(_)) => return tracing::info!("gave the Lease up for another replica"),
                Ok(Err(error)) => tracing::info!(
                    error = error_chain(&error),
                    "failed to give the Lease up; another replica waits until it has run out"
                ),
                Err(_) => {
                    tracing::info!(
                        "failed to give the Lease up: no answer; another replica waits until it has run out"
                    );
                }
            }
            if self.look().await.is_some() {
                return;
            }
        }
    }

    fn is_held(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }

    fn end(&self) {
        self.until.send_replace(Instant::now());
    }

    /// Reads who has the Lease; None if it still is this process, or that can't be read.
    async fn look(&self) -> Option<LeaseLost> {
        let Ok(Ok(found)) = timeout(CALL, self.api.get_opt(&self.candidate.name)).await else { return None };
        let holder = found.as_ref().map(holder).unwrap_or_default().to_owned();
        if let Some(found) = found {
            let mut object = self.object.lock();
            // Another Lease of the same name may have been created since.
            if holder == self.candidate.identity && acquired(&found) == acquired(&object) {
                *object = found;
                return None;
            }
        }
        let Candidate { namespace, name, .. } = self.candidate.clone();
        Some(LeaseLost { namespace, name, holder })
    }
}

fn holder(object: &Lease) -> &str {
    object.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

fn acquired(object: &Lease) -> Option<MicroTime> {
    object.spec.as_ref().and_then(|spec| spec.acquire_time.clone())
}

/// How long a Lease lasts after it was written, as its holder says.
fn lasts(object: &Lease) -> Duration {
    let seconds = object.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    Duration::from_secs(seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or(1))
}

/// Writes the Lease with this process as its holder: creates it, or replaces `old` if that is still what is there.
/// `acquired` is when it was taken, if that is not now.
async fn write(
    api: &Api<Lease>,
    candidate: &Candidate,
    old: Option<&Lease>,
    acquired: Option<MicroTime>,
) -> Result<Lease, WriteError> {
    let spec = old.and_then(|old| old.spec.clone()).unwrap_or_default();
    let now = Some(MicroTime(Timestamp::now()));
    let stays = spec.holder_identity.as_ref() == Some(&candidate.identity);
    let object = Lease {
        metadata: old.map_or_else(
            || ObjectMeta { name: Some(candidate.name.clone()), ..ObjectMeta::default() },
            |old| old.metadata.clone(),
        ),
        spec: Some(LeaseSpec {
            holder_identity: Some(candidate.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(candidate.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: acquired.or_else(|| now.clone()),
            renew_time: now,
            lease_transitions: Some(spec.lease_transitions.unwrap_or_default() + i32::from(!stays)),
            ..LeaseSpec::default()
        }),
    };
    let params = PostParams::default();
    let written = match old {
        Some(old) => timeout(CALL, api.replace(&old.name_any(), &params, &object)).await,
        None => timeout(CALL, api.create(&params, &object)).await,
    };
    written.map_err(|_| WriteError::Timeout)?.map_err(WriteError::Refused)
}

/// Why a Lease could not be written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("no answer within {} s", CALL.as_secs())]
    Timeout,
    #[error(transparent)]
    Refused(kube::Error),
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http::{Request, Response};
    use kube::client::Body;
    use tower::{BoxError, service_fn};

    use super::*;

    /// A Lease that is held for long and written often, on an API server that answers all calls with this code, or never.
    fn held(answer: Option<u16>) -> (LeaseRenewer, Leadership) {
        let server = service_fn(move |_: Request<Body>| async move {
            let Some(code) = answer else { return std::future::pending().await };
            let status = serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "reason": "NotFound", "message": ""});
            let response = Response::builder().status(code).body(Body::from(status.to_string().into_bytes()));
            response.map_err(BoxError::from)
        });
        let (until, lease) = watch::channel(Instant::now() + Duration::from_secs(60));
        let candidate = Candidate {
            namespace: "team".to_owned(),
            name: "operator".to_owned(),
            identity: "one".to_owned(),
            duration: Duration::from_millis(60),
        };
        let metadata = ObjectMeta { name: Some("operator".to_owned()), ..ObjectMeta::default() };
        let object = Mutex::new(Lease { metadata, spec: Some(LeaseSpec::default()) });
        let api = Api::namespaced(Client::new(server, "team"), "team");
        (LeaseRenewer { candidate, api, object, until }, Leadership { until: lease })
    }

    #[tokio::test]
    async fn a_replica_that_gives_the_lease_back_sends_nothing_more_even_before_that_is_written() {
        let (renewer, lease) = held(None);
        assert!(lease.is_held());
        assert_eq!(renewer.release().now_or_never(), None);
        assert!(!lease.is_held());
    }

    #[tokio::test]
    async fn a_replica_that_has_lost_the_lease_sends_nothing_more_though_it_would_have_lasted() {
        let (renewer, lease) = held(Some(404));
        assert!(lease.is_held());
        assert_eq!(renewer.renew().await.name, "operator");
        assert!(!lease.is_held());
    }
}
