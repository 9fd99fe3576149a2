//! Webhooks that are listed and that no call is shown, as they can't be read, or are gone: they are not read again as long as they
//! do not change.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::kubernetes::objects::ObjectState;

/// By name in Kubernetes, the state in which they were read in vain.
pub(super) type States = HashMap<String, ObjectState>;

/// Those of each namespace.
#[derive(Default)]
pub(super) struct Unshown(Mutex<HashMap<Arc<str>, States>>);

impl Unshown {
    /// Those of a namespace that are listed in the state in which they were read.
    pub(super) fn among(&self, namespace: &str, listed: &States) -> States {
        let unshown = self.0.lock();
        let all = unshown.get(namespace).into_iter().flatten();
        all.filter(|(name, is)| listed.get(*name) == Some(is)).map(|(name, is)| (name.clone(), is.clone())).collect()
    }

    /// Has these be all of a namespace.
    pub(super) fn set(&self, namespace: &str, states: States) {
        if states.is_empty() {
            self.0.lock().remove(namespace);
        } else {
            self.0.lock().insert(namespace.into(), states);
        }
    }
}
