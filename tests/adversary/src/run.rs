//! One attack from beginning to end.
//!
//! ```text
//!  control plane, chart ──► process under its limit ──► neighbour, probe ──► the same without webhooks that match ──► the attack
//! ```

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use cluster::Cluster;
use parking_lot::Mutex;
use serde_json::json;
use support::{Installation, Operator, Samples, ms};
use tokio::{task::block_in_place, time::timeout};

use crate::{
    attacks::{Attack, Calm, NOTHING, On, When},
    ground::{Doors, Hands, Side, object, token_secret},
    neighbour::{Neighbour, Turn, Work},
    probe::{Probe, Sight},
    verdict::{LIVEZ, Latency, Livez, Row, Seen},
    wall::{Limit, Wall},
};

/// How long an attack may take to make what it needs. What has come by then is the attack.
const PLAY: Duration = Duration::from_secs(40);
/// How long what is there before the start may take to be made, which is no part of the attack.
const STAGE: Duration = Duration::from_secs(240);
/// How long the neighbour is watched after that.
const WATCH: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(8));

const NEIGHBOUR: &str = "neighbour";
/// Where its deliveries are after the process was started anew: those before must not come again.
const NEIGHBOUR_AGAIN: &str = "neighbour-again";
const NEIGHBOURS_TOKEN: &str = "oncall_the_token_of_the_neighbour";
const ATTACKERS_TOKEN: &str = "oncall_the_token_of_the_attacker";

/// The API server writes down each token that it is asked about.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources:
  - group: authentication.k8s.io
    resources: [tokenreviews]
- level: None
";

/// What all attacks have in common.
pub(crate) struct Setting {
    pub(crate) binary: PathBuf,
    pub(crate) wall: Wall,
    pub(crate) operator_memory: u64,
    pub(crate) api_memory: u64,
    pub(crate) operator_args: Vec<String>,
}

/// A process that runs under its limit; it ends before that goes.
struct Target {
    process: Operator,
    doors: Doors,
    _limit: Limit,
}

/// Makes one attack.
pub(crate) async fn attack(attack: &Attack, setting: &Setting) -> Result<Row> {
    let cluster = block_in_place(|| Cluster::builder().audit(AUDIT_POLICY).start())?;
    let seen = attack_on(&cluster, attack, setting).await;
    block_in_place(|| cluster.stop());
    Ok(Row::new(attack, seen?))
}

/// What an attack takes place with.
struct Field<'a> {
    cluster: &'a Cluster,
    attack: &'a Attack,
    setting: &'a Setting,
    installation: Installation,
    hands: Hands,
}

/// What is looked at all the time.
#[derive(Default)]
struct Watched {
    turns: Vec<Turn>,
    sights: Vec<Sight>,
}

impl<'a> Field<'a> {
    /// Installs the chart, and makes the namespaces and tokens.
    async fn new(cluster: &'a Cluster, attack: &'a Attack, setting: &'a Setting) -> Result<Self> {
        let values = ["controller.allowAddresses={127.0.0.1/32}"];
        let installation =
            block_in_place(|| Installation::new(cluster, &support::chart(), "oncall-webhooks", &values))?;
        let hands = Hands::new(cluster.kubeconfig()).await?;
        let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
        block_in_place(|| support::output(cluster.kubectl().args(established)))?;
        for namespace in [NEIGHBOUR, NEIGHBOUR_AGAIN, "calm", "attacker"] {
            hands.create("", &object("Namespace", namespace, json!({}))).await?;
        }
        for (namespace, token) in [(NEIGHBOUR, NEIGHBOURS_TOKEN), ("attacker", ATTACKERS_TOKEN)] {
            hands.create(namespace, &token_secret("token", "token", token)).await?;
        }
        Ok(Self { cluster, attack, setting, installation, hands })
    }

    async fn start(&self) -> Result<Target> {
        start(self.cluster, self.attack, self.setting, &self.installation).await
    }

