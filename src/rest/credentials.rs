//! Passwords and authorization headers that come over the API: kept in a Secret that the Webhook owns.
//!
//! A value is added under a key that nothing names; then the Webhook is changed to name it; then what nothing names any more
//! is removed. So a webhook never has half of a change: a call that is refused leaves the secrets as they were.

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

use super::{FIELD_MANAGER, catalog::Catalog, manifest::Kept};
use crate::{
    errors::error_chain,
    kubernetes::objects::{self, Objects},
    resources::{MANAGED_BY_LABEL, SECRET_LABEL, SecretKeyRef, WEBHOOK_LABEL, Webhook, label_value},
};

/// How old a Secret without an owner is when no call can be about to name it any more.
const STRAY: Duration = Duration::from_secs(600);
/// Bound on the part of a Secret's name that is its webhook's, in bytes.
const NAME: usize = 200;

/// What keeps them.
#[derive(Clone)]
pub(crate) struct Credentials {
    objects: Objects,
    /// What goes on after its call was answered.
    writing: TaskTracker,
}

/// Values that are in a Secret, and where.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) secret: Secret,
    pub(crate) references: BTreeMap<Kept, SecretKeyRef>,
    /// The keys that were added for it.
    added: Vec<String>,
}

type Values = BTreeMap<Kept, SecretString>;

impl Credentials {
    pub(crate) fn new(objects: Objects, writing: TaskTracker) -> Self {
        Self { objects, writing }
    }

    /// Makes a Secret with these values. A webhook that is not there yet becomes its owner later.
    pub(crate) async fn make(
        &self,
        namespace: &str,
        webhook: &str,
        values: &Values,
        owner: Option<OwnerReference>,
    ) -> Result<Placed, objects::Error> {
        let labels = [
            (SECRET_LABEL, "true".to_owned()),
            (WEBHOOK_LABEL, label_value(webhook)),
            (MANAGED_BY_LABEL, FIELD_MANAGER.to_owned()),
        ];
        let name = format!("{}-credentials", webhook.get(..NAME).unwrap_or(webhook));
        let data = values.iter().map(|(kept, value)| (kept.key().to_owned(), bytes(value))).collect();
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
                // Somebody else's, or that of a webhook which is just being deleted.
                secret.metadata.generate_name = secret.metadata.name.take().map(|name| format!("{name}-"));
                self.objects.insert::<Secret>(namespace, &name, &secret).await?
            }
            result => result?,
        };
        let references = values.keys().map(|kept| (*kept, reference(&secret, kept.key()))).collect();
        let added = values.keys().map(|kept| kept.key().to_owned()).collect();
        Ok(Placed { secret, references, added })
    }

    /// Adds values to the Secret that the webhook owns, `own`, or to a new one. What is there already stays where it is.
    ///
    /// # Errors
    /// Also if somebody else has changed the Secret meanwhile, which is a conflict.
    pub(crate) async fn add(
        &self,
        webhook: &Webhook,
        own: Option<Secret>,
        values: &Values,
    ) -> Result<Placed, objects::Error> {
        let namespace = webhook.namespace().unwrap_or_default();
        let Some(own) = own else {
            return self.make(&namespace, &webhook.name_any(), values, webhook.owner_ref(&())).await;
        };
        let known = own.data.clone().unwrap_or_default();
        let (mut references, mut added, mut data) = (BTreeMap::new(), Vec::new(), Map::new());
        for (kept, value) in values {
            let present = kept.kept_in(&webhook.spec).filter(|present| present.name == own.name_any());
            let key = match present.filter(|present| known.get(&present.key) == Some(&bytes(value))) {
                Some(present) => present.key.clone(),
                None => {
                    let key = unused(kept.key(), |key| known.contains_key(key));
                    data.insert(key.clone(), value.expose_secret().into());
                    added.push(key.clone());
                    key
                }
            };
            references.insert(*kept, reference(&own, &key));
        }
        let is_owned = !own.owner_references().is_empty();
        if added.is_empty() && is_owned {
            return Ok(Placed { secret: own, references, added });
        }
        let mut metadata = json!({"resourceVersion": own.resource_version()});
        if !is_owned {
            metadata["ownerReferences"] = json!([webhook.owner_ref(&())]);
        }
        let patch = json!({"metadata": metadata, "stringData": data});
        let secret = self.objects.merge::<Secret>(&namespace, &own.name_any(), &patch).await?;
        Ok(Placed { secret, references, added })
    }

    /// The Secret among those that the webhook names that is its own. What people made themselves is never changed.
    pub(crate) async fn own(&self, webhook: &Webhook) -> Result<Option<Secret>, objects::Error> {
        let namespace = webhook.namespace().unwrap_or_default();
        let kept = [Kept::Password, Kept::AuthorizationHeader];
        let mut names: Vec<&str> =
            kept.iter().filter_map(|kept| Some(kept.kept_in(&webhook.spec)?.name.as_str())).collect();
        names.dedup();
        for name in names {
            // Of one without the label nothing is read.
            let found = self.objects.get_labelled::<Secret>(&namespace, name, &format!("{SECRET_LABEL}=true")).await?;
            if let Some(secret) = found.filter(|secret| is_own(secret, webhook)) {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// Takes back what was added for a change that was refused.
    pub(crate) async fn take_back(&self, placed: &Placed) {
        self.remove(&placed.secret, &placed.added).await;
    }

    /// Removes what `webhook` does not name any more.
    pub(crate) async fn tidy(&self, webhook: &Webhook, secret: &Secret) {
        let name = secret.name_any();
        let named = |key: &String| references(webhook).any(|named| named == (&*name, &**key));
        let stray: Vec<String> =
            secret.data.iter().flatten().map(|(key, _)| key).filter(|key| !named(key)).cloned().collect();
        self.remove(secret, &stray).await;
    }

    /// Removes keys, or the Secret if it has no others. Nothing names them: that they stay for now harms nobody.
    async fn remove(&self, secret: &Secret, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let version = secret.resource_version();
        let removed = if secret.data.iter().flatten().all(|(key, _)| keys.contains(key)) {
            self.objects.delete::<Secret>(&namespace, &name, at(secret)).await
        } else {
            let data: Map<String, Value> = keys.iter().map(|key| (key.clone(), Value::Null)).collect();
            let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
            self.objects.merge::<Secret>(&namespace, &name, &patch).await.map(|_| ())
        };
        match removed {
            // Whoever has changed it since removes what it does not need.
            Err(error) if !error.is_conflict() && !error.is_not_found() => {
                tracing::warn!(error = error_chain(&error), "what nothing names any more stays in a Secret");
            }
            _ => {}
        }
    }

    /// Makes the webhook the owner of the Secret that was made before it. Not awaited: the webhook works without, and stands.
    pub(crate) fn give(&self, secret: &Secret, webhook: &Webhook) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let patch = json!({"metadata": {"ownerReferences": [webhook.owner_ref(&())]}});
        let objects = self.objects.clone();
        self.writing.spawn(async move {
            match objects::persist(|| objects.merge::<Secret>(&namespace, &name, &patch)).await {
                Err(error) if !error.is_not_found() => {
                    tracing::warn!(error = error_chain(&error), "a Secret stays without its owner");
                }
                _ => {}
            }
        });
    }

    /// Finds the Secrets that a call which was cut off has left without an owner. Their webhook gets them, if it names them;
    /// else they go.
    pub(crate) async fn sweep(&self, namespace: Option<&str>, catalog: &Catalog) -> Result<(), kube::Error> {
        let selector = format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}");
        let secrets: Vec<Secret> = self.objects.list(namespace, &selector).await?;
        let stray = secrets.into_iter().filter(|secret| secret.owner_references().is_empty());
        stream::iter(stray)
            .for_each(|secret| async move {
                let namespace = secret.namespace().unwrap_or_default();
                let label = secret.labels().get(WEBHOOK_LABEL);
                let names_it = |webhook: &Webhook| references(webhook).any(|(name, _)| name == secret.name_any());
                let owner = catalog
                    .find(&namespace, |webhook| Some(&label_value(&webhook.name_any())) == label && names_it(webhook));
                match owner {
                    Some(entry) => self.give(&secret, &entry.webhook),
                    None if is_old(&secret) => self.discard(&secret).await,
                    None => {}
                }
            })
            .await;
        Ok(())
    }

    /// Deletes a Secret that was made for a webhook which is not there.
    pub(crate) async fn discard(&self, secret: &Secret) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let uid = Preconditions { uid: secret.uid(), resource_version: None };
        match self.objects.delete::<Secret>(&namespace, &name, uid).await {
            Err(error) if !error.is_not_found() => {
                tracing::warn!(error = error_chain(&error), "a Secret stays without a webhook");
            }
            _ => {}
        }
    }
}

