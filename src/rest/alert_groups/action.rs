//! What people do with alert groups: when OnCall refuses it, the event that asks the operator for it, and the wait until it has
//! done so.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use jiff::Timestamp;
use kube::api::Preconditions;
use tokio::sync::watch::Receiver;

use super::{AlertGroups, listed::ListedAlertGroup, sightings::Sighting};
use crate::{
    core::webhook::EventType,
    kubernetes::{
        name::NamespacedName,
        objects::{self, Objects},
    },
    resources::{AlertGroup, AlertGroupEvent, SilencedUntil, silence_end},
    rest::{auth::Caller, error::ApiError},
};

/// Bound on the wait for the operator's leader. The event is stored by then, and will be carried out.
const WAIT: Duration = Duration::from_secs(5);
/// Bound on a user's name in an event, in characters.
const USERNAME: usize = 200;

/// Something that people do with an alert group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Acknowledge,
    Unacknowledge,
    Resolve,
    Unresolve,
    Silence,
    Unsilence,
    Wipe,
}

impl Action {
    fn event_type(self) -> EventType {
        match self {
            Self::Acknowledge => EventType::Acknowledge,
            Self::Unacknowledge => EventType::Unacknowledge,
            Self::Resolve => EventType::Resolve,
            Self::Unresolve => EventType::Unresolve,
            Self::Silence => EventType::Silence,
            Self::Unsilence => EventType::Unsilence,
            Self::Wipe => EventType::Wipe,
        }
    }

    /// OnCall's word.
    fn word(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Unacknowledge => "unacknowledge",
            Self::Resolve => "resolve",
            Self::Unresolve => "unresolve",
            Self::Silence => "silence",
            Self::Unsilence => "unsilence",
            Self::Wipe => "wipe",
        }
    }

    /// Why OnCall refuses to do it to an alert group: its words, in its order; None if it does it.
    pub(crate) fn refusal(self, group: &ListedAlertGroup) -> Option<String> {
        let ListedAlertGroup { is_acknowledged, is_resolved, is_silenced, .. } = *group;
        let acknowledged = (is_acknowledged, "an acknowledged");
        let unacknowledged = (!is_acknowledged, "an unacknowledged");
        let resolved = (is_resolved, "a resolved");
        let faults = match self {
            Self::Acknowledge => vec![acknowledged, resolved],
            Self::Unacknowledge => vec![unacknowledged, resolved],
            Self::Resolve => vec![resolved],
            Self::Unresolve => vec![(!is_resolved, "an unresolved")],
            Self::Silence => vec![resolved, acknowledged],
            Self::Unsilence => vec![(!is_silenced, "an unsilenced"), resolved, acknowledged],
            Self::Wipe => vec![],
        };
        let (_, what) = faults.into_iter().find(|(is_so, _)| *is_so)?;
        Some(format!("Can't {} {what} alert group", self.word()))
    }

    /// Whether OnCall answers as if it did it, and nothing happens: what is wiped stays so.
    pub(crate) fn is_in_vain(self, group: &ListedAlertGroup) -> bool {
        group.is_wiped && matches!(self, Self::Unresolve | Self::Wipe)
    }
}

/// Until when a silence of so many seconds from now on lasts, as templates see it: None for ever, which 0 and -1 mean.
///
/// # Errors
/// The delay is less, or leads beyond the year 9999.
pub(crate) fn silenced_until(now: Timestamp, delay: i64) -> Result<SilencedUntil, ApiError> {
    let invalid = || ApiError::new(StatusCode::BAD_REQUEST, "invalid delay value");
    match u64::try_from(delay) {
        Ok(0) => Ok(None),
        Ok(seconds) => silence_end(now, Duration::from_secs(seconds)).map(Some).ok_or_else(invalid),
        Err(_) if delay == -1 => Ok(None),
        Err(_) => Err(invalid()),
    }
}

/// Asks the operator for changes, and deletes alert groups.
pub(crate) struct AlertGroupChanges {
    objects: Objects,
    groups: Arc<AlertGroups>,
}

/// An event that was created: the change that it asks for.
pub(crate) struct Requested {
    action: Action,
    /// Uid of the event.
    uid: String,
    seen: Receiver<Sighting>,
}

impl AlertGroupChanges {
    pub(crate) fn new(objects: Objects, groups: Arc<AlertGroups>) -> Self {
        Self { objects, groups }
    }

    /// Asks for a change; `until` goes with a silence. None if there is nothing to ask for.
    ///
    /// # Errors
    /// OnCall would refuse it: 400. Or the event can't be created.
    pub(crate) async fn request(
        &self,
        action: Action,
        group: &ListedAlertGroup,
        caller: &Caller,
        until: Option<SilencedUntil>,
    ) -> Result<Option<Requested>, ApiError> {
        if let Some(refusal) = action.refusal(group) {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, refusal));
        }
        if action.is_in_vain(group) {
            return Ok(None);
        }
        // From before the event is there: none of its changes is missed.
        let seen = self.groups.sightings.follow(&group.name);
        let NamespacedName { namespace, name } = &group.name;
        let username: String = caller.username.chars().take(USERNAME).collect();
        let event = AlertGroupEvent::change(namespace, name, action.event_type(), &username, until);
        let prefix = event.metadata.generate_name.as_deref().unwrap_or_default();
        let created: Result<AlertGroupEvent, objects::Error> = self.objects.insert(namespace, prefix, &event).await;
        let created = created.map_err(|error| ApiError::from(&error))?;
        Ok(Some(Requested { action, uid: created.metadata.uid.unwrap_or_default(), seen }))
    }

    /// Deletes an alert group.
    ///
    /// # Errors
    /// It can't be deleted. That it is gone already is none.
    pub(crate) async fn delete(&self, group: &ListedAlertGroup) -> Result<(), ApiError> {
        let NamespacedName { namespace, name } = &group.name;
        let expected = Preconditions { uid: group.uid.clone(), ..Preconditions::default() };
        match self.objects.delete::<AlertGroup>(namespace, name, expected).await {
            Err(error) if !error.is_missing() && !error.is_conflict() => Err(ApiError::from(&error)),
            _ => {
                self.groups.delete(group);
                Ok(())
            }
        }
    }
}

impl Requested {
    /// Waits until the alert group shows the change, or can't be changed so any more since others have changed it, or is gone; and
    /// for a while at most.
    pub(crate) async fn done(self) {
        // In time or not: what is asked for will be done.
        self.done_within(WAIT).await;
    }

    /// The same, and whether that is so in time.
    pub(super) async fn done_within(mut self, wait: Duration) -> bool {
        let is_done = |sighting: &Sighting| match sighting {
            Sighting::Nothing => false,
            Sighting::State(group, events) => {
                let can_be_done = self.action.refusal(group).is_none() && !self.action.is_in_vain(group);
                events.contains(&self.uid) || !can_be_done
            }
            Sighting::Gone => true,
        };
        tokio::time::timeout(wait, self.seen.wait_for(is_done)).await.is_ok_and(|seen| seen.is_ok())
    }
}
