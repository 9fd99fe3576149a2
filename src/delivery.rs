//! A request in, its outcome out: the only place that talks to receivers.
//!
//! ```text
//! request ─► clients: may it go there? ─► exchange ─► answer ─┬─► response ─► outcome
//!    ▲       resolver, tls, tunnel, proxy                     │
//!    └─────────────────────── redirect ◄──────────────────────┘
//! ```
//! [`Ports`] is what the operator provides for that.

mod clients;
mod errors;
mod explain;
mod ports;
mod progress;
mod proxy;
mod request;
mod resolver;
mod response;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;

use std::{borrow::Cow, sync::Arc, time::Duration};

use cookie_store::CookieStore;
use reqwest::header::{self, HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use self::{
    clients::ClientPool,
    errors::{ExchangeError, Refusal, RefusedName},
    explain::explain,
    progress::{Progress, watched},
    resolver::{DnsLookup, system_dns},
    response::Decoders,
};
pub use self::{
    errors::SetUpError,
    ports::{Policies, Ports, SendGate, ServiceLookup, ServiceTarget},
    proxy::{InvalidProxy, ProxySettings},
};
use crate::{
    core::{
        address::AddressPolicy,
        request::{Header, HttpRequest, MAX_REDIRECTS, PreparedRequest},
        request_url::UrlError,
        response::{MASK, Outcome, is_secret_host},
    },
    metrics::AttemptCode,
};

/// How long a connection may take to an endpoint that could not be connected to before.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends requests, over connections that are kept for a while. Clones share them.
#[derive(Clone)]
pub struct Sender {
    clients: Arc<ClientPool>,
    decoders: Decoders,
}

/// The webhook that a request is sent for.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The webhook's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub webhook: &'a str,
}

impl Sender {
    /// Makes a sender with the system's certificate authorities that reaches whatever a person's own program may, through
    /// proxies where `proxies` says so.
    ///
    /// # Errors
    /// TLS can't be set up, or a setting is no proxy.
    pub fn unbound(proxies: &ProxySettings) -> Result<Self, SetUpError> {
        Self::new(Ports::without_cluster(AddressPolicy::unrestricted()), proxies)
    }

    /// Makes a sender that reaches what the policy of the moment allows, while the gate is open.
    ///
    /// # Errors
    /// As [`Self::unbound`].
    pub fn new(ports: Ports, proxies: &ProxySettings) -> Result<Self, SetUpError> {
        Self::with_dns(ports, proxies, system_dns())
    }

    fn with_dns(ports: Ports, proxies: &ProxySettings, dns: DnsLookup) -> Result<Self, SetUpError> {
        Ok(Self { clients: Arc::new(ClientPool::new(ports, proxies, dns)?), decoders: Decoders::new() })
    }

    /// Sends `request` once, follows redirects and reads the answer, all within `timeout`. `id` goes with it as
    /// `webhook-id`: the same for every attempt of a delivery, so that a receiver can drop a repeated one.
    pub async fn send(
        &self,
        requester: Requester<'_>,
        request: &PreparedRequest,
        id: &str,
        timeout: Duration,
    ) -> Outcome {
        self.attempt(requester, request, id, timeout).await.0
    }

    /// Does the same, and says in one word what it came to.
    pub(crate) async fn attempt(
        &self,
        requester: Requester<'_>,
        request: &PreparedRequest,
        id: &str,
        timeout: Duration,
    ) -> (Outcome, AttemptCode) {
        let deadline = Instant::now() + timeout;
        let mut hop = Cow::Borrowed(&request.first);
        let mut jar = CookieStore::default();
        for redirects in 0..=MAX_REDIRECTS {
            let progress = Arc::default();
            let exchange = watched(&progress, self.exchange(requester, &hop, id, &mut jar));
            match timeout_at(deadline, exchange).await {
                Ok(Ok(Exchange::Complete(outcome))) => {
                    let code = match &outcome {
                        Outcome::Answer { status, .. } => AttemptCode::of_status(*status),
                        _ => AttemptCode::Refused,
                    };
                    return (outcome, code);
                }
                Ok(Ok(Exchange::Redirected(next))) => hop = Cow::Owned(next),
                Ok(Err(error)) => {
                    if let ExchangeError::Refused(RefusedName { refusal, .. }) = &error {
                        log_refusal(requester, request, &hop, refusal);
                    }
                    return failed(error, redirects > 0);
                }
                Err(_) => return (self.no_answer(&hop, &progress, timeout), AttemptCode::Timeout),
            }
        }
        let message = format!("More than {MAX_REDIRECTS} redirects from {}", request.first.url.host());
        (Outcome::Failure { message, retryable: false }, AttemptCode::Other)
    }

