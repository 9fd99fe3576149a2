//! The routes: each reads its call, asks the catalog or the writer, and answers as OnCall does.

#![expect(unused_qualifications, reason = "what utoipa's macros write")]

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    address::Address,
    auth::Caller,
    calls,
    catalog::{Entry, Filter},
    fields::{self, Change, Existing, Form},
    manifest::{ActionBody, WebhookBody},
    pages::{Page, Query},
    refusal::Refusal,
    responses::ResponseBody,
    writes,
};
use crate::{
    core::{
        json::{self, Json},
        webhook::{HttpMethod, TriggerType},
    },
    resources::Preset,
};

/// Bound on a request's body, in bytes. What Kubernetes stores is smaller still.
const BODY: usize = 2 * 1024 * 1024;
/// Bound on `Location`, in bytes: proxies refuse answers whose headers do not fit into 4 KiB.
const LOCATION: usize = 2000;

type Called = (State<Arc<Api>>, Extension<Caller>);
type Id = Result<Path<String>, PathRejection>;

/// What a client sends to update a webhook. A field that is left out stays as it is, but for `integration_filter`, which is
/// cleared then.
#[derive(ToSchema)]
#[schema(as = WebhookInput)]
#[expect(dead_code, reason = "for the document alone: bodies are read field by field, with OnCall's messages")]
pub(crate) struct WebhookInput {
    /// Unique in its namespace.
    #[schema(nullable = false, min_length = 1, max_length = 100, example = "New Webhook")]
    name: Option<String>,
    /// True if it is left out of a new webhook.
    #[schema(nullable = false)]
    is_webhook_enabled: Option<bool>,
    /// Id of a team: any text. Empty and `null` are none.
    #[schema(max_length = 100)]
    team: Option<String>,
    /// Jinja2 template of the body.
    #[schema(max_length = 50000)]
    data: Option<String>,
    /// User name for Basic auth.
    #[schema(max_length = 100)]
    username: Option<String>,
    /// Password for Basic auth. Sixteen asterisks leave it as it is.
    #[schema(max_length = 1000)]
    password: Option<String>,
    /// The Authorization header. Sixteen asterisks leave it as it is.
    #[schema(max_length = 2000)]
    authorization_header: Option<String>,
    /// Jinja2 template: the webhook runs if it is empty or renders to `true` or `1`.
    #[schema(max_length = 50000)]
    trigger_template: Option<String>,
    /// Jinja2 template of a JSON object.
    #[schema(max_length = 50000)]
    headers: Option<String>,
    /// Jinja2 template of the URL.
    #[schema(nullable = false, min_length = 1, max_length = 50000, example = "https://example.com")]
    url: Option<String>,
    /// Whether the whole data is sent rather than `data`. True if it is left out of a new webhook.
    #[schema(nullable = false)]
    forward_all: Option<bool>,
    /// A new webhook needs it, unless it is a simple one.
    #[schema(nullable = false)]
    http_method: Option<HttpMethod>,
    /// A new webhook needs it, unless it is a simple one.
    #[schema(nullable = false)]
    trigger_type: Option<TriggerType>,
    /// Ids of the integrations whose events run it; null or empty for all.
    #[schema(max_items = 256)]
    integration_filter: Option<Vec<String>>,
    /// Null, or an empty text, for none. A simple webhook is a POST of the whole data for escalations, whatever else is
    /// sent.
    preset: Option<Preset>,
}

/// What a client sends to update a webhook in the older form. A field that is left out stays as it is, but for
/// `integration_filter`, which is cleared then.
#[derive(ToSchema)]
#[schema(as = ActionInput)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct ActionInput {
    /// Unique in its namespace.
    #[schema(nullable = false, min_length = 1, max_length = 100, example = "New Webhook")]
    name: Option<String>,
    /// True if it is left out of a new webhook.
    #[schema(nullable = false)]
    is_webhook_enabled: Option<bool>,
    /// Id of a team: any text. Empty and `null` are none.
    #[schema(max_length = 100)]
    team_id: Option<String>,
    /// User name for Basic auth.
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    user: Option<String>,
    /// Jinja2 template of the body.
    #[schema(min_length = 1, max_length = 50000)]
    data: Option<String>,
    /// Password for Basic auth. Sixteen asterisks leave it as it is.
    #[schema(min_length = 1, max_length = 1000)]
    password: Option<String>,
    /// The Authorization header. Sixteen asterisks leave it as it is.
    #[schema(min_length = 1, max_length = 2000)]
    authorization_header: Option<String>,
    /// Jinja2 template: the webhook runs if it is empty or renders to `true` or `1`.
    #[schema(min_length = 1, max_length = 50000)]
    trigger_template: Option<String>,
    /// Jinja2 template of a JSON object.
    #[schema(min_length = 1, max_length = 50000)]
    headers: Option<String>,
    /// Jinja2 template of the URL.
    #[schema(nullable = false, min_length = 1, max_length = 50000, example = "https://example.com")]
    url: Option<String>,
    /// Whether the whole data is sent rather than `data`. True if it is left out of a new webhook.
    #[schema(nullable = false)]
    forward_whole_payload: Option<bool>,
    /// POST if it is left out of a new webhook.
    #[schema(nullable = false)]
    http_method: Option<HttpMethod>,
    /// `escalation` if it is left out of a new webhook.
    #[schema(nullable = false)]
    trigger_type: Option<TriggerType>,
    /// Ids of the integrations whose events run it; null or empty for all.
    #[schema(max_items = 256)]
    integration_filter: Option<Vec<String>>,
}

