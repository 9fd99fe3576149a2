//! The operator: watches Webhooks, their Secrets and AlertGroupEvents, delivers, and writes what came of it.
//!
//! ```text
//! Webhooks ─────────► catalog ──┐
//! Secrets ──────────► secrets ──┼─► deliver ─► recorder ─► WebhookResponse and its status
//!                               │      ▲  └─► history (what templates see as `responses`)
//! AlertGroupEvents ─► deliveries ◄─► core::lifecycle (decides)
//! WebhookResponses ─►   │  (sent again)
//!                       ├─► webhooks::reconcile ─► Webhook.status
//!                       ├─► events::reconcile ───► AlertGroupEvent.status
//!                       └─► backlog (reads AlertGroupEvents that waited in the API server for room in memory)
//! (what changed, what failed) ──► announcer ─► Events of Webhooks, Integrations and AlertGroups
//! (a wiped AlertGroup) ──► alert_groups::wiping ─► deletes its AlertGroupEvents and WebhookResponses
//! (now and then) ──► retention ─► deletes finished AlertGroupEvents and WebhookResponses
//! ```
//! Of several replicas, the one that holds the Lease does all that; the others wait for it.
//!
//! Each stream feeds the lifecycle first, in order (`inspect_ok`), then kube-runtime's controller: an event is on its way before
//! its reconciliation is scheduled. Reconciliations only write statuses.

mod alert_groups;
mod announcer;
mod api_server_guard;
mod backlog;
mod catalog;
mod check;
mod definitions;
mod deliver;
mod deliveries;
mod election;
mod ended;
mod events;
mod history;
mod integrations;
mod journal;
mod metrics;
mod payloads;
mod record;
mod recorder;
mod responses;
mod retention;
mod services;
mod webhooks;

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{
    StreamExt, TryStreamExt,
    channel::mpsc::{self, UnboundedReceiver, UnboundedSender},
    future, stream,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client, ResourceExt,
    api::ApiResource,
    runtime::{
        Controller, WatchStreamExt,
        controller::Config as ReconcilerConfig,
        reflector::{self, ObjectRef, Store},
        watcher::Event,
    },
};
use parking_lot::Mutex;
use tokio::{sync::SetOnce, task::JoinSet, time::Instant};

use self::{
    alert_groups::{AlertGroupWriter, AlertPayloads, Wiping},
    announcer::{Announcements, Announcer},
    api_server_guard::ApiServerGuard,
    catalog::{Catalog, WatchedWebhook, WebhookChange, WebhookIndex},
    deliver::{Deliverer, Parts},
    deliveries::{Deliveries, EventIndex},
    history::History,
    integrations::{IntegrationIndex, Integrations},
    journal::{Appends, Journal, JournalPlace, JournalRecord},
    metrics::LeaderState,
    payloads::Payloads,
    services::services,
};
use crate::{
    config::{ControllerConfig, MetricLabels},
    core::dispatch::Limits,
    delivery::{Policies, Ports, ProxySettings, Sender},
    kubernetes::{
        client::connect_counted,
        index::{Fold, follow},
        lease::{self, Leadership},
        name::NamespacedName,
        objects::Objects,
        probes::{Health, Ready},
        scope::{Scope, access},
        watch::{Selection, Watches, on_listed, valid},
        writes::Priority,
    },
    memory::{ControllerBudget, MemoryLimit},
    metrics::{DeliveryMetrics, Exposition, ProcessMetrics},
    rendering::RenderingPool,
    resources::{AlertGroup, AlertGroupEvent, Integration, SECRET_LABEL, Webhook, WebhookResponse},
    secrets::{Referrer, SecretIndex, Secrets},
    source_tokens::SecretTokens,
};

