//! One run, from a control plane of its own to the report.

mod bursts;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use cluster::{Cluster, Server, Signal};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, Resource,
    api::{DynamicObject, ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, DynamicResourceScope},
    runtime::wait::await_condition,
};
use support::{Installation, output};
use tokio::{task::block_in_place, time::timeout};

use crate::{
    Report, Settings,
    answers::Odds,
    chronicle::Chronicle,
    clock::Clock,
    faults::{Disturbance, Fault, schedule},
    journal::Journal,
    ledger::{Evidence, judge},
    load::{self, Created, EventId},
    operators::Operators,
    receiver::Receiver,
    records,
};

/// The chart's release, and its namespace.
const RELEASE: &str = "oncall-webhooks";
/// The namespace that a run uses.
pub(crate) const NAMESPACE: &str = "accounting";
/// How many deliveries may be unrecorded where the chart's values say nothing.
const MAX_UNRECORDED: usize = 256;
/// How often to look whether a process has ended, or all events are completed.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// Bound on one call of the API.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// The operator, and the chart that says how it is run.
#[derive(Clone, Debug)]
pub struct OperatorUnderTest {
    /// The operator.
    pub binary: PathBuf,
    /// Another version of it, which knows the arguments and definitions of this chart: the two take turns whenever one is started.
    pub other: Option<PathBuf>,
    /// The folder of its chart, whose arguments and rights it has.
    pub chart: PathBuf,
}

impl OperatorUnderTest {
    /// The binaries that take turns.
    pub(crate) fn binaries(&self) -> Vec<PathBuf> {
        [Some(&self.binary), self.other.as_ref()].into_iter().flatten().cloned().collect()
    }
}

/// Starts a control plane and all the rest, disturbs it as `settings` say, and draws up the report. `tell` hears what is done
/// when. Blocks a thread at times: it takes tokio's multi-threaded runtime.
///
/// # Errors
/// Something can't be started or restarted, or the API server doesn't answer when it should. What the operator does wrong is
/// no error, but in the report.
pub async fn run(operator: &OperatorUnderTest, settings: &Settings, tell: &dyn Fn(&str)) -> Result<Report> {
    ensure!(settings.fan_out >= 1 && settings.fan_out <= settings.webhooks, "an event fires 1 to all of the webhooks");
    ensure!(settings.backlog >= settings.fan_out && settings.writers >= 1, "nothing is ever written");
    let mut experiment = Experiment::start(operator, settings, tell).await?;
    let evidence = experiment.play(settings).await?;
    Ok(judge(settings, &evidence))
}

/// A control plane with the chart in it, and the namespace that a run uses.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) installation: Installation,
    pub(crate) client: Client,
}

/// Starts a control plane and installs the chart there, with some values more.
pub(crate) async fn prepare(operator: &OperatorUnderTest, values: &[&str]) -> Result<Ground> {
    let cluster = block_in_place(Cluster::start)?;
    // What is accounted for has to be there at the end.
    let kept = ["events", "responses"].map(|kind| format!("controller.retention.{kind}=unlimited"));
    let all = ["controller.allowAddresses={127.0.0.1/32}", &kept[0], &kept[1]];
    let all: Vec<&str> = all.into_iter().chain(values.iter().copied()).collect();
    let installation = block_in_place(|| Installation::new(&cluster, &operator.chart, RELEASE, &all))?;
    block_in_place(|| output(cluster.kubectl().args(["wait", "--for=condition=Established", "crd", "--all"])))?;
    let client = client(cluster.kubeconfig()).await?;
    let object = Namespace {
        metadata: ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::all(client.clone()).create(&PostParams::default(), &object).await.context("create the namespace")?;
    Ok(Ground { cluster, installation, client })
}

/// How many deliveries may be sent and in no record, by the arguments of the operator.
pub(crate) fn max_unrecorded(args: &[String]) -> Result<usize> {
    let stated = args.iter().find_map(|arg| arg.strip_prefix("--max-unrecorded="));
    stated.map_or(Ok(MAX_UNRECORDED), str::parse).context("read --max-unrecorded")
}

struct Experiment<'a> {
    cluster: Cluster,
    operators: Option<Operators>,
    receiver: Receiver,
    client: Client,
    max_unrecorded: usize,
    journal: Journal,
    created: Arc<Created>,
    /// How many bursts there were.
    bursts: usize,
    /// The broken segments that were put into the journal.
    broken_segments: Vec<String>,
    chronicle: Chronicle<'a>,
    chance: fastrand::Rng,
    clock: Clock,
}

