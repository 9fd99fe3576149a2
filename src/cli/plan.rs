//! Manifests and an occasion in; what each webhook would do out. An occasion is an event, or data as templates see it.

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail};
use kube::ResourceExt;
use secrecy::SecretString;
use serde::Serialize;

use super::{
    files,
    findings::{Finding, Severity},
    manifests::{Happening, Hook, Manifests},
    schema::quoted,
    yaml::{self, Data},
};
use crate::{
    core::{
        event::{Context, EventData, EventFacts, Own, response_value},
        json::{Json, Object},
        matching::{self, Mismatch},
        request::{self, Prepared},
        response::{MASK, Record},
        webhook::{EventType, SecretKey, Tls, Url},
    },
    resources::WebhookResponse,
};

/// Something that webhooks may fire for.
pub(super) struct Occasion {
    /// As people call it.
    pub(super) title: String,
    /// The event's name; none if only its data is known.
    pub(super) event: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) alert_group_id: String,
    /// The namespace that it is in; data alone is in all of them.
    namespace: Option<String>,
    /// None if every webhook is to fire.
    facts: Option<EventFacts>,
    integration_id: Option<String>,
    data: EventData,
    /// Whether records hide the body.
    masked: bool,
    /// `responses` that came with the data.
    responses: Object,
}

/// What one webhook would do.
pub(super) enum Deed {
    /// Nothing, for this reason.
    Nothing(String),
    /// It is recorded as failed, for this reason.
    Refused { record: Record, message: String },
    /// This is to be sent.
    Send { request: request::Request, record: Record, masked: bool },
}

/// Where values of Secrets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// What may be elsewhere is shown masked, and mentioned.
    Masked,
    /// What is missing is a failure.
    Fails,
}

/// The occasions in the files, or the one in the file with data.
pub(super) fn occasions(manifests: &mut Manifests, data: Option<&Path>) -> Result<Vec<Occasion>> {
    if let Some(path) = data {
        let data = read_data(path, &mut manifests.findings)?;
        return Ok(data.map(|data| of_data(path, data)).into_iter().collect());
    }
    let mut occasions = Vec::new();
    for Happening { place, event } in &manifests.events {
        let facts = event.spec.facts();
        let name = event.metadata.name.clone().or_else(|| event.metadata.generate_name.clone()).unwrap_or_default();
        occasions.push(Occasion {
            title: format!("AlertGroupEvent {}/{name}", place.namespace),
            event: Some(name),
            uid: event.uid(),
            alert_group_id: facts.alert_group_id.to_string(),
            namespace: Some(place.namespace.clone()),
            integration_id: facts.integration_id.clone(),
            masked: facts.event_type == EventType::PersonalNotification,
            facts: Some(facts),
            data: event.spec.data()?,
            responses: Object::new(),
        });
    }
    if manifests.happenings.is_empty() && manifests.findings.is_empty() {
        bail!("there is no AlertGroupEvent among the files: add one, or give data with --data FILE");
    }
    Ok(occasions)
}

/// Data as templates see it, from a file of JSON or YAML; None if a fault was found.
pub(super) fn read_data(path: &Path, findings: &mut Vec<Finding>) -> Result<Option<Object>> {
    let file = files::read(path)?;
    let mut fault = |line, field: &str, message: String| {
        let (file, object, field) = (Arc::clone(&file.name), String::new(), field.to_owned());
        findings.push(Finding { severity: Severity::Fault, file, line, object, field, message });
    };
    let mut documents = yaml::documents(&file.bytes, file.name.ends_with(".json"));
    if documents.len() > 1 {
        fault(1, "", "holds several documents: give the data as one".to_owned());
        return Ok(None);
    }
    let document = match documents.pop() {
        Some(Ok(document)) => document,
        Some(Err(problem)) => {
            fault(problem.line, "", problem.message);
            return Ok(None);
        }
        None => return Ok(Some(Object::new())),
    };
    for problem in document.repeated {
        fault(problem.line, "", problem.message);
    }
    match (&document.root.data, document.root.json()) {
        (Data::Map(_), Json::Object(object)) => {
            let known = |type_: &str| serde_json::from_value::<EventType>(type_.into()).is_ok();
            if let Some(type_) = document.root.text_at(&["event", "type"]).filter(|type_| !known(type_)) {
                let line = document.root.at(&["event", "type"]).map_or(1, |node| node.line);
                fault(line, "event.type", format!("{} is no type of event", quoted(type_)));
            }
            Ok(Some(Arc::unwrap_or_clone(object)))
        }
        _ => {
            let message = format!("must be an object, such as {{\"alert_payload\": …}}, not {}", document.root.what());
            fault(document.root.line, "", message);
            Ok(None)
        }
    }
}

