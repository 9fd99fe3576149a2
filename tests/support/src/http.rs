//! A client of a server's API on loopback: JSON in, text or JSON out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, header::CONTENT_TYPE},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where a server is.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The server's name, for errors.
    name: &'static str,
    url: String,
    client: Client<HttpConnector, Body>,
}

impl Endpoint {
    /// `url` has no path.
    pub(crate) fn new(name: &'static str, url: String) -> Self {
        // A connection to a process that was ended is of no use for its successor.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { name, url, client }
    }

    /// Such as `http://127.0.0.1:40123`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.call(Method::GET, path, None).await?;
        serde_json::from_str(&answer).with_context(|| format!("parse {path} of {}", self.name))
    }

    /// What it answers to a request, if it is well.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<String> {
        let what = format!("{method} {path} of {} at {}", self.name, self.url);
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header(CONTENT_TYPE, "application/json").body(body).context("make a request")?;
        let answer = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), usize::MAX).await?;
            anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let answer = tokio::time::timeout(ANSWER, answer).await;
        let (status, body) = answer.with_context(|| what.clone())?.with_context(|| what.clone())?;
        ensure!(status.is_success(), "{what}: {status}: {}", body.trim());
        Ok(body)
    }
}
