//! Passwords and authorization headers that come over the API: stored in a Secret that the Webhook owns.
//!
//! A value is added under a key that nothing refers to; then the Webhook is changed to refer to it; then keys that nothing
//! refers to any more are removed. So a webhook never has half of a change: a call that is refused leaves the secrets as
//! they were.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Resource, ResourceExt,
    api::{ObjectMeta, Preconditions},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tokio_util::task::TaskTracker;

use super::{catalog::Catalog, webhook::CredentialField};
use crate::{
    errors::error_chain,
    kubernetes::objects::{self, Objects},
    resources::{MANAGED_BY_LABEL, SECRET_LABEL, SecretKeyRef, WEBHOOK_LABEL, Webhook, label_value},
};

/// The name under which the REST API's writes stand in `managedFields`, and in the `managed-by` label of its Secrets.
pub(crate) const FIELD_MANAGER: &str = "oncall-webhooks-api";
/// The age at which no call can be about to refer to a Secret without an owner any more.
const ORPHAN_AGE: Duration = Duration::from_secs(600);
/// Bound on the part of a Secret's name that is its webhook's, in bytes.
const MAX_NAME: usize = 200;

/// The Secrets of webhooks, in the Kubernetes API.
#[derive(Clone)]
pub(crate) struct CredentialStore {
    objects: Objects,
    /// Writes that go on after their call was answered.
    background: TaskTracker,
}

/// Values that are stored in a Secret.
#[derive(Debug)]
pub(crate) struct StoredCredentials {
    pub(crate) secret: Secret,
    /// The keys of the values.
    pub(crate) references: BTreeMap<CredentialField, SecretKeyRef>,
    /// The keys that were added for them.
    added: Vec<String>,
}

type Values = BTreeMap<CredentialField, SecretString>;

impl CredentialStore {
    pub(crate) fn new(objects: Objects, background: TaskTracker) -> Self {
        Self { objects, background }
    }