/// A type for one page of a list of `$item`.
macro_rules! page_of {
    ($item:ty, $page:ident) => {
        /// One page of a list.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "for the document alone: pages are put together from texts")]
        pub(crate) struct $page {
            /// How many there are on all pages.
            count: u64,
            /// Address of the next page.
            #[schema(required, format = "uri")]
            next: Option<String>,
            /// Address of the page before.
            #[schema(required, format = "uri")]
            previous: Option<String>,
            results: Vec<$item>,
            page_size: u64,
            current_page_number: u64,
            total_pages: u64,
        }
    };
}
page_of!(WebhookBody<'static>, WebhookPage);
page_of!(ActionBody<'static>, ActionPage);
page_of!(ResponseBody<'static>, WebhookResponsePage);

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct PageParams {
    /// From 1. One beyond the end gives the last page.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// How many on a page: 50 if not said.
    #[param(minimum = 1, maximum = 100)]
    perpage: Option<u64>,
}

/// Which webhooks of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct FilterParams {
    /// The one with exactly this name.
    name: Option<String>,
    /// Those of this team; `null` for those of none.
    team_id: Option<String>,
}

/// Which webhook.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct IdParams {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    id: String,
}

/// Why a call was not done.
#[derive(ToSchema)]
#[schema(as = Detail)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct Detail {
    detail: String,
}

/// Messages for each field that is wrong; under `non_field_errors` for no one of them.
#[derive(ToSchema)]
#[schema(as = FieldFaults, example = json!({"http_method": ["This field is required."]}))]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) struct FieldFaults(HashMap<String, Vec<String>>);

/// What is wrong with a body: as a whole, or with its fields.
#[derive(ToSchema)]
#[schema(as = Faults)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the document alone")]
pub(crate) enum Faults {
    Detail(Detail),
    Fields(FieldFaults),
}

/// List webhooks
///
/// In the order of their creation.
#[utoipa::path(
    get, path = "/api/v1/webhooks/", tag = "webhooks", params(FilterParams, PageParams),
    responses((status = 200, description = "One page.", body = WebhookPage))
)]
pub(crate) async fn list_webhooks(called: Called, address: Address, RawQuery(query): RawQuery) -> Answer {
    list(called, &address, query.as_deref(), Form::Webhooks)
}

/// Create a webhook
#[utoipa::path(
    post, path = "/api/v1/webhooks/", tag = "webhooks", request_body = ref("#/components/schemas/NewWebhook"),
    responses((
        status = 201, description = "Created.", body = WebhookBody,
        headers(("Location", description = "The URL that the webhook sends to, where it is not kept in a Secret: OnCall does so."))
    ))
)]
pub(crate) async fn create_webhook(called: Called, headers: HeaderMap, body: Body) -> Answer {
    create(called, &headers, body, Form::Webhooks).await
}

/// Get a webhook
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams),
    responses((status = 200, description = "The webhook.", body = WebhookBody))
)]
pub(crate) async fn get_webhook(called: Called, id: Id) -> Answer {
    get(&called, id, Form::Webhooks)
}

/// Update a webhook
///
/// The fields that are sent; as PATCH does.
#[utoipa::path(
    put, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams), request_body = WebhookInput,
    responses((status = 200, description = "Updated.", body = WebhookBody))
)]
pub(crate) async fn put_webhook(called: Called, id: Id, headers: HeaderMap, body: Body) -> Answer {
    update(called, id, &headers, body, Form::Webhooks).await
}

