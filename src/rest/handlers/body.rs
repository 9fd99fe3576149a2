//! Reads a request's body and checks its fields, within bounds on time and memory.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};

use crate::{
    core::{
        charset,
        json::{self, Json},
    },
    rest::{
        body,
        error::ApiError,
        state::{ApiState, panicked},
        webhook::{Collection, ExistingWebhook, WebhookInput},
    },
};

/// Reads a body of JSON with the fields of a webhook, whose templates are tried out.
///
/// # Errors
/// As [`read_json`]; or fields are wrong.
pub(super) async fn read(
    api: &ApiState,
    namespace: &Arc<str>,
    headers: &HeaderMap,
    body: Body,
    collection: Collection,
    existing: Option<ExistingWebhook>,
) -> Result<WebhookInput, ApiError> {
    read_json(api, namespace, headers, body, move |body| WebhookInput::read(&body, collection, existing)).await
}

/// Reads a body, in the charset that its `Content-Type` names; one of no bytes is an empty object. Parsing it and what `use_body` does
/// with it is work that must not hold up other calls.
///
/// # Errors
/// The body is too long, does not come in time, is not of a known charset, or is not JSON; too many calls do the same; or `use_body`
/// refuses it.
pub(super) async fn read_json<T: Send + 'static>(
    api: &ApiState,
    namespace: &Arc<str>,
    headers: &HeaderMap,
    body: Body,
    use_body: impl FnOnce(Json) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let (bytes, memory) = body::read(&api.bodies, namespace, body).await?;
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
        use_body(body)
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
