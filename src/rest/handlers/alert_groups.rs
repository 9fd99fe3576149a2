//! The handlers of `/api/v1/alert_groups/`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use jiff::Timestamp;
use serde_json::json;

use super::{ApiCall, HandlerResult, IdPath, body, paginated, text};
use crate::{
    core::json::Json,
    resources::SilencedUntil,
    rest::{
        alert_groups::{Action, AlertGroupBody, AlertGroupFilter, ListedAlertGroup, StoredAlertGroup, silenced_until},
        auth::Caller,
        error::ApiError,
        json_response::json_response,
        pages::{Page, QueryParams, int},
        request_url::RequestUrl,
        schema::{
            AlertGroupFilterParams, AlertGroupIdParams, AlertGroupPage, Deletion, Detail, FilterFaults, NotDeleted,
            PageParams, Silencing,
        },
        state::ApiState,
    },
};

/// List alert groups
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/v1/alert_groups/", tag = "alert_groups", params(AlertGroupFilterParams, PageParams),
    responses(
        (status = 200, description = "One page.", body = AlertGroupPage),
        (status = 400, description = "There is no such state, or the range of times is none.", body = FilterFaults)
    )
)]
pub(crate) async fn list_alert_groups(call: ApiCall, url: RequestUrl, RawQuery(query): RawQuery) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let query = QueryParams::new(query.as_deref().unwrap_or_default());
    let filter = AlertGroupFilter::read(&query)?;
    let teams = api.integrations.teams(&caller.namespace);
    let passes = |group: &ListedAlertGroup| filter.passes(group, || team(&teams, &group.integration.name));
    let page = |count| Page::new(&query, count);
    let (count, listed) = api.alert_groups.list(&caller.namespace, passes, |count| page(count).range());
    let wanted = listed.iter().map(|listed| listed.wanting(())).collect();
    let text = |group: &StoredAlertGroup, (): &()| alert_group(group, &caller, &teams).map(Some);
    let shown = api.alert_groups.shown.page(&caller.namespace, wanted, text).await?;
    paginated(&page(count), &query, &url, shown.texts, shown.permit)
}

/// Get an alert group
#[utoipa::path(
    get, path = "/api/v1/alert_groups/{id}/", tag = "alert_groups", params(AlertGroupIdParams),
    responses((status = 200, description = "The alert group.", body = AlertGroupBody))
)]
pub(crate) async fn get_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let listed = find(&api, &caller, id).await?;
    let shown = api.alert_groups.shown.one(listed.name.clone(), listed.version.clone()).await?;
    let teams = api.integrations.teams(&caller.namespace);
    Ok(json_response(StatusCode::OK, alert_group(&shown, &caller, &teams)?))
}

/// Wipe or delete an alert group
///
/// What is wiped, also by a call without a body, is resolved and stays, without the content of its title and alerts; its events and
/// responses are removed when all that is being sent has ended. What is deleted is gone with its alerts. Alerts that come later open
/// another one.
#[utoipa::path(
    delete, path = "/api/v1/alert_groups/{id}/", tag = "alert_groups", params(AlertGroupIdParams),
    request_body = Deletion,
    responses(
        (status = 204, description = "Wiped, or deleted."),
        (status = 400, description = "There is no such mode.", body = NotDeleted)
    )
)]
pub(crate) async fn delete_alert_group(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let group = find(&api, &caller, id).await?;
    let mode = body::read_json(&api, &caller.namespace, &headers, body, |body| Ok(mode(&body))).await?;
    match mode {
        Mode::Delete => {}
        Mode::Wipe => {
            change(&api, &caller, group, Action::Wipe, None).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        // OnCall's words, and no object around them.
        Mode::Unknown(why) => return Ok(json_response(StatusCode::BAD_REQUEST, json!(why).to_string())),
    }
    let changes = Arc::clone(&api.alert_group_changes);
    api.run_to_completion(async move { changes.delete(&group).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Acknowledge an alert group
///
/// Answered when the operator has done it; after 5 s in any case: it will be done.
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/acknowledge/", tag = "alert_groups", params(AlertGroupIdParams),
    responses(
        (status = 200, description = "Acknowledged."),
        (status = 400, description = "It is acknowledged or resolved.", body = Detail)
    )
)]
pub(crate) async fn acknowledge_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    act(&call, id, Action::Acknowledge).await
}

/// Take the acknowledgement of an alert group back
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/unacknowledge/", tag = "alert_groups", params(AlertGroupIdParams),
    responses(
        (status = 200, description = "It is not acknowledged any more."),
        (status = 400, description = "It is not acknowledged, or resolved.", body = Detail)
    )
)]
pub(crate) async fn unacknowledge_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    act(&call, id, Action::Unacknowledge).await
}

/// Resolve an alert group
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/resolve/", tag = "alert_groups", params(AlertGroupIdParams),
    responses(
        (status = 200, description = "Resolved."),
        (status = 400, description = "It is resolved.", body = Detail)
    )
)]
pub(crate) async fn resolve_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    act(&call, id, Action::Resolve).await
}

