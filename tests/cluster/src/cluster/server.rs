//! One server of the control plane.
//!
//! In goes its command line; out come its process id, word of its end as soon as it happens, and the end of its log. The
//! command line is kept, so that the same server can be started again.

use std::{
    fmt::{self, Display},
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{ProcessGroup, Signal};

/// How long a server may take to be ready. A second or two at rest; a kube-apiserver that is started again under load on two
/// cores has taken more than a minute until it said so.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a server may take to end well. kube-apiserver takes as long as its clients keep their connections.
const GRACE: Duration = Duration::from_secs(5);

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 20;

/// A server of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// etcd, the store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
}

impl Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
        })
    }
}

/// A server that was started; killed when dropped, if it still runs then.
#[derive(Debug)]
pub(super) struct Running {
    server: Server,
    child: Child,
    command: Command,
    log: PathBuf,
    /// Where in the log this process begins.
    start: usize,
}

impl Running {
    /// Starts `command` in the group's folder, with its output in a log file there and nothing of the user's environment.
    pub(super) fn start(server: Server, group: &ProcessGroup, mut command: Command) -> Result<Self> {
        let log = group.dir().join(format!("{server}.log"));
        let _ = fs::remove_file(&log);
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("create log file {}", log.display()))?;
        let copy = file.try_clone().with_context(|| format!("share log file {}", log.display()))?;
        command.env_clear().current_dir(group.dir()).stdout(file).stderr(copy);
        Ok(Self { server, child: group.spawn(&mut command)?, command, log, start: 0 })
    }

    /// Ends the process with `signal`, and waits until it has; one that takes too long to end well is killed.
    pub(super) fn end(&mut self, signal: Signal) -> Result<()> {
        let look = |child: &mut Child| child.try_wait().with_context(|| format!("look after {}", self.server));
        if look(&mut self.child)?.is_some() {
            return Ok(());
        }
        signal.send(self.child.id())?;
        let started = Instant::now();
        while look(&mut self.child)?.is_none() {
            if started.elapsed() > GRACE {
                self.child.kill().with_context(|| format!("kill {}", self.server))?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts the process that has ended again, with the same command line.
    pub(super) fn start_again(&mut self, group: &ProcessGroup) -> Result<()> {
        self.start = usize::try_from(fs::metadata(&self.log)?.len())?;
        self.child = group.spawn(&mut self.command)?;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The part of the log that this process has written so far.
    pub(super) fn log(&self) -> Result<String> {
        let log = fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(log.get(self.start..).unwrap_or_default()).into_owned())
    }

    /// An error, with the end of its log, when it has ended or is too `late`.
    fn check(&mut self, late: bool) -> Result<()> {
        let ended = self.child.try_wait().with_context(|| format!("look after {}", self.server))?;
        let problem = match ended {
            Some(status) => format!("ended with {status}"),
            None if late => format!("isn't ready after {} s", PATIENCE.as_secs()),
            None => return Ok(()),
        };
        let log = self.log()?;
        let start = log.lines().count().saturating_sub(SHOWN_LINES);
        let end: Vec<_> = log.lines().skip(start).collect();
        bail!("{} {problem}; its last words were:\n{}", self.server, end.join("\n"))
    }
}

/// Waits until the `first` server is `ready`, for [`PATIENCE`] at most; an error at once when it or one of `others` ends.
pub(super) fn wait_until(
    first: &mut Running,
    others: &mut [&mut Running],
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let started = Instant::now();
    while !ready()? {
        for other in &mut *others {
            other.check(false)?;
        }
        first.check(started.elapsed() > PATIENCE)?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

impl Drop for Running {
    fn drop(&mut self) {
        // As a rule the process group has ended it by now, and this only collects its status.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("read the free port's number")?.port())
}
