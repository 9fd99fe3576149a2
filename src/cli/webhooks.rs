//! Finds a webhook by name or id.

use anyhow::{Result, bail};
use kube::api::ListParams;
use serde::Deserialize;

use super::{
    progress::Progress,
    session::{Session, explain},
};
use crate::{
    core::id,
    resources::{Webhook, is_name},
};

/// Parses the name or id of a Webhook.
pub(super) fn reference(text: &str) -> Result<String, String> {
    if is_name(text, 253, true) || id::is_webhook_id(text) {
        Ok(text.to_owned())
    } else {
        Err("give the name or the id of a Webhook".to_owned())
    }
}

/// What tells the id of a Webhook.
#[derive(Deserialize)]
struct Identified {
    metadata: Named,
    #[serde(default)]
    spec: Id,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
struct Id {
    id: Option<String>,
}

/// The name of the Webhook of this name or id.
///
/// # Errors
/// There is none, or the API server does not say.
pub(super) async fn find(session: &Session, reference: &str) -> Result<String> {
    let namespace = &session.namespace;
    let found = if id::is_webhook_id(reference) {
        let mut found = None;
        let progress = Progress::new("Webhooks read");
        let take = |text: &str| {
            let Identified { metadata: Named { name }, spec } = serde_json::from_str(text)?;
            if spec.id.unwrap_or_else(|| id::webhook_id(namespace, &name)) == reference {
                found = Some(name);
            }
            Ok(())
        };
        session.each_text::<Webhook>(Some(namespace), ListParams::default(), &progress, take).await?;
        found
    } else {
        let found = session.objects.get_part::<Webhook, Identified>(namespace, reference).await;
        found.map_err(|error| explain(&error))?.map(|webhook| webhook.metadata.name)
    };
    match found {
        Some(name) => Ok(name),
        None => bail!("Webhook {namespace}/{reference} does not exist"),
    }
}
