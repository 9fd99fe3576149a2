//! A request in, what came of it out: the only place that talks to receivers.
//!
//! ```text
//! hop ─► reach: may it go there? ─► client ─► answer ─┬─► outcome
//!  ▲                                                  │
//!  └────────────────── redirect ──────────────────────┘
//! ```

mod proxy;
mod reach;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, error::Error, io, num::NonZero, sync::Arc, thread, time::Duration};

use cookie_store::CookieStore;
use futures::future::{self, FutureExt};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use jiff::Timestamp;
use reqwest::{
    Method, Response,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use url::Url;

use self::reach::{Clients, Closed, LookUp, NoTunnel, Unknown, Unresolved, look_up};
pub use self::{
    proxy::{NoProxy, Settings as Proxies},
    reach::{Gate, Leads, Policies, Services, SetUp},
};
use crate::core::{
    address::{Policy, Refused},
    request::{Header, Hop, REDIRECTS, Request},
    response::{CONTENT_LIMIT, MASK, Outcome, READ_LIMIT, decode, is_secret},
    retry, signing,
    uri::Fault,
};

const USER_AGENT: &str = concat!("oncall-webhooks/", env!("CARGO_PKG_VERSION"));

const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Bodies that are longer, in bytes, are decoded where that holds up nobody else.
const QUICK: usize = 50_000;

/// Sends requests, over connections that are kept for a while.
#[derive(Clone)]
pub struct Sender {
    clients: Arc<Clients>,
    /// One permit for each long body that is decoded at a time.
    decoders: Arc<Semaphore>,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The webhook's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub webhook: &'a str,
}

/// What a [`Sender`] of an operator works with.
pub struct Parts {
    /// What requests may reach.
    pub policies: Policies,
    /// Where Services lead.
    pub services: Services,
    /// Asked before each request, and again when there is a connection that was made for it.
    pub gate: Gate,
}

impl Parts {
    /// One policy for ever, an open gate, and no cluster.
    #[must_use]
    pub fn of(policy: Policy) -> Self {
        let (_, policies) = watch::channel(Arc::new(policy));
        let services: Services = Arc::new(|_, _| future::ready(Ok(Leads::Elsewhere)).boxed());
        Self { policies, services, gate: Arc::new(|| true) }
    }
}

impl Sender {
    /// Makes a sender with the system's certificate authorities, which reaches whatever a person's own program may, by way of
    /// `proxies` where they say so.
    ///
    /// # Errors
    /// TLS can't be set up, or a setting is no proxy.
    pub fn unbound(proxies: &Proxies) -> Result<Self, SetUp> {
        Self::with_look_up(Parts::of(Policy::anything()), proxies, look_up())
    }

    /// Makes a sender that reaches what the policy of the moment lets it, while the gate says that requests may go out.
    ///
    /// # Errors
    /// As [`Self::unbound`].
    pub fn new(parts: Parts, proxies: &Proxies) -> Result<Self, SetUp> {
        Self::with_look_up(parts, proxies, look_up())
    }

    fn with_look_up(parts: Parts, proxies: &Proxies, look_up: LookUp) -> Result<Self, SetUp> {
        let Parts { policies, services, gate } = parts;
        let decoders = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            clients: Arc::new(Clients::new(policies, services, proxies, gate, look_up)?),
            decoders: Arc::new(Semaphore::new(decoders)),
        })
    }

    /// Sends `request` once, follows redirects and reads the answer, all within `timeout`. `id` goes with it as
    /// `webhook-id`: the same for every attempt of a delivery, so that a receiver can drop a repeated one.
    pub async fn send(&self, origin: Origin<'_>, request: &Request, id: &str, timeout: Duration) -> Outcome {
        let deadline = Instant::now() + timeout;
        let mut hop = Cow::Borrowed(&request.first);
        let mut jar = CookieStore::default();
        for redirects in 0..=REDIRECTS {
            let refused =
                |message: &str, again| Outcome::Refused { message: message.to_owned(), sent: redirects > 0, again };
            match tokio::time::timeout_at(deadline, self.exchange(origin, &hop, id, &mut jar)).await {
                Ok(Ok(Step::Last(outcome))) => return outcome,
                Ok(Ok(Step::Redirect(next))) => hop = Cow::Owned(next),
                // After a redirect too: whoever may send begins anew, with the same id.
                Ok(Err(Broken::Withheld)) => return Outcome::Withheld,
                Ok(Err(Broken::NoName)) => return refused("Cannot resolve name in url", false),
                Ok(Err(Broken::Unresolved)) => return refused("Cannot resolve name in url", true),
                Ok(Err(Broken::Refused(why))) => {
                    log(origin, request, &hop, &why);
                    return refused("This url is not supported for outgoing webhooks", false);
                }
                Ok(Err(Broken::Because(message))) => return Outcome::Failure { message, again: true },
                Ok(Err(Broken::Unusable(message))) => return Outcome::Failure { message, again: false },
                Err(_) => {
                    let (host, limit) = (hop.uri.host(), timeout.as_secs_f64());
                    let proxy = url(&hop).ok().and_then(|url| self.clients.proxy(&url));
                    let through = proxy.map_or_else(String::new, |proxy| format!(" through proxy {}", proxy.name()));
                    let message = format!("No answer from {host}{through} within {limit} s");
                    return Outcome::Failure { message, again: true };
                }
            }
        }
        let message = format!("More than {REDIRECTS} redirects from {}", request.first.uri.host());
        Outcome::Failure { message, again: false }
    }

    async fn exchange(&self, origin: Origin<'_>, hop: &Hop, id: &str, jar: &mut CookieStore) -> Result<Step, Broken> {
        let url = url(hop)?;
        let client = self.clients.get(origin.namespace, &url, hop.tls.as_deref(), hop.names_host())?;
        let host = hop.uri.host();
        let mut message = reqwest::Request::new(method(hop)?, url);
        *message.headers_mut() = headers(hop, id);
        // Methods that have a body say so even where it is empty.
        *message.body_mut() =
            hop.body.as_ref().map(|body| Bytes::from_owner(Arc::<[u8]>::from(Arc::clone(body))).into());
        // There may be a connection already.
        if !self.clients.may_send() {
            return Err(Broken::Withheld);
        }
        let mut answer = client.send(message).await.map_err(|error| explain(&*error, host))?;
        let location = answer.headers().get(header::LOCATION).map(HeaderValue::as_bytes);
        match hop.redirected(answer.status().as_u16(), location) {
            None => Ok(Step::Last(read(answer, host, &self.decoders).await?)),
            Some(Ok(mut next)) => {
                next.headers.extend(cookies(jar, answer.headers(), hop, &next));
                // Read, so that the connection can be used again.
                let _ = collect(&mut answer, READ_LIMIT).await;
                Ok(Step::Redirect(next))
            }
            Some(Err(Fault::Refused(message))) => {
                Ok(Step::Last(Outcome::Refused { message, sent: true, again: false }))
            }
            Some(Err(Fault::Unreadable(message))) => Err(Broken::Unusable(message)),
        }
    }
}

