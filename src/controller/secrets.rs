//! The Secrets that webhooks may name. Only those with the label are watched.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::{ObjectRef, Store};
use secrecy::SecretString;
use tokio::sync::{Notify, futures::Notified};

use crate::{
    core::webhook::SecretKey,
    resources::{SECRET_LABEL, conditions},
};

/// The Secrets that the watch has shown. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Secrets {
    store: Store<Secret>,
    changed: Arc<Notify>,
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
}

impl MissingSecret {
    /// The reason of the condition that tells of it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Secret { .. } => conditions::SECRET_NOT_FOUND,
            Self::Key { .. } => conditions::SECRET_KEY_NOT_FOUND,
            Self::NotText { .. } => conditions::SECRET_INVALID,
        }
    }
}

impl Secrets {
    pub(crate) fn new(store: Store<Secret>) -> Self {
        Self { store, changed: Arc::default() }
    }

    /// Takes in that the watch has shown something new.
    pub(crate) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Resolves when the watch has shown something new since the call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// The text under a key, without the line break that editors and `echo` put at its end.
    ///
    /// # Errors
    /// The Secret or the key is missing, or the value is not UTF-8.
    pub(crate) fn get(
        &self,
        namespace: &str,
        SecretKey { name, key }: &SecretKey,
    ) -> Result<SecretString, MissingSecret> {
        let secret = self
            .store
            .get(&ObjectRef::new(name).within(namespace))
            .ok_or_else(|| MissingSecret::Secret { name: name.clone() })?;
        let bytes = secret
            .data
            .as_ref()
            .and_then(|data| data.get(key))
            .ok_or_else(|| MissingSecret::Key { name: name.clone(), key: key.clone() })?;
        let text = std::str::from_utf8(&bytes.0)
            .map_err(|_| MissingSecret::NotText { name: name.clone(), key: key.clone() })?;
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
    }
}
