//! The memory limit of a process: a control group's where one can be made, as a container has it; else systemd's; else this program
//! looks at what the process holds, and kills it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use cluster::Signal;
use support::Footprint;

/// How often memory is looked at where nothing else limits it.
const LOOK: Duration = Duration::from_millis(5);

/// What keeps a process to its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    /// A control group of version 2 below this folder.
    CgroupV2(PathBuf),
    /// A control group of version 1 below this folder.
    CgroupV1(PathBuf),
    /// `systemd-run --scope`, with these options: the system's manager, or this user's.
    Systemd(&'static [&'static str]),
    /// This program.
    Watcher,
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CgroupV2(_) => f.write_str("a control group (v2)"),
            Self::CgroupV1(_) => f.write_str("a control group (v1)"),
            Self::Systemd(options) => write!(f, "systemd-run {} -p MemoryMax", options.join(" ")),
            Self::Watcher => write!(f, "looking every {LOOK:?} at what is resident"),
        }
    }
}

/// A limit on one process. The group goes when it is dropped, after its process.
pub(crate) struct Limit {
    wall: Wall,
    mib: u64,
    group: Option<PathBuf>,
    watching: Arc<AtomicBool>,
}

impl Wall {
    /// The first of them that works here.
    pub(crate) fn find() -> Self {
        let own = |line: &str| {
            fs::read_to_string("/proc/self/cgroup")
                .ok()?
                .lines()
                .find_map(|found| found.split_once(line).map(|(_, path)| path.trim_start_matches('/').to_owned()))
        };
        let v2 = Path::new("/sys/fs/cgroup");
        let v1 = v2.join("memory");
        // A group with processes of its own gives no limits to those below it, but for the topmost.
        let all = own("0::").map(|path| v2.join(path)).into_iter().chain([v2.to_owned()]);
        let found =
            all.map(Wall::CgroupV2).chain([Self::CgroupV1(v1)]).find(|wall| Limit::new(wall.clone(), 512).is_ok());
        let managers: [&'static [&'static str]; 2] = [&SYSTEMS, &USERS];
        let systemd = || managers.into_iter().find(|options| systemd_runs(options)).map(Self::Systemd);
        found.or_else(systemd).unwrap_or(Self::Watcher)
    }
}

/// The options of `systemd-run` with which it takes the place of itself by the program, and asks nobody for a password.
const SYSTEMS: [&str; 3] = ["--scope", "--quiet", "--no-ask-password"];
const USERS: [&str; 4] = ["--user", "--scope", "--quiet", "--no-ask-password"];

fn systemd_runs(options: &[&str]) -> bool {
    let mut run = Command::new("systemd-run");
    run.args(options).args(["-p", "MemoryMax=64M", "true"]);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    run.status().is_ok_and(|status| status.success())
}

/// The environment that the image gives the program.
const IMAGE: &str = "MALLOC_ARENA_MAX=2";

impl Limit {
    /// Makes it, for a process that is started next.
    pub(crate) fn new(wall: Wall, mib: u64) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oncall-adversary-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut limit = Self { wall, mib, group: None, watching: Arc::new(AtomicBool::new(true)) };
        // In the order in which they are to be written; what else there is for swap may be missing.
        let (parent, file, swap) = match &limit.wall {
            Wall::CgroupV2(parent) => (parent, "memory.max", ("memory.swap.max", 0)),
            Wall::CgroupV1(parent) => (parent, "memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", mib)),
            Wall::Systemd(_) | Wall::Watcher => return Ok(limit),
        };
        let group = parent.join(name);
        fs::create_dir(&group).with_context(|| format!("make control group {}", group.display()))?;
        limit.group = Some(group.clone());
        let path = group.join(file);
        // Without the file, the controller is not on.
        anyhow::ensure!(path.exists(), "{} has no memory controller", group.display());
        fs::write(&path, (mib * 1024 * 1024).to_string()).with_context(|| format!("write {}", path.display()))?;
        // A machine without swap may have no such file.
        let (file, mib) = swap;
        let _ = fs::write(group.join(file), (mib * 1024 * 1024).to_string());
        Ok(limit)
    }

    /// The program and arguments that run `binary` with `args` under it. It has the same process id.
    pub(crate) fn command(&self, binary: &Path, args: &[String]) -> (PathBuf, Vec<String>) {
        let text = |path: &Path| path.display().to_string();
        let before = match (&self.wall, &self.group) {
            (_, Some(group)) => {
                let enter = format!("export {IMAGE} && echo $$ > '{}/cgroup.procs' && exec \"$0\" \"$@\"", text(group));
                return (PathBuf::from("/bin/sh"), words(&["-c", &enter, &text(binary)], args));
            }
            (Wall::Systemd(options), None) => {
                let max = format!("MemoryMax={}M", self.mib);
                let program = text(binary);
                let scope =
                    [&[IMAGE, "systemd-run"], *options, &["-p", &max, "-p", "MemorySwapMax=0", &program]].concat();
                return (PathBuf::from("/usr/bin/env"), words(&scope, args));
            }
            // It can't find the limit by itself.
            _ => format!("ONCALL_WEBHOOKS_MEMORY_LIMIT={}Mi", self.mib),
        };
        (PathBuf::from("/usr/bin/env"), words(&[IMAGE, &before, &text(binary)], args))
    }

    /// Watches the process where nothing else does.
    pub(crate) fn watch(&self, pid: u32) {
        if self.wall != Wall::Watcher {
            return;
        }
        let (watching, most) = (Arc::clone(&self.watching), self.mib as f64);
        thread::spawn(move || {
            while watching.load(Ordering::Relaxed) {
                match Footprint::of(pid) {
                    Ok(now) if now.resident > most => drop(Signal::Kill.send(pid)),
                    Ok(_) => {}
                    Err(_) => return,
                }
                thread::sleep(LOOK);
            }
        });
    }
}

fn words(first: &[&str], then: &[String]) -> Vec<String> {
    first.iter().map(|word| (*word).to_owned()).chain(then.iter().cloned()).collect()
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.watching.store(false, Ordering::Relaxed);
        let Some(group) = &self.group else { return };
        // It is busy for a moment after its process.
        for _ in 0..100 {
            if fs::remove_dir(group).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// Whether a shell that takes so many MiB under a limit of 64 MiB comes to its end.
    fn survives(wall: Wall, mib: u64) -> bool {
        let limit = Limit::new(wall, 64).expect("make a limit");
        let take = format!("x=$(head -c {mib}000000 /dev/zero | tr '\\0' x); sleep 0.3; echo ${{#x}}");
        let (program, args) = limit.command(Path::new("/bin/sh"), &["-c".to_owned(), take]);
        let mut child = Command::new(program).args(args).stdout(Stdio::null()).spawn().expect("start a shell");
        limit.watch(child.id());
        let status = child.wait().expect("wait for it");
        assert!(status.success() || status.signal() == Some(9) || status.code() == Some(137), "{status}");
        status.success()
    }

    #[test]
    fn a_process_that_takes_more_than_its_limit_is_killed_and_no_other() {
        for wall in [Wall::find(), Wall::Watcher] {
            assert!(survives(wall.clone(), 8), "{wall}");
            assert!(!survives(wall.clone(), 200), "{wall}");
        }
    }
}
