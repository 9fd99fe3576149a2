//! The OpenAPI schemas of `/actions/`, made of those of `/webhooks/`.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{Object, Schema},
    },
};

use crate::rest::webhook::{Collection, WebhookInput, WebhookOutput};

/// A webhook, as `/api/v1/actions/` shows it; for the document alone.
pub(crate) struct ActionOutput;

/// The body of an update in `/api/v1/actions/`; for the document alone.
pub(crate) struct ActionInput;

impl ToSchema for ActionOutput {
    fn name() -> Cow<'static, str> {
        "Action".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WebhookOutput::schemas(schemas);
    }
}

impl PartialSchema for ActionOutput {
    fn schema() -> RefOr<Schema> {
        let mut action = arranged(WebhookOutput::schema());
        action.description = Some("A webhook, as the older `/api/v1/actions/` shows it.".to_owned());
        Schema::Object(action).into()
    }
}

impl ToSchema for ActionInput {
    fn name() -> Cow<'static, str> {
        "ActionInput".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WebhookInput::schemas(schemas);
    }
}

impl PartialSchema for ActionInput {
    fn schema() -> RefOr<Schema> {
        let mut action = arranged(WebhookInput::schema());
        let description = "What a client sends to update a webhook in the older form. A field that is left out stays as it is, \
                           but for\n`integration_filter`, which is cleared then.";
        action.description = Some(description.to_owned());
        describe(&mut action, "http_method", "POST if it is left out of a new webhook.");
        describe(&mut action, "trigger_type", "`escalation` if it is left out of a new webhook.");
        Schema::Object(action).into()
    }
}

/// The fields of a schema as `/actions/` has them.
fn arranged(schema: RefOr<Schema>) -> Object {
    let RefOr::T(Schema::Object(mut object)) = schema else { return Object::new() };
    object.properties = Collection::Actions.arrange(object.properties);
    let required: Vec<_> = Collection::Actions.arrange(object.required.into_iter().map(|field| (field, ())));
    object.required = required.into_iter().map(|(field, ())| field).collect();
    object
}

fn describe(object: &mut Object, field: &str, description: &str) {
    match object.properties.get_mut(field) {
        Some(RefOr::Ref(reference)) => description.clone_into(&mut reference.description),
        Some(RefOr::T(Schema::Object(property))) => property.description = Some(description.to_owned()),
        _ => {}
    }
}
