//! How many spans wait for the exporter.
//!
//! ```text
//! a span that ends ─► Bounded ─┬─► the SDK's queue ─► exporter ─► Room::give_back
//!                              └─► there is no room: it is left out, and counted
//! ```
//! The SDK's queue has the same bound, and does not tell how many it has left out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use prometheus_client::metrics::counter::Counter;

/// Room for spans that wait. Clones are the same room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl Room {
    /// For so many.
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: Arc::default(), most }
    }

    /// Takes the place of one, if there is any.
    fn take(&self) -> bool {
        let more = |waiting| (waiting < self.most).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back the places of spans that do not wait any more.
    pub(super) fn give_back(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// A queue that is given no more than there is room for.
#[derive(Debug)]
pub(super) struct Bounded<Q> {
    pub(super) queue: Q,
    pub(super) room: Room,
    /// Counts those for which there was none.
    pub(super) left_out: Counter,
}

impl<Q: SpanProcessor> SpanProcessor for Bounded<Q> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.room.take() {
            self.queue.on_end(span);
        } else if self.left_out.inc() == 0 {
            tracing::warn!(
                most = self.room.most,
                "as many spans wait for the collector as may (OTEL_BSP_MAX_QUEUE_SIZE); those above are lost, and counted in \
                 oncall_webhooks_spans_lost_total"
            );
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{SdkTracerProvider, SimpleSpanProcessor};

    use super::*;
    use crate::traces::testing::Ended;

    #[test]
    fn spans_above_those_that_may_wait_are_left_out_and_counted() {
        let (room, left_out, ended) = (Room::new(2), Counter::default(), Ended::default());
        let queue = SimpleSpanProcessor::new(ended.clone());
        let bounded = Bounded { queue, room: room.clone(), left_out: left_out.clone() };
        let provider = SdkTracerProvider::builder().with_span_processor(bounded).build();
        let tracer = provider.tracer("test");
        let ends = |names: [&'static str; 2]| {
            names.into_iter().for_each(|name| drop(tracer.start(name)));
            let kept: Vec<String> = ended.tree().into_iter().map(|(name, ..)| name).collect();
            (kept.join(" "), left_out.get())
        };
        assert_eq!(ends(["a", "b"]), ("a b".to_owned(), 0));
        assert_eq!(ends(["c", "d"]), ("a b".to_owned(), 2));
        room.give_back(1);
        assert_eq!(ends(["e", "f"]), ("a b e".to_owned(), 3));
    }
}
