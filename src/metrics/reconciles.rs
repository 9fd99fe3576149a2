//! How often statuses were brought up to date.

use std::future::{Ready, ready};

use kube::{
    Resource,
    runtime::{controller, reflector::ObjectRef},
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::describe;

/// Kind and result.
type Labels = [(&'static str, String); 2];

/// What kube-runtime's controller says of one reconciliation.
type Reconciled<K, A, E, Q> = Result<(ObjectRef<K>, A), controller::Error<E, Q>>;

/// Counts them. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReconcileMetrics(Family<Labels, Counter>);

impl ReconcileMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        describe(
            registry,
            "reconciles",
            "Times that the status of an object was brought up to date, by kind",
            self.0.clone(),
        );
    }

    /// Counts what a controller of a kind has done.
    pub(crate) fn of<K, A, E, Q>(&self) -> impl FnMut(Reconciled<K, A, E, Q>) -> Ready<()> + use<K, A, E, Q>
    where
        K: Resource<DynamicType = ()>,
        E: std::error::Error + 'static,
        Q: std::error::Error + 'static,
    {
        let count = |result: &str| {
            self.0.get_or_create_owned(&[("kind", K::kind(&()).into_owned()), ("result", result.to_owned())])
        };
        let (ok, failed) = (count("ok"), count("error"));
        move |result| {
            match result {
                Ok(_) => _ = ok.inc(),
                Err(controller::Error::ReconcilerFailed(..)) => _ = failed.inc(),
                // Nothing was begun: the object is gone, or the watch has told of its error.
                Err(_) => {}
            }
            ready(())
        }
    }
}