    fn side(&self, namespace: &str, doors: Option<Doors>) -> Side {
        Side {
            hands: self.hands.clone(),
            namespace: namespace.to_owned(),
            neighbour: NEIGHBOUR.to_owned(),
            matching: namespace == "attacker",
            doors,
            token: ATTACKERS_TOKEN.to_owned(),
            receiver: Mutex::new(None),
            tasks: Mutex::default(),
        }
    }

    /// The neighbour and the probe of a process.
    fn look(&self, target: &Target, namespace: &str) -> Result<(Neighbour, Probe)> {
        let probe = Probe::start(target.process.pid(), target.doors.health);
        Ok((Neighbour::start(work(self.cluster, target.doors, namespace))?, probe))
    }

    /// What goes on without the attack, where it is one on a process that runs.
    async fn be_calm(&self, doors: Doors) -> Result<()> {
        let calm = self.side("calm", Some(doors));
        if self.attack.calm == Calm::SameEvents && self.attack.when == When::Running {
            // What does not come within the time does not come then either.
            timeout(PLAY, (self.attack.play)(&calm))
                .await
                .unwrap_or(Ok(NOTHING))
                .context("the events without the attack")?;
        }
        tokio::time::sleep(WATCH.0).await;
        calm.tasks.lock().abort_all();
        Ok(())
    }

