//! Runs the real binary, with the arguments and the permissions that an installed chart gives its containers.
//!
//! A process writes its log to a file itself, so that all that it said before something happened can be read when it has
//! happened. Waiting for a line means to read the file again.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use cluster::{Cluster, ProcessGroup, Signal};
use serde_json::Value;

const READY: Duration = Duration::from_secs(60);

/// The chart, installed in a cluster that has no nodes: its pods are run by hand.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Gives the rights of the ServiceAccount of the container `controller`, and no more.
    pub kubeconfig: PathBuf,
    /// The same for the container `api`, which may be in another pod; the operator's if there is none.
    pub api_kubeconfig: PathBuf,
    /// The arguments of the chart's container `controller`, but for the health address, which is a free port of loopback.
    pub args: Vec<String>,
    /// The arguments of the chart's container `api`, but for the address, which is a free port of loopback. None if the
    /// chart's values disable it.
    pub api_args: Option<Vec<String>>,
}

impl Installation {
    /// Installs the chart in folder `chart` as release `name` in a namespace of the same name. The first one in a cluster brings the
    /// resource definitions.
    ///
    /// # Errors
    /// Helm or kubectl fails, or what the chart rendered has no container named controller.
    pub fn new(cluster: &Cluster, chart: &Path, name: &str, values: &[&str]) -> Result<Self> {
        let mut install = cluster.helm();
        install.args(["install", name]).arg(chart).args(["--namespace", name, "--create-namespace"]);
        let definitions = ["get", "crd", "webhooks.oncall.dev", "--ignore-not-found", "--output=name"];
        if !output(cluster.kubectl().args(definitions))?.is_empty() {
            install.args(["--set", "crds.enabled=false"]);
        }
        for value in values {
            install.args(["--set", value]);
        }
        output(&mut install)?;
        // Helm waits for definitions only where it waits for all else too, and no pod gets ready here.
        output(cluster.kubectl().args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]))?;
        let deployments = output(cluster.kubectl().args(["get", "deployments", "--output=json", "--namespace", name]))?;
        let deployments: Value = serde_json::from_str(&deployments).context("parse the Deployments")?;
        let deployments = deployments["items"].as_array().map_or(&[][..], Vec::as_slice);
        Self::of(deployments, |account| cluster.service_account_kubeconfig(name, account))
    }

    /// The installation that the Deployments of the chart describe. `kubeconfig` makes one with the rights of the
    /// ServiceAccount of that name.
    ///
    /// # Errors
    /// No Deployment has a container named controller with arguments, or a kubeconfig can't be made.
    pub fn of(deployments: &[Value], kubeconfig: impl Fn(&str) -> Result<PathBuf>) -> Result<Self> {
        let (account, args) = deployments
            .iter()
            .find_map(|deployment| Some((account_of(deployment)?, controller_args(deployment).ok()?)))
            .ok_or_else(|| anyhow!("no Deployment has a container named controller with arguments"))?;
        let api = deployments
            .iter()
            .find_map(|deployment| Some((account_of(deployment)?, container_args(deployment, "api", "--address")?)));
        let operators = kubeconfig(account)?;
        let api_kubeconfig = match &api {
            Some((apis, _)) if *apis != account => kubeconfig(apis)?,
            _ => operators.clone(),
        };
        Ok(Self { kubeconfig: operators, api_kubeconfig, args, api_args: api.map(|(_, args)| args) })
    }
}

/// The ServiceAccount of a Deployment's pods.
fn account_of(deployment: &Value) -> Option<&str> {
    deployment["spec"]["template"]["spec"]["serviceAccountName"].as_str()
}

/// The arguments of the controller in the chart's Deployment, to be run on this machine.
///
/// # Errors
/// The Deployment has no container named controller with arguments.
pub fn controller_args(deployment: &Value) -> Result<Vec<String>> {
    container_args(deployment, "controller", "--health-address")
        .ok_or_else(|| anyhow!("the Deployment has no container named controller with arguments"))
}

/// The arguments of a container, with a free port of loopback as its `address`.
fn container_args(deployment: &Value, name: &str, address: &str) -> Option<Vec<String>> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let args = containers.iter().find(|container| container["name"] == name)?["args"].as_array()?;
    // Any number of them run here side by side.
    let takes_port = |arg: &&str| arg.starts_with("--address=") || arg.starts_with("--health-address=");
    let others = args.iter().filter_map(Value::as_str).filter(|arg| !takes_port(arg));
    Some(others.map(str::to_owned).chain([format!("{address}=127.0.0.1:0")]).collect())
}

