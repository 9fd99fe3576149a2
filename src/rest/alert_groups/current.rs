//! Alert groups as they are in the API server when a call asks for one, whatever the watch has shown so far.

use std::sync::Arc;

use kube::api::ListParams;

use super::{AlertGroups, ListedAlertGroup, WatchedAlertGroup};
use crate::{
    kubernetes::{name::NamespacedName, objects},
    resources::AlertGroup,
    rest::{
        error::ApiError,
        freshness::{Standing, away, refused},
    },
};

impl AlertGroups {
    /// The alert group with an id, as it is at some moment after this is called; where the API server does not say, as it is known.
    ///
    /// # Errors
    /// There is none: 404. It is not known, and the API server does not say: 503.
    pub(crate) async fn current(&self, namespace: &str, id: &str) -> Result<Arc<ListedAlertGroup>, ApiError> {
        let asking = async {
            let current = match self.get(namespace, id) {
                Some(known) => self.confirmed(known).await,
                None => self.look_up(namespace, id).await?,
            };
            current.filter(|group| *group.id == *id).ok_or_else(ApiError::not_found)
        };
        let found = self.freshness.in_time(asking).await;
        found.unwrap_or_else(|| self.get(namespace, id).ok_or_else(away))
    }

    /// An alert group as it is now; None if it is gone. Where the API server does not say, as it is known.
    async fn confirmed(&self, known: Arc<ListedAlertGroup>) -> Option<Arc<ListedAlertGroup>> {
        match self.freshness.of::<AlertGroup>(&known.name, &known.state_of_object()).await {
            Standing::Unchanged | Standing::Unknown => Some(known),
            Standing::Gone => {
                self.delete(&known);
                None
            }
            Standing::Changed => self.read(&known.name).await.unwrap_or(Some(known)),
        }
    }

    /// Reads an alert group; None if it is gone, or no operator has written it yet.
    pub(super) async fn read(&self, name: &NamespacedName) -> Result<Option<Arc<ListedAlertGroup>>, objects::Error> {
        // Who comes to be known while it is read is another one.
        let known = self.of_name(name);
        let objects = self.freshness.objects();
        let part = objects.get_part::<AlertGroup, WatchedAlertGroup>(&name.namespace, &name.name);
        let Some(group) = self.freshness.answer(part).await? else {
            known.iter().for_each(|known| self.delete(known));
            return Ok(None);
        };
        Ok(self.insert(&group))
    }

    fn of_name(&self, name: &NamespacedName) -> Option<Arc<ListedAlertGroup>> {
        self.namespaces.read().get(&name.namespace)?.by_name.get(&name.name).cloned()
    }

    /// Asks for an alert group that is not known here.
    async fn look_up(&self, namespace: &str, id: &str) -> Result<Option<Arc<ListedAlertGroup>>, ApiError> {
        // Ids of alert groups have no other characters, which selectors would have to have escaped.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let mut name = None;
        let of_id = ListParams::default().fields(&format!("status.id={id}"));
        let take = |metadata: objects::ObjectMeta| name = metadata.name;
        let objects = self.freshness.objects();
        let asked = self.freshness.answer(objects.each_metadata::<AlertGroup>(Some(namespace), of_id, take)).await;
        asked.map_err(|error| refused(namespace, "list the alert group of an id", &error))?;
        match name {
            Some(name) => {
                let found = self.read(&NamespacedName::new(namespace, name)).await;
                found.map_err(|error| ApiError::from(&error))
            }
            None => Ok(None),
        }
    }
}
