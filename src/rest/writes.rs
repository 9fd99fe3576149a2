//! Changes of webhooks: from a draft to objects in the cluster, and what of it goes wrong, in OnCall's shapes.
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
    credentials::{Credentials, at},
    fields::{Change, Existing},
    manifest::{Draft, written},
    refusal::Refusal,
};
use crate::{
    core::{
        id,
        webhook::{HttpMethod, TriggerType},
    },
    errors::error_chain,
    kubernetes::objects::{self, Objects},
    resources::{BLANK_FIELDS_ANNOTATION, CREATED_AT_ANNOTATION, Manager, Webhook, WebhookSpec},
};

/// How often a change is tried again on what somebody else has made of the webhook meanwhile.
const CONFLICTS: u32 = 8;
/// How much longer each time is waited before that.
const PAUSE: Duration = Duration::from_millis(20);
/// How many webhooks may be changed at a time, at most.
const TURNS: usize = 64;
/// Bound on what is repeated of the API server's words, in characters.
const MESSAGE: usize = 2000;

/// What writes.
pub(crate) struct Writer {
    objects: Objects,
    catalog: Arc<Catalog>,
    credentials: Credentials,
    /// Whether objects that GitOps tools manage may be changed too.
    allow_managed: bool,
    /// The last time of creation that was given away, in microseconds: no two are the same.
    last_created: AtomicI64,
    /// Changes of one webhook are made one after the other: they would be each other's conflicts. A webhook has its
    /// turn by its uid, and may share it with others.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

impl Writer {
    pub(crate) fn new(objects: Objects, catalog: Arc<Catalog>, credentials: Credentials, allow_managed: bool) -> Self {
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { objects, catalog, credentials, allow_managed, last_created: AtomicI64::new(0), turns }
    }

    /// Makes a webhook.
    pub(crate) async fn create(&self, namespace: &str, change: Change) -> Result<Arc<CachedWebhook>, Refusal> {
        let display_name = change.name.clone().unwrap_or_default();
        let reserved = self.catalog.reserve(namespace, NameKind::Display, &display_name, None);
        let _reserved = reserved.ok_or_else(not_unique)?;
        for name in id::resource_names(&display_name) {
            let Some(_reserved) = self.catalog.reserve(namespace, NameKind::Object, &name, None) else { continue };
            // Somebody may have written down as an override the very id that this name gives.
            if self.catalog.get(namespace, &id::webhook_id(namespace, &name)).is_some() {
                continue;
            }
            if let Some(entry) = self.create_as(namespace, &name, change.clone()).await? {
                return Ok(entry);
            }
            // Somebody has made it whom the watch has not shown yet; it may be the same webhook.
            let found = self.objects.get::<Webhook>(namespace, &name).await.map_err(|error| refusal(&error))?;
            let found = found.and_then(|found| self.catalog.insert(found));
            if found.is_some_and(|found| found.name() == display_name) {
                return Err(not_unique());
            }
        }
        Err(Refusal::faults([("name", vec!["Many webhooks have a name like this one: choose another.".to_owned()])]))
    }

    /// None if the name in Kubernetes is taken.
    async fn create_as(
        &self,
        namespace: &str,
        name: &str,
        change: Change,
    ) -> Result<Option<Arc<CachedWebhook>>, Refusal> {
        let mut draft = Draft::new(&bare(namespace, name), change);
        let mut secret = None;
        if !draft.secrets.is_empty() {
            let placed = self.credentials.make(namespace, name, &draft.secrets, None).await;
            let placed = placed.map_err(|error| refusal(&error))?;
            draft.keep_in(placed.references);
            secret = Some(placed.secret);
        }
        let created_at = self.now().to_string();
        match self.create_once(namespace, name, &draft, &created_at).await {
            Ok(Some(webhook)) => {
                if let Some(secret) = secret {
                    self.credentials.give(&secret, &webhook);
                }
                Ok(Some(self.seen(webhook)))
            }
            result => {
                // Without an answer the webhook may be there, and name it: the next sweep tells.
                let is_certain = result.as_ref().err().is_none_or(objects::Error::is_final);
                if let Some(secret) = secret.filter(|_| is_certain) {
                    self.credentials.discard(&secret).await;
                }
                result.map(|_| None).map_err(|error| refusal(&error))
            }
        }
    }

    /// What is known of a webhook after a write. One that is deleted already was written all the same.
    fn seen(&self, webhook: Webhook) -> Arc<CachedWebhook> {
        self.catalog.insert(webhook.clone()).unwrap_or_else(|| Arc::new(CachedWebhook::from(webhook)))
    }

