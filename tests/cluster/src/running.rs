//! One server, of the control plane or beside it.
//!
//! In goes its command line; out come its process id, word of its end as soon as it happens, and the end of its log. The
//! command line is kept, so that the same server can be started again.

use std::{
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

/// How long a server that is started again may find its port taken.
pub const PORT_PATIENCE: Duration = Duration::from_secs(30);

/// How often to look for another port when somebody took the free one first.
pub const PORT_ATTEMPTS: usize = 5;

/// How long a server may take to end well. kube-apiserver takes as long as its clients keep their connections.
const GRACE: Duration = Duration::from_secs(5);

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 20;

/// A server that was started; killed when dropped, if it still runs then.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    command: Command,
    log: PathBuf,
    /// Where in the log this process begins.
    start: usize,
}

impl Running {
    /// Starts `command` in the group's folder, with its output in `<name>.log` there and nothing of the user's environment.
    ///
    /// # Errors
    /// When the log file can't be made or the program can't be started.
    pub fn start(name: impl Into<String>, group: &ProcessGroup, mut command: Command) -> Result<Self> {
        let name = name.into();
        let log = group.dir().join(format!("{name}.log"));
        let _ = fs::remove_file(&log);
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("create log file {}", log.display()))?;
        let copy = file.try_clone().with_context(|| format!("share log file {}", log.display()))?;
        command.env_clear().current_dir(group.dir()).stdout(file).stderr(copy);
        Ok(Self { name, child: group.spawn(&mut command)?, command, log, start: 0 })
    }

    /// Ends the process with `signal` ([`Signal::Term`] or [`Signal::Kill`]), and waits until it has; one that takes longer than
    /// five seconds to end well is killed.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub fn end(&mut self, signal: Signal) -> Result<()> {
        let look = |child: &mut Child| child.try_wait().with_context(|| format!("look after {}", self.name));
        if look(&mut self.child)?.is_some() {
            return Ok(());
        }
        signal.send(self.child.id())?;
        let started = Instant::now();
        while look(&mut self.child)?.is_none() {
            if started.elapsed() > GRACE {
                self.child.kill().with_context(|| format!("kill {}", self.name))?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts the process that has ended again, with the same command line. Its log goes on in the same file.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start_again(&mut self, group: &ProcessGroup) -> Result<()> {
        self.start = usize::try_from(fs::metadata(&self.log)?.len())?;
        self.child = group.spawn(&mut self.command)?;
        Ok(())
    }

    /// Its process id, to measure what it uses or to disturb it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The part of the log that this process has written so far.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn log(&self) -> Result<String> {
        let log = fs::read(&self.log).with_context(|| format!("read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(log.get(self.start..).unwrap_or_default()).into_owned())
    }

    /// Whether this process found the port taken that it was to listen at: somebody else's connection may have been given it.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn port_is_taken(&self) -> Result<bool> {
        Ok(self.log()?.contains("address already in use"))
    }

    /// An error, with the end of its log, when it has ended, or has been `waited` for too long.
    ///
    /// # Errors
    /// That one, or the system does not say whether it has ended.
    pub fn check(&mut self, waited: Duration) -> Result<()> {
        let ended = self.child.try_wait().with_context(|| format!("look after {}", self.name))?;
        let problem = match ended {
            Some(status) => format!("ended with {status}"),
            None if waited > PATIENCE => format!("isn't ready after {} s", PATIENCE.as_secs()),
            None => return Ok(()),
        };
        let log = self.log()?;
        let start = log.lines().count().saturating_sub(SHOWN_LINES);
        let end: Vec<_> = log.lines().skip(start).collect();
        bail!("{} {problem}; its last words were:\n{}", self.name, end.join("\n"))
    }
}

/// Waits until the `first` server is `ready`, for [`PATIENCE`] at most; an error at once when it or one of `others` ends.
pub(crate) fn wait_until(
    first: &mut Running,
    others: &mut [&mut Running],
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let started = Instant::now();
    while !ready()? {
        for other in &mut *others {
            other.check(Duration::ZERO)?;
        }
        first.check(started.elapsed())?;
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
///
/// # Errors
/// When none is.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("read the free port's number")?.port())
}
