//! Which alert groups a list shows, as its query parameters say.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::json;

use super::listed::ListedAlertGroup;
use crate::{
    core::alert_groups::AlertGroupState,
    rest::{error::ApiError, pages::QueryParams},
};

/// The states by which a list is filtered, in OnCall's words and order.
const STATES: [(&str, AlertGroupState); 4] = [
    ("new", AlertGroupState::Firing),
    ("acknowledged", AlertGroupState::Acknowledged),
    ("resolved", AlertGroupState::Resolved),
    ("silenced", AlertGroupState::Silenced),
];

/// Selects alert groups of a namespace. The default selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertGroupFilter {
    id: Option<String>,
    integration_id: Option<String>,
    /// Team of the integration; `Some(None)` for those of no team.
    team: Option<Option<String>>,
    state: Option<AlertGroupState>,
    opened: Option<RangeInclusive<Timestamp>>,
    /// Labels, all of which it has to have.
    labels: Vec<(String, String)>,
    /// A route is asked for: no alert group has one.
    selects_none: bool,
}

impl AlertGroupFilter {
    /// Reads the parameters of a list.
    ///
    /// # Errors
    /// A state or a range of times is none: 400, in OnCall's words.
    pub(crate) fn read(query: &QueryParams) -> Result<Self, ApiError> {
        let text = |key: &str| query.get(key).map(str::to_owned);
        let trimmed = |key: &str| query.get(key).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let team = |team: String| (team != "null").then_some(team);
        Ok(Self {
            state: query.get("state").map(state).transpose()?,
            id: trimmed("id"),
            integration_id: text("integration_id"),
            team: text("team_id").map(team),
            opened: trimmed("started_at").as_deref().map(range).transpose()?,
            labels: query.all("label").filter_map(label).collect(),
            selects_none: query.get("route_id").is_some(),
        })
    }

    /// Whether an alert group of an integration of this team passes.
    pub(crate) fn passes<'a>(&self, group: &ListedAlertGroup, team: impl FnOnce() -> Option<&'a str>) -> bool {
        !self.selects_none
            && self.id.as_ref().is_none_or(|id| **id == *group.id)
            && self.integration_id.as_ref().is_none_or(|id| **id == *group.integration_id)
            && self.state.is_none_or(|state| state == group.state())
            && self.opened.as_ref().is_none_or(|opened| opened.contains(&group.created_at()))
            && self.labels.iter().all(|(key, value)| group.has_label(key, value))
            && self.team.as_ref().is_none_or(|wanted| wanted.as_deref() == team())
    }
}

fn state(text: &str) -> Result<AlertGroupState, ApiError> {
    let text = text.to_lowercase();
    let found = STATES.iter().find(|(word, _)| *word == text).map(|(_, state)| *state);
    found.ok_or_else(|| {
        let words = STATES.map(|(word, _)| word).join(", ");
        let body = json!({"state": format!("Must be one of the following: {words}")});
        ApiError { status: StatusCode::BAD_REQUEST, body, retry_after: None }
    })
}

/// Two times of UTC with `_` between, `%Y-%m-%dT%H:%M:%S` each.
fn range(text: &str) -> Result<RangeInclusive<Timestamp>, ApiError> {
    let time = |text: &str| {
        let time = DateTime::strptime("%Y-%m-%dT%H:%M:%S", text).ok()?;
        time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
    };
    let times: Option<Vec<Timestamp>> = text.split('_').map(time).collect();
    match times.as_deref() {
        Some([from, to]) if from <= to => Ok(*from..=*to),
        _ => Err(ApiError::new(StatusCode::BAD_REQUEST, "Invalid range value")),
    }
}

/// Reads `key:value`. OnCall ignores what is not.
fn label(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once(':').filter(|(_, value)| !value.contains(':'))?;
    Some((key.to_owned(), value.to_owned()))
}
