//! Authorization of calls: the access that a call asks for, in RBAC's words, and whether its token allows it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ipnet::IpNet;

use super::{
    access_log::CalledBy,
    auth::{Resource, Verb},
    error::ApiError,
    state::ApiState,
};
use crate::server::{Peer, Waiting, is_trusted};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Lets a call through to its handler if its token allows it, and sets the headers that all answers have.
pub(crate) async fn authorize(
    State(api): State<Arc<ApiState>>,
    matched: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let (verb, resource, allowed) = requested_access(request.method(), matched.as_str());
    let client = client_address(request.headers(), request.extensions().get::<Peer>(), &api.trusted_proxies);
    let admitted = match not_yet(&api, resource) {
        None => api.auth.admit(request.headers(), client.into(), verb, resource).await,
        Some(not_yet) => Err(not_yet),
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

/// The answer to a call for objects that no watch has shown yet: they must not seem to be gone.
fn not_yet(api: &ApiState, resource: Resource) -> Option<ApiError> {
    let is_ready = match resource {
        Resource::Webhooks | Resource::Responses => api.ready.is_set(),
        Resource::Integrations | Resource::AlertGroups | Resource::AlertGroupEvents => {
            api.ready.is_set() && api.ready_for_alerts.is_set()
        }
    };
    let detail = || api.ready.lacking().unwrap_or_else(|| "Just started: try again.".into());
    (!is_ready).then(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, &*detail()).after(1))
}

/// The address that a call comes from: through proxies that are trusted, the last one that is not theirs.
pub(crate) fn client_address(headers: &HeaderMap, peer: Option<&Peer>, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
    let lists = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    // The client's side is first. Each proxy adds the address that it was called from.
    let addresses = lists.flat_map(|list| list.split(',')).collect::<Vec<_>>();
    for address in addresses.into_iter().rev() {
        match forwarded_address(address.trim()) {
            Some(address) if is_trusted(client, trusted) => client = address,
            _ => break,
        }
    }
    client
}

/// An address of `X-Forwarded-For`; some proxies add the port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The access that a call asks for, and the methods that its route has, in OnCall's order.
fn requested_access(method: &Method, route: &str) -> (Verb, Resource, &'static str) {
    // After `/api/v1/`.
    let mut parts = route.trim_matches('/').split('/').skip(2);
    let (collection, is_one, below) = (parts.next(), parts.next().is_some(), parts.next());
    let read = if is_one { Verb::Get } else { Verb::List };
    match (collection, below) {
        (Some("integrations"), _) => (read, Resource::Integrations, "GET, HEAD, OPTIONS"),
        // They are stored in their alert groups.
        (Some("alerts"), _) => (read, Resource::AlertGroups, "GET, HEAD, OPTIONS"),
        (Some("alert_groups"), None) if is_one => {
            let verb = if *method == Method::DELETE { Verb::Delete } else { read };
            (verb, Resource::AlertGroups, "GET, DELETE, HEAD, OPTIONS")
        }
        (Some("alert_groups"), None) => (read, Resource::AlertGroups, "GET, HEAD, OPTIONS"),
        // A change is an event that is created.
        (Some("alert_groups"), Some(_)) if *method == Method::POST => {
            (Verb::Create, Resource::AlertGroupEvents, "POST, OPTIONS")
        }
        (Some("alert_groups"), Some(_)) => (read, Resource::AlertGroups, "POST, OPTIONS"),
        (_, Some(_)) => (Verb::List, Resource::Responses, "GET, HEAD, OPTIONS"),
        (_, None) => {
            let verb = match *method {
                Method::POST if !is_one => Verb::Create,
                Method::PUT | Method::PATCH if is_one => Verb::Update,
                Method::DELETE if is_one => Verb::Delete,
                _ => read,
            };
            let allowed = if is_one { "GET, PUT, PATCH, DELETE, HEAD, OPTIONS" } else { "GET, POST, HEAD, OPTIONS" };
            (verb, Resource::Webhooks, allowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_that_a_trusted_proxy_was_called_from() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let cases: [(&str, &[&str], &str); 11] = [
            ("1.2.3.4", &[], "1.2.3.4"),
            ("1.2.3.4", &["5.6.7.8"], "1.2.3.4"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["5.6.7.8"], "5.6.7.8"),
            ("10.0.0.1", &["9.9.9.9, 5.6.7.8"], "5.6.7.8"),
            ("10.0.0.1", &["9.9.9.9", "5.6.7.8 , 10.0.0.2"], "5.6.7.8"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["5.6.7.8, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["5.6.7.8:4711"], "5.6.7.8"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
        ];
        for (from, lists, expected) in cases {
            let headers = lists.iter().map(|list| (FORWARDED_FOR, list.parse().unwrap())).collect();
            let peer = Peer { address: (from.parse::<IpAddr>().unwrap(), 1).into(), tls: false };
            let found = client_address(&headers, Some(&peer), &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{from} {lists:?}");
        }
    }

    #[test]
    fn the_access_that_a_call_asks_for_is_named_as_in_rbac() {
        let (all, one) = ("GET, POST, HEAD, OPTIONS", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
        let (read, group, action) = ("GET, HEAD, OPTIONS", "GET, DELETE, HEAD, OPTIONS", "POST, OPTIONS");
        let acknowledge = "/api/v1/alert_groups/{id}/acknowledge/";
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
            (Method::GET, "/api/v1/webhooks/{id}/responses/", (Verb::List, Resource::Responses, read)),
            (Method::GET, "/api/v1/alert_groups/", (Verb::List, Resource::AlertGroups, read)),
            (Method::POST, "/api/v1/alert_groups", (Verb::List, Resource::AlertGroups, read)),
            (Method::GET, "/api/v1/alert_groups/{id}/", (Verb::Get, Resource::AlertGroups, group)),
            (Method::DELETE, "/api/v1/alert_groups/{id}", (Verb::Delete, Resource::AlertGroups, group)),
            (Method::PUT, "/api/v1/alert_groups/{id}/", (Verb::Get, Resource::AlertGroups, group)),
            (Method::POST, acknowledge, (Verb::Create, Resource::AlertGroupEvents, action)),
            (Method::GET, acknowledge, (Verb::Get, Resource::AlertGroups, action)),
            (Method::GET, "/api/v1/alerts/", (Verb::List, Resource::AlertGroups, read)),
            (Method::DELETE, "/api/v1/alerts", (Verb::List, Resource::AlertGroups, read)),
            (Method::GET, "/api/v1/integrations/", (Verb::List, Resource::Integrations, read)),
            (Method::POST, "/api/v1/integrations/", (Verb::List, Resource::Integrations, read)),
            (Method::DELETE, "/api/v1/integrations/{id}/", (Verb::Get, Resource::Integrations, read)),
        ];
        for (method, route, expected) in cases {
            assert_eq!(requested_access(&method, route), expected, "{method} {route}");
        }
    }
}
