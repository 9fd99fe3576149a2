//! What templates see of an event that was folded into an alert group.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::{AlertGroupEventSpec, EventAlertGroup, EventIntegration, User};
use crate::core::{
    alert_groups::{Act, AlertGroup, Done},
    event::EventData,
    id,
    intake::PAYLOAD_LIMIT,
    json::{Json, jsonb},
    response::cut_value,
    webhook::EventType,
};

/// An event that was folded, and what its data is made of.
pub(crate) struct FoldedSpec<'a> {
    /// The event itself.
    pub(crate) own: &'a AlertGroupEventSpec,
    /// Its uid.
    pub(crate) uid: &'a str,
    /// What it is to templates.
    pub(crate) event_type: EventType,
    /// The alert group as it is.
    pub(crate) group: &'a AlertGroup,
    /// Where its alerts come from.
    pub(crate) integration: EventIntegration,
}

impl FoldedSpec<'_> {
    /// The data, with the first alert and the last one as they were received.
    ///
    /// # Errors
    /// Never for what the API server gave: a value that JSON can't express.
    pub(crate) fn data(self, first: &Json, last: &Json) -> Result<EventData, serde_json::Error> {
        // Counts and the last alert are as they are; the state is that after the event.
        let (done, time) = self.group.as_of(self.uid);
        let last_alert = Json::object([
            ("id", Json::from(id::alert_id(&self.group.last_alert.uid).as_str())),
            ("alert_group_id", Json::from(&*self.group.id)),
            ("created_at", Json::from(self.group.counted.0.to_string().as_str())),
            ("payload", jsonb(last.clone())),
        ]);
        self.spec(&done, time).data_with(jsonb(first.clone()), Some(last_alert))
    }

    /// The event as somebody would write it who keeps alert groups himself.
    fn spec(self, done: &Done, time: Timestamp) -> AlertGroupEventSpec {
        let Self { own, event_type, group, integration, .. } = self;
        let text = |act: &Option<Act>| act.as_ref().map(|act| act.at.to_string());
        let name = |act: &Option<Act>| act.as_ref().and_then(|act| act.by.as_deref().map(str::to_owned));
        let user = |act: &Option<Act>| name(act).map(|name| User { username: Some(name), ..User::default() });
        // OnCall gives these events the time in another form than the alert group.
        let time = match event_type {
            EventType::Unsilence | EventType::Unresolve | EventType::Unacknowledge => None,
            _ => Some(Some(isoformat(time))),
        };
        let until = || Some(own.until.clone().flatten());
        AlertGroupEventSpec {
            type_: Some(event_type),
            time,
            until: if event_type == EventType::Silence { until() } else { None },
            user: own.user.clone(),
            alert_group: Some(EventAlertGroup {
                id: group.id.to_string(),
                integration_id: Some(group.integration_id.to_string()),
                team_id: Some(integration.team.clone()),
                route_id: None,
                alerts_count: Some(i64::from(group.alerts_count)),
                state: Some(done.state().as_str().to_owned()),
                created_at: Some(group.created_at().to_string()),
                resolved_at: text(&done.resolved),
                resolved_by: Some(name(&done.resolved)),
                acknowledged_at: text(&done.acknowledged),
                acknowledged_by: Some(name(&done.acknowledged)),
                labels: Some(Some((*group.labels).clone())),
                title: (!group.is_wiped()).then(|| group.title.to_string()),
                permalinks: None,
                silenced_at: Some(text(&done.silenced)),
                last_alert: None,
            }),
            integration: Some(EventIntegration {
                labels: integration.labels.or_else(|| Some(Some(BTreeMap::new()))),
                ..integration
            }),
            alert_group_acknowledged_by: user(&done.acknowledged),
            alert_group_resolved_by: user(&done.resolved),
            ..AlertGroupEventSpec::default()
        }
    }
}

/// A time as Python's `isoformat` writes it.
fn isoformat(time: Timestamp) -> String {
    time.to_string().replace('Z', "+00:00")
}

/// The payload of an event that says what a source said, cut to what an alert group holds of it.
pub(crate) fn payload_of(spec: &AlertGroupEventSpec) -> Json {
    let payload = spec.alert.as_ref().and_then(|alert| alert.payload.clone());
    Json::from(cut_value(payload.unwrap_or_else(|| json!({})), PAYLOAD_LIMIT))
}

/// The part of an event that is to be folded which its data needs, without the payload.
pub(crate) fn without_payload(spec: &AlertGroupEventSpec) -> AlertGroupEventSpec {
    let is_personal = spec.type_ == Some(EventType::PersonalNotification);
    let only_name = |user: &User| User { username: user.username.clone(), ..User::default() };
    AlertGroupEventSpec {
        type_: spec.type_,
        // Who asks is known by name alone. A personal notification says who is notified.
        user: spec.user.as_ref().map(|user| if is_personal { user.clone() } else { only_name(user) }),
        until: spec.until.clone(),
        ..AlertGroupEventSpec::default()
    }
}
