//! The router of the API: the routes, the layers that calls go through before their handlers, and the page that describes
//! the API.
//!
//! ```text
//! call ─► access log ─┬─► authorization ─► handler
//!                     │         └─► 403, 429, 503
//!                     ├─► intake: its callers have tokens of their own
//!                     └─► no such path
//! ```

use std::sync::Arc;

use axum::{Router, middleware, routing::options};

use super::{access_log, authorization, docs_page, fallbacks, intake, routes, state::ApiState};
use crate::metrics::{RestMetrics, count};

/// The API, ready to be served. Its calls are counted.
pub(crate) fn router(api: &Arc<ApiState>, metrics: RestMetrics) -> Router {
    let mut router = Router::new();
    for (_, paths, methods) in routes::all() {
        let methods = methods.merge(options(fallbacks::options));
        for path in paths.paths.keys() {
            // With a slash at the end or without.
            let bare = path.trim_end_matches('/');
            router = router.route(bare, methods.clone()).route(&format!("{bare}/"), methods.clone());
        }
    }
    router
        .method_not_allowed_fallback(fallbacks::method_not_allowed)
        .route_layer(middleware::from_fn_with_state(Arc::clone(api), authorization::authorize))
        .merge(intake::routes())
        .fallback(fallbacks::no_such_path)
        .layer(middleware::from_fn(access_log::log))
        .layer(middleware::from_fn_with_state(metrics, count))
        .with_state(Arc::clone(api))
        .merge(docs_page::routes())
}
