//! The handlers of the two addresses that sources send to.

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Path, Request, State, rejection::PathRejection},
    http::{Method, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::value::RawValue;
use tokio::time::Duration;

use super::{
    alert::{Encoding, NewEvents, heartbeat, new_events},
    answers::{Declined, alive, later, later_if_unavailable, taken},
    credentials,
    source::Source,
    sources::Found,
};
use crate::{
    core::{
        intake::{AlertAction, Refusal},
        name::NamespacedName,
    },
    errors::error_chain,
    kubernetes::objects::{Error, Objects},
    metrics::IntakeOutcome,
    resources::{AlertGroupEvent, Integration},
    rest::{
        access_log::CalledBy,
        auth::Caller,
        authorization::client_address,
        body,
        error::ApiError,
        permits::Permit,
        state::{ApiState, ended_early, panicked, run_within},
    },
    server::{Peer, Waiting},
    traces::IntakeSpan,
};

/// Bound on a write, its wait for a turn included. Whoever sent the alert sends it again.
const WRITE_TIME: Duration = Duration::from_secs(20);
/// How often an event is created whose name, which the API server made up, is taken.
const NAMES: usize = 3;

/// The parts of an address.
type AddressPath = Result<Path<HashMap<String, String>>, PathRejection>;

/// What a call brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alert,
    Heartbeat,
}

/// Where a call says that it is to go.
struct Address<'a> {
    /// Its word for the type of the Integration.
    integration_type: &'a str,
    /// The namespace and the name of the Integration, if it has them.
    named: Option<(&'a str, &'a str)>,
}

/// Takes an alert that comes with its token in the address.
pub(super) async fn alert_by_token(State(api): State<Arc<ApiState>>, path: AddressPath, request: Request) -> Response {
    by_token(&api, path, request, Kind::Alert).await
}

/// Takes an alert for an Integration that the address names.
pub(super) async fn alert_by_name(State(api): State<Arc<ApiState>>, path: AddressPath, request: Request) -> Response {
    by_name(&api, path, request, Kind::Alert).await
}

/// Takes a heartbeat that comes with its token in the address.
pub(super) async fn heartbeat_by_token(
    State(api): State<Arc<ApiState>>,
    path: AddressPath,
    request: Request,
) -> Response {
    by_token(&api, path, request, Kind::Heartbeat).await
}

/// Takes a heartbeat for an Integration that the address names.
pub(super) async fn heartbeat_by_name(
    State(api): State<Arc<ApiState>>,
    path: AddressPath,
    request: Request,
) -> Response {
    by_name(&api, path, request, Kind::Heartbeat).await
}

async fn by_token(api: &Arc<ApiState>, path: AddressPath, request: Request, kind: Kind) -> Response {
    let Ok(Path(path)) = path else { return strange(api, Refusal::unknown_token().into()) };
    let part = |name: &str| path.get(name).map(String::as_str).unwrap_or_default();
    let address = Address { integration_type: part("type"), named: None };
    answer(api, &address, Some(part("token")), request, kind).await
}

async fn by_name(api: &Arc<ApiState>, path: AddressPath, request: Request, kind: Kind) -> Response {
    let Ok(Path(path)) = path else { return strange(api, Refusal::unknown_token().into()) };
    let part = |name: &str| path.get(name).map(String::as_str).unwrap_or_default();
    let address = Address { integration_type: part("type"), named: Some((part("namespace"), part("name"))) };
    let token = credentials::token(request.headers());
    answer(api, &address, token.as_deref(), request, kind).await
}

async fn answer(
    api: &Arc<ApiState>,
    address: &Address<'_>,
    token: Option<&str>,
    request: Request,
    kind: Kind,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let source = match find(api, token, address.named, &parts) {
        Ok(source) => source,
        Err(declined) => return strange(api, declined),
    };
    // From here on the Integration's own limits hold.
    parts.extensions.remove::<Waiting>();
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let span = (kind == Kind::Alert).then(|| IntakeSpan::begin(&parts, route, &source.name));
    let taken = match kind {
        _ if address.integration_type != source.integration_type.as_str() => {
            Err(Refusal::wrong_type(address.integration_type, source.integration_type).into())
        }
        _ if source.is_suspended => Err(Declined::Suspended),
        Kind::Alert => take_alert(api, &source, &parts, body, span.as_ref().and_then(IntakeSpan::traceparent)).await,
        Kind::Heartbeat => take_heartbeat(api, &source, &parts.method).await,
    };
    let outcome = taken.as_ref().map_or_else(Declined::outcome, |_| IntakeOutcome::Taken);
    api.intake.metrics.count(Some(source.integration_type.as_str()), outcome);
    let mut response = taken.unwrap_or_else(IntoResponse::into_response);
    if let Some(span) = span {
        span.end(response.status().as_u16(), outcome.as_str());
    }
    let namespace = Arc::clone(&source.name.namespace);
    let (name, username) = (format!("Integration {}", source.name), source.name.name.to_string());
    response.extensions_mut().insert(CalledBy(Caller { namespace, name, username }));
    response
}

/// The answer to a call of which it is not known for which Integration it is.
fn strange(api: &ApiState, declined: Declined) -> Response {
    api.intake.metrics.count(None, declined.outcome());
    declined.into_response()
}

