//! Follows the AlertGroups as the watch shows them.

use std::{collections::HashSet, sync::Arc};

use kube::Resource;
use tokio::sync::SetOnce;

use crate::{
    controller::deliveries::Deliveries,
    core::lifecycle::Input,
    kubernetes::{
        index::{Index, follow},
        lenient::Lenient,
        name::{NamespacedName, name_of},
        watch::{Selection, Watches, on_listed},
    },
    resources::AlertGroup,
};

/// Takes in what the watch shows. Never returns. Sets `listed` when the first list has ended.
pub(crate) async fn watch(watches: &Watches, deliveries: Arc<Deliveries>, listed: Arc<SetOnce<()>>) {
    let index = AlertGroupIndex { deliveries, before: HashSet::new() };
    follow(watches.objects::<AlertGroup>(Selection::default()), index, on_listed(&listed)).await;
}

/// Nobody but the operator writes AlertGroups: of one that it knows, the watch tells no more than that it is gone.
struct AlertGroupIndex {
    deliveries: Arc<Deliveries>,
    /// The alert groups that were written before a list began: of others it may not tell.
    before: HashSet<NamespacedName>,
}

impl AlertGroupIndex {
    fn take_in(&self, object: &Lenient<AlertGroup>) {
        let name = name_of(object);
        if self.deliveries.knows_alert_group(&name) {
            return;
        }
        let stored = match &object.0 {
            Ok(group) => group.stored().ok_or_else(|| "it has no status of the operator's".to_owned()),
            Err(unreadable) => Err(unreadable.error.clone()),
        };
        let status = object.0.as_ref().ok().and_then(|group| group.status.as_ref());
        if status.is_some_and(|status| status.wiped.as_ref().is_some_and(|wiped| wiped.completed.is_none())) {
            // An earlier process has not come to its end.
            self.deliveries.clean_wiped(name.clone());
        }
        match stored {
            Ok(group) => self.deliveries.handle(Input::AlertGroupListed(name.namespace, Box::new(group))),
            Err(error) => {
                let (namespace, group) = (&*name.namespace, &*name.name);
                tracing::warn!(
                    namespace,
                    alert_group = group,
                    error,
                    "an AlertGroup can't be read; further alerts open another one"
                );
            }
        }
    }
}

impl Index for AlertGroupIndex {
    type Object = Lenient<AlertGroup>;
    type Listed = NamespacedName;

    fn begin_list(&mut self) {
        self.before = self.deliveries.stored_alert_groups();
    }

    fn list(&mut self, object: &Lenient<AlertGroup>) -> NamespacedName {
        self.take_in(object);
        name_of(object)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        for name in &listed {
            self.before.remove(name);
        }
        self.before.drain().for_each(|name| self.deliveries.handle(Input::AlertGroupGone(name)));
    }

    fn apply(&mut self, object: &Lenient<AlertGroup>) {
        if object.meta().deletion_timestamp.is_none() {
            self.take_in(object);
        }
    }

    fn delete(&mut self, object: &Lenient<AlertGroup>) {
        self.deliveries.handle(Input::AlertGroupGone(name_of(object)));
    }
}