/// The name under which the operator's writes stand in `managedFields`.
const FIELD_MANAGER: &str = "oncall-webhooks";
/// Bound on the status writes of one kind that are under way at a time.
const STATUS_WRITES: u16 = 64;
/// Bound on how long the statuses of webhooks wait until events are listed.
const UNLISTED: Duration = Duration::from_secs(30);
/// Bound on how long a stopping process waits for its last requests, which take up to a minute, and their records.
const LAST_REQUESTS: Duration = Duration::from_secs(65);
/// Bound on how long a stopping process waits for its last status writes.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Runs the operator until `stop` resolves, then finishes what is on the way.
///
/// # Errors
/// It can't start: the address is taken, the API server can't be reached or refuses. Or a part of it ended by itself.
pub async fn run(config: ControllerConfig, stop: impl Future<Output = ()>) -> Result<()> {
    let metrics = Metrics::new(config.metrics.metrics_labels);
    let client = connect_counted(&metrics.process.api_server).await?;
    let budget = ControllerBudget::of(MemoryLimit::find(&config.memory)?);
    budget.log();
    let settings = Settings { config, budget };
    let ready = Ready::default();
    let (routes, readers) = (metrics.exposition().routes(), &settings.config.metric_readers);
    let readers = readers.metrics_protected.then(|| client.clone());
    let health = Health::serve(settings.config.health_address, ready.clone(), routes, readers).await?;
    let (guard, policies) = ApiServerGuard::new(&client, settings.config.reach.clone().into()).await?;
    tokio::select! {
        result = health.ended() => result.context("serve /livez and /metrics"),
        () = guard.keep() => anyhow::bail!("nobody looks any more where the API server is"),
        result = work(client, settings, policies, ready, metrics, stop) => result,
    }
}

/// What the operator counts and shows.
#[derive(Clone)]
struct Metrics {
    process: ProcessMetrics,
    deliveries: DeliveryMetrics,
    state: LeaderState,
}

impl Metrics {
    fn new(labels: MetricLabels) -> Self {
        let deliveries = DeliveryMetrics::new(labels);
        Self { process: ProcessMetrics::default(), state: LeaderState::new(deliveries.clone()), deliveries }
    }

    /// All of them, to be served.
    fn exposition(&self) -> Exposition {
        let mut exposition = Exposition::new(&self.process);
        let registry = exposition.ours();
        self.deliveries.register(registry);
        registry.register_collector(Box::new(self.state.clone()));
        exposition
    }
}

/// What the operator was told, and what follows from its memory limit.
struct Settings {
    config: ControllerConfig,
    budget: ControllerBudget,
}

async fn work(
    client: Client,
    settings: Settings,
    mut policies: Policies,
    ready: Ready,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut stop = pin!(stop);
    tokio::select! {
        () = definitions::current(&client) => {}
        () = &mut stop => return Ok(()),
    }
    // The first says where the API server is.
    policies.changed().await.context("look where the API server is")?;
    let proxies = ProxySettings::from(settings.config.proxy.clone()).or_environment();
    let held: Arc<OnceLock<Leadership>> = Arc::default();
    let gate = Arc::clone(&held);
    let gate = Arc::new(move || gate.get().is_some_and(Leadership::is_held));
    let ports = Ports { policies, services: services(&client), gate };
    let sender = Sender::new(ports, &proxies).context("set up the HTTP client")?;
    let Some(candidate) = settings.config.election.clone().candidate()? else {
        let lease = held.get_or_init(Leadership::unopposed).clone();
        return lead(client, settings, sender, lease, ready, metrics, stop).await;
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
        result = lead(client, settings, sender, lease, ready, metrics, stop) => result,
    };
    renewer.release().await;
    result
}

/// The kinds that it lists in each namespace.
fn needed() -> [ApiResource; 6] {
    [
        ApiResource::erase::<Webhook>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<Integration>(&()),
        ApiResource::erase::<AlertGroup>(&()),
        ApiResource::erase::<AlertGroupEvent>(&()),
        ApiResource::erase::<WebhookResponse>(&()),
    ]
}