    /// Creates a Secret with these values. A webhook that is not there yet becomes its owner later.
    pub(crate) async fn create(
        &self,
        namespace: &str,
        webhook: &str,
        values: &Values,
        owner: Option<OwnerReference>,
    ) -> Result<StoredCredentials, objects::Error> {
        let labels = [
            (SECRET_LABEL, "true".to_owned()),
            (WEBHOOK_LABEL, label_value(webhook)),
            (MANAGED_BY_LABEL, FIELD_MANAGER.to_owned()),
        ];
        let name = format!("{}-credentials", webhook.get(..MAX_NAME).unwrap_or(webhook));
        let data = values.iter().map(|(field, value)| (field.secret_key().to_owned(), bytes(value))).collect();
        let mut secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        };
        let secret = match self.objects.insert(namespace, &name, &secret).await {
            Err(error) if error.is_already_exists() => {
                // It is somebody else's, or belongs to a webhook that is just being deleted.
                secret.metadata.generate_name = secret.metadata.name.take().map(|name| format!("{name}-"));
                self.objects.insert::<Secret>(namespace, &name, &secret).await?
            }
            result => result?,
        };
        let references = values.keys().map(|field| (*field, reference(&secret, field.secret_key()))).collect();
        let added = values.keys().map(|field| field.secret_key().to_owned()).collect();
        Ok(StoredCredentials { secret, references, added })
    }

    /// Adds values to `own`, the Secret that the webhook owns, or to a new one. A value that is there already stays where it
    /// is.
    ///
    /// # Errors
    /// The API server refuses it or does not answer; it is a conflict if somebody else has changed the Secret meanwhile.
    pub(crate) async fn add(
        &self,
        webhook: &Webhook,
        own: Option<Secret>,
        values: &Values,
    ) -> Result<StoredCredentials, objects::Error> {
        let namespace = webhook.namespace().unwrap_or_default();
        let Some(own) = own else {
            return self.create(&namespace, &webhook.name_any(), values, webhook.owner_ref(&())).await;
        };
        let known = own.data.clone().unwrap_or_default();
        let (mut references, mut added, mut data) = (BTreeMap::new(), Vec::new(), Map::new());
        for (field, value) in values {
            let present = field.reference(&webhook.spec).filter(|present| present.name == own.name_any());
            let key = match present.filter(|present| known.get(&present.key) == Some(&bytes(value))) {
                Some(present) => present.key.clone(),
                None => {
                    let key = unused(field.secret_key(), |key| known.contains_key(key));
                    data.insert(key.clone(), value.expose_secret().into());
                    added.push(key.clone());
                    key
                }
            };
            references.insert(*field, reference(&own, &key));
        }
        let is_owned = !own.owner_references().is_empty();
        if added.is_empty() && is_owned {
            return Ok(StoredCredentials { secret: own, references, added });
        }
        let mut metadata = json!({"resourceVersion": own.resource_version()});
        if !is_owned {
            metadata["ownerReferences"] = json!([webhook.owner_ref(&())]);
        }
        let patch = json!({"metadata": metadata, "stringData": data});
        let secret = self.objects.merge::<Secret>(&namespace, &own.name_any(), &patch).await?;
        Ok(StoredCredentials { secret, references, added })
    }

    /// Finds, among the Secrets that the webhook refers to, the one that it owns. Secrets that people made are never changed.
    pub(crate) async fn find_own(&self, webhook: &Webhook) -> Result<Option<Secret>, objects::Error> {
        let namespace = webhook.namespace().unwrap_or_default();
        let references = CredentialField::ALL.iter().filter_map(|field| field.reference(&webhook.spec));
        let mut names: Vec<&str> = references.map(|reference| reference.name.as_str()).collect();
        names.dedup();
        for name in names {
            // A Secret without the label is never read.
            let found = self.objects.get_labelled::<Secret>(&namespace, name, &format!("{SECRET_LABEL}=true")).await?;
            if let Some(secret) = found.filter(|secret| is_own(secret, webhook)) {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// Removes the keys that were added for a change that was refused.
    pub(crate) async fn roll_back(&self, stored: &StoredCredentials) {
        self.remove(&stored.secret, &stored.added).await;
    }

    /// Removes the keys that `webhook` does not refer to any more.
    pub(crate) async fn remove_unreferenced(&self, webhook: &Webhook, secret: &Secret) {
        let name = secret.name_any();
        let is_referenced = |key: &String| references(webhook).any(|reference| reference == (&*name, &**key));
        let keys = secret.data.iter().flatten().map(|(key, _)| key);
        let unreferenced: Vec<String> = keys.filter(|key| !is_referenced(key)).cloned().collect();
        self.remove(secret, &unreferenced).await;
    }

    /// Removes keys, or the Secret if it has no others. Nothing refers to them: that they stay for now harms nobody.
    async fn remove(&self, secret: &Secret, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let version = secret.resource_version();
        let removed = if secret.data.iter().flatten().all(|(key, _)| keys.contains(key)) {
            self.objects.delete::<Secret>(&namespace, &name, as_read(secret)).await
        } else {
            let data: Map<String, Value> = keys.iter().map(|key| (key.clone(), Value::Null)).collect();
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
            self.objects.merge::<Secret>(&namespace, &name, &patch).await.map(|_| ())
        };
        match removed {
            // A later change of the Secret removes keys that nothing refers to.
            Err(error) if !error.is_conflict() && !error.is_not_found() => {
                tracing::warn!(
                    namespace,
                    secret = name,
                    error = error_chain(&error),
                    "failed to remove credentials that nothing refers to any more; they stay in their Secret"
                );
            }
            _ => {}
        }
    }

    /// Makes the webhook the owner of the Secret that was created before it, in the background: the webhook works without.
    pub(crate) fn set_owner(&self, secret: &Secret, webhook: &Webhook) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let patch = json!({"metadata": {"ownerReferences": [webhook.owner_ref(&())]}});
        let objects = self.objects.clone();
        self.background.spawn(async move {
            match objects::persist(|| objects.merge::<Secret>(&namespace, &name, &patch)).await {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(
                        namespace,
                        secret = name,
                        error = error_chain(&error),
                        "failed to make a webhook the owner of its Secret; tried again within an hour"
                    );
                }
                _ => {}
            }
        });
    }

    /// Finds the Secrets that a call which was cut off has left without an owner. A webhook that refers to one becomes its
    /// owner; others are deleted at [`ORPHAN_AGE`].
    pub(crate) async fn sweep_orphans(&self, namespace: Option<&str>, catalog: &Catalog) -> Result<(), objects::Cause> {
        let selector = format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}");
        let is_orphan = |meta: &ObjectMeta| meta.owner_references.as_ref().is_none_or(Vec::is_empty);
        let orphans = self.objects.list_metadata::<Secret>(namespace, &selector, is_orphan).await?;
        let orphans = orphans.into_iter().map(|metadata| Secret { metadata, ..Secret::default() });
        stream::iter(orphans)
            .for_each(|secret| async move {
                let namespace = secret.namespace().unwrap_or_default();
                let label = secret.labels().get(WEBHOOK_LABEL);
                let refers_to_it = |webhook: &Webhook| references(webhook).any(|(name, _)| name == secret.name_any());
                let owner = catalog.find(&namespace, |webhook| {
                    Some(&label_value(&webhook.name_any())) == label && refers_to_it(webhook)
                });
                match owner {
                    Some(entry) => self.set_owner(&secret, &entry.webhook),
                    None if is_old(&secret) => self.discard(&secret).await,
                    None => {}
                }
            })
            .await;
        Ok(())
    }

    /// Deletes a Secret that was created for a webhook which is not there.
    pub(crate) async fn discard(&self, secret: &Secret) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let uid = Preconditions { uid: secret.uid(), resource_version: None };
        match self.objects.delete::<Secret>(&namespace, &name, uid).await {
            Err(error) if !error.is_not_found() => {
                tracing::warn!(
                    namespace,
                    secret = name,
                    error = error_chain(&error),
                    "failed to delete a Secret that was made for a webhook which is not there; tried again within an hour"
                );
            }
            _ => {}
        }
    }
}

