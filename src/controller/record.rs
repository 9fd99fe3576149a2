//! Writes records into WebhookResponses: each is created with its first one, and a later one is written at a version, over nothing
//! that is newer.

use serde_json::{Value, json};

use crate::{
    kubernetes::{
        objects::{self, Objects},
        resource_version::{ResourceVersion, version_of},
    },
    resources::{RECORDED_AT_ANNOTATION, WebhookResponse, WebhookResponseStatus},
};

/// The outcome of writing a status.
pub(super) enum Written {
    /// It is there, with this version; None if it is in the journal.
    Ours(Option<ResourceVersion>),
    /// There is no such object any more.
    Gone,
    /// Another replica's is there, and stays.
    Theirs(ResourceVersion, Box<WebhookResponseStatus>),
}

/// Creates a WebhookResponse. Returns its version; None if it was there already: a call that seemed to fail had worked, or another
/// replica was there.
pub(super) async fn create(
    objects: &Objects,
    response: &WebhookResponse,
) -> Result<Option<ResourceVersion>, objects::Error> {
    let (namespace, name) = (response.metadata.namespace.as_deref(), response.metadata.name.as_deref());
    match objects.create(namespace.unwrap_or_default(), name.unwrap_or_default(), response).await {
        Ok(version) => Ok(Some(version)),
        Err(error) if error.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a patch of a status, and of what says when it was recorded.
pub(super) fn patch(status: &Value, recorded_at: Option<&str>) -> Value {
    match recorded_at {
        Some(at) => json!({"metadata": {"annotations": {RECORDED_AT_ANNOTATION: at}}, "status": status}),
        None => json!({"status": status}),
    }
}

/// Makes the patch that puts what a WebhookResponse is to say in the place of what one says that is there.
pub(super) fn replacing(response: &WebhookResponse) -> Value {
    let status = response.status.as_ref().map(WebhookResponseStatus::replacing).transpose();
    let recorded_at = response.metadata.annotations.as_ref().and_then(|all| all.get(RECORDED_AT_ANNOTATION));
    // Nothing in it is what JSON can't express.
    patch(&status.ok().flatten().unwrap_or_default(), recorded_at.map(String::as_str))
}

/// Patches a WebhookResponse at a version, read first if there is none; and at a later one if `is_untouched` says that what is there
/// now can be written over.
pub(super) async fn write(
    objects: &Objects,
    namespace: &str,
    name: &str,
    mut version: Option<ResourceVersion>,
    patch: &Value,
    is_untouched: impl Fn(&WebhookResponseStatus) -> bool,
) -> Result<Written, objects::Error> {
    loop {
        if version.is_some() {
            let write = || objects.patch_at::<WebhookResponse>(namespace, name, version.as_ref(), patch);
            match objects::persist(write).await {
                Ok(version) => return Ok(Written::Ours(Some(version))),
                Err(error) if error.is_not_found() => return Ok(Written::Gone),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        let found = objects::persist(|| objects.get::<WebhookResponse>(namespace, name)).await?;
        let Some(found) = found else { return Ok(Written::Gone) };
        let now = version_of(&found);
        let theirs = found.status.unwrap_or_default();
        if !is_untouched(&theirs) {
            return Ok(Written::Theirs(now, Box::new(theirs)));
        }
        version = Some(now);
    }
}
