//! A request of the core in, one that the HTTP client sends out.

use std::sync::Arc;

use hyper::body::Bytes;
use jiff::Timestamp;
use reqwest::{
    Method, Request,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use super::errors::ExchangeError;
use crate::{
    core::{request::HttpRequest, signing},
    metrics::AttemptCode,
};

const USER_AGENT: &str = concat!("oncall-webhooks/", env!("CARGO_PKG_VERSION"));

const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The URL of a request. Two spellings change in it: an apostrophe in a query becomes `%27`, and `%2e` in a path a dot.
///
/// # Errors
/// The host has characters that no name has; no name server is to be asked for it.
pub(super) fn url(hop: &HttpRequest) -> Result<Url, ExchangeError> {
    let text = format!("{}://{}{}", hop.url.scheme(), hop.url.authority(), hop.url.target());
    Url::parse(&text).map_err(|_| ExchangeError::InvalidHost)
}

/// The whole request to `url`, with `id` as its `webhook-id`.
///
/// # Errors
/// The method is none.
pub(super) fn message(hop: &HttpRequest, url: Url, id: &str) -> Result<Request, ExchangeError> {
    let method = Method::from_bytes(hop.method.as_str().as_bytes());
    let method = method.map_err(|error| ExchangeError::Failed(AttemptCode::Other, error.to_string()))?;
    let mut message = Request::new(method, url);
    *message.headers_mut() = headers(hop, id);
    // Methods that have a body say so even where it is empty.
    *message.body_mut() = hop.body.as_ref().map(|body| Bytes::from_owner(Arc::<[u8]>::from(Arc::clone(body))).into());
    Ok(message)
}

/// The headers. The core has checked that they are legal. The headers that mark the delivery come last and win.
fn headers(hop: &HttpRequest, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
    let legal = hop.headers.iter().filter_map(|header| {
        Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(&header.value).ok()?))
    });
    for (name, mut value) in legal {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("webhook-id", id);
    }
    let timestamp = Timestamp::now().as_second();
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
    headers.remove(SIGNATURE);
    if !hop.signing.is_empty() {
        let signature = signing::signature(&hop.signing, id, timestamp, hop.body.as_deref().unwrap_or_default());
        headers.extend(HeaderValue::from_str(&signature).ok().map(|value| (SIGNATURE, value)));
    }
    headers
}
