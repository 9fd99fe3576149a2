//! The span of an alert that comes in: from when its Integration is known until it is answered.

use axum::http::request::Parts;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;

use super::{
    propagation::{TRACEPARENT, context_of, text_of},
    tracer,
};
use crate::core::name::NamespacedName;

/// The span of an alert that comes in; nothing, where nothing is traced. It ends when it is dropped, at the latest.
pub(crate) struct IntakeSpan(Option<Context>);

impl IntakeSpan {
    /// Begins it: in the sender's trace, if the request names one, or in a new one. `route` is the address without what may be a token.
    pub(crate) fn begin(request: &Parts, route: Option<&str>, integration: &NamespacedName) -> Self {
        Self(tracer().map(|tracer| begin(tracer, request, route, integration)))
    }

    /// What the events that are made of the alert are annotated with.
    pub(crate) fn traceparent(&self) -> Option<String> {
        text_of(self.0.as_ref()?)
    }

    /// Ends it with the status of the answer, and what it came to in one word.
    pub(crate) fn end(self, status: u16, outcome: &'static str) {
        let Some(context) = self.0 else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(status)));
        span.set_attribute(KeyValue::new("oncall.outcome", outcome));
        // What the sender has done wrong is no error of this side.
        if status >= 500 {
            span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, status.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

fn begin(tracer: &SdkTracer, request: &Parts, route: Option<&str>, integration: &NamespacedName) -> Context {
    let parent = context_of(request.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()));
    let span = tracer.span_builder("intake").with_kind(SpanKind::Server);
    let begun = parent.with_span(tracer.build_with_context(span, &parent));
    if begun.span().is_recording() {
        begun.span().set_attributes([
            KeyValue::new(attribute::HTTP_REQUEST_METHOD, request.method.to_string()),
            KeyValue::new("oncall.namespace", integration.namespace.to_string()),
            KeyValue::new("oncall.integration", integration.name.to_string()),
        ]);
        let route = route.map(|route| KeyValue::new(attribute::HTTP_ROUTE, route.to_owned()));
        begun.span().set_attributes(route);
    }
    begun
}

#[cfg(test)]
mod tests;
