//! What the templates of an Integration say of a payload.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::templates::{Field, IntegrationTemplates, TemplateFault};
use crate::{event::TemplateContext, json::Json};

/// Bound on a grouping id, in characters.
pub const GROUPING_ID_LIMIT: usize = 250;
/// The characters of a hash in a grouping id: SHA-256 in base64.
const HASH_LENGTH: usize = 43;

/// Bound on a title, in characters: that of OnCall on titles that it shows.
pub const TITLE_LIMIT: usize = 500;

/// What an alert does to its alert group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlertAction {
    /// It joins the open alert group, or opens one.
    #[default]
    Firing,
    /// The same, and the alert group is acknowledged.
    Acknowledge,
    /// It resolves the open alert group.
    Resolve,
    /// It says that its source is there, and nothing of alerts.
    Heartbeat,
}

/// What templates see of an Integration beside the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegrationValues {
    /// Its name: `integration_name`, for the title.
    pub name: String,
    /// Its labels: `labels`. None of them is None in templates, as in OnCall where labels are switched off.
    pub labels: BTreeMap<String, String>,
}

/// What is known of an alert once its payload was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedAlert {
    /// Alerts with the same are of one alert group. At most [`GROUPING_ID_LIMIT`] characters; a longer text is its beginning,
    /// `…` and its SHA-256 in base64. (OnCall keeps nothing but the MD5 of any.) None if it is empty, or could not be rendered:
    /// such an alert is a group of its own, which nothing joins.
    pub grouping_id: Option<String>,
    /// What it does to its alert group.
    pub action: AlertAction,
    /// The title of the alert group if this alert opens it. One over [`TITLE_LIMIT`] is cut and ends in `..`. Spaces at its
    /// ends stay: the default for groups of alerts ends in one where no label but `alertname` groups them, as OnCall's does.
    pub title: String,
    /// The templates for which the default of the type was taken.
    pub faults: Vec<TemplateFault>,
}

/// Reads a payload, which [`super::alert_of`] gave and from which nothing is cut. May take seconds: templates are rendered.
///
/// A payload that resolves and acknowledges resolves: OnCall does both, in the other order. Where resolving is switched off it
/// acknowledges, or joins or opens an alert group as one that is firing, as in OnCall. Where even the default of the type
/// fails, it is as in OnCall: the title says so, the alert is a group of its own, and it does neither.
pub fn received(templates: &IntegrationTemplates, integration: &IntegrationValues, payload: &Value) -> ReceivedAlert {
    let mut faults = Vec::new();
    let mut context = context(integration, payload);
    let grouping_id = templates.grouping_id.render(&context, &mut faults).ok().flatten();
    let mut holds =
        |field: &Field| field.render(&context, &mut faults).ok().flatten().is_some_and(|text| is_truthy(&text));
    let action = if templates.resolve_condition.as_ref().is_some_and(&mut holds) {
        AlertAction::Resolve
    } else if holds(&templates.acknowledge_condition) {
        AlertAction::Acknowledge
    } else {
        AlertAction::Firing
    };
    context.push((Arc::from("integration_name"), Json::from(integration.name.as_str())));
    let title = templates.title.render(&context, &mut faults);
    let title = title.map_or_else(|error| error.to_string(), Option::unwrap_or_default);
    ReceivedAlert {
        grouping_id: grouping_id.filter(|id| !id.is_empty()).map(bounded_id),
        action,
        title: bounded_title(title),
        faults,
    }
}

fn context(integration: &IntegrationValues, payload: &Value) -> TemplateContext {
    let labels = match &integration.labels {
        labels if labels.is_empty() => Json::Null,
        labels => Json::object(labels.iter().map(|(key, value)| (key.as_str(), Json::from(value.as_str())))),
    };
    vec![(Arc::from("payload"), Json::from(payload.clone())), (Arc::from("labels"), labels)]
}

/// Whether what a condition rendered to says yes, as OnCall reads it.
fn is_truthy(text: &str) -> bool {
    // Python's `strip` takes these four for spaces too.
    let text = text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '\x1c'..='\x1f'));
    matches!(text.to_lowercase().as_str(), "1" | "true" | "ok")
}

fn bounded_id(id: String) -> String {
    if id.chars().nth(GROUPING_ID_LIMIT).is_none() {
        return id;
    }
    let beginning: String = id.chars().take(GROUPING_ID_LIMIT - HASH_LENGTH - 1).collect();
    format!("{beginning}…{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(id)))
}

fn bounded_title(mut title: String) -> String {
    if let Some((end, _)) = title.char_indices().nth(TITLE_LIMIT) {
        title.truncate(end);
        title.push_str("..");
    }
    title
}