/// Every key of a Secret that a webhook names: the Secret's name, and the key.
fn references(webhook: &Webhook) -> impl Iterator<Item = (&str, &str)> {
    let spec = &webhook.spec;
    let sources = [&spec.password, &spec.authorization_header, &spec.url_from, &spec.signing];
    let headers = spec.headers_from.iter().flatten().map(|header| &header.secret_key_ref);
    let keys = sources.into_iter().flatten().map(|source| &source.secret_key_ref).chain(headers);
    let authorities = spec.tls.iter().filter_map(|tls| tls.ca_secret_ref.as_ref());
    let clients = spec.tls.iter().filter_map(|tls| tls.client_cert_secret_ref.as_ref());
    keys.map(|named| (&*named.name, &*named.key))
        .chain(authorities.map(|named| (&*named.name, &*named.key)))
        .chain(clients.flat_map(|named| ["tls.crt", "tls.key"].map(|key| (&*named.name, key))))
}

/// Whether a Secret is the webhook's own: it owns it, or is about to.
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
    created.is_some_and(|created| Timestamp::now().duration_since(created) >= STRAY.try_into().unwrap_or_default())
}

/// The object as it was read.
pub(crate) fn at<K: Resource>(object: &K) -> Preconditions {
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
    async fn of_a_secret_without_the_label_nothing_is_read() {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        // As an API server that has such a Secret, but without the label.
        let server = service_fn(move |request: Request<Body>| {
            kept.lock().push(format!("{} {}", request.method(), request.uri()));
            let empty = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": []});
            async move { Ok::<_, BoxError>(Response::new(Body::from(empty.to_string().into_bytes()))) }
        });
        let objects = Objects::new(Client::new(server, "default"), "test");
        let credentials = Credentials::new(objects, TaskTracker::new());
        let own = credentials.own(&mk_webhook(&json!({"password": mk_key("db,=", "password")}))).await;
        assert_eq!(own.unwrap(), None);
        let expected = "GET /api/v1/namespaces/team/secrets?&fieldSelector=metadata.name%3Ddb%5C%2C%5C%3D\
                        &labelSelector=oncall.dev%2Fsecret%3Dtrue";
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
    fn every_key_that_a_webhook_names_is_known() {
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
    fn a_value_takes_a_key_that_nothing_uses() {
        let used = ["password", "password-2", "password-4"];
        assert_eq!(unused("password", |key| used.contains(&key)), "password-3");
        assert_eq!(unused("authorization-header", |key| used.contains(&key)), "authorization-header");
    }

    #[test]
    fn a_secret_is_its_webhooks_own_if_it_owns_it_or_it_was_made_for_it() {
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
