//! Alerts in: what a source sent goes in; what is to be known of its alert comes out. The same payload
//! gives the same alert, unless a template asks for the time or for chance.
//!
//! ```text
//! body ─► parse ─► alert_of ─┬─► received ─► ReceivedAlert: grouping id, title, action
//!            │        │      └─► bounded ──► the payload as it is stored
//!            └► Refusal◄┘
//! spec.templates ─► IntegrationTemplates::compile ─► (for received)
//! ```
//!
//! - `body`: the JSON of a body, and the payload of the alert that it is
//! - `refusal`: the answers to what is not taken
//! - `defaults`: the templates of each type where an Integration has none of its own
//! - `templates`: the templates of an Integration, compiled
//! - `received`: what they say of a payload
//! - `bounded`: payloads that are too long to be stored
//! - `heartbeat`: the alerts that tell that a source is silent, and that it is back
//!
//! Templates see `payload` (the whole one, before anything is cut from it) and `labels` (those of the Integration; None if it
//! has none); that of the title sees `integration_name` too. Names of OnCall's that belong to an alert group
//! (`grafana_oncall_link`, `grafana_oncall_alert_group_id`, `grafana_oncall_incident_id`, `source_link`) are undefined, and so
//! render to nothing: there is no alert group yet when templates are rendered. In OnCall they are undefined too, but in a title
//! that is shown, which is rendered once more.
//!
//! Facts are from OnCall's source: `apps/integrations/views.py`, `apps/alerts/models/alert.py` (`render_group_data`),
//! `config_integrations`, and `common/jinja_templater`.

mod body;
mod bounded;
mod defaults;
mod heartbeat;
mod received;
mod refusal;
mod templates;
#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

pub use self::{
    body::{DEEPEST, alert_of, parse},
    bounded::{PAYLOAD_LIMIT, bounded},
    heartbeat::{HEARTBEAT_GROUPING_ID, Heartbeat, heartbeat_alert},
    received::{AlertAction, GROUPING_ID_LIMIT, IntegrationValues, ReceivedAlert, TITLE_LIMIT, received},
    refusal::Refusal,
    templates::{IntegrationTemplates, TemplateFault, TemplateSources},
};

/// The body of the answer to an alert that was taken, status 200, `Content-Type: application/json`: OnCall's.
pub const TAKEN: &str = r#""Ok.""#;

/// The kind of source that an Integration is for, in OnCall's words. It stands in the address that sources send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IntegrationType {
    /// Prometheus' Alertmanager: a group of alerts in each payload.
    Alertmanager,
    /// A webhook contact point of Grafana Alerting: a group of alerts in each payload.
    GrafanaAlerting,
    /// Any JSON.
    Webhook,
    /// An object with the keys `alert_uid`, `title`, `state`, `message`, `image_url` and `link_to_upstream_details`.
    FormattedWebhook,
}

impl IntegrationType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alertmanager, Self::GrafanaAlerting, Self::Webhook, Self::FormattedWebhook];

    /// Its word in manifests and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::GrafanaAlerting => "grafana_alerting",
            Self::Webhook => "webhook",
            Self::FormattedWebhook => "formatted_webhook",
        }
    }

    /// Its name as OnCall shows it to people.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Alertmanager => "Alertmanager",
            Self::GrafanaAlerting => "Grafana Alerting",
            Self::Webhook => "Webhook",
            Self::FormattedWebhook => "Formatted webhook",
        }
    }

    /// Whether a payload is a group of alerts, with `groupKey`, `groupLabels` and `alerts`.
    pub fn sends_groups(self) -> bool {
        matches!(self, Self::Alertmanager | Self::GrafanaAlerting)
    }
}

/// As [`IntegrationType::as_str`].
impl Display for IntegrationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no integration type of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read integration type '{0}': it is none of alertmanager, grafana_alerting, webhook, formatted_webhook")]
pub struct UnknownIntegrationType(pub String);

impl FromStr for IntegrationType {
    type Err = UnknownIntegrationType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| UnknownIntegrationType(name.to_owned()))
    }
}