/// Does the work until `stop` resolves, or what may be read has changed, then finishes what is on the way.
async fn lead(
    client: Client,
    settings: Settings,
    sender: Sender,
    lease: Leadership,
    ready: Ready,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let scope = Scope::new(settings.config.working.namespaces.clone());
    let (access, needed, watches) = (client.clone(), needed(), metrics.process.watches.clone());
    let (leader, changes) = Leader::new(client, settings, scope.clone(), sender, lease, ready, metrics)?;
    leader.metrics.state.show(&leader.deliveries, &leader.journal);
    let stop = async {
        tokio::select! {
            () = access::keep(&scope, &access, &needed, &watches) => {}
            () = stop => {}
        }
    };
    leader.run(changes, stop).await
}

/// The replica that works.
struct Leader {
    config: ControllerConfig,
    /// The namespaces that it works in.
    scope: Scope,
    objects: Objects,
    catalog: Arc<Catalog>,
    history: Arc<History>,
    integrations: Arc<Integrations>,
    integration_tokens: Arc<Mutex<SecretTokens>>,
    journal: Arc<Journal>,
    secrets: Secrets,
    /// Bound on a page of a list, in bytes.
    page: u64,
    /// How many Secrets are read at a time.
    secret_reads: usize,
    deliveries: Arc<Deliveries>,
    rendering: RenderingPool,
    announcer: Announcer,
    ready: Ready,
    listed: Listed,
    watches: Watches,
    metrics: Metrics,
}

/// Tells which kinds have been listed to their end. kube-runtime's stores wake only one of those who wait for them.
#[derive(Clone, Default)]
struct Listed {
    webhooks: Arc<SetOnce<()>>,
    integrations: Arc<SetOnce<()>>,
    alert_groups: Arc<SetOnce<()>>,
    events: Arc<SetOnce<()>>,
}

/// Objects to be reconciled for another reason than a change of theirs.
struct Changes {
    /// Webhooks that have run, or whose endpoints have changed.
    ran: UnboundedReceiver<ObjectRef<Webhook>>,
    /// Events whose statuses may have to be written, without their content; and those that are forgotten, as deleted.
    reviewed: UnboundedReceiver<Event<AlertGroupEvent>>,
    /// Integrations that have received something, or of which alert groups have changed.
    integrations: UnboundedReceiver<ObjectRef<Integration>>,
    /// Alert groups of which something may be left, though they are wiped.
    wiped: UnboundedReceiver<NamespacedName>,
    /// Records to be added to the journal.
    appends: Appends,
    /// What people are told as Events.
    announcements: Announcements,
    /// What writes these.
    client: Client,
}

impl Leader {
    fn new(
        client: Client,
        Settings { config, budget }: Settings,
        scope: Scope,
        sender: Sender,
        lease: Leadership,
        ready: Ready,
        metrics: Metrics,
    ) -> Result<(Self, Changes)> {
        let objects = Objects::new(client.clone(), FIELD_MANAGER).reading(budget.reads());
        let catalog = Arc::new(Catalog::new(metrics.deliveries.clone()));
        let secrets = Secrets::new(budget.secrets);
        let (journal, appends) = Journal::new(
            // With bounds of their own: segments wait for nothing else.
            Objects::new(client.clone(), FIELD_MANAGER).reading(budget.reads()),
            objects.clone().with_priority(Priority::Journaled),
            Arc::clone(&catalog),
            JournalPlace::new(config.election.lease.as_ref(), &scope, client.default_namespace()),
            budget.journal,
        );
        let history = Arc::new(History::new(objects.clone(), Arc::clone(&journal), budget.contents));
        let (integrations, integrations_changed) = Integrations::new();
        // Half of it for events that are folded.
        let payloads = budget.payloads / 2;
        let alerts = Arc::new(AlertPayloads::new(objects.clone(), Arc::clone(&integrations), payloads));
        let (announcer, announcements) = Announcer::new();
        let (writer, wiped) =
            AlertGroupWriter::new(objects.clone().with_priority(Priority::Journaled), Arc::clone(&alerts));
        let groups = (writer, Arc::clone(&integrations), announcer.clone());
        let rendering = RenderingPool::new(budget.renderings()).context("start threads for renderings")?;
        let parts = Parts {
            objects: objects.clone(),
            sender,
            secrets: secrets.clone(),
            history: Arc::clone(&history),
            journal: Arc::clone(&journal),
            payloads: Payloads::new(payloads),
            alerts,
            lease,
            rendering: rendering.clone(),
            default_timeout: config.default_timeout,
        };
        let (deliverer, ran) = Deliverer::new(parts);
        let bytes = |part: u64| usize::try_from(part).unwrap_or(usize::MAX);
        let limits = Limits {
            in_flight: config.max_unrecorded,
            per_webhook: config.max_per_webhook,
            bytes: bytes(budget.in_flight),
        };
        let (deliveries, reviewed) = Deliveries::new(
            Arc::clone(&catalog),
            Arc::clone(&history),
            deliverer,
            groups,
            limits,
            bytes(budget.waiting),
        );
        let listed = Listed::default();
        let (page, secret_reads) = (budget.page(), budget.reads().div_ceil(2));
        let watches = Watches::new(client.clone(), scope.clone(), page, metrics.process.watches.clone());
        let leader = Self {
            config,
            scope,
            objects,
            catalog,
            history,
            integrations,
            integration_tokens: Arc::new(Mutex::new(SecretTokens::new(secrets.clone()))),
            journal,
            secrets,
            page,
            secret_reads,
            deliveries,
            rendering,
            announcer,
            ready,
            listed,
            watches,
            metrics,
        };
        let changes =
            Changes { ran, reviewed, integrations: integrations_changed, wiped, appends, announcements, client };
        Ok((leader, changes))
    }

