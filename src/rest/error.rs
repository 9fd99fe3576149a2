//! Answers to calls that were not done, in OnCall's shapes.

mod kubernetes;

use std::fmt::Display;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::json_response::json_response;

const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Why a call was not done: the status and body of its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// After how many seconds the same call may work: `Retry-After`, and `RateLimit-Reset` too with 429.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    /// `{"detail": "…"}`.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, body: json!({ "detail": detail.into() }), retry_after: None }
    }

    /// 400 `{"field": ["…"]}`, for each field that is wrong.
    pub(crate) fn invalid_fields(errors: impl IntoIterator<Item = (impl Into<String>, Vec<String>)>) -> Self {
        let fields: Map<String, Value> =
            errors.into_iter().map(|(field, messages)| (field.into(), json!(messages))).collect();
        Self { status: StatusCode::BAD_REQUEST, body: Value::Object(fields), retry_after: None }
    }

    /// 400 `{"non_field_errors": ["…"]}`.
    pub(crate) fn non_field_error(message: &str) -> Self {
        Self::invalid_fields([("non_field_errors", vec![message.to_owned()])])
    }

    /// 403: no token, or none that opens anything. OnCall says the same to all of them.
    pub(crate) fn invalid_token() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Invalid token.")
    }

    /// 404: there is no such object, or not for this token.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found.")
    }

    /// 500: the call met a fault of this program, which is in the log.
    pub(crate) fn internal() -> Self {
        let detail = "The call ended early: this is a fault of oncall-webhooks.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// 429: a token's calls of this minute are used up; the next one is taken in `seconds`.
    pub(crate) fn throttled(seconds: u64) -> Self {
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).after(seconds)
    }

    /// 403: a valid token that does not allow this. OnCall's words, and why.
    pub(crate) fn denied(why: impl Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("You do not have permission to perform this action. {why}"))
    }

    /// The same with `Retry-After`, in seconds.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, self.body.to_string());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if self.status == StatusCode::TOO_MANY_REQUESTS {
                // The Go client reads this one.
                headers.insert(RATE_LIMIT_RESET, HeaderValue::from(seconds));
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status and headers of the answer.
    fn sent(error: ApiError) -> (u16, Vec<(String, String)>) {
        let response = error.into_response();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        (response.status().as_u16(), headers)
    }

    #[test]
    fn a_throttled_call_is_told_when_to_come_back() {
        let text = |error: &ApiError| error.body.to_string();
        let (one, two) = (ApiError::throttled(1), ApiError::throttled(2));
        assert_eq!(text(&one), r#"{"detail":"Request was throttled. Expected available in 1 second."}"#);
        assert_eq!(text(&two), r#"{"detail":"Request was throttled. Expected available in 2 seconds."}"#);
        let headers = |names: &[(&str, &str)]| -> Vec<(String, String)> {
            names.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let json = ("content-type", "application/json");
        assert_eq!(sent(two), (429, headers(&[json, ("retry-after", "2"), ("ratelimit-reset", "2")])));
        let away = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "away").after(1);
        assert_eq!(sent(away), (503, headers(&[json, ("retry-after", "1")])));
        assert_eq!(sent(ApiError::invalid_token()), (403, headers(&[json])));
    }
}