fn of_data(path: &Path, mut data: Object) -> Occasion {
    let text = |object: Option<&Json>, key: &str| match object?.get(key)? {
        Json::Str(text) => Some(text.to_string()),
        _ => None,
    };
    let responses = match data.shift_remove("responses") {
        Some(Json::Object(responses)) => Arc::unwrap_or_clone(responses),
        _ => Object::new(),
    };
    // Each webhook sees its own.
    data.shift_remove("webhook");
    let group = data.get("alert_group");
    let alert_group_id = match data.get("alert_group_id") {
        Some(Json::Str(id)) => id.to_string(),
        _ => text(group, "id").unwrap_or_default(),
    };
    Occasion {
        title: format!("the data in {}", path.display()),
        event: None,
        uid: None,
        alert_group_id,
        namespace: None,
        facts: None,
        integration_id: text(data.get("integration"), "id").or_else(|| text(group, "integration_id")),
        masked: text(data.get("event"), "type").as_deref() == Some("personal notification"),
        data: EventData::new(data.into_iter().collect::<Context>()),
        responses,
    }
}

/// What webhooks were answered, by namespace and alert group: the latest content of each.
#[derive(Default)]
pub(super) struct History(Vec<Answered>);

struct Answered {
    namespace: String,
    group: String,
    webhook: String,
    id: Arc<str>,
    content: Json,
}

impl History {
    /// Begins with the responses among the files.
    pub(super) fn new(mut responses: Vec<WebhookResponse>) -> Self {
        responses.sort_by_key(|response| response.status.as_ref().and_then(|status| status.timestamp));
        let mut history = Self::default();
        responses.iter().for_each(|response| history.note(response));
        history
    }

    /// Takes in one that has ended.
    pub(super) fn note(&mut self, response: &WebhookResponse) {
        let Some(status) = response.status.as_ref().filter(|status| status.timestamp.is_some()) else { return };
        let (namespace, spec) = (response.namespace().unwrap_or_default(), &response.spec);
        let (group, webhook) = (spec.alert_group_id.clone(), spec.webhook_ref.name.clone());
        self.0.retain(|old| (&old.namespace, &old.group, &old.webhook) != (&namespace, &group, &webhook));
        let content = response_value(status.content.as_deref());
        self.0.push(Answered { namespace, group, webhook, id: Arc::from(spec.webhook_ref.id.as_str()), content });
    }

    fn responses(&self, namespace: &str, group: &str, webhook: &str) -> Object {
        let others = self.0.iter().filter(|answered| {
            answered.namespace == namespace && answered.group == group && answered.webhook != webhook
        });
        others.map(|answered| (Arc::clone(&answered.id), answered.content.clone())).collect()
    }
}

/// The webhooks that an occasion concerns.
pub(super) fn concerned<'a>(manifests: &'a Manifests, occasion: &Occasion) -> Vec<&'a Hook> {
    let is_there =
        |hook: &&Hook| occasion.namespace.as_ref().is_none_or(|namespace| *namespace == hook.place.namespace);
    manifests.hooks.iter().filter(is_there).collect()
}

