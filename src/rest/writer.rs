//! Writes webhooks to the cluster: creates, updates and deletes them as clients ask for, with their Secrets.
//!
//! When a creation gets no answer, the API server is asked whether it was done: a client that is told of a failure tries
//! again, and must not find its own webhook in the way.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::{
    catalog::{CachedWebhook, Catalog, NameKind},
    credentials::{CredentialStore, as_read},
    error::ApiError,
    webhook::{DesiredWebhook, WebhookInput, carried_credentials, desired, unwritten},
};
use crate::{
    core::id,
    kubernetes::objects::{self, Objects},
    resources::{BLANK_FIELDS_ANNOTATION, CREATED_AT_ANNOTATION, Manager, Webhook},
};

/// How often a change is tried on a webhook that somebody else keeps changing.
const ATTEMPTS: u32 = 8;
/// By how much each wait before another attempt is longer than the one before it.
const BACKOFF: Duration = Duration::from_millis(20);
/// How many webhooks may be changed at a time, at most.
const LOCKS: usize = 64;

/// What the administrator lets clients change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteRules {
    /// Whether objects that GitOps tools manage may be changed too.
    pub(crate) allow_managed: bool,
    /// Whether credentials stay with a webhook whose URL comes to lead elsewhere, as in OnCall.
    pub(crate) keep_credentials: bool,
}

/// Writes webhooks.
pub(crate) struct WebhookWriter {
    objects: Objects,
    catalog: Arc<Catalog>,
    credentials: CredentialStore,
    rules: WriteRules,
    /// The last time of creation that was given to a webhook, in microseconds: no two have the same.
    last_created: AtomicI64,
    /// Changes of one webhook are made one after the other: they would be each other's conflicts. A webhook has its lock
    /// by its uid, and may share it with others.
    locks: [tokio::sync::Mutex<()>; LOCKS],
}

impl WebhookWriter {
    pub(crate) fn new(
        objects: Objects,
        catalog: Arc<Catalog>,
        credentials: CredentialStore,
        rules: WriteRules,
    ) -> Self {
        let locks = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { objects, catalog, credentials, rules, last_created: AtomicI64::new(0), locks }
    }

    /// Creates a webhook.
    ///
    /// # Errors
    /// Its name is taken: 400. The API server refuses it, or does not answer.
    pub(crate) async fn create(&self, namespace: &str, input: WebhookInput) -> Result<Arc<CachedWebhook>, ApiError> {
        let display_name = input.name().unwrap_or_default().to_owned();
        let _reserved = self.catalog.reserve_name(namespace, &display_name, None).await?.ok_or_else(not_unique)?;
        for name in id::resource_names(&display_name) {
            let Some(_reserved) = self.catalog.reserve(namespace, NameKind::Object, &name, None) else { continue };
            // Somebody may have given another webhook, by its `id`, the very id that this name would have.
            if self.catalog.get(namespace, &id::webhook_id(namespace, &name)).is_some() {
                continue;
            }
            if let Some(entry) = self.create_as(namespace, &name, input.clone()).await? {
                return Ok(entry);
            }
            // Somebody has created an object of this name that the watch has not shown yet; it may be the same webhook.
            let found = self.objects.get::<Webhook>(namespace, &name).await.map_err(|error| ApiError::from(&error))?;
            let found = found.and_then(|found| self.catalog.insert(found));
            if found.is_some_and(|found| found.name() == display_name) {
                return Err(not_unique());
            }
        }
        Err(ApiError::invalid_fields([(
            "name",
            vec!["Many webhooks have a name like this one: choose another.".to_owned()],
        )]))
    }

    /// Creates a webhook under a name in Kubernetes, with its Secret; None if the name is taken.
    async fn create_as(
        &self,
        namespace: &str,
        name: &str,
        input: WebhookInput,
    ) -> Result<Option<Arc<CachedWebhook>>, ApiError> {
        let mut desired = desired(&unwritten(namespace, name).map_err(|error| internal(&error))?, input);
        let mut secret = None;
        if !desired.secrets.is_empty() {
            let stored = self.credentials.create(namespace, name, &desired.secrets, None).await;
            let stored = stored.map_err(|error| ApiError::from(&error))?;
            desired.refer_to(stored.references);
            secret = Some(stored.secret);
        }
        let created_at = self.now().to_string();
        match self.create_once(namespace, name, &desired, &created_at).await {
            Ok(Some(webhook)) => {
                if let Some(secret) = secret {
                    self.credentials.set_owner(&secret, &webhook);
                }
                Ok(Some(self.seen(webhook)))
            }
            result => {
                // Without an answer the webhook may be there, and refer to it: the next sweep tells.
                let is_certain = result.as_ref().err().is_none_or(objects::Error::is_final);
                if let Some(secret) = secret.filter(|_| is_certain) {
                    self.credentials.discard(&secret).await;
                }
                result.map(|_| None).map_err(|error| ApiError::from(&error))
            }
        }
    }

