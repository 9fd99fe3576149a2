//! OnCall's REST API over the same objects.
//!
//! ```text
//! call ─► server ─► access log ─► auth ─► handlers ─┬─► catalog, responses   (filled by watches)
//!         TLS, bounds              403, 429          └─► fields ─► manifest ─► writes, credentials ─► Kubernetes API
//! ```

mod address;
pub(crate) mod auth;
mod calls;
mod catalog;
mod credentials;
mod fields;
mod handlers;
mod manifest;
mod openapi;
mod pages;
mod refusal;
mod responses;
mod server;
mod turns;
mod writes;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, future};
use ipnet::IpNet;
use kube::{Client, runtime::watcher};
use tokio::{sync::SetOnce, task::JoinSet};
use tokio_util::task::TaskTracker;

use self::{
    auth::Auth, catalog::Catalog, credentials::Credentials, responses::Responses, server::Server, turns::Turns,
    writes::Writer,
};
pub use self::{openapi::document, server::Listen};
use crate::{
    errors::error_chain,
    health::{self, Ready},
    kubernetes::{
        index::Fold,
        objects::Objects,
        watch::{on_listed, valid, watch},
    },
    resources::{Webhook, WebhookResponse},
};

/// The name under which the REST API's writes stand in `managedFields`.
const FIELD_MANAGER: &str = "oncall-webhooks-api";
/// Bound on the time that a request's body takes to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Bound on the memory for requests' bodies, in KiB; and what a namespace may have of it.
const BODIES: (u32, u32) = (32 * 1024, 16 * 1024);
/// How many requests' templates are tried out at a time; and how many of a namespace.
const VALIDATIONS: (u32, u32) = (4, 2);
/// How often Secrets are looked for that a cut-off call has left without an owner.
const SWEEP: Duration = Duration::from_secs(3600);
/// Bound on how long a stopping process waits for writes whose clients have gone.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// How the REST API is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The namespace to work in [default: all]
    #[arg(long, env = "ONCALL_WEBHOOKS_NAMESPACE")]
    pub namespace: Option<String>,
    /// Where and how it listens
    #[command(flatten)]
    pub listen: Listen,
    /// Another address of /livez and /readyz, which answers also when all connections of the API are taken
    #[arg(long, env = "ONCALL_WEBHOOKS_API_HEALTH_ADDRESS")]
    pub health_address: Option<SocketAddr>,
    /// Networks of proxies whose X-Forwarded-* headers are believed, such as 10.0.0.0/8
    #[arg(long, env = "ONCALL_WEBHOOKS_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Also change objects that Flux, Argo CD or Helm manage, which may undo it
    #[arg(long, env = "ONCALL_WEBHOOKS_ALLOW_MANAGED")]
    pub allow_managed: bool,
    /// How many calls a token, or a Kubernetes user in a namespace, may make in a minute
    #[arg(long, env = "ONCALL_WEBHOOKS_CALLS_PER_MINUTE", default_value_t = 300, value_parser = crate::positive)]
    pub calls_per_minute: usize,
}

/// What the handlers share.
pub(crate) struct Api {
    auth: Auth,
    ready: Ready,
    catalog: Arc<Catalog>,
    responses: Arc<Responses>,
    writer: Arc<Writer>,
    trusted_proxies: Vec<IpNet>,
    /// In KiB.
    bodies: Turns,
    validations: Turns,
    /// Writes that are under way.
    writing: TaskTracker,
}

/// Serves the REST API until `stop` resolves, then finishes what is running.
///
/// # Errors
/// It can't start: the address is taken, a certificate can't be read. Or a part of it ended by itself.
pub async fn run(client: Client, config: Config, stop: impl Future<Output = ()>) -> Result<()> {
    let server = Server::bind(&config.listen).await?;
    tracing::info!(address = %server.local_addr()?, "REST API");
    let namespace = config.namespace.as_deref();
    let objects = Objects::new(client.clone(), FIELD_MANAGER);
    let catalog = Arc::new(Catalog::default());
    let responses = Arc::new(Responses::new(objects.clone()));
    let (auth, tokens) = Auth::new(client.clone(), namespace, config.calls_per_minute);
    let (webhooks_listed, responses_listed) = (Arc::new(SetOnce::new()), Arc::new(SetOnce::new()));

    let webhooks = {
        let mut index = Fold::new(catalog::WebhookIndex::new(Arc::clone(&catalog)));
        let events = watch::<Webhook>(&client, namespace, watcher::Config::default());
        events.inspect_ok(on_listed(&webhooks_listed)).filter_map(|event| future::ready(event.ok())).for_each(
            move |event| {
                index.observe(&event);
                future::ready(())
            },
        )
    };
    let runs = {
        let mut index = Fold::new(responses::ResponseIndex(Arc::clone(&responses)));
        // What has not ended has nothing to show.
        let ended = watcher::Config::default().fields("status.phase!=Pending");
        let events = watch::<WebhookResponse>(&client, namespace, ended);
        valid(events.inspect_ok(on_listed(&responses_listed))).filter_map(|event| future::ready(event.ok())).for_each(
            move |event| {
                index.observe(&event);
                future::ready(())
            },
        )
    };
    let writing = TaskTracker::new();
    let credentials = Credentials::new(objects.clone(), writing.clone());
    let api = Arc::new(Api {
        auth,
        ready: Ready::default(),
        writer: Arc::new(Writer::new(objects, Arc::clone(&catalog), credentials.clone(), config.allow_managed)),
        catalog,
        responses,
        trusted_proxies: config.trusted_proxies,
        bodies: Turns::new(BODIES.0, BODIES.1, "Too many requests' bodies are being read: try again."),
        validations: Turns::new(VALIDATIONS.0, VALIDATIONS.1, "Too many webhooks are being checked: try again."),
        writing,
    });
    let ready = {
        let api = Arc::clone(&api);
        async move {
            webhooks_listed.wait().await;
            responses_listed.wait().await;
            api.auth.ready().await;
            api.ready.set();
            tracing::info!("ready");
            loop {
                if let Err(error) = credentials.sweep(config.namespace.as_deref(), &api.catalog).await {
                    tracing::warn!(error = error_chain(&error), "look for Secrets without an owner");
                }
                tokio::time::sleep(SWEEP).await;
            }
        }
    };

    let mut parts = JoinSet::new();
    if let Some(address) = config.health_address {
        let listener = health::bind(address).await?;
        let ready = api.ready.clone();
        parts.spawn(async move {
            if let Err(error) = health::serve(listener, ready, axum::Router::new()).await {
                tracing::error!(%error, "serve /livez and /readyz");
            }
        });
    }
    parts.spawn(webhooks);
    parts.spawn(runs);
    parts.spawn(tokens);
    parts.spawn(ready);
    let routes = calls::routes(&api).merge(health::routes(api.ready.clone()));
    tokio::select! {
        served = server.serve(routes, stop) => served?,
        _ = parts.join_next() => anyhow::bail!("a part of it ended by itself"),
    }
    api.writing.close();
    if tokio::time::timeout(LAST_WRITES, api.writing.wait()).await.is_err() {
        tracing::warn!(writes = api.writing.len(), "stopped before all writes were done");
    }
    Ok(())
}
