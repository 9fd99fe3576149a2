//! What the watch shows of alert groups that somebody waits for.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch::{self, Receiver, Sender};

use super::listed::ListedAlertGroup;
use crate::kubernetes::name::NamespacedName;

/// What was last seen of an alert group since somebody waits for it.
#[derive(Clone, Debug)]
pub(crate) enum Sighting {
    /// Nothing yet.
    Nothing,
    /// Its state, and the uids of the events that have changed it.
    State(Arc<ListedAlertGroup>, Vec<String>),
    /// It is gone.
    Gone,
}

/// The alert groups that somebody waits for.
#[derive(Default)]
pub(super) struct Sightings(Mutex<HashMap<NamespacedName, Sender<Sighting>>>);

impl Sightings {
    /// Follows an alert group from now on.
    pub(super) fn follow(&self, name: &NamespacedName) -> Receiver<Sighting> {
        let mut followed = self.0.lock();
        followed.retain(|_, sender| sender.receiver_count() > 0);
        followed.entry(name.clone()).or_insert_with(|| watch::channel(Sighting::Nothing).0).subscribe()
    }

    /// Tells those who wait for an alert group what was seen of it.
    pub(super) fn tell(&self, name: &NamespacedName, seen: impl FnOnce() -> Sighting) {
        if let Some(sender) = self.0.lock().get(name) {
            sender.send_replace(seen());
        }
    }
}
