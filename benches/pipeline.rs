//! The whole pipeline: from events to what is recorded of their requests, beside bare writes to the same API server.
//!
//! ```text
//! this program ──events──▶ kube-apiserver, etcd (fsync) ◀──watch, writes── operator (the real binary, the chart's rights)
//!      │   ▲                       ▲                                          │
//!      │   └── receiver ◀──────────┼─────────────── requests ─────────────────┘
//!      └── bare create + status-patch pairs, before and after each phase
//! ```
//! Machines drift, so the ratios to the bare writes count, and those are measured right before and right after. A bare
//! pair is an object and a status such as the operator writes, written in its way and with its rights. It takes two
//! writes; what a phase needs for each delivery is in its [`Load`], and tells what the bare writes allow.
//!
//! `cargo bench --bench pipeline -- --events 2000`; progress goes to stderr, results to stdout. The exit status is 0 only
//! if every request came once and everything was recorded as it was. Linux only: what a process uses is read from /proc.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    ops::Sub,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use cluster::{Cluster, Server};
use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Resource,
    api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{PartialObjectMeta, Request},
};
use oncall_webhooks::{
    core::id::response_name,
    resources::{AlertGroupEvent, EventPhase, Webhook, WebhookResponse, WebhookResponseStatus},
};
use serde::Serialize;
use serde_json::{Value, json};
use support::{Answer, Footprint, Installation, Operator, Received, Receiver, Samples, ms};
use tokio::task::JoinSet;

/// Writes of this program that are under way at a time, where it is to be as fast as the API server.
const IN_FLIGHT: usize = 64;
/// How long bare writes are measured at a time.
const WINDOW: Duration = Duration::from_secs(4);
/// Bound on everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time from one event to the next in the steady phase.
const STEADY: Duration = Duration::from_millis(50);
/// The unit in which /proc counts CPU time: so many of them are a second (USER_HZ), on every platform that matters.
const TICKS_PER_MS: f64 = 0.1;

#[derive(Parser)]
struct Args {
    /// Deliveries in each phase of throughput
    #[arg(long, default_value_t = 4000)]
    events: usize,
    /// Events in the phase of latency, at 20 a second
    #[arg(long, default_value_t = 400)]
    steady: usize,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipeline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    ensure!(
        Path::new("/proc/self/stat").exists(),
        "this bench reads /proc/<pid>/stat and status: it runs on Linux only"
    );
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    eprintln!("starting the control plane, with fsync");
    let cluster = Cluster::builder().fsync(true).start()?;
    runtime.block_on(measure(&cluster, args))
}

async fn measure(cluster: &Cluster, args: &Args) -> Result<()> {
    let bench = Bench::new(cluster).await?;
    let mut operator = bench.start().await?;
    let bare = Bare::new(&bench).await?;
    let mut check = Vec::new();
    let many = Load { webhooks: 10, events: args.events.div_ceil(10), writes: 2.2 };
    let one = Load { webhooks: 1, events: args.events, writes: 4.0 };

    println!("{} deliveries in each phase; load average {}", args.events, load_average()?);
    println!("an event has {} bytes, a response {} and {}", bare.sizes.0, bare.sizes.1, bare.sizes.2);
    bare.pairs("warm up", IN_FLIGHT).await?;
    let doubled = bare.pairs("at 128 in flight", 2 * IN_FLIGHT).await?;
    let mut single = bare.single(200).await?;
    let mut rates = vec![bare.pairs("before", IN_FLIGHT).await?];
    let mut phases = Vec::new();

    for (name, load) in [("1 webhook an event", one), ("10 webhooks an event", many)] {
        eprintln!("{name}: {} events", load.events);
        let scene = Scene::new(&bench, load).await?;
        phases.push((name, scene.burst(&bench, &operator).await?));
        rates.push(bare.pairs("after", IN_FLIGHT).await?);
        check.push(scene);
    }
    let busy = Footprint::of(operator.pid())?;

    let name = "backlog, 1 webhook";
    eprintln!("{name}: {} events while the operator is down", one.events);
    let scene = Scene::new(&bench, Load { writes: 3.0, ..one }).await?;
    stop(operator)?;
    let (next, backlog) = scene.backlog(&bench).await?;
    operator = next;
    phases.push((name, backlog));
    rates.push(bare.pairs("after", IN_FLIGHT).await?);
    check.push(scene);

    eprintln!("20 events a second: {} events", args.steady);
    let scene = Scene::new(&bench, Load { webhooks: 1, events: args.steady, writes: 4.0 }).await?;
    let mut steady = scene.steady(&bench, &operator, &bare).await?;
    check.push(scene);

    print_bare(&rates, doubled, &mut single);
    print_throughput(&phases, &rates);
    print_latency(&mut steady);
    print_cpu(&phases, &steady);
    print_calls(&phases);
    println!("\noperator                 MiB    peak   open files  threads");
    print_footprint("after both bursts", busy);
    print_footprint("restarted, at end", Footprint::of(operator.pid())?);
    println!("\nload average {}", load_average()?);
    for scene in &check {
        scene.check()?;
    }
    stop(operator)?;
    print_log(&fs::read_to_string(cluster.processes().dir().join("operator.log")).context("read the operator's log")?)
}

