//! The alerts that are stored of alert groups: the first and the last of each. `/api/v1/alerts/` lists them.

use std::{cmp::Reverse, ops::Range, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{AlertGroups, listed::ListedAlertGroup, stored::StoredAlertGroup};
use crate::{
    core::id,
    kubernetes::resource_version::ResourceVersion,
    rest::{pages::QueryParams, python_time::python_time},
};

/// An alert of an alert group.
#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertBody<'a> {
    /// Its id.
    id: String,
    alert_group_id: &'a str,
    /// When it was received.
    #[schema(format = DateTime)]
    created_at: String,
    /// The alert as it was received: any JSON.
    #[schema(required, value_type = Value)]
    payload: Option<&'a RawValue>,
}

impl StoredAlertGroup {
    /// Its last alert.
    pub(super) fn last_alert(&self) -> Option<AlertBody<'_>> {
        let status = &self.status;
        status.last_alert.as_ref().map(|alert| AlertBody {
            id: id::alert_id(&alert.event_ref.uid),
            alert_group_id: &status.id,
            created_at: python_time(alert.time),
            payload: status.last_payload(),
        })
    }

    fn first_alert(&self) -> Option<AlertBody<'_>> {
        let status = &self.status;
        Some(AlertBody {
            id: id::alert_id(status.opened_by()?),
            alert_group_id: &status.id,
            created_at: python_time(status.created_at?),
            payload: status.first_payload(),
        })
    }

    /// The alert with an id, unless a later one has taken its place.
    pub(crate) fn alert(&self, id: &str) -> Option<AlertBody<'_>> {
        [self.last_alert(), self.first_alert()].into_iter().flatten().find(|alert| alert.id == id)
    }
}

/// Where an alert stands in a list: when it was received, and its event's place among those of the same second.
pub(super) type AlertPlace<'a> = (Timestamp, Option<&'a ResourceVersion>);

/// An alert in a list.
#[derive(Clone, Copy)]
pub(super) struct ListedAlert<'a> {
    pub(super) id: &'a str,
    pub(super) place: AlertPlace<'a>,
}

/// An alert group, and the id of an alert of it.
pub(crate) type AlertOfGroup = (Arc<ListedAlertGroup>, Box<str>);

/// Which alerts of a namespace a list shows, as its query parameters say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertFilter {
    id: Option<String>,
    pub(crate) alert_group_id: Option<String>,
    /// What a payload must contain, in lower case.
    pub(crate) search: Option<String>,
}

impl AlertFilter {
    pub(crate) fn read(query: &QueryParams) -> Self {
        Self {
            id: query.get("id").map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned),
            alert_group_id: query.get("alert_group_id").map(str::to_owned),
            search: query.get("search").map(str::to_lowercase),
        }
    }

    fn passes(&self, alert: &ListedAlert<'_>) -> bool {
        self.id.as_ref().is_none_or(|id| id == alert.id)
    }
}

impl AlertBody<'_> {
    /// Whether its payload, as JSON text, contains this, whatever the case of its letters.
    pub(crate) fn contains(&self, lower_case: &str) -> bool {
        self.payload.is_some_and(|payload| payload.get().to_lowercase().contains(lower_case))
    }
}

impl AlertGroups {
    /// How many alerts are stored of a namespace that pass the filter, and those of one page with their alert groups, newest first:
    /// `page` tells for that number which range the page is. What is searched for is not looked at.
    pub(crate) fn alerts(
        &self,
        namespace: &str,
        filter: &AlertFilter,
        page: impl FnOnce(usize) -> Range<usize>,
    ) -> (usize, Vec<AlertOfGroup>) {
        let namespaces = self.namespaces.read();
        let of_namespace = namespaces.get(namespace).into_iter();
        let groups = of_namespace.flat_map(|groups| groups.with(filter.alert_group_id.as_deref()));
        let alerts = groups.flat_map(|group| group.alerts().map(move |alert| (group, alert)));
        let mut passing: Vec<_> = alerts.filter(|(_, alert)| filter.passes(alert)).collect();
        passing.sort_by_key(|(_, alert)| Reverse(alert.place));
        let range = page(passing.len());
        let shown = passing.iter().skip(range.start).take(range.len());
        (passing.len(), shown.map(|(group, alert)| (Arc::clone(group), alert.id.into())).collect())
    }
}
