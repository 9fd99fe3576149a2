//! Why a request got no answer, and why there is no sender.

use super::proxy::InvalidProxy;
use crate::{
    core::address::{ClosedHost, RefusedAddress},
    metrics::AttemptCode,
};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a sender can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The system's certificate authorities can't be used.
    #[error("use the system's certificate authorities")]
    Authorities(#[from] rustls::Error),
    /// The HTTP client can't be made.
    #[error("make an HTTP client")]
    Client(#[from] reqwest::Error),
    /// The proxy settings can't be used.
    #[error("set up the proxies")]
    Proxy(#[from] InvalidProxy),
}

/// Why one request got no answer, or none that can be used.
pub(super) enum ExchangeError {
    /// The gate was closed: nothing was sent.
    GateClosed,
    /// The host is no name that a name server could be asked for.
    InvalidHost,
    /// The host's name does not resolve.
    UnresolvedHost,
    /// The request may not go there.
    Refused(RefusedName),
    /// The host refused the connection, or there is no way to it. In one clause.
    Unreached(String),
    /// Where, and in one clause why. Another time it may work.
    Failed(AttemptCode, String),
    /// In one clause. An answer came that can't be used, nor would another one.
    UnusableResponse(String),
}

/// The gate was closed when there was a connection at last: nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("requests may not go out now")]
pub(super) struct GateClosed;

/// The host's name does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve name")]
pub(super) struct UnresolvedHost;

/// What may not be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// An address.
    #[error(transparent)]
    Address(RefusedAddress),
    /// A host, whatever its addresses are.
    #[error(transparent)]
    Host(ClosedHost),
}

impl Refusal {
    /// The reason without the address or the host.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Address(refused) => refused.what,
            Self::Host(closed) => closed.what(),
        }
    }
}

/// A host may not be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub(super) struct RefusedName {
    /// Why, for the administrator.
    pub(super) refusal: Refusal,
    /// Whether nobody else is to learn it: that the name has an address says what there is where they may not look. To them, it
    /// is as if the name did not exist.
    pub(super) is_hidden: bool,
}

impl From<Refusal> for ExchangeError {
    /// A refusal for what the request itself says.
    fn from(refusal: Refusal) -> Self {
        Self::Refused(RefusedName { refusal, is_hidden: false })
    }
}

/// It is not known where a Service leads. In one clause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UnknownService(pub(super) String);

/// A proxy made no tunnel. In one clause that names the proxy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TunnelError(pub(super) String);
