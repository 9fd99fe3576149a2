//! The REST API beside what it can't be faster than: an axum handler that does nothing but answer the same bytes, and
//! the same Webhook created with kube's client.
//!
//! ```text
//! this program ──list, get, create──▶ the real binary ──create──▶ kube-apiserver, etcd (fsync)
//!      │  └────list, get────────────▶ axum, in a process of its own            ▲
//!      └───────create──────────────────────────────────────────────────────────┘
//! ```
//! Machines drift, so the ratios count: each is of two windows, one right after the other, in turns. On a
//! machine with few cores this program takes a good part of them, so that fast servers seem alike; what their processes
//! spend on a request does not depend on it.
//!
//! `cargo bench --bench rest -- --rounds 9`; progress goes to stderr, results to stdout. The exit status is 0 only if
//! every answer was the right one and everything that was created is listed. Linux only: CPU time is read from /proc.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
    serve::ListenerExt,
};
use clap::Parser;
use cluster::{Cluster, ProcessGroup};
use futures::{StreamExt, TryStreamExt, stream};
use http::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Resource,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oncall_webhooks::resources::Webhook;
use serde_json::{Value, json};
use support::{Api as Rest, Installation};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Connections that reads come over at a time, and creates, where it is not one.
const READERS: usize = 8;
const CREATORS: usize = 32;
/// The tokens of a namespace. One alone may not make as many calls in a minute as these windows do.
const TOKENS: usize = 8;
/// The most that a token may be given.
const CALLS_PER_MINUTE: usize = 100_000;
/// Bound on everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The unit in which /proc counts CPU time: USER_HZ is 100.
const MICROS_PER_TICK: f64 = 10_000.0;

const WEBHOOKS: &str = "/api/v1/webhooks/";
const LIST: &str = "list.json";
const ONE: &str = "one.json";

#[derive(Parser)]
struct Args {
    /// Webhooks in the namespace that is read
    #[arg(long, default_value_t = 1000)]
    webhooks: usize,
    /// Pairs of windows for each row
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a window, in milliseconds
    #[arg(long, default_value_t = 1000)]
    window: u64,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bare axum server that answers the files of this folder
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    if let Some(dir) = &args.bare {
        return runtime.block_on(serve(dir));
    }
    ensure!(Path::new("/proc/self/stat").exists(), "this bench reads /proc/<pid>/stat: it runs on Linux only");
    eprintln!("starting the control plane, with fsync");
    let cluster = Cluster::builder().fsync(true).start()?;
    runtime.block_on(measure(&cluster, args))
}

async fn measure(cluster: &Cluster, args: &Args) -> Result<()> {
    let bench = Bench::new(cluster, args).await?;
    let own = std::process::id();
    println!(
        "{} webhooks, {} pairs of {} ms; load average {}",
        args.webhooks,
        args.rounds,
        args.window,
        load_average()?
    );
    println!("a page has {} bytes, a webhook {}", bench.list.body.len(), bench.one.body.len());
    println!(
        "\n                       requests/s  of bare, as it drifted    p50 ms          p99 ms          CPU µs a request"
    );
    println!("                      ours    bare    min median    max    ours    bare    ours    bare    ours    bare");
    for (name, expected) in [("list", &bench.list), ("get", &bench.one)] {
        for width in [1, READERS] {
            let ours = bench.readers(bench.ours, expected, width).await?;
            let bare = bench.readers(bench.bare.address, expected, width).await?;
            let mut pairs =
                Pairs::measure((bench.api.process().pid(), ours), (bench.bare.child.id(), bare), args).await?;
            pairs.print(&format!("{name}, {width} at a time"));
        }
    }
    for width in [1, CREATORS] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..width {
            ours.push(bench.creator().await?);
            bare.push(BareCreator { client: bench.client.clone(), next: Arc::clone(&bench.next) });
        }
        let mut pairs = Pairs::measure((bench.api.process().pid(), ours), (own, bare), args).await?;
        pairs.print(&format!("create, {width} at a time"));
    }
    println!("\nbare: list and get of axum alone; create of kube's client, whose CPU time is this program's");
    println!("load average {}", load_average()?);
    bench.check().await?;
    let status = bench.api.stop()?;
    ensure!(status.success(), "the REST API ended with {status}");
    Ok(())
}