/// A running operator, or another subcommand that says when it is ready. Dropped, it is killed.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    name: String,
    log: PathBuf,
    /// Where in the log this process begins.
    start: usize,
}

impl Operator {
    /// Starts `binary` and waits until it is ready. It ends with `group`, at the latest. Its log goes to `<name>.log` in the
    /// group's folder.
    ///
    /// # Errors
    /// It ends, or is not ready within a minute; the error shows the end of its log.
    pub async fn start(
        binary: &Path,
        group: &ProcessGroup,
        name: &str,
        kubeconfig: &Path,
        args: &[String],
    ) -> Result<Self> {
        Self::start_until(binary, group, name, kubeconfig, args, "ready").await
    }

    /// Does the same, but waits only until the process has logged `message`: a standby is not ready.
    ///
    /// # Errors
    /// As [`Operator::start`].
    pub async fn start_until(
        binary: &Path,
        group: &ProcessGroup,
        name: &str,
        kubeconfig: &Path,
        args: &[String],
        message: &str,
    ) -> Result<Self> {
        let log = group.dir().join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("create {}", log.display()))?;
        let start = usize::try_from(fs::metadata(&log)?.len())?;
        let mut command = Command::new(binary);
        command.args(args).env("KUBECONFIG", kubeconfig).env("RUST_LOG", "info").stdout(file.try_clone()?).stderr(file);
        let mut operator = Self { child: group.spawn(&mut command)?, name: name.to_owned(), log, start };
        operator.said(message).await?;
        Ok(operator)
    }

    /// Waits until it has logged `message` since it was started.
    ///
    /// # Errors
    /// It ends, or has not within a minute; the error shows the end of its log.
    pub async fn said(&mut self, message: &str) -> Result<()> {
        let deadline = Instant::now() + READY;
        while self.events(message).is_empty() {
            let name = &self.name;
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", tail(&self.log()));
            }
            if Instant::now() > deadline {
                bail!("{name} does not say {message:?} in {READY:?}:\n{}", tail(&self.log()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its log goes.
    pub fn path(&self) -> PathBuf {
        self.log.clone()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The events with this message that it has logged since it was started.
    pub fn events(&self, message: &str) -> Vec<Value> {
        let log = self.log();
        let lines = log.get(self.start..).unwrap_or_default().lines();
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["message"] == message).collect()
    }

    /// How it ended; None while it runs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// Kills it (SIGKILL): it has no time to do anything about it. Returns when it is gone.
    pub fn kill(self) {}

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn stop(mut self) -> Result<ExitStatus> {
        Signal::Term.send(self.pid())?;
        self.child.wait().context("wait for the operator")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running REST API. Dropped, it is killed.
#[derive(Debug)]
pub struct Api {
    process: Operator,
    url: String,
}

impl Api {
    /// Starts `binary` with the arguments of the chart's container `api` and waits until it is ready; see
    /// [`Operator::start`].
    ///
    /// # Errors
    /// As [`Operator::start`], or it does not log where it listens.
    pub async fn start(
        binary: &Path,
        group: &ProcessGroup,
        name: &str,
        kubeconfig: &Path,
        args: &[String],
    ) -> Result<Self> {
        let process = Operator::start(binary, group, name, kubeconfig, args).await?;
        let listening = process.events("the REST API listens");
        let address = listening
            .first()
            .and_then(|event| event["address"].as_str())
            .ok_or_else(|| anyhow!("{name} logs no address:\n{}", tail(&process.log())))?;
        let scheme = if args.iter().any(|arg| arg.starts_with("--tls-certificate")) { "https" } else { "http" };
        Ok(Self { url: format!("{scheme}://{address}"), process })
    }

    /// Such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to look at or to stop.
    pub fn process(&self) -> &Operator {
        &self.process
    }

    /// The same.
    pub fn process_mut(&mut self) -> &mut Operator {
        &mut self.process
    }

    /// Asks it to stop; see [`Operator::stop`].
    ///
    /// # Errors
    /// As [`Operator::stop`].
    pub fn stop(self) -> Result<ExitStatus> {
        self.process.stop()
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Runs a command and returns what it printed.
///
/// # Errors
/// It can't be started, or fails; the error shows the command and what it said.
pub fn output(command: &mut Command) -> Result<String> {
    finish(command, None)
}

/// The same, with `input` on its standard input.
///
/// # Errors
/// As [`output`].
pub fn pipe(command: &mut Command, input: &str) -> Result<String> {
    finish(command, Some(input))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn finish(command: &mut Command, input: Option<&str>) -> Result<String> {
    let line = command_line(command);
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {line}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).with_context(|| format!("write to {line}"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("wait for {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
