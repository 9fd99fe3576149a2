//! The error of an HTTP client in; why no answer came out, in one clause that names the host.

use std::{error::Error, io};

use hyper_util::client::legacy;

use super::errors::{ExchangeError, GateClosed, RefusedName, TunnelError, UnknownService, UnresolvedHost};
use crate::metrics::AttemptCode;

/// Why no answer came from `host`.
pub(super) fn explain(error: &(dyn Error + 'static), host: &str) -> ExchangeError {
    if causes(error).any(<dyn Error>::is::<GateClosed>) {
        return ExchangeError::GateClosed;
    }
    if causes(error).any(<dyn Error>::is::<UnresolvedHost>) {
        return ExchangeError::UnresolvedHost;
    }
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<RefusedName>()) {
        return ExchangeError::Refused(refused.clone());
    }
    if let Some(UnknownService(message)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return ExchangeError::Failed(AttemptCode::Other, message.clone());
    }
    if let Some(TunnelError(message)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        return ExchangeError::Failed(AttemptCode::Connect, message.clone());
    }
    let message = because(error, host);
    if is_unreached(error) { ExchangeError::Unreached(message) } else { ExchangeError::Failed(code(error), message) }
}

/// Which part of the exchange failed.
fn code(error: &(dyn Error + 'static)) -> AttemptCode {
    if tls_error(error).is_some() {
        AttemptCode::Tls
    } else if io_kind(error) == Some(io::ErrorKind::TimedOut) {
        AttemptCode::Timeout
    } else if is_connect(error) {
        AttemptCode::Connect
    } else {
        AttemptCode::Other
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| innermost(cause).downcast_ref())
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref().is_some_and(legacy::Error::is_connect))
}

/// Whether the host said at once that there is no connection, or somebody on the way to it did.
fn is_unreached(error: &(dyn Error + 'static)) -> bool {
    let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable];
    is_connect(error) && io_kind(error).is_some_and(|kind| kinds.contains(&kind))
}

/// Why the body of an answer from `host` did not come to its end.
pub(super) fn explain_body(error: &(dyn Error + 'static), host: &str) -> ExchangeError {
    ExchangeError::Failed(
        AttemptCode::Other,
        match hyper_error(error) {
            Some(error) if error.is_incomplete_message() => {
                format!("Connection closed by {host} before its answer ended")
            }
            _ if matches!(io_kind(error), Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)) => {
                format!("Connection closed by {host} before its answer ended")
            }
            _ => format!("The answer of {host} is not HTTP: {}", last_cause(error)),
        },
    )
}

/// Why nothing came from `host`, in one clause that names it.
pub(super) fn because(error: &(dyn Error + 'static), host: &str) -> String {
    if let Some(tls) = tls_error(error) {
        return format!("TLS with {host} failed: {tls}");
    }
    let hyper = hyper_error(error);
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
        _ if is_connect(error) => {
            format!("Cannot connect to {host}: {}", last_cause(error))
        }
        _ => format!("Request to {host} failed: {}", last_cause(error)),
    }
}

/// The innermost cause of an error, as text.
pub(super) fn last_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

/// An error and its causes, the innermost last.
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

/// The error that an I/O error was made of, which its `source` leaves out; any other error itself.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => innermost(inner),
        None => error,
    }
}