/// The things that every phase uses.
struct Bench<'a> {
    cluster: &'a Cluster,
    installation: Installation,
    /// May do everything, and is never made to wait by the API server's flow control.
    admin: Client,
    /// Has the operator's rights.
    operator: Client,
}

impl<'a> Bench<'a> {
    async fn new(cluster: &'a Cluster) -> Result<Self> {
        let chart = support::chart();
        // The receiver is on loopback.
        let values = ["controller.allowAddresses={127.0.0.1/32}"];
        let installation = Installation::new(cluster, &chart, "oncall-webhooks", &values)?;
        let admin = client(cluster.kubeconfig()).await?;
        let operator = client(&installation.kubeconfig).await?;
        Ok(Self { cluster, installation, admin, operator })
    }

    async fn start(&self) -> Result<Operator> {
        let Installation { kubeconfig, args, .. } = &self.installation;
        let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
        let operator = Operator::start(binary, self.cluster.processes(), "operator", kubeconfig, args).await?;
        eprintln!("  the operator runs as process {}", operator.pid());
        Ok(operator)
    }

    fn usage(&self, operator: Option<&Operator>) -> Result<Usage> {
        let (busy, idle) = machine_ticks()?;
        Ok(Usage {
            operator: operator.map_or(Ok(0.0), |operator| process_ticks(operator.pid()))?,
            api_server: process_ticks(self.cluster.pid(Server::ApiServer))?,
            etcd: process_ticks(self.cluster.pid(Server::Etcd))?,
            own: process_ticks(std::process::id())?,
            busy,
            idle,
        })
    }

    /// The calls of our API that kube-apiserver has answered, by verb, resource and, where it is not a success, code.
    async fn calls(&self) -> Result<BTreeMap<String, f64>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = self.admin.request_text(request).await.context("read kube-apiserver's metrics")?;
        let mut calls = BTreeMap::new();
        for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
            let field = |name: &str| label(name).unwrap_or_default();
            if field("group") == "oncall.dev" && !["LIST", "WATCH"].contains(&field("verb")) {
                let code = Some(field("code")).filter(|code| !code.starts_with('2')).unwrap_or_default();
                let words = [field("verb"), field("resource"), field("subresource"), code];
                let call = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
                let count: f64 = line.rsplit_once(' ').context("read a metric")?.1.parse()?;
                *calls.entry(call).or_insert(0.0) += count;
            }
        }
        Ok(calls)
    }

    async fn calls_since(&self, before: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>> {
        let mut calls = self.calls().await?;
        for (call, count) in &mut calls {
            *count -= before.get(call).unwrap_or(&0.0);
        }
        calls.retain(|_, count| *count > 0.0);
        Ok(calls)
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    // A write that is refused shall be seen.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn stop(operator: Operator) -> Result<()> {
    let status = operator.stop()?;
    ensure!(status.success(), "the operator ended with {status}");
    Ok(())
}

/// Creates one object, as the operator does: no more of it comes back than its metadata.
async fn create<K>(client: &Client, object: &K) -> Result<ObjectMeta>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize,
{
    let request = Request::new(K::url_path(&(), object.meta().namespace.as_deref()));
    send::<K>(client, request.create(&PostParams::default(), serde_json::to_vec(object)?)?).await
}

/// Merges `status` into the status of one object, as the operator does.
async fn patch_status<K>(client: &Client, namespace: &str, name: &str, status: &impl Serialize) -> Result<ObjectMeta>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let request = Request::new(K::url_path(&(), Some(namespace)));
    let patch = Patch::Merge(json!({"status": serde_json::to_value(status)?}));
    send::<K>(client, request.patch_subresource("status", name, &PatchParams::default(), &patch)?).await
}

