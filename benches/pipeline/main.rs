//! The whole pipeline: from events to what is recorded of their requests, beside bare writes to the same API server.
//!
//! ```text
//! this program ──events──▶ kube-apiserver, etcd (fsync) ◀──watch, writes── operator (the real binary, the chart's rights)
//!      │   ▲                       ▲                                          │
//!      │   └── receiver ◀──────────┼─────────────── requests ─────────────────┘
//!      └── bare create + status-patch pairs, before and after each phase, with no operator running
//! ```
//! Machines drift, so the ratios to the bare writes count, and those are measured right before and right after. A bare
//! pair is an object and a status of 2 KB, such as the operator writes, written in its way and with its rights. It takes two
//! writes; what a phase needs for each delivery is in its [`Load`], and tells what the bare writes allow. Rates are counted
//! from the first call that creates an event.
//!
//! `cargo bench --bench pipeline -- --operator before=PATH,CRDS --operator after=PATH` has these take turns in each phase, in the same
//! run, with this tree's chart. Progress goes to stderr, results to stdout. The exit status is 0 only if every request came once
//! with its id, everything was recorded as it was, and no operator logged an error. Linux only: what a process uses is read from
//! /proc. docs/performance.md says what the figures mean.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is for people at a terminal")]

mod alerts;
mod bare;
mod bursts;
mod ground;
mod large;
mod paced;
mod report;
mod scene;
mod usage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use alerts::Source;
use anyhow::{Context, Result, ensure};
use bare::{Bare, Window};
use clap::{Parser, ValueEnum};
use cluster::Cluster;
use ground::{Candidate, Ground};
use large::Stored;
use report::{Figures, Report};
use scene::{Load, Scene};

/// Writes of this program that are under way at a time, where it is to be as fast as the API server.
const IN_FLIGHT: usize = 64;
/// Bound on everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(400);

/// A part of the run. They come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Phase {
    /// Events are created with no operator running
    Limit,
    /// Many events at once, with one webhook each
    Storm,
    /// Many events at once, with ten webhooks each
    Many,
    /// An operator starts and finds all the events there
    Backlog,
    /// Events at 20 a second
    Steady,
    /// The receiver is away for 20 s and for 60 s, and comes back
    Away,
    /// Alerts are posted at 20 a second, each of an alert group of its own
    Alerts,
    /// Many such alerts are posted at once
    AlertStorm,
    /// Many deliveries of 6 KB that are not written out yet
    Memory,
    /// Many webhooks and responses are stored
    Stored,
}

