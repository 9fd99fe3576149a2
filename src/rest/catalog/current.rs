//! Webhooks as they are in the API server when a call asks for them, whichever replica has written them last.
//!
//! ```text
//! one that is known ─► has it changed? ─┬─ no ─► what is at hand
//!                                       └─► it is read
//! a name that none has ─► those that the API server finds by it: their versions ─► those that have changed are read
//! one that is not ─► all of its namespace: their versions ─► those that have changed are read, those that are gone removed
//! ```
//! The first costs the API server one small answer, the second two. The third costs it a list of the namespace's webhooks, as metadata:
//! it is made where no webhook was found by an id, one at a time for a namespace, and one round serves all who wait.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt, stream};
use kube::{ResourceExt, api::ListParams};

use super::{CachedWebhook, Catalog, NameKind, Reservation};
use crate::{
    kubernetes::{
        name::{NamespacedName, name_of},
        objects::{self, Cause, ObjectMeta, ObjectState, field_selector},
    },
    resources::{Webhook, is_name},
    rest::{
        error::ApiError,
        freshness::{Standing, away, refused},
    },
};

/// With so many webhooks of one name, each of them is not asked about: all of the namespace are.
const NAMESAKES: usize = 4;
/// How many characters the name of an object in Kubernetes has at most.
const LONGEST_NAME: usize = 253;
/// How many webhooks of a namespace are read at a time.
const READS: usize = 8;

impl Catalog {
    /// The webhook with an id, as it is at some moment after this is called; where the API server does not say, as it is known.
    ///
    /// # Errors
    /// There is none: 404. It is not known, and the API server does not say: 503.
    pub(crate) async fn current(&self, namespace: &str, id: &str) -> Result<Arc<CachedWebhook>, ApiError> {
        let found = self.freshness.in_time(self.look_up(namespace, id)).await;
        found.unwrap_or_else(|| self.get(namespace, id).ok_or_else(away))
    }

    async fn look_up(&self, namespace: &str, id: &str) -> Result<Arc<CachedWebhook>, ApiError> {
        if let Some(known) = self.get(namespace, id)
            && let Some(current) = self.confirmed(known).await
            && current.id == *id
        {
            return Ok(current);
        }
        self.catch_up(namespace).await?;
        self.get(namespace, id).ok_or_else(ApiError::not_found)
    }

    /// Has the webhooks with a display name be known as they are at some moment after this is called.
    ///
    /// # Errors
    /// None is known, and the API server does not say: 503.
    pub(crate) async fn catch_up_on_name(&self, namespace: &str, name: &str) -> Result<(), ApiError> {
        let caught_up = self.freshness.in_time(self.look_up_name(namespace, name)).await;
        caught_up.unwrap_or_else(|| if self.with_name(namespace, name).is_empty() { Err(away()) } else { Ok(()) })
    }

    async fn look_up_name(&self, namespace: &str, name: &str) -> Result<(), ApiError> {
        let known = self.with_name(namespace, name);
        if known.len() <= NAMESAKES {
            for webhook in known {
                self.confirmed(webhook).await;
            }
            if !self.with_name(namespace, name).is_empty() || self.find_named(namespace, name).await? {
                return Ok(());
            }
        }
        self.catch_up(namespace).await
    }

    /// Has the webhooks be known that have a display name which none is known to have. Returns whether the API server could be asked for
    /// these alone: with definitions of an earlier version it can't, and where there are many, it is to be asked for all.
    async fn find_named(&self, namespace: &str, name: &str) -> Result<bool, ApiError> {
        let named = ListParams::default().fields(&field_selector("spec.name", name));
        let listed = match self.listed(namespace, named).await {
            Ok(listed) => listed,
            Err(cause) if cause.code() == Some(400) => return Ok(false),
            Err(cause) => return Err(refused(namespace, "list the webhooks of a name", &cause)),
        };
        let mut names: HashSet<String> = self.changed(namespace, &listed).into_iter().map(|(name, _)| name).collect();
        // One that states none has its name in Kubernetes.
        if is_name(name, LONGEST_NAME, true) {
            names.insert(name.to_owned());
        }
        if names.len() > NAMESAKES {
            return Ok(false);
        }
        for name in names {
            match self.read(&NamespacedName::new(namespace, name)).await {
                Err(error) if !error.is_final() => return Err(ApiError::from(&error)),
                // It is known now, or gone, or can't be read.
                _ => {}
            }
        }
        Ok(true)
    }

