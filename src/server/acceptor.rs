//! Accepts connections, within bounds on those that are open.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::connections::{Connections, Entry};

/// How long to wait after a connection could not be accepted because the system lacked something.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Something that goes on and on is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts connections, up to bounds in all and for each peer.
pub(super) struct Acceptor {
    listener: TcpListener,
    connections: Arc<Connections>,
    /// What the port is for, in logs.
    port: &'static str,
    full_log: LogThrottle,
    peer_log: LogThrottle,
    error_log: LogThrottle,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, connections: Arc<Connections>, port: &'static str) -> Self {
        let (full_log, peer_log, error_log) = Default::default();
        Self { listener, connections, port, full_log, peer_log, error_log }
    }

    /// Waits for the next connection that may be open, or may wait for that. While all places are in use, further ones wait in the
    /// listener's backlog.
    ///
    /// # Errors
    /// The socket does not listen any more.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr, Entry)> {
        loop {
            let (stream, address) = self.accept_any().await?;
            let (port, log) = (self.port, &mut self.full_log);
            let full = || {
                if log.is_due(Instant::now()) {
                    tracing::warn!(port, "all connections that this port may have are open and in use; new ones wait");
                }
            };
            match self.connections.admit(address.ip(), full).await {
                Ok(entry) => return Ok((stream, address, entry)),
                Err(_) if self.peer_log.is_due(Instant::now()) => {
                    tracing::warn!(port, peer = %address.ip(), "a peer has as many connections as one may have; further ones are refused");
                }
                Err(_) => {}
            }
        }
    }

    async fn accept_any(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            match AcceptError::from(&error) {
                AcceptError::Client => {}
                AcceptError::System => {
                    if self.error_log.is_due(Instant::now()) {
                        tracing::error!(%error, port = self.port, "failed to accept a connection; trying again");
                    }
                    sleep(RETRY_DELAY).await;
                }
                AcceptError::Socket => return Err(error),
            }
        }
    }
}

/// Why a connection was not accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AcceptError {
    /// The client went away; there is a next one.
    Client,
    /// The system lacks files or memory, which may pass.
    System,
    /// The socket does not listen.
    Socket,
}

impl From<&io::Error> for AcceptError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted => Self::Client,
            ErrorKind::InvalidInput => Self::Socket,
            _ => Self::System,
        }
    }
}

/// Tells when something that goes on and on is to be logged again.
#[derive(Default)]
pub(super) struct LogThrottle(Option<Instant>);

impl LogThrottle {
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_does_not_listen_ends_the_listener() {
        // Linux' numbers.
        for (name, number, expected) in [
            ("EINTR", 4, AcceptError::Client),
            ("ENOMEM", 12, AcceptError::System),
            ("EINVAL", 22, AcceptError::Socket),
            ("ENFILE", 23, AcceptError::System),
            ("EMFILE", 24, AcceptError::System),
            ("EPROTO", 71, AcceptError::System),
            ("ENETDOWN", 100, AcceptError::System),
            ("ECONNABORTED", 103, AcceptError::Client),
            ("ECONNRESET", 104, AcceptError::Client),
            ("ENOBUFS", 105, AcceptError::System),
        ] {
            assert_eq!(AcceptError::from(&io::Error::from_raw_os_error(number)), expected, "{name}");
        }
    }

    #[test]
    fn something_that_goes_on_is_logged_once_a_minute() {
        let (mut log, start) = (LogThrottle::default(), Instant::now());
        let seconds = [0, 1, 59, 60, 61, 119, 120];
        let due = seconds.map(|seconds| log.is_due(start + Duration::from_secs(seconds)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