async fn send<K>(client: &Client, mut request: http::Request<Vec<u8>>) -> Result<ObjectMeta>
where
    K: Resource<DynamicType = ()>,
{
    let metadata = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    request.headers_mut().insert(ACCEPT, metadata);
    let what = format!("{} {}", request.method(), request.uri());
    let written: PartialObjectMeta<K> = client.request(request).await.context(what)?;
    Ok(written.metadata)
}

/// The acknowledgement of the example, of another alert group each.
fn event(namespace: &str, number: usize) -> Result<AlertGroupEvent> {
    let mut event: AlertGroupEvent =
        serde_saphyr::from_str(include_str!("../examples/acknowledge/event.yaml")).context("read event.yaml")?;
    event.metadata.name = Some(format!("event-{number}"));
    event.metadata.namespace = Some(namespace.to_owned());
    event.spec.alert_group.id = format!("I{number:012}");
    Ok(event)
}

fn webhook(namespace: &str, number: usize, url: &str) -> Result<Webhook> {
    serde_json::from_value(json!({
        "apiVersion": Webhook::api_version(&()),
        "kind": Webhook::kind(&()),
        "metadata": {"namespace": namespace, "name": format!("webhook-{number}")},
        "spec": {
            "triggerType": "acknowledge",
            "url": url,
            "data": r#"{"labels" : {{ alert_payload.commonLabels | tojson()}}}"#,
            "forwardAll": false,
        },
    }))
    .context("make a Webhook")
}

/// The settings of a phase of events.
#[derive(Clone, Copy)]
struct Load {
    webhooks: usize,
    events: usize,
    /// Writes that each delivery needs. An event and its status, shared by its webhooks, and a response and its status;
    /// without the event where it was there before.
    writes: f64,
}

impl Load {
    fn deliveries(self) -> usize {
        self.webhooks * self.events
    }
}

/// A namespace with webhooks, and the receiver of their requests.
struct Scene {
    namespace: String,
    load: Load,
    admin: Client,
    receiver: Receiver,
}

