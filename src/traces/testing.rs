//! A tracer whose spans tests look at.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use parking_lot::Mutex;

/// The spans that have ended, in that order.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

impl Ended {
    /// The name of each, its trace, and its parent.
    pub(super) fn tree(&self) -> Vec<(String, String, Option<String>)> {
        let parent = |id: SpanId| (id != SpanId::INVALID).then(|| id.to_string());
        let row = |span: &SpanData| {
            (span.name.to_string(), span.span_context.trace_id().to_string(), parent(span.parent_span_id))
        };
        self.0.lock().iter().map(row).collect()
    }

    /// The attributes of the last one.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let spans = self.0.lock();
        let last = spans.last().into_iter().flat_map(|span| &span.attributes);
        last.map(|attribute| (attribute.key.to_string(), attribute.value.to_string())).collect()
    }

    /// How the last one went, as the SDK writes it.
    pub(super) fn status(&self) -> String {
        format!("{:?}", self.0.lock().last().map(|span| &span.status))
    }
}

/// A tracer, and the spans of it that have ended.
pub(super) fn mk_tracer(sampler: Sampler) -> (SdkTracer, Ended) {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(ended.clone()).build();
    (provider.tracer("test"), ended)
}
