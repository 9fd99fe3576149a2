//! Bounds on clients: how long they may take, and how much they may send.

use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};

/// Bound on how long a stopping process waits for its last requests.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Bound on the head of a request of the REST API, in bytes: twice what tokens of identity providers come to.
pub(super) const MAX_HEADERS: u32 = 16 * 1024;

/// Bound on the head of a request on the health port, in bytes; hyper takes no less.
const MAX_HEALTH_HEADERS: u32 = 8 * 1024;

/// Bound on the requests of one HTTP/2 connection that are under way at a time.
const MAX_STREAMS: u32 = 100;

/// How much of the body of one HTTP/2 request comes before anybody reads it, in bytes; hyper's own bound is 1 MiB.
pub(super) const STREAM_WINDOW: u32 = 32 * 1024;

/// The same of all requests of one connection: the least that HTTP/2 has.
const CONNECTION_WINDOW: u32 = 64 * 1024 - 1;

/// How much of an answer is kept for an HTTP/2 client that does not read, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// How many HTTP/2 streams of a connection may be reset before they are accepted (by the client) or for their errors (by us): a
/// client that goes on so is cut off.
const RESETS: (usize, usize) = (20, 100);

/// How often a certificate's files are read. A mounted Secret is swapped as a whole folder, which is easier to see in the
/// content of the files than to be told of.
const RELOAD: Duration = Duration::from_secs(5);

/// How long clients may take, and how much they may send before anybody reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the head of a request.
    pub(super) head_size: u32,
    /// Whether HTTP/2 is spoken.
    pub(super) http_2: bool,
    /// For the first request of a connection to come, before its place may be another's.
    pub(super) settle: Duration,
    /// For the TLS handshake.
    pub(super) handshake: Duration,
    /// For the head of a request, from the opening of the connection or, in HTTP/1, the end of the request before it:
    /// hyper counts from there, so that it bounds idle keep-alive connections too.
    pub(super) head: Duration,
    /// For reading the last answer and sending the next request, where `head` does not apply.
    pub(super) idle: Duration,
    /// For closing a connection, once asked to.
    pub(super) close: Duration,
    /// Between HTTP/2 pings, and then for their answer.
    pub(super) ping: (Duration, Duration),
    /// Between reads of the certificate's files.
    pub(super) reload: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_size: MAX_HEADERS,
            http_2: true,
            settle: Duration::from_millis(20),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            close: GRACE,
            ping: (Duration::from_secs(20), Duration::from_secs(10)),
            reload: RELOAD,
        }
    }
}

impl Limits {
    /// Limits for a port that only answers probes and scrapes.
    pub(crate) fn health() -> Self {
        let seconds = Duration::from_secs;
        let (head, close, settle) = (seconds(5), seconds(1), Duration::ZERO);
        Self { head_size: MAX_HEALTH_HEADERS, http_2: false, settle, head, close, ..Self::default() }
    }

    /// A builder of HTTP connections that keeps to these limits.
    pub(super) fn http(self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.head).max_buf_size(self.head_size as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping.0)
            .keep_alive_timeout(self.ping.1)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(self.head_size)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESETS.0)
            .max_local_error_reset_streams(RESETS.1);
        if self.http_2 { builder } else { builder.http1_only() }
    }
}