impl<'a> Experiment<'a> {
    async fn start(operator: &OperatorUnderTest, settings: &Settings, tell: &'a dyn Fn(&str)) -> Result<Self> {
        let clock = Clock::start();
        let lease_seconds = format!("controller.leaseSeconds={}", settings.lease_seconds);
        let Ground { cluster, installation, client } =
            prepare(operator, &["api.enabled=false", &lease_seconds]).await?;
        let Installation { kubeconfig, args, .. } = installation;
        let odds = Odds { seed: settings.seed, refused_per_mille: settings.refused_per_mille };
        let receiver = Receiver::start(odds, clock, EventId::of_body).await?;
        let max_unrecorded = max_unrecorded(&args)?;
        // Where the operator's Lease is; without one, where its ServiceAccount is, which is the same in the chart.
        let lease = args.iter().find_map(|arg| arg.strip_prefix("--lease=")?.split_once('/'));
        let journal = Journal::new(client.clone(), lease.map_or(RELEASE, |(namespace, _)| namespace));
        let standby = (client.clone(), settings.standby);
        let operators = Operators::start(cluster.processes(), operator, kubeconfig, args, standby, clock).await?;
        let chronicle = Chronicle::new(clock, receiver.arrived(), tell);
        let experiment = Self {
            cluster,
            operators: Some(operators),
            receiver,
            client,
            max_unrecorded,
            journal,
            created: Arc::default(),
            bursts: 0,
            broken_segments: Vec::new(),
            chronicle,
            chance: fastrand::Rng::with_seed(settings.seed),
            clock,
        };
        experiment.create_webhooks(settings).await?;
        Ok(experiment)
    }

    async fn create_webhooks(&self, settings: &Settings) -> Result<()> {
        let webhooks: Api<DynamicObject> = self.api("Webhook");
        for number in 0..settings.webhooks {
            load::create_webhook(&webhooks, settings, number, &self.receiver.url()).await?;
        }
        for number in 0..settings.webhooks {
            let name = load::webhook_name(number);
            let has_status =
                |webhook: Option<&DynamicObject>| webhook.is_some_and(|webhook| webhook.data["status"].is_object());
            let seen = timeout(settings.patience, await_condition(webhooks.clone(), &name, has_status)).await;
            seen.with_context(|| format!("the operator has not seen Webhook {name} in {:?}", settings.patience))?
                .with_context(|| format!("watch Webhook {name}"))?;
        }
        Ok(())
    }

