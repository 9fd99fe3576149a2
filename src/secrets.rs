//! The keys of Secrets that Webhooks and Integrations refer to. Nothing else of a Secret is kept, and a Secret that nobody refers to
//! is not read.
//!
//! ```text
//! watch of Webhooks, Integrations ─► refer, release ─┐
//!                                                    ├─► Store (which keys, what is to be read) ─► read, a few at a time ─► Store
//! watch of Secrets' metadata ────────────────────────┘                                                                       │
//!                                   requests, statuses, tokens ◄─── get ◄────────────────────────────────────────────────────┘
//! ```
//! Only Secrets with the label are read. A request waits for what its webhook refers to, and has not been read, and for nothing
//! else.

mod store;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use parking_lot::Mutex;
use secrecy::{SecretString, zeroize::Zeroize};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{self, Instant, MissedTickBehavior},
};

use self::store::{Known, Store};
use crate::{
    core::webhook::{SecretKey, Webhook},
    errors::error_chain,
    kubernetes::{
        index::Index,
        name::{NamespacedName, name_of},
        objects::{self, Objects},
        resource_version::{ResourceVersion, version_of},
    },
    resources::{SECRET_LABEL, conditions::Word},
};

/// How often to look for keys that nothing refers to any more, and for room for those that had none.
const TEND: Duration = Duration::from_secs(10);
/// How long after a refusal a Secret is read again.
const REFUSED: Duration = Duration::from_secs(60);
/// Bound on the wait for a key of which nothing is known: the webhook is just changing.
const UNKNOWN: Duration = Duration::from_secs(5);

/// The keys that are referred to, as far as they have been read. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<Shared>);

struct Shared {
    store: Mutex<Store>,
    /// Something was read.
    changed: Notify,
    /// Something is to be read.
    to_read: Notify,
}

/// An object that refers to keys of Secrets of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Referrer {
    Webhook(NamespacedName),
    Integration(NamespacedName),
}

impl Referrer {
    fn namespace(&self) -> &Arc<str> {
        let (Self::Webhook(name) | Self::Integration(name)) = self;
        &name.namespace
    }
}

/// Why a Secret's key has no value that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MissingSecret {
    #[error("Secret '{name}' does not exist or lacks the label {SECRET_LABEL}=true")]
    Secret { name: String },
    #[error("Secret '{name}' has no key '{key}'")]
    Key { name: String, key: String },
    #[error("Key '{key}' of Secret '{name}' is not UTF-8 text")]
    NotText { name: String, key: String },
    #[error(
        "Key '{key}' of Secret '{name}' has {bytes} bytes, which is more than is left of the namespace's share of the \
         operator's memory: refer to fewer or smaller ones, or raise the operator's memory limit"
    )]
    NoRoom { name: String, key: String, bytes: u64 },
    #[error("Secret '{name}' has not been read yet, or the API server refuses it: the operator's log says why")]
    Unread { name: String },
}

impl MissingSecret {
    /// The reason of the condition that tells of it.
    pub(crate) fn reason(&self) -> Word {
        match self {
            Self::Secret { .. } | Self::Unread { .. } => Word::SecretNotFound,
            Self::Key { .. } => Word::SecretKeyNotFound,
            Self::NotText { .. } => Word::SecretInvalid,
            Self::NoRoom { .. } => Word::SecretTooLarge,
        }
    }
}

impl Secrets {
    /// Keeps up to `budget` bytes.
    pub(crate) fn new(budget: u64) -> Self {
        Self(Arc::new(Shared { store: Mutex::new(Store::new(budget)), changed: Notify::new(), to_read: Notify::new() }))
    }

    /// Takes in which keys an object refers to now.
    pub(crate) fn refer(&self, referrer: Referrer, keys: Vec<SecretKey>) {
        self.0.store.lock().refer(referrer, keys, std::time::Instant::now());
        self.0.to_read.notify_one();
    }

    /// Takes in that an object is gone.
    pub(crate) fn release(&self, referrer: Referrer) {
        self.0.store.lock().refer(referrer, Vec::new(), std::time::Instant::now());
    }

    /// Resolves when something has been read since the call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Whether a key that something refers to has not been read.
    pub(crate) fn is_unread(&self, namespace: &str, key: &SecretKey) -> bool {
        matches!(self.0.store.lock().get(namespace, key), None | Some(Known::Unread))
    }

    /// Whether a key that the webhook refers to has not been read.
    pub(crate) fn awaits(&self, namespace: &str, webhook: &Webhook) -> bool {
        let store = self.0.store.lock();
        webhook.secrets().any(|(_, key)| matches!(store.get(namespace, key), None | Some(Known::Unread)))
    }

    /// Waits until the keys that a webhook refers to have been read.
    pub(crate) async fn read(&self, namespace: &str, webhook: &Webhook) {
        let unknown_until = Instant::now() + UNKNOWN;
        loop {
            let changed = self.changed();
            let (mut unknown, mut unread) = (false, false);
            {
                let store = self.0.store.lock();
                for (_, key) in webhook.secrets() {
                    match store.get(namespace, key) {
                        None => unknown = true,
                        Some(Known::Unread) => unread = true,
                        Some(_) => {}
                    }
                }
            }
            match (unread, unknown) {
                (true, _) => changed.await,
                (false, true) if time::timeout_at(unknown_until, changed).await.is_ok() => {}
                _ => return,
            }
        }
    }

