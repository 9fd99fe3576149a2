//! A webhook and an event in; what the webhook would do out.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Serialize;

use super::{
    events::InputEvent, manifest::WebhookManifest, manifests::Manifests, responses::ResponseHistory, wording::quoted,
};
use crate::core::{
    event::WebhookContext,
    matching::{self, Mismatch},
    request::{self, Preparation, PreparedRequest},
    response::{MASK, ResponseRecord},
    webhook::{SecretKey, UrlSource},
};

/// The decision what one webhook would do for one event.
pub(super) enum Decision {
    /// It does not fire, for this reason.
    DoesNotFire(String),
    /// It fires, and no request can be made: it is recorded as failed.
    Fails { record: ResponseRecord, message: String },
    /// It fires, and this is its request. `masked` says that the body is not to be shown.
    Sends { request: PreparedRequest, record: ResponseRecord, masked: bool },
}

/// Says how to go on where a secret has no value among the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnMissingSecret {
    /// Put a mask in its place, if the cluster may well have it.
    Mask,
    /// Fail.
    Fail,
}

/// The webhooks that an event may fire.
pub(super) fn webhooks_of<'a>(manifests: &'a Manifests, event: &InputEvent) -> Vec<&'a WebhookManifest> {
    let is_there = |webhook: &&WebhookManifest| {
        event.namespace.as_ref().is_none_or(|namespace| *namespace == webhook.source.namespace)
    };
    manifests.webhooks.iter().filter(is_there).collect()
}

/// Decides what a webhook would do for an event.
pub(super) fn decide(
    manifests: &Manifests,
    manifest: &WebhookManifest,
    event: &InputEvent,
    history: &ResponseHistory,
    on_missing: OnMissingSecret,
) -> Decision {
    let webhook = &manifest.webhook;
    let matched = match &event.facts {
        Some(facts) => matching::check(webhook, facts),
        None => matching::check_once_triggered(webhook, event.integration_id.as_deref()),
    };
    if let Err(mismatch) = matched {
        return Decision::DoesNotFire(explain(mismatch, manifest, event));
    }
    let mut responses = history.of_others(&manifest.source.namespace, &event.alert_group_id, &webhook.name);
    let with_data = event.responses.iter().filter(|(id, _)| ***id != *webhook.id);
    responses.extend(with_data.map(|(id, content)| (Arc::clone(id), content.clone())));
    let own = WebhookContext::new(webhook.template_data(), responses);
    let secret = |key: &SecretKey| {
        manifests.secret_of(manifest, key).or_else(|missing| match on_missing {
            OnMissingSecret::Mask if missing.may_be_elsewhere => Ok(placeholder(manifest, key)),
            _ => Err(missing.message),
        })
    };
    match request::prepare(webhook, &event.data, &own, event.masked, &secret) {
        Preparation::Skip(result) => {
            Decision::DoesNotFire(format!("its trigger template rendered to {}", quoted(&result)))
        }
        Preparation::Send(request, record) => Decision::Sends { request: *request, record, masked: event.masked },
        Preparation::Failed(record) => {
            let message = request::failure(&record);
            Decision::Fails { record, message }
        }
    }
}

/// The text that is rendered, and then masked, in place of a secret that is missing.
fn placeholder(manifest: &WebhookManifest, key: &SecretKey) -> SecretString {
    match &manifest.webhook.url {
        UrlSource::Secret(url) if url == key => SecretString::from("http://secret.invalid/"),
        _ => SecretString::from(MASK),
    }
}

/// Why a webhook does not fire.
fn explain(mismatch: Mismatch, manifest: &WebhookManifest, event: &InputEvent) -> String {
    let webhook = &manifest.webhook;
    match mismatch {
        Mismatch::Disabled => "it is disabled".to_owned(),
        Mismatch::Trigger if event.facts.as_ref().is_some_and(|facts| facts.event_type.is_none()) => {
            "what the event fires is known once the operator has folded it into an AlertGroup".to_owned()
        }
        Mismatch::Trigger => {
            let event_type = event.facts.as_ref().and_then(|facts| facts.event_type).map(word).unwrap_or_default();
            format!("its trigger is {}, the event's type is {event_type}", word(webhook.trigger_type))
        }
        Mismatch::NotNamed => {
            format!("webhookRefs of the event does not name it: neither {} nor {}", webhook.name, webhook.id)
        }
        Mismatch::Integration => match event.integration_id.as_deref() {
            Some(id) => format!("its integration filter has no {id}, the event's integration"),
            None => "it has an integration filter, and the event names no integration".to_owned(),
        },
    }
}

/// The word of OnCall's API for a value of an enum.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
