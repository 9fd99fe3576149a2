//! Events' data, kept at hand within a budget. What is not there is read again.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::core::event::EventData;

/// Bound on all of them, in bytes.
const BUDGET: u64 = 128 * 1024 * 1024;
/// About as many as there are of a usual size.
const USUAL: usize = 10_000;

#[derive(Clone)]
struct DataWeight;

impl Weighter<String, Arc<EventData>> for DataWeight {
    fn weight(&self, uid: &String, data: &Arc<EventData>) -> u64 {
        (uid.len() + data.size()) as u64
    }
}

/// By the uid of the event.
pub(crate) struct Payloads(Cache<String, Arc<EventData>, DataWeight>);

impl Payloads {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(USUAL, BUDGET, DataWeight))
    }

    pub(crate) fn insert(&self, uid: &str, data: Arc<EventData>) {
        self.0.insert(uid.to_owned(), data);
    }

    pub(crate) fn get(&self, uid: &str) -> Option<Arc<EventData>> {
        self.0.get(uid)
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.0.remove(uid);
    }
}
