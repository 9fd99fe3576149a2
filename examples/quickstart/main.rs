//! `cargo run --example quickstart`: the manifests of examples/ on a real Kubernetes control plane, step by step.
//!
//! ```text
//!  examples/*/*.yaml ──kubectl──▶ kube-apiserver ◀──watch, record──▶ operator ──HTTP──▶ receiver (in this program)
//!                  curl ──▶ REST API, intake ──▲
//! ```
//!
//! The text after a `$` is what a person would type. A shell runs it as it stands, and what it printed follows; only the
//! operator, which has its own log, is started from here. In the end all that was sent and recorded is compared with what it
//! should be.

mod alerts;
mod expected;
mod readme;
mod shell;
mod site;
mod terminal;

use std::{
    io::{Write, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use serde_json::Value;
use support::{Answer, Api, Installation, Operator, Received, Receiver};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    expected::{KINDS, Objects, compare, expected},
    shell::{Shell, build_operator},
    site::Site,
    terminal::{command, cut, paint, quoted, say, title},
};

/// Starts a Kubernetes control plane on this machine, applies the manifests of examples/, and shows what comes of it.
#[derive(Parser)]
#[command(name = "quickstart", bin_name = "cargo run --example quickstart --")]
struct Args {
    /// End after the demonstration, with status 0 only if all was as expected; otherwise Ctrl-C ends it
    #[arg(long)]
    exit: bool,
    /// Use this kubeconfig's cluster instead, in a namespace of its own; takes kubectl and helm
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Use the cluster of this context, in the same way
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// This repository, where commands run.
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// How long deliveries may take; far more than they need on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The exit status of a program that a signal ended before it was done.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = tokio::runtime::Runtime::new().context("start threads").and_then(|runtime| {
        let result = runtime.block_on(run(&args));
        // A control plane that is just being started ends with this process, if not before.
        runtime.shutdown_timeout(Duration::from_millis(500));
        result
    });
    result.unwrap_or_else(|error| {
        let _ = writeln!(stderr(), "quickstart: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let receiver = Receiver::start(answer).await?;
    let url = receiver.url();
    let site = tokio::select! {
        site = Site::find(args, &url) => site?,
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let result = play(&site, receiver, args.exit, &mut signals).await;
    let removed = tokio::select! {
        removed = site.remove() => removed,
        () = signals.next() => Err(anyhow!("interrupted before everything was removed")),
    };
    match (result, removed) {
        (Err(error), Err(left)) => Err(anyhow!("{error:#}; then {left:#}")),
        (result, removed) => result.and_then(|code| removed.map(|()| code)),
    }
}

/// The demonstration; then, unless it is to `exit`, whatever the person does until Ctrl-C.
async fn play(site: &Site, receiver: Receiver, exit: bool, signals: &mut Signals) -> Result<ExitCode> {
    let demonstration = async {
        let mut demo = Demo::start(site, receiver).await?;
        let passed = demo.tell().await?;
        anyhow::Ok((demo, passed))
    };
    let (mut demo, passed) = tokio::select! {
        result = demonstration => result?,
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if exit {
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    tokio::select! {
        result = demo.stay() => result?,
        () = signals.next() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The operator works, and its requests arrive here.
struct Demo<'a> {
    site: &'a Site,
    shell: &'a Shell,
    receiver: Receiver,
    operator: Operator,
    /// In a cluster that is not ours nobody may review tokens for it.
    api: Option<Rest>,
    /// How many requests have been shown.
    shown: usize,
}

/// OnCall's REST API, and where alerts come in.
struct Rest {
    api: Api,
    token: String,
    /// The program that it is one command of.
    program: PathBuf,
}

impl Rest {
    /// The variables to `export` in a shell, to call it.
    fn exports(&self) -> [String; 2] {
        [format!("ONCALL_API_URL={}", self.api.url()), format!("TOKEN={}", self.token)]
    }
}

/// Answers a request as a ticket system does, among other things.
fn answer(request: &Received) -> Answer {
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/tickets") if request.body.contains("DiskFull") => Answer::new(201, r#"{"id": "T-2"}"#),
        ("POST", "/tickets") => Answer::new(201, r#"{"id": "T-1"}"#),
        _ => Answer::new(200, r#"{"ok": true}"#),
    }
}

impl<'a> Demo<'a> {
    /// Installs the chart, and starts the operator as its Deployment would.
    async fn start(site: &'a Site, receiver: Receiver) -> Result<Self> {
        let binary = build_operator(&site.shell).await?;
        let Installation { kubeconfig, api_kubeconfig, args, api_args } = site.install().await?;

        title("The operator, with the chart's arguments and the rights of its ServiceAccount, and a receiver");
        command(&format!("oncall-webhooks {} &", args.join(" ")));
        let operator = Operator::start(&binary, site.processes(), "operator", &kubeconfig, &args).await?;
        command(&format!("export RECEIVER={}", receiver.url()));
        let api = match api_args {
            Some(args) => Some(Self::start_api(site, &binary, &api_kubeconfig, &args).await?),
            None => None,
        };
        Ok(Self { site, shell: &site.shell, receiver, operator, api, shown: 0 })
    }

    async fn start_api(site: &Site, binary: &Path, kubeconfig: &Path, args: &[String]) -> Result<Rest> {
        title("OnCall's REST API, and a token that opens this namespace");
        command(&format!("oncall-webhooks {} &", args.join(" ")));
        let api = Api::start(binary, site.processes(), "api", kubeconfig, args).await?;
        command(&format!("export ONCALL_API_URL={}", api.url()));
        command("export TOKEN=$(oncall-webhooks token create quickstart)");
        let create = format!("{} token create quickstart", quoted(&binary.display().to_string()));
        let token = site.shell.run(&create).await?.trim().to_owned();
        Ok(Rest { api, token, program: binary.to_owned() })
    }

    /// A webhook made by curl, and what one of the others was answered.
    async fn tell_of_rest(&self) -> Result<()> {
        let Some(rest) = &self.api else { return Ok(()) };
        let exports: String = rest.exports().iter().map(|export| format!("export {export}\n")).collect();
        title("What Terraform or curl makes over the REST API is a Webhook; what was applied is listed there");
        let new = r#"{"name": "Made by curl", "url": "'$RECEIVER'/curl", "http_method": "POST", "trigger_type": "unsilence"}"#;
        let json = "--header 'Content-Type: application/json'";
        let call = r#"curl --silent --show-error --fail --noproxy '*' --header "Authorization: $TOKEN""#;
        let create = format!("{call} {json} --data '{new}' $ONCALL_API_URL/api/v1/webhooks/");
        self.shell.show_after(&exports, &create).await?;
        self.shell.show("kubectl get webhook made-by-curl -o wide").await?;
        let id = "$(kubectl get webhook acknowledge -o jsonpath='{.status.id}')";
        self.shell.show_after(&exports, &format!("{call} $ONCALL_API_URL/api/v1/webhooks/{id}/responses")).await
    }

    /// Shows the examples, then says whether all was as it should be.
    async fn tell(&mut self) -> Result<bool> {
        title("The smallest webhook: what fires it, and where it sends. The body is the event's whole data");
        self.apply("smallest", &["webhook", "event"], 1).await?;
        self.shell.show("kubectl get webhooks").await?;
        self.shell.show("kubectl get whr").await?;

        title("A body of its own, a header from a Secret; and a webhook with a mistake, which harms no other");
        self.apply("acknowledge", &["secret", "webhook", "mistake", "event"], 3).await?;
        self.shell.show("kubectl get whr -l oncall.dev/event=instance-down-acknowledged").await?;
        self.shell.show("kubectl describe whr -l oncall.dev/webhook=acknowledge | sed -n '/^Status:/,$p'").await?;
        let data = "jsonpath='{.items[0].status.requestData}'";
        self.shell.show(&format!("kubectl get whr -l oncall.dev/webhook=mistake -o {data}")).await?;

        title("A chain: the second webhook closes the ticket whose id the first one was given");
        self.apply("chain", &["webhooks", "events"], 5).await?;
        self.shell.show("kubectl get whr -l oncall.dev/alert-group=I7QUEUESTUCK").await?;

        title("Secrets in the URL and in headers: they are sent, and no record shows them");
        self.apply("secrets", &["secret", "webhook", "event"], 6).await?;
        let masked = r#"jsonpath='{.items[0].status.url}{"\n"}{.items[0].status.requestHeaders}'"#;
        self.shell.show(&format!("kubectl get whr -l oncall.dev/webhook=chat -o {masked}")).await?;

        self.tell_of_rest().await?;

        title("All together");
        self.shell.show("kubectl get webhooks,agev,whr").await?;

        self.tell_of_alerts().await?;

        let faults = self.faults().await?;
        if faults.is_empty() {
            say(&paint("1;32", "\nEvery request and every record is as it should be."));
        } else {
            say(&paint("1;31", "\nThis is not as it should be:"));
            faults.iter().for_each(|fault| say(&format!("- {fault}")));
        }
        Ok(faults.is_empty())
    }

    /// Applies an example and shows the requests that come of it. `runs` is how many runs there are by then, in all.
    async fn apply(&mut self, example: &str, files: &[&str], runs: usize) -> Result<()> {
        let last = files.last().copied().unwrap_or_default();
        self.shell.show(&Self::apply_line(example, &files.join(" "), "")).await?;
        let wait = "kubectl wait --for=jsonpath='{.status.phase}'=Completed";
        self.shell.show(&format!("{wait} -f examples/{example}/{last}.yaml")).await?;
        self.settled(runs).await?;
        self.show_requests();
        Ok(())
    }

    /// Applies manifests of an example, in the namespace that kubectl is told by `place`. They name a receiver that does not exist.
    fn apply_line(example: &str, files: &str, place: &str) -> String {
        let apply = format!("kubectl apply -f - {place}");
        format!(
            "for file in {files}; do sed \"s|http://receiver.example|$RECEIVER|\" examples/{example}/$file.yaml | {}; done",
            apply.trim_end(),
        )
    }

    /// Waits until `runs` runs have ended, and their events and webhooks show it.
    async fn settled(&self, runs: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let missing = Objects::read(self.shell, "").await?.missing(runs);
            if missing.is_empty() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let log = self.operator.log();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(10)..].join("\n");
                let missing = missing.join(", ");
                bail!("after {} s {missing}; the operator's last words were:\n{end}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Shows the requests that have arrived since the last time.
    fn show_requests(&mut self) {
        const DULL: [&str; 6] =
            ["accept", "accept-encoding", "content-length", "host", "user-agent", "webhook-timestamp"];
        let received = self.receiver.received();
        for request in &received[self.shown..] {
            say(&paint("1;33", &format!("--> {} {}", request.method, request.target)));
            let headers = request.headers.iter().filter(|(name, _)| !DULL.contains(&name.as_str()));
            let headers = headers.map(|(name, value)| format!("{name}: {value}"));
            headers.chain([cut(&request.body)]).for_each(|line| say(&paint("33", &format!("    {line}"))));
            let Answer { status, body, .. } = answer(request);
            say(&paint("33", &format!("<-- {status} {body}")));
        }
        self.shown = received.len();
    }

    /// Says what is not as it should be.
    async fn faults(&self) -> Result<Vec<String>> {
        let (shell, requests) = (self.shell, self.receiver.received());
        let objects = Objects::read(shell, "").await?;
        let mut wanted = expected(&self.receiver.url(), &|webhook| objects.id(webhook))?;
        let mut found = objects.outcome(&requests);
        let mut shown = shell.run(&format!("kubectl get {KINDS},events -o yaml")).await?;
        if self.api.is_some() {
            if let Some(wanted) = wanted["requests"].as_array_mut() {
                wanted.extend(alerts::REQUESTS.map(Value::from));
            }
            wanted["alerts"] = alerts::expected(&self.receiver.url());
            found["alerts"] = alerts::outcome(shell, &requests).await?;
            shown += &shell.run(&format!("kubectl get {KINDS},events {} -o yaml", alerts::PLACE)).await?;
        }
        let mut faults = Vec::new();
        compare("", &wanted, &found, &mut faults);
        if self.api.is_some() {
            faults.extend(readme::faults()?);
        }

        let api_log = self.api.as_ref().map(|rest| rest.api.process().log()).unwrap_or_default();
        let log = self.operator.log();
        for secret in ["an-example-token", "an-example-key", "an-example-path-nobody-should-know", alerts::TOKEN] {
            for (place, text) in [("an object", &shown), ("the operator's log", &log), ("the API's log", &api_log)] {
                if text.contains(secret) {
                    faults.push(format!("{place} shows the secret {secret}"));
                }
            }
        }
        Ok(faults)
    }

    /// Says what to try, and shows requests as they arrive, for ever.
    async fn stay(&mut self) -> Result<()> {
        title("Your turn, in another terminal");
        say(&format!("cd {}", quoted(REPOSITORY)));
        let rest = self.api.iter().flat_map(Rest::exports);
        self.site.exports().into_iter().chain(rest).for_each(|export| say(&format!("export {export}")));
        say("kubectl get whr -w");
        say("sed 's/name: disk-full.*/generateName: disk-full-/' examples/smallest/event.yaml | kubectl create -f -");
        say("kubectl explain webhook.spec");
        say("\nWhat arrives meanwhile is shown here. Ctrl-C removes everything.");
        loop {
            self.receiver.wait_for(self.shown + 1, Duration::MAX).await?;
            self.show_requests();
        }
    }
}

/// The signals that end this program.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen for signals");
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
