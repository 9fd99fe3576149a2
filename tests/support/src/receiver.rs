//! An HTTP receiver on loopback, which keeps each request and answers as it is told.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// When its body was read.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values, in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Received {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// An answer of the receiver.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
    /// Headers beside those that every answer has. One that is not legal is left out.
    pub headers: Vec<(&'static str, String)>,
    /// How long the answer is held back.
    pub delay: Duration,
}

impl Answer {
    /// An answer at once.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), headers: Vec::new(), delay: Duration::ZERO }
    }
}

/// Bound on what closing and opening may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Respond = dyn Fn(&Received) -> Answer + Send + Sync;

struct Shared {
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    respond: Box<Respond>,
}

/// Listens until it is dropped, but for the time between [`Receiver::close`] and [`Receiver::open`].
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    /// Ends the listening and the connections when it is dropped.
    open: Option<oneshot::Sender<()>>,
}

impl Receiver {
    /// Listens on a free port of loopback and answers each request with what `respond` gives.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(respond: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Result<Self> {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?, respond)
    }

    /// Answers each request that comes to `listener` with what `respond` gives.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn on(listener: TcpListener, respond: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { received: Mutex::default(), count: watch::Sender::new(0), respond: Box::new(respond) });
        let (server, open) = serve(listener, Arc::clone(&shared));
        Ok(Self { address, shared, server, open: Some(open) })
    }

    /// Ends the listening and, when what is on its way is answered, all connections, as a restart of a receiver does. Returns
    /// when they have ended.
    ///
    /// # Errors
    /// They have not within a minute.
    pub async fn close(&mut self) -> Result<()> {
        self.open = None;
        tokio::time::timeout(PATIENCE, &mut self.server)
            .await
            .context("close the receiver")?
            .context("close the receiver")
    }

    /// Listens again, at the same address.
    ///
    /// # Errors
    /// The port is somebody else's for a minute.
    pub async fn open(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                // A connection of somebody else's may have been given the port meanwhile.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => return Err(anyhow!(error).context("get the receiver's port back")),
            }
        };
        let (server, open) = serve(listener, Arc::clone(&self.shared));
        (self.server, self.open) = (server, Some(open));
        Ok(())
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that have arrived, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// Waits until `count` requests have arrived, and returns all that have.
    ///
    /// # Errors
    /// They have not within `limit`.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Received>> {
        let all_there = self.wait_until(limit, |received| received.len() >= count).await;
        all_there.with_context(|| format!("wait for {count} requests"))
    }

    /// Waits until the requests that have arrived are `enough`, and returns them.
    ///
    /// # Errors
    /// They are not within `limit`.
    pub async fn wait_until(&self, limit: Duration, enough: impl Fn(&[Received]) -> bool) -> Result<Vec<Received>> {
        let mut arrived = self.shared.count.subscribe();
        let all_there = arrived.wait_for(|_| enough(&self.shared.received.lock()));
        if tokio::time::timeout(limit, all_there).await.is_err() {
            bail!("{} requests arrived within {limit:?}, which is not enough", self.count());
        }
        Ok(self.received())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves until the sender that it returns is dropped.
fn serve(listener: TcpListener, shared: Arc<Shared>) -> (JoinHandle<()>, oneshot::Sender<()>) {
    let routes = Router::new().fallback(receive).with_state(shared);
    let (open, closed) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        // Ends when the receiver is closed or dropped; until then, tests notice what does not arrive.
        let closing = async move { drop(closed.await) };
        let _ = axum::serve(listener, routes).with_graceful_shutdown(closing).await;
    });
    (server, open)
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let received = Received {
        at: Instant::now(),
        method: method.to_string(),
        target: uri.to_string(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = (shared.respond)(&received);
    shared.received.lock().push(received);
    shared.count.send_modify(|count| *count += 1);
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
    for (name, value) in answer.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