/// Tells the operator's people, who may want to allow it.
fn log(Origin { namespace, webhook }: Origin, request: &Request, hop: &Hop, why: &Refused) {
    let host = hop.uri.host();
    let (host, reason) =
        if is_secret(host, &request.secrets) { (MASK, why.what.to_owned()) } else { (host, why.to_string()) };
    tracing::info!(namespace, webhook, host, reason, "refused to send");
}

/// The cookies that `next` takes along, after an answer to `hop` with these headers.
fn cookies(jar: &mut CookieStore, answer: &HeaderMap, hop: &Hop, next: &Hop) -> Option<Header> {
    let (from, to) = (url(hop).ok()?, url(next).ok()?);
    for cookie in answer.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        // One that this host may not set, or that is none, is not kept.
        let _ = jar.parse(cookie, &from);
    }
    let pairs: Vec<String> = jar.get_request_values(&to).map(|(name, value)| format!("{name}={value}")).collect();
    let value = pairs.join("; ").into_bytes();
    (!value.is_empty()).then(|| Header { name: "Cookie".to_owned(), value, secret: true })
}

enum Step {
    Last(Outcome),
    Redirect(Hop),
}

/// Why no answer came.
enum Broken {
    /// The gate was closed.
    Withheld,
    /// The host is no name that a server could be asked for.
    NoName,
    /// The host's name does not resolve.
    Unresolved,
    /// The request may not go there.
    Refused(Refused),
    /// In one clause; another time it may work.
    Because(String),
    /// An answer came that nothing can be made of. In one clause.
    Unusable(String),
}

fn method(hop: &Hop) -> Result<Method, Broken> {
    Method::from_bytes(hop.method.as_str().as_bytes()).map_err(|error| Broken::Because(error.to_string()))
}

/// The URL of a hop. Two spellings change in it: an apostrophe in a query becomes `%27`, and `%2e` in a path a dot.
fn url(hop: &Hop) -> Result<Url, Broken> {
    let text = format!("{}://{}{}", hop.uri.scheme(), hop.uri.authority(), hop.uri.target());
    // A host with characters that no name has; no name server is to be asked.
    Url::parse(&text).map_err(|_| Broken::NoName)
}

