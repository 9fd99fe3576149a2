//! Accepts connections, within a bound on those that are open.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// How long to wait after a connection could not be accepted because the system lacked something.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Something that goes on and on is logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts connections, up to a bound.
pub(super) struct Acceptor {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    full_log: LogThrottle,
    error_log: LogThrottle,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, max_connections: u16) -> Self {
        let permits = Arc::new(Semaphore::new(usize::from(max_connections)));
        Self { listener, permits, full_log: LogThrottle::default(), error_log: LogThrottle::default() }
    }

    /// Waits for the next connection; its permit is to be kept as long as it is open. At the bound, further connections
    /// wait in the listener's backlog.
    ///
    /// # Errors
    /// The socket does not listen any more.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                if self.full_log.is_due(Instant::now()) {
                    tracing::warn!("as many connections as --max-connections allows are open; new ones wait");
                }
                Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?
            }
        };
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, address)) => return Ok((stream, address, permit)),
                Err(error) => error,
            };
            match AcceptError::from(&error) {
                AcceptError::Client => {}
                AcceptError::System => {
                    if self.error_log.is_due(Instant::now()) {
                        tracing::error!(%error, "accept connections of the REST API; will try again");
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
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    fn is_due(&mut self, now: Instant) -> bool {
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