/// Update a webhook
///
/// The fields that are sent.
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams), request_body = WebhookInput,
    responses((status = 200, description = "Updated.", body = WebhookBody))
)]
pub(crate) async fn patch_webhook(called: Called, id: Id, headers: HeaderMap, body: Body) -> Answer {
    update(called, id, &headers, body, Form::Webhooks).await
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}/", tag = "webhooks", params(IdParams),
    responses((status = 204, description = "Deleted."))
)]
pub(crate) async fn delete_webhook(called: Called, id: Id) -> Answer {
    delete(called, id).await
}

/// List what a webhook was answered
///
/// Newest first; the runs under the trigger that it has now.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/responses", tag = "webhooks", params(IdParams, PageParams),
    responses((status = 200, description = "One page.", body = WebhookResponsePage))
)]
pub(crate) async fn list_responses(called: Called, id: Id, address: Address, RawQuery(query): RawQuery) -> Answer {
    let (State(api), Extension(caller)) = called;
    let entry = find(&api, &caller, id)?;
    let query = Query::new(query.as_deref().unwrap_or_default());
    let page = |count| Page::new(&query, count);
    let (count, results) = api
        .responses
        .list(&entry.webhook, |count| page(count).range())
        .await
        .map_err(|error| writes::refusal(&error))?;
    paginated(&page(count), &query, &address, results.iter().map(|result| &**result))
}

/// List webhooks in the older form
#[utoipa::path(
    get, path = "/api/v1/actions/", tag = "actions", params(FilterParams, PageParams),
    responses((status = 200, description = "One page.", body = ActionPage))
)]
pub(crate) async fn list_actions(called: Called, address: Address, RawQuery(query): RawQuery) -> Answer {
    list(called, &address, query.as_deref(), Form::Actions)
}

/// Create a webhook in the older form
#[utoipa::path(
    post, path = "/api/v1/actions/", tag = "actions", request_body = ref("#/components/schemas/NewAction"),
    responses((
        status = 201, description = "Created.", body = ActionBody,
        headers(("Location", description = "The URL that the webhook sends to, where it is not kept in a Secret: OnCall does so."))
    ))
)]
pub(crate) async fn create_action(called: Called, headers: HeaderMap, body: Body) -> Answer {
    create(called, &headers, body, Form::Actions).await
}

/// Get a webhook in the older form
#[utoipa::path(
    get, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams),
    responses((status = 200, description = "The webhook.", body = ActionBody))
)]
pub(crate) async fn get_action(called: Called, id: Id) -> Answer {
    get(&called, id, Form::Actions)
}

/// Update a webhook in the older form
#[utoipa::path(
    put, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams), request_body = ActionInput,
    responses((status = 200, description = "Updated.", body = ActionBody))
)]
pub(crate) async fn put_action(called: Called, id: Id, headers: HeaderMap, body: Body) -> Answer {
    update(called, id, &headers, body, Form::Actions).await
}

/// Update a webhook in the older form
#[utoipa::path(
    patch, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams), request_body = ActionInput,
    responses((status = 200, description = "Updated.", body = ActionBody))
)]
pub(crate) async fn patch_action(called: Called, id: Id, headers: HeaderMap, body: Body) -> Answer {
    update(called, id, &headers, body, Form::Actions).await
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/v1/actions/{id}/", tag = "actions", params(IdParams),
    responses((status = 204, description = "Deleted."))
)]
pub(crate) async fn delete_action(called: Called, id: Id) -> Answer {
    delete(called, id).await
}

/// OPTIONS, as Django REST framework answers it; `Allow` is set for every answer.
pub(crate) async fn options() -> Response {
    let body = json!({"renders": ["application/json"], "parses": ["application/json"]});
    json_text(StatusCode::OK, body.to_string().into())
}

/// A method that a route has not.
pub(crate) async fn method_not_allowed(method: Method) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{}\" not allowed.", calls::shown(&method)))
}

/// An address that there is nothing at.
pub(crate) async fn nothing_here(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::new(StatusCode::NOT_FOUND, format!("There is nothing at {path}: the API begins with /api/v1/webhooks/."))
}

type Answer = Result<Response, Refusal>;

fn list((State(api), Extension(caller)): Called, address: &Address, query: Option<&str>, form: Form) -> Answer {
    let query = Query::new(query.unwrap_or_default());
    let team = |team: &str| (team != "null").then(|| team.to_owned());
    let filter = Filter {
        name: query.get("name").map(str::to_owned),
        teams: query.all("team_id").filter(|id| !id.is_empty()).map(team).collect(),
    };
    let page = |count| Page::new(&query, count);
    let (count, entries) = api.catalog.list(&caller.namespace, &filter, |count| page(count).range());
    paginated(&page(count), &query, address, entries.iter().map(|entry| &**entry.body(form)))
}