    /// The attack, and what the attacker got.
    async fn be_attacked(&self, target: &mut Target) -> Result<Vec<String>> {
        let attacker = self.side("attacker", Some(target.doors));
        let mut breaches = NOTHING;
        if self.attack.when == When::Running {
            match timeout(PLAY, (self.attack.play)(&attacker)).await {
                Ok(Ok(found)) => breaches = found,
                // A process that is gone answers no more.
                Ok(Err(error)) if target.process.ended()?.is_none() => return Err(error.context("attack")),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        watch(&mut target.process).await?;
        attacker.tasks.lock().abort_all();
        Ok(breaches)
    }
}

impl Watched {
    /// Ends the watch, when what is under way has come or is given up.
    fn end(&mut self, (neighbour, probe): (Neighbour, Probe)) -> Result<()> {
        self.turns.extend(block_in_place(|| neighbour.stop())?);
        self.sights.extend(probe.stop());
        Ok(())
    }
}

async fn attack_on(cluster: &Cluster, attack: &Attack, setting: &Setting) -> Result<Seen> {
    let field = Field::new(cluster, attack, setting).await?;
    let mut target = field.start().await?;
    let (mut watched, mut watchers) = (Watched::default(), field.look(&target, NEIGHBOUR)?);
    field.be_calm(target.doors).await?;
    if attack.when == When::BeforeStart {
        // The objects are there, and the process is started among them.
        watched.end(watchers)?;
        drop(target);
        let stage = field.side("attacker", None);
        timeout(STAGE, (attack.play)(&stage)).await.context("make what is there before the start")??;
        let begun = Instant::now();
        target = match field.start().await {
            Ok(target) => target,
            Err(error) => return Ok(never_ready(&error, &watched, begun)),
        };
        watchers = field.look(&target, NEIGHBOUR_AGAIN)?;
    }
    let attacked = Instant::now();
    let mut breaches = field.be_attacked(&mut target).await?;
    watched.end(watchers)?;
    breaches.extend(token_reviews(cluster, attack, attacked));
    let ended = target.process.ended()?.map(|status| status.to_string());
    Ok(seen(ended, breaches, &watched, attacked))
}

/// Watches for a while, as long as the process lives.
async fn watch(process: &mut Operator) -> Result<()> {
    let until = Instant::now() + WATCH.1;
    while Instant::now() < until && process.ended()?.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn work(cluster: &Cluster, doors: Doors, namespace: &str) -> Work {
    match doors.api {
        Some(api) => Work::Calls { api, token: NEIGHBOURS_TOKEN.to_owned() },
        None => Work::Deliveries { kubeconfig: cluster.kubeconfig().to_owned(), namespace: namespace.to_owned() },
    }
}

/// Starts what is attacked, under its limit, and waits until it is ready.
async fn start(cluster: &Cluster, attack: &Attack, setting: &Setting, installation: &Installation) -> Result<Target> {
    let (mib, kubeconfig, args) = match attack.on {
        On::Operator => {
            let others = [&setting.operator_args[..]].concat();
            let own = attack.args.iter().map(|arg| (*arg).to_owned());
            let args: Vec<String> = installation.args.iter().cloned().chain(own).chain(others).collect();
            (setting.operator_memory, &installation.kubeconfig, args)
        }
        On::Api => {
            let mut args = installation.api_args.clone().context("the chart has no container named api")?;
            args.push("--health-address=127.0.0.1:0".to_owned());
            (setting.api_memory, &installation.api_kubeconfig, args)
        }
    };
    // The next of them takes the Lease at once.
    let args: Vec<String> = match attack.on {
        On::Operator => args.into_iter().chain(["--identity=operator".to_owned()]).collect(),
        On::Api => args,
    };
    let limit = Limit::new(setting.wall.clone(), mib)?;
    let (program, args) = limit.command(&setting.binary, &args);
    let name = attack.on.to_string();
    let mut process =
        Operator::start_until(&program, cluster.processes(), &name, kubeconfig, &args, "the health port listens")
            .await?;
    limit.watch(process.pid());
    process.said("ready").await?;
    let address = |message: &str| -> Option<SocketAddr> {
        process.events(message).first().and_then(|event| event["address"].as_str()?.parse().ok())
    };
    let health = address("the health port listens").ok_or_else(|| anyhow!("{name} logs no health address"))?;
    let api = (attack.on == On::Api)
        .then(|| address("the REST API listens").context("the API logs no address"))
        .transpose()?;
    Ok(Target { process, doors: Doors { health, api }, _limit: limit })
}

/// How many tokens the API server may be asked about, in a second.
const REVIEWS: usize = 100;

/// What the flood of tokens came to, at the API server.
fn token_reviews(cluster: &Cluster, attack: &Attack, since: Instant) -> Option<String> {
    if attack.on != On::Api {
        return None;
    }
    let log = std::fs::read_to_string(cluster.audit_log()?).ok()?;
    let reviews = log.lines().filter(|line| line.contains("\"tokenreviews\"")).count();
    let a_second = reviews / usize::try_from(since.elapsed().as_secs().max(1)).unwrap_or(1);
    (a_second > REVIEWS).then(|| format!("{a_second} TokenReviews a second"))
}

/// A process that did not get ready among what was there: it ended, or took too long.
fn never_ready(error: &anyhow::Error, watched: &Watched, begun: Instant) -> Seen {
    let text = format!("{error:#}");
    let first = text.lines().next().unwrap_or_default().trim_end_matches(':');
    let ended = format!("not ready after {:.0} s: {first}", begun.elapsed().as_secs_f64());
    seen(Some(ended), NOTHING, watched, begun)
}

/// Puts together what was seen before and after the beginning of the attack.
fn seen(ended: Option<String>, breaches: Vec<String>, Watched { turns, sights }: &Watched, attacked: Instant) -> Seen {
    let latency = |is_attacked: bool| {
        let of_side = turns.iter().filter(|turn| (turn.at >= attacked) == is_attacked);
        Latency::of(Samples(of_side.filter_map(|turn| turn.took).map(ms).collect()))
    };
    let livez = |is_attacked: bool| {
        let of_side = sights.iter().filter(|sight| (sight.at >= attacked) == is_attacked);
        of_side.fold(Livez::default(), |all, sight| Livez {
            max: all.max.max(sight.livez),
            late: all.late + usize::from(sight.livez > LIVEZ),
        })
    };
    let before = sights.iter().rev().find(|sight| sight.at < attacked).map_or(0.0, |sight| sight.cpu);
    let last = sights.last().map_or(0.0, |sight| sight.cpu);
    Seen {
        ended,
        peak: sights.iter().map(|sight| sight.peak).fold(0.0, f64::max),
        // A process that was started anew begins to count anew.
        cpu: if last >= before { last - before } else { last },
        neighbour: (latency(false), latency(true)),
        lost: turns.iter().filter(|turn| turn.took.is_none()).count(),
        livez: (livez(false), livez(true)),
        breaches,
    }
}