/// Take the resolution of an alert group back
///
/// Further alerts do not join it.
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/unresolve/", tag = "alert_groups", params(AlertGroupIdParams),
    responses(
        (status = 200, description = "It is not resolved any more."),
        (status = 400, description = "It is not resolved.", body = Detail)
    )
)]
pub(crate) async fn unresolve_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    act(&call, id, Action::Unresolve).await
}

/// Silence an alert group
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/silence/", tag = "alert_groups", params(AlertGroupIdParams),
    request_body = Silencing,
    responses(
        (status = 200, description = "Silenced."),
        (status = 400, description = "The delay is none, or the alert group is acknowledged or resolved.", body = Detail)
    )
)]
pub(crate) async fn silence_alert_group(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    let (State(api), Extension(caller)) = &call;
    let group = find(api, caller, id).await?;
    let delay = body::read_json(api, &caller.namespace, &headers, body, |body| delay(&body)).await?;
    let until = silenced_until(Timestamp::now(), delay)?;
    change(api, caller, group, Action::Silence, Some(until)).await?;
    Ok(StatusCode::OK.into_response())
}

/// End the silence of an alert group
#[utoipa::path(
    post, path = "/api/v1/alert_groups/{id}/unsilence/", tag = "alert_groups", params(AlertGroupIdParams),
    responses(
        (status = 200, description = "It is not silenced any more."),
        (status = 400, description = "It is not silenced.", body = Detail)
    )
)]
pub(crate) async fn unsilence_alert_group(call: ApiCall, id: IdPath) -> HandlerResult {
    act(&call, id, Action::Unsilence).await
}

async fn act((State(api), Extension(caller)): &ApiCall, id: IdPath, action: Action) -> HandlerResult {
    change(api, caller, find(api, caller, id).await?, action, None).await?;
    Ok(StatusCode::OK.into_response())
}

/// Asks for a change, and waits until it shows.
async fn change(
    api: &Arc<ApiState>,
    caller: &Caller,
    group: Arc<ListedAlertGroup>,
    action: Action,
    until: Option<SilencedUntil>,
) -> Result<(), ApiError> {
    let (changes, caller) = (Arc::clone(&api.alert_group_changes), caller.clone());
    let asking = async move { changes.request(action, &group, &caller, until).await };
    if let Some(requested) = api.run_to_completion(asking).await? {
        requested.done().await;
    }
    Ok(())
}

/// The alert group that the path names.
async fn find(api: &ApiState, caller: &Caller, id: IdPath) -> Result<Arc<ListedAlertGroup>, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::not_found())?;
    api.alert_groups.current(&caller.namespace, &id).await
}

/// The team of an alert group of this integration.
fn team<'a>(teams: &'a HashMap<Arc<str>, String>, integration: &str) -> Option<&'a str> {
    teams.get(integration).map(String::as_str)
}

fn alert_group(
    group: &StoredAlertGroup,
    caller: &Caller,
    teams: &HashMap<Arc<str>, String>,
) -> Result<Bytes, ApiError> {
    text(&AlertGroupBody::new(group, &caller.namespace, team(teams, group.integration())))
}

/// What is to be done to an alert group that is deleted.
enum Mode {
    Delete,
    Wipe,
    /// OnCall's words for anything else.
    Unknown(&'static str),
}

fn mode(body: &Json) -> Mode {
    let Json::Object(fields) = body else { return Mode::Unknown("A dict with a `mode` key is expected") };
    match fields.get("mode") {
        None => Mode::Wipe,
        Some(Json::Str(mode)) if **mode == *"wipe" => Mode::Wipe,
        Some(Json::Str(mode)) if **mode == *"delete" => Mode::Delete,
        Some(_) => Mode::Unknown("Invalid mode"),
    }
}

/// For how many seconds an alert group is to be silenced: what Python's `int` makes of it.
fn delay(body: &Json) -> Result<i64, ApiError> {
    let bad = |detail: &str| ApiError::new(StatusCode::BAD_REQUEST, detail);
    let delay = if let Json::Object(fields) = body { fields.get("delay") } else { None };
    let delay = match delay {
        None | Some(Json::Null) => return Err(bad("delay is required")),
        Some(delay) => delay,
    };
    whole(delay).ok_or_else(|| bad("invalid delay value"))
}

/// Python's `int` of a value; None where there is none, or none of 64 bits.
fn whole(value: &Json) -> Option<i64> {
    match value {
        Json::Bool(value) => Some(i64::from(*value)),
        Json::Int(value) => Some(*value),
        // The fraction is left out, and nothing else: a silence has far fewer seconds than make numbers inexact.
        #[expect(clippy::cast_possible_truncation, reason = "what is beyond 64 bits comes to an end of them")]
        Json::Float(value) if value.is_finite() => Some(value.trunc() as i64),
        Json::Str(text) => int(text),
        _ => None,
    }
}