    /// Works until `stop` resolves, then finishes what is on the way.
    async fn run(self, changes: Changes, stop: impl Future<Output = ()>) -> Result<()> {
        let deliveries = Arc::clone(&self.deliveries);
        let (secret_changes, secret_changed) = mpsc::unbounded();
        let mut parts = JoinSet::new();
        parts.spawn(self.reconcile_webhooks(changes.ran, secret_changed));
        parts.spawn(self.watch_responses());
        parts.spawn(self.reconcile_integrations(changes.integrations));
        parts.spawn(self.watch_alert_groups());
        parts.spawn(Arc::clone(&self.journal).run(changes.appends, self.adopted()));
        parts.spawn(self.reconcile_events(changes.reviewed));
        parts.spawn(Arc::clone(&deliveries).drive());
        parts.spawn(Arc::clone(&deliveries).watch_bound());
        parts.spawn(webhooks::count_waiting(Arc::clone(&self.catalog), Arc::clone(&self.deliveries)));
        parts.spawn(changes.announcements.write(changes.client, self.objects.clone().with_priority(Priority::Last)));
        let retention = parts.spawn(self.remove_old());
        let wiping = parts.spawn(self.remove_wiped(changes.wiped));
        parts.spawn(self.watch_secrets());
        parts.spawn(self.read_secrets(secret_changes));
        let failed = tokio::select! {
            _ = parts.join_next() => true,
            () = stop => false,
        };
        retention.abort();
        wiping.abort();
        if failed {
            tracing::error!("a part of the operator ended by itself: a bug; stopping");
        }
        drain(&deliveries).await;
        anyhow::ensure!(!failed, "a part of the operator ended by itself");
        Ok(())
    }

    /// Watches the metadata of the Secrets that webhooks may name.
    fn watch_secrets(&self) -> impl Future<Output = ()> + use<> {
        let labelled = Selection { labels: Some(format!("{SECRET_LABEL}=true")), fields: None };
        follow(self.watches.metadata::<Secret>(labelled), SecretIndex(self.secrets.clone()), |_| {})
    }

    /// Reads the Secrets that webhooks refer to, and tells of these webhooks when one has changed.
    fn read_secrets(&self, changes: UnboundedSender<ObjectRef<Webhook>>) -> impl Future<Output = ()> + use<> {
        let (catalog, secrets) = (Arc::clone(&self.catalog), self.secrets.clone());
        let (tokens, integrations) = (Arc::clone(&self.integration_tokens), Arc::clone(&self.integrations));
        secrets.keep(self.objects.clone(), self.secret_reads, move |secret| {
            let change = tokens.lock().secret_changed(secret);
            change.affected.iter().for_each(|name| integrations.review(name));
            for webhook in catalog.referencing(&secret.namespace, &secret.name) {
                // The controller lives as long as the process.
                let _ = changes.unbounded_send(ObjectRef::<Webhook>::new(&webhook).within(&secret.namespace));
            }
        })
    }

