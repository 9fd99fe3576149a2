//! Calls of the REST API, by the route that answered them. Nothing else of a call gets into a label: paths have tokens and names.

use std::{mem, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{describe, durations};

/// The code of calls that were not answered, since the client hung up: nginx's, which others have taken up.
pub(crate) const HUNG_UP: u16 = 499;

/// Counts them. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct RestMetrics {
    requests: Family<Call, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    route: Route,
    code: u16,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route {
    method: &'static str,
    /// The path with its parameters' names; `none` if there is no such path.
    path: MatchedOrNone,
}

/// The path of a route, which is shared by all its calls.
#[derive(Clone, Debug)]
struct MatchedOrNone(Option<MatchedPath>);

impl MatchedOrNone {
    /// Routes with a slash at the end and without are one.
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", |path| path.as_str().trim_end_matches('/'))
    }
}

impl PartialEq for MatchedOrNone {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MatchedOrNone {}

impl std::hash::Hash for MatchedOrNone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelSet for Route {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        ("method", self.method).encode(encoder.encode_label())?;
        ("route", self.path.as_str()).encode(encoder.encode_label())
    }
}

impl EncodeLabelSet for Call {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        self.route.encode(encoder)?;
        ("code", self.code).encode(encoder.encode_label())
    }
}

impl Default for RestMetrics {
    fn default() -> Self {
        Self { requests: Family::default(), seconds: Family::new_with_constructor(durations::of_a_call) }
    }
}

impl RestMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        describe(
            registry,
            "rest_requests",
            "Calls of the REST API and of the intake of alerts, by method, route and the code of the answer; 499 if the client hung up",
            self.requests.clone(),
        );
        describe(
            registry,
            "rest_request_duration_seconds",
            "How long these calls took until the answer began, by method and route",
            self.seconds.clone(),
        );
    }

    /// Counts a call that no route answered.
    #[cfg(test)]
    pub(crate) fn note_unmatched(&self) {
        self.note(Route { method: "GET", path: MatchedOrNone(None) }, 404, Instant::now());
    }

    /// Counts a call that was answered with 503 before it was looked at where it goes, since there was no room for it.
    pub(crate) fn note_refused(&self, of: &Method) {
        let route = Route { method: method(of), path: MatchedOrNone(None) };
        self.requests.get_or_create(&Call { route, code: StatusCode::SERVICE_UNAVAILABLE.as_u16() }).inc();
    }

    fn note(&self, route: Route, code: u16, began: Instant) {
        self.seconds.get_or_create(&route).observe(began.elapsed().as_secs_f64());
        self.requests.get_or_create(&Call { route, code }).inc();
    }
}

/// A call that is not answered yet. Dropped before that, it counts as one whose client hung up.
struct Unanswered {
    metrics: RestMetrics,
    route: Route,
    began: Instant,
    is_answered: bool,
}

impl Unanswered {
    fn answered(mut self, code: u16) {
        self.is_answered = true;
        let none = Route { method: self.route.method, path: MatchedOrNone(None) };
        self.metrics.note(mem::replace(&mut self.route, none), code, self.began);
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered {
            self.metrics.requests.get_or_create(&Call { route: self.route.clone(), code: HUNG_UP }).inc();
        }
    }
}

/// Counts a call.
pub(crate) async fn count(State(metrics): State<RestMetrics>, request: Request, next: Next) -> Response {
    let path = MatchedOrNone(request.extensions().get::<MatchedPath>().cloned());
    let route = Route { method: method(request.method()), path };
    let call = Unanswered { metrics, route, began: Instant::now(), is_answered: false };
    let response = next.run(request).await;
    call.answered(response.status().as_u16());
    response
}

/// The name of a method. Clients may make up others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::{future, pin::pin};

    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_call_counts_once_by_its_answer_or_as_one_whose_client_hung_up() {
        let metrics = RestMetrics::default();
        let router = Router::new()
            .route("/never", get(future::pending::<()>))
            .route("/now", get(|| async {}))
            .layer(middleware::from_fn_with_state(metrics.clone(), count));
        let call = |path: &str| router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
        call("/now").await.unwrap();
        call("/nowhere").await.unwrap();
        {
            let mut hung_up = pin!(call("/never"));
            assert!(futures::poll!(hung_up.as_mut()).is_pending());
        }
        metrics.note_refused(&Method::POST);

        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let text = crate::metrics::text::encode(&registry);
        let mut lines: Vec<&str> = text.lines().filter(|line| line.starts_with("rest_requests_total{")).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"rest_requests_total{method="GET",route="/never",code="499"} 1"#,
                r#"rest_requests_total{method="GET",route="/now",code="200"} 1"#,
                r#"rest_requests_total{method="GET",route="none",code="404"} 1"#,
                r#"rest_requests_total{method="POST",route="none",code="503"} 1"#,
            ]
        );
    }
}
