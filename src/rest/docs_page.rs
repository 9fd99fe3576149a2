//! `/openapi.json`, and `/docs`, the page that shows it: its files are in the binary.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use utoipa_swagger_ui::Config;

use super::openapi;

/// Lets a browser load nothing from elsewhere for the page.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/// `/openapi.json` and `/docs`.
pub(crate) fn routes() -> Router {
    // There is nothing in it that JSON could not hold.
    let document = Bytes::from(openapi::document().to_json().unwrap_or_default());
    // Without a validator, which is elsewhere and would be told the document's address.
    let config = Config::new(["../openapi.json"]).validator_url("none").try_it_out_enabled(true);
    let config = Arc::new(config.persist_authorization(false));
    let index = Arc::clone(&config);
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], document)))
        // Relative, so that it holds behind a proxy's path.
        .route("/docs", get(async || Redirect::to("docs/")))
        .route("/docs/", get(async move || file("", index)))
        .route("/docs/{*path}", get(async move |Path(path): Path<String>| file(&path, config)))
}

/// Answers with one of the page's files.
fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => {
            let headers =
                [(header::CONTENT_TYPE, file.content_type.as_str()), (header::CONTENT_SECURITY_POLICY, POLICY)];
            (headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
