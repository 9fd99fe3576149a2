//! The ports through which a [`Sender`](super::Sender) asks its surroundings. The operator provides it from its watches, its Lease and the
//! Kubernetes API; programs without a cluster take [`Ports::without_cluster`].

use std::{net::IpAddr, sync::Arc};

use futures::future::{self, BoxFuture, FutureExt};
use tokio::sync::watch;

use super::errors::{BoxError, GateClosed};
use crate::core::address::AddressPolicy;

/// The policy of the moment: what requests may reach.
pub type Policies = watch::Receiver<Arc<AddressPolicy>>;

/// Finds where a Service leads, by its namespace and name; or says why that is not known, in one clause.
pub type ServiceLookup = Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<ServiceTarget, String>> + Send + Sync>;

/// The target of a Service of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceTarget {
    /// To its endpoints, which have these addresses.
    Endpoints(Vec<IpAddr>),
    /// To whatever DNS says (`ExternalName`); or there is no such Service.
    External,
}

/// Whether requests may go out at this moment.
pub type SendGate = Arc<dyn Fn() -> bool + Send + Sync>;

/// Everything that a sender asks its surroundings for.
pub struct Ports {
    /// The policy of the moment.
    pub policies: Policies,
    /// Finds where Services lead.
    pub services: ServiceLookup,
    /// Is asked before each request, and again when there is a connection that was made for it.
    pub gate: SendGate,
}

impl Ports {
    /// One policy for ever, no Services, and a gate that is always open.
    #[must_use]
    pub fn without_cluster(policy: AddressPolicy) -> Self {
        let (_, policies) = watch::channel(Arc::new(policy));
        let services: ServiceLookup = Arc::new(|_, _| future::ready(Ok(ServiceTarget::External)).boxed());
        Self { policies, services, gate: Arc::new(|| true) }
    }
}

/// Gives the connection back if the gate is open.
///
/// # Errors
/// [`GateClosed`]
pub(super) fn pass_gate<T>(gate: &SendGate, connection: T) -> future::Ready<Result<T, BoxError>> {
    future::ready(if gate() { Ok(connection) } else { Err(GateClosed.into()) })
}