impl Scene {
    async fn new(bench: &Bench<'_>, load: Load) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("scene-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = bench.admin.clone();
        let meta = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
        let object = Namespace { metadata: meta, ..Namespace::default() };
        Api::all(admin.clone()).create(&PostParams::default(), &object).await.context("create namespace")?;

        let receiver = Receiver::start(|_| Answer::new(200, r#"{"ok": true}"#)).await?;
        for number in 0..load.webhooks {
            create(&admin, &webhook(&namespace, number, &receiver.url())?).await?;
        }
        let webhooks: Api<Webhook> = Api::namespaced(admin.clone(), &namespace);
        until("the webhooks are ready", Duration::from_millis(20), async || {
            let list = webhooks.list(&ListParams::default()).await?;
            Ok(list.iter().all(|webhook| webhook.status.is_some()))
        })
        .await?;
        Ok(Self { namespace, load, admin, receiver })
    }

    /// Creates the events as fast as the API server takes them. Returns their uids.
    async fn create_events(&self) -> Result<Vec<String>> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (next, admin, load, namespace) =
                (Arc::clone(&next), self.admin.clone(), self.load, self.namespace.clone());
            writers.spawn(async move {
                let mut uids = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= load.events {
                        return anyhow::Ok(uids);
                    }
                    uids.extend(create(&admin, &event(&namespace, number)?).await?.uid);
                }
            });
        }
        Ok(joined(writers).await?.concat())
    }

    /// Creates the events while the operator works on them.
    async fn burst(&self, bench: &Bench<'_>, operator: &Operator) -> Result<Throughput> {
        let calls = bench.calls().await?;
        let (before, started) = (bench.usage(Some(operator))?, Instant::now());
        let uids = self.create_events().await?;
        let created = started.elapsed();
        let received = self.finished().await?;
        let used = bench.usage(Some(operator))? - before;
        let throughput = Throughput::new(self.load, &received, started, created, used)?;
        let throughput = Throughput { calls: bench.calls_since(&calls).await?, ..throughput };
        self.verify(&uids).await?;
        Ok(throughput)
    }

    /// Starts an operator that finds all the events there.
    async fn backlog(&self, bench: &Bench<'_>) -> Result<(Operator, Throughput)> {
        let started = Instant::now();
        let uids = self.create_events().await?;
        let created = started.elapsed();
        let calls = bench.calls().await?;
        let (before, started) = (bench.usage(None)?, Instant::now());
        let operator = bench.start().await?;
        let received = self.finished().await?;
        let used = bench.usage(Some(&operator))? - before;
        let throughput = Throughput::new(self.load, &received, started, created, used)?;
        let throughput = Throughput { calls: bench.calls_since(&calls).await?, ..throughput };
        self.verify(&uids).await?;
        Ok((operator, throughput))
    }

    /// Creates an event at a time, at a steady rate, and a bare pair between two events.
    async fn steady(&self, bench: &Bench<'_>, operator: &Operator, bare: &Bare) -> Result<Steady> {
        let before = bench.usage(Some(operator))?;
        let (mut events, mut pairs) = (JoinSet::new(), JoinSet::new());
        let mut ticks = tokio::time::interval(STEADY / 2);
        for number in 0..self.load.events {
            ticks.tick().await;
            let (admin, event) = (self.admin.clone(), event(&self.namespace, number)?);
            events.spawn(async move {
                let sent = Instant::now();
                let uid = create(&admin, &event).await?.uid.unwrap_or_default();
                anyhow::Ok((uid, sent, Instant::now()))
            });
            ticks.tick().await;
            let bare = bare.clone();
            pairs.spawn(async move { bare.pair().await });
        }
        let (events, pairs) = (joined(events).await?, joined(pairs).await?);
        let received = self.finished().await?;
        let used = bench.usage(Some(operator))? - before;
        self.verify(&events.iter().map(|(uid, ..)| uid.clone()).collect::<Vec<_>>()).await?;

        let arrivals: BTreeMap<_, _> =
            received.iter().map(|request| (request.header("webhook-id"), request.at)).collect();
        let bare_write = Samples(pairs.into_iter().flatten().collect());
        let (mut from_sent, mut event_write) = (Samples::default(), Samples::default());
        for (uid, sent, returned) in events {
            let id = response_name(&uid, "webhook-0");
            let at = arrivals.get(&Some(&*id)).context("find an event's request")?;
            from_sent.0.push(ms(at.duration_since(sent)));
            event_write.0.push(ms(returned.duration_since(sent)));
        }
        // Less than nothing where the watch was faster than the answer.
        let from_returned = Samples(from_sent.0.iter().zip(&event_write.0).map(|(all, write)| all - write).collect());
        Ok(Steady { load: self.load, used, from_sent, from_returned, event_write, bare_write })
    }

    /// Waits until every request has arrived, then until every event is recorded as completed.
    async fn finished(&self) -> Result<Vec<Received>> {
        let received = self.receiver.wait_for(self.load.deliveries(), PATIENCE).await?;
        let events: Api<AlertGroupEvent> = Api::namespaced(self.admin.clone(), &self.namespace);
        let open = ListParams::default().fields("status.phase!=Completed").limit(1);
        until("every event is completed", Duration::from_millis(50), async || {
            Ok(events.list_metadata(&open).await?.items.is_empty())
        })
        .await?;
        Ok(received)
    }

    /// Each request came once, and the records say so.
    async fn verify(&self, uids: &[String]) -> Result<()> {
        self.check()?;
        let received = self.receiver.received();
        let ids: HashSet<_> = received.iter().filter_map(|request| request.header("webhook-id")).collect();
        let expected = uids.iter().flat_map(|uid| {
            (0..self.load.webhooks).map(move |number| response_name(uid, &format!("webhook-{number}")))
        });
        let missing = expected.filter(|id| !ids.contains(&**id)).count();
        ensure!(missing == 0, "{missing} of {} deliveries were not sent, but others twice", self.load.deliveries());

        let events: Api<AlertGroupEvent> = Api::namespaced(self.admin.clone(), &self.namespace);
        let events = events.list(&ListParams::default()).await?;
        let complete = events.iter().filter_map(|event| event.status.as_ref()).filter(|status| {
            status.phase == EventPhase::Completed
                && status.succeeded as usize == self.load.webhooks
                && status.failed == 0
        });
        let complete = complete.count();
        ensure!(complete == self.load.events, "{complete} of {} events have the right status", self.load.events);
        let responses: Api<WebhookResponse> = Api::namespaced(self.admin.clone(), &self.namespace);
        let succeeded = responses.list_metadata(&ListParams::default().fields("status.phase=Succeeded")).await?;
        let (succeeded, expected) = (succeeded.items.len(), self.load.deliveries());
        ensure!(succeeded == expected, "{succeeded} of {expected} responses are recorded as succeeded");
        Ok(())
    }

    /// No more requests came than were due. Asked again when all is over, for those that are late.
    fn check(&self) -> Result<()> {
        let (count, expected) = (self.receiver.count(), self.load.deliveries());
        ensure!(count == expected, "{count} requests arrived in {}, {expected} were due", self.namespace);
        Ok(())
    }
}

