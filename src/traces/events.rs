//! The spans of the operator: of an event, from when it is worked for until its last delivery has ended, and of each attempt of these.

use std::convert::Infallible;

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_semantic_conventions::attribute;
use quick_cache::sync::Cache;
use url::Url;

use super::{
    propagation::{TRACEPARENT, context_of, sampled_trace, text_of},
    tracer,
};
use crate::{
    core::{
        delivery::{Delivery, EventKey},
        intake::AlertAction,
        request::{Header, PreparedRequest},
        response::{Outcome, is_secret_host},
    },
    metrics::AttemptCode,
    resources::{AlertGroupEvent, TRACEPARENT_ANNOTATION},
};

/// Of how many events the spans are kept that have not ended. Of those above, what was used longest ago ends early, and what is sent for
/// it later is not traced.
const MOST_EVENTS: usize = 10_000;

/// The spans of events that have not ended; nothing, where nothing is traced.
pub(crate) struct EventSpans(Option<Traced>);

struct Traced {
    tracer: SdkTracer,
    /// By the uid of the event.
    events: Cache<String, Context>,
}

impl EventSpans {
    /// Those of this process.
    pub(crate) fn new() -> Self {
        Self::of(tracer().cloned())
    }

    fn of(tracer: Option<SdkTracer>) -> Self {
        Self(tracer.map(|tracer| Traced { tracer, events: Cache::new(MOST_EVENTS) }))
    }

    /// Begins the span of an event, unless it has one: in the trace that its annotation names, or in a new one. A heartbeat has none:
    /// there are many, and nothing comes of them.
    pub(crate) fn begin(&self, key: &EventKey, event: &AlertGroupEvent) {
        let Some(Traced { tracer, events }) = &self.0 else { return };
        if event.spec.alert.as_ref().is_some_and(|alert| alert.action == AlertAction::Heartbeat) {
            return;
        }
        let begin = || Ok::<_, Infallible>(begin_event(tracer, key, event));
        let Ok(_) = events.get_or_insert_with(&key.uid, begin);
    }

    /// The id of an event's trace, if it has one that is sampled.
    pub(crate) fn trace_id(&self, event: &EventKey) -> Option<String> {
        sampled_trace(&self.0.as_ref()?.events.get(&event.uid)?)
    }

    /// Begins the span of an attempt, and has the receiver told of it, unless the webhook states a header of that name itself. None where
    /// nothing is traced.
    pub(crate) fn begin_attempt(&self, delivery: &Delivery, request: &mut PreparedRequest) -> Option<AttemptSpan> {
        let Traced { tracer, events } = self.0.as_ref()?;
        let event = events.get(&delivery.event.uid)?;
        let span = tracer.span_builder("attempt").with_kind(SpanKind::Client);
        let attempt = event.with_span(tracer.build_with_context(span, &event));
        if attempt.span().is_recording() {
            attempt.span().set_attributes(of_delivery(delivery).into_iter().chain(of_request(request)));
        }
        let headers = &mut request.first.headers;
        let is_stated = headers.iter().any(|header| header.name.eq_ignore_ascii_case(TRACEPARENT));
        if let Some(text) = text_of(&attempt).filter(|_| !is_stated) {
            headers.push(Header { name: TRACEPARENT.to_owned(), value: text.into_bytes(), secret: false });
        }
        Some(AttemptSpan(attempt))
    }

    /// Ends the span of an event.
    pub(crate) fn end(&self, event: &EventKey) {
        if let Some(Traced { events, .. }) = &self.0
            && let Some((_, span)) = events.remove(&event.uid)
        {
            span.span().end();
        }
    }

    /// Ends the spans of all events, since this process does: another one goes on with them. What is still sent for them here belongs
    /// to them all the same.
    pub(crate) fn end_all(&self) {
        if let Some(Traced { events, .. }) = &self.0 {
            events.iter().for_each(|(_, event)| event.span().end());
        }
    }
}

