//! A request in, what came of it out: the only place that talks to receivers.

use std::{error::Error as _, io, time::Duration};

use reqwest::{
    Client, Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::core::{
    request::Request,
    response::{CONTENT_LIMIT, Outcome},
    webhook::HttpMethod,
};

/// As many redirects as OnCall's HTTP library follows.
const REDIRECTS: usize = 30;

/// Sends requests over shared connections.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client,
}

impl Sender {
    /// Makes a sender with the system's certificate authorities.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("oncall-webhooks/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::limited(REDIRECTS))
            // The URL may be a secret.
            .referer(false)
            // What stands in the environment is not for requests that others write.
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    /// Sends `request` once and reads the answer, all within `timeout`. `id` goes with it as `webhook-id`: the same for
    /// every attempt of a delivery, so that a receiver can drop a repeated one.
    pub async fn send(&self, request: &Request, id: &str, timeout: Duration) -> Outcome {
        let host = request.url.host_str().unwrap_or_default();
        match tokio::time::timeout(timeout, self.exchange(request, id)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Failure(explain(&error.without_url(), host)),
            Err(_) => Outcome::Failure(format!("No answer from {host} within {} s", timeout.as_secs_f64())),
        }
    }

    async fn exchange(&self, request: &Request, id: &str) -> Result<Outcome, reqwest::Error> {
        let mut message =
            self.client.request(method(request.method), request.url.clone()).headers(headers(request, id));
        if let Some(body) = &request.body {
            message = message.body(body.clone());
        }
        let mut answer = message.send().await?;
        let status: StatusCode = answer.status();
        let announced = answer.content_length();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > CONTENT_LIMIT {
                let beyond = Some(announced.unwrap_or(body.len() as u64));
                return Ok(Outcome::Answer { status: status.as_u16(), body: Vec::new(), beyond });
            }
        }
        Ok(Outcome::Answer { status: status.as_u16(), body, beyond: None })
    }
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
    }
}

/// What the core found legal is legal here too. What marks the delivery comes last and wins.
fn headers(request: &Request, id: &str) -> HeaderMap {
    let legal = request.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, mut value) in legal {
        value.set_sensitive(true);
        headers.append(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("webhook-id", id);
    }
    headers.insert("webhook-timestamp", HeaderValue::from(jiff::Timestamp::now().as_second()));
    headers
}

/// Why no answer came, in one clause.
fn explain(error: &reqwest::Error, host: &str) -> String {
    let causes: Vec<&dyn std::error::Error> = std::iter::successors(error.source(), |&error| error.source()).collect();
    let io = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>());
    if error.is_redirect() {
        return format!("More than {REDIRECTS} redirects from {host}");
    }
    match (io.map(io::Error::kind), causes.last()) {
        (Some(io::ErrorKind::ConnectionRefused), _) => format!("Connection to {host} refused"),
        (Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof), _) => {
            format!("Connection closed by {host}")
        }
        (_, Some(cause)) if error.is_connect() => format!("Cannot connect to {host}: {cause}"),
        (_, Some(cause)) => format!("Request to {host} failed: {cause}"),
        (_, None) => format!("Request to {host} failed: {error}"),
    }
}