/// Writes the object and the status that the operator has written for one delivery, again and again.
#[derive(Clone)]
struct Bare {
    client: Client,
    object: WebhookResponse,
    status: WebhookResponseStatus,
    next: Arc<AtomicUsize>,
    /// Bytes of the event, of its response, and of the response's status.
    sizes: (usize, usize, usize),
}

impl Bare {
    /// Has the operator make one delivery, and takes its record as the sample.
    async fn new(bench: &Bench<'_>) -> Result<Self> {
        let scene = Scene::new(bench, Load { webhooks: 1, events: 1, writes: 4.0 }).await?;
        let uids = scene.create_events().await?;
        scene.finished().await?;
        let name = response_name(uids.first().context("read an event's uid")?, "webhook-0");
        let responses: Api<WebhookResponse> = Api::namespaced(bench.admin.clone(), &scene.namespace);
        let mut object = responses.get(&name).await.with_context(|| format!("get WebhookResponse {name}"))?;
        let status = object.status.take().context("read a response's status")?;
        object.metadata = ObjectMeta {
            namespace: object.metadata.namespace,
            labels: object.metadata.labels,
            // The garbage collector looks after the operator's responses, so after these.
            owner_references: object.metadata.owner_references,
            ..ObjectMeta::default()
        };
        let size = |value: Value| value.to_string().len();
        let sizes = (
            size(serde_json::to_value(event(&scene.namespace, 0)?)?),
            size(serde_json::to_value(&object)?),
            size(serde_json::to_value(&status)?),
        );
        Ok(Self { client: bench.operator.clone(), object, status, next: Arc::default(), sizes })
    }

    /// One pair: the milliseconds of each of its writes.
    async fn pair(&self) -> Result<[f64; 2]> {
        let (mut object, started) = (self.object.clone(), Instant::now());
        let name = format!("webhook-0-bare-{}", self.next.fetch_add(1, Ordering::Relaxed));
        object.metadata.name = Some(name.clone());
        create(&self.client, &object).await?;
        let created = Instant::now();
        let namespace = object.metadata.namespace.unwrap_or_default();
        patch_status::<WebhookResponse>(&self.client, &namespace, &name, &self.status).await?;
        Ok([ms(created.duration_since(started)), ms(created.elapsed())])
    }

