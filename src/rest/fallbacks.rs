//! Answers to OPTIONS, to other methods that a route does not have, and to paths that no route has.

use axum::{
    http::{Method, StatusCode, Uri},
    response::Response,
};
use serde_json::json;

use super::{access_log::short_method, error::ApiError, json_response::json_response, shown_path::shown_path};

/// Answers OPTIONS as Django REST framework does; every answer has `Allow`.
pub(crate) async fn options() -> Response {
    let body = json!({"renders": ["application/json"], "parses": ["application/json"]});
    json_response(StatusCode::OK, body.to_string())
}

/// Answers a method that the route does not have.
pub(crate) async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{}\" not allowed.", short_method(&method)))
}

/// Answers a path that no route has.
pub(crate) async fn no_such_path(uri: Uri) -> ApiError {
    let path = shown_path(uri.path());
    ApiError::new(StatusCode::NOT_FOUND, format!("There is nothing at {path}: the API begins with /api/v1/webhooks/."))
}
