//! The table of all routes, each with its part of the OpenAPI document.

use std::sync::Arc;

use utoipa_axum::{router::UtoipaMethodRouter, routes};

use super::{handlers as h, state::ApiState};

/// Every route of the API.
pub(crate) fn all() -> Vec<UtoipaMethodRouter<Arc<ApiState>>> {
    vec![
        routes!(h::list_webhooks, h::create_webhook),
        routes!(h::get_webhook, h::put_webhook, h::patch_webhook, h::delete_webhook),
        routes!(h::list_responses),
        routes!(h::list_actions, h::create_action),
        routes!(h::get_action, h::put_action, h::patch_action, h::delete_action),
        routes!(h::list_integrations),
        routes!(h::get_integration),
        routes!(h::list_alerts),
        routes!(h::list_alert_groups),
        routes!(h::get_alert_group, h::delete_alert_group),
        routes!(h::acknowledge_alert_group),
        routes!(h::unacknowledge_alert_group),
        routes!(h::resolve_alert_group),
        routes!(h::unresolve_alert_group),
        routes!(h::silence_alert_group),
        routes!(h::unsilence_alert_group),
    ]
}