    /// Pairs a second.
    async fn pairs(&self, when: &str, in_flight: usize) -> Result<f64> {
        let started = Instant::now();
        let mut writers = JoinSet::new();
        for _ in 0..in_flight {
            let bare = self.clone();
            writers.spawn(async move {
                let mut pairs = 0_usize;
                while started.elapsed() < WINDOW {
                    bare.pair().await?;
                    pairs += 1;
                }
                anyhow::Ok(pairs)
            });
        }
        let pairs: usize = joined(writers).await?.into_iter().sum();
        let rate = pairs as f64 / started.elapsed().as_secs_f64();
        eprintln!("  bare writes, {when}: {rate:.0} pairs/s");
        Ok(rate)
    }

    /// Writes one after another.
    async fn single(&self, pairs: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..pairs {
            samples.0.extend(self.pair().await?);
        }
        Ok(samples)
    }
}

/// The results of a phase of many events.
struct Throughput {
    load: Load,
    /// Events taken by the API server in a second.
    created: f64,
    /// From the beginning to the first request, in milliseconds.
    first: f64,
    /// Requests that left in a second, from the first to the last.
    requests: f64,
    /// Deliveries a second, from the beginning until every event was recorded as completed.
    recorded: f64,
    used: Usage,
    /// The requests that kube-apiserver got.
    calls: BTreeMap<String, f64>,
}

impl Throughput {
    fn new(load: Load, received: &[Received], started: Instant, created: Duration, used: Usage) -> Result<Self> {
        let recorded = load.deliveries() as f64 / started.elapsed().as_secs_f64();
        let (Some(first), Some(last)) =
            (received.iter().map(|request| request.at).min(), received.iter().map(|request| request.at).max())
        else {
            bail!("no requests");
        };
        Ok(Self {
            load,
            created: load.events as f64 / created.as_secs_f64(),
            first: ms(first.duration_since(started)),
            requests: received.len() as f64 / last.duration_since(first).as_secs_f64(),
            recorded,
            used,
            calls: BTreeMap::new(),
        })
    }
}

/// The results of the steady phase, in milliseconds.
struct Steady {
    load: Load,
    from_sent: Samples,
    from_returned: Samples,
    event_write: Samples,
    bare_write: Samples,
    used: Usage,
}

fn print_footprint(when: &str, footprint: Footprint) {
    let Footprint { resident, peak, files, threads } = footprint;
    println!("{when:<20}{resident:>8.0}{peak:>8.0}{files:>13}{threads:>9}");
}

fn row(samples: &mut Samples, name: &str) {
    println!(
        "{name:<34}{:>7.1}{:>8.1}{:>8.1}",
        samples.percentile(50),
        samples.percentile(99),
        samples.percentile(100)
    );
}

fn print_bare(rates: &[f64], doubled: f64, single: &mut Samples) {
    let all: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
    println!("\nbare writes (create + status patch of one WebhookResponse)");
    println!("{IN_FLIGHT} in flight: {} pairs/s, before, between and after the phases", all.join(", "));
    println!("{} in flight: {doubled:.0} pairs/s", 2 * IN_FLIGHT);
    println!("one writer: {:.1} ms p50, {:.1} ms p99 for a write", single.percentile(50), single.percentile(99));
}

fn print_throughput(phases: &[(&str, Throughput)], rates: &[f64]) {
    println!(
        "\n                          bare  requests/s   of bare  recorded/s  of what bare  events/s  first request"
    );
    println!("                       pairs/s               pairs/s              writes allow   created       after ms");
    for ((name, phase), around) in phases.iter().zip(rates.windows(2)) {
        let pairs = around.iter().sum::<f64>() / around.len() as f64;
        let allowed = pairs * 2.0 / phase.load.writes;
        println!(
            "{name:<22}{pairs:>8.0}{:>12.0}{:>9.2}x{:>12.0}{:>13.2}x{:>10.0}{:>15.0}",
            phase.requests,
            phase.requests / pairs,
            phase.recorded,
            phase.recorded / allowed,
            phase.created,
            phase.first
        );
    }
}

