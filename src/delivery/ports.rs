//! The ports through which a [`Sender`](super::Sender) asks its surroundings. The operator provides it from its watches, its Lease and the
//! Kubernetes API; programs without a cluster take [`Ports::without_cluster`].

use std::{net::IpAddr, sync::Arc};

use futures::future::{self, BoxFuture, FutureExt};
use tokio::sync::watch;

use super::errors::{BoxError, GateClosed};
use crate::core::address::{AddressPolicy, OwnService};

/// The policy of the moment: what requests may reach.
pub type Policies = watch::Receiver<Arc<AddressPolicy>>;

/// Finds where a Service of a namespace leads at this moment; or says why that is not known, in one clause.
pub type ServiceLookup =
    Arc<dyn Fn(String, OwnService) -> BoxFuture<'static, Result<ServiceTarget, String>> + Send + Sync>;

/// The target of a Service of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceTarget {
    /// To these addresses. A connection is made to them and to no others: what is judged is what is connected to.
    Cluster {
        /// The Service's own addresses; for a headless one, or a pod behind one, the pods' that are ready. None is connected to
        /// if there are none.
        addresses: Vec<IpAddr>,
        /// All endpoints of the Service: the cluster's network leads from its addresses to these.
        endpoints: Vec<IpAddr>,
    },
    /// To whatever DNS says (`ExternalName`), like any host outside; or there is no such Service.
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
