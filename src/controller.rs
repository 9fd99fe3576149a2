//! The operator: watches Webhooks, their Secrets and AlertGroupEvents, delivers, and writes what came of it.
//!
//! ```text
//! Webhooks ──► catalog ─────────┐                      ┌─► webhooks::reconcile ─► Webhook.status
//! Secrets  ──► secrets ───────┐ │                      │
//! AlertGroupEvents ──► runs ──┴─┴─► deliver ───────────┤
//! WebhookResponses ──►   ▲             │ history       ├─► WebhookResponse and its status
//! (sent again)           └─────────────┘               └─► events::reconcile ───► AlertGroupEvent.status
//! (now and then) ──► retention ─► deletes finished AlertGroupEvents and WebhookResponses
//! ```
//! Of several replicas, the one that holds the Lease does all that; the others wait for it.
//!
//! The streams that feed kube-runtime's controllers are read in passing, in order: an event is on its way before its
//! reconciliation is scheduled. Reconciliations only write statuses.

mod api_server_guard;
mod catalog;
mod deliver;
mod election;
mod events;
mod history;
mod metrics;
mod payloads;
mod responses;
mod retention;
mod runs;
mod secrets;
mod services;
mod webhooks;

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, channel::mpsc, future};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client, ResourceExt,
    runtime::{
        Controller, WatchStreamExt,
        controller::Config as ControllerConfig,
        reflector::{self, ObjectRef},
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::SetOnce, task::JoinSet};

use self::{
    api_server_guard::ApiServerGuard,
    catalog::{Catalog, WebhookIndex},
    deliver::{Deliverer, Parts},
    history::History,
    metrics::Metrics,
    runs::Runs,
    secrets::Secrets,
    services::services,
};
pub use self::{election::Election, retention::Retention};
use crate::{
    core::{
        address::{self, AllowedAddress, AllowedHost, Policy},
        dispatch::Limits,
    },
    delivery::{self, Policies, Proxies, Sender},
    health::{self, Ready},
    kubernetes::{
        client::api_of,
        index::Fold,
        lease::{self, Leadership},
        objects::Objects,
        watch::{log_errors, on_listed, valid, watch},
    },
    resources::{AlertGroupEvent, SECRET_LABEL, Webhook},
};

/// The name under which the operator's writes stand in `managedFields`.
const FIELD_MANAGER: &str = "oncall-webhooks";
/// Bound on the status writes of one kind that are under way at a time.
const STATUS_WRITES: u16 = 64;
/// Bound on how long a stopping process waits for its last requests, which take up to a minute, and their records.
const LAST_REQUESTS: Duration = Duration::from_secs(65);
/// Bound on how long a stopping process waits for its last status writes.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// How the operator is run.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The namespace to work in [default: all]
    #[arg(long, env = "ONCALL_WEBHOOKS_NAMESPACE")]
    pub namespace: Option<String>,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, env = "ONCALL_WEBHOOKS_HEALTH_ADDRESS", default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,
    /// How many deliveries may be sent and not yet recorded; at the bound, sending waits
    #[arg(long, env = "ONCALL_WEBHOOKS_MAX_UNRECORDED", default_value_t = 256, value_parser = crate::positive)]
    pub max_unrecorded: usize,
    /// How many requests of one webhook may be on the way at a time
    #[arg(long, env = "ONCALL_WEBHOOKS_MAX_PER_WEBHOOK", default_value_t = 32, value_parser = crate::positive)]
    pub max_per_webhook: usize,
    /// What requests may reach.
    #[command(flatten)]
    pub reach: Reach,
    /// What they go through.
    #[command(flatten)]
    pub proxy: Proxy,
    /// Which replica works.
    #[command(flatten)]
    pub election: Election,
    /// What is kept of what is finished.
    #[command(flatten)]
    pub retention: Retention,
}