/// Every key of a Secret that a webhook refers to: the Secret's name, and the key.
fn references(webhook: &Webhook) -> impl Iterator<Item = (&str, &str)> {
    let spec = &webhook.spec;
    let sources = [&spec.password, &spec.authorization_header, &spec.url_from, &spec.signing];
    let headers = spec.headers_from.iter().flatten().map(|header| &header.secret_key_ref);
    let keys = sources.into_iter().flatten().map(|source| &source.secret_key_ref).chain(headers);
    let authorities = spec.tls.iter().filter_map(|tls| tls.ca_secret_ref.as_ref());
    let clients = spec.tls.iter().filter_map(|tls| tls.client_cert_secret_ref.as_ref());
    keys.map(|reference| (&*reference.name, &*reference.key))
        .chain(authorities.map(|reference| (&*reference.name, &*reference.key)))
        .chain(clients.flat_map(|reference| ["tls.crt", "tls.key"].map(|key| (&*reference.name, key))))
}

/// Whether the webhook owns a Secret, or is about to.
fn is_own(secret: &Secret, webhook: &Webhook) -> bool {
    let owners = secret.owner_references();
    let label = |key: &str| secret.labels().get(key).map(String::as_str);
    let is_made_for_it = label(MANAGED_BY_LABEL) == Some(FIELD_MANAGER)
        && label(WEBHOOK_LABEL) == Some(&label_value(&webhook.name_any()));
    owners.iter().any(|owner| Some(&owner.uid) == webhook.metadata.uid.as_ref())
        || (owners.is_empty() && is_made_for_it)
}

fn is_old(secret: &Secret) -> bool {
    let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.is_some_and(|created| Timestamp::now().duration_since(created) >= ORPHAN_AGE.try_into().unwrap_or_default())
}

/// The condition that the object is as it was read.
pub(crate) fn as_read<K: Resource>(object: &K) -> Preconditions {
    let meta = object.meta();
    Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() }
}

fn reference(secret: &Secret, key: &str) -> SecretKeyRef {
    SecretKeyRef { name: secret.name_any(), key: key.to_owned() }
}

fn bytes(value: &SecretString) -> ByteString {
    ByteString(value.expose_secret().as_bytes().to_vec())
}