fn paginated<'a>(page: &Page, query: &Query, address: &Address, results: impl Iterator<Item = &'a [u8]>) -> Answer {
    let body = page
        .answer(query, &address.0, results)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("write the page: {error}")))?;
    Ok(json_text(StatusCode::OK, body.into()))
}

async fn create((State(api), Extension(caller)): Called, headers: &HeaderMap, body: Body, form: Form) -> Answer {
    let body = api.read(headers, body).await?;
    let change = api.validate(body, form, None).await?;
    let writer = Arc::clone(&api.writer);
    let entry = api.to_the_end(async move { writer.create(&caller.namespace, change).await }).await?;
    let mut response = json_text(StatusCode::CREATED, entry.body(form).clone());
    if let Some(url) = entry.webhook.spec.url.as_deref().and_then(location) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

/// The URL that the webhook sends to, as OnCall does; None if a header can't hold it.
fn location(url: &str) -> Option<HeaderValue> {
    if url.len() > LOCATION { None } else { HeaderValue::from_str(url).ok() }
}

fn get((State(api), Extension(caller)): &Called, id: Id, form: Form) -> Answer {
    let entry = find(api, caller, id)?;
    Ok(json_text(StatusCode::OK, entry.body(form).clone()))
}

async fn update(
    (State(api), Extension(caller)): Called,
    id: Id,
    headers: &HeaderMap,
    body: Body,
    form: Form,
) -> Answer {
    let entry = find(&api, &caller, id)?;
    let body = api.read(headers, body).await?;
    let change = api.validate(body, form, Some(writes::existing(&entry.webhook))).await?;
    let writer = Arc::clone(&api.writer);
    let entry = api.to_the_end(async move { writer.update(entry, change).await }).await?;
    Ok(json_text(StatusCode::OK, entry.body(form).clone()))
}

async fn delete((State(api), Extension(caller)): Called, id: Id) -> Answer {
    let entry = find(&api, &caller, id)?;
    let writer = Arc::clone(&api.writer);
    api.to_the_end(async move { writer.delete(&entry).await }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn find(api: &Api, caller: &Caller, id: Id) -> Result<Arc<Entry>, Refusal> {
    let Path(id) = id.map_err(|_| Refusal::not_found())?;
    api.catalog.get(&caller.namespace, &id).ok_or_else(Refusal::not_found)
}

fn json_text(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Api {
    /// Reads a body as JSON. None at all is an empty object.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Json, Refusal> {
        let bytes = tokio::time::timeout(super::BODY_TIME, collect(body)).await.unwrap_or_else(|_| {
            let detail = format!("The request's body did not come within {} seconds.", super::BODY_TIME.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, detail))
        })?;
        if bytes.is_empty() {
            return Ok(Json::object::<&str>([]));
        }
        let content_type = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            let detail = format!("Unsupported media type \"{content_type}\" in request.");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        json::parse(&bytes)
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("JSON parse error - {error}")))
    }

    /// Checks the fields of a body. Its templates are tried out, which is work that must not hold up other calls.
    async fn validate(&self, body: Json, form: Form, existing: Option<Existing>) -> Result<Change, Refusal> {
        // Never closed.
        let _turn = self.validations.acquire().await;
        let read = tokio::task::spawn_blocking(move || fields::read(&body, form, existing));
        read.await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// Does a piece of work to its end, also when the client does not wait for it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.writing.spawn(work).await.unwrap_or_else(|error| Err(broken(&error)))
    }
}

fn broken(error: &tokio::task::JoinError) -> Refusal {
    tracing::error!(%error, "a call ended early");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The call ended early: this is a fault of oncall-webhooks.")
}

async fn collect(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The request's body ended early."))?;
        if bytes.len() + chunk.len() > BODY {
            let detail = format!("The request's body is over {} MiB.", BODY / 1024 / 1024);
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_fits_into_a_header() {
        let (most, more) = ("x".repeat(2000), "x".repeat(2001));
        let cases = [("https://e/{{ x }}", true), ("https://e/\n", false), (&*most, true), (&*more, false)];
        for (url, expected) in cases {
            let location = location(url);
            assert_eq!(location.as_ref().map(HeaderValue::as_bytes), expected.then_some(url.as_bytes()), "{url}");
        }
    }
}
