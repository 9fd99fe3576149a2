//! Traces, for whoever has a collector: what came of an alert, over both processes, as OpenTelemetry has it.
//!
//! ```text
//! api        intake ──(annotation oncall.dev/traceparent)──┐
//! operator                                        event ◄──┘
//!                                                   └─► attempt ──(header traceparent)──► receiver
//!
//! a span that ends ─► bounded queue ─► exporter, on a thread of its own ─► collector (OTLP over HTTP)
//! ```
//! Without an endpoint in the environment there is no tracer, and nothing is made, kept or sent. Spans are made here and not of those
//! of the logs: an event's begins in one place and ends in another, and the filter of the logs is not to say what is traced.
//!
//! - `settings`: what the environment asks for
//! - `queue`: how many spans wait
//! - `exporter`: how spans get to the collector
//! - `propagation`: a context as text, and back
//! - `intake`, `events`: the spans

mod events;
mod exporter;
mod intake;
mod propagation;
mod queue;
mod settings;
#[cfg(test)]
mod testing;

use std::{env, future::Future, sync::OnceLock, time::Duration};

use opentelemetry::{InstrumentationScope, Key, trace::TracerProvider};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use opentelemetry_semantic_conventions::attribute;

pub(crate) use self::{events::EventSpans, intake::IntakeSpan};
use self::{
    queue::{Bounded, Room},
    settings::{Sending, Settings},
};
use crate::metrics::LostSpans;

/// The name of this program, of which the spans are, and where its services' names begin.
const NAME: &str = env!("CARGO_PKG_NAME");
/// Bound on how long a stopping process sends what is left.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Set once, when the process begins; none where nothing is traced.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// What makes spans; None where nothing is traced.
fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// Does a process's work, with traces of it if the environment asks for them: `OTEL_EXPORTER_OTLP_ENDPOINT` names the collector.
/// `process` tells this one from others, such as `api`. To be called once, within tokio and after rustls has its provider.
pub async fn traced<T>(process: &str, work: impl Future<Output = T>) -> T {
    let Some(provider) = provider(process) else { return work.await };
    let scope = InstrumentationScope::builder(NAME).with_version(env!("CARGO_PKG_VERSION")).build();
    // This is the one place that sets it.
    let _ = TRACER.set(provider.tracer_with_scope(scope));
    tracing::info!("traces are on: spans are sent to the collector");
    let result = work.await;
    // It blocks until the thread of the exporter has ended.
    let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS)).await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::warn!("stopped before the last spans were sent to the collector; they are lost");
    }
    result
}

/// What gathers spans and sends them. A setting that can't be used is logged, and nothing is traced: deliveries are worth more.
fn provider(process: &str) -> Option<SdkTracerProvider> {
    let sending = match Settings::of(|name| env::var(name).ok()) {
        Settings::Off => return None,
        Settings::Unusable { variable, why } => {
            tracing::error!(variable, why, "this variable can't be used; nothing is traced");
            return None;
        }
        Settings::On(sending) => sending,
    };
    let processor = processor(&sending)
        .inspect_err(|error| tracing::error!(error, "failed to set up what sends spans; nothing is traced"))
        .ok()?;
    Some(SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource(process)).build())
}

/// What takes spans that have ended to the collector.
fn processor(sending: &Sending) -> Result<Bounded<BatchSpanProcessor>, String> {
    let room = Room::new(sending.queue);
    let exporter = exporter::exporter(sending, room.clone(), LostSpans::NotTaken.counter())?;
    let config = BatchConfigBuilder::default().with_max_queue_size(sending.queue).build();
    let queue = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Ok(Bounded { queue, room, left_out: LostSpans::QueueFull.counter() })
}

/// What the environment says of this process, with a name for it where that has none.
fn resource(process: &str) -> Resource {
    let stated = Resource::builder().build();
    let name = stated.get(&Key::from_static_str(attribute::SERVICE_NAME)).map(|name| name.to_string());
    let resource = match name {
        Some(name) if !name.starts_with("unknown_service") => Resource::builder(),
        _ => Resource::builder().with_service_name(format!("{NAME}-{process}")),
    };
    resource.build()
}
