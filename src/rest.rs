//! OnCall's REST API over the same objects.
//!
//! ```text
//! call ─► server ─► access log ─┬─► authorization ─► handlers ─┬─► catalog, responses   (filled by watches)
//!         TLS, bounds           │     403, 429                 └─► webhook ─► writer, credentials ─► Kubernetes API
//!                               └─► intake ─► AlertGroupEvents
//!
//! API server, of what is written ─► server ─► admission
//! ```

mod access_log;
mod admission;
mod alert_groups;
pub(crate) mod auth;
mod authorization;
mod body;
mod catalog;
mod credentials;
mod definitions;
mod docs_page;
mod error;
mod fallbacks;
mod freshness;
mod handlers;
mod intake;
mod integrations;
mod json_response;
mod openapi;
mod pages;
mod permits;
mod python_time;
mod request_url;
mod responses;
mod router;
mod routes;
mod schema;
mod shown;
mod shown_path;
mod state;
mod tombstones;
mod webhook;
mod writer;

use std::{fmt::Debug, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{Client, api::ApiResource};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{SetOnce, watch},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

pub use self::openapi::document;
use self::{
    admission::Admission,
    alert_groups::{AlertGroupChanges, AlertGroupIndex, AlertGroups, WatchedAlertGroup},
    auth::{Auth, AuthSettings, Issuers, StrangerLimits},
    catalog::{Catalog, WebhookIndex},
    credentials::{CredentialStore, FIELD_MANAGER},
    intake::{Intake, IntakeLimits, SourceIndex},
    integrations::{IntegrationIndex, Integrations},
    permits::Permits,
    responses::{ResponseIndex, Responses},
    state::ApiState,
    writer::{WebhookWriter, WriteRules},
};
use crate::{
    config::ApiConfig,
    errors::error_chain,
    kubernetes::{
        client::{connect_counted, own_token},
        index::{Fold, Index, follow},
        name::NamespacedName,
        objects::Objects,
        probes::{self, Health, Ready},
        scope::{Scope, access},
        watch::{Selection, Watches, on_listed, valid},
    },
    memory::{ApiBudget, MemoryLimit},
    metrics::{Exposition, IntakeMetrics, ProcessMetrics, RestMetrics},
    rendering::RenderingPool,
    resources::{AlertGroup, Integration, SECRET_LABEL, Webhook, WebhookResponse},
    secrets::{SecretIndex, Secrets},
    server::{Bounds, Server},
};

/// Bound on the memory for requests' bodies, in KiB; and the part of it that a namespace may have.
const BODIES: (u32, u32) = (32 * 1024, 16 * 1024);
/// How many requests' templates are tried out at a time, or wait for that; and how many of a namespace.
const VALIDATIONS: (u32, u32) = (64, 2);
/// How often Secrets are looked for that a cut-off call has left without an owner.
const SWEEP: Duration = Duration::from_secs(3600);
/// Bound on how long a stopping process waits for writes whose clients have gone.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Serves the REST API until `stop` resolves, then finishes the calls that are running.
///
/// # Errors
/// It can't start: the address is taken, a certificate can't be read. Or a part of it ended by itself.
pub async fn run(config: ApiConfig, stop: impl Future<Output = ()>) -> Result<()> {
    let metrics = Metrics::default();
    let client = connect_counted(&metrics.process.api_server).await?;
    Service::bind(client, config, metrics).await?.run(stop).await
}

/// The kinds that it lists in each namespace.
fn needed() -> [ApiResource; 5] {
    [
        ApiResource::erase::<Webhook>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<WebhookResponse>(&()),
        ApiResource::erase::<Integration>(&()),
        ApiResource::erase::<AlertGroup>(&()),
    ]
}

/// What the API counts and shows.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    pub(crate) process: ProcessMetrics,
    pub(crate) rest: RestMetrics,
    pub(crate) intake: IntakeMetrics,
}