    /// Reserves a display name as [`Catalog::reserve`] does, by the names that webhooks have at some moment after this is called:
    /// another replica may have given it to one, or taken it from one.
    ///
    /// # Errors
    /// None is known, and the API server does not say: 503.
    pub(crate) async fn reserve_name(
        &self,
        namespace: &str,
        name: &str,
        except: Option<&CachedWebhook>,
    ) -> Result<Option<Reservation<'_>>, ApiError> {
        self.catch_up_on_name(namespace, name).await?;
        Ok(self.reserve(namespace, NameKind::Display, name, except))
    }

    fn with_name(&self, namespace: &str, name: &str) -> Vec<Arc<CachedWebhook>> {
        let state = self.state.read();
        state.namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.named(name)).cloned().collect()
    }

    /// A webhook as it is now; None if it is gone. Where the API server does not say, as it is known.
    async fn confirmed(&self, known: Arc<CachedWebhook>) -> Option<Arc<CachedWebhook>> {
        let name = name_of(&known.webhook);
        match self.freshness.of::<Webhook>(&name, &ObjectState::in_metadata(&known.webhook.metadata)).await {
            Standing::Unchanged | Standing::Unknown => Some(known),
            Standing::Gone => {
                self.delete(&known);
                None
            }
            Standing::Changed => self.read(&name).await.unwrap_or(Some(known)),
        }
    }

    /// Reads a webhook; None if it is gone.
    async fn read(&self, name: &NamespacedName) -> Result<Option<Arc<CachedWebhook>>, objects::Error> {
        // Who comes to be known while it is read is another one.
        let known = self.of_name(name);
        let objects = self.freshness.objects();
        let found = self.freshness.answer(objects.get::<Webhook>(&name.namespace, &name.name)).await?;
        let Some(webhook) = found else {
            known.iter().for_each(|known| self.delete(known));
            return Ok(None);
        };
        Ok(self.insert(webhook))
    }

    fn of_name(&self, name: &NamespacedName) -> Option<Arc<CachedWebhook>> {
        let state = self.state.read();
        state.namespaces.get(&name.namespace)?.by_name.get(&*name.name).cloned()
    }

    /// Has all webhooks of a namespace be known as they are at some moment after this is called.
    async fn catch_up(&self, namespace: &str) -> Result<(), ApiError> {
        self.rounds.next(namespace, self.round(namespace)).await
    }

    async fn round(&self, namespace: &str) -> Result<(), ApiError> {
        // So it may have become while others made theirs.
        if self.freshness.is_silent() {
            return Err(away());
        }
        let began = Instant::now();
        let listed = self.listed(namespace, ListParams::default()).await;
        let listed = listed.map_err(|cause| refused(namespace, "list webhooks", &cause))?;
        let mut unshown = self.unshown.among(namespace, &listed);
        let changed = self.changed(namespace, &listed).into_iter().filter(|(name, _)| !unshown.contains_key(name));
        let changed: Vec<_> = changed.collect();
        let read = async |(name, is): (String, ObjectState)| {
            let found = self.read(&NamespacedName::new(namespace, &*name)).await;
            (name, is, found)
        };
        let mut reads = stream::iter(changed).map(read).buffer_unordered(READS);
        while let Some((name, is, found)) = reads.next().await {
            match found {
                Err(error) if !error.is_final() => return Err(ApiError::from(&error)),
                // The API server refuses it, and may not do so the next time.
                Err(error) if error.status().is_some() => {}
                // It is gone, or can't be read; the watch tells why.
                Ok(None) | Err(_) => {
                    unshown.insert(name, is);
                }
                Ok(Some(_)) => {}
            }
        }
        self.unshown.set(namespace, unshown);
        self.retain_in(namespace, |name| listed.contains_key(name), began);
        Ok(())
    }

    /// The webhooks of a namespace as the API server has them, by name: in which state each is. `params` may select some.
    async fn listed(&self, namespace: &str, params: ListParams) -> Result<HashMap<String, ObjectState>, Cause> {
        let mut listed = HashMap::new();
        let take = |metadata: ObjectMeta| {
            // One that waits for its finalizers does not exist any more for callers.
            if metadata.deletion_timestamp.is_none() {
                listed.insert(metadata.name.clone().unwrap_or_default(), ObjectState::in_metadata(&metadata));
            }
        };
        let objects = self.freshness.objects();
        self.freshness.answer(objects.each_metadata::<Webhook>(Some(namespace), params, take)).await?;
        Ok(listed)
    }

    /// The listed webhooks that are not known in the state that they have.
    fn changed(&self, namespace: &str, listed: &HashMap<String, ObjectState>) -> Vec<(String, ObjectState)> {
        let state = self.state.read();
        let webhooks = state.namespaces.get(namespace);
        let known = |name: &String| Some(ObjectState::in_metadata(&webhooks?.by_name.get(name)?.webhook.metadata));
        let changed = listed.iter().filter(|(name, is)| known(name).as_ref() != Some(is));
        changed.map(|(name, is)| (name.clone(), is.clone())).collect()
    }

    /// Removes the webhooks of a namespace that are not listed, unless they came to be known after the list `began`.
    fn retain_in(&self, namespace: &str, is_listed: impl Fn(&str) -> bool, began: Instant) {
        let state = self.state.read();
        let webhooks = state.namespaces.get(namespace).into_iter().flat_map(|webhooks| webhooks.by_name.values());
        let gone = webhooks.filter(|known| known.known_since < began && !is_listed(&known.webhook.name_any()));
        let gone: Vec<_> = gone.cloned().collect();
        drop(state);
        gone.iter().for_each(|known| self.delete(known));
    }
}

#[cfg(test)]
mod tests;