/// Answers the bytes of two files until it is killed.
async fn serve(dir: &Path) -> Result<()> {
    let answer = |file: &str| {
        let bytes = fs::read(dir.join(file)).map(Bytes::from).with_context(|| format!("read {file}"))?;
        anyhow::Ok(get(move || async move { ([(CONTENT_TYPE, "application/json")], bytes) }))
    };
    let routes = Router::new().route(WEBHOOKS, answer(LIST)?).route("/api/v1/webhooks/{id}/", answer(ONE)?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on loopback")?;
    println!("{}", listener.local_addr()?);
    // As the REST API does.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, routes).await.context("serve")
}

/// The bare axum server.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    async fn start(group: &ProcessGroup) -> Result<Self> {
        let said = group.dir().join("bare.log");
        let file = fs::File::create(&said)?;
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.arg("--bare").arg(group.dir()).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut child = group.spawn(&mut command)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&said)?;
            if let Some(address) = text.strip_suffix('\n').and_then(|text| text.parse().ok()) {
                return Ok(Self { child, address });
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("the bare server does not start: {text}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The answer that must come back.
#[derive(Clone)]
struct Expected {
    path: String,
    body: Bytes,
}

/// The things that every window uses.
struct Bench {
    api: Rest,
    ours: SocketAddr,
    bare: Bare,
    /// Has the REST API's rights.
    client: Client,
    list: Expected,
    one: Expected,
    /// The number of the next webhook that is created, by either side.
    next: Arc<AtomicUsize>,
}

impl Bench {
    async fn new(cluster: &Cluster, args: &Args) -> Result<Self> {
        let chart = support::chart();
        let installation = Installation::new(cluster, &chart, "oncall-webhooks", &[])?;
        let (admin, client) = (client(cluster.kubeconfig()).await?, client(&installation.api_kubeconfig).await?);
        for namespace in ["read", "created"] {
            add_namespace(&admin, namespace).await?;
        }
        eprintln!("creating {} webhooks", args.webhooks);
        stream::iter(0..args.webhooks)
            .map(|number| create(&admin, "read", number))
            .buffer_unordered(CREATORS)
            .try_collect::<Vec<()>>()
            .await?;

        let charts = installation.api_args.context("the chart has no container named api")?;
        let is_limit = |arg: &String| arg.starts_with("--calls-per-minute");
        let mut api_args: Vec<String> = charts.into_iter().filter(|arg| !is_limit(arg)).collect();
        api_args.push(format!("--calls-per-minute={CALLS_PER_MINUTE}"));
        let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
        let api = Rest::start(binary, cluster.processes(), "api", &installation.api_kubeconfig, &api_args).await?;
        eprintln!("the REST API runs as process {}", api.process().pid());
        let ours: SocketAddr = api.url().trim_start_matches("http://").parse().context("read its address")?;

        let mut connection = Connection::open(ours, "read").await?;
        let body = connection.call(Method::GET, WEBHOOKS, Bytes::new(), StatusCode::OK).await?;
        let list: Value = serde_json::from_slice(&body)?;
        ensure!(list["count"] == args.webhooks, "{} webhooks are listed", list["count"]);
        let path = format!("{WEBHOOKS}{}/", list["results"][0]["id"].as_str().context("read an id")?);
        let one = connection.call(Method::GET, &path, Bytes::new(), StatusCode::OK).await?;
        let list = Expected { path: WEBHOOKS.to_owned(), body };
        let one = Expected { path, body: one };
        for (file, expected) in [(LIST, &list), (ONE, &one)] {
            fs::write(cluster.processes().dir().join(file), &expected.body).with_context(|| format!("write {file}"))?;
        }
        let bare = Bare::start(cluster.processes()).await?;
        Ok(Self { api, ours, bare, client, list, one, next: Arc::default() })
    }

    async fn readers(&self, address: SocketAddr, expected: &Expected, width: usize) -> Result<Vec<Reader>> {
        let mut readers = Vec::with_capacity(width);
        for _ in 0..width {
            let connection = Connection::open(address, "read").await?;
            readers.push(Reader { connection, expected: expected.clone() });
        }
        Ok(readers)
    }

    async fn creator(&self) -> Result<Creator> {
        Ok(Creator { connection: Connection::open(self.ours, "created").await?, next: Arc::clone(&self.next) })
    }

    /// Everything that was created is listed, or will be in a moment.
    async fn check(&self) -> Result<()> {
        let expected = self.next.load(Ordering::Relaxed);
        let mut connection = Connection::open(self.ours, "created").await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = connection.call(Method::GET, WEBHOOKS, Bytes::new(), StatusCode::OK).await?;
            let list: Value = serde_json::from_slice(&body)?;
            if list["count"] == expected {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} of {expected} webhooks are listed", list["count"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    // A write that is refused shall be seen.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// A namespace, and the tokens that open it.
async fn add_namespace(admin: &Client, name: &str) -> Result<()> {
    let meta = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let object = Namespace { metadata: meta, ..Namespace::default() };
    Api::all(admin.clone()).create(&PostParams::default(), &object).await.context("create namespace")?;
    for number in 0..TOKENS {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": format!("token-{number}"), "labels": {"oncall.dev/api-token": "true"}},
            "stringData": {"token": token(name, number)},
        }))?;
        Api::namespaced(admin.clone(), name).create(&PostParams::default(), &secret).await.context("create token")?;
    }
    Ok(())
}

fn token(namespace: &str, number: usize) -> String {
    format!("oncall_of_this_bench_{namespace}_{number:08}")
}

const TEMPLATE: &str = r#"{"labels" : {{ alert_payload.commonLabels | tojson()}}}"#;

/// Creates a Webhook as the REST API does: the same manifest, all of what became of it read.
async fn create(client: &Client, namespace: &str, number: usize) -> Result<()> {
    let manifest = json!({
        "apiVersion": Webhook::api_version(&()),
        "kind": Webhook::kind(&()),
        "metadata": {
            "name": format!("webhook-{number}"),
            "annotations": {"oncall.dev/created-at": jiff::Timestamp::now().to_string()},
        },
        "spec": {
            "name": format!("Webhook {number}"),
            "triggerType": "acknowledge",
            "url": "https://example.com",
            "data": TEMPLATE,
        },
    });
    let request = kube::core::Request::new(Webhook::url_path(&(), Some(namespace)));
    let request = request.create(&PostParams::default(), serde_json::to_vec(&manifest)?)?;
    let created: Webhook = client.request(request).await.context("create Webhook")?;
    ensure!(created.metadata.uid.is_some(), "a Webhook has no uid");
    Ok(())
}

/// A connection of one client.
struct Connection {
    sender: SendRequest<Body>,
    /// Used in turns.
    tokens: Vec<String>,
    calls: usize,
    address: SocketAddr,
}

impl Connection {
    async fn open(address: SocketAddr, namespace: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors come back to who sends.
        tokio::spawn(connection);
        let tokens = (0..TOKENS).map(|number| token(namespace, number)).collect();
        Ok(Self { sender, tokens, calls: 0, address })
    }

    /// The body of an answer that must have this status.
    async fn call(&mut self, method: Method, path: &str, body: Bytes, status: StatusCode) -> Result<Bytes> {
        self.calls += 1;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, &self.tokens[self.calls % TOKENS])
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = axum::body::to_bytes(Body::new(body), usize::MAX).await?;
        ensure!(head.status == status, "{path}: {}: {}", head.status, String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// Makes one call after another.
trait Caller: Send + 'static {
    fn call(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Reads the same again and again.
struct Reader {
    connection: Connection,
    expected: Expected,
}

impl Caller for Reader {
    async fn call(&mut self) -> Result<()> {
        let Expected { path, body } = &self.expected;
        let read = self.connection.call(Method::GET, path, Bytes::new(), StatusCode::OK).await?;
        ensure!(read == body, "{path} reads otherwise");
        Ok(())
    }
}

/// Creates webhooks over the REST API.
struct Creator {
    connection: Connection,
    next: Arc<AtomicUsize>,
}

impl Caller for Creator {
    async fn call(&mut self) -> Result<()> {
        let name = format!("Webhook {}", self.next.fetch_add(1, Ordering::Relaxed));
        let body = json!({
            "name": name, "url": "https://example.com", "http_method": "POST", "trigger_type": "acknowledge",
            "data": TEMPLATE, "forward_all": false,
        });
        let created =
            self.connection.call(Method::POST, WEBHOOKS, body.to_string().into(), StatusCode::CREATED).await?;
        let created: Value = serde_json::from_slice(&created)?;
        ensure!(created["name"] == name, "{name} reads otherwise: {created}");
        Ok(())
    }
}

/// Creates the same objects without it.
struct BareCreator {
    client: Client,
    next: Arc<AtomicUsize>,
}

impl Caller for BareCreator {
    async fn call(&mut self) -> Result<()> {
        create(&self.client, "created", self.next.fetch_add(1, Ordering::Relaxed)).await
    }
}

/// The work of a server in a stretch of time.
struct Window {
    /// Requests a second.
    rate: f64,
    /// CPU time of its process for each request, in microseconds.
    cpu: f64,
    /// Milliseconds of each call.
    times: Vec<f64>,
}

impl Window {
    async fn measure<C: Caller>(pid: u32, callers: &mut Vec<C>, length: Duration) -> Result<Self> {
        let (before, started) = (process_ticks(pid)?, Instant::now());
        let mut running = JoinSet::new();
        for mut caller in callers.drain(..) {
            running.spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < length {
                    let began = Instant::now();
                    caller.call().await?;
                    times.push(began.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok((caller, times))
            });
        }
        let mut times = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (caller, of_one) = ended.context("join a task")??;
            callers.push(caller);
            times.extend(of_one);
        }
        let rate = times.len() as f64 / started.elapsed().as_secs_f64();
        let cpu = (process_ticks(pid)? - before) * MICROS_PER_TICK / times.len() as f64;
        Ok(Self { rate, cpu, times })
    }
}

/// Windows of both sides, in turns.
#[derive(Default)]
struct Pairs {
    ours: Vec<Window>,
    bare: Vec<Window>,
}

impl Pairs {
    /// For each side its process and its callers.
    async fn measure<A: Caller, B: Caller>(
        (our_pid, mut ours): (u32, Vec<A>),
        (bare_pid, mut bare): (u32, Vec<B>),
        args: &Args,
    ) -> Result<Self> {
        let length = Duration::from_millis(args.window);
        let mut pairs = Self::default();
        // The first shows nothing: connections, caches and clocks are cold.
        Window::measure(our_pid, &mut ours, length / 4).await?;
        Window::measure(bare_pid, &mut bare, length / 4).await?;
        for round in 0..args.rounds {
            for side in 0..2 {
                if (round + side) % 2 == 0 {
                    pairs.ours.push(Window::measure(our_pid, &mut ours, length).await?);
                } else {
                    pairs.bare.push(Window::measure(bare_pid, &mut bare, length).await?);
                }
            }
        }
        Ok(pairs)
    }

    fn print(&mut self, name: &str) {
        let rates = |windows: &[Window]| percentile(windows.iter().map(|window| window.rate), 50);
        let cpu = |windows: &[Window]| percentile(windows.iter().map(|window| window.cpu), 50);
        let times = |windows: &[Window], percent| {
            percentile(windows.iter().flat_map(|window| window.times.iter().copied()), percent)
        };
        let ratio =
            |percent| percentile(self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours.rate / bare.rate), percent);
        println!(
            "{name:<18}{:>8.0}{:>8.0}{:>7.2}{:>7.2}{:>7.2}{:>8.2}{:>8.2}{:>8.2}{:>8.2}{:>8.0}{:>8.0}",
            rates(&self.ours),
            rates(&self.bare),
            ratio(0),
            ratio(50),
            ratio(100),
            times(&self.ours, 50),
            times(&self.bare, 50),
            times(&self.ours, 99),
            times(&self.bare, 99),
            cpu(&self.ours),
            cpu(&self.bare),
        );
    }
}

fn percentile(values: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// CPU time of a process so far.
fn process_ticks(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The second field, a name in parentheses, may hold anything. User and system time are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').context("read a process's times")?;
    let times: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(times.into_iter().sum())
}

fn load_average() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