    /// Puts the answer to a write into the catalog. A webhook that is deleted already was written all the same.
    fn seen(&self, webhook: Webhook) -> Arc<CachedWebhook> {
        self.catalog.insert(webhook.clone()).unwrap_or_else(|| Arc::new(CachedWebhook::from(webhook)))
    }

    /// Creates the object, and finds out whether it was created where there is no answer; None if the name is taken.
    async fn create_once(
        &self,
        namespace: &str,
        name: &str,
        desired: &DesiredWebhook,
        created_at: &str,
    ) -> Result<Option<Webhook>, objects::Error> {
        let mut manifest = json!({
            "apiVersion": Webhook::api_version(&()),
            "kind": Webhook::kind(&()),
            "metadata": {"name": name, "annotations": {CREATED_AT_ANNOTATION: created_at}},
            "spec": desired.written_spec(),
        });
        if let Some(blank) = desired.blank_annotation() {
            manifest["metadata"]["annotations"][BLANK_FIELDS_ANNOTATION] = blank.into();
        }
        let error = match self.objects.insert(namespace, name, &manifest).await {
            Ok(webhook) => return Ok(Some(webhook)),
            Err(error) if error.is_already_exists() => return Ok(None),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => error,
        };
        // Without an answer it may have been stored all the same.
        match self.objects.get::<Webhook>(namespace, name).await {
            Ok(Some(found))
                if found.annotations().get(CREATED_AT_ANNOTATION).map(String::as_str) == Some(created_at) =>
            {
                Ok(Some(found))
            }
            _ => Err(error),
        }
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// It is gone: 404. It is managed elsewhere: 403. Its new name is taken, or its new URL would have its credentials sent to
    /// another host: 400. Others keep changing it: 503. The API
    /// server refuses the change, or does not answer.
    pub(crate) async fn update(
        &self,
        entry: Arc<CachedWebhook>,
        input: WebhookInput,
    ) -> Result<Arc<CachedWebhook>, ApiError> {
        let namespace = entry.webhook.namespace().unwrap_or_default();
        let uid = entry.webhook.uid();
        let _lock = self.locks[lock_of(uid.as_deref().unwrap_or_default())].lock().await;
        let latest = self.catalog.get(&namespace, &entry.id).filter(|latest| latest.webhook.uid() == uid);
        let mut entry = self.catalog.whole(latest.ok_or_else(ApiError::not_found)?).await?;
        for attempt in 0..ATTEMPTS {
            self.refuse_managed(&entry.webhook)?;
            self.refuse_carrying(&entry.webhook, &input)?;
            let _reserved = match input.name() {
                Some(name) if name != entry.name() => {
                    Some(self.catalog.reserve_name(&namespace, name, Some(&entry)).await?.ok_or_else(not_unique)?)
                }
                _ => None,
            };
            match self.update_once(&namespace, &entry, input.clone()).await {
                Ok(updated) => return Ok(updated),
                Err(error) if error.is_conflict() => {
                    entry = self.catalog.whole(self.read_again(&entry, attempt).await?).await?;
                }
                Err(error) if error.is_missing() => {
                    self.catalog.delete(&entry);
                    return Err(ApiError::not_found());
                }
                Err(error) => return Err(ApiError::from(&error)),
            }
        }
        Err(contended())
    }

    /// Reads a webhook that somebody else has changed meanwhile, after a wait that grows with each attempt.
    async fn read_again(&self, entry: &CachedWebhook, attempt: u32) -> Result<Arc<CachedWebhook>, ApiError> {
        tokio::time::sleep(BACKOFF * attempt).await;
        let (namespace, name) = (entry.webhook.namespace().unwrap_or_default(), entry.webhook.name_any());
        let found = self.objects.get::<Webhook>(&namespace, &name).await.map_err(|error| ApiError::from(&error))?;
        let latest =
            found.filter(|found| found.uid() == entry.webhook.uid()).and_then(|found| self.catalog.insert(found));
        latest.ok_or_else(|| {
            self.catalog.delete(entry);
            ApiError::not_found()
        })
    }

    async fn update_once(
        &self,
        namespace: &str,
        entry: &Arc<CachedWebhook>,
        input: WebhookInput,
    ) -> Result<Arc<CachedWebhook>, objects::Error> {
        let (webhook, name) = (&entry.webhook, entry.webhook.name_any());
        let mut desired = desired(webhook, input);
        let (mut secret, mut stored) = (None, None);
        if !desired.secrets.is_empty() || !desired.cleared.is_empty() {
            secret = self.credentials.find_own(webhook).await?;
        }
        if !desired.secrets.is_empty() {
            let added = self.credentials.add(webhook, secret.take(), &desired.secrets).await?;
            desired.refer_to(added.references.clone());
            secret = Some(added.secret.clone());
            stored = Some(added);
        }
        let updated = match desired.patch(webhook) {
            None => Arc::clone(entry),
            Some(patch) => match self.objects.merge::<Webhook>(namespace, &name, &patch).await {
                Ok(updated) => self.seen(updated),
                Err(error) => {
                    // Without an answer it may have been done.
                    if let Some(stored) = stored.filter(|_| error.is_final()) {
                        self.credentials.roll_back(&stored).await;
                    }
                    return Err(error);
                }
            },
        };
        if let Some(secret) = secret {
            self.credentials.remove_unreferenced(&updated.webhook, &secret).await;
        }
        Ok(updated)
    }

    /// Deletes a webhook, and with it the objects that it owns.
    ///
    /// # Errors
    /// As for [`WebhookWriter::update`].
    pub(crate) async fn delete(&self, entry: &Arc<CachedWebhook>) -> Result<(), ApiError> {
        let mut entry = Arc::clone(entry);
        let (namespace, name) = (entry.webhook.namespace().unwrap_or_default(), entry.webhook.name_any());
        for attempt in 0..ATTEMPTS {
            self.refuse_managed(&entry.webhook)?;
            match self.objects.delete::<Webhook>(&namespace, &name, as_read(&entry.webhook)).await {
                Ok(()) => {
                    self.catalog.delete(&entry);
                    return Ok(());
                }
                Err(error) if error.is_missing() => {
                    self.catalog.delete(&entry);
                    return Err(ApiError::not_found());
                }
                // A tool may manage it by now, so it is looked at again.
                Err(error) if error.is_conflict() => entry = self.read_again(&entry, attempt).await?,
                Err(error) => return Err(ApiError::from(&error)),
            }
        }
        Err(contended())
    }

    fn refuse_managed(&self, webhook: &Webhook) -> Result<(), ApiError> {
        let manager = Manager::of(&webhook.metadata).filter(|_| !self.rules.allow_managed);
        manager.map_or(Ok(()), |manager| {
            let detail = format!(
                "Webhook {} is managed by {manager}, which would undo the change: change it there.",
                webhook.name_any()
            );
            Err(ApiError::new(StatusCode::FORBIDDEN, detail))
        })
    }

    fn refuse_carrying(&self, webhook: &Webhook, input: &WebhookInput) -> Result<(), ApiError> {
        if self.rules.keep_credentials {
            return Ok(());
        }
        let carried = carried_credentials(webhook, input);
        if carried.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(carried)) }
    }

    /// The time, in microseconds, but later than at any call before.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now().as_microsecond();
        let last = self.last_created.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        let micros = last.map_or(now, |last| now.max(last + 1));
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The index of the lock of a webhook with this uid.
fn lock_of(uid: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default()
}

fn contended() -> ApiError {
    let detail = "Others keep changing this webhook at the same time: try again.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
}

fn not_unique() -> ApiError {
    ApiError::non_field_error("The fields name, organization must make a unique set.")
}

fn internal(error: &serde_json::Error) -> ApiError {
    tracing::error!(%error, "failed to make the defaults of a webhook: a bug; the call was answered with 500");
    ApiError::internal()
}
