//! `/metrics`: what is on the way, in Prometheus' text format.

use std::{fmt, sync::Arc};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use parking_lot::RwLock;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::gauge::ConstGauge,
    registry::Registry,
};

use super::{deliveries::Deliveries, journal::Journal};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of this process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<RwLock<Option<Shown>>>);

/// The parts of a process that works.
type Shown = (Arc<Deliveries>, Arc<Journal>);

impl Metrics {
    /// Shows what this process does, from the time on that it works.
    pub(crate) fn show(&self, deliveries: &Arc<Deliveries>, journal: &Arc<Journal>) {
        *self.0.write() = Some((Arc::clone(deliveries), Arc::clone(journal)));
    }

    /// The route.
    pub(crate) fn routes(&self) -> Router {
        let mut registry = Registry::with_prefix("oncall_webhooks");
        registry.register_collector(Box::new(self.clone()));
        let registry = Arc::new(registry);
        Router::new().route(
            "/metrics",
            get(async move || {
                let mut text = String::new();
                // Nothing can go wrong with a String.
                let _ = text::encode(&mut text, &registry);
                ([(CONTENT_TYPE, FORMAT)], text).into_response()
            }),
        )
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.0.read().clone();
        let load = shown.as_ref().map(|(deliveries, _)| deliveries.load()).unwrap_or_default();
        let journal = shown.as_ref().map(|(_, journal)| journal.load()).unwrap_or_default();
        let gauges = [
            ("working", "Whether this replica works: 1, or 0 while it stands by", usize::from(shown.is_some())),
            ("deliveries_in_flight", "Deliveries that are sent and not yet recorded", load.in_flight),
            ("deliveries_in_flight_limit", "The bound on these, at which sending waits", load.limit),
            (
                "sending_waits",
                "Whether something would be sent but for what is in flight already: 1 or 0",
                usize::from(load.blocked),
            ),
            (
                "records_pending",
                "Records that are in the journal, and not in their WebhookResponses yet",
                journal.records,
            ),
            ("records_pending_bytes", "Memory of these: an estimate", journal.bytes),
            ("journal_segments", "DeliveryJournals that are known, and not deleted yet", journal.segments),
            (
                "deliveries_waiting",
                "Deliveries that wait: for their turn, their next attempt, or their webhook",
                load.waiting,
            ),
            (
                "endpoints_failing",
                "Webhooks whose endpoint fails, and is tried with one delivery at a time",
                load.failing,
            ),
            ("waiting_bytes", "Memory of the events and deliveries that wait: an estimate", load.held_bytes),
            ("waiting_bytes_limit", "The bound on that, of which each namespace has a share", load.held_limit),
            ("in_flight_bytes", "Memory of the deliveries in flight: an estimate", load.in_flight_bytes),
            ("in_flight_bytes_limit", "The bound on that, of which each namespace has a share", load.in_flight_limit),
            (
                "namespaces_backlogged",
                "Namespaces whose new events wait in the API server since their shares of memory are used up",
                load.backlog.namespaces,
            ),
            (
                "webhooks_backlogged",
                "Webhooks of which deliveries wait in the API server since their shares of memory are used up",
                load.backlog.webhooks,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
