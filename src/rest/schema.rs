//! Types for the OpenAPI document alone: parameters, pages and errors. Their doc comments are descriptions in the document.

#![expect(dead_code, reason = "for the document alone: calls are read, and answers are put together, field by field")]

mod actions;
mod alert_groups;

use std::collections::HashMap;

use utoipa::{IntoParams, ToSchema};

pub(crate) use self::{
    actions::{ActionInput, ActionOutput},
    alert_groups::{
        AlertFilterParams, AlertGroupFilterParams, AlertGroupIdParams, Deletion, FilterFaults, NotDeleted, Silencing,
    },
};
use super::{
    alert_groups::{AlertBody, AlertGroupBody},
    integrations::IntegrationBody,
    responses::ResponseBody,
    webhook::WebhookOutput,
};

/// Defines a type for one page of a list of `$item`.
macro_rules! page_of {
    ($item:ty, $page:ident) => {
        /// One page of a list.
        #[derive(ToSchema)]
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
page_of!(WebhookOutput<'static>, WebhookPage);
page_of!(ActionOutput, ActionPage);
page_of!(ResponseBody<'static>, WebhookResponsePage);
page_of!(IntegrationBody<'static>, IntegrationPage);
page_of!(AlertGroupBody<'static>, AlertGroupPage);
page_of!(AlertBody<'static>, AlertPage);

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// From 1. One beyond the end gives the last page.
    #[param(minimum = 1)]
    page: Option<u64>,
    /// How many on a page: 50 if not said.
    #[param(minimum = 1, maximum = 100)]
    perpage: Option<u64>,
}

/// Which of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilterParams {
    /// The one with exactly this name.
    name: Option<String>,
    /// Those of this team; `null` for those of none.
    team_id: Option<String>,
}

/// Which webhook.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct IdParams {
    /// `WH` and 12 or more of A–Z without O, and 1–9.
    id: String,
}

/// Which integration.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct IntegrationIdParams {
    /// `C` and 12 or more of A–Z without O, and 1–9.
    id: String,
}

/// Why a call was not done.
#[derive(ToSchema)]
#[schema(as = Detail)]
pub(crate) struct Detail {
    detail: String,
}

/// Messages for each field that is wrong; under `non_field_errors` for no one of them.
#[derive(ToSchema)]
#[schema(as = FieldFaults, example = json!({"http_method": ["This field is required."]}))]
pub(crate) struct FieldErrors(HashMap<String, Vec<String>>);

/// What is wrong with a body: as a whole, or with its fields.
#[derive(ToSchema)]
#[schema(as = Faults)]
#[serde(untagged)]
pub(crate) enum BadRequest {
    Detail(Detail),
    Fields(FieldErrors),
}
