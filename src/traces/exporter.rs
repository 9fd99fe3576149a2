//! How spans get to the collector: by the crate of OpenTelemetry, over a client of its own, which has nothing to do with that of
//! deliveries and is not traced.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use reqwest::{Certificate, redirect};
use tokio::runtime::Handle;

use super::{queue::Room, settings::Sending};
use crate::errors::error_chain;

/// Bound on the body of an answer, in bytes.
const MOST_ANSWER: usize = 64 * 1024;

/// Makes what sends spans where the environment says, with the headers that it says. It gives back their `room`, and counts those that
/// the collector did not take.
///
/// # Errors
/// There is no client, the authorities can't be read, or a variable can't be used. The message has nothing of what variables say.
pub(super) fn exporter(sending: &Sending, room: Room, not_taken: Counter) -> Result<impl SpanExporter + use<>, String> {
    let mut client = reqwest::Client::builder()
        .timeout(sending.timeout)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        // The headers, which may have a token, are for this host.
        .redirect(redirect::Policy::none());
    if let Some(file) = &sending.authorities {
        client = client.tls_certs_only(certificates(file)?);
    }
    let client = client.build().map_err(|error| error_chain(&error))?;
    let cause = Arc::default();
    let client = CollectorClient { client, runtime: Handle::current(), cause: Arc::clone(&cause) };
    let exporter = OtlpExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
    let exporter = exporter.build().map_err(|_| "a variable OTEL_EXPORTER_OTLP_… can't be used".to_owned())?;
    Ok(Told { exporter, room, not_taken, cause, is_failing: AtomicBool::new(false) })
}

/// The certificates in a file. It is read once: a process that is to trust others begins anew.
fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let told = |error| format!("read the certificates of the collector's authorities: {}", error_chain(&error));
    in_pem(&fs::read(file).map_err(told)?)
}

fn in_pem(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("the file with the certificates of the collector's authorities has none that can be read".to_owned()),
    }
}

/// Sends what the exporter has made. The exporter waits on a thread of its own, which is none of tokio's: requests are carried by the
/// process's runtime.
#[derive(Debug)]
struct CollectorClient {
    client: reqwest::Client,
    runtime: Handle,
    /// Why there was no answer the last time.
    cause: Arc<Mutex<Option<String>>>,
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = self.runtime.spawn(send(self.client.clone(), request)).await?;
        *self.cause.lock() = result.as_ref().err().map(|error| error_chain(&**error));
        result
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    // The URL may have a password.
    let answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let (parts, body) = Response::<reqwest::Body>::from(answer).into_parts();
    let body = Limited::new(body, MOST_ANSWER).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// Counts spans that are not taken, and tells in one line that they are not, and in one that they are again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    room: Room,
    not_taken: Counter,
    cause: Arc<Mutex<Option<String>>>,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    /// Never fails, since what fails has been told.
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len();
        self.room.give_back(count);
        let exported = self.exporter.export(spans).await;
        if exported.is_err() {
            self.not_taken.inc_by(count as u64);
        }
        let cause = self.cause.lock().take();
        match (exported, self.is_failing.load(Ordering::Relaxed)) {
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            (Err(error), false) => {
                let error = cause.unwrap_or_else(|| error_chain(&error));
                tracing::warn!(
                    error,
                    "failed to send spans to the collector; they are lost, as are those that follow until it takes them again"
                );
            }
            (Ok(()), false) => return Ok(()),
            (Err(_), true) => return Ok(()),
        }
        self.is_failing.fetch_xor(true, Ordering::Relaxed);
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;

    #[test]
    fn a_file_with_authorities_has_to_be_there_and_to_have_some() {
        let found = |pem: &str| in_pem(pem.as_bytes()).map(|found| found.len());
        let pem = generate_simple_self_signed(["collector.example".to_owned()]).unwrap().cert.pem();
        assert_eq!([found(&pem), found(&pem.repeat(2))], [Ok(1), Ok(2)]);
        let none = "the file with the certificates of the collector's authorities has none that can be read";
        assert_eq!([found(""), found("a text")], [Err(none.to_owned()), Err(none.to_owned())]);
        let missing = certificates(Path::new("/nowhere/ca.crt")).map(|found| found.len());
        let words = "read the certificates of the collector's authorities: No such file or directory (os error 2)";
        assert_eq!(missing, Err(words.to_owned()));
    }
}
