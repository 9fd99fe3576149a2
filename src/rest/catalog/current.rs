//! Webhooks as they are in the API server when a call asks for them, whichever replica has written them last.
//!
//! ```text
//! one that is known ─► has it changed? ─┬─ no ─► what is at hand
//!                                       └─► it is read
//! one that is not ─► all of its namespace: their versions ─► those that have changed are read, those that are gone removed
//! ```
//! The first costs the API server one small answer. The second is made where nothing was found, and one round serves all who wait.

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::http::StatusCode;
use kube::{ResourceExt, api::ListParams};

use super::{CachedWebhook, Catalog, NameKind, Reservation};
use crate::{
    errors::error_chain,
    kubernetes::{
        name::{NamespacedName, name_of},
        objects::{self, ObjectMeta, ObjectState},
    },
    resources::Webhook,
    rest::{
        error::ApiError,
        freshness::{PATIENCE, Standing},
    },
};

/// With so many webhooks of one name, each of them is not asked about: all of the namespace are.
const NAMESAKES: usize = 4;

impl Catalog {
    /// The webhook with an id, as it is at some moment after this is called.
    ///
    /// # Errors
    /// There is none: 404. It is not known, and the API server does not say: 503.
    pub(crate) async fn current(&self, namespace: &str, id: &str) -> Result<Arc<CachedWebhook>, ApiError> {
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
        let known = self.with_name(namespace, name);
        if known.len() <= NAMESAKES {
            for webhook in known {
                self.confirmed(webhook).await;
            }
            if !self.with_name(namespace, name).is_empty() {
                return Ok(());
            }
        }
        self.catch_up(namespace).await
    }

    /// Reserves a display name as [`Catalog::reserve`] does, also where the webhook that had it has another by now, or is gone.
    pub(crate) async fn reserve_name(
        &self,
        namespace: &str,
        name: &str,
        except: Option<&CachedWebhook>,
    ) -> Option<Reservation<'_>> {
        let reserve = || self.reserve(namespace, NameKind::Display, name, except);
        if let Some(reservation) = reserve() {
            return Some(reservation);
        }
        for webhook in self.with_name(namespace, name).into_iter().take(NAMESAKES) {
            self.confirmed(webhook).await;
        }
        reserve()
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
            Standing::Changed => match self.read(&name).await {
                Ok(current) => current,
                Err(_) => Some(known),
            },
        }
    }

    /// Reads a webhook; None if it is gone.
    async fn read(&self, name: &NamespacedName) -> Result<Option<Arc<CachedWebhook>>, objects::Error> {
        let found = self.objects.get::<Webhook>(&name.namespace, &name.name).await?;
        if found.is_none() {
            self.forget(name);
        }
        Ok(found.and_then(|webhook| self.insert(webhook)))
    }

    /// Takes in that there is no webhook of this name.
    fn forget(&self, name: &NamespacedName) {
        let state = self.state.read();
        let known =
            state.namespaces.get(&name.namespace).and_then(|webhooks| webhooks.by_name.get(&*name.name)).cloned();
        drop(state);
        if let Some(known) = known {
            self.delete(&known);
        }
    }

    /// Has all webhooks of a namespace be known as they are at some moment after this is called.
    async fn catch_up(&self, namespace: &str) -> Result<(), ApiError> {
        let round = async {
            let caught_up = tokio::time::timeout(PATIENCE, self.round(namespace)).await;
            caught_up.unwrap_or_else(|_| Err(away("no answer in time")))
        };
        self.rounds.next(namespace, round).await
    }

    async fn round(&self, namespace: &str) -> Result<(), ApiError> {
        let began = Instant::now();
        let mut listed = HashMap::new();
        let take = |metadata: ObjectMeta| {
            let name = metadata.name.clone().unwrap_or_default();
            listed.insert(name, ObjectState::in_metadata(&metadata));
        };
        let everything = self.objects.each_metadata::<Webhook>(Some(namespace), ListParams::default(), take).await;
        everything.map_err(|error| away(&error_chain(&error)))?;
        for name in self.changed(namespace, &listed) {
            match self.read(&NamespacedName::new(namespace, name)).await {
                Err(error) if !error.is_final() => return Err(ApiError::from(&error)),
                // One that can't be read is not shown; the watch tells why.
                _ => {}
            }
        }
        self.retain_in(namespace, |name| listed.contains_key(name), began);
        Ok(())
    }

    /// The names of the listed webhooks that are not known in the state that they have.
    fn changed(&self, namespace: &str, listed: &HashMap<String, ObjectState>) -> Vec<String> {
        let state = self.state.read();
        let webhooks = state.namespaces.get(namespace);
        let known = |name: &String| Some(ObjectState::in_metadata(&webhooks?.by_name.get(name)?.webhook.metadata));
        listed.iter().filter(|(name, is)| known(name).as_ref() != Some(is)).map(|(name, _)| name.clone()).collect()
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

/// The answer to a call for something that is not known here, and that the API server may know.
fn away(why: &str) -> ApiError {
    tracing::warn!(
        error = why,
        "failed to list webhooks that may have been written elsewhere; the call was answered with 503"
    );
    let detail = "The Kubernetes API can't be asked at the moment: try again.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
}
