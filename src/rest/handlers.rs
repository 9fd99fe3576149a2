//! The handlers of all routes: each reads its call, asks the catalog or the writer, and answers as OnCall does.

mod alert_groups;
mod alerts;
mod body;
mod integrations;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde::Serialize;

use super::{
    auth::Caller,
    catalog::{CachedWebhook, Filter},
    error::ApiError,
    json_response::json_response,
    pages::{Page, QueryParams},
    permits::Permit,
    request_url::RequestUrl,
    responses::ResponsePage,
    schema::{
        ActionInput, ActionOutput, ActionPage, FilterParams, IdParams, PageParams, WebhookPage, WebhookResponsePage,
    },
    state::ApiState,
    webhook::{Collection, ExistingWebhook, WebhookInput, WebhookOutput},
};

pub(crate) use self::{alert_groups::*, alerts::*, integrations::*};

/// Bound on `Location`, in bytes: proxies refuse answers whose headers do not fit into 4 KiB.
const MAX_LOCATION: usize = 2000;

/// The shared state and the caller, whom authorization has let through.
type ApiCall = (State<Arc<ApiState>>, Extension<Caller>);
type IdPath = Result<Path<String>, PathRejection>;
type HandlerResult = Result<Response, ApiError>;

/// List webhooks
///
/// In the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/webhooks/", tag = "webhooks", params(FilterParams, PageParams),
    responses((status = 200, description = "One page.", body = WebhookPage))
)]
pub(crate) async fn list_webhooks(call: ApiCall, url: RequestUrl, RawQuery(query): RawQuery) -> HandlerResult {
    list(call, &url, query.as_deref(), Collection::Webhooks).await
}

/// Create a webhook
#[utoipa::path(
    post, path = "/api/v1/webhooks/", tag = "webhooks", request_body = ref("#/components/schemas/NewWebhook"),
    responses((
        status = 201, description = "Created.", body = WebhookOutput,
        headers(("Location", description = "The URL that the webhook sends to, where it is not kept in a Secret: OnCall does so."))
    ))
)]
pub(crate) async fn create_webhook(call: ApiCall, headers: HeaderMap, body: Body) -> HandlerResult {
    create(call, &headers, body, Collection::Webhooks).await
}

/// Get a webhook
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams),
    responses((status = 200, description = "The webhook.", body = WebhookOutput))
)]
pub(crate) async fn get_webhook(call: ApiCall, id: IdPath) -> HandlerResult {
    get(&call, id, Collection::Webhooks).await
}

/// Update a webhook
///
/// The fields that are sent; as PATCH does.
#[utoipa::path(
    put, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams), request_body = WebhookInput,
    responses((status = 200, description = "Updated.", body = WebhookOutput))
)]
pub(crate) async fn put_webhook(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    update(call, id, &headers, body, Collection::Webhooks).await
}

/// Update a webhook
///
/// The fields that are sent.
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams), request_body = WebhookInput,
    responses((status = 200, description = "Updated.", body = WebhookOutput))
)]
pub(crate) async fn patch_webhook(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    update(call, id, &headers, body, Collection::Webhooks).await
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams),
    responses((status = 204, description = "Deleted."))
)]
pub(crate) async fn delete_webhook(call: ApiCall, id: IdPath) -> HandlerResult {
    delete(call, id).await
}

/// List what a webhook was answered
///
/// Newest first; the runs under the trigger that it has now.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/responses", tag = "webhooks", params(IdParams, PageParams),
    responses((status = 200, description = "One page.", body = WebhookResponsePage))
)]
pub(crate) async fn list_responses(
    call: ApiCall,
    id: IdPath,
    url: RequestUrl,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let (State(api), Extension(caller)) = call;
    let entry = find(&api, &caller, id).await?;
    let query = QueryParams::new(query.as_deref().unwrap_or_default());
    let page = |count| Page::new(&query, count);
    let ResponsePage { count, texts, permit } = api.responses.list(&entry.webhook, |count| page(count).range()).await?;
    paginated(&page(count), &query, &url, texts, permit)
}

/// List webhooks in the older form
#[utoipa::path(
    get, path = "/api/v1/actions/", tag = "actions", params(FilterParams, PageParams),
    responses((status = 200, description = "One page.", body = ActionPage))
)]
pub(crate) async fn list_actions(call: ApiCall, url: RequestUrl, RawQuery(query): RawQuery) -> HandlerResult {
    list(call, &url, query.as_deref(), Collection::Actions).await
}

/// Create a webhook in the older form
#[utoipa::path(
    post, path = "/api/v1/actions/", tag = "actions", request_body = ref("#/components/schemas/NewAction"),
    responses((
        status = 201, description = "Created.", body = ActionOutput,
        headers(("Location", description = "The URL that the webhook sends to, where it is not kept in a Secret: OnCall does so."))
    ))
)]
pub(crate) async fn create_action(call: ApiCall, headers: HeaderMap, body: Body) -> HandlerResult {
    create(call, &headers, body, Collection::Actions).await
}

/// Get a webhook in the older form
#[utoipa::path(
    get, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams),
    responses((status = 200, description = "The webhook.", body = ActionOutput))
)]
pub(crate) async fn get_action(call: ApiCall, id: IdPath) -> HandlerResult {
    get(&call, id, Collection::Actions).await
}