/// `key`, or the first of `key-2`, `key-3` and so on that is not in use.
fn unused(key: &str, in_use: impl Fn(&str) -> bool) -> String {
    let numbered = (2..u32::MAX).map(|number| format!("{key}-{number}"));
    std::iter::once(key.to_owned()).chain(numbered).find(|key| !in_use(key)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::{Request, Response};
    use kube::{Client, client::Body};
    use parking_lot::Mutex;
    use tower::{BoxError, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_secret_without_the_label_is_never_read() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        // As an API server that has such a Secret, but without the label.
        let server = service_fn(move |request: Request<Body>| {
            log.lock().push(format!("{} {}", request.method(), request.uri()));
            let empty = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": []});
            async move { Ok::<_, BoxError>(Response::new(Body::from(empty.to_string().into_bytes()))) }
        });
        let objects = Objects::new(Client::new(server, "default"), "test");
        let credentials = CredentialStore::new(objects, TaskTracker::new());
        let own = credentials.find_own(&mk_webhook(&json!({"password": mk_key("db,=", "password")}))).await;
        assert_eq!(own.unwrap(), None);
        let expected = "GET /api/v1/namespaces/team/secrets?&fieldSelector=metadata.name%3Ddb%5C%2C%5C%3D\
                        &labelSelector=oncall.dev%2Fsecret%3Dtrue&limit=100";
        assert_eq!(*asked.lock(), [expected]);
    }

    fn mk_key(name: &str, key: &str) -> Value {
        json!({"secretKeyRef": {"name": name, "key": key}})
    }

    fn mk_webhook(spec: &Value) -> Webhook {
        let mut all = json!({"triggerType": "resolve", "url": "http://x"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let metadata = json!({"name": "jira", "namespace": "team", "uid": "1"});
        serde_json::from_value(json!({"metadata": metadata, "spec": all})).unwrap()
    }

    #[test]
    fn every_key_that_a_webhook_refers_to_is_known() {
        let webhook = mk_webhook(&json!({
            "urlFrom": mk_key("a", "url"),
            "headersFrom": [{"name": "X-A", "secretKeyRef": {"name": "b", "key": "header"}}],
            "password": mk_key("c", "password"),
            "authorizationHeader": mk_key("d", "authorization"),
            "signing": mk_key("e", "signing"),
            "tls": {"caSecretRef": {"name": "f"}, "clientCertSecretRef": {"name": "g"}},
        }));
        let mut named: Vec<_> = references(&webhook).collect();
        named.sort_unstable();
        let expected = [
            ("a", "url"),
            ("b", "header"),
            ("c", "password"),
            ("d", "authorization"),
            ("e", "signing"),
            ("f", "ca.crt"),
            ("g", "tls.crt"),
            ("g", "tls.key"),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_value_gets_a_key_that_is_not_in_use() {
        let used = ["password", "password-2", "password-4"];
        assert_eq!(unused("password", |key| used.contains(&key)), "password-3");
        assert_eq!(unused("authorization-header", |key| used.contains(&key)), "authorization-header");
    }

    #[test]
    fn a_webhook_owns_the_secrets_that_name_it_as_owner_or_were_created_for_it() {
        let webhook = mk_webhook(&json!({}));
        let made = json!({"oncall.dev/webhook": "jira", "app.kubernetes.io/managed-by": "oncall-webhooks-api"});
        let owned_by =
            |uid: &str| json!([{"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "name": "jira", "uid": uid}]);
        let cases = [
            (json!({"ownerReferences": owned_by("1")}), true),
            (json!({"ownerReferences": owned_by("2"), "labels": made}), false),
            (json!({"labels": made}), true),
            (json!({"labels": {"oncall.dev/webhook": "jira"}}), false),
            (
                json!({"labels": {"oncall.dev/webhook": "other", "app.kubernetes.io/managed-by": "oncall-webhooks-api"}}),
                false,
            ),
            (json!({}), false),
        ];
        for (metadata, expected) in cases {
            let secret: Secret = serde_json::from_value(json!({"metadata": metadata})).unwrap();
            assert_eq!(is_own(&secret, &webhook), expected, "{metadata}");
        }
    }
}
