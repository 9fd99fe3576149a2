//! A trace's context as text, as W3C Trace Context has it, and back.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header that has it.
pub(super) const TRACEPARENT: &str = "traceparent";

/// What this text is, in place of a header.
struct Text<'a>(&'a str);

impl Extractor for Text<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// The context that a text has; an empty one if it has none, or is not what it should be.
pub(super) fn context_of(text: Option<&str>) -> Context {
    let empty = Context::new();
    match text {
        Some(text) => TraceContextPropagator::new().extract_with_context(&empty, &Text(text)),
        None => empty,
    }
}

/// The text of a context, such as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`; None of an empty one.
pub(super) fn text_of(context: &Context) -> Option<String> {
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut headers);
    headers.remove(TRACEPARENT)
}

/// The id of the trace that a context is of, if it is sampled: otherwise there is nothing to be found by it.
pub(super) fn sampled_trace(context: &Context) -> Option<String> {
    let span = context.span();
    let context = span.span_context();
    (context.is_valid() && context.is_sampled()).then(|| context.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_as_it_was_written_and_what_is_none_is_ignored() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sampled = format!("00-{trace}-b7ad6b7169203331-01");
        let dropped = format!("00-{trace}-b7ad6b7169203331-00");
        let cases = [
            (Some(sampled.as_str()), Some(sampled.as_str()), Some(trace)),
            (Some(dropped.as_str()), Some(dropped.as_str()), None),
            // A later version may say more.
            (Some(&*format!("01-{trace}-b7ad6b7169203331-01-more")), Some(sampled.as_str()), Some(trace)),
            (None, None, None),
            (Some(""), None, None),
            (Some("nonsense"), None, None),
            (Some(&*format!("00-{trace}-b7ad6b7169203331-01-more")), None, None),
            (Some(&*format!("ff-{trace}-b7ad6b7169203331-01")), None, None),
            (Some(&*format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase())), None, None),
            (Some(&*format!("00-{}-b7ad6b7169203331-01", "0".repeat(32))), None, None),
            (Some(&*format!("00-{trace}-{}-01", "0".repeat(16))), None, None),
            (Some(&*format!("00-{trace}-b7ad6b7169203331-0\u{e9}")), None, None),
        ];
        for (text, expected, trace) in cases {
            let context = context_of(text);
            assert_eq!(text_of(&context).as_deref(), expected, "{text:?}");
            assert_eq!(sampled_trace(&context).as_deref(), trace, "{text:?}");
        }
    }
}