    /// Watches webhooks, and writes their statuses.
    fn reconcile_webhooks(
        &self,
        ran: UnboundedReceiver<ObjectRef<Webhook>>,
        secret_changed: UnboundedReceiver<ObjectRef<Webhook>>,
    ) -> impl Future<Output = ()> + use<> {
        let (store, writer) = reflector::store::<Webhook>();
        self.metrics.state.show_webhooks(store.clone());
        let (deliveries, interrupted) = (Arc::clone(&self.deliveries), Arc::clone(&self.deliveries));
        let secrets = self.secrets.clone();
        let on_change = move |change: WebhookChange| {
            // First, so that its deliveries know what they wait for.
            match &change {
                WebhookChange::Added(entry) | WebhookChange::Changed(entry) => {
                    let keys = entry.webhook.secrets().map(|(_, key)| key.clone()).collect();
                    secrets.refer(Referrer::Webhook(entry.name.clone()), keys);
                }
                WebhookChange::Removed(name) => secrets.release(Referrer::Webhook(name.clone())),
                WebhookChange::Unreadable(_) => {}
            }
            deliveries.webhook_changed(change);
        };
        let mut index = Fold::new(WebhookIndex::new(Arc::clone(&self.catalog), on_change));
        let events = self
            .watches
            .objects::<Webhook>(Selection::default())
            .inspect_err(move |_| interrupted.webhooks_interrupted())
            .inspect_ok(move |event| index.observe(event))
            .inspect_ok(on_listed(&self.listed.webhooks));
        let stream = valid(events).modify(drop_texts).reflect(writer).applied_objects();
        let context = webhooks::Context {
            objects: self.objects.clone().with_priority(Priority::Last),
            catalog: Arc::clone(&self.catalog),
            secrets: self.secrets.clone(),
            deliveries: Arc::clone(&self.deliveries),
            rendering: self.rendering.clone(),
            announcer: self.announcer.clone(),
            events_listed: Arc::clone(&self.listed.events),
            patience: Instant::now() + UNLISTED,
        };
        Controller::for_stream(stream, store)
            .with_config(ReconcilerConfig::default().concurrency(STATUS_WRITES))
            .reconcile_on(ran)
            .reconcile_on(secret_changed)
            .run(webhooks::reconcile, webhooks::failed, Arc::new(context))
            .for_each(self.metrics.process.reconciles.of::<Webhook, _, _, _>())
    }

    /// Watches responses: those that people want to be sent again, and those that were there before this process. First the journal
    /// is opened: what an earlier leader writes out of it meanwhile is seen there or here.
    fn watch_responses(&self) -> impl Future<Output = ()> + use<> {
        let watches = self.watches.clone();
        let (history, deliveries) = (Arc::clone(&self.history), Arc::clone(&self.deliveries));
        let (journal, adopted) = (Arc::clone(&self.journal), self.adopted());
        let webhooks_listed = Arc::clone(&self.listed.webhooks);
        async move {
            // Of one that is not listed the journal would take it that it is gone.
            webhooks_listed.wait().await;
            journal.open(adopted).await;
            responses::watch(&watches, history, deliveries).await;
        }
    }

