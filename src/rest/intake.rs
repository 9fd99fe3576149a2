//! Alerts in: sources of alerts, such as Alertmanager, send them here; each becomes an AlertGroupEvent, or two, and is answered
//! once the API server has that. Nothing else is written, and nothing that is kept here decides whether an alert is lost.
//!
//! ```text
//! POST ─► handlers ─► whose token? (sources) ─► admission ─► body ─► alert ─► AlertGroupEvent ─► 200 "Ok."
//!                        └─► 403, 503             └─► 429, 503  └─► 4xx  └─► 400   └─► 503
//! Integrations, their Secrets (watches) ─► sources
//! ```
//! - `handlers`: the two addresses, and the order in which things are asked
//! - `credentials`: the token of a call
//! - `sources`: the Integrations, their tokens, and how many alert groups are open
//! - `source`: one Integration, with its templates compiled
//! - `admission`: bounds on what an Integration and a namespace may send
//! - `alert`: from a body to the events that are created
//! - `answers`: what is answered

mod admission;
mod alert;
mod answers;
mod credentials;
mod handlers;
mod source;
mod sources;

use std::{future::ready, sync::Arc};

use axum::{
    Router,
    middleware::map_response,
    routing::{MethodRouter, get, post},
};

pub(crate) use self::sources::{SourceIndex, Sources};
use self::{
    admission::Admission,
    handlers::{alert_by_name, alert_by_token, heartbeat_by_name, heartbeat_by_token},
};
use super::{fallbacks, state::ApiState};
use crate::{
    kubernetes::{objects::Objects, scope::Scope},
    metrics::IntakeMetrics,
    secrets::Secrets,
};

/// OnCall's address, with the token in it.
const BY_TOKEN: &str = "/integrations/v1/{type}/{token}";
/// That of an Integration, whose token comes in the header `Authorization`.
const BY_NAME: &str = "/integrations/v1/{type}/namespaces/{namespace}/{name}";
/// Where each of them takes heartbeats, by OnCall's name.
const HEARTBEAT: &str = "/heartbeat";

/// What the intake of alerts has.
pub(crate) struct Intake {
    pub(crate) sources: Arc<Sources>,
    admission: Admission,
    objects: Objects,
    metrics: IntakeMetrics,
}

/// Bounds on alerts that come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntakeLimits {
    /// How many alerts are taken in a minute for an Integration.
    pub(crate) per_minute: usize,
    /// With how many open alert groups in a namespace no alert is taken any more that may open another.
    pub(crate) open_alert_groups: u64,
    /// Bound on what is kept of Integrations, in bytes.
    pub(crate) memory: u64,
}

impl Intake {
    pub(crate) fn new(
        objects: Objects,
        secrets: Secrets,
        scope: Scope,
        limits: IntakeLimits,
        metrics: IntakeMetrics,
    ) -> Self {
        Self {
            sources: Arc::new(Sources::new(secrets, scope, limits.memory)),
            admission: Admission::new(limits.per_minute, limits.open_alert_groups),
            objects,
            metrics,
        }
    }
}

/// The addresses that sources send to, with a slash at the end or without. A token of theirs is none of the REST API.
pub(crate) fn routes() -> Router<Arc<ApiState>> {
    let alerts = [(BY_TOKEN, post(alert_by_token)), (BY_NAME, post(alert_by_name))];
    let heartbeats = [
        (BY_TOKEN, get(heartbeat_by_token).post(heartbeat_by_token)),
        (BY_NAME, get(heartbeat_by_name).post(heartbeat_by_name)),
    ];
    routes_of("", alerts, "POST, OPTIONS").merge(routes_of(HEARTBEAT, heartbeats, "GET, POST, HEAD, OPTIONS"))
}

/// Routes at addresses that end so, with the methods that they have.
fn routes_of(
    end: &str,
    routes: [(&str, MethodRouter<Arc<ApiState>>); 2],
    allowed: &'static str,
) -> Router<Arc<ApiState>> {
    let routes = routes.map(|(path, methods)| (format!("{path}{end}"), methods.options(fallbacks::options)));
    let router = routes.into_iter().fold(Router::new(), |router, (path, methods)| {
        router.route(&path, methods.clone()).route(&format!("{path}/"), methods)
    });
    let with_allow = move |response| ready(answers::with_allow(response, allowed));
    router.method_not_allowed_fallback(fallbacks::method_not_allowed).route_layer(map_response(with_allow))
}
