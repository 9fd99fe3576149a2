//! The OpenAPI document, made of the handlers and their types, and the page that shows it, which is in the binary.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use utoipa::{
    OpenApi,
    openapi::{
        self, AllOfBuilder, Content, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Required, Schema,
        Server, Type,
        schema::AnyOf,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use super::{calls, handlers as h};
use crate::resources::Preset;

/// What a browser may load for the page: nothing from elsewhere.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/// The whole document. Its paths are those of the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncall-webhooks",
        description = "The outgoing webhooks of Grafana OnCall's API, over Webhook and WebhookResponse resources of Kubernetes. \
                       A token opens one namespace.\n\nA slash at the end of an address may be left out. HEAD is answered as GET, \
                       OPTIONS with 200, and a method that an address has not with 405; `Allow` names those that it has."
    ),
    tags(
        (name = "webhooks", description = "Outgoing webhooks"),
        (name = "actions", description = "The same webhooks in the form that OnCall had before")
    ),
    components(schemas(h::WebhookInput, h::ActionInput, h::Detail, h::Faults)),
    security(("token" = []))
)]
struct Document;

/// Which calls may be answered so.
#[derive(Clone, Copy)]
enum Calls {
    All,
    /// Those to one webhook.
    WithId,
    WithBody,
}

/// An answer that says no.
#[derive(Clone, Copy)]
struct Refusal {
    status: &'static str,
    name: &'static str,
    of: Calls,
    description: &'static str,
    /// The name of its body's schema.
    body: &'static str,
    headers: &'static [&'static str],
}

impl Refusal {
    const fn new(status: &'static str, name: &'static str, of: Calls, description: &'static str) -> Self {
        Self { status, name, of, description, body: "Detail", headers: &[] }
    }

    fn response(self) -> openapi::Response {
        let content = Content::new(Some(Ref::from_schema_name(self.body)));
        let mut response = openapi::Response::new(self.description);
        response.content.insert("application/json".to_owned(), content.into());
        response.headers.extend(headers(self.headers));
        response
    }
}

const REFUSALS: [Refusal; 8] = [
    Refusal {
        body: "Faults",
        ..Refusal::new("400", "BadRequest", Calls::WithBody, "The body is no JSON, or fields are wrong.")
    },
    Refusal::new("403", "Forbidden", Calls::All, "The token is missing, opens nothing or does not allow this."),
    Refusal::new("404", "NotFound", Calls::WithId, "There is no such webhook."),
    Refusal::new("408", "Timeout", Calls::WithBody, "The body did not come in time."),
    Refusal::new("413", "TooLarge", Calls::WithBody, "The body is over 1 MiB."),
    Refusal::new("415", "NotJson", Calls::WithBody, "The body is not JSON by its Content-Type."),
    Refusal {
        headers: &["Retry-After", "RateLimit-Reset"],
        ..Refusal::new("429", "Throttled", Calls::All, "The token's calls of this minute are used up.")
    },
    Refusal {
        headers: &["Retry-After"],
        ..Refusal::new(
            "503",
            "Unavailable",
            Calls::All,
            "The Kubernetes API does not answer at the moment, or too many calls wait for their turn.",
        )
    },
];

/// Headers: their name, what they say, and whether that is a number.
const HEADERS: [(&str, &str, bool); 4] = [
    ("Allow", "The methods that this address has.", false),
    ("RateLimit-Reset", "The same as Retry-After.", true),
    ("Retry-After", "After how many seconds to try again.", true),
    ("X-Request-Id", "What the log calls this call: the id that a proxy has given it, or a new one.", false),
];

/// The document, for `/openapi.json` and for whoever wants it in a file.
pub fn document() -> openapi::OpenApi {
    let routes = calls::documented().into_iter();
    let router = routes.fold(OpenApiRouter::with_openapi(Document::openapi()), OpenApiRouter::routes);
    let mut document = router.into_openapi();
    // The folder that the document is in, so that it holds behind a proxy's path too.
    document.servers = Some(vec![Server::new(".")]);
    let components = document.components.get_or_insert_default();
    let description = "A token of `oncall-webhooks token create`, or of a ServiceAccount.";
    let key = ApiKey::Header(ApiKeyValue::with_description("Authorization", description));
    components.add_security_scheme("token", SecurityScheme::ApiKey(key));
    components.schemas.extend(inputs());
    components.headers.extend(HEADERS.map(|(name, description, number)| {
        let schema = Object::with_type(if number { Type::Integer } else { Type::String });
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description));
        (name.to_owned(), header.build().into())
    }));
    components.responses.extend(REFUSALS.map(|refusal| (refusal.name.to_owned(), refusal.response().into())));
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (&mut item.get, false),
            (&mut item.post, true),
            (&mut item.put, true),
            (&mut item.patch, true),
            (&mut item.delete, false),
        ];
        for (operation, has_body) in operations {
            let Some(operation) = operation else { continue };
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = Some(Required::True);
            }
            let answers = &mut operation.responses.responses;
            for answer in answers.values_mut() {
                if let RefOr::T(answer) = answer {
                    answer.headers.extend(headers(&[]));
                }
            }
            let refusals = REFUSALS.iter().filter(|refusal| match refusal.of {
                Calls::All => true,
                Calls::WithId => path.contains("{id}"),
                Calls::WithBody => has_body,
            });
            answers.extend(
                refusals.map(|refusal| (refusal.status.to_owned(), Ref::from_response_name(refusal.name).into())),
            );
        }
    }
    document
}

/// What clients send to create: the fields of an update, some of which must be there.
fn inputs() -> [(String, RefOr<Schema>); 2] {
    let needed = |fields: &[&str]| fields.iter().fold(ObjectBuilder::new(), |object, field| object.required(*field));
    let new = |input: &str| AllOfBuilder::new().item(Ref::from_schema_name(input)).item(needed(&["name", "url"]));
    let simple = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([Preset::SimpleWebhook.as_str()]));
    let mut either = AnyOf::new();
    either.items.push(needed(&["http_method", "trigger_type"]).into());
    either.items.push(needed(&["preset"]).property("preset", simple).into());
    let webhook =
        new("WebhookInput").item(Schema::AnyOf(either)).description(Some("What a client sends to create a webhook."));
    let action = new("ActionInput").description(Some("What a client sends to create a webhook in the older form."));
    [("NewWebhook", webhook), ("NewAction", action)]
        .map(|(name, schema)| (name.to_owned(), Schema::AllOf(schema.build()).into()))
}

/// The headers of every answer, and more.
fn headers(more: &[&str]) -> impl Iterator<Item = (String, RefOr<Header>)> {
    let names = ["Allow", "X-Request-Id"].iter().chain(more);
    names.map(|name| ((*name).to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))))
}

/// `/openapi.json` and `/docs`.
pub(crate) fn page() -> Router {
    // There is nothing in it that JSON could not hold.
    let document = Bytes::from(document().to_json().unwrap_or_default());
    // Without a validator, which is elsewhere and would be told the document's address.
    let config = Config::new(["../openapi.json"]).validator_url("none").try_it_out_enabled(true);
    let config = Arc::new(config.persist_authorization(false));
    let index = Arc::clone(&config);
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], document)))
        // Relative, so that it holds behind a proxy's path.
        .route("/docs", get(async || Redirect::to("docs/")))
        .route("/docs/", get(async move || file("", index)))
        .route("/docs/{*path}", get(async move |Path(path): Path<String>| file(&path, config)))
}

/// One of the page's files.
fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => {
            let headers =
                [(header::CONTENT_TYPE, file.content_type.as_str()), (header::CONTENT_SECURITY_POLICY, POLICY)];
            (headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
