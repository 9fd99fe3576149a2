//! Calls of the Kubernetes API, as the client makes them.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use http::{Method, Request, Response, Uri};
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tower::{Layer, Service};

use super::{describe, durations};

/// Counts calls of the API server. Clones count together. As a layer it does so for all calls of a client.
#[derive(Clone, Debug)]
pub(crate) struct ApiServerMetrics {
    requests: Family<Call, Counter>,
    seconds: Family<Verb, Histogram, fn() -> Histogram>,
}

/// The label of a verb.
type Verb = [(&'static str, &'static str); 1];

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    verb: &'static str,
    /// None if no answer came.
    code: Option<u16>,
}

impl EncodeLabelSet for Call {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        ("verb", self.verb).encode(encoder.encode_label())?;
        match self.code {
            Some(code) => ("code", code).encode(encoder.encode_label()),
            None => ("code", "none").encode(encoder.encode_label()),
        }
    }
}

impl Default for ApiServerMetrics {
    fn default() -> Self {
        Self { requests: Family::default(), seconds: Family::new_with_constructor(durations::of_a_call) }
    }
}

impl ApiServerMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        describe(
            registry,
            "api_server_requests",
            "Calls of the Kubernetes API, by verb and the code of the answer; none if there was no answer",
            self.requests.clone(),
        );
        describe(
            registry,
            "api_server_request_duration_seconds",
            "How long calls of the Kubernetes API took until the answer began, by verb",
            self.seconds.clone(),
        );
    }

    /// Counts a call that is over. `code` is None if no answer came.
    pub(crate) fn note(&self, verb: &'static str, code: Option<u16>, began: Instant) {
        self.requests.get_or_create(&Call { verb, code }).inc();
        self.seconds.get_or_create(&[("verb", verb)]).observe(began.elapsed().as_secs_f64());
    }
}

impl<S> Layer<S> for ApiServerMetrics {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, metrics: self.clone() }
    }
}

/// A client whose calls are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    metrics: ApiServerMetrics,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verb = verb(request.method(), request.uri());
        let under_way = UnderWay { metrics: self.metrics.clone(), verb, began: Instant::now(), code: None };
        let call = self.inner.call(request);
        Box::pin(async move {
            let result = call.await;
            under_way.answered(result.as_ref().ok().map(|answer| answer.status().as_u16()));
            result
        })
    }
}

/// A call that counts when this is dropped: also where whoever made it waits no longer, as when the API server is away.
struct UnderWay {
    metrics: ApiServerMetrics,
    verb: &'static str,
    began: Instant,
    /// None if no answer has come.
    code: Option<u16>,
}

impl UnderWay {
    fn answered(mut self, code: Option<u16>) {
        self.code = code;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.metrics.note(self.verb, self.code, self.began);
    }
}

/// The verb of a call, as Kubernetes names it in RBAC and in its audit log.
fn verb(method: &Method, uri: &Uri) -> &'static str {
    match *method {
        Method::GET | Method::HEAD if is_watch(uri) => "watch",
        Method::GET | Method::HEAD if is_collection(uri.path()) => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_collection(uri.path()) => "deletecollection",
        Method::DELETE => "delete",
        _ => "other",
    }
}

fn is_watch(uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    pairs.any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

/// Whether a path is that of all objects of a kind: `/apis/GROUP/VERSION/[namespaces/NAMESPACE/]KINDS`.
fn is_collection(path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    let before_kind = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return false,
    };
    let parts: Vec<&str> = parts.skip(before_kind).collect();
    matches!(*parts, [_] | ["namespaces", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_longer_counts_as_one_without_an_answer() {
        let metrics = ApiServerMetrics::default();
        let answers = |request: Request<bool>| async move {
            if *request.body() {
                Ok::<_, std::convert::Infallible>(Response::new(()))
            } else {
                std::future::pending().await
            }
        };
        let mut service = metrics.layer(tower::service_fn(answers));
        let counts = || [Some(200), None].map(|code| metrics.requests.get_or_create(&Call { verb: "get", code }).get());
        let waited_for = service.call(Request::new(false));
        assert_eq!(counts(), [0, 0]);
        drop(waited_for);
        assert_eq!(counts(), [0, 1]);
        service.call(Request::new(true)).await.unwrap();
        assert_eq!(counts(), [1, 1]);
    }

    #[test]
    fn a_call_has_the_verb_that_rbac_has_for_it() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/secrets?labelSelector=a%3Db", "list"),
            ("GET", "/api/v1/namespaces/n/secrets", "list"),
            ("GET", "/api/v1/namespaces/n/secrets/s", "get"),
            ("GET", "/api/v1/namespaces/n", "get"),
            ("GET", "/api/v1/namespaces", "list"),
            ("GET", "/apis/oncall.dev/v1alpha1/webhooks?&watch=true&timeoutSeconds=290", "watch"),
            ("GET", "/apis/oncall.dev/v1alpha1/webhooks?labelSelector=watch%3Dtrue", "list"),
            ("GET", "/apis/oncall.dev/v1alpha1/namespaces/n/webhooks/w", "get"),
            ("POST", "/apis/oncall.dev/v1alpha1/namespaces/n/alertgroupevents?", "create"),
            ("PATCH", "/apis/oncall.dev/v1alpha1/namespaces/n/webhooks/w/status?", "patch"),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "update"),
            ("DELETE", "/apis/oncall.dev/v1alpha1/namespaces/n/webhooks/w", "delete"),
            ("DELETE", "/apis/oncall.dev/v1alpha1/namespaces/n/webhooks", "deletecollection"),
            ("GET", "/version", "get"),
            ("OPTIONS", "/api", "other"),
        ] {
            assert_eq!(verb(&method.parse().unwrap(), &uri.parse().unwrap()), expected, "{method} {uri}");
        }
    }
}
