//! An alert group as `/api/v1/alert_groups/` shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{alert::AlertBody, stored::StoredAlertGroup};
use crate::{
    core::{alert_groups::AlertGroupState, id},
    resources::AlertGroupAct,
    rest::python_time::python_time,
};

/// Alerts that belong together.
// In OnCall's order.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertGroup)]
pub(crate) struct AlertGroupBody<'a> {
    /// Its id.
    id: &'a str,
    /// Id of the integration that received its alerts.
    integration_id: String,
    /// Team of that integration.
    #[schema(required)]
    team_id: Option<&'a str>,
    /// Always null: there are no routes here.
    #[schema(required)]
    route_id: Option<&'a str>,
    /// How many alerts it has.
    alerts_count: u32,
    /// Its state.
    state: AlertGroupState,
    /// When it was opened.
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    /// When it was resolved.
    #[schema(required, format = DateTime)]
    resolved_at: Option<String>,
    /// Name of the user who resolved it; null where its integration did.
    #[schema(required)]
    resolved_by: Option<&'a str>,
    /// When it was acknowledged.
    #[schema(required, format = DateTime)]
    acknowledged_at: Option<String>,
    /// Name of the user who acknowledged it; null where its integration did.
    #[schema(required)]
    acknowledged_by: Option<&'a str>,
    /// Its labels, by their keys: those that its integration had when it was opened.
    labels: Vec<AlertGroupLabel<'a>>,
    /// Its title; null if it is wiped.
    #[schema(required)]
    title: Option<&'a str>,
    permalinks: PermalinksBody,
    /// When it was silenced.
    #[schema(required, format = DateTime)]
    silenced_at: Option<String>,
    #[schema(required)]
    last_alert: Option<AlertBody<'a>>,
}

/// Links to an alert group in other programs: there are none.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Permalinks)]
struct PermalinksBody {
    #[schema(required)]
    slack: Option<String>,
    #[schema(required)]
    slack_app: Option<String>,
    #[schema(required)]
    telegram: Option<String>,
    #[schema(required)]
    web: Option<String>,
}

/// A label of an alert group.
#[derive(Serialize, ToSchema)]
struct AlertGroupLabel<'a> {
    key: LabelPart<'a>,
    value: LabelPart<'a>,
}

/// The key or the value of a label; it is its own id.
#[derive(Serialize, ToSchema)]
struct LabelPart<'a> {
    id: &'a str,
    name: &'a str,
}

impl<'a> From<&'a String> for LabelPart<'a> {
    fn from(text: &'a String) -> Self {
        Self { id: text, name: text }
    }
}

impl<'a> AlertGroupBody<'a> {
    /// An alert group of an integration that belongs to this team.
    pub(crate) fn new(group: &'a StoredAlertGroup, namespace: &str, team: Option<&'a str>) -> Self {
        let (integration, status) = (&group.spec.integration_ref, &group.status);
        let time = |act: &Option<AlertGroupAct>| act.as_ref().map(|act| python_time(act.time));
        Self {
            id: &status.id,
            integration_id: integration.id.clone().unwrap_or_else(|| id::integration_id(namespace, &integration.name)),
            team_id: team,
            route_id: None,
            alerts_count: status.alerts_count,
            state: status.state,
            created_at: status.created_at.map(python_time),
            resolved_at: time(&status.resolved),
            resolved_by: status.resolved.as_ref().and_then(|act| act.user.as_deref()),
            acknowledged_at: time(&status.acknowledged),
            acknowledged_by: status.acknowledged.as_ref().and_then(|act| act.user.as_deref()),
            labels: status
                .labels
                .iter()
                .map(|(key, value)| AlertGroupLabel { key: key.into(), value: value.into() })
                .collect(),
            title: status.title(),
            permalinks: PermalinksBody::default(),
            silenced_at: time(&status.silenced),
            last_alert: group.last_alert(),
        }
    }
}