    /// Sends one request and reads its answer.
    async fn exchange(
        &self,
        requester: Requester<'_>,
        hop: &HttpRequest,
        id: &str,
        jar: &mut CookieStore,
    ) -> Result<Exchange, ExchangeError> {
        let url = request::url(hop)?;
        let client = self.clients.get(requester.namespace, hop, &url)?;
        let host = hop.url.host();
        let message = request::message(hop, url, id)?;
        // Connections ask the gate when they are made, but there may be one already.
        if !self.clients.may_send() {
            return Err(ExchangeError::GateClosed);
        }
        let answer = client.send(message).await.map_err(|error| explain(&*error, host))?;
        let location = answer.headers().get(header::LOCATION).map(HeaderValue::as_bytes);
        match hop.redirected(answer.status().as_u16(), location) {
            None => Ok(Exchange::Complete(response::read(answer, host, &self.decoders).await?)),
            Some(Ok(mut next)) => {
                next.headers.extend(cookies(jar, answer.headers(), hop, &next));
                response::discard(answer).await;
                Ok(Exchange::Redirected(next))
            }
            Some(Err(UrlError::Rejected(message))) => {
                Ok(Exchange::Complete(Outcome::UrlRefused { message, sent: true, retryable: false }))
            }
            Some(Err(UrlError::Unreadable(message))) => Err(ExchangeError::UnusableResponse(message)),
        }
    }

    /// The outcome of a request to which no answer came in time.
    fn no_answer(&self, hop: &HttpRequest, progress: &Progress, timeout: Duration) -> Outcome {
        let (host, limit) = (hop.url.host(), timeout.as_secs_f64());
        let proxy = request::url(hop).ok().and_then(|url| self.clients.proxy(&url));
        let through = proxy.map_or_else(String::new, |proxy| format!(" through proxy {}", proxy.name()));
        let message = format!("No answer from {host}{through} within {limit} s");
        if progress.is_sent() { Outcome::TimedOut { message } } else { Outcome::Failure { message, retryable: true } }
    }

    /// Whether a connection can be made to an origin, such as `https://receiver.example:8443`, for a namespace that sent there. Nothing
    /// is sent over it, and none is made that goes through a proxy.
    pub async fn can_connect(&self, namespace: &str, origin: &str) -> bool {
        let Ok(url) = Url::parse(origin) else { return false };
        timeout(KNOCK_TIMEOUT, self.clients.can_connect(namespace, &url)).await.unwrap_or(false)
    }
}

/// The result of one request.
enum Exchange {
    Complete(Outcome),
    /// The next request to send.
    Redirected(HttpRequest),
}

/// The outcome of an exchange that failed. `sent` says that one before it, which led here, was not.
fn failed(error: ExchangeError, sent: bool) -> (Outcome, AttemptCode) {
    let refused = |message: &str, retryable| Outcome::UrlRefused { message: message.to_owned(), sent, retryable };
    let unresolved = "Cannot resolve name in url";
    match error {
        // After a redirect too: whoever may send begins anew, with the same id.
        ExchangeError::GateClosed => (Outcome::Withheld, AttemptCode::Other),
        ExchangeError::InvalidHost => (refused(unresolved, false), AttemptCode::Dns),
        ExchangeError::UnresolvedHost => (refused(unresolved, true), AttemptCode::Dns),
        // The same in all: the words, the code, and that it is tried again.
        ExchangeError::Refused(RefusedName { is_hidden: true, .. }) => (refused(unresolved, true), AttemptCode::Dns),
        ExchangeError::Refused(RefusedName { is_hidden: false, .. }) => {
            (refused("This url is not supported for outgoing webhooks", false), AttemptCode::Refused)
        }
        // After a redirect, somebody was sent a request.
        ExchangeError::Unreached(message) if !sent => (Outcome::Unreached { message }, AttemptCode::Connect),
        ExchangeError::Unreached(message) => (Outcome::Failure { message, retryable: true }, AttemptCode::Connect),
        ExchangeError::Failed(code, message) => (Outcome::Failure { message, retryable: true }, code),
        ExchangeError::UnusableResponse(message) => {
            (Outcome::Failure { message, retryable: false }, AttemptCode::Other)
        }
    }
}

/// Tells the operator's people of a refusal: they may want to allow it.
fn log_refusal(
    Requester { namespace, webhook }: Requester,
    request: &PreparedRequest,
    hop: &HttpRequest,
    why: &Refusal,
) {
    let host = hop.url.host();
    let (host, reason) =
        if is_secret_host(host, &request.secrets) { (MASK, why.what().to_owned()) } else { (host, why.to_string()) };
    tracing::info!(namespace, webhook, host, reason, "did not send a request: requests may not go to this host");
}

/// The cookies that `next` takes along, after an answer to `hop` with these headers.
fn cookies(jar: &mut CookieStore, answer: &HeaderMap, hop: &HttpRequest, next: &HttpRequest) -> Option<Header> {
    let (from, to) = (request::url(hop).ok()?, request::url(next).ok()?);
    for cookie in answer.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        // A cookie that this host may not set, or that is none, is not kept.
        let _ = jar.parse(cookie, &from);
    }
    let pairs: Vec<String> = jar.get_request_values(&to).map(|(name, value)| format!("{name}={value}")).collect();
    let value = pairs.join("; ").into_bytes();
    (!value.is_empty()).then(|| Header { name: "Cookie".to_owned(), value, secret: true })
}
