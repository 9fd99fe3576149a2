//! Whether objects are still as they are known here. Another replica may have written one, and the watch may tell that later than
//! the client comes that has had it written.
//!
//! ```text
//! call for one object ─► API server: its uid and version ─┬─► those that are known: what is at hand is answered
//!                                                         ├─► others, or none: the object is read, or is gone
//!                                                         └─► no answer: what is known has to do
//! ```

mod rounds;

use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use parking_lot::Mutex;

pub(crate) use self::rounds::Rounds;
use crate::kubernetes::{
    name::NamespacedName,
    objects::{ObjectState, Objects},
};

/// Bound on the wait for the API server's answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long after an answer that did not come nobody waits for another.
const SILENCE: Duration = Duration::from_secs(5);

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
    /// When an answer has last not come in time.
    silent: Mutex<Option<Instant>>,
}

impl Freshness {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, patience: PATIENCE, silent: Mutex::default() }
    }

    /// How an object stands to what is known of it, at some moment after this is called.
    pub(crate) async fn of<K>(&self, name: &NamespacedName, known: &ObjectState) -> Standing
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        if self.silent.lock().is_some_and(|silent| silent.elapsed() < SILENCE) {
            return Standing::Unknown;
        }
        let asked = self.objects.get_state::<K>(&name.namespace, &name.name);
        let Ok(answer) = tokio::time::timeout(self.patience, asked).await else {
            *self.silent.lock() = Some(Instant::now());
            return Standing::Unknown;
        };
        match answer {
            Ok(Some(found)) if found == *known => Standing::Unchanged,
            Ok(Some(_)) => Standing::Changed,
            Ok(None) => Standing::Gone,
            Err(_) => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::http::{Request, Response};
    use kube::{Client, api::ObjectMeta, client::Body};
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::resources::Webhook;

    /// What an API server answers for one object: code and body; None if nothing at all.
    type Answer = Option<(u16, serde_json::Value)>;

    /// What is asked by an API server that answers so, how often it is asked in two calls, and what comes of each.
    async fn asked_twice(answer: Answer) -> ([Standing; 2], usize) {
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
        let mut freshness = Freshness::new(Objects::new(Client::new(server, "team"), "test"));
        freshness.patience = Duration::from_millis(20);
        let known = ObjectState::in_metadata(&ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        });
        let name = NamespacedName::new("team", "one");
        let first = freshness.of::<Webhook>(&name, &known).await;
        ([first, freshness.of::<Webhook>(&name, &known).await], calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn an_object_stands_as_its_uid_and_version_say() {
        let found = |uid: &str, version: &str| {
            let metadata = json!({"namespace": "team", "name": "one", "uid": uid, "resourceVersion": version});
            Some((200, json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})))
        };
        let gone = |name: &str| {
            let details = json!({"name": name, "group": "oncall.dev", "kind": "webhooks"});
            Some((
                404,
                json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details}),
            ))
        };
        let failed = |code: u16| Some((code, json!({"kind": "Status", "status": "Failure", "code": code})));
        for (answer, expected) in [
            (found("u", "7"), Standing::Unchanged),
            (found("u", "8"), Standing::Changed),
            (found("other", "7"), Standing::Changed),
            (gone("one"), Standing::Gone),
            (gone(""), Standing::Unknown),
            (failed(403), Standing::Unknown),
        ] {
            assert_eq!(asked_twice(answer.clone()).await, ([expected; 2], 2), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_is_waited_for_once_in_a_while_and_not_by_each_call() {
        assert_eq!(asked_twice(None).await, ([Standing::Unknown; 2], 1));
    }
}