/// The Integration that a token opens.
fn find(
    api: &ApiState,
    token: Option<&str>,
    named: Option<(&str, &str)>,
    parts: &Parts,
) -> Result<Arc<Source>, Declined> {
    let is_named = |source: &Source| {
        named.is_none_or(|(namespace, name)| *source.name.namespace == *namespace && *source.name.name == *name)
    };
    match token.map_or(Found::Unknown, |token| api.intake.sources.find(token)) {
        Found::Source(source) if is_named(&source) => Ok(source),
        Found::Unread => Err(later("Tokens are being read: try again.").into()),
        Found::Source(_) | Found::Unknown => {
            let client = client_address(&parts.headers, parts.extensions.get::<Peer>(), &api.trusted_proxies);
            api.intake.admission.stranger(client.into())?;
            Err(Refusal::unknown_token().into())
        }
    }
}

/// Takes an alert for an Integration: returns when the API server has it. Its events name the span `traceparent`, if it is given.
async fn take_alert(
    api: &Arc<ApiState>,
    source: &Arc<Source>,
    parts: &Parts,
    body: Body,
    traceparent: Option<String>,
) -> Result<Response, Declined> {
    let encoding = Encoding::of(&parts.headers)?;
    let namespace = &source.name.namespace;
    let in_flight = api.intake.admission.admit(source).await?;
    let (bytes, memory) = body::read(&api.bodies, namespace, body).await.map_err(later_if_unavailable)?;
    let source = whole(&api.intake.objects, source).await?;
    let NewEvents { action, manifests } = render(api, &source, encoding, (bytes, traceparent)).await?;
    let open = api.intake.sources.open_alert_groups(namespace);
    // What resolves alert groups makes them fewer.
    if action != AlertAction::Resolve && open > api.intake.admission.open_alert_groups {
        return Err(Declined::TooManyOpen);
    }
    create(api, &source, manifests, (in_flight, Some(memory))).await?;
    Ok(taken())
}

/// Takes a heartbeat: returns when the API server has it. Of an Integration that misses none, nothing is to be noted.
async fn take_heartbeat(api: &Arc<ApiState>, source: &Arc<Source>, method: &Method) -> Result<Response, Declined> {
    let in_flight = api.intake.admission.admit(source).await?;
    if source.has_heartbeat {
        let manifest = heartbeat(source).map_err(|_| ApiError::internal())?;
        create(api, source, vec![manifest], (in_flight, None)).await?;
    }
    Ok(alive(method))
}

/// Creates events, one after the other, also when the client does not wait for it. `held` is kept to the end.
async fn create(
    api: &ApiState,
    source: &Arc<Source>,
    manifests: Vec<Box<RawValue>>,
    held: (Permit, Option<Permit>),
) -> Result<(), Declined> {
    let (objects, source, name) = (api.intake.objects.clone(), Arc::clone(source), source.name.clone());
    let writing = async move {
        let _held = held;
        for manifest in &manifests {
            create_one(&objects, &source, manifest).await?;
        }
        Ok(())
    };
    match run_within(&api.writes, WRITE_TIME, writing).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(not_written(&name, &error).into()),
        Ok(Err(_)) => Err(later("The Kubernetes API takes too long: try again.").into()),
        Err(error) => Err(ended_early(&error).into()),
    }
}

/// An Integration with its templates: read, if there was no room for them.
async fn whole(objects: &Objects, source: &Arc<Source>) -> Result<Arc<Source>, Declined> {
    if source.is_whole() {
        return Ok(Arc::clone(source));
    }
    let found = objects.get::<Integration>(&source.name.namespace, &source.name.name).await;
    let found = found.map_err(|error| not_written(&source.name, &error))?;
    let is_same = |found: &Integration| found.metadata.uid.as_deref() == Some(&*source.uid);
    let found = found.filter(is_same).ok_or_else(Refusal::unknown_token)?;
    Ok(Arc::new(source.read_again(&found)))
}

/// Makes the events of a body: on a thread for renderings, unless that is known to be cheap.
async fn render(
    api: &ApiState,
    source: &Arc<Source>,
    encoding: Encoding,
    (body, traceparent): (Vec<u8>, Option<String>),
) -> Result<NewEvents, Declined> {
    let is_cheap = source.is_cheap(body.len());
    let namespace = Arc::clone(&source.name.namespace);
    let source = Arc::clone(source);
    let work = move || {
        let began = Instant::now();
        let events = new_events(&source, &encoding, &body, traceparent);
        source.note(body.len(), began);
        events
    };
    let events =
        if is_cheap { work() } else { api.rendering.try_run(&namespace, work).await.map_err(|_| panicked())? };
    Ok(events?)
}

/// Creates an event. If the name that the API server made up is taken, it makes up another.
async fn create_one(objects: &Objects, source: &Source, manifest: &RawValue) -> Result<(), Error> {
    let (namespace, name) = (&*source.name.namespace, format!("{}-…", source.name.name));
    let mut left = NAMES;
    loop {
        left -= 1;
        match objects.create_manifest::<AlertGroupEvent>(namespace, &name, &manifest).await {
            Err(error) if error.is_already_exists() && left > 0 => {}
            result => return result.map(drop),
        }
    }
}

/// The answer where the API server did not take an event, for whatever reason: that may pass.
fn not_written(integration: &NamespacedName, error: &Error) -> ApiError {
    tracing::warn!(
        namespace = &*integration.namespace,
        integration = &*integration.name,
        error = error_chain(error),
        "the API server did not take an alert; it was answered with 503, so that its source sends it again"
    );
    later("The Kubernetes API can't take this alert at the moment: try again.")
}
