//! The routes: each reads its call, asks the catalog or the writer, and answers as OnCall does.

#![expect(unused_qualifications, reason = "what utoipa's macros write")]

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes, HttpBody},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    address::Address,
    auth::Caller,
    calls,
    catalog::{CachedWebhook, Filter},
    fields::{self, Change, Existing, Form},
    manifest::{ActionBody, WebhookBody},
    pages::{Page, Query},
    refusal::Refusal,
    responses::{ResponseBody, ResponsePage},
    turns::Turn,
    writes,
};
use crate::{
    core::{
        json::{self, Json},
        webhook::{HttpMethod, TriggerType},
    },
    resources::Preset,
};

/// Bound on a request's body, in bytes. What Kubernetes stores is hardly more.
const BODY: u32 = 1024 * 1024;
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
    let ResponsePage { count, texts, turn } = api.responses.list(&entry.webhook, |count| page(count).range()).await?;
    paginated(&page(count), &query, &address, texts, turn)
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
    paginated(&page(count), &query, address, entries.iter().map(|entry| entry.body(form).clone()), None)
}

/// `turn` is kept until a large page is sent, or the client has gone.
fn paginated(
    page: &Page,
    query: &Query,
    address: &Address,
    results: impl IntoIterator<Item = Bytes>,
    turn: Option<Turn>,
) -> Answer {
    let pieces = page
        .answer(query, &address.0, results)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("write the page: {error}")))?;
    if let [whole] = &*pieces {
        return Ok(json_text(StatusCode::OK, whole.clone()));
    }
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let pieces = stream::iter(pieces).map(move |piece| {
        let _kept = &turn;
        Ok::<_, Infallible>(piece)
    });
    let mut response = answer(StatusCode::OK, Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

async fn create((State(api), Extension(caller)): Called, headers: &HeaderMap, body: Body, form: Form) -> Answer {
    let change = api.read(&caller.namespace, headers, body, form, None).await?;
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
    let existing = writes::existing(&entry.webhook);
    let change = api.read(&caller.namespace, headers, body, form, Some(existing)).await?;
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

fn find(api: &Api, caller: &Caller, id: Id) -> Result<Arc<CachedWebhook>, Refusal> {
    let Path(id) = id.map_err(|_| Refusal::not_found())?;
    api.catalog.get(&caller.namespace, &id).ok_or_else(Refusal::not_found)
}

fn json_text(status: StatusCode, body: Bytes) -> Response {
    answer(status, Body::from(body))
}

fn answer(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Api {
    /// Reads a body and checks its fields. None at all is an empty object. Parsing it and trying its templates out is
    /// work that must not hold up other calls.
    async fn read(
        &self,
        namespace: &Arc<str>,
        headers: &HeaderMap,
        body: Body,
        form: Form,
        existing: Option<Existing>,
    ) -> Result<Change, Refusal> {
        let length = announced(&body)?;
        let memory = self.bodies.take(namespace, length.div_ceil(1024)).await?;
        let bytes = tokio::time::timeout(super::BODY_TIME, collect(body, length)).await.unwrap_or_else(|_| {
            let detail = format!("The request's body did not come within {} seconds.", super::BODY_TIME.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, detail))
        })?;
        let content_type = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !bytes.is_empty() && !media_type.eq_ignore_ascii_case("application/json") {
            let detail = format!("Unsupported media type \"{content_type}\" in request.");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let turn = self.validations.take(namespace, 1).await?;
        let reading = tokio::task::spawn_blocking(move || {
            // To the end of the work, also when the client does not wait for it.
            let _turn = turn;
            let body = if bytes.is_empty() { Ok(Json::object::<&str>([])) } else { json::parse(&bytes) };
            drop((bytes, memory));
            let body =
                body.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("JSON parse error - {error}")))?;
            fields::read(&body, form, existing)
        });
        reading.await.unwrap_or_else(|error| Err(broken(&error)))
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

/// How long a body says that it is, in bytes; the longest if it does not say.
fn announced(body: &Body) -> Result<u32, Refusal> {
    let Some(length) = body.size_hint().exact() else { return Ok(BODY) };
    u32::try_from(length).ok().filter(|length| *length <= BODY).ok_or_else(too_large)
}

async fn collect(body: Body, length: u32) -> Result<Vec<u8>, Refusal> {
    let mut stream = body.into_data_stream();
    // Grown bit by bit, it would be twice as large.
    let mut bytes = Vec::with_capacity(length as usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The request's body ended early."))?;
        if bytes.len() + chunk.len() > BODY as usize {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large() -> Refusal {
    let detail = format!("The request's body is over {} MiB.", BODY / 1024 / 1024);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, http::Request, routing::post};
    use kube::{Client, client};
    use serde_json::Value;
    use tokio_util::task::TaskTracker;
    use tower::{BoxError, ServiceExt, service_fn};

    use super::{
        super::{
            auth::Auth, catalog::Catalog, credentials::Credentials, responses::Responses, turns::Turns, writes::Writer,
        },
        *,
    };
    use crate::{health::Ready, kubernetes::objects::Objects};

    /// With an API server that is away.
    fn api() -> Api {
        let away = service_fn(|_: Request<client::Body>| async {
            Err::<Response<client::Body>, BoxError>("connection refused".into())
        });
        let client = Client::new(away, "default");
        let (objects, catalog) = (Objects::new(client.clone(), "test"), Arc::new(Catalog::default()));
        let credentials = Credentials::new(objects.clone(), TaskTracker::default());
        let short = Duration::from_millis(20);
        Api {
            auth: Auth::new(client, None, 300).0,
            ready: Ready::default(),
            writer: Arc::new(Writer::new(objects.clone(), Arc::clone(&catalog), credentials, false)),
            catalog,
            responses: Arc::new(Responses::new(objects)),
            trusted_proxies: Vec::new(),
            bodies: Turns::new(1024, 1024, "bodies").waiting(short),
            validations: Turns::new(1, 1, "validations").waiting(short),
            writing: Default::default(),
        }
    }

    async fn sent(api: &Arc<Api>, media_type: &str, body: Body) -> (u16, Value) {
        let caller = Caller { namespace: "team".into(), name: "Secret team/ci".to_owned() };
        let routes = Router::new().route("/", post(create_webhook)).layer(Extension(caller));
        let request = Request::post("/").header(header::CONTENT_TYPE, media_type).body(body).unwrap();
        let response = routes.with_state(Arc::clone(api)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn unannounced(length: usize) -> Body {
        Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from(" ".repeat(length)))]))
    }

    #[tokio::test]
    async fn a_body_waits_for_memory_and_a_turn_and_gives_both_back() {
        let (api, json) = (Arc::new(api()), "application/json");
        let namespace: Arc<str> = "team".into();
        let missing = |fields: &[&str]| {
            let fields = fields.iter().map(|field| ((*field).to_owned(), json!(["This field is required."])));
            (400, Value::Object(fields.collect()))
        };
        let nameless = missing(&["name", "url", "http_method", "trigger_type"]);
        let busy = |what: &str| (503, json!({ "detail": what }));
        let detail = |status, detail: &str| (status, json!({ "detail": detail }));
        let (long, no_json) =
            ("The request's body is over 1 MiB.", "JSON parse error - Expecting value: line 1 column 1");
        let is_no_json = |(status, body): (u16, Value)| {
            assert_eq!(status, 400);
            assert!(body["detail"].as_str().is_some_and(|detail| detail.starts_with(no_json)), "{body}");
        };

        let most = api.bodies.take(&namespace, 1023).await.unwrap();
        assert_eq!(sent(&api, json, Body::from("{}")).await, nameless, "one KiB is left");
        assert_eq!(sent(&api, json, Body::from("{}".to_owned() + &" ".repeat(1024))).await, busy("bodies"));
        assert_eq!(sent(&api, json, unannounced(2)).await, busy("bodies"), "it may be as long as any");
        assert_eq!(sent(&api, json, Body::from(" ".repeat(1024 * 1024 + 1))).await, detail(413, long));
        drop(most);
        assert_eq!(sent(&api, json, Body::from("{}".to_owned() + &" ".repeat(1024))).await, nameless);
        is_no_json(sent(&api, json, unannounced(1024 * 1024)).await);
        assert_eq!(sent(&api, json, unannounced(1024 * 1024 + 1)).await, detail(413, long));

        let turn = api.validations.take(&namespace, 1).await.unwrap();
        let other = detail(415, "Unsupported media type \"text/plain\" in request.");
        assert_eq!(sent(&api, "text/plain", Body::from("{")).await, other, "nobody waits to be told");
        assert_eq!(sent(&api, json, Body::from("{")).await, busy("validations"));
        drop(turn);
        assert_eq!(sent(&api, "text/plain", Body::empty()).await, nameless, "none at all is an empty object");

        assert!(api.bodies.take(&namespace, 1024).await.is_ok());
        assert!(api.validations.take(&namespace, 1).await.is_ok());
    }

    #[tokio::test]
    async fn a_large_page_keeps_its_turn_until_it_is_sent_or_the_client_has_gone() {
        let turns = Turns::new(1, 1, "busy").waiting(Duration::from_millis(20));
        let (namespace, query) = ("team".into(), Query::new(""));
        let (page, address) = (Page::new(&query, 1), Address("http://h/".to_owned()));
        let free = async || turns.take(&namespace, 1).await.is_ok();
        let answer = async |length| {
            let turn = turns.take(&namespace, 1).await.unwrap();
            let text = Bytes::from(format!("\"{}\"", "x".repeat(length)));
            paginated(&page, &query, &address, [text], Some(turn)).unwrap()
        };
        let small = answer(10).await;
        assert!(free().await, "a small one is a copy");
        drop(small);

        let large = answer(1024 * 1024).await;
        assert!(!free().await);
        let length = large.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse();
        let body = axum::body::to_bytes(large.into_body(), usize::MAX).await.unwrap();
        assert_eq!(length, Ok(body.len()));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["count"], &body["results"]), (&json!(1), &json!(["x".repeat(1024 * 1024)])));
        assert!(free().await);

        let mut large = answer(1024 * 1024).await.into_body().into_data_stream();
        assert!(large.next().await.is_some());
        assert!(!free().await);
        drop(large);
        assert!(free().await);
    }

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