    /// Watches integrations, and writes their statuses.
    fn reconcile_integrations(
        &self,
        changed: UnboundedReceiver<ObjectRef<Integration>>,
    ) -> impl Future<Output = ()> + use<> {
        let (store, writer) = reflector::store::<Integration>();
        self.metrics.state.show_integrations(store.clone());
        let mut index = Fold::new(IntegrationIndex {
            integrations: Arc::clone(&self.integrations),
            tokens: Arc::clone(&self.integration_tokens),
            deliveries: Arc::clone(&self.deliveries),
        });
        let events = self
            .watches
            .objects::<Integration>(Selection::default())
            .inspect_ok(move |event| index.observe(event))
            .inspect_ok(on_listed(&self.listed.integrations));
        let stream = valid(events).modify(integrations::drop_texts).reflect(writer).applied_objects();
        let context = integrations::Context {
            // The intake goes by the number of open alert groups that they tell.
            objects: self.objects.clone().yielding(),
            integrations: Arc::clone(&self.integrations),
            tokens: Arc::clone(&self.integration_tokens),
            deliveries: Arc::clone(&self.deliveries),
            rendering: self.rendering.clone(),
            announcer: self.announcer.clone(),
            alert_groups_listed: Arc::clone(&self.listed.alert_groups),
            max_open: self.config.intake_max_open,
        };
        Controller::for_stream(stream, store)
            .with_config(ReconcilerConfig::default().concurrency(STATUS_WRITES))
            .reconcile_on(changed)
            .run(integrations::reconcile, integrations::failed, Arc::new(context))
            .for_each(self.metrics.process.reconciles.of::<Integration, _, _, _>())
    }

    /// Watches alert groups.
    fn watch_alert_groups(&self) -> impl Future<Output = ()> + use<> {
        let (watches, deliveries) = (self.watches.clone(), Arc::clone(&self.deliveries));
        let listed = Arc::clone(&self.listed.alert_groups);
        async move { alert_groups::watch(&watches, deliveries, listed).await }
    }

    /// Watches events, and writes their statuses. They are matched against what has been seen, so they come last; but what was there
    /// before this process waits for the list of responses by itself, and nothing else does.
    fn reconcile_events(
        &self,
        reviewed: UnboundedReceiver<Event<AlertGroupEvent>>,
    ) -> impl Future<Output = ()> + use<> {
        let (watches, objects) = (self.watches.clone(), self.objects.clone().yielding());
        let (listed, ready, deliveries) = (self.listed.clone(), self.ready.clone(), Arc::clone(&self.deliveries));
        let journal = Arc::clone(&self.journal);
        let reconciled = self.metrics.process.reconciles.of::<AlertGroupEvent, _, _, _>();
        async move {
            listed.webhooks.wait().await;
            // It says which receivers want no more.
            journal.opened().await;
            listed.integrations.wait().await;
            listed.alert_groups.wait().await;
            ready.set();
            tracing::info!("ready");
            let (store, writer) = reflector::store::<AlertGroupEvent>();
            let (mut index, refusals) = (Fold::new(EventIndex(Arc::clone(&deliveries))), objects.clone());
            let events = watches
                .objects::<AlertGroupEvent>(Selection::default())
                .inspect_ok(move |event| index.observe(event))
                .inspect_ok(on_listed(&listed.events))
                .inspect_ok(move |event| {
                    if let Event::InitApply(event) | Event::Apply(event) = event
                        && event.0.is_err()
                    {
                        tokio::spawn(events::refuse(refusals.clone(), event.clone()));
                    }
                });
            let known = Arc::clone(&deliveries);
            let shown = valid(events).try_filter_map(move |event| future::ready(Ok(shown(&known, event))));
            let (again, reviewed_again) = mpsc::unbounded();
            let unknown = reviewed.filter_map({
                let store = store.clone();
                move |event| future::ready(unless_stored(event, &store, &again))
            });
            let stream = stream::select(shown, unknown.map(Ok)).reflect(writer).applied_objects();
            Controller::for_stream(stream, store)
                .with_config(ReconcilerConfig::default().concurrency(STATUS_WRITES))
                .reconcile_on(reviewed_again)
                .run(events::reconcile, events::failed, Arc::new(events::Context { objects, deliveries }))
                .for_each(reconciled)
                .await;
        }
    }