fn print_calls(phases: &[(&str, Throughput)]) {
    println!("\nAPI calls a delivery");
    for (name, phase) in phases {
        let each = |(call, count): (&String, &f64)| format!("{call} {:.2}", count / phase.load.deliveries() as f64);
        println!("{name}: {}", phase.calls.iter().map(each).collect::<Vec<_>>().join(", "));
    }
}

fn print_latency(steady: &mut Steady) {
    println!("\n20 events/s, ms                       p50     p99     max");
    row(&mut steady.from_returned, "event created -> request arrived");
    row(&mut steady.from_sent, "event sent -> request arrived");
    row(&mut steady.event_write, "the event's own write");
    row(&mut steady.bare_write, "one bare write meanwhile");
}

fn print_cpu(phases: &[(&str, Throughput)], steady: &Steady) {
    println!("\nCPU ms a delivery     operator  kube-apiserver    etcd  this program  all else   idle");
    let rows = phases.iter().map(|(name, phase)| (*name, phase.load, phase.used));
    for (name, load, used) in rows.chain([("20 events/s", steady.load, steady.used)]) {
        let each = |ticks: f64| ticks / TICKS_PER_MS / load.deliveries() as f64;
        let rest = used.busy - used.operator - used.api_server - used.etcd - used.own;
        println!(
            "{name:<22}{:>8.2}{:>16.2}{:>8.2}{:>14.2}{:>10.2}{:>6.0}%",
            each(used.operator),
            each(used.api_server),
            each(used.etcd),
            each(used.own),
            each(rest),
            100.0 * used.idle / (used.idle + used.busy)
        );
    }
}

/// Warnings and errors, those that differ only in names and numbers together. An error is a failure of the run.
fn print_log(log: &str) -> Result<()> {
    let mut complaints = BTreeMap::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        if ["WARN", "ERROR"].contains(&&*text("level")) {
            let words = [text("level"), text("message"), text("error")].join(" ");
            let plain = words.split_whitespace().filter(|word| !word.contains(|c: char| c == '/' || c.is_numeric()));
            *complaints.entry(plain.take(24).collect::<Vec<_>>().join(" ")).or_insert(0) += 1;
        }
    }
    println!("\nwarnings and errors in the operator's log: {}", complaints.values().sum::<usize>());
    complaints.iter().for_each(|(complaint, count)| println!("{count:>7} x {complaint}"));
    ensure!(!complaints.keys().any(|complaint| complaint.starts_with("ERROR")), "the operator logged errors");
    Ok(())
}

/// CPU time in clock ticks: of processes, and of the whole machine.
#[derive(Clone, Copy, Default)]
struct Usage {
    operator: f64,
    api_server: f64,
    etcd: f64,
    own: f64,
    busy: f64,
    idle: f64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            operator: self.operator - before.operator,
            api_server: self.api_server - before.api_server,
            etcd: self.etcd - before.etcd,
            own: self.own - before.own,
            busy: self.busy - before.busy,
            idle: self.idle - before.idle,
        }
    }
}

fn process_ticks(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The second field, a name in parentheses, may hold anything. User and system time are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').context("read a process's times")?;
    let times: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(times.into_iter().sum())
}

/// Busy and idle.
fn machine_ticks() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let all = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal; guests are in user.
    let all: Vec<f64> = all.take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: f64 = all.iter().skip(3).take(2).sum();
    Ok((all.iter().sum::<f64>() - idle, idle))
}

fn load_average() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// Waits for all tasks and returns their results, or the first error of one.
async fn joined<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        all.push(ended.context("join a task")??);
    }
    Ok(all)
}

/// Asks every now and then until the answer is yes.
async fn until(what: &str, every: Duration, mut ask: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !ask().await? {
        ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(every).await;
    }
    Ok(())
}
