//! One run with alerts, from a control plane of its own to the evidence.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use cluster::{Cluster, Server, Signal};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::json;
use support::{Alertmanager, Installation, config_to};
use tokio::{
    sync::watch,
    task::{JoinHandle, block_in_place},
    time::timeout,
};

use super::{
    AlertSettings, TYPES,
    balancer::Balancer,
    driver::Driver,
    event_of_body,
    groups::{SeenGroups, follow},
    ledger::{AlertEvidence, FoldedEvent},
    records,
    replicas::Replicas,
};
use crate::{
    OperatorUnderTest,
    answers::Odds,
    chronicle::Chronicle,
    clock::Clock,
    faults::{Disturbance, Fault, spread},
    load::{self, TIMEOUT, webhook_name},
    operators::Operators,
    receiver::Receiver,
    records::{Succeeded, follow as follow_responses},
    run::{CALL, Ground, LOOK, NAMESPACE, max_unrecorded, prepare},
};

/// The Integration, and its Secret.
const INTEGRATION: &str = "prometheus";
/// Its token.
const TOKEN: &str = "token-of-the-accounting";

/// All that works together in a run.
pub(super) struct Stage<'a> {
    cluster: Cluster,
    operators: Operators,
    replicas: Replicas,
    receiver: Receiver,
    alertmanagers: Arc<Vec<Alertmanager>>,
    /// Kept while one Alertmanager sends through it.
    _balancer: Option<Balancer>,
    client: Client,
    max_unrecorded: usize,
    chronicle: Chronicle<'a>,
    chance: fastrand::Rng,
    clock: Clock,
}

impl<'a> Stage<'a> {
    pub(super) async fn start(
        operator: &OperatorUnderTest,
        settings: &AlertSettings,
        tell: &'a dyn Fn(&str),
    ) -> Result<Self> {
        let clock = Clock::start();
        let lease_seconds = format!("controller.leaseSeconds={}", settings.lease_seconds);
        let Ground { cluster, installation, client } = prepare(operator, &[&lease_seconds]).await?;
        let Installation { kubeconfig, api_kubeconfig, args, api_args } = installation;
        let odds = Odds { seed: settings.seed, refused_per_mille: settings.refused_per_mille };
        let receiver = Receiver::start(odds, clock, event_of_body).await?;
        create_resources(&client, &receiver.url()).await?;
        let max_unrecorded = max_unrecorded(&args)?;
        let (group, standby) = (cluster.processes(), (client.clone(), true));
        let operators = Operators::start(group, operator, kubeconfig, args, standby, clock).await?;
        let api_args = api_args.context("the chart has no container named api")?;
        let replicas = Replicas::start(group, operator.binary.clone(), api_kubeconfig, api_args).await?;
        let url = |address| format!("http://{address}/integrations/v1/alertmanager/{TOKEN}/");
        let (balancer, urls) = if settings.alertmanagers == 1 {
            let balancer = Balancer::start(replicas.addresses().into()).await?;
            let urls = vec![url(balancer.address())];
            (Some(balancer), urls)
        } else {
            (None, replicas.addresses().map(url).into())
        };
        let configs: Vec<String> = urls.iter().map(|url| config(url, settings.alertmanagers)).collect();
        let configs: Vec<&str> = configs.iter().map(String::as_str).collect();
        let alertmanagers = Arc::new(Alertmanager::start_cluster(&configs).await?);
        let chronicle = Chronicle::new(clock, receiver.arrived(), tell);
        Ok(Self {
            cluster,
            operators,
            replicas,
            receiver,
            alertmanagers,
            _balancer: balancer,
            client,
            max_unrecorded,
            chronicle,
            chance: fastrand::Rng::with_seed(settings.seed),
            clock,
        })
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        load::api(&self.client, NAMESPACE, kind)
    }

    /// Has alerts fire, disturbs, waits for the end and collects what there is to know.
    pub(super) async fn play(mut self, settings: &AlertSettings) -> Result<AlertEvidence> {
        let succeeded = Succeeded::default();
        let responses = load::api(&self.client, NAMESPACE, "WebhookResponse");
        let following = tokio::spawn(follow_responses(responses, self.clock, Arc::clone(&succeeded)));
        let (seen, seeing) = watch::channel(SeenGroups::default());
        let watching = tokio::spawn(follow(self.api("AlertGroup"), seen));
        let (fired, left_open): (Arc<Mutex<BTreeSet<usize>>>, Arc<AtomicUsize>) = (Arc::default(), Arc::default());
        let driver = Driver {
            alertmanagers: Arc::clone(&self.alertmanagers),
            settings: settings.clone(),
            seen: seeing,
            fired: Arc::clone(&fired),
            left_open: Arc::clone(&left_open),
        };
        let driving = tokio::spawn(driver.drive());
        self.chronicle.say("begin");
        self.disturb_all(settings, &driving).await?;
        self.watch(Duration::MAX, async || driving.is_finished()).await?;
        driving.await.context("join the drivers")??;
        self.chronicle.say("all alerts are over");
        let (events, clock) = (self.api("AlertGroupEvent"), self.clock);
        let all_completed = self.watch(settings.patience, async || nothing_is_left(&events, clock).await).await?;
        self.chronicle.say(if all_completed { "all events are completed" } else { "not all events are completed" });
        let (fired, left_open) = (fired.lock().clone(), left_open.load(Ordering::Relaxed));
        let evidence = self.collect(&succeeded, [following, watching]).await?;
        Ok(AlertEvidence { fired, left_open, ..evidence })
    }