/// The span of an attempt. It ends when it is dropped, at the latest.
pub(crate) struct AttemptSpan(Context);

impl AttemptSpan {
    /// Ends it where nothing was sent, since another process leads or this one stops.
    pub(crate) fn not_sent(self) {
        self.0.span().set_status(Status::error("not sent: this process does not lead any more"));
        self.0.span().end();
    }

    /// Ends it with what came of the attempt. Returns the id of its trace, if that is sampled.
    pub(crate) fn end(self, outcome: &Outcome, code: AttemptCode) -> Option<String> {
        let span = self.0.span();
        if let Outcome::Answer { status, .. } = outcome {
            span.set_attribute(KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, i64::from(*status)));
        }
        let error = match outcome {
            Outcome::Answer { status, .. } => (*status >= 400).then(|| status.to_string()),
            _ => Some(code.as_str().to_owned()),
        };
        if let Some(error) = error {
            span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error));
            span.set_status(Status::error(""));
        }
        span.end();
        sampled_trace(&self.0)
    }
}

fn begin_event(tracer: &SdkTracer, key: &EventKey, event: &AlertGroupEvent) -> Context {
    let annotations = event.metadata.annotations.as_ref();
    let traceparent = annotations.and_then(|all| all.get(TRACEPARENT_ANNOTATION));
    let parent = context_of(traceparent.map(String::as_str));
    let span = tracer.span_builder("event").with_kind(SpanKind::Consumer);
    let begun = parent.with_span(tracer.build_with_context(span, &parent));
    if begun.span().is_recording() {
        let integration = event.spec.alert.as_ref().map(|alert| alert.integration_ref.name.clone());
        let alert_group = event.spec.alert_group.as_ref().map(|group| group.id.clone());
        let integration = integration.map(|name| KeyValue::new("oncall.integration", name));
        let alert_group = alert_group.map(|id| KeyValue::new("oncall.alert_group.id", id));
        let named = [
            KeyValue::new("oncall.namespace", key.namespace.to_string()),
            KeyValue::new("oncall.event", key.name.clone()),
        ];
        begun.span().set_attributes(named.into_iter().chain(integration).chain(alert_group));
    }
    begun
}

/// What an attempt is of.
fn of_delivery(delivery: &Delivery) -> Vec<KeyValue> {
    let attempt = i64::from(delivery.history.count) + 1;
    let mut attributes = vec![
        KeyValue::new("oncall.namespace", delivery.event.namespace.to_string()),
        KeyValue::new("oncall.webhook", delivery.webhook.to_string()),
        KeyValue::new("oncall.event", delivery.event.name.clone()),
        KeyValue::new("oncall.alert_group.id", delivery.facts.alert_group_id.to_string()),
        KeyValue::new("oncall.attempt", attempt),
    ];
    if attempt > 1 {
        attributes.push(KeyValue::new(attribute::HTTP_REQUEST_RESEND_COUNT, attempt - 1));
    }
    attributes
}

/// What is sent and where, without what may be secret: the URL has tokens in its path as a rule, and a host may be one.
fn of_request(request: &PreparedRequest) -> Vec<KeyValue> {
    let (method, url) = (request.first.method, &request.first.url);
    let mut attributes = vec![
        KeyValue::new(attribute::HTTP_REQUEST_METHOD, method.as_str()),
        KeyValue::new(attribute::URL_SCHEME, url.scheme()),
    ];
    if !is_secret_host(url.host(), &request.secrets) {
        let host = url.host().trim_matches(['[', ']']).to_owned();
        attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, host));
        let port = Url::parse(&url.origin()).ok().and_then(|url| url.port_or_known_default());
        attributes.extend(port.map(|port| KeyValue::new(attribute::SERVER_PORT, i64::from(port))));
    }
    attributes
}

#[cfg(test)]
mod tests;
