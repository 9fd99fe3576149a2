//! The OpenAPI document, made of the routes and their types.

use utoipa::{
    OpenApi,
    openapi::{
        self, AllOfBuilder, Content, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Required, Schema,
        Server, Type,
        path::Operation,
        schema::AnyOf,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    routes,
    schema::{ActionInput, BadRequest, Detail},
    webhook::WebhookInput,
};
use crate::resources::Preset;

/// The document without its paths, which are those of the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncall-webhooks",
        description = "The outgoing webhooks, alert groups and integrations of Grafana OnCall's API, over resources of Kubernetes. \
                       A token opens one namespace.\n\nA slash at the end of an address may be left out. HEAD is answered as GET, \
                       OPTIONS with 200, and a method that an address has not with 405; `Allow` names those that it has."
    ),
    tags(
        (name = "webhooks", description = "Outgoing webhooks"),
        (name = "actions", description = "The same webhooks in the form that OnCall had before"),
        (name = "alert_groups", description = "Alert groups, and what people do with them"),
        (name = "alerts", description = "The alerts that are stored of alert groups; for reading"),
        (name = "integrations", description = "Where alerts come from; for reading")
    ),
    components(schemas(WebhookInput, ActionInput, Detail, BadRequest)),
    security(("token" = []))
)]
struct Document;

/// The operations that may have an error response.
#[derive(Clone, Copy)]
enum Operations {
    All,
    /// Those on one object.
    WithId,
    WithBody,
}

/// An answer with an error.
#[derive(Clone, Copy)]
struct ErrorResponse {
    status: &'static str,
    name: &'static str,
    of: Operations,
    description: &'static str,
    /// The name of its body's schema.
    body: &'static str,
    headers: &'static [&'static str],
}

impl ErrorResponse {
    const fn new(status: &'static str, name: &'static str, of: Operations, description: &'static str) -> Self {
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

const ERROR_RESPONSES: [ErrorResponse; 8] = [
    ErrorResponse {
        body: "Faults",
        ..ErrorResponse::new("400", "BadRequest", Operations::WithBody, "The body is no JSON, or fields are wrong.")
    },
    ErrorResponse::new(
        "403",
        "Forbidden",
        Operations::All,
        "The token is missing, opens nothing or does not allow this.",
    ),
    ErrorResponse::new("404", "NotFound", Operations::WithId, "There is no such object."),
    ErrorResponse::new("408", "Timeout", Operations::WithBody, "The body did not come in time."),
    ErrorResponse::new("413", "TooLarge", Operations::WithBody, "The body is over 1 MiB."),
    ErrorResponse::new("415", "NotJson", Operations::WithBody, "The body is not JSON by its Content-Type."),
    ErrorResponse {
        headers: &["Retry-After", "RateLimit-Reset"],
        ..ErrorResponse::new("429", "Throttled", Operations::All, "The token's calls of this minute are used up.")
    },
    ErrorResponse {
        headers: &["Retry-After"],
        ..ErrorResponse::new(
            "503",
            "Unavailable",
            Operations::All,
            "The Kubernetes API does not answer at the moment, or too many calls wait for their turn.",
        )
    },
];

/// Headers: name, description, and whether the value is a number.
const HEADERS: [(&str, &str, bool); 4] = [
    ("Allow", "The methods that this address has.", false),
    ("RateLimit-Reset", "The same as Retry-After.", true),
    ("Retry-After", "After how many seconds to try again.", true),
    ("X-Request-Id", "What the log calls this call: the id that a proxy has given it, or a new one.", false),
];

/// The whole document.
pub fn document() -> openapi::OpenApi {
    let router =
        routes::all().into_iter().fold(OpenApiRouter::with_openapi(Document::openapi()), OpenApiRouter::routes);
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
    components.responses.extend(ERROR_RESPONSES.map(|error| (error.name.to_owned(), error.response().into())));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete(operation, path);
        }
    }
    document
}

/// Completes an operation: its body must be sent, and its answers have the common headers and error responses.
fn complete(operation: &mut Operation, path: &str) {
    let has_body = operation.request_body.is_some();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(Required::True);
    }
    let answers = &mut operation.responses.responses;
    for answer in answers.values_mut() {
        if let RefOr::T(answer) = answer {
            answer.headers.extend(headers(&[]));
        }
    }
    let errors = ERROR_RESPONSES.iter().filter(|error| match error.of {
        Operations::All => true,
        Operations::WithId => path.contains("{id}"),
        Operations::WithBody => has_body,
    });
    for error in errors {
        // Some operations say themselves what it means.
        let known = answers.entry(error.status.to_owned());
        known.or_insert_with(|| Ref::from_response_name(error.name).into());
    }
}

/// The schemas of bodies that create a webhook: the fields of an update, some of which must be there.
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

/// References to the headers of every answer, and to `more`.
fn headers(more: &[&str]) -> impl Iterator<Item = (String, RefOr<Header>)> {
    let names = ["Allow", "X-Request-Id"].iter().chain(more);
    names.map(|name| ((*name).to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))))
}