    async fn collect(mut self, succeeded: &Succeeded, watching: [JoinHandle<()>; 2]) -> Result<AlertEvidence> {
        self.chronicle.say_complaints(&self.operators);
        let (groups, events, responses) =
            (self.api("AlertGroup"), self.api("AlertGroupEvent"), self.api("WebhookResponse"));
        // What is on its way arrives, or never will.
        block_in_place(|| self.operators.stop())?;
        let evidence = AlertEvidence {
            groups: records::groups(&groups).await?,
            events: records::events(&events, self.clock).await?,
            responses: records::responses(&responses, self.clock).await?,
            received: self.receiver.request_log(),
            disturbances: self.chronicle.disturbances,
            succeeded: succeeded.lock().clone(),
            max_unrecorded: self.max_unrecorded,
            ..AlertEvidence::default()
        };
        watching.iter().for_each(JoinHandle::abort);
        self.receiver.close().await;
        Ok(evidence)
    }

    /// Waits until `done`, and starts operators that end meanwhile again. False if that takes longer than `patience`.
    async fn watch(&mut self, patience: Duration, mut done: impl AsyncFnMut() -> bool) -> Result<bool> {
        let begin = Instant::now();
        while !done().await {
            if begin.elapsed() > patience {
                return Ok(false);
            }
            tokio::time::sleep(LOOK / 4).await;
            self.chronicle.look_after(&mut self.operators, self.cluster.processes()).await?;
        }
        Ok(true)
    }

    /// Disturbs after as many deliveries as the seed says.
    async fn disturb_all(&mut self, settings: &AlertSettings, driving: &JoinHandle<Result<()>>) -> Result<()> {
        let deliveries = settings.all_occurrences() * TYPES.len();
        for (arrivals, fault) in spread(&settings.faults(), deliveries, &mut self.chance) {
            let arrived = self.receiver.arrived();
            let is_time = async || *arrived.borrow() >= arrivals || driving.is_finished();
            self.watch(Duration::MAX, is_time).await?;
            if driving.is_finished() {
                self.chronicle.say(&format!("too little arrives: {fault} does not come"));
                continue;
            }
            self.chronicle.say(&fault.to_string());
            self.disturb(fault).await.with_context(|| format!("{fault}, at {arrivals} deliveries"))?;
        }
        Ok(())
    }

    async fn disturb(&mut self, fault: Fault) -> Result<()> {
        let away = Duration::from_millis(self.chance.u64(0..1500));
        let signal = if self.chance.bool() { Signal::Term } else { Signal::Kill };
        let replica = self.chance.usize(0..self.replicas.addresses().len());
        let (group, from) = (self.cluster.processes(), self.clock.now());
        let came = match fault {
            Fault::Kill => self.operators.kill(group).await?,
            Fault::Pause => self.operators.pause(group, away).await?,
            Fault::ApiReplica => {
                self.replicas.kill(group, replica, away).await?;
                Disturbance { fault, from, to: self.clock.now(), resumed: None }
            }
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
            _ => return Err(anyhow!("{fault} is not done here")),
        };
        self.chronicle.note(came);
        if matches!(fault, Fault::ApiServer | Fault::Etcd) {
            self.operators.held_again().await?;
        }
        self.chronicle.look_after(&mut self.operators, self.cluster.processes()).await
    }
}

/// Creates the Integration, its Secret, and a webhook for each type.
async fn create_resources(client: &Client, url: &str) -> Result<()> {
    let secret = json!({
        "metadata": {"name": INTEGRATION, "labels": {"oncall.dev/secret": "true"}},
        "stringData": {"token": TOKEN},
    });
    let secret: Secret = serde_json::from_value(secret).context("describe the Secret")?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    secrets.create(&PostParams::default(), &secret).await.context("create the Secret")?;
    let integration = json!({"type": "alertmanager", "tokenSecretRef": {"name": INTEGRATION, "key": "token"}});
    let mut objects = vec![("Integration", INTEGRATION.to_owned(), integration)];
    for (number, type_) in TYPES.iter().enumerate() {
        let name = webhook_name(number);
        let spec = json!({
            "triggerType": type_,
            "url": format!("{url}/{name}"),
            "data": r#"{"occurrence": "{{ alert_payload.commonAnnotations.occurrence }}", "type": "{{ event.type }}"}"#,
            "forwardAll": false,
            "timeout": format!("{}s", TIMEOUT.as_secs()),
            "retry": {"initialDelay": "200ms", "maxDelay": "2s", "deadline": "1h", "timeoutDelays": vec!["500ms"; 20]},
        });
        objects.push(("Webhook", name, spec));
    }
    for (kind, name, spec) in objects {
        let api: Api<DynamicObject> = load::api(client, NAMESPACE, kind);
        let object = load::object(kind, &name, &spec);
        api.create(&PostParams::default(), &object).await.with_context(|| format!("create {kind} {name}"))?;
    }
    Ok(())
}

/// What did not change is repeated after two seconds. Two peers look at a group every four seconds, longer than the second one
/// waits for the first; as Alertmanager has it by default, too.
fn config(url: &str, alertmanagers: usize) -> String {
    let mut config = config_to(url, None);
    config["route"]["group_interval"] = if alertmanagers == 1 { "1s" } else { "4s" }.into();
    config["route"]["repeat_interval"] = "2s".into();
    config.to_string()
}

/// Whether all events are completed, and those that changed nothing are gone.
async fn nothing_is_left(events: &Api<DynamicObject>, clock: Clock) -> bool {
    let open = ListParams::default().fields("status.phase!=Completed").limit(1);
    let none_open = matches!(timeout(CALL, events.list_metadata(&open)).await, Ok(Ok(list)) if list.items.is_empty());
    none_open && records::events(events, clock).await.is_ok_and(|events| !events.values().any(FoldedEvent::is_left))
}