    /// Takes in a record that another process has left in the journal: templates see it, and a receiver that wants no more of a
    /// webhook as it is now (410) gets no more.
    fn adopted(&self) -> impl Fn(&JournalRecord) + Send + Sync + use<> {
        let (catalog, history) = (Arc::clone(&self.catalog), Arc::clone(&self.history));
        let deliveries = Arc::clone(&self.deliveries);
        move |record| {
            let response = &record.response;
            history.adopt(response);
            let is_of = |known: &WatchedWebhook| {
                known.generation == record.webhook_generation
                    && response.owner_references().iter().any(|owner| *owner.uid == *known.uid)
            };
            if record.is_gone()
                && let namespace = response.namespace().unwrap_or_default()
                && let Some(known) = catalog.get(&namespace, &response.spec.webhook_ref.name)
                && is_of(&known)
            {
                known.suspend();
                deliveries.webhook_changed(WebhookChange::Changed(known));
            }
        }
    }

    /// Removes what is left of wiped alert groups.
    fn remove_wiped(&self, wiped: UnboundedReceiver<NamespacedName>) -> impl Future<Output = ()> + use<> {
        let wiping = Wiping {
            objects: self.objects.clone().yielding(),
            journal: Arc::clone(&self.journal),
            deliveries: Arc::clone(&self.deliveries),
            page: self.page,
        };
        wiping.run(wiped, Arc::clone(&self.listed.events))
    }

    /// Removes finished events and old responses.
    fn remove_old(&self) -> impl Future<Output = ()> + use<> {
        retention::run(
            self.objects.clone().yielding(),
            Arc::clone(&self.catalog),
            self.scope.clone(),
            self.config.retention.clone(),
            self.page,
            Arc::clone(&self.listed.webhooks),
        )
    }
}

/// The part of what the watch shows that the store keeps: events that are here, without their data. What waits in the API
/// server, or was completed long ago, takes no memory.
fn shown(deliveries: &Deliveries, event: Event<AlertGroupEvent>) -> Option<Event<AlertGroupEvent>> {
    Some(match event {
        Event::InitApply(event) if deliveries.is_known(&event) => Event::InitApply(events::status_only(event)),
        Event::InitApply(_) => return None,
        Event::Apply(event) if deliveries.is_known(&event) => Event::Apply(events::status_only(event)),
        Event::Apply(event) => Event::Delete(events::status_only(event)),
        other => other,
    })
}

/// Has an event that is stored reconciled; returns one that is not, to be stored as it is.
fn unless_stored(
    event: Event<AlertGroupEvent>,
    store: &Store<AlertGroupEvent>,
    again: &UnboundedSender<ObjectRef<AlertGroupEvent>>,
) -> Option<Event<AlertGroupEvent>> {
    let (Event::Apply(bare) | Event::Delete(bare)) = &event else { return Some(event) };
    let reference = ObjectRef::from_obj(bare);
    let stored = store.get(&reference);
    let is_stored = stored.as_ref().is_some_and(|stored| stored.metadata.uid == bare.metadata.uid);
    match &event {
        Event::Apply(_) if is_stored => {
            // The controller lives as long as the process.
            let _ = again.unbounded_send(reference);
            None
        }
        // Another one of its name is there by now.
        Event::Delete(_) if stored.is_some() && !is_stored => None,
        _ => Some(event),
    }
}

/// Takes out of a webhook what is long. The store is for statuses; deliveries have the webhook of the catalog.
fn drop_texts(webhook: &mut Webhook) {
    webhook.metadata.managed_fields = None;
    webhook.metadata.annotations = None;
    let spec = &mut webhook.spec;
    (spec.url, spec.headers, spec.data, spec.trigger_template) = (None, None, None, None);
    (spec.headers_from, spec.integration_filter, spec.labels) = (None, None, None);
}

/// Finishes what is on the way, within bounds.
async fn drain(deliveries: &Arc<Deliveries>) {
    tracing::info!("stopping: finishing the deliveries that are under way");
    if tokio::time::timeout(LAST_REQUESTS, deliveries.stop()).await.is_err() {
        tracing::warn!(
            "stopped before all deliveries under way were recorded; those that were not are sent again, with the same ids"
        );
    }
    if tokio::time::timeout(LAST_WRITES, deliveries.all_written()).await.is_err() {
        tracing::warn!(
            events = deliveries.unwritten(),
            "stopped before the statuses of all events that have ended were written; the next leader writes them"
        );
    }
}
