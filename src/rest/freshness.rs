//! Whether objects are still as they are known here. Another replica may have written one, and the watch may tell that later than
//! the client comes that has had it written.
//!
//! ```text
//! call for one object ─► API server: its uid and version ─┬─► those that are known: what is at hand is answered
//!                                                         ├─► others, or none: the object is read, or is gone
//!                                                         └─► no answer: what is known has to do
//! ```
//! A call waits for all that it asks the API server [`PATIENCE`] at most. After nothing has come in that time, nobody waits for a
//! while.

mod rounds;

use std::{
    error::Error,
    future::Future,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use parking_lot::Mutex;

pub(crate) use self::rounds::Rounds;
use super::error::ApiError;
use crate::{
    errors::error_chain,
    kubernetes::{
        name::NamespacedName,
        objects::{ObjectState, Objects},
    },
};

/// Bound on the wait for what the API server answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after an answer that did not come nobody waits for another.
const SILENCE: Duration = Duration::from_secs(5);
/// How many of these reads are under way at a time.
const READS: usize = 32;

/// What the API server says of an object that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Unchanged,
    /// It has changed, or is another object of the same name.
    Changed,
    Gone,
    /// The API server does not say.
    Unknown,
}

/// Asks the API server whether objects have changed.
pub(crate) struct Freshness {
    objects: Objects,
    patience: Duration,
    heard: Mutex<Heard>,
}

/// What was heard of the API server.
#[derive(Default)]
struct Heard {
    /// When it has last answered.
    last: Option<Instant>,
    /// When it was last waited for in vain, if no answer has come since.
    silent: Option<Instant>,
}

impl Freshness {
    /// Reads that others make hold up none of these: they do not share the bound on those that are under way.
    pub(crate) fn new(objects: &Objects) -> Self {
        Self { objects: objects.clone().reading(READS), patience: PATIENCE, heard: Mutex::default() }
    }

    /// The same with another bound on a wait.
    #[cfg(test)]
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The calls of the API server for what [`Freshness::in_time`] waits for. Tell of their answers with [`Freshness::answer`].
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// What comes of `asking`; None if that takes too long, or nothing came of others a moment ago.
    pub(crate) async fn in_time<T>(&self, asking: impl Future<Output = T>) -> Option<T> {
        if self.is_silent() {
            return None;
        }
        let began = Instant::now();
        let answer = tokio::time::timeout(self.patience, asking).await.ok();
        if answer.is_none() {
            self.waited_in_vain(began);
        }
        answer
    }

    /// Whether the API server has just been waited for in vain.
    pub(crate) fn is_silent(&self) -> bool {
        self.heard.lock().silent.is_some_and(|since| since.elapsed() < SILENCE)
    }

    /// Waits for a call of the API server, and notes that it has answered.
    pub(crate) async fn answer<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let answer = call.await;
        let mut heard = self.heard.lock();
        heard.last = Some(Instant::now());
        if answer.is_ok() && heard.silent.take().is_some() {
            tracing::info!("the API server answers again; calls are answered with what it says");
        }
        answer
    }

    /// Takes in that something did not come in time that was asked for then. Much may have been asked for: where other answers
    /// have come since, the API server is not silent.
    fn waited_in_vain(&self, began: Instant) {
        let mut heard = self.heard.lock();
        if heard.last.is_none_or(|last| last < began) && heard.silent.replace(Instant::now()).is_none() {
            tracing::warn!(
                "the API server does not answer within {:?}; calls are answered with what is known here, and with 503 where nothing is",
                self.patience
            );
        }
    }

    /// How an object stands to what is known of it, at some moment after this is called.
    pub(crate) async fn of<K>(&self, name: &NamespacedName, known: &ObjectState) -> Standing
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self.answer(self.objects.get_state::<K>(&name.namespace, &name.name)).await {
            Ok(Some(found)) if found == *known => Standing::Unchanged,
            Ok(Some(_)) => Standing::Changed,
            Ok(None) => Standing::Gone,
            Err(_) => Standing::Unknown,
        }
    }
}

/// The answer to a call for something that is not known here, while the API server does not say whether it is there.
pub(crate) fn away() -> ApiError {
    let detail = "The Kubernetes API can't be asked at the moment: try again.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
}

