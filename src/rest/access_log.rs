//! The access log: one line for each call, whether it reached a handler or not.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::{auth::Caller, shown_path::shown_path};
use crate::{metrics::HUNG_UP, server::Peer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The first 20 characters of a method: a client may make up any.
pub(crate) fn short_method(method: &Method) -> &str {
    let name = method.as_str();
    // ASCII, as methods are.
    name.get(..20).unwrap_or(name)
}

/// Who made the call; an extension of its answer, for the access log.
#[derive(Clone)]
pub(crate) struct CalledBy(pub(crate) Caller);

/// Writes one line for each call, with the id that the answer has too.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let mut line = Line {
        began: Instant::now(),
        id: request_id(&request),
        method: request.method().clone(),
        path: shown_path(request.uri().path()),
        peer: request.extensions().get::<Peer>().map(|peer| peer.address.ip().to_string()),
        status: HUNG_UP,
        caller: None,
    };
    let span = tracing::info_span!("call", request_id = line.id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span).await;
    line.status = response.status().as_u16();
    line.caller = response.extensions_mut().remove::<CalledBy>().map(|CalledBy(caller)| caller);
    response.headers_mut().insert(REQUEST_ID, line.id.clone());
    response
}

/// The line of a call, which is written when this is dropped: with the answer, or when the client has hung up.
struct Line {
    began: Instant,
    id: HeaderValue,
    method: Method,
    path: String,
    peer: Option<String>,
    status: u16,
    caller: Option<Caller>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let caller = self.caller.as_ref();
        // Outside of the span, whose JSON would be parsed again for each line.
        tracing::info!(
            request_id = self.id.to_str().unwrap_or_default(),
            method = short_method(&self.method),
            path = self.path,
            status = self.status,
            milliseconds = self.began.elapsed().as_secs_f64() * 1000.0,
            namespace = caller.map(|caller| &*caller.namespace),
            caller = caller.map(|caller| caller.name.as_str()),
            peer = self.peer,
            "call"
        );
    }
}

/// The id that a proxy has given the call, or a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
    let given = request.headers().get(REQUEST_ID);
    let given = given.filter(|id| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_plain));
    given.cloned().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        // Without randomness calls have the same id, which harms nobody.
        let _ = getrandom::fill(&mut bytes);
        HeaderValue::from_str(&format!("{:016x}", u64::from_be_bytes(bytes))).unwrap_or(HeaderValue::from_static("-"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_cut_after_twenty_characters() {
        let long = "M".repeat(21);
        for (method, expected) in [("GET", "GET"), (&long[..20], &long[..20]), (&long, &long[..20])] {
            assert_eq!(short_method(&Method::from_bytes(method.as_bytes()).unwrap()), expected);
        }
    }
}