    /// None if the name is taken.
    async fn create_once(
        &self,
        namespace: &str,
        name: &str,
        draft: &Draft,
        created_at: &str,
    ) -> Result<Option<Webhook>, objects::Error> {
        let mut manifest = json!({
            "apiVersion": Webhook::api_version(&()),
            "kind": Webhook::kind(&()),
            "metadata": {"name": name, "annotations": {CREATED_AT_ANNOTATION: created_at}},
            "spec": written(&draft.spec),
        });
        if let Some(blank) = &draft.blank {
            manifest["metadata"]["annotations"][BLANK_FIELDS_ANNOTATION] = blank.as_str().into();
        }
        let error = match self.objects.insert(namespace, name, &manifest).await {
            Ok(webhook) => return Ok(Some(webhook)),
            Err(error) if error.is_already_exists() => return Ok(None),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => error,
        };
        // No answer does not mean that it was not stored; a client that is told so would try again, and find its own.
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
    pub(crate) async fn update(
        &self,
        entry: Arc<CachedWebhook>,
        change: Change,
    ) -> Result<Arc<CachedWebhook>, Refusal> {
        let namespace = entry.webhook.namespace().unwrap_or_default();
        let uid = entry.webhook.uid();
        let _turn = self.turns[turn(uid.as_deref().unwrap_or_default())].lock().await;
        let latest = self.catalog.get(&namespace, &entry.id).filter(|latest| latest.webhook.uid() == uid);
        let mut entry = latest.ok_or_else(Refusal::not_found)?;
        for attempt in 0..CONFLICTS {
            self.refuse_managed(&entry.webhook)?;
            let _reserved = match &change.name {
                Some(name) if name != entry.name() => Some(
                    self.catalog.reserve(&namespace, NameKind::Display, name, Some(&entry)).ok_or_else(not_unique)?,
                ),
                _ => None,
            };
            match self.update_once(&namespace, &entry, change.clone()).await {
                Ok(updated) => return Ok(updated),
                Err(error) if error.is_conflict() => entry = self.again(&entry, attempt).await?,
                Err(error) if error.is_not_found() => {
                    self.catalog.delete(&entry);
                    return Err(Refusal::not_found());
                }
                Err(error) => return Err(refusal(&error)),
            }
        }
        Err(contended())
    }

    /// Reads a webhook that somebody else has changed meanwhile, after a while that grows with each attempt.
    async fn again(&self, entry: &CachedWebhook, attempt: u32) -> Result<Arc<CachedWebhook>, Refusal> {
        tokio::time::sleep(PAUSE * attempt).await;
        let (namespace, name) = (entry.webhook.namespace().unwrap_or_default(), entry.webhook.name_any());
        let found = self.objects.get::<Webhook>(&namespace, &name).await.map_err(|error| refusal(&error))?;
        let latest =
            found.filter(|found| found.uid() == entry.webhook.uid()).and_then(|found| self.catalog.insert(found));
        latest.ok_or_else(|| {
            self.catalog.delete(entry);
            Refusal::not_found()
        })
    }

    async fn update_once(
        &self,
        namespace: &str,
        entry: &Arc<CachedWebhook>,
        change: Change,
    ) -> Result<Arc<CachedWebhook>, objects::Error> {
        let (webhook, name) = (&entry.webhook, entry.webhook.name_any());
        let mut draft = Draft::new(webhook, change);
        let (mut secret, mut placed) = (None, None);
        if !draft.secrets.is_empty() || !draft.cleared.is_empty() {
            secret = self.credentials.own(webhook).await?;
        }
        if !draft.secrets.is_empty() {
            let added = self.credentials.add(webhook, secret.take(), &draft.secrets).await?;
            draft.keep_in(added.references.clone());
            secret = Some(added.secret.clone());
            placed = Some(added);
        }
        let updated = match draft.patch(webhook) {
            None => Arc::clone(entry),
            Some(patch) => match self.objects.merge::<Webhook>(namespace, &name, &patch).await {
                Ok(updated) => self.seen(updated),
                Err(error) => {
                    // Without an answer it may have been done.
                    if let Some(placed) = placed.filter(|_| error.is_final()) {
                        self.credentials.take_back(&placed).await;
                    }
                    return Err(error);
                }
            },
        };
        if let Some(secret) = secret {
            self.credentials.tidy(&updated.webhook, &secret).await;
        }
        Ok(updated)
    }

    /// Deletes a webhook, and with it what it owns.
    pub(crate) async fn delete(&self, entry: &Arc<CachedWebhook>) -> Result<(), Refusal> {
        let mut entry = Arc::clone(entry);
        let (namespace, name) = (entry.webhook.namespace().unwrap_or_default(), entry.webhook.name_any());
        for attempt in 0..CONFLICTS {
            self.refuse_managed(&entry.webhook)?;
            match self.objects.delete::<Webhook>(&namespace, &name, at(&entry.webhook)).await {
                Ok(()) => {
                    self.catalog.delete(&entry);
                    return Ok(());
                }
                Err(error) if error.is_not_found() => {
                    self.catalog.delete(&entry);
                    return Err(Refusal::not_found());
                }
                // It may belong to somebody else by now.
                Err(error) if error.is_conflict() => entry = self.again(&entry, attempt).await?,
                Err(error) => return Err(refusal(&error)),
            }
        }
        Err(contended())
    }

    fn refuse_managed(&self, webhook: &Webhook) -> Result<(), Refusal> {
        let manager = Manager::of(&webhook.metadata).filter(|_| !self.allow_managed);
        manager.map_or(Ok(()), |manager| {
            let detail = format!(
                "Webhook {} is managed by {manager}, which would undo the change: change it there.",
                webhook.name_any()
            );
            Err(Refusal::new(StatusCode::FORBIDDEN, detail))
        })
    }

    fn now(&self) -> Timestamp {
        let now = Timestamp::now().as_microsecond();
        let last = self.last_created.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        let micros = last.map_or(now, |last| now.max(last + 1));
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn turn(uid: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default()
}

/// What is known of a webhook for reading a change of it.
pub(crate) fn existing(webhook: &Webhook) -> Existing {
    Existing { preset: webhook.spec.preset, url_is_secret: webhook.spec.url.is_none() }
}

/// A webhook before anything is said about it.
fn bare(namespace: &str, name: &str) -> Webhook {
    let spec = WebhookSpec {
        name: None,
        id: None,
        labels: None,
        team: None,
        enabled: true,
        trigger_type: TriggerType::Escalation,
        http_method: HttpMethod::Post,
        url: None,
        url_from: None,
        headers: None,
        headers_from: None,
        data: None,
        forward_all: None,
        trigger_template: None,
        integration_filter: None,
        username: None,
        password: None,
        authorization_header: None,
        preset: None,
        signing: None,
        timeout: Duration::from_secs(4).into(),
        retry: None,
        tls: None,
        history_limit: None,
        suspend: None,
    };
    let mut webhook = Webhook::new(name, spec);
    webhook.metadata.namespace = Some(namespace.to_owned());
    webhook
}

fn contended() -> Refusal {
    let detail = "Others keep changing this webhook at the same time: try again.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1)
}

fn not_unique() -> Refusal {
    Refusal::non_field("The fields name, organization must make a unique set.")
}

/// A call of the Kubernetes API that failed, as OnCall would say it.
pub(crate) fn refusal(error: &objects::Error) -> Refusal {
    // A conflict is one with other calls, such as those that a quota counts at the same time.
    let Some(status) = error.status().filter(|_| error.is_final() && !error.is_conflict()) else {
        tracing::warn!(error = error_chain(error), "answered with 503");
        let detail = "The Kubernetes API can't do this at the moment: try again.";
        let after =
            error.status().and_then(|status| status.details.as_ref()).map(|details| details.retry_after_seconds);
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(u64::from(after.unwrap_or(1).max(1)));
    };
    let short = |text: &str| text.chars().take(MESSAGE).collect::<String>();
    let mut faults: Vec<(String, Vec<String>)> = Vec::new();
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        let Some(field) = api_field(&cause.field) else { continue };
        let message = short(&cause.message);
        match faults.iter_mut().find(|(known, _)| *known == field) {
            Some((_, messages)) => messages.push(message),
            None => faults.push((field, vec![message])),
        }
    }
    match status.code {
        403 => Refusal::new(StatusCode::FORBIDDEN, short(&status.message)),
        _ if !faults.is_empty() => Refusal::faults(faults),
        _ => Refusal::new(StatusCode::BAD_REQUEST, short(&status.message)),
    }
}

/// The API's name of a manifest's field, such as `spec.httpMethod`; `non_field_errors` for the spec as a whole.
fn api_field(path: &str) -> Option<String> {
    let field = path.strip_prefix("spec")?.trim_start_matches('.');
    let name: String = field.chars().take_while(char::is_ascii_alphanumeric).collect();
    Some(match name.as_str() {
        "" => "non_field_errors".to_owned(),
        "enabled" => "is_webhook_enabled".to_owned(),
        name => name.chars().fold(String::new(), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_field_is_called_as_in_the_api() {
        let cases = [
            ("spec.url", Some("url")),
            ("spec.httpMethod", Some("http_method")),
            ("spec.enabled", Some("is_webhook_enabled")),
            ("spec.integrationFilter[0]", Some("integration_filter")),
            ("spec", Some("non_field_errors")),
            ("metadata.name", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(api_field(path).as_deref(), expected, "{path}");
        }
    }
}