#[derive(Parser)]
struct Args {
    /// What to measure
    #[arg(long, value_delimiter = ',', default_values = ["limit", "storm", "many", "backlog", "steady"])]
    phases: Vec<Phase>,
    /// The same as another phase `memory`, which takes minutes
    #[arg(long)]
    memory: bool,
    /// The same as another phase `stored`, which takes minutes
    #[arg(long)]
    stored: bool,
    /// An operator to measure: its name in the results, its binary, and the folder of its definitions, if these are not those of
    /// this tree. Given more than once, they take turns. By default the one that is built with this
    #[arg(long, value_name = "NAME=PATH[,CRDS]", value_parser = candidate)]
    operator: Vec<Candidate>,
    /// How often everything is measured, one time after another
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Events with one webhook, in phases storm and backlog
    #[arg(long, default_value_t = 2000)]
    events: usize,
    /// Events with ten webhooks, in phase many
    #[arg(long, default_value_t = 500)]
    many_events: usize,
    /// Events that nobody works on, in phase limit
    #[arg(long, default_value_t = 3000)]
    limit_events: usize,
    /// Events at 20 a second
    #[arg(long, default_value_t = 400)]
    steady_events: usize,
    /// Alerts at 20 a second
    #[arg(long, default_value_t = 400)]
    steady_alerts: usize,
    /// Alerts in phase alert-storm
    #[arg(long, default_value_t = 2000)]
    alerts: usize,
    /// Events that wait for a receiver that is away
    #[arg(long, default_value_t = 500)]
    away_events: usize,
    /// Events of 6 KB with ten webhooks, in phase memory
    #[arg(long, default_value_t = 2000)]
    memory_events: usize,
    /// Webhooks that are stored
    #[arg(long, default_value_t = 10_000)]
    webhooks: usize,
    /// Responses that are stored
    #[arg(long, default_value_t = 50_000)]
    responses: usize,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn candidate(text: &str) -> Result<Candidate> {
    let (name, paths) = text.split_once('=').context("it is not NAME=PATH")?;
    let (binary, definitions) = match paths.split_once(',') {
        Some((binary, definitions)) => (PathBuf::from(binary), PathBuf::from(definitions)),
        None => (PathBuf::from(paths), definitions()),
    };
    ensure!(binary.is_file(), "there is no file {}", binary.display());
    ensure!(definitions.is_dir(), "there is no folder {}", definitions.display());
    Ok(Candidate { name: name.to_owned(), binary, definitions })
}

/// The folder of this tree's definitions.
fn definitions() -> PathBuf {
    support::repository().join("crds")
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pipeline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> Result<ExitCode> {
    ensure!(
        Path::new("/proc/self/stat").exists(),
        "this bench reads /proc/<pid>/stat and status: it runs on Linux only"
    );
    let _ = rustls::crypto::ring::default_provider().install_default();
    args.phases.extend(args.memory.then_some(Phase::Memory));
    args.phases.extend(args.stored.then_some(Phase::Stored));
    args.phases.sort();
    args.phases.dedup();
    if args.operator.is_empty() {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_oncall-webhooks"));
        args.operator.push(Candidate { name: "operator".to_owned(), binary, definitions: definitions() });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    eprintln!("starting the control plane, with fsync");
    let cluster = Cluster::builder().fsync(true).start()?;
    runtime.block_on(measure(&cluster, &args))
}

async fn measure(cluster: &Cluster, args: &Args) -> Result<ExitCode> {
    let ground = Ground::new(cluster).await?;
    let first = args.operator.first().context("there is no operator")?;
    let bare = Bare::new(&ground, first).await?;
    let mut run =
        Run { ground, bare, args, report: Report::default(), windows: Vec::new(), limit: None, rates: BTreeMap::new() };
    let [event, response, record, status] = run.bare.sizes;
    println!("load average {}", usage::load_average()?);
    println!("bytes: an event {event}, a response {response}, its status {record}; the status of a bare pair {status}");
    // The first are always slower.
    run.bare.window(&run.ground).await?;
    let mut single = run.bare.single(200).await?;
    for _ in 0..args.rounds {
        for phase in &args.phases {
            run.phase(*phase).await?;
        }
    }

    if !run.windows.is_empty() {
        let windows: Vec<String> = run.windows.iter().map(|window| format!("{:.0}", window.pairs)).collect();
        let cpu = run.windows.iter().map(|window| window.api_server).sum::<f64>() / run.windows.len() as f64;
        println!("bare pairs/s at {IN_FLIGHT} in flight, around the phases: {}", windows.join(", "));
        println!("kube-apiserver's CPU for a bare write: {cpu:.2} ms");
    }
    println!("one writer: {:.1} ms p50, {:.1} ms p99 for a write", single.percentile(50), single.percentile(99));
    println!("\n{}\n", run.report.table(&args.operator));
    run.report.calls.iter().for_each(|calls| println!("API calls a delivery, {calls}"));
    for Candidate { name, .. } in &args.operator {
        match report::complaints(&cluster.processes().dir().join(format!("{name}.log"))) {
            Ok(complaints) => complaints.iter().for_each(|complaint| println!("the log of {name}: {complaint}")),
            Err(error) => run.report.failures.push(format!("{name}: {error:#}")),
        }
    }
    println!("load average {}", usage::load_average()?);
    run.report.failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    Ok(if run.report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run, as far as it is.
struct Run<'a> {
    ground: Ground<'a>,
    bare: Bare,
    args: &'a Args,
    report: Report,
    windows: Vec<Window>,
    /// How many events are created in a second with no operator running.
    limit: Option<f64>,
    /// Requests a second in the last storm, by operator.
    rates: BTreeMap<String, f64>,
}

impl Run<'_> {
    async fn phase(&mut self, phase: Phase) -> Result<()> {
        let args = self.args;
        match phase {
            Phase::Limit => self.limit().await,
            Phase::Storm => self.bursts(phase, Load::new(1, args.events, 4.0)).await,
            Phase::Many => self.bursts(phase, Load::new(10, args.many_events, 2.2)).await,
            // The event was there before.
            Phase::Backlog => self.bursts(phase, Load::new(1, args.events, 3.0)).await,
            Phase::Steady => {
                let load = Load::new(1, args.steady_events, 4.0);
                let title = format!("20 events a second, {} events", load.events);
                for candidate in &args.operator {
                    let scene = self.begin(&title, candidate, load).await?;
                    let figures = paced::steady(&self.ground, candidate, &scene).await;
                    self.end(&title, candidate, &scene, figures).await?;
                }
                Ok(())
            }
            Phase::Away => {
                let load = Load::new(1, args.away_events, 4.0);
                for seconds in [20, 60] {
                    let title = format!("receiver away for {seconds} s while {} events wait", load.events);
                    for candidate in &args.operator {
                        let mut scene = self.begin(&title, candidate, load).await?;
                        let (away, rate) = (Duration::from_secs(seconds), self.rates.get(&candidate.name).copied());
                        let figures = paced::away(&self.ground, candidate, &mut scene, away, rate).await;
                        self.end(&title, candidate, &scene, figures).await?;
                    }
                }
                Ok(())
            }
            Phase::Alerts => {
                let title = format!("20 alerts a second, {} alert groups", args.steady_alerts);
                for candidate in &args.operator {
                    eprintln!("{title}: {}", candidate.name);
                    let figures =
                        async { Source::new(&self.ground, candidate, args.steady_alerts).await?.steady().await };
                    let figures = figures.await;
                    self.note(&title, candidate, figures);
                }
                Ok(())
            }
            Phase::AlertStorm => self.alert_storm().await,
            Phase::Memory => {
                let load = Load { payload: 6000, ..Load::new(10, args.memory_events, 2.2) };
                let title = format!("{} deliveries of 6 KB in one storm", load.deliveries());
                for candidate in &args.operator {
                    let scene = self.begin(&title, candidate, load).await?;
                    let figures = large::memory(&self.ground, candidate, &scene).await;
                    self.end(&title, candidate, &scene, figures).await?;
                }
                Ok(())
            }
            Phase::Stored => self.stored().await,
        }
    }

    async fn begin(&self, title: &str, candidate: &Candidate, load: Load) -> Result<Scene> {
        eprintln!("{title}: {}", candidate.name);
        Scene::new(&self.ground, load).await
    }

    /// Notes what came of a phase, and removes what it left.
    async fn end(&mut self, title: &str, candidate: &Candidate, scene: &Scene, figures: Result<Figures>) -> Result<()> {
        // Again, for those that are late.
        let (count, due) = (scene.receiver.count(), scene.load.deliveries());
        let late = if count > due { Err(anyhow::anyhow!("{count} requests arrived, {due} were due")) } else { Ok(()) };
        self.note(title, candidate, figures.and_then(|figures| late.map(|()| figures)));
        self.ground.clear(&scene.namespace).await
    }

    fn note(&mut self, title: &str, candidate: &Candidate, figures: Result<Figures>) {
        match figures {
            Ok(figures) => {
                figures.iter().for_each(|(figure, value)| eprintln!("  {figure}: {value}"));
                self.report.add(title, &candidate.name, figures);
            }
            Err(error) => {
                eprintln!("  FAILED: {error:#}");
                self.report.failures.push(format!("{title}, {}: {error:#}", candidate.name));
            }
        }
    }

    async fn window(&mut self) -> Result<Window> {
        let window = self.bare.window(&self.ground).await?;
        self.bare.clear(&self.ground).await?;
        eprintln!(
            "  bare writes: {:.0} pairs/s, {:.2} ms of kube-apiserver's CPU for one",
            window.pairs, window.api_server
        );
        self.windows.push(window);
        Ok(window)
    }

    async fn limit(&mut self) -> Result<()> {
        let load = Load::new(0, self.args.limit_events, 1.0);
        let title = format!("the limit: {} events created with no operator", load.events);
        eprintln!("{title}");
        let scene = Scene::new(&self.ground, load).await?;
        let before = self.window().await?;
        let rate = bursts::limit(&scene).await?;
        self.ground.clear(&scene.namespace).await?;
        let bare = before.mean(self.window().await?);
        self.limit = Some(rate);
        let figures = vec![
            ("events created/s", format!("{rate:.0}")),
            ("events created/s ÷ bare pairs/s", format!("{:.2}", rate / bare.pairs)),
        ];
        for Candidate { name, .. } in &self.args.operator {
            self.report.add(&title, name, figures.clone());
        }
        Ok(())
    }

    async fn bursts(&mut self, phase: Phase, load: Load) -> Result<()> {
        let title = match phase {
            Phase::Backlog => format!("backlog of {} events with one webhook, found at a start", load.events),
            _ if load.webhooks == 1 => format!("storm of {} events with one webhook each", load.events),
            _ => format!("storm of {} events with {} webhooks each", load.events, load.webhooks),
        };
        for candidate in &self.args.operator {
            let before = self.window().await?;
            let scene = self.begin(&title, candidate, load).await?;
            let burst = match phase {
                Phase::Backlog => bursts::backlog(&self.ground, candidate, &scene).await,
                _ => bursts::storm(&self.ground, candidate, &scene).await,
            };
            let bare = before.mean(self.window().await?);
            let figures = burst.map(|burst| {
                self.report.calls.push(format!("{title}, {}: {}", candidate.name, burst.calls()));
                if phase == Phase::Storm {
                    self.rates.insert(candidate.name.clone(), burst.requests);
                }
                burst.figures(bare, self.limit.filter(|_| phase == Phase::Storm))
            });
            self.end(&title, candidate, &scene, figures).await?;
        }
        Ok(())
    }

    async fn alert_storm(&mut self) -> Result<()> {
        let alerts = self.args.alerts;
        let title = format!("storm of {alerts} alerts, each of an alert group of its own, with one webhook");
        for candidate in &self.args.operator {
            let before = self.window().await?;
            eprintln!("{title}: {}", candidate.name);
            let storm = async { Source::new(&self.ground, candidate, alerts).await?.storm().await }.await;
            let bare = before.mean(self.window().await?);
            self.note(&title, candidate, storm.map(|storm| storm.figures(bare)));
        }
        Ok(())
    }

    async fn stored(&mut self) -> Result<()> {
        let (webhooks, responses) = (self.args.webhooks, self.args.responses);
        let title = format!("{webhooks} webhooks and {responses} responses stored");
        eprintln!("{title}");
        let stored = Stored::new(&self.ground, webhooks).await?;
        // With another definition they would have no status.
        self.ground.define(&definitions())?;
        stored.create_responses(&self.bare, responses).await?;
        for candidate in &self.args.operator {
            let scene = self.begin(&title, candidate, Load::new(0, 0, 4.0)).await?;
            let figures = large::stored(&self.ground, candidate, &stored).await;
            self.end(&title, candidate, &scene, figures).await?;
        }
        stored.clear(&self.ground).await
    }
}
