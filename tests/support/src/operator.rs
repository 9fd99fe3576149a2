//! The real operator binary, with the arguments and the permissions that an installed chart gives it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use cluster::{Cluster, ProcessGroup};
use serde_json::Value;

const READY: Duration = Duration::from_secs(60);

/// The chart, installed in a cluster that has no nodes: its pods are run by hand.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Gives the rights of the chart's ServiceAccount, and no more.
    pub kubeconfig: PathBuf,
    /// The arguments of the chart's container, but for the health address, which is a free port of loopback.
    pub args: Vec<String>,
}

impl Installation {
    /// Installs the chart in folder `chart` as release `name` in a namespace of the same name.
    ///
    /// # Errors
    /// Helm or kubectl fails, or what the chart rendered has no container named controller.
    pub fn new(cluster: &Cluster, chart: &Path, name: &str, values: &[&str]) -> Result<Self> {
        let mut install = cluster.helm();
        install.args(["install", name]).arg(chart).args(["--namespace", name, "--create-namespace"]);
        for value in values {
            install.args(["--set", value]);
        }
        output(&mut install)?;
        let deployment =
            output(cluster.kubectl().args(["get", "deployment", "--output=json", "--namespace", name, name]))?;
        Ok(Self {
            kubeconfig: cluster.service_account_kubeconfig(name, name)?,
            args: controller_args(&serde_json::from_str(&deployment).context("parse the Deployment")?)?,
        })
    }
}

/// The arguments of the controller in the chart's Deployment, to be run on this machine.
///
/// # Errors
/// The Deployment has no container named controller with arguments.
pub fn controller_args(deployment: &Value) -> Result<Vec<String>> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    let controller = containers.into_iter().flatten().find(|container| container["name"] == "controller");
    let args = controller
        .and_then(|controller| controller["args"].as_array())
        .ok_or_else(|| anyhow!("the Deployment has no container named controller with arguments"))?;
    Ok(args
        .iter()
        .filter_map(Value::as_str)
        .filter(|arg| !arg.starts_with("--health-address"))
        .map(str::to_owned)
        .chain(["--health-address=127.0.0.1:0".to_owned()])
        .collect())
}

/// A running operator. Dropped, it is killed.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    log: PathBuf,
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
        let log = group.dir().join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("create {}", log.display()))?;
        let before = fs::metadata(&log)?.len();
        let mut command = Command::new(binary);
        command.args(args).env("KUBECONFIG", kubeconfig).env("RUST_LOG", "info").stdout(file.try_clone()?).stderr(file);
        let mut operator = Self { child: group.spawn(&mut command)?, log };
        let deadline = Instant::now() + READY;
        loop {
            let log = operator.log();
            if log.get(usize::try_from(before)?..).is_some_and(|log| log.contains("\"message\":\"ready\"")) {
                return Ok(operator);
            }
            if let Some(status) = operator.child.try_wait()? {
                bail!("the operator ended with {status}:\n{}", tail(&log));
            }
            if Instant::now() > deadline {
                bail!("the operator is not ready after {READY:?}:\n{}", tail(&log));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// There is no `kill` on this machine.
    pub fn stop(mut self) -> Result<ExitStatus> {
        output(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        self.child.wait().context("wait for the operator")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