impl Metrics {
    /// All of them, to be served.
    pub(crate) fn exposition(&self) -> Exposition {
        let mut exposition = Exposition::new(&self.process);
        let registry = exposition.ours();
        self.rest.register(registry);
        self.intake.register(registry);
        exposition
    }
}

/// The process of the REST API: its listener, its state, and the tasks that fill and tend the state.
struct Service {
    client: Client,
    watches: Watches,
    scope: Scope,
    metrics: Metrics,
    budget: ApiBudget,
    health_address: Option<SocketAddr>,
    /// Asks about whoever reads metrics, where not everybody may.
    readers: Option<Client>,
    /// Where the admission webhook is to be served.
    admission: Option<admission::Place>,
    server: Server,
    api: Arc<ApiState>,
    credentials: CredentialStore,
    /// The tokens that sources of alerts send.
    secrets: Secrets,
    /// What reads them.
    objects: Objects,
    /// Tasks that run as long as the process; none ends by itself.
    tasks: JoinSet<()>,
    /// Set when all webhooks, responses, integrations and alert groups were listed for the first time.
    listed: [Arc<SetOnce<()>>; 4],
}

impl Service {
    /// Takes the address, and makes the state, which is still empty.
    async fn bind(client: Client, config: ApiConfig, metrics: Metrics) -> Result<Self> {
        let budget = ApiBudget::of(MemoryLimit::find(&config.memory)?);
        budget.log();
        let admission = admission::Place::of(config.admission)?;
        let connections = usize::from(config.listen.max_connections);
        let unauthenticated = usize::try_from(budget.unauthenticated).unwrap_or(usize::MAX);
        let bounds = Bounds::within(unauthenticated, connections, config.trusted_proxies.clone());
        let server = Server::bind(&config.listen, bounds).await?;
        tracing::info!(address = %server.local_addr()?, "the REST API listens");
        let objects = Objects::new(client.clone(), FIELD_MANAGER).reading(budget.reads());
        let catalog = Arc::new(Catalog::new(objects.clone(), budget.catalog));
        let scope = Scope::new(config.working.namespaces);
        let watches = Watches::new(client.clone(), scope.clone(), budget.page(), metrics.process.watches.clone());
        let settings = AuthSettings {
            scope: scope.clone(),
            calls_per_minute: config.calls_per_minute,
            issuers: Issuers::new(own_token().await.as_deref().and_then(auth::issuer), config.token_issuers),
            strangers: StrangerLimits::default(),
        };
        let (auth, watch_tokens) = Auth::new(client.clone(), settings);
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_tokens);
        let writes = TaskTracker::new();
        let credentials = CredentialStore::new(objects.clone(), writes.clone());
        let rules =
            WriteRules { allow_managed: config.allow_managed, keep_credentials: config.keep_credentials_on_url_change };
        let secrets = Secrets::new(budget.secrets);
        let limits = IntakeLimits {
            per_minute: config.intake_rate,
            open_alert_groups: u64::try_from(config.intake_max_open).unwrap_or(u64::MAX),
            memory: budget.sources,
        };
        let intake = Intake::new(objects.clone(), secrets.clone(), scope.clone(), limits, metrics.intake.clone());
        let writer = WebhookWriter::new(objects.clone(), Arc::clone(&catalog), credentials.clone(), rules);
        let alert_groups = Arc::new(AlertGroups::new(objects.clone(), budget.alert_groups));
        let api = Arc::new(ApiState {
            auth,
            ready: Ready::default(),
            ready_for_alerts: Ready::default(),
            writer: Arc::new(writer),
            intake,
            catalog,
            responses: Arc::new(Responses::new(objects.clone(), budget.responses)),
            integrations: Arc::new(Integrations::new(objects.clone(), budget.integrations)),
            alert_group_changes: Arc::new(AlertGroupChanges::new(objects.clone(), Arc::clone(&alert_groups))),
            alert_groups,
            trusted_proxies: config.trusted_proxies,
            bodies: Permits::new(BODIES.0, BODIES.1, "Too many requests' bodies are being read: try again."),
            validations: Permits::new(VALIDATIONS.0, VALIDATIONS.1, "Too many webhooks are being checked: try again."),
            rendering: RenderingPool::new(budget.renderings()).context("start threads for renderings")?,
            writes,
        });
        let readers = config.metric_readers.metrics_protected.then(|| client.clone());
        Ok(Self {
            client,
            watches,
            metrics,
            scope,
            budget,
            health_address: config.health_address,
            readers,
            admission,
            server,
            api,
            credentials,
            secrets,
            objects,
            tasks,
            listed: Default::default(),
        })
    }

    /// Serves until `stop` resolves, or what may be read has changed, then lets running writes end.
    async fn run(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        self.serve_health().await?;
        self.watch_webhooks();
        self.watch_responses();
        self.watch_integrations();
        self.watch_tokens();
        self.watch_alert_groups();
        self.serve_admission();
        self.become_ready();
        let Self { server, api, mut tasks, metrics, scope, client, .. } = self;
        let refused = metrics.rest.clone();
        let server = server.on_refusal(move |method| refused.note_refused(method));
        let router = router::router(&api, metrics.rest).merge(probes::routes(api.ready.clone()));
        let needed = needed();
        let stop = async {
            tokio::select! {
                () = access::keep(&scope, &client, &needed, &metrics.process.watches) => access::spread().await,
                () = stop => {}
            }
        };
        tokio::select! {
            served = server.serve(router, stop) => served?,
            _ = tasks.join_next() => anyhow::bail!("a part of it ended by itself"),
        }
        drain(&api.writes).await;
        Ok(())
    }

    /// Answers /livez, /readyz and /metrics at an address of their own, if there is one.
    async fn serve_health(&mut self) -> Result<()> {
        let Some(address) = self.health_address else { return Ok(()) };
        let routes = self.metrics.exposition().routes();
        let health = Health::serve(address, self.api.ready.clone(), routes, self.readers.take()).await?;
        self.tasks.spawn(async move {
            if let Err(error) = health.ended().await {
                tracing::error!(%error, "failed to serve /livez, /readyz and /metrics");
            }
        });
        Ok(())
    }

    /// Answers the API server's questions, if there is a place for that. They need nothing that is kept here.
    fn serve_admission(&mut self) {
        let Some(place) = self.admission.take() else { return };
        let admission = Admission::new(self.api.rendering.clone());
        self.tasks.spawn(async move { match admission.serve(place).await {} });
    }

    /// Keeps the catalog as the webhooks are.
    fn watch_webhooks(&mut self) {
        let index = WebhookIndex::new(Arc::clone(&self.api.catalog));
        let events = self.watches.objects::<Webhook>(Selection::default());
        self.tasks.spawn(follow(events, index, on_listed(&self.listed[0])));
    }

    /// Keeps the list of responses of runs that have ended: the others have nothing to show.
    fn watch_responses(&mut self) {
        let ended = Selection { fields: Some("status.phase!=Pending".to_owned()), labels: None };
        self.follow::<WebhookResponse, _>(ended, ResponseIndex(Arc::clone(&self.api.responses)), 1);
    }

    /// Keeps the list of alert groups.
    fn watch_alert_groups(&mut self) {
        let alert_groups = AlertGroupIndex(Arc::clone(&self.api.alert_groups));
        self.follow::<WatchedAlertGroup, _>(Selection::default(), alert_groups, 3);
    }

    /// Keeps an index as the selected objects of a kind are, as far as they can be read, and sets the latch of this number when they
    /// were listed for the first time.
    fn follow<K, I>(&mut self, selection: Selection, index: I, latch: usize)
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
        I: Index<Object = K> + Send + 'static,
        I::Listed: Send,
    {
        let events = valid(self.watches.objects::<K>(selection));
        self.tasks.spawn(follow(events, index, on_listed(&self.listed[latch])));
    }

    /// Keeps the Integrations: those that alerts come to, and the list that is shown.
    fn watch_integrations(&mut self) {
        let mut sources = Fold::new(SourceIndex(Arc::clone(&self.api.intake.sources)));
        let shown = IntegrationIndex(Arc::clone(&self.api.integrations));
        let events = self.watches.objects::<Integration>(Selection::default());
        let events = valid(events.inspect_ok(move |event| sources.observe(event)));
        self.tasks.spawn(follow(events, shown, on_listed(&self.listed[2])));
    }

    /// Keeps their tokens: watches the metadata of Secrets that may have one, and reads those that have.
    fn watch_tokens(&mut self) {
        let labelled = Selection { labels: Some(format!("{SECRET_LABEL}=true")), fields: None };
        let events = self.watches.metadata::<Secret>(labelled);
        self.tasks.spawn(follow(events, SecretIndex(self.secrets.clone()), |_| {}));
        let sources = Arc::clone(&self.api.intake.sources);
        let on_change = move |secret: &NamespacedName| sources.secret_changed(secret);
        self.tasks.spawn(self.secrets.clone().keep(self.objects.clone(), self.budget.reads().div_ceil(2), on_change));
    }

    /// Waits until everything was listed, answers calls from then on, and looks for Secrets without an owner once in a
    /// while. Where the cluster does not know the kinds that alerts need, those for webhooks are answered without these.
    fn become_ready(&mut self) {
        let mut only_alerts_lack = self.announce_definitions();
        let (api, listed) = (Arc::clone(&self.api), self.listed.clone());
        let (credentials, scope) = (self.credentials.clone(), self.scope.clone());
        let alerts = self.alerts_listed();
        self.tasks.spawn(async move {
            let [webhooks, responses, ..] = listed;
            webhooks.wait().await;
            responses.wait().await;
            api.auth.ready().await;
            // What was found before may have been applied since.
            only_alerts_lack.mark_unchanged();
            tokio::select! {
                () = alerts => api.ready_for_alerts.set(),
                Ok(_) = async { only_alerts_lack.changed().await?; only_alerts_lack.wait_for(|lack| *lack).await.map(drop) } => {}
            }
            api.ready.set();
            tracing::info!("ready");
            loop {
                for namespace in scope.parts().await {
                    if let Err(error) = credentials.sweep_orphans(namespace, &api.catalog).await {
                        tracing::warn!(error = error_chain(&error), namespace, "failed to look for Secrets that were made for webhooks which are not there; trying again within an hour");
                    }
                }
                tokio::time::sleep(SWEEP).await;
            }
        });
    }

    /// Resolves when all that alerts need was listed.
    fn alerts_listed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (api, [_, _, integrations, alert_groups]) = (Arc::clone(&self.api), self.listed.clone());
        async move {
            integrations.wait().await;
            alert_groups.wait().await;
            api.intake.sources.ready().await;
        }
    }

    /// Says which definitions the cluster lacks, and takes alerts as soon as it has them. What is returned is set where it lacks those
    /// for alerts alone.
    fn announce_definitions(&mut self) -> watch::Receiver<bool> {
        let (client, api, alerts) = (self.client.clone(), Arc::clone(&self.api), self.alerts_listed());
        let (told, only_alerts_lack) = watch::channel(false);
        self.tasks.spawn(async move {
            definitions::announce(&client, &api.ready, &told).await;
            alerts.await;
            api.ready_for_alerts.set();
            // The process ends with a task that ends.
            std::future::pending::<()>().await;
        });
        only_alerts_lack
    }
}

/// Waits for the last writes, within [`LAST_WRITES`].
async fn drain(writes: &TaskTracker) {
    writes.close();
    if tokio::time::timeout(LAST_WRITES, writes.wait()).await.is_err() {
        tracing::warn!(writes = writes.len(), "stopped before all writes to the API server had ended");
    }
}
