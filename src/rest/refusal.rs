//! Answers that say no, in OnCall's shapes.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// Why a call was not done: a status, and what the body says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// After how many seconds the same call may work.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    /// `{"detail": "…"}`.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, body: json!({ "detail": detail.into() }), retry_after: None }
    }

    /// `{"field": ["…"]}`, for each field that is wrong.
    pub(crate) fn fields(faults: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let fields: Map<String, Value> =
            faults.into_iter().map(|(field, message)| (field.into(), json!([message.into()]))).collect();
        Self { status: StatusCode::BAD_REQUEST, body: Value::Object(fields), retry_after: None }
    }

    /// `{"non_field_errors": ["…"]}`.
    pub(crate) fn non_field(message: &str) -> Self {
        Self::fields([("non_field_errors", message)])
    }

    /// No token, or none that opens anything: OnCall says the same to all of them.
    pub(crate) fn invalid_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Invalid token.")
    }

    /// There is no such object, or not for this token.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found.")
    }

    /// The same with `Retry-After`.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
