//! What every call goes through before its handler: the routes, the access log, who may call, and the headers that all
//! answers have.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::options,
};
use tracing::Instrument;
use utoipa_axum::{router::UtoipaMethodRouter, routes};

use super::{
    Api,
    auth::{Caller, Resource, Verb},
    handlers as h, openapi,
    refusal::Refusal,
    server::Peer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route of the API, with its part of the document.
pub(crate) fn documented() -> Vec<UtoipaMethodRouter<Arc<Api>>> {
    vec![
        routes!(h::list_webhooks, h::create_webhook),
        routes!(h::get_webhook, h::put_webhook, h::patch_webhook, h::delete_webhook),
        routes!(h::list_responses),
        routes!(h::list_actions, h::create_action),
        routes!(h::get_action, h::put_action, h::patch_action, h::delete_action),
    ]
}

/// The API, ready to be served, and the page that describes it.
pub(crate) fn routes(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for (_, paths, methods) in documented() {
        let methods = methods.merge(options(h::options));
        for path in paths.paths.keys() {
            // With a slash at the end or without.
            let bare = path.trim_end_matches('/');
            router = router.route(bare, methods.clone()).route(&format!("{bare}/"), methods.clone());
        }
    }
    router
        .method_not_allowed_fallback(h::method_not_allowed)
        .route_layer(middleware::from_fn_with_state(Arc::clone(api), admit))
        .fallback(h::nothing_here)
        .layer(middleware::from_fn(log))
        .with_state(Arc::clone(api))
        .merge(openapi::page())
}

/// Lets a call through to its handler, if its token may.
async fn admit(State(api): State<Arc<Api>>, matched: MatchedPath, mut request: Request, next: Next) -> Response {
    let (verb, resource, allowed) = asked(request.method(), matched.as_str());
    let admitted = if api.ready.is_set() {
        api.auth.admit(request.headers(), verb, resource).await
    } else {
        // What is not seen yet must not seem to be gone.
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Just started: try again.").after(1))
    };
    let (caller, mut response) = match admitted {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            (Some(caller), next.run(request).await)
        }
        Err(refusal) => (None, refusal.into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Origin"));
    if let Some(caller) = caller {
        response.extensions_mut().insert(CalledBy(caller));
    }
    response
}

/// What a call asks for, and the methods that its route has, in OnCall's order.
fn asked(method: &Method, route: &str) -> (Verb, Resource, &'static str) {
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

/// Bound on what the access log shows of an address, in characters.
const LOGGED: usize = 200;

/// What is shown of a method: a client may make up any.
pub(crate) fn shown(method: &Method) -> &str {
    let name = method.as_str();
    // ASCII, as methods are.
    name.get(..20).unwrap_or(name)
}

/// Who made the call that this answers; for the access log.
#[derive(Clone)]
struct CalledBy(Caller);

/// The access log: one line for each call, under the id that the answer has too.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(LOGGED).collect();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip().to_string());
    let span = tracing::info_span!("call", request_id = id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span).await;
    let caller = response.extensions_mut().remove::<CalledBy>().map(|CalledBy(caller)| caller);
    let caller = caller.as_ref();
    // Outside of the span, which would be read back from its JSON for each line.
    tracing::info!(
        request_id = id.to_str().unwrap_or_default(),
        method = shown(&method),
        path,
        status = response.status().as_u16(),
        milliseconds = began.elapsed().as_secs_f64() * 1000.0,
        namespace = caller.map(|caller| &*caller.namespace),
        caller = caller.map(|caller| caller.name.as_str()),
        peer,
        "call"
    );
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The id that a proxy has given the call, or a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
    let given = request.headers().get(REQUEST_ID);
    let given = given.filter(|id| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_plain));
    given.cloned().unwrap_or_else(|| {
        let mut bytes = [0; 8];
        // Without randomness calls have the same id, which harms nobody.
        let _ = getrandom::fill(&mut bytes);
        HeaderValue::from_str(&format!("{:016x}", u64::from_be_bytes(bytes))).unwrap_or(HeaderValue::from_static("-"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_characters_of_a_method_are_shown() {
        let long = "M".repeat(21);
        for (method, expected) in [("GET", "GET"), (&long[..20], &long[..20]), (&long, &long[..20])] {
            assert_eq!(shown(&Method::from_bytes(method.as_bytes()).unwrap()), expected);
        }
    }

    #[test]
    fn what_a_call_asks_for_is_what_rbac_calls_it() {
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
            assert_eq!(asked(&method, route), expected, "{method} {route}");
        }
    }
}
