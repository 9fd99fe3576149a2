//! Reads a request's body and checks its fields, within bounds on time and memory.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, StatusCode, header},
};
use futures::StreamExt;

use crate::{
    core::{
        charset,
        json::{self, Json},
    },
    rest::{
        error::ApiError,
        state::{ApiState, panicked},
        webhook::{Collection, ExistingWebhook, WebhookInput},
    },
};

/// Bound on a request's body, in bytes. Kubernetes stores objects of hardly more.
const MAX_BODY: u32 = 1024 * 1024;
/// Bound on the time that a request's body takes to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Reads a body, in the charset that its `Content-Type` names; one of no bytes is an empty object. Parsing it and trying its
/// templates out is work that must not hold up other calls.
///
/// # Errors
/// The body is too long, does not come in time, is not of a known charset, is not JSON or has wrong fields; or too many calls do the same.
pub(super) async fn read(
    api: &ApiState,
    namespace: &Arc<str>,
    headers: &HeaderMap,
    body: Body,
    collection: Collection,
    existing: Option<ExistingWebhook>,
) -> Result<WebhookInput, ApiError> {
    let length = announced_length(&body)?;
    let memory = api.bodies.take(namespace, length.div_ceil(1024)).await?;
    let bytes = tokio::time::timeout(BODY_TIME, collect(body, length)).await.unwrap_or_else(|_| {
        let detail = format!("The request's body did not come within {} seconds.", BODY_TIME.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
    })?;
    let content_type = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let charset = charset::named(content_type);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !bytes.is_empty() && !media_type.eq_ignore_ascii_case("application/json") {
        let detail = format!("Unsupported media type \"{content_type}\" in request.");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let permit = api.validations.take(namespace, 1).await?;
    let reading = api.rendering.try_run(namespace, move || {
        // Kept to the end of the work, also when the client does not wait for it.
        let _permit = permit;
        let body = parse(&bytes, charset.as_deref());
        drop((bytes, memory));
        let body =
            body.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("JSON parse error - {error}")))?;
        WebhookInput::read(&body, collection, existing)
    });
    reading.await.unwrap_or_else(|_| Err(panicked()))
}

/// Parses a body of this charset, as Django REST framework does; UTF-8 where none is named.
///
/// # Errors
/// The body is not JSON, or not of a charset that is known.
fn parse(body: &[u8], charset: Option<&str>) -> Result<Json, String> {
    match charset {
        _ if body.is_empty() => Ok(Json::object::<&str>([])),
        None => json::parse(body),
        Some(charset) => json::parse(&charset::to_utf8(body, charset)?),
    }
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

fn too_large() -> ApiError {
    let detail = format!("The request's body is over {} MiB.", MAX_BODY / 1024 / 1024);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        /// Where the cases come from, for who reads the file.
        #[serde(rename = "source")]
        _source: String,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        content_type: String,
        /// In base64.
        body: String,
        status: u16,
        answer: Value,
    }

    #[derive(Deserialize)]
    struct Difference {
        reason: String,
        detail: String,
    }

    #[test]
    fn bodies_of_every_charset_are_read_as_django_rest_framework_does_but_for_what_is_listed() {
        let recorded: Recorded =
            serde_json::from_str(include_str!("../../../tests/conformance/rest_bodies.json")).unwrap();
        let mut differences: BTreeMap<String, Difference> =
            serde_json::from_str(include_str!("../../../tests/conformance/rest_bodies.differences.json")).unwrap();
        let mut wrong = Vec::new();
        for Case { content_type, body, status, answer } in recorded.cases {
            let body = BASE64_STANDARD.decode(body).unwrap();
            let found = match parse(&body, charset::named(&content_type).as_deref()) {
                Ok(Json::Object(fields)) => match fields.get("username") {
                    Some(Json::Str(username)) => (200, json!({"username": username.trim()})),
                    other => panic!("{content_type}: {other:?}"),
                },
                Ok(other) => panic!("{content_type}: {other:?}"),
                Err(error) => (400, json!({"detail": format!("JSON parse error - {error}")})),
            };
            let same = found == (status, answer.clone());
            match differences.remove(&content_type) {
                None if !same => {
                    wrong.push(format!("{content_type}\n  expected {status} {answer}\n  found    {found:?}"));
                }
                Some(listed) if same => {
                    wrong.push(format!("{content_type}: the same, though listed: {}", listed.reason));
                }
                Some(listed) if found != (400, json!({"detail": listed.detail})) => {
                    wrong.push(format!("{content_type}\n  listed {}\n  found  {found:?}", listed.detail));
                }
                _ => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(differences.is_empty(), "listed, and no case: {:?}", differences.keys());
    }
}
