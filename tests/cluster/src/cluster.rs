//! The control plane itself.
//!
//! In go the programs and a scratch folder; out come kubeconfigs, and commands that use them.
//!
//! ```text
//!  kubectl, helm, operator ──token, TLS──▶ kube-apiserver (loopback) ──unix socket──▶ etcd
//!                                                 ▲
//!                        kube-controller-manager ─┘ garbage collection, namespaces, ServiceAccounts, quotas
//! ```
//!
//! Everything lies in one folder of this user's: certificates and keys (kube-apiserver makes its own), tokens, data, logs.

mod kubeconfig;
mod server;

use std::{
    env, fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use self::kubeconfig::random_hex;
pub use self::server::Server;
use crate::{
    ProcessGroup, Programs, Signal,
    running::{PORT_ATTEMPTS, PORT_PATIENCE, Running, free_port, wait_until},
};

/// The controllers that collect owned objects, remove namespaces, make ServiceAccounts and fill the roles view, edit and admin.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
                           clusterrole-aggregation-controller";

/// Counts what quotas bound; the API server itself refuses what is beyond them.
const QUOTA_CONTROLLER: &str = "resourcequota-controller";

// Names in the scratch folder, where the servers run. A socket's whole path can be too long for the kernel.
const ETCD_SOCKET: &str = "etcd.sock";
const CERTIFICATES: &str = "certificates";
const USERS: &str = "users.csv";
const ADMIN: &str = "admin.kubeconfig";
const AUDIT_POLICY: &str = "audit-policy.yaml";
const AUDIT_LOG: &str = "audit.log";

/// A control plane that runs until it is dropped or this process ends.
#[derive(Debug)]
pub struct Cluster {
    // Ends everything, so it is dropped before what collects the servers' exit statuses.
    group: ProcessGroup,
    etcd: Running,
    api_server: Running,
    controller_manager: Running,
    programs: Programs,
    url: String,
    kubeconfig: PathBuf,
}

/// Options of a [`Cluster`].
#[derive(Debug, Default)]
pub struct Builder {
    fsync: bool,
    quotas: bool,
    audit_policy: Option<String>,
}

impl Builder {
    /// Whether etcd waits for the disk at each write. By default it does not, which is faster; for anything that is measured it
    /// should.
    #[must_use]
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }

    /// Whether ResourceQuotas count what there is. Of custom resources that takes up to half a minute after their definition.
    #[must_use]
    pub fn quotas(mut self, quotas: bool) -> Self {
        self.quotas = quotas;
        self
    }

    /// The API server keeps an audit log of what `policy` (YAML, an `audit.k8s.io/v1` Policy) says: [`Cluster::audit_log`].
    #[must_use]
    pub fn audit(mut self, policy: impl Into<String>) -> Self {
        self.audit_policy = Some(policy.into());
        self
    }

    /// Starts the control plane and waits until it is ready; see [`Cluster::start`].
    ///
    /// # Errors
    /// When a program can't be found or built, or a server ends or isn't ready in time; then with the end of its log.
    pub fn start(self) -> Result<Cluster> {
        let programs = Programs::find_or_build()?;
        let group = ProcessGroup::new("oncall-cluster-")?;
        let mut etcd = start_etcd(&programs, &group, self.fsync).context("start etcd")?;

        let (admin, controllers) = (random_hex()?, random_hex()?);
        let users = format!(
            "{admin},admin,admin,system:masters\n\
             {controllers},system:kube-controller-manager,system:kube-controller-manager\n"
        );
        fs::write(group.dir().join(USERS), users).context("write the API server's tokens")?;
        if let Some(policy) = &self.audit_policy {
            fs::write(group.dir().join(AUDIT_POLICY), policy).context("write the API server's audit policy")?;
        }
        let audit = self.audit_policy.is_some();
        let (mut api_server, url) =
            start_api_server(&programs, &group, &admin, audit, &mut etcd).context("start kube-apiserver")?;
        let before = &mut [&mut etcd, &mut api_server];
        let controller_manager = start_controller_manager(&programs, &group, &url, &controllers, self.quotas, before)
            .context("start kube-controller-manager")?;
        let kubeconfig = group.dir().join(ADMIN);
        Ok(Cluster { group, etcd, api_server, controller_manager, programs, url, kubeconfig })
    }
}

impl Cluster {
    /// Starts a control plane for tests and waits until it is ready, which takes a few seconds.
    ///
    /// The first start on a machine builds the programs, see [`Programs::find_or_build`].
    ///
    /// # Errors
    /// When a program can't be found or built, or a server ends or isn't ready in time; then with the end of its log.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts with options.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The API server's address, such as `https://127.0.0.1:40123`.
    #[must_use]
    pub fn api_server_url(&self) -> &str {
        &self.url
    }

