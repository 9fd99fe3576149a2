//! Bounds on clients: how long they may take, and how much they may send.

use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};

/// Bound on how long a stopping process waits for its last requests.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Bound on the headers of a request, in bytes.
pub(super) const MAX_HEADERS: u32 = 64 * 1024;

/// Bound on the requests of one HTTP/2 connection that are under way at a time.
const MAX_STREAMS: u32 = 100;

/// How often a certificate's files are read. A mounted Secret is swapped as a whole folder, which is easier to see in the
/// content of the files than to be told of.
const RELOAD: Duration = Duration::from_secs(5);

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
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
    /// A builder of HTTP connections that keeps to these limits.
    pub(super) fn http(self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.head).max_buf_size(MAX_HEADERS as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping.0)
            .keep_alive_timeout(self.ping.1)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS);
        builder
    }
}
