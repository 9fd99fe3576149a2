//! The metrics of a process, as Prometheus reads them at `/metrics`.
//!
//! ```text
//! Exposition ─┬─► /metrics                 Prometheus' text format, made at each scrape
//!             └─► Registry ◄─┬─ ProcessMetrics     both: calls of the API server, watches, reconciliations, the process
//!                            ├─ LostSpans          both, where they are traced
//!                            ├─ DeliveryMetrics    operator: what became of deliveries, by webhook
//!                            ├─ RestMetrics        API: calls by route
//!                            └─ IntakeMetrics      API: what became of alerts
//! ```
//! Whoever counts something has a handle of its family, as it has its other parts. Gauges of what there is at a time are read from
//! the parts that know it when they are asked for (`controller/metrics.rs`). docs/metrics.md names them all.
//!
//! - `labels`: whose series they are, as finely as the operator was told
//! - `live`: series that vanish with what they tell of
//! - `text`: the format

mod api_server;
mod attempt_code;
mod deliveries;
mod durations;
mod intake;
mod labels;
mod live;
mod lost_spans;
mod process;
mod reconciles;
mod rest;
mod text;
mod watches;

use std::sync::Arc;

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, family::Family, gauge::ConstGauge},
    registry::{Metric, Registry},
};

pub use self::attempt_code::AttemptCode;
pub(crate) use self::{
    api_server::ApiServerMetrics,
    deliveries::{DeliveryMetrics, WebhookSeries},
    intake::{IntakeMetrics, IntakeOutcome},
    labels::{NO_LABELS, Owner, encode_family},
    lost_spans::LostSpans,
    reconciles::ReconcileMetrics,
    rest::{HUNG_UP, RestMetrics, count},
    watches::{WatchMetrics, WatchSeries},
};

/// What the names of all metrics begin with, but for those of the process, which have the same names everywhere.
const PREFIX: &str = "oncall_webhooks";

/// What both processes count.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessMetrics {
    pub(crate) api_server: ApiServerMetrics,
    pub(crate) watches: WatchMetrics,
    pub(crate) reconciles: ReconcileMetrics,
}

/// All that one process shows.
#[derive(Debug)]
pub(crate) struct Exposition(Registry);

impl Exposition {
    /// Shows what both processes have.
    pub(crate) fn new(metrics: &ProcessMetrics) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::begin()));
        let mut exposition = Self(registry);
        let ours = exposition.ours();
        let version = Family::<[(&str, &str); 1], ConstGauge<i64>, _>::new_with_constructor(|| ConstGauge::new(1));
        drop(version.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]));
        ours.register("build_info", "The version of the program; always 1", version);
        metrics.api_server.register(ours);
        metrics.watches.register(ours);
        metrics.reconciles.register(ours);
        LostSpans::register(ours);
        exposition
    }

    /// Where metrics with our prefix are registered.
    pub(crate) fn ours(&mut self) -> &mut Registry {
        self.0.sub_registry_with_prefix(PREFIX)
    }

    /// The route.
    pub(crate) fn routes(self) -> Router {
        let registry = Arc::new(self);
        Router::new()
            .route("/metrics", get(async move || ([(CONTENT_TYPE, text::FORMAT)], registry.text()).into_response()))
    }

    /// All metrics as text.
    pub(crate) fn text(&self) -> String {
        text::encode(&self.0)
    }
}

/// A family that is described also while it has no series: whoever looks for its name finds it.
#[derive(Debug)]
struct Described<M>(M);

impl<M: TypedMetric> TypedMetric for Described<M> {
    const TYPE: MetricType = M::TYPE;
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Described<M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// Registers a family, which is described also while it has no series.
fn describe<M: Metric + TypedMetric>(registry: &mut Registry, name: &str, help: &str, family: M) {
    registry.register(name, help, Described(family));
}