/// What the core found legal is legal here too. What marks the delivery comes last and wins.
fn headers(hop: &Hop, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
    let legal = hop.headers.iter().filter_map(|header| {
        Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(&header.value).ok()?))
    });
    for (name, mut value) in legal {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("webhook-id", id);
    }
    let timestamp = Timestamp::now().as_second();
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
    headers.remove(SIGNATURE);
    if !hop.signing.is_empty() {
        let signature = signing::signature(&hop.signing, id, timestamp, hop.body.as_deref().unwrap_or_default());
        headers.extend(HeaderValue::from_str(&signature).ok().map(|value| (SIGNATURE, value)));
    }
    headers
}

async fn read(mut answer: Response, host: &str, decoders: &Arc<Semaphore>) -> Result<Outcome, Broken> {
    let text = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let status = answer.status().as_u16();
    let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
    let retry_after = text(header::RETRY_AFTER).and_then(|text| retry::retry_after(text, Timestamp::now()));
    let encodings: Vec<&str> =
        answer.headers().get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let encodings = encodings.join(",");
    let announced =
        text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()).filter(|_| encodings.is_empty());
    if announced.is_some_and(|length: u64| length > CONTENT_LIMIT as u64) {
        return Ok(Outcome::Answer { status, body: Vec::new(), announced, content_type, retry_after });
    }
    let body = collect(&mut answer, READ_LIMIT).await.map_err(|error| {
        Broken::Because(match hyper_error(&error) {
            Some(error) if error.is_incomplete_message() => {
                format!("Connection closed by {host} before its answer ended")
            }
            _ if matches!(io_kind(&error), Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)) => {
                format!("Connection closed by {host} before its answer ended")
            }
            _ => format!("The answer of {host} is not HTTP: {}", last_cause(&error)),
        })
    })?;
    let body = undo(encodings, body, decoders).await.map_err(Broken::Unusable)?;
    Ok(Outcome::Answer { status, body, announced, content_type, retry_after })
}

/// Decodes a body: here, or where it holds up nobody else if it may take long.
async fn undo(encodings: String, body: Vec<u8>, decoders: &Arc<Semaphore>) -> Result<Vec<u8>, String> {
    if encodings.is_empty() || (body.len() <= QUICK && !encodings.contains(',')) {
        return decode(&encodings, body);
    }
    // Never closed. The turn ends with the work, not with the wait for it.
    let turn = Arc::clone(decoders).acquire_owned().await;
    let decoded = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        decode(&encodings, body)
    });
    decoded.await.unwrap_or_else(|_| Err("The answer could not be decoded".to_owned()))
}

/// The body, or as much of it as goes soon beyond `limit`.
async fn collect(answer: &mut Response, limit: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            break;
        }
    }
    Ok(bytes)
}

/// Why no answer came.
fn explain(error: &(dyn Error + 'static), host: &str) -> Broken {
    if causes(error).any(<dyn Error>::is::<Closed>) {
        return Broken::Withheld;
    }
    if causes(error).any(<dyn Error>::is::<Unresolved>) {
        return Broken::Unresolved;
    }
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<Refused>()) {
        return Broken::Refused(refused.clone());
    }
    if let Some(Unknown(message)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return Broken::Because(message.clone());
    }
    if let Some(NoTunnel(message)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return Broken::Because(message.clone());
    }
    Broken::Because(because(error, host))
}

/// Why nothing came from `host`, in one clause that names it.
fn because(error: &(dyn Error + 'static), host: &str) -> String {
    let tls = causes(error).find_map(|cause| innermost(cause).downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        return format!("TLS with {host} failed: {tls}");
    }
    let hyper = hyper_error(error);
    let client = causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>());
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => format!("Connection to {host} refused"),
        Some(io::ErrorKind::TimedOut) => format!("Connection to {host} timed out"),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => format!("No route to {host}"),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            format!("Connection closed by {host} before it answered")
        }
        _ if hyper.is_some_and(|error| error.is_incomplete_message() || error.is_canceled()) => {
            format!("Connection closed by {host} before it answered")
        }
        _ if hyper.is_some_and(hyper::Error::is_parse) => {
            format!("The answer of {host} is not HTTP: {}", last_cause(error))
        }
        _ if client.is_some_and(legacy::Error::is_connect) => {
            format!("Cannot connect to {host}: {}", last_cause(error))
        }
        _ => format!("Request to {host} failed: {}", last_cause(error)),
    }
}

/// An error and what it came of.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn hyper_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a hyper::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    causes(error)
        .find_map(|cause| innermost(cause).downcast_ref::<io::Error>().or_else(|| cause.downcast_ref()))
        .map(io::Error::kind)
}

/// What an I/O error was made of; `source` leaves it out.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => innermost(inner),
        None => error,
    }
}

fn last_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