/// Proxies of requests. The API server is never asked through one.
#[derive(Clone, clap::Args)]
pub struct Proxy {
    /// Proxy for https URLs, itself http or https [env: https_proxy, else HTTPS_PROXY, all_proxy or ALL_PROXY]
    #[arg(long, value_name = "URL")]
    pub https_proxy: Option<String>,
    /// Proxy for http URLs, itself http or https; it too is asked to CONNECT [env: http_proxy, else HTTP_PROXY,
    /// all_proxy or ALL_PROXY]
    #[arg(long, value_name = "URL")]
    pub http_proxy: Option<String>,
    /// Hosts that are reached without a proxy: example.com with all below it, 10.0.0.0/8, or * for all; commas between.
    /// Services, the cluster's domain and loopback always are [env: no_proxy, else NO_PROXY]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The others may hold passwords.
        f.debug_struct("Proxy").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

impl From<Proxy> for Proxies {
    fn from(proxy: Proxy) -> Self {
        Self { https: proxy.https_proxy, http: proxy.http_proxy, all: None, none: proxy.no_proxy }
    }
}

/// What requests may reach beside public addresses.
#[derive(Clone, Debug, clap::Args)]
pub struct Reach {
    /// A network that Webhooks may send to though it is not public, such as 10.1.0.0/16; with a namespace, from there
    /// alone. The API server and metadata services must each be named by their one address
    #[arg(
        long = "allow-address",
        env = "ONCALL_WEBHOOKS_ALLOW_ADDRESSES",
        value_delimiter = ',',
        value_name = "[NAMESPACE=]CIDR"
    )]
    pub allow_addresses: Vec<AllowedAddress>,
    /// A host that Webhooks may send to, with all below it, though its address is not public; with a namespace, from
    /// there alone. The API server and metadata services must each be named in full
    #[arg(
        long = "allow-host",
        env = "ONCALL_WEBHOOKS_ALLOW_HOSTS",
        value_delimiter = ',',
        value_name = "[NAMESPACE=]SUFFIX"
    )]
    pub allow_hosts: Vec<AllowedHost>,
    /// A network that Webhooks may not send to, whatever is open otherwise, unless one address of it is allowed by itself:
    /// networks of pods or nodes that are public addresses, other ways to the API server
    #[arg(
        long = "deny-address",
        env = "ONCALL_WEBHOOKS_DENY_ADDRESSES",
        value_delimiter = ',',
        value_name = "CIDR",
        value_parser = address::network
    )]
    pub deny_addresses: Vec<IpNet>,
    /// A host that Webhooks may not send to, nor to any below it, unless a host is allowed in full: other names of the API
    /// server
    #[arg(
        long = "deny-host",
        env = "ONCALL_WEBHOOKS_DENY_HOSTS",
        value_delimiter = ',',
        value_name = "SUFFIX",
        value_parser = address::host_suffix
    )]
    pub deny_hosts: Vec<String>,
    /// Refuse Services of the Webhook's own namespace too (NAME.NAMESPACE.svc)
    #[arg(long, env = "ONCALL_WEBHOOKS_DENY_OWN_SERVICES")]
    pub deny_own_services: bool,
    /// The cluster's domain, in which Services have their names
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_CLUSTER_DOMAIN",
        default_value = "cluster.local",
        value_parser = address::cluster_domain
    )]
    pub cluster_domain: String,
}

impl From<Reach> for Policy {
    fn from(reach: Reach) -> Self {
        let policy = Self::new(&reach.cluster_domain)
            .allow(reach.allow_addresses, reach.allow_hosts)
            .close(reach.deny_addresses, reach.deny_hosts);
        if reach.deny_own_services { policy.deny_own_services() } else { policy }
    }
}

/// Runs the operator until `stop` resolves, then finishes what is on the way.
///
/// # Errors
/// It can't start: the address is taken, the API server can't be reached or refuses. Or a part of it ended by itself.
pub async fn run(client: Client, config: Config, stop: impl Future<Output = ()>) -> Result<()> {
    let listener = health::bind(config.health_address).await?;
    let (ready, metrics) = (Ready::default(), Metrics::default());
    let (guard, policies) = ApiServerGuard::new(&client, config.reach.clone().into()).await?;
    tokio::select! {
        result = health::serve(listener, ready.clone(), metrics.routes()) => result.context("serve /livez and /metrics"),
        () = guard.keep() => anyhow::bail!("nobody looks any more where the API server is"),
        result = work(client, config, policies, ready, metrics, stop) => result,
    }
}