    /// The kubeconfig of an administrator, who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig with a token of the ServiceAccount, which has to exist; it is good for a day.
    ///
    /// # Errors
    /// When there is no such ServiceAccount.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let what = format!("create a token of ServiceAccount {namespace}/{name}");
        let output = self
            .kubectl()
            .args(["create", "token", name, "--duration=24h", "--namespace", namespace])
            .output()
            .with_context(|| what.clone())?;
        ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let token = String::from_utf8(output.stdout).context(what)?;
        let path = self.group.dir().join(format!("{namespace}.{name}.kubeconfig"));
        kubeconfig::write(&path, &self.url, &certificates(&self.group), token.trim())?;
        Ok(path)
    }

    /// The API server's audit log: JSON, one event on each line, which is there before the request is answered. None unless
    /// [`Builder::audit`] asked for it.
    #[must_use]
    pub fn audit_log(&self) -> Option<PathBuf> {
        let log = self.group.dir().join(AUDIT_LOG);
        log.exists().then_some(log)
    }

    /// `kubectl`, as administrator, without anything of the user's own settings.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        client(&self.programs.kubectl, &self.group)
    }

    /// `helm`, as administrator, without anything of the user's own settings, plugins and repositories.
    #[must_use]
    pub fn helm(&self) -> Command {
        client(&self.programs.helm, &self.group)
    }

    /// The servers' process group, for further processes that shall end with the control plane, and its scratch folder.
    #[must_use]
    pub fn processes(&self) -> &ProcessGroup {
        &self.group
    }

    /// The process id of a server, to measure what it uses or to disturb it.
    #[must_use]
    pub fn pid(&self, server: Server) -> u32 {
        match server {
            Server::Etcd => self.etcd.pid(),
            Server::ApiServer => self.api_server.pid(),
            Server::ControllerManager => self.controller_manager.pid(),
        }
    }

    /// Ends a server with `signal` ([`Signal::Term`] or [`Signal::Kill`]) and starts it again, with the same command line,
    /// port and data. Returns when it is ready; until then, its users get errors or no answer.
    ///
    /// The controller manager, which nobody waits for, counts as ready when the API server is.
    ///
    /// etcd loses nothing, whatever the signal and also without fsync: what it has written is with the kernel.
    ///
    /// # Errors
    /// When a server ends by itself or isn't ready in time; then with the end of its log.
    pub fn restart(&mut self, server: Server, signal: Signal) -> Result<()> {
        self.restart_after(server, signal, Duration::ZERO)
    }

    /// Does the same, with a time in which the server is away.
    ///
    /// # Errors
    /// As [`Cluster::restart`].
    pub fn restart_after(&mut self, server: Server, signal: Signal, away: Duration) -> Result<()> {
        ensure!(matches!(signal, Signal::Term | Signal::Kill), "restart {server}: {signal:?} ends no process");
        let what = || format!("restart {server}");
        let ready = || succeeds(&mut readyz(&self.programs, &self.group));
        let (running, others) = match server {
            Server::Etcd => (&mut self.etcd, [&mut self.api_server, &mut self.controller_manager]),
            Server::ApiServer => (&mut self.api_server, [&mut self.etcd, &mut self.controller_manager]),
            Server::ControllerManager => (&mut self.controller_manager, [&mut self.etcd, &mut self.api_server]),
        };
        running.end(signal).with_context(what)?;
        thread::sleep(away);
        let [first, second] = others;
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            running.start_again(&self.group).with_context(what)?;
            match wait_until(running, &mut [&mut *first, &mut *second], ready) {
                // A connection of somebody else's may have been given the port meanwhile.
                Err(_) if Instant::now() < deadline && running.port_is_taken()? => {}
                result => return result.with_context(what),
            }
        }
    }

    /// Ends all processes of [`Cluster::processes`] and removes the folder; the same as dropping it.
    pub fn stop(self) {}
}

fn start_etcd(programs: &Programs, group: &ProcessGroup, fsync: bool) -> Result<Running> {
    let mut command = Command::new(&programs.etcd);
    command.args([
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls=unix://{ETCD_SOCKET}"),
        format!("--advertise-client-urls=unix://{ETCD_SOCKET}"),
        "--listen-peer-urls=unix://peers.sock".to_owned(),
        "--initial-advertise-peer-urls=unix://peers.sock".to_owned(),
        "--initial-cluster=default=unix://peers.sock".to_owned(),
    ]);
    if !fsync {
        command.arg("--unsafe-no-fsync");
    }
    // Up long before kube-apiserver asks for it.
    Running::start(Server::Etcd.to_string(), group, command)
}

