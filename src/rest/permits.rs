//! Bounds on things that calls do at a time, such as holding bodies in memory or trying templates out. A namespace gets no
//! more than its part, so that it does not hold up the others.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// Bound on a wait for permits.
const WAIT: Duration = Duration::from_secs(10);

/// A number of permits that calls of all namespaces share.
pub(crate) struct Permits {
    all: Arc<Semaphore>,
    /// How many one namespace may have at a time.
    each: u32,
    namespaces: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
    wait: Duration,
    /// The answer to a call that waited in vain.
    busy: &'static str,
}

/// Some of the permits, which are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_namespace: OwnedSemaphorePermit,
}

impl Permits {
    /// `all` permits, of which a namespace may have `each`.
    pub(crate) fn new(all: u32, each: u32, busy: &'static str) -> Self {
        Self { all: Arc::new(Semaphore::new(all as usize)), each, namespaces: Mutex::default(), wait: WAIT, busy }
    }

    /// Waits for `amount` permits, which is at most what a namespace may have.
    ///
    /// # Errors
    /// It takes too long: 503.
    pub(crate) async fn take(&self, namespace: &Arc<str>, amount: u32) -> Result<Permit, ApiError> {
        let of_namespace = self.of_namespace(namespace);
        let taking = async {
            // In this order, a call that waits for its namespace's part keeps nothing from other namespaces.
            let of_namespace = of_namespace.acquire_many_owned(amount).await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_many_owned(amount).await.ok()?;
            Some(Permit { _of_all: of_all, _of_namespace: of_namespace })
        };
        let permit = tokio::time::timeout(self.wait, taking).await.ok().flatten();
        permit.ok_or_else(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, self.busy).after(1))
    }

    fn of_namespace(&self, namespace: &Arc<str>) -> Arc<Semaphore> {
        let mut namespaces = self.namespaces.lock();
        if let Some(known) = namespaces.get(namespace).and_then(Weak::upgrade) {
            return known;
        }
        namespaces.retain(|_, of_namespace| of_namespace.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.each as usize));
        namespaces.insert(Arc::clone(namespace), Arc::downgrade(&new));
        new
    }

    /// The same with another bound on a wait.
    #[cfg(test)]
    pub(crate) fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_namespace_gets_no_more_than_its_part_until_it_gives_something_back() {
        let permits = Permits::new(4, 2, "busy").waiting(Duration::from_millis(20));
        let [a, b, c] = ["a", "b", "c"].map(Arc::from);
        let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy").after(1);
        let refused = async |namespace, amount| permits.take(namespace, amount).await.map(drop).err();
        let first = permits.take(&a, 1).await.unwrap();
        let second = permits.take(&a, 1).await.unwrap();
        assert_eq!(refused(&a, 1).await, Some(busy.clone()), "it has its part");
        let third = permits.take(&b, 2).await.unwrap();
        assert_eq!(refused(&c, 1).await, Some(busy.clone()), "all is taken");
        drop(first);
        assert_eq!(refused(&c, 2).await, Some(busy));
        assert_eq!(refused(&c, 1).await, None);
        assert_eq!(refused(&a, 1).await, None);
        drop((second, third));
        assert_eq!(refused(&c, 2).await, None);
        assert_eq!(permits.namespaces.lock().len(), 1, "those that have nothing are forgotten");
        assert_eq!(permits.all.available_permits(), 4);
    }

    #[tokio::test]
    async fn a_waiting_call_gets_what_is_given_back() {
        let permits = Permits::new(1, 1, "busy");
        let namespace = Arc::from("a");
        let first = permits.take(&namespace, 1).await.unwrap();
        let second = permits.take(&namespace, 1);
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(second.is_ok());
    }
}
