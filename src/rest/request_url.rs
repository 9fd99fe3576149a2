//! The URL that a client called, for the links of pages: behind proxies it is not the one that was reached here.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header, request::Parts, uri::Authority},
};
use ipnet::IpNet;

use super::state::ApiState;
use crate::server::{Peer, is_trusted};

/// Scheme, host and path of a call, as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestUrl(pub(crate) String);

impl RequestUrl {
    /// All before the path that routes have, which begins with `/api/v1/`.
    pub(crate) fn base(&self) -> &str {
        self.0.rsplit_once("/api/v1/").map_or(&*self.0, |(base, _)| base)
    }
}

impl FromRequestParts<Arc<ApiState>> for RequestUrl {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<ApiState>) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>();
        Ok(Self(request_url(&parts.headers, &parts.uri, peer, &api.trusted_proxies)))
    }
}

fn request_url(headers: &HeaderMap, uri: &Uri, peer: Option<&Peer>, trusted: &[IpNet]) -> String {
    let is_trusted = peer.is_some_and(|peer| is_trusted(peer.address.ip(), trusted));
    let text = |name: &str| headers.get(name)?.to_str().ok();
    // A list has the client's side first.
    let forwarded = |name: &str| {
        let first = text(name).filter(|_| is_trusted)?.split(',').next()?.trim();
        (!first.is_empty()).then_some(first)
    };
    let spoken = if peer.is_some_and(|peer| peer.tls) { "https" } else { "http" };
    let scheme = forwarded("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme)).unwrap_or(spoken);
    let reached = uri.authority().map(Authority::as_str).or_else(|| text(header::HOST.as_str()));
    let host = forwarded("x-forwarded-host").or(reached).filter(|host| is_host(host)).unwrap_or("localhost");
    let port = forwarded("x-forwarded-port")
        .filter(|port| port.parse::<u16>().is_ok() && forwarded("x-forwarded-host").is_some_and(|host| !has_port(host)))
        .filter(|port| [("http", "80"), ("https", "443")].iter().all(|default| *default != (scheme, port)));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let prefix = forwarded("x-forwarded-prefix").filter(|prefix| prefix.starts_with('/') && is_path(prefix));
    let prefix = prefix.unwrap_or_default().trim_end_matches('/');
    format!("{scheme}://{host}{port}{prefix}{}", uri.path())
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_path(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn links_have_the_url_that_the_client_called_as_far_as_proxies_are_trusted() {
        const HOST: (&str, &str) = ("host", "api:8081");
        type Case = (&'static str, bool, &'static [(&'static str, &'static str)], &'static str);
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let cases: [Case; 12] = [
            ("1.2.3.4", false, &[HOST], "http://api:8081/p/"),
            ("1.2.3.4", true, &[HOST], "https://api:8081/p/"),
            ("1.2.3.4", false, &[], "http://localhost/p/"),
            ("1.2.3.4", false, &[("host", "a/b?c")], "http://localhost/p/"),
            ("1.2.3.4", false, &[HOST, ("x-forwarded-host", "evil.example")], "http://api:8081/p/"),
            (
                "10.1.1.1",
                false,
                &[HOST, ("x-forwarded-host", "oncall.example"), ("x-forwarded-proto", "https")],
                "https://oncall.example/p/",
            ),
            ("::ffff:10.1.1.1", false, &[HOST, ("x-forwarded-proto", "https, http")], "https://api:8081/p/"),
            ("fd00::1", false, &[HOST, ("x-forwarded-proto", "gopher")], "http://api:8081/p/"),
            (
                "10.1.1.1",
                false,
                &[
                    HOST,
                    ("x-forwarded-host", "o.example, inner"),
                    ("x-forwarded-port", "8443"),
                    ("x-forwarded-proto", "https"),
                ],
                "https://o.example:8443/p/",
            ),
            (
                "10.1.1.1",
                false,
                &[HOST, ("x-forwarded-host", "o.example"), ("x-forwarded-port", "443"), ("x-forwarded-proto", "https")],
                "https://o.example/p/",
            ),
            ("10.1.1.1", false, &[HOST, ("x-forwarded-prefix", "/oncall/")], "http://api:8081/oncall/p/"),
            ("10.1.1.1", false, &[HOST, ("x-forwarded-prefix", "/a\"b")], "http://api:8081/p/"),
        ];
        for (from, tls, headers, expected) in cases {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()))
                .collect();
            let peer = Peer { address: (from.parse::<std::net::IpAddr>().unwrap(), 1).into(), tls };
            let found = request_url(&headers, &"/p/?q".parse().unwrap(), Some(&peer), &trusted);
            assert_eq!(found, expected, "{from} {headers:?}");
        }
    }
}
