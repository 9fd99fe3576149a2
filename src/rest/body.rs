//! Reads requests' bodies, within bounds on time and memory.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
};
use futures::StreamExt;

use super::{
    error::ApiError,
    permits::{Permit, Permits},
};

/// Bound on a request's body, in bytes. Kubernetes stores objects of hardly more.
const MAX_BODY: u32 = 1024 * 1024;
/// Bound on the time that a request's body takes to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Reads a body. The permit is for its memory: one for each KiB, to be kept as long as the body.
///
/// # Errors
/// The body is too long (413), does not come in time (408) or to its end (400); or too many calls do the same (503).
pub(crate) async fn read(memory: &Permits, namespace: &Arc<str>, body: Body) -> Result<(Vec<u8>, Permit), ApiError> {
    let length = announced_length(&body)?;
    let permit = memory.take(namespace, length.div_ceil(1024)).await?;
    let bytes = tokio::time::timeout(BODY_TIME, collect(body, length)).await.unwrap_or_else(|_| {
        let detail = format!("The request's body did not come within {} seconds.", BODY_TIME.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
    })?;
    Ok((bytes, permit))
}

/// The length that a body says it has, in bytes; the greatest if it does not say.
fn announced_length(body: &Body) -> Result<u32, ApiError> {
    let Some(length) = body.size_hint().exact() else { return Ok(MAX_BODY) };
    u32::try_from(length).ok().filter(|length| *length <= MAX_BODY).ok_or_else(too_large)
}

async fn collect(body: Body, length: u32) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    // Grown bit by bit, it would be twice as large.
    let mut bytes = Vec::with_capacity(length as usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "The request's body ended early."))?;
        if bytes.len() + chunk.len() > MAX_BODY as usize {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// How many values a text has at most, if it is JSON.
pub(crate) fn values_in(text: &[u8]) -> usize {
    let (mut values, mut is_in_string, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b',' | b'[' | b'{' if !is_in_string => values += 1,
            _ => {}
        }
    }
    values
}

fn too_large() -> ApiError {
    let detail = format!("The request's body is over {} MiB.", MAX_BODY / 1024 / 1024);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}