/// What `hook` would do.
pub(super) fn deed(
    manifests: &Manifests,
    hook: &Hook,
    occasion: &Occasion,
    history: &History,
    lacking: Lacking,
) -> Deed {
    let webhook = &hook.webhook;
    let matched = match &occasion.facts {
        Some(facts) => matching::check(webhook, facts),
        None => matching::check_once_triggered(webhook, occasion.integration_id.as_deref()),
    };
    if let Err(mismatch) = matched {
        return Deed::Nothing(explain(mismatch, hook, occasion));
    }
    let mut responses = history.responses(&hook.place.namespace, &occasion.alert_group_id, &webhook.name);
    responses.extend(
        occasion
            .responses
            .iter()
            .filter(|(id, _)| ***id != *webhook.id)
            .map(|(id, content)| (Arc::clone(id), content.clone())),
    );
    let own = Own::new(webhook.template_data(), responses);
    let secret = |key: &SecretKey| {
        secret(manifests, hook, key).or_else(|missing| match lacking {
            Lacking::Masked if missing.may_be_elsewhere => Ok(stand_in(hook, key)),
            _ => Err(missing.message),
        })
    };
    match request::prepare(webhook, &occasion.data, &own, occasion.masked, &secret) {
        Prepared::Skip(result) => Deed::Nothing(format!("its trigger template rendered to {}", quoted(&result))),
        Prepared::Send(request, record) => Deed::Send { request: *request, record, masked: occasion.masked },
        Prepared::Refused(record) => {
            let message = failure(&record);
            Deed::Refused { record, message }
        }
    }
}

/// What failed, of a webhook that was refused.
pub(super) fn failure(record: &Record) -> String {
    // The last field that has something is the one that failed.
    let fields = [&record.content, &record.request_data, &record.request_headers, &record.url, &record.request_trigger];
    fields.into_iter().flatten().next().cloned().unwrap_or_default()
}

/// What is to be said of one field that is masked.
pub(super) const MASKED: &str = "masked: put its value in place of the asterisks";

/// A secret that has no value here.
pub(super) struct Missing {
    pub(super) message: String,
    /// Whether it may well be where the files are not from.
    pub(super) may_be_elsewhere: bool,
}

/// The value of a secret that a webhook needs.
pub(super) fn secret(manifests: &Manifests, hook: &Hook, key: &SecretKey) -> Result<SecretString, Missing> {
    if let Some((_, value)) = hook.inline.iter().find(|(inline, _)| inline == key) {
        return value.clone().ok_or_else(|| Missing { message: all_masked(hook), may_be_elsewhere: true });
    }
    manifests.secrets.get(&hook.place.namespace, key)
}

/// Takes `tls` away where a Secret of it is not among the files: nothing of it shows in a request, and nothing stands in for
/// a certificate.
pub(super) fn without_absent_tls(manifests: &mut Manifests) {
    let is_absent = |hook: &Hook| {
        let of_tls = hook.webhook.secrets().filter(|(field, _)| field.starts_with("tls."));
        let missing = of_tls.filter_map(|(_, key)| secret(manifests, hook, key).err());
        missing.into_iter().any(|missing| missing.may_be_elsewhere)
    };
    let absent: Vec<bool> = manifests.hooks.iter().map(is_absent).collect();
    for (hook, _) in manifests.hooks.iter_mut().zip(absent).filter(|(_, absent)| *absent) {
        hook.webhook.tls = Tls::default();
    }
}

/// Says of all that are masked at once: they are put in at once too.
fn all_masked(hook: &Hook) -> String {
    let masked = hook.inline.iter().filter(|(_, value)| value.is_none());
    let fields: Vec<&str> = masked.map(|(key, _)| key.key.as_str()).collect();
    match &*fields {
        [field] => format!("{field} is {MASKED}"),
        _ => format!("{} are masked: put their values in place of the asterisks", fields.join(" and ")),
    }
}

/// What is rendered, and then masked, in place of a secret that is not there.
fn stand_in(hook: &Hook, key: &SecretKey) -> SecretString {
    match &hook.webhook.url {
        Url::Secret(url) if url == key => SecretString::from("http://secret.invalid/"),
        _ => SecretString::from(MASK),
    }
}

fn explain(mismatch: Mismatch, hook: &Hook, occasion: &Occasion) -> String {
    let webhook = &hook.webhook;
    match mismatch {
        Mismatch::Disabled => "it is disabled".to_owned(),
        Mismatch::Trigger => {
            let event = occasion.facts.as_ref().map(|facts| word(facts.event_type)).unwrap_or_default();
            format!("its trigger is {}, the event's type is {event}", word(webhook.trigger_type))
        }
        Mismatch::NotNamed => {
            format!("webhookRefs of the event does not name it: neither {} nor {}", webhook.name, webhook.id)
        }
        Mismatch::Integration => match occasion.integration_id.as_deref() {
            Some(id) => format!("its integration filter has no {id}, the event's integration"),
            None => "it has an integration filter, and the event names no integration".to_owned(),
        },
    }
}

/// A word of OnCall's API.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
