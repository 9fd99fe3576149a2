//! An answer in; its outcome out, with the body decoded and cut at the limit.

use std::{num::NonZero, sync::Arc, thread};

use jiff::Timestamp;
use reqwest::{
    Response,
    header::{self, HeaderValue},
};
use tokio::sync::Semaphore;

use super::{errors::ExchangeError, explain::explain_body};
use crate::core::{
    response::{CONTENT_LIMIT, Outcome, READ_LIMIT, decode},
    retry,
};

/// Bodies that are longer, in bytes, are decoded on a thread of their own, where they hold up nobody else.
pub(super) const QUICK: usize = 50_000;

/// Decodes bodies: at most one long body for each core at a time.
#[derive(Clone)]
pub(super) struct Decoders(Arc<Semaphore>);

impl Decoders {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(cores)))
    }

    /// Undoes the encodings of a body, as `Content-Encoding` lists them.
    async fn decode(&self, encodings: String, body: Vec<u8>) -> Result<Vec<u8>, String> {
        if encodings.is_empty() || (body.len() <= QUICK && !encodings.contains(',')) {
            return decode(&encodings, body);
        }
        // The semaphore is never closed. The permit ends with the work, not with the wait for it.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let decoded = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            decode(&encodings, body)
        });
        decoded.await.unwrap_or_else(|_| Err("The answer could not be decoded".to_owned()))
    }
}

/// Reads the whole answer of `host`. A body that is announced as too long is not read.
///
/// # Errors
/// The connection broke, or the body can't be decoded.
pub(super) async fn read(mut answer: Response, host: &str, decoders: &Decoders) -> Result<Outcome, ExchangeError> {
    let text = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let status = answer.status().as_u16();
    let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
    let retry_after = text(header::RETRY_AFTER).and_then(|text| retry::retry_after(text, Timestamp::now()));
    let encodings: Vec<&str> =
        answer.headers().get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let encodings = encodings.join(",");
    let announced =
        text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()).filter(|_| encodings.is_empty());
    if announced.is_some_and(|length: u64| length > CONTENT_LIMIT as u64) {
        return Ok(Outcome::Answer { status, body: Vec::new(), announced, content_type, retry_after });
    }
    let body = collect(&mut answer).await.map_err(|error| explain_body(&error, host))?;
    let body = decoders.decode(encodings, body).await.map_err(ExchangeError::UnusableResponse)?;
    Ok(Outcome::Answer { status, body, announced, content_type, retry_after })
}

/// Reads the rest of an answer that nobody needs, within the limit, so that its connection can be used again.
pub(super) async fn discard(mut answer: Response) {
    // A connection that breaks is not used again anyway.
    let _ = collect(&mut answer).await;
}

/// The body as it came; reading ends soon after the limit.
async fn collect(answer: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > READ_LIMIT {
            break;
        }
    }
    Ok(bytes)
}
