//! The handlers of `/api/v1/integrations/`.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};

use super::{ApiCall, HandlerResult, IdPath, paginated, text};
use crate::{
    resources::Integration,
    rest::{
        error::ApiError,
        integrations::{IntegrationBody, ListedIntegration},
        json_response::json_response,
        pages::{Page, QueryParams},
        request_url::RequestUrl,
        schema::{FilterParams, IntegrationIdParams, IntegrationPage, PageParams},
        shown::Wanted,
    },
};

/// List integrations
///
/// In the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/integrations/", tag = "integrations", params(FilterParams, PageParams),
    responses((status = 200, description = "One page.", body = IntegrationPage))
)]
pub(crate) async fn list_integrations(call: ApiCall, url: RequestUrl, RawQuery(query): RawQuery) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let query = QueryParams::new(query.as_deref().unwrap_or_default());
    let (name, team) = (query.get("name"), query.get("team_id").map(|team| (team != "null").then_some(team)));
    let passes = |found: &ListedIntegration| {
        name.is_none_or(|name| found.display_name == name) && team.is_none_or(|team| found.team.as_deref() == team)
    };
    let page = |count| Page::new(&query, count);
    let (count, listed) = api.integrations.list(&caller.namespace, passes, |count| page(count).range());
    let wanted = |listed: &Arc<ListedIntegration>| Wanted {
        name: listed.name.clone(),
        version: listed.version.clone(),
        what: (),
    };
    let wanted = listed.iter().map(wanted).collect();
    let text = |shown: &Integration, (): &()| body(shown, &url).map(Some);
    let shown = api.integrations.shown.page(&caller.namespace, wanted, text).await?;
    paginated(&page(count), &query, &url, shown.texts, shown.permit)
}

/// Get an integration
#[utoipa::path(
    get, path = "/api/v1/integrations/{id}/", tag = "integrations", params(IntegrationIdParams),
    responses((status = 200, description = "The integration.", body = IntegrationBody))
)]
pub(crate) async fn get_integration(call: ApiCall, id: IdPath, url: RequestUrl) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let Path(id) = id.map_err(|_| ApiError::not_found())?;
    let listed = api.integrations.get(&caller.namespace, &id).ok_or_else(ApiError::not_found)?;
    let shown: Arc<Integration> = api.integrations.shown.one(listed.name.clone(), listed.version.clone()).await?;
    Ok(json_response(StatusCode::OK, body(&shown, &url)?))
}

fn body(integration: &Integration, url: &RequestUrl) -> Result<Bytes, ApiError> {
    text(&IntegrationBody::new(integration, url.base()))
}
