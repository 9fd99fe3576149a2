//! The receiver: books every request when it is there and what became of it, and can be restarted.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode, body::Bytes, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    answers::{Odds, PlannedAnswer},
    clock::Clock,
    load::{Delivery, EventId, TIMEOUT, webhook_number},
};

/// Bound on a body; the webhooks' are far smaller.
const MAX_BODY: usize = 64 * 1024;
/// How long a port may be somebody else's when it is wanted back.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// A request as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedRequest {
    pub(crate) delivery: Delivery,
    /// Its header `webhook-id`.
    pub(crate) id: String,
    /// When its body was read.
    pub(crate) arrived: Duration,
    pub(crate) planned: PlannedAnswer,
    /// When its answer was given to the connection, whole. None if the receiver ended before.
    pub(crate) answered: Option<Duration>,
}

/// All requests that have arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLog {
    /// In the order of arrival.
    pub(crate) requests: Vec<LoggedRequest>,
    pub(crate) attempts: HashMap<Delivery, usize>,
    /// Requests that no delivery can have sent.
    pub(crate) strange: usize,
}

struct Shared {
    log: Mutex<RequestLog>,
    /// How many deliveries have arrived at all.
    arrived: watch::Sender<usize>,
    odds: Odds,
    clock: Clock,
    event_of: EventOf,
}

/// Finds the event that the body of a request tells of.
pub(crate) type EventOf = fn(&[u8]) -> Option<EventId>;

/// Listens on loopback, between [`Receiver::open`] and [`Receiver::close`].
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<Infallible>>,
}

impl Receiver {
    /// Listens on a free port.
    pub(crate) async fn start(odds: Odds, clock: Clock, event_of: EventOf) -> Result<Self> {
        let log = Mutex::default();
        let shared = Arc::new(Shared { log, arrived: watch::Sender::new(0), odds, clock, event_of });
        let mut receiver = Self { address: (Ipv4Addr::LOCALHOST, 0).into(), shared, server: None };
        receiver.open().await?;
        Ok(receiver)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many deliveries have arrived at all.
    pub(crate) fn arrived(&self) -> watch::Receiver<usize> {
        self.shared.arrived.subscribe()
    }

    pub(crate) fn request_log(&self) -> RequestLog {
        self.shared.log.lock().clone()
    }

    /// Listens again.
    pub(crate) async fn open(&mut self) -> Result<()> {
        let bind = async {
            loop {
                match TcpListener::bind(self.address).await {
                    // A connection of somebody else's may have been given the port meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    result => return result,
                }
            }
        };
        let bound = tokio::time::timeout(PORT_PATIENCE, bind).await;
        let listener = bound.ok().transpose().context("listen on loopback")?.context("get the receiver's port back")?;
        self.address = listener.local_addr().context("read the receiver's address")?;
        self.server = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
        Ok(())
    }

    /// Ends the listening and all connections, as the end of a process does. Nothing is logged once this has returned.
    pub(crate) async fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&shared)))),
                // No file is free: one will be when a connection has ended.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    // Ends with an error where it is to end without an answer, and where the sender does not wait for one.
    let answer = service_fn(|request| answer(request, Arc::clone(&shared)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Books a request and does with it what the seed says. An error ends the connection without an answer.
async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>> {
    let webhook = webhook_number(request.uri().path().trim_start_matches('/'));
    let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("read a request: {error}"))?.to_bytes();
    let delivery = webhook.zip((shared.event_of)(&body)).map(|(webhook, event)| Delivery { webhook, event });
    let (Some(delivery), Some(id)) = (delivery, id) else {
        shared.log.lock().strange += 1;
        return Ok(response(StatusCode::BAD_REQUEST));
    };

    let (number, planned) = log_request(&shared, delivery, id);
    match planned {
        PlannedAnswer::Taken => {
            // From here to the connection nothing waits, and so nothing ends this between.
            shared.log.lock().requests[number].answered = Some(shared.clock.now());
            Ok(response(StatusCode::OK))
        }
        PlannedAnswer::Error => Ok(response(StatusCode::INTERNAL_SERVER_ERROR)),
        PlannedAnswer::Busy => {
            let mut busy = response(StatusCode::SERVICE_UNAVAILABLE);
            busy.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            Ok(busy)
        }
        PlannedAnswer::Silence => {
            tokio::time::sleep(2 * TIMEOUT).await;
            anyhow::bail!("silence")
        }
        PlannedAnswer::HangUp => anyhow::bail!("hang-up"),
    }
}

fn log_request(shared: &Shared, delivery: Delivery, id: String) -> (usize, PlannedAnswer) {
    let mut guard = shared.log.lock();
    let log = &mut *guard;
    let attempt = log.attempts.entry(delivery).or_insert(0);
    *attempt += 1;
    let planned = shared.odds.plan(delivery, *attempt);
    // Under the lock, so that the order in the log is that of the times.
    log.requests.push(LoggedRequest { delivery, id, arrived: shared.clock.now(), planned, answered: None });
    shared.arrived.send_if_modified(|arrived| {
        let before = std::mem::replace(arrived, log.attempts.len());
        before != *arrived
    });
    (log.requests.len() - 1, planned)
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(br#"{"ok": true}"#)));
    *response.status_mut() = status;
    response
}
