//! Calls of the REST API, by the route that answered them. Nothing else of a call gets into a label: paths have tokens and names.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{describe, durations};

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
            "Calls of the REST API and of the intake of alerts, by method, route and the code of the answer",
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

    fn note(&self, route: Route, code: u16, began: Instant) {
        self.seconds.get_or_create(&route).observe(began.elapsed().as_secs_f64());
        self.requests.get_or_create(&Call { route, code }).inc();
    }
}

/// Counts a call.
pub(crate) async fn count(State(metrics): State<RestMetrics>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = MatchedOrNone(request.extensions().get::<MatchedPath>().cloned());
    let route = Route { method: method(request.method()), path };
    let response = next.run(request).await;
    metrics.note(route, response.status().as_u16(), began);
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
