//! The OpenAPI document, made of the handlers and their types, and the page that shows it, which is in the binary.

use axum::Router;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::calls;

/// The whole document. Its paths are those of the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oncall-webhooks",
        description = "The outgoing webhooks of Grafana OnCall's API, over Webhook and WebhookResponse resources of Kubernetes. \
                       A token opens one namespace. A slash at the end of an address may be left out.",
        contact()
    ),
    tags(
        (name = "webhooks", description = "Outgoing webhooks"),
        (name = "actions", description = "The same webhooks in the form that OnCall had before")
    ),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let description = "A token of `oncall-webhooks token create`, or of a ServiceAccount.";
        let key = ApiKey::Header(ApiKeyValue::with_description("Authorization", description));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::ApiKey(key));
    }
}

/// The document, for `/openapi.json` and for whoever wants it in a file.
pub fn document() -> openapi::OpenApi {
    let routes = calls::documented().into_iter();
    let router = routes.fold(OpenApiRouter::with_openapi(Document::openapi()), OpenApiRouter::routes);
    router.into_openapi()
}

/// `/openapi.json` and `/docs`.
pub(crate) fn page() -> Router {
    let config = Config::default().try_it_out_enabled(true).persist_authorization(false);
    SwaggerUi::new("/docs").config(config).url("/openapi.json", document()).into()
}
