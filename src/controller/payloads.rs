//! Events' data, kept at hand within a budget in bytes. Data that is not at hand is read again from the API server.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::{
    core::event::EventData,
    memory::{CACHE_ENTRY, cache},
};

/// About how many bytes an event usually has.
const USUAL: u64 = 8 * 1024;

#[derive(Clone)]
struct DataWeight;

impl Weighter<String, Arc<EventData>> for DataWeight {
    fn weight(&self, uid: &String, data: &Arc<EventData>) -> u64 {
        CACHE_ENTRY + (uid.len() + data.size()) as u64
    }
}

/// The data of events, by the uid of the event.
pub(crate) struct Payloads(Cache<String, Arc<EventData>, DataWeight>);

impl Payloads {
    /// Keeps data of up to `budget` bytes.
    pub(crate) fn new(budget: u64) -> Self {
        Self(cache(budget, USUAL, DataWeight))
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