async fn work(
    client: Client,
    config: Config,
    mut policies: Policies,
    ready: Ready,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut stop = pin!(stop);
    // The first says where the API server is.
    policies.changed().await.context("look where the API server is")?;
    let proxies = Proxies::from(config.proxy.clone()).or_environment();
    let held: Arc<OnceLock<Leadership>> = Arc::default();
    let gate = Arc::clone(&held);
    let gate = Arc::new(move || gate.get().is_some_and(Leadership::is_held));
    let sender = delivery::Parts { policies, services: services(&client), gate };
    let sender = Sender::new(sender, &proxies).context("set up the HTTP client")?;
    let Some(candidate) = config.election.clone().candidate()? else {
        let lease = held.get_or_init(Leadership::unopposed).clone();
        return lead(client, config, sender, lease, ready, metrics, stop).await;
    };
    // A replica that stands by is as well as can be.
    ready.set();
    let (renewer, lease) = tokio::select! {
        acquired = lease::acquire(client.clone(), candidate) => acquired,
        () = &mut stop => return Ok(()),
    };
    let lease = held.get_or_init(|| lease).clone();
    let result = tokio::select! {
        lost = renewer.renew() => return Err(lost.into()),
        result = lead(client, config, sender, lease, ready, metrics, stop) => result,
    };
    renewer.release().await;
    result
}

