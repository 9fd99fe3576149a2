//! From the body of a request to the AlertGroupEvents that are created for it.

use std::{borrow::Cow, collections::BTreeMap};

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use kube::api::ObjectMeta;
use serde_json::value::{RawValue, to_raw_value};

use super::source::Source;
use crate::{
    core::{
        charset,
        intake::{
            AlertAction, PAYLOAD_LIMIT, ReceivedAlert, Refusal, TemplateFault, alert_of, bounded, parse, received,
        },
    },
    resources::{
        Alert, AlertGroupEvent, AlertGroupEventSpec, INTEGRATION_LABEL, IntegrationRef, TEMPLATE_FAULT_ANNOTATION,
        TRACEPARENT_ANNOTATION, label_value,
    },
    rest::body::values_in,
};

/// Bound on the values in a body: in memory each takes many times what it takes in the text. Groups of alerts as long as a body may
/// be have half as many.
const MOST_VALUES: usize = 50_000;
/// How much the API server keeps of a name to which it adds characters of its own.
const LONGEST_BEGINNING: usize = 58;

/// What is created for a body.
#[derive(Debug)]
pub(super) struct NewEvents {
    /// What the alert does to its alert group.
    pub(super) action: AlertAction,
    /// The manifests of the events, in the order in which they are created.
    pub(super) manifests: Vec<Box<RawValue>>,
}

/// How a body is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    charset: Option<String>,
}

impl Encoding {
    /// What the headers say. Whatever the type of the content, it is taken to be JSON: senders such as `curl -d` name another.
    ///
    /// # Errors
    /// It is a form that may have files.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("multipart/form-data") {
            return Err(Refusal::file_upload());
        }
        Ok(Self { charset: charset::named(content_type) })
    }
}

/// Makes the events for a body, which name the span `traceparent` if it is given. May take seconds: templates are rendered.
///
/// # Errors
/// The body is none that an alert can be made of, or has more than [`MOST_VALUES`]; or there are no random numbers.
pub(super) fn new_events(
    source: &Source,
    encoding: &Encoding,
    body: &[u8],
    traceparent: Option<String>,
) -> Result<NewEvents, Refusal> {
    let body = match &encoding.charset {
        Some(charset) if !body.is_empty() => charset::to_utf8(body, charset).map_err(|error| not_json(&error))?,
        _ => Cow::Borrowed(body),
    };
    if values_in(&body) > MOST_VALUES {
        return Err(Refusal::detail(413, &format!("The request's body has more than {MOST_VALUES} values.")));
    }
    let payload = alert_of(source.integration_type, parse(&body)?)?;
    let ReceivedAlert { grouping_id, action, title, faults } = received(source.templates(), &source.values, &payload);
    source.tell_faults(&faults);
    let grouping_id = match (grouping_id, action) {
        (None, AlertAction::Acknowledge) => Some(own_grouping_id()?),
        (grouping_id, _) => grouping_id,
    };
    let alert = Alert {
        integration_ref: IntegrationRef { name: source.name.name.to_string(), id: Some(source.id.clone()) },
        grouping_id,
        action,
        title: Some(title).filter(|title| !title.is_empty()),
        payload: Some(bounded(source.integration_type, payload, PAYLOAD_LIMIT)),
    };
    let alerts = match action {
        AlertAction::Acknowledge => {
            // The first opens the alert group or joins it, and has the payload.
            let acknowledging = Alert { payload: None, ..alert.clone() };
            vec![Alert { action: AlertAction::Firing, ..alert }, acknowledging]
        }
        AlertAction::Firing | AlertAction::Resolve | AlertAction::Heartbeat => vec![alert],
    };
    let fault = faults.first().and_then(|fault| Some(fault_annotation(source.generation?, fault)));
    let span = traceparent.map(|text| (TRACEPARENT_ANNOTATION.to_owned(), text));
    let annotations: BTreeMap<_, _> = fault.into_iter().chain(span).collect();
    let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    let manifests = alerts.into_iter().map(|alert| {
        let mut event = event_of(&source.name.name, alert);
        event.metadata.annotations.clone_from(&annotations);
        to_raw_value(&event)
    });
    let manifests = manifests.collect::<Result<_, _>>().map_err(|error| not_json(&error.to_string()))?;
    Ok(NewEvents { action, manifests })
}

/// The grouping id of an alert that has none and becomes two events: nothing but these has it. OnCall makes up one for each alert without.
fn own_grouping_id() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::detail(503, "There are no random numbers: try again."))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Tells the operator of a template that failed, which tells it in the Integration's status.
fn fault_annotation(generation: i64, fault: &TemplateFault) -> (String, String) {
    let TemplateFault { field, line, message, column: _ } = fault;
    let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
    (TEMPLATE_FAULT_ANNOTATION.to_owned(), format!("{generation} spec.{field}{line}: {message}"))
}

/// The manifest of the event of a heartbeat.
///
/// # Errors
/// Never: a value that JSON can't express.
pub(super) fn heartbeat(source: &Source) -> serde_json::Result<Box<RawValue>> {
    let integration_ref = IntegrationRef { name: source.name.name.to_string(), id: Some(source.id.clone()) };
    let alert = Alert { integration_ref, action: AlertAction::Heartbeat, ..Alert::default() };
    to_raw_value(&event_of(&source.name.name, alert))
}

/// The refusal of a body that can't be read before it comes to be parsed.
fn not_json(message: &str) -> Refusal {
    Refusal::detail(400, &format!("JSON parse error - {message}"))
}

fn event_of(integration: &str, alert: Alert) -> AlertGroupEvent {
    AlertGroupEvent {
        metadata: ObjectMeta {
            generate_name: Some(beginning(integration)),
            labels: Some(BTreeMap::from([(INTEGRATION_LABEL.to_owned(), label_value(integration))])),
            ..ObjectMeta::default()
        },
        spec: AlertGroupEventSpec { alert: Some(alert), ..AlertGroupEventSpec::default() },
        status: None,
    }
}

/// What the names of an Integration's events begin with.
fn beginning(integration: &str) -> String {
    let most = LONGEST_BEGINNING - 1;
    // Names are ASCII; one that is cut must not end within a sign between two parts.
    let cut = integration.get(..most).unwrap_or(integration);
    format!("{}-", cut.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests;