    /// The text under a key, without the line break that editors and `echo` put at its end.
    ///
    /// # Errors
    /// The Secret or the key is missing, the value is not UTF-8, there is no room for it, or it has not been read.
    pub(crate) fn get(&self, namespace: &str, wanted: &SecretKey) -> Result<SecretString, MissingSecret> {
        let (name, key) = (wanted.name.clone(), wanted.key.clone());
        match self.0.store.lock().get(namespace, wanted) {
            Some(Known::Text(text)) => Ok(text.clone()),
            Some(Known::NoKey) => Err(MissingSecret::Key { name, key }),
            Some(Known::NotText) => Err(MissingSecret::NotText { name, key }),
            Some(Known::NoRoom(bytes)) => Err(MissingSecret::NoRoom { name, key, bytes: *bytes }),
            Some(Known::Unread | Known::Refused) => Err(MissingSecret::Unread { name }),
            Some(Known::NoSecret) | None => Err(MissingSecret::Secret { name }),
        }
    }

    /// Takes in a Secret with this text under a key, as if it had been read; or that there is none.
    #[cfg(test)]
    pub(crate) fn read_as(&self, secret: &NamespacedName, found: Option<(&str, &str)>) {
        let mut store = self.0.store.lock();
        store.read_again(secret);
        while store.begin_read().is_some_and(|next| next != *secret) {}
        let found = found.map(|(key, text)| {
            let values = [(key.to_owned(), k8s_openapi::ByteString(text.as_bytes().to_vec()))];
            (ResourceVersion::from("1"), store::Values(values.into()))
        });
        store.end_read(secret, Ok(found));
    }

    /// Reads what is to be read, up to `readers` Secrets at a time, and tells of each one of which something has changed. Never
    /// returns.
    pub(crate) async fn keep(self, objects: Objects, readers: usize, mut on_change: impl FnMut(&NamespacedName)) {
        let mut tend = time::interval(TEND);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut reads, mut refused) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let to_read = self.0.to_read.notified();
            while reads.len() < readers
                && let Some(secret) = self.0.store.lock().begin_read()
            {
                reads.push(read(&objects, secret));
            }
            tokio::select! {
                Some((secret, found)) = reads.next() => {
                    if found.is_err() {
                        let secret = secret.clone();
                        refused.push(async move {
                            time::sleep(REFUSED).await;
                            secret
                        });
                    }
                    if self.0.store.lock().end_read(&secret, found) {
                        self.0.changed.notify_waiters();
                        on_change(&secret);
                    }
                }
                Some(secret) = refused.next() => self.0.store.lock().read_again(&secret),
                _ = tend.tick() => self.0.store.lock().tend(std::time::Instant::now()),
                () = to_read => {}
            }
        }
    }
}

/// A Secret as it was read: its version and its values; None if it does not exist or lacks the label.
type Found = Option<(ResourceVersion, store::Values)>;

async fn read(objects: &Objects, name: NamespacedName) -> (NamespacedName, Result<Found, ()>) {
    let label = format!("{SECRET_LABEL}=true");
    let get = || objects.get_labelled::<Secret>(&name.namespace, &name.name, &label);
    let found = match objects::persist(get).await {
        Ok(found) => Ok(found.map(|mut secret| {
            let version = version_of(&secret);
            (version, store::Values(secret.data.take().unwrap_or_default()))
        })),
        Err(error) => {
            let (namespace, secret) = (&*name.namespace, &*name.name);
            tracing::error!(
                namespace,
                secret,
                error = error_chain(&error),
                "failed to read a Secret; what refers to it can't work"
            );
            Err(())
        }
    };
    (name, found)
}

impl Drop for store::Values {
    fn drop(&mut self) {
        self.0.values_mut().for_each(|value| value.0.zeroize());
    }
}

/// Has Secrets read as the watch shows their metadata.
pub(crate) struct SecretIndex(pub(crate) Secrets);

impl SecretIndex {
    fn seen(&self, secret: &PartialObjectMeta<Secret>) {
        let Secrets(shared) = &self.0;
        shared.store.lock().seen(&name_of(secret), &version_of(secret));
        shared.to_read.notify_one();
    }
}

impl Index for SecretIndex {
    type Object = PartialObjectMeta<Secret>;
    type Listed = NamespacedName;

    fn list(&mut self, secret: &PartialObjectMeta<Secret>) -> NamespacedName {
        self.seen(secret);
        name_of(secret)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let Secrets(shared) = &self.0;
        shared.store.lock().retain(&listed);
        shared.to_read.notify_one();
    }

    fn apply(&mut self, secret: &PartialObjectMeta<Secret>) {
        self.seen(secret);
    }

    fn delete(&mut self, secret: &PartialObjectMeta<Secret>) {
        let Secrets(shared) = &self.0;
        shared.store.lock().read_again(&name_of(secret));
        shared.to_read.notify_one();
    }
}
