//! Processes that never outlive this one, and the folder they work in.
//!
//! In go commands to start; what comes out is a guarantee: when the [`ProcessGroup`] is dropped, or this process ends in
//! whatever way (also `kill -9`), its processes are ended and its folder is removed.
//!
//! ```text
//!  this process ──holds the write end──▶ pipe ──end of file──▶ reaper (sh, leads the group)
//!       └── spawns into the group: etcd, kube-apiserver, …  ◀── TERM, then KILL ──┘
//! ```
//!
//! The kernel closes the pipe with the process that holds it, so nothing has to run in a process that dies. The group is
//! not the terminal's foreground group: Ctrl-C reaches this process alone, and the others end in order after it.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf, absolute},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A group of processes and their scratch folder; both are gone when it is dropped or this process ends.
#[derive(Debug)]
pub struct ProcessGroup {
    reaper: Child,
    dir: PathBuf,
}

impl ProcessGroup {
    /// A group without processes yet, with a scratch folder of its own in the folder for temporary files.
    ///
    /// `prefix` begins the folder's name.
    ///
    /// # Errors
    /// When the folder can't be made or there is no `/bin/sh`.
    pub fn new(prefix: &str) -> Result<Self> {
        Self::new_in(&env::temp_dir(), prefix)
    }

    /// Like [`ProcessGroup::new`], with the scratch folder inside `parent`.
    pub(crate) fn new_in(parent: &Path, prefix: &str) -> Result<Self> {
        let dir = absolute(parent).with_context(|| format!("find folder {}", parent.display()))?.join(prefix);
        let mut reaper = Command::new("/bin/sh")
            .args(["-c", include_str!("process_group/reaper.sh"), "reaper"])
            .arg(&dir)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start the process group's reaper, /bin/sh")?;

        // The reaper makes the folder, so that there is no moment in which nobody would remove it.
        let mut made = String::new();
        if let Some(stdout) = reaper.stdout.take() {
            BufReader::new(stdout).read_line(&mut made).context("read the scratch folder's name from the reaper")?;
        }
        let group = Self { reaper, dir: PathBuf::from(made.trim_end_matches('\n')) };
        ensure!(group.dir.is_dir(), "create scratch folder {}*: mktemp failed", dir.display());
        Ok(group)
    }

    /// The scratch folder, readable by this user only.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts `command` in this group, with nothing to read on its standard input.
    ///
    /// Give it its own standard output and error, or it keeps those of this process open for a moment longer than this
    /// process lives. Processes that it starts belong to the group too.
    ///
    /// # Errors
    /// When the program can't be started, or the group has ended.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let group = i32::try_from(self.reaper.id()).context("use the reaper's id as a process group")?;
        command
            .process_group(group)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        // It kills itself as its last act, so its exit status says nothing.
        let _ = self.reaper.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    #[test]
    fn a_dropped_group_leaves_no_process_and_no_folder() {
        let group = ProcessGroup::new("cluster-test-").unwrap();
        let dir = group.dir().to_owned();
        let mut polite = group.spawn(&mut sh("exec sleep 1000")).unwrap();
        // Doesn't end when asked, nor does its own child, which writes into the folder until it is killed.
        let writes = "while :; do mkdir -p deep; : >deep/file; : >ready; sleep 0.001; done";
        let mut stubborn = sh(&format!("trap '' TERM; ({writes}) & wait"));
        let mut stubborn = group.spawn(stubborn.current_dir(&dir)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !dir.join("ready").exists() {
            assert!(Instant::now() < deadline, "the writer doesn't start");
            thread::sleep(Duration::from_millis(1));
        }

        drop(group);
        assert!(!dir.exists());
        assert_eq!(polite.try_wait().unwrap().unwrap().signal(), Some(15));
        assert_eq!(stubborn.try_wait().unwrap().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_child_does_not_hold_the_pipe_that_tells_of_this_process_s_end() {
        let group = ProcessGroup::new("cluster-test-").unwrap();
        // Not of the group. Had it the pipe, then the reaper, and so the drop, would wait for it.
        let mut other = sh("exec sleep 30").spawn().unwrap();
        drop(group);
        let ended = other.try_wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(ended, None);
    }
}