/// The same, where it refuses to `list` some of a namespace.
pub(crate) fn refused(namespace: &str, list: &str, error: &dyn Error) -> ApiError {
    tracing::warn!(
        namespace,
        error = error_chain(error),
        "failed to {list} for calls about one that is not known here; they were answered with 503"
    );
    away()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::http::{Request, Response};
    use futures::FutureExt;
    use kube::{Client, api::ObjectMeta, client::Body};
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::resources::{AlertGroup, Webhook};

    /// What an API server answers for one object: code and body; None if nothing at all.
    type Answer = Option<(u16, serde_json::Value)>;

    fn known() -> ObjectState {
        ObjectState::in_metadata(&ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        })
    }

    fn found(uid: &str, version: &str) -> (u16, serde_json::Value) {
        let metadata = json!({"namespace": "team", "name": "one", "uid": uid, "resourceVersion": version});
        (200, json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}))
    }

    /// What comes of two questions to an API server that answers so, and how often it is asked.
    async fn asked_twice(answer: Answer) -> ([Option<Standing>; 2], usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let server = service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(request.headers()["accept"].to_str().unwrap().contains("as=PartialObjectMetadata;"));
            let answer = answer.clone();
            async move {
                let Some((code, body)) = answer else { return std::future::pending().await };
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, BoxError>(Response::builder().status(code).body(body)?)
            }
        });
        let objects = Objects::new(Client::new(server, "team"), "test");
        let freshness = Freshness::new(&objects).with_patience(Duration::from_millis(20));
        let (name, known) = (NamespacedName::new("team", "one"), known());
        let ask = async || freshness.in_time(freshness.of::<Webhook>(&name, &known)).await;
        ([ask().await, ask().await], calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn an_object_stands_as_its_uid_and_version_say() {
        let gone = |name: &str| {
            let details = json!({"name": name, "group": "oncall.dev", "kind": "webhooks"});
            Some((
                404,
                json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details}),
            ))
        };
        let failed = |code: u16| Some((code, json!({"kind": "Status", "status": "Failure", "code": code})));
        for (answer, expected) in [
            (Some(found("u", "7")), Standing::Unchanged),
            (Some(found("u", "8")), Standing::Changed),
            (Some(found("other", "7")), Standing::Changed),
            (gone("one"), Standing::Gone),
            (gone(""), Standing::Unknown),
            (failed(403), Standing::Unknown),
        ] {
            assert_eq!(asked_twice(answer.clone()).await, ([Some(expected); 2], 2), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_is_waited_for_once_in_a_while_and_not_by_each_call() {
        assert_eq!(asked_twice(None).await, ([None; 2], 1));
    }

    #[tokio::test]
    async fn an_api_server_that_answers_others_is_slow_and_not_silent() {
        let objects = Objects::new(Client::new(service_fn(|_| pending()), "team"), "test");
        let freshness = Freshness::new(&objects).with_patience(Duration::from_millis(20));
        let much = async {
            freshness.answer(async { Err::<(), _>("not found") }).await.unwrap_err();
            std::future::pending::<()>().await;
        };
        assert_eq!((freshness.in_time(much).await, freshness.is_silent()), (None, false));
        assert_eq!((freshness.in_time(std::future::pending::<()>()).await, freshness.is_silent()), (None, true));
        freshness.answer(async { Err::<(), _>("connection refused") }).await.unwrap_err();
        assert!(freshness.is_silent());
        freshness.answer(async { Ok::<_, ()>(()) }).await.unwrap();
        assert!(!freshness.is_silent());
    }

    #[tokio::test]
    async fn reads_of_others_that_wait_hold_up_no_question() {
        let server = service_fn(|request: Request<Body>| async move {
            if request.uri().path().contains("/alertgroups/") {
                return pending().await;
            }
            let (code, body) = found("u", "7");
            Ok(Response::builder().status(code).body(Body::from(body.to_string().into_bytes()))?)
        });
        let objects = Objects::new(Client::new(server, "team"), "test").reading(1);
        let mut other = Box::pin(objects.get::<AlertGroup>("team", "slow"));
        assert!(other.as_mut().now_or_never().is_none());
        let (freshness, name, known) = (Freshness::new(&objects), NamespacedName::new("team", "one"), known());
        assert_eq!(freshness.in_time(freshness.of::<Webhook>(&name, &known)).await, Some(Standing::Unchanged));
    }

    async fn pending() -> Result<Response<Body>, BoxError> {
        std::future::pending().await
    }
}
