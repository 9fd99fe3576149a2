//! Authorization of calls: the access that a call asks for, in RBAC's words, and whether its token allows it.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    access_log::CalledBy,
    auth::{Resource, Verb},
    error::ApiError,
    state::ApiState,
};
use crate::server::Waiting;

/// Lets a call through to its handler if its token allows it, and sets the headers that all answers have.
pub(crate) async fn authorize(
    State(api): State<Arc<ApiState>>,
    matched: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let (verb, resource, allowed) = requested_access(request.method(), matched.as_str());
    let admitted = if api.ready.is_set() {
        api.auth.admit(request.headers(), verb, resource).await
    } else {
        // Objects that no watch has shown yet must not seem to be gone.
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Just started: try again.").after(1))
    };
    let (caller, mut response) = match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            // From here on the caller's own limits hold.
            request.extensions_mut().remove::<Waiting>();
            request.headers_mut().remove(header::AUTHORIZATION);
            (Some(caller), next.run(request).await)
        }
        Err(error) => (None, error.into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Origin"));
    if let Some(caller) = caller {
        response.extensions_mut().insert(CalledBy(caller));
    }
    response
}

/// The access that a call asks for, and the methods that its route has, in OnCall's order.
fn requested_access(method: &Method, route: &str) -> (Verb, Resource, &'static str) {
    if route.trim_end_matches('/').ends_with("/responses") {
        return (Verb::List, Resource::Responses, "GET, HEAD, OPTIONS");
    }
    let is_one = route.contains("{id}");
    let verb = match *method {
        Method::POST if !is_one => Verb::Create,
        Method::PUT | Method::PATCH if is_one => Verb::Update,
        Method::DELETE if is_one => Verb::Delete,
        _ if is_one => Verb::Get,
        _ => Verb::List,
    };
    let allowed = if is_one { "GET, PUT, PATCH, DELETE, HEAD, OPTIONS" } else { "GET, POST, HEAD, OPTIONS" };
    (verb, Resource::Webhooks, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_that_a_call_asks_for_is_named_as_in_rbac() {
        let (all, one) = ("GET, POST, HEAD, OPTIONS", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
        let cases = [
            (Method::GET, "/api/v1/webhooks/", (Verb::List, Resource::Webhooks, all)),
            (Method::HEAD, "/api/v1/webhooks", (Verb::List, Resource::Webhooks, all)),
            (Method::POST, "/api/v1/actions/", (Verb::Create, Resource::Webhooks, all)),
            (Method::DELETE, "/api/v1/webhooks/", (Verb::List, Resource::Webhooks, all)),
            (Method::GET, "/api/v1/webhooks/{id}/", (Verb::Get, Resource::Webhooks, one)),
            (Method::PUT, "/api/v1/webhooks/{id}", (Verb::Update, Resource::Webhooks, one)),
            (Method::PATCH, "/api/v1/actions/{id}/", (Verb::Update, Resource::Webhooks, one)),
            (Method::DELETE, "/api/v1/webhooks/{id}/", (Verb::Delete, Resource::Webhooks, one)),
            (Method::POST, "/api/v1/webhooks/{id}/", (Verb::Get, Resource::Webhooks, one)),
            (Method::GET, "/api/v1/webhooks/{id}/responses/", (Verb::List, Resource::Responses, "GET, HEAD, OPTIONS")),
        ];
        for (method, route, expected) in cases {
            assert_eq!(requested_access(&method, route), expected, "{method} {route}");
        }
    }
}
