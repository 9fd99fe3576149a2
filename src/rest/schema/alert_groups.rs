//! The parameters and bodies of `/alert_groups/`.

use utoipa::{IntoParams, ToSchema};

use super::Detail;

/// Which alert groups of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertGroupFilterParams {
    /// The one with this id.
    id: Option<String>,
    /// Those of this integration.
    integration_id: Option<String>,
    /// None: there are no routes here.
    route_id: Option<String>,
    /// Those of integrations of this team; `null` for those of none.
    team_id: Option<String>,
    /// Those in this state: `new`, `acknowledged`, `resolved` or `silenced`.
    state: Option<String>,
    /// Those that were opened within this range of times in UTC, such as `2024-03-20T10:00:00_2024-03-21T10:00:00`.
    started_at: Option<String>,
    /// Those with this label, `key:value`; with all of them, where it comes several times. Anything else is ignored.
    label: Option<Vec<String>>,
}

/// Which alerts of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertFilterParams {
    /// The one with this id.
    id: Option<String>,
    /// Those of this alert group.
    alert_group_id: Option<String>,
    /// Those whose payload, as JSON text without spaces between its parts, contains this, in any case. Needs `alert_group_id`.
    search: Option<String>,
}

/// Which alert group.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AlertGroupIdParams {
    /// `I` and 12 or more of A–Z without O, and 1–9.
    id: String,
}

/// How long an alert group is to be silenced.
#[derive(ToSchema)]
pub(crate) struct Silencing {
    /// In seconds; 0 or -1 for ever.
    #[schema(minimum = -1, example = 3600)]
    delay: i64,
}

/// How an alert group is to be deleted.
#[derive(ToSchema)]
pub(crate) struct Deletion {
    /// `wipe` takes its content away, `delete` the whole.
    #[schema(nullable = false, default = "wipe")]
    mode: Option<DeletionMode>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum DeletionMode {
    Wipe,
    Delete,
}

/// Why an alert group was not deleted; of a mode that is unknown OnCall tells without an object around it.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum NotDeleted {
    Detail(Detail),
    Text(String),
}

/// What is wrong with the parameters of a list.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum FilterFaults {
    Detail(Detail),
    State(StateFault),
}

/// There is no such state.
#[derive(ToSchema)]
pub(crate) struct StateFault {
    state: String,
}