/// The API server and its URL, ready, with the administrator's kubeconfig written.
fn start_api_server(
    programs: &Programs,
    group: &ProcessGroup,
    token: &str,
    audit_wanted: bool,
    etcd: &mut Running,
) -> Result<(Running, String)> {
    let audit = [("policy-file", AUDIT_POLICY), ("log-path", AUDIT_LOG), ("log-mode", "blocking")]
        .map(|(flag, value)| format!("--audit-{flag}={value}"));
    let audit = if audit_wanted { &audit[..] } else { &[] };
    let mut attempts = 0;
    loop {
        attempts += 1;
        let port = free_port()?;
        let mut command = Command::new(&programs.kube_apiserver);
        command
            .arg(format!("--etcd-servers=unix://{ETCD_SOCKET}"))
            .arg(format!("--secure-port={port}"))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // No pods run that could reach it as the Service `kubernetes`, and loopback is no endpoint.
            .arg("--endpoint-reconciler-type=none")
            .args(["--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true"])
            .arg(format!("--cert-dir={CERTIFICATES}"))
            // It makes this key itself, for TLS; in a cluster that is gone in an hour, tokens need no other.
            .arg(format!("--service-account-key-file={CERTIFICATES}/apiserver.key"))
            .arg(format!("--service-account-signing-key-file={CERTIFICATES}/apiserver.key"))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--token-auth-file={USERS}"))
            .arg("--authorization-mode=RBAC")
            .args(audit);
        let mut server = Running::start(Server::ApiServer.to_string(), group, command)?;

        let url = format!("https://127.0.0.1:{port}");
        kubeconfig::write(&group.dir().join(ADMIN), &url, &certificates(group), token)?;
        let mut look = readyz(programs, group);
        // kubectl costs more than a connection, so it starts only when there is one.
        let ready = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() && succeeds(&mut look)?);
        match wait_until(&mut server, &mut [etcd], ready) {
            Ok(()) => return Ok((server, url)),
            // Somebody else was faster with that port.
            Err(_) if attempts < PORT_ATTEMPTS && server.port_is_taken()? => {}
            Err(error) => return Err(error),
        }
    }
}

fn start_controller_manager(
    programs: &Programs,
    group: &ProcessGroup,
    url: &str,
    token: &str,
    quotas: bool,
    before: &mut [&mut Running],
) -> Result<Running> {
    let kubeconfig = group.dir().join("controller-manager.kubeconfig");
    kubeconfig::write(&kubeconfig, url, &certificates(group), token)?;
    let mut command = Command::new(&programs.kube_controller_manager);
    command
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg(format!(
            "--controllers={CONTROLLERS}{}",
            if quotas { format!(",{QUOTA_CONTROLLER}") } else { String::new() }
        ))
        // A quota on a kind that was not counted yet is looked at again after that.
        .arg("--resource-quota-sync-period=5s")
        // As in real clusters, each controller has the rights of its own ServiceAccount.
        .arg("--use-service-account-credentials=true")
        .args(["--leader-elect=false", "--secure-port=0"]);
    let mut server = Running::start(Server::ControllerManager.to_string(), group, command)?;
    // The first thing to be seen of it.
    let mut look = client(&programs.kubectl, group);
    look.args(["get", "serviceaccount", "default", "--namespace=default"]);
    wait_until(&mut server, before, || succeeds(&mut look))?;
    Ok(server)
}

/// The API server's certificate, followed by that of the authority which it made to sign it.
fn certificates(group: &ProcessGroup) -> PathBuf {
    group.dir().join(CERTIFICATES).join("apiserver.crt")
}

/// Asks the API server whether it is ready, which it is not without etcd.
fn readyz(programs: &Programs, group: &ProcessGroup) -> Command {
    let mut look = client(&programs.kubectl, group);
    look.args(["get", "--raw=/readyz", "--request-timeout=5s"]);
    look
}

/// A command line client that acts as administrator and keeps its settings and caches in the scratch folder.
fn client(program: &Path, group: &ProcessGroup) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["HELM_", "KUBE", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    command.env("HOME", group.dir()).env("KUBECONFIG", group.dir().join(ADMIN));
    command
}

/// Runs a command that only looks, and tells whether it found what it looks for.
fn succeeds(command: &mut Command) -> Result<bool> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    Ok(output.status.success())
}