/// Update a webhook in the older form
#[utoipa::path(
    put, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams), request_body = ActionInput,
    responses((status = 200, description = "Updated.", body = ActionOutput))
)]
pub(crate) async fn put_action(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    update(call, id, &headers, body, Collection::Actions).await
}

/// Update a webhook in the older form
#[utoipa::path(
    patch, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams), request_body = ActionInput,
    responses((status = 200, description = "Updated.", body = ActionOutput))
)]
pub(crate) async fn patch_action(call: ApiCall, id: IdPath, headers: HeaderMap, body: Body) -> HandlerResult {
    update(call, id, &headers, body, Collection::Actions).await
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams),
    responses((status = 204, description = "Deleted."))
)]
pub(crate) async fn delete_action(call: ApiCall, id: IdPath) -> HandlerResult {
    delete(call, id).await
}

async fn list(
    (State(api), Extension(caller)): ApiCall,
    url: &RequestUrl,
    query: Option<&str>,
    collection: Collection,
) -> HandlerResult {
    let query = QueryParams::new(query.unwrap_or_default());
    let team = |team: &str| (team != "null").then(|| team.to_owned());
    let filter = Filter {
        name: query.get("name").map(str::to_owned),
        teams: query.all("team_id").filter(|id| !id.is_empty()).map(team).collect(),
    };
    if let Some(name) = &filter.name {
        api.catalog.catch_up_on_name(&caller.namespace, name).await?;
    }
    let page = |count| Page::new(&query, count);
    let (count, entries) = api.catalog.list(&caller.namespace, &filter, |count| page(count).range());
    let (entries, permit) = api.catalog.whole_page(&caller.namespace, entries).await?;
    paginated(&page(count), &query, url, entries.iter().map(|entry| entry.body(collection).clone()), permit)
}

/// The JSON text of a body.
fn text(body: &impl Serialize) -> Result<Bytes, ApiError> {
    let text = serde_json::to_vec(body).map(Bytes::from);
    text.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("write the body: {error}")))
}

/// One page of a list. `permit` is kept until a large page is sent, or the client has gone.
fn paginated(
    page: &Page,
    query: &QueryParams,
    url: &RequestUrl,
    results: impl IntoIterator<Item = Bytes>,
    permit: Option<Permit>,
) -> HandlerResult {
    let pieces = page
        .answer(query, &url.0, results)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("write the page: {error}")))?;
    if let [whole] = &*pieces {
        return Ok(json_response(StatusCode::OK, whole.clone()));
    }
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let pieces = stream::iter(pieces).map(move |piece| {
        let _permit = &permit;
        Ok::<_, Infallible>(piece)
    });
    let mut response = json_response(StatusCode::OK, Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

async fn create(
    (State(api), Extension(caller)): ApiCall,
    headers: &HeaderMap,
    body: Body,
    collection: Collection,
) -> HandlerResult {
    let input = body::read(&api, &caller.namespace, headers, body, collection, None).await?;
    let writer = Arc::clone(&api.writer);
    let entry = api.run_to_completion(async move { writer.create(&caller.namespace, input).await }).await?;
    let entry = api.catalog.whole(entry).await?;
    let mut response = json_response(StatusCode::CREATED, entry.body(collection).clone());
    if let Some(url) = entry.webhook.spec.url.as_deref().and_then(location) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

/// The value of `Location`: the URL that the webhook sends to, as in OnCall; None if a header can't hold it.
fn location(url: &str) -> Option<HeaderValue> {
    if url.len() > MAX_LOCATION { None } else { HeaderValue::from_str(url).ok() }
}

async fn get((State(api), Extension(caller)): &ApiCall, id: IdPath, collection: Collection) -> HandlerResult {
    let entry = api.catalog.whole(find(api, caller, id).await?).await?;
    Ok(json_response(StatusCode::OK, entry.body(collection).clone()))
}

async fn update(
    (State(api), Extension(caller)): ApiCall,
    id: IdPath,
    headers: &HeaderMap,
    body: Body,
    collection: Collection,
) -> HandlerResult {
    let entry = api.catalog.whole(find(&api, &caller, id).await?).await?;
    let existing = ExistingWebhook::from(&entry.webhook);
    let input = body::read(&api, &caller.namespace, headers, body, collection, Some(existing)).await?;
    let writer = Arc::clone(&api.writer);
    let entry = api.run_to_completion(async move { writer.update(entry, input).await }).await?;
    let entry = api.catalog.whole(entry).await?;
    Ok(json_response(StatusCode::OK, entry.body(collection).clone()))
}

async fn delete((State(api), Extension(caller)): ApiCall, id: IdPath) -> HandlerResult {
    let entry = find(&api, &caller, id).await?;
    let writer = Arc::clone(&api.writer);
    api.run_to_completion(async move { writer.delete(&entry).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The webhook that the path names.
async fn find(api: &ApiState, caller: &Caller, id: IdPath) -> Result<Arc<CachedWebhook>, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::not_found())?;
    api.catalog.current(&caller.namespace, &id).await
}