/// Does the work until `stop` resolves, then finishes what is on the way.
async fn lead(
    client: Client,
    config: Config,
    sender: Sender,
    lease: Leadership,
    ready: Ready,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let namespace = config.namespace.as_deref();
    let objects = Objects::new(client.clone(), FIELD_MANAGER);
    let catalog = Arc::new(Catalog::default());

    let (secret_store, secret_writer) = reflector::store::<Secret>();
    let (webhook_store, webhook_writer) = reflector::store::<Webhook>();
    let (event_store, event_writer) = reflector::store::<AlertGroupEvent>();
    let secrets = Secrets::new(secret_store);

    let history = Arc::new(History::new(objects.clone()));
    let parts =
        Parts { objects: objects.clone(), sender, secrets: secrets.clone(), history: Arc::clone(&history), lease };
    let (deliverer, ran) = Deliverer::new(parts);
    let limits = Limits { in_flight: config.max_unrecorded, per_webhook: config.max_per_webhook };
    let (runs, changed) = Runs::new(Arc::clone(&catalog), Arc::clone(&deliverer), limits);

    metrics.show(&runs);

    // kube-runtime's stores wake only one of those who wait for them.
    let latch = || Arc::new(SetOnce::new());
    let (secrets_listed, webhooks_listed, responses_listed) = (latch(), latch(), latch());

    let retention = retention::run(
        objects.clone(),
        Arc::clone(&catalog),
        config.namespace.clone(),
        config.retention,
        Arc::clone(&webhooks_listed),
    );

    // Webhooks, and what changes of their Secrets mean for them.
    let labelled = watcher::Config::default().labels(&format!("{SECRET_LABEL}=true"));
    let secret_events = watcher(api_of::<Secret>(&client, namespace), labelled)
        .default_backoff()
        .reflect(secret_writer)
        .inspect_ok(on_listed(&secrets_listed))
        .touched_objects();
    let (secret_changes, secret_changed) = mpsc::unbounded();
    let secrets_watch = {
        let catalog = Arc::clone(&catalog);
        log_errors::<Secret, _>(secret_events).for_each(move |secret: Secret| {
            let namespace = secret.namespace().unwrap_or_default();
            for webhook in catalog.referencing(&namespace, &secret.name_any()) {
                // The controller lives as long as the process.
                let _ = secret_changes.unbounded_send(ObjectRef::<Webhook>::new(&webhook).within(&namespace));
            }
            future::ready(())
        })
    };

    let webhook_events = {
        let (runs, interrupted) = (Arc::clone(&runs), Arc::clone(&runs));
        let mut index = Fold::new(WebhookIndex::new(Arc::clone(&catalog), move |change| runs.seen(change)));
        watch::<Webhook>(&client, namespace, watcher::Config::default())
            .inspect_err(move |_| interrupted.webhooks_interrupted())
            .inspect_ok(move |event| index.observe(event))
            .inspect_ok(on_listed(&webhooks_listed))
    };
    let webhook_stream = valid(webhook_events).reflect(webhook_writer).applied_objects();
    let webhooks = Controller::for_stream(webhook_stream, webhook_store)
        .with_config(ControllerConfig::default().concurrency(STATUS_WRITES))
        .reconcile_on(ran)
        .reconcile_on(secret_changed)
        .run(
            webhooks::reconcile,
            webhooks::failed,
            Arc::new(webhooks::Context { objects: objects.clone(), catalog, secrets, runs: Arc::clone(&runs) }),
        )
        .for_each(|_| future::ready(()));
    // Without the Secrets none of them would seem ready.
    let webhooks = {
        let secrets_listed = Arc::clone(&secrets_listed);
        async move {
            secrets_listed.wait().await;
            webhooks.await;
        }
    };

    // What people want to be sent again, and what was there before this process.
    let responses = {
        let (client, namespace, runs) = (client.clone(), config.namespace.clone(), Arc::clone(&runs));
        let listed = Arc::clone(&responses_listed);
        async move { responses::watch(&client, namespace.as_deref(), history, runs, listed).await }
    };

    // Events are matched against what has been seen, so they come last.
    let events = {
        let (runs, client, namespace) = (Arc::clone(&runs), client.clone(), config.namespace.clone());
        async move {
            webhooks_listed.wait().await;
            secrets_listed.wait().await;
            responses_listed.wait().await;
            ready.set();
            tracing::info!("ready");
            let (observed, refusals) = (Arc::clone(&runs), objects.clone());
            let event_stream = valid(
                watch::<AlertGroupEvent>(&client, namespace.as_deref(), watcher::Config::default())
                    .inspect_ok(move |event| observed.observe(event))
                    .inspect_ok(move |event| {
                        if let Event::InitApply(event) | Event::Apply(event) = event
                            && event.0.is_err()
                        {
                            tokio::spawn(events::refuse(refusals.clone(), event.clone()));
                        }
                    }),
            )
            // The store is for statuses; what a delivery needs of the data is with its run.
            .modify(|event| {
                event.spec.alert_payload = None;
                event.spec.alert_group.last_alert = None;
                event.metadata.managed_fields = None;
            })
            .reflect(event_writer)
            .applied_objects();
            Controller::for_stream(event_stream, event_store)
                .with_config(ControllerConfig::default().concurrency(STATUS_WRITES))
                .reconcile_on(changed)
                .run(events::reconcile, events::failed, Arc::new(events::Context { objects, runs }))
                .for_each(|_| future::ready(()))
                .await;
        }
    };

    let mut parts = JoinSet::new();
    parts.spawn(secrets_watch);
    parts.spawn(webhooks);
    parts.spawn(responses);
    parts.spawn(events);
    parts.spawn(Arc::clone(&runs).drive());
    parts.spawn(Arc::clone(&runs).watch_bound());
    let retention = parts.spawn(retention);
    let failed = tokio::select! {
        _ = parts.join_next() => true,
        () = stop => false,
    };
    retention.abort();
    if failed {
        tracing::error!("a watch ended by itself");
    }
    tracing::info!("stopping: finishing what is on the way");
    if tokio::time::timeout(LAST_REQUESTS, runs.stop()).await.is_err() {
        tracing::warn!("stopped before all that was sent was recorded");
    }
    let written = async {
        while runs.unrecorded() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(LAST_WRITES, written).await.is_err() {
        tracing::warn!(events = runs.unrecorded(), "stopped before the end of some events was recorded");
    }
    anyhow::ensure!(!failed, "a watch ended by itself");
    Ok(())
}