    fn api<K>(&self, kind: &str) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        load::api(&self.client, NAMESPACE, kind)
    }

    /// Writes, disturbs, waits for the end and collects what there is to know.
    async fn play(&mut self, settings: &Settings) -> Result<Evidence> {
        let succeeded = records::Succeeded::default();
        let following = records::follow(self.api("WebhookResponse"), self.clock, Arc::clone(&succeeded));
        let following = tokio::spawn(following);
        let writing = {
            let (events, settings, arrived) = (self.api("AlertGroupEvent"), settings.clone(), self.receiver.arrived());
            let (clock, created) = (self.clock, Arc::clone(&self.created));
            tokio::spawn(async move { load::write(events, &settings, clock, created, arrived).await })
        };

        self.chronicle.say("begin");
        for (arrivals, fault) in schedule(settings, &mut self.chance) {
            // Those of bursts have all arrived when the next fault comes.
            let arrivals = arrivals + self.bursts * settings.events_of_burst() * settings.fan_out;
            let arrived = self.receiver.arrived();
            if !self.watch(settings.patience, LOOK / 10, async || Ok(*arrived.borrow() >= arrivals)).await? {
                self.chronicle.say(&format!("too little arrives: {fault} does not come"));
                continue;
            }
            let came = async {
                if fault.is_of_the_journal() { self.burst(fault, settings).await } else { self.disturb(fault).await }
            };
            came.await.with_context(|| format!("{fault}, at {arrivals} deliveries"))?;
        }
        let all_written = self.watch(settings.patience, LOOK, async || Ok(writing.is_finished())).await?;
        self.chronicle.say(if all_written { "all events are written" } else { "not all events were written" });
        let events = self.api("AlertGroupEvent");
        self.watch(settings.patience, LOOK, async || Ok(open(&events, 1).await.is_ok_and(|open| open == 0))).await?;
        let open = open(&events, 500).await.context("list events that are not completed")?;
        self.chronicle.say(if open == 0 { "all events are completed" } else { "not all events are completed" });
        writing.abort();
        if all_written {
            writing.await.context("join the writers")??;
        }

        let (segments_left, segments_unnamed) = self.account_for_segments(settings).await?;
        // What is on its way arrives, or never will.
        if let Some(operators) = self.operators.take() {
            self.chronicle.say_complaints(&operators);
            block_in_place(|| operators.stop())?;
        }
        let records = records::read(&self.api("WebhookResponse"), self.clock).await?;
        following.abort();
        self.receiver.close().await;
        let succeeded = succeeded.lock().clone();
        Ok(Evidence {
            created: self.created.events(),
            open,
            received: self.receiver.request_log(),
            disturbances: self.chronicle.disturbances.clone(),
            succeeded,
            records,
            max_unrecorded: self.max_unrecorded,
            segments_left,
            segments_unnamed,
        })
    }

    /// Waits until `done`, asked that often, and starts operators that end meanwhile again. False if no delivery has arrived
    /// for as long as `patience` lasts.
    async fn watch(
        &mut self,
        patience: Duration,
        every: Duration,
        mut done: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<bool> {
        let (arrived, mut progress) = (self.receiver.arrived(), (0, Instant::now()));
        loop {
            if done().await? {
                return Ok(true);
            }
            let count = *arrived.borrow();
            if count != progress.0 {
                progress = (count, Instant::now());
            }
            if progress.1.elapsed() > patience {
                return Ok(false);
            }
            tokio::time::sleep(every).await;
            self.look_after_operators().await?;
        }
    }

    /// Notes what happened to the operators by itself.
    async fn look_after_operators(&mut self) -> Result<()> {
        match &mut self.operators {
            Some(operators) => self.chronicle.look_after(operators, self.cluster.processes()).await,
            None => Ok(()),
        }
    }

    async fn disturb(&mut self, fault: Fault) -> Result<()> {
        self.chronicle.say(&fault.to_string());
        let away = Duration::from_millis(self.chance.u64(0..1500));
        let signal = if self.chance.bool() { Signal::Term } else { Signal::Kill };
        let operators = self.operators.as_mut().ok_or_else(|| anyhow!("there is no operator"))?;
        let (group, from) = (self.cluster.processes(), self.clock.now());
        let came = match fault {
            Fault::Kill => operators.kill(group).await?,
            Fault::Pause => operators.pause(group, away).await?,
            Fault::ApiServer | Fault::Etcd => {
                let server = if fault == Fault::Etcd { Server::Etcd } else { Server::ApiServer };
                block_in_place(|| self.cluster.restart_after(server, signal, away))?;
                Disturbance { fault, from, to: self.clock.now(), resumed: None }
            }
            Fault::Receiver => {
                self.receiver.close().await;
                tokio::time::sleep(away).await;
                self.receiver.open().await?;
                Disturbance { fault, from, to: self.clock.now(), resumed: None }
            }
            // These are not done to it here.
            _ => return Ok(()),
        };
        self.chronicle.note(came);
        if matches!(fault, Fault::ApiServer | Fault::Etcd)
            && let Some(operators) = &mut self.operators
        {
            operators.held_again().await?;
        }
        self.look_after_operators().await
    }
}

/// How many events are not completed, counted up to `limit`.
async fn open(events: &Api<DynamicObject>, limit: u32) -> Result<usize> {
    let open = ListParams::default().fields("status.phase!=Completed").limit(limit);
    Ok(timeout(CALL, events.list_metadata(&open)).await??.items.len())
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    // The writers try again by themselves, for as long as it takes.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
